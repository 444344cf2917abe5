/**
 * What model calls cost: by a table of prices, recorded per model, provider and metadata key.
 *
 * A layer around a model writes each call into the {@link Tracker} and into Effect metrics. An answer from a cache costs
 * nothing; a stream that is cut or left costs what came of it, estimated; a model without a price counts as unpriced. Stand it
 * next to the model to count every try of a `Retry`, and around the others to count calls.
 *
 * **Example** (What a user's questions cost)
 *
 * ```ts
 * import * as Effect from "effect/Effect"
 * import * as LanguageModel from "effect/unstable/ai/LanguageModel"
 * import { type AiGatewayClient, RequestOptions } from "effect-ai-gateway"
 * import * as Cost from "effect-ai-gateway/Cost"
 * import { bundled } from "effect-ai-gateway/prices"
 *
 * export const program = <R>(client: AiGatewayClient<R>) =>
 *   Effect.gen(function*() {
 *     yield* LanguageModel.generateText({ prompt: "What is Effect?" }).pipe(
 *       RequestOptions.withOptions({ metadata: { user: "u-42" } })
 *     )
 *     const { byKey, cost } = yield* Cost.totals
 *     return { cost, ofUser: byKey["user"]?.["u-42"]?.cost }
 *   }).pipe(
 *     Effect.provide(
 *       client.model({ provider: "openai", model: "gpt-5" }).pipe(Cost.layer({ pricing: bundled, keys: ["user"] }))
 *     ),
 *     Effect.provide(Cost.layerTracker)
 *   )
 * ```
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import { dual } from "effect/Function"
import * as Layer from "effect/Layer"
import * as Metric from "effect/Metric"
import type * as LanguageModel from "effect/unstable/ai/LanguageModel"
import { costOf, dollars, named, type Price, type Pricing, problemOf, type Tokens } from "../model/pricing.ts"
import { aroundModel, type Policy } from "./aroundModel.ts"
import { invalidOption } from "./finalErrors.ts"
import { type Bill, metered } from "./metered.ts"
import { layerAround, type PolicyLayer, refusing } from "./policyLayer.ts"
import * as tokenEstimate from "./tokenEstimate.ts"

export { type Named, type Price, priceOf, type Pricing, type Tokens } from "../model/pricing.ts"

/**
 * @category models
 * @since 0.1.0
 */
export interface Options {
  /** The user's own table, or `bundled` of `effect-ai-gateway/prices`. */
  readonly pricing: Pricing
  /** The `RequestOptions` metadata keys that are recorded by their values; none by default. */
  readonly keys?: ReadonlyArray<string> | undefined
  /** `provider/model`, for a model of another package, whose answers do not say who gave them. */
  readonly model?: string | undefined
  /** Counts the tokens of a text where the provider has not; by default a quarter of its characters, all of Chinese. */
  readonly countTokens?: tokenEstimate.CountTokens | undefined
}

/**
 * One call as it is recorded.
 *
 * @category models
 * @since 0.1.0
 */
export interface Entry {
  readonly provider: string | undefined
  readonly model: string | undefined
  /** The metadata that was chosen by `keys`. */
  readonly keys: { readonly [key: string]: string }
  readonly tokens: Tokens
  /** Nano-dollars, which sum up without drift; undefined when nobody knows the price. */
  readonly nanos: number | undefined
  readonly cached: boolean
  readonly estimated: boolean
  /** False for a call of which nothing came. */
  readonly answered: boolean
}

/**
 * What some calls came to.
 *
 * @category models
 * @since 0.1.0
 */
export interface Amounts {
  /** US dollars, without what is unpriced. */
  readonly cost: number
  /** All calls, also those below. */
  readonly requests: number
  /** Answered by a cache: no cost, and no tokens. */
  readonly cached: number
  /** Whose tokens and cost are estimates: cut or left streams, and providers that count nothing. */
  readonly estimated: number
  /** Answered by a model without a price: their tokens are counted, their cost is not known. */
  readonly unpriced: number
  /** Of which nothing came, and which cost nothing. */
  readonly unanswered: number
  readonly tokens: Tokens
}

