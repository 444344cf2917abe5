import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Stream from "effect/Stream"
import * as Tracer from "effect/Tracer"
import * as HttpClient from "effect/unstable/http/HttpClient"
import * as HttpClientRequest from "effect/unstable/http/HttpClientRequest"
import { inspect } from "node:util"
import * as ProviderHttpClient from "../../src/client/ProviderHttpClient.ts"
import * as StubTransport from "../support/StubTransport.ts"

const execute = (
  stub: StubTransport.StubTransport,
  request: HttpClientRequest.HttpClientRequest,
  provider = { slug: "openai", basePath: "v1" }
) => ProviderHttpClient.make(stub, provider).execute(request)

const post = (url: string) =>
  HttpClientRequest.post(url).pipe(
    HttpClientRequest.setHeaders({ authorization: "Bearer sk-secret", "x-own": "1" }),
    HttpClientRequest.bodyJsonUnsafe({ model: "gpt-4o-mini" })
  )

describe("ProviderHttpClient", () => {
  it.effect("sends a provider's own request through the gateway", () =>
    Effect.gen(function*() {
      const stub = StubTransport.make({
        body: "{\"ok\":true}",
        headers: { "content-type": "application/json", "cf-aig-log-id": "log" }
      })
      for (
        const url of [
          "https://api.openai.com/v1/chat/completions?x=1",
          "/v1/chat/completions?x=1",
          "chat/completions?x=1"
        ]
      ) {
        const response = yield* execute(stub, post(url))
        assert.deepStrictEqual([response.status, response.headers["cf-aig-log-id"]], [200, "log"])
        assert.deepStrictEqual(yield* response.json, { ok: true })
        const step = stub.sent.at(-1)!
        assert.deepStrictEqual(
          [step.provider, step.endpoint, step.query],
          ["openai", "chat/completions?x=1", { model: "gpt-4o-mini" }]
        )
        assert.isTrue(Redacted.isRedacted(step.headers!["authorization"]))
        assert.strictEqual(step.headers!["x-own"], "1")
      }
    }))

  it.effect("lets an SDK put the provider's own URL before its paths", () =>
    Effect.gen(function*() {
      const stub = StubTransport.make({ body: "{}" })
      const sdk = ProviderHttpClient.make(stub, { slug: "openai", basePath: "v1" }).pipe(
        HttpClient.mapRequest(HttpClientRequest.prependUrl("https://api.openai.com/v1"))
      )
      yield* sdk.execute(post("/responses"))
      assert.strictEqual(stub.sent[0]?.endpoint, "responses")
    }))

  it.effect("cuts off no more than the provider's base path", () =>
    Effect.gen(function*() {
      const stub = StubTransport.make({ body: "{}" })
      const endpoint = (url: string, slug: string, basePath: string) =>
        Effect.map(execute(stub, post(url), { slug, basePath }), () => stub.sent.at(-1)!.endpoint)
      assert.strictEqual(
        yield* endpoint("https://api.groq.com/openai/v1/chat/completions", "groq", "openai/v1"),
        "chat/completions"
      )
      assert.strictEqual(yield* endpoint("https://api.anthropic.com/v1/messages", "anthropic", ""), "v1/messages")
      assert.strictEqual(
        yield* endpoint("https://x/v1beta/models/g:generateContent", "google-ai-studio", ""),
        "v1beta/models/g:generateContent"
      )
    }))

  it.live("stops the provider when the reading of an answer is interrupted", () =>
    Effect.gen(function*() {
      const stub = StubTransport.make({ body: [new TextEncoder().encode("{")], end: "hang" })
      const text = Effect.flatMap(execute(stub, post("http://any/chat/completions")), (response) => response.text)
      const result = yield* Effect.timeoutOption(text, "20 millis")
      assert.isTrue(Option.isNone(result))
      yield* Effect.sleep("5 millis")
      assert.isTrue(stub.cancelled)
    }))

  it.effect("calls an answer JSON only when it is, also when an error kept no more than its start", () =>
    Effect.gen(function*() {
      const long = JSON.stringify({ error: { message: "x".repeat(100_000) } })
      for (const [body, type] of [["{\"error\":1}", "application/json"], [long, "text/plain"]] as const) {
        const response = yield* execute(StubTransport.make({ status: 422, body }), post("http://any/x"))
        assert.deepStrictEqual([response.status, response.headers["content-type"]], [422, type])
      }
      const empty = yield* execute(StubTransport.make({ status: 204, body: "" }), post("http://any/x"))
      assert.deepStrictEqual([empty.status, yield* empty.text], [204, ""])
    }))

  it.effect("shows no key on spans", () =>
    Effect.gen(function*() {
      const seen: Array<unknown> = []
      const tracer = Tracer.make({
        span(options) {
          const span = new Tracer.NativeSpan(options)
          seen.push(span.attributes)
          return span
        }
      })
      const names = ["authorization", "x-goog-api-key", "api-key", "cf-aig-authorization"]
      const request = HttpClientRequest.setHeaders(
        post("http://any/x"),
        Object.fromEntries(names.map((name) => [name, "sk-very-secret"]))
      )
      yield* execute(StubTransport.make({ body: "{}" }), request).pipe(Effect.provideService(Tracer.Tracer, tracer))
      assert.include(inspect(seen, { depth: 5 }), "x-goog-api-key")
      assert.notInclude(inspect(seen, { depth: 5 }), "sk-very-secret")
    }))

  it.effect("gives streams as they come, and answers of any status as answers", () =>
    Effect.gen(function*() {
      const stub = StubTransport.make({ body: StubTransport.split("data: 1\n\ndata: 2\n\n", 9), end: "hang" })
      const response = yield* execute(stub, post("http://any/chat/completions"))
      const first = yield* response.stream.pipe(Stream.take(1), Stream.decodeText, Stream.mkString)
      assert.strictEqual(first, "data: 1\n\n")

      const limited = yield* execute(
        StubTransport.make({
          status: 429,
          body: "{\"error\":{\"message\":\"slow down\"}}",
          headers: { "retry-after": "2" }
        }),
        post("http://any/chat/completions")
      )
      assert.deepStrictEqual([limited.status, limited.headers["retry-after-ms"]], [429, "2000"])
      assert.deepStrictEqual(yield* limited.json, { error: { message: "slow down" } })
    }))

  it.effect("refuses what the gateway cannot carry before anything is sent", () =>
    Effect.gen(function*() {
      const stub = StubTransport.make({ body: "{}" })
      const refused = [
        HttpClientRequest.get("https://api.openai.com/v1/models"),
        HttpClientRequest.post("https://api.openai.com/v1/files").pipe(HttpClientRequest.bodyText("hello")),
        HttpClientRequest.post("https://api.openai.com/v1/files").pipe(HttpClientRequest.bodyFormData(new FormData()))
      ]
      for (const request of refused) {
        const error = yield* Effect.flip(execute(stub, request))
        assert.strictEqual(error.reason._tag, "EncodeError")
      }
      assert.isEmpty(stub.sent)
    }))

  it.effect("is an HttpClient that others build on", () =>
    Effect.gen(function*() {
      const stub = StubTransport.make({ body: "{}", status: 500 })
      const error = yield* HttpClient.HttpClient.pipe(
        Effect.map(HttpClient.filterStatusOk),
        Effect.flatMap((client) => client.execute(post("http://any/x"))),
        Effect.provide(ProviderHttpClient.layer(stub, { slug: "openai", basePath: "" })),
        Effect.flip
      )
      assert.strictEqual(error.reason._tag, "StatusCodeError")
    }))
})
