import { assert, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { request } from "node:http"
import { LocalGateway } from "../../src/local/index.ts"
import { call, create, events, type Gateway, manage } from "./talk.ts"

const native = "@cf/meta/llama-3.1-8b-instruct"
const openAi = "@cf/openai/gpt-oss-20b"

const run = (gateway: Gateway, model: string, inputs: unknown, options: unknown = {}, path = "/ai-gateway/run") =>
  call(`${gateway.url}/workers-binding${path}?version=3`, {
    headers: { "cf-consn-model-id": model, "cf-consn-sdk-version": "2.0.0" },
    body: { inputs, options }
  })

layer(LocalGateway.layerTest, { excludeTestServices: true })("binding face", (it) => {
  it.effect("BIND-01, BIND-04: answers bare JSON of exactly application/json, with the log's id", () =>
    Effect.gen(function*() {
      const gateway = yield* LocalGateway.LocalGateway
      yield* create(gateway, "b1")
      const { headers, json, status } = yield* run(gateway, native, { prompt: "hi" }, { gateway: { id: "b1" } })
      assert.strictEqual(status, 200)
      assert.strictEqual(headers["content-type"], "application/json")
      assert.strictEqual(headers["x-simulated"], "true")
      assert.include(json.response, "\"hi\"")
      assert.strictEqual(json.usage.total_tokens, json.usage.prompt_tokens + json.usage.completion_tokens)
      const id = headers["cf-aig-log-id"] ?? ""
      const log = (yield* manage(gateway, `/b1/logs/${id}`)).json.result
      assert.strictEqual(log.provider, "workers-ai")
      assert.strictEqual(log.model, native)
      assert.strictEqual(log.tokens_in, json.usage.prompt_tokens)
      assert.strictEqual(log.tokens_out, json.usage.completion_tokens)
      assert.strictEqual(log.request_type, "Workers AI Binding")
    }))

  it.effect("BIND-02: runs without a gateway and logs nothing", () =>
    Effect.gen(function*() {
      const gateway = yield* LocalGateway.LocalGateway
      const { headers, json } = yield* run(gateway, native, { prompt: "hi" }, {}, "/run")
      assert.include(json.response, "simulated")
      assert.notProperty(headers, "cf-aig-log-id")
      assert.match(headers["cf-ai-req-id"] ?? "", /^[0-9a-f-]{36}$/)
    }))

  it.effect("BIND-05: streams events of both shapes up to [DONE]", () =>
    Effect.gen(function*() {
      const gateway = yield* LocalGateway.LocalGateway
      yield* create(gateway, "b5")
      const options = { gateway: { id: "b5" } }
      const first = yield* run(gateway, native, { prompt: "why", stream: true }, options)
      assert.strictEqual(first.headers["content-type"], "text/event-stream")
      assert.isTrue(first.text.endsWith("data: [DONE]\n\n"))
      // Events of this shape are asserted below.
      const said = events(first.text) as ReadonlyArray<{ response: string; usage?: { completion_tokens: number } }>
      assert.include(said.map((_) => _.response).join(""), "You asked: \"why\"")
      assert.isAbove(said.at(-1)?.usage?.completion_tokens ?? 0, 5)
      const second = yield* run(
        gateway,
        openAi,
        { messages: [{ role: "user", content: "why" }], stream: true },
        options
      )
      assert.include(second.text, "\"finish_reason\":\"stop\"")
      assert.isTrue(second.text.endsWith("data: [DONE]\n\n"))
      const logs = (yield* manage(gateway, "/b5/logs")).json.result
      assert.strictEqual(logs[1].tokens_out, said.at(-1)?.usage?.completion_tokens)
      assert.isAbove(logs[0].tokens_out, 5)
    }))

  it.effect("BIND-06: answers errors with internalCode and description", () =>
    Effect.gen(function*() {
      const gateway = yield* LocalGateway.LocalGateway
      yield* create(gateway, "b6")
      const missing = yield* run(gateway, native, { prompt: "hi" }, { gateway: { id: "none" } })
      assert.strictEqual(missing.status, 400)
      assert.strictEqual(missing.json.internalCode, 2001)
      assert.strictEqual(missing.json.error[0].code, 2001)
      assert.strictEqual(missing.json.description, missing.json.message)
      const unknown = yield* run(gateway, "nobody/model", { prompt: "hi" }, { gateway: { id: "b6" } })
      assert.strictEqual(unknown.status, 400)
      assert.strictEqual(unknown.json.internalCode, 5007)
      assert.include(unknown.json.description, "No such model nobody/model")
      const invalid = yield* run(gateway, native, {}, { gateway: { id: "b6" } })
      assert.strictEqual(invalid.json.internalCode, 5006)
      assert.strictEqual(invalid.json.name, "InvalidInput")
      assert.isString(invalid.json.description)
    }))

  it.effect("BIND-07: the options of the request's body act: metadata, event id, no log", () =>
    Effect.gen(function*() {
      const gateway = yield* LocalGateway.LocalGateway
      yield* create(gateway, "b7")
      const { headers } = yield* run(gateway, native, { prompt: "hi" }, {
        gateway: { id: "b7", metadata: { user: "u", n: 1, ok: true }, eventId: "mine" }
      })
      assert.strictEqual(headers["cf-aig-event-id"], "mine")
      const log = (yield* manage(gateway, `/b7/logs/${headers["cf-aig-log-id"]}`)).json.result
      assert.deepStrictEqual(log.metadata, { user: "u", n: 1, ok: true })
      const silent = yield* run(gateway, native, { prompt: "hi" }, { gateway: { id: "b7", collectLog: false } })
      assert.notProperty(silent.headers, "cf-aig-log-id")
      assert.strictEqual((yield* manage(gateway, "/b7/logs")).json.result_info.total_count, 1)
    }))

  it.effect("BIND-08: answers a URL in an object, the universal one with its slash", () =>
    Effect.gen(function*() {
      const gateway = yield* LocalGateway.LocalGateway
      yield* create(gateway, "b8")
      const at = `${gateway.url}/workers-binding/ai-gateway/gateways/b8/url`
      const base = `${gateway.url}/v1/${gateway.accountId}/b8/`
      assert.deepStrictEqual((yield* call(`${at}/openai`)).json.result, { url: `${base}openai` })
      assert.deepStrictEqual((yield* call(`${at}/universal`)).json.result, { url: base })
    }))

  it.effect("BIND-09, BIND-10: gets and patches a log, and says when there is none", () =>
    Effect.gen(function*() {
      const gateway = yield* LocalGateway.LocalGateway
      yield* create(gateway, "b9")
      const { headers } = yield* run(gateway, native, { prompt: "hi" }, { gateway: { id: "b9" } })
      const at = `${gateway.url}/workers-binding/ai-gateway/gateways/b9/logs`
      const patched = yield* call(`${at}/${headers["cf-aig-log-id"]}`, {
        method: "PATCH",
        body: { feedback: 1, score: 9 }
      })
      assert.strictEqual(patched.status, 200)
      const { json } = yield* call(`${at}/${headers["cf-aig-log-id"]}`)
      assert.strictEqual(json.result.feedback, 1)
      assert.isFalse(Number.isNaN(Date.parse(json.result.created_at)))
      const missing = yield* call(`${at}/none`)
      assert.strictEqual(missing.status, 404)
      assert.strictEqual(missing.json.errors[0].code, 7002)
    }))

  it.effect("BIND-11: lists models", () =>
    Effect.gen(function*() {
      const gateway = yield* LocalGateway.LocalGateway
      const { json } = yield* call(`${gateway.url}/workers-binding/ai-api/models/search?search=llama`)
      assert.include(json.result.map((_: { name: string }) => _.name), native)
    }))

  it.effect("AUTH-09: is served by its Host alone, and needs no token on loopback", () =>
    Effect.gen(function*() {
      const gateway = yield* LocalGateway.LocalGateway
      yield* create(gateway, "b-host", { authentication: true })
      const reply = yield* Effect.callback<string>((resume) => {
        const headers = { host: "workers-binding.ai", "content-type": "application/json", "cf-consn-model-id": native }
        const sent = request(`${gateway.url}/ai-gateway/run?version=3`, { method: "POST", headers }, (response) => {
          let text = ""
          response.on("data", (chunk) => text += chunk)
          response.on("end", () => resume(Effect.succeed(text)))
        })
        sent.end(JSON.stringify({ inputs: { prompt: "by host" }, options: { gateway: { id: "b-host" } } }))
      })
      assert.include(reply, "by host")
    }))

  it.effect("runs the universal endpoint with fallback", () =>
    Effect.gen(function*() {
      const gateway = yield* LocalGateway.LocalGateway
      yield* create(gateway, "b-uni")
      const { headers, json } = yield* call(`${gateway.url}/workers-binding/ai-gateway/universal/run/b-uni`, {
        body: [
          { provider: "workers-ai", endpoint: "no-such-model", headers: {}, query: { prompt: "x" } },
          { provider: "workers-ai", endpoint: native, headers: {}, query: { prompt: "second" } }
        ]
      })
      assert.strictEqual(headers["cf-aig-step"], "1")
      assert.include(json.response, "second")
    }))
})
