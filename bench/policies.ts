/**
 * What each policy adds to a model: CPU time per call, and per part of a stream whose parts come sixteen at a time.
 *
 * `node bench/policies.ts [parts] [rounds]`; interleaved in one process, median of the rounds after two of warm-up. The
 * model answers from memory, so the first row is what Effect's own `LanguageModel` costs.
 */
import * as Arr from "effect/Array"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Stream from "effect/Stream"
import * as LanguageModel from "effect/unstable/ai/LanguageModel"
import type * as Response from "effect/unstable/ai/Response"
import * as Persistence from "effect/unstable/persistence/Persistence"
import * as Budget from "../src/policy/Budget.ts"
import * as BudgetStore from "../src/policy/BudgetStore.ts"
import * as Cost from "../src/policy/Cost.ts"
import * as Fallback from "../src/policy/Fallback.ts"
import * as Guardrails from "../src/policy/Guardrails.ts"
import * as Hooks from "../src/policy/Hooks.ts"
import * as ModelRouter from "../src/policy/ModelRouter.ts"
import * as ResponseCache from "../src/policy/ResponseCache.ts"
import * as Retry from "../src/policy/Retry.ts"

const parts = Number(process.argv[2] ?? 20_000)
const rounds = Number(process.argv[3] ?? 7)
const calls = 500

const finish: Response.FinishPartEncoded = {
  type: "finish",
  reason: "stop",
  usage: { inputTokens: { total: 9, uncached: 9 }, outputTokens: { total: parts } },
  response: undefined
}
const deltas: ReadonlyArray<Response.StreamPartEncoded> = [
  { type: "text-start", id: "1" },
  ...Array.from({ length: parts }, (_, i): Response.StreamPartEncoded => ({
    type: "text-delta",
    id: "1",
    delta: `word${i % 97} `
  })),
  { type: "text-end", id: "1" },
  finish
]
const reads = Arr.chunksOf(deltas, 16)

const model = Layer.effect(
  LanguageModel.LanguageModel,
  LanguageModel.make({
    generateText: () => Effect.succeed([{ type: "text", text: "Hello" }, finish]),
    streamText: () => Stream.flattenArray(Stream.fromIterable(reads))
  })
)

const pricing = { "bench/model": { input: 1, output: 1 } }
const cost = Cost.layer({ pricing, model: "bench/model" })
const budget = Budget.layer({ pricing, model: "bench/model", budgets: [{ name: "all", limit: 1e6, window: "1 day" }] })
const hooks = Hooks.layer({ onResponse: () => Effect.void, onPart: () => Effect.void })
const guardrails = Guardrails.layer({ checks: [Guardrails.rules({ secret: ["nightingale"] })] })
const cache = ResponseCache.layer({ name: "bench/model", ttl: "1 hour" })
const routed = (model: Layer.Layer<LanguageModel.LanguageModel>) =>
  ModelRouter.make({ routes: [{ pattern: "*", to: model }] }).layer

type Services = Cost.Tracker | BudgetStore.BudgetStore | Persistence.BackingPersistence

const stacks: { readonly [name: string]: Layer.Layer<LanguageModel.LanguageModel, never, Services> } = {
  "no policy": model,
  "Retry": model.pipe(Retry.layer()),
  "Fallback": Fallback.layer(Fallback.plan([model, model])),
  "ModelRouter": routed(model),
  "Cost": model.pipe(cost),
  "Budget": model.pipe(budget),
  "Hooks": model.pipe(hooks),
  "Guardrails": model.pipe(guardrails),
  "ResponseCache": model.pipe(cache),
  "Retry, Cost, Hooks": model.pipe(Retry.layer(), cost, hooks)
}
const services = Layer.mergeAll(Cost.layerTracker, BudgetStore.layerMemory, Persistence.layerBackingMemory)

const median = (values: ReadonlyArray<number>) => values.toSorted((a, b) => a - b)[values.length >> 1] ?? NaN

const timed = Effect.fnUntraced(function*<E, R>(run: Effect.Effect<void, E, R>) {
  const before = process.cpuUsage()
  yield* run
  const { system, user } = process.cpuUsage(before)
  return user + system
})

let asked = 0
/** Another prompt each time: the cache is asked, and has none. */
const streamed = Effect.suspend(() =>
  Stream.runForEachArray(LanguageModel.streamText({ prompt: `stream ${asked++}` }), () => Effect.void)
)
const called = Effect.suspend(() => LanguageModel.generateText({ prompt: `call ${asked++}` }))

const main = Effect.gen(function*() {
  const built = yield* Effect.forEach(
    Object.entries(stacks),
    ([name, layer]) => Effect.map(Layer.build(layer), (context) => ({ name, context }))
  )
  const measured = built.map(({ context, name }) => ({ name, context, part: Array<number>(), call: Array<number>() }))
  for (let round = -2; round < rounds; round++) {
    for (const { call, context, part } of measured) {
      const stream = yield* timed(Effect.provideContext(streamed, context))
      const text = yield* timed(
        Effect.provideContext(
          Effect.forEach(Array.from({ length: calls }), () => called, { discard: true }),
          context
        )
      )
      if (round < 0) continue
      part.push(stream / parts)
      call.push(text / calls)
    }
  }
  const [plain] = measured
  console.log(
    "".padEnd(22) + "us/part".padStart(10) + "added".padStart(10) + "us/call".padStart(12) + "added".padStart(10)
  )
  for (const { call, name, part } of measured) {
    const numbers = [median(part), median(part) - median(plain?.part ?? [])]
    const perCall = [median(call), median(call) - median(plain?.call ?? [])]
    console.log(
      name.padEnd(22) + numbers.map((n) => n.toFixed(2).padStart(10)).join("") + perCall[0]?.toFixed(1).padStart(12) +
        perCall[1]?.toFixed(1).padStart(10)
    )
  }
})

await Effect.runPromise(main.pipe(Effect.provide(services), Effect.scoped))
