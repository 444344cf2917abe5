/**
 * Token usage of every model call as an Effect metric, in the names of OpenTelemetry's conventions.
 *
 * **Example** (Metrics for a whole program)
 *
 * ```ts
 * import * as Effect from "effect/Effect"
 * import * as Metric from "effect/Metric"
 * import * as LanguageModel from "effect/unstable/ai/LanguageModel"
 * import { Metrics } from "effect-ai-gateway"
 *
 * export const program = Effect.gen(function*() {
 *   yield* LanguageModel.generateText({ prompt: "Say hello." })
 *   return yield* Metric.value(Metrics.tokenUsage)
 * }).pipe(Effect.provide(Metrics.layer))
 * ```
 *
 * Source: OpenTelemetry semantic conventions, "gen-ai metrics".
 *
 * @since 0.1.0
 */
import type * as Context from "effect/Context"
import * as Layer from "effect/Layer"
import * as Metric from "effect/Metric"
import { type Finished, OnFinish } from "./model/telemetry.ts"

/**
 * Tokens of model calls, `gen_ai.client.token.usage`, by `gen_ai.token.type` (`input`, `output`),
 * `gen_ai.provider.name` and `gen_ai.request.model`.
 *
 * @category metrics
 * @since 0.1.0
 */
export const tokenUsage: Metric.Histogram<number> = Metric.histogram("gen_ai.client.token.usage", {
  description: "Number of input and output tokens used",
  // The boundaries that the conventions name.
  boundaries: Array.from({ length: 14 }, (_, i) => 4 ** i)
})

/**
 * Counts the tokens of every model call under it.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer: Layer.Layer<never> = Layer.succeed(OnFinish, (finished, context) => {
  count(finished, "input", finished.finish.usage.inputTokens.total, context)
  count(finished, "output", finished.finish.usage.outputTokens.total, context)
})

const count = (
  { model, provider }: Finished,
  type: "input" | "output",
  tokens: number | undefined,
  context: Context.Context<never>
): void => {
  if (tokens === undefined) return
  Metric.withAttributes(tokenUsage, {
    "gen_ai.operation.name": "chat",
    "gen_ai.provider.name": provider,
    "gen_ai.request.model": model,
    "gen_ai.token.type": type
  }).updateUnsafe(tokens, context)
}
