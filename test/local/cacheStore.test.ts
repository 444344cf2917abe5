import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import { TestClock } from "effect/testing"
import { DatabaseSync } from "node:sqlite"
import * as CacheDatabase from "../../src/local/CacheDatabase.ts"
import * as CachePlace from "../../src/local/CachePlace.ts"
import * as CacheStore from "../../src/local/CacheStore.ts"
import * as RedisCacheStore from "../../src/local/RedisCacheStore.ts"
import * as WriterThread from "../../src/local/WriterThread.ts"
import { isMissing } from "../support/redis.ts"
import { connection } from "./redisStores.ts"
import { onFile, threadOf } from "./storeFile.ts"
import { temporaryFile } from "./temporaryFile.ts"

const account = "0".repeat(32)
const bytes = (size: number, fill = 1) => new Uint8Array(size).fill(fill)
const entry = (body: Uint8Array, version = 0): CacheStore.Entry => ({
  status: 200,
  headers: { "content-type": "image/png", "content-encoding": "gzip" },
  body,
  version
})
const key = (key: string, gateway = "gw") => ({ gateway, key })
const minute = 60_000

const sqlite = (database: string, limit: number) =>
  CacheStore.layer(account, { limit }).pipe(Layer.provideMerge(Layer.fresh(threadOf(database))), Layer.orDie)

/** What gives way does so behind the request. */
const settled = Effect.flatMap(
  Effect.serviceOption(WriterThread.WriterThread),
  (thread) => Option.isSome(thread) ? thread.value.answers.flush : Effect.void
)

const contract = (
  name: string,
  layer: (limit: number) => Layer.Layer<CacheStore.CacheStore>,
  isLeftOut = false
) =>
  describe.skipIf(isLeftOut)(`cache store (${name})`, () => {
    const withStore = <A, E>(limit: number, use: (store: CacheStore.CacheStore["Service"]) => Effect.Effect<A, E>) =>
      Effect.flatMap(CacheStore.CacheStore, use).pipe(Effect.provide(layer(limit), { local: true }))

    it.effect("gives back what was put last, byte for byte, to its own gateway", () =>
      withStore(1000, (store) =>
        Effect.gen(function*() {
          const every = Uint8Array.from({ length: 256 }, (_, i) => i)
          yield* store.put(key("a"), entry(bytes(3)), minute)
          yield* store.put(key("a"), entry(every, 7), minute)
          const found = Option.getOrThrow(yield* store.get(key("a")))
          assert.deepStrictEqual({ ...found, body: [...found.body] }, { ...entry(every, 7), body: [...every] })
          assert.isTrue(Option.isNone(yield* store.get(key("a", "other"))))
          assert.isTrue(Option.isNone(yield* store.get(key("b"))))
        })))

    it.effect("forgets an answer when its time is up", () =>
      withStore(1000, (store) =>
        Effect.gen(function*() {
          yield* store.put(key("a"), entry(bytes(1)), minute)
          yield* TestClock.adjust(minute - 1)
          assert.isTrue(Option.isSome(yield* store.get(key("a"))))
          yield* TestClock.adjust(1)
          assert.isTrue(Option.isNone(yield* store.get(key("a"))))
        })))

    it.effect("finds under a version only what was stored under it", () =>
      withStore(1000, (store) =>
        Effect.gen(function*() {
          yield* store.put(key("a"), entry(bytes(1), 1), minute)
          assert.isTrue(Option.isNone(yield* store.get({ ...key("a"), version: 2 })))
          assert.isTrue(Option.isSome(yield* store.get({ ...key("a"), version: 1 })))
          assert.isTrue(Option.isSome(yield* store.get(key("a"))))
        })))

    it.effect("stays within its size: what was not used for longest gives way", () =>
      withStore(100, (store) =>
        Effect.gen(function*() {
          for (const name of ["a", "b", "c"]) {
            yield* store.put(key(name), entry(bytes(30)), 60 * minute)
            yield* TestClock.adjust("2 seconds")
          }
          yield* settled
          yield* store.get(key("a"))
          yield* TestClock.adjust("2 seconds")
          yield* store.put(key("d", "other"), entry(bytes(40)), 60 * minute)
          yield* settled
          const there = (name: string, gateway?: string) => Effect.map(store.get(key(name, gateway)), Option.isSome)
          assert.deepStrictEqual(
            [yield* there("a"), yield* there("b"), yield* there("c"), yield* there("d", "other")],
            [true, false, true, true]
          )
          yield* store.put(key("a"), entry(bytes(101)), minute)
          assert.deepStrictEqual([yield* there("a"), yield* there("c")], [false, true], "too large for any room")
          // Its room is free again: no other gives way.
          yield* store.put(key("e"), entry(bytes(30)), minute)
          yield* settled
          assert.deepStrictEqual([yield* there("c"), yield* there("d", "other"), yield* there("e")], [true, true, true])
        })))

    it.effect("forgets one gateway and keeps the others", () =>
      withStore(1000, (store) =>
        Effect.gen(function*() {
          yield* store.put(key("a"), entry(bytes(1)), minute)
          yield* store.put(key("a", "other"), entry(bytes(1)), minute)
          yield* store.clear("gw")
          assert.isTrue(Option.isNone(yield* store.get(key("a"))))
          assert.isTrue(Option.isSome(yield* store.get(key("a", "other"))))
        })))
  })

