/**
 * The wire formats of embeddings: Workers AI's, OpenAI's (with Mistral, `compat` and custom providers), Google's and
 * Cohere's.
 *
 * Sources: wire reference, sections 1.5, 1.7 and 9.2; the providers' own API references for the limits of one request.
 *
 * @since 0.1.0
 */
import type { Step } from "../client/Transport.ts"
import { count, isRecord, type JsonRecord, record } from "./Json.ts"
import type { Slug } from "./Providers.ts"

/**
 * One request.
 *
 * @category models
 * @since 0.1.0
 */
export interface EmbeddingRequest {
  readonly provider: string
  readonly model: string
  readonly inputs: ReadonlyArray<string>
  readonly dimensions: number
}

/**
 * What an answer holds: one vector per input in the order of the inputs, as far as it can be read.
 *
 * @category models
 * @since 0.1.0
 */
export interface EmbeddingAnswer {
  readonly vectors: ReadonlyArray<unknown>
  readonly inputTokens: number | undefined
}

/**
 * @category models
 * @since 0.1.0
 */
export interface EmbeddingFormat {
  /** Most inputs of one request. */
  readonly limit: number
  readonly step: (request: EmbeddingRequest) => Step
  /** `undefined` when the answer holds no embeddings. */
  readonly read: (answer: JsonRecord) => EmbeddingAnswer | undefined
}

const workersAi: EmbeddingFormat = {
  limit: 100,
  step: ({ inputs, model, provider }) => ({ provider, endpoint: model, model, query: { text: inputs } }),
  read(answer) {
    const result = isRecord(answer["result"]) ? answer["result"] : answer
    const { data } = result
    if (!Array.isArray(data)) return undefined
    // Some models answer as OpenAI does.
    return data.some(isRecord) ? openAiAnswer(result) : { vectors: data, inputTokens: inputTokens(result) }
  }
}

const openAi = (options: {
  readonly path: string
  readonly limit: number
  /** The body's name for the length of the vectors; some models take none. */
  readonly dimensions: string
}): EmbeddingFormat => ({
  limit: options.limit,
  step: ({ dimensions, inputs, model, provider }) => ({
    provider,
    endpoint: options.path,
    model,
    query: {
      model,
      input: inputs,
      encoding_format: "float",
      ...(hasFixedLength(model) ? {} : { [options.dimensions]: dimensions })
    }
  }),
  read: openAiAnswer
})

/** Models that refuse to be asked for a length. */
const hasFixedLength = (model: string) => /(^|\/)(text-embedding-ada-002|mistral-embed)/.test(model)

const openAiAnswer = (answer: JsonRecord): EmbeddingAnswer | undefined => {
  const { data } = answer
  if (!Array.isArray(data)) return undefined
  const vectors: Array<unknown> = []
  data.forEach((item, i) => {
    const at = isRecord(item) ? count(item["index"]) ?? i : i
    vectors[at] = isRecord(item) ? item["embedding"] : undefined
  })
  return { vectors, inputTokens: inputTokens(answer) }
}

const inputTokens = (answer: JsonRecord) => {
  const usage = record(answer["usage"])
  return count(usage["prompt_tokens"]) ?? count(usage["total_tokens"])
}

const google: EmbeddingFormat = {
  limit: 100,
  step: ({ dimensions, inputs, model, provider }) => ({
    provider,
    endpoint: `v1beta/models/${model}:batchEmbedContents`,
    model,
    query: {
      requests: inputs.map((text) => ({
        model: `models/${model}`,
        content: { parts: [{ text }] },
        outputDimensionality: dimensions
      }))
    }
  }),
  read(answer) {
    const { embeddings } = answer
    return Array.isArray(embeddings)
      ? { vectors: embeddings.map((item) => record(item)["values"]), inputTokens: undefined }
      : undefined
  }
}

const cohere: EmbeddingFormat = {
  limit: 96,
  step: ({ dimensions, inputs, model, provider }) => ({
    provider,
    endpoint: "v2/embed",
    model,
    query: {
      model,
      texts: inputs,
      input_type: "search_document",
      embedding_types: ["float"],
      ...(/^embed-v[4-9]/.test(model) ? { output_dimension: dimensions } : {})
    }
  }),
  read(answer) {
    const vectors = record(answer["embeddings"])["float"]
    return Array.isArray(vectors)
      ? { vectors, inputTokens: count(record(record(answer["meta"])["billed_units"])["input_tokens"]) }
      : undefined
  }
}

const formats: { readonly [slug in Slug]?: EmbeddingFormat } = {
  "workers-ai": workersAi,
  openai: openAi({ path: "embeddings", limit: 2048, dimensions: "dimensions" }),
  mistral: openAi({ path: "v1/embeddings", limit: 128, dimensions: "output_dimension" }),
  compat: openAi({ path: "embeddings", limit: 2048, dimensions: "dimensions" }),
  "google-ai-studio": google,
  cohere
}

const custom = openAi({ path: "v1/embeddings", limit: 2048, dimensions: "dimensions" })

/**
 * The format of a provider's embeddings; `undefined` when it has none that we speak.
 *
 * @category accessors
 * @since 0.1.0
 */
export const get = (provider: string): EmbeddingFormat | undefined =>
  Object.hasOwn(formats, provider)
    ? formats[provider as Slug] // an own key of a record of slugs
    : provider.startsWith("custom-")
    ? custom
    : undefined

/**
 * Providers that have embeddings.
 *
 * @category data
 * @since 0.1.0
 */
export const providers: ReadonlyArray<string> = Object.keys(formats)
