import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { createServer, type IncomingHttpHeaders } from "node:http"
import { LocalGateway } from "../../src/local/index.ts"
import { portOf } from "../support/cli.ts"
import { fixture } from "../support/parts.ts"
import { aig, bearer, call, create, type Gateway, manage } from "./talk.ts"

interface Seen {
  readonly url: string
  readonly headers: IncomingHttpHeaders
  readonly body: { readonly [name: string]: unknown }
}

/** Providers on this machine: Anthropic and OpenAI answer with fixtures, all else with an empty object. */
const start = Effect.gen(function*() {
  const seen: Array<Seen> = []
  const node = createServer((request, response) => {
    let text = ""
    request.on("data", (chunk) => (text += String(chunk)))
    request.on("end", () => {
      const url = request.url ?? ""
      const body = JSON.parse(text)
      seen.push({ url, headers: request.headers, body })
      const folder = url.endsWith("/messages")
        ? "anthropic"
        : url.endsWith("/openai/chat/completions")
        ? "openai-chat"
        : undefined
      response.writeHead(200, { "content-type": body.stream === true ? "text/event-stream" : "application/json" })
      response.end(folder === undefined ? "{}" : fixture(`tools.${body.stream === true ? "sse" : "json"}`, folder))
    })
  })
  const port = yield* Effect.acquireRelease(
    Effect.callback<number>((resume) => {
      node.listen(0, "127.0.0.1", () => {
        const address = node.address()
        resume(Effect.succeed(typeof address === "object" && address !== null ? address.port : 0))
      })
    }),
    () => Effect.sync(() => node.close())
  )
  const slugs = ["anthropic", "openai", "grok", "groq", "google-ai-studio"]
  const gateway = yield* LocalGateway.make({
    upstreams: Object.fromEntries(slugs.map((slug) => [slug, `http://127.0.0.1:${port}/${slug}`])),
    pause: 0
  })
  return { gateway, seen }
})

const ai = (gateway: Gateway, path: string, body: unknown, headers: Record<string, string> = {}) =>
  call(`${gateway.url}/client/v4/accounts/${gateway.accountId}/ai/v1${path}`, {
    body,
    headers: { ...bearer(gateway), ...headers }
  })

const messages = [{ role: "user", content: "Weather?" }]

const dynamicRoute = (provider: string, model: string) => ({
  name: "support",
  elements: [
    { id: "start", type: "start", outputs: { next: { elementId: "m" } } },
    {
      id: "m",
      type: "model",
      properties: { provider, model, timeout: 1000, retries: 0 },
      outputs: { success: { elementId: "end" }, fallback: { elementId: "end" } }
    },
    { id: "end", type: "end", outputs: {} }
  ]
})

