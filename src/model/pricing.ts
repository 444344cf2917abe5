/**
 * What a call costs by a table of prices: which row is a model's, and what its tokens come to.
 *
 * Amounts are whole nano-dollars (a billionth of a US dollar): sums of whole numbers do not drift, however many there are, up
 * to nine million dollars.
 *
 * @since 0.1.0
 */

/**
 * US dollars per million tokens of each kind, and per request and image.
 *
 * Each token is of one kind: what the provider's cache gave is no `input`. A kind without a price of its own has that of the
 * kind it would be otherwise: cached input that of `input`, `reasoning` that of `output`.
 *
 * @category models
 * @since 0.1.0
 */
export interface Price {
  readonly input: number
  readonly output: number
  /** Input read from the provider's prompt cache. */
  readonly cacheRead?: number | undefined
  /** Input written to the provider's prompt cache. */
  readonly cacheWrite?: number | undefined
  readonly reasoning?: number | undefined
  /** Dollars for each request, beside its tokens. */
  readonly request?: number | undefined
  /** Dollars for each image in the answer, beside its tokens. */
  readonly image?: number | undefined
}

/**
 * Prices by model: `openai/gpt-5` for a model of one provider, `gpt-5` for whoever has it.
 *
 * A version with a date has the price of the model without, unless it has its own: `gpt-4o-2024-11-20` that of `gpt-4o`.
 *
 * @category models
 * @since 0.1.0
 */
export interface Pricing {
  readonly [model: string]: Price
}

/**
 * A model as it is asked for or as it answers; the provider may not be known.
 *
 * @category models
 * @since 0.1.0
 */
export interface Named {
  readonly provider?: string | undefined
  readonly model: string
}

/**
 * How many tokens of each kind; none is counted twice.
 *
 * @category models
 * @since 0.1.0
 */
export interface Tokens {
  /** Input that no cache had. */
  readonly input: number
  readonly cacheRead: number
  readonly cacheWrite: number
  /** Output without the reasoning. */
  readonly output: number
  readonly reasoning: number
}

/**
 * The name without a date, a version's number or `latest` at its end.
 *
 * @category getters
 * @since 0.1.0
 */
export const undated = (model: string): string => model.replace(/[-@](\d{8}|\d{4}-\d{2}-\d{2}|\d{3}|latest)$/, "")

/**
 * From one name, `provider/model` or only the model's.
 *
 * @category constructors
 * @since 0.1.0
 */
export const named = (name: string): Named => {
  const slash = name.startsWith("@") ? -1 : name.indexOf("/")
  return slash < 1 ? { model: name } : { provider: name.slice(0, slash), model: name.slice(slash + 1) }
}

/**
 * The price of a model; undefined when the table has none, or when only the provider could say which.
 *
 * @category getters
 * @since 0.1.0
 */
export const priceOf = (pricing: Pricing, named: Named): Price | undefined => {
  for (const model of new Set([named.model, undated(named.model)])) {
    const names = named.provider === undefined ? [model] : [`${named.provider}/${model}`, model]
    // Of `openai/gpt-5`, as the gateway's unified endpoint has it.
    const bare = model.startsWith("@") ? undefined : model.slice(model.indexOf("/") + 1)
    for (const name of bare === undefined ? names : [...names, bare]) {
      if (Object.hasOwn(pricing, name)) return pricing[name]
    }
    const found = named.provider === undefined ? ofAnyProvider(pricing, model) : undefined
    if (found !== undefined) return found
  }
  return undefined
}

/**
 * What tokens, images and one request come to, in nano-dollars.
 *
 * @category getters
 * @since 0.1.0
 */
export const costOf = (price: Price, tokens: Tokens, images = 0): number => {
  const {
    cacheRead = price.input,
    cacheWrite = price.input,
    image = 0,
    input,
    output,
    reasoning = output,
    request = 0
  } = price
  // Dollars per million tokens are micro-dollars per token.
  const micros = tokens.input * input + tokens.cacheRead * cacheRead + tokens.cacheWrite * cacheWrite +
    tokens.output * output + tokens.reasoning * reasoning
  return Math.round(micros * 1000) + nanos(request) + nanos(image * images)
}

/**
 * From dollars to whole nano-dollars.
 *
 * @category conversions
 * @since 0.1.0
 */
export const nanos = (dollars: number): number => Math.round(dollars * 1e9)

/**
 * From nano-dollars to dollars.
 *
 * @category conversions
 * @since 0.1.0
 */
export const dollars = (nanos: number): number => nanos / 1e9

/**
 * What is wrong with the first price that is no amount: its name, what it is, and what is accepted; undefined when all are
 * right.
 *
 * @category validation
 * @since 0.1.0
 */
export const problemOf = (
  pricing: Pricing
): { readonly parameter: string; readonly accepted: string; readonly value: unknown } | undefined => {
  for (const [model, price] of Object.entries(pricing)) {
    for (const kind of kinds) {
      const value = price[kind]
      if (value === undefined && kind !== "input" && kind !== "output") continue
      if (typeof value === "number" && value >= 0 && value <= dearest) continue
      return {
        parameter: `pricing[${JSON.stringify(model)}].${kind}`,
        accepted: "an amount of dollars from 0 to 1 billion",
        value
      }
    }
  }
  return undefined
}

const kinds = ["input", "output", "cacheRead", "cacheWrite", "reasoning", "request", "image"] as const

/** More is a mistake. */
const dearest = 1e9

/** A model's row when its provider is not known: only if all that have it agree. */
const ofAnyProvider = (pricing: Pricing, model: string): Price | undefined => {
  const rows = Object.keys(pricing).filter((name) => name.slice(name.indexOf("/") + 1) === model)
    .map((name) => pricing[name])
  const [first] = rows
  return first !== undefined && rows.every((row) => kinds.every((kind) => row?.[kind] === first[kind]))
    ? first
    : undefined
}
