/**
 * The wire of OpenAI's chat completions, in any of its {@link Dialect}s.
 *
 * Parameters, as OpenAI has them: temperature, topP (`top_p`), maxTokens (`max_completion_tokens`, elsewhere
 * `max_tokens`), stop, seed, frequencyPenalty, presencePenalty, reasoningEffort (`reasoning_effort`); topK has no name and
 * is refused. The names and gaps of the other providers are data, in `dialects.ts`.
 *
 * Sources: wire reference, sections 1.4, 1.5, 9.1 to 9.3, 10.0, 10.1 and 10.8; OpenAI's reference of chat completions.
 *
 * @since 0.1.0
 */
import * as Result from "effect/Result"
import * as AiError from "effect/unstable/ai/AiError"
import type * as LanguageModel from "effect/unstable/ai/LanguageModel"
import * as OpenAiStructuredOutput from "effect/unstable/ai/OpenAiStructuredOutput"
import * as AiErrors from "./AiErrors.ts"
import * as ChatAttachments from "./ChatAttachments.ts"
import * as ChatChoices from "./ChatChoices.ts"
import * as ChatMessages from "./ChatMessages.ts"
import * as ChatTools from "./ChatTools.ts"
import type { Codec, ReadContext, Reader, Request } from "./Codec.ts"
import type { Dialect } from "./dialects.ts"
import { excerpt, isRecord, type JsonRecord, parse, record, text } from "./Json.ts"
import type { Parameters } from "./Parameters.ts"
import * as TextTemplate from "./TextTemplate.ts"
import * as ThinkTags from "./ThinkTags.ts"

/**
 * What only OpenAI's chat completions have, under OpenAI's names. Most providers of the format know some of it too.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options {
  /** Whether the model may call several tools at once; it may by default. */
  readonly parallel_tool_calls?: boolean | undefined
  /** How long the text of an answer is. */
  readonly verbosity?: "low" | "medium" | "high" | undefined
  readonly service_tier?: "auto" | "default" | "flex" | "priority" | undefined
  /** Keeps the answer at OpenAI, for evaluations and distillation. */
  readonly store?: boolean | undefined
  /** Up to 16 pairs that go with a stored answer. */
  readonly metadata?: { readonly [name: string]: string } | undefined
  /** Requests with the same key are likely to find the same prompt cache. */
  readonly prompt_cache_key?: string | undefined
  readonly prompt_cache_retention?: "in_memory" | "24h" | undefined
  /** A stable, hashed id of the end user. */
  readonly safety_identifier?: string | undefined
  /** Adds -100 to 100 to the likelihood of tokens, by token id. */
  readonly logit_bias?: { readonly [tokenId: string]: number } | undefined
  /** Text that most of the answer is expected to repeat. */
  readonly prediction?: { readonly type: "content"; readonly content: string } | undefined
  /** What the model answers with; `audio` comes as a file part. */
  readonly modalities?: ReadonlyArray<"text" | "audio"> | undefined
  readonly audio?: { readonly voice: string; readonly format: "wav" | "mp3" | "flac" | "opus" | "pcm16" } | undefined
  /** Of the search models; their citations come as source parts. */
  readonly web_search_options?: {
    readonly search_context_size?: "low" | "medium" | "high" | undefined
    readonly user_location?: {
      readonly type: "approximate"
      readonly approximate: {
        readonly country?: string | undefined
        readonly city?: string | undefined
        readonly region?: string | undefined
        readonly timezone?: string | undefined
      }
    } | undefined
  } | undefined
}

/**
 * The codec of one dialect.
 *
 * @category codecs
 * @since 0.1.0
 */
export const codec = (dialect: Dialect): Codec => {
  const codecTransformer = dialect.json === "strict"
    ? OpenAiStructuredOutput.toCodecOpenAI
    : ChatTools.jsonTransformer
  return {
    codecTransformer,
    step(request) {
      const problems: Array<AiError.AiErrorReason> = []
      const query = body(dialect, codecTransformer, request, problems)
      const { endpoint } = dialect
      const problem = problems[0]
      if (problem !== undefined) return Result.fail(problem)
      return Result.succeed({
        provider: dialect.slug ?? request.provider,
        endpoint: typeof endpoint === "string" ? endpoint : endpoint(request.model),
        query,
        model: request.model
      })
    },
    reader: (context) => new ChatReader(context, dialect)
  }
}

