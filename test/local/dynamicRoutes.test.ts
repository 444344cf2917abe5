import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Random from "effect/Random"
import * as Stream from "effect/Stream"
import { TestClock } from "effect/testing"
import * as FastCheck from "fast-check"
import type * as Answer from "../../src/local/Answer.ts"
import { type AiGatewayError, noProviderAnswer } from "../../src/local/Envelope.ts"
import * as RateLimitStore from "../../src/local/RateLimitStore.ts"
import * as Conditions from "../../src/local/routes/Conditions.ts"
import * as DynamicRoutes from "../../src/local/routes/DynamicRoutes.ts"
import { decode, type RouteElement } from "../../src/resource/routeElements.ts"

const to = (elementId: string) => ({ elementId })

const start = (id: string) => ({ id: "start", type: "start", outputs: { next: to(id) } })
const end = { id: "end", type: "end", outputs: {} }
const model = (id: string, more: object = {}, outputs: object = { success: to("end"), fallback: to("end") }) => ({
  id,
  type: "model",
  properties: { provider: "openai", model: id, timeout: 1000, retries: 0, ...more },
  outputs
})

/** Only what the API takes is a route. */
const routeOf = (...elements: ReadonlyArray<object>): DynamicRoutes.ServedRoute => {
  const { elements: read, problems } = decode(elements)
  assert.deepStrictEqual(problems, [])
  return { id: "r", gateway: "gw", name: "support", elements: read }
}

const request = (more: Partial<Conditions.RouteRequest> = {}): Conditions.RouteRequest => ({
  metadata: {},
  headers: {},
  body: {},
  ...more
})

const answerOf = (status: number, body: Answer.Answer["body"] = new Uint8Array([1])): Answer.Answer => ({
  status,
  headers: { "x-upstream": "1" },
  body
})

type Asked = (step: DynamicRoutes.ModelStep) => Effect.Effect<Answer.Answer, AiGatewayError>

/** Models answer 200, but for those of the script; which were asked is noted. */
const models = (script: { readonly [model: string]: Effect.Effect<Answer.Answer, AiGatewayError> } = {}) => {
  const asked: Array<string> = []
  const ask: Asked = (step) =>
    Effect.suspend(() => {
      asked.push(step.model)
      return script[step.model] ?? Effect.succeed(answerOf(200))
    })
  return { asked, ask }
}

const run = (route: DynamicRoutes.ServedRoute, given: Conditions.RouteRequest, ask: Asked) =>
  DynamicRoutes.run(route, given, ask)

const withCounters = Effect.provide(RateLimitStore.layerMemory, { local: true })

