import { assert, describe, it, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import { LocalGateway } from "../../src/local/index.ts"
import { aig, call, create, data, events, manage } from "./talk.ts"

const native = "@cf/meta/llama-3.1-8b-instruct"

layer(LocalGateway.layerTest, { excludeTestServices: true })("data plane", (it) => {
  it.effect("AUTH-02, AUTH-03, AUTH-04: an authenticated gateway takes its token and nothing else", () =>
    Effect.gen(function*() {
      const gateway = yield* LocalGateway.LocalGateway
      yield* create(gateway, "auth", { authentication: true })
      const ask = (headers: Record<string, string>) =>
        data(gateway, `auth/workers-ai/${native}`, { headers, body: { prompt: "hi" } })
      for (const headers of [{}, { "cf-aig-authorization": "Bearer wrong" }, { authorization: "Bearer wrong" }]) {
        const { json, status } = yield* ask(headers)
        assert.strictEqual(status, 401)
        assert.deepInclude(json, {
          success: false,
          result: [],
          messages: [],
          error: [{ code: 2009, message: "Unauthorized" }],
          name: "AiGatewayError",
          httpCode: 401,
          internalCode: 2009,
          message: "Unauthorized"
        })
      }
      const token = Redacted.value(gateway.token)
      for (const headers of [aig(gateway), { "cf-aig-authorization": token }, { "x-api-key": token }]) {
        assert.strictEqual((yield* ask(headers)).status, 200)
      }
    }))

  it.effect("AUTH-01, AUTH-05: an open gateway takes requests with and without a token", () =>
    Effect.gen(function*() {
      const gateway = yield* LocalGateway.LocalGateway
      yield* create(gateway, "open")
      for (const headers of [{}, aig(gateway), { "cf-aig-authorization": "Bearer other" }]) {
        const { status } = yield* data(gateway, `open/workers-ai/${native}`, { headers, body: { prompt: "hi" } })
        assert.strictEqual(status, 200)
      }
    }))

  it.effect("AUTH-07: the first authenticated call creates the gateway default", () =>
    Effect.gen(function*() {
      const gateway = yield* LocalGateway.LocalGateway
      const ask = (headers: Record<string, string>) =>
        data(gateway, `default/workers-ai/${native}`, { headers, body: { prompt: "hi" } })
      assert.strictEqual((yield* ask({})).json.error[0].code, 2001)
      assert.strictEqual((yield* ask(aig(gateway))).status, 200)
      assert.strictEqual((yield* ask({})).json.error[0].code, 2009)
      const { result } = (yield* manage(gateway, "/default")).json
      assert.deepInclude(result, { authentication: true, collect_logs: true, cache_ttl: 0, is_default: true })
    }))

  it.effect("AUTH-08, PROV-06: unknown gateways, accounts and providers have their codes", () =>
    Effect.gen(function*() {
      const gateway = yield* LocalGateway.LocalGateway
      yield* create(gateway, "codes")
      const missing = yield* data(gateway, `none/workers-ai/${native}`, { body: { prompt: "hi" } })
      assert.strictEqual(missing.status, 400)
      assert.strictEqual(missing.json.error[0].code, 2001)
      assert.strictEqual(missing.json.name, "AiGatewayError")
      const account = yield* call(`${gateway.url}/v1/${"f".repeat(32)}/codes/openai/x`, { body: {} })
      assert.strictEqual(account.json.error[0].code, 2001)
      const provider = yield* data(gateway, "codes/nope/x", { body: {} })
      assert.strictEqual(provider.status, 400)
      assert.strictEqual(provider.json.error[0].code, 2008)
      const unconfigured = yield* data(gateway, "codes/deepgram/v1/listen", { body: {} })
      assert.strictEqual(unconfigured.status, 400)
      assert.strictEqual(unconfigured.json.error[0].code, 2005)
      assert.include(unconfigured.json.message, "--upstream deepgram=http://")
    }))

  it.effect("answers workers-ai by model, by run/model and by OpenAI's path", () =>
    Effect.gen(function*() {
      const gateway = yield* LocalGateway.LocalGateway
      yield* create(gateway, "paths")
      for (const path of [native, `run/${native}`, `run/${encodeURIComponent(native)}`]) {
        const { json } = yield* data(gateway, `paths/workers-ai/${path}`, { body: { prompt: "hi" } })
        assert.include(json.result.response, native)
        assert.deepInclude(json, { success: true, errors: [], messages: [] })
      }
      const chat = yield* data(gateway, "paths/workers-ai/v1/chat/completions", {
        body: { model: native, messages: [{ role: "user", content: "hi" }] }
      })
      assert.strictEqual(chat.json.object, "chat.completion")
      assert.strictEqual(chat.json.choices[0].finish_reason, "stop")
      const embedding = yield* data(gateway, "paths/workers-ai/@cf/baai/bge-base-en-v1.5", {
        body: { text: ["a", "b"] }
      })
      assert.deepStrictEqual(embedding.json.result.shape, [2, 768])
      const unknown = yield* data(gateway, "paths/workers-ai/gpt-99", { body: { prompt: "hi" } })
      assert.strictEqual(unknown.json.errors[0].code, 5007)
      const empty = yield* data(gateway, `paths/workers-ai/${native}`, { body: {} })
      assert.strictEqual(empty.json.errors[0].code, 5006)
    }))

  it.effect("PROV-10, LOG-05, LOG-06: ids are one lowercase UUIDv7, an own event id is echoed", () =>
    Effect.gen(function*() {
      const gateway = yield* LocalGateway.LocalGateway
      yield* create(gateway, "ids")
      const ask = (headers: Record<string, string> = {}) =>
        Effect.map(data(gateway, `ids/workers-ai/${native}`, { headers, body: { prompt: "hi" } }), (_) => _.headers)
      const headers = yield* ask()
      assert.match(
        headers["cf-aig-log-id"] ?? "",
        /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/
      )
      assert.strictEqual(headers["cf-aig-event-id"], headers["cf-aig-log-id"])
      assert.strictEqual(headers["cf-aig-request-id"], headers["cf-aig-log-id"])
      assert.strictEqual(headers["cf-aig-step"], "0")
      assert.strictEqual((yield* ask({ "cf-aig-event-id": "abc" }))["cf-aig-event-id"], "abc")
    }))

  it.effect("LOG-02, LOG-03, LOG-04: headers decide whether and how much is logged", () =>
    Effect.gen(function*() {
      const gateway = yield* LocalGateway.LocalGateway
      yield* create(gateway, "on")
      yield* create(gateway, "off", { collect_logs: false })
      const ask = (id: string, headers: Record<string, string> = {}) =>
        data(gateway, `${id}/workers-ai/${native}`, { headers, body: { prompt: "secret prompt" } })
      const count = (id: string) =>
        Effect.map(manage(gateway, `/${id}/logs`), (_) => _.json.result_info.total_count as number)
      assert.notProperty((yield* ask("on", { "cf-aig-collect-log": "false" })).headers, "cf-aig-log-id")
      assert.strictEqual(yield* count("on"), 0)
      yield* ask("off")
      assert.strictEqual(yield* count("off"), 0)
      yield* ask("off", { "cf-aig-collect-log": "true" })
      assert.strictEqual(yield* count("off"), 1)
      const { headers } = yield* ask("on", { "cf-aig-collect-log-payload": "false" })
      const path = `/on/logs/${headers["cf-aig-log-id"]}`
      const log = (yield* manage(gateway, path)).json.result
      assert.isAbove(log.tokens_out, 0)
      assert.notProperty(log, "request_head")
      assert.strictEqual((yield* manage(gateway, `${path}/request`)).status, 404)
    }))

  it.effect("META-01, META-02, META-03, SEC-08: metadata: five flat entries, or none", () =>
    Effect.gen(function*() {
      const gateway = yield* LocalGateway.LocalGateway
      yield* create(gateway, "meta")
      const stored = (metadata: string) =>
        Effect.gen(function*() {
          const { headers } = yield* data(gateway, `meta/workers-ai/${native}`, {
            headers: { "cf-aig-metadata": metadata },
            body: { prompt: "hi" }
          })
          return (yield* manage(gateway, `/meta/logs/${headers["cf-aig-log-id"]}`)).json.result.metadata
        })
      const seven = Object.fromEntries(Array.from({ length: 7 }, (_, i) => [`k${i}`, i]))
      assert.deepStrictEqual(Object.keys(yield* stored(JSON.stringify(seven))), ["k0", "k1", "k2", "k3", "k4"])
      assert.deepStrictEqual(yield* stored(`{"a":1,"b":null}`), {})
      assert.deepStrictEqual(yield* stored(`{"a":{"b":1}}`), {})
      assert.deepStrictEqual(yield* stored(`nonsense`), {})
      assert.deepStrictEqual(yield* stored(`{"s":"x","n":1.5,"b":false,"cf.user_id":"no"}`), {
        s: "x",
        n: 1.5,
        b: false
      })
      assert.deepStrictEqual(Object.keys(yield* stored(`{"__proto__":"p"}`)), ["__proto__"])
    }))

  it.effect("UNIV-01, UNIV-02, UNIV-08, UNIV-10: tries steps in order and logs each under one event id", () =>
    Effect.gen(function*() {
      const gateway = yield* LocalGateway.LocalGateway
      yield* create(gateway, "uni")
      const step = { provider: "workers-ai", endpoint: native, headers: {}, query: { prompt: "hi" } }
      for (const path of ["uni", "uni/"]) {
        const single = yield* data(gateway, path, { body: step })
        assert.strictEqual(single.headers["cf-aig-step"], "0")
        assert.include(single.json.result.response, "simulated")
      }
      const { headers } = yield* data(gateway, "uni", {
        body: [{ provider: "openai", endpoint: "chat/completions", headers: {}, query: { model: "gpt" } }, {
          ...step,
          headers: { "cf-aig-metadata": { step: "own" }, "X-Number": 1 },
          authorization: "Bearer k"
        }]
      })
      assert.strictEqual(headers["cf-aig-step"], "1")
      const [second, first] = (yield* manage(gateway, "/uni/logs?per_page=2")).json.result
      assert.deepStrictEqual([first.step, second.step], [0, 1])
      assert.strictEqual(first.event_id, second.event_id)
      assert.notStrictEqual(first.id, second.id)
      assert.strictEqual(second.id, headers["cf-aig-log-id"])
      assert.strictEqual(first.provider, "openai")
      assert.strictEqual(first.model, "gpt")
      assert.strictEqual(first.success, false)
      assert.deepStrictEqual(second.metadata, { step: "own" })
      assert.strictEqual(second.request_type, "Universal")
    }))

  it.effect("UNIV-04, UNIV-09: the last failure is the answer; what is no list of steps is refused", () =>
    Effect.gen(function*() {
      const gateway = yield* LocalGateway.LocalGateway
      yield* create(gateway, "fail")
      const failed = yield* data(gateway, "fail", {
        body: [
          { provider: "openai", endpoint: "x", headers: {}, query: {} },
          { provider: "workers-ai", endpoint: "no-model", headers: {}, query: { prompt: "x" } }
        ]
      })
      assert.strictEqual(failed.status, 400)
      assert.strictEqual(failed.headers["cf-aig-step"], "1")
      assert.strictEqual(failed.json.errors[0].code, 5007)
      for (
        const body of ["not json", [], "7", [{ provider: "workers-ai" }], [{ endpoint: "x" }], {
          provider: "workers-ai",
          endpoint: "x",
          headers: 3
        }]
      ) {
        const { json, status } = yield* data(gateway, "fail", { body })
        assert.strictEqual(status, 400)
        assert.isArray(json.error)
      }
      assert.strictEqual(
        (yield* data(gateway, "fail", { body: [{ provider: "nope", endpoint: "x" }] })).json.error[0].code,
        2008
      )
    }))

  it.effect("G27: a stream with include_usage ends with usage and [DONE], and its log has the tokens", () =>
    Effect.gen(function*() {
      const gateway = yield* LocalGateway.LocalGateway
      yield* create(gateway, "g27")
      const ask = (more: object) =>
        data(gateway, "g27/workers-ai/v1/chat/completions", {
          body: { model: native, stream: true, messages: [{ role: "user", content: "hi" }], ...more }
        })
      const { headers, text } = yield* ask({ stream_options: { include_usage: true } })
      // Chunks of this shape are asserted below.
      const last = events(text).at(-1) as { choices: ReadonlyArray<unknown>; usage: { completion_tokens: number } }
      assert.deepStrictEqual(last.choices, [])
      const log = (yield* manage(gateway, `/g27/logs/${headers["cf-aig-log-id"]}`)).json.result
      assert.strictEqual(log.tokens_out, last.usage.completion_tokens)
      assert.notInclude((yield* ask({})).text, "usage")
    }))

  it.effect("never crashes on odd paths and headers", () =>
    Effect.gen(function*() {
      const gateway = yield* LocalGateway.LocalGateway
      for (
        const path of [
          "/v1",
          "/v1/",
          "/v1/%",
          "/v1//",
          "/v1/%E0%A4%A",
          "/%",
          "/v1/a/b/c/%2e%2e/%2F",
          "/client/v4/%",
          "/workers-binding/%"
        ]
      ) {
        const { status } = yield* call(`${gateway.url}${path}`, { body: {} })
        assert.isBelow(status, 500, path)
        assert.isAtLeast(status, 400, path)
      }
    }))
})

describe("limits", () => {
  it.live("SEC-05: refuses a body over the limit with 413, declared or not, and lives on", () =>
    Effect.gen(function*() {
      const gateway = yield* LocalGateway.make({ bodyLimit: 1000, pause: 0 })
      yield* create(gateway, "small")
      const declared = yield* data(gateway, `small/workers-ai/${native}`, { body: "x".repeat(200_000) })
      assert.strictEqual(declared.status, 413)
      assert.include(declared.json.errors[0].message, "1000 bytes")
      const chunked = yield* Effect.promise(() =>
        fetch(`${gateway.url}/v1/${gateway.accountId}/small/workers-ai/${native}`, {
          method: "POST",
          body: new ReadableStream({
            start(controller) {
              controller.enqueue(new TextEncoder().encode("x".repeat(5000)))
              controller.close()
            }
          }),
          duplex: "half"
          // Node's fetch needs `duplex`, which Workers' types lack.
        } as RequestInit)
      )
      assert.strictEqual(chunked.status, 413)
      assert.strictEqual((yield* data(gateway, `small/workers-ai/${native}`, { body: { prompt: "hi" } })).status, 200)
    }))

  it.live("refuses options that cannot work, naming them", () =>
    Effect.gen(function*() {
      const option = (options: LocalGateway.Options) =>
        Effect.map(Effect.flip(Effect.scoped(LocalGateway.make(options))), ({ message, reason }) => {
          assert.include(message, "did not start")
          return "option" in reason ? reason.option : reason._tag
        })
      assert.strictEqual(yield* option({ port: 70_000 }), "port")
      assert.strictEqual(yield* option({ host: "http://x" }), "host")
      assert.strictEqual(yield* option({ host: "0.0.0.0" }), "host")
      assert.strictEqual(yield* option({ accountId: "x" }), "accountId")
      assert.strictEqual(yield* option({ upstreams: { nobody: "http://x" } }), "upstreams.nobody")
      assert.strictEqual(yield* option({ upstreams: { openai: "ftp://x" } }), "upstreams.openai")
      assert.strictEqual(yield* option({ store: "/dev/null/x.db" }), "StoreUnavailable")
      const gateway = yield* LocalGateway.make()
      assert.strictEqual(yield* option({ port: Number(new URL(gateway.url).port) }), "PortInUse")
    }))

  it.live("asks for the token on the binding face beyond loopback", () =>
    Effect.gen(function*() {
      const gateway = yield* LocalGateway.make({ host: "0.0.0.0", token: Redacted.make("t-1"), pause: 0 })
      const run = (headers: Record<string, string>) =>
        call(`${gateway.url}/workers-binding/run?version=3`, {
          headers: { "cf-consn-model-id": native, ...headers },
          body: { inputs: { prompt: "hi" } }
        })
      assert.strictEqual((yield* run({})).status, 401)
      assert.strictEqual((yield* run(aig(gateway))).status, 200)
    }))

  it.live("closes within a second while a stream and an idle connection are open", () =>
    Effect.gen(function*() {
      const started = performance.now()
      yield* Effect.scoped(Effect.gen(function*() {
        const gateway = yield* LocalGateway.make({ pause: "1 minute" })
        yield* create(gateway, "slow")
        const response = yield* Effect.promise(() =>
          fetch(`${gateway.url}/v1/${gateway.accountId}/slow/workers-ai/${native}`, {
            method: "POST",
            body: JSON.stringify({ prompt: "hi", stream: true })
          })
        )
        assert.strictEqual(response.status, 200)
        response.text().catch(() => undefined)
      }))
      assert.isBelow(performance.now() - started, 1500)
    }))
})
