/**
 * What happens with provider keys and routes when their gateway is replaced or gets another store, and what of others
 * is left alone; and a first deploy that failed is resumed.
 */
import * as secretsStore from "@distilled.cloud/cloudflare/secrets-store"
import { assert } from "@effect/vitest"
import * as Cloudflare from "alchemy/Cloudflare"
import * as Output from "alchemy/Output"
import { findProvider } from "alchemy/Provider"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Redacted from "effect/Redacted"
import { describe } from "vitest"
import { AiGateway } from "../../src/AiGateway.ts"
import { ProviderKeyResource } from "../../src/resource/ProviderKey.ts"
import * as Route from "../../src/Route.ts"
import { manage } from "../local/talk.ts"
import * as apiProxy from "./apiProxy.ts"

const { gateway, proxy, test } = await apiProxy.stacks(1)
const { failure } = apiProxy
const accountId = "0".repeat(32)
const secret = "sk-of-the-moved-5d0e"
const refused = { instead: failure(400, 7001, "no") }
const route = Route.start(Route.model({ provider: "openai", model: "gpt-4o" }))

const stackOf = (id: string, storeId?: string, key: string | undefined = secret) =>
  Effect.gen(function*() {
    const store = yield* Cloudflare.SecretsStore.Store("Store")
    const gateway = yield* AiGateway("Gateway", { id, storeId: (storeId ?? store.storeId) as string })
    yield* AiGateway.DynamicRoute("Route", { gateway, name: "support", route })
    if (key !== "") yield* AiGateway.ProviderKey("Key", { gateway, provider: "openai", key: Redacted.make(key) })
    return store.storeId
  })
const secretsOf = (storeId: string) =>
  Effect.map(secretsStore.listStoreSecrets({ accountId, storeId }), (_) => _.result)
const action = (
  plan: { readonly resources: { readonly [id: string]: { readonly action: string } | undefined } },
  id: string
) => plan.resources[id]?.action

describe("a gateway that is replaced", () => {
  test.provider("takes its provider keys along, and leaves no secret behind", (stack) =>
    Effect.gen(function*() {
      yield* stack.deploy(stackOf("old-key"))
      const storeId = yield* stack.deploy(stackOf("new-key"))
      assert.deepStrictEqual((yield* secretsOf(storeId)).map((_) => _.name), ["new-key_openai_default"])
      yield* stack.destroy()
      assert.deepStrictEqual(yield* secretsOf(storeId), [])
    }))

  test.provider("takes its routes along, and leaves none behind", (stack) =>
    Effect.gen(function*() {
      yield* stack.deploy(stackOf("old-route", undefined, ""))
      yield* stack.deploy(stackOf("new-route", undefined, ""))
      assert.lengthOf((yield* manage(gateway, "/new-route/routes")).json.data.routes, 1)
      // Routes outlive their gateway: one of the same id has those that are left.
      yield* stack.deploy(Effect.gen(function*() {
        yield* AiGateway("Again", { id: "old-route" })
      }))
      assert.lengthOf((yield* manage(gateway, "/old-route/routes")).json.data.routes, 0)
      yield* stack.destroy()
    }))
})

describe("a gateway that gets another store", () => {
  test.provider("takes its provider keys along", (stack) =>
    Effect.gen(function*() {
      const first = yield* stack.deploy(stackOf("restored"))
      // A store of `alchemy dev`: an account has but one of its own.
      const storeId = "dev:second"
      assert.strictEqual(action(yield* stack.plan(stackOf("restored", storeId)), "Key"), "update")
      yield* stack.deploy(stackOf("restored", storeId))
      assert.deepStrictEqual(yield* secretsOf(first), [])
      assert.lengthOf(yield* secretsOf(storeId), 1)
      assert.strictEqual(action(yield* stack.plan(stackOf("restored", storeId)), "Key"), "noop")
      yield* stack.destroy()
    }))
})

describe("a secret that another party made", () => {
  const scopes = ["workers", "ai_gateway"] as const
  const theirs = Effect.fnUntraced(function*(storeId: string, id: string) {
    yield* secretsStore.createStoreSecret({
      accountId,
      storeId,
      body: [{ name: `${id}_openai_default`, scopes: [...scopes], value: "theirs" }]
    })
  })

  test.provider("is neither written nor deleted by a new key", (stack) =>
    Effect.gen(function*() {
      const storeId = yield* stack.deploy(stackOf("theirs", undefined, ""))
      yield* theirs(storeId, "theirs")
      for (const _ of ["first", "again"]) {
        assert.include(String(yield* Effect.exit(stack.deploy(stackOf("theirs")))), "SecretTaken")
      }
      assert.isFalse(proxy.calls.some((call) => call.method === "PATCH"))
      yield* stack.destroy()
      assert.lengthOf(yield* secretsOf(storeId), 1)
    }))

  test.provider("is neither written nor deleted by a key that moves to its store", (stack) =>
    Effect.gen(function*() {
      yield* stack.deploy(stackOf("moved-in"))
      yield* theirs("dev:second", "moved-in")
      proxy.reset()
      assert.include(String(yield* Effect.exit(stack.deploy(stackOf("moved-in", "dev:second")))), "SecretTaken")
      assert.isFalse(proxy.calls.some((call) => call.method === "PATCH"))
      yield* stack.destroy()
      assert.strictEqual((yield* secretsOf("dev:second")).filter((_) => _.name.startsWith("moved-in")).length, 1)
    }))

  test.provider("keeps its scopes when it is taken over", (stack) =>
    Effect.gen(function*() {
      const storeId = yield* stack.deploy(stackOf("scoped"))
      const [before] = yield* secretsOf(storeId)
      yield* secretsStore.patchStoreSecret({ accountId, storeId, secretId: before?.id ?? "", scopes: [...scopes] })
      yield* stack.deploy(stackOf("scoped", undefined, "sk-another"))
      assert.deepStrictEqual((yield* secretsOf(storeId))[0]?.scopes, [...scopes])
      yield* stack.destroy()
    }))

  test.provider("is not what a create that failed has left: the next deploy goes on with that", (stack) =>
    Effect.gen(function*() {
      yield* stack.deploy(stackOf("went-on", undefined, ""))
      // The first POST writes the secret.
      proxy.break("POST", { first: () => Promise.resolve() }, { instead: failure(403, 9109, "Invalid access token") })
      assert.isTrue(Exit.isFailure(yield* Effect.exit(stack.deploy(stackOf("went-on")))))
      yield* stack.deploy(stackOf("went-on"))
      yield* stack.destroy()
    }))
})