/**
 * @category models
 * @since 0.1.0
 */
export interface Totals extends Amounts {
  /** By `provider/model`. */
  readonly byModel: { readonly [model: string]: Amounts }
  readonly byProvider: { readonly [provider: string]: Amounts }
  /** By metadata key, and in it by value. */
  readonly byKey: { readonly [key: string]: { readonly [value: string]: Amounts } }
}

/**
 * Where the calls are recorded.
 *
 * @category services
 * @since 0.1.0
 */
export class Tracker extends Context.Service<Tracker, {
  readonly record: (entry: Entry) => Effect.Effect<void>
  readonly totals: Effect.Effect<Totals>
  /** Starts anew, and gives the totals until then. */
  readonly reset: Effect.Effect<Totals>
}>()("effect-ai-gateway/Cost/Tracker") {}

/**
 * US dollars that model calls cost, `ai_gateway.client.cost`, by `gen_ai.provider.name` and `gen_ai.response.model`.
 *
 * @category metrics
 * @since 0.1.0
 */
export const costMetric: Metric.Counter<number> = Metric.counter("ai_gateway.client.cost", {
  description: "US dollars that model calls cost",
  incremental: true
})

/**
 * Tokens of model calls, `ai_gateway.client.tokens`, by `gen_ai.token.type` (`input`, `cacheRead`, `cacheWrite`, `output`,
 * `reasoning`, each token in one), provider and model.
 *
 * @category metrics
 * @since 0.1.0
 */
export const tokensMetric: Metric.Counter<number> = Metric.counter("ai_gateway.client.tokens", {
  description: "Tokens of model calls, each counted once",
  incremental: true
})

/**
 * What was recorded so far.
 *
 * @category accessors
 * @since 0.1.0
 */
export const totals: Effect.Effect<Totals, never, Tracker> = Effect.flatMap(Tracker, (tracker) => tracker.totals)

/**
 * Starts anew, and gives the totals until then.
 *
 * @category accessors
 * @since 0.1.0
 */
export const reset: Effect.Effect<Totals, never, Tracker> = Effect.flatMap(Tracker, (tracker) => tracker.reset)

/**
 * US dollars of so many tokens and images at a price.
 *
 * @category getters
 * @since 0.1.0
 */
export const cost = (price: Price, tokens: Partial<Tokens>, images = 0): number =>
  dollars(costOf(price, { ...noTokens, ...tokens }, images))

/**
 * Totals in this process, for as long as the layer lives.
 *
 * Models and values of metadata may come from outside and have no end: after the first 10,000 of each, those that are new
 * are summed up together as `(others)`, until `reset`.
 *
 * @category layers
 * @since 0.1.0
 */
export const layerTracker: Layer.Layer<Tracker> = Layer.sync(Tracker, () => {
  let sums = makeSums()
  const totals = Effect.sync(() => totalsOf(sums))
  return Tracker.of({
    record: (entry) => Effect.sync(() => recordIn(sums, entry)),
    totals,
    reset: Effect.tap(totals, () =>
      Effect.sync(() => {
        sums = makeSums()
      }))
  })
})

