import { assert, describe, it } from "@effect/vitest"
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/testing/TestClock"
import * as AiError from "effect/unstable/ai/AiError"
import * as LanguageModel from "effect/unstable/ai/LanguageModel"
import * as KeyValueStore from "effect/unstable/persistence/KeyValueStore"
import * as fc from "fast-check"
import * as RequestOptions from "../../src/client/RequestOptions.ts"
import * as Parameters from "../../src/model/Parameters.ts"
import * as Budget from "../../src/policy/Budget.ts"
import * as BudgetStore from "../../src/policy/BudgetStore.ts"
import * as Fallback from "../../src/policy/Fallback.ts"
import * as Guardrails from "../../src/policy/Guardrails.ts"
import * as Hooks from "../../src/policy/Hooks.ts"
import * as Retry from "../../src/policy/Retry.ts"
import { fixture, layer as gatewayModel } from "../support/parts.ts"
import * as StubTransport from "../support/StubTransport.ts"
import { type Answer, fakeModel, usage } from "./fakeModel.ts"

/** A token of output costs a dollar, and nothing else does. */
const pricing: Budget.Pricing = { "test/m": { input: 0, output: 1e6 } }

const answer = (tokens: number, more: Partial<Answer> = {}): Answer => ({
  text: "Hello",
  info: { provider: "test", model: "m" },
  usage: usage({ total: 1 }, { total: tokens }),
  ...more
})

const all = (limit: number): Budget.Budget => ({ name: "all", limit, window: "1 hour" })

const options = (more: Partial<Budget.Options> = {}): Budget.Options => ({
  pricing,
  model: "test/m",
  maxTokens: 5,
  budgets: [all(10)],
  ...more
})

const generate = LanguageModel.generateText({ prompt: "hi" })
const streamed = Stream.runDrain(LanguageModel.streamText({ prompt: "hi" }))
const of = (user: string) => RequestOptions.withOptions(generate, { metadata: { user } })

const within = (model: Layer.Layer<LanguageModel.LanguageModel>, given: Budget.Options = options()) =>
<A, E>(
  effect: Effect.Effect<A, E, LanguageModel.LanguageModel | BudgetStore.BudgetStore>
) => effect.pipe(Effect.provide(Budget.layer(model, given)), Effect.provide(BudgetStore.layerMemory))

/** A new one each time: an error that came after content is marked as final, and stays so. */
const failed = () =>
  AiError.make({
    module: "Test",
    method: "test",
    reason: new AiError.InternalProviderError({ description: "down" })
  })

const brokenStore = (more: Partial<BudgetStore.BudgetStore["Service"]> = {}) => {
  const fail = (operation: "balance" | "reserve" | "settle") => () =>
    Effect.fail(new BudgetStore.BudgetStoreError({ operation, account: "a", cause: new Error("store down") }))
  return Layer.succeed(
    BudgetStore.BudgetStore,
    BudgetStore.BudgetStore.of({ reserve: fail("reserve"), settle: fail("settle"), balance: fail("balance"), ...more })
  )
}

