/**
 * Reads an answer of the Responses API, whole or event by event.
 *
 * The same text comes up to four times: in deltas, in the `done` event of its text, of its part and of its item, and in
 * the terminal event. Each block therefore counts what was written of it, and only what goes beyond that is written; so
 * an answer reads the same whichever of them a server leaves out. Items are found by `output_index`, or by id where
 * that is missing.
 *
 * Sources: wire reference, section 10.2; OpenAI's API reference, "Streaming events".
 *
 * @since 0.1.0
 */
import * as AiError from "effect/unstable/ai/AiError"
import type * as Response from "effect/unstable/ai/Response"
import * as AiErrors from "./AiErrors.ts"
import type { ReadContext, Reader } from "./Codec.ts"
import { count, excerpt, isRecord, type JsonRecord, parse, record, text } from "./Json.ts"
import * as BuiltIns from "./OpenAiResponsesBuiltIns.ts"
import * as Input from "./OpenAiResponsesInput.ts"
import { type Block, blockOf, type Form, isReasoning, type Item, Items } from "./OpenAiResponsesItems.ts"
import type { ReasoningInfo, TextInfo } from "./OpenAiResponsesMetadata.ts"
import { type Source, toSource } from "./OpenAiResponsesSources.ts"

/**
 * @category readers
 * @since 0.1.0
 */
export class ResponsesReader implements Reader {
  private readonly context: ReadContext
  private readonly items = new Items()
  /** The block whose deltas need no new start. */
  private open: Block | undefined
  /** They come amid a text, and would cut it in two; so they wait for its end. */
  private waiting: Array<Source> = []
  private sources = 0

  constructor(context: ReadContext) {
    this.context = context
    const { tools } = context.request.options
    if (tools.length > 0) context.writer.toolParams = Input.toolParams(tools)
  }

  event(data: string, event: string): void {
    // OpenAI sends no such end; servers that imitate it do, and it says less than the terminal event.
    if (data.startsWith("[DONE]")) return
    const json = parse(data)
    if (json === undefined) return this.fail(`an event is not JSON: ${excerpt(data)}`)
    if (!isRecord(json)) return
    const type = text(json["type"]) ?? event
    switch (type) {
      case "response.output_text.delta":
        return this.delta(json, "text", json["content_index"])
      case "response.refusal.delta":
        return this.delta(json, "refusal", json["content_index"])
      case "response.reasoning_summary_text.delta":
        return this.delta(json, "summary", json["summary_index"])
      case "response.reasoning_text.delta":
        return this.delta(json, "content", json["content_index"])
      case "response.function_call_arguments.delta":
        return this.arguments(this.items.of(json), json["delta"])
      case "response.output_text.done":
        return this.rest(this.items.of(json), "text", json["content_index"], json["text"])
      case "response.refusal.done":
        return this.rest(this.items.of(json), "refusal", json["content_index"], json["refusal"])
      case "response.reasoning_summary_text.done":
        return this.rest(this.items.of(json), "summary", json["summary_index"], json["text"])
      case "response.reasoning_text.done":
        return this.rest(this.items.of(json), "content", json["content_index"], json["text"])
      case "response.content_part.added":
      case "response.content_part.done":
      case "response.reasoning_summary_part.added":
      case "response.reasoning_summary_part.done":
        return this.contentPart(this.items.of(json), json["content_index"] ?? json["summary_index"], json["part"])
      case "response.output_text.annotation.added":
        return this.annotation(this.items.of(json), json)
      case "response.function_call_arguments.done":
        return this.argumentsDone(this.items.of(json), json["arguments"])
      case "response.output_item.added":
        return this.itemAdded(json)
      case "response.output_item.done":
        return isRecord(json["item"]) ? this.item(this.items.of(json, json["item"]), json["item"]) : undefined
      case "response.created":
      case "response.queued":
      case "response.in_progress":
        return this.metadata(record(json["response"]))
      case "response.completed":
      case "response.incomplete":
      case "response.failed":
      case "response.cancelled":
        return this.terminal(record(json["response"]), type.slice("response.".length))
      case "error":
        return this.failWith(isRecord(json["error"]) ? json["error"] : json, "the stream reported an error")
      default:
        if (!type.startsWith("response.") && AiErrors.isErrorBody(json)) {
          this.context.writer.fail(this.context.reasonOf(json))
        }
    }
  }

