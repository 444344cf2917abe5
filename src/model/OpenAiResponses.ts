/**
 * The wire of OpenAI's Responses API: items in, items out, and a stream of typed events.
 *
 * Parameters: `maxTokens` is `max_output_tokens`, `temperature` and `topP` (`top_p`) are themselves, `reasoningEffort`
 * is `reasoning.effort`. `topK`, `stop`, `seed`, `frequencyPenalty` and `presencePenalty` do not exist here, and a
 * request with one of them is refused before it is sent.
 *
 * Sources: wire reference, sections 9.1, 9.2, 10.0 and 10.2; OpenAI's API reference, "Responses" and "Streaming events".
 *
 * @since 0.1.0
 */
import * as Result from "effect/Result"
import type * as Schema from "effect/Schema"
import * as AiError from "effect/unstable/ai/AiError"
import type * as LanguageModel from "effect/unstable/ai/LanguageModel"
import * as OpenAiStructuredOutput from "effect/unstable/ai/OpenAiStructuredOutput"
import type { Codec, Request } from "./Codec.ts"
import { isRecord, type JsonRecord, text } from "./Json.ts"
import * as Input from "./OpenAiResponsesInput.ts"
import { ResponsesReader } from "./OpenAiResponsesReader.ts"
import type { Parameters } from "./Parameters.ts"

export type {
  FileInfo,
  FinishInfo,
  ReasoningInfo,
  SourceInfo,
  TextInfo,
  ToolCallInfo
} from "./OpenAiResponsesMetadata.ts"

/**
 * What only this API has. Other names go into the body as they are, under the API's own names.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options {
  /** Whether OpenAI keeps the answer, so that a later request can refer to it; its own default is `true`. */
  readonly store?: boolean | undefined
  /**
   * What the answer holds beside its text: `reasoning.encrypted_content` (needed for reasoning over several turns where
   * `store` is `false`), `web_search_call.action.sources`, `file_search_call.results`, ...
   */
  readonly include?: ReadonlyArray<string> | undefined
  /** Asks for a summary of the reasoning; without it reasoning parts are empty. */
  readonly reasoningSummary?: "auto" | "concise" | "detailed" | undefined
  /** Goes on from a stored answer. The id of a `ResponseIdTracker` wins, and then only the new messages are sent. */
  readonly previousResponseId?: string | undefined
  /** Goes on with a stored conversation. */
  readonly conversation?: string | undefined
  /** Instructions for this answer alone: unlike system messages they are not part of the conversation. */
  readonly instructions?: string | undefined
  /** What happens to a conversation longer than the model's context. */
  readonly truncation?: "auto" | "disabled" | undefined
  /** Whether the model may call several tools at once. */
  readonly parallelToolCalls?: boolean | undefined
  /** Most calls of built-in tools in one answer. */
  readonly maxToolCalls?: number | undefined
  readonly serviceTier?: "auto" | "default" | "flex" | "priority" | undefined
  /** How long the answer's text is to be. */
  readonly verbosity?: "low" | "medium" | "high" | undefined
  /** Up to 16 pairs that are kept with the answer. */
  readonly metadata?: { readonly [name: string]: string } | undefined
  readonly user?: string | undefined
  /** Stands for the end user in OpenAI's abuse monitoring. */
  readonly safetyIdentifier?: string | undefined
  /** Requests of one key are more likely to meet each other's cached prompts. */
  readonly promptCacheKey?: string | undefined
  readonly promptCacheRetention?: "in_memory" | "24h" | undefined
}

/**
 * Schema and codec of structured output: OpenAI's subset of JSON Schema.
 *
 * @category codecs
 * @since 0.1.0
 */
export const codecTransformer: LanguageModel.CodecTransformer = OpenAiStructuredOutput.toCodecOpenAI

/**
 * @category codecs
 * @since 0.1.0
 */
export const codec: Codec = {
  codecTransformer,
  step(request) {
    const problems: Array<AiError.AiErrorReason> = []
    const query = body(request, problems)
    const problem = problems[0]
    return problem === undefined
      ? Result.succeed({ provider: request.provider, endpoint: "responses", query, model: request.model })
      : Result.fail(problem)
  },
  reader: (context) => new ResponsesReader(context)
}

type Body = { [name: string]: unknown }

