/**
 * The wire of Cohere's chat, version 2: messages like OpenAI's, events of its own.
 *
 * Parameters: temperature, topP (`p`), topK (`k`), maxTokens (`max_tokens`), stop (`stop_sequences`), seed,
 * frequencyPenalty and presencePenalty (0 to 1 there). Of reasoningEffort only "none" has an equivalent
 * (`thinking.type: "disabled"`); how much a model thinks is set in tokens, with `thinking.token_budget`.
 *
 * Sources: wire reference, sections 9.2 and 10.8; Cohere's reference of `POST /v2/chat`.
 *
 * @since 0.1.0
 */
import * as Result from "effect/Result"
import type * as Schema from "effect/Schema"
import * as AiError from "effect/unstable/ai/AiError"
import type * as Prompt from "effect/unstable/ai/Prompt"
import type * as Response from "effect/unstable/ai/Response"
import * as AiErrors from "./AiErrors.ts"
import * as ChatMessages from "./ChatMessages.ts"
import * as ChatTools from "./ChatTools.ts"
import type { Codec, ReadContext, Reader, Request } from "./Codec.ts"
import { count, excerpt, isRecord, type JsonRecord, parse, record, text } from "./Json.ts"
import type { Parameters } from "./Parameters.ts"
import * as TextTemplate from "./TextTemplate.ts"
import * as ToolCalls from "./ToolCalls.ts"

declare module "effect/unstable/ai/Response" {
  interface FinishPartMetadata {
    /** Which characters of the answer rest on which sources; the sources are parts with the same ids. */
    readonly cohere?: { readonly citations: ReadonlyArray<Citation> } | null
  }
}

/**
 * @category models
 * @since 0.1.0
 */
export interface Citation {
  readonly [key: string]: Schema.Json
  readonly start: number
  readonly end: number
  readonly text: string
  readonly sources: ReadonlyArray<string>
}

/**
 * What only Cohere has, under Cohere's names.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options {
  readonly safety_mode?: "CONTEXTUAL" | "STRICT" | "OFF" | undefined
  /** How citations are made: quality against speed. */
  readonly citation_options?: { readonly mode: "ENABLED" | "DISABLED" | "FAST" | "ACCURATE" | "OFF" } | undefined
  /** What the model may cite: texts, or records of texts with an id. */
  readonly documents?:
    | ReadonlyArray<string | { readonly id?: string; readonly data: { readonly [name: string]: unknown } }>
    | undefined
  readonly thinking?: { readonly type: "enabled" | "disabled"; readonly token_budget?: number | undefined } | undefined
  /** Forces tool calls to follow their schemas. */
  readonly strict_tools?: boolean | undefined
  /** 0 is the most urgent, 999 the least. */
  readonly priority?: number | undefined
}

/**
 * @category codecs
 * @since 0.1.0
 */
export const codec: Codec = {
  codecTransformer: ChatTools.jsonTransformer,
  step(request) {
    const problems: Array<AiError.AiErrorReason> = []
    const query = body(request, problems)
    const problem = problems[0]
    return problem === undefined
      ? Result.succeed({ provider: request.provider, endpoint: "v2/chat", query, model: request.model })
      : Result.fail(problem)
  },
  reader: (context) => new CohereReader(context)
}

const body = (request: Request, problems: Array<AiError.AiErrorReason>): JsonRecord => {
  const { model, options, parameters, providerOptions, stream } = request
  return {
    model,
    messages: messages(options.prompt, problems),
    ...tools(options, problems),
    ...(options.responseFormat.type === "json"
      ? {
        response_format: {
          type: "json_object",
          json_schema: ChatTools.jsonSchema(options.responseFormat.schema, ChatTools.jsonTransformer, problems)
        }
      }
      : {}),
    ...wireParameters(parameters, problems),
    ...(stream ? { stream: true } : {}),
    ...providerOptions
  }
}

