import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { TestClock } from "effect/testing"
import { chat, run } from "./pipeline.ts"
import { temporaryFile } from "./temporaryFile.ts"

const limit = (technique: string) => ({
  rate_limiting_limit: 2,
  rate_limiting_interval: 60,
  rate_limiting_technique: technique
})

/** A success, or the refusal in full. */
const said = (reply: { readonly status: number; readonly text: string }) =>
  reply.status === 200 ? 200 : [reply.status, JSON.parse(reply.text).error]

const refused = [429, [{ code: 2003, message: "Rate limited" }]]

describe("rate limits", () => {
  for (const technique of ["fixed", "sliding"]) {
    it.effect(`RATE-01, RATE-02, G16: refuse what is over the limit, without Retry-After (${technique})`, () =>
      run(limit(technique), chat, ({ ask, calls, logs }) =>
        Effect.gen(function*() {
          assert.strictEqual(said(yield* ask()), 200)
          assert.strictEqual(said(yield* ask()), 200)
          const third = yield* ask()
          assert.deepStrictEqual(said(third), refused)
          assert.isUndefined(third.headers["retry-after"])
          assert.strictEqual(calls(), 2)
          assert.deepInclude((yield* logs)[0], { statusCode: 429, success: false, cost: 0, cached: false })
        })))
  }

  it.effect("RATE-06: a fixed window ends with the clock's own", () =>
    run(limit("fixed"), chat, ({ ask }) =>
      Effect.gen(function*() {
        yield* TestClock.adjust("59 seconds")
        yield* ask()
        yield* ask()
        assert.strictEqual((yield* ask()).status, 429)
        yield* TestClock.adjust("1 second")
        assert.strictEqual((yield* ask()).status, 200)
      })))

  it.effect("RATE-07: a sliding window does not: a request counts for the whole of it", () =>
    run(limit("sliding"), chat, ({ ask }) =>
      Effect.gen(function*() {
        yield* TestClock.adjust("59 seconds")
        yield* ask()
        yield* TestClock.adjust("30 seconds")
        yield* ask()
        assert.strictEqual((yield* ask()).status, 429)
        yield* TestClock.adjust("29 seconds")
        assert.strictEqual((yield* ask()).status, 429)
        yield* TestClock.adjust("1060 millis")
        assert.strictEqual((yield* ask()).status, 200)
        assert.strictEqual((yield* ask()).status, 429)
      })))

  it.effect("RATE-03: hits of the cache do not count", () =>
    run({ ...limit("fixed"), cache_ttl: 300 }, chat, ({ ask }) =>
      Effect.gen(function*() {
        for (let i = 0; i < 5; i++) assert.strictEqual((yield* ask()).status, 200)
        assert.strictEqual((yield* ask({ body: { n: 1 } })).status, 200)
        assert.strictEqual((yield* ask({ body: { n: 2 } })).status, 429)
        assert.strictEqual((yield* ask()).status, 200)
      })))

  it.effect("RATE-05: a request with fallbacks and retries counts once, and over the limit no step is tried", () =>
    run(
      { ...limit("fixed"), retry_max_attempts: 2 },
      (n, url) => url.includes("openai") ? Response.json({}, { status: 500 }) : chat(n),
      ({ askAll, calls, logs }) =>
        Effect.gen(function*() {
          const steps = [{}, { provider: "anthropic" }]
          assert.strictEqual((yield* askAll(steps)).headers["cf-aig-step"], "1")
          assert.strictEqual((yield* askAll(steps)).headers["cf-aig-step"], "1")
          const third = yield* askAll(steps)
          assert.deepStrictEqual([third.headers["cf-aig-step"], said(third)], ["0", refused])
          assert.strictEqual(calls(), 6)
          assert.strictEqual((yield* logs).length, 5)
        })
    ))

  it.effect("RATE-04: hold across a restart on the same file, and only for their own gateway", () =>
    Effect.gen(function*() {
      const database = yield* temporaryFile
      const ask = (gateway: string) =>
        run(limit("sliding"), chat, ({ ask }) => Effect.map(ask(), (_) => _.status), {
          gateway,
          database
        })
      assert.deepStrictEqual([yield* ask("a"), yield* ask("a"), yield* ask("a")], [200, 200, 429])
      assert.strictEqual(yield* ask("b"), 200)
    }))
})