describe("the run APIs", () => {
  it.live("REST-03: chat completions translate for the author's provider, through default and logged as REST API", () =>
    Effect.gen(function*() {
      const { gateway, seen } = yield* start
      const answer = yield* ai(gateway, "/chat/completions", { model: "anthropic/claude-haiku-4.5", messages })
      assert.strictEqual(answer.json.object, "chat.completion")
      assert.strictEqual(seen[0]?.url, "/anthropic/v1/messages")
      assert.strictEqual(seen[0]?.body["model"], "claude-haiku-4-5")
      assert.notProperty(seen[0]?.headers, "authorization", "the token stays here")
      assert.notProperty(seen[0]?.headers, "x-api-key")
      const log = (yield* manage(gateway, `/default/logs/${answer.headers["cf-aig-log-id"]}`)).json.result
      assert.deepInclude(log, { provider: "anthropic", model: "claude-haiku-4-5", request_type: "REST API" })
      yield* ai(gateway, "/chat/completions", { model: "xai/grok-4", messages })
      assert.match(seen[1]?.url ?? "", /^\/grok\/(v1\/)?chat\/completions$/)
      const streamed = yield* ai(gateway, "/chat/completions", { model: "openai/gpt-4o", messages, stream: true })
      assert.strictEqual(streamed.text, fixture("tools.sse", "openai-chat"))
    }))

  it.live("REST-04, REST-05: responses, messages and embeddings reach their provider in its own format", () =>
    Effect.gen(function*() {
      const { gateway, seen } = yield* start
      yield* create(gateway, "gw")
      const cases: ReadonlyArray<[string, string, string, string]> = [
        ["/responses", "openai/gpt-5", "/openai/responses", "gpt-5"],
        ["/responses", "xai/grok-4", "/grok/v1/responses", "grok-4"],
        ["/embeddings", "openai/text-embedding-3-small", "/openai/embeddings", "text-embedding-3-small"],
        [
          "/embeddings",
          "google/gemini-embedding-001",
          "/google-ai-studio/v1beta/openai/embeddings",
          "gemini-embedding-001"
        ],
        ["/messages", "anthropic/claude-sonnet-4.5", "/anthropic/v1/messages", "claude-sonnet-4-5"],
        ["/v1/messages", "anthropic/claude-sonnet-4-5", "/anthropic/v1/messages", "claude-sonnet-4-5"]
      ]
      for (const [path, model, url, name] of cases) {
        seen.length = 0
        const headers = { "cf-aig-gateway-id": "gw", "x-own": "1" }
        const answer = yield* ai(gateway, path, { model, input: "hi", kept: { a: 1 } }, headers)
        assert.strictEqual(answer.status, 200, url)
        assert.strictEqual(seen[0]?.url, url)
        assert.deepStrictEqual(seen[0]?.body, { model: name, input: "hi", kept: { a: 1 } })
        assert.strictEqual(seen[0]?.headers["x-own"], "1")
        assert.strictEqual(seen[0]?.headers["anthropic-version"], url.includes("anthropic") ? "2023-06-01" : undefined)
        assert.notProperty(seen[0]?.headers, "authorization")
        if (url.includes("anthropic")) {
          const own = fixture("tools.json", "anthropic").trimEnd()
          assert.strictEqual(answer.text, `${own.slice(0, -1)},"gatewayMetadata":{"keySource":"Unified"}}`)
        } else assert.deepStrictEqual(answer.json, { gatewayMetadata: { keySource: "Unified" } })
      }
      assert.lengthOf((yield* manage(gateway, "/gw/logs")).json.result, cases.length)
    }))

  it.live("reach providers with the stored key called default, whatever alias the request names", () =>
    Effect.gen(function*() {
      const { gateway, seen } = yield* start
      yield* create(gateway, "gw", { store_id: "dev:1" })
      yield* manage(gateway, "/gw/provider_configs", {
        body: { alias: "default", default_config: true, provider_slug: "anthropic", secret: "sk-stored-0123456789" }
      })
      for (const path of ["/chat/completions", "/messages"]) {
        const { json } = yield* ai(gateway, path, { model: "anthropic/claude-sonnet-4-5", messages }, {
          "cf-aig-gateway-id": "gw",
          "cf-aig-byok-alias": "other"
        })
        assert.deepStrictEqual(json.gatewayMetadata, { keySource: "BYOK" })
        assert.strictEqual(seen.at(-1)?.headers["x-api-key"], "sk-stored-0123456789", path)
        assert.notProperty(seen.at(-1)?.headers, "authorization")
      }
    }))

  it.live("REST-06: models of Workers AI run outside any gateway unless a header names one", () =>
    Effect.gen(function*() {
      const { gateway } = yield* start
      yield* create(gateway, "gw")
      const body = { model: "@cf/meta/llama-3.1-8b-instruct", messages }
      const outside = yield* ai(gateway, "/chat/completions", body)
      assert.strictEqual(outside.json.object, "chat.completion")
      assert.notProperty(outside.headers, "cf-aig-log-id")
      const inside = yield* ai(gateway, "/chat/completions", body, { "cf-aig-gateway-id": "gw" })
      assert.strictEqual(inside.json.object, "chat.completion")
      assert.property(inside.headers, "cf-aig-log-id")
      const vectors = yield* ai(gateway, "/embeddings", { model: "@cf/baai/bge-base-en-v1.5", input: "hi" })
      assert.lengthOf(vectors.json.data[0].embedding, 768)
    }))

  it.live("REST-08: a model that is nobody's here is 404/7003, no model is 400, no token and a missing gateway say so", () =>
    Effect.gen(function*() {
      const { gateway, seen } = yield* start
      const cases: ReadonlyArray<[string, unknown, number, number]> = [
        ["/chat/completions", { model: "nobody/x", messages }, 404, 7003],
        ["/chat/completions", { model: "gpt-4o", messages }, 404, 7003],
        ["/messages", { model: "@cf/meta/llama-3.1-8b-instruct", messages }, 404, 7003],
        ["/messages", { model: "openai/gpt-4o", messages }, 404, 7003],
        ["/embeddings", { model: "dynamic/x", input: "hi" }, 404, 7003],
        ["/responses", { input: "hi" }, 400, 7000],
        ["/responses", "{", 400, 7000]
      ]
      for (const [path, body, status, code] of cases) {
        const answer = yield* ai(gateway, path, body)
        assert.deepStrictEqual([answer.status, answer.json.success, answer.json.errors[0].code], [status, false, code])
      }
      const body = { model: "openai/gpt-4o", messages }
      const missing = yield* ai(gateway, "/chat/completions", body, { "cf-aig-gateway-id": "none" })
      assert.strictEqual(missing.json.internalCode, 2001)
      const wrong = yield* ai(gateway, "/chat/completions", body, { authorization: "Bearer wrong" })
      assert.deepStrictEqual([wrong.status, wrong.json.errors[0].code], [403, 9109])
      assert.lengthOf(seen, 0)
    }))

  it.live("run dynamic routes over REST and over the binding", () =>
    Effect.gen(function*() {
      const { gateway, seen } = yield* start
      yield* create(gateway, "gw", { store_id: "dev:1" })
      yield* manage(gateway, "/gw/routes", { body: dynamicRoute("openai", "gpt-4o") })
      const ran = { "cf-aig-model": "gpt-4o", "cf-aig-provider": "openai" }
      const rest = yield* ai(gateway, "/chat/completions", { model: "dynamic/support", messages }, {
        "cf-aig-gateway-id": "gw"
      })
      assert.deepInclude(rest.headers, ran)
      assert.deepStrictEqual(rest.json.gatewayMetadata, { keySource: "Unified" })
      const binding = (id: string, name: string, inputs = {}) =>
        call(`${gateway.url}/workers-binding/ai-gateway/run?version=3`, {
          headers: { "cf-consn-model-id": `dynamic/${name}` },
          body: { inputs: { messages, ...inputs }, options: { gateway: { id } } }
        })
      const whole = yield* binding("gw", "support")
      assert.deepInclude(whole.headers, ran)
      assert.strictEqual(whole.json.object, "chat.completion")
      const log = (yield* manage(gateway, `/gw/logs/${whole.headers["cf-aig-log-id"]}`)).json.result
      assert.deepInclude(log, { provider: "openai", model: "gpt-4o", request_type: "Workers AI Binding" })
      const streamed = yield* binding("gw", "support", { stream: true })
      assert.strictEqual(streamed.text, fixture("tools.sse", "openai-chat"))
      assert.deepStrictEqual(seen.map(({ body, url }) => [url, body["model"]]), [
        ["/openai/chat/completions", "gpt-4o"],
        ["/openai/chat/completions", "gpt-4o"],
        ["/openai/chat/completions", "gpt-4o"]
      ])
      assert.strictEqual((yield* binding("gw", "none")).json.internalCode, 7003)
      yield* manage(gateway, "/gw/provider_configs", {
        body: { alias: "default", default_config: true, provider_slug: "openai", secret: "sk-stored-0123456789" }
      })
      const own = yield* ai(gateway, "/chat/completions", { model: "dynamic/support", messages }, {
        "cf-aig-gateway-id": "gw"
      })
      assert.deepStrictEqual(own.json.gatewayMetadata, { keySource: "BYOK" })
    }))
})

