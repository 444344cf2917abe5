/**
 * How many tokens fit into a model's context, and how many it answers with at most, as data with its source and date.
 *
 * The window is for prompt and answer together, except for Google, whose limit is the prompt's alone. Windows that need a
 * beta header are not in it.
 *
 * Rows that were not on the providers' pages at hand, GPT-5 to 5.2 among them, were read in LiteLLM's
 * `model_prices_and_context_window.json` (MIT, copy of 2026-07-24) and pages that quote the providers; its numbers for GPT-5
 * are the window without the answer.
 *
 * @since 0.1.0
 */
import { byProvider, type DatedList } from "./datedLists.ts"

/**
 * Tokens of the context, and of the longest answer where it is known.
 *
 * @category models
 * @since 0.1.0
 */
export type ContextWindow = readonly [window: number, output?: number]

/**
 * Windows of one provider, by model.
 *
 * @category models
 * @since 0.1.0
 */
export type WindowList = DatedList<ContextWindow>

const openai: WindowList = {
  source: "https://developers.openai.com/api/docs/models/compare",
  date: "2026-07-24",
  models: {
    "gpt-5.6-sol": [1_050_000, 128_000],
    "gpt-5.6-terra": [1_050_000, 128_000],
    "gpt-5.6-luna": [1_050_000, 128_000],
    "gpt-5.5": [1_050_000, 128_000],
    "gpt-5.5-pro": [1_050_000, 128_000],
    "gpt-5.4": [1_050_000, 128_000],
    "gpt-5.4-pro": [1_050_000, 128_000],
    "gpt-5.4-mini": [400_000, 128_000],
    "gpt-5.4-nano": [400_000, 128_000],
    "gpt-5.2": [400_000, 128_000],
    "gpt-5.1": [400_000, 128_000],
    "gpt-5": [400_000, 128_000],
    "gpt-5-mini": [400_000, 128_000],
    "gpt-5-nano": [400_000, 128_000],
    "gpt-5-pro": [400_000, 128_000],
    "gpt-4.1": [1_047_576, 32_768],
    "gpt-4.1-mini": [1_047_576, 32_768],
    "gpt-4.1-nano": [1_047_576, 32_768],
    "gpt-4o": [128_000, 16_384],
    "gpt-4o-mini": [128_000, 16_384],
    "gpt-4-turbo": [128_000, 4_096],
    "gpt-4": [8_192, 4_096],
    "gpt-3.5-turbo": [16_385, 4_096],
    o1: [200_000, 100_000],
    "o1-pro": [200_000, 100_000],
    o3: [200_000, 100_000],
    "o3-pro": [200_000, 100_000],
    "o3-mini": [200_000, 100_000],
    "o4-mini": [200_000, 100_000]
  }
}

const anthropic: WindowList = {
  source: "https://platform.claude.com/docs/en/about-claude/models/overview",
  date: "2026-10",
  models: {
    "claude-fable-5-1": [1_000_000, 128_000],
    "claude-fable-5": [1_000_000, 128_000],
    "claude-opus-5-5": [1_000_000, 128_000],
    "claude-opus-5": [1_000_000, 128_000],
    "claude-opus-4-8": [1_000_000, 128_000],
    "claude-opus-4-7": [1_000_000, 128_000],
    "claude-opus-4-6": [1_000_000, 128_000],
    "claude-opus-4-5": [200_000, 64_000],
    "claude-opus-4-1": [200_000, 32_000],
    "claude-opus-4": [200_000, 32_000],
    "claude-sonnet-5-5": [1_000_000, 128_000],
    "claude-sonnet-5": [1_000_000, 128_000],
    "claude-sonnet-4-6": [1_000_000, 64_000],
    "claude-sonnet-4-5": [200_000, 64_000],
    "claude-sonnet-4": [200_000, 64_000],
    "claude-3-7-sonnet": [200_000, 64_000],
    "claude-haiku-5-5": [1_000_000, 128_000],
    "claude-haiku-4-5": [200_000, 64_000],
    "claude-3-haiku": [200_000, 4_096]
  }
}

const google: WindowList = {
  source: "https://ai.google.dev/gemini-api/docs/models",
  date: "2026-07-24",
  models: {
    "gemini-3.6-flash": [1_048_576, 65_536],
    "gemini-3.5-flash": [1_048_576, 65_535],
    "gemini-3.5-flash-lite": [1_048_576, 65_536],
    "gemini-3.1-pro-preview": [1_048_576, 65_536],
    "gemini-3.1-flash-lite": [1_048_576, 65_536],
    "gemini-3-pro-preview": [1_048_576, 65_535],
    "gemini-3-flash": [1_048_576, 65_535],
    "gemini-3-flash-preview": [1_048_576, 65_535],
    "gemini-2.5-pro": [1_048_576, 65_535],
    "gemini-2.5-flash": [1_048_576, 65_535],
    "gemini-2.5-flash-lite": [1_048_576, 65_535],
    "gemini-2.0-flash": [1_048_576, 8_192],
    "gemini-2.0-flash-lite": [1_048_576, 8_192]
  }
}

// `context_window` of the model's own file; models whose file has none are not in the table.
const workersAi: WindowList = {
  source: "https://github.com/cloudflare/cloudflare-docs/tree/production/src/content/workers-ai-models",
  date: "2026-11",
  models: {
    "@cf/meta/llama-3.3-70b-instruct-fp8-fast": [24_000],
    "@cf/meta/llama-3.1-8b-instruct-fp8": [32_000],
    "@cf/meta/llama-4-scout-17b-16e-instruct": [131_000],
    "@cf/openai/gpt-oss-120b": [128_000]
  }
}

const deepseek: WindowList = {
  source: "https://api-docs.deepseek.com/quick_start/pricing",
  date: "2026-07-24",
  models: {
    "deepseek-v4-pro": [1_000_000],
    "deepseek-v4-flash": [1_000_000],
    "deepseek-chat": [131_072, 8_192],
    "deepseek-reasoner": [131_072, 65_536]
  }
}

const grok: WindowList = {
  source: "https://docs.x.ai/developers/models",
  date: "2026-07-24",
  models: { "grok-4.5": [500_000], "grok-4.3": [1_000_000] }
}

/**
 * The lists, by the provider's slug.
 *
 * @category data
 * @since 0.1.0
 */
export const contextWindows: { readonly [provider: string]: WindowList } = /* @__PURE__ */ byProvider({
  anthropic,
  deepseek,
  google,
  grok,
  openai,
  workersAi
})
