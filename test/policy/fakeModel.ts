/**
 * A language model in memory that answers with given parts, at the test clock's times.
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Stream from "effect/Stream"
import type * as AiError from "effect/unstable/ai/AiError"
import * as LanguageModel from "effect/unstable/ai/LanguageModel"
import type * as Response from "effect/unstable/ai/Response"
import * as ResponseInfo from "../../src/client/ResponseInfo.ts"

export interface Answer {
  readonly text: string
  readonly usage?: Partial<typeof Response.Usage.Encoded> | undefined
  readonly info?: Partial<ResponseInfo.ResponseInfo> | undefined
  readonly metadata?: { readonly [key: string]: { readonly [name: string]: boolean } } | undefined
  /** More parts before the finish. */
  readonly more?: ReadonlyArray<Response.ToolCallPartEncoded | Response.FilePartEncoded> | undefined
  /** Before the answer, or before each part of a stream. */
  readonly delay?: number | undefined
  /** After its text, in place of the finish. */
  readonly fail?: AiError.AiError | undefined
}

export const usage = (
  input: Partial<(typeof Response.Usage.Encoded)["inputTokens"]>,
  output: Partial<(typeof Response.Usage.Encoded)["outputTokens"]>
): typeof Response.Usage.Encoded => ({
  inputTokens: { uncached: undefined, total: undefined, cacheRead: undefined, cacheWrite: undefined, ...input },
  outputTokens: { total: undefined, text: undefined, reasoning: undefined, ...output }
})

const finishOf = ({ info, metadata, usage: given }: Answer): Response.FinishPartEncoded => ({
  type: "finish",
  reason: "stop",
  usage: { ...usage({}, {}), ...given },
  response: undefined,
  metadata: { ...(info === undefined ? {} : { aiGateway: { ...ResponseInfo.empty, ...info } }), ...metadata }
})

/** Calls are counted in `calls`. */
export const fakeModel = (answer: Effect.Effect<Answer, AiError.AiError>, calls: Array<unknown> = []) =>
  Layer.effect(
    LanguageModel.LanguageModel,
    LanguageModel.make({
      generateText: ({ prompt }) =>
        Effect.gen(function*() {
          calls.push(prompt)
          const given = yield* answer
          if (given.delay !== undefined) yield* Effect.sleep(given.delay)
          if (given.fail !== undefined) return yield* given.fail
          return [{ type: "text" as const, text: given.text }, ...given.more ?? [], finishOf(given)]
        }),
      streamText: ({ prompt }) =>
        Stream.unwrap(Effect.map(answer, (given) => {
          calls.push(prompt)
          const parts: ReadonlyArray<Response.StreamPartEncoded> = [
            { type: "text-start", id: "t" },
            { type: "text-delta", id: "t", delta: given.text },
            ...given.more ?? []
          ]
          const end: ReadonlyArray<Response.StreamPartEncoded> = [{ type: "text-end", id: "t" }, finishOf(given)]
          const all = Stream.concat(
            Stream.fromIterable(parts),
            given.fail === undefined ? Stream.fromIterable(end) : Stream.fail(given.fail)
          ).pipe(Stream.rechunk(1))
          return given.delay === undefined
            ? all
            : Stream.mapEffect(all, (part) => Effect.delay(Effect.succeed(part), given.delay ?? 0))
        }))
    })
  )
