/**
 * Reads Google's `GenerateContentResponse`: whole, as the events of an event stream, or as the elements of a JSON array.
 *
 * A stream has no terminator but the end of its body, so it is whole only if a `finishReason` has come; chunks after it
 * may still bring usage. Tool calls come whole, with an object as arguments. In a stream, the text between two other
 * parts is one block however many chunks it came in, and its thought signature is the block's; in a whole answer each
 * part is a block.
 *
 * Sources: wire reference, section 10.4; `FinishReason`, `BlockedReason`, `Part`, `GroundingChunk` and
 * `GenerateContentResponseUsageMetadata` of `@google/genai@2.32.0`.
 *
 * @since 0.1.0
 */
import type * as Schema from "effect/Schema"
import * as AiError from "effect/unstable/ai/AiError"
import type * as Response from "effect/unstable/ai/Response"
import * as Tool from "effect/unstable/ai/Tool"
import * as AiErrors from "./AiErrors.ts"
import * as ChatChoices from "./ChatChoices.ts"
import type { ReadContext, Reader } from "./Codec.ts"
import { marks } from "./GoogleMetadata.ts"
import { count, excerpt, isRecord, type JsonRecord, parse, record, text } from "./Json.ts"
import * as JsonArrayStream from "./JsonArrayStream.ts"

/**
 * Reads one answer.
 *
 * @category readers
 * @since 0.1.0
 */
export class GoogleReader implements Reader {
  private readonly context: ReadContext
  /** The block of text that is open, and the signature that it ends with. */
  private block: "text" | "reasoning" | undefined
  private signature: string | undefined
  private hasMetadata = false
  private usage: JsonRecord | undefined
  private readonly facts: { [name: string]: Schema.Json } = {}
  /** Titles by URL: the same source comes again with each chunk. */
  private readonly sources = new Map<string, string>()
  private codeTool: string | undefined
  private codeCall: string | undefined
  private strayJson = ""
  /** Kept, because the stream core forgives an unreadable last event. */
  private invalid: AiError.AiErrorReason | undefined

  constructor(context: ReadContext) {
    this.context = context
  }

  event(data: string): void {
    const json = parse(data)
    if (json !== undefined) return this.chunks(json, false)
    // Google has no such terminator, but gateways that translate like to add it.
    if (data.startsWith("[DONE]")) return
    this.context.writer.fail(
      new AiError.InvalidOutputError({ description: `an event is not JSON: ${excerpt(data)}` })
    )
  }

  array(): JsonArrayStream.JsonArrayStream {
    return JsonArrayStream.make((json) => {
      if (!this.context.writer.done) this.event(json)
    })
  }

