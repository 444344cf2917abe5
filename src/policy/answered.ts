/**
 * What an answer says of itself, read from its parts as they come: who gave it, what it used, how it ended. And what the
 * gateway says of one that failed.
 *
 * @since 0.1.0
 */
import * as AiError from "effect/unstable/ai/AiError"
import * as Response from "effect/unstable/ai/Response"
import * as ResponseInfo from "../client/ResponseInfo.ts"
import type { FailureInfo } from "../model/AiErrors.ts"

/**
 * What is known so far; `finish` is there once the answer is whole.
 *
 * @category models
 * @since 0.1.0
 */
export interface Answered {
  /** Slug of the provider, as the gateway names it; undefined for models that are not behind one. */
  provider: string | undefined
  /** The model that answered, as the gateway or else the provider names it. */
  model: string | undefined
  finish: Response.FinishPart | undefined
  /** It came from the gateway's cache or from `ResponseCache`: nothing was paid for it. */
  cached: boolean
}

/**
 * Nothing known yet.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (): Answered => ({ provider: undefined, model: undefined, finish: undefined, cached: false })

/**
 * Reads parts of an answer; what is no response part is passed over.
 *
 * @category combinators
 * @since 0.1.0
 */
export const note = (answered: Answered, parts: ReadonlyArray<unknown>): void => {
  for (const part of parts) {
    if (!Response.isPart(part)) continue
    if (isReplayed(part)) answered.cached = true
    if (part.type === "response-metadata") answered.model ??= part.modelId
    else if (part.type === "finish") {
      const { cacheStatus, model, provider } = ResponseInfo.of(part)
      if (cacheStatus === "HIT") answered.cached = true
      answered.finish = part
      answered.model = model ?? answered.model
      answered.provider = provider ?? answered.provider
    }
  }
}

/**
 * Of a whole answer.
 *
 * @category constructors
 * @since 0.1.0
 */
export const of = (response: { readonly content: ReadonlyArray<unknown> }): Answered => {
  const answered = make()
  note(answered, response.content)
  return answered
}

/**
 * Of an error; undefined where it did not come from the gateway.
 *
 * @category getters
 * @since 0.1.0
 */
export const failureInfoOf = (error: unknown): FailureInfo | undefined => {
  if (!AiError.isAiError(error)) return undefined
  // Which reasons can have it is declared where it is written; not every one of Effect's has metadata.
  const info = "metadata" in error.reason ? error.reason.metadata?.["aiGateway"] : undefined
  return isFailureInfo(info) ? info : undefined
}

/** `ResponseCache` says so on the first part of a stream, too, for who leaves it before its end. */
const isReplayed = ({ metadata }: { readonly metadata: { readonly [key: string]: unknown } }): boolean => {
  const info = metadata["responseCache"]
  return typeof info === "object" && info !== null && "cached" in info && info.cached === true
}

const isFailureInfo = (info: unknown): info is FailureInfo =>
  typeof info === "object" && info !== null && "provider" in info && "status" in info
