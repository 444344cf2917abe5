import * as AiGateway from "@distilled.cloud/cloudflare/ai-gateway"
import { fromApiToken } from "@distilled.cloud/cloudflare/Credentials"
import { assert, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Stream from "effect/Stream"
import * as FetchHttpClient from "effect/unstable/http/FetchHttpClient"
import { request } from "node:http"
import { LocalGateway } from "../../src/local/index.ts"
import { settings } from "../../src/resource/settings.ts"
import { bearer, call, create, data, manage, required } from "./talk.ts"

const rawGet = (url: string, headers: Record<string, string>) =>
  Effect.callback<number>((resume) => {
    const sent = request(url, { headers }, (response) => {
      response.resume()
      resume(Effect.succeed(response.statusCode ?? 0))
    })
    sent.end()
  })

layer(LocalGateway.layerTest, { excludeTestServices: true })("management API", (it) => {
  it.effect("MGMT-01: creates with the required fields and answers none of them as null", () =>
    Effect.gen(function*() {
      const gateway = yield* LocalGateway.LocalGateway
      const { json, status } = yield* create(gateway, "mgmt-01")
      assert.strictEqual(status, 200)
      assert.strictEqual(json.success, true)
      assert.deepStrictEqual(json.errors, [])
      for (
        const field of [...Object.keys(required), "id", "created_at", "modified_at"]
      ) assert.notStrictEqual(json.result[field] ?? null, null, field)
      assert.strictEqual(json.result.cache_ttl, 0)
      assert.strictEqual(json.result.rate_limiting_limit, 0)
      assert.strictEqual(json.result.log_management, settings.logManagement.serverDefault)
      assert.strictEqual(new Date(json.result.created_at).toISOString(), json.result.created_at)
    }))

  it.effect("MGMT-02: refuses an id that exists with 7001", () =>
    Effect.gen(function*() {
      const gateway = yield* LocalGateway.LocalGateway
      yield* create(gateway, "mgmt-02")
      const { json, status } = yield* create(gateway, "mgmt-02")
      assert.strictEqual(status, 400)
      assert.strictEqual(json.success, false)
      assert.strictEqual(json.errors[0].code, 7001)
    }))

  it.effect("MGMT-03: refuses ids that are too long or of other characters", () =>
    Effect.gen(function*() {
      const gateway = yield* LocalGateway.LocalGateway
      for (const id of ["a".repeat(65), "", "Upper", "sp ace", "ä"]) {
        const { json, status } = yield* create(gateway, id)
        assert.strictEqual(status, 400, id)
        assert.deepStrictEqual(json.errors[0].path, ["body", "id"])
      }
      assert.strictEqual((yield* create(gateway, "a".repeat(64))).status, 200)
    }))

  it.effect("MGMT-04: answers 404 and 7002 for what does not exist", () =>
    Effect.gen(function*() {
      const gateway = yield* LocalGateway.LocalGateway
      for (const [method, path] of [["GET", "/none"], ["DELETE", "/none"], ["PUT", "/none"], ["GET", "/none/logs"]]) {
        const { json, status } = yield* manage(gateway, path ?? "", {
          method: method ?? "GET",
          ...(method === "PUT" ? { body: required } : {})
        })
        assert.strictEqual(status, 404)
        assert.strictEqual(json.errors[0].code, 7002)
      }
    }))

  it.effect("lists every problem of a body at once, each with its path", () =>
    Effect.gen(function*() {
      const gateway = yield* LocalGateway.LocalGateway
      const { json, status } = yield* manage(gateway, "", {
        body: {
          id: "x",
          cache_ttl: 5,
          collect_logs: "yes",
          rate_limiting_technique: "token",
          retry_delay: 60_001,
          nonsense: 1
        }
      })
      assert.strictEqual(status, 400)
      assert.sameDeepMembers(json.errors.map((_: { path: unknown }) => _.path), [
        ["body", "cache_ttl"],
        ["body", "cache_invalidate_on_update"],
        ["body", "collect_logs"],
        ["body", "rate_limiting_interval"],
        ["body", "rate_limiting_limit"],
        ["body", "rate_limiting_technique"],
        ["body", "retry_delay"],
        ["body", "nonsense"]
      ])
      assert.notInclude(json.errors.map((_: { code: number }) => _.code), 7001)
      assert.strictEqual((yield* manage(gateway, "", { body: "{" })).status, 400)
    }))

  it.effect("takes every setting of the table at its bounds and refuses what is beyond", () =>
    Effect.gen(function*() {
      const gateway = yield* LocalGateway.LocalGateway
      yield* create(gateway, "bounds")
      const put = (field: string, value: unknown) =>
        Effect.map(
          manage(gateway, "/bounds", { method: "PUT", body: { ...required, [field]: value } }),
          (_) => _.status
        )
      for (const setting of Object.values(settings)) {
        if (!("minimum" in setting)) continue
        assert.strictEqual(yield* put(setting.wire, setting.minimum), 200, setting.wire)
        assert.strictEqual(yield* put(setting.wire, setting.maximum), 200, setting.wire)
        assert.strictEqual(yield* put(setting.wire, setting.maximum + 1), 400, setting.wire)
        assert.strictEqual(yield* put(setting.wire, setting.minimum + 0.5), 400, setting.wire)
        assert.strictEqual(yield* put(setting.wire, 0), setting.zeroIsOff ? 200 : 400, setting.wire)
      }
    }))

  it.effect("MGMT-06: replaces the whole: PUT twice moves only modified_at, what is left out gets its default", () =>
    Effect.gen(function*() {
      const gateway = yield* LocalGateway.LocalGateway
      yield* create(gateway, "mgmt-06", { authentication: true, log_management: 50_000 })
      const body = { ...required, cache_ttl: 300, authentication: true }
      const first = (yield* manage(gateway, "/mgmt-06", { method: "PUT", body })).json.result
      yield* Effect.sleep("5 millis")
      const second = (yield* manage(gateway, "/mgmt-06", { method: "PUT", body })).json.result
      assert.deepStrictEqual({ ...second, modified_at: first.modified_at }, first)
      assert.isAbove(Date.parse(second.modified_at), Date.parse(first.modified_at))
      assert.strictEqual(second.log_management, settings.logManagement.serverDefault)
      const missing = yield* manage(gateway, "/mgmt-06", { method: "PUT", body: { cache_ttl: 60 } })
      assert.strictEqual(missing.status, 400)
      const renamed = yield* manage(gateway, "/mgmt-06", { method: "PUT", body: { ...body, id: "other" } })
      assert.deepStrictEqual(renamed.json.errors[0].path, ["body", "id"])
    }))

  it.effect("MGMT-07: keeps spend limits, otel and dlp, and says what it does not enforce", () =>
    Effect.gen(function*() {
      const gateway = yield* LocalGateway.LocalGateway
      const more = {
        spend_limits: {
          enabled: true,
          rules: [{ id: "6fb25042", limit: 5, limitType: "cost", technique: "sliding", window: 86_400 }]
        },
        otel: [{ url: "https://otel.example", headers: {} }],
        logpush: true,
        dlp: { action: "BLOCK", enabled: true, profiles: ["p"] },
        cache_ttl: 300
      }
      const { json } = yield* create(gateway, "mgmt-07", more)
      const read = (yield* manage(gateway, "/mgmt-07")).json.result
      for (const [field, value] of Object.entries(more)) assert.deepStrictEqual(read[field], value)
      const said = json.messages.map((_: { message: string }) => _.message)
      const silent = (field: string) => !said.some((message: string) => message.startsWith(`${field} `))
      assert.include(said, "logpush is stored but not enforced by the local gateway")
      assert.isTrue(silent("spend_limits") && silent("otel") && silent("cache_ttl"))
      assert.deepStrictEqual((yield* create(gateway, "quiet", { authentication: true })).json.messages, [])
    }))

  it.effect("MGMT-08: answers a provider's URL as a string", () =>
    Effect.gen(function*() {
      const gateway = yield* LocalGateway.LocalGateway
      yield* create(gateway, "mgmt-08")
      const { json } = yield* manage(gateway, "/mgmt-08/url/openai")
      assert.strictEqual(json.result, `${gateway.url}/v1/${gateway.accountId}/mgmt-08/openai`)
      assert.strictEqual((yield* manage(gateway, "/mgmt-08/url/nobody")).status, 400)
    }))

  it.effect("MGMT-09: answers 9109 to a wrong token, so that clients do not retry", () =>
    Effect.gen(function*() {
      const gateway = yield* LocalGateway.LocalGateway
      const { json, status } = yield* manage(gateway, "", { headers: { authorization: "Bearer wrong" } })
      assert.strictEqual(status, 403)
      assert.deepStrictEqual(json.errors, [{ code: 9109, message: "Invalid access token" }])
      const none = yield* call(`${gateway.url}/client/v4/accounts/${gateway.accountId}/ai-gateway/gateways`)
      assert.strictEqual(none.status, 400)
      assert.strictEqual(none.json.errors[0].code, 9106)
    }))

  it.effect("MGMT-10: answers 404 and 7003 for unknown paths and other accounts", () =>
    Effect.gen(function*() {
      const gateway = yield* LocalGateway.LocalGateway
      for (
        const path of ["/client/v4/nowhere", `/client/v4/accounts/${"f".repeat(32)}/ai-gateway/gateways`, "/nowhere"]
      ) {
        const { json, status } = yield* call(`${gateway.url}${path}`, { headers: bearer(gateway) })
        assert.strictEqual(status, 404, path)
        assert.strictEqual(json.errors[0].code, 7003)
      }
    }))

  it.effect("verifies the token and names the account, for tools that ask first", () =>
    Effect.gen(function*() {
      const gateway = yield* LocalGateway.LocalGateway
      const verify = yield* call(`${gateway.url}/client/v4/user/tokens/verify`, { headers: bearer(gateway) })
      assert.strictEqual(verify.json.result.status, "active")
      const accounts = yield* call(`${gateway.url}/client/v4/accounts`, { headers: bearer(gateway) })
      assert.strictEqual(accounts.json.result[0].id, gateway.accountId)
    }))

  it.effect("SEC-01, SEC-02: refuse a foreign Host and a foreign Origin, and send no CORS headers", () =>
    Effect.gen(function*() {
      const gateway = yield* LocalGateway.LocalGateway
      assert.strictEqual(yield* rawGet(`${gateway.url}/health`, { host: "evil.example" }), 403)
      assert.strictEqual(yield* rawGet(`${gateway.url}/health`, { host: "127.0.0.1.evil.example:80" }), 403)
      assert.strictEqual(yield* rawGet(`${gateway.url}/health`, { host: "localhost:1" }), 200)
      for (const origin of ["http://evil.example", "null", "http://localhost:3000"]) {
        const { headers, status } = yield* manage(gateway, "", { headers: { origin } })
        assert.strictEqual(status, 403, origin)
        assert.notProperty(headers, "access-control-allow-origin")
      }
      assert.strictEqual((yield* manage(gateway, "", { headers: { origin: gateway.url } })).status, 200)
      assert.strictEqual(yield* rawGet(`${gateway.url}/health`, { "sec-fetch-site": "cross-site" }), 403)
    }))

  it.effect("REST-02: runs a Workers AI model in the v4 envelope, logged only when a gateway is named", () =>
    Effect.gen(function*() {
      const gateway = yield* LocalGateway.LocalGateway
      yield* create(gateway, "rest-02")
      const url = `${gateway.url}/client/v4/accounts/${gateway.accountId}/ai/run/@cf/meta/llama-3.1-8b-instruct`
      const plain = yield* call(url, { headers: bearer(gateway), body: { prompt: "hi" } })
      assert.strictEqual(plain.json.success, true)
      assert.include(plain.json.result.response, "simulated")
      assert.notProperty(plain.headers, "cf-aig-log-id")
      const via = yield* call(url, {
        headers: { ...bearer(gateway), "cf-aig-gateway-id": "rest-02" },
        body: { prompt: "hi" }
      })
      assert.strictEqual((yield* manage(gateway, `/rest-02/logs/${via.headers["cf-aig-log-id"]}`)).status, 200)
      assert.strictEqual((yield* call(url, { body: { prompt: "hi" } })).status, 400)
      const unknown = yield* call(`${gateway.url}/client/v4/accounts/${gateway.accountId}/ai/run/gpt-99`, {
        headers: bearer(gateway),
        body: { prompt: "hi" }
      })
      assert.strictEqual(unknown.json.errors[0].code, 5007)
    }))
})

layer(LocalGateway.layerTest, { excludeTestServices: true })("lists", (it) => {
  it.effect("MGMT-05: pages through gateways with exact counts, searches and orders", () =>
    Effect.gen(function*() {
      const gateway = yield* LocalGateway.LocalGateway
      yield* Effect.forEach(["a_1", "a-2", "b-1", "b-2", "c"], (id) => create(gateway, id))
      const list = (query: string) => Effect.map(manage(gateway, `?${query}`), (_) => _.json)
      const ids = (json: { result: ReadonlyArray<{ id: string }> }) => json.result.map((_) => _.id)
      const first = yield* list("page=1&per_page=2&order_by=id")
      assert.deepStrictEqual(ids(first), ["a-2", "a_1"])
      assert.deepStrictEqual(first.result_info, { page: 1, per_page: 2, count: 2, total_count: 5 })
      const third = yield* list("page=3&per_page=2&order_by=id")
      assert.deepStrictEqual(ids(third), ["c"])
      assert.deepStrictEqual(third.result_info, { page: 3, per_page: 2, count: 1, total_count: 5 })
      const beyond = yield* list("page=9&per_page=2")
      assert.deepStrictEqual(ids(beyond), [])
      assert.deepStrictEqual(beyond.result_info, { page: 9, per_page: 2, count: 0, total_count: 5 })
      assert.deepStrictEqual(ids(yield* list("search=a_")), ["a_1"])
      assert.deepStrictEqual(ids(yield* list("order_by=id&order_by_direction=desc&per_page=1")), ["c"])
      assert.strictEqual((yield* list("per_page=0")).errors[0].path[1], "per_page")
      assert.strictEqual((yield* list("per_page=101")).success, false)
      assert.strictEqual((yield* list("page=x")).success, false)
    }))

  it.effect("LOG-08, LOG-10: lists logs newest first, and patches, reads and deletes them", () =>
    Effect.gen(function*() {
      const gateway = yield* LocalGateway.LocalGateway
      yield* create(gateway, "logs")
      const ids: Array<string> = []
      for (const prompt of ["one", "two", "three"]) {
        const { headers } = yield* data(gateway, "logs/workers-ai/@cf/meta/llama-3.1-8b-instruct", { body: { prompt } })
        ids.unshift(headers["cf-aig-log-id"] ?? "")
      }
      const list = yield* manage(gateway, "/logs/logs?per_page=2")
      assert.deepStrictEqual(list.json.result.map((_: { id: string }) => _.id), ids.slice(0, 2))
      assert.deepStrictEqual(list.json.result_info, { page: 1, per_page: 2, count: 2, total_count: 3 })
      const second = yield* manage(gateway, "/logs/logs?per_page=2&page=2")
      assert.deepStrictEqual(second.json.result.map((_: { id: string }) => _.id), ids.slice(2))
      const path = `/logs/logs/${ids[0]}`
      assert.deepStrictEqual((yield* manage(gateway, `${path}/request`)).json, { prompt: "three" })
      assert.include((yield* manage(gateway, `${path}/response`)).text, "simulated")
      const patch = { feedback: -1, score: 70, metadata: { reviewer: "ada" } }
      assert.strictEqual((yield* manage(gateway, path, { method: "PATCH", body: patch })).status, 200)
      const read = (yield* manage(gateway, path)).json.result
      assert.deepStrictEqual({ feedback: read.feedback, score: read.score, metadata: read.metadata }, patch)
      assert.strictEqual(read.request_head, `{"prompt":"three"}`)
      assert.strictEqual(read.request_head_complete, true)
      assert.strictEqual((yield* manage(gateway, path, { method: "PATCH", body: { feedback: 2 } })).status, 400)
      assert.strictEqual(
        (yield* manage(gateway, path, { method: "PATCH", body: { feedback: null } })).json.result.feedback,
        null
      )
      const missing = yield* manage(gateway, "/logs/logs/none", { method: "PATCH", body: { feedback: 1 } })
      assert.strictEqual(missing.json.errors[0].code, 7002)
      yield* manage(gateway, "/logs/logs?limit=1&order_by_direction=asc", { method: "DELETE" })
      assert.strictEqual((yield* manage(gateway, "/logs/logs")).json.result_info.total_count, 2)
      yield* manage(gateway, "/logs/logs", { method: "DELETE" })
      assert.strictEqual((yield* manage(gateway, "/logs/logs")).json.result_info.total_count, 0)
    }))

  it.effect("LOG-07: filters logs in the spelling of the official SDK and as one JSON array, and deletes by filter", () =>
    Effect.gen(function*() {
      const gateway = yield* LocalGateway.LocalGateway
      yield* create(gateway, "filters")
      const send = (user: string, model: string) =>
        data(gateway, `filters/workers-ai/${model}`, {
          body: { prompt: user },
          headers: { "cf-aig-metadata": JSON.stringify({ user, n: 3 }), "cf-aig-event-id": `event-${user}` }
        })
      yield* send("ada", "@cf/meta/llama-3.1-8b-instruct")
      yield* send("bob", "@cf/meta/llama-3.1-8b-instruct")
      yield* send("cy", "@nobody/knows")
      const list = (query: string) => Effect.map(manage(gateway, `/filters/logs?${query}`), (_) => _.json)
      const events = (json: { result: ReadonlyArray<{ event_id: string }> }) => json.result.map((_) => _.event_id)
      // What cloudflare@7.3.0 sends for [{key: "success", ...}, {key: "metadata.value", ..., value: ["ada", "bob"]}].
      const official = "filters.key=success&filters.operator=eq&filters.value=true" +
        "&filters.key=metadata.value&filters.operator=eq&filters.value=ada&filters.value=bob"
      const ofOfficial = yield* list(`page=1&per_page=1&${official}&order_by=created_at&order_by_direction=asc`)
      assert.deepStrictEqual(events(ofOfficial), ["event-ada"])
      assert.deepStrictEqual(ofOfficial.result_info, { page: 1, per_page: 1, count: 1, total_count: 2 })
      const json = (filters: unknown) => `filters=${encodeURIComponent(JSON.stringify(filters))}`
      const failures = json([{ key: "success", operator: "eq", value: [false] }])
      assert.deepStrictEqual(events(yield* list(failures)), ["event-cy"])
      assert.deepStrictEqual(events(yield* list("search=AD")), ["event-ada"])
      assert.deepStrictEqual(events(yield* list("success=false")), ["event-cy"], "the parameter of before")
      const { result_info: info } = yield* list("meta_info=true")
      assert.isAbove(info.max_tokens_in, 0)
      assert.isAtMost(info.min_duration, info.max_duration)
      const refused = yield* list(json([{ key: "success", operator: "eq", value: ["yes"] }]))
      assert.deepStrictEqual(refused.errors, [{
        code: 7000,
        message: "query.filters[0].value[0]: expected true or false for success",
        path: ["query", "filters", 0, "value", 0]
      }])
      for (const query of ["per_page=51", "meta_info=yes", "order_by=cost", "filters=x"]) {
        assert.strictEqual((yield* manage(gateway, `/filters/logs?${query}`)).status, 400, query)
      }
      const remove = (query: string) => manage(gateway, `/filters/logs?${query}`, { method: "DELETE" })
      for (const query of ["limit=10001", "search=ada", "filters.key=success", "success=false"]) {
        assert.strictEqual((yield* remove(query)).status, 400, query)
      }
      assert.strictEqual((yield* remove(`limit=1&order_by=tokens_in&order_by_direction=asc&${official}`)).status, 200)
      assert.strictEqual((yield* list("")).result_info.total_count, 2)
      yield* remove(failures)
      assert.strictEqual((yield* list("")).result_info.total_count, 1)
      assert.deepStrictEqual(events(yield* list(failures)), [])
    }))

  it.effect("refuses a score beyond 0 to 100", () =>
    Effect.gen(function*() {
      const gateway = yield* LocalGateway.LocalGateway
      yield* create(gateway, "score")
      const { headers } = yield* data(gateway, "score/workers-ai/@cf/meta/llama-3.1-8b-instruct", {
        body: { prompt: "hi" }
      })
      const patch = (score: number) =>
        Effect.map(
          manage(gateway, `/score/logs/${headers["cf-aig-log-id"]}`, { method: "PATCH", body: { score } }),
          (_) => _.status
        )
      assert.deepStrictEqual(yield* Effect.forEach([-1, 0, 100, 101], patch), [400, 200, 200, 400])
    }))
})

layer(LocalGateway.layerTest, { excludeTestServices: true })("Cloudflare's generated client", (it) => {
  it.effect("creates, reads, updates, lists and deletes gateways, and gets its typed errors", () =>
    Effect.gen(function*() {
      const { accountId, token, url } = yield* LocalGateway.LocalGateway
      const input = {
        accountId,
        cacheInvalidateOnUpdate: true,
        cacheTtl: null,
        collectLogs: true,
        rateLimitingInterval: null,
        rateLimitingLimit: null
      }
      yield* Effect.gen(function*() {
        const created = yield* AiGateway.createAiGateway({ ...input, id: "sdk", authentication: true })
        assert.strictEqual(created.cacheTtl, 0)
        const again = yield* Effect.flip(AiGateway.createAiGateway({ ...input, id: "sdk" }))
        assert.strictEqual(again._tag, "GatewayAlreadyExists")
        const updated = yield* AiGateway.updateAiGateway({ ...input, id: "sdk", cacheTtl: 300, zdr: false })
        assert.strictEqual(updated.cacheTtl, 300)
        const read = yield* AiGateway.getAiGateway({ accountId, id: "sdk" })
        assert.strictEqual(read.modifiedAt, updated.modifiedAt)
        yield* Effect.forEach([1, 2, 3], (n) => AiGateway.createAiGateway({ ...input, id: `sdk-${n}` }))
        const pages = yield* Stream.runCollect(AiGateway.listAiGateways.pages({ accountId, perPage: 3 }))
        assert.deepStrictEqual(pages.flatMap((_) => _.result.map((_) => _.id)), ["sdk", "sdk-1", "sdk-2", "sdk-3"])
        yield* AiGateway.deleteAiGateway({ accountId, id: "sdk" })
        const gone = yield* Effect.flip(AiGateway.getAiGateway({ accountId, id: "sdk" }))
        assert.strictEqual(gone._tag, "GatewayNotFound")
      }).pipe(Effect.provide(Layer.mergeAll(
        fromApiToken({ apiToken: Redacted.value(token), apiBaseUrl: `${url}/client/v4` }),
        FetchHttpClient.layer
      )))
    }))

  it.effect("lists logs by its own spelling of the filters", () =>
    Effect.gen(function*() {
      const gateway = yield* LocalGateway.LocalGateway
      yield* create(gateway, "generated")
      yield* data(gateway, "generated/workers-ai/@cf/meta/llama-3.1-8b-instruct", { body: { prompt: "hi" } })
      const list = (value: boolean) =>
        AiGateway.listLogs({
          accountId: gateway.accountId,
          gatewayId: "generated",
          filters: [
            JSON.stringify({ key: "success", operator: "eq", value: [value] }),
            JSON.stringify({ key: "provider", operator: "eq", value: ["workers-ai"] })
          ]
        })
      yield* Effect.gen(function*() {
        assert.strictEqual((yield* list(true)).result.length, 1)
        assert.strictEqual((yield* list(false)).result.length, 0)
      }).pipe(Effect.provide(Layer.mergeAll(
        fromApiToken({ apiToken: Redacted.value(gateway.token), apiBaseUrl: `${gateway.url}/client/v4` }),
        FetchHttpClient.layer
      )))
    }))

  it.effect("fails at once with a wrong token instead of retrying", () =>
    Effect.gen(function*() {
      const { accountId, url } = yield* LocalGateway.LocalGateway
      const error = yield* Effect.flip(AiGateway.getAiGateway({ accountId, id: "x" })).pipe(
        Effect.timeout("3 seconds"),
        Effect.provide(Layer.mergeAll(
          fromApiToken({ apiToken: "wrong", apiBaseUrl: `${url}/client/v4` }),
          FetchHttpClient.layer
        ))
      )
      assert.strictEqual(error._tag, "Unauthorized")
    }))
})
