/**
 * Writes the parts of one answer so that they are always well formed: every start has its end, ids match, a tool call
 * comes after its parameters, one finish, last.
 *
 * Codecs say what the wire says (text, reasoning, tool call fragments, usage, finish reason); the order, the ids and
 * the end of blocks are decided here, once for all wire formats.
 *
 * @since 0.1.0
 */
import * as AiError from "effect/unstable/ai/AiError"
import type * as Response from "effect/unstable/ai/Response"
import { excerpt } from "./Json.ts"
import * as ToolCalls from "./ToolCalls.ts"

/**
 * @category models
 * @since 0.1.0
 */
export interface Options {
  /** Names of the tools that were offered; parts of tools are written for no others. */
  readonly tools: ReadonlySet<string>
  /** Starts the ids of tool calls that have none; it must differ from request to request. */
  readonly idPrefix: string
  /** What the finish part says of the answer beside reason and usage. */
  readonly finish: {
    readonly metadata: Response.FinishPartMetadata
    readonly response?: Response.FinishPartEncoded["response"]
  }
}

/**
 * Token counts as the wire gave them; what it did not give stays `undefined`.
 *
 * @category models
 * @since 0.1.0
 */
export interface Usage {
  readonly input?: number | undefined
  readonly cacheRead?: number | undefined
  readonly cacheWrite?: number | undefined
  readonly output?: number | undefined
  readonly reasoning?: number | undefined
}

/**
 * The mutable record of one run: a stream that is run twice has two.
 *
 * @category models
 * @since 0.1.0
 */
export class PartWriter {
  /** What was written since the last {@link take}. */
  private parts: Array<Response.StreamPartEncoded> = []
  /** Why the answer cannot be read on; what was written before it is still good. */
  failure: AiError.AiErrorReason | undefined
  /** The finish part, once it is written. */
  finished: Response.FinishPartEncoded | undefined
  /** The codec has recognised something, be it an empty text. */
  readable = false

  private readonly options: Options
  private readonly calls: ToolCalls.ToolCalls
  private textId: string | undefined
  private reasoningId: string | undefined
  private blocks = 0
  private unofferedTool: string | undefined
  private finishReason: Response.FinishReason | undefined
  private usage: Usage | undefined

  constructor(options: Options) {
    this.options = options
    this.calls = ToolCalls.make(options.idPrefix)
  }

  /** Nothing is read any more: the answer is finished or has failed. */
  get done(): boolean {
    return this.failure !== undefined || this.finished !== undefined
  }

  get hasFinishReason(): boolean {
    return this.finishReason !== undefined
  }

  get offersTools(): boolean {
    return this.options.tools.size > 0
  }

  offers(tool: string): boolean {
    return this.options.tools.has(tool)
  }

  /** Hands over what was written since the last call. */
  take(): Array<Response.StreamPartEncoded> {
    const parts = this.parts
    if (parts.length > 0) this.parts = []
    return parts
  }

  text(delta: string): void {
    this.readable = true
    if (delta === "") return
    let id = this.textId
    if (id === undefined) {
      this.endReasoning()
      this.endCompleteCall()
      id = this.textId = `text-${this.blocks++}`
      const start: Response.TextStartPart = { ...base, type: "text-start", id }
      this.parts.push(start)
    }
    // The decoded shape, spelled out: Effect's own decoding of it is twice as fast as of a bare encoded part.
    const part: Response.TextDeltaPart = {
      "~effect/ai/Response/Part": "~effect/ai/Response/Part",
      type: "text-delta",
      id,
      delta,
      metadata: noMetadata
    }
    this.parts.push(part)
  }

  reasoning(delta: string): void {
    this.readable = true
    if (delta === "") return
    let id = this.reasoningId
    if (id === undefined) {
      this.endText()
      this.endCompleteCall()
      id = this.reasoningId = `reasoning-${this.blocks++}`
      const start: Response.ReasoningStartPart = { ...base, type: "reasoning-start", id }
      this.parts.push(start)
    }
    const part: Response.ReasoningDeltaPart = {
      "~effect/ai/Response/Part": "~effect/ai/Response/Part",
      type: "reasoning-delta",
      id,
      delta,
      metadata: noMetadata
    }
    this.parts.push(part)
  }

  /** A whole tool call or a fragment of one. */
  toolCall(fragment: ToolCalls.Fragment): void {
    if (this.done) return
    this.readable = true
    if (this.options.tools.size === 0) {
      // A tool part does not decode where no tools were offered (LanguageModel.make), so none is written.
      this.unofferedTool = fragment.name ?? this.unofferedTool
      return
    }
    const previous = this.calls.last
    const call = this.calls.add(fragment)
    if (call === undefined) return
    if (call instanceof AiError.InvalidOutputError) return this.fail(call)
    if (call !== previous) {
      this.endText()
      this.endReasoning()
      if (previous !== undefined) this.endIfComplete(previous)
    }
    this.writeArguments(call)
    if (ToolCalls.isNothing(fragment)) this.endIfComplete(call)
  }

  /** Later usage replaces earlier usage, unless it is all zero: some terminators are. */
  addUsage(usage: Usage): void {
    if (this.usage === undefined || !isZero(usage)) this.usage = usage
  }

  /** The last one given counts. */
  addFinishReason(reason: Response.FinishReason): void {
    this.readable = true
    this.finishReason = reason
  }

  /** Stops the answer here; the first failure counts. */
  fail(reason: AiError.AiErrorReason): void {
    if (!this.done) this.failure = reason
  }

