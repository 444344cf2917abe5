/**
 * What a call fails with that its budgets keep from being made: a typed error inside of an `AiError`.
 *
 * @since 0.1.0
 */
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Schema from "effect/Schema"
import * as AiError from "effect/unstable/ai/AiError"
import type { BudgetStoreError } from "./BudgetStore.ts"

/**
 * A call that does not fit into a budget any more. Amounts are US dollars.
 *
 * @category errors
 * @since 0.1.0
 */
export class BudgetExceeded
  extends Schema.TaggedError<BudgetExceeded>("effect-ai-gateway/BudgetExceeded")("BudgetExceeded", {
    /** The budget's name. */
    budget: Schema.String,
    /** Whose it is; empty where it is one for all. */
    key: Schema.String,
    limit: Schema.Finite,
    spent: Schema.Finite,
    /** By calls that have not ended. */
    reserved: Schema.Finite,
    /** What this call may cost. */
    estimate: Schema.Finite,
    window: Schema.Duration,
    resetsAt: Schema.DateTimeUtc,
    retryAfter: Schema.Duration
  })
{
  override get message() {
    const { budget, estimate, key, limit, reserved, resetsAt, spent } = this
    return `The budget ${JSON.stringify(budget)}${
      key === "" ? "" : ` of ${JSON.stringify(key)}`
    } has $${spent} spent and ` +
      `$${reserved} reserved of $${limit}, and this call may cost $${estimate}; it resets at ${
        DateTime.formatIso(resetsAt)
      }`
  }
}

/**
 * The same as JSON: `reason.metadata.budget`.
 *
 * A type and not an interface, because only a type is the JSON that metadata has to be.
 *
 * @category models
 * @since 0.1.0
 */
export type Refusal = {
  readonly budget: string
  readonly key: string
  readonly limit: number
  readonly spent: number
  readonly reserved: number
  readonly estimate: number
  readonly windowMillis: number
  /** ISO 8601, in UTC. */
  readonly resetsAt: string
}

declare module "effect/unstable/ai/AiError" {
  interface QuotaExhaustedErrorMetadata {
    /** Of a call that a budget refused. */
    readonly budget?: Refusal | null
  }
}

/**
 * The reason of the `AiError` that a refused call fails with.
 *
 * @category errors
 * @since 0.1.0
 */
export class Refused extends AiError.QuotaExhaustedError {
  readonly exceeded: BudgetExceeded

  constructor(exceeded: BudgetExceeded) {
    const { budget, estimate, key, limit, reserved, resetsAt, spent, window } = exceeded
    super({
      resetAt: resetsAt,
      metadata: {
        budget: {
          budget,
          key,
          limit,
          spent,
          reserved,
          estimate,
          windowMillis: Duration.toMillis(window),
          resetsAt: DateTime.formatIso(resetsAt)
        }
      }
    })
    this.exceeded = exceeded
  }

  override get message(): string {
    return this.exceeded.message
  }
}

/**
 * The reason of the `AiError` that a call fails with when its budgets could not be checked.
 *
 * @category errors
 * @since 0.1.0
 */
export class Unchecked extends AiError.InternalProviderError {
  readonly failure: BudgetStoreError

  constructor(failure: BudgetStoreError) {
    super({ description: failure.message })
    this.failure = failure
  }
}

/**
 * The budget's refusal in an error, if it is one.
 *
 * @category accessors
 * @since 0.1.0
 */
export const exceededOf = (error: unknown): BudgetExceeded | undefined =>
  AiError.isAiError(error) && error.reason instanceof Refused ? error.reason.exceeded : undefined

/**
 * The store's failure in an error, if it is one.
 *
 * @category accessors
 * @since 0.1.0
 */
export const storeErrorOf = (error: unknown): BudgetStoreError | undefined =>
  AiError.isAiError(error) && error.reason instanceof Unchecked ? error.reason.failure : undefined
