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
import { CacheDatabase } from "./CacheDatabase.ts"
import type { Count } from "./cacheWrites.ts"
import type { AiGatewayError } from "./Envelope.ts"
import { WriterThread } from "./WriterThread.ts"

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
 * Counters in memory and behind them in SQLite, so that they hold across restarts.
 *
 * Another process on the same file sees what is counted here a moment later: limits that have to hold exactly among several
 * processes need Redis.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (account: string): Layer.Layer<RateLimitStore, never, CacheDatabase | WriterThread> =>
  Layer.effect(
    RateLimitStore,
    Effect.gen(function*() {
      const { prepare } = yield* CacheDatabase
      const { counts: lane, others: othersAt } = yield* WriterThread
      const select = prepare(
        `SELECT bucket, amount, expires_at FROM limit_counts
          WHERE account = ? AND gateway = ? AND name = ? ORDER BY bucket`
      )
      const unwritten = lane.pile((): Unwritten => ({ all: [], last: new Map() }))
      const counts = make(({ gateway, name }) =>
        select.all(account, gateway, name).map(({ amount, bucket, expires_at: expires }) => ({
          bucket: Number(bucket),
          amount: Number(amount),
          expires: Number(expires)
        }))
      )
      let seen = othersAt(0)
      /** What was just being written when the file was read. */
      let doubtful: Unwritten | undefined

      const readAgain = () => {
        const { waiting, writing } = unwritten
        counts.forget()
        // It may be in the file already, and counts twice then, until it is known to be.
        doubtful = writing.all.length === 0 ? undefined : writing
        for (const { all } of [writing, waiting]) {
          for (const { change, counter } of all) counts.add(counter, change.amount, change.now)
        }
      }
      /** With what other processes have written. */
      const current = (now: number) => {
        const others = othersAt(now)
        const { writing } = unwritten
        if (others === seen && (doubtful === undefined || doubtful === writing)) return counts
        seen = others
        readAgain()
        return counts
      }
      const add = (counter: Counter, amount: number, now: number) => {
        counts.add(counter, amount, now)
        const { waiting } = unwritten
        const { gateway, name } = counter
        const { bucket, expires } = at(counter, now)
        const last = waiting.last.get(name)
        if (last?.bucket === bucket && last.gateway === gateway) {
          last.amount += amount
          last.now = now
          return
        }
        const change: Count = { _tag: "Count", account, gateway, name, bucket, amount, expires, now }
        waiting.last.set(name, change)
        waiting.all.push({ counter, change })
        lane.give(change)
      }

      return RateLimitStore.of({
        take: (counter, limit) =>
          timed((now) => {
            if (current(now).total(counter, now) >= limit) return false
            add(counter, 1, now)
            return true
          }),
        add: (counter, amount) =>
          timed((now) => {
            current(now)
            add(counter, amount, now)
          }),
        total: (counter) => timed((now) => current(now).total(counter, now)),
        clear: (gateway) =>
          Effect.suspend(() => {
            counts.forget(gateway)
            for (const pile of [unwritten.writing, unwritten.waiting]) {
              pile.all = pile.all.filter(({ change }) => change.gateway !== gateway)
              // What comes after it must not be counted before it.
              pile.last.clear()
            }
            lane.give({ _tag: "Clear", account, gateway })
            // Somebody may have read what was still there.
            return Effect.andThen(lane.flush, Effect.sync(readAgain))
          })
      })
    })
  )

/** Counted here and not yet in the file: at one time most count in the same buckets, so it is few changes of many requests. */
interface Unwritten {
  all: Array<{ readonly counter: Counter; readonly change: Count }>
  /** By the counter's name, the one that grows. */
  readonly last: Map<string, Count>
}

/**
 * Counters in this process, for as long as it lives.
 *
 * @category layers
 * @since 0.1.0
 */
export const layerMemory: Layer.Layer<RateLimitStore> = Layer.sync(RateLimitStore, () => {
  const counts = make(() => [])
  return RateLimitStore.of({
    take: (counter, limit) =>
      timed((now) => {
        if (counts.total(counter, now) >= limit) return false
        counts.add(counter, 1, now)
        return true
      }),
    add: (counter, amount) => timed((now) => counts.add(counter, amount, now)),
    total: (counter) => timed((now) => counts.total(counter, now)),
    clear: (gateway) => Effect.sync(() => counts.forget(gateway))
  })
})

const timed = <A>(f: (now: number) => A) => Effect.map(Clock.currentTimeMillis, f)

/** Counters in memory; `load` brings what there is of one that is not known, oldest bucket first. */
const make = (load: (counter: Counter) => ReadonlyArray<Bucket>) => {
  const gateways = new Map<string, Map<string, Held>>()
  let nextSweep = 0

  const held = (counter: Counter, now: number): Held => {
    // Counters that nobody asks for again, such as those of users who left, go once a minute.
    if (now >= nextSweep) {
      nextSweep = now + 60_000
      for (const counters of gateways.values()) {
        for (const [name, { buckets }] of counters) {
          if (buckets.every(({ expires }) => expires <= now)) counters.delete(name)
        }
      }
    }
    const counters = gateways.get(counter.gateway) ?? new Map<string, Held>()
    gateways.set(counter.gateway, counters)
    const known = counters.get(counter.name)
    const found = known ?? heldOf(load(counter))
    if (known === undefined) counters.set(counter.name, found)
    const { first } = at(counter, now)
    for (let old = found.buckets[0]; old !== undefined && old.bucket < first; old = found.buckets[0]) {
      found.buckets.shift()
      // Differences of fractions leave crumbs, which must not add up.
      found.sum = found.buckets.length === 0 ? 0 : found.sum - old.amount
    }
    return found
  }

  return {
    total: (counter: Counter, now: number): number => held(counter, now).sum,
    add: (counter: Counter, amount: number, now: number): void => {
      const found = held(counter, now)
      const { bucket, expires } = at(counter, now)
      const last = found.buckets.at(-1)
      if (last?.bucket === bucket) last.amount += amount
      else found.buckets.push({ bucket, expires, amount })
      found.sum += amount
    },
    forget: (gateway?: string): void => gateway === undefined ? gateways.clear() : void gateways.delete(gateway)
  }
}

interface Held {
  readonly buckets: Array<Bucket>
  sum: number
}

const heldOf = (buckets: ReadonlyArray<Bucket>): Held => ({
  buckets: [...buckets],
  sum: buckets.reduce((sum, { amount }) => sum + amount, 0)
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
