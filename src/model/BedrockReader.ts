/**
 * Reads the answers of Bedrock's Converse API: whole, or frame by frame.
 *
 * The reason comes with `messageStop`, the usage after it with `metadata`, which ends the answer; so does the end of the
 * body after `messageStop`. Events, blocks and deltas of types that are not known here are passed over.
 *
 * Sources: wire reference, section 10.5; Amazon's reference of `Converse` and `ConverseStream`.
 *
 * @since 0.1.0
 */
import type * as Schema from "effect/Schema"
import * as AiError from "effect/unstable/ai/AiError"
import type * as Response from "effect/unstable/ai/Response"
import * as AiErrors from "./AiErrors.ts"
import type { ReasoningOptions } from "./BedrockPrompt.ts"
import type { ReadContext, Reader } from "./Codec.ts"
import * as EventFrames from "./EventFrames.ts"
import { count, excerpt, isRecord, type JsonRecord, parse, record, text } from "./Json.ts"

/**
 * What the finish part says beside reason and usage; absent where the answer did not say it.
 *
 * @category models
 * @since 0.1.0
 */
export type FinishMetadata = {
  /** The reason in the API's own word, such as `guardrail_intervened`. */
  readonly stopReason: string | null
  /** Fields of the model's own answer that `additionalModelResponseFieldPaths` asked for. */
  readonly additionalModelResponseFields?: Schema.Json
  /** What a guardrail found. */
  readonly trace?: Schema.Json
  readonly latencyMs?: number
}

declare module "effect/unstable/ai/Response" {
  interface ReasoningPartMetadata {
    readonly bedrock?: ReasoningOptions | null
  }
  interface ReasoningStartPartMetadata {
    readonly bedrock?: ReasoningOptions | null
  }
  interface ReasoningEndPartMetadata {
    readonly bedrock?: ReasoningOptions | null
  }
  interface UrlSourcePartMetadata {
    /** The citation as it came: the cited text, and where it stands. */
    readonly bedrock?: { readonly citation: Schema.Json } | null
  }
  interface DocumentSourcePartMetadata {
    readonly bedrock?: { readonly citation: Schema.Json } | null
  }
  interface FinishPartMetadata {
    readonly bedrock?: FinishMetadata | null
  }
}

/**
 * The tool whose input is the object that was asked for.
 *
 * @category constants
 * @since 0.1.0
 */
export const objectTool = "structured_output"

/**
 * @category constructors
 * @since 0.1.0
 */
export const make = (context: ReadContext): Reader => new BedrockReader(context)

/** What is known of a content block between its first event and its stop. */
interface Block {
  readonly type: "call" | "object" | "other"
  hasInput: boolean
  signature: string
  redacted: string
  readonly citations: Array<JsonRecord>
}

class BedrockReader implements Reader {
  private readonly context: ReadContext
  private readonly answersByTool: boolean
  private readonly blocks = new Map<number, Block>()
  private sources = 0
  private stopReason: string | undefined
  private details: Omit<FinishMetadata, "stopReason"> = {}
  private hasUsage = false

  constructor(context: ReadContext) {
    this.context = context
    this.answersByTool = context.request.options.responseFormat.type === "json"
  }

  readonly frames = (): EventFrames.EventFrames =>
    EventFrames.make({
      frame: (frame) => {
        if (!this.context.writer.done) this.frame(frame)
      },
      corrupt: (reason) => this.context.writer.fail(reason),
      cut: () => this.context.writer.fail(this.context.cut("the stream was cut inside a frame"))
    })

  /** Not Bedrock's, but what stands between may speak in server-sent events: to report an error, for instance. */
  event(data: string, name: string): void {
    const json = record(parse(data))
    if (AiErrors.isErrorBody(json)) return this.context.writer.fail(this.context.reasonOf(json))
    this.typed(name, json)
  }

  body(json: unknown): void {
    const { writer } = this.context
    const answer = record(json)
    const message = record(record(answer["output"])["message"])
    if (AiErrors.isErrorBody(answer)) return writer.fail(this.context.reasonOf(answer))
    if (!Array.isArray(message["content"])) {
      // An error of AWS's is its message, and maybe its name.
      const name = text(answer["__type"])
      if (name !== undefined || text(answer["message"]) !== undefined) return this.exception(name, answer)
      const description = "the answer has no list `output.message.content`"
      return writer.fail(new AiError.InvalidOutputError({ description }))
    }
    const content = message["content"].map(record)
    // What is said around an object would be taken for a part of its JSON.
    const hasObject = this.answersByTool && content.some((block) => record(block["toolUse"])["name"] === objectTool)
    content.forEach((block, index) => {
      if (!hasObject || block["text"] === undefined) this.block(index, block)
    })
    this.messageStop(answer)
    this.metadata(answer)
    if (!writer.done) this.finish()
  }

