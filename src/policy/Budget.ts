/**
 * How much model calls may cost: per window of time, and in it per user, team or whatever a call's metadata says.
 *
 * A call first reserves what it may cost - its prompt's tokens, estimated, and as many as it may answer with - and is refused
 * where that does not fit; when it has ended it settles what it did cost. So calls at the same time overspend only by what
 * they cost more than their estimates. A stream that is cut or left is billed for what came.
 *
 * **Example** (A dollar a day for each user, and a hundred for all)
 *
 * ```ts
 * import * as Effect from "effect/Effect"
 * import * as LanguageModel from "effect/unstable/ai/LanguageModel"
 * import { type AiGatewayClient, RequestOptions } from "effect-ai-gateway"
 * import * as Budget from "effect-ai-gateway/Budget"
 * import * as BudgetStore from "effect-ai-gateway/BudgetStore"
 * import { bundled } from "effect-ai-gateway/prices"
 *
 * const answer = <R>(client: AiGatewayClient<R>, user: string) =>
 *   LanguageModel.generateText({ prompt: "What is Effect?" }).pipe(
 *     RequestOptions.withOptions({ metadata: { user } }),
 *     Effect.map((response) => response.text),
 *     Effect.catch((error) => {
 *       const exceeded = Budget.exceededOf(error)
 *       return exceeded === undefined ? Effect.fail(error) : Effect.succeed(`Come back at ${exceeded.resetsAt}.`)
 *     }),
 *     Effect.provide(
 *       client.model({ provider: "openai", model: "gpt-5" }).pipe(Budget.layer({
 *         pricing: bundled,
 *         budgets: [
 *           { name: "user", key: "user", limit: 1, window: "1 day" },
 *           { name: "all", limit: 100, window: "1 day" }
 *         ]
 *       }))
 *     )
 *   )
 *
 * // One store for all answers: around each of them it would begin anew.
 * export const answers = <R>(client: AiGatewayClient<R>, users: ReadonlyArray<string>) =>
 *   Effect.forEach(users, (user) => answer(client, user)).pipe(Effect.provide(BudgetStore.layerMemory))
 * ```
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import { dual } from "effect/Function"
import type * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import * as AiError from "effect/unstable/ai/AiError"
import type * as LanguageModel from "effect/unstable/ai/LanguageModel"
import { costOf, dollars, named, nanos, type Pricing, problemOf } from "../model/pricing.ts"
import { aroundModel, type Policy } from "./aroundModel.ts"
import { Refused, Unchecked } from "./budgetErrors.ts"
import { accountOf, amount, type Budget, exceeded, isAmount, keyOf, type Limit, limitOf } from "./budgetLimits.ts"
import { type Account, BudgetStore, BudgetStoreError } from "./BudgetStore.ts"
import { invalidOption } from "./finalErrors.ts"
import { type Call, metered, type Restore } from "./metered.ts"
import { layerAround, type PolicyLayer, refusing } from "./policyLayer.ts"
import * as tokenEstimate from "./tokenEstimate.ts"

export type { Price, Pricing } from "../model/pricing.ts"
export { BudgetExceeded, exceededOf, type Refusal, storeErrorOf } from "./budgetErrors.ts"
export type { Budget } from "./budgetLimits.ts"
export type { Call } from "./metered.ts"

/**
 * @category models
 * @since 0.1.0
 */
export interface Options {
  /** All of them hold; the first that a call does not fit into refuses it. */
  readonly budgets: ReadonlyArray<Budget>
  /** The user's own table, or `bundled` of `effect-ai-gateway/prices`. */
  readonly pricing: Pricing
  /** `provider/model`, one or all that may answer: for a plan of several models, and for those of other packages. */
  readonly model?: string | ReadonlyArray<string> | undefined
  /** Tokens that an answer is taken to have, where `Parameters` around the call do not limit them; 1,024 by default. */
  readonly maxTokens?: number | undefined
  /** Dollars that a call may cost, in place of the estimate; with it models need no price. */
  readonly estimate?: ((call: Call) => number) | undefined
  /** Counts the tokens of a text; by default a quarter of its characters, all of Chinese. */
  readonly countTokens?: tokenEstimate.CountTokens | undefined
  /** What becomes of a call when the store fails: refused by default, or let through with a warning. */
  readonly onStoreFailure?: "refuse" | "allow" | undefined
  /** How long the store may take; 5 seconds by default. */
  readonly patience?: Duration.Input | undefined
}

/**
 * What is left of a budget, in US dollars.
 *
 * @category models
 * @since 0.1.0
 */
export interface Balance {
  readonly limit: number
  readonly spent: number
  /** By calls that have not ended. */
  readonly reserved: number
  /** Not below 0. */
  readonly remaining: number
  readonly resetsAt: DateTime.Utc
}