describe("a provider key", () => {
  test.provider("is in no error, also when the API repeats it", (stack) =>
    Effect.gen(function*() {
      yield* stack.deploy(stackOf("repeated"))
      const said = { instead: failure(400, 1234, "value sk-second-of-the-moved is too weak") }
      proxy.break("PATCH", said, said)
      const exit = yield* Effect.exit(stack.deploy(stackOf("repeated", undefined, "sk-second-of-the-moved")))
      assert.include(String(exit), "value <redacted> is too weak")
      assert.notInclude(`${String(exit)}${JSON.stringify(exit)}`, "sk-second-of-the-moved")
      proxy.reset()
      yield* stack.destroy()
    }))
})

describe("a gateway that is not seen everywhere at once", () => {
  test.provider("is waited for by a provider key", (stack) =>
    Effect.gen(function*() {
      yield* stack.deploy(stackOf("unseen", undefined, ""))
      const provider = yield* findProvider(ProviderKeyResource)
      proxy.break("GET", { instead: failure(404, 7002, "Gateway not found") })
      const made = yield* provider.reconcile({
        id: "Key",
        fqn: "Key",
        instanceId: "0".repeat(32),
        news: {
          gatewayId: "unseen",
          provider: "openai",
          alias: "default",
          isDefault: true,
          rateLimit: null,
          rateLimitPeriod: 60,
          key: Redacted.make(secret)
        },
        olds: undefined,
        output: undefined,
        bindings: [],
        session: { note: () => Effect.void, emit: () => Effect.void, done: () => Effect.void }
      })
      assert.strictEqual(made.gatewayId, "unseen")
      yield* stack.destroy()
    }))
})

describe("a first deploy that failed", () => {
  const waiting = (id: string | undefined, url: string) =>
    Effect.gen(function*() {
      const up = yield* AiGateway("Up", { id: `${id ?? "generated"}-up` })
      return yield* AiGateway("Gateway", {
        ...(id === undefined ? {} : { id }),
        retryMaxAttempts: 3,
        // A prop that waits for another resource; the types of props take Outputs of whole settings.
        otel: [{ url: Output.map(up.gatewayId, (name) => `${url}${name}`) }] as never
      })
    })

  test.provider("while a prop waited for an Output is resumed", (stack) =>
    Effect.gen(function*() {
      proxy.break("POST", refused)
      assert.isTrue(Exit.isFailure(yield* Effect.exit(stack.deploy(waiting("waited", "https://x.example/")))))
      yield* stack.plan(waiting("waited", "https://x.example/"))
      const made = yield* stack.deploy(waiting("waited", "https://x.example/"))
      assert.strictEqual(made.otel?.[0]?.url, "https://x.example/waited-up")
      yield* stack.destroy()
    }))

  test.provider("while a prop waited for an Output is destroyed", (stack) =>
    Effect.gen(function*() {
      proxy.break("POST", refused)
      assert.isTrue(Exit.isFailure(yield* Effect.exit(stack.deploy(waiting("broken-off", "https://x.example/")))))
      yield* stack.destroy()
    }))

  test.provider("after a gateway with a generated id was made is destroyed with it", (stack) =>
    Effect.gen(function*() {
      proxy.break("PUT", refused)
      assert.isTrue(Exit.isFailure(yield* Effect.exit(stack.deploy(waiting(undefined, "https://x.example/")))))
      const made = proxy.calls.filter((call) => call.method === "POST").map((call) => JSON.parse(call.body).id)
      assert.lengthOf(made, 2)
      yield* stack.destroy()
      assert.strictEqual((yield* manage(gateway, `/${made[1]}`)).status, 404)
    }))

  test.provider("keeps nothing of a setting that is not declared any more", (stack) =>
    Effect.gen(function*() {
      const declared = (more: object) =>
        AiGateway("Gateway", { id: "halved", cacheTtl: 300, guardrails: { prompt: { hate: "BLOCK" } }, ...more })
      proxy.break("PUT", refused)
      const half = stack.deploy(declared({ authentication: true, retryMaxAttempts: 5 }))
      assert.isTrue(Exit.isFailure(yield* Effect.exit(half)))
      const made = yield* Effect.exit(stack.deploy(declared({})))
      assert.isTrue(Exit.isSuccess(made), String(made))
      const { result } = (yield* manage(gateway, "/halved")).json
      assert.deepInclude(result, { authentication: false, retry_max_attempts: null })
      yield* stack.destroy()
    }))
})
