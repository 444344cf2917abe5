/**
 * Where the counters of rate limits and spend limits are kept.
 *
 * A counter is a row of buckets in time, each with an amount. A fixed window is one bucket, aligned to the clock. A sliding
 * window is up to a thousand of them, and a bucket counts for as long as any moment of it is within the window: there are
 * never more than the limit in any stretch of the window's length, and a counter stays small however high its limit is.
 * Cloudflare documents the sliding window as "the last N seconds"; how exact it is there is not published.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as SqlClient from "effect/unstable/sql/SqlClient"
import { patiently } from "./Database.ts"
import type { AiGatewayError } from "./Envelope.ts"

/**
 * @category models
 * @since 0.1.0
 */
export interface Counter {
  readonly gateway: string
  /** Tells the counters of a gateway apart; another technique or window has another name. */
  readonly name: string
  readonly technique: "fixed" | "sliding"
  /** Milliseconds. */
  readonly window: number
}

/**
 * The counters of one account's gateways. A limit that cannot be checked refuses the request; any other failure is a defect,
 * as no caller can act on it.
 *
 * @category services
 * @since 0.1.0
 */
export class RateLimitStore extends Context.Service<RateLimitStore, {
  /** Counts one and says yes, or says no where the window is full: in one go, also among many processes. */
  readonly take: (counter: Counter, limit: number) => Effect.Effect<boolean, AiGatewayError>
  /** Adds an amount, also beyond any limit. */
  readonly add: (counter: Counter, amount: number) => Effect.Effect<void>
  /** What there is within the window now. */
  readonly total: (counter: Counter) => Effect.Effect<number, AiGatewayError>
  /** Forgets every counter of a gateway. */
  readonly clear: (gateway: string) => Effect.Effect<void>
}>()("effect-ai-gateway/local/RateLimitStore") {}

/**
 * Counters in SQLite: they hold across restarts, and for all processes on one file.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (account: string): Layer.Layer<RateLimitStore, never, SqlClient.SqlClient> =>
  Layer.effect(
    RateLimitStore,
    Effect.gen(function*() {
      const sql = yield* SqlClient.SqlClient
      const of = ({ gateway, name }: Counter) => sql`account = ${account} AND gateway = ${gateway} AND name = ${name}`
      const forgetOld = (now: number) => sql`DELETE FROM limit_counts WHERE expires_at <= ${now}`

      return RateLimitStore.of({
        take: Effect.fnUntraced(
          function*(counter, limit) {
            const now = yield* Clock.currentTimeMillis
            const { bucket, expires, first } = at(counter, now)
            // One statement: it locks before it reads, so that no other process counts in between.
            const [counted] = yield* sql<{ readonly amount: number }>`
              INSERT INTO limit_counts (account, gateway, name, bucket, amount, expires_at)
              SELECT ${account}, ${counter.gateway}, ${counter.name}, ${bucket}, 1, ${expires}
              WHERE (SELECT coalesce(sum(amount), 0) FROM limit_counts
                WHERE ${of(counter)} AND bucket >= ${first}) < ${limit}
              ON CONFLICT DO UPDATE SET amount = amount + 1 RETURNING amount`
            if (counted?.amount === 1) yield* forgetOld(now)
            return counted !== undefined
          },
          patiently,
          Effect.orDie
        ),
        add: Effect.fnUntraced(
          function*(counter, amount) {
            const now = yield* Clock.currentTimeMillis
            const { bucket, expires } = at(counter, now)
            yield* sql`INSERT INTO limit_counts ${
              sql.insert({
                account,
                gateway: counter.gateway,
                name: counter.name,
                bucket,
                amount,
                expires_at: expires
              })
            } ON CONFLICT DO UPDATE SET amount = amount + excluded.amount`
            yield* forgetOld(now)
          },
          patiently,
          Effect.orDie
        ),
        total: Effect.fnUntraced(
          function*(counter) {
            const { first } = at(counter, yield* Clock.currentTimeMillis)
            const [counted] = yield* sql<{ readonly n: number }>`SELECT coalesce(sum(amount), 0) AS n
              FROM limit_counts WHERE ${of(counter)} AND bucket >= ${first}`
            return counted?.n ?? 0
          },
          patiently,
          Effect.orDie
        ),
        clear: (gateway) =>
          sql`DELETE FROM limit_counts WHERE account = ${account} AND gateway = ${gateway}`.pipe(
            patiently,
            Effect.orDie,
            Effect.asVoid
          )
      })
    })
  )

/**
 * Counters in this process, for as long as it lives.
 *
 * @category layers
 * @since 0.1.0
 */
export const layerMemory: Layer.Layer<RateLimitStore> = Layer.sync(RateLimitStore, () => {
  const gateways = new Map<string, Map<string, Array<Bucket>>>()
  let nextSweep = 0

  /** The counter's buckets that still count, oldest first. */
  const bucketsOf = (counter: Counter, now: number): Array<Bucket> => {
    // Counters that nobody asks for again, such as those of users who left, go once a minute.
    if (now >= nextSweep) {
      nextSweep = now + 60_000
      for (const counters of gateways.values()) {
        for (const [name, buckets] of counters) {
          if (buckets.every(({ expires }) => expires <= now)) counters.delete(name)
        }
      }
    }
    const counters = gateways.get(counter.gateway) ?? new Map<string, Array<Bucket>>()
    gateways.set(counter.gateway, counters)
    const buckets = counters.get(counter.name) ?? []
    counters.set(counter.name, buckets)
    const { first } = at(counter, now)
    while (buckets[0] !== undefined && buckets[0].bucket < first) buckets.shift()
    return buckets
  }
  const add = (counter: Counter, amount: number, now: number) => {
    const buckets = bucketsOf(counter, now)
    const { bucket, expires } = at(counter, now)
    const last = buckets.at(-1)
    if (last?.bucket === bucket) last.amount += amount
    else buckets.push({ bucket, expires, amount })
  }
  const total = (counter: Counter, now: number) => bucketsOf(counter, now).reduce((sum, { amount }) => sum + amount, 0)
  const timed = <A>(f: (now: number) => A) => Effect.map(Clock.currentTimeMillis, f)

  return RateLimitStore.of({
    take: (counter, limit) =>
      timed((now) => {
        if (total(counter, now) >= limit) return false
        add(counter, 1, now)
        return true
      }),
    add: (counter, amount) => timed((now) => add(counter, amount, now)),
    total: (counter) => timed((now) => total(counter, now)),
    clear: (gateway) => Effect.sync(() => gateways.delete(gateway))
  })
})

interface Bucket {
  readonly bucket: number
  readonly expires: number
  amount: number
}

/** The bucket of this moment, when it stops to count, and the first bucket that counts now. */
const at = ({ technique, window }: Counter, now: number) => {
  const width = technique === "fixed" ? window : Math.max(1, Math.floor(window / 1000))
  const bucket = Math.floor(now / width) * width
  return technique === "fixed"
    ? { bucket, expires: bucket + width, first: bucket }
    : { bucket, expires: bucket + width - 1 + window, first: now - window - width + 2 }
}