/**
 * What is left of a budget in the window that runs now.
 *
 * @category accessors
 * @since 0.1.0
 */
export const balance = (
  budget: Budget,
  key = ""
): Effect.Effect<Balance, AiError.AiError | BudgetStoreError, BudgetStore> =>
  Effect.gen(function*() {
    const limit = yield* Effect.fromResult(limitOf("Budget.balance", "budget", budget))
    const store = yield* BudgetStore
    const account = accountOf(limit, key, yield* Clock.currentTimeMillis)
    const { reserved, spent } = yield* store.balance(account)
    return {
      limit: budget.limit,
      spent: dollars(spent),
      reserved: dollars(reserved),
      remaining: dollars(Math.max(0, limit.nanos - spent - reserved)),
      resetsAt: DateTime.makeUnsafe(account.resetsAt)
    }
  })

/**
 * A language model whose calls stay within budgets.
 *
 * A call that does not fit fails with a `QuotaExhaustedError` that has its {@link BudgetExceeded}, before any request; one
 * that could not be checked with an `InternalProviderError` that has its `BudgetStoreError`. An option out of its range, or a
 * model without a price, fails each call with an `InvalidRequestError`.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer: PolicyLayer<Options, BudgetStore> = dual(
  2,
  <E, R>(model: Layer.Layer<LanguageModel.LanguageModel, E, R>, options: Options) => {
    const settings = settingsOf(options)
    return layerAround(
      model,
      (model) => Effect.map(BudgetStore, (store) => aroundModel(model, policyOf(model, store, settings)))
    )
  }
)

interface Settings extends Options {
  readonly limits: ReadonlyArray<Limit>
  readonly patience: Duration.Duration
}

interface Held {
  readonly account: Account
  readonly reserved: number
}

interface Opened {
  readonly estimate: number
  readonly held: ReadonlyArray<Held>
}

const method = "Budget.layer"

const policyOf = (
  model: LanguageModel.LanguageModel,
  store: BudgetStore["Service"],
  settings: Result.Result<Settings, AiError.AiError>
): Policy => {
  if (Result.isFailure(settings)) return refusing(settings.failure)
  const { countTokens = tokenEstimate.ofText, limits, onStoreFailure, patience, pricing } = settings.success
  const models = settings.success.model ?? []

  const settle = (account: Account, amounts: { readonly reserved: number; readonly spent: number }) =>
    within(store.settle(account, amounts), "settle", account, patience).pipe(
      // The answer is there, and a reservation that stays counts until the window ends.
      Effect.catchCause((cause) =>
        Effect.logWarning(`$${dollars(amounts.spent)} of ${account.name} are not booked`, cause)
      )
    )

  /** Interrupted or too late it is taken back, should it have been made. */
  const reserve = (account: Account, amount: number, limit: number, restore: Restore) =>
    Effect.flatMap(
      Effect.forkDetach(store.reserve(account, { amount, limit }), { startImmediately: true }),
      (reserving) =>
        restore(joined(reserving, "reserve", account, patience)).pipe(
          Effect.onError(() =>
            Effect.forkDetach(
              Effect.flatMap(Fiber.await(reserving), (exit) =>
                exit._tag === "Success" && exit.value.granted
                  ? settle(account, { reserved: amount, spent: 0 })
                  : Effect.void),
              { startImmediately: true }
            )
          )
        )
    )

  const open = Effect.fnUntraced(function*(call: Call, restore: Restore): Effect.fn.Return<Opened, AiError.AiError> {
    const estimate = yield* Effect.fromResult(estimateOf(call, settings.success))
    // All of them before the first is reserved: these are functions that may throw.
    const keys = limits.map(({ budget }) => keyOf(budget, call))
    const held: Array<Held> = []
    const giveBack = Effect.suspend(() =>
      Effect.forEach(held, ({ account, reserved }) => settle(account, { reserved, spent: 0 }), { discard: true })
    )
    for (const [i, limit] of limits.entries()) {
      const key = keys[i]
      if (key === undefined) continue
      const now = yield* Clock.currentTimeMillis
      const account = accountOf(limit, key, now)
      const balance = yield* reserve(account, estimate, limit.nanos, restore).pipe(
        Effect.catch((error) =>
          onStoreFailure === "allow"
            ? Effect.as(Effect.logWarning(`A call is let through without its budget ${account.name}`, error), undefined)
            : Effect.fail(AiError.make({ module: "AiGateway", method, reason: new Unchecked(error) }))
        ),
        Effect.onError(() => giveBack)
      )
      if (balance !== undefined && !balance.granted) {
        yield* giveBack
        const reason = new Refused(exceeded(limit, key, { ...balance, account, estimate, now }))
        return yield* AiError.make({ module: "AiGateway", method, reason })
      }
      held.push({ account, reserved: balance === undefined ? 0 : estimate })
    }
    return { estimate, held }
  })

  return metered(model, { pricing, countTokens, models: (typeof models === "string" ? [models] : models).map(named) }, {
    open,
    settle: ({ estimate, held }, { cost }) =>
      // Without a price the estimate is all that is known.
      Effect.forEach(held, ({ account, reserved }) => settle(account, { reserved, spent: cost ?? estimate }), {
        discard: true
      })
  })
}

