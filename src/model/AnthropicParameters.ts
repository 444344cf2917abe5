/**
 * Sampling parameters and options of Anthropic's Messages API, and what its model families differ in.
 *
 * | parameter | on the wire |
 * |---|---|
 * | `maxTokens` | `max_tokens`, which the API requires; without it {@link Family}'s `maxTokens` |
 * | `temperature`, `topP`, `topK` | `temperature`, `top_p`, `top_k`; newer models refuse them, and so does thinking |
 * | `stop` | `stop_sequences` |
 * | `reasoningEffort` | `thinking`, and `output_config.effort` where the model knows it; see {@link Family} |
 * | `seed`, `frequencyPenalty`, `presencePenalty` | the API has none: an `InvalidRequestError` |
 *
 * Sources: wire reference, sections 9.2 and 10.3; the request types of Anthropic's TypeScript SDK and their comments. What
 * families can do was put together from second-hand guides and not measured: where it is wrong for a model, `maxTokens`
 * and the options `thinking` and `structuredOutput` overrule it.
 *
 * @since 0.1.0
 */
import * as AiError from "effect/unstable/ai/AiError"
import { isRecord, type JsonRecord, record } from "./Json.ts"
import type { Parameters, ReasoningEffort } from "./Parameters.ts"

/**
 * What only Anthropic has. Other names are sent as they are given.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options {
  /** Thinking in so many words; it wins over `reasoningEffort`. */
  readonly thinking?: Thinking | undefined
  /** How much the model spends on the whole answer: `output_config.effort`. */
  readonly effort?: "low" | "medium" | "high" | "xhigh" | "max" | undefined
  /** An id of the end user that says nothing about who that is. */
  readonly metadata?: { readonly userId?: string | null | undefined } | undefined
  readonly serviceTier?: "auto" | "standard_only" | undefined
  /** Names for the header `anthropic-beta`, such as `context-management-2025-06-27`. */
  readonly betas?: ReadonlyArray<string> | undefined
  /** Id of the code execution container to use again, or its description with skills. */
  readonly container?: string | JsonRecord | undefined
  /** Edits that keep a long conversation short, in the API's own form. */
  readonly contextManagement?: JsonRecord | undefined
  /** Servers that the API connects to, in the API's own form. */
  readonly mcpServers?: ReadonlyArray<JsonRecord> | undefined
  /** Where the model may run, such as `us`. */
  readonly inferenceGeo?: string | undefined
  /** Caches the request up to its last block, without a mark on any part. */
  readonly cacheControl?: { readonly type: "ephemeral"; readonly ttl?: "5m" | "1h" | undefined } | undefined
  /** At most one tool call per answer; only where tools are offered. */
  readonly disableParallelToolUse?: boolean | undefined
  /** How an object is asked for: as the model's output format, or as the input of a tool; by default what it can. */
  readonly structuredOutput?: "native" | "tool" | undefined
}

/**
 * How the model thinks before it answers.
 *
 * @category models
 * @since 0.1.0
 */
export type Thinking =
  | { readonly type: "disabled" }
  | { readonly type: "adaptive"; readonly display?: "summarized" | "omitted" | undefined }
  | {
    readonly type: "enabled"
    /** At least 1024, and less than `maxTokens`. */
    readonly budgetTokens: number
    readonly display?: "summarized" | "omitted" | undefined
  }

/**
 * What the models of one generation have in common.
 *
 * @category models
 * @since 0.1.0
 */
export interface Family {
  /** `max_tokens` when the caller gives none: all that the models can write, up to 64,000. */
  readonly maxTokens: number
  /**
   * `budget`: a share of `max_tokens` is set aside: 1024 tokens for the effort minimal, a quarter (4096 at most) for low,
   * half (16,384 at most) for medium, four fifths (32,768 at most) for high.
   * `adaptive`: the model decides, under `output_config.effort`, which has no minimal: it is sent as low.
   */
  readonly thinking: "none" | "budget" | "adaptive"
  /** Without a native output format an object comes as the input of a tool that the model is made to call. */
  readonly structuredOutput: "native" | "tool"
}