const run = (gateway: Gateway, body: unknown, headers: Record<string, string> = {}) =>
  call(`${gateway.url}/client/v4/accounts/${gateway.accountId}/ai/run`, {
    body,
    headers: { ...bearer(gateway), ...headers }
  })

describe("/ai/run with the model in the body", () => {
  it.live("REST-01: answers Workers AI in the v4 envelope, others in their provider's format with gatewayMetadata", () =>
    Effect.gen(function*() {
      const { gateway, seen } = yield* start
      yield* create(gateway, "gw")
      for (const model of ["@cf/meta/llama-3.1-8b-instruct", "workers-ai/@cf/meta/llama-3.1-8b-instruct"]) {
        const { headers, json } = yield* run(gateway, { model, input: { messages } })
        assert.isString(json.result.response)
        assert.deepStrictEqual([json.success, json.errors], [true, []])
        assert.notProperty(json, "gatewayMetadata")
        assert.notProperty(headers, "cf-aig-log-id", "outside any gateway")
      }
      const inside = yield* run(
        gateway,
        { model: "@cf/baai/bge-base-en-v1.5", input: { text: ["hi"] } },
        { "cf-aig-gateway-id": "gw" }
      )
      assert.lengthOf(inside.json.result.data[0], 768)
      const log = (yield* manage(gateway, `/gw/logs/${inside.headers["cf-aig-log-id"]}`)).json.result
      assert.deepInclude(log, { model: "@cf/baai/bge-base-en-v1.5", request_type: "REST API" })

      const keySource = { gatewayMetadata: { keySource: "Unified" } }
      const claude = yield* run(gateway, {
        model: "anthropic/claude-haiku-4.5",
        input: { messages, max_tokens: 9 }
      })
      assert.deepStrictEqual(claude.json, { ...JSON.parse(fixture("tools.json", "anthropic")), ...keySource })
      const google = yield* run(gateway, { model: "google/gemini-2.5-flash", input: { contents: [] } })
      assert.deepStrictEqual(google.json, keySource)
      const streamed = yield* run(gateway, { model: "openai/gpt-4o", input: { messages, stream: true } })
      assert.strictEqual(streamed.text, fixture("tools.sse", "openai-chat"), "events have no place for it")
      assert.deepStrictEqual(seen.map(({ body, url }) => [url, body]), [
        ["/anthropic/v1/messages", { messages, max_tokens: 9, model: "claude-haiku-4-5" }],
        ["/google-ai-studio/v1beta/models/gemini-2.5-flash:generateContent", { contents: [] }],
        ["/openai/chat/completions", { messages, stream: true, model: "gpt-4o" }]
      ])
      for (const { headers } of seen) assert.notProperty(headers, "authorization", "the token stays here")
    }))

  it.live("REST-01, REST-08: refuses a body without model or input, and a model that nobody has", () =>
    Effect.gen(function*() {
      const { gateway, seen } = yield* start
      const cases: ReadonlyArray<[unknown, number, number]> = [
        ["{", 400, 7000],
        [[], 400, 7000],
        [{ input: {} }, 400, 7000],
        [{ model: 1, input: {} }, 400, 7000],
        [{ model: "openai/gpt-4o" }, 400, 7000],
        [{ model: "openai/gpt-4o", input: "hi" }, 400, 7000],
        [{ model: "nobody/x", input: {} }, 404, 7003],
        [{ model: "gpt-4o", input: {} }, 404, 7003]
      ]
      for (const [body, status, code] of cases) {
        const { json, status: got } = yield* run(gateway, body)
        assert.deepStrictEqual([got, json.errors[0].code], [status, code], JSON.stringify(body))
      }
      const unknown = yield* run(gateway, { model: "@cf/openai/whisper", input: {} })
      assert.deepStrictEqual([unknown.status, unknown.json.errors[0].code], [400, 5007])
      assert.lengthOf(seen, 0)
    }))

  it.live("REST-07: a provider that rejects the key is 401 with 2009 for an own key, and 503 without one", () =>
    Effect.gen(function*() {
      const node = createServer((request, response) => {
        request.resume()
        response.writeHead(401, { "content-type": "application/json" }).end("{\"error\":{\"message\":\"bad key\"}}")
      })
      const port = yield* portOf(node)
      const gateway = yield* LocalGateway.make({ upstreams: { openai: `http://127.0.0.1:${port}` } })
      yield* create(gateway, "own", { store_id: "dev:1" })
      yield* create(gateway, "none")
      yield* manage(gateway, "/own/provider_configs", {
        body: { alias: "default", default_config: true, provider_slug: "openai", secret: "sk-stored-0123456789" }
      })
      const body = { model: "openai/gpt-4o", input: { messages } }
      const own = yield* run(gateway, body, { "cf-aig-gateway-id": "own" })
      assert.deepStrictEqual([own.status, own.json.error[0].code, own.json.internalCode], [401, 2009, 2009])
      const none = yield* run(gateway, body, { "cf-aig-gateway-id": "none" })
      assert.deepStrictEqual([none.status, none.json.success], [503, false])
      // The log has what the provider said, and the other endpoints pass it on.
      const logged = (yield* manage(gateway, `/own/logs/${own.headers["cf-aig-log-id"]}`)).json.result
      assert.strictEqual(logged.status_code, 401)
      const chat = yield* ai(gateway, "/chat/completions", { model: "openai/gpt-4o", messages }, {
        "cf-aig-gateway-id": "own"
      })
      assert.deepStrictEqual([chat.status, chat.json.error.message], [401, "bad key"])
    }))

  it.live("GUARD-01: a guardrail's block is 422 with 2017", () =>
    Effect.gen(function*() {
      const { gateway, seen } = yield* start
      yield* create(gateway, "gw")
      yield* manage(gateway, "/gw", {
        method: "PUT",
        body: {
          id: "gw",
          cache_ttl: null,
          cache_invalidate_on_update: false,
          collect_logs: true,
          rate_limiting_interval: null,
          rate_limiting_limit: null,
          guardrails: { prompt: { S2: "BLOCK" }, response: {} }
        }
      })
      for (const model of ["openai/gpt-4o", "@cf/meta/llama-3.1-8b-instruct"]) {
        const { json, status } = yield* run(
          gateway,
          { model, input: { messages: [{ role: "user", content: "How do I rob a bank?" }] } },
          { "cf-aig-gateway-id": "gw" }
        )
        assert.deepStrictEqual([status, json.internalCode], [422, 2017], model)
      }
      assert.lengthOf(seen, 0)
    }))
})

