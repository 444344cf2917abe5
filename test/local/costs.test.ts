import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Costs from "../../src/local/Costs.ts"
import * as TokenUsage from "../../src/local/TokenUsage.ts"
import { prices } from "../../src/model/prices.ts"
import { chat, run } from "./pipeline.ts"

const json = (body: unknown) => TokenUsage.read("application/json", JSON.stringify(body))
const cost = (provider: string, model: string, body: unknown, custom?: unknown) =>
  Costs.of({ provider, model, usage: json(body), custom: Costs.readCustom(custom) })

const openai = { usage: { prompt_tokens: 100, completion_tokens: 10, prompt_tokens_details: { cached_tokens: 40 } } }
const anthropic = {
  usage: { input_tokens: 60, output_tokens: 10, cache_read_input_tokens: 40, cache_creation_input_tokens: 20 }
}

describe("costs", () => {
  it.effect("COST-01, LOG-01: are tokens times price, and unknown for a model without one", () =>
    run({}, chat, ({ ask, logs }) =>
      Effect.gen(function*() {
        yield* ask()
        yield* ask({ body: { model: "nobody-knows" } })
        const [unknown, known] = yield* logs
        assert.deepInclude(known, { cost: 0.00000315, customCost: false, tokensIn: 9, tokensOut: 3 })
        assert.deepInclude(unknown, { cost: null, customCost: false, tokensIn: 9, tokensOut: 3 })
      })))

  it.effect("COST-02, G19: are the caller's own where a header says so", () =>
    run({}, chat, ({ ask, askAll, logs }) =>
      Effect.gen(function*() {
        yield* ask({ headers: { "cf-aig-custom-cost": `{"per_token_in":0.000001,"per_token_out":0.000002}` } })
        yield* ask({ headers: { "cf-aig-custom-cost": `{"total_cost":0.25}` } })
        yield* askAll([{}], { "cf-aig-custom-cost": `{"total_cost":0.5}` })
        assert.deepStrictEqual((yield* logs).map((_) => [_.cost, _.customCost]), [[0.5, true], [0.25, true], [
          0.000015,
          true
        ]])
      })))

  it("COST-03: count each cached token once, whether the provider counts it as input or beside it", () => {
    const rates = { per_token_in: 1, per_token_out: 0, per_cache_read_token: 0.1, per_cache_write_token: 2 }
    assert.strictEqual(cost("openai", "x", openai, rates).cost, 64)
    assert.strictEqual(cost("anthropic", "x", anthropic, rates).cost, 60 + 4 + 40)
    const { per_cache_read_token: _, ...noRead } = rates
    assert.strictEqual(cost("openai", "x", openai, noRead).cost, 100)
    assert.strictEqual(cost("anthropic", "x", anthropic, noRead).cost, 60 + 40 + 40)
    assert.strictEqual(cost("anthropic", "x", anthropic, { per_token_in: 1, per_token_out: 0 }).cost, 60)
  })

  it("COST-03: use the table's own prices of cached tokens, and of Google's thoughts", () => {
    assert.strictEqual(cost("openai", "gpt-4o-2024-11-20", openai).cost, (60 * 2.5 + 40 * 1.25 + 10 * 10) / 1e6)
    assert.strictEqual(
      cost("anthropic", "claude-sonnet-4-5-20250929", anthropic).cost,
      (60 * 3 + 40 * 0.3 + 20 * 3.75 + 10 * 15) / 1e6
    )
    const google = {
      usageMetadata: {
        promptTokenCount: 10,
        candidatesTokenCount: 2,
        thoughtsTokenCount: 5,
        cachedContentTokenCount: 4
      }
    }
    assert.strictEqual(cost("google-ai-studio", "gemini-2.5-flash", google).cost, (6 * 0.3 + 4 * 0.03 + 7 * 2.5) / 1e6)
  })

  it.effect("COST-04: are counted from the events of a stream", () => {
    const events = [
      {
        type: "message_start",
        message: { usage: { input_tokens: 100, cache_read_input_tokens: 50, output_tokens: 1 } }
      },
      { type: "content_block_delta", delta: { text: "usage" } },
      { type: "message_delta", usage: { output_tokens: 20 } }
    ]
    const text = events.map((event) => `event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`).join("")
    return run(
      {},
      () => new Response(text, { headers: { "content-type": "text/event-stream" } }),
      ({ ask, logs }) =>
        Effect.gen(function*() {
          yield* ask({ provider: "anthropic", body: { model: "claude-haiku-4-5", stream: true } })
          assert.deepInclude((yield* logs)[0], {
            tokensIn: 100,
            tokensOut: 20,
            cost: (100 * 1 + 50 * 0.1 + 20 * 5) / 1e6
          })
        })
    )
  })

  it.effect("are nothing for a failure, and unknown without tokens", () =>
    run({}, (n) => Response.json({}, { status: n === 1 ? 500 : 200 }), ({ ask, logs }) =>
      Effect.gen(function*() {
        yield* ask({ headers: { "cf-aig-custom-cost": `{"total_cost":1}` } })
        yield* ask()
        yield* ask({ headers: { "cf-aig-custom-cost": `{"per_token_in":1,"per_token_out":1}` } })
        assert.deepStrictEqual((yield* logs).map((_) => [_.cost, _.customCost]), [[null, false], [null, false], [
          0,
          false
        ]])
      })))

  it("leave out custom costs that are no amounts", () => {
    for (const raw of [null, 1, [], {}, { per_token_in: "1" }, { total_cost: -1 }, { total_cost: Infinity }]) {
      assert.isUndefined(Costs.readCustom(raw))
    }
    assert.deepStrictEqual(Costs.readCustom({ total_cost: 0, per_token_in: 1 }), { total: 0 })
  })

  it("have a table whose every list names its source and date, and whose amounts are amounts", () => {
    for (const { date, models, source } of Object.values(prices)) {
      assert.match(source, /^https:\/\//)
      assert.match(date, /^20\d\d-\d\d(-\d\d)?$/)
      for (const [model, price] of Object.entries(models)) {
        assert.isTrue(price.every((amount = 0) => amount >= 0 && amount <= 1000), model)
        assert.isTrue((price[2] ?? 0) <= price[0], `${model}: reading from the cache is not dearer`)
      }
    }
    assert.isUndefined(Costs.priceOf("openai", "toString"))
    assert.isUndefined(Costs.priceOf("constructor", "x"))
  })
})
