/**
 * A model that answers what a test says, and counts how often it was asked.
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Stream from "effect/Stream"
import * as AiError from "effect/unstable/ai/AiError"
import * as LanguageModel from "effect/unstable/ai/LanguageModel"
import type * as Response from "effect/unstable/ai/Response"

export interface Scripted {
  /** How often it was asked, streams included. */
  calls: number
  readonly layer: Layer.Layer<LanguageModel.LanguageModel>
}

interface Script {
  /** The call counts from 0. */
  readonly text?: (
    call: number,
    options: LanguageModel.ProviderOptions
  ) => Effect.Effect<Array<Response.PartEncoded>, AiError.AiError>
  readonly stream?: (
    call: number,
    options: LanguageModel.ProviderOptions
  ) => Stream.Stream<Response.StreamPartEncoded, AiError.AiError>
}

export const make = ({ stream, text }: Script = {}): Scripted => {
  const scripted: Scripted = {
    calls: 0,
    layer: Layer.effect(
      LanguageModel.LanguageModel,
      LanguageModel.make({
        generateText: (options) =>
          Effect.suspend(() => {
            const call = scripted.calls++
            return text?.(call, options) ?? Effect.succeed(textParts(`answer ${call}`))
          }),
        streamText: (options) =>
          Stream.suspend(() => {
            const call = scripted.calls++
            return stream?.(call, options) ?? Stream.fromArrays(...streamParts(`answer ${call}`))
          })
      })
    )
  }
  return scripted
}

const usage = { inputTokens: { total: 3 }, outputTokens: { total: 2 } }

export const finish = (reason: Response.FinishReason = "stop"): Response.FinishPartEncoded => ({
  type: "finish",
  reason,
  usage
})

export const textParts = (text: string): Array<Response.PartEncoded> => [
  { type: "response-metadata", id: "r1", modelId: "m1" },
  { type: "text", text, metadata: { test: { at: 1 } } },
  finish()
]

/** In groups, as a network gives them. */
export const streamParts = (text: string): ReadonlyArray<ReadonlyArray<Response.StreamPartEncoded>> => [
  [{ type: "response-metadata", id: "r1", modelId: "m1" }, { type: "text-start", id: "t1" }, {
    type: "text-delta",
    id: "t1",
    delta: text
  }],
  [{ type: "text-delta", id: "t1", delta: "," }, { type: "text-delta", id: "t1", delta: " and" }],
  [{ type: "text-delta", id: "t1", delta: " more" }, { type: "text-end", id: "t1" }],
  [finish()]
]

/** A new one each time, since errors are marked. */
export const overloaded = () =>
  AiError.make({
    module: "Test",
    method: "generateText",
    reason: new AiError.InternalProviderError({ description: "overloaded" })
  })
