/**
 * The stores of Workers on the real thing: workerd's KV and workerd's Cache API.
 */
import * as KvNamespace from "@alchemy.run/cloudflare-runtime/core/bindings/kv-namespace"
import { assert, describe, layer } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as LocalGateway from "../../src/local/LocalGateway.ts"
import type { Report } from "../support/exerciseStore.ts"
import { checkStore } from "../support/storeContract.ts"
import * as workerd from "../support/workerd.ts"

class Worker extends Context.Service<Worker, URL>()("test/StoreWorker") {}

const worker = Layer.effect(
  Worker,
  Effect.flatMap(
    LocalGateway.make({ pause: 0 }),
    (gateway) => workerd.start("storeWorker.ts", gateway, [KvNamespace.local({ binding: "ANSWERS" })])
  )
)

describe("ResponseCache in workerd", () => {
  layer(worker, { timeout: 60_000, excludeTestServices: true })((it) => {
    for (
      const [name, store, cleared] of [
        ["Workers KV", "kv", "store"],
        ["Workers KV as an effect gives it", "kv-effect", "store"],
        ["the default cache", "cache", /The Cache API could not clear/],
        ["a cache with a name", "cache-named", /The Cache API could not clear/]
      ] as const
    ) {
      it.effect(`keeps answers in ${name}`, () =>
        Effect.gen(function*() {
          const report = yield* workerd.ask<Report>(yield* Worker, `/?store=${store}`)
          checkStore(report, cleared)
        }))
    }

    it.effect("has requests of one isolate share a call, and go on in their own right", () =>
      Effect.gen(function*() {
        const url = yield* Worker
        const ask = workerd.ask<{ readonly text: string; readonly cached: unknown; readonly calls: number }>(
          url,
          "/shared?prompt=together"
        )
        const all = yield* Effect.all([ask, ask, ask, ask, ask], { concurrency: "unbounded" })
        assert.deepStrictEqual(new Set(all.map(({ text }) => text)), new Set(["answer 0"]))
        assert.deepStrictEqual(all.map(({ calls }) => calls), [1, 1, 1, 1, 1])
        assert.strictEqual(all.filter(({ cached }) => cached !== null).length, 4)
      }))
  })
})
