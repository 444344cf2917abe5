import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"
import { createServer, type IncomingHttpHeaders } from "node:http"
import { LocalGateway } from "../../src/local/index.ts"
import { bearer, call, create, data, manage } from "./talk.ts"

interface Sent {
  readonly headers: IncomingHttpHeaders
  readonly body: Buffer
}

/** A receiver of spans; it refuses what comes while `status` says so. */
const receiver = Effect.gen(function*() {
  const sent: Array<Sent> = []
  const state = { status: 200 }
  const node = createServer((request, response) => {
    const chunks: Array<Buffer> = []
    request.on("data", (chunk) => chunks.push(chunk))
    request.on("end", () => {
      sent.push({ headers: request.headers, body: Buffer.concat(chunks) })
      response.writeHead(state.status).end("{}")
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
  return { sent, state, url: `http://127.0.0.1:${port}/v1/traces` }
})

/** What a gateway with one receiver has sent when it has ended. */
const spansOf = (
  exporter: (url: string) => object,
  use: (gateway: LocalGateway.LocalGateway["Service"]) => Effect.Effect<unknown>
) =>
  Effect.gen(function*() {
    const { sent, url } = yield* receiver
    const scope = yield* Scope.make()
    const gateway = yield* LocalGateway.make({ pause: 0 }).pipe(Scope.provide(scope))
    yield* create(gateway, "gw", { otel: [{ url, headers: {}, ...exporter(url) }] })
    yield* use(gateway)
    yield* Scope.close(scope, Exit.void)
    return sent
  })

const model = "@cf/meta/llama-3.1-8b-instruct"

const spans = (sent: ReadonlyArray<Sent>) =>
  sent.flatMap(({ body }) => JSON.parse(body.toString()).resourceSpans)
    .flatMap((_) => _.scopeSpans).flatMap((_) => _.spans)

const attributes = (span: { readonly attributes: ReadonlyArray<{ readonly key: string; readonly value: object }> }) =>
  Object.fromEntries(span.attributes.map(({ key, value }) => [key, Object.values(value)[0]]))

describe("the setting otel", () => {
  it.live("OTEL-01: sends a span for each request, with the documented names, the texts and the metadata", () =>
    Effect.gen(function*() {
      const sent = yield* spansOf(
        () => ({ headers: { "x-team": "t-1" } }),
        (gateway) =>
          data(gateway, `gw/workers-ai/${model}`, {
            body: { prompt: "Why is the sky blue?" },
            headers: { "cf-aig-metadata": JSON.stringify({ user: "u-1", paying: true, "gen_ai.system": "x" }) }
          })
      )
      assert.strictEqual(sent[0]?.headers["x-team"], "t-1")
      assert.strictEqual(sent[0]?.headers["content-type"], "application/json")
      const [span, ...others] = spans(sent)
      assert.deepStrictEqual(others, [])
      assert.deepInclude(span, { name: `workers-ai ${model}`, status: { code: 1 } })
      assert.match(span.traceId, /^[0-9a-f]{32}$/)
      const found = attributes(span)
      assert.deepInclude(found, {
        "gen_ai.request.model": model,
        "gen_ai.model.provider": "workers-ai",
        user: "u-1",
        paying: true
      })
      assert.isAbove(Number(found["gen_ai.usage.input_tokens"]), 0)
      assert.isAbove(Number(found["gen_ai.usage.output_tokens"]), 0)
      assert.isDefined(found["gen_ai.usage.cost"])
      assert.include(found["gen_ai.prompt_json"], "Why is the sky blue?")
      assert.include(found["gen_ai.completion_json"], "response")
      assert.notProperty(found, "gen_ai.system")
      assert.isAtLeast(Number(span.endTimeUnixNano), Number(span.startTimeUnixNano))
    }))

  it.live("OTEL-02: places the span where the request says, also with the headers of a universal request", () =>
    Effect.gen(function*() {
      const [traceId, parentSpanId] = ["4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"]
      const headers = { "cf-aig-otel-trace-id": traceId, "cf-aig-otel-parent-span-id": parentSpanId }
      const sent = yield* spansOf(() => ({}), (gateway) =>
        Effect.gen(function*() {
          yield* data(gateway, `gw/workers-ai/${model}`, { body: { prompt: "one" }, headers })
          yield* data(gateway, "gw", {
            body: [{ provider: "workers-ai", endpoint: model, query: { prompt: "two" } }],
            headers
          })
          yield* data(gateway, `gw/workers-ai/${model}`, {
            body: { prompt: "three" },
            headers: { "cf-aig-otel-trace-id": "0".repeat(32), "cf-aig-otel-parent-span-id": "parent" }
          })
        }))
      const [one, two, three] = spans(sent)
      for (const span of [one, two]) assert.deepInclude(span, { traceId, parentSpanId })
      assert.notStrictEqual(one.spanId, two.spanId)
      assert.notInclude([traceId, "0".repeat(32)], three.traceId)
      assert.notProperty(three, "parentSpanId")
    }))

  it.live("leaves the texts out where the log has none, and says that a request failed", () =>
    Effect.gen(function*() {
      const sent = yield* spansOf(() => ({}), (gateway) =>
        Effect.gen(function*() {
          const body = { prompt: "private words" }
          for (const name of ["cf-aig-collect-log", "cf-aig-collect-log-payload"]) {
            yield* data(gateway, `gw/workers-ai/${model}`, { body, headers: { [name]: "false" } })
          }
          yield* data(gateway, `gw/workers-ai/${model}`, { body: { prompt: 1 } })
        }))
      const all = spans(sent)
      assert.lengthOf(all, 3)
      assert.notInclude(JSON.stringify(all), "private words")
      assert.deepStrictEqual(all[2].status, { code: 2, message: "HTTP 400" })
    }))

  it.live("takes protobuf, and the secret that authorization names from the gateway's store", () =>
    Effect.gen(function*() {
      const { sent, url } = yield* receiver
      const scope = yield* Scope.make()
      const gateway = yield* LocalGateway.make({ pause: 0 }).pipe(Scope.provide(scope))
      const stores = `${gateway.url}/client/v4/accounts/${gateway.accountId}/secrets_store/stores`
      const init = (body: object) => ({ method: "POST", body, headers: bearer(gateway) })
      const store = (yield* call(stores, init({ name: "default" }))).json.result
      yield* call(
        `${stores}/${store.id}/secrets`,
        init([{ name: "OTEL", value: "Bearer secret-of-otel", scopes: ["ai_gateway"] }])
      )
      yield* create(gateway, "gw", {
        store_id: store.id,
        otel: [{ url, headers: {}, authorization: "OTEL", content_type: "protobuf" }]
      })
      yield* data(gateway, `gw/workers-ai/${model}`, { body: { prompt: "hi" } })
      yield* Scope.close(scope, Exit.void)
      assert.strictEqual(sent[0]?.headers.authorization, "Bearer secret-of-otel")
      assert.strictEqual(sent[0]?.headers["content-type"], "application/x-protobuf")
      assert.include(sent[0]?.body.toString("latin1"), "gen_ai.request.model")
    }))

  it.live("neither slows nor breaks requests when the receiver is gone", () =>
    Effect.gen(function*() {
      const gateway = yield* LocalGateway.make({ pause: 0 })
      yield* create(gateway, "gw", { otel: [{ url: "http://127.0.0.1:9/v1/traces", headers: {} }] })
      const answers = yield* Effect.all(
        Array.from({ length: 20 }, () => data(gateway, `gw/workers-ai/${model}`, { body: { prompt: "hi" } })),
        { concurrency: 20 }
      )
      assert.isTrue(answers.every(({ status }) => status === 200))
      assert.strictEqual((yield* manage(gateway, "/gw/logs")).json.result_info.total_count, 20)
    }))
})
