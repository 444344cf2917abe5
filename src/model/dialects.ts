/**
 * The dialects of OpenAI's chat completions: one record of data per provider.
 *
 * Every record says what its provider knows; what is not in it is refused by name before a request is made. Paths below
 * the slug, stream differences: wire reference, sections 1.5, 9.2, 10.1 and 10.8. Where else a fact comes from stands
 * beside it; "ref" is the provider's own reference of its chat completions.
 *
 * @since 0.1.0
 */
import type * as ChatMessages from "./ChatMessages.ts"
import type { JsonRecord } from "./Json.ts"
import type { Parameters, ReasoningEffort } from "./Parameters.ts"
import type * as ThinkTags from "./ThinkTags.ts"

/**
 * What a provider makes of OpenAI's format.
 *
 * @category models
 * @since 0.1.0
 */
export interface Dialect extends ChatMessages.Rules {
  /** Path below the gateway's slug of the provider. */
  readonly endpoint: string | ((model: string) => string)
  /** The slug that the step names, where it is not the request's. */
  readonly slug?: string | undefined
  /** The model as the body names it; `undefined` leaves it out. */
  readonly bodyModel?: ((model: string) => string | undefined) | undefined
  /** The parameters it knows, under its own names. */
  readonly parameters: { readonly [Name in Exclude<keyof Parameters, "reasoningEffort">]?: string }
  /** Name of the token limit for models that have another one. */
  readonly tokenLimit?: ((model: string) => string | undefined) | undefined
  /** The part of the body that sets how much a model thinks. */
  readonly reasoningEffort?: ((effort: ReasoningEffort) => JsonRecord) | undefined
  /**
   * Structured output: `strict` with OpenAI's subset of JSON schema; `schema` with any schema; `object` enforces no more
   * than JSON, so the schema goes into the prompt.
   */
  readonly json: "strict" | "schema" | "object"
  /** Whether a stream's usage has to be asked for with `stream_options`; the others send it unasked, some refuse it. */
  readonly includeUsage: boolean
  /** Function tools: none, without the `strict` flag, or with it. */
  readonly tools: "none" | "plain" | "strict"
  /** What `tool_choice: "required"` is called. */
  readonly required?: string | undefined
  /** Some models behind it send a tool call's arguments all over again with each fragment. */
  readonly cumulative?: boolean | undefined
  /** How the text of its models may start. */
  readonly thinkTags: ThinkTags.Mode
}

const sampling = { temperature: "temperature", topP: "top_p" } as const
const penalties = { frequencyPenalty: "frequency_penalty", presencePenalty: "presence_penalty" } as const
const openAiParameters = {
  ...sampling,
  ...penalties,
  maxTokens: "max_completion_tokens",
  stop: "stop",
  seed: "seed"
} as const

const plainEffort = (effort: ReasoningEffort): JsonRecord => ({ reasoning_effort: effort })

/** OpenAI's reasoning models refuse `max_tokens`; older deployments and hosts know nothing else. */
const limitByFamily = (model: string): string | undefined =>
  /(^|[/_-])(o\d|gpt-?[5-9])/i.test(model) ? "max_completion_tokens" : undefined

const openAiFiles: ChatMessages.FileForms = { image: "image_url", audio: "input_audio", pdf: "file" }
const imagesOnly: ChatMessages.FileForms = { image: "image_url" }

/** What most hosts have in common. */
const common = {
  endpoint: "chat/completions",
  json: "schema",
  includeUsage: true,
  tools: "plain",
  thinkTags: "none",
  files: imagesOnly
} as const

/** `max_tokens` is deprecated in favour of `max_completion_tokens`, which all its chat models know (ref, 2024-09). */
const openai: Dialect = {
  ...common,
  parameters: openAiParameters,
  reasoningEffort: plainEffort,
  json: "strict",
  tools: "strict",
  files: openAiFiles
}

/**
 * `{resource}/{deployment}` as the model, with `?api-version=...` behind it for another version than the newest that is
 * generally available. Takes no files but images and audio (Azure OpenAI's reference, 2024-10-21).
 */
const azureOpenAi: Dialect = {
  ...openai,
  endpoint(model) {
    const [path = "", version = "api-version=2024-10-21"] = model.split("?")
    return `${path}/chat/completions?${version}`
  },
  bodyModel: () => undefined,
  parameters: { ...openAiParameters, maxTokens: "max_tokens" },
  // A deployment has any name; one that is named after its model shows which limit it takes.
  tokenLimit: (model) => limitByFamily(model.slice(model.indexOf("/") + 1)),
  files: { image: "image_url", audio: "input_audio" }
}

/** Penalties are "not yet supported by any of our models"; reasoning may be raw in the text (ref; reasoning guide). */
const groq: Dialect = {
  ...common,
  parameters: { ...sampling, maxTokens: "max_completion_tokens", stop: "stop", seed: "seed" },
  reasoningEffort: plainEffort,
  thinkTags: "tags"
}

/**
 * Seeds are `random_seed`; a stream has usage always, and `stream_options` is refused as unknown; tool ids are nine
 * letters and digits; thoughts are content parts and go back as such (ref; reasoning guide).
 */
const mistral: Dialect = {
  ...common,
  endpoint: "v1/chat/completions",
  parameters: { ...sampling, ...penalties, maxTokens: "max_tokens", stop: "stop", seed: "random_seed" },
  reasoningEffort: plainEffort,
  json: "strict",
  includeUsage: false,
  required: "any",
  toolNames: true,
  toolId: (id) => /^[a-zA-Z0-9]{9}$/.test(id) ? id : shortId(id),
  files: { image: "image_url", audio: "mistral", pdf: "document_url" },
  reasoning: "thinking"
}

