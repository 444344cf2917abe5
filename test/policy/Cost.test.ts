import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import type * as Layer from "effect/Layer"
import * as Metric from "effect/Metric"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/testing/TestClock"
import * as AiError from "effect/unstable/ai/AiError"
import * as LanguageModel from "effect/unstable/ai/LanguageModel"
import * as Tool from "effect/unstable/ai/Tool"
import * as Toolkit from "effect/unstable/ai/Toolkit"
import * as fc from "fast-check"
import * as path from "node:path"
import { rolldown } from "rolldown"
import * as RequestOptions from "../../src/client/RequestOptions.ts"
import * as GatewayModel from "../../src/model/GatewayModel.ts"
import { bundled, prices } from "../../src/model/prices.ts"
import * as Cost from "../../src/policy/Cost.ts"
import * as Retry from "../../src/policy/Retry.ts"
import { fixture, layer as gatewayModel, sse } from "../support/parts.ts"
import * as StubTransport from "../support/StubTransport.ts"
import { type Answer, fakeModel, usage } from "./fakeModel.ts"

/** Dollars per million tokens, so that a token costs micro-dollars. */
const price: Cost.Price = {
  input: 1,
  output: 10,
  cacheRead: 0.1,
  cacheWrite: 2,
  reasoning: 20,
  request: 0.5,
  image: 0.25
}
const pricing: Cost.Pricing = { "test/m": price, "test/plain": { input: 1, output: 10 } }
const info = { provider: "test", model: "m" }

const counted = (answer: Partial<Answer> = {}): Answer => ({
  text: "Hello",
  info,
  usage: usage({ total: 100, cacheRead: 40, cacheWrite: 20 }, { total: 10, reasoning: 4 }),
  ...answer
})

const failed = AiError.make({
  module: "Test",
  method: "test",
  reason: new AiError.InternalProviderError({ description: "down" })
})

/** Runs calls, and gives the totals. */
const totalsOf = <A, E>(
  model: Layer.Layer<LanguageModel.LanguageModel>,
  calls: Effect.Effect<A, E, LanguageModel.LanguageModel | Cost.Tracker>,
  options: Partial<Cost.Options> = {}
) =>
  Effect.andThen(Effect.exit(calls), Cost.totals).pipe(
    Effect.provide(Cost.layer(model, { pricing, ...options })),
    Effect.provide(Cost.layerTracker)
  )

const generate = LanguageModel.generateText({ prompt: "hi" })
const streamed = LanguageModel.streamText({ prompt: "x".repeat(400) })
const micros = (totals: Cost.Amounts) => Math.round(totals.cost * 1e6 * 1000) / 1000

const settle = Effect.promise(async () => {
  for (let turn = 0; turn < 50; turn++) await new Promise((resolve) => setImmediate(resolve))
})

const Weather = Tool.make("weather", { parameters: Schema.Struct({ city: Schema.String }), success: Schema.String })
const kit = Toolkit.make(Weather)
const toolCall = { type: "tool-call", id: "c", name: "weather", params: { city: "Oslo" } } as const

