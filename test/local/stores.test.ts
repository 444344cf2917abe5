import { assert, describe, it } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import { TestClock } from "effect/testing"
import { mkdirSync, mkdtempSync, rmSync, statSync } from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { DatabaseSync } from "node:sqlite"
import * as CacheDatabase from "../../src/local/CacheDatabase.ts"
import * as Database from "../../src/local/Database.ts"
import * as GatewayStore from "../../src/local/GatewayStore.ts"
import * as LogStore from "../../src/local/LogStore.ts"
import * as LogWriter from "../../src/local/LogWriter.ts"
import * as WriterThread from "../../src/local/WriterThread.ts"

const writerOf = (store: string) =>
  store === Database.memory
    ? LogWriter.layerMemory
    : LogWriter.layer.pipe(Layer.provide(WriterThread.layer(store)), Layer.provide(CacheDatabase.layer(store)))

const account = "0".repeat(32)

const storesIn = (store: string) =>
  Layer.mergeAll(GatewayStore.layer(account), Layer.provide(LogStore.layer(account), writerOf(store))).pipe(
    Layer.provide(Layer.fresh(Database.layer(store)))
  )

const entry = (id: string, more: Partial<LogStore.LogEntry> = {}): LogStore.LogEntry => ({
  id,
  gateway: "gw",
  createdAt: 0,
  provider: "workers-ai",
  model: "m",
  path: "p",
  duration: 1.5,
  requestType: "Provider",
  requestContentType: null,
  responseContentType: "application/json",
  statusCode: 200,
  success: true,
  cached: false,
  tokensIn: 1,
  tokensOut: null,
  cost: 0,
  customCost: false,
  metadata: { a: "b", n: 1, t: true },
  step: 0,
  eventId: id,
  userAgent: null,
  requestSize: 2,
  responseSize: 3,
  feedback: null,
  score: null,
  ...more
})

const unlimited: LogStore.Cap = { limit: 1_000_000, strategy: "DELETE_OLDEST" }
const bodies = { request: "{}", response: "ü€😀" }
const newest = { gateway: "gw", page: 1, perPage: 10, orderBy: "created_at", direction: "desc" } as const

const withStores = <A, E>(
  store: string,
  use: (stores: {
    readonly gateways: GatewayStore.GatewayStore["Service"]
    readonly logs: LogStore.LogStore["Service"]
  }) => Effect.Effect<A, E>
) =>
  Effect.gen(function*() {
    return yield* use({ gateways: yield* GatewayStore.GatewayStore, logs: yield* LogStore.LogStore })
  }).pipe(Effect.provide(storesIn(store), { local: true }))

const temporary = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "ai-gateway-"))),
  (folder) => Effect.sync(() => rmSync(folder, { recursive: true }))
).pipe(Effect.map((folder) => join(folder, "deeper", "gateway.db")))

