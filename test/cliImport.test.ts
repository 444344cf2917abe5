import * as secretsStore from "@distilled.cloud/cloudflare/secrets-store"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as FetchHttpClient from "effect/unstable/http/FetchHttpClient"
import { execFileSync } from "node:child_process"
import * as fs from "node:fs"
import * as path from "node:path"
import * as LocalGateway from "../src/local/LocalGateway.ts"
import { localCredentials } from "../src/resource/account.ts"
import * as gateways from "../src/resource/gatewaysApi.ts"
import { entries } from "../src/resource/settings.ts"
import * as apiProxy from "./resource/apiProxy.ts"
import * as Project from "./support/project.ts"

const root = path.resolve(import.meta.dirname, "..")
const cli = path.join(root, "src/cli.ts")
const accountId = "0".repeat(32)
const token = "token-of-the-import-51d0"

const secrets = {
  PROD_OTEL_1_X_HONEYCOMB_TEAM: "secret-header-9c1e",
  PROD_OTEL_1_AUTHORIZATION: "secret-authorization-2f70",
  PROD_STRIPE_AUTHORIZATION: "secret-stripe-b8d3",
  PROD_OPENAI_KEY: "secret-openai-key-77aa",
  PROD_ANTHROPIC_TEAM_A_KEY: "secret-anthropic-key-0e4b"
}

/** A proxy before the API of an account whose one gateway is `prod`. */
const proxyOfProd = Effect.gen(function*() {
  const gateway = yield* LocalGateway.make({ token: Redacted.make(token) })
  yield* gateways.create(accountId, "prod", {
    cache_ttl: 0,
    cache_invalidate_on_update: false,
    collect_logs: true,
    rate_limiting_interval: 0,
    rate_limiting_limit: 0
  }).pipe(Effect.provide(localCredentials(Effect.succeed(gateway))))
  return yield* apiProxy.make(gateway.url)
})

/** Every setting, a route with a node that two ways lead to, and two provider keys. */
const made = (storeId: string) => `
import * as Alchemy from "alchemy"
import * as Config from "effect/Config"
import * as Effect from "effect/Effect"
import { AiGateway, Route } from "effect-ai-gateway"
import { providers } from "effect-ai-gateway/providers"

export default Alchemy.Stack(
  "made",
  { providers: providers(), state: Alchemy.localState() },
  Effect.gen(function*() {
    const gateway = yield* AiGateway("Made", {
      id: "prod",
      cacheTtl: 90,
      cacheInvalidateOnUpdate: true,
      rateLimitingInterval: "1 hour",
      rateLimitingLimit: 100,
      rateLimitingTechnique: "sliding",
      collectLogs: true,
      logManagement: 100_000,
      logManagementStrategy: "STOP_INSERTING",
      logpush: true,
      logpushPublicKey: "-----BEGIN PUBLIC KEY-----\\nMIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8A\\n-----END PUBLIC KEY-----",
      logClassification: true,
      authentication: true,
      retryMaxAttempts: 3,
      retryDelay: "1500 millis",
      retryBackoff: "exponential",
      byokOnly: true,
      storeId: "${storeId}",
      workersAiBillingMode: "unified",
      zdr: true,
      guardrails: { prompt: { promptInjection: "BLOCK", violentCrimes: "FLAG" }, response: { hate: "FLAG" } },
      dlp: {
        policies: [
          { id: "in", check: ["REQUEST"], action: "BLOCK", profiles: ["p-1", "p-2"] },
          { id: "out", check: ["REQUEST", "RESPONSE"], action: "FLAG", profiles: ["p-3"], enabled: false }
        ]
      },
      spendLimits: {
        rules: [
          { limitUsd: 12.5, window: "1 day" },
          { limitUsd: 5, window: 90, technique: "fixed", metadata: { user: "partition", "my plan": { filter: ["free"] } } },
          { limitUsd: 50_000, window: "7 days", models: ["openai/gpt-5"], providers: ["openai"], enabled: false }
        ]
      },
      otel: [
        {
          url: "https://api.honeycomb.io/v1/traces",
          headers: { "x-honeycomb-team": yield* Config.Redacted("PROD_OTEL_1_X_HONEYCOMB_TEAM") },
          authorization: yield* Config.Redacted("PROD_OTEL_1_AUTHORIZATION"),
          contentType: "protobuf"
        },
        { url: "https://otel.example/v1/traces" }
      ],
      stripe: {
        authorization: yield* Config.Redacted("PROD_STRIPE_AUTHORIZATION"),
        usageEvents: [{ payload: "{\\"event_name\\":\\"tokens\\"}" }]
      }
    })
    const small = Route.model({ provider: "workers-ai", model: "@cf/meta/llama-3.1-8b-instruct", timeout: "10 seconds", retries: 2 })
    yield* AiGateway.DynamicRoute("Route", {
      gateway,
      name: "support",
      route: Route.start(
        Route.conditional({ "metadata.plan": "free", $or: [{ "headers.x-team": { $in: ["a", "b"] } }, { "body.n": { $gt: 1 } }] }, {
          true: Route.rateLimit({ key: "metadata.user", limit: 100, window: "1 hour" }, { within: small }),
          false: Route.percentage({
            "10%": Route.costLimit({ key: "metadata.user", limitUsd: 2.5, window: "1 day" }, { within: small, over: Route.end }),
            else: Route.model({ provider: "openai", model: "gpt-4o" }, { fallback: small })
          })
        })
      )
    })
    yield* AiGateway.ProviderKey("A", { gateway, provider: "openai", key: Config.Redacted("PROD_OPENAI_KEY") })
    yield* AiGateway.ProviderKey("B", {
      gateway,
      provider: "anthropic",
      alias: "team-a",
      key: Config.Redacted("PROD_ANTHROPIC_TEAM_A_KEY"),
      rateLimit: 10,
      rateLimitPeriod: "1 hour"
    })
  })
)
`

