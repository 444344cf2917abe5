/**
 * The policies of a gateway applied to a request: who may use which model, and for how much money.
 *
 * Once a gateway has a policy, a request that none of them applies to is refused (403). One that blocks wins over all others,
 * and only ever blocks: what its exception names still needs a policy that lets it through. The others make buckets, one for
 * each actor and resource; `no-limit` opens its bucket, of several caps for one period the highest counts, and all buckets
 * have to be under their caps (429). What a request cost is booked on its buckets when its answer is complete, so requests
 * at the same time may overshoot. Periods are those of the calendar in UTC.
 *
 * Answers from the cache are not asked for here. A refused step of a universal request goes on to the next step, a refused
 * model of a dynamic route to its fallback. Where policies cannot be evaluated, as when the store fails, requests pass and
 * the log has a warning, as on Cloudflare. Source: the wire reference, section 5.3.
 *
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import { type AiGatewayError, PolicyRefusal } from "../Envelope.ts"
import type { Counter, RateLimitStore } from "../RateLimitStore.ts"
import type { Target } from "../SpendLimits.ts"
import * as Condition from "./Condition.ts"
import type * as Policy from "./Policy.ts"
import type { PolicyStore } from "./PolicyStore.ts"

/**
 * What one actor has for one resource.
 *
 * @category models
 * @since 0.1.0
 */
export interface Bucket {
  readonly name: string
  readonly actor: string
  readonly resource: string
  readonly unlimited: boolean
  /** At most one for each period. */
  readonly caps: ReadonlyArray<Cap>
}

/**
 * @category models
 * @since 0.1.0
 */
export interface Cap {
  readonly period: Policy.Period
  /** US dollars. */
  readonly amount: number
  /** Name of the policy. */
  readonly policy: string
}

/**
 * What policies say about a request.
 *
 * @category models
 * @since 0.1.0
 */
export type Decision =
  | { readonly type: "block"; readonly policy: string }
  /** No policy applies. */
  | { readonly type: "no-match" }
  | { readonly type: "allow"; readonly buckets: ReadonlyArray<Bucket> }

/**
 * A cap that is reached.
 *
 * @category models
 * @since 0.1.0
 */
export interface Excess {
  readonly bucket: Bucket
  readonly cap: Cap
  readonly spent: number
}

/**
 * The decision on a request; without policies all is allowed.
 *
 * @category getters
 * @since 0.1.0
 */
export const decide = (
  policies: ReadonlyArray<Policy.Policy>,
  facts: Condition.Facts,
  { model, provider }: Pick<Target, "provider" | "model">
): Decision => {
  const buckets = new Map<string, Bucket>()
  for (const { action, actor, covers, holds, name, resource } of policies) {
    const who = actor(facts)
    const blocksOthers = action.type === "block" && action.except
    if (who === undefined || covers(provider, model) === blocksOthers || !holds(facts)) continue
    if (action.type === "block") return { type: "block", policy: name }
    const key = JSON.stringify([who, resource])
    const bucket = buckets.get(key) ??
      { name: `${who}:${resource}`, actor: who, resource, unlimited: false, caps: [] }
    buckets.set(
      key,
      action.type === "no-limit"
        ? { ...bucket, unlimited: true }
        : { ...bucket, caps: withCap(bucket.caps, { ...action, policy: name }) }
    )
  }
  return policies.length > 0 && buckets.size === 0
    ? { type: "no-match" }
    : { type: "allow", buckets: [...buckets.values()] }
}

/**
 * The first cap that is reached, by what `spent` says.
 *
 * @category getters
 * @since 0.1.0
 */
export const excess = <E>(
  buckets: ReadonlyArray<Bucket>,
  spent: (bucket: Bucket, cap: Cap) => Effect.Effect<number, E>
): Effect.Effect<Excess | undefined, E> =>
  Effect.gen(function*() {
    for (const bucket of buckets) {
      if (bucket.unlimited) continue
      for (const cap of bucket.caps) {
        // Without the noise of binary fractions: 0.7 and 0.1 make 0.8.
        const total = Number((yield* spent(bucket, cap)).toPrecision(12))
        if (total >= cap.amount) return { bucket, cap, spent: total }
      }
    }
    return undefined
  })

/**
 * The buckets that a request draws on; fails where a policy refuses it.
 *
 * @category combinators
 * @since 0.1.0
 */
