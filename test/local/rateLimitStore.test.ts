import { assert, describe, it } from "@effect/vitest"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import { TestClock } from "effect/testing"
import * as fc from "fast-check"
import { DatabaseSync } from "node:sqlite"
import * as CacheDatabase from "../../src/local/CacheDatabase.ts"
import * as RateLimitStore from "../../src/local/RateLimitStore.ts"
import * as RedisRateLimitStore from "../../src/local/RedisRateLimitStore.ts"
import { isMissing } from "../support/redis.ts"
import { connection } from "./redisStores.ts"
import { onFile, threadOf } from "./storeFile.ts"
import { temporaryFile } from "./temporaryFile.ts"

const account = "0".repeat(32)
const counter = (technique: "fixed" | "sliding", more: Partial<RateLimitStore.Counter> = {}) => ({
  gateway: "gw",
  name: technique,
  technique,
  window: 1000,
  ...more
})

const sqlite = (database: string) =>
  RateLimitStore.layer(account).pipe(Layer.provide(Layer.fresh(threadOf(database))), Layer.orDie)

const contract = (name: string, layer: Layer.Layer<RateLimitStore.RateLimitStore>, isLeftOut = false) =>
  describe.skipIf(isLeftOut)(`rate limit store (${name})`, () => {
    const withStore = <A, E>(use: (store: RateLimitStore.RateLimitStore["Service"]) => Effect.Effect<A, E>) =>
      Effect.flatMap(RateLimitStore.RateLimitStore, use).pipe(Effect.provide(layer, { local: true }))

    it.effect("takes as many as the limit, also of those that come at once", () =>
      withStore((store) =>
        Effect.gen(function*() {
          const taken = yield* Effect.forEach(
            Array.from({ length: 20 }),
            () => store.take(counter("sliding"), 5),
            { concurrency: "unbounded" }
          )
          assert.strictEqual(taken.filter((_) => _).length, 5)
          assert.strictEqual(yield* store.total(counter("sliding")), 5, "a refused one does not count")
        })
      ))

    it.effect("begins a fixed window with the clock, and a sliding one with each that it took", () =>
      withStore((store) =>
        Effect.gen(function*() {
          yield* TestClock.adjust("1900 millis")
          for (const technique of ["fixed", "sliding"] as const) yield* store.take(counter(technique), 1)
          yield* TestClock.adjust("100 millis")
          assert.isTrue(yield* store.take(counter("fixed"), 1))
          yield* TestClock.adjust("899 millis")
          assert.isFalse(yield* store.take(counter("sliding"), 1))
          yield* TestClock.adjust("1 millis")
          assert.isTrue(yield* store.take(counter("sliding"), 1))
        })
      ))

    it.effect("never takes more than the limit in any stretch of a sliding window, and all that a fixed one has room for", () =>
      Effect.promise(() =>
        fc.assert(
          fc.asyncProperty(
            fc.array(fc.integer({ min: 0, max: 700 }), { minLength: 1, maxLength: 40 }),
            fc.constantFrom(1000, 5000),
            (waits, window) =>
              Effect.runPromise(
                withStore((store) =>
                  Effect.gen(function*() {
                    const took: { fixed: Array<number>; sliding: Array<number> } = { fixed: [], sliding: [] }
                    let now = 0
                    for (const wait of waits) {
                      yield* TestClock.adjust(wait)
                      now += wait
                      for (const technique of ["fixed", "sliding"] as const) {
                        const isTaken = yield* store.take(counter(technique, { window }), 3)
                        const width = window / 1000
                        const since = technique === "fixed" ? Math.floor(now / window) * window : now - window + 1
                        const within = took[technique].filter((at) => at >= since).length
                        if (isTaken) assert.isBelow(within, 3)
                        // A bucket's width at most is a request counted for longer.
                        else assert.isAtLeast(took[technique].filter((at) => at >= since - width).length, 3)
                        if (isTaken) took[technique].push(now)
                      }
                    }
                  })
                ).pipe(Effect.provide(TestClock.layer()))
              )
          ),
          { numRuns: 20 }
        )
      ))

    it.effect("adds amounts beyond any limit, and forgets them with the window", () =>
      withStore((store) =>
        Effect.gen(function*() {
          for (const technique of ["fixed", "sliding"] as const) {
            yield* store.add(counter(technique), 0.5)
            yield* store.add(counter(technique), 2.25)
            assert.strictEqual(yield* store.total(counter(technique)), 2.75)
          }
          yield* TestClock.adjust("1 second")
          for (const technique of ["fixed", "sliding"] as const) {
            assert.strictEqual(yield* store.total(counter(technique)), 0)
          }
        })
      ))

    it.effect("keeps names and gateways apart, and forgets a gateway", () =>
      withStore((store) =>
        Effect.gen(function*() {
          const others = [{}, { name: "b" }, { gateway: "other" }].map((more) => counter("sliding", more))
          for (const other of others) assert.isTrue(yield* store.take(other, 1))
          yield* store.clear("gw")
          assert.deepStrictEqual(yield* Effect.forEach(others, store.total), [0, 0, 1])
        })
      ))
  })

