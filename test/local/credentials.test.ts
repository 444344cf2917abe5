import * as NodeCrypto from "@effect/platform-node/NodeCrypto"
import { assert, describe, it, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import { TestClock } from "effect/testing"
import { inspect } from "node:util"
import * as Credentials from "../../src/local/Credentials.ts"
import * as Database from "../../src/local/Database.ts"
import type { Gateway } from "../../src/local/Gateway.ts"
import * as ObjectStore from "../../src/local/ObjectStore.ts"
import * as RateLimitStore from "../../src/local/RateLimitStore.ts"
import * as Sealing from "../../src/local/Sealing.ts"
import * as SecretsApi from "../../src/local/SecretsApi.ts"

const stores = Layer.mergeAll(
  ObjectStore.layer("acct").pipe(Layer.provide(Database.layer(Database.memory))),
  Sealing.layer(Database.memory),
  RateLimitStore.layerMemory
).pipe(Layer.provide(NodeCrypto.layer), Layer.orDie)

const gatewayOf = (id: string, settings: Gateway["settings"] = {}): Gateway => ({
  id,
  settings: { store_id: "dev:1", ...settings },
  createdAt: 0,
  modifiedAt: 0
})

/** Stores a key as the management API does. */
const store = (
  gateway: Gateway,
  slug: string,
  alias: string,
  secret: string,
  more: { readonly [name: string]: unknown } = {}
) =>
  Effect.gen(function*() {
    const objects = yield* ObjectStore.ObjectStore
    const added = yield* SecretsApi.add(objects, yield* Sealing.Sealing, "dev:1", {
      name: `${gateway.id}_${slug}_${alias}`,
      value: Redacted.make(secret),
      scopes: ["ai_gateway"]
    })
    const id = Option.getOrThrow(added).id
    const fields = { provider_slug: slug, alias, default_config: false, secret_id: id, ...more }
    yield* objects.create("provider_config", gateway.id, `${slug}/${alias}`, fields)
    return id
  })

const resolve = (
  gateway: Gateway,
  provider: string,
  headers: { readonly [name: string]: string } = {},
  more: { readonly face?: "provider" | "compat" | "run"; readonly query?: string } = {}
) => Credentials.resolve({ gateway, provider, headers, face: "provider", ...more })

layer(stores)("the key of a request", (it) => {
  it.effect("BYOK-01: is the stored one of the alias default where the request has none", () =>
    Effect.gen(function*() {
      const gateway = gatewayOf("byok-01")
      yield* store(gateway, "openai", "default", "sk-stored")
      const { headers, secret, source } = yield* resolve(gateway, "openai", { "content-type": "application/json" })
      assert.strictEqual(source, "stored")
      assert.deepStrictEqual(headers, { "content-type": "application/json", authorization: "Bearer sk-stored" })
      assert.strictEqual(secret && Redacted.value(secret), "sk-stored")
    }))

  it.effect("is the request's own where it has one, and then no alias is looked at", () =>
    Effect.gen(function*() {
      const gateway = gatewayOf("own")
      yield* store(gateway, "openai", "default", "sk-stored")
      const given = { authorization: "Bearer sk-own", "cf-aig-byok-alias": "nope" }
      const { headers, source } = yield* resolve(gateway, "openai", given)
      assert.strictEqual(source, "request")
      assert.strictEqual(headers, given)
    }))

  it.effect("BYOK-02: is the stored one of the alias that the request names", () =>
    Effect.gen(function*() {
      const gateway = gatewayOf("byok-02")
      yield* store(gateway, "openai", "default", "sk-default")
      yield* store(gateway, "openai", "team-b", "sk-b")
      const { headers } = yield* resolve(gateway, "openai", { "cf-aig-byok-alias": "team-b" })
      assert.strictEqual(headers["authorization"], "Bearer sk-b")
    }))

  it.effect("is the one that was made the default where none is called so", () =>
    Effect.gen(function*() {
      const gateway = gatewayOf("made-default")
      yield* store(gateway, "openai", "first", "sk-1")
      yield* store(gateway, "openai", "second", "sk-2", { default_config: true })
      assert.strictEqual((yield* resolve(gateway, "openai")).headers["authorization"], "Bearer sk-2")
    }))

  it.effect("BYOK-03: is refused with 2040 for an alias that the provider has not, and the others are named", () =>
    Effect.gen(function*() {
      const gateway = gatewayOf("byok-03")
      yield* store(gateway, "openai", "a", "sk-a")
      yield* store(gateway, "openai", "b", "sk-b")
      yield* store(gateway, "groq", "nope", "sk-g")
      const error = yield* Effect.flip(resolve(gateway, "openai", { "cf-aig-byok-alias": "nope" }))
      assert.deepInclude(error, {
        status: 400,
        code: 2040,
        description: "Provider 'openai' has no BYOK credential named 'nope'. Configured aliases: 'a', 'b'"
      })
    }))

  it.effect("on the run path only the alias default counts", () =>
    Effect.gen(function*() {
      const gateway = gatewayOf("run-path")
      yield* store(gateway, "openai", "other", "sk-o", { default_config: true })
      const { source } = yield* resolve(gateway, "openai", { "cf-aig-byok-alias": "other" }, { face: "run" })
      assert.strictEqual(source, "none")
    }))

  it.effect("BYOK-05: is missing with 400 where only own keys are allowed; Workers AI needs none", () =>
    Effect.gen(function*() {
      const gateway = gatewayOf("byok-05", { byok_only: true })
      assert.deepInclude(yield* Effect.flip(resolve(gateway, "openai")), { status: 400, code: 2040 })
      assert.strictEqual((yield* resolve(gateway, "workers-ai")).source, "request")
      yield* store(gateway, "openai", "default", "sk-d")
      assert.strictEqual((yield* resolve(gateway, "openai")).source, "stored")
    }))

  it.effect("BYOK-05: a request may ask for own keys only, and cannot take the gateway's word back", () =>
    Effect.gen(function*() {
      const open = gatewayOf("no-wholesale")
      const error = yield* Effect.flip(resolve(open, "openai", { "cf-aig-no-wholesale": "true" }))
      assert.include(error.description, "cf-aig-no-wholesale")
      assert.strictEqual((yield* resolve(open, "openai")).source, "none")
      const closed = gatewayOf("no-wholesale", { byok_only: true })
      const loosened = yield* Effect.flip(resolve(closed, "openai", { "cf-aig-no-wholesale": "false" }))
      assert.include(loosened.description, "byok_only")
    }))

  it.effect("goes into the header that the provider reads, and no other key goes with it", () =>
    Effect.gen(function*() {
      const gateway = gatewayOf("headers")
      const expected = {
        anthropic: ["x-api-key", "k"],
        "azure-openai": ["api-key", "k"],
        deepgram: ["authorization", "Token k"],
        elevenlabs: ["xi-api-key", "k"],
        fal: ["authorization", "Key k"],
        "google-ai-studio": ["x-goog-api-key", "k"],
        mistral: ["authorization", "Bearer k"],
        "custom-mine": ["authorization", "Bearer k"]
      } as const
      for (const [provider, [name, value]] of Object.entries(expected)) {
        yield* store(gateway, provider, "default", "k")
        // SDKs with an empty key send the scheme alone.
        const { headers } = yield* resolve(gateway, provider, { authorization: "Bearer ", [name]: "" })
        assert.deepStrictEqual(headers, {
          ...(name === "xi-api-key" ? { authorization: "Bearer " } : {}),
          [name]: value
        })
      }
    }))

  it.effect("in Authorization of the unified endpoint goes where its provider reads it", () =>
    Effect.gen(function*() {
      const gateway = gatewayOf("compat")
      const of = (provider: string) =>
        Effect.map(
          resolve(gateway, provider, { authorization: "Bearer pk", "x-other": "1" }, { face: "compat" }),
          ({ headers }) => headers
        )
      assert.deepStrictEqual(yield* of("anthropic"), { "x-other": "1", "x-api-key": "pk" })
      assert.deepStrictEqual(yield* of("google-ai-studio"), { "x-other": "1", "x-goog-api-key": "pk" })
      assert.deepStrictEqual(yield* of("groq"), { "x-other": "1", authorization: "Bearer pk" })
    }))

  it.effect("in Google's query is the request's own", () =>
    Effect.gen(function*() {
      const gateway = gatewayOf("query")
      yield* store(gateway, "google-ai-studio", "default", "stored")
      const { source } = yield* resolve(gateway, "google-ai-studio", {}, { query: "?alt=sse&key=own" })
      assert.strictEqual(source, "request")
    }))

  it.effect("over its own rate limit is refused with 429, until the next period", () =>
    Effect.gen(function*() {
      const gateway = gatewayOf("limited")
      yield* store(gateway, "openai", "default", "sk", { rate_limit: 2, rate_limit_period: 10 })
      yield* resolve(gateway, "openai")
      yield* resolve(gateway, "openai")
      assert.deepInclude(yield* Effect.flip(resolve(gateway, "openai")), { status: 429, code: 2003 })
      yield* TestClock.adjust("10 seconds")
      yield* resolve(gateway, "openai")
    }))

  it.effect("that is gone from its store, or is more than a key, is a refusal that says so", () =>
    Effect.gen(function*() {
      const gateway = gatewayOf("gone")
      const id = yield* store(gateway, "openai", "default", "sk")
      yield* (yield* ObjectStore.ObjectStore).remove("secret", "dev:1", id)
      assert.include((yield* Effect.flip(resolve(gateway, "openai"))).description, "is gone from its store")
      yield* store(gateway, "aws-bedrock", "default", "{\"accessKeyId\":\"AKIA\",\"secretAccessKey\":\"shh\"}")
      const error = yield* Effect.flip(resolve(gateway, "aws-bedrock"))
      assert.include(error.description, "neither signs for AWS")
      assert.notInclude(inspect(error, { depth: 9 }), "shh")
    }))
})

describe("a stored key", () => {
  it.effect("BYOK-04: is in no error", () =>
    Effect.gen(function*() {
      const gateway = gatewayOf("errors")
      yield* store(gateway, "openai", "default", "sk-very-secret", { rate_limit: 1 })
      yield* resolve(gateway, "openai")
      const errors = [
        yield* Effect.flip(resolve(gateway, "openai")),
        yield* Effect.flip(resolve(gateway, "openai", { "cf-aig-byok-alias": "x" }))
      ]
      assert.notInclude(inspect(errors, { depth: 9 }), "sk-very-secret")
    }).pipe(Effect.provide(stores)))
})