describe("a dynamic route", () => {
  const plans = routeOf(
    start("paid"),
    {
      id: "paid",
      type: "conditional",
      properties: { conditions: { "metadata.plan": "paid" } },
      outputs: { true: to("large"), false: to("small") }
    },
    model("large"),
    model("small"),
    end
  )

  it.effect("ROUTE-01: goes by the request's metadata, and says who answered", () =>
    Effect.gen(function*() {
      for (const [plan, expected] of [["paid", "large"], ["free", "small"], [undefined, "small"]] as const) {
        const { ask, asked } = models()
        const { answer } = yield* run(plans, request({ metadata: { plan } }), ask)
        assert.deepStrictEqual(asked, [expected])
        assert.deepStrictEqual(answer.headers, {
          "x-upstream": "1",
          "cf-aig-model": expected,
          "cf-aig-provider": "openai"
        })
      }
    }).pipe(withCounters))

  const fallback = routeOf(
    start("a"),
    model("a", { retries: 2 }, { success: to("end"), fallback: to("b") }),
    model("b"),
    end
  )

  it.effect("ROUTE-02: goes on to the fallback when the retries of a model are used up", () =>
    Effect.gen(function*() {
      const { ask, asked } = models({ a: Effect.succeed(answerOf(500)) })
      const { answer, model } = yield* run(fallback, request(), ask)
      assert.deepStrictEqual(asked, ["a", "a", "a", "b"])
      assert.strictEqual(answer.headers["cf-aig-model"], "b")
      assert.strictEqual(model.index, 1)
    }).pipe(withCounters))

  it.effect("ROUTE-02: falls back from a refusal that no retry mends at once", () =>
    Effect.gen(function*() {
      const { ask, asked } = models({ a: Effect.succeed(answerOf(401)) })
      yield* run(fallback, request(), ask)
      assert.deepStrictEqual(asked, ["a", "b"])
    }).pipe(withCounters))

  it.effect("ROUTE-02: falls back when a model sends no byte in time, and interrupts it", () =>
    Effect.gen(function*() {
      let interrupted = 0
      const silent = Effect.never.pipe(Effect.onInterrupt(() => Effect.sync(() => interrupted++)))
      const { ask, asked } = models({ a: silent })
      const fiber = yield* Effect.forkChild(run(fallback, request(), ask))
      yield* TestClock.adjust("2999 millis")
      assert.deepStrictEqual(asked, ["a", "a", "a"])
      yield* TestClock.adjust("1 millis")
      assert.strictEqual((yield* Fiber.join(fiber)).answer.headers["cf-aig-model"], "b")
      assert.strictEqual(interrupted, 3)
    }).pipe(withCounters))

  it.effect("falls back when a stream's first byte does not come in time", () =>
    Effect.gen(function*() {
      const { ask } = models({ a: Effect.succeed(answerOf(200, Stream.never)) })
      const fiber = yield* Effect.forkChild(run(fallback, request(), ask))
      yield* TestClock.adjust("3 seconds")
      assert.strictEqual((yield* Fiber.join(fiber)).model.model, "b")
    }).pipe(withCounters))

  it.effect("frees the connection of an answer that it does not use", () =>
    Effect.gen(function*() {
      let closed = 0
      const body = Stream.concat(Stream.succeed(new Uint8Array([1])), Stream.never).pipe(
        Stream.onExit(() => Effect.sync(() => closed++))
      )
      const { ask } = models({ a: Effect.succeed(answerOf(401, body)) })
      const fiber = yield* Effect.forkChild(run(fallback, request(), ask))
      yield* TestClock.adjust("1 second")
      yield* Fiber.join(fiber)
      assert.strictEqual(closed, 1)
    }).pipe(withCounters))

  it.effect("fails with 2005 that names the last model when all of them failed", () =>
    Effect.gen(function*() {
      const { ask } = models({ a: Effect.fail(noProviderAnswer("not reachable")), b: Effect.succeed(answerOf(400)) })
      const error = yield* Effect.flip(run(fallback, request(), ask))
      assert.deepInclude(error, { status: 400, code: 2005 })
      assert.include(
        error.description,
        "no model of the route support answered; the last, openai/b, had the status 400"
      )
    }).pipe(withCounters))

  it.effect("gives the last success where one model follows another", () =>
    Effect.gen(function*() {
      const chain = routeOf(start("a"), model("a", {}, { success: to("b"), fallback: to("end") }), model("b"), end)
      const both = models()
      assert.strictEqual((yield* run(chain, request(), both.ask)).model.model, "b")
      const broken = models({ b: Effect.succeed(answerOf(400)) })
      assert.strictEqual((yield* run(chain, request(), broken.ask)).model.model, "a")
    }).pipe(withCounters))

  it.effect("frees the connection of a success that another one follows", () =>
    Effect.gen(function*() {
      const chain = routeOf(start("a"), model("a", {}, { success: to("b"), fallback: to("end") }), model("b"), end)
      let closed = 0
      const body = Stream.onExit(Stream.succeed(new Uint8Array([1])), () => Effect.sync(() => closed++))
      yield* run(chain, request(), models({ a: Effect.succeed(answerOf(200, body)) }).ask)
      assert.strictEqual(closed, 1)
    }).pipe(withCounters))

  it.effect("ROUTE-03: splits by the shares", () =>
    Effect.gen(function*() {
      const split = routeOf(
        start("split"),
        { id: "split", type: "percentage", outputs: { "10%": to("a"), "30%": to("b"), else: to("c") } },
        model("a"),
        model("b"),
        model("c"),
        end
      )
      const { ask, asked } = models()
      for (let n = 0; n < 4000; n++) yield* run(split, request(), ask)
      const share = (model: string) => asked.filter((_) => _ === model).length / asked.length
      assert.closeTo(share("a"), 0.1, 0.03)
      assert.closeTo(share("b"), 0.3, 0.03)
      assert.closeTo(share("c"), 0.6, 0.03)
    }).pipe(withCounters, Random.withSeed("shares")))

  const limited = (limitType: "count" | "cost", limit: number, outputs: object) =>
    routeOf(
      start("limit"),
      { id: "limit", type: "rate", properties: { key: "metadata.user", limitType, limit, window: 60 }, outputs },
      model("a"),
      model("b"),
      end
    )

  it.effect("ROUTE-04: counts per key, goes on to the fallback, and begins anew with the next window", () =>
    Effect.gen(function*() {
      const route = limited("count", 2, { success: to("a"), fallback: to("b") })
      const { ask, asked } = models()
      const by = (user: string) => run(route, request({ metadata: { user } }), ask)
      for (const user of ["u", "u", "u", "v"]) yield* by(user)
      assert.deepStrictEqual(asked.splice(0), ["a", "a", "b", "a"])
      yield* TestClock.adjust("60 seconds")
      yield* by("u")
      assert.deepStrictEqual(asked, ["a"])
    }).pipe(withCounters))

  it.effect("ROUTE-04: a limit by cost ends with what was booked", () =>
    Effect.gen(function*() {
      const route = limited("cost", 0.5, { success: to("a"), fallback: to("b") })
      const { ask, asked } = models()
      const first = yield* run(route, request({ metadata: { user: "u" } }), ask)
      yield* first.model.charge(0.6)
      yield* (yield* run(route, request({ metadata: { user: "u" } }), ask)).model.charge(1)
      yield* run(route, request({ metadata: { user: "v" } }), ask)
      assert.deepStrictEqual(asked, ["a", "b", "a"])
    }).pipe(withCounters))

  it.effect("a limit without fallback ends the route with the error of a rate limit", () =>
    Effect.gen(function*() {
      const route: DynamicRoutes.ServedRoute = {
        id: "r",
        gateway: "gw",
        name: "support",
        elements: decode([
          start("limit"),
          {
            id: "limit",
            type: "rate",
            properties: { key: "metadata.user", limitType: "count", limit: 1, window: 60 },
            outputs: { success: to("a") }
          },
          model("a"),
          end
        ]).elements
      }
      const { ask } = models()
      yield* run(route, request(), ask)
      const error = yield* Effect.flip(run(route, request(), ask))
      assert.deepInclude(error, { status: 429, code: 2003 })
    }).pipe(withCounters))

  it.effect("a limit holds exactly for many requests at once", () =>
    Effect.gen(function*() {
      const { ask, asked } = models()
      const route = limited("count", 7, { success: to("a"), fallback: to("b") })
      yield* Effect.all(Array.from({ length: 50 }, () => run(route, request(), ask)), { concurrency: "unbounded" })
      assert.strictEqual(asked.filter((_) => _ === "a").length, 7)
    }).pipe(withCounters))

  it.effect("a loop that got into the store ends", () =>
    Effect.gen(function*() {
      // decode() refuses it, so it is taken apart from the graph.
      const loop = [start("c"), {
        id: "c",
        type: "conditional",
        properties: { conditions: { "metadata.x": { $exists: false } } },
        outputs: { true: to("c"), false: to("c") }
      }] as unknown as ReadonlyArray<RouteElement>
      const route = { id: "r", gateway: "gw", name: "support", elements: loop }
      const error = yield* Effect.flip(run(route, request(), models().ask))
      assert.strictEqual(error.code, 2005)
    }).pipe(withCounters))
})

