import * as NodeRedis from "@effect/platform-node/NodeRedis"
import { assert, describe, it } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as TestClock from "effect/testing/TestClock"
import * as HttpEffect from "effect/unstable/http/HttpEffect"
import type * as HttpServerRequest from "effect/unstable/http/HttpServerRequest"
import * as HttpServerResponse from "effect/unstable/http/HttpServerResponse"
import * as KeyValueStore from "effect/unstable/persistence/KeyValueStore"
import * as RateLimiter from "effect/unstable/persistence/RateLimiter"
import * as FastCheck from "fast-check"
import * as RateLimit from "../../src/policy/RateLimit.ts"
import * as Redis from "../support/redis.ts"

type StoreLayer = Layer.Layer<RateLimit.RateLimitStore, unknown>

const keyValue = RateLimit.layerKeyValueStore().pipe(Layer.provide(KeyValueStore.layerMemory))
const effectLimiter = RateLimit.layerRateLimiter.pipe(
  Layer.provide(RateLimiter.layer),
  Layer.provide(RateLimiter.layerStoreMemory)
)

const passed = (options: RateLimit.Options) =>
  RateLimit.check(options).pipe(Effect.as(true), Effect.catchTag("RateLimited", () => Effect.succeed(false)))

/** Runs calls after the given waits, and gives the times at which one was let through. */
const admitted = (options: RateLimit.Options, waits: ReadonlyArray<number>, store: StoreLayer) =>
  Effect.runPromise(
    Effect.gen(function*() {
      const times: Array<number> = []
      let now = 0
      for (const wait of waits) {
        yield* TestClock.adjust(Duration.millis(wait))
        now += wait
        if (yield* passed(options)) times.push(now)
      }
      return times
    }).pipe(Effect.provide(store), Effect.provide(TestClock.layer()))
  )

/** The most that were let through in any stretch of this length. */
const densest = (times: ReadonlyArray<number>, window: number): number =>
  Math.max(0, ...times.map((from) => times.filter((time) => time >= from && time < from + window).length))

const arrivals = FastCheck.record({
  limit: FastCheck.integer({ min: 1, max: 6 }),
  window: FastCheck.constantFrom(1, 7, 100, 1000, 12_345),
  waits: FastCheck.array(
    FastCheck.oneof(FastCheck.constant(0), FastCheck.nat(50), FastCheck.nat(20_000)),
    { minLength: 1, maxLength: 60 }
  )
})

const bounded = (store: () => StoreLayer, algorithm: "fixed" | "sliding", factor: number) =>
  Effect.promise(() =>
    FastCheck.assert(
      FastCheck.asyncProperty(arrivals, async ({ limit, waits, window }) => {
        const times = await admitted({ key: "u", limit, window, algorithm }, waits, store())
        assert.isAtMost(densest(times, window), factor * limit)
        assert.isAtLeast(times.length, 1)
      }),
      { numRuns: 60 }
    )
  )

