/**
 * Reads the answers of Anthropic's Messages API, whole or event by event.
 *
 * Blocks and deltas of types that are not known here are passed over, as the API's rules for versions want it. Sources
 * follow the text that cites them, so that citations do not cut it into pieces.
 *
 * Sources: wire reference, sections 10.0 and 10.3; the event types of Anthropic's TypeScript SDK.
 *
 * @since 0.1.0
 */
import type * as Schema from "effect/Schema"
import * as AiError from "effect/unstable/ai/AiError"
import type * as Response from "effect/unstable/ai/Response"
import * as AiErrors from "./AiErrors.ts"
import * as AnthropicToolUse from "./AnthropicToolUse.ts"
import type { ReadContext, Reader } from "./Codec.ts"
import { count, excerpt, isRecord, type JsonRecord, parse, record, text } from "./Json.ts"
import type { PartWriter } from "./PartWriter.ts"
import * as TextTemplate from "./TextTemplate.ts"

/**
 * @category constructors
 * @since 0.1.0
 */
export const make = (context: ReadContext): Reader => new AnthropicReader(context)

/** A content block between its start and its stop. */
type Block =
  | { readonly type: "text"; readonly template: TextTemplate.TextTemplate; readonly citations: Array<Schema.Json> }
  | { readonly type: "thinking"; readonly template: TextTemplate.TextTemplate; signature: string | undefined }
  | { readonly type: "compaction"; readonly template: undefined; encrypted: string | undefined }
  | { readonly type: "call"; readonly template: undefined; hasInput: boolean }
  | { readonly type: "object"; readonly template: undefined; hasInput: boolean }

class AnthropicReader implements Reader {
  private readonly context: ReadContext
  private readonly names: AnthropicToolUse.Names
  private readonly answersByTool: boolean
  private readonly textTemplate = TextTemplate.make()
  private readonly thinkingTemplate = TextTemplate.make()
  private readonly blocks = new Map<number, Block>()
  /** The block of the newest start or delta. */
  private current: Block | undefined
  /** Names of the provider's own calls, by id: results do not repeat them. */
  private readonly callNames = new Map<string, string>()
  private sources = 0
  private stopReason: string | null = null
  private stopSequence: string | null = null
  private readonly usage: Counts = {}
  private readonly details: { [name: string]: Schema.Json } = {}

  constructor(context: ReadContext) {
    this.context = context
    this.names = AnthropicToolUse.names(context.request.options.tools)
    this.answersByTool = AnthropicToolUse.givesObject(context.request)
  }

  event(data: string, name: string): void {
    const { writer } = this.context
    const known = this.current?.template?.match(data)
    if (known !== undefined) return this.current?.type === "text" ? writer.text(known) : writer.reasoning(known)
    // Not of this API, but some proxies end every stream so.
    if (data.startsWith("[DONE]")) return this.end()
    const json = parse(data)
    if (json === undefined) {
      return writer.fail(new AiError.InvalidOutputError({ description: `an event is not JSON: ${excerpt(data)}` }))
    }
    if (!isRecord(json)) return
    switch (text(json["type"]) ?? name) {
      case "message_start":
        return this.message(record(json["message"]))
      case "content_block_start":
        return this.start(indexOf(json), record(json["content_block"]))
      case "content_block_delta":
        return this.delta(indexOf(json), record(json["delta"]), data)
      case "content_block_stop":
        return this.stop(indexOf(json))
      case "message_delta":
        this.readUsage(json["usage"])
        this.readDetails(json)
        return this.readStop(record(json["delta"]))
      case "message_stop":
        return this.finish()
      case "error":
        return this.fail(json)
      default:
        // Pings and what is newer than this file; an error of the gateway has no type.
        if (json["type"] === undefined && AiErrors.isErrorBody(json)) this.fail(json)
    }
  }

  body(json: unknown): void {
    const { writer } = this.context
    const answer = record(json)
    if (answer["type"] === "error" || AiErrors.isErrorBody(answer)) return this.fail(answer)
    if (!Array.isArray(answer["content"])) {
      return writer.fail(new AiError.InvalidOutputError({ description: "the answer has no list `content`" }))
    }
    this.message(answer)
    if (!writer.done) this.finish()
  }

