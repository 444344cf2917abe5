/**
 * Our own client's models over HTTP, without a key and with nothing behind the gateway: text, streams, tools and objects of
 * every provider that the simulated model stands in for.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import * as EmbeddingModel from "effect/unstable/ai/EmbeddingModel"
import * as LanguageModel from "effect/unstable/ai/LanguageModel"
import * as Prompt from "effect/unstable/ai/Prompt"
import * as Tool from "effect/unstable/ai/Tool"
import * as Toolkit from "effect/unstable/ai/Toolkit"
import * as FetchHttpClient from "effect/unstable/http/FetchHttpClient"
import * as AiGatewayHttp from "../../src/AiGatewayHttp.ts"
import * as ResponseInfo from "../../src/client/ResponseInfo.ts"
import * as LocalGateway from "../../src/local/LocalGateway.ts"
import type * as GatewayModel from "../../src/model/GatewayModel.ts"

const models: { readonly [name: string]: GatewayModel.Options } = {
  "openai, chat completions": { provider: "openai", model: "gpt-4o-mini" },
  "openai, responses": { provider: "openai", api: "responses", model: "gpt-5" },
  anthropic: { provider: "anthropic", model: "claude-sonnet-4-5" },
  "anthropic, objects by a tool": { provider: "anthropic", model: "claude-3-7-sonnet-20250219" },
  "google-ai-studio": { provider: "google-ai-studio", model: "gemini-2.5-flash" },
  groq: { provider: "groq", model: "llama-3.3-70b-versatile" },
  "mistral, usage unasked": { provider: "mistral", model: "mistral-large-latest" },
  "deepseek, objects by the prompt": { provider: "deepseek", model: "deepseek-chat" },
  grok: { provider: "grok", model: "grok-4.3" },
  openrouter: { provider: "openrouter", model: "anthropic/claude-sonnet-4.5" },
  cerebras: { provider: "cerebras", model: "llama-3.3-70b" },
  fireworks: { provider: "fireworks", model: "accounts/fireworks/models/llama-v3p1-8b-instruct" },
  baseten: { provider: "baseten", model: "deepseek-ai/DeepSeek-V3" },
  huggingface: { provider: "huggingface", model: "meta-llama/Llama-3.1-8B-Instruct" },
  "azure-openai": { provider: "azure-openai", model: "my-resource/my-gpt-4o" },
  "anthropic through compat": { provider: "compat", model: "anthropic/claude-sonnet-4-5" },
  "google through compat": { provider: "compat", model: "google-ai-studio/gemini-2.5-flash" }
}

const toolkit = Toolkit.make(Tool.make("GetWeather", {
  description: "Gets the weather of a city",
  parameters: Schema.Struct({ city: Schema.String }),
  success: Schema.Struct({ celsius: Schema.Number })
}))
const handlers = toolkit.toLayer({ GetWeather: () => Effect.succeed({ celsius: 21 }) })

const connect = Effect.gen(function*() {
  const { accountId, token, url } = yield* LocalGateway.LocalGateway
  return yield* AiGatewayHttp.make({ accountId, gatewayId: "default", token, baseUrl: url })
}).pipe(Effect.provide(FetchHttpClient.layer))

describe("a model without a key, simulated", () => {
  for (const [name, options] of Object.entries(models)) {
    it.live(name, () =>
      Effect.gen(function*() {
        const client = yield* connect
        const model = client.model(options)
        const hello = { prompt: "say hello" } as const
        const whole = yield* LanguageModel.generateText(hello).pipe(Effect.provide(model))
        assert.include(whole.text, "say hello")
        assert.include(whole.text, "simulated answer")
        assert.strictEqual(whole.finishReason, "stop")
        assert.isAbove(whole.usage.outputTokens.total ?? 0, 0)
        const parts = yield* LanguageModel.streamText(hello).pipe(Stream.provide(model), Stream.runCollect)
        const deltas = parts.flatMap((part) => part.type === "text-delta" ? [part.delta] : [])
        assert.strictEqual(deltas.join(""), whole.text)
        assert.isAbove(deltas.length, 5)
        const log = yield* client.getLog(ResponseInfo.of(parts).logId ?? "none")
        assert.strictEqual(log.tokensOut, whole.usage.outputTokens.total)

        const call = { prompt: "What is the weather in Oslo?", toolkit } as const
        const first = yield* LanguageModel.generateText(call).pipe(Effect.provide([model, handlers]))
        assert.deepStrictEqual(first.toolCalls.map(({ name, params }) => [name, params]), [[
          "GetWeather",
          { city: "Oslo" }
        ]])
        const history = Prompt.concat(Prompt.make(call.prompt), Prompt.fromResponseParts(first.content))
        const second = yield* LanguageModel.generateText({ prompt: history, toolkit }).pipe(
          Effect.provide([model, handlers])
        )
        assert.include(second.text, "GetWeather answered {\"celsius\":21}")
        const streamed = yield* LanguageModel.streamText(call).pipe(
          Stream.provide(model),
          Stream.provide(handlers),
          Stream.runCollect
        )
        assert.deepStrictEqual(
          streamed.flatMap((part) => part.type === "tool-result" ? [part.result] : []),
          [{ celsius: 21 }]
        )

        const object = yield* LanguageModel.generateObject({
          prompt: "a trip to Oslo for 3 days",
          objectName: "trip",
          schema: Schema.Struct({ city: Schema.String, days: Schema.Int })
        }).pipe(Effect.provide(model))
        assert.deepStrictEqual(object.value, { city: "Oslo", days: 3 })
      }).pipe(Effect.provide(LocalGateway.layerTest)))
  }

  it.live("embeds on the wires of OpenAI, Google and Mistral", () =>
    Effect.gen(function*() {
      const client = yield* connect
      for (
        const model of [
          "openai/text-embedding-3-small",
          "google-ai-studio/gemini-embedding-001",
          "mistral/codestral-embed"
        ]
      ) {
        const { embeddings } = yield* Effect.flatMap(
          EmbeddingModel.EmbeddingModel,
          (model) => model.embedMany(["one fish", "two fish"])
        ).pipe(Effect.provide(client.embeddingModel({ model, dimensions: 48 })))
        assert.deepStrictEqual(embeddings.map(({ vector }) => vector.length), [48, 48], model)
        assert.notDeepEqual(embeddings[0]?.vector, embeddings[1]?.vector)
      }
    }).pipe(Effect.provide(LocalGateway.layerTest)))
})