const body = (
  dialect: Dialect,
  transformer: LanguageModel.CodecTransformer,
  request: Request,
  problems: Array<AiError.AiErrorReason>
): JsonRecord => {
  const { model, options, providerOptions, stream } = request
  const bodyModel = dialect.bodyModel === undefined ? model : dialect.bodyModel(model)
  const messages = ChatMessages.messages(options.prompt, problems, dialect)
  const format = responseFormat(dialect, transformer, options.responseFormat, problems)
  return {
    ...(bodyModel === undefined ? {} : { model: bodyModel }),
    messages: format.instruction === undefined ? messages : instructed(messages, format.instruction),
    ...tools(dialect, request, problems),
    ...format.body,
    ...parameters(dialect, request, problems),
    ...(stream ? { stream: true } : {}),
    ...(stream && dialect.includeUsage ? { stream_options: { include_usage: true } } : {}),
    ...providerOptions
  }
}

const tools = (
  dialect: Dialect,
  { options, provider }: Request,
  problems: Array<AiError.AiErrorReason>
): JsonRecord => {
  const first = options.tools[0]
  if (first === undefined) return {}
  if (dialect.tools === "none") {
    problems.push(
      new AiError.ToolConfigurationError({ toolName: first.name, description: `${provider} knows no tools` })
    )
    return {}
  }
  const choice = ChatTools.toolChoice(options.toolChoice)
  return {
    tools: ChatTools.functionTools(
      options.tools,
      ChatTools.jsonTransformer,
      problems,
      dialect.tools === "strict" ? OpenAiStructuredOutput.toCodecOpenAI : undefined
    ),
    tool_choice: choice === "required" ? dialect.required ?? choice : choice
  }
}

const parameters = (
  dialect: Dialect,
  { model, parameters, provider }: Request,
  problems: Array<AiError.AiErrorReason>
): JsonRecord => {
  const { reasoningEffort, ...sampling } = parameters
  const wire: { [name: string]: unknown } = {}
  for (const [key, value] of Object.entries(sampling)) {
    if (value === undefined) continue
    // Object.entries forgets the keys' type; names that are none of ours have no wire name.
    const name = key as keyof Dialect["parameters"] & keyof Parameters
    const given = Object.hasOwn(dialect.parameters, name) ? dialect.parameters[name] : undefined
    const wireName = name === "maxTokens" && given !== undefined ? dialect.tokenLimit?.(model) ?? given : given
    if (wireName === undefined) problems.push(unknownParameter(key, provider))
    else wire[wireName] = value
  }
  if (reasoningEffort === undefined) return wire
  if (dialect.reasoningEffort !== undefined) return { ...wire, ...dialect.reasoningEffort(reasoningEffort) }
  problems.push(unknownParameter("reasoningEffort", provider))
  return wire
}

const unknownParameter = (parameter: string, provider: string): AiError.InvalidRequestError =>
  new AiError.InvalidRequestError({ parameter, constraint: `is not known to ${provider}` })

const responseFormat = (
  { json }: Dialect,
  transformer: LanguageModel.CodecTransformer,
  format: LanguageModel.ProviderOptions["responseFormat"],
  problems: Array<AiError.AiErrorReason>
): { readonly body?: JsonRecord; readonly instruction?: string } => {
  if (format.type === "text") return {}
  const schema = ChatTools.jsonSchema(format.schema, transformer, problems)
  if (json === "object") {
    return {
      body: { response_format: { type: "json_object" } },
      instruction: `Answer with nothing but a JSON object that matches this JSON schema:\n${JSON.stringify(schema)}`
    }
  }
  // OpenAI allows letters, digits, underscores and dashes, 64 of them.
  const name = format.objectName.replace(/[^a-zA-Z0-9_-]/g, "_").slice(0, 64)
  const json_schema = { name, schema, ...(json === "strict" ? { strict: true } : {}) }
  return { body: { response_format: { type: "json_schema", json_schema } } }
}

/** After the system's own words: some providers want all of those at the start. */
const instructed = (
  messages: ReadonlyArray<ChatMessages.Message>,
  content: string
): ReadonlyArray<ChatMessages.Message> => {
  const found = messages.findIndex(({ role }) => role !== "system")
  const at = found === -1 ? messages.length : found
  return [...messages.slice(0, at), { role: "system", content }, ...messages.slice(at)]
}

class ChatReader implements Reader {
  private readonly context: ReadContext
  private readonly template = TextTemplate.make()
  private readonly tags: ThinkTags.ThinkTags
  private readonly attachments: ChatAttachments.ChatAttachments
  private readonly incremental: boolean
  private named = false
  private refused = false
  private stopped = false

