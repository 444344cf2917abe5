/**
 * Where the counters of rate limits are kept: in memory, in Redis, in a key-value store, or by another limiter.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as Semaphore from "effect/Semaphore"
import * as KeyValueStore from "effect/unstable/persistence/KeyValueStore"
import * as RateLimiter from "effect/unstable/persistence/RateLimiter"
import * as Redis from "effect/unstable/persistence/Redis"
import * as RateCounter from "./rateCounter.ts"

/**
 * The counters; what fails is the store's own error.
 *
 * @category services
 * @since 0.1.0
 */
export class RateLimitStore extends Context.Service<RateLimitStore, {
  /** Counts one where it fits, in one go. */
  readonly take: (counter: RateCounter.Counter) => Effect.Effect<RateCounter.Taken, unknown>
}>()("effect-ai-gateway/RateLimitStore") {}

/**
 * Counters in this process or isolate, for as long as it lives.
 *
 * A Worker runs in many isolates, and each counts for itself: for one process, one Durable Object, and tests.
 *
 * @category layers
 * @since 0.1.0
 */
export const layerMemory: Layer.Layer<RateLimitStore> = Layer.sync(RateLimitStore, () => {
  const counters = new Map<string, { readonly buckets: RateCounter.Buckets; readonly end: number }>()
  let nextSweep = 0
  return RateLimitStore.of({
    take: (counter) =>
      Effect.map(Clock.currentTimeMillis, (now) => {
        // The counters of those who do not come back go once a minute.
        if (now >= nextSweep) {
          nextSweep = now + 60_000
          for (const [name, { end }] of counters) if (end <= now) counters.delete(name)
        }
        const name = RateCounter.nameOf(counter)
        const { buckets, taken } = RateCounter.take(counters.get(name)?.buckets ?? [], counter, now)
        counters.set(name, { buckets, end: RateCounter.endOf(buckets, counter) })
        return taken
      })
  })
})

/**
 * Counters in Redis, through Effect's `Redis` service: they hold exactly for all that use it, by Redis' own clock.
 *
 * @category layers
 * @since 0.1.0
 */
export const layerRedis = (
  options: { readonly prefix?: string | undefined } = {}
): Layer.Layer<RateLimitStore, never, Redis.Redis> =>
  Layer.effect(
    RateLimitStore,
    Effect.map(Redis.Redis, (redis) => {
      const run = redis.eval(script)
      const prefix = options.prefix ?? "ai-gateway:rate-limit:"
      return RateLimitStore.of({
        take: (counter) =>
          Effect.map(
            run(`${prefix}${RateCounter.nameOf(counter)}`, counter.algorithm, counter.window, counter.limit),
            ([isAllowed, remaining, resetAfter, retryAfter]) => ({
              isAllowed: isAllowed === 1,
              remaining,
              resetAfter,
              retryAfter
            })
          )
      })
    })
  )

/**
 * Counters in Effect's `KeyValueStore`, one check after the other.
 *
 * They hold exactly where this layer alone writes to a store that reads what was written: the storage of one Durable Object,
 * a file, SQL used by one process. On Workers KV they do not: what one location writes, others see up to a minute later, and
 * a key takes one write a second. The store has no times to live, so the counters of those who do not come back stay in it.
 *
 * @category layers
 * @since 0.1.0
 */
export const layerKeyValueStore = (
  options: { readonly prefix?: string | undefined } = {}
): Layer.Layer<RateLimitStore, never, KeyValueStore.KeyValueStore> =>
  Layer.effect(
    RateLimitStore,
    Effect.map(KeyValueStore.KeyValueStore, (store) => {
      const lock = Semaphore.makeUnsafe(1)
      const prefix = options.prefix ?? "rate-limit:"
      return RateLimitStore.of({
        take: Effect.fnUntraced(function*(counter) {
          const name = `${prefix}${RateCounter.nameOf(counter)}`
          const stored = yield* store.get(name)
          const now = yield* Clock.currentTimeMillis
          // What is not a counter of ours counts nothing: failing for it would lock its key out for ever.
          const before = stored === undefined ? [] : Option.getOrElse(decode(stored), () => [])
          const { buckets, taken } = RateCounter.take(before, counter, now)
          if (taken.isAllowed) yield* store.set(name, encode(buckets))
          return taken
        }, lock.withPermit)
      })
    })
  )

/**
 * What stands in a Worker's environment for its `ratelimits` binding.
 *
 * @category models
 * @since 0.1.0
 */