const tools = (options: Request["options"], problems: Array<AiError.AiErrorReason>): JsonRecord => {
  if (options.tools.length === 0) return {}
  const { toolChoice } = options
  // No choice names one tool here, but a choice that is left with one comes to the same.
  const only = typeof toolChoice !== "string" && "tool" in toolChoice ? toolChoice.tool : undefined
  const offered = only === undefined ? options.tools : options.tools.filter(({ name }) => name === only)
  const choice = only === undefined ? ChatTools.toolChoice(toolChoice) : "required"
  return {
    tools: ChatTools.functionTools(offered, ChatTools.jsonTransformer, problems),
    ...(choice === "required" ? { tool_choice: "REQUIRED" } : choice === "none" ? { tool_choice: "NONE" } : {})
  }
}

const wireNames: { readonly [Name in Exclude<keyof Parameters, "reasoningEffort">]-?: string } = {
  maxTokens: "max_tokens",
  temperature: "temperature",
  topP: "p",
  topK: "k",
  seed: "seed",
  stop: "stop_sequences",
  frequencyPenalty: "frequency_penalty",
  presencePenalty: "presence_penalty"
}

const wireParameters = (
  { reasoningEffort, ...parameters }: Parameters,
  problems: Array<AiError.AiErrorReason>
): JsonRecord => {
  const wire: { [name: string]: unknown } = {}
  for (const [name, value] of Object.entries(parameters)) {
    // Object.entries forgets the keys' type.
    if (value !== undefined) wire[wireNames[name as keyof typeof wireNames]] = value
  }
  if (reasoningEffort === "none") wire["thinking"] = { type: "disabled" }
  else if (reasoningEffort !== undefined) {
    problems.push(
      new AiError.InvalidRequestError({
        parameter: "reasoningEffort",
        constraint: "is not known to cohere",
        description: "Only \"none\" has an equivalent; set `thinking.token_budget` among the provider's options"
      })
    )
  }
  return wire
}

/** Texts and images as OpenAI has them; what is said or thought before tool calls has a field of its own. */
const messages = (prompt: Prompt.Prompt, problems: Array<AiError.AiErrorReason>): ReadonlyArray<unknown> =>
  ChatMessages.messages(prompt, problems, { files: { image: "image_url" }, reasoning: "reasoning_content" })
    .map(withPlan)

const withPlan = ({ content, reasoning_content: thoughts, ...message }: ChatMessages.Message) => {
  if (message.tool_calls === undefined) return { ...message, content }
  if (thoughts === undefined) return content === undefined ? message : { ...message, tool_plan: content }
  return { ...message, ...(content === undefined ? {} : { content }), tool_plan: thoughts }
}

class CohereReader implements Reader {
  private readonly context: ReadContext
  private readonly template = TextTemplate.make()
  private readonly citations: Array<Citation> = []
  private readonly sources = new Map<string, Response.UrlSourcePartEncoded | Response.DocumentSourcePartEncoded>()

  constructor(context: ReadContext) {
    this.context = context
  }

  event(data: string): void {
    const { writer } = this.context
    const known = this.template.match(data)
    if (known !== undefined) return writer.text(known)
    if (data.startsWith("[DONE]")) return this.end()
    const json = parse(data)
    if (json === undefined) {
      return writer.fail(new AiError.InvalidOutputError({ description: `an event is not JSON: ${excerpt(data)}` }))
    }
    if (!isRecord(json)) return
    if (AiErrors.isErrorBody(json)) return this.fail(json)
    this.typed(json, data)
  }

  stray(line: string): void {
    const json = line.startsWith("{") ? parse(line) : undefined
    if (isRecord(json) && AiErrors.isErrorBody(json)) this.fail(json)
  }

  body(json: unknown): void {
    const { writer } = this.context
    const answer = record(json)
    const message = answer["message"]
    if (AiErrors.isErrorBody(answer)) return this.fail(answer)
    // An error of Cohere's is its message alone.
    if (typeof message === "string") return this.fail({ error: message })
    if (!isRecord(message)) {
      return writer.fail(new AiError.InvalidOutputError({ description: "the answer has no `message`" }))
    }
    this.name(answer)
    writer.reasoning(text(message["tool_plan"]) ?? "")
    const { citations, content, tool_calls: calls } = message
    if (typeof content === "string") writer.text(content)
    else if (Array.isArray(content)) content.forEach((part) => this.content(record(part)))
    if (Array.isArray(calls)) calls.forEach((call, index) => this.call(call, index))
    if (Array.isArray(citations)) citations.forEach((citation) => this.citation(record(citation)))
    this.finish(answer)
  }

