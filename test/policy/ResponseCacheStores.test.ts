/**
 * One contract for the stores that Effect has; those of Workers have it in test/e2e/responseStores.test.ts.
 */
import * as NodeRedis from "@effect/platform-node/NodeRedis"
import * as SqliteClient from "@effect/sql-sqlite-node/SqliteClient"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as LanguageModel from "effect/unstable/ai/LanguageModel"
import * as KeyValueStore from "effect/unstable/persistence/KeyValueStore"
import * as Persistence from "effect/unstable/persistence/Persistence"
import * as ResponseCache from "../../src/policy/ResponseCache.ts"
import { exerciseStore } from "../support/exerciseStore.ts"
import * as redis from "../support/redis.ts"
import * as Scripted from "../support/scripted.ts"
import { checkStore } from "../support/storeContract.ts"

const sqlite = SqliteClient.layer({ filename: ":memory:" })

const stores: { readonly [name: string]: Layer.Layer<Persistence.BackingPersistence> } = {
  memory: Persistence.layerBackingMemory,
  "SQL, one table": Layer.orDie(Layer.provide(Persistence.layerBackingSql, sqlite)),
  "SQL, a table each": Layer.orDie(Layer.provide(Persistence.layerBackingSqlMultiTable, sqlite)),
  "a key value store in SQL": Persistence.layerBackingKvs.pipe(
    Layer.provide(KeyValueStore.layerSql()),
    Layer.provide(sqlite),
    Layer.orDie
  )
}

describe("ResponseCache", () => {
  for (const [name, store] of Object.entries(stores)) {
    it.live(`keeps answers in ${name}`, () =>
      Effect.map(
        exerciseStore("answers"),
        (report) => checkStore(report, name.startsWith("a key value store") ? "everything" : "store")
      ).pipe(Effect.provide(store)))
  }

  it.live.skipIf(redis.isMissing)(
    "keeps answers in Redis, and goes on without while that is gone",
    () =>
      Effect.gen(function*() {
        const server = yield* redis.redis()
        yield* Effect.gen(function*() {
          checkStore(yield* exerciseStore("answers"))
          const ask = Effect.map(LanguageModel.generateText({ prompt: "hi" }), ({ text }) => text)
          const model = Scripted.make()
          const store = Layer.succeedContext(yield* Effect.context<Persistence.BackingPersistence>())
          const cached = ResponseCache.layer(model.layer, { name: "m", ttl: "1 minute", storeTimeout: "200 millis" })
          yield* Effect.gen(function*() {
            assert.deepStrictEqual([yield* ask, yield* ask], ["answer 0", "answer 0"])
            yield* server.freeze
            assert.strictEqual(yield* ask, "answer 1")
            yield* server.thaw
            yield* server.kill
            assert.strictEqual(yield* ask, "answer 2")
          }).pipe(Effect.provide(Layer.provide(cached, store)))
        }).pipe(
          // It would only close when all that waits to be said is said, and nobody listens.
          Effect.ensuring(Effect.map(NodeRedis.NodeRedis, ({ client }) => client.destroy())),
          Effect.provide(Layer.provideMerge(Persistence.layerBackingRedis, NodeRedis.layer({ url: server.url })))
        )
      }).pipe(Effect.scoped)
  )
})