contract("memory", (limit) => CacheStore.layerMemory({ limit }))
contract("SQLite", (limit) => Layer.unwrap(Effect.map(temporaryFile, (file) => sqlite(file, limit))))
contract("Redis", (limit) => connection((account) => RedisCacheStore.layer(account, { limit })), isMissing)

describe("a cache in a file", () => {
  const { use, useTwo } = onFile(CacheStore.CacheStore, (file) => sqlite(file, 100_000))

  it.effect("outlives the process", () =>
    Effect.gen(function*() {
      const file = yield* temporaryFile
      yield* use(file, (store) => store.put(key("a"), entry(bytes(5)), minute))
      assert.strictEqual(Option.getOrThrow(yield* use(file, (store) => store.get(key("a")))).body.length, 5)
    }))

  it.live("is found again by the next process, also when that has read what is there", () =>
    Effect.gen(function*() {
      const file = yield* temporaryFile
      const names = Array.from({ length: 2500 }, (_, i) => `answer ${i}`)
      yield* use(file, (store) => Effect.forEach(names, (name) => store.put(key(name), entry(bytes(5)), minute)))
      yield* use(file, (store) =>
        Effect.gen(function*() {
          for (const moment of ["at once", "later"]) {
            const found = yield* Effect.forEach(names, (name) => store.get(key(name)))
            assert.isTrue(found.every(Option.isSome), moment)
            assert.isTrue(Option.isNone(yield* store.get(key("none"))))
            yield* Effect.sleep("50 millis")
          }
        }))
    }))

  it.effect("gives nobody the answer of another whose place is the same", () =>
    Effect.gen(function*() {
      const range = CachePlace.ranges(account)("gw")
      const names = new Map<number, string>()
      const pair: Array<string> = []
      for (let i = 0; pair.length === 0; i++) {
        const { number } = CachePlace.make(range, String(i))
        const before = names.get(number)
        if (before === undefined) names.set(number, String(i))
        else pair.push(before, String(i))
      }
      const [one = "", other = ""] = pair
      const file = yield* temporaryFile
      yield* use(file, (store) => store.put(key(one), entry(bytes(1)), minute))
      yield* use(file, (store) =>
        Effect.gen(function*() {
          assert.isTrue(Option.isNone(yield* store.get(key(other))))
          yield* store.put(key(other), entry(bytes(2)), minute)
          yield* settled
          assert.isTrue(Option.isNone(yield* store.get(key(one))))
          assert.strictEqual(Option.getOrThrow(yield* store.get(key(other))).body.length, 2)
        }))
    }))

  it.effect("keeps what is used again and again, also when all else has been replaced", () =>
    Effect.gen(function*() {
      const file = yield* temporaryFile
      const store = sqlite(file, 1000)
      yield* Effect.flatMap(CacheStore.CacheStore, (store) =>
        Effect.gen(function*() {
          yield* store.put(key("in use"), entry(bytes(100)), 60 * minute)
          for (let i = 0; i < 60; i++) {
            yield* store.put(key(String(i)), entry(bytes(100)), 60 * minute)
            yield* settled
            yield* TestClock.adjust("1 seconds")
            assert.isTrue(Option.isSome(yield* store.get(key("in use"))), `after ${i}`)
            yield* settled
          }
          const there = yield* Effect.filter(
            Array.from({ length: 60 }, (_, i) => String(i)),
            (name) => Effect.map(store.get(key(name)), Option.isSome)
          )
          assert.deepStrictEqual(there, Array.from({ length: 9 }, (_, i) => String(51 + i)))
        })).pipe(Effect.provide(store, { local: true }))
    }))

  it.effect("keeps what has just come, also when all else was used", () =>
    Effect.gen(function*() {
      const file = yield* temporaryFile
      yield* Effect.flatMap(CacheStore.CacheStore, (store) =>
        Effect.gen(function*() {
          for (const name of ["a", "b", "c"]) yield* store.put(key(name), entry(bytes(100)), minute)
          yield* settled
          for (const name of ["a", "b", "c"]) yield* store.get(key(name))
          yield* store.put(key("d"), entry(bytes(100)), minute)
          // Twice in one batch, which counts as used.
          for (const name of ["e", "e", "f", "f"]) yield* store.put(key(name), entry(bytes(50)), minute)
          yield* settled
        })).pipe(Effect.provide(sqlite(file, 300), { local: true }))
      const rows = new DatabaseSync(CacheDatabase.cacheFileOf(file)).prepare(
        "SELECT name, length(body) AS size FROM cache"
      )
        .all()
      const names = rows.map(({ name }) => String(name).split("/")[1])
      assert.isTrue(["d", "e", "f"].every((name) => names.includes(name)), names.join())
      assert.isAtMost(rows.reduce((sum, { size }) => sum + Number(size), 0), 300)
    }))

  it.live("is not written again and again by two processes that only read", () =>
    useTwo((one, other, file) =>
      Effect.gen(function*() {
        yield* one.put(key("a"), entry(bytes(1)), minute)
        yield* Effect.sleep("300 millis")
        const found = new DatabaseSync(CacheDatabase.cacheFileOf(file)).prepare("SELECT writes FROM cache_state")
        const writes = () => Number(found.get()?.["writes"])
        const before = writes()
        const started = performance.now()
        for (let i = 0; i < 40; i++) {
          for (const store of [one, other]) assert.isTrue(Option.isSome(yield* store.get(key("a"))))
          yield* Effect.sleep("20 millis")
        }
        const seconds = Math.ceil((performance.now() - started) / 1000)
        assert.isAtMost(writes() - before, 1 + 2 * seconds, "each says once in a second that it is in use")
      })
    ))

  it.live("shows to one process what another puts, replaces and clears, a moment later", () =>
    useTwo((mine, theirs) =>
      Effect.gen(function*() {
        const seen = (name: string) =>
          Effect.map(
            Effect.andThen(Effect.sleep("250 millis"), mine.get(key(name))),
            Option.map(({ body }) => body.length)
          )
        assert.deepStrictEqual(yield* seen("a"), Option.none())
        yield* theirs.put(key("a"), entry(bytes(1)), minute)
        assert.deepStrictEqual(yield* seen("a"), Option.some(1))
        yield* theirs.put(key("a"), entry(bytes(2)), minute)
        assert.deepStrictEqual(yield* seen("a"), Option.some(2))
        // After a write of its own, too.
        yield* mine.put(key("mine"), entry(bytes(1)), minute)
        yield* Effect.sleep("250 millis")
        yield* theirs.clear("gw")
        assert.deepStrictEqual(yield* seen("a"), Option.none())
        // While this one writes all the time itself.
        yield* theirs.put(key("b"), entry(bytes(3)), minute)
        yield* Effect.forEach(Array.from({ length: 100 }, (_, i) => i), (i) =>
          Effect.andThen(mine.put(key(String(i)), entry(bytes(1)), minute), Effect.sleep("2 millis")))
        assert.deepStrictEqual(yield* seen("b"), Option.some(3))
      })
    ))
})