/**
 * The family of a model by its id, in any spelling of the clouds that sell it.
 *
 * @category accessors
 * @since 0.1.0
 */
export const family = (model: string): Family => {
  const id = model.toLowerCase().replaceAll(".", "-")
  return families.find(([pattern]) => pattern.test(id))?.[1] ?? (id.includes("claude") ? newest : foreign)
}

// A Claude that is not listed is newer than this table, so it is taken for one of the newest. Dates may follow a name.
const newest: Family = { maxTokens: 64_000, thinking: "adaptive", structuredOutput: "native" }
const families: ReadonlyArray<readonly [pattern: RegExp, family: Family]> = [
  [/claude-(3-7|sonnet-3-7)/, { maxTokens: 64_000, thinking: "budget", structuredOutput: "tool" }],
  [/claude-(3-5|haiku-3-5|sonnet-3-5)/, { maxTokens: 8192, thinking: "none", structuredOutput: "tool" }],
  [/claude-(2|3|instant)(?!\d)/, { maxTokens: 4096, thinking: "none", structuredOutput: "tool" }],
  [/claude-(opus|sonnet|haiku)-4-5(?!\d)/, { maxTokens: 64_000, thinking: "budget", structuredOutput: "native" }],
  [
    /claude-(opus-4|4-opus)(-[01])?(?!\d)(?!-\d{1,2}(?!\d))/,
    { maxTokens: 32_000, thinking: "budget", structuredOutput: "tool" }
  ],
  [
    /claude-(sonnet-4|4-sonnet)(-0)?(?!\d)(?!-\d{1,2}(?!\d))/,
    { maxTokens: 64_000, thinking: "budget", structuredOutput: "tool" }
  ]
]

/** Other makers' models behind the same wire: the API's first form of everything. */
const foreign: Family = { maxTokens: 4096, thinking: "budget", structuredOutput: "tool" }

/**
 * The fields of the request that parameters and options decide, in the API's names; `provided` wins over `parameters`.
 *
 * @category constructors
 * @since 0.1.0
 */
export const fields = (
  model: string,
  parameters: Parameters,
  provided: JsonRecord,
  problems: Array<AiError.AiErrorReason>
): JsonRecord => {
  for (const name of ["seed", "frequencyPenalty", "presencePenalty"] as const) {
    if (parameters[name] !== undefined) {
      problems.push(new AiError.InvalidRequestError({ parameter: name, constraint: "is not known to anthropic" }))
    }
  }
  const { maxTokens, reasoningEffort, stop, temperature, topK, topP } = parameters
  const own: { [name: string]: unknown } = {
    max_tokens: maxTokens ?? family(model).maxTokens,
    ...(temperature === undefined ? {} : { temperature }),
    ...(topP === undefined ? {} : { top_p: topP }),
    ...(topK === undefined ? {} : { top_k: topK }),
    ...(stop === undefined || stop.length === 0 ? {} : { stop_sequences: stop })
  }
  const limit = Number(provided["max_tokens"] ?? own["max_tokens"])
  const effort = reasoningEffort === undefined ? {} : effortFields(model, reasoningEffort, limit, problems)
  const options = wireOptions(provided)
  const outputConfig = { ...record(effort["output_config"]), ...record(options["output_config"]) }
  return {
    ...own,
    ...effort,
    ...options,
    ...(Object.keys(outputConfig).length === 0 ? {} : { output_config: outputConfig })
  }
}

/**
 * What the API refuses together with thinking, said before there is a request.
 *
 * @category guards
 * @since 0.1.0
 */