/**
 * Has JSON mode without schemas. Thoughts must come back between tool calls, else the request fails; elsewhere they are
 * ignored. Effort "none" is a switch of its own (api-docs.deepseek.com, thinking mode).
 */
const deepseek: Dialect = {
  ...common,
  parameters: { ...sampling, ...penalties, maxTokens: "max_tokens", stop: "stop" },
  reasoningEffort: (effort) => effort === "none" ? { thinking: { type: "disabled" } } : { reasoning_effort: effort },
  json: "object",
  files: {},
  reasoning: "reasoning_content"
}

/** Sends usage and `citations` unasked; `max_tokens` is deprecated (docs.x.ai, ref). */
const grok: Dialect = {
  ...openai,
  endpoint: "v1/chat/completions",
  tools: "plain",
  files: imagesOnly
}

/** Takes everything and drops what a model does not know; signatures of thoughts are in `reasoning_details` (ref). */
const openrouter: Dialect = {
  ...openai,
  parameters: { ...openAiParameters, maxTokens: "max_tokens", topK: "top_k" },
  reasoningEffort: (effort) => ({ reasoning: { effort } }),
  files: { image: "image_url", audio: "input_audio", pdf: "file", pdfUrl: true },
  reasoning: "reasoning_details"
}

/** No tools, no stop, no seed (Bifrost's notes on it, ref); reasoning models write `<think>` into the text. */
const perplexityAi: Dialect = {
  ...common,
  parameters: { ...sampling, ...penalties, maxTokens: "max_tokens", topK: "top_k" },
  reasoningEffort: plainEffort,
  includeUsage: false,
  tools: "none",
  thinkTags: "tags",
  files: { image: "image_url", pdf: "file_url", pdfUrl: true }
}

/** Penalties are answered with 400 (OpenAI compatibility page). */
const cerebras: Dialect = {
  ...common,
  parameters: { ...sampling, maxTokens: "max_completion_tokens", stop: "stop", seed: "seed" },
  reasoningEffort: plainEffort,
  json: "strict",
  tools: "strict"
}

/** Older reasoning models leave `<think>` in the text (reasoning guide). */
const fireworks: Dialect = {
  ...common,
  parameters: { ...openAiParameters, maxTokens: "max_tokens", topK: "top_k" },
  reasoningEffort: plainEffort,
  thinkTags: "tags"
}

/** The model APIs; a model of one's own is a deployment with the same path (ref). */
const baseten: Dialect = {
  ...fireworks,
  endpoint: "v1/chat/completions"
}

/** Text Generation Inference below each model's path: no `top_k` and no effort in its chat form (TGI's Messages API). */
const huggingface: Dialect = {
  ...common,
  endpoint: (model) => `${model}/v1/chat/completions`,
  parameters: { ...openAiParameters, maxTokens: "max_tokens" },
  thinkTags: "tags"
}

/**
 * Chat through the gateway's unified endpoint. Ignores all parameters, tools and files, so they are refused here
 * (docs.parallel.ai, SDK compatibility).
 */
const parallel: Dialect = {
  ...common,
  slug: "compat",
  bodyModel: (model) => model.startsWith("parallel/") ? model : `parallel/${model}`,
  parameters: {},
  includeUsage: false,
  tools: "none",
  files: {}
}

/** The gateway translates OpenAI's format for the provider that the model names: `{provider}/{model}`. */
const compat: Dialect = {
  ...openai,
  parameters: { ...openAiParameters, maxTokens: "max_tokens" },
  tokenLimit: (model) => model.startsWith("openai/") ? "max_completion_tokens" : undefined,
  cumulative: true,
  tools: "plain"
}

/** A dynamic route, with or without `dynamic/` before its name. */
const dynamic: Dialect = {
  ...compat,
  slug: "compat",
  bodyModel: (model) => model.startsWith("dynamic/") ? model : `dynamic/${model}`
}

/** A provider of one's own, mostly vLLM and its like below a bare host; nothing is known, so nothing is refused. */
const custom: Dialect = {
  ...common,
  endpoint: "v1/chat/completions",
  parameters: { ...openAiParameters, maxTokens: "max_tokens", topK: "top_k" },
  tokenLimit: limitByFamily,
  cumulative: true,
  reasoningEffort: plainEffort,
  thinkTags: "tags",
  files: { ...openAiFiles, pdfUrl: true }
}

/**
 * By the gateway's slug; `custom` is for all `custom-...` providers.
 *
 * @category data
 * @since 0.1.0
 */
export const dialects = {
  openai,
  "azure-openai": azureOpenAi,
  groq,
  mistral,
  deepseek,
  grok,
  openrouter,
  "perplexity-ai": perplexityAi,
  cerebras,
  fireworks,
  baseten,
  huggingface,
  parallel,
  compat,
  dynamic,
  custom
} as const

/**
 * @category models
 * @since 0.1.0
 */
export type DialectName = keyof typeof dialects

/** Nine letters and digits that depend on the id alone, so that call and result meet again in every request. */
const shortId = (id: string): string => {
  let high = 0xdeadbeef
  let low = 0x41c6ce57
  for (let at = 0; at < id.length; at++) {
    const code = id.charCodeAt(at)
    high = Math.imul(high ^ code, 2654435761)
    low = Math.imul(low ^ code, 1597334677)
  }
  high = Math.imul(high ^ (high >>> 16), 2246822507) ^ Math.imul(low ^ (low >>> 13), 3266489909)
  low = Math.imul(low ^ (low >>> 16), 2246822507) ^ Math.imul(high ^ (high >>> 13), 3266489909)
  // 53 bits, of which nine digits of base 36 hold 46: enough for the calls of one conversation.
  return (4294967296 * (2097151 & low) + (high >>> 0)).toString(36).padStart(9, "0").slice(-9)
}