  end(): void {
    const { cut, writer } = this.context
    if (this.stopReason === undefined) writer.fail(cut("the stream was cut: no messageStop came"))
    else this.finish()
  }

  private frame({ header, payload }: EventFrames.Frame): void {
    const { writer } = this.context
    const json = parse(payload)
    switch (header(":message-type")) {
      case "event": {
        const type = header(":event-type")
        if (type !== undefined && isRecord(json)) return this.typed(type, json)
        const description = type === undefined
          ? "an event has no `:event-type`"
          : `the event ${type} is not a JSON object: ${excerpt(payload)}`
        return writer.fail(new AiError.InvalidOutputError({ description }))
      }
      case "exception":
        return this.exception(header(":exception-type"), isRecord(json) ? json : { message: payload })
      case "error":
        return this.exception(header(":error-code"), { message: header(":error-message") })
      default:
        writer.fail(new AiError.InvalidOutputError({ description: "a frame has no known `:message-type`" }))
    }
  }

  private typed(type: string, json: JsonRecord): void {
    const index = count(json["contentBlockIndex"]) ?? 0
    switch (type) {
      case "contentBlockStart":
        return this.start(index, record(json["start"]))
      case "contentBlockDelta":
        return this.delta(index, record(json["delta"]))
      case "contentBlockStop":
        return this.stop(index)
      case "messageStop":
        return this.messageStop(json)
      case "metadata":
        this.metadata(json)
        if (this.stopReason !== undefined) this.finish()
    }
  }

  /** A block of a whole answer. */
  private block(index: number, block: JsonRecord): void {
    if (isRecord(block["toolUse"])) {
      this.start(index, block)
      const { input } = block["toolUse"]
      if (isRecord(input)) this.delta(index, { toolUse: { input: JSON.stringify(input) } })
    } else if (isRecord(block["citationsContent"])) {
      const { citations, content } = block["citationsContent"]
      if (Array.isArray(content)) content.forEach((piece) => this.delta(index, { text: record(piece)["text"] }))
      if (Array.isArray(citations)) citations.forEach((citation) => this.delta(index, { citation }))
    } else if (isRecord(block["reasoningContent"])) {
      const { reasoningText, redactedContent } = block["reasoningContent"]
      this.delta(index, { reasoningContent: { ...record(reasoningText), redactedContent } })
    } else this.delta(index, block)
    this.stop(index)
  }

  private start(index: number, start: JsonRecord): void {
    const { writer } = this.context
    // A block that was not stopped: its index is used again.
    if (this.blocks.has(index)) this.stop(index)
    if (!isRecord(start["toolUse"])) return
    const id = text(start["toolUse"]["toolUseId"])
    const name = text(start["toolUse"]["name"])
    const isObject = this.answersByTool && name === objectTool
    this.open(index, isObject ? "object" : "call")
    if (isObject) writer.startText()
    else writer.toolCall({ index, id, name, arguments: undefined, incremental: true })
  }

  private delta(index: number, delta: JsonRecord): void {
    const { writer } = this.context
    const block = this.blocks.get(index) ?? this.open(index, "other")
    if (typeof delta["text"] === "string") return writer.text(delta["text"])
    const { citation, reasoningContent, toolUse } = delta
    if (isRecord(reasoningContent)) {
      writer.reasoning(text(reasoningContent["text"]) ?? "")
      block.signature += text(reasoningContent["signature"]) ?? ""
      block.redacted += text(reasoningContent["redactedContent"]) ?? text(reasoningContent["data"]) ?? ""
    } else if (isRecord(toolUse)) {
      const input = text(toolUse["input"])
      if (input === undefined) return
      block.hasInput = true
      if (block.type === "object") writer.text(input)
      else writer.toolCall({ index, id: undefined, name: undefined, arguments: input, incremental: true })
    } else if (isRecord(citation)) block.citations.push(citation)
  }

  private stop(index: number): void {
    const { writer } = this.context
    const block = this.blocks.get(index)
    if (block === undefined) return
    this.blocks.delete(index)
    switch (block.type) {
      case "object":
        if (!block.hasInput) writer.text("{}")
        return writer.endText()
      case "call":
        // The call is complete; one without any fragment has no arguments.
        return writer.toolCall({
          index,
          id: undefined,
          name: undefined,
          arguments: block.hasInput ? undefined : "{}",
          incremental: true
        })
      case "other":
        if (block.redacted !== "") {
          writer.startReasoning({ bedrock: { redactedContent: block.redacted } })
          writer.endReasoning()
        } else if (block.signature !== "") {
          // Thoughts that are not shown have a signature all the same.
          if (!writer.isReasoning) writer.startReasoning()
          writer.endReasoning({ bedrock: { signature: block.signature } })
        } else writer.endReasoning()
        writer.endText()
        block.citations.forEach((citation) => this.source(citation))
    }
  }