/**
 * A language model whose calls are recorded.
 *
 * A price that is no amount fails each call with an `InvalidRequestError`, before any request.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer: PolicyLayer<Options, Tracker> = dual(
  2,
  <E, R>(model: Layer.Layer<LanguageModel.LanguageModel, E, R>, options: Options) =>
    layerAround(
      model,
      (model) => Effect.map(Tracker, (tracker) => aroundModel(model, recording(model, tracker, options)))
    )
)

const recording = (model: LanguageModel.LanguageModel, tracker: Tracker["Service"], options: Options): Policy => {
  const problem = problemOf(options.pricing)
  if (problem !== undefined) return refusing(invalidOption({ method: "Cost.layer", ...problem }))
  const { countTokens = tokenEstimate.ofText, keys = [], pricing } = options
  return metered(model, {
    pricing,
    countTokens,
    models: options.model === undefined ? [] : [named(options.model)]
  }, {
    open: () => Effect.void,
    settle: (_, bill, { metadata }) =>
      Effect.andThen(
        tracker.record(entryOf(
          bill,
          Object.fromEntries(keys.flatMap((key) => {
            const value = Object.hasOwn(metadata, key) ? metadata[key] : undefined
            return value === undefined ? [] : [[key, String(value)]]
          }))
        )),
        count(bill)
      )
  })
}

const entryOf = ({ answered, cached, cost, estimated, model, provider, tokens }: Bill, keys: Entry["keys"]): Entry => ({
  provider,
  model,
  keys,
  tokens,
  nanos: cost,
  cached,
  estimated,
  answered
})

const noTokens: Tokens = { input: 0, cacheRead: 0, cacheWrite: 0, output: 0, reasoning: 0 }

const kinds = ["input", "cacheRead", "cacheWrite", "output", "reasoning"] as const

const count = Effect.fnUntraced(function*({ cost, model, provider, tokens }: Bill) {
  const of = {
    "gen_ai.provider.name": provider ?? "unknown",
    "gen_ai.response.model": model ?? "unknown"
  }
  if (cost !== undefined && cost > 0) yield* Metric.update(Metric.withAttributes(costMetric, of), dollars(cost))
  for (const kind of kinds) {
    if (tokens[kind] === 0) continue
    yield* Metric.update(Metric.withAttributes(tokensMetric, { ...of, "gen_ai.token.type": kind }), tokens[kind])
  }
})

/** Amounts while they grow: whole numbers all. */
interface Sum {
  nanos: number
  requests: number
  cached: number
  estimated: number
  unpriced: number
  unanswered: number
  readonly tokens: { -readonly [Kind in keyof Tokens]: Tokens[Kind] }
}

/** Maps and not objects: models and metadata may be called anything. */
interface Sums {
  readonly all: Sum
  readonly byModel: Map<string, Sum>
  readonly byProvider: Map<string, Sum>
  readonly byKey: Map<string, Map<string, Sum>>
}

const makeSum = (): Sum => ({
  nanos: 0,
  requests: 0,
  cached: 0,
  estimated: 0,
  unpriced: 0,
  unanswered: 0,
  tokens: { ...noTokens }
})

const makeSums = (): Sums => ({ all: makeSum(), byModel: new Map(), byProvider: new Map(), byKey: new Map() })

const recordIn = ({ all, byKey, byModel, byProvider }: Sums, entry: Entry): void => {
  const { keys, model, provider } = entry
  add(all, entry)
  if (model !== undefined) add(at(byModel, provider === undefined ? model : `${provider}/${model}`, makeSum), entry)
  if (provider !== undefined) add(at(byProvider, provider, makeSum), entry)
  for (const [key, value] of Object.entries(keys)) add(at(at(byKey, key, makeValues), value, makeSum), entry)
}

const makeValues = () => new Map<string, Sum>()

const at = <A>(map: Map<string, A>, name: string, make: () => A): A => {
  const key = map.size < most || map.has(name) ? name : "(others)"
  const found = map.get(key) ?? make()
  map.set(key, found)
  return found
}

const most = 10_000

const add = (sum: Sum, { answered, cached, estimated, nanos, tokens }: Entry): void => {
  sum.requests++
  if (cached) sum.cached++
  if (estimated) sum.estimated++
  if (!answered) sum.unanswered++
  if (nanos === undefined) sum.unpriced++
  else sum.nanos += nanos
  for (const kind of kinds) sum.tokens[kind] += tokens[kind]
}

const totalsOf = ({ all, byKey, byModel, byProvider }: Sums): Totals => ({
  ...amountsOf(all),
  byModel: shown(byModel),
  byProvider: shown(byProvider),
  byKey: Object.fromEntries([...byKey].map(([key, values]) => [key, shown(values)]))
})

const shown = (sums: Map<string, Sum>) => Object.fromEntries([...sums].map(([name, sum]) => [name, amountsOf(sum)]))

const amountsOf = ({ nanos, tokens, ...counts }: Sum): Amounts => ({
  cost: dollars(nanos),
  ...counts,
  tokens: { ...tokens }
})