export interface Binding {
  limit(options: { readonly key: string }): Promise<{ readonly success: boolean }>
}

/**
 * Cloudflare's rate limiting binding.
 *
 * Its limit and its period, of 10 or 60 seconds, are those of the Worker's configuration: say the same ones here, since they
 * are what the answers tell. It counts for each location by itself, and the counters of a location agree after a moment: it
 * keeps floods away, and is no exact account. It does not say how many remain.
 *
 * @category layers
 * @since 0.1.0
 */
export const layerBinding = (binding: Binding): Layer.Layer<RateLimitStore> =>
  Layer.succeed(RateLimitStore, {
    take: ({ key, window }) =>
      Effect.map(
        Effect.tryPromise({ try: () => binding.limit({ key }), catch: (cause) => cause }),
        ({ success }) => ({
          isAllowed: success,
          remaining: success ? undefined : 0,
          resetAfter: undefined,
          retryAfter: success ? 0 : window
        })
      )
  })

/**
 * Effect's own `RateLimiter`, for programs that have one: `fixed` is its fixed window and `sliding` its token bucket.
 *
 * Both bound the rate over time and let bursts through, so that up to twice the limit come within one window; the other
 * stores' sliding windows never let more than the limit.
 *
 * @category layers
 * @since 0.1.0
 */
export const layerRateLimiter: Layer.Layer<RateLimitStore, never, RateLimiter.RateLimiter> = Layer.effect(
  RateLimitStore,
  Effect.map(RateLimiter.RateLimiter, (limiter) =>
    RateLimitStore.of({
      take: (counter) =>
        limiter.consume({
          key: RateCounter.nameOf(counter),
          algorithm: counter.algorithm === "fixed" ? "fixed-window" : "token-bucket",
          limit: counter.limit,
          window: Duration.millis(counter.window)
        }).pipe(
          Effect.map(({ remaining, resetAfter }): RateCounter.Taken => ({
            isAllowed: true,
            remaining: Math.floor(remaining),
            resetAfter: Math.ceil(Duration.toMillis(resetAfter)),
            retryAfter: 0
          })),
          Effect.catchReason("RateLimiterError", "RateLimitExceeded", ({ retryAfter }) =>
            Effect.succeed<RateCounter.Taken>({
              isAllowed: false,
              remaining: 0,
              resetAfter: undefined,
              retryAfter: Math.ceil(Duration.toMillis(retryAfter))
            }))
        )
    }))
)

const Stored = Schema.fromJsonString(Schema.Array(Schema.Tuple([Schema.Finite, Schema.Finite])))
const decode = Schema.decodeUnknownOption(Stored)
const encode = Schema.encodeSync(Stored)

/** As `rateCounter.ts` does it: one hash of buckets, which Redis forgets when the last one has stopped to count. */
const script = Redis.script(
  (key: string, algorithm: string, window: number, limit: number) => [key, algorithm, window, limit],
  {
    numberOfKeys: 1,
    lua: `
local key = KEYS[1]
local isSliding, window, limit = ARGV[1] == 'sliding', tonumber(ARGV[2]), tonumber(ARGV[3])
local width = isSliding and math.max(1, math.ceil(window / 100)) or window
local counts = isSliding and width - 1 + window or window
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

local found = redis.call('HGETALL', key)
local buckets, sum, newest = {}, 0, 0
for i = 1, #found, 2 do
  local start, count = tonumber(found[i]), tonumber(found[i + 1])
  if start + counts > now then
    buckets[#buckets + 1] = { start, count }
    sum = sum + count
    newest = math.max(newest, start)
  else
    redis.call('HDEL', key, found[i])
  end
end

if sum < limit then
  local start = math.max(newest, math.floor(now / width) * width)
  local ends = start + counts - now
  redis.call('HINCRBY', key, string.format('%.0f', start), 1)
  redis.call('PEXPIRE', key, string.format('%.0f', ends))
  return { 1, limit - sum - 1, ends, 0 }
end

table.sort(buckets, function(a, b) return a[1] < b[1] end)
local over, retry = sum - limit, 0
for _, bucket in ipairs(buckets) do
  over = over - bucket[2]
  if over < 0 then
    retry = bucket[1] + counts - now
    break
  end
end
return { 0, 0, newest + counts - now, retry }
`
  }
).withReturnType<readonly [isAllowed: number, remaining: number, resetAfter: number, retryAfter: number]>()
