/**
 * What a request costs in US dollars: by the caller's own prices, or else by the price table; none when nobody knows.
 *
 * A request that failed costs nothing, nor does one that the cache answered. Source: the wire reference, sections 2.1 and
 * 6.6.
 *
 * @since 0.1.0
 */
import { prices, type Row } from "../model/prices.ts"
import { undated } from "../model/pricing.ts"
import { isRecord } from "./simulated/JsonSchema.ts"
import type { Usage } from "./TokenUsage.ts"

/**
 * The caller's own prices: dollars per token, or for the whole request.
 *
 * @category models
 * @since 0.1.0
 */
export type CustomCost =
  | { readonly total: number }
  | {
    readonly perTokenIn: number
    readonly perTokenOut: number
    readonly perCacheRead: number | undefined
    readonly perCacheWrite: number | undefined
  }

/**
 * @category models
 * @since 0.1.0
 */
export interface Cost {
  /** Dollars; null when the model, its price or its tokens are not known. */
  readonly cost: number | null
  /** Whether the caller's own prices made it. */
  readonly customCost: boolean
}

/**
 * A request that took nothing.
 *
 * @category constants
 * @since 0.1.0
 */
export const free: Cost = { cost: 0, customCost: false }

/**
 * Reads the JSON of `cf-aig-custom-cost`; undefined when it has no price, or one that is no amount.
 *
 * `total_cost` wins over prices per token, and of those in and out an absent one is 0.
 *
 * @category decoding
 * @since 0.1.0
 */
export const readCustom = (raw: unknown): CustomCost | undefined => {
  if (!isRecord(raw)) return undefined
  const given = rates.map((name) => raw[name])
  if (given.every((rate) => rate === undefined) || !given.every((rate) => rate === undefined || isAmount(rate))) {
    return undefined
  }
  const [total, perTokenIn, perTokenOut, perCacheRead, perCacheWrite] = given
  // `isAmount` held for all that are not undefined.
  if (typeof total === "number") return { total }
  return {
    perTokenIn: Number(perTokenIn ?? 0),
    perTokenOut: Number(perTokenOut ?? 0),
    perCacheRead: perCacheRead === undefined ? undefined : Number(perCacheRead),
    perCacheWrite: perCacheWrite === undefined ? undefined : Number(perCacheWrite)
  }
}

/**
 * The cost of a successful answer.
 *
 * @category getters
 * @since 0.1.0
 */
export const of = (request: {
  readonly provider: string
  readonly model: string
  readonly usage: Usage
  readonly custom: CustomCost | undefined
}): Cost => {
  const { custom, model, provider, usage } = request
  if (custom !== undefined) {
    const cost = "total" in custom ? custom.total : customCost(custom, usage)
    return { cost, customCost: cost !== null }
  }
  const price = priceOf(provider, model)
  return { cost: price === undefined ? null : listCost(price, usage), customCost: false }
}

/**
 * The price of a model, also of a dated version of it: `gpt-4o-2024-11-20`, `claude-sonnet-4-5-20250929`.
 *
 * @category getters
 * @since 0.1.0
 */
export const priceOf = (provider: string, model: string): Row | undefined => {
  const list = Object.hasOwn(prices, provider) ? prices[provider] : undefined
  if (list === undefined) return undefined
  for (const name of [model, undated(model)]) {
    if (Object.hasOwn(list.models, name)) return list.models[name]
  }
  return undefined
}

const rates = ["total_cost", "per_token_in", "per_token_out", "per_cache_read_token", "per_cache_write_token"]

const isAmount = (u: unknown): u is number => typeof u === "number" && Number.isFinite(u) && u >= 0

const isCounted = ({ tokensIn, tokensOut }: Usage) => tokensIn !== null || tokensOut !== null

const customCost = (custom: Exclude<CustomCost, { readonly total: number }>, usage: Usage): number | null => {
  if (!isCounted(usage)) return null
  const out = (usage.billedOut ?? 0) * custom.perTokenOut
  if (custom.perCacheRead === undefined && custom.perCacheWrite === undefined) {
    return exact((usage.tokensIn ?? 0) * custom.perTokenIn + out)
  }
  // One rate for cached tokens starts cache pricing; the missing one is that of any input.
  return exact(
    usage.uncachedIn * custom.perTokenIn +
      usage.cacheRead * (custom.perCacheRead ?? custom.perTokenIn) +
      usage.cacheWrite * (custom.perCacheWrite ?? custom.perTokenIn) + out
  )
}

const listCost = ([input, output, cacheRead = input, cacheWrite = input]: Row, usage: Usage): number | null =>
  isCounted(usage)
    ? exact(
      (usage.uncachedIn * input + usage.cacheRead * cacheRead + usage.cacheWrite * cacheWrite +
        (usage.billedOut ?? 0) * output) / 1_000_000
    )
    : null

/** Without the noise of binary fractions: 0.000015 and not 0.000015000000000000002. */
const exact = (amount: number) => Number(amount.toPrecision(12))
