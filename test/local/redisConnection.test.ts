/**
 * A connection to Redis, and what the stores on it do beyond their contract.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import { TestClock } from "effect/testing"
import * as fc from "fast-check"
import { createServer } from "node:net"
import { createClient } from "redis"
import * as CacheStore from "../../src/local/CacheStore.ts"
import { RedisUnavailable } from "../../src/local/LocalGatewayError.ts"
import * as RateLimitStore from "../../src/local/RateLimitStore.ts"
import * as RedisCacheStore from "../../src/local/RedisCacheStore.ts"
import * as RedisConnection from "../../src/local/RedisConnection.ts"
import * as RedisRateLimitStore from "../../src/local/RedisRateLimitStore.ts"
import { freePort, isMissing, redis } from "../support/redis.ts"
import { connection, newAccount, target } from "./redisStores.ts"

const counter = (technique: "fixed" | "sliding", window = 3_600_000): RateLimitStore.Counter => ({
  gateway: "gw",
  name: `${technique} ${window}`,
  technique,
  window
})

const entry = (size: number): CacheStore.Entry => ({ status: 200, headers: {}, body: new Uint8Array(size), version: 0 })

const limits = <A, E>(
  use: (store: RateLimitStore.RateLimitStore["Service"]) => Effect.Effect<A, E>,
  layer = connection(RedisRateLimitStore.layer)
) => Effect.flatMap(RateLimitStore.RateLimitStore, use).pipe(Effect.provide(layer, { local: true }))

const cache = <A, E>(
  limit: number,
  use: (store: CacheStore.CacheStore["Service"]) => Effect.Effect<A, E>,
  account = newAccount()
) =>
  Effect.flatMap(CacheStore.CacheStore, use).pipe(
    Effect.provide(connection(() => RedisCacheStore.layer(account, { limit })), { local: true })
  )

/** As somebody at `redis-cli` does. */
const clientOf = () => createClient({ socket: { host: target().host, port: target().port } })

const cli = <A>(use: (client: ReturnType<typeof clientOf>) => Promise<A>) =>
  Effect.promise(async () => {
    const client = clientOf()
    client.on("error", () => {})
    await client.connect()
    try {
      return await use(client)
    } finally {
      client.destroy()
    }
  })

const keysOf = (account: string) => cli((client) => client.keys(`*${account}*`))

const connect = (to: RedisConnection.Target) =>
  Effect.scoped(Layer.build(RedisConnection.layer(to, { consequence: "" })))

const at = (url: string) => Option.getOrThrow(Option.fromNullishOr(RedisConnection.target(url)))

describe("the URL of a Redis", () => {
  it("has a host, and may have a port, a user, a password, a database and TLS", () => {
    const { password, ...all } = at("rediss://us%40er:p%2Fw@[::1]:7000/2")
    assert.deepStrictEqual(all, {
      address: "[::1]:7000",
      host: "::1",
      port: 7000,
      tls: true,
      username: "us@er",
      database: 2
    })
    assert.strictEqual(password && Redacted.value(password), "p/w")
    assert.notInclude(JSON.stringify(at("redis://:secret@h")), "secret")
    assert.deepInclude(at("redis://h"), { address: "h:6379", tls: false, database: 0, username: undefined })
  })

  for (
    const url of ["", "localhost", "localhost:6379", "http://h", "redis://", "redis:h", "redis:///1", "redis://h:0"]
      .concat("redis://h:99999", "redis://h/x", "redis://h/1/2", "redis://h?db=1", "redis://:%zz@h", "unix:///r.sock")
  ) {
    it(`is not ${JSON.stringify(url)}`, () => assert.isUndefined(RedisConnection.target(url)))
  }
})

