import { assert, describe, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import * as AiError from "effect/unstable/ai/AiError"
import * as LanguageModel from "effect/unstable/ai/LanguageModel"
import type * as Prompt from "effect/unstable/ai/Prompt"
import type * as Response from "effect/unstable/ai/Response"
import * as Tool from "effect/unstable/ai/Tool"
import * as Toolkit from "effect/unstable/ai/Toolkit"
import * as Persistence from "effect/unstable/persistence/Persistence"
import * as Budget from "../../src/policy/Budget.ts"
import * as BudgetStore from "../../src/policy/BudgetStore.ts"
import * as Cost from "../../src/policy/Cost.ts"
import * as Fallback from "../../src/policy/Fallback.ts"
import * as Guardrails from "../../src/policy/Guardrails.ts"
import * as Hooks from "../../src/policy/Hooks.ts"
import * as ModelRouter from "../../src/policy/ModelRouter.ts"
import * as ResponseCache from "../../src/policy/ResponseCache.ts"
import * as Retry from "../../src/policy/Retry.ts"
import { fakeModel } from "./fakeModel.ts"

type Model = Layer.Layer<LanguageModel.LanguageModel>

const pricing = { "test/model": { input: 1, output: 1 } }
/** Of 600,000 tokens in and 400,000 out. */
const price = 1

const finish: Response.FinishPartEncoded = {
  type: "finish",
  reason: "stop",
  usage: { inputTokens: { total: 600_000, uncached: 600_000 }, outputTokens: { total: 400_000 } },
  response: undefined
}
/** Another one each time: policies remember of an error that it is final. */
const overloaded = () =>
  AiError.make({
    module: "Test",
    method: "test",
    reason: new AiError.InternalProviderError({ description: "overloaded" })
  })

const GetWeather = Tool.make("get_weather", {
  parameters: Schema.Struct({ city: Schema.String }),
  success: Schema.Struct({ celsius: Schema.Number })
})
const kit = Toolkit.make(GetWeather)
const City = Schema.Struct({ city: Schema.String })
const object = JSON.stringify({ city: "Bern" })

/** What the model does when it is asked: answer, fail before its first part, or in a stream after it, or do nothing. */
type Behaviour = "answers" | "fails" | "breaks" | "hangs"

/** A model that behaves as it is told, call by call, and answers from then on. */
const upstream = (...behaviours: ReadonlyArray<Behaviour>) => {
  const seen = { calls: 0, interrupted: 0, hangs: Deferred.makeUnsafe<void>() }
  const next = Effect.sync((): Behaviour => behaviours[seen.calls++] ?? "answers")
  const hang = Effect.onInterrupt(
    Effect.andThen(Deferred.succeed(seen.hangs, undefined), Effect.never),
    () => Effect.sync(() => void seen.interrupted++)
  )
  const parts = (options: LanguageModel.ProviderOptions): Array<Response.PartEncoded> => [
    options.tools.length > 0
      ? { type: "tool-call", id: "1", name: "get_weather", params: { city: "Bern" }, providerExecuted: false }
      : { type: "text", text: options.responseFormat.type === "json" ? object : "Hello" },
    finish
  ]
  const model: Model = Layer.effect(
    LanguageModel.LanguageModel,
    LanguageModel.make({
      generateText: (options) =>
        Effect.flatMap(next, (behaviour) =>
          behaviour === "answers"
            ? Effect.succeed(parts(options))
            : behaviour === "hangs"
            ? hang
            : Effect.fail(overloaded())),
      streamText: () =>
        Stream.unwrap(Effect.map(next, (behaviour): Stream.Stream<Response.StreamPartEncoded, AiError.AiError> => {
          if (behaviour === "hangs") return Stream.fromEffect(hang)
          if (behaviour === "fails") return Stream.fail(overloaded())
          const begun = Stream.make<Array<Response.StreamPartEncoded>>(
            { type: "text-start", id: "1" },
            { type: "text-delta", id: "1", delta: "Hel" }
          )
          return behaviour === "breaks"
            ? Stream.concat(begun, Stream.fail(overloaded()))
            : Stream.concat(
              begun,
              Stream.make({ type: "text-delta", id: "1", delta: "lo" }, { type: "text-end", id: "1" }, finish)
            )
        }))
    })
  )
  return { seen, model }
}

/** What is known of the policies of one stack. */
interface Ledger {
  readonly hooks: Array<string>
  readonly spare: ReturnType<typeof upstream>
}

const policies: {
  readonly [name: string]: (ledger: Ledger) => (model: Model) => Layer.Layer<
    LanguageModel.LanguageModel,
    never,
    Cost.Tracker | BudgetStore.BudgetStore | Persistence.BackingPersistence
  >
} = {
  router: () => (model) => ModelRouter.make({ routes: [{ pattern: "*", to: model }] }).layer,
  cost: () => Cost.layer({ pricing, model: "test/model" }),
  budget: () =>
    Budget.layer({
      pricing,
      model: "test/model",
      budgets: [{ name: "all", limit: 10, window: "1 day" }],
      estimate: () => price
    }),
  cache: () => ResponseCache.layer({ name: "test/model", ttl: "1 hour" }),
  guardrails: () => Guardrails.layer({ checks: [Guardrails.rules({ secret: ["nightingale"] })] }),
  hooks: ({ hooks }) => {
    const write = (name: string) => () => Effect.sync(() => void hooks.push(name))
    return Hooks.layer({
      wait: true,
      onResponse: write("response"),
      onError: write("error"),
      onInterrupt: write("interrupt")
    })
  },
  retry: () => Retry.layer({ attempts: 3, baseDelay: 0, jitter: false }),
  fallback: ({ spare }) => (model) => Fallback.layer(Fallback.plan([model, spare.model]))
}

const methods = {
  generateText: Effect.map(LanguageModel.generateText({ prompt: "Say hello" }), ({ text }) => text),
  generateObject: Effect.map(
    LanguageModel.generateObject({ prompt: "Say hello", schema: City }),
    ({ value }) => JSON.stringify(value)
  ),
  tools: Effect.map(
    LanguageModel.generateText({ prompt: "Say hello", toolkit: kit }),
    ({ toolResults }) => JSON.stringify(toolResults.map(({ result }) => result))
  ),
  streamText: LanguageModel.streamText({ prompt: "Say hello" }).pipe(
    Stream.runFold(() => "", (text, part) => part.type === "text-delta" ? text + part.delta : text)
  )
} as const
const answers = { generateText: "Hello", generateObject: object, tools: "[{\"celsius\":1}]", streamText: "Hello" }
type Method = keyof typeof methods

/** A stack of two policies around a model, and what it has done so far. */
const stack = Effect.fnUntraced(
  function*(outer: string, inner: string, method: Method, ...behaviours: Array<Behaviour>) {
    const { model, seen } = upstream(...behaviours)
    const handlers: Array<string> = []
    const ledger: Ledger = { hooks: [], spare: upstream() }
    const services = yield* Layer.build(
      Layer.mergeAll(
        Cost.layerTracker,
        BudgetStore.layerMemory,
        Persistence.layerBackingMemory,
        kit.toLayer({
          get_weather: ({ city }) =>
            Effect.sync(() => {
              handlers.push(city)
              return { celsius: 1 }
            })
        })
      )
    )
    const within = policies[inner]!(ledger)(model).pipe(Layer.provide(Layer.succeedContext(services)))
    const context = yield* Layer.build(policies[outer]!(ledger)(within)).pipe(Effect.provideContext(services))
    return {
      seen,
      handlers,
      ledger,
      /** Every call is one of the same model, as in a Worker that keeps it. */
      call: methods[method].pipe(Effect.provideContext(context), Effect.provideContext(services)),
      /** A stream that its consumer leaves after the first part. */
      left: LanguageModel.streamText({ prompt: "Say hello" }).pipe(
        Stream.take(1),
        Stream.runDrain,
        Effect.provideContext(context)
      ),
      costs: Effect.provideContext(Cost.totals, services),
      balance: Effect.provideContext(Budget.balance({ name: "all", limit: 10, window: "1 day" }), services)
    }
  }
)

const names = Object.keys(policies)
const pairs = names.flatMap((outer) => names.filter((inner) => inner !== outer).map((inner) => [outer, inner] as const))
const each = (method: Method, pair: string) => `${method} through ${pair}`

describe("policies around one another", () => {
  it.effect("a cache around a router gives no model's answer for another's", () =>
    Effect.gen(function*() {
      const [a, b] = [upstream(), upstream()]
      const router = ModelRouter.make({ routes: [{ pattern: "a", to: a.model }, { pattern: "b", to: b.model }] })
      yield* Effect.gen(function*() {
        for (const name of ["a", "b", "b", "a"]) {
          assert.strictEqual(yield* ModelRouter.withModel(methods.generateText, name), "Hello")
        }
      }).pipe(
        Effect.provide(router.layer.pipe(
          ResponseCache.layer({ name: "all", ttl: "1 hour" }),
          Layer.provide(Persistence.layerBackingMemory)
        ))
      )
      assert.deepStrictEqual([a.seen.calls, b.seen.calls], [1, 1])
    }))

  for (const stream of ["buffer", { window: 1, overlap: 0 }] as const) {
    it.effect(`an answer that guardrails block is paid, whole and streamed (${JSON.stringify(stream)})`, () =>
      Effect.gen(function*() {
        const budget = { name: "all", limit: 10, window: "1 day" } as const
        const methods = [
          LanguageModel.generateText({ prompt: "Say it" }),
          Stream.runDrain(LanguageModel.streamText({ prompt: "Say it" }))
        ]
        for (const [i, method] of methods.entries()) {
          const model = fakeModel(Effect.succeed({ text: "nightingale", usage: finish.usage })).pipe(
            Guardrails.layer({ checks: [Guardrails.rules({ secret: ["nightingale"] })], stream }),
            (guarded) => Fallback.layer(Fallback.plan([guarded])),
            Budget.layer({ pricing, model: "test/model", budgets: [budget] }),
            Cost.layer({ pricing, model: "test/model" })
          )
          const error = yield* Effect.flip(Effect.provide(Effect.asVoid(method), model))
          assert.isDefined(Guardrails.findingsOf(error))
          // In windows a stream is blocked, and left, before it says what it used.
          const isCut = i === 1 && stream !== "buffer"
          const { cost, estimated, unanswered } = yield* Cost.totals
          assert.deepStrictEqual([unanswered, estimated], [0, isCut ? 1 : 0])
          if (isCut) assert.isAbove(cost, price)
          else assert.strictEqual(cost, price * (i + 1))
          assert.deepInclude(yield* Budget.balance(budget), { spent: cost, reserved: 0 })
        }
      }).pipe(Effect.provide([Cost.layerTracker, BudgetStore.layerMemory])))
  }

  it.effect("an answer whose tool guardrails block is paid for its prompt at least", () =>
    Effect.gen(function*() {
      const call = {
        type: "tool-call",
        id: "1",
        name: "get_weather",
        params: { city: "nightingale" },
        providerExecuted: false
      } as const
      const model = fakeModel(Effect.succeed({ text: "", more: [call] })).pipe(
        Guardrails.layer({ checks: [Guardrails.rules({ secret: ["nightingale"] })] }),
        Cost.layer({ pricing, model: "test/model" })
      )
      yield* Effect.flip(LanguageModel.generateText({ prompt: "Say it", toolkit: kit })).pipe(
        Effect.provide([model, kit.toLayer({ get_weather: () => Effect.succeed({ celsius: 1 }) })])
      )
      const { cost, unanswered } = yield* Cost.totals
      assert.strictEqual(unanswered, 0)
      assert.isAbove(cost, 0)
    }).pipe(Effect.provide(Cost.layerTracker)))

  it.effect("a budget counts the tools of a call, also inside others", () =>
    Effect.gen(function*() {
      const counts: Array<number> = []
      const budgeted = (model: Model) =>
        Budget.layer(model, {
          pricing,
          budgets: [{ name: "all", limit: 10, window: "1 day" }],
          estimate: (call) => {
            counts.push(call.promptTokens())
            return 0
          }
        })
      const around = [(model: Model) => model, Retry.layer(), policies["guardrails"]!({ hooks: [], spare: upstream() })]
      for (const policy of around) {
        const model = policy(budgeted(upstream().model).pipe(Layer.provide(BudgetStore.layerMemory)))
        yield* Effect.provide(methods.tools, [
          model,
          kit.toLayer({ get_weather: () => Effect.succeed({ celsius: 1 }) })
        ])
      }
      assert.isAbove(counts[0]!, 15)
      assert.deepStrictEqual(counts, [counts[0], counts[0], counts[0]])
    }).pipe(Effect.provide([Cost.layerTracker, BudgetStore.layerMemory, Persistence.layerBackingMemory])))

  it.effect("what hooks and checks fail with is found in the error of a plan, too", () =>
    Effect.gen(function*() {
      const call = LanguageModel.generateText({ prompt: "Say hello" })
      const errorOf = (model: Model) =>
        Effect.flip(Effect.provide(call, Fallback.layer(Fallback.plan([Fallback.layer(Fallback.plan([model]))]))))
      const { model } = upstream()
      const hooked = yield* errorOf(Hooks.layer(model, { failing: true, onRequest: () => Effect.fail("no") }))
      assert.strictEqual(Hooks.failureOf(hooked)?.hook, "onRequest")
      assert.isUndefined(Guardrails.failureOf(hooked))
      const check = Guardrails.check("audit", () => Effect.fail("no"))
      const checked = yield* errorOf(Guardrails.layer(model, { checks: [check] }))
      assert.strictEqual(Guardrails.failureOf(checked)?.check, "audit")
      assert.isUndefined(Hooks.failureOf(checked))
    }))

  for (const name of names) {
    it.effect(`${name}: leaves the model, and another try, a prompt that can be read only once`, () =>
      Effect.gen(function*() {
        const messages: ReadonlyArray<Prompt.MessageEncoded> = [{ role: "user", content: "a question" }]
        const asks = [
          (prompt: Prompt.RawInput) => Effect.asVoid(LanguageModel.generateText({ prompt })),
          (prompt: Prompt.RawInput) => Stream.runDrain(LanguageModel.streamText({ prompt }))
        ]
        for (const ask of asks) {
          const prompts: Array<unknown> = []
          let tries = 0
          const model = fakeModel(
            Effect.suspend(() =>
              name === "retry" && tries++ === 0 ? Effect.fail(overloaded()) : Effect.succeed({ text: "Hello" })
            ),
            prompts
          )
          yield* Effect.provide(ask(messages.values()), policies[name]!({ hooks: [], spare: upstream() })(model))
          assert.isNotEmpty(prompts)
          for (const prompt of prompts) assert.include(JSON.stringify(prompt), "a question")
        }
      }).pipe(Effect.provide([Cost.layerTracker, BudgetStore.layerMemory, Persistence.layerBackingMemory])))
  }

  it.effect("costs around a cache: a stream from the cache is free also for who leaves it", () =>
    Effect.gen(function*() {
      const { call, costs, left } = yield* stack("cost", "cache", "streamText")
      yield* call
      assert.strictEqual((yield* costs).cost, price)
      yield* left
      assert.deepInclude(yield* costs, { cost: price, requests: 2, cached: 1 })
    }).pipe(Effect.scoped))

  for (const [outer, inner] of pairs) {
    const pair = `${outer} around ${inner}`
    const has = (name: string) => outer === name || inner === name
    const all = Object.keys(methods) as Array<Method>

    it.effect(`${pair}: answer, are paid once, and tell of it once`, () =>
      Effect.forEach(
        all,
        Effect.fnUntraced(function*(method) {
          const { balance, call, costs, handlers, ledger, seen } = yield* stack(outer, inner, method)
          const what = each(method, pair)
          assert.strictEqual(yield* call, answers[method], what)
          assert.strictEqual(seen.calls, 1, what)
          assert.deepStrictEqual(handlers, method === "tools" ? ["Bern"] : [], what)
          assert.deepStrictEqual(ledger.hooks, has("hooks") ? ["response"] : [], what)
          const { cost, requests } = yield* costs
          assert.deepStrictEqual([requests, cost], has("cost") ? [1, price] : [0, 0], what)
          if (has("budget")) assert.deepInclude(yield* balance, { spent: price, reserved: 0 }, what)

          // Again: only what a tool did is done again, and what the cache gives is not paid again.
          assert.strictEqual(yield* call, answers[method], what)
          const asked = has("cache") && method !== "tools" ? 1 : 2
          assert.strictEqual(seen.calls, asked, what)
          const total = yield* costs
          assert.strictEqual(total.cost, has("cost") ? asked * price : 0, what)
          if (has("budget")) assert.deepInclude(yield* balance, { spent: asked * price, reserved: 0 }, what)
        })
      ).pipe(Effect.scoped))

    it.effect(`${pair}: get over a failure where one of them does, and keep nothing of it`, () =>
      Effect.forEach(
        all,
        Effect.fnUntraced(function*(method) {
          const { balance, call, costs, ledger, seen } = yield* stack(outer, inner, method, "fails")
          const what = each(method, pair)
          const isMended = has("retry") || has("fallback")
          const exit = yield* Effect.exit(call)
          assert.strictEqual(Exit.isSuccess(exit), isMended, what)
          // The inner one of retry and fallback mends it.
          const bySpare = has("fallback") && !(has("retry") && inner === "retry")
          assert.deepStrictEqual(
            [seen.calls, ledger.spare.seen.calls],
            isMended && !bySpare ? [2, 0] : [1, bySpare ? 1 : 0],
            what
          )
          if (has("hooks")) {
            // Inside they see each try.
            const tries = inner === "hooks" && isMended ? ["error", ...(bySpare ? [] : ["response"])] : undefined
            assert.deepStrictEqual(ledger.hooks, tries ?? [isMended ? "response" : "error"], what)
          }
          const paid = isMended && !(bySpare && inner === "cost") ? price : 0
          if (has("cost")) assert.strictEqual((yield* costs).cost, paid, what)
          if (has("budget")) {
            const spent = isMended && !(bySpare && inner === "budget") ? price : 0
            assert.deepInclude(yield* balance, { spent, reserved: 0 }, what)
          }
          assert.strictEqual(yield* call, answers[method], what)
        })
      ).pipe(Effect.scoped))

    it.effect(`${pair}: give no part twice, and never a stream that broke as a whole one`, () =>
      Effect.gen(function*() {
        const { balance, call, costs, ledger, seen } = yield* stack(outer, inner, "streamText", "breaks")
        const isChecked = has("guardrails")
        const exit = yield* Effect.exit(call)
        // What is checked whole before it is given has not been seen by anybody: another try is free to answer.
        const isMended = inner === "guardrails" && (has("retry") || has("fallback"))
        assert.strictEqual(Exit.isSuccess(exit), isMended, pair)
        if (!isMended && !isChecked) assert.strictEqual(seen.calls + ledger.spare.seen.calls, 1, pair)
        if (has("hooks")) assert.lengthOf(ledger.hooks.filter((name) => name === "error"), 1, pair)
        if (has("cost") && !isMended) {
          const { cost, requests } = yield* costs
          assert.strictEqual(requests, 1, pair)
          assert.isAbove(cost, 0, `${pair}: what came is paid`)
          assert.isBelow(cost, price, pair)
        }
        if (has("budget")) assert.strictEqual((yield* balance).reserved, 0, pair)
        assert.strictEqual(yield* call, "Hello", `${pair}: nothing was kept`)
      }).pipe(Effect.scoped))

    it.effect(`${pair}: answer many at once, ask once for all where one of them caches, and overspend nothing`, () =>
      Effect.forEach(
        all,
        Effect.fnUntraced(function*(method) {
          // A budget has room for ten.
          const many = 14
          const { balance, call, costs, handlers, ledger, seen } = yield* stack(outer, inner, method)
          const what = each(method, pair)
          const exits = yield* Effect.all(Array.from({ length: many }, () => Effect.exit(call)), {
            concurrency: "unbounded"
          })
          const answered = exits.filter(Exit.isSuccess)
          assert.deepStrictEqual(new Set(answered.map(({ value }) => value)), new Set([answers[method]]), what)
          const isShared = has("cache") && method !== "tools"
          // What a budget refuses, a fallback around it asks of the spare model.
          const bySpare = ledger.spare.seen.calls
          const asked = isShared ? 1 : has("budget") ? 10 : many
          // Around a cache a budget sets money aside before anybody knows that the answer is there.
          const isLimited = has("budget") && outer !== "fallback" && (outer === "budget" || !isShared)
          const served = isLimited ? 10 : many
          assert.deepStrictEqual([seen.calls, answered.length], [asked, served], what)
          assert.strictEqual(bySpare, outer === "fallback" && inner === "budget" ? many - asked : 0, what)
          if (method === "tools") assert.lengthOf(handlers, answered.length, what)
          if (has("hooks")) {
            const within = inner === "hooks" && (isShared || has("budget")) ? asked : many
            assert.lengthOf(ledger.hooks, within, what)
            assert.lengthOf(
              ledger.hooks.filter((name) => name === "error"),
              outer === "hooks" || !has("budget") ? many - served : 0,
              what
            )
          }
          if (has("cost")) assert.strictEqual((yield* costs).cost, asked * price, what)
          if (has("budget")) assert.deepInclude(yield* balance, { spent: asked * price, reserved: 0 }, what)
        })
      ).pipe(Effect.scoped))

    it.effect(`${pair}: interrupt the model, and hold nothing back`, () =>
      Effect.forEach(
        all,
        Effect.fnUntraced(function*(method) {
          const { balance, call, ledger, seen } = yield* stack(outer, inner, method, "hangs")
          const what = each(method, pair)
          const fiber = yield* Effect.forkChild(call)
          yield* Deferred.await(seen.hangs)
          yield* Fiber.interrupt(fiber)
          assert.deepStrictEqual([seen.calls, seen.interrupted, ledger.spare.seen.calls], [1, 1, 0], what)
          assert.deepStrictEqual(ledger.hooks, has("hooks") ? ["interrupt"] : [], what)
          if (has("budget")) assert.strictEqual((yield* balance).reserved, 0, what)
          assert.strictEqual(yield* call, answers[method], `${what}, after an interruption`)
        })
      ).pipe(Effect.scoped))
  }
})
