/**
 * Spend limits: how many dollars a gateway's requests may cost in a window, as a whole or by metadata, model and provider.
 *
 * Every rule that applies is checked before the provider is called, and a request's cost is booked on each of them when its
 * answer is complete, so requests at the same time may overshoot. A refused step of a universal request goes on to the next
 * step, which another rule or none applies to, as a refused model of a dynamic route goes on to its fallback. A request
 * whose cost is unknown books nothing. Amounts are US dollars. Source: the wire reference, section 5.2.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import { AiGatewayError } from "./Envelope.ts"
import type { Gateway } from "./Gateway.ts"
import type { Metadata } from "./LogStore.ts"
import type { Counter, RateLimitStore } from "./RateLimitStore.ts"
import { isRecord } from "./simulated/JsonSchema.ts"

/**
 * One rule as it applies to one request.
 *
 * @category models
 * @since 0.1.0
 */
export interface Budget {
  /** Of the request's own bucket, where the rule has one for each value. */
  readonly counter: Counter
  /** US dollars. */
  readonly limit: number
  readonly rule: string
}

/**
 * What the rules look at.
 *
 * @category models
 * @since 0.1.0
 */
export interface Target {
  readonly provider: string
  readonly model: string
  readonly metadata: Metadata | undefined
}

/**
 * The budgets that a request draws on.
 *
 * @category getters
 * @since 0.1.0
 */
export const budgets = ({ id, settings }: Gateway, target: Target): ReadonlyArray<Budget> => {
  const limits = settings["spend_limits"]
  if (!isRecord(limits) || limits["enabled"] === false || !Array.isArray(limits["rules"])) return []
  return limits["rules"].filter(isRecord).flatMap((rule) => {
    const parts = rule["enabled"] === false ? undefined : partsOf(rule, target)
    if (parts === undefined) return []
    const technique = rule["technique"] === "fixed" ? "fixed" : "sliding"
    const seconds = Number(rule["window"])
    const name = JSON.stringify(["spend", rule["id"], technique, seconds, ...parts])
    return [{
      counter: { gateway: id, name, technique, window: seconds * 1000 },
      limit: Number(rule["limit"]),
      rule: String(rule["id"])
    }]
  })
}

/**
 * Fails with 2041 where one of the budgets is used up.
 *
 * @category combinators
 * @since 0.1.0
 */
export const check = (
  store: RateLimitStore["Service"],
  budgets: ReadonlyArray<Budget>,
  target: Target
): Effect.Effect<void, AiGatewayError> =>
  Effect.forEach(budgets, (budget) =>
    Effect.flatMap(
      store.total(budget.counter),
      // Binary fractions are noisy: 0.7 and 0.1 make a little less than 0.8.
      (spent) => spent >= budget.limit * (1 - 1e-9) ? Effect.fail(exceeded(budget, target)) : Effect.void
    ), { discard: true })

/**
 * Books what a request cost on its budgets.
 *
 * @category combinators
 * @since 0.1.0
 */
export const book = (
  store: RateLimitStore["Service"],
  budgets: ReadonlyArray<Budget>,
  cost: number | null
): Effect.Effect<void> =>
  cost === null || cost === 0
    ? Effect.void
    : Effect.forEach(budgets, ({ counter }) => store.add(counter, cost), { discard: true })

/**
 * The names under which rules know a model: `openai/gpt-5`, its own, and after the slug of its provider.
 *
 * @category getters
 * @since 0.1.0
 */
export const namesOf = (provider: string, model: string): ReadonlyArray<string> => [
  authored(provider, model),
  `${provider}/${model}`,
  model
]

/** The values that choose the rule's bucket; undefined when the rule is not about this request. */
const partsOf = (
  rule: { readonly [field: string]: unknown },
  { metadata, model, provider }: Target
): ReadonlyArray<string> | undefined => {
  const providers = valuesOf(rule["provider"])
  if (providers !== undefined && !providers.includes(provider)) return undefined
  const models = valuesOf(rule["model"])
  if (models !== undefined && !namesOf(provider, model).some((name) => models.includes(name))) return undefined
  const parts: Array<string> = []
  const dimensions = isRecord(rule["metadata"]) ? rule["metadata"] : {}
  for (const key of Object.keys(dimensions).sort()) {
    const value = metadata !== undefined && Object.hasOwn(metadata, key) ? metadata[key] : undefined
    if (value === undefined) return undefined
    const allowed = valuesOf(dimensions[key])
    if (allowed === undefined) parts.push(key, String(value))
    else if (!allowed.includes(String(value))) return undefined
  }
  return parts
}

/** Undefined for a partition, and where there is no such dimension. */
const valuesOf = (dimension: unknown): ReadonlyArray<string> | undefined =>
  isRecord(dimension) && dimension["mode"] === "filter" && Array.isArray(dimension["values"])
    ? dimension["values"].map(String)
    : undefined

const authored = (provider: string, model: string) =>
  model.startsWith("@") ? model : `${Object.hasOwn(authors, provider) ? authors[provider] : provider}/${model}`

/** Where the author of the models is called otherwise than the provider. */
const authors: { readonly [provider: string]: string } = {
  "azure-openai": "openai",
  "google-ai-studio": "google",
  "google-vertex-ai": "google",
  grok: "xai"
}

const exceeded = ({ counter, limit, rule }: Budget, { model, provider }: Target) =>
  new AiGatewayError({
    status: 429,
    code: 2041,
    description: `Spend limit exceeded: rule '${rule}' (cost limit ${limit} per ${counter.window / 1000}s, ` +
      `${counter.technique}) for ${provider} ${authored(provider, model)}`
  })