contract("memory", RateLimitStore.layerMemory)
contract("SQLite", Layer.unwrap(Effect.map(temporaryFile, sqlite)))
contract("Redis", connection(RedisRateLimitStore.layer), isMissing)

describe("counters in a file", () => {
  const hour = counter("sliding", { window: 3_600_000 })
  const { use, useTwo } = onFile(RateLimitStore.RateLimitStore, sqlite)

  it.live("outlive the process", () =>
    Effect.gen(function*() {
      const file = yield* temporaryFile
      yield* use(file, (store) => Effect.andThen(store.take(hour, 2), store.add(hour, 0.5)))
      assert.strictEqual(yield* use(file, (store) => store.total(hour)), 1.5)
    }))

  it.live("are seen by another process a moment later, also while that one counts", () =>
    useTwo((one, other) =>
      Effect.gen(function*() {
        yield* one.take(hour, 5)
        const taken = Effect.forEach(["one", "other"], (name) => (name === "one" ? one : other).take(hour, 5))
        let allowed = 1
        for (let i = 0; i < 20; i++) {
          yield* Effect.sleep("150 millis")
          allowed += (yield* taken).filter((_) => _).length
        }
        assert.isAtLeast(allowed, 5)
        // Both may have counted the last one in the same moment.
        assert.isAtMost(allowed, 6)
      })
    ))

  it.live("are seen by a process that counts rarely, too", () =>
    useTwo((one, other) =>
      Effect.gen(function*() {
        for (let i = 0; i < 2; i++) {
          assert.isTrue(yield* one.take(hour, 5))
          yield* Effect.sleep("150 millis")
        }
        for (let i = 0; i < 3; i++) assert.isTrue(yield* other.take(hour, 5))
        // The other's thread takes a while to start.
        yield* Effect.sleep("1 second")
        assert.isFalse(yield* one.take(hour, 5))
      })
    ))

  it.live("are forgotten also by who has read them while they were being forgotten", () =>
    Effect.gen(function*() {
      const file = yield* temporaryFile
      yield* use(file, (store) =>
        Effect.gen(function*() {
          for (let i = 0; i < 3; i++) yield* store.take(hour, 3)
          // Until it is in the file.
          yield* Effect.sleep("300 millis")
          const holder = new DatabaseSync(CacheDatabase.cacheFileOf(file))
          holder.exec("BEGIN IMMEDIATE")
          const clearing = yield* Effect.forkChild(store.clear("gw"), { startImmediately: true })
          assert.strictEqual(yield* store.total(hour), 3)
          holder.exec("COMMIT")
          holder.close()
          yield* Fiber.join(clearing)
          assert.strictEqual(yield* store.total(hour), 0)
        }))
    }))

  it.live("come to the same sum in every process that has counted, however they met", () =>
    useTwo((one, other) =>
      Effect.gen(function*() {
        const count = (store: RateLimitStore.RateLimitStore["Service"], times: number, pause: Duration.Input) =>
          Effect.forEach(
            Array.from({ length: times }),
            () => Effect.andThen(store.add(hour, 1), Effect.sleep(pause)),
            { discard: true }
          )
        // The threads take a while to start.
        for (const store of [one, other]) yield* store.add(hour, 1)
        yield* Effect.sleep("1 second")
        for (let burst = 1; burst <= 10; burst++) {
          yield* Effect.all([count(one, 60, "1 millis"), Effect.delay(count(other, 1, 0), "30 millis")], {
            concurrency: "unbounded"
          })
          yield* Effect.sleep("250 millis")
          const sum = 2 + 61 * burst
          assert.deepStrictEqual([yield* one.total(hour), yield* other.total(hour)], [sum, sum])
        }
      })
    ))
})