export const check = (
  policies: PolicyStore["Service"],
  store: RateLimitStore["Service"],
  gateway: string,
  target: Target
): Effect.Effect<ReadonlyArray<Bucket>, PolicyRefusal> =>
  policies.enforced(gateway).pipe(
    Effect.flatMap((enforced): Effect.Effect<Outcome, AiGatewayError> =>
      enforced.length === 0 ? nothingDrawn : decided(enforced, store, gateway, target)
    ),
    Effect.catchCause((cause) =>
      Cause.hasInterrupts(cause) ? Effect.interrupt : Effect.as(
        Effect.logWarning(`Gateway ${gateway}: a request passed although its policies could not be evaluated`, cause),
        { allowed: [] }
      )
    ),
    Effect.flatMap((outcome) => "refusal" in outcome ? Effect.fail(outcome.refusal) : Effect.succeed(outcome.allowed))
  )

type Outcome = { readonly allowed: ReadonlyArray<Bucket> } | { readonly refusal: PolicyRefusal }

const nothingDrawn: Effect.Effect<Outcome> = Effect.succeed({ allowed: [] })

const decided = Effect.fnUntraced(function*(
  enforced: ReadonlyArray<Policy.Policy>,
  store: RateLimitStore["Service"],
  gateway: string,
  target: Target
): Effect.fn.Return<Outcome, AiGatewayError> {
  const decision = decide(enforced, Condition.facts({}, target.metadata), target)
  if (decision.type !== "allow") return { refusal: denied }
  const over = yield* excess(
    decision.buckets,
    (bucket, { period }) =>
      Effect.flatMap(Clock.currentTimeMillis, (now) => store.total(counterOf(gateway, bucket, period, now)))
  )
  return over === undefined ? { allowed: decision.buckets } : { refusal: exceeded(over) }
})

/**
 * Books what a request cost on its buckets.
 *
 * @category combinators
 * @since 0.1.0
 */
export const book = (
  store: RateLimitStore["Service"],
  gateway: string,
  buckets: ReadonlyArray<Bucket>,
  cost: number | null
): Effect.Effect<void> =>
  cost === null || cost === 0 || buckets.length === 0
    ? Effect.void
    : Effect.flatMap(Clock.currentTimeMillis, (now) =>
      Effect.forEach(
        buckets.flatMap((bucket) => bucket.caps.map(({ period }) => counterOf(gateway, bucket, period, now))),
        (counter) => store.add(counter, cost),
        { discard: true }
      ))

/**
 * The period that a moment is in: when it begins and ends, in milliseconds since the epoch.
 *
 * @category getters
 * @since 0.1.0
 */
export const periodAt = (period: Policy.Period, now: number): { readonly start: number; readonly end: number } => {
  const at = new Date(now)
  const [year, month, date] = [at.getUTCFullYear(), at.getUTCMonth(), at.getUTCDate()]
  switch (period) {
    case "hourly": {
      const start = Date.UTC(year, month, date, at.getUTCHours())
      return { start, end: start + hour }
    }
    case "daily": {
      const start = Date.UTC(year, month, date)
      return { start, end: start + 24 * hour }
    }
    case "weekly": {
      const start = Date.UTC(year, month, date - (at.getUTCDay() + 6) % 7)
      return { start, end: start + 7 * 24 * hour }
    }
    case "monthly":
      return { start: Date.UTC(year, month), end: Date.UTC(year, month + 1) }
  }
}

/**
 * The counter of a bucket's spending in the period of this moment.
 *
 * A fixed window begins at a multiple of its length, which weeks and months do not. So each period has a counter of its own,
 * and theirs have windows of which one is around the whole period, a minute or two to either side.
 *
 * @category getters
 * @since 0.1.0
 */
export const counterOf = (
  gateway: string,
  { actor, resource }: Pick<Bucket, "actor" | "resource">,
  period: Policy.Period,
  now: number
): Counter => {
  const { end, start } = periodAt(period, now)
  const before = start - minute
  const times = Math.floor(before / (end - start + 3 * minute))
  // In the first period after 1970 the window is all the time that there was.
  const around = times < 1 ? end + minute : Math.floor(before / times)
  return {
    gateway,
    name: JSON.stringify(["policy", period, start, actor, resource]),
    technique: "fixed",
    window: start % (end - start) === 0 ? end - start : around
  }
}

const minute = 60_000
const hour = 60 * minute

const withCap = (caps: ReadonlyArray<Cap>, { amount, period, policy }: Cap): ReadonlyArray<Cap> => {
  const other = caps.find((cap) => cap.period === period)
  if (other !== undefined && other.amount >= amount) return caps
  return [...caps.filter((cap) => cap.period !== period), { amount, period, policy }]
}

const denied = new PolicyRefusal({ status: 403, error: { message: "Access denied by policy" } })

const exceeded = ({ bucket, cap, spent }: Excess) =>
  new PolicyRefusal({
    status: 429,
    error: { message: "Spending limit exceeded", bucket: bucket.name, spent, limit: cap.amount }
  })