  constructor(context: ReadContext, dialect: Dialect) {
    this.context = context
    this.tags = ThinkTags.make(context.writer, dialect.thinkTags)
    this.incremental = dialect.cumulative !== true
    if (dialect.tools === "strict") {
      const { tools } = context.request.options
      context.writer.toolParams = ChatTools.strictParams(tools, OpenAiStructuredOutput.toCodecOpenAI)
    }
    this.attachments = ChatAttachments.make(context)
  }

  event(data: string, event: string): void {
    const { writer } = this.context
    const known = this.template.match(data)
    if (known !== undefined) return this.tags.text(known)
    if (data.startsWith("[DONE]")) return this.finish()
    const json = parse(data)
    if (json === undefined) {
      return writer.fail(new AiError.InvalidOutputError({ description: `an event is not JSON: ${excerpt(data)}` }))
    }
    if (!isRecord(json)) return
    if (event === "error" && !AiErrors.isErrorBody(json)) return this.fail({ error: json })
    this.answer(json)
    if (!this.template.learning) return
    const delta = ChatChoices.textAlone(json)
    if (delta !== undefined) this.template.learn(data, "content", delta)
  }

  stray(line: string): void {
    const json = line.startsWith("{") ? parse(line) : undefined
    if (isRecord(json) && AiErrors.isErrorBody(json)) this.fail(json)
  }

  body(json: unknown): void {
    const { writer } = this.context
    // Google's errors come in a list, also through the unified endpoint.
    const answer = Array.isArray(json) ? json[0] : json
    if (isRecord(answer)) this.answer(answer)
    if (!writer.done) this.finish()
  }

  end(): void {
    const { cut, writer } = this.context
    if (writer.hasFinishReason) return this.finish()
    this.tags.end()
    writer.endOfBody(() => cut("the stream was cut: neither [DONE] nor a finish reason came"))
  }

  private finish(): void {
    const { writer } = this.context
    this.tags.end()
    this.attachments.end()
    // OpenAI says "stop" of a refusal; Effect has a word for it.
    if (this.refused && this.stopped) writer.addFinishReason("content-filter")
    writer.end("the answer has no `choices` with anything to read in them")
  }

  private answer(chunk: JsonRecord): void {
    const { writer } = this.context
    if (AiErrors.isErrorBody(chunk)) return this.fail(chunk)
    // vLLM's errors in a stream are the bare error object.
    if (chunk["object"] === "error") return this.fail({ error: chunk })
    if (!this.named) this.name(chunk)
    const usage = chunk["usage"] ?? record(chunk["x_groq"])["usage"]
    if (usage) ChatChoices.readUsage(usage, writer)
    this.attachments.chunk(chunk)
    const choices = chunk["choices"]
    const choice = Array.isArray(choices) ? ChatChoices.first(choices) : undefined
    if (choice === undefined) return
    if (isRecord(choice["error"])) return this.fail({ error: choice["error"] })
    const delta = choice["delta"] ?? choice["message"]
    if (isRecord(delta)) {
      this.attachments.before(delta)
      ChatChoices.readDelta(delta, writer, this.tags, this.incremental)
      this.attachments.after(delta)
      if (text(delta["refusal"]) !== undefined) this.refused = true
    }
    const reason = text(choice["finish_reason"])
    if (reason === undefined) return
    if (broken.has(reason)) return this.fail({ error: `the model stopped: ${reason}` })
    this.stopped = reason === "stop"
    writer.addFinishReason(ChatChoices.finishReason(reason))
  }

  /** Who answered, from the first chunk that says it. */
  private name(chunk: JsonRecord): void {
    const id = text(chunk["id"])
    const modelId = text(chunk["model"])
    if (id === undefined && modelId === undefined) return
    this.named = true
    const { created } = chunk
    const seconds = typeof created === "number" && created > 0 && created < lastSecond ? created : undefined
    this.context.writer.responseMetadata({
      ...(id === undefined ? {} : { id }),
      ...(modelId === undefined ? {} : { modelId }),
      ...(seconds === undefined ? {} : { timestamp: new Date(seconds * 1000).toISOString() })
    })
  }

  private fail(body: JsonRecord): void {
    this.tags.end()
    this.context.writer.fail(this.context.reasonOf(body))
  }
}

/** Finish reasons of answers that failed: Mistral's and OpenRouter's; DeepSeek's. */
const broken: ReadonlySet<string> = new Set(["error", "insufficient_system_resource"])

/** The last second that a date-time can name. */
const lastSecond = 8.64e12