  end(): void {
    const { cut, writer } = this.context
    writer.endOfBody(() => cut("the stream was cut: no message-end came"))
  }

  private typed(json: JsonRecord, data: string): void {
    const { writer } = this.context
    const delta = record(json["delta"])
    const message = record(delta["message"])
    const index = count(json["index"])
    switch (json["type"]) {
      case "message-start":
        return this.name(json)
      case "content-start":
      case "content-delta": {
        const content = record(message["content"])
        this.content(content)
        const said = text(content["text"])
        const isAlone = said !== undefined && Object.keys(content).length === 1 && Object.keys(message).length === 1
        if (isAlone && this.template.learning) this.template.learn(data, "text", said)
        return
      }
      case "content-end":
        writer.endText()
        return writer.endReasoning()
      case "tool-plan-delta":
        return writer.reasoning(text(message["tool_plan"]) ?? "")
      case "tool-call-start":
      case "tool-call-delta":
        return this.call(message["tool_calls"], index)
      case "citation-start":
        return this.citation(record(message["citations"]))
      case "message-end":
        return this.finish(delta)
    }
  }

  private name(answer: JsonRecord): void {
    const id = text(answer["id"])
    if (id !== undefined) this.context.writer.responseMetadata({ id })
  }

  private content(content: JsonRecord): void {
    const { writer } = this.context
    if (typeof content["thinking"] === "string") writer.reasoning(content["thinking"])
    if (typeof content["text"] === "string") writer.text(content["text"])
  }

  private call(call: unknown, index: number | undefined): void {
    const fragment = ToolCalls.fragment(call)
    if (fragment !== undefined) {
      this.context.writer.toolCall({ ...fragment, index: fragment.index ?? index, incremental: true })
    }
  }

  private citation(citation: JsonRecord): void {
    const start = count(citation["start"])
    const end = count(citation["end"])
    const given = Array.isArray(citation["sources"]) ? citation["sources"].filter(isRecord) : []
    const ids = given.flatMap((source) => text(source["id"]) ?? [])
    for (const source of given) this.source(source)
    if (start === undefined || end === undefined) return
    this.citations.push({ start, end, text: text(citation["text"]) ?? "", sources: ids })
  }

  private source(source: JsonRecord): void {
    const id = text(source["id"])
    if (id === undefined || this.sources.has(id)) return
    const document = record(source["document"])
    const title = text(document["title"]) ?? id
    const url = text(document["url"])
    this.sources.set(
      id,
      url !== undefined && URL.canParse(url)
        ? { type: "source", sourceType: "url", id, url, title }
        : { type: "source", sourceType: "document", id, mediaType: "text/plain", title }
    )
  }

  /** `message-end`'s delta, or the whole answer. */
  private finish(answer: JsonRecord): void {
    const { writer } = this.context
    const usage = record(answer["usage"])
    const tokens = record(usage["tokens"] ?? usage["billed_units"])
    writer.addUsage({
      input: count(tokens["input_tokens"]),
      cacheRead: count(usage["cached_tokens"]),
      output: count(tokens["output_tokens"])
    })
    const reason = text(answer["finish_reason"])
    if (reason === undefined) {
      return writer.fail(new AiError.InvalidOutputError({ description: "the answer has no `finish_reason`" }))
    }
    if (reason === "ERROR" || reason === "TIMEOUT") {
      return this.fail({ error: answer["error"] ?? `the model stopped: ${reason}` })
    }
    for (const source of this.sources.values()) writer.part(source)
    if (this.citations.length > 0) writer.addFinishMetadata({ cohere: { citations: this.citations } })
    writer.addFinishReason(finishReasons.get(reason) ?? "other")
    writer.end()
  }

  private fail(body: JsonRecord): void {
    this.context.writer.fail(this.context.reasonOf(body))
  }
}

const finishReasons: ReadonlyMap<string, Response.FinishReason> = new Map([
  ["COMPLETE", "stop"],
  ["STOP_SEQUENCE", "stop"],
  ["MAX_TOKENS", "length"],
  ["ERROR_LIMIT", "length"],
  ["TOOL_CALL", "tool-calls"],
  ["ERROR_TOXIC", "content-filter"]
])