const imported = `
import * as Alchemy from "alchemy"
import * as Effect from "effect/Effect"
import { providers } from "effect-ai-gateway/providers"
import { AnthropicTeamAKey, Gateway, OpenaiKey, SupportRoute } from "./Gateway.ts"

export default Alchemy.Stack(
  "imported",
  { providers: providers(), state: Alchemy.localState() },
  Effect.gen(function*() {
    yield* Gateway
    yield* SupportRoute
    yield* OpenaiKey
    yield* AnthropicTeamAKey
  })
)
`

/** Looks into the gateway that the commands of a project embed, between two of them. */
const between = <A, E>(
  { folder }: Project.Project,
  look: (gateway: LocalGateway.LocalGateway["Service"]) => Effect.Effect<
    A,
    E,
    Effect.Services<ReturnType<typeof gateways.get>>
  >
) =>
  Effect.gen(function*() {
    const store = path.join(folder, ".alchemy/local/ai-gateway.db")
    fs.mkdirSync(path.dirname(store), { recursive: true })
    const gateway = yield* LocalGateway.make({ store, token: Redacted.make(token) })
    return yield* Effect.provide(look(gateway), localCredentials(Effect.succeed(gateway)))
  }).pipe(Effect.scoped, Effect.provide(FetchHttpClient.layer))

const formatted = (code: string) =>
  execFileSync(path.join(root, "node_modules/.bin/dprint"), ["fmt", "--stdin", "Gateway.ts"], {
    cwd: root,
    input: code,
    encoding: "utf8"
  })

const ok = ({ code, err, out }: Project.Ran) => {
  assert.strictEqual(code, 0, out + err)
  return out
}