  stray(line: string): void {
    if (this.strayJson === "" ? /^\s*[{[]/.test(line) : this.strayJson.length < maxStray) this.strayJson += line
  }

  body(json: unknown): void {
    const { writer } = this.context
    this.chunks(json, true)
    if (writer.done) return
    if (Array.isArray(json)) return this.end()
    if (writer.readable) return this.finish()
    writer.fail(
      new AiError.InvalidOutputError({ description: "the answer has no `candidates` with `content` or `finishReason`" })
    )
  }

  end(): void {
    const { cut, writer } = this.context
    if (this.invalid !== undefined) return writer.fail(this.invalid)
    if (this.strayJson !== "") this.chunks(parse(this.strayJson), false)
    if (writer.done) return
    if (writer.hasFinishReason) this.finish()
    else writer.endOfBody(() => cut("the stream was cut: no finishReason came"))
  }

  private finish(): void {
    const { writer } = this.context
    this.endBlock()
    let sources = 0
    for (const [url, title] of this.sources) {
      writer.part({ type: "source", sourceType: "url", id: `source-${sources++}`, url, title })
    }
    this.addUsage()
    if (Object.keys(this.facts).length > 0) writer.addFinishMetadata({ google: this.facts })
    writer.end()
  }

  private chunks(json: unknown, isWhole: boolean): void {
    const { writer } = this.context
    for (const chunk of Array.isArray(json) ? json : [json]) {
      if (isRecord(chunk) && !writer.done) this.chunk(chunk, isWhole)
    }
    this.invalid = writer.failure
  }

  private chunk(chunk: JsonRecord, isWhole: boolean): void {
    const { reasonOf, writer } = this.context
    if (AiErrors.isErrorBody(chunk)) return writer.fail(reasonOf(chunk))
    const blocked = text(record(chunk["promptFeedback"])["blockReason"])
    if (blocked !== undefined) {
      const said = text(record(chunk["promptFeedback"])["blockReasonMessage"])
      return writer.fail(reasonOf({
        error: {
          // The word by which the table of errors knows a filter; the prompt is at fault, as with a 400.
          code: "content_filter",
          status: 400,
          message: `the prompt was blocked: ${blocked}${said === undefined ? "" : ` (${said})`}`
        },
        promptFeedback: chunk["promptFeedback"]
      }))
    }
    const usage = chunk["usageMetadata"]
    // Usage is cumulative; a terminator that counts nothing says nothing.
    if (isRecord(usage) && usage["totalTokenCount"] !== 0) this.usage = usage
    if (!this.hasMetadata) {
      const id = text(chunk["responseId"])
      const modelId = text(chunk["modelVersion"])
      if (id !== undefined || modelId !== undefined) {
        this.hasMetadata = true
        writer.responseMetadata({ ...(id && { id }), ...(modelId && { modelId }) })
      }
    }
    const candidates = chunk["candidates"]
    const candidate = Array.isArray(candidates) ? ChatChoices.first(candidates) : undefined
    if (candidate !== undefined) this.candidate(candidate, isWhole)
  }

  private candidate(candidate: JsonRecord, isWhole: boolean): void {
    const { writer } = this.context
    const parts = record(candidate["content"])["parts"]
    if (Array.isArray(parts)) {
      for (const part of parts) {
        if (!isRecord(part)) continue
        this.part(part)
        if (isWhole) this.endBlock()
        if (writer.done) return
      }
    }
    for (const name of factNames) {
      const fact = candidate[name]
      // A later chunk may repeat the field with nothing in it.
      if (fact === undefined || fact === null || (isRecord(fact) && Object.keys(fact).length === 0)) continue
      // What JSON.parse gave is JSON.
      this.facts[name] = fact as Schema.Json
      if (name === "groundingMetadata") this.addSources(record(fact)["groundingChunks"])
    }
    const reason = text(candidate["finishReason"])
    if (reason === undefined) return
    if (invalidCalls.has(reason)) {
      const said = text(candidate["finishMessage"])
      return writer.fail(
        new AiError.InvalidOutputError({
          description: `the model's tool call is invalid: ${reason}${said === undefined ? "" : ` (${said})`}`
        })
      )
    }
    writer.addFinishReason(Object.hasOwn(finishReasons, reason) ? finishReasons[reason] ?? "other" : "other")
  }

  private part(part: JsonRecord): void {
    const { writer } = this.context
    const signature = text(part["thoughtSignature"])
    const content = part["text"]
    if (typeof content === "string") return this.text(content, part["thought"] === true, signature)
    if (isRecord(part["functionCall"])) return this.functionCall(part["functionCall"], signature)
    if (isRecord(part["inlineData"])) return this.inlineData(part["inlineData"], part["thought"] === true, signature)
    if (isRecord(part["executableCode"])) return this.executableCode(part["executableCode"], signature)
    if (isRecord(part["codeExecutionResult"])) return this.codeResult(part["codeExecutionResult"], signature)
    writer.readable = true
    // A signature alone; one beside data of a kind that is not known belongs to that.
    if (signature !== undefined && Object.keys(part).every((key) => key.startsWith("thought"))) {
      this.text("", part["thought"] === true, signature)
    }
  }

  private text(content: string, isThought: boolean, signature: string | undefined): void {
    const { writer } = this.context
    writer.readable = true
    if (content === "" && signature === undefined) return
    const kind = isThought ? "reasoning" : "text"
    // Two parts that are both signed must not become one.
    if (this.block !== kind || (signature !== undefined && this.signature !== undefined)) this.endBlock()
    if (this.block === undefined) {
      this.block = kind
      if (isThought) writer.startReasoning()
      else writer.startText()
    }
    if (isThought) writer.reasoning(content)
    else writer.text(content)
    if (signature !== undefined) this.signature = signature
  }

  private endBlock(): void {
    const { writer } = this.context
    const metadata = marks(this.signature)
    if (this.block === "text") writer.endText(metadata)
    else if (this.block === "reasoning") writer.endReasoning(metadata)
    this.block = undefined
    this.signature = undefined
  }

  private functionCall(call: JsonRecord, signature: string | undefined): void {
    const { writer } = this.context
    this.endBlock()
    const name = text(call["name"])
    if (name === undefined) {
      return writer.fail(new AiError.InvalidOutputError({ description: "a functionCall has no name" }))
    }
    if (call["partialArgs"] !== undefined || call["willContinue"] === true) {
      const description = `the arguments of ${name} come in pieces: streamFunctionCallArguments is not read`
      return writer.fail(new AiError.InvalidOutputError({ description }))
    }
    const given = call["args"] ?? {}
    if (!isRecord(given)) {
      const description = `the arguments are not an object: ${excerpt(JSON.stringify(given))}`
      return writer.fail(new AiError.ToolParameterValidationError({ toolName: name, description }))
    }
    const id = text(call["id"])
    writer.toolCall({ index: undefined, id, name, arguments: given, metadata: marks(signature, id) })
    writer.toolCall(endOfCall)
  }

  private inlineData(data: JsonRecord, isThought: boolean, signature: string | undefined): void {
    const { writer } = this.context
    this.endBlock()
    const content = text(data["data"])
    if (content === undefined) {
      return writer.fail(new AiError.InvalidOutputError({ description: "an inlineData has no data" }))
    }
    const metadata = marks(signature, undefined, isThought)
    writer.part({
      type: "file",
      mediaType: text(data["mimeType"]) ?? "application/octet-stream",
      data: content,
      ...(metadata && { metadata })
    })
  }

  private executableCode(code: JsonRecord, signature: string | undefined): void {
    const { request, writer } = this.context
    writer.readable = true
    this.codeTool ??= new Tool.NameMapper(request.options.tools).getCustomName("code_execution")
    if (!writer.offers(this.codeTool)) return
    this.endBlock()
    const id = text(code["id"])
    writer.toolCall({
      index: undefined,
      id,
      name: this.codeTool,
      arguments: { language: text(code["language"]) ?? "PYTHON", code: text(code["code"]) ?? "" },
      providerExecuted: true,
      metadata: marks(signature, id)
    })
    writer.toolCall(endOfCall)
    this.codeCall = writer.lastCallId
  }

  /** Code that failed is a result as well: its outcome says so, and tools need no schema of failures for it. */
  private codeResult(result: JsonRecord, signature: string | undefined): void {
    const { writer } = this.context
    writer.readable = true
    const id = this.codeCall
    if (id === undefined || this.codeTool === undefined) return
    this.endBlock()
    writer.toolResult({
      id,
      name: this.codeTool,
      result: { outcome: text(result["outcome"]) ?? "OUTCOME_UNSPECIFIED", output: text(result["output"]) ?? "" },
      isFailure: false,
      metadata: marks(signature, text(result["id"]))
    })
  }

  private addSources(chunks: unknown): void {
    if (!Array.isArray(chunks)) return
    for (const chunk of chunks) {
      const source = record(record(chunk)["web"] ?? record(chunk)["retrievedContext"] ?? record(chunk)["maps"])
      const url = text(source["uri"])
      // Effect takes URLs only: a source without one is in the raw metadata.
      if (url === undefined || this.sources.has(url) || !URL.canParse(url)) continue
      this.sources.set(url, text(source["title"]) ?? text(source["domain"]) ?? url)
    }
  }

  private addUsage(): void {
    const { usage } = this
    if (usage === undefined) return
    const prompt = count(usage["promptTokenCount"])
    const candidates = count(usage["candidatesTokenCount"])
    const thoughts = count(usage["thoughtsTokenCount"])
    this.context.writer.addUsage({
      // What tools of Google's found is read by the model as input, and counted beside the prompt.
      input: prompt === undefined ? undefined : prompt + (count(usage["toolUsePromptTokenCount"]) ?? 0),
      cacheRead: count(usage["cachedContentTokenCount"]),
      output: candidates === undefined && thoughts === undefined ? undefined : (candidates ?? 0) + (thoughts ?? 0),
      reasoning: thoughts
    })
  }
}

/** More text than any error has, and little enough to keep. */
const maxStray = 65_536

const factNames = [
  "finishReason",
  "finishMessage",
  "groundingMetadata",
  "urlContextMetadata",
  "citationMetadata",
  "safetyRatings"
]

/** Says nothing, which closes a call that is complete: its handler need not wait for the next part. */
const endOfCall = { index: undefined, id: undefined, name: undefined, arguments: undefined }

const invalidCalls: ReadonlySet<string> = new Set(["MALFORMED_FUNCTION_CALL", "UNEXPECTED_TOOL_CALL"])

/** CONTINUATION is a limit of the request, after which the answer goes on in another. */
const finishReasons: { readonly [reason: string]: Response.FinishReason } = {
  STOP: "stop",
  MAX_TOKENS: "length",
  CONTINUATION: "length",
  SAFETY: "content-filter",
  RECITATION: "content-filter",
  BLOCKLIST: "content-filter",
  PROHIBITED_CONTENT: "content-filter",
  SPII: "content-filter",
  MODEL_ARMOR: "content-filter",
  IMAGE_SAFETY: "content-filter",
  IMAGE_PROHIBITED_CONTENT: "content-filter",
  IMAGE_RECITATION: "content-filter"
}
