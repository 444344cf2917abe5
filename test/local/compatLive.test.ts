import { assert, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import { createServer, type IncomingHttpHeaders } from "node:http"
import type { AddressInfo } from "node:net"
import OpenAI from "openai"
import { LocalGateway } from "../../src/local/index.ts"
import { fixture } from "../support/parts.ts"
import { call, create, data, manage } from "./talk.ts"

/** Anthropic and OpenAI on this machine: the first streams, and fails where the model is called so. */
const upstreams = Effect.acquireRelease(
  Effect.promise(() => {
    const seen: Array<
      {
        readonly url: string
        readonly headers: IncomingHttpHeaders
        readonly body: { model: string; stream?: boolean }
      }
    > = []
    const server = createServer((request, response) => {
      let text = ""
      request.on("data", (chunk) => (text += String(chunk)))
      request.on("end", () => {
        const body = JSON.parse(text)
        seen.push({ url: request.url ?? "", headers: request.headers, body })
        const isAnthropic = request.url?.includes("messages") === true
        if (body.model === "broken") {
          response.writeHead(529, { "content-type": "application/json" })
          response.end(fixture("error-body.json", "anthropic"))
          return
        }
        const folder = isAnthropic ? "anthropic" : "openai-chat"
        response.writeHead(200, { "content-type": body.stream ? "text/event-stream" : "application/json" })
        response.end(fixture(`tools.${body.stream ? "sse" : "json"}`, folder))
      })
    })
    return new Promise<{ seen: typeof seen; url: string; close: () => void }>((resolve) =>
      server.listen(0, "127.0.0.1", () =>
        resolve({
          seen,
          // Node's own address of a TCP server.
          url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
          close: () => server.close()
        }))
    )
  }),
  ({ close }) => Effect.sync(close)
)

const start = Effect.gen(function*() {
  const { seen, url } = yield* upstreams
  const gateway = yield* LocalGateway.make({ upstreams: { anthropic: url, openai: url } })
  return { seen, gateway }
})

const logsOf = (gateway: LocalGateway.LocalGateway["Service"], id: string) =>
  Effect.map(manage(gateway, `/${id}/logs?order_by=created_at&order_by_direction=asc`), ({ json }) => json.result)

const model = (id: string, provider: string, fallback: string, name = id) => ({
  id,
  type: "model",
  properties: { provider, model: name, timeout: 1000, retries: 0 },
  outputs: { success: { elementId: "end" }, fallback: { elementId: fallback } }
})

const route = (name: string, ...nodes: ReadonlyArray<{ readonly id: string }>) => ({
  name,
  elements: [
    { id: "start", type: "start", outputs: { next: { elementId: nodes[0]?.id } } },
    ...nodes,
    { id: "end", type: "end", outputs: {} }
  ]
})

it.live("COMPAT-04, COMPAT-05: the OpenAI SDK streams Anthropic's calls, and the log has the tokens", () =>
  Effect.scoped(Effect.gen(function*() {
    const { gateway, seen } = yield* start
    yield* create(gateway, "gw")
    const client = new OpenAI({
      apiKey: "sk-ant-own",
      baseURL: `${gateway.url}/v1/${gateway.accountId}/gw/compat`
    })
    const completion = yield* Effect.promise(() =>
      client.chat.completions.stream({
        model: "anthropic/claude-sonnet-4-5",
        messages: [{ role: "user", content: "Weather?" }]
      }).finalChatCompletion()
    )
    assert.lengthOf(completion.choices[0]?.message.tool_calls ?? [], 3)
    assert.strictEqual(seen[0]?.url, "/v1/messages")
    assert.strictEqual(seen[0]?.headers["x-api-key"], "sk-ant-own")
    assert.isUndefined(seen[0]?.headers["authorization"])
    const [log] = yield* logsOf(gateway, "gw")
    assert.deepInclude(log, {
      provider: "anthropic",
      model: "claude-sonnet-4-5",
      tokens_in: 9,
      tokens_out: 89,
      success: true
    })
  })))

it.live("COMPAT-01: Workers AI answers through the unified endpoint", () =>
  Effect.scoped(Effect.gen(function*() {
    const { gateway } = yield* start
    yield* create(gateway, "gw")
    const body = { model: "workers-ai/@cf/meta/llama-3.1-8b-instruct", messages: [{ role: "user", content: "hi" }] }
    const answer = yield* data(gateway, "gw/compat/chat/completions", { body })
    assert.strictEqual(answer.json.object, "chat.completion")
  })))

it.live("ROUTE-02, BYOK-01: a route goes out with stored keys, falls back, and logs each model", () =>
  Effect.scoped(Effect.gen(function*() {
    const { gateway, seen } = yield* start
    yield* create(gateway, "gw", { store_id: "dev:1" })
    const made = yield* manage(gateway, "/gw/provider_configs", {
      body: { alias: "default", default_config: true, provider_slug: "openai", secret: "sk-stored-0123456789" }
    })
    assert.strictEqual(made.status, 200)
    yield* manage(gateway, "/gw/routes", {
      body: route("support", model("a", "anthropic", "b", "broken"), model("b", "openai", "end", "gpt-x"))
    })
    const answer = yield* data(gateway, "gw/compat/chat/completions", {
      body: { model: "dynamic/support", messages: [{ role: "user", content: "hi" }] }
    })
    assert.strictEqual(answer.status, 200)
    assert.deepInclude(answer.headers, { "cf-aig-model": "gpt-x", "cf-aig-provider": "openai" })
    assert.deepStrictEqual(seen.map(({ body }) => body.model), ["broken", "gpt-x"])
    assert.strictEqual(seen[1]?.headers.authorization, "Bearer sk-stored-0123456789")
    const logs = yield* logsOf(gateway, "gw")
    assert.deepStrictEqual(logs.map((_: { model: string; success: boolean }) => [_.model, _.success]), [
      ["broken", false],
      ["gpt-x", true]
    ])
    assert.include(logs.map((_: { id: string }) => _.id), answer.headers["cf-aig-log-id"])
  })))

it.live("a route whose models all fail is 2005, with one more log entry for the route", () =>
  Effect.scoped(Effect.gen(function*() {
    const { gateway } = yield* start
    yield* create(gateway, "gw")
    yield* manage(gateway, "/gw/routes", { body: route("broken", model("a", "anthropic", "end", "broken")) })
    const answer = yield* data(gateway, "gw/compat/chat/completions", {
      body: { model: "dynamic/broken", messages: [{ role: "user", content: "hi" }] }
    })
    assert.strictEqual(answer.status, 400)
    assert.strictEqual(answer.json.error[0].code, 2005)
    const logs = yield* logsOf(gateway, "gw")
    assert.deepInclude(logs.at(-1), { provider: "unknown", model: "dynamic/broken", success: false, cost: 0 })
    assert.lengthOf(logs, 2)
  })))

it.live("the universal endpoint takes a step of compat, and goes on to the next from one that fails", () =>
  Effect.scoped(Effect.gen(function*() {
    const { gateway } = yield* start
    yield* create(gateway, "gw")
    const query = (model: string) => ({ model, messages: [{ role: "user", content: "hi" }] })
    const steps = ["dynamic/none", "anthropic/claude-sonnet-4-5"].map((model) => ({
      provider: "compat",
      endpoint: "chat/completions",
      headers: {},
      query: query(model)
    }))
    const answer = yield* call(`${gateway.url}/v1/${gateway.accountId}/gw`, { body: steps })
    assert.strictEqual(answer.headers["cf-aig-step"], "1")
    assert.strictEqual(answer.json.object, "chat.completion")
  })))

it.live("the cache keeps the unified endpoint's answers and the provider's own apart", () =>
  Effect.scoped(Effect.gen(function*() {
    const { gateway } = yield* start
    yield* create(gateway, "gw")
    const headers = { "cf-aig-cache-key": "k", authorization: `Bearer ${Redacted.value(gateway.token)}` }
    const body = { model: "anthropic/claude-sonnet-4-5", messages: [{ role: "user", content: "hi" }] }
    const unified = yield* data(gateway, "gw/compat/chat/completions", { body, headers })
    const native = yield* data(gateway, "gw/anthropic/v1/messages", {
      body: { ...body, model: "claude-sonnet-4-5" },
      headers
    })
    const again = yield* data(gateway, "gw/compat/chat/completions", { body, headers })
    assert.strictEqual(unified.json.object, "chat.completion")
    assert.strictEqual(native.json.type, "message")
    assert.strictEqual(again.json.object, "chat.completion")
    assert.strictEqual(again.headers["cf-aig-cache-status"], "HIT")
  })))
