/**
 * Cached answers in Redis: all processes on it have the same ones.
 *
 * An answer is a hash that Redis forgets by itself. Beside the answers are their sizes, the order of their last use, and
 * their ends, so that room is made within the account's size: what was not used for longest gives
 * way. While Redis is out of reach nothing is found and nothing is kept.
 *
 * Keys begin with `ai-gateway:{account}:`; a Redis Cluster is not supported.
 *
 * @since 0.1.0
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import { CacheStore, type Entry, type Options } from "./CacheStore.ts"
import * as RedisConnection from "./RedisConnection.ts"

/**
 * @category layers
 * @since 0.1.0
 */
export const layer = (
  account: string,
  { limit }: Options
): Layer.Layer<CacheStore, never, RedisConnection.RedisConnection> =>
  Layer.effect(
    CacheStore,
    Effect.gen(function*() {
      const redis = yield* RedisConnection.RedisConnection
      const prefix = `ai-gateway:{${account}}:cache:`
      const index = [`${prefix}sizes`, `${prefix}used`, `${prefix}ends`, `${prefix}epochs`]
      const run = (
        script: RedisConnection.Script,
        args: ReadonlyArray<string | Uint8Array>,
        patience: Duration.Input = "2 seconds"
      ) => redis.run(script, { keys: index, args: [prefix, ...args], patience })

      return CacheStore.of({
        // Settings may be in stores of their own, whose times of change are not the same.
        versionOf: ({ id }) => run(epoch, [id]).pipe(Effect.map(Number), Effect.orElseSucceed(() => undefined)),
        get: ({ gateway, key, version }) =>
          run(get, [`${gateway}/${key}`, version === undefined ? "" : String(version)]).pipe(
            Effect.flatMap((reply) => reply === null ? Effect.succeedNone : Effect.asSome(read(reply))),
            Effect.catchTag("RedisUnavailable", () => Effect.succeedNone),
            Effect.orDie
          ),
        put: Effect.fnUntraced(
          function*({ gateway, key }, { body, headers, status, version }, ttl) {
            const isKept = body.length <= limit
            const id = `${gateway}/${key}`
            const numbers = [String(limit), String(ttl), String(body.length), String(status), String(version)]
            const args = [id, ...numbers, JSON.stringify(headers), isKept ? body : ""]
            // A large one is longer on its way.
            let left = yield* run(put, args, 2000 + body.length / 1000)
            while (left === 1) left = yield* run(trim, [String(limit)])
          },
          (effect) => Effect.ignore(effect)
        ),
        clear: Effect.fnUntraced(
          function*(gateway) {
            let left: RedisConnection.Reply = 1
            while (left === 1) left = yield* run(clear, [gateway])
          },
          // What must be forgotten and is not is worth an error.
          Effect.orDie
        )
      })
    })
  )

/** Redis does nothing else while a script runs, so one removes so many answers at most and says 1 when there are more. */
const batch = 1000

const common = `
local sizes, used, ends, epochs, prefix = KEYS[1], KEYS[2], KEYS[3], KEYS[4], ARGV[2]
local function entry(id) return prefix .. 'entry:' .. id end
local function entries(gateway) return prefix .. 'of:' .. gateway end
local function drop(id)
  local size = redis.call('HGET', sizes, id)
  if size then
    redis.call('HSET', sizes, 'total', redis.call('HGET', sizes, 'total') - size)
    redis.call('HDEL', sizes, id)
  end
  redis.call('ZREM', used, id)
  redis.call('ZREM', ends, id)
  redis.call('SREM', entries(string.match(id, '^[^/]*')), id)
  redis.call('UNLINK', entry(id))
end
-- Beside the sizes are their total and the number of uses so far.
local function use()
  return redis.call('HINCRBY', sizes, 'uses', 1)
end
local function trim(limit)
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', ends, '-inf', now, 'LIMIT', 0, ${batch})) do drop(id) end
  for _ = 1, ${batch} do
    if (tonumber(redis.call('HGET', sizes, 'total')) or 0) <= limit then return 0 end
    local longest = redis.call('ZRANGE', used, 0, 0)[1]
    if not longest then return 0 end
    drop(longest)
  end
  return 1
end
`

const put = RedisConnection.script(`${common}
local id, limit, ttl, size = ARGV[3], tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
-- A Redis short of memory may evict one of them: counting begins again, and what is not counted any more ends by itself.
if redis.call('ZCARD', used) ~= math.max(0, redis.call('HLEN', sizes) - 2) then
  redis.call('UNLINK', sizes, used, ends)
end
drop(id)
if size <= limit then
  redis.call('HSET', entry(id), 'ends', now + ttl, 'status', ARGV[7], 'version', ARGV[8], 'headers', ARGV[9],
    'body', ARGV[10])
  redis.call('PEXPIRE', entry(id), ttl)
  redis.call('HSET', sizes, id, size, 'total', (redis.call('HGET', sizes, 'total') or 0) + size)
  redis.call('ZADD', used, use(), id)
  redis.call('ZADD', ends, now + ttl, id)
  local gateway = entries(string.match(id, '^[^/]*'))
  redis.call('SADD', gateway, id)
  -- They go with the last answer.
  for _, key in ipairs({sizes, used, ends, epochs, gateway}) do
    if redis.call('PTTL', key) < ttl then redis.call('PEXPIRE', key, ttl) end
  end
end
return trim(limit)`)

const get = RedisConnection.script(`${common}
local id, version = ARGV[3], ARGV[4]
local found = redis.call('HMGET', entry(id), 'ends', 'status', 'version', 'headers')
if not found[1] or now >= tonumber(found[1]) or (version ~= '' and version ~= found[3]) then return false end
redis.call('ZADD', used, 'XX', use(), id)
return {found[2], found[3], found[4], redis.call('HGET', entry(id), 'body')}`)

const trim = RedisConnection.script(`${common} return trim(tonumber(ARGV[3]))`)

const clear = RedisConnection.script(`${common}
local gateway = ARGV[3]
redis.call('HINCRBY', epochs, gateway, 1)
-- No answer and no request is older.
redis.call('PEXPIRE', epochs, ${Duration.toMillis("32 days")})
for _, id in ipairs(redis.call('SRANDMEMBER', entries(gateway), ${batch})) do drop(id) end
return redis.call('EXISTS', entries(gateway))`)

const epoch = RedisConnection.script(`${common} return redis.call('HGET', epochs, ARGV[3]) or '0'`)

const decode = Schema.decodeUnknownEffect(Schema.Struct({
  status: Schema.Number,
  version: Schema.Number,
  headers: Schema.fromJsonString(Schema.Record(Schema.String, Schema.String)),
  body: Schema.Uint8Array
}))

const read = (reply: RedisConnection.Reply): Effect.Effect<Entry, Schema.SchemaError> => {
  const [status, version, headers, body] = Array.isArray(reply) ? reply : []
  return decode({ status: Number(status), version: Number(version), headers: String(headers), body })
}
