/**
 * What the gateway has done since its start, in Prometheus' text format.
 *
 * Providers and models are named by clients, so what is counted apart is bounded: beyond the bound all is `other`.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Layer from "effect/Layer"

/**
 * One request to one provider that has been answered.
 *
 * @category models
 * @since 0.1.0
 */
export interface Observation {
  readonly provider: string
  readonly model: string
  readonly status: number
  readonly success: boolean
  readonly cached: boolean
  /** Null: not known. */
  readonly tokensIn: number | null
  readonly tokensOut: number | null
  /** US dollars. */
  readonly cost: number | null
  /** Milliseconds. */
  readonly duration: number
}

/**
 * @category services
 * @since 0.1.0
 */
export class Metrics extends Context.Service<Metrics, {
  readonly observe: (observation: Observation) => void
  /** A request begins; the result is called when it is over. */
  readonly begin: () => () => void
  /** Requests that are not over. */
  readonly inFlight: () => number
  readonly render: () => string
}>()("effect-ai-gateway/local/Metrics") {}

/**
 * Pairs of provider and model that are counted apart.
 *
 * @category constants
 * @since 0.1.0
 */
export const maxModels = 500

/** Of one counter; statuses are an upstream's to choose. */
const maxSeries = 5000

/**
 * @category constructors
 * @since 0.1.0
 */
export const make = (): Metrics["Service"] => {
  const requests = counter("ai_gateway_requests_total", "Requests to providers that were answered.")
  const errors = counter("ai_gateway_errors_total", "Answers that were no success, or were cut.")
  const hits = counter("ai_gateway_cache_hits_total", "Answers that came out of the cache.")
  const tokens = counter("ai_gateway_tokens_total", "Tokens, as providers counted them.")
  const cost = counter("ai_gateway_cost_dollars_total", "Estimated cost in US dollars.")
  const seconds = counter("ai_gateway_request_duration_seconds_total", "Time that the requests took together.")
  /** The labels of each pair that is counted apart, by provider and model. */
  const pairs = new Map<string, Map<string, string>>()
  let counted = 0
  let inFlight = 0

  const labelsOf = (provider: string, model: string): string => {
    const models = pairs.get(provider) ?? new Map<string, string>()
    const known = models.get(model)
    if (known !== undefined) return known
    if (counted >= maxModels || provider.length + model.length > maxPair) return `provider="other",model="other"`
    const labels = `provider="${escaped(provider)}",model="${escaped(model)}"`
    pairs.set(provider, models.set(model, labels))
    counted++
    return labels
  }

  return {
    observe: (observation) => {
      const of = labelsOf(observation.provider, observation.model)
      const withStatus = `${of},status="${observation.status}"`
      requests.add(withStatus, 1)
      seconds.add(of, observation.duration / 1000)
      if (!observation.success) errors.add(withStatus, 1)
      if (observation.cached) hits.add(of, 1)
      if (observation.tokensIn) tokens.add(`${of},direction="in"`, observation.tokensIn)
      if (observation.tokensOut) tokens.add(`${of},direction="out"`, observation.tokensOut)
      if (observation.cost) cost.add(of, observation.cost)
    },
    begin: () => {
      inFlight++
      let isOver = false
      return () => {
        if (!isOver) inFlight--
        isOver = true
      }
    },
    inFlight: () => inFlight,
    render: () =>
      [requests, errors, hits, tokens, cost, seconds].map(({ render }) => render()).join("") +
      head("ai_gateway_requests_in_flight", "HTTP requests that are being answered.", "gauge") +
      `ai_gateway_requests_in_flight ${inFlight}\n`
  }
}

/**
 * @category layers
 * @since 0.1.0
 */
export const layer: Layer.Layer<Metrics> = Layer.sync(Metrics, make)

/** Longer names are nobody's model. */
const maxPair = 256

const counter = (name: string, help: string) => {
  const series = new Map<string, number>()
  return {
    add: (labels: string, amount: number): void => {
      const at = series.has(labels) || series.size < maxSeries
        ? labels
        : labels.replace(/="(?:[^"\\]|\\.)*"/g, "=\"other\"")
      series.set(at, (series.get(at) ?? 0) + amount)
    },
    render: (): string =>
      head(name, help, "counter") +
      [...series].map(([labels, value]) => `${name}{${labels}} ${value}\n`).join("")
  }
}

const head = (name: string, help: string, type: string) => `# HELP ${name} ${help}\n# TYPE ${name} ${type}\n`

const escaped = (value: string) => value.replaceAll("\\", "\\\\").replaceAll("\"", "\\\"").replaceAll("\n", "\\n")
