/**
 * What models cost: US dollars per million tokens, as data with its source and date.
 *
 * List prices of the standard tier for short prompts; surcharges for long prompts, batches, priority, audio and other
 * cache lifetimes are not in it, so a cost from it is an estimate, as Cloudflare's own is. Cloudflare's table is not
 * published. A wrong or missing price is corrected per request by `cf-aig-custom-cost`.
 *
 * The prices are facts from the providers' own public pages, each named with the date of our copy; the table is under this
 * package's licence.
 *
 * **Example** (The bundled prices, and one that is the caller's own)
 *
 * ```ts
 * import * as Cost from "effect-ai-gateway/Cost"
 * import { bundled } from "effect-ai-gateway/prices"
 *
 * export const pricing: Cost.Pricing = { ...bundled, "custom-local/qwen-3": { input: 0, output: 0 } }
 * ```
 *
 * @since 0.1.0
 */
import { byProvider, type DatedList } from "./datedLists.ts"
import type { Price, Pricing } from "./pricing.ts"

/**
 * Dollars per million tokens: input, output, input read from the provider's prompt cache, input written to it.
 *
 * @category models
 * @since 0.1.0
 */
export type Row = readonly [input: number, output: number, cacheRead?: number, cacheWrite?: number]

/**
 * Prices of one provider, by model.
 *
 * @category models
 * @since 0.1.0
 */
export type PriceList = DatedList<Row>

const openai: PriceList = {
  source: "https://developers.openai.com/api/docs/pricing",
  date: "2026-10-26",
  models: {
    "gpt-6.1-sol": [2, 10, 0.1, 2.5],
    "gpt-6.1-terra": [1, 5, 0.05, 1.25],
    "gpt-6-astra": [10, 50, 1],
    "gpt-6-sol": [2, 10, 0.2, 2.5],
    "gpt-6-luna": [0.1, 0.5, 0.01, 0.125],
    "gpt-5.6-sol": [4, 20, 0.4],
    "gpt-5.6-terra": [2, 12, 0.2],
    "gpt-5.6-luna": [0.2, 1.2, 0.02],
    "gpt-5.5": [5, 30, 0.5],
    "gpt-5.5-pro": [30, 180],
    "gpt-5.4": [2.5, 15, 0.25],
    "gpt-5.4-mini": [0.75, 4.5, 0.075],
    "gpt-5.4-nano": [0.2, 1.25, 0.02],
    "gpt-5.2": [1.75, 14, 0.175],
    "gpt-5.2-pro": [21, 168],
    "gpt-5.1": [1.25, 10, 0.125],
    "gpt-5": [1.25, 10, 0.125],
    "gpt-5-mini": [0.25, 2, 0.025],
    "gpt-5-nano": [0.05, 0.4, 0.005],
    "gpt-5-pro": [15, 120],
    "gpt-4.1": [2, 8, 0.5],
    "gpt-4.1-mini": [0.4, 1.6, 0.1],
    "gpt-4.1-nano": [0.1, 0.4, 0.025],
    "gpt-4o": [2.5, 10, 1.25],
    "gpt-4o-mini": [0.15, 0.6, 0.075],
    "gpt-4-turbo": [10, 30],
    "gpt-4": [30, 60],
    "gpt-3.5-turbo": [0.5, 1.5],
    o1: [15, 60, 7.5],
    "o1-pro": [150, 600],
    o3: [2, 8, 0.5],
    "o3-pro": [20, 80],
    "o3-mini": [1.1, 4.4, 0.55],
    "o4-mini": [1.1, 4.4, 0.275],
    "text-embedding-3-small": [0.02, 0],
    "text-embedding-3-large": [0.13, 0],
    "text-embedding-ada-002": [0.1, 0]
  }
}

const anthropic: PriceList = {
  source: "https://platform.claude.com/docs/en/about-claude/pricing",
  date: "2026-10-16",
  models: {
    "claude-fable-5-1": [10, 50, 0.25, 12.5],
    "claude-fable-5": [10, 50, 1, 12.5],
    "claude-opus-5-5": [4, 20, 0.2, 5],
    "claude-opus-5": [5, 25, 0.5, 6.25],
    "claude-opus-4-8": [5, 25, 0.5, 6.25],
    "claude-opus-4-7": [5, 25, 0.5, 6.25],
    "claude-opus-4-6": [5, 25, 0.5, 6.25],
    "claude-opus-4-5": [5, 25, 0.5, 6.25],
    "claude-opus-4-1": [15, 75, 1.5, 18.75],
    "claude-opus-4": [15, 75, 1.5, 18.75],
    "claude-sonnet-5-5": [2, 10, 0.1, 2.5],
    "claude-sonnet-5": [2, 10, 0.2, 2.5],
    "claude-sonnet-4-6": [3, 15, 0.3, 3.75],
    "claude-sonnet-4-5": [3, 15, 0.3, 3.75],
    "claude-sonnet-4": [3, 15, 0.3, 3.75],
    "claude-3-7-sonnet": [3, 15, 0.3, 3.75],
    "claude-3-5-sonnet": [3, 15, 0.3, 3.75],
    "claude-haiku-5-5": [0.1, 0.5, 0.01, 0.125],
    "claude-haiku-4-5": [1, 5, 0.1, 1.25],
    "claude-3-5-haiku": [0.8, 4, 0.08, 1],
    "claude-3-haiku": [0.25, 1.25, 0.03, 0.3]
  }
}