describe("conditions", () => {
  const given = request({
    metadata: { plan: "paid", seats: 5, beta: true, "a.b": 1, zero: 0 },
    headers: { "x-team": "core", "x-size": "12", "x-beta": "true", authorization: "Bearer secret" },
    body: { model: "dynamic/x", messages: [{ role: "user" }], nested: { deep: 2 } }
  })

  const cases: ReadonlyArray<readonly [conditions: object, holds: boolean]> = [
    [{ "metadata.plan": "paid" }, true],
    [{ "metadata.plan": { $eq: "free" } }, false],
    [{ "metadata.plan": { $ne: "free" } }, true],
    [{ "metadata.none": { $ne: "free" } }, true],
    [{ "metadata.none": { $nin: ["free"] } }, true],
    [{ "metadata.none": { $in: ["free"] } }, false],
    [{ "metadata.none": { $exists: false } }, true],
    [{ "metadata.zero": { $exists: true } }, true],
    [{ "metadata.seats": { $gt: 5 } }, false],
    [{ "metadata.seats": { $gte: 5 } }, true],
    [{ "metadata.seats": { $gt: 1, $lt: 5 } }, false],
    [{ "metadata.seats": { $gt: 1, $lte: 5 } }, true],
    [{ "metadata.seats": { $eq: "5" } }, false],
    [{ "metadata.plan": { $gt: 1 } }, false],
    [{ "metadata.none": { $lt: 1 } }, false],
    [{ "metadata.plan": { $in: ["free", "paid"] } }, true],
    [{ "metadata.plan": { $nin: ["free", "paid"] } }, false],
    [{ "metadata.a.b": 1 }, true],
    [{ "metadata.plan": "paid", "metadata.beta": false }, false],
    [{ $or: [{ "metadata.plan": "free" }, { "metadata.beta": true }] }, true],
    [{ $and: [{ "metadata.plan": "free" }, { "metadata.beta": true }] }, false],
    [{ $and: [{ $or: [{ "metadata.plan": "paid" }] }, { "metadata.seats": { $lt: 9 } }] }, true],
    [{ "headers.X-Team": "core" }, true],
    [{ "headers.x-size": { $gt: 9 } }, true],
    [{ "headers.x-size": { $in: [11, 12] } }, true],
    [{ "headers.x-beta": true }, true],
    [{ "headers.authorization": { $exists: true } }, false],
    [{ "body.model": "dynamic/x" }, true],
    [{ "body.nested.deep": { $gte: 2 } }, true],
    [{ "body.messages.0.role": "user" }, true],
    [{ "metadata.__proto__": { $exists: true } }, false],
    [{ "metadata.constructor": { $exists: true } }, false]
  ]
  for (const [conditions, holds] of cases) {
    it(`ROUTE-01: ${JSON.stringify(conditions)} ${holds ? "holds" : "does not hold"}`, () => {
      assert.strictEqual(Conditions.holds(conditions, given), holds)
    })
  }

  it("ROUTE-01: a value is either in a list or not, and equal or not", () => {
    FastCheck.assert(
      FastCheck.property(
        FastCheck.jsonValue(),
        FastCheck.oneof(FastCheck.string(), FastCheck.integer()),
        (value, operand) => {
          const on = request({ metadata: { k: value } })
          const holds = (comparison: object) => Conditions.holds({ "metadata.k": comparison }, on)
          assert.notStrictEqual(holds({ $eq: operand }), holds({ $ne: operand }))
          assert.notStrictEqual(holds({ $in: [operand] }), holds({ $nin: [operand] }))
          assert.strictEqual(holds({ $eq: operand }), holds({ $in: [operand] }))
        }
      )
    )
  })
})
