/**
 * Which Workers AI models the simulated model stands in for, and in which shape each of them answers.
 *
 * Cloudflare's older text models answer `{ response, tool_calls, usage }`, newer ones OpenAI's `{ choices, usage }`
 * (the wire reference, 1.7 and 10.6). No list of Cloudflare says which do which, so this is our own short table.
 *
 * @since 0.1.0
 */

/**
 * @category models
 * @since 0.1.0
 */
export type Shape = "native" | "openai"

/**
 * What a model id stands for.
 *
 * @category models
 * @since 0.1.0
 */
export type Task =
  | { readonly task: "text"; readonly shape: Shape }
  | { readonly task: "embeddings"; readonly dimensions: number }
  | { readonly task: "unsupported" }
  | { readonly task: "unknown" }

const openAiShaped = [
  "@cf/openai/",
  "@cf/meta/llama-4-",
  "@cf/qwen/qwen3-",
  "@cf/moonshotai/",
  "@cf/zai-org/",
  "@cf/google/gemma-4-",
  "@cf/ibm-granite/granite-4",
  "@cf/nvidia/"
]

const dimensions: { readonly [model: string]: number } = {
  "@cf/baai/bge-small-en-v1.5": 384,
  "@cf/baai/bge-base-en-v1.5": 768,
  "@cf/baai/bge-large-en-v1.5": 1024,
  "@cf/baai/bge-m3": 1024,
  "@cf/google/embeddinggemma-300m": 768,
  "@cf/qwen/qwen3-embedding-0.6b": 1024
}

/** Images, speech, translation, classification: real models of Workers AI that nothing here can stand in for. */
const otherTasks =
  /flux|stable-diffusion|dreamshaper|whisper|nova-|aura-|melotts|m2m100|resnet|detr|distilbert|reranker|llava|unum|indictrans/

/**
 * Looks a model up; ids of Workers AI start with `@cf/` or `@hf/`.
 *
 * @category getters
 * @since 0.1.0
 */
export const lookup = (model: string): Task => {
  if (!/^@(cf|hf)\/[^/]+\/./.test(model)) return { task: "unknown" }
  const size = Object.hasOwn(dimensions, model) ? dimensions[model] : undefined
  if (size !== undefined) return { task: "embeddings", dimensions: size }
  if (otherTasks.test(model)) return { task: "unsupported" }
  return { task: "text", shape: openAiShaped.some((prefix) => model.startsWith(prefix)) ? "openai" : "native" }
}

/**
 * Some models that a list of models shows; any other `@cf/...` text model is answered too.
 *
 * @category getters
 * @since 0.1.0
 */
export const catalog: ReadonlyArray<{ readonly name: string; readonly task: string }> = [
  ...[
    "@cf/meta/llama-3.1-8b-instruct",
    "@cf/meta/llama-3.3-70b-instruct-fp8-fast",
    "@cf/meta/llama-4-scout-17b-16e-instruct",
    "@cf/mistralai/mistral-small-3.1-24b-instruct",
    "@cf/openai/gpt-oss-120b",
    "@cf/openai/gpt-oss-20b",
    "@cf/qwen/qwen3-30b-a3b-fp8"
  ].map((name) => ({ name, task: "Text Generation" })),
  ...Object.keys(dimensions).map((name) => ({ name, task: "Text Embeddings" }))
]