const google: PriceList = {
  source: "https://ai.google.dev/gemini-api/docs/pricing",
  date: "2026-07-24",
  models: {
    "gemini-3.6-flash": [1.5, 7.5, 0.15],
    "gemini-3.5-flash": [1.5, 9, 0.15],
    "gemini-3.5-flash-lite": [0.3, 2.5, 0.03],
    "gemini-3.1-pro-preview": [2, 12, 0.2],
    "gemini-3.1-flash-lite": [0.25, 1.5, 0.025],
    "gemini-3-pro-preview": [2, 12, 0.2],
    "gemini-3-flash": [0.5, 3, 0.05],
    "gemini-3-flash-preview": [0.5, 3, 0.05],
    "gemini-2.5-pro": [1.25, 10, 0.125],
    "gemini-2.5-flash": [0.3, 2.5, 0.03],
    "gemini-2.5-flash-lite": [0.1, 0.4, 0.01],
    "gemini-2.0-flash": [0.1, 0.4, 0.025],
    "gemini-2.0-flash-lite": [0.075, 0.3]
  }
}

const workersAi: PriceList = {
  source: "https://developers.cloudflare.com/workers-ai/platform/pricing/",
  date: "2025-02",
  models: {
    "@cf/meta/llama-3.3-70b-instruct-fp8-fast": [0.293, 2.253],
    "@cf/meta/llama-3.2-11b-vision-instruct": [0.049, 0.676],
    "@cf/meta/llama-3.2-3b-instruct": [0.051, 0.335],
    "@cf/meta/llama-3.2-1b-instruct": [0.027, 0.201],
    "@cf/meta/llama-3.1-70b-instruct-fp8-fast": [0.293, 2.253],
    "@cf/meta/llama-3.1-8b-instruct": [0.282, 0.827],
    "@cf/meta/llama-3.1-8b-instruct-fp8": [0.152, 0.287],
    "@cf/meta/llama-3.1-8b-instruct-fp8-fast": [0.045, 0.384],
    "@cf/meta/llama-3.1-8b-instruct-awq": [0.123, 0.266],
    "@cf/meta/llama-3-8b-instruct": [0.282, 0.827],
    "@cf/meta/llama-3-8b-instruct-awq": [0.123, 0.266],
    "@cf/meta/llama-2-7b-chat-fp16": [0.556, 6.667],
    "@cf/deepseek-ai/deepseek-r1-distill-qwen-32b": [0.497, 4.881],
    "@cf/mistral/mistral-7b-instruct-v0.1": [0.11, 0.19],
    "@cf/baai/bge-small-en-v1.5": [0.02, 0],
    "@cf/baai/bge-base-en-v1.5": [0.067, 0],
    "@cf/baai/bge-large-en-v1.5": [0.204, 0]
  }
}

const deepseek: PriceList = {
  source: "https://api-docs.deepseek.com/quick_start/pricing",
  date: "2026-07-24",
  models: {
    "deepseek-v4-pro": [0.435, 0.87, 0.003625],
    "deepseek-v4-flash": [0.14, 0.28, 0.0028],
    "deepseek-chat": [0.28, 0.42, 0.028],
    "deepseek-reasoner": [0.28, 0.42, 0.028]
  }
}

const grok: PriceList = {
  source: "https://docs.x.ai/developers/models",
  date: "2026-07-24",
  models: {
    "grok-4.5": [2, 6, 0.5],
    "grok-4.3": [1.25, 2.5, 0.2]
  }
}

/**
 * The price lists, by the provider's slug.
 *
 * @category data
 * @since 0.1.0
 */
export const prices: { readonly [provider: string]: PriceList } = /* @__PURE__ */ byProvider({
  anthropic,
  deepseek,
  google,
  grok,
  openai,
  workersAi
})

const toPrice = ([input, output, cacheRead, cacheWrite]: Row): Price => ({ input, output, cacheRead, cacheWrite })

/**
 * The lists as one table for `Cost` and `Budget`, its models called `provider/model`.
 *
 * @category data
 * @since 0.1.0
 */
export const bundled: Pricing = /* @__PURE__ */ Object.fromEntries(
  /* @__PURE__ */ Object.entries(prices).flatMap(([provider, { models }]) =>
    Object.entries(models).map(([model, row]) => [`${provider}/${model}`, toPrice(row)])
  )
)
