/**
 * The tools that Google runs itself.
 *
 * Searches and read pages show as source parts of the answer, and as `metadata.google` of its finish part; code that was
 * run shows as a tool call with its result.
 *
 * **Example** (An answer that may search the web)
 *
 * ```ts
 * import * as Effect from "effect/Effect"
 * import * as LanguageModel from "effect/unstable/ai/LanguageModel"
 * import * as Toolkit from "effect/unstable/ai/Toolkit"
 * import type { AiGatewayClient } from "effect-ai-gateway"
 * import * as GoogleTools from "effect-ai-gateway/GoogleTools"
 *
 * const toolkit = Toolkit.make(GoogleTools.googleSearch({}))
 *
 * export const news = <R>(client: AiGatewayClient<R>) =>
 *   LanguageModel.generateText({ prompt: "What happened in Oslo today?", toolkit }).pipe(
 *     Effect.provide(client.model({ provider: "google-ai-studio", model: "gemini-2.5-flash" }))
 *   )
 * ```
 *
 * Source: `Tool`, `ExecutableCode` and `CodeExecutionResult` of `@google/genai@2.32.0`; wire reference, section 10.4.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"
import * as Tool from "effect/unstable/ai/Tool"

/**
 * Google Search, of which the model decides when to use it.
 *
 * @category constructors
 * @since 0.1.0
 */
export const googleSearch = Tool.providerDefined({
  id: "google.google_search",
  customName: "GoogleSearch",
  providerName: "google_search",
  args: Schema.Struct({
    /** Only results of this time, as ISO date-times; not on Vertex AI. */
    timeRangeFilter: Schema.optionalKey(Schema.Struct({ startTime: Schema.String, endTime: Schema.String })),
    /** Domains that are left out; Vertex AI only. */
    excludeDomains: Schema.optionalKey(Schema.Array(Schema.String))
  })
})

/**
 * Reads the pages whose URLs stand in the prompt.
 *
 * @category constructors
 * @since 0.1.0
 */
export const urlContext = Tool.providerDefined({
  id: "google.url_context",
  customName: "UrlContext",
  providerName: "url_context",
  args: Schema.Struct({})
})

/**
 * Runs Python that the model writes; `outcome` is `OUTCOME_OK` when it went well, and `output` what it printed.
 *
 * @category constructors
 * @since 0.1.0
 */
export const codeExecution = Tool.providerDefined({
  id: "google.code_execution",
  customName: "CodeExecution",
  providerName: "code_execution",
  args: Schema.Struct({}),
  parameters: Schema.Struct({ language: Schema.String, code: Schema.String }),
  success: Schema.Struct({ outcome: Schema.String, output: Schema.String })
})