  body(json: unknown): void {
    const { reasonOf, writer } = this.context
    if (!isRecord(json)) return this.fail("the answer is no JSON object")
    const status = text(json["status"])
    if (status !== "failed" && AiErrors.isErrorBody(json)) return writer.fail(reasonOf(json))
    if (status === "queued" || status === "in_progress") {
      return writer.fail(
        new AiError.InvalidRequestError({
          parameter: "background",
          constraint: "must be false: the answer has to come with the request",
          description: `The response is ${status}`
        })
      )
    }
    if (status !== "failed" && status !== "cancelled" && !Array.isArray(json["output"])) {
      return this.fail("the answer has no `output`")
    }
    this.terminal(json, "completed")
  }

  stray(line: string): void {
    const json = parse(line)
    if (isRecord(json) && AiErrors.isErrorBody(json)) this.context.writer.fail(this.context.reasonOf(json))
  }

  end(): void {
    const { cut, writer } = this.context
    writer.endOfBody(() =>
      cut("the stream was cut: no response.completed, response.incomplete or response.failed came")
    )
  }

  private metadata(response: JsonRecord): void {
    const id = text(response["id"])
    const modelId = text(response["model"])
    // Seconds; beyond what a date can hold there is none.
    const created = count(response["created_at"]) ?? Infinity
    const timestamp = created < 8.64e12 ? new Date(created * 1000).toISOString() : undefined
    if (id === undefined && modelId === undefined) return
    this.context.writer.responseMetadata({
      ...(id === undefined ? {} : { id }),
      ...(modelId === undefined ? {} : { modelId }),
      ...(timestamp === undefined ? {} : { timestamp })
    })
  }

  private terminal(response: JsonRecord, event: string): void {
    const { writer } = this.context
    const status = text(response["status"])
    const end = event === "completed" ? status ?? event : event
    if (end === "failed" || end === "cancelled" || AiErrors.isErrorBody(response)) {
      return this.failWith(response["error"], `the response is ${end}`)
    }
    this.metadata(response)
    this.output(response["output"])
    if (writer.done) return
    this.close()
    for (const item of this.items.all()) {
      if (item.early !== "") return this.fail("a function call has neither name nor id")
    }
    this.usage(response["usage"])
    const serviceTier = text(response["service_tier"])
    if (serviceTier !== undefined) writer.addFinishMetadata({ openai: { serviceTier } })
    writer.addFinishReason(
      end === "incomplete" ? incompleteReason(record(response["incomplete_details"])["reason"]) : "stop"
    )
    writer.end()
  }

  private output(output: unknown): void {
    if (!Array.isArray(output)) return
    for (let index = 0; index < output.length && !this.context.writer.done; index++) {
      const item: unknown = output[index]
      if (isRecord(item)) this.item(this.items.atEnd(index, item), item)
    }
  }

  private usage(usage: unknown): void {
    if (!isRecord(usage)) return
    this.context.writer.addUsage({
      input: count(usage["input_tokens"]),
      cacheRead: count(record(usage["input_tokens_details"])["cached_tokens"]),
      output: count(usage["output_tokens"]),
      reasoning: count(record(usage["output_tokens_details"])["reasoning_tokens"])
    })
  }

  private fail(description: string): void {
    this.context.writer.fail(new AiError.InvalidOutputError({ description }))
  }

  private failWith(error: unknown, otherwise: string): void {
    const { code, message, param, type } = record(error)
    const refused = typeof code === "string" && refusals.has(code)
    const given = type === "error" ? {} : { type }
    this.context.writer.fail(
      this.context.reasonOf({
        error: {
          code,
          message: text(message) ?? otherwise,
          param,
          // Names that the table of errors knows.
          ...(refused ? { type: "content_policy_violation" } : given),
          // What is wrong with the request stays wrong; the other codes are the provider's own troubles.
          ...(typeof code === "string" && badInput.test(code) ? { status: 400 } : {})
        }
      })
    )
  }

  private itemAdded(json: JsonRecord): void {
    const wire = json["item"]
    if (!isRecord(wire)) return
    const item = this.items.started(json, wire)
    this.items.describe(item, wire)
    if (item.type === "function_call") this.announce(item, wire)
  }

