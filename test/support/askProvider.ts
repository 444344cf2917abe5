/**
 * What a provider's model does, as one report: the same program runs in Node over HTTP, and inside workerd.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import type * as AiError from "effect/unstable/ai/AiError"
import * as LanguageModel from "effect/unstable/ai/LanguageModel"
import * as Prompt from "effect/unstable/ai/Prompt"
import * as Tool from "effect/unstable/ai/Tool"
import * as Toolkit from "effect/unstable/ai/Toolkit"
import type { AiGatewayClient } from "../../src/AiGatewayClient.ts"
import * as ResponseInfo from "../../src/client/ResponseInfo.ts"
import type * as GatewayModel from "../../src/model/GatewayModel.ts"

export const key = "sk-test-0123456789"
const apiKey = Redacted.make(key)

export const models: { readonly [name: string]: GatewayModel.Options } = {
  "openai, chat completions": { provider: "openai", model: "gpt-4o-mini", apiKey },
  "openai, responses": { provider: "openai", api: "responses", model: "gpt-5", apiKey },
  anthropic: { provider: "anthropic", model: "claude-sonnet-4-5", apiKey },
  "google-ai-studio": { provider: "google-ai-studio", model: "gemini-2.5-flash", apiKey },
  "aws-bedrock": { provider: "aws-bedrock", model: "us.anthropic.claude-sonnet-4-5-20250929-v1:0", apiKey },
  "groq, by one name": { model: "groq/llama-3.3-70b-versatile", apiKey }
}

const Weather = Tool.make("GetWeather", {
  description: "Gets the weather of a city",
  parameters: Schema.Struct({ city: Schema.String }),
  success: Schema.Struct({ celsius: Schema.Number })
})
const toolkit = Toolkit.make(Weather)
const handlers = toolkit.toLayer({ GetWeather: () => Effect.succeed({ celsius: 21 }) })

const Trip = Schema.Struct({ city: Schema.String, days: Schema.Int })

const described = (error: AiError.AiError) => ({
  reason: error.reason._tag,
  retryable: error.isRetryable,
  retryAfter: error.retryAfter === undefined ? null : Duration.toSeconds(error.retryAfter)
})

export const askProvider = (client: AiGatewayClient, name: string) =>
  Effect.gen(function*() {
    const model = client.model(models[name]!)
    const whole = yield* LanguageModel.generateText({ prompt: "say hello" }).pipe(Effect.provide(model))
    const parts = yield* LanguageModel.streamText({ prompt: "say hello" }).pipe(
      Stream.provide(model),
      Stream.runCollect
    )
    const last = parts.at(-1)

    const call = { prompt: "weather in Oslo", toolkit } as const
    const first = yield* LanguageModel.generateText(call).pipe(Effect.provide(model), Effect.provide(handlers))
    const history = Prompt.concat(Prompt.make(call.prompt), Prompt.fromResponseParts(first.content))
    const second = yield* LanguageModel.generateText({ prompt: history, toolkit }).pipe(
      Effect.provide(model),
      Effect.provide(handlers)
    )
    const toolStream = yield* LanguageModel.streamText(call).pipe(
      Stream.provide(model),
      Stream.provide(handlers),
      Stream.runCollect
    )
    const object = yield* LanguageModel.generateObject({ prompt: "trip", objectName: "trip", schema: Trip }).pipe(
      Effect.provide(model)
    )
    return {
      text: whole.text,
      finishReason: whole.finishReason,
      streamed: parts.map((part) => part.type === "text-delta" ? part.delta : "").join(""),
      deltas: parts.filter((part) => part.type === "text-delta").length,
      streamedReason: last?.type === "finish" ? last.reason : null,
      log: yield* client.getLog(ResponseInfo.of(parts).logId ?? "none"),
      toolResults: first.toolResults.map(({ name, result }) => ({ name, result })),
      toolReason: first.finishReason,
      nextTurn: second.text,
      streamedToolResults: toolStream.flatMap((part) => part.type === "tool-result" ? [part.result] : []),
      object: object.value,
      failure: described(
        yield* Effect.flip(LanguageModel.generateText({ prompt: "fail" }).pipe(Effect.provide(model)))
      ),
      streamFailure: described(
        yield* Effect.flip(LanguageModel.streamText({ prompt: "fail" }).pipe(Stream.provide(model), Stream.runDrain))
      )
    }
  })

export type Report = Effect.Success<ReturnType<typeof askProvider>>
