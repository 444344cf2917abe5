/**
 * What spans and metrics say of a model call, in the names of OpenTelemetry's conventions for generative AI; never the
 * prompt or the answer.
 *
 * Source: OpenTelemetry semantic conventions, "gen-ai spans" and "gen-ai metrics".
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import type * as Response from "effect/unstable/ai/Response"
import type { ResponseInfo } from "../client/ResponseInfo.ts"
import type { Request } from "./Codec.ts"

/**
 * What is known when an answer is complete.
 *
 * @category models
 * @since 0.1.0
 */
export interface Finished {
  readonly provider: string
  readonly model: string
  readonly info: ResponseInfo
  readonly finish: Response.FinishPartEncoded
}

/**
 * Called when an answer is complete; `effect-ai-gateway/Metrics` sets it. A hook and not an import, so that Workers
 * without metrics do not carry them.
 *
 * @category services
 * @since 0.1.0
 */
export const OnFinish = Context.Reference<
  ((finished: Finished, context: Context.Context<never>) => void) | undefined
>("effect-ai-gateway/telemetry/OnFinish", { defaultValue: () => undefined })

/**
 * Says on the call's span what is asked for.
 *
 * @category annotations
 * @since 0.1.0
 */
export const annotateRequest = ({ model, options: { span }, parameters, provider }: Request): void => {
  span.attribute("gen_ai.operation.name", "chat")
  span.attribute("gen_ai.provider.name", provider)
  // The name before the conventions of 2025, which Effect's own annotations still have.
  span.attribute("gen_ai.system", provider)
  span.attribute("gen_ai.request.model", model)
  for (const name in parameters) {
    const attribute = attributes[name as keyof typeof attributes] // names that are none of ours have none
    const value = parameters[name as keyof typeof parameters]
    if (attribute !== undefined && value !== undefined) span.attribute(`gen_ai.request.${attribute}`, value)
  }
}

const attributes = {
  temperature: "temperature",
  topP: "top_p",
  topK: "top_k",
  maxTokens: "max_tokens",
  frequencyPenalty: "frequency_penalty",
  presencePenalty: "presence_penalty",
  stop: "stop_sequences",
  seed: "seed"
} as const

/**
 * Says on the call's span what came.
 *
 * @category annotations
 * @since 0.1.0
 */
export const annotateFinish = (
  { model, options: { span }, provider }: Request,
  info: ResponseInfo,
  finish: Response.FinishPartEncoded,
  context: Context.Context<never>
): void => {
  const input = finish.usage.inputTokens.total
  const output = finish.usage.outputTokens.total
  span.attribute("gen_ai.response.model", info.model ?? model)
  span.attribute("gen_ai.response.finish_reasons", [finish.reason])
  if (input !== undefined) span.attribute("gen_ai.usage.input_tokens", input)
  if (output !== undefined) span.attribute("gen_ai.usage.output_tokens", output)
  if (info.logId !== null) span.attribute("ai_gateway.log_id", info.logId)
  if (info.cacheStatus !== null) span.attribute("ai_gateway.cache_status", info.cacheStatus)
  if (info.step !== null) span.attribute("ai_gateway.step", info.step)
  Context.get(context, OnFinish)?.({ provider, model, info, finish }, context)
}
