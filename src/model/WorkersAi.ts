/**
 * The wire of Workers AI: one request form, and answers in two shapes, native (`response`) and OpenAI-like (`choices`),
 * each bare or inside Cloudflare's v4 envelope.
 *
 * Sources: wire reference, sections 1.7 and 10.6; `AiTextGenerationInput` of `@cloudflare/workers-types`.
 *
 * @since 0.1.0
 */
import * as Result from "effect/Result"
import * as AiError from "effect/unstable/ai/AiError"
import type * as LanguageModel from "effect/unstable/ai/LanguageModel"
import * as AiErrors from "./AiErrors.ts"
import * as ChatChoices from "./ChatChoices.ts"
import * as ChatMessages from "./ChatMessages.ts"
import * as ChatTools from "./ChatTools.ts"
import type { Codec, ReadContext, Reader, Request } from "./Codec.ts"
import { excerpt, isRecord, type JsonRecord, parse, text } from "./Json.ts"
import type { Parameters } from "./Parameters.ts"
import * as TextTemplate from "./TextTemplate.ts"
import * as ThinkTags from "./ThinkTags.ts"
import * as ToolCalls from "./ToolCalls.ts"

/**
 * Schema and codec of structured output: Workers AI takes any JSON schema and enforces it while it decodes.
 *
 * @category codecs
 * @since 0.1.0
 */
export const codecTransformer: LanguageModel.CodecTransformer = ChatTools.jsonTransformer

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
      ? Result.succeed({ provider: "workers-ai", endpoint: request.model, query, model: request.model })
      : Result.fail(problem)
  },
  reader: (context) => new WorkersAiReader(context)
}

const body = ({ options, parameters, providerOptions, stream }: Request, problems: Array<AiError.AiErrorReason>) => ({
  messages: ChatMessages.messages(options.prompt, problems),
  ...(options.tools.length === 0 ? {} : {
    tools: ChatTools.functionTools(options.tools, codecTransformer, problems),
    tool_choice: ChatTools.toolChoice(options.toolChoice)
  }),
  // The bare schema: OpenAI's wrapper of name, schema and strict breaks native models (wire reference, 1.7).
  ...(options.responseFormat.type === "json"
    ? {
      response_format: {
        type: "json_schema",
        json_schema: ChatTools.jsonSchema(options.responseFormat.schema, codecTransformer, problems)
      }
    }
    : {}),
  ...wireParameters(parameters),
  // Without the option most models leave usage out of a stream.
  ...(stream ? { stream: true, stream_options: { include_usage: true } } : {}),
  ...providerOptions
})

const wireNames: { readonly [Name in keyof Parameters]-?: string } = {
  maxTokens: "max_tokens",
  temperature: "temperature",
  topP: "top_p",
  topK: "top_k",
  seed: "seed",
  stop: "stop",
  frequencyPenalty: "frequency_penalty",
  presencePenalty: "presence_penalty",
  reasoningEffort: "reasoning_effort"
}

const wireParameters = (parameters: Parameters): JsonRecord => {
  const wire: { [name: string]: unknown } = {}
  for (const [name, value] of Object.entries(parameters)) {
    // Object.entries forgets the keys' type; names that are none of ours have no wire name.
    const wireName = wireNames[name as keyof Parameters]
    if (value !== undefined && wireName !== undefined) wire[wireName] = value
  }
  return wire
}

class WorkersAiReader implements Reader {
  private readonly context: ReadContext
  private readonly template = TextTemplate.make()
  private readonly tags: ThinkTags.ThinkTags
  /** Text that may turn out to be a tool call; see {@link nativeText}. */
  private held = ""
  private nativeIs: "unknown" | "prose" | "json"
  private hasCalls = false

  constructor(context: ReadContext) {
    this.context = context
    this.nativeIs = context.writer.offersTools ? "unknown" : "prose"
    this.tags = ThinkTags.make(context.writer, thinkTags(context))
  }

  event(data: string): void {
    const { writer } = this.context
    const known = this.template.match(data)
    if (known !== undefined) return this.tags.text(known)
    if (data.startsWith("[DONE]")) return this.finish()
    const json = parse(data)
    if (json === undefined) {
      return writer.fail(new AiError.InvalidOutputError({ description: `an event is not JSON: ${excerpt(data)}` }))
    }
    if (!isRecord(json)) return
    this.answer(json)
    if (!this.template.learning) return
    const delta = ChatChoices.textAlone(json)
    if (delta !== undefined) return this.template.learn(data, "content", delta)
    const native = this.nativeIs === "prose" && Object.keys(json).length === 1 ? text(json["response"]) : undefined
    if (native !== undefined) this.template.learn(data, "response", native)
  }

