/**
 * The providers behind the gateway: one table of data.
 *
 * Source: wire reference, section 9.2 (slugs, paths and credentials of AI Gateway's provider pages) and 9.1 (aliases of
 * Cloudflare's own registry).
 *
 * @since 0.1.0
 */

/**
 * The header that carries a provider's key.
 *
 * @category models
 * @since 0.1.0
 */
export interface KeyHeader {
  readonly name: string
  /** Stands before the key, with a space. */
  readonly scheme?: string | undefined
}

/**
 * What is known of a provider.
 *
 * @category models
 * @since 0.1.0
 */
export interface Provider {
  /** The wire format of its language models. */
  readonly format: "workers-ai" | "openai-chat" | "anthropic" | "google" | "cohere" | "bedrock"
  readonly key: KeyHeader
  /** Other names in use: of Cloudflare's model catalog, of the `compat` endpoint, of the provider itself. */
  readonly aliases?: ReadonlyArray<string> | undefined
  /** The part of the provider's own URLs that the gateway puts there by itself. */
  readonly basePath?: string | undefined
  /** Path of its embeddings below the slug; absent where it has none that we speak. */
  readonly embeddings?: string | undefined
}

const bearer: KeyHeader = { name: "authorization", scheme: "Bearer" }

/**
 * @category data
 * @since 0.1.0
 */
export const providers = {
  "workers-ai": { format: "workers-ai", key: bearer, embeddings: "" },
  openai: { format: "openai-chat", key: bearer, basePath: "v1", embeddings: "embeddings" },
  anthropic: { format: "anthropic", key: { name: "x-api-key" } },
  "google-ai-studio": {
    format: "google",
    key: { name: "x-goog-api-key" },
    aliases: ["google", "gemini"],
    embeddings: "v1beta/models"
  },
  "google-vertex-ai": { format: "google", key: bearer, aliases: ["google-vertex", "vertex", "vertex-ai"] },
  groq: { format: "openai-chat", key: bearer, basePath: "openai/v1" },
  mistral: { format: "openai-chat", key: bearer, embeddings: "v1/embeddings" },
  deepseek: { format: "openai-chat", key: bearer },
  grok: { format: "openai-chat", key: bearer, basePath: "v1", aliases: ["xai", "x-ai"] },
  openrouter: { format: "openai-chat", key: bearer, basePath: "api" },
  "perplexity-ai": { format: "openai-chat", key: bearer, aliases: ["perplexity"] },
  cerebras: { format: "openai-chat", key: bearer },
  fireworks: { format: "openai-chat", key: bearer, basePath: "inference/v1" },
  "azure-openai": { format: "openai-chat", key: { name: "api-key" }, aliases: ["azure"] },
  cohere: { format: "cohere", key: bearer, embeddings: "v2/embed" },
  // An API key of Bedrock's; without one the gateway signs with the keys that are stored in it.
  "aws-bedrock": { format: "bedrock", key: bearer, aliases: ["bedrock"] },
  baseten: { format: "openai-chat", key: bearer },
  huggingface: { format: "openai-chat", key: bearer, basePath: "models", aliases: ["hugging-face"] },
  parallel: { format: "openai-chat", key: bearer },
  compat: { format: "openai-chat", key: bearer, embeddings: "embeddings" }
} as const satisfies { readonly [slug: string]: Provider }

/**
 * Slugs of the table.
 *
 * @category models
 * @since 0.1.0
 */
export type Slug = keyof typeof providers

/**
 * A provider as a caller may name it: one of the table, or a custom provider of the account.
 *
 * @category models
 * @since 0.1.0
 */
export type ProviderName = Slug | `custom-${string}`

/** What is known of any custom provider: that most speak OpenAI's format. */
const custom: Provider = { format: "openai-chat", key: bearer, embeddings: "v1/embeddings" }

/**
 * A provider by its slug.
 *
 * @category accessors
 * @since 0.1.0
 */
export const get = (slug: string): Provider | undefined =>
  isSlug(slug) ? providers[slug] : slug.startsWith("custom-") && slug.length > 7 ? custom : undefined

/**
 * The slug for a slug, an alias or a custom provider's name.
 *
 * @category accessors
 * @since 0.1.0
 */
export const slugOf = (name: string): string | undefined => {
  if (get(name) !== undefined) return name
  return slugs.find((slug) => (providers[slug] as Provider).aliases?.includes(name)) // the table's rows are narrower
}

/**
 * Names of the table that are near to a name that is not in it, nearest first.
 *
 * @category accessors
 * @since 0.1.0
 */
export const near = (name: string): ReadonlyArray<string> =>
  slugs
    .flatMap((slug) => [slug as string].concat((providers[slug] as Provider).aliases ?? []))
    .map((known) => ({ known, distance: distance(name.toLowerCase(), known) }))
    .filter(({ distance, known }) => distance <= Math.max(2, Math.floor(known.length / 3)))
    .sort((a, b) => a.distance - b.distance)
    .map(({ known }) => known)

/**
 * All slugs.
 *
 * @category data
 * @since 0.1.0
 */
export const slugs = Object.keys(providers) as ReadonlyArray<Slug> // `keys` forgets the table's own keys

const isSlug = (name: string): name is Slug => Object.hasOwn(providers, name)

/** Levenshtein's edit distance. */
const distance = (a: string, b: string): number => {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i)
  for (let i = 1; i <= a.length; i++) {
    const next = [i]
    for (let j = 1; j <= b.length; j++) {
      const substituted = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1)
      next.push(Math.min((row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1, substituted))
    }
    row = next
  }
  return row[b.length] ?? 0
}