  /** An item that is complete: what was not written of it is written now. */
  private item(item: Item, wire: JsonRecord): void {
    this.items.describe(item, wire)
    switch (item.type) {
      case "message":
        return this.message(item, wire)
      case "reasoning":
        return this.reasoning(item, wire)
      case "function_call":
        return this.functionCall(item, wire)
      default:
        if (!item.closed) this.builtIn(item, wire)
    }
  }

  private message(item: Item, wire: JsonRecord): void {
    this.context.writer.readable = true
    this.contents(item, wire["content"])
    if (this.open?.item === item) this.close()
  }

  /** Also without any text there is a block: its id and its encrypted content belong into the next request. */
  private reasoning(item: Item, wire: JsonRecord): void {
    this.contents(item, wire["summary"])
    this.contents(item, wire["content"])
    const encrypted = text(wire["encrypted_content"])
    if (item.closed && (item.encrypted || encrypted === undefined)) return
    const { writer } = this.context
    if (this.open?.item !== item) {
      this.close()
      if (item.started && encrypted === undefined) return
      writer.startReasoning({ openai: reasoningInfo(item, undefined) })
    }
    const form = this.open?.form === "content" ? "content" : "summary"
    this.open = undefined
    writer.endReasoning({
      openai: { ...reasoningInfo(item, form), ...(encrypted === undefined ? {} : { encryptedContent: encrypted }) }
    })
    item.closed = true
    item.encrypted = encrypted !== undefined
  }

  private contents(item: Item, parts: unknown): void {
    if (Array.isArray(parts)) parts.forEach((part, index) => this.contentPart(item, index, part))
  }

  private contentPart(item: Item, index: unknown, part: unknown): void {
    if (!isRecord(part)) return
    switch (part["type"]) {
      case "output_text":
      case "text":
        this.rest(item, "text", index, part["text"])
        return this.annotations(this.block(item, "text", count(index) ?? 0), part["annotations"])
      case "refusal":
        return this.rest(item, "refusal", index, part["refusal"])
      case "summary_text":
        return this.rest(item, "summary", index, part["text"])
      case "reasoning_text":
        return this.rest(item, "content", index, part["text"])
    }
  }

  private delta(json: JsonRecord, form: Form, index: unknown): void {
    const delta = json["delta"]
    if (typeof delta === "string") this.write(this.items.of(json), form, count(index) ?? 0, delta)
  }

  private rest(item: Item, form: Form, index: unknown, whole: unknown): void {
    if (typeof whole !== "string") return
    const at = count(index) ?? 0
    const { written } = this.block(item, form, at)
    if (whole.length > written) this.write(item, form, at, whole.slice(written))
  }

  private write(item: Item, form: Form, index: number, delta: string): void {
    if (delta === "") return
    const { writer } = this.context
    let block = this.open
    if (block === undefined || block.item !== item || block.form !== form || block.index !== index) {
      this.close()
      block = this.open = this.block(item, form, index)
      if (isReasoning(form)) writer.startReasoning({ openai: reasoningInfo(item, form) })
      else writer.startText({ openai: textInfo(item, form) })
    }
    item.started = true
    block.written += delta.length
    if (isReasoning(form)) writer.reasoning(delta)
    else writer.text(delta)
  }

  private block(item: Item, form: Form, index: number): Block {
    const open = this.open
    if (open !== undefined && open.item === item && open.form === form && open.index === index) return open
    return blockOf(item, form, index)
  }

  private close(): void {
    const { writer } = this.context
    if (this.open !== undefined) {
      const { form } = this.open
      this.open = undefined
      if (isReasoning(form)) writer.endReasoning()
      else writer.endText()
    }
    if (this.waiting.length === 0) return
    for (const source of this.waiting) writer.part(source)
    this.waiting = []
  }

  private annotation(item: Item, json: JsonRecord): void {
    const block = this.block(item, "text", count(json["content_index"]) ?? 0)
    const index = count(json["annotation_index"]) ?? block.annotations
    if (index < block.annotations) return
    block.annotations = index + 1
    this.source(json["annotation"])
  }