  body(json: unknown): void {
    const { writer } = this.context
    if (isRecord(json)) this.answer(json)
    if (!writer.done) this.finish()
  }

  end(): void {
    const { cut, writer } = this.context
    // What is held of a stream that was cut is text: no tool must run for half an answer.
    if (writer.hasFinishReason) this.release()
    else this.releaseAsText()
    this.tags.end()
    writer.endOfBody(() => cut("the stream was cut: neither [DONE] nor a finish reason came"))
  }

  private finish(): void {
    const { writer } = this.context
    this.release()
    this.tags.end()
    writer.end("the answer has none of `response`, `tool_calls` and `choices` with anything to read in it")
  }

  private answer(chunk: JsonRecord): void {
    const { reasonOf, writer } = this.context
    if (AiErrors.isErrorBody(chunk)) return this.fail(reasonOf(chunk))
    const choices = chunk["choices"]
    const native = chunk["response"]
    if (choices === undefined && native === undefined && isRecord(chunk["result"])) return this.answer(chunk["result"])
    if (chunk["usage"] !== undefined) ChatChoices.readUsage(chunk["usage"], writer)
    const choice = Array.isArray(choices) ? ChatChoices.first(choices) : undefined
    let mirrored = false
    let finishReason = text(chunk["finish_reason"])
    let calls = chunk["tool_calls"]
    if (choice !== undefined) {
      const delta = choice["delta"] ?? choice["message"]
      if (isRecord(delta)) {
        mirrored = ChatChoices.readDelta(delta, writer, this.tags)
        // Text and fragments can stand in both places; each is taken once.
        if (Array.isArray(delta["tool_calls"])) {
          calls = undefined
          this.hasCalls = true
        }
      }
      finishReason = text(choice["finish_reason"]) ?? finishReason
    }
    if (native !== undefined && native !== null && !mirrored) {
      // JSON mode and some models answer with an object or a number.
      this.nativeText(typeof native === "string" ? native : JSON.stringify(native))
    }
    if (Array.isArray(calls) && calls.length > 0) {
      this.hasCalls = true
      this.tags.interrupt()
      ChatChoices.readToolCalls(calls, writer)
    }
    if (finishReason === "error") return this.fail(reasonOf({ error: "the model stopped with an error" }))
    if (finishReason !== undefined) writer.addFinishReason(ChatChoices.finishReason(finishReason))
  }

  /**
   * Llama models stream a tool call as the JSON text `{"name", "parameters"}` in `response`. Only where tools are
   * offered, and only text that starts like that JSON, is held back until the answer is over.
   */
  private nativeText(text: string): void {
    const { writer } = this.context
    writer.readable = true
    if (this.nativeIs === "prose") return this.tags.text(text)
    this.held += text
    const first = this.nativeIs === "json" ? undefined : text.trimStart()[0]
    if (first === undefined) return
    this.nativeIs = first === "{" || first === "[" ? "json" : "prose"
    if (this.nativeIs === "prose") this.releaseAsText()
  }

  /** Calls of tools that were offered become calls; any other JSON was meant as text. */
  private release(): void {
    const { writer } = this.context
    const calls = this.held === "" ? undefined : ToolCalls.inText(this.held)
    if (calls === undefined || !calls.every(({ name }) => name !== undefined && writer.offers(name))) {
      return this.releaseAsText()
    }
    this.held = ""
    // Beside calls in their own field the text only repeats them.
    if (!this.hasCalls) calls.forEach((call) => writer.toolCall(call))
  }

  private releaseAsText(): void {
    const text = this.held
    this.held = ""
    if (text !== "") this.tags.text(text)
  }

  private fail(reason: AiError.AiErrorReason): void {
    this.releaseAsText()
    this.tags.end()
    this.context.writer.fail(reason)
  }
}

/**
 * QwQ's chat template opens the tag itself, so its text starts inside (catalogue of edge cases, RSN-16); where a schema
 * is enforced or tools are offered the template is another, or the text is no thought.
 */
const thinkTags = ({ request, writer }: ReadContext): ThinkTags.Mode =>
  /\/qwq-/.test(request.model) && request.options.responseFormat.type === "text" && !writer.offersTools
    ? "inside"
    : "tags"
