import * as NodeRedis from "@effect/platform-node/NodeRedis"
import { assert, describe, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as TestClock from "effect/testing/TestClock"
import * as KeyValueStore from "effect/unstable/persistence/KeyValueStore"
import { randomBytes } from "node:crypto"
import * as BudgetStore from "../../src/policy/BudgetStore.ts"
import * as DurableObjectStorage from "../../src/store/DurableObjectStorage.ts"
import { isMissing } from "../support/redis.ts"
import { redisOfFile } from "../support/redisOfFile.ts"

const hour = 3_600_000
const account = (name: string, resetsAt = hour): BudgetStore.Account => ({ name, resetsAt })

/** A Durable Object's storage, as slow as a real one: what is read is not what is there when it is written. */
export const slowStorage = () => {
  const entries = new Map<string, string>()
  const slowly = <A>(f: () => A) => new Promise<A>((resolve) => setImmediate(() => setImmediate(() => resolve(f()))))
  return {
    entries,
    get: (key: string) => slowly(() => entries.get(key)),
    put: (key: string, value: string) => slowly(() => void entries.set(key, value)),
    delete: (key: string) => slowly(() => entries.delete(key)),
    list: () => slowly(() => entries)
  }
}

const contract = (name: string, store: () => Layer.Layer<BudgetStore.BudgetStore, unknown>, isLeftOut = false) =>
  describe.skipIf(isLeftOut)(`BudgetStore (${name})`, () => {
    const test = (
      claim: string,
      body: (store: BudgetStore.BudgetStore["Service"]) => Effect.Effect<void, BudgetStore.BudgetStoreError>
    ) => it.effect(claim, () => Effect.flatMap(BudgetStore.BudgetStore, body).pipe(Effect.provide(store())))

    test("reserves up to the limit, and says what there is", (store) =>
      Effect.gen(function*() {
        const a = account("a")
        assert.deepStrictEqual(yield* store.balance(a), { spent: 0, reserved: 0 })
        assert.deepStrictEqual(yield* store.reserve(a, { amount: 6, limit: 10 }), {
          granted: true,
          spent: 0,
          reserved: 6
        })
        assert.deepStrictEqual(yield* store.reserve(a, { amount: 5, limit: 10 }), {
          granted: false,
          spent: 0,
          reserved: 6
        })
        assert.isTrue((yield* store.reserve(a, { amount: 4, limit: 10 })).granted)
        assert.deepStrictEqual(yield* store.balance(a), { spent: 0, reserved: 10 })
      }))

    test("settles what was spent in place of what was reserved, more or less", (store) =>
      Effect.gen(function*() {
        const a = account("a")
        yield* store.reserve(a, { amount: 6, limit: 10 })
        yield* store.settle(a, { reserved: 6, spent: 2 })
        assert.deepStrictEqual(yield* store.balance(a), { spent: 2, reserved: 0 })
        yield* store.reserve(a, { amount: 8, limit: 10 })
        yield* store.settle(a, { reserved: 8, spent: 20 })
        assert.deepStrictEqual(yield* store.balance(a), { spent: 22, reserved: 0 })
        assert.isFalse((yield* store.reserve(a, { amount: 0, limit: 10 })).granted)
      }))

    test("settles what was never reserved, and takes back no more than there is", (store) =>
      Effect.gen(function*() {
        const a = account("a")
        yield* store.settle(a, { reserved: 5, spent: 3 })
        assert.deepStrictEqual(yield* store.balance(a), { spent: 3, reserved: 0 })
      }))

    test("starts anew in each window, which a late settlement does not change", (store) =>
      Effect.gen(function*() {
        yield* store.reserve(account("a"), { amount: 10, limit: 10 })
        yield* store.reserve(account("a"), { amount: 0, limit: 10 })
        yield* TestClock.setTime(hour)
        const next = account("a", 2 * hour)
        assert.deepStrictEqual(yield* store.reserve(next, { amount: 7, limit: 10 }), {
          granted: true,
          spent: 0,
          reserved: 7
        })
        yield* store.settle(account("a"), { reserved: 10, spent: 10 })
        assert.deepStrictEqual(yield* store.balance(next), { spent: 0, reserved: 7 })
      }))

    test("keeps accounts apart", (store) =>
      Effect.gen(function*() {
        yield* store.reserve(account("a"), { amount: 10, limit: 10 })
        assert.isTrue((yield* store.reserve(account("b"), { amount: 10, limit: 10 })).granted)
        assert.isFalse((yield* store.reserve(account("a"), { amount: 1, limit: 10 })).granted)
      }))

    test("grants no more than fits to many at once, and loses no settlement", (store) =>
      Effect.gen(function*() {
        const a = account("a")
        const reserve = store.reserve(a, { amount: 3, limit: 100 })
        const all = yield* Effect.all(Array.from({ length: 60 }, () => reserve), { concurrency: "unbounded" })
        assert.strictEqual(all.filter(({ granted }) => granted).length, 33)
        yield* Effect.all(Array.from({ length: 33 }, () => store.settle(a, { reserved: 3, spent: 1 })), {
          concurrency: "unbounded"
        })
        assert.deepStrictEqual(yield* store.balance(a), { spent: 33, reserved: 0 })
      }))

    test("counts amounts up to nine million dollars exactly", (store) =>
      Effect.gen(function*() {
        const a = account("a")
        const most = 9_000_000_000_000_000
        yield* store.settle(a, { reserved: 0, spent: most - 2 })
        assert.isFalse((yield* store.reserve(a, { amount: 3, limit: most })).granted)
        assert.isTrue((yield* store.reserve(a, { amount: 2, limit: most })).granted)
        assert.deepStrictEqual(yield* store.balance(a), { spent: most - 2, reserved: 2 })
      }))

    test("takes any text as a name", (store) =>
      Effect.gen(function*() {
        for (const name of ["__proto__", "", "a b\n{c}:*", "名"]) {
          yield* store.settle(account(name), { reserved: 0, spent: 1 })
          assert.deepStrictEqual(yield* store.balance(account(name)), { spent: 1, reserved: 0 })
        }
      }))
  })

const url = redisOfFile()

const onRedis = (prefix = randomBytes(8).toString("hex")) =>
  BudgetStore.layerRedis({ prefix }).pipe(Layer.provide(NodeRedis.layer({ url: url() })))

const inDurableObject = (storage: DurableObjectStorage.Storage) =>
  BudgetStore.layerKeyValueStore().pipe(Layer.provide(DurableObjectStorage.layer(storage)))

contract("memory", () => BudgetStore.layerMemory)
contract("KeyValueStore", () => BudgetStore.layerKeyValueStore().pipe(Layer.provide(KeyValueStore.layerMemory)))
contract("Durable Object", () => inDurableObject(slowStorage()))
contract("Redis", onRedis, isMissing)

// What workerd gives is what is asked for.
export const ofWorkerd = (state: DurableObjectState) => DurableObjectStorage.layer(state.storage)

describe("BudgetStore", () => {
  it.effect("keeps nothing in a Durable Object of an account that has nothing", () =>
    Effect.gen(function*() {
      const storage = slowStorage()
      yield* Effect.gen(function*() {
        const store = yield* BudgetStore.BudgetStore
        yield* store.reserve(account("a"), { amount: 3, limit: 5 })
        assert.deepStrictEqual([...storage.entries.keys()], ["kv:ai-gateway:budget:a"])
        yield* store.settle(account("a"), { reserved: 3, spent: 0 })
        assert.strictEqual(storage.entries.size, 0)
      }).pipe(Effect.provide(inDurableObject(storage)))
    }))

  it.effect("says what the storage failed with, and takes no entry that it did not write", () =>
    Effect.gen(function*() {
      const storage = slowStorage()
      const run = <A, E>(f: (store: BudgetStore.BudgetStore["Service"]) => Effect.Effect<A, E>) =>
        Effect.flip(Effect.flatMap(BudgetStore.BudgetStore, f)).pipe(
          Effect.provide(inDurableObject({ ...storage, put: () => Promise.reject(new Error("full")) }))
        )
      const failed = yield* run((store) => store.reserve(account("a"), { amount: 1, limit: 5 }))
      assert.strictEqual(failed.operation, "reserve")
      assert.include(Cause.pretty(Cause.fail(failed.cause)), "full")
      for (const entry of ["no JSON", "{\"spent\":1}", "{\"resetsAt\":1,\"spent\":\"1\",\"reserved\":0}"]) {
        storage.entries.set("kv:ai-gateway:budget:a", entry)
        const corrupt = yield* run((store) => store.balance(account("a")))
        assert.strictEqual(corrupt._tag, "BudgetStoreError")
      }
    }))

  it.effect.skipIf(isMissing)(
    "holds for two processes on one Redis, which forgets accounts of the past",
    () =>
      Effect.gen(function*() {
        const prefix = randomBytes(8).toString("hex")
        const reserve = Effect.flatMap(
          BudgetStore.BudgetStore,
          (store) =>
            Effect.all(Array.from({ length: 30 }, () => store.reserve(account("a"), { amount: 1, limit: 40 })), {
              concurrency: "unbounded"
            })
        )
        // Each with a connection of its own.
        const both = yield* Effect.all([
          reserve.pipe(Effect.provide(onRedis(prefix))),
          reserve.pipe(Effect.provide(onRedis(prefix)))
        ], { concurrency: 2 })
        assert.strictEqual(both.flat().filter(({ granted }) => granted).length, 40)
        yield* Effect.gen(function*() {
          const { use } = yield* NodeRedis.NodeRedis
          const [key = ""] = yield* use((client) => client.keys(`${prefix}*`))
          const left = yield* use((client) => client.pTTL(key))
          assert.isAbove(left, hour)
          assert.isAtMost(left, hour + 60_000)
        }).pipe(Effect.provide(NodeRedis.layer({ url: url() })))
      })
  )
})
