import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { TestClock } from "effect/testing"
import { type Ask, chat, run } from "./pipeline.ts"

const rule = {
  id: "6fb25042",
  limitType: "cost",
  limit: 1,
  window: 86_400,
  technique: "sliding",
  enabled: true
}
const limits = (...rules: ReadonlyArray<object>) => ({
  spend_limits: { enabled: true, rules: rules.map((more) => Object.assign({}, rule, more)) }
})
const costing = (dollars: number, more: Record<string, string> = {}) => ({
  headers: { "cf-aig-custom-cost": JSON.stringify({ total_cost: dollars }), ...more }
})

describe("spend limits", () => {
  it.effect("SPEND-01, LOG-12: let the request that crosses the limit complete, and refuse the next", () =>
    run(limits({}), chat, ({ ask, calls, logs }) =>
      Effect.gen(function*() {
        assert.strictEqual((yield* ask(costing(0.7))).status, 200)
        assert.strictEqual((yield* ask(costing(0.7))).status, 200)
        const third = yield* ask(costing(0.7))
        assert.strictEqual(third.status, 429)
        assert.deepStrictEqual(JSON.parse(third.text).error, [{
          code: 2041,
          message:
            "Spend limit exceeded: rule '6fb25042' (cost limit 1 per 86400s, sliding) for openai openai/gpt-4o-mini"
        }])
        assert.strictEqual(calls(), 2)
        assert.deepInclude((yield* logs)[0], { statusCode: 429, cost: 0, success: false })
      })))

  it.effect("SPEND-02: keep a bucket for each value, and leave requests without one alone", () =>
    run(limits({ metadata: { user: { mode: "partition" } } }), chat, ({ ask }) =>
      Effect.gen(function*() {
        const by = (user: string) => ask(costing(1, { "cf-aig-metadata": JSON.stringify({ user }) }))
        assert.deepStrictEqual([(yield* by("a")).status, (yield* by("a")).status, (yield* by("b")).status], [
          200,
          429,
          200
        ])
        yield* ask(costing(1))
        assert.strictEqual((yield* ask(costing(1))).status, 200)
      })))

  it.effect("hold only for the values, models and providers of their filters", () =>
    Effect.gen(function*() {
      const filter = (...values: ReadonlyArray<string>) => ({ mode: "filter", values })
      const prod = { headers: { "cf-aig-metadata": `{"env":"prod"}` } }
      const dev = { headers: { "cf-aig-metadata": `{"env":"dev"}` } }
      const claude = { provider: "anthropic", body: { model: "claude-sonnet-4-5" } }
      const gemini = { provider: "google-ai-studio", path: "v1beta/models/gemini-2.5-pro:generateContent" }
      for (
        const [dimension, inside, outside] of [
          [{ metadata: { env: filter("prod") } }, prod, dev],
          [{ model: filter("openai/gpt-4o-mini") }, {}, claude],
          [{ model: filter("google/gemini-2.5-pro") }, gemini, {}],
          [{ provider: filter("anthropic") }, claude, {}]
        ] as const
      ) {
        yield* run(limits(dimension), chat, ({ ask }) =>
          Effect.gen(function*() {
            const paid = (what: Ask) => ask({ ...what, headers: { ...costing(1).headers, ...what.headers } })
            for (const expected of [200, 200]) assert.strictEqual((yield* paid(outside)).status, expected)
            assert.strictEqual((yield* paid(inside)).status, 200)
            assert.strictEqual((yield* paid(inside)).status, 429, JSON.stringify(dimension))
            assert.strictEqual((yield* paid(outside)).status, 200)
          }))
      }
    }))

  it.effect("SPEND-03: serve a hit of the cache over the budget", () =>
    run({ ...limits({}), cache_ttl: 300 }, chat, ({ ask }) =>
      Effect.gen(function*() {
        yield* ask(costing(5))
        assert.strictEqual((yield* ask({ ...costing(5), body: { n: 1 } })).status, 429)
        assert.strictEqual((yield* ask(costing(5))).headers["cf-aig-cache-status"], "HIT")
      })))

  it.effect("open again when the window has passed, fixed ones by the clock", () =>
    run(
      limits({ window: 60, technique: "fixed" }, { id: "b", window: 600, limit: 2 }),
      chat,
      ({ ask }) =>
        Effect.gen(function*() {
          yield* TestClock.adjust("50 seconds")
          yield* ask(costing(1))
          assert.strictEqual((yield* ask(costing(1))).status, 429)
          yield* TestClock.adjust("10 seconds")
          assert.strictEqual((yield* ask(costing(1))).status, 200)
          yield* TestClock.adjust("60 seconds")
          assert.include((yield* ask(costing(1))).text, "rule 'b'")
          yield* TestClock.adjust("531 seconds")
          assert.strictEqual((yield* ask(costing(1))).status, 200)
        })
    ))

  it.effect("are off where they or their rule is disabled, and book nothing of unknown cost", () =>
    Effect.gen(function*() {
      for (
        const settings of [limits({ enabled: false }), { spend_limits: { ...limits({}).spend_limits, enabled: false } }]
      ) {
        yield* run(settings, chat, ({ ask }) =>
          Effect.gen(function*() {
            yield* ask(costing(5))
            assert.strictEqual((yield* ask(costing(5))).status, 200)
          }))
      }
      yield* run(limits({ limit: 0.000001 }), chat, ({ ask }) =>
        Effect.gen(function*() {
          yield* ask({ body: { model: "nobody-knows" } })
          assert.strictEqual((yield* ask()).status, 200)
          assert.strictEqual((yield* ask()).status, 429)
        }))
    }))

  it.effect("send a universal request on to a step that they leave alone", () =>
    run(limits({ provider: { mode: "filter", values: ["openai"] } }), chat, ({ askAll }) =>
      Effect.gen(function*() {
        const steps = [{}, { provider: "anthropic" }]
        assert.strictEqual((yield* askAll(steps, costing(1).headers)).headers["cf-aig-step"], "0")
        const second = yield* askAll(steps, costing(1).headers)
        assert.deepStrictEqual([second.status, second.headers["cf-aig-step"]], [200, "1"])
        assert.strictEqual((yield* askAll([{}])).status, 429)
      })))

  it.effect("count without logs, too", () =>
    run({ ...limits({}), collect_logs: false }, chat, ({ ask, logs }) =>
      Effect.gen(function*() {
        yield* ask(costing(1))
        assert.strictEqual((yield* ask()).status, 429)
        assert.deepStrictEqual(yield* logs, [])
      })))
})