describe("effect-ai-gateway import", () => {
  it.live(
    "prints a gateway of every setting as code that compiles, and that changes nothing when it is deployed",
    () =>
      Effect.gen(function*() {
        const project = yield* Project.make
        const import_ = (url: string, ...args: ReadonlyArray<string>) =>
          project.node(cli, ["import", "prod", "--url", url, ...args], { CLOUDFLARE_API_TOKEN: token })
        const onServer = between(project, () => gateways.get(accountId, "prod"))

        const storeId = yield* between(
          project,
          () => Effect.map(secretsStore.createStore({ accountId, name: "keys" }), ({ id }) => id)
        )
        project.write("alchemy.run.ts", made(storeId))
        ok(yield* project.alchemy(["deploy", "--yes"], secrets))
        const before = yield* onServer

        const [printed, all] = yield* between(
          project,
          ({ url }) => Effect.all([import_(url), import_(url, "--all", "--name", "Everything")])
        )
        const text = ok(printed)
        for (const [name] of entries) {
          if (name !== "collectLogs") assert.include(text, `  ${name}: `)
          assert.include(ok(all), `  ${name}: `)
        }
        for (const secret of Object.values(secrets)) assert.notInclude(text + printed.err, secret)

        for (const code of [text, ok(all)]) assert.strictEqual(formatted(code), code, "formatted as dprint would")

        project.write("Gateway.ts", text)
        project.write("Everything.ts", ok(all))
        project.write("imported.run.ts", imported)
        assert.strictEqual(yield* project.compile, "")

        const config = ["--config", "imported.run.ts"]
        console.log(yield* project.alchemy(["plan", "--adopt", "--detailed", ...config], secrets))
        console.log(yield* project.alchemy(["deploy", "--adopt", "--yes", ...config], secrets))
        assert.deepStrictEqual({ ...(yield* onServer), modified_at: "" }, { ...before, modified_at: "" })
        assert.include(ok(yield* project.alchemy(["plan", ...config], secrets)), "no changes")
        assert.strictEqual(
          ok(yield* between(project, ({ url }) => import_(url))),
          text,
          "routes and keys are as they were"
        )
      }).pipe(Effect.scoped),
    180_000
  )

  it.live(
    "says in one line what is wrong and what to do, on standard error, and ends with 1",
    () =>
      Effect.gen(function*() {
        const project = yield* Project.make
        const { url } = yield* LocalGateway.make({ token: Redacted.make(token) })
        const env = { CLOUDFLARE_API_TOKEN: token }
        const cases: ReadonlyArray<
          readonly [
            args: ReadonlyArray<string>,
            words: ReadonlyArray<string>,
            env?: { readonly [name: string]: string }
          ]
        > = [
          [["prod", "--url", url], [`no AI Gateway "prod" in the account ${accountId}`, "check the id"]],
          [["prod", "--url", url], ["may not read", "\"AI Gateway Read\""], { CLOUDFLARE_API_TOKEN: "another-token" }],
          [["prod", "--url", url, "--token", "another-token"], ["may not read"]],
          [["prod", "--url", "http://127.0.0.1:9"], ["could not be reached"]],
          [["prod", "--url", "127.0.0.1"], ["--url", "\"127.0.0.1\"", "http://127.0.0.1:8787"]],
          [["Prod!", "--url", url], ["\"Prod!\"", "1 to 64 characters of a-z"]],
          [["prod", "--url", url, "--name", "Config"], ["--name", "\"Config\"", "a capital letter"]],
          [["prod", "--url", url, "--name", "my gateway"], ["--name", "\"my gateway\"", "a capital letter"]],
          [["prod"], ["--account", "CLOUDFLARE_ACCOUNT_ID"]],
          [["prod", "--account", "me"], ["--account", "\"me\"", "32 hexadecimal digits"]],
          [["prod"], ["CLOUDFLARE_ACCOUNT_ID", "32 hexadecimal digits"], { ...env, CLOUDFLARE_ACCOUNT_ID: "me" }],
          [["prod", "--account", "a".repeat(32)], ["CLOUDFLARE_API_TOKEN"], {}]
        ]
        const results = yield* Effect.forEach(
          cases,
          ([args, , own]) => project.node(cli, ["import", ...args], own ?? env),
          { concurrency: 2 }
        )
        results.forEach(({ code, err, out }, i) => {
          const lines = err.split("\n").filter((line) => line.trim() !== "" && line !== "ERROR")
          assert.strictEqual(code, 1, err)
          assert.strictEqual(out, "")
          assert.lengthOf(lines, 1, err)
          for (const word of cases[i]?.[1] ?? []) assert.include(lines[0], word)
          assert.notInclude(err, "another-token")
        })
      }).pipe(Effect.scoped),
    60_000
  )

  it.live("says so when the token may read the gateway and not what belongs to it", () =>
    Effect.gen(function*() {
      const project = yield* Project.make
      const proxy = yield* proxyOfProd
      const forbidden = { status: 403, body: { success: false, errors: [{ code: 9109, message: "Not\nyours" }] } }
      proxy.break("GET", { first: () => Promise.resolve() }, { instead: forbidden })
      const { code, err, out } = yield* project.node(cli, ["import", "prod", "--url", proxy.url], {
        CLOUDFLARE_API_TOKEN: token
      })
      assert.strictEqual(code, 1)
      assert.strictEqual(out, "")
      assert.match(err, /^ {2}Could not read the routes and provider keys of the AI Gateway "prod": .*Not; yours$/m)
    }).pipe(Effect.scoped, Effect.provide(FetchHttpClient.layer)), 60_000)

  it.live("says in one line what was not foreseen, and ends with 1", () =>
    Effect.gen(function*() {
      const project = yield* Project.make
      const answer = (more: object) => ({ instead: { status: 200, body: { success: true, errors: [], ...more } } })
      const proxy = yield* apiProxy.make("http://127.0.0.1:9")
      proxy.break("GET", answer({ result: { id: "prod" } }), answer({ data: { routes: [null] } }))
      const { code, err, out } = yield* project.node(cli, ["import", "prod", "--url", proxy.url], {
        CLOUDFLARE_API_TOKEN: token
      })
      assert.strictEqual(code, 1)
      assert.strictEqual(out, "")
      assert.match(err.trim(), /^Something went wrong here: TypeError: .+$/)
    }).pipe(Effect.scoped), 60_000)

  it.live("says so when an answer is not one of Cloudflare's API", () =>
    Effect.gen(function*() {
      const project = yield* Project.make
      const proxy = yield* proxyOfProd
      for (const faults of [[{ ok: true }], ["pass", { success: true }]]) {
        proxy.reset()
        for (const body of faults) {
          proxy.break("GET", body === "pass" ? { first: () => Promise.resolve() } : { instead: { status: 200, body } })
        }
        const { code, err, out } = yield* project.node(cli, ["import", "prod", "--url", proxy.url], {
          CLOUDFLARE_API_TOKEN: token
        })
        assert.strictEqual(code, 1)
        assert.strictEqual(out, "")
        assert.include(err, "Could not read the ")
      }
    }).pipe(Effect.scoped, Effect.provide(FetchHttpClient.layer)), 60_000)
})