  private open(index: number, type: Block["type"]): Block {
    const block: Block = { type, hasInput: false, signature: "", redacted: "", citations: [] }
    this.blocks.set(index, block)
    return block
  }

  private source(citation: JsonRecord): void {
    const { writer } = this.context
    const url = text(record(record(citation["location"])["web"])["url"]) ?? text(citation["source"])
    const title = text(citation["title"])
    const id = `source-${this.sources++}`
    const metadata: Response.ProviderMetadata = { bedrock: { citation: json(citation) } }
    writer.part(
      url !== undefined && URL.canParse(url)
        ? { type: "source", sourceType: "url", id, url, title: title ?? url, metadata }
        : {
          type: "source",
          sourceType: "document",
          id,
          mediaType: "text/plain",
          title: title ?? url ?? "Untitled document",
          metadata
        }
    )
  }

  private messageStop(holder: JsonRecord): void {
    const { writer } = this.context
    const reason = text(holder["stopReason"])
    if (reason === undefined) {
      return writer.fail(new AiError.InvalidOutputError({ description: "the answer has no `stopReason`" }))
    }
    this.stopReason = reason
    const fields = holder["additionalModelResponseFields"]
    if (fields !== undefined && fields !== null) {
      this.details = { ...this.details, additionalModelResponseFields: json(fields) }
    }
    // The call that stands for an object is the answer itself.
    writer.addFinishReason(this.answersByTool && reason === "tool_use" ? "stop" : finishReasons.get(reason) ?? "other")
    // In the wrong order, but complete.
    if (this.hasUsage) this.finish()
  }

  private metadata({ metrics, trace, usage }: JsonRecord): void {
    this.hasUsage = true
    const latencyMs = count(record(metrics)["latencyMs"])
    this.details = {
      ...this.details,
      ...(latencyMs === undefined ? {} : { latencyMs }),
      ...(isRecord(trace) ? { trace: json(trace) } : {})
    }
    if (!isRecord(usage)) return
    const uncached = count(usage["inputTokens"])
    const cacheRead = count(usage["cacheReadInputTokens"])
    const cacheWrite = count(usage["cacheWriteInputTokens"])
    this.context.writer.addUsage({
      // What was cached is not in Bedrock's own count.
      input: uncached === undefined ? undefined : uncached + (cacheRead ?? 0) + (cacheWrite ?? 0),
      cacheRead,
      cacheWrite,
      output: count(usage["outputTokens"])
    })
  }

  private finish(): void {
    const { writer } = this.context
    for (const index of this.blocks.keys()) this.stop(index)
    writer.addFinishMetadata({ bedrock: { stopReason: this.stopReason ?? null, ...this.details } })
    writer.end()
  }

  private exception(name: string | undefined, payload: JsonRecord): void {
    const bare = name?.replace(/^.*#/, "") ?? "Unknown"
    // Over HTTP the same names start with a capital letter.
    const type = bare.charAt(0).toUpperCase() + bare.slice(1)
    const message = text(payload["message"]) ?? text(payload["Message"]) ?? `the stream failed: ${type}`
    this.context.writer.fail(this.context.reasonOf({ __type: type, message, status: statuses.get(type) ?? 500 }))
  }
}

// What was parsed from JSON is JSON; the parser's result only has no such type.
const json = (parsed: unknown): Schema.Json => parsed as Schema.Json

const finishReasons: ReadonlyMap<string, Response.FinishReason> = new Map([
  ["end_turn", "stop"],
  ["stop_sequence", "stop"],
  ["max_tokens", "length"],
  ["model_context_window_exceeded", "length"],
  ["tool_use", "tool-calls"],
  ["guardrail_intervened", "content-filter"],
  ["content_filtered", "content-filter"],
  ["malformed_model_output", "error"],
  ["malformed_tool_use", "error"]
])

/** An exception in a stream has a name but no status; all others are the provider's failures. */
const statuses: ReadonlyMap<string, number> = new Map([
  ["ValidationException", 400],
  ["AccessDeniedException", 403],
  ["ResourceNotFoundException", 404],
  ["ThrottlingException", 429],
  ["ServiceUnavailableException", 503]
])