  end(): void {
    const { cut, writer } = this.context
    this.writeFinish()
    writer.endOfBody(() => cut("the stream was cut: neither message_stop nor a stop reason came"))
  }

  private finish(): void {
    const { writer } = this.context
    for (const index of this.blocks.keys()) this.stop(index)
    this.writeFinish()
    writer.end("the answer has neither content nor a stop reason")
  }

  private message(message: JsonRecord): void {
    const { writer } = this.context
    const id = text(message["id"])
    const modelId = text(message["model"])
    if (id !== undefined || modelId !== undefined) writer.responseMetadata({ id, modelId })
    this.readUsage(message["usage"])
    this.readDetails(message)
    // In a stream this is empty, but for calls that code of the model's made before.
    const content = Array.isArray(message["content"]) ? message["content"] : []
    // What is said around an object would be taken for a part of its JSON.
    const hasObject = this.answersByTool && content.some((block) => isObject(record(block)))
    for (let index = 0; index < content.length && !writer.done; index++) {
      const block = record(content[index])
      if (hasObject && block["type"] === "text") continue
      this.start(index, block)
      this.stop(index)
    }
    this.readStop(message)
  }

  private start(index: number, block: JsonRecord): void {
    const { writer } = this.context
    const type = text(block["type"]) ?? ""
    if (this.blocks.has(index)) this.stop(index)
    switch (type) {
      case "text": {
        const citations = Array.isArray(block["citations"]) ? block["citations"].map(json) : []
        writer.startText()
        this.open(index, { type, template: this.textTemplate, citations })
        return writer.text(text(block["text"]) ?? "")
      }
      case "thinking":
        writer.startReasoning()
        this.open(index, { type, template: this.thinkingTemplate, signature: text(block["signature"]) })
        return writer.reasoning(text(block["thinking"]) ?? "")
      case "redacted_thinking":
        writer.startReasoning({ anthropic: { redactedData: text(block["data"]) ?? null } })
        return writer.endReasoning()
      case "compaction":
        writer.startReasoning()
        this.open(index, { type, template: undefined, encrypted: text(block["encrypted_content"]) })
        return writer.reasoning(text(block["content"]) ?? "")
      case "tool_use":
      case "server_tool_use":
      case "mcp_tool_use":
        return this.startCall(index, type, block)
      default:
        if (type.endsWith("_tool_result")) this.result(type, block)
    }
  }

  private startCall(index: number, type: string, block: JsonRecord): void {
    const { writer } = this.context
    const id = text(block["id"])
    const wireName = text(block["name"])
    const input = isRecord(block["input"]) && Object.keys(block["input"]).length > 0 ? block["input"] : undefined
    if (this.answersByTool && wireName === AnthropicToolUse.objectTool) {
      this.open(index, { type: "object", template: undefined, hasInput: input !== undefined })
      return writer.text(input === undefined ? "" : JSON.stringify(input))
    }
    const name = wireName === undefined ? undefined : this.names.custom(wireName)
    const providerExecuted = type !== "tool_use"
    if (providerExecuted && id !== undefined && name !== undefined) this.callNames.set(id, name)
    const caller = record(block["caller"])
    const serverName = text(block["server_name"])
    const metadata = {
      ...(providerExecuted ? { type } : {}),
      ...(wireName === undefined || name === undefined || this.names.wire(name) === wireName ? {} : { name: wireName }),
      ...(serverName === undefined ? {} : { serverName }),
      ...(caller["type"] === undefined || caller["type"] === "direct" ? {} : { caller: json(caller) })
    }
    this.open(index, { type: "call", template: undefined, hasInput: input !== undefined })
    writer.toolCall({
      index,
      id,
      name,
      arguments: input,
      providerExecuted,
      ...(Object.keys(metadata).length === 0 ? {} : { metadata: { anthropic: metadata } })
    })
  }

