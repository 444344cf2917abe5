/**
 * Counters of limits in Redis: they hold exactly for all processes on it.
 *
 * The windows are those of the other stores, bucket by bucket. A counter is one hash of its buckets with their sum, so that
 * it is lost as a whole or not at all, and no count adds up a thousand buckets; Redis forgets it when its last bucket has
 * stopped to count. Redis' clock decides which bucket it is, whatever the clocks of the machines say.
 *
 * Where Redis is out of reach, what needs a limit checked is refused with 503: a limit that nobody checks is none, and what it
 * protects is money. Requests that no limit applies to go on.
 *
 * Keys begin with `ai-gateway:{account}:`. A Redis that evicts keys for lack of memory forgets limits too.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { AiGatewayError } from "./Envelope.ts"
import { type Counter, RateLimitStore } from "./RateLimitStore.ts"
import * as RedisConnection from "./RedisConnection.ts"

/**
 * @category layers
 * @since 0.1.0
 */
export const layer = (account: string): Layer.Layer<RateLimitStore, never, RedisConnection.RedisConnection> =>
  Layer.effect(
    RateLimitStore,
    Effect.gen(function*() {
      const redis = yield* RedisConnection.RedisConnection
      const prefix = `ai-gateway:{${account}}:limits:`
      const index = (gateway: string) => `${prefix}of:${gateway}`
      const run = (script: RedisConnection.Script, { gateway, name, technique, window }: Counter, amount: number) =>
        redis.run(script, {
          keys: [`${prefix}counter:${gateway}/${name}`, index(gateway)],
          args: [technique, String(window), String(amount)]
        })

      return RateLimitStore.of({
        take: (counter, limit) =>
          run(take, counter, limit).pipe(Effect.map((reply) => reply === 1), Effect.mapError(unchecked)),
        add: (counter, amount) =>
          Effect.catch(
            run(add, counter, amount),
            // The answer that it is the price of is on its way already.
            ({ why }) => Effect.logWarning(`${amount} of "${counter.name}" in ${counter.gateway} is not booked: ${why}`)
          ),
        total: (counter) => run(total, counter, 0).pipe(Effect.map(Number), Effect.mapError(unchecked)),
        clear: Effect.fnUntraced(
          function*(gateway) {
            let left: RedisConnection.Reply = 1
            while (left === 1) left = yield* redis.run(clear, { keys: [index(gateway)], args: [] })
          },
          // What must be forgotten and is not is worth an error.
          Effect.orDie
        )
      })
    })
  )

const unchecked = () =>
  new AiGatewayError({
    status: 503,
    code: 10013,
    description: "The limits of this gateway cannot be checked now: its Redis is out of reach"
  })

/** Forgets the buckets that do not count any more, then does what is asked. */
const counting = (lua: string) =>
  RedisConnection.script(`
local counter, index = KEYS[1], KEYS[2]
local isSliding, window, amount = ARGV[2] == 'sliding', tonumber(ARGV[3]), tonumber(ARGV[4])
local width = isSliding and math.max(1, math.floor(window / 1000)) or window
local bucket = math.floor(now / width) * width
local first = isSliding and now - window - width + 2 or bucket
-- Lua's own way to write a number keeps 14 digits.
local function exact(n) return string.format('%.17g', n) end

local found = redis.call('HMGET', counter, 'sum', 'oldest')
local sum, oldest = tonumber(found[1]) or 0, tonumber(found[2]) or bucket
if oldest < first then
  -- Nothing was counted for longer than any bucket counts.
  if first - oldest > window + 2 * width then redis.call('UNLINK', counter) end
  while oldest < first and first - oldest <= window + 2 * width do
    local past = redis.call('HGET', counter, exact(oldest))
    if past then
      sum = sum - past
      redis.call('HDEL', counter, exact(oldest))
    end
    oldest = oldest + width
  end
  if redis.call('HLEN', counter) <= 2 then
    redis.call('UNLINK', counter)
    sum, oldest = 0, bucket
  else
    redis.call('HSET', counter, 'sum', exact(sum), 'oldest', exact(oldest))
  end
end

local function add(more)
  local was = redis.call('HGET', counter, exact(bucket))
  redis.call('HSET', counter, exact(bucket), exact((was or 0) + more), 'sum', exact(sum + more),
    'oldest', exact(math.min(oldest, bucket)))
  if was then return end
  local ends = isSliding and bucket + width - 1 + window or bucket + width
  -- Buckets say what counts, also where tests own the time; Redis need only forget some time later.
  local ttl = ends - now + 60000
  redis.call('PEXPIRE', counter, ttl)
  redis.call('ZREMRANGEBYSCORE', index, '-inf', now)
  redis.call('ZADD', index, ends, counter)
  if redis.call('PTTL', index) < ttl then redis.call('PEXPIRE', index, ttl) end
end
${lua}`)

const take = counting(`
if sum >= amount then return 0 end
add(1)
return 1`)

const add = counting(`add(amount)`)

const total = counting(`return exact(sum)`)

/** Redis does nothing else while a script runs, so one removes so many at most and says 1 when there are more. */
const clear = RedisConnection.script(`
local counters = redis.call('ZRANGE', KEYS[1], 0, 999)
if #counters == 0 then return 0 end
redis.call('UNLINK', unpack(counters))
redis.call('ZREM', KEYS[1], unpack(counters))
return redis.call('EXISTS', KEYS[1])`)