export const checkThinking = (body: JsonRecord, betas: string, problems: Array<AiError.AiErrorReason>): void => {
  const thinking = record(body["thinking"])
  if (thinking["type"] !== "enabled" && thinking["type"] !== "adaptive") return
  const refuse = (parameter: string, constraint: string, description?: string) =>
    problems.push(
      new AiError.InvalidRequestError({ parameter, constraint, ...(description === undefined ? {} : { description }) })
    )
  if (body["temperature"] !== undefined && body["temperature"] !== 1) {
    refuse("temperature", "must be unset where the model thinks")
  }
  if (body["top_k"] !== undefined) refuse("topK", "must be unset where the model thinks")
  if (typeof body["top_p"] === "number" && body["top_p"] < 0.95) {
    refuse("topP", "must be unset or at least 0.95 where the model thinks")
  }
  if (thinking["type"] === "adaptive") return
  const budget = thinking["budget_tokens"]
  const limit = body["max_tokens"]
  if (typeof budget !== "number" || budget < 1024) {
    return void refuse("thinking.budgetTokens", "must be at least 1024")
  }
  // Between the tool calls of one turn a model with interleaved thinking may think more than it writes.
  if (typeof limit === "number" && limit <= budget && !betas.includes("interleaved-thinking")) {
    refuse("maxTokens", "must exceed the thinking budget", `It is ${limit}, and the budget is ${budget}`)
  }
  const choice = record(body["tool_choice"])["type"]
  if (choice === "any" || choice === "tool") {
    refuse(
      "toolChoice",
      "must be auto or none where the model thinks with a budget",
      "A call that it must make, as for an object of older models, comes without thinking"
    )
  }
}

/**
 * The names for `anthropic-beta`, joined; "" for none.
 *
 * @category accessors
 * @since 0.1.0
 */
export const betas = (provided: JsonRecord): string =>
  Array.isArray(provided["betas"]) ? provided["betas"].filter((beta) => typeof beta === "string").join(",") : ""

const wireNames: { readonly [name: string]: string } = {
  serviceTier: "service_tier",
  contextManagement: "context_management",
  mcpServers: "mcp_servers",
  inferenceGeo: "inference_geo",
  cacheControl: "cache_control"
} satisfies { readonly [Name in keyof Options]?: string }

/** They go elsewhere: into a header, into the tool choice, or into the shape of the request. */
const elsewhere: ReadonlySet<string> = new Set(["betas", "effort", "disableParallelToolUse", "structuredOutput"])

const wireOptions = (provided: JsonRecord): JsonRecord => {
  const wire: { [name: string]: unknown } = {}
  for (const [name, value] of Object.entries(provided)) {
    if (value === undefined || elsewhere.has(name)) continue
    if (name === "thinking" && isRecord(value)) {
      wire["thinking"] = renamed(value, "budgetTokens", "budget_tokens")
    } else if (name === "metadata" && isRecord(value)) {
      wire["metadata"] = renamed(value, "userId", "user_id")
    } else wire[Object.hasOwn(wireNames, name) ? wireNames[name] ?? name : name] = value
  }
  if (provided["effort"] !== undefined) {
    wire["output_config"] = { ...record(wire["output_config"]), effort: provided["effort"] }
  }
  return wire
}

const renamed = (options: JsonRecord, from: string, to: string): JsonRecord => {
  const { [from]: value, ...rest } = options
  return value === undefined ? rest : { ...rest, [to]: value }
}

const effortFields = (
  model: string,
  effort: ReasoningEffort,
  limit: number,
  problems: Array<AiError.AiErrorReason>
): JsonRecord => {
  const { thinking } = family(model)
  if (effort === "none") return thinking === "none" ? {} : { thinking: { type: "disabled" } }
  switch (thinking) {
    case "none":
      problems.push(
        new AiError.InvalidRequestError({ parameter: "reasoningEffort", constraint: `is not known to ${model}` })
      )
      return {}
    case "adaptive":
      return { thinking: { type: "adaptive" }, output_config: { effort: effort === "minimal" ? "low" : effort } }
    case "budget": {
      const [share, most] = budgets[effort]
      return {
        thinking: { type: "enabled", budget_tokens: Math.max(1024, Math.min(most, Math.floor(limit * share))) }
      }
    }
  }
}

const budgets: { readonly [Effort in Exclude<ReasoningEffort, "none">]: readonly [share: number, most: number] } = {
  minimal: [0, 1024],
  low: [0.25, 4096],
  medium: [0.5, 16_384],
  high: [0.8, 32_768]
}