  private delta(index: number, delta: JsonRecord, data: string): void {
    const { writer } = this.context
    const block = this.current = this.blocks.get(index)
    switch (delta["type"]) {
      case "text_delta": {
        const given = text(delta["text"]) ?? ""
        if (block?.type === "text" && block.template.learning) block.template.learn(data, "text", given)
        return writer.text(given)
      }
      case "thinking_delta": {
        const given = text(delta["thinking"]) ?? ""
        if (block?.type === "thinking" && block.template.learning) block.template.learn(data, "thinking", given)
        return writer.reasoning(given)
      }
      case "signature_delta":
        if (block?.type === "thinking") block.signature = text(delta["signature"]) ?? block.signature
        return
      case "input_json_delta": {
        const given = text(delta["partial_json"])
        if (given === undefined) return
        // The input of a block that this file does not know.
        if (block?.type !== "call" && block?.type !== "object") return
        block.hasInput = true
        if (block.type === "object") return writer.text(given)
        return writer.toolCall({ index, id: undefined, name: undefined, arguments: given, incremental: true })
      }
      case "citations_delta":
        if (block?.type === "text" && isRecord(delta["citation"])) block.citations.push(json(delta["citation"]))
        return
      case "compaction_delta":
        if (block?.type !== "compaction") return
        block.encrypted = text(delta["encrypted_content"]) ?? block.encrypted
        return writer.reasoning(text(delta["content"]) ?? "")
    }
  }

  private stop(index: number): void {
    const { writer } = this.context
    const block = this.blocks.get(index)
    this.blocks.delete(index)
    this.current = undefined
    switch (block?.type) {
      case "object":
        if (!block.hasInput) writer.text("{}")
        return writer.endText()
      case "text":
        writer.endText(block.citations.length === 0 ? undefined : { anthropic: { citations: block.citations } })
        return block.citations.forEach((citation) => this.source(citation))
      case "thinking":
        return writer.endReasoning(
          block.signature === undefined ? undefined : { anthropic: { signature: block.signature } }
        )
      case "compaction":
        return writer.endReasoning({ anthropic: { compaction: { encryptedContent: block.encrypted ?? null } } })
      case "call":
        // The call is complete; without any fragment its input is the empty object of the start.
        return writer.toolCall({
          index,
          id: undefined,
          name: undefined,
          arguments: block.hasInput ? undefined : "{}",
          incremental: true
        })
    }
  }

  private result(type: string, block: JsonRecord): void {
    const id = text(block["tool_use_id"])
    if (id === undefined) {
      return this.context.writer.fail(
        new AiError.InvalidOutputError({ description: `a block of type ${type} has no tool_use_id` })
      )
    }
    this.context.writer.toolResult({
      id,
      name: this.callNames.get(id) ?? this.names.custom(type.slice(0, -"_tool_result".length)),
      result: block["content"] ?? null,
      isFailure: block["is_error"] === true || (text(record(block["content"])["type"]) ?? "").endsWith("_error"),
      metadata: { anthropic: { block: jsonObject(block) } }
    })
  }

  private source(citation: Schema.Json): void {
    const { writer } = this.context
    const cited = record(citation)
    const metadata: Response.ProviderMetadata = { anthropic: { citation } }
    const url = text(cited["url"]) ?? text(cited["source"])
    const title = text(cited["title"]) ?? text(cited["document_title"])
    const id = `source-${this.sources++}`
    switch (cited["type"]) {
      case "web_search_result_location":
      case "search_result_location":
        // What a search result of the caller's own calls its source need not be a URL.
        return writer.part(
          url !== undefined && URL.canParse(url)
            ? { type: "source", sourceType: "url", id, url, title: title ?? url, metadata }
            : document(id, "text/plain", title ?? url, metadata)
        )
      case "page_location":
        return writer.part(document(id, "application/pdf", title, metadata))
      case "char_location":
      case "content_block_location":
        return writer.part(document(id, "text/plain", title, metadata))
    }
  }

  private open(index: number, block: Block): void {
    this.blocks.set(index, block)
    this.current = block
  }

  private readStop(holder: JsonRecord): void {
    const reason = text(holder["stop_reason"])
    this.stopSequence = text(holder["stop_sequence"]) ?? this.stopSequence
    if (reason === undefined) return
    this.stopReason = reason
    this.context.writer.addFinishReason(
      // The call that stands for an object is the answer itself.
      this.answersByTool && reason === "tool_use" ? "stop" : finishReasons.get(reason) ?? "other"
    )
  }

