/**
 * Every provider's wire, end to end: our client, over HTTP and over the genuine `env.AI` of workerd; the local gateway;
 * and behind it an independent simulator of the providers (`@copilotkit/aimock`).
 */
import { LLMock } from "@copilotkit/aimock"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as EmbeddingModel from "effect/unstable/ai/EmbeddingModel"
import * as FetchHttpClient from "effect/unstable/http/FetchHttpClient"
import { afterAll, beforeAll } from "vitest"
import * as AiGatewayHttp from "../../src/AiGatewayHttp.ts"
import * as LocalGateway from "../../src/local/LocalGateway.ts"
import { askProvider, key, models, type Report } from "../support/askProvider.ts"
import * as workerd from "../support/workerd.ts"

const mock = new LLMock({ port: 0, chunkSize: 8 })
beforeAll(async () => {
  mock.onMessage(/^say hello/, { content: "Hello, 世界! This is a streamed answer." })
  mock.onMessage(/^fail/, { error: { message: "slow down", type: "rate_limit_error" }, status: 429, retryAfter: 3 })
  mock.onMessage(/^trip/, { content: "{\"city\":\"Oslo\",\"days\":3}" })
  mock.addFixture({
    match: { predicate: (request) => request.messages.at(-1)?.role === "tool" },
    response: { content: "It is 21 degrees in Oslo." }
  })
  mock.onMessage(/^weather/, {
    toolCalls: [{ id: "call_weather", name: "GetWeather", arguments: "{\"city\":\"Oslo\"}" }]
  })
  mock.addFixture({ match: { inputText: /./ }, response: { embedding: [0.1, 0.2, 0.3] } })
  await mock.start()
})
afterAll(() => mock.stop())

const gateway = Effect.suspend(() =>
  LocalGateway.make({
    pause: 0,
    upstreams: {
      openai: `${mock.url}/v1`,
      groq: `${mock.url}/v1`,
      anthropic: mock.url,
      "google-ai-studio": mock.url,
      "aws-bedrock": mock.url
    }
  })
).pipe(Effect.tap((gateway) => workerd.declare(gateway, "contract")))

const http = Effect.gen(function*() {
  const { accountId, token, url } = yield* gateway
  return yield* AiGatewayHttp.make({ accountId, gatewayId: "contract", token, baseUrl: url })
}).pipe(Effect.provide(FetchHttpClient.layer))

const overHttp = Effect.map(
  http,
  (client) => (name: string) =>
    Effect.map(askProvider(client, name), (report): Report => JSON.parse(JSON.stringify(report)))
)

const overEnvAi = Effect.gen(function*() {
  const url = yield* workerd.start("exerciseWorker.ts", yield* gateway)
  return (name: string) => workerd.ask<Report>(url, `?provider=${encodeURIComponent(name)}`)
})

for (const [transport, connect] of [["HTTP", overHttp], ["the genuine env.AI of workerd", overEnvAi]] as const) {
  describe(`models over ${transport}`, () => {
    it.live(
      "say the same whole and in a stream, run tools, make objects, and fail with the provider's reason",
      () =>
        Effect.gen(function*() {
          const ask = yield* connect
          for (const name of Object.keys(models)) {
            const report = yield* ask(name)
            assert.strictEqual(report.text, "Hello, 世界! This is a streamed answer.", name)
            assert.strictEqual(report.streamed, report.text, name)
            assert.isAbove(report.deltas, 2, name)
            assert.deepStrictEqual([report.finishReason, report.streamedReason], ["stop", "stop"], name)

            assert.deepInclude(report.log, { statusCode: 200, success: true }, name)
            assert.notInclude(JSON.stringify(report), key, name)

            assert.deepStrictEqual(report.toolResults, [{ name: "GetWeather", result: { celsius: 21 } }], name)
            assert.strictEqual(report.toolReason, "tool-calls", name)
            assert.strictEqual(report.nextTurn, "It is 21 degrees in Oslo.", name)
            assert.deepStrictEqual(report.streamedToolResults, [{ celsius: 21 }], name)

            assert.deepStrictEqual(report.object, { city: "Oslo", days: 3 }, name)

            const limited = { reason: "RateLimitError" as const, retryable: true, retryAfter: 3 }
            assert.deepStrictEqual(report.failure, limited, name)
            assert.deepStrictEqual(report.streamFailure, limited, name)
          }
        }).pipe(Effect.scoped),
      60_000
    )
  })
}

describe("embeddings", () => {
  it.live("come from OpenAI through the gateway", () =>
    Effect.gen(function*() {
      const client = yield* http
      const { embeddings } = yield* Effect.flatMap(
        EmbeddingModel.EmbeddingModel,
        (model) => model.embedMany(["one", "two"])
      ).pipe(Effect.provide(client.embeddingModel({ model: "openai/text-embedding-3-small", dimensions: 3 })))
      assert.deepStrictEqual(embeddings.map(({ vector }) => vector), [[0.1, 0.2, 0.3], [0.1, 0.2, 0.3]])
    }).pipe(Effect.scoped))
})
