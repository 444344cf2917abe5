import * as NodeCrypto from "@effect/platform-node/NodeCrypto"
import { assert, describe, it, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Redacted from "effect/Redacted"
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import * as Database from "../../src/local/Database.ts"
import { LocalGateway } from "../../src/local/index.ts"
import * as Sealing from "../../src/local/Sealing.ts"
import { bearer, call, create, type Gateway, manage } from "./talk.ts"

const account = (
  gateway: Gateway,
  path: string,
  init: { method?: string; body?: unknown } = {}
) => call(`${gateway.url}/client/v4/accounts/${gateway.accountId}${path}`, { ...init, headers: bearer(gateway) })

const secret = "sk-of-the-local-gateway-5e0c-9f31"

const storeOf = (gateway: Gateway) =>
  Effect.gen(function*() {
    const stores = "/secrets_store/stores"
    const [known] = (yield* account(gateway, stores)).json.result
    return known?.id ?? (yield* account(gateway, stores, { body: { name: "default_secrets_store" } })).json.result.id
  })

const withStore = (gateway: Gateway, id: string) =>
  Effect.gen(function*() {
    const store = yield* storeOf(gateway)
    yield* create(gateway, id, { store_id: store })
    return store
  })

const key = { alias: "default", default_config: true, provider_slug: "openai" }

layer(LocalGateway.layerTest, { excludeTestServices: true })("what belongs to a gateway, over the API", (it) => {
  it.effect("BYOK-04: a key is kept in the gateway's store and never answered", () =>
    Effect.gen(function*() {
      const gateway = yield* LocalGateway.LocalGateway
      const store = yield* withStore(gateway, "byok")
      const made = yield* manage(gateway, "/byok/provider_configs", { body: { ...key, secret, rate_limit: 5 } })
      assert.deepInclude(made.json.result, {
        alias: "default",
        provider_slug: "openai",
        gateway_id: "byok",
        default_config: 1,
        rate_limit: 5,
        secret_preview: `****${secret.slice(-4)}`
      })
      const list = yield* manage(gateway, "/byok/provider_configs")
      const secrets = yield* account(gateway, `/secrets_store/stores/${store}/secrets`)
      assert.strictEqual(secrets.json.result[0].name, "byok_openai_default")
      assert.strictEqual(secrets.json.result[0].id, made.json.result.secret_id)
      for (const answer of [made, list, secrets]) assert.notInclude(answer.text, secret)
      const gone = yield* manage(gateway, `/byok/provider_configs/${made.json.result.id}`, { method: "DELETE" })
      assert.strictEqual(gone.status, 200)
      assert.deepStrictEqual((yield* manage(gateway, "/byok/provider_configs")).json.result, [])
    }))

  it.effect("7001 is a config that exists already, or a secret that does not", () =>
    Effect.gen(function*() {
      const gateway = yield* LocalGateway.LocalGateway
      const store = yield* withStore(gateway, "byok-codes")
      const post = (body: unknown) =>
        Effect.map(manage(gateway, "/byok-codes/provider_configs", { body }), (_) => _.json.errors[0])
      const missing = yield* post({ ...key, secret_id: "none" })
      assert.strictEqual(missing.code, 7001)
      assert.include(missing.message, "was not found")
      const [other] = (yield* account(gateway, `/secrets_store/stores/${store}/secrets`, {
        body: [{ name: "another_name", value: secret, scopes: ["ai_gateway"] }]
      })).json.result
      assert.include((yield* post({ ...key, secret_id: other.id })).message, "was not found")
      yield* manage(gateway, "/byok-codes/provider_configs", { body: { ...key, secret } })
      const again = yield* post({ ...key, secret })
      assert.strictEqual(again.code, 7001)
      assert.include(again.message, "already exists")
      yield* create(gateway, "byok-storeless")
      const storeless = yield* manage(gateway, "/byok-storeless/provider_configs", { body: { ...key, secret } })
      assert.include(storeless.json.errors[0].message, "no Secrets Store")
    }))

  it.effect("a wrong config is refused with all that is wrong", () =>
    Effect.gen(function*() {
      const gateway = yield* LocalGateway.LocalGateway
      yield* withStore(gateway, "byok-wrong")
      const { json, status } = yield* manage(gateway, "/byok-wrong/provider_configs", {
        body: { alias: "", provider_slug: "nobody", rate_limit: 0, nonsense: 1, secret }
      })
      assert.strictEqual(status, 400)
      assert.sameDeepMembers(json.errors.map((_: { path: unknown }) => _.path), [
        ["body", "alias"],
        ["body", "default_config"],
        ["body", "provider_slug"],
        ["body", "rate_limit"],
        ["body", "nonsense"]
      ])
      const both = yield* manage(gateway, "/byok-wrong/provider_configs", { body: { ...key, secret, secret_id: "x" } })
      assert.include(both.json.errors[0].message, "either secret or secret_id")
      assert.deepStrictEqual((yield* manage(gateway, "/nowhere/provider_configs")).json.result, [])
    }))

  it.effect("an account has one Secrets Store, whose secrets are written and never read", () =>
    Effect.gen(function*() {
      const gateway = yield* LocalGateway.LocalGateway
      const store = yield* storeOf(gateway)
      const second = yield* account(gateway, "/secrets_store/stores", { body: { name: "another" } })
      assert.deepInclude(second.json.errors[0], { code: 1003, message: "maximum_stores_exceeded" })
      const at = `/secrets_store/stores/${store}/secrets`
      const body = [{ name: "written", value: secret, scopes: ["workers"] }]
      const [made] = (yield* account(gateway, at, { body })).json.result
      assert.deepInclude((yield* account(gateway, at, { body })).json.errors[0], {
        code: 1003,
        message: "secret_name_already_exists"
      })
      const changed = yield* account(gateway, `${at}/${made.id}`, {
        method: "PATCH",
        body: { value: "another", comment: "c" }
      })
      assert.deepInclude(changed.json.result, { id: made.id, comment: "c", status: "active", scopes: ["workers"] })
      const unknown = yield* account(gateway, at, { body: [{ name: "x", value: "y", scopes: ["nothing"] }] })
      assert.strictEqual(unknown.status, 400)
      assert.strictEqual((yield* account(gateway, `${at}/${made.id}`, { method: "DELETE" })).status, 200)
      assert.include((yield* account(gateway, `${at}/${made.id}`)).json.errors[0].message, "secret_not_found")
      const nowhere = yield* account(gateway, "/secrets_store/stores/none/secrets")
      assert.include(nowhere.json.errors[0].message, "store_not_found")
    }))

  it.effect("custom providers are made inactive, found, changed and removed", () =>
    Effect.gen(function*() {
      const gateway = yield* LocalGateway.LocalGateway
      const at = "/ai-gateway/custom-providers"
      const body = { name: "Mine", slug: "mine", base_url: "https://llm.example.com/v1", headers: "{\"x\":\"y\"}" }
      const made = (yield* account(gateway, at, { body })).json.result
      assert.deepInclude(made, { name: "Mine", slug: "mine", enable: false, beta: false })
      assert.match(made.id, /^[0-9a-f]{8}-[0-9a-f-]{27}$/)
      assert.include((yield* account(gateway, at, { body })).json.errors[0].message, "already exists")
      const changed = yield* account(gateway, `${at}/${made.id}`, { method: "PATCH", body: { enable: true } })
      assert.deepInclude(changed.json.result, { enable: true, base_url: body.base_url })
      const found = (query: string) =>
        Effect.map(account(gateway, `${at}?${query}`), (_) => _.json.result.map((_: { slug: string }) => _.slug))
      assert.deepStrictEqual(yield* found("search=min&enable=true"), ["mine"])
      assert.deepStrictEqual(yield* found("enable=false"), [])
      const wrong = yield* account(gateway, at, {
        body: { name: "", slug: "Not ok", base_url: "http://127.0.0.1", headers: "[]" }
      })
      assert.sameDeepMembers(
        wrong.json.errors.map((_: { path: ReadonlyArray<string> }) => _.path[1]),
        ["name", "slug", "base_url", "headers"]
      )
      assert.strictEqual((yield* account(gateway, `${at}/${made.id}`, { method: "DELETE" })).status, 200)
      assert.strictEqual((yield* account(gateway, `${at}/${made.id}`)).json.errors[0].code, 7002)
    }))

  it.effect("datasets and evaluations are kept and answered, and go with their gateway", () =>
    Effect.gen(function*() {
      const gateway = yield* LocalGateway.LocalGateway
      yield* create(gateway, "measured")
      const filters = [{ key: "success", operator: "eq", value: [true] }]
      const dataset = (name: string) => manage(gateway, "/measured/datasets", { body: { name, enable: true, filters } })
      const made = (yield* dataset("good")).json.result
      assert.deepInclude(made, { name: "good", enable: true, filters, gateway_id: "measured" })
      const again = yield* dataset("good")
      assert.strictEqual(again.status, 400)
      assert.include(again.json.errors[0].message, "already exists")
      yield* dataset("other")
      const put = (name: string) =>
        manage(gateway, `/measured/datasets/${made.id}`, { method: "PUT", body: { name, enable: false, filters: [] } })
      assert.include((yield* put("other")).json.errors[0].message, "already exists")
      assert.deepInclude((yield* put("better")).json.result, { id: made.id, name: "better", enable: false })
      const list = (yield* manage(gateway, "/measured/datasets?name=bet")).json
      assert.deepStrictEqual(list.result.map((_: { name: string }) => _.name), ["better"])
      assert.strictEqual(list.result_info.total_count, 1)
      const wrong = yield* manage(gateway, "/measured/datasets", {
        body: { name: "x", enable: 1, filters: [{ key: "nothing", operator: "eq", value: [] }] }
      })
      assert.deepStrictEqual(
        wrong.json.errors.map((_: { path: ReadonlyArray<string> }) => _.path[1]),
        ["enable", "filters"]
      )
      const types = (yield* account(gateway, "/ai-gateway/evaluation-types")).json.result
      const evaluation = (dataset_ids: ReadonlyArray<string>) =>
        manage(gateway, "/measured/evaluations", {
          body: { name: "weekly", dataset_ids, evaluation_type_ids: [types[0].id] }
        })
      assert.strictEqual((yield* evaluation(["none"])).json.errors[0].code, 7002)
      const evaluated = (yield* evaluation([made.id])).json
      assert.deepInclude(evaluated.result, { name: "weekly", processed: false, total_logs: 0 })
      assert.strictEqual(evaluated.result.datasets[0].id, made.id)
      assert.strictEqual(evaluated.result.results[0].evaluation_type_id, types[0].id)
      assert.include(evaluated.messages[0].message, "does not run them")
      const at = `/measured/evaluations/${evaluated.result.id}`
      assert.strictEqual((yield* manage(gateway, at)).json.result.name, "weekly")
      assert.strictEqual((yield* manage(gateway, at, { method: "DELETE" })).status, 200)
      yield* manage(gateway, "/measured", { method: "DELETE" })
      yield* create(gateway, "measured")
      assert.deepStrictEqual((yield* manage(gateway, "/measured/datasets")).json.result, [])
    }))
})

describe("a key at rest", () => {
  it.effect("is opened by the key that sealed it, and by no other", () =>
    Effect.gen(function*() {
      const sealing = Effect.provide(Sealing.Sealing, Sealing.layer(Database.memory), { local: true })
      const [mine, other] = yield* Effect.all([sealing, sealing])
      const sealed = yield* mine.seal(Redacted.make(secret))
      assert.notStrictEqual(sealed, yield* mine.seal(Redacted.make(secret)))
      assert.strictEqual(Redacted.value(yield* mine.open(sealed)), secret)
      assert.isTrue(Exit.hasDies(yield* Effect.exit(other.open(sealed))))
    }).pipe(Effect.provide(NodeCrypto.layer)))

  it.live("is in no file in clear, and is there after a restart", () =>
    Effect.gen(function*() {
      const folder = yield* Effect.acquireRelease(
        Effect.sync(() => mkdtempSync(join(tmpdir(), "sealed-"))),
        (folder) => Effect.sync(() => rmSync(folder, { recursive: true }))
      )
      const store = join(folder, "deep", "gateway.db")
      const run = <A>(use: (gateway: Gateway) => Effect.Effect<A>) =>
        Effect.scoped(Effect.flatMap(LocalGateway.make({ store, token: Redacted.make("token-1") }), use))
      yield* run((gateway) =>
        Effect.gen(function*() {
          yield* withStore(gateway, "sealed")
          yield* manage(gateway, "/sealed/provider_configs", { body: { ...key, secret } })
        })
      )
      const files = readdirSync(join(folder, "deep"))
      assert.include(files, "gateway.db.key")
      for (const file of files) {
        assert.notInclude(readFileSync(join(folder, "deep", file), "latin1"), secret, file)
        assert.strictEqual(statSync(join(folder, "deep", file)).mode & 0o777, 0o600, file)
      }
      const [config] = yield* run((gateway) =>
        Effect.map(manage(gateway, "/sealed/provider_configs"), (_) => _.json.result)
      )
      assert.strictEqual(config.secret_preview, `****${secret.slice(-4)}`)
    }))
})
