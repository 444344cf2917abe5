/**
 * Which models of a plan were asked: in the answer's finish part, and in the error when all failed.
 *
 * @since 0.1.0
 */
import * as AiError from "effect/unstable/ai/AiError"
import { isFinal, markFinal } from "./finalErrors.ts"
import { finishOf, type Parts } from "./stampFinish.ts"
import { partsOf, withhold } from "./withheld.ts"

/**
 * A model that was asked, and the tag of the error's reason if it failed: `RateLimitError`, `NetworkError`, ...
 *
 * Types and not interfaces, because only types are the JSON that the metadata of parts has to be.
 *
 * @category models
 * @since 0.1.0
 */
export type Attempted = {
  readonly model: string
  readonly error: string | null
}

/**
 * What a plan says of an answer: the name of the model that gave it, and all that were asked, oldest first.
 *
 * @category models
 * @since 0.1.0
 */
export type Served = {
  readonly model: string
  readonly attempted: ReadonlyArray<Attempted>
}

declare module "effect/unstable/ai/Response" {
  interface FinishPartMetadata {
    /** Of an answer that came by a plan of `Fallback`. */
    readonly fallback?: Served | null
  }
}

/**
 * A model that was asked and failed.
 *
 * @category models
 * @since 0.1.0
 */
export interface Failed {
  readonly name: string
  readonly error: AiError.AiError
}

/**
 * The last model's error, which also says what the models before it failed with.
 *
 * @category errors
 * @since 0.1.0
 */
export class PlanFailed extends AiError.AiError {
  readonly attempts: ReadonlyArray<Failed>

  constructor(error: AiError.AiError, attempts: ReadonlyArray<Failed>) {
    super({ module: error.module, method: error.method, reason: error.reason })
    this.attempts = attempts
    if (isFinal(error)) markFinal(this)
    const kept = partsOf(error)
    if (kept !== undefined) withhold(this, kept)
  }

  override get message(): string {
    const names = this.attempts.map(({ error, name }) => `${name} (${error.reason._tag})`)
    return `${super.message}. Models asked: ${names.join(", ")}`
  }
}

/**
 * Which models failed, oldest first, and with what; none if the error did not come by a plan.
 *
 * @category accessors
 * @since 0.1.0
 */
export const attemptsOf = (error: unknown): ReadonlyArray<Failed> => error instanceof PlanFailed ? error.attempts : []

/**
 * The error as its own policy made it: that of the last model where it came by a plan.
 *
 * @category accessors
 * @since 0.1.0
 */
export const unplanned = (error: unknown): unknown => {
  const last = attemptsOf(error).at(-1)
  return last === undefined ? error : unplanned(last.error)
}

/**
 * Which models were asked for an answer, oldest first; the last one gave it. None if it did not come by a plan, or has not
 * ended yet.
 *
 * Takes a `generateText` / `generateObject` response, a list of parts, or a finish part itself.
 *
 * @category accessors
 * @since 0.1.0
 */
export const attempted = (response: Parts): ReadonlyArray<Attempted> =>
  finishOf(response)?.metadata.fallback?.attempted ?? []