describe("Cost", () => {
  describe("prices", () => {
    it("count each token in one kind, and request and images beside them", () => {
      const tokens = { input: 40, cacheRead: 40, cacheWrite: 20, output: 6, reasoning: 4 }
      assert.strictEqual(Cost.cost(price, tokens, 2), (40 + 4 + 40 + 60 + 80) / 1e6 + 0.5 + 0.5)
      const { cacheRead: _, cacheWrite: __, reasoning: ___, image: ____, request: _____, ...plain } = price
      assert.strictEqual(Cost.cost(plain, tokens, 2), (100 + 100) / 1e6)
    })

    const lookups: ReadonlyArray<readonly [string, Cost.Named, number | undefined]> = [
      ["provider and model", { provider: "openai", model: "gpt-5" }, 1],
      ["the model of any provider", { provider: "azure-openai", model: "gpt-5" }, 2],
      ["a name with its provider", { provider: "compat", model: "openai/gpt-5" }, 1],
      ["a date at the end", { provider: "openai", model: "gpt-5-2025-08-07" }, 1],
      ["a date that has a price of its own", { provider: "openai", model: "gpt-5-20260101" }, 3],
      ["no provider, where one has it", { model: "claude-x-latest" }, 4],
      ["no provider, where several disagree", { model: "both" }, undefined],
      ["no provider, where several agree", { model: "same" }, 7],
      ["another model that begins so", { provider: "openai", model: "gpt-5-mini" }, undefined],
      ["what every object has", { model: "constructor" }, undefined]
    ]
    for (const [claim, named, expected] of lookups) {
      it(`are found by ${claim}`, () => {
        const table = {
          "openai/gpt-5": { input: 1, output: 0 },
          "gpt-5": { input: 2, output: 0 },
          "openai/gpt-5-20260101": { input: 3, output: 0 },
          "anthropic/claude-x": { input: 4, output: 0 },
          "a/both": { input: 5, output: 0 },
          "b/both": { input: 6, output: 0 },
          "a/same": { input: 7, output: 0 },
          "b/same": { input: 7, output: 0 }
        }
        assert.strictEqual(Cost.priceOf(table, named)?.input, expected)
      })
    }

    it("of the bundled table are those of its lists", () => {
      assert.deepStrictEqual(Cost.priceOf(bundled, { provider: "anthropic", model: "claude-sonnet-4-5-20250929" }), {
        input: 3,
        output: 15,
        cacheRead: 0.3,
        cacheWrite: 3.75
      })
      const rows = Object.values(prices).flatMap(({ models }) => Object.keys(models))
      assert.strictEqual(Object.keys(bundled).length, rows.length)
      assert.isUndefined(
        Cost.priceOf(bundled, { provider: "custom-mine", model: "gpt-5" }),
        "nobody's model of that name"
      )
    })
  })

  describe("layer", () => {
    const methods = {
      generateText: generate,
      generateObject: LanguageModel.generateObject({ prompt: "hi", schema: Schema.Struct({ a: Schema.Number }) }),
      streamText: Stream.runDrain(LanguageModel.streamText({ prompt: "hi" }))
    }
    for (
      const [method, call] of Object.entries<Effect.Effect<unknown, AiError.AiError, LanguageModel.LanguageModel>>(
        methods
      )
    ) {
      it.effect(`counts what ${method} says that it used, cached tokens once`, () =>
        Effect.gen(function*() {
          const model = fakeModel(Effect.succeed(counted({ text: "{\"a\":1}" })))
          const totals = yield* totalsOf(model, call)
          assert.deepStrictEqual(totals.tokens, { input: 40, cacheRead: 40, cacheWrite: 20, output: 6, reasoning: 4 })
          assert.strictEqual(micros(totals), 40 + 4 + 40 + 60 + 80 + 500_000)
          assert.deepInclude(totals, { requests: 1, cached: 0, estimated: 0, unpriced: 0, unanswered: 0 })
        }))
    }

    it.effect("takes the provider's own count of uncached tokens over the difference", () =>
      Effect.gen(function*() {
        // A provider that counts cached tokens beside the others.
        const given = usage({ total: 30, uncached: 30, cacheRead: 40 }, { total: 0 })
        const totals = yield* totalsOf(fakeModel(Effect.succeed(counted({ usage: given }))), generate)
        assert.deepInclude(totals.tokens, { input: 30, cacheRead: 40 })
      }))

    it.effect("takes no count that is negative, and none of countTokens that is no number", () =>
      Effect.gen(function*() {
        const given = usage(
          { total: 30, uncached: -10, cacheRead: 40 },
          { total: 5, reasoning: -1 }
        )
        const totals = yield* totalsOf(fakeModel(Effect.succeed(counted({ usage: given }))), generate)
        assert.deepStrictEqual(totals.tokens, { input: 0, cacheRead: 40, cacheWrite: 0, output: 5, reasoning: 0 })
        const uncounted = fakeModel(Effect.succeed(counted({ text: "y".repeat(40), usage: usage({ total: 7 }, {}) })))
        const estimated = yield* totalsOf(uncounted, generate, { countTokens: () => Number.NaN })
        assert.strictEqual(estimated.tokens.output, 10)
      }))

    it.effect("gives the answer also when the tracker dies", () =>
      Effect.gen(function*() {
        const tracker = Cost.Tracker.of({
          record: () => Effect.die("no"),
          totals: Effect.die("no"),
          reset: Effect.die("no")
        })
        const model = Cost.layer(fakeModel(Effect.succeed(counted({ text: "Hello" }))), { pricing })
        const { text } = yield* generate.pipe(Effect.provide(model), Effect.provideService(Cost.Tracker, tracker))
        assert.strictEqual(text, "Hello")
      }))

    it.effect("knows provider and model of a gateway's answer, and who was asked for one that is cut", () =>
      Effect.gen(function*() {
        const anthropic = (end: "close" | "reset") =>
          GatewayModel.layer(
            StubTransport.make({
              body: sse(
                { type: "message_start", message: { id: "m", model: "claude-sonnet-4-6", usage: { input_tokens: 9 } } },
                { type: "content_block_start", index: 0, content_block: { type: "text", text: "" } },
                { type: "content_block_delta", index: 0, delta: { type: "text_delta", text: "x".repeat(80) } },
                ...(end === "reset" ? [] : [
                  { type: "content_block_stop", index: 0 },
                  { type: "message_delta", delta: { stop_reason: "end_turn" }, usage: { output_tokens: 3 } },
                  { type: "message_stop" }
                ])
              ),
              end
            }),
            { provider: "anthropic", model: "claude-sonnet-4-6" }
          )
        const whole = yield* totalsOf(anthropic("close"), Stream.runDrain(streamed), { pricing: bundled })
        assert.strictEqual(micros(whole), 9 * 3 + 3 * 15)
        assert.deepStrictEqual(Object.keys(whole.byModel), ["anthropic/claude-sonnet-4-6"])
        const cut = yield* totalsOf(anthropic("reset"), Stream.runDrain(streamed), { pricing: bundled })
        assert.deepInclude(cut, { requests: 1, estimated: 1, unpriced: 0, unanswered: 0 })
        // 400 characters and the message's own, and 80 characters that came.
        assert.strictEqual(micros(cut.byModel["anthropic/claude-sonnet-4-6"] ?? cut), 104 * 3 + 20 * 15)
      }))

    it.effect("bills a stream that fails for what came", () =>
      Effect.gen(function*() {
        const totals = yield* totalsOf(
          fakeModel(Effect.succeed(counted({ text: "y".repeat(40), fail: failed }))),
          Stream.runDrain(streamed),
          { model: "test/plain" }
        )
        assert.deepInclude(totals, { requests: 1, estimated: 1, unanswered: 0 })
        assert.deepInclude(totals.tokens, { input: 104, output: 10 })
        assert.strictEqual(micros(totals), 104 + 100)
      }))

    it.effect("bills a stream that is interrupted, or left by its reader, for what came, once", () =>
      Effect.gen(function*() {
        const slow = fakeModel(Effect.succeed(counted({ text: "y".repeat(40), delay: 1000 })))
        const interrupted = yield* totalsOf(
          slow,
          Effect.gen(function*() {
            const fiber = yield* Effect.forkChild(Stream.runDrain(streamed))
            yield* TestClock.adjust("2 seconds")
            yield* Fiber.interrupt(fiber)
          }),
          { model: "test/plain" }
        )
        assert.strictEqual(micros(interrupted), 204)
        assert.deepInclude(interrupted, { requests: 1, estimated: 1 })
        const quick = fakeModel(Effect.succeed(counted({ text: "y".repeat(40) })))
        const left = yield* totalsOf(quick, streamed.pipe(Stream.take(2), Stream.runDrain), { model: "test/plain" })
        assert.deepInclude(left, { requests: 1, estimated: 1 })
        assert.strictEqual(micros(left), 204)
      }))

    it.effect("bills nothing where nothing came: refused, failed, or interrupted before", () =>
      Effect.gen(function*() {
        const refused = gatewayModel(StubTransport.make({ status: 429, body: "{}" }))
        const never = fakeModel(Effect.never)
        for (
          const [model, call] of [
            [refused, generate],
            [refused, Stream.runDrain(streamed)],
            [never, Effect.timeoutOption(generate, "1 second")],
            [never, Effect.timeoutOption(Stream.runDrain(streamed), "1 second")]
          ] as const
        ) {
          const fiber = yield* Effect.forkChild(totalsOf(model, call, { model: "test/m" }))
          yield* settle
          yield* TestClock.adjust("1 second")
          const totals = yield* Fiber.join(fiber)
          assert.deepInclude(totals, { requests: 1, unanswered: 1, unpriced: 0, cost: 0, estimated: 0 })
        }
      }))

    it.effect("bills an object that does not fit its schema", () =>
      Effect.gen(function*() {
        const object = LanguageModel.generateObject({ prompt: "hi", schema: Schema.Struct({ b: Schema.Number }) })
        const model = fakeModel(Effect.succeed(counted({ text: "{\"a\":\"1234567890123\"}" })))
        const totals = yield* totalsOf(model, object, { model: "test/plain" })
        assert.deepInclude(totals, { requests: 1, estimated: 1, unanswered: 0 })
        assert.isAbove(totals.tokens.output, 0)
      }))

    it.effect("bills the answer whose tool's handler failed", () =>
      Effect.gen(function*() {
        const model = fakeModel(Effect.succeed(counted({ more: [toolCall] })))
        const call = LanguageModel.generateText({ prompt: "x".repeat(400), toolkit: kit }).pipe(
          Effect.provide(kit.toLayer({ weather: () => Effect.die("no") }))
        )
        const totals = yield* totalsOf(model, call, { model: "test/plain" })
        assert.deepInclude(totals, { requests: 1, estimated: 1, unanswered: 0 })
        assert.isAtLeast(totals.tokens.input, 104)
      }))

    it.effect("counts an answer with tools like one without, whole and streamed", () =>
      Effect.gen(function*() {
        const model = fakeModel(Effect.succeed(counted({ more: [toolCall] })))
        const handled = Effect.provide(kit.toLayer({ weather: () => Effect.succeed("rain") }))
        const options = { prompt: "hi", toolkit: kit }
        for (
          const call of [
            LanguageModel.generateText(options).pipe(handled),
            Stream.runDrain(LanguageModel.streamText(options)).pipe(handled)
          ]
        ) {
          const totals = yield* totalsOf(model, call)
          assert.deepInclude(totals, { requests: 1, estimated: 0 })
          assert.strictEqual(micros(totals), 500_224)
        }
      }))

    it.effect("estimates what a provider does not count", () =>
      Effect.gen(function*() {
        const model = fakeModel(Effect.succeed(counted({ text: "y".repeat(40), usage: usage({ total: 7 }, {}) })))
        const totals = yield* totalsOf(model, generate)
        assert.deepInclude(totals.tokens, { input: 7, output: 10 })
        assert.strictEqual(totals.estimated, 1)
        const chinese = fakeModel(Effect.succeed(counted({ text: "汉字".repeat(10), usage: usage({ total: 7 }, {}) })))
        assert.strictEqual((yield* totalsOf(chinese, generate)).tokens.output, 20)
        const words = yield* totalsOf(model, generate, { countTokens: (text) => text.length })
        assert.strictEqual(words.tokens.output, 40)
      }))

    it.effect("counts a model without a price as unpriced, its tokens with the others'", () =>
      Effect.gen(function*() {
        const model = fakeModel(Effect.succeed(counted({ info: { provider: "test", model: "nobody-knows" } })))
        const totals = yield* totalsOf(model, generate)
        assert.deepInclude(totals, { requests: 1, unpriced: 1, cost: 0 })
        assert.strictEqual(totals.tokens.input, 40)
      }))

    it.effect("counts answers of the gateway's cache and of ResponseCache as cached, for nothing", () =>
      Effect.gen(function*() {
        const hit = fakeModel(Effect.succeed(counted({ info: { ...info, cacheStatus: "HIT" } })))
        const replayed = fakeModel(Effect.succeed(counted({ metadata: { responseCache: { cached: true } } })))
        for (const model of [hit, replayed]) {
          for (const call of [generate, Stream.runDrain(streamed)]) {
            const totals = yield* totalsOf(model, call)
            assert.deepInclude(totals, { requests: 1, cached: 1, cost: 0, unpriced: 0 })
            assert.strictEqual(totals.tokens.input, 0)
          }
        }
        const missed = fakeModel(Effect.succeed(counted({ info: { ...info, cacheStatus: "MISS" } })))
        assert.strictEqual((yield* totalsOf(missed, generate)).cached, 0)
      }))

    it.effect("adds the images of an answer", () =>
      Effect.gen(function*() {
        const image = { type: "file", mediaType: "image/png", data: "AAAA" } as const
        const model = fakeModel(
          Effect.succeed(counted({ more: [image, image], usage: usage({ total: 0 }, { total: 0 }) }))
        )
        assert.strictEqual((yield* totalsOf(model, generate)).cost, 0.5 + 2 * 0.25)
      }))

    it.effect("takes the call's own customCost over the table", () =>
      Effect.gen(function*() {
        const model = fakeModel(Effect.succeed(counted()))
        const total = yield* totalsOf(model, RequestOptions.withOptions(generate, { customCost: { totalCost: 0.125 } }))
        assert.strictEqual(total.cost, 0.125)
        const perToken = { perTokenIn: 0.000001, perTokenOut: 0.000002, perCacheReadToken: 0 }
        const tokens = yield* totalsOf(model, RequestOptions.withOptions(generate, { customCost: perToken }))
        assert.strictEqual(micros(tokens), 60 + 20)
      }))

    it.effect("records by model, provider and the metadata keys that were chosen, until reset", () =>
      Effect.gen(function*() {
        let i = 0
        const model = fakeModel(
          Effect.sync(() => counted({ info: { provider: "test", model: i++ % 2 ? "plain" : "m" } }))
        )
        const of = (user: string) => RequestOptions.withOptions(generate, { metadata: { user, other: 1 } })
        yield* Effect.gen(function*() {
          yield* of("a")
          yield* of("a")
          yield* of("__proto__")
          yield* generate
          const totals = yield* Cost.reset
          assert.strictEqual(totals.requests, 4)
          assert.deepStrictEqual(Object.keys(totals.byModel), ["test/m", "test/plain"])
          assert.strictEqual(totals.byProvider["test"]?.requests, 4)
          assert.deepStrictEqual(Object.keys(totals.byKey), ["user"])
          assert.deepStrictEqual(
            Object.entries(totals.byKey["user"] ?? {}).map(([user, { requests }]) => [user, requests]),
            [["a", 2], ["__proto__", 1]]
          )
          const parts = Object.values(totals.byModel).reduce((sum, { cost }) => sum + cost, 0)
          assert.strictEqual(parts, totals.cost)
          assert.deepInclude(yield* Cost.totals, { requests: 0, cost: 0, byModel: {}, byKey: {} })
        }).pipe(
          Effect.provide(model.pipe(Cost.layer({ pricing, keys: ["user"] }))),
          Effect.provide(Cost.layerTracker)
        )
      }))

    it.effect("counts tries inside a Retry, and calls around it", () =>
      Effect.gen(function*() {
        const answers = () => {
          let call = 0
          return gatewayModel(
            StubTransport.make(() => call++ === 0 ? { status: 503, body: "{}" } : { body: fixture("native-text.json") })
          )
        }
        const retried = Retry.layer({ baseDelay: 0 })
        const run = (
          build: (
            model: Layer.Layer<LanguageModel.LanguageModel>
          ) => Layer.Layer<LanguageModel.LanguageModel, never, Cost.Tracker>
        ) =>
          Effect.andThen(generate, Cost.totals).pipe(
            Effect.provide(build(answers())),
            Effect.provide(Cost.layerTracker)
          )
        const cost = Cost.layer({ pricing: bundled })
        assert.deepInclude(yield* run((model) => model.pipe(cost, retried)), { requests: 2, unanswered: 1 })
        assert.deepInclude(yield* run((model) => model.pipe(retried, cost)), { requests: 1, unanswered: 0 })
      }))

    it.effect("counts dollars and tokens in metrics", () =>
      Effect.gen(function*() {
        const own = { provider: "test", model: "of-the-metric" }
        yield* totalsOf(fakeModel(Effect.succeed(counted({ info: own }))), Effect.andThen(generate, generate), {
          pricing: { "test/of-the-metric": price }
        })
        const of = { "gen_ai.provider.name": "test", "gen_ai.response.model": "of-the-metric" }
        const dollars = yield* Metric.value(Metric.withAttributes(Cost.costMetric, of))
        assert.closeTo(dollars.count, 2 * 0.500224, 1e-12)
        const read = yield* Metric.value(
          Metric.withAttributes(Cost.tokensMetric, { ...of, "gen_ai.token.type": "cacheRead" })
        )
        assert.strictEqual(read.count, 80)
      }))

    it.effect("refuses a price that is no amount, before any request", () =>
      Effect.gen(function*() {
        for (const wrong of [-1, Number.NaN, Number.POSITIVE_INFINITY]) {
          const calls: Array<unknown> = []
          const error = yield* generate.pipe(
            Effect.provide(
              Cost.layer(fakeModel(Effect.succeed(counted()), calls), { pricing: { x: { input: 1, output: wrong } } })
            ),
            Effect.provide(Cost.layerTracker),
            Effect.flip
          )
          assert.strictEqual(error.reason._tag, "InvalidRequestError")
          assert.include(error.message, "pricing[\"x\"].output")
          assert.strictEqual(calls.length, 0)
        }
      }))
  })

  it.effect("keeps no more sums than ten thousand of each kind, whatever names come from outside", () =>
    Effect.gen(function*() {
      const { record, totals } = yield* Cost.Tracker
      const entry: Cost.Entry = {
        provider: "openai",
        model: "gpt-5",
        keys: { user: "first" },
        tokens: { input: 1, cacheRead: 0, cacheWrite: 0, output: 0, reasoning: 0 },
        nanos: 1e9,
        cached: false,
        estimated: false,
        answered: true
      }
      for (let i = 0; i < 10_010; i++) yield* record({ ...entry, model: `m${i}`, keys: { user: `u${i}` } })
      yield* record({ ...entry, model: "m0", keys: { user: "u0" } })
      const { byKey, byModel, cost } = yield* totals
      assert.strictEqual(cost, 10_011)
      for (const [sums, known] of [[byModel, "openai/m0"], [byKey["user"] ?? {}, "u0"]] as const) {
        assert.lengthOf(Object.keys(sums), 10_001)
        assert.deepStrictEqual([sums[known]?.cost, sums["(others)"]?.cost], [2, 10])
      }
    }).pipe(Effect.provide(Cost.layerTracker)))

  it.effect("sums up any number of costs without drift", () =>
    Effect.promise(() =>
      fc.assert(
        fc.asyncProperty(
          fc.array(fc.tuple(fc.nat(50_000), fc.nat(5_000)), { minLength: 1, maxLength: 2_000 }),
          fc.constantFrom(0.1, 0.003625, 0.435, 2.253, 37.5),
          async (calls, rate) => {
            const price = { input: rate, output: rate * 3 }
            const exact = calls.reduce(
              (sum, [input, output]) => sum + BigInt(Math.round((input * price.input + output * price.output) * 1000)),
              0n
            )
            const totals = await Effect.runPromise(
              Effect.gen(function*() {
                const tracker = yield* Cost.Tracker
                for (const [input, output] of calls) {
                  const tokens = { input, output, cacheRead: 0, cacheWrite: 0, reasoning: 0 }
                  yield* tracker.record({
                    provider: "p",
                    model: "m",
                    keys: {},
                    tokens,
                    nanos: Math.round(Cost.cost(price, tokens) * 1e9),
                    cached: false,
                    estimated: false,
                    answered: true
                  })
                }
                return yield* tracker.totals
              }).pipe(Effect.provide(Cost.layerTracker))
            )
            assert.strictEqual(totals.cost, Number(exact) / 1e9)
          }
        ),
        { numRuns: 30 }
      )
    ))

  describe("a bundle", () => {
    const modulesOf = (code: string, external = /^(effect|@effect|alchemy|@distilled|node:|cloudflare:)/) =>
      Effect.promise(async () => {
        const bundle = await rolldown({
          input: "entry",
          external,
          logLevel: "silent",
          plugins: [{
            name: "entry",
            resolveId: (id) => id === "entry" ? path.join(import.meta.dirname, "entry.ts") : null,
            load: (id) => id.endsWith(path.join("policy", "entry.ts")) ? code : null
          }]
        })
        const { output } = await bundle.generate({ format: "esm" })
        return output.flatMap((chunk) =>
          chunk.type === "chunk"
            ? Object.entries(chunk.modules).flatMap(([id, { renderedLength }]) =>
              renderedLength > 0 ? [path.relative(path.resolve(import.meta.dirname, "../../src"), id)] : []
            )
            : []
        )
      })

    it.effect("with the user's own prices does not carry the bundled ones", () =>
      Effect.gen(function*() {
        const cost =
          `import * as Cost from "../../src/policy/Cost.ts"; export const f = (m) => Cost.layer(m, { pricing: {} });`
        const own = yield* modulesOf(cost)
        assert.include(own, "policy/Cost.ts")
        assert.notInclude(own, "model/prices.ts")
        assert.isEmpty(own.filter((module) => /Budget/.test(module)))
        const all = yield* modulesOf(`${cost} export { bundled } from "../../src/model/prices.ts"`)
        assert.include(all, "model/prices.ts")
      }))

    it.effect("with budgets in memory carries no other store", () =>
      Effect.gen(function*() {
        const modules = yield* modulesOf(`export { layerMemory } from "../../src/policy/BudgetStore.ts"`, /^node:/)
        assert.include(modules, "policy/BudgetStore.ts")
        assert.isEmpty(modules.filter((module) => /persistence|sql/i.test(module)))
      }))

    it.effect("without Cost and Budget carries nothing of them", () =>
      Effect.gen(function*() {
        const modules = yield* modulesOf(`export * from "../../src/index.ts"`)
        assert.isNotEmpty(modules.filter((module) => /policy\/Retry/.test(module)))
        assert.isEmpty(modules.filter((module) => /Budget|Cost|metered|tokenEstimate|pricing|prices/.test(module)))
      }))
  })
})