const body = (request: Request, problems: Array<AiError.AiErrorReason>): JsonRecord => {
  const { model, options, stream } = request
  const given = wireOptions(request.providerOptions)
  const { incrementalPrompt, previousResponseId, prompt, tools } = options
  const continues = previousResponseId !== undefined && incrementalPrompt !== undefined
  const wire: Body = {
    model,
    input: Input.input(
      continues ? incrementalPrompt : prompt,
      { history: prompt, stored: given["store"] !== false },
      problems
    )
  }
  if (tools.length > 0) {
    wire["tools"] = Input.tools(tools, problems)
    wire["tool_choice"] = Input.toolChoice(options.toolChoice, tools)
  }
  if (options.responseFormat.type === "json") {
    wire["text"] = { format: jsonFormat(options.responseFormat, problems) }
  }
  addParameters(wire, request, problems)
  if (stream) wire["stream"] = true
  for (const [name, value] of Object.entries(given)) {
    const made = wire[name]
    // `reasoning` and `text` hold what parameters and formats say as well.
    wire[name] = isRecord(made) && isRecord(value) ? { ...made, ...value } : value
  }
  // Only now: the messages before this answer are not in the input.
  if (continues) wire["previous_response_id"] = previousResponseId
  return wire
}

const addParameters = (
  wire: Body,
  { parameters, provider }: Request,
  problems: Array<AiError.AiErrorReason>
): void => {
  for (const [name, value] of Object.entries(parameters)) {
    if (value === undefined) continue
    // Object.entries forgets the keys' type; names that are none of ours have no wire name.
    const wireName = wireParameters[name as keyof Parameters]
    if (wireName !== undefined) wire[wireName] = value
    else if (name === "reasoningEffort") wire["reasoning"] = { effort: value }
    else {
      problems.push(
        new AiError.InvalidRequestError({
          parameter: name,
          constraint: `is not known to ${provider}`,
          description: "The Responses API has no such parameter"
        })
      )
    }
  }
}

const wireParameters: { readonly [Name in keyof Parameters]: string } = {
  maxTokens: "max_output_tokens",
  temperature: "temperature",
  topP: "top_p"
}

const wireOptionNames: { readonly [Name in keyof Options]: string } = {
  previousResponseId: "previous_response_id",
  parallelToolCalls: "parallel_tool_calls",
  maxToolCalls: "max_tool_calls",
  serviceTier: "service_tier",
  safetyIdentifier: "safety_identifier",
  promptCacheKey: "prompt_cache_key",
  promptCacheRetention: "prompt_cache_retention"
}

/** Options under their wire names; those that the wire has inside `reasoning` and `text` are put there. */
const wireOptions = (options: JsonRecord): JsonRecord => {
  const wire: Body = {}
  const put = (name: string, value: unknown) => {
    const before = wire[name]
    wire[name] = isRecord(before) && isRecord(value) ? { ...before, ...value } : value
  }
  for (const [name, value] of Object.entries(options)) {
    if (value === undefined) continue
    if (name === "reasoningSummary") put("reasoning", { summary: value })
    else if (name === "verbosity") put("text", { verbosity: value })
    // One of its own keys is one of the options'.
    else put(Object.hasOwn(wireOptionNames, name) ? wireOptionNames[name as keyof Options] ?? name : name, value)
  }
  return wire
}

const jsonSchemas = new WeakMap<Schema.Top, unknown>()

const jsonFormat = (
  { objectName, schema }: Extract<LanguageModel.ProviderOptions["responseFormat"], { readonly type: "json" }>,
  problems: Array<AiError.AiErrorReason>
): JsonRecord => {
  let jsonSchema = jsonSchemas.get(schema)
  if (jsonSchema === undefined) {
    try {
      jsonSchema = codecTransformer(schema).jsonSchema
      jsonSchemas.set(schema, jsonSchema)
    } catch (error) {
      problems.push(
        new AiError.UnsupportedSchemaError({ description: error instanceof Error ? error.message : String(error) })
      )
    }
  }
  // The name may have letters, digits, "_" and "-", 64 at most; a schema's identifier is often a path.
  const name = text(objectName.replace(/[^A-Za-z0-9_-]/g, "_").slice(0, 64)) ?? "response"
  return { type: "json_schema", name, strict: true, schema: jsonSchema }
}