describe("RateLimit", () => {
  for (const [name, store] of [["memory", RateLimit.layerMemory], ["a key-value store", keyValue]] as const) {
    describe(`in ${name}`, () => {
      it.effect("never lets more than the limit through in any stretch of a sliding window", () =>
        bounded(() => Layer.fresh(store), "sliding", 1))

      it.effect("lets at most twice the limit through around the end of a fixed window", () =>
        bounded(() => Layer.fresh(store), "fixed", 2))

      it.effect("tells what remains, when to come again, and keeps to it", () =>
        Effect.gen(function*() {
          const options = { key: "u", limit: 2, window: "10 seconds" } as const
          assert.deepStrictEqual((yield* RateLimit.check(options)).remaining, 1)
          yield* TestClock.adjust("4 seconds")
          assert.deepStrictEqual(yield* RateLimit.check(options), {
            limit: 2,
            remaining: 0,
            resetAfter: Duration.millis(10_099)
          })
          const error = yield* Effect.flip(RateLimit.check(options))
          assert(error._tag === "RateLimited")
          assert.strictEqual(Duration.toMillis(error.retryAfter), 6099)
          yield* TestClock.adjust(Duration.subtract(error.retryAfter, Duration.millis(1)))
          assert.isFalse(yield* passed(options))
          yield* TestClock.adjust("1 millis")
          assert.isTrue(yield* passed(options), "the first place is free")
          assert.isFalse(yield* passed(options), "the second is not")
        }).pipe(Effect.provide(Layer.fresh(store))))

      it.effect("starts a fixed window anew on the clock's own boundary", () =>
        Effect.gen(function*() {
          const options = { key: "u", limit: 2, window: "10 seconds", algorithm: "fixed" } as const
          yield* TestClock.adjust("7 seconds")
          assert.deepStrictEqual([yield* passed(options), yield* passed(options), yield* passed(options)], [
            true,
            true,
            false
          ])
          const error = yield* Effect.flip(RateLimit.check(options))
          assert(error._tag === "RateLimited")
          assert.strictEqual(Duration.toSeconds(error.retryAfter), 3)
          yield* TestClock.adjust("3 seconds")
          assert.isTrue(yield* passed(options))
        }).pipe(Effect.provide(Layer.fresh(store))))

      it.effect("holds while many come at once, and for each key by itself", () =>
        Effect.gen(function*() {
          const all = yield* Effect.forEach(
            Array.from({ length: 60 }, (_, i) => i),
            (i) => passed({ key: `u${i % 2}`, limit: 10, window: "1 minute" }),
            { concurrency: "unbounded" }
          )
          assert.strictEqual(all.filter((_) => _).length, 20)
        }).pipe(Effect.provide(Layer.fresh(store))))

      it.effect("takes over a limit that was lowered", () =>
        Effect.gen(function*() {
          const window = "10 seconds"
          for (let call = 0; call < 3; call++) {
            yield* RateLimit.check({ key: "u", limit: 3, window })
            yield* TestClock.adjust("1 seconds")
          }
          const error = yield* Effect.flip(RateLimit.check({ key: "u", limit: 1, window }))
          assert(error._tag === "RateLimited")
          assert.strictEqual(Duration.toMillis(error.retryAfter), 9099, "until all three have gone")
        }).pipe(Effect.provide(Layer.fresh(store))))
    })
  }

  it.effect("counts nothing for an entry that is none of its own", () =>
    Effect.gen(function*() {
      const store = yield* KeyValueStore.KeyValueStore
      yield* store.set("rate-limit:sliding:1000:u", "{\"old\":true}")
      assert.isTrue(yield* passed({ key: "u", limit: 1, window: "1 second" }))
      assert.isFalse(yield* passed({ key: "u", limit: 1, window: "1 second" }))
    }).pipe(Effect.provide(RateLimit.layerKeyValueStore().pipe(Layer.provideMerge(KeyValueStore.layerMemory)))))

  it.effect("holds while many come at once, also where the key-value store takes its time", () =>
    Effect.gen(function*() {
      const store = yield* KeyValueStore.KeyValueStore
      const slow: KeyValueStore.KeyValueStore = {
        ...store,
        get: (key) => Effect.andThen(Effect.yieldNow, store.get(key)),
        set: (key, value) => Effect.andThen(Effect.yieldNow, store.set(key, value))
      }
      const all = yield* Effect.forEach(
        Array.from({ length: 30 }, (_, i) => i),
        () => passed({ key: "u", limit: 10, window: "1 minute" }),
        { concurrency: "unbounded" }
      ).pipe(
        Effect.provide(
          RateLimit.layerKeyValueStore().pipe(Layer.provide(Layer.succeed(KeyValueStore.KeyValueStore, slow)))
        )
      )
      assert.strictEqual(all.filter((_) => _).length, 10)
    }).pipe(Effect.provide(KeyValueStore.layerMemory)))

  describe("in Effect's own limiter", () => {
    it.effect("lets at most twice the limit through in any window, by its token bucket", () =>
      bounded(() => Layer.fresh(effectLimiter), "sliding", 2))

    it.effect("lets at most twice the limit through in any window, by its fixed window", () =>
      bounded(() => Layer.fresh(effectLimiter), "fixed", 2))

    it.effect("says when to come again", () =>
      Effect.gen(function*() {
        const options = { key: "u", limit: 1, window: "10 seconds" } as const
        assert.strictEqual((yield* RateLimit.check(options)).remaining, 0)
        const error = yield* Effect.flip(RateLimit.check(options))
        assert(error._tag === "RateLimited")
        assert.strictEqual(Duration.toSeconds(error.retryAfter), 10)
      }).pipe(Effect.provide(Layer.fresh(effectLimiter))))
  })

  describe("in Cloudflare's binding", () => {
    const binding = (answers: ReadonlyArray<boolean>) => {
      const keys: Array<string> = []
      const layer = RateLimit.layerBinding({
        limit: ({ key }) => {
          keys.push(key)
          return Promise.resolve({ success: answers[keys.length - 1] ?? false })
        }
      })
      return { keys, layer }
    }

    it.effect("asks it with the key, and says no more than it says", () =>
      Effect.gen(function*() {
        const { keys, layer } = binding([true, false])
        const options = { key: "u-7", limit: 20, window: "1 minute" } as const
        yield* Effect.gen(function*() {
          assert.deepStrictEqual(yield* RateLimit.check(options), {
            limit: 20,
            remaining: undefined,
            resetAfter: undefined
          })
          const error = yield* Effect.flip(RateLimit.check(options))
          assert(error._tag === "RateLimited")
          assert.strictEqual(Duration.toSeconds(error.retryAfter), 60)
        }).pipe(Effect.provide(layer))
        assert.deepStrictEqual(keys, ["u-7", "u-7"])
      }))
  })

  describe("when the store fails", () => {
    const cause = new Error("no such binding")
    const broken = RateLimit.layerBinding({ limit: () => Promise.reject(cause) })
    const options = { key: "u", limit: 1, window: "1 minute" } as const

    it.effect("fails with a typed error that keeps the cause", () =>
      Effect.gen(function*() {
        const error = yield* Effect.flip(RateLimit.check(options))
        assert(error._tag === "RateLimitError")
        assert.strictEqual(error.reason, "StoreFailed")
        assert.strictEqual(error.cause, cause)
      }).pipe(Effect.provide(broken)))

    it.effect("lets the call through where that is asked for", () =>
      Effect.gen(function*() {
        const allowed = yield* RateLimit.check({ ...options, onStoreError: "allow" })
        assert.deepStrictEqual(allowed, { limit: 1, remaining: undefined, resetAfter: undefined })
      }).pipe(Effect.provide(broken)))
  })

  it.effect("names an option out of its range, also where failures let calls through", () =>
    Effect.gen(function*() {
      const bad = [
        [{ limit: 0 }, /limit must be an integer of at least 1\. It is 0/],
        [{ limit: Number.NaN }, /It is NaN/],
        [{ limit: 1.5 }, /It is 1\.5/],
        [{ window: 0 }, /window must be .* at least 1 millisecond/],
        [{ window: "Infinity" as const }, /window/]
      ] as const
      for (const [option, message] of bad) {
        const error = yield* Effect.flip(
          RateLimit.check({ key: "u", limit: 1, window: "1 second", onStoreError: "allow", ...option })
        )
        assert(error._tag === "RateLimitError")
        assert.strictEqual(error.reason, "InvalidOption")
        assert.match(error.message, message)
      }
    }).pipe(Effect.provide(RateLimit.layerMemory)))

  describe("over HTTP", () => {
    const request = (headers: Record<string, string> = {}) => new Request("http://worker/chat", { headers })

    it("answers 429 with retry-after in whole seconds, at least 1, and JSON", async () => {
      const short = new RateLimit.RateLimited({ limit: 5, retryAfter: Duration.millis(20) })
      const response = HttpServerResponse.toWeb(RateLimit.respond(short))
      assert.strictEqual(response.status, 429)
      assert.strictEqual(response.headers.get("retry-after"), "1")
      assert.isNull(response.headers.get("ratelimit-limit"))
      assert.match(response.headers.get("content-type") ?? "", /^application\/json/)
      assert.deepStrictEqual(await response.json(), {
        error: { type: "rate_limited", message: "Too many requests: try again in 1 s", retryAfter: 1 }
      })
      const long = new RateLimit.RateLimited({ limit: 5, retryAfter: Duration.millis(61_001) })
      const withHeaders = HttpServerResponse.toWeb(RateLimit.respond(long, { headers: true }))
      assert.strictEqual(withHeaders.headers.get("retry-after"), "62")
      assert.strictEqual(withHeaders.headers.get("ratelimit-limit"), "5")
      assert.strictEqual(withHeaders.headers.get("ratelimit-remaining"), "0")
      assert.strictEqual(withHeaders.headers.get("ratelimit-reset"), "62")
    })

    it("limits a handler by the client's address, and never runs it for those beyond", async () => {
      let runs = 0
      const handler = Effect.sync(() => {
        runs++
        return HttpServerResponse.text("hello")
      }).pipe(RateLimit.withLimit({ limit: 1, window: "1 hour", headers: true }))
      const { dispose, handler: serve } = HttpEffect.toWebHandlerLayer(handler, RateLimit.layerMemory)
      const first = await serve(request({ "cf-connecting-ip": "203.0.113.7" }))
      assert.strictEqual(first.status, 200)
      assert.strictEqual(first.headers.get("ratelimit-remaining"), "0")
      assert.strictEqual((await serve(request({ "cf-connecting-ip": "203.0.113.7" }))).status, 429)
      assert.strictEqual((await serve(request({ "cf-connecting-ip": "203.0.113.8" }))).status, 200)
      assert.strictEqual(runs, 2)
      await dispose()
    })

    it("limits by a key of the caller's own", async () => {
      const handler = RateLimit.withLimit(Effect.succeed(HttpServerResponse.text("hello")), {
        limit: 1,
        window: "1 hour",
        key: (request: HttpServerRequest.HttpServerRequest) => request.headers["x-user"] ?? "nobody"
      })
      const { dispose, handler: serve } = HttpEffect.toWebHandlerLayer(handler, RateLimit.layerMemory)
      assert.strictEqual((await serve(request({ "x-user": "ann" }))).status, 200)
      assert.strictEqual((await serve(request({ "x-user": "bob" }))).status, 200)
      assert.strictEqual((await serve(request({ "x-user": "ann" }))).status, 429)
      await dispose()
    })

    it("answers 429 for a failure that no handler has caught", async () => {
      const handler = RateLimit.check({ key: "u", limit: 1, window: "1 hour" }).pipe(
        Effect.as(HttpServerResponse.text("hello"))
      )
      const { dispose, handler: serve } = HttpEffect.toWebHandlerLayer(handler, RateLimit.layerMemory)
      assert.strictEqual((await serve(request())).status, 200)
      assert.strictEqual((await serve(request())).status, 429)
      await dispose()
    })
  })

  describe.skipIf(Redis.isMissing)("in a real Redis", () => {
    const withRedis = <A, E>(
      run: (redis: Redis.Redis, layer: StoreLayer) => Effect.Effect<A, E>
    ) =>
      Effect.scoped(
        Effect.flatMap(
          Redis.redis(),
          (redis) =>
            run(
              redis,
              RateLimit.layerRedis().pipe(
                Layer.provide(
                  NodeRedis.layer({ url: redis.url, disableOfflineQueue: true, commandsQueueMaxLength: 1000 })
                )
              )
            )
        )
      )

    it.live("holds for two clients that come at once", () =>
      withRedis((_, layer) =>
        Effect.gen(function*() {
          const half = Effect.forEach(
            Array.from({ length: 30 }, (_, i) => i),
            () => passed({ key: "u", limit: 10, window: "1 minute" }),
            { concurrency: "unbounded" }
          ).pipe(Effect.provide(Layer.fresh(layer)))
          const all = yield* Effect.all([half, half], { concurrency: 2 })
          assert.strictEqual(all.flat().filter((_) => _).length, 10)
        })
      ))

    it.live("never lets more than the limit through in any stretch, and lets the next one in when it says", () =>
      withRedis((_, layer) =>
        Effect.gen(function*() {
          const [limit, window] = [5, 300]
          // A call is let through somewhere between its two moments.
          const spans: Array<readonly [before: number, after: number]> = []
          const attempt = Effect.gen(function*() {
            const before = Date.now()
            const result = yield* Effect.result(RateLimit.check({ key: "u", limit, window }))
            if (result._tag === "Success") spans.push([before, Date.now()])
            return result
          })
          const end = Date.now() + 1500
          while (Date.now() < end) {
            const result = yield* attempt
            if (result._tag === "Failure") {
              assert(result.failure._tag === "RateLimited")
              const { retryAfter } = result.failure
              assert.isAbove(Duration.toMillis(retryAfter), 0)
              assert.isAtMost(Duration.toMillis(retryAfter), window + 3)
              // Timers may come a little early.
              yield* Effect.sleep(Duration.sum(retryAfter, Duration.millis(2)))
              assert.strictEqual((yield* attempt)._tag, "Success", "it is free when it says")
            }
            yield* Effect.sleep("7 millis")
          }
          assert.isAbove(spans.length, limit)
          for (const [from] of spans) {
            const inside = spans.filter(([before, after]) => before >= from && after < from + window)
            assert.isAtMost(inside.length, limit)
          }
        }).pipe(Effect.provide(layer))
      ))

    it.live("counts a fixed window, and forgets its keys", () =>
      withRedis((_, layer) =>
        Effect.gen(function*() {
          const options = { key: "u", limit: 2, window: "200 millis", algorithm: "fixed" } as const
          yield* Effect.sleep(Duration.millis(200 - Date.now() % 200 + 5))
          assert.deepStrictEqual([yield* passed(options), yield* passed(options), yield* passed(options)], [
            true,
            true,
            false
          ])
          yield* Effect.sleep("220 millis")
          assert.strictEqual((yield* RateLimit.check(options)).remaining, 1)
        }).pipe(Effect.provide(layer))
      ))

    it.live("fails with a typed error when Redis is gone", () =>
      withRedis((redis, layer) =>
        Effect.gen(function*() {
          const options = { key: "u", limit: 2, window: "1 minute" } as const
          yield* RateLimit.check(options)
          yield* redis.kill
          const error = yield* Effect.flip(RateLimit.check(options))
          assert(error._tag === "RateLimitError")
          assert.strictEqual(error.reason, "StoreFailed")
          assert.isDefined(error.cause)
          yield* RateLimit.check({ ...options, onStoreError: "allow" })
        }).pipe(Effect.provide(layer))
      ), 30_000)
  })
})
