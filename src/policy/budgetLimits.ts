/**
 * The limits of a layer's budgets: which account of the store a call belongs to, and what a call is told that does not fit.
 *
 * @since 0.1.0
 */
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import type * as AiError from "effect/unstable/ai/AiError"
import { dollars, nanos } from "../model/pricing.ts"
import { BudgetExceeded } from "./budgetErrors.ts"
import type { Account } from "./BudgetStore.ts"
import { invalidOption } from "./finalErrors.ts"
import type { Call } from "./metered.ts"

/**
 * One limit.
 *
 * @category models
 * @since 0.1.0
 */
export interface Budget {
  /** What it is called in errors and in the store; each of a layer has its own. */
  readonly name: string
  /** US dollars in each window, from 0 to 9 million. */
  readonly limit: number
  /** Windows follow one another without a gap, from 1970 on: `1 day` begins at midnight UTC. From a second to a hundred years. */
  readonly window: Duration.Input
  /**
   * Whose budget it is: the value of this `RequestOptions` metadata key, or what the function says; one for all by default.
   *
   * Calls without the metadata share one. A function that gives `undefined` leaves the call out of the budget.
   */
  readonly key?: string | ((call: Call) => string | undefined) | undefined
}

/**
 * A budget whose numbers are read.
 *
 * @category models
 * @since 0.1.0
 */
export interface Limit {
  readonly budget: Budget
  readonly nanos: number
  /** Milliseconds. */
  readonly window: number
}

/**
 * Reads a budget's numbers.
 *
 * @category constructors
 * @since 0.1.0
 */
export const limitOf = (method: string, where: string, budget: Budget): Result.Result<Limit, AiError.AiError> => {
  const wrong = (field: "limit" | "window", accepted: string) =>
    Result.fail(invalidOption({ method, parameter: `${where}.${field}`, accepted, value: budget[field] }))
  if (!isAmount(budget.limit)) return wrong("limit", amount)
  const window = Option.getOrUndefined(Duration.fromInput(budget.window))
  const millis = window === undefined ? 0 : Duration.toMillis(window)
  // Of longer ones the end is no date.
  if (!(millis >= 1000 && millis <= 36_525 * 86_400_000)) {
    return wrong("window", "a duration from a second to a hundred years")
  }
  return Result.succeed({ budget, nanos: nanos(budget.limit), window: Math.round(millis) })
}

/**
 * Whose budget it is of a call; undefined where the call is in none.
 *
 * @category getters
 * @since 0.1.0
 */
export const keyOf = ({ key = () => "" }: Budget, call: Call): string | undefined => {
  if (typeof key === "function") return key(call)
  return Object.hasOwn(call.metadata, key) ? String(call.metadata[key] ?? "") : ""
}

/**
 * The account of the window that runs now.
 *
 * @category getters
 * @since 0.1.0
 */
export const accountOf = ({ budget, window }: Limit, key: string, now: number): Account => ({
  name: `${encodeURIComponent(budget.name)}:${window}:${key}`,
  resetsAt: (Math.floor(now / window) + 1) * window
})

/**
 * What a call that does not fit is told.
 *
 * @category errors
 * @since 0.1.0
 */
export const exceeded = ({ budget, window }: Limit, key: string, found: {
  readonly account: Account
  readonly spent: number
  readonly reserved: number
  readonly estimate: number
  readonly now: number
}): BudgetExceeded =>
  new BudgetExceeded({
    budget: budget.name,
    key,
    limit: budget.limit,
    spent: dollars(found.spent),
    reserved: dollars(found.reserved),
    estimate: dollars(found.estimate),
    window: Duration.millis(window),
    resetsAt: DateTime.makeUnsafe(found.account.resetsAt),
    retryAfter: Duration.millis(found.account.resetsAt - found.now)
  })

/**
 * What amounts there are.
 *
 * @category validation
 * @since 0.1.0
 */
export const amount = "an amount of dollars from 0 to 9 million"

/**
 * Whether it is one.
 *
 * @category guards
 * @since 0.1.0
 */
export const isAmount = (value: number): boolean => value >= 0 && value <= 9e6
