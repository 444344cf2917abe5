/**
 * The wire of Google's Gemini models: `generateContent` and `streamGenerateContent` of AI Studio (`google-ai-studio`) and,
 * with the same bodies under another path, of Vertex AI (`google-vertex-ai`).
 *
 * | parameter | in `generationConfig` |
 * |---|---|
 * | temperature, topP, topK, seed, frequencyPenalty, presencePenalty | the same names |
 * | maxTokens | `maxOutputTokens`, which counts thoughts too |
 * | stop | `stopSequences` |
 * | reasoningEffort, Gemini 2.5 and older | `thinkingConfig.thinkingBudget`: none 0, minimal and low 1024, medium 8192, high 24576 |
 * | reasoningEffort, Gemini 3 and newer | `thinkingConfig.thinkingLevel`: MINIMAL, LOW, MEDIUM, HIGH; none is refused here, for these models always think |
 *
 * An effort other than none also asks for the thoughts (`includeThoughts`), which come as reasoning parts. Levels that a
 * model lacks (MINIMAL on a Pro) and a budget of 0 where thinking cannot be turned off are refused by Google.
 *
 * Sources: wire reference, sections 9.1 to 9.3, 10.0 and 10.4; `@google/genai@2.32.0`; the table of efforts after
 * Google's documentation of its OpenAI compatibility ("Thinking").
 *
 * @since 0.1.0
 */
import * as Result from "effect/Result"
import type * as Schema from "effect/Schema"
import * as AiError from "effect/unstable/ai/AiError"
import type { Codec, Request } from "./Codec.ts"
import * as GooglePrompt from "./GooglePrompt.ts"
import { GoogleReader } from "./GoogleReader.ts"
import * as GoogleSchema from "./GoogleSchema.ts"
import * as GoogleToolSet from "./GoogleToolSet.ts"
import { type JsonRecord, record, text } from "./Json.ts"
import type { Parameters, ReasoningEffort } from "./Parameters.ts"

/**
 * What only Google has. Names that are not listed go into the body as they are.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options {
  /** The Google Cloud project; `google-vertex-ai` only, and required there. */
  readonly project?: string | undefined
  /** The region, such as `us-central1` or `global`; `google-vertex-ai` only, and required there. */
  readonly location?: string | undefined
  /** From which probability on harmful content is blocked, by category. */
  readonly safetySettings?:
    | ReadonlyArray<{
      /** Such as `HARM_CATEGORY_HARASSMENT`. */
      readonly category: string
      /** Such as `BLOCK_ONLY_HIGH` or `OFF`. */
      readonly threshold: string
      /** `SEVERITY` or `PROBABILITY`; Vertex AI only. */
      readonly method?: string | undefined
    }>
    | undefined
  /** Name of a cached content, `cachedContents/...`; Google wants no system message and no tools beside it. */
  readonly cachedContent?: string | undefined
  /** How much the model thinks; a budget or a level here replaces that of `reasoningEffort`. */
  readonly thinkingConfig?:
    | {
      readonly includeThoughts?: boolean | undefined
      /** Tokens; 0 is off, -1 as the model likes. Gemini 2.5. */
      readonly thinkingBudget?: number | undefined
      /** Gemini 3 and newer. */
      readonly thinkingLevel?: "MINIMAL" | "LOW" | "MEDIUM" | "HIGH" | undefined
    }
    | undefined
  /** Kinds of output; images and audio come as file parts. */
  readonly responseModalities?: ReadonlyArray<"TEXT" | "IMAGE" | "AUDIO"> | undefined
  /** How many tokens an image or a frame of the prompt costs. */
  readonly mediaResolution?:
    | "MEDIA_RESOLUTION_LOW"
    | "MEDIA_RESOLUTION_MEDIUM"
    | "MEDIA_RESOLUTION_HIGH"
    | undefined
  /** Voice and language of spoken output, as Google's `SpeechConfig`. */
  readonly speechConfig?: JsonRecord | undefined
  /** Shape and size of generated images. */
  readonly imageConfig?:
    | { readonly aspectRatio?: string | undefined; readonly imageSize?: string | undefined }
    | undefined
  /** Gives the model the times of spoken input; Vertex AI only. */
  readonly audioTimestamp?: boolean | undefined
  /** Labels for billing; Vertex AI only. */
  readonly labels?: { readonly [name: string]: string } | undefined
  /** Price and priority of the request. */
  readonly serviceTier?: "standard" | "flex" | "priority" | undefined
  /** Merged into the request's: `retrievalConfig` for Google Maps, for instance. */
  readonly toolConfig?: JsonRecord | undefined
  /** Merged into the request's, for what has no name of its own here. */
  readonly generationConfig?: JsonRecord | undefined
}

/**
 * @category codecs
 * @since 0.1.0
 */
export const codec: Codec = {
  codecTransformer: GoogleSchema.codecTransformer,
  step(request) {
    const problems: Array<AiError.AiErrorReason> = []
    const step = {
      provider: request.provider,
      endpoint: endpoint(request, problems),
      query: body(request, problems),
      model: request.model
    }
    const problem = problems[0]
    return problem === undefined ? Result.succeed(step) : Result.fail(problem)
  },
  reader: (context) => new GoogleReader(context)
}

const vertex = "google-vertex-ai"