describe("metrics", () => {
  it.live("count requests, tokens, cost, cache hits and errors by provider, model and status", () =>
    Effect.gen(function*() {
      const { gateway } = yield* start
      yield* create(gateway, "gw")
      const ask = (path: string, body: unknown, headers: Record<string, string> = {}) =>
        call(`${gateway.url}/v1/${gateway.accountId}/gw/${path}`, { body, headers: { ...aig(gateway), ...headers } })
      const cached = { "cf-aig-cache-key": "k", "cf-aig-custom-cost": "{\"total_cost\":0.5}" }
      for (let i = 0; i < 2; i++) yield* ask("anthropic/v1/messages", { model: "claude-\"x\"", messages }, cached)
      yield* ask("deepgram/v1/listen", { model: "m" })
      const { headers, text } = yield* call(`${gateway.url}/metrics`)
      assert.match(headers["content-type"] ?? "", /^text\/plain; version=0\.0\.4/)
      const of = "provider=\"anthropic\",model=\"claude-\\\"x\\\"\""
      for (
        const line of [
          `ai_gateway_requests_total{${of},status="200"} 2`,
          `ai_gateway_cache_hits_total{${of}} 1`,
          `ai_gateway_tokens_total{${of},direction="in"} 9`,
          `ai_gateway_tokens_total{${of},direction="out"} 24`,
          `ai_gateway_cost_dollars_total{${of}} 0.5`,
          "ai_gateway_errors_total{provider=\"deepgram\",model=\"m\",status=\"400\"} 1",
          "ai_gateway_requests_in_flight 0",
          "# TYPE ai_gateway_requests_in_flight gauge"
        ]
      ) assert.include(text.split("\n"), line)
    }))

  it.live("need the token where the gateway listens beyond loopback", () =>
    Effect.gen(function*() {
      const { token } = yield* LocalGateway.make({ pause: 0 })
      const gateway = yield* LocalGateway.make({ host: "0.0.0.0", token, pause: 0 })
      assert.strictEqual((yield* call(`${gateway.url}/metrics`)).status, 400)
      assert.strictEqual((yield* call(`${gateway.url}/metrics`, { headers: bearer(gateway) })).status, 200)
    }))
})