describe.skipIf(isMissing)("a connection to Redis", () => {
  it.live("says within seconds where nothing listens", () =>
    Effect.gen(function*() {
      const port = yield* freePort
      for (const host of ["127.0.0.1", "localhost"]) {
        const error = yield* Effect.flip(connect(at(`redis://:secret@${host}:${port}`)))
        assert.instanceOf(error, RedisUnavailable)
        assert.match(
          error.message,
          new RegExp(`^cannot use Redis at ${host}:${port} \\(connect ECONNREFUSED .*check that`)
        )
        assert.notInclude(JSON.stringify(error), "secret")
      }
    }))

  it.live("says within seconds that what listens there is mute, or is no Redis", () =>
    Effect.gen(function*() {
      for (const said of [undefined, "HTTP/1.1 400 Bad Request\r\n\r\n", "-ERR max number of clients reached\r\n"]) {
        const server = yield* Effect.acquireRelease(
          Effect.callback<{ readonly port: number; readonly close: () => void }>((resume) => {
            const server = createServer((socket) => {
              socket.on("error", () => {})
              if (said !== undefined) socket.end(said)
            })
            server.listen(0, "127.0.0.1", () => {
              const address = server.address()
              const port = typeof address === "object" && address !== null ? address.port : 0
              resume(Effect.succeed({ port, close: () => server.close() }))
            })
          }),
          ({ close }) => Effect.sync(close)
        )
        const [took, error] = yield* Effect.timed(Effect.flip(connect(at(`redis://127.0.0.1:${server.port}`))))
        assert.instanceOf(error, RedisUnavailable)
        assert.isBelow(Duration.toMillis(took), 8000)
      }
    }))

  it.live("needs the right password, and shows it nowhere", () =>
    Effect.gen(function*() {
      const { port } = yield* redis(["--requirepass", "s3cret-7"])
      yield* connect(at(`redis://:s3cret-7@127.0.0.1:${port}`))
      for (const [given, why] of [[":wr0ng-9@", "WRONGPASS"], ["", "NOAUTH"]] as const) {
        const error = yield* Effect.flip(connect(at(`redis://${given}127.0.0.1:${port}`)))
        assert.include(error.message, why)
        assert.notMatch(`${error.message} ${JSON.stringify(error)} ${error.stack}`, /s3cret-7|wr0ng-9/)
      }
    }))

  it.live("finds out at the start that Redis only reads", () =>
    Effect.gen(function*() {
      const { port } = yield* redis(["--replicaof", "127.0.0.1", "1"])
      assert.include((yield* Effect.flip(connect(at(`redis://127.0.0.1:${port}`)))).message, "READONLY")
    }))

  it.effect("runs scripts also after Redis has forgotten them", () =>
    limits((store) =>
      Effect.gen(function*() {
        assert.isTrue(yield* store.take(counter("fixed"), 2))
        yield* cli((client) => client.scriptFlush())
        assert.isTrue(yield* store.take(counter("fixed"), 2))
        assert.isFalse(yield* store.take(counter("fixed"), 2))
      })
    ))
})

describe.skipIf(isMissing)("counters in Redis", () => {
  it.effect("count as those in memory do, amounts too", () =>
    Effect.promise(() =>
      fc.assert(
        fc.asyncProperty(
          fc.array(fc.tuple(fc.nat(1500), fc.constantFrom("take", "add"), fc.nat(20)), { minLength: 1, maxLength: 60 }),
          fc.constantFrom(7, 1000, 5000),
          (steps, window) =>
            Effect.gen(function*() {
              const memory = yield* Effect.provide(RateLimitStore.RateLimitStore, RateLimitStore.layerMemory)
              yield* limits((store) =>
                Effect.gen(function*() {
                  for (const [wait, what, n] of steps) {
                    yield* TestClock.adjust(wait)
                    for (const technique of ["fixed", "sliding"] as const) {
                      const of = counter(technique, window)
                      if (what === "add") {
                        yield* store.add(of, n / 8)
                        yield* memory.add(of, n / 8)
                      } else {
                        assert.strictEqual(yield* store.take(of, n), yield* memory.take(of, n))
                      }
                      assert.strictEqual(yield* store.total(of), yield* memory.total(of))
                    }
                  }
                })
              )
            }).pipe(Effect.provide(TestClock.layer()), Effect.runPromise)
        ),
        { numRuns: 30 }
      )
    ))

  it.effect("keep small amounts beside large ones", () =>
    limits((store) =>
      Effect.gen(function*() {
        for (let i = 0; i < 10; i++) yield* store.add(counter("sliding"), 0.1)
        yield* store.add(counter("sliding"), 123456789.12345678)
        yield* TestClock.adjust("10 minutes")
        yield* store.add(counter("sliding"), 0.000001234)
        assert.approximately(yield* store.total(counter("sliding")), 123456790.12345801, 1e-6)
      })
    ))

  it.live("hold exactly for several processes at once, by the clock of Redis", () =>
    Effect.gen(function*() {
      const account = newAccount()
      const layer = Layer.fresh(
        RedisRateLimitStore.layer(account).pipe(
          Layer.provide(RedisConnection.layer(target(), { consequence: "" })),
          Layer.orDie
        )
      )
      for (const technique of ["fixed", "sliding"] as const) {
        // 31 days: not even an aligned window ends meanwhile.
        const of = counter(technique, 2_678_400_000)
        const taken = yield* Effect.forEach(["a", "b", "c"], () =>
          limits((store) =>
            Effect.forEach(Array.from({ length: 40 }), () =>
              store.take(of, 50), { concurrency: 8 }), layer), { concurrency: 3 })
        assert.strictEqual(
          taken.flat().filter((_) =>
            _
          ).length,
          50
        )
      }
      for (const key of yield* keysOf(account)) {
        assert.isAbove(
          yield* cli((client) =>
            client.pTTL(key)
          ),
          0,
          `${key} goes by itself`
        )
      }
    }))

  it.live("go by themselves, and a gateway's all at once", () =>
    Effect.gen(function*() {
      const account = newAccount()
      yield* limits((store) =>
        Effect.gen(function*() {
          const named = (n: number, gateway = "gw") => ({ ...counter("sliding"), gateway, name: String(n) })
          yield* Effect.forEach(Array.from({ length: 2500 }, (_, n) => n), (n) => store.take(named(n), 1), {
            concurrency: 100
          })
          yield* store.take(named(1, "other"), 1)
          yield* store.clear("gw")
          assert.deepStrictEqual((yield* keysOf(account)).length, 2, "the other gateway's counter and its index")
          assert.isTrue(yield* store.take(named(7), 1))
          assert.isFalse(yield* store.take(named(1, "other"), 1))
        }), connection(() => RedisRateLimitStore.layer(account)))
    }))
})