const endpoint = (
  { model, provider, providerOptions, stream }: Request,
  problems: Array<AiError.AiErrorReason>
): string => {
  const method = stream ? "streamGenerateContent?alt=sse" : "generateContent"
  // Tuned models have a path of their own: `tunedModels/x`, `endpoints/1`.
  if (provider !== vertex) return `v1beta/${model.includes("/") ? model : `models/${model}`}:${method}`
  for (const name of ["project", "location"]) {
    if (text(providerOptions[name]) === undefined) {
      problems.push(
        new AiError.InvalidRequestError({
          parameter: `providerOptions.${name}`,
          constraint: `is required by ${vertex}`,
          description: "The path of a model of Vertex AI has a project and a location"
        })
      )
    }
  }
  const name = /^(endpoints|publishers)\//.test(model)
    ? model
    : `publishers/google/models/${model.replace(/^google\//, "")}`
  return `v1/projects/${providerOptions["project"]}/locations/${providerOptions["location"]}/${name}:${method}`
}

/** The options that Google has inside `generationConfig`, where users need not know it. */
const generationOptions = [
  "responseModalities",
  "mediaResolution",
  "speechConfig",
  "imageConfig",
  "audioTimestamp"
]

const body = (request: Request, problems: Array<AiError.AiErrorReason>): JsonRecord => {
  const { options, parameters, provider, providerOptions } = request
  const top: { [name: string]: unknown } = { ...providerOptions }
  if (provider === vertex) {
    delete top["project"]
    delete top["location"]
  }
  const generationConfig: { [name: string]: unknown } = generationParameters(request, problems)
  if (options.responseFormat.type === "json") {
    generationConfig["responseMimeType"] = "application/json"
    generationConfig["responseJsonSchema"] = jsonSchema(options.responseFormat.schema, problems)
  }
  const thinkingConfig = thinking(request.model, parameters.reasoningEffort, record(top["thinkingConfig"]), problems)
  if (thinkingConfig !== undefined) generationConfig["thinkingConfig"] = thinkingConfig
  delete top["thinkingConfig"]
  for (const name of generationOptions) {
    if (top[name] !== undefined) generationConfig[name] = top[name]
    delete top[name]
  }
  Object.assign(generationConfig, record(top["generationConfig"]))
  delete top["generationConfig"]
  const { toolConfig, ...tools } = GoogleToolSet.toolSet(options.tools, options.toolChoice, problems)
  const mergedToolConfig = { ...toolConfig, ...record(top["toolConfig"]) }
  delete top["toolConfig"]
  return {
    ...GooglePrompt.conversation(options.prompt, { needsSignatures: thinksByLevel(request.model) }, problems),
    ...tools,
    ...(Object.keys(mergedToolConfig).length === 0 ? {} : { toolConfig: mergedToolConfig }),
    ...(Object.keys(generationConfig).length === 0 ? {} : { generationConfig }),
    ...top
  }
}

/** `undefined` for the effort, which is no single field. */
const wireNames: { readonly [Name in keyof Parameters]-?: string | undefined } = {
  temperature: "temperature",
  maxTokens: "maxOutputTokens",
  topP: "topP",
  topK: "topK",
  stop: "stopSequences",
  seed: "seed",
  frequencyPenalty: "frequencyPenalty",
  presencePenalty: "presencePenalty",
  reasoningEffort: undefined
}

const generationParameters = ({ parameters, provider }: Request, problems: Array<AiError.AiErrorReason>) => {
  const wire: { [name: string]: unknown } = {}
  for (const [name, value] of Object.entries(parameters)) {
    if (value === undefined) continue
    if (!Object.hasOwn(wireNames, name)) {
      problems.push(new AiError.InvalidRequestError({ parameter: name, constraint: `is not known to ${provider}` }))
      continue
    }
    // Object.entries forgets the keys' type; the name is one of ours by the line above.
    const wireName = wireNames[name as keyof Parameters]
    if (wireName !== undefined) wire[wireName] = value
  }
  return wire
}

const budgets: { readonly [Effort in ReasoningEffort]: number } = {
  none: 0,
  minimal: 1024,
  low: 1024,
  medium: 8192,
  high: 24_576
}

/** Models up to Gemini 2.5 think by budget, later ones, and aliases such as `gemini-flash-latest`, by level. */
const thinksByLevel = (model: string): boolean => !/gemini-[12]\b/.test(model)

const thinking = (
  model: string,
  effort: ReasoningEffort | undefined,
  options: JsonRecord,
  problems: Array<AiError.AiErrorReason>
): JsonRecord | undefined => {
  if (effort === undefined) return Object.keys(options).length === 0 ? undefined : options
  const includeThoughts = effort !== "none"
  // Google refuses a budget beside a level.
  if (options["thinkingBudget"] !== undefined || options["thinkingLevel"] !== undefined) {
    return { includeThoughts, ...options }
  }
  if (!thinksByLevel(model)) return { includeThoughts, thinkingBudget: budgets[effort], ...options }
  if (effort === "none") {
    problems.push(
      new AiError.InvalidRequestError({
        parameter: "reasoningEffort",
        constraint: `must not be "none" for ${model}`,
        description: "Models from Gemini 3 on always think; \"minimal\" is their least effort"
      })
    )
  }
  return { includeThoughts, thinkingLevel: effort.toUpperCase(), ...options }
}

const jsonSchemas = new WeakMap<Schema.Top, unknown>()

const jsonSchema = (schema: Schema.Top, problems: Array<AiError.AiErrorReason>): unknown => {
  const known = jsonSchemas.get(schema)
  if (known !== undefined) return known
  try {
    const made = GoogleSchema.codecTransformer(schema).jsonSchema
    jsonSchemas.set(schema, made)
    return made
  } catch (error) {
    problems.push(
      new AiError.UnsupportedSchemaError({ description: error instanceof Error ? error.message : String(error) })
    )
    return undefined
  }
}