  private annotations(block: Block, annotations: unknown): void {
    if (!Array.isArray(annotations) || annotations.length <= block.annotations) return
    const more = annotations.slice(block.annotations)
    block.annotations = annotations.length
    more.forEach((annotation) => this.source(annotation))
  }

  private source(annotation: unknown): void {
    const source = toSource(annotation, `source-${this.sources}`)
    if (source === undefined) return
    this.sources++
    this.waiting.push(source)
  }

  private announce(item: Item, wire: JsonRecord): void {
    const name = text(wire["name"])
    const id = text(wire["call_id"]) ?? text(wire["id"])
    if (item.announced || name === undefined || id === undefined) return
    item.announced = true
    this.close()
    const early = item.early
    item.early = ""
    this.context.writer.toolCall({
      index: item.index,
      id,
      name,
      arguments: early,
      metadata: { openai: itemInfo(item) }
    })
  }

  private arguments(item: Item, delta: unknown): void {
    if (typeof delta !== "string" || delta === "") return
    item.arguments += delta.length
    if (!item.announced) {
      item.early += delta
      return
    }
    this.close()
    this.context.writer.toolCall({
      index: item.index,
      id: undefined,
      name: undefined,
      arguments: delta,
      incremental: true
    })
  }

  private argumentsDone(item: Item, whole: unknown): void {
    if (typeof whole === "string" && whole.length > item.arguments) this.arguments(item, whole.slice(item.arguments))
  }

  private functionCall(item: Item, wire: JsonRecord): void {
    this.announce(item, wire)
    if (!item.announced) return this.fail("a function call has neither name nor id")
    this.argumentsDone(item, wire["arguments"])
    if (item.closed || wire["status"] === "incomplete") return
    item.closed = true
    this.close()
    // A fragment that says nothing ends a call that is complete, so that its handler need not wait for the answer's end.
    const nothing = item.arguments === 0 ? "{}" : undefined
    this.context.writer.toolCall({ index: item.index, id: undefined, name: undefined, arguments: nothing })
  }

  private builtIn(item: Item, wire: JsonRecord): void {
    const { request, writer } = this.context
    const call = BuiltIns.read(wire, request.options.tools)
    if (call === undefined) return
    item.closed = true
    if (call instanceof AiError.ToolConfigurationError) return writer.fail(call)
    writer.readable = true
    this.close()
    // What the provider runs and nobody asked for is its own affair; what has to be run here is not.
    if (!call.isResolved || writer.offers(call.name)) this.writeCall(item, call)
    if (call.file !== undefined) writer.part({ type: "file", ...call.file, metadata: { openai: itemInfo(item) } })
  }

  private writeCall(item: Item, call: BuiltIns.BuiltInCall): void {
    const { writer } = this.context
    const { index } = item
    const id = call.callId ?? this.items.ownId(item) ?? `${call.name}-${index}`
    writer.toolCall({
      index,
      id,
      name: call.name,
      arguments: call.params,
      providerExecuted: call.isResolved,
      metadata: { openai: { ...itemInfo(item), ...(call.item === undefined ? {} : { item: call.item }) } }
    })
    if (writer.done) return
    if (call.isResolved) writer.toolResult({ id, name: call.name, result: call.result, isFailure: false })
    else writer.toolCall({ index, id: undefined, name: undefined, arguments: undefined })
  }
}

const itemInfo = (item: Item): { readonly itemId?: string } => item.id === undefined ? {} : { itemId: item.id }

const textInfo = (item: Item, form: Form): TextInfo => ({
  ...itemInfo(item),
  ...(item.phase === undefined ? {} : { phase: item.phase }),
  ...(form === "refusal" ? { refusal: true } : {})
})

const reasoningInfo = (item: Item, form: Form | undefined): ReasoningInfo => ({
  ...itemInfo(item),
  ...(form === "content" ? { form } : {})
})

const incompleteReason = (reason: unknown): Response.FinishReason =>
  reason === "max_output_tokens" ? "length" : reason === "content_filter" ? "content-filter" : "other"

/** The prompt or the image that was asked for is against OpenAI's policy. */
const refusals: ReadonlySet<string> = new Set(["invalid_prompt", "image_content_policy_violation"])

const badInput = /^(invalid_|unsupported_|image_|empty_image|failed_to_download_image)/
