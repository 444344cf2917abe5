/**
 * OpenAI and those that speak its wire, simulated: chat completions, responses, embeddings and the list of models.
 *
 * Source: the wire reference, sections 9.2, 10.1, 10.2 and 10.8.
 *
 * @since 0.1.0
 */
import * as Result from "effect/Result"
import { isRecord, parse, text } from "../../model/Json.ts"
import { prices } from "../../model/prices.ts"
import * as OpenAiChat from "./OpenAiChat.ts"
import * as OpenAiEmbeddings from "./OpenAiEmbeddings.ts"
import * as OpenAiError from "./OpenAiError.ts"
import * as OpenAiResponses from "./OpenAiResponses.ts"
import * as Reply from "./Reply.ts"

/**
 * What a provider has of OpenAI's API, and where.
 *
 * @category models
 * @since 0.1.0
 */
export interface Speaker {
  /** What stands before the endpoints, below the slug. */
  readonly prefix: RegExp
  readonly endpoints: ReadonlyArray<Endpoint>
  /** The end of a stream tells its usage although nobody asked. */
  readonly sendsUsage: boolean
}

/**
 * @category models
 * @since 0.1.0
 */
export type Endpoint = "chat/completions" | "responses" | "embeddings" | "models"

const speaker = (
  endpoints: ReadonlyArray<Endpoint>,
  options: { readonly prefix?: RegExp; readonly sendsUsage?: boolean } = {}
): Speaker => ({ endpoints, prefix: options.prefix ?? /^(?:v1\/)?/, sendsUsage: options.sendsUsage ?? false })

/**
 * The providers, by slug. Which of them send usage unasked is known from `dialects` of the client.
 *
 * @category data
 * @since 0.1.0
 */
export const speakers: { readonly [provider: string]: Speaker } = {
  openai: speaker(["chat/completions", "responses", "embeddings", "models"]),
  "azure-openai": speaker(["chat/completions", "embeddings"], { prefix: /^[^/]+\/[^/]+\// }),
  baseten: speaker(["chat/completions", "models"]),
  cerebras: speaker(["chat/completions", "models"]),
  cohere: speaker(["chat/completions"], { prefix: /^compatibility\/v1\// }),
  deepseek: speaker(["chat/completions", "models"]),
  fireworks: speaker(["chat/completions", "embeddings", "models"]),
  "google-ai-studio": speaker(["chat/completions", "embeddings", "models"], { prefix: /^v1beta\/openai\// }),
  grok: speaker(["chat/completions", "responses", "models"], { sendsUsage: true }),
  groq: speaker(["chat/completions", "responses", "models"]),
  huggingface: speaker(["chat/completions"], { prefix: /^[^/]+\/[^/]+\/v1\// }),
  mistral: speaker(["chat/completions", "embeddings", "models"], { sendsUsage: true }),
  openrouter: speaker(["chat/completions", "responses", "models"]),
  parallel: speaker(["chat/completions"], { sendsUsage: true }),
  "perplexity-ai": speaker(["chat/completions"], { sendsUsage: true })
}

/**
 * The reply of a provider out of {@link speakers}; a refusal is one, too.
 *
 * @category constructors
 * @since 0.1.0
 */
export const reply = (call: Reply.Call, speaker: Speaker): Reply.Reply => Result.merge(answer(call, speaker))

const answer = (call: Reply.Call, speaker: Speaker): Result.Result<Reply.Reply, Reply.Reply> =>
  Result.gen(function*() {
    const { endpoints, prefix, sendsUsage } = speaker
    const matched = prefix.exec(call.path)?.[0]
    const endpoint = matched === undefined ? undefined : call.path.slice(matched.length)
    const hasModels = endpoints.includes("models")
    if (call.method === "GET" && hasModels && endpoint === "models") return models(call)
    if (call.method === "GET" && hasModels && endpoint?.startsWith("models/") === true) {
      return Reply.json(model(call, endpoint.slice("models/".length)))
    }
    const asked = endpoints.find((_) => _ === endpoint && _ !== "models")
    if (call.method !== "POST" || asked === undefined) return yield* Result.fail(unknown(call, endpoints))
    const body = parse(new TextDecoder().decode(call.body))
    if (!isRecord(body)) {
      return yield* Result.fail(
        OpenAiError.make("We could not parse the JSON body of your request: the API expects a JSON object.")
      )
    }
    // Azure's deployments and Hugging Face's models are in the path.
    const named = text(body["model"]) ?? inPath(call)
    if (named === undefined) return yield* Result.fail(OpenAiError.make("you must provide a model parameter"))
    switch (asked) {
      case "chat/completions":
        return yield* OpenAiChat.reply(body, call, { model: named, sendsUsage })
      case "responses":
        return yield* OpenAiResponses.reply(body, call, named)
      default:
        return yield* OpenAiEmbeddings.reply(body, named)
    }
  })

const inPath = ({ path, provider }: Reply.Call): string | undefined => {
  const [first = "", second = ""] = path.split("/")
  return provider === "azure-openai" ? second : provider === "huggingface" ? `${first}/${second}` : undefined
}

const model = ({ now, provider }: Reply.Call, id: string) => ({ id, object: "model", created: now, owned_by: provider })

const models = (call: Reply.Call): Reply.Reply => {
  const list = Object.hasOwn(prices, call.provider) ? prices[call.provider]?.models : undefined
  return Reply.json({ object: "list", data: Object.keys(list ?? {}).map((id) => model(call, id)) })
}

const unknown = ({ method, path, provider }: Reply.Call, endpoints: ReadonlyArray<Endpoint>) =>
  OpenAiError.make(
    `Invalid URL (${method} /${path}): the simulated model answers ${endpoints.join(", ")} of ${provider}. ` +
      `With a key, or with --upstream ${provider}=URL, the local gateway asks the provider itself.`,
    { status: 404, code: "unknown_url" }
  )
