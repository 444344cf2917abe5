/**
 * Rate limits and budgets where Workers keep them: in a real Durable Object, and by the rate limiting binding.
 */
import * as DurableObjectNamespace from "@alchemy.run/cloudflare-runtime/core/bindings/DurableObjectNamespace"
import * as RateLimitBinding from "@alchemy.run/cloudflare-runtime/core/bindings/rate-limit"
import { assert, describe, layer } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as LocalGateway from "../../src/local/LocalGateway.ts"
import * as workerd from "../support/workerd.ts"

class Worker extends Context.Service<Worker, URL>()("test/LimitsWorker") {}

const worker = Layer.effect(
  Worker,
  Effect.flatMap(LocalGateway.make({ pause: 0 }), (gateway) =>
    workerd.start(
      "limitsWorker.ts",
      gateway,
      [
        DurableObjectNamespace.local({ binding: "LIMITS", className: "Limits" }),
        RateLimitBinding.local({ binding: "LIMITER", namespaceId: "1", simple: { limit: 7, period: 60 } })
      ],
      [{ className: "Limits", uniqueKey: "limits", sql: true }]
    ))
)

describe("limits in workerd", () => {
  layer(worker, { timeout: 60_000, excludeTestServices: true })((it) => {
    const ask = <A>(path: string) => Effect.flatMap(Worker, (url) => workerd.ask<A>(url, path))

    it.effect("a Durable Object's storage is a KeyValueStore that leaves the object's other values alone", () =>
      Effect.gen(function*() {
        assert.deepStrictEqual<unknown>(yield* ask("/store"), {
          values: ["1", null],
          size: 2,
          left: [null, "2"],
          cleared: 0
        })
      }))

    it.effect("RateLimit in a Durable Object lets exactly its limit through, whoever asks at once", () =>
      Effect.gen(function*() {
        const [one, two] = yield* Effect.all([ask<number>("/rate"), ask<number>("/rate")], { concurrency: 2 })
        assert.strictEqual(one + two, 7)
        assert.strictEqual(yield* ask("/rate"), 0)
      }))

    it.effect("Budget in a Durable Object spends exactly what there is", () =>
      Effect.gen(function*() {
        assert.strictEqual(yield* ask("/budget"), 5)
        assert.strictEqual(yield* ask("/budget"), 0)
      }))

    it.effect("RateLimit over Cloudflare's binding lets its limit through", () =>
      Effect.gen(function*() {
        assert.strictEqual(yield* ask("/binding"), 7)
      }))
  })
})
