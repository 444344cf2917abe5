/**
 * What guardrails found, and where it is written: on the error of a call that is blocked, on the finish part of others.
 *
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import * as AiError from "effect/unstable/ai/AiError"
import type * as Response from "effect/unstable/ai/Response"
import { unplanned } from "./attempts.ts"
import { markFinal } from "./finalErrors.ts"
import { finishOf, type Parts } from "./stampFinish.ts"

/**
 * What happens with what is found: the call fails, the finding is noted on the answer, or nothing.
 *
 * @category models
 * @since 0.1.0
 */
export type Action = "Block" | "Flag" | "Ignore"

/**
 * What was found, without the text it was found in.
 *
 * A type and not an interface, because only a type is the JSON that the metadata of parts and errors has to be.
 *
 * @category models
 * @since 0.1.0
 */
export type Finding = {
  readonly phase: "prompt" | "answer"
  /** The name of the check. */
  readonly check: string
  /** `unavailable` when the check failed, and that is flagged. */
  readonly category: string
  readonly action: "Block" | "Flag"
}

/**
 * What is written under `guardrails` on a finish part and on an error.
 *
 * @category models
 * @since 0.1.0
 */
export type Report = { readonly findings: Array<Finding> }

declare module "effect/unstable/ai/Response" {
  interface FinishPartMetadata {
    /** What `Guardrails` flagged; absent when there was nothing. */
    readonly guardrails?: Report | null
  }
}

declare module "effect/unstable/ai/AiError" {
  interface ContentPolicyErrorMetadata {
    /** What `Guardrails` blocked the call for. */
    readonly guardrails?: Report | null
  }
}

/**
 * A check that failed, so that nobody knows what is in the text. Its reason is the check's own where that is an `AiError`.
 *
 * @category errors
 * @since 0.1.0
 */
export class ModerationFailed extends AiError.AiError {
  readonly phase: "prompt" | "answer"
  readonly check: string
  /** What the check failed with. */
  readonly failure: Cause.Cause<unknown>

  constructor(options: {
    readonly method: string
    readonly phase: "prompt" | "answer"
    readonly check: string
    readonly failure: Cause.Cause<unknown>
  }) {
    const error = Cause.squash(options.failure)
    super({
      module: "AiGateway",
      method: options.method,
      reason: AiError.isAiError(error)
        ? error.reason
        : new AiError.UnknownError({ description: error instanceof Error ? error.message : String(error) })
    })
    this.phase = options.phase
    this.check = options.check
    this.failure = options.failure
  }

  override get message(): string {
    return `The check ${JSON.stringify(this.check)} of the ${this.phase} failed: ${super.message}`
  }
}

/**
 * What a call was blocked for; undefined for other errors.
 *
 * @category accessors
 * @since 0.1.0
 */
export const findingsOf = (error: unknown): ReadonlyArray<Finding> | undefined =>
  AiError.isAiError(error) && error.reason._tag === "ContentPolicyError"
    ? error.reason.metadata.guardrails?.findings
    : undefined

/**
 * The check that failed, also where its error came by a plan of `Fallback`; undefined for other errors.
 *
 * @category accessors
 * @since 0.1.0
 */
export const failureOf = (error: unknown): ModerationFailed | undefined => {
  const own = unplanned(error)
  return own instanceof ModerationFailed ? own : undefined
}

/**
 * What was flagged in a `generateText` / `generateObject` response, a list of parts, or a finish part itself.
 *
 * @category accessors
 * @since 0.1.0
 */
export const flaggedIn = (response: Parts): ReadonlyArray<Finding> =>
  finishOf(response)?.metadata.guardrails?.findings ?? []

/**
 * The error of a call that is blocked.
 *
 * @category errors
 * @since 0.1.0
 */
export const blocked = (
  method: string,
  phase: "prompt" | "answer",
  findings: ReadonlyArray<Finding>
): AiError.AiError => {
  const names = findings.filter(({ action }) => action === "Block").map(({ category, check }) =>
    `${category} (${check})`
  )
  const error = AiError.make({
    module: "AiGateway",
    method,
    reason: new AiError.ContentPolicyError({
      description: `The ${phase} is blocked by guardrails: ${names.join(", ")}`,
      metadata: { guardrails: { findings: [...findings] } }
    })
  })
  // Another model is given the same prompt, but may give another answer.
  return phase === "prompt" ? markFinal(error) : error
}

/**
 * What a finish part says of findings.
 *
 * @category encoding
 * @since 0.1.0
 */
export const report = (findings: ReadonlyArray<Finding>) => (): Response.FinishPartMetadata =>
  findings.length === 0 ? {} : { guardrails: { findings: [...findings] } }
