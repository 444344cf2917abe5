/**
 * What only one provider of OpenAI's format has, under the provider's own names: types without code.
 *
 * Sources: each provider's reference of its chat completions. What is not named here may still be sent, untyped.
 *
 * @since 0.1.0
 */

/**
 * The options of each dialect that has some of its own.
 *
 * @category models
 * @since 0.1.0
 */
export interface OptionsByDialect {
  readonly groq: Groq
  readonly mistral: Mistral
  readonly deepseek: DeepSeek
  readonly grok: Grok
  readonly openrouter: OpenRouter
  readonly "perplexity-ai": Perplexity
  readonly cerebras: Cerebras
  readonly fireworks: Fireworks
}

/**
 * @category models
 * @since 0.1.0
 */
export interface Groq {
  /** Where reasoning goes: into a field of its own, into the text, or nowhere. Both of the first come as reasoning parts. */
  readonly reasoning_format?: "parsed" | "raw" | "hidden" | undefined
  readonly include_reasoning?: boolean | undefined
  readonly service_tier?: "auto" | "on_demand" | "flex" | "performance" | undefined
  readonly parallel_tool_calls?: boolean | undefined
  /** Which sites the compound systems may search. */
  readonly search_settings?: {
    readonly include_domains?: ReadonlyArray<string> | undefined
    readonly exclude_domains?: ReadonlyArray<string> | undefined
    readonly country?: string | undefined
  } | undefined
}

/**
 * @category models
 * @since 0.1.0
 */
export interface Mistral {
  /** Puts Mistral's safety prompt before the conversation. */
  readonly safe_prompt?: boolean | undefined
  /** Puts the reasoning prompt before the conversation of a reasoning model. */
  readonly prompt_mode?: "reasoning" | undefined
  readonly parallel_tool_calls?: boolean | undefined
  readonly prediction?: { readonly type: "content"; readonly content: string } | undefined
}

/**
 * @category models
 * @since 0.1.0
 */
export interface DeepSeek {
  /** The parameter `reasoningEffort: "none"` disables it too. */
  readonly thinking?: { readonly type: "enabled" | "disabled" } | undefined
}

/**
 * @category models
 * @since 0.1.0
 */
export interface Grok {
  readonly parallel_tool_calls?: boolean | undefined
  /** Live search; its citations come as source parts. */
  readonly search_parameters?: {
    readonly mode?: "off" | "auto" | "on" | undefined
    readonly max_search_results?: number | undefined
    /** ISO date. */
    readonly from_date?: string | undefined
    /** ISO date. */
    readonly to_date?: string | undefined
    readonly return_citations?: boolean | undefined
    readonly sources?:
      | ReadonlyArray<{ readonly type: "web" | "x" | "news" | "rss"; readonly [name: string]: unknown }>
      | undefined
  } | undefined
}

/**
 * @category models
 * @since 0.1.0
 */
export interface OpenRouter {
  /** Models to try after the first, in this order. */
  readonly models?: ReadonlyArray<string> | undefined
  /** Which providers may answer. */
  readonly provider?: {
    readonly order?: ReadonlyArray<string> | undefined
    readonly only?: ReadonlyArray<string> | undefined
    readonly ignore?: ReadonlyArray<string> | undefined
    readonly allow_fallbacks?: boolean | undefined
    /** Leaves out providers that would drop a parameter of the request. */
    readonly require_parameters?: boolean | undefined
    readonly data_collection?: "allow" | "deny" | undefined
    readonly zdr?: boolean | undefined
    readonly quantizations?: ReadonlyArray<string> | undefined
    readonly sort?: "price" | "throughput" | "latency" | undefined
    /** US dollars per million tokens. */
    readonly max_price?: { readonly prompt?: number; readonly completion?: number } | undefined
  } | undefined
  /** Takes the place of the parameter `reasoningEffort`, where a limit in tokens is meant. */
  readonly reasoning?:
    | {
      readonly effort?: "none" | "minimal" | "low" | "medium" | "high" | "xhigh" | undefined
      readonly max_tokens?: number | undefined
      readonly exclude?: boolean | undefined
      readonly enabled?: boolean | undefined
    }
    | undefined
  /** Web search, PDF parsers and the like. */
  readonly plugins?: ReadonlyArray<{ readonly id: string; readonly [name: string]: unknown }> | undefined
  readonly transforms?: ReadonlyArray<"middle-out"> | undefined
  readonly modalities?: ReadonlyArray<"text" | "image"> | undefined
  readonly parallel_tool_calls?: boolean | undefined
  readonly min_p?: number | undefined
  readonly top_a?: number | undefined
  readonly repetition_penalty?: number | undefined
}

/**
 * @category models
 * @since 0.1.0
 */
export interface Perplexity {
  readonly search_mode?: "web" | "academic" | "sec" | undefined
  /** Sites to search only; with a dash before them, sites to leave out. */
  readonly search_domain_filter?: ReadonlyArray<string> | undefined
  readonly search_recency_filter?: "hour" | "day" | "week" | "month" | "year" | undefined
  /** `%m/%d/%Y`. */
  readonly search_after_date_filter?: string | undefined
  /** `%m/%d/%Y`. */
  readonly search_before_date_filter?: string | undefined
  readonly disable_search?: boolean | undefined
  readonly enable_search_classifier?: boolean | undefined
  readonly return_images?: boolean | undefined
  readonly return_related_questions?: boolean | undefined
  readonly web_search_options?: {
    readonly search_context_size?: "low" | "medium" | "high" | undefined
    readonly user_location?: { readonly country?: string; readonly latitude?: number; readonly longitude?: number }
  } | undefined
}

/**
 * @category models
 * @since 0.1.0
 */
export interface Cerebras {
  readonly disable_reasoning?: boolean | undefined
  readonly reasoning_format?: "parsed" | "raw" | "hidden" | "none" | undefined
  readonly service_tier?: "auto" | "default" | "flex" | "priority" | undefined
}

/**
 * @category models
 * @since 0.1.0
 */
export interface Fireworks {
  readonly min_p?: number | undefined
  readonly repetition_penalty?: number | undefined
  /** What happens when prompt and answer do not fit: less of an answer, or an error. */
  readonly context_length_exceeded_behavior?: "truncate" | "error" | undefined
  /** Tokens of the prompt to keep. */
  readonly prompt_truncate_len?: number | undefined
  readonly service_tier?: "auto" | "default" | "priority" | undefined
}