  /** Counts are those of the answer so far, so they are never added up; where two differ, the larger is the later. */
  private readUsage(given: unknown): void {
    if (!isRecord(given)) return
    const usage = this.usage
    for (const name of counts) {
      const value = count(given[name])
      if (value !== undefined) usage[name] = Math.max(usage[name] ?? 0, value)
    }
    const thinking = count(record(given["output_tokens_details"])["thinking_tokens"])
    if (thinking !== undefined) usage.thinking_tokens = thinking
  }

  private readDetails(holder: JsonRecord): void {
    const delta = record(holder["delta"])
    const given: ReadonlyArray<readonly [name: string, value: unknown]> = [
      ["stopDetails", delta["stop_details"] ?? holder["stop_details"]],
      ["container", delta["container"] ?? holder["container"]],
      ["contextManagement", holder["context_management"]],
      ["serviceTier", record(holder["usage"])["service_tier"]],
      ["serverToolUse", record(holder["usage"])["server_tool_use"]]
    ]
    for (const [name, value] of given) {
      if (value !== undefined && value !== null) this.details[name] = json(value)
    }
  }

  private writeFinish(): void {
    const { writer } = this.context
    writeUsage(this.usage, writer)
    writer.addFinishMetadata({
      anthropic: { stopReason: this.stopReason, stopSequence: this.stopSequence, ...this.details }
    })
  }

  private fail(error: JsonRecord): void {
    const type = text(record(error["error"])["type"])
    const status = type === undefined ? undefined : statuses.get(type)
    this.context.writer.fail(this.context.reasonOf(status === undefined ? error : { ...error, status }))
  }
}

const counts = [
  "input_tokens",
  "cache_read_input_tokens",
  "cache_creation_input_tokens",
  "output_tokens"
] as const

type Counts = { [Name in typeof counts[number] | "thinking_tokens"]?: number }

const writeUsage = (usage: Counts, writer: PartWriter): void => {
  const { cache_creation_input_tokens: cacheWrite, cache_read_input_tokens: cacheRead, input_tokens: uncached } = usage
  writer.addUsage({
    input: uncached === undefined ? undefined : uncached + (cacheRead ?? 0) + (cacheWrite ?? 0),
    cacheRead,
    cacheWrite,
    output: usage.output_tokens,
    reasoning: usage.thinking_tokens
  })
}

const document = (
  id: string,
  mediaType: string,
  title: string | undefined,
  metadata: Response.ProviderMetadata
): Response.DocumentSourcePartEncoded => ({
  type: "source",
  sourceType: "document",
  id,
  mediaType,
  title: title ?? "Untitled document",
  metadata
})

const indexOf = (event: JsonRecord): number => count(event["index"]) ?? 0

// What was parsed from JSON is JSON; the parser's result only has no such type.
const json = (parsed: unknown): Schema.Json => parsed as Schema.Json
const jsonObject = (parsed: JsonRecord): Schema.JsonObject => parsed as Schema.JsonObject

const finishReasons: ReadonlyMap<string, Response.FinishReason> = new Map([
  ["end_turn", "stop"],
  ["stop_sequence", "stop"],
  ["max_tokens", "length"],
  ["model_context_window_exceeded", "length"],
  ["tool_use", "tool-calls"],
  ["pause_turn", "pause"],
  ["refusal", "content-filter"],
  // Where the caller wants a pause after the conversation was summarised.
  ["compaction", "pause"]
])

/** An error event has a type but no status (wire reference, 10.3). */
const statuses: ReadonlyMap<string, number> = new Map([
  ["invalid_request_error", 400],
  ["authentication_error", 401],
  ["billing_error", 402],
  ["permission_error", 403],
  ["not_found_error", 404],
  ["request_too_large", 413],
  ["rate_limit_error", 429],
  ["api_error", 500],
  ["timeout_error", 504],
  ["overloaded_error", 529]
])

const isObject = (block: JsonRecord): boolean =>
  block["type"] === "tool_use" && block["name"] === AnthropicToolUse.objectTool
