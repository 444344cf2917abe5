import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import { TestClock } from "effect/testing"
import * as CacheDatabase from "../../src/local/CacheDatabase.ts"
import * as CacheStore from "../../src/local/CacheStore.ts"
import * as Database from "../../src/local/Database.ts"
import * as RedisCacheStore from "../../src/local/RedisCacheStore.ts"
import { isMissing } from "../support/redis.ts"
import { connection } from "./redisStores.ts"
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
  CacheStore.layer(account, { limit }).pipe(Layer.provide(Layer.fresh(CacheDatabase.layer(database))), Layer.orDie)

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
          yield* store.get(key("a"))
          yield* TestClock.adjust("2 seconds")
          yield* store.put(key("d", "other"), entry(bytes(40)), 60 * minute)
          const there = (name: string, gateway?: string) => Effect.map(store.get(key(name, gateway)), Option.isSome)
          assert.deepStrictEqual(
            [yield* there("a"), yield* there("b"), yield* there("c"), yield* there("d", "other")],
            [true, false, true, true]
          )
          yield* store.put(key("a"), entry(bytes(101)), minute)
          assert.deepStrictEqual([yield* there("a"), yield* there("c")], [false, true], "too large for any room")
          // Its room is free again: no other gives way.
          yield* store.put(key("e"), entry(bytes(30)), minute)
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
contract("SQLite", (limit) => sqlite(Database.memory, limit))
contract("Redis", (limit) => connection((account) => RedisCacheStore.layer(account, { limit })), isMissing)

describe("a cache in a file", () => {
  it.effect("outlives the process", () =>
    Effect.gen(function*() {
      const file = yield* temporaryFile
      const use = <A>(f: (store: CacheStore.CacheStore["Service"]) => Effect.Effect<A>) =>
        Effect.flatMap(CacheStore.CacheStore, f).pipe(Effect.provide(sqlite(file, 1000), { local: true }))
      yield* use((store) => store.put(key("a"), entry(bytes(5)), minute))
      assert.strictEqual(Option.getOrThrow(yield* use((store) => store.get(key("a")))).body.length, 5)
    }))
})