describe.skipIf(isMissing)("a cache in Redis", () => {
  it.effect("makes room step by step when its size has become smaller", () =>
    Effect.gen(function*() {
      const account = newAccount()
      const names = Array.from({ length: 2500 }, (_, n) => String(n))
      const key = (key: string) => ({ gateway: "gw", key })
      yield* cache(1e6, (store) =>
        Effect.forEach(names, (name) =>
          store.put(key(name), entry(10), 60_000), { discard: true, concurrency: 1 }), account)
      yield* cache(100, (store) =>
        Effect.gen(function*() {
          yield* store.put(key("new"), entry(10), 60_000)
          const kept = yield* Effect.filter([...names, "new"], (name) =>
            Effect.map(store.get(key(name)), Option.isSome))
          assert.deepStrictEqual(kept, [...names.slice(-9), "new"])
          assert.strictEqual((yield* keysOf(account)).length, 10 + 4, "no rest of the others")
        }), account)
    }))

  it.effect("makes room of those whose time is up first, and leaves nothing of a gateway that is cleared", () =>
    Effect.gen(function*() {
      const account = newAccount()
      yield* cache(100, (store) =>
        Effect.gen(function*() {
          yield* store.put({ gateway: "gw", key: "long" }, entry(50), 600_000)
          yield* store.put({ gateway: "gw", key: "short" }, entry(50), 60_000)
          yield* TestClock.adjust("1 minute")
          yield* store.put({ gateway: "gw-2", key: "new" }, entry(50), 60_000)
          assert.isTrue(Option.isSome(yield* store.get({ gateway: "gw", key: "long" })))
          yield* store.clear("gw")
          yield* store.clear("gw-2")
          assert.deepStrictEqual(
            (yield* keysOf(account)).filter((key) => !/:(sizes|epochs)$/.test(key)),
            [],
            "what was answered is gone from Redis"
          )
        }), account)
    }))

  it.effect("has another version of a gateway after each time it was cleared, whatever the settings' own time", () =>
    cache(100, (store) =>
      Effect.gen(function*() {
        const of = (modifiedAt: number) => store.versionOf({ id: "gw", modifiedAt })
        const before = yield* of(1)
        assert.strictEqual(yield* of(2), before)
        yield* store.clear("gw")
        assert.notStrictEqual(yield* of(2), before)
      })))

  it.live("lets Redis forget every key by itself", () =>
    Effect.gen(function*() {
      const account = newAccount()
      yield* cache(100, (store) =>
        Effect.gen(function*() {
          yield* store.clear("gw")
          yield* store.put({ gateway: "gw", key: "a" }, entry(50), 60_000)
          yield* store.get({ gateway: "gw", key: "a" })
        }), account)
      const keys = yield* keysOf(account)
      assert.strictEqual(keys.length, 6)
      for (const key of keys) assert.isAbove(yield* cli((client) => client.pTTL(key)), 0, key)
    }))

  it.effect("goes on when Redis has evicted what it counts by", () =>
    Effect.gen(function*() {
      const account = newAccount()
      const key = (key: string) => ({ gateway: "gw", key })
      yield* cache(100, (store) =>
        Effect.gen(function*() {
          for (const part of ["sizes", "used", "ends", "of:gw", "entry:gw/a"]) {
            yield* store.put(key("a"), entry(60), 60_000)
            yield* cli((client) => client.del(`ai-gateway:{${account}}:cache:${part}`))
            for (const name of ["b", "c", "d"]) yield* store.put(key(name), entry(60), 60_000)
            assert.isTrue(Option.isSome(yield* store.get(key("d"))), `without ${part}`)
            assert.isTrue(Option.isNone(yield* store.get(key("c"))), `without ${part}`)
          }
        }), account)
    }))
})
