/**
 * What hooks are told of a call: facts by default, and texts only where they are asked for.
 *
 * @since 0.1.0
 */
import type * as Duration from "effect/Duration"
import type * as Prompt from "effect/unstable/ai/Prompt"
import type * as Response from "effect/unstable/ai/Response"

/**
 * A call of the model.
 *
 * @category models
 * @since 0.1.0
 */
export interface RequestEvent {
  /** The same in all hooks of a call. */
  readonly id: string
  readonly method: "generateText" | "generateObject" | "streamText"
  /** Only with `content: true`. */
  readonly prompt?: Prompt.Prompt | undefined
}

/**
 * One part of a stream.
 *
 * @category models
 * @since 0.1.0
 */
export interface PartEvent extends RequestEvent {
  readonly type: Response.AnyPart["type"]
  /** 0 for the first part. */
  readonly index: number
  /** Since the call. */
  readonly duration: Duration.Duration
  /** Only with `content: true`. */
  readonly part?: Response.AnyPart | undefined
}

/**
 * A call that has ended, with what is known of the answer.
 *
 * @category models
 * @since 0.1.0
 */
export interface EndEvent extends RequestEvent {
  readonly duration: Duration.Duration
  /** Slug of the provider, as the gateway names it. */
  readonly provider: string | undefined
  /** The model that answered. */
  readonly model: string | undefined
  readonly usage: Response.Usage | undefined
  readonly finishReason: Response.FinishReason | undefined
  /** Id of the gateway's log entry. */
  readonly logId: string | undefined
  /** From the gateway's cache, or from one whose policy says so on the finish part. */
  readonly cached: boolean
  /** What the `cost` option says. */
  readonly cost: number | undefined
}

/**
 * A whole answer.
 *
 * @category models
 * @since 0.1.0
 */
export interface ResponseEvent extends EndEvent {
  /** Only with `content: true`. */
  readonly content?: ReadonlyArray<Response.AnyPart> | undefined
}

/**
 * A failure. Its message is in `error` alone, since providers quote prompts and answers in theirs.
 *
 * @category models
 * @since 0.1.0
 */
export interface ErrorEvent extends EndEvent {
  /**
   * The tag of the `AiError`'s reason, such as `RateLimitError`; else of the error itself; `Incomplete` for a stream that
   * ended without its finish part, `Defect` for a defect.
   */
  readonly reason: string
  readonly isRetryable: boolean
  /** HTTP status, where there was an answer. */
  readonly status: number | undefined
  /** Cloudflare's code, such as 2003. */
  readonly code: number | undefined
  /** Only with `content: true`. */
  readonly error?: unknown
}