  /** The wire has said that the answer is over. */
  end(): void {
    if (this.done) return
    this.endText()
    this.endReasoning()
    for (const call of this.calls.open()) {
      this.writeArguments(call)
      this.endCall(call)
      if (this.done) return
    }
    const calls = this.calls.size
    if (calls === 0 && this.blocks === 0 && this.unofferedTool !== undefined) {
      return this.fail(new AiError.ToolNotFoundError({ toolName: this.unofferedTool, availableTools: [] }))
    }
    const reason = this.finishReason
    const part: Response.FinishPartEncoded = {
      ...base,
      type: "finish",
      // Handlers run on "tool-calls" and "stop" only; several models say "stop", or nothing, after tool calls.
      reason: calls > 0 && reason !== "length" && reason !== "content-filter" && reason !== "pause"
        ? "tool-calls"
        : reason ?? (this.readable ? "stop" : "unknown"),
      usage: toUsage(this.usage),
      metadata: this.options.finish.metadata,
      ...(this.options.finish.response === undefined ? {} : { response: this.options.finish.response })
    }
    this.parts.push(part)
    this.finished = part
  }

  /** The body is over; without a terminator only a finish reason makes the answer whole. */
  endOfBody(description: () => AiError.AiErrorReason): void {
    if (this.done) return
    if (this.finishReason === undefined) this.fail(description())
    else this.end()
  }

  private endText(): void {
    if (this.textId === undefined) return
    const end: Response.TextEndPart = { ...base, type: "text-end", id: this.textId }
    this.textId = undefined
    this.parts.push(end)
  }

  private endReasoning(): void {
    if (this.reasoningId === undefined) return
    const end: Response.ReasoningEndPart = { ...base, type: "reasoning-end", id: this.reasoningId }
    this.reasoningId = undefined
    this.parts.push(end)
  }

  private writeArguments(call: ToolCalls.Call): void {
    if (call.name === undefined) return
    if (!call.started) {
      if (!this.options.tools.has(call.name)) {
        const availableTools = Array.from(this.options.tools)
        return this.fail(new AiError.ToolNotFoundError({ toolName: call.name, availableTools }))
      }
      call.started = true
      const start: Response.ToolParamsStartPart = {
        ...base,
        type: "tool-params-start",
        id: call.id,
        name: call.name,
        providerExecuted: false
      }
      this.parts.push(start)
    }
    if (call.unwritten !== "") {
      const delta: Response.ToolParamsDeltaPart = {
        ...base,
        type: "tool-params-delta",
        id: call.id,
        delta: call.unwritten
      }
      call.unwritten = ""
      this.parts.push(delta)
    }
  }

  private endCompleteCall(): void {
    if (this.calls.last !== undefined) this.endIfComplete(this.calls.last)
  }

  private endIfComplete(call: ToolCalls.Call): void {
    if (call.ended || !call.started) return
    const params = ToolCalls.parseComplete(call)
    if (params !== undefined) this.writeCall(call, params)
  }

  private endCall(call: ToolCalls.Call): void {
    if (call.name === undefined) {
      return this.fail(new AiError.InvalidOutputError({ description: "a tool call has no name" }))
    }
    const params = ToolCalls.parse(call)
    if (params !== undefined) return this.writeCall(call, params)
    // The model ran out of tokens inside the arguments: the finish reason says so, and there is no call to make.
    if (this.finishReason === "length") return this.writeEnd(call)
    this.fail(
      new AiError.ToolParameterValidationError({
        toolName: call.name,
        description: `the arguments are not JSON: ${excerpt(call.arguments)}`
      })
    )
  }

  private writeEnd(call: ToolCalls.Call): void {
    call.ended = true
    const end: Response.ToolParamsEndPart = { ...base, type: "tool-params-end", id: call.id }
    this.parts.push(end)
  }

  private writeCall(call: ToolCalls.Call, params: unknown): void {
    this.writeEnd(call)
    const part: Response.ToolCallPart<string, unknown> = {
      ...base,
      type: "tool-call",
      id: call.id,
      name: call.name ?? "",
      params,
      providerExecuted: false
    }
    this.parts.push(part)
  }
}

/**
 * The parts of a whole answer from those of a stream: text and reasoning joined, tool parameters left out.
 *
 * @category constructors
 * @since 0.1.0
 */
export const joinDeltas = (parts: ReadonlyArray<Response.StreamPartEncoded>): Array<Response.PartEncoded> => {
  const whole: Array<Response.PartEncoded> = []
  let joined = ""
  for (const part of parts) {
    switch (part.type) {
      case "text-delta":
      case "reasoning-delta":
        joined += part.delta
        break
      case "text-end":
        whole.push({ ...base, type: "text", text: joined })
        joined = ""
        break
      case "reasoning-end":
        whole.push({ ...base, type: "reasoning", text: joined })
        joined = ""
        break
      case "text-start":
      case "reasoning-start":
      case "tool-params-start":
      case "tool-params-delta":
      case "tool-params-end":
      case "error":
        break
      default:
        whole.push(part)
    }
  }
  return whole
}

const noMetadata = Object.freeze({})

const base = {
  "~effect/ai/Response/Part": "~effect/ai/Response/Part",
  metadata: noMetadata
} as const

const isZero = (usage: Usage) => !usage.input && !usage.output && !usage.cacheRead && !usage.reasoning

const toUsage = (usage: Usage = {}): typeof Response.Usage.Encoded => {
  const { cacheRead, cacheWrite, input, output, reasoning } = usage
  return {
    inputTokens: {
      uncached: input === undefined ? undefined : Math.max(0, input - (cacheRead ?? 0) - (cacheWrite ?? 0)),
      total: input,
      cacheRead,
      cacheWrite
    },
    outputTokens: {
      total: output,
      text: output === undefined || reasoning === undefined ? undefined : Math.max(0, output - reasoning),
      reasoning
    }
  }
}