describe("Budget", () => {
  for (const [method, call] of [["generateText", generate], ["streamText", streamed]] as const) {
    it.effect(`refuses a ${method} that does not fit any more, before any request, until the window ends`, () => {
      const calls: Array<unknown> = []
      return Effect.gen(function*() {
        yield* TestClock.setTime(20 * 60_000)
        yield* call
        yield* call
        const error = yield* Effect.flip<unknown, AiError.AiError, LanguageModel.LanguageModel>(call)
        assert.strictEqual(calls.length, 2)
        assert.strictEqual(error.reason._tag, "QuotaExhaustedError")
        assert.isFalse(error.isRetryable)
        const exceeded = Budget.exceededOf(error)
        assert.deepInclude(exceeded, { budget: "all", key: "", limit: 10, spent: 8, reserved: 0, estimate: 5 })
        assert.strictEqual(exceeded && Duration.toMinutes(exceeded.window), 60)
        assert.strictEqual(exceeded && Duration.toMinutes(exceeded.retryAfter), 40)
        assert.strictEqual(exceeded && DateTime.toEpochMillis(exceeded.resetsAt), 3_600_000)
        assert.include(
          error.message,
          "The budget \"all\" has $8 spent and $0 reserved of $10, and this call may cost $5"
        )
        assert.deepInclude("metadata" in error.reason ? error.reason.metadata : undefined, {
          budget: {
            budget: "all",
            key: "",
            limit: 10,
            spent: 8,
            reserved: 0,
            estimate: 5,
            windowMillis: 3_600_000,
            resetsAt: "1970-01-01T01:00:00.000Z"
          }
        })
        yield* TestClock.setTime(3_600_000)
        yield* call
        assert.strictEqual(calls.length, 3)
      }).pipe(within(fakeModel(Effect.succeed(answer(4)), calls)))
    })
  }

  it.effect("reserves the prompt, which may be written to a cache, and as many tokens as the answer may have", () =>
    Effect.gen(function*() {
      const prompt = LanguageModel.generateText({ prompt: "x".repeat(400) })
      const estimateOf = (call: Effect.Effect<unknown, AiError.AiError, LanguageModel.LanguageModel>) =>
        Effect.map(Effect.flip(call), (error) => Budget.exceededOf(error)?.estimate)
      assert.strictEqual(yield* estimateOf(prompt), 104 * 0.2 + 5)
      assert.strictEqual(yield* estimateOf(Parameters.withParameters(prompt, { maxTokens: 50 })), 104 * 0.2 + 50)
      const customCost = { perTokenIn: 1, perTokenOut: 3 }
      assert.strictEqual(yield* estimateOf(RequestOptions.withOptions(prompt, { customCost })), 104 + 15)
    }).pipe(
      within(
        fakeModel(Effect.succeed(answer(1))),
        options({
          pricing: { "test/m": { input: 1e5, cacheWrite: 2e5, output: 1e6, reasoning: 1e5 } },
          budgets: [all(1)]
        })
      )
    ))

  it.effect("holds a budget for each value of a metadata key, one for calls without, and what a function says", () =>
    Effect.gen(function*() {
      const isRefused = (call: Effect.Effect<unknown, AiError.AiError, LanguageModel.LanguageModel>) =>
        Effect.map(Effect.exit(call), Exit.isFailure)
      yield* of("a")
      yield* of("a")
      assert.isTrue(yield* isRefused(of("a")))
      yield* of("b")
      yield* of("__proto__")
      yield* generate
      yield* generate
      assert.isTrue(yield* isRefused(generate), "calls without the metadata share one")
      yield* of("free")
      yield* of("free")
      yield* of("free")
    }).pipe(within(
      fakeModel(Effect.succeed(answer(4))),
      options({
        budgets: [{
          ...all(10),
          key: ({ metadata }) => metadata["user"] === "free" ? undefined : String(metadata["user"] ?? "")
        }, { name: "user", key: "user", limit: 13, window: "1 hour" }]
      })
    )))

  it.effect("gives back what the first budgets reserved when a later one refuses", () => {
    const first = { ...all(100), name: "first" }
    const second = { ...all(7), name: "second" }
    return Effect.gen(function*() {
      yield* generate
      const error = yield* Effect.flip(generate)
      assert.strictEqual(Budget.exceededOf(error)?.budget, "second")
      assert.deepInclude(yield* Budget.balance(first), { limit: 100, spent: 4, reserved: 0, remaining: 96 })
      assert.deepInclude(yield* Budget.balance(second), { limit: 7, spent: 4, reserved: 0, remaining: 3 })
    }).pipe(within(fakeModel(Effect.succeed(answer(4))), options({ budgets: [first, second] })))
  })

  const endings: ReadonlyArray<
    readonly [
      claim: string,
      answer: Answer,
      call: Effect.Effect<unknown, AiError.AiError, LanguageModel.LanguageModel>,
      spent: number
    ]
  > = [
    ["more than the estimate", answer(9), generate, 9],
    ["nothing, of a call that failed", answer(9, { fail: failed() }), generate, 0],
    ["nothing, of an answer from a cache", answer(9, { info: { cacheStatus: "HIT" } }), generate, 0],
    ["what came, of a stream that is cut", answer(9, { text: "abcdefgh", fail: failed() }), streamed, 2],
    [
      "the estimate, of a model without a price",
      answer(9, { info: { provider: "test", model: "other" } }),
      generate,
      5
    ],
    [
      "what came, of a stream that its reader left",
      answer(9, { text: "abcdefgh" }),
      LanguageModel.streamText({ prompt: "hi" }).pipe(Stream.take(2), Stream.runDrain),
      2
    ]
  ]
  for (const [claim, given, call, spent] of endings) {
    it.effect(`settles ${claim}`, () =>
      Effect.gen(function*() {
        yield* Effect.exit(call)
        assert.deepInclude(yield* Budget.balance(all(10)), { spent, reserved: 0 })
      }).pipe(within(fakeModel(Effect.succeed(given)))))
  }

  it.effect("reserves while calls run, and bills an interrupted stream for what came", () =>
    Effect.gen(function*() {
      const first = yield* Effect.forkChild(streamed)
      const second = yield* Effect.forkChild(generate)
      yield* TestClock.adjust("2500 millis")
      assert.deepInclude(yield* Budget.balance(all(10)), { spent: 4, reserved: 5 })
      yield* Fiber.interrupt(first)
      yield* Fiber.join(second)
      assert.deepInclude(yield* Budget.balance(all(10)), { spent: 6, reserved: 0 })
    }).pipe(within(fakeModel(Effect.succeed(answer(4, { text: "abcdefgh", delay: 1000 }))))))

  it.effect("knows the models of the gateway's own layers, also inside other policies", () =>
    Effect.gen(function*() {
      const model = gatewayModel(StubTransport.make({ body: fixture("native-text.json") })).pipe(
        Retry.layer(),
        Hooks.layer({}),
        Guardrails.layer({ checks: [Guardrails.rules({ secret: ["nightingale"] })] })
      )
      const table = { "@cf/meta/llama-3.1-8b-instruct": { input: 0, output: 1e6 } }
      const { model: _, ...unnamed } = options({ pricing: table, budgets: [all(100)] })
      yield* Effect.gen(function*() {
        yield* generate
        assert.isAbove((yield* Budget.balance(all(100))).spent, 0)
      }).pipe(within(model, unnamed))
    }))

  it.effect("takes the dearest of the models that may answer, and an estimate in its place", () =>
    Effect.gen(function*() {
      const table = { a: { input: 0, output: 3e5 }, b: { input: 0, output: 6e5 } }
      const estimateBy = (more: Partial<Budget.Options>) =>
        generate.pipe(
          within(fakeModel(Effect.succeed(answer(1))), options({ pricing: table, budgets: [all(1)], ...more })),
          Effect.flip,
          Effect.map((error) => Budget.exceededOf(error)?.estimate)
        )
      assert.strictEqual(yield* estimateBy({ model: ["a", "b"] }), 3)
      assert.strictEqual(yield* estimateBy({ model: "nobody-knows", estimate: () => 7 }), 7)
    }))

  it.effect("refuses options out of their range, models that nobody names and models without a price", () =>
    Effect.gen(function*() {
      const wrong: ReadonlyArray<readonly [string, Partial<Budget.Options>]> = [
        ["budgets", { budgets: [] }],
        ["budgets", { budgets: [all(1), all(2)] }],
        ["budgets[0].limit", { budgets: [all(-1)] }],
        ["budgets[0].limit", { budgets: [all(Number.NaN)] }],
        ["budgets[1].window", { budgets: [all(1), { name: "b", limit: 1, window: "10 millis" }] }],
        ["budgets[0].window", { budgets: [{ name: "b", limit: 1, window: Duration.infinity }] }],
        ["budgets[0].window", { budgets: [{ name: "b", limit: 1, window: 1e300 }] }],
        ["maxTokens", { maxTokens: 0 }],
        ["patience", { patience: 0 }],
        ["pricing[\"x\"].input", { pricing: { x: { input: -1, output: 1 } } }],
        ["model", { model: undefined }],
        ["pricing", { model: "test/other" }],
        ["estimate", { estimate: () => Number.NaN }]
      ]
      for (const [parameter, more] of wrong) {
        for (const call of [generate, streamed]) {
          const calls: Array<unknown> = []
          const error = yield* Effect.flip<unknown, AiError.AiError, never>(
            call.pipe(within(fakeModel(Effect.succeed(answer(1)), calls), options(more)))
          )
          assert.isTrue(error.reason._tag === "InvalidRequestError" && error.reason.parameter === parameter, parameter)
          assert.isEmpty(calls)
        }
      }
    }))

  it.effect("holds nothing back when functions of its options throw, and takes no number for one that is none", () =>
    Effect.gen(function*() {
      const no = () => {
        throw new Error("no")
      }
      let counts = 0
      const uncounted = answer(4, { usage: usage({}, {}) })
      const cases: ReadonlyArray<readonly [spent: number, more: Partial<Budget.Options>]> = [
        [0, { budgets: [all(10), { ...all(10), name: "other", key: no }] }],
        [0, { countTokens: () => Number.NaN }],
        // Only the prompt is counted: two tokens for "Hello" are estimated in its place.
        [2, { countTokens: () => counts++ === 0 ? 1 : no() }],
        [2, { countTokens: () => Number.NaN, estimate: () => 5 }]
      ]
      for (const [i, [spent, more]] of cases.entries()) {
        yield* Effect.gen(function*() {
          yield* Effect.exit(generate)
          assert.deepInclude(yield* Budget.balance(all(10)), { spent, reserved: 0 }, `${i}`)
        }).pipe(within(fakeModel(Effect.succeed(uncounted)), options(more)))
      }
    }))

  it.effect("leaves a limit of tokens that is none to the call itself", () =>
    generate.pipe(
      Parameters.withParameters({ maxTokens: Number.NaN }),
      within(fakeModel(Effect.succeed(answer(1))))
    ))

  it.effect("is not tried again by a Retry, and lets a Fallback go on to a model with money left", () =>
    Effect.gen(function*() {
      const calls: Array<unknown> = []
      const dear = Budget.layer(fakeModel(Effect.succeed(answer(4)), calls), options({ budgets: [all(1)] }))
      const retried = yield* Effect.flip(generate.pipe(Effect.provide(Retry.layer(dear))))
      assert.isDefined(Budget.exceededOf(retried))
      const plan = Fallback.plan([dear, fakeModel(Effect.succeed(answer(1, { text: "cheap" })))])
      assert.strictEqual((yield* generate.pipe(Fallback.withPlan(plan))).text, "cheap")
      assert.isEmpty(calls)
    }).pipe(Effect.provide(BudgetStore.layerMemory)))

  it.effect("has back what a stream's failed try reserved before the next one", () =>
    Effect.gen(function*() {
      let tries = 0
      const model = fakeModel(Effect.suspend(() => ++tries < 3 ? Effect.fail(failed()) : Effect.succeed(answer(4))))
      const retried = Budget.layer(model, options({ budgets: [all(5)] })).pipe(Retry.layer({ baseDelay: 0 }))
      yield* streamed.pipe(Effect.provide(retried))
      assert.strictEqual(tries, 3)
      assert.deepInclude(yield* Budget.balance(all(5)), { spent: 4, reserved: 0 })
    }).pipe(Effect.provide(BudgetStore.layerMemory)))

  describe("without its store", () => {
    it.effect("gives back what earlier budgets reserved", () =>
      Effect.gen(function*() {
        const store = yield* BudgetStore.BudgetStore
        const broken = Layer.succeed(BudgetStore.BudgetStore, {
          ...store,
          reserve: (account, amounts) =>
            account.name.startsWith("second")
              ? Effect.fail(
                new BudgetStore.BudgetStoreError({ operation: "reserve", account: "second", cause: "down" })
              )
              : store.reserve(account, amounts)
        })
        const budgets = [{ ...all(10), name: "first" }, { ...all(10), name: "second" }]
        const model = Budget.layer(fakeModel(Effect.succeed(answer(4))), options({ budgets }))
        assert.isDefined(
          Budget.storeErrorOf(yield* Effect.flip(generate.pipe(Effect.provide(model), Effect.provide(broken))))
        )
        assert.deepInclude(yield* Budget.balance({ ...all(10), name: "first" }), { spent: 0, reserved: 0 })
      }).pipe(Effect.provide(BudgetStore.layerMemory)))

    it.effect("refuses the call with the store's failure in the error", () =>
      Effect.gen(function*() {
        const calls: Array<unknown> = []
        const error = yield* generate.pipe(
          Effect.provide(Budget.layer(fakeModel(Effect.succeed(answer(1)), calls), options())),
          Effect.provide(brokenStore()),
          Effect.flip
        )
        assert.strictEqual(error.reason._tag, "InternalProviderError")
        const failure = Budget.storeErrorOf(error)
        assert.strictEqual(failure?.operation, "reserve")
        assert.include(String(failure?.cause), "store down")
        assert.isUndefined(Budget.exceededOf(error))
        assert.isEmpty(calls)
      }))

    it.effect("lets the call through where that is asked for, and still books what it cost", () =>
      Effect.gen(function*() {
        const booked: Array<unknown> = []
        const store = brokenStore({
          settle: (_, amounts) =>
            Effect.sync(() => {
              booked.push(amounts)
            })
        })
        const response = yield* generate.pipe(
          Effect.provide(Budget.layer(fakeModel(Effect.succeed(answer(4))), options({ onStoreFailure: "allow" }))),
          Effect.provide(store)
        )
        assert.strictEqual(response.text, "Hello")
        assert.deepStrictEqual(booked, [{ reserved: 0, spent: 4e9 }])
      }))

    it.effect("gives the answer that is there also when it cannot be booked", () =>
      Effect.gen(function*() {
        const store = brokenStore({ reserve: () => Effect.succeed({ granted: true, spent: 0, reserved: 5 }) })
        const settled: Array<string> = []
        const dying = brokenStore({
          reserve: () => Effect.succeed({ granted: true, spent: 0, reserved: 5 }),
          settle: ({ name }) => {
            settled.push(name)
            return Effect.die("no")
          }
        })
        for (const broken of [store, dying]) {
          const response = yield* generate.pipe(
            Effect.provide(
              Budget.layer(
                fakeModel(Effect.succeed(answer(4))),
                options({ budgets: [all(10), { ...all(10), name: "b" }] })
              )
            ),
            Effect.provide(broken)
          )
          assert.strictEqual(response.text, "Hello")
        }
        assert.lengthOf(settled, 2)
      }))

    it.effect("waits no longer than its patience, and takes back a reservation that comes late or for nobody", () =>
      Effect.gen(function*() {
        const amounts: Array<unknown> = []
        const store = brokenStore({
          reserve: () => Effect.delay(Effect.succeed({ granted: true, spent: 0, reserved: 5 }), "10 seconds"),
          settle: (_, given) =>
            Effect.sync(() => {
              amounts.push(given)
            })
        })
        const call = generate.pipe(
          Effect.provide(Budget.layer(fakeModel(Effect.succeed(answer(4))), options({ patience: "2 seconds" }))),
          Effect.provide(store)
        )
        const late = yield* Effect.forkChild(Effect.flip(call))
        yield* TestClock.adjust("2 seconds")
        assert.include(String(Budget.storeErrorOf(yield* Fiber.join(late))?.cause), "no answer within 2s")
        const left = yield* Effect.forkChild(call)
        yield* TestClock.adjust("1 second")
        yield* Fiber.interrupt(left)
        assert.isEmpty(amounts)
        yield* TestClock.adjust("10 seconds")
        assert.deepStrictEqual(amounts, [{ reserved: 5e9, spent: 0 }, { reserved: 5e9, spent: 0 }])
      }))
  })

  const stores: ReadonlyArray<readonly [string, () => Layer.Layer<BudgetStore.BudgetStore>]> = [
    ["memory", () => BudgetStore.layerMemory],
    ["KeyValueStore", () => BudgetStore.layerKeyValueStore().pipe(Layer.provide(KeyValueStore.layerMemory))]
  ]
  for (const [name, store] of stores) {
    it.effect(
      `never grants what does not fit, whatever calls run at once and however they end (${name})`,
      () =>
        Effect.promise(() =>
          fc.assert(
            fc.asyncProperty(
              fc.integer({ min: 1, max: 40 }),
              fc.array(
                fc.record({
                  start: fc.nat(3000),
                  delay: fc.nat(1000),
                  most: fc.integer({ min: 1, max: 10 }),
                  used: fc.nat(15),
                  isStream: fc.boolean(),
                  end: fc.constantFrom("whole", "fails", "interrupted"),
                  lasts: fc.nat(2500)
                }),
                { minLength: 1, maxLength: 25 }
              ),
              async (limit, calls) => {
                let spent = 0
                let inFlight = 0
                let overshoot = 0
                let peak = 0
                const run = Effect.gen(function*() {
                  const budget = all(limit)
                  const fibers = yield* Effect.forEach(calls, ({ delay, end, isStream, lasts, most, start, used }) => {
                    let granted = false
                    const model = fakeModel(Effect.sync(() => {
                      granted = true
                      inFlight += most
                      // A failed assertion here would be the call's own.
                      peak = Math.max(peak, spent + inFlight)
                      return answer(used, {
                        text: "x".repeat(4 * used),
                        delay,
                        ...(end === "fails" ? { fail: failed() } : {})
                      })
                    }))
                    const call = (isStream ? streamed : generate).pipe(
                      Parameters.withParameters({ maxTokens: most }),
                      Effect.provide(Budget.layer(model, options({ budgets: [budget] }))),
                      Effect.exit
                    )
                    const timed = end === "interrupted"
                      ? Effect.asVoid(Effect.timeoutOption(call, lasts))
                      : Effect.asVoid(call)
                    return Effect.forkChild(
                      Effect.andThen(Effect.sleep(start), timed).pipe(
                        Effect.ensuring(Effect.gen(function*() {
                          if (!granted) return
                          const now = yield* Effect.orDie(Budget.balance(budget))
                          inFlight -= most
                          overshoot += Math.max(0, used - most)
                          spent = now.spent
                          assert.isAtMost(spent, limit + overshoot)
                        }))
                      )
                    )
                  })
                  yield* TestClock.adjust("1 minute")
                  for (const fiber of fibers) yield* Fiber.join(fiber)
                  assert.isAtMost(peak, limit, "granted although it did not fit")
                  const { reserved, spent: total } = yield* Effect.orDie(Budget.balance(budget))
                  assert.strictEqual(reserved, 0, "a reservation is left")
                  assert.isAtMost(total, limit + overshoot)
                })
                await Effect.runPromise(run.pipe(Effect.provide(store()), Effect.provide(TestClock.layer())))
              }
            ),
            { numRuns: 60 }
          )
        ),
      60_000
    )
  }
})