const contract = (name: string, store: Effect.Effect<string, never, Scope.Scope>) =>
  describe(`stores (${name})`, () => {
    it.effect("a gateway is created once, read, replaced and removed", () =>
      Effect.gen(function*() {
        yield* withStores(yield* store, ({ gateways }) =>
          Effect.gen(function*() {
            const created = Option.getOrThrow(yield* gateways.create("a", { x: 1 }))
            assert.deepStrictEqual(created, { id: "a", settings: { x: 1 }, createdAt: 0, modifiedAt: 0 })
            assert.isTrue(Option.isNone(yield* gateways.create("a", { x: 2 })))
            yield* TestClock.adjust("1 second")
            const replaced = Option.getOrThrow(yield* gateways.replace("a", { y: null }))
            assert.deepStrictEqual(replaced, { id: "a", settings: { y: null }, createdAt: 0, modifiedAt: 1000 })
            assert.deepStrictEqual(yield* gateways.get("a"), Option.some(replaced))
            assert.deepStrictEqual(yield* gateways.remove("a"), Option.some(replaced))
            assert.isTrue(Option.isNone(yield* gateways.remove("a")))
            assert.isTrue(Option.isNone(yield* gateways.replace("a", {})))
            assert.isTrue(Option.isNone(yield* gateways.get("a")))
          }))
      }))

    it.effect("an entry comes back as it was, with its bodies", () =>
      Effect.gen(function*() {
        yield* withStores(yield* store, ({ logs }) =>
          Effect.gen(function*() {
            yield* logs.append(entry("1"), bodies, unlimited)
            yield* logs.append(entry("2", { metadata: null, success: false }), null, unlimited)
            assert.deepStrictEqual(yield* logs.get("gw", "1"), Option.some(entry("1")))
            assert.deepStrictEqual(yield* logs.bodies("gw", "1"), Option.some(bodies))
            assert.isTrue(Option.isNone(yield* logs.bodies("gw", "2")))
            assert.isTrue(Option.isNone(yield* logs.get("other", "1")))
            const { entries, total } = yield* logs.list(newest)
            assert.deepStrictEqual(entries.map((_) => _.id), ["2", "1"])
            assert.strictEqual(total, 2)
            const patched = Option.getOrThrow(yield* logs.patch("gw", "1", { feedback: -1, metadata: null }))
            assert.deepStrictEqual(patched, entry("1", { feedback: -1, metadata: null }))
            assert.isTrue(Option.isNone(yield* logs.patch("gw", "none", { feedback: 1 })))
          }))
      }))

    it.effect("LOG-07: a list holds the entries that every condition lets through, and counts them", () =>
      Effect.gen(function*() {
        yield* withStores(yield* store, ({ logs }) =>
          Effect.gen(function*() {
            for (let i = 0; i < 6; i++) {
              yield* logs.append(
                entry(`e-${i}`, { cost: i, success: i % 2 === 0, metadata: { team: i < 4 ? "Red" : "blue" } }),
                null,
                unlimited
              )
            }
            yield* logs.append(entry("elsewhere", { gateway: "other", cost: 5 }), null, unlimited)
            const conditions = [
              { key: "success", operator: "eq", values: [true] },
              { key: "cost", operator: "gt", values: [0] }
            ] as const
            const first = yield* logs.list({ ...newest, conditions, perPage: 1 })
            assert.deepStrictEqual([first.entries.map((_) => _.id), first.total], [["e-4"], 2])
            const second = yield* logs.list({ ...newest, conditions, perPage: 1, page: 2 })
            assert.deepStrictEqual([second.entries.map((_) => _.id), second.total], [["e-2"], 2])
            const red = yield* logs.list({ ...newest, conditions, search: "rED" })
            assert.deepStrictEqual([red.entries.map((_) => _.id), red.total], [["e-2"], 1])
            assert.deepInclude(yield* logs.ranges({ gateway: "gw", conditions }), { min_cost: 2, max_cost: 4 })
            assert.deepStrictEqual(yield* logs.ranges({ gateway: "none" }), {})
          }))
      }))

    it.effect("removes the first entries of an order, of those that every condition lets through", () =>
      Effect.gen(function*() {
        yield* withStores(yield* store, ({ logs }) =>
          Effect.gen(function*() {
            for (const [id, cost, model] of [["a", 3, "m"], ["b", 9, "n"], ["c", 1, "m"], ["d", 2, "m"]] as const) {
              yield* logs.append(entry(id, { cost, model }), bodies, unlimited)
            }
            const conditions = [{ key: "model", operator: "eq", values: ["m"] }] as const
            yield* logs.remove({ gateway: "gw", conditions, orderBy: "cost", direction: "desc", limit: 2 })
            const left = yield* logs.list(newest)
            assert.deepStrictEqual([left.entries.map((_) => _.id), left.total], [["c", "b"], 2])
            assert.isTrue(Option.isNone(yield* logs.bodies("gw", "a")), "its bodies are gone, too")
          }))
      }))

    it.effect("LOG-11: a full log drops its oldest entry, or takes no more", () =>
      Effect.gen(function*() {
        yield* withStores(yield* store, ({ logs }) =>
          Effect.gen(function*() {
            const ids = (gateway: string) =>
              Effect.map(logs.list({ ...newest, gateway }), (_) => _.entries.map((_) => _.id))
            for (const strategy of ["DELETE_OLDEST", "STOP_INSERTING"] as const) {
              for (const n of [1, 2, 3, 4, 5]) {
                yield* logs.append(entry(`${strategy}-${n}`, { gateway: strategy }), bodies, { limit: 3, strategy })
              }
            }
            assert.deepStrictEqual(yield* ids("DELETE_OLDEST"), [5, 4, 3].map((n) => `DELETE_OLDEST-${n}`))
            assert.deepStrictEqual(yield* ids("STOP_INSERTING"), [3, 2, 1].map((n) => `STOP_INSERTING-${n}`))
            assert.isTrue(Option.isNone(yield* logs.bodies("DELETE_OLDEST", "DELETE_OLDEST-1")))
            yield* logs.remove({ gateway: "STOP_INSERTING", orderBy: "created_at", direction: "asc", limit: 2 })
            assert.deepStrictEqual(yield* ids("STOP_INSERTING"), ["STOP_INSERTING-3"])
          }))
      }))
  })

contract("memory", Effect.succeed(Database.memory))
contract("file", temporary)

describe("a store in a file", () => {
  it.effect("keeps what was appended right before its end, in a file that only its owner reads", () =>
    Effect.gen(function*() {
      const file = yield* temporary
      yield* withStores(file, ({ gateways, logs }) =>
        Effect.gen(function*() {
          yield* gateways.create("gw", {})
          yield* Effect.forEach(Array.from({ length: 50 }, (_, i) => `log-${i}`), (id) =>
            logs.append(entry(id), bodies, unlimited))
        }))
      assert.strictEqual(statSync(file).mode & 0o777, 0o600)
      yield* withStores(file, ({ gateways, logs }) =>
        Effect.gen(function*() {
          assert.isTrue(Option.isSome(yield* gateways.get("gw")))
          assert.strictEqual((yield* logs.list(newest)).total, 50)
        }))
    }))

  it.live("is shared by several at once, from its first moment", () =>
    Effect.gen(function*() {
      const file = yield* temporary
      yield* Effect.forEach(["a", "b", "c"], (name) =>
        withStores(file, ({ logs }) =>
          Effect.forEach(
            Array.from({ length: 30 }, (_, i) => `${name}-${i}`),
            (id) =>
              Effect.andThen(
                logs.append(entry(id), bodies, { limit: 80, strategy: "STOP_INSERTING" }),
                logs.get("gw", id)
              )
          )), { concurrency: 3 })
      assert.strictEqual(
        yield* withStores(file, ({ logs }) => Effect.map(logs.list(newest), (_) => _.total)),
        80
      )
    }))

  it.live("is opened as soon as another that makes it at this moment lets go of it", () =>
    Effect.gen(function*() {
      const file = yield* temporary
      mkdirSync(dirname(file))
      const other = new DatabaseSync(file)
      other.exec("BEGIN EXCLUSIVE")
      yield* Effect.forkScoped(
        Effect.delay(Effect.sync(() => other.close()), "300 millis")
      )
      const [took] = yield* Effect.timed(withStores(file, ({ gateways }) => gateways.get("gw")))
      assert.isBelow(Duration.toMillis(took), 5000)
    }))
})