/** What the store does goes on also where nobody waits for it any more, so that no half of it is lost. */
const within = <A>(
  effect: Effect.Effect<A, BudgetStoreError>,
  operation: BudgetStoreError["operation"],
  account: Account,
  patience: Duration.Duration
) =>
  Effect.flatMap(
    Effect.forkDetach(effect, { startImmediately: true }),
    (fiber) => joined(fiber, operation, account, patience)
  )

const joined = <A>(
  fiber: Fiber.Fiber<A, BudgetStoreError>,
  operation: BudgetStoreError["operation"],
  { name }: Account,
  patience: Duration.Duration
) =>
  Effect.timeoutOrElse(Fiber.join(fiber), {
    duration: patience,
    orElse: () => {
      const cause = new Error(`no answer within ${Duration.format(patience)}`)
      return Effect.fail(new BudgetStoreError({ operation, account: name, cause }))
    }
  })

/** Nano-dollars that the call may cost: of several models the dearest. */
const estimateOf = (call: Call, { estimate, maxTokens = 1024 }: Settings): Result.Result<number, AiError.AiError> => {
  if (estimate !== undefined) {
    const value = estimate(call)
    return isAmount(value)
      ? Result.succeed(nanos(value))
      : Result.fail(invalidOption({ method, parameter: "estimate", accepted: amount, value }))
  }
  const accepted = "the name of the model, which nobody says here before it answers; or `estimate` is given"
  if (call.models.length === 0) {
    return Result.fail(invalidOption({ method, parameter: "model", accepted, value: undefined }))
  }
  let dearest = 0
  for (const model of call.models) {
    const price = call.priceOf(model)
    const name = model.provider === undefined ? model.model : `${model.provider}/${model.model}`
    if (price === undefined) {
      const accepted = "a table with a price of each model that may answer; or `estimate` is given"
      return Result.fail(invalidOption({ method, parameter: "pricing", accepted, value: `without ${name}` }))
    }
    const tokens = {
      input: call.promptTokens(),
      cacheRead: 0,
      cacheWrite: 0,
      // One that is no number of tokens the call itself fails for.
      output: call.maxTokens !== undefined && call.maxTokens >= 0 ? call.maxTokens : maxTokens,
      reasoning: 0
    }
    const most = {
      ...price,
      input: Math.max(price.input, price.cacheWrite ?? 0),
      output: Math.max(price.output, price.reasoning ?? 0)
    }
    dearest = Math.max(dearest, costOf(most, tokens))
  }
  return Result.succeed(dearest)
}

const settingsOf = (options: Options): Result.Result<Settings, AiError.AiError> => {
  const { budgets, maxTokens, patience: given = "5 seconds", pricing } = options
  const problem = problemOf(pricing)
  if (problem !== undefined) return Result.fail(invalidOption({ method, ...problem }))
  if (maxTokens !== undefined && !(Number.isSafeInteger(maxTokens) && maxTokens >= 1)) {
    const accepted = "an integer of at least 1"
    return Result.fail(invalidOption({ method, parameter: "maxTokens", accepted, value: maxTokens }))
  }
  const patience = Option.getOrUndefined(Duration.fromInput(given))
  if (patience === undefined || !Duration.isFinite(patience) || !Duration.isPositive(patience)) {
    const accepted = "a finite duration of more than 0"
    return Result.fail(invalidOption({ method, parameter: "patience", accepted, value: given }))
  }
  const names = budgets.map(({ name }) => name)
  if (names.length === 0 || new Set(names).size < names.length) {
    const accepted = "at least one, each with a name of its own"
    return Result.fail(invalidOption({ method, parameter: "budgets", accepted, value: names }))
  }
  const limits: Array<Limit> = []
  for (const [i, budget] of budgets.entries()) {
    const limit = limitOf(method, `budgets[${i}]`, budget)
    if (Result.isFailure(limit)) return Result.fail(limit.failure)
    limits.push(limit.success)
  }
  return Result.succeed({ ...options, limits, patience })
}
