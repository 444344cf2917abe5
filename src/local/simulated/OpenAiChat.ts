/**
 * OpenAI's chat completions by the simulated model: whole, or as chunks that end with `[DONE]`.
 *
 * Source: the wire reference, sections 10.1 and 10.8; OpenAI's reference of chat completions.
 *
 * @since 0.1.0
 */
import * as Result from "effect/Result"
import { isRecord, type JsonRecord, record, text } from "../../model/Json.ts"
import { list } from "./JsonSchema.ts"
import * as OpenAiError from "./OpenAiError.ts"
import * as Reply from "./Reply.ts"
import * as SimulatedModel from "./SimulatedModel.ts"

/**
 * Facts about one answer that its shapes carry.
 *
 * @category models
 * @since 0.1.0
 */
export interface Facts {
  readonly id: string
  readonly model: string
  /** Seconds since the epoch. */
  readonly created: number
}

/**
 * When a stream says its usage: never, in a chunk of its own that was asked for, or unasked in the last chunk.
 *
 * @category models
 * @since 0.1.0
 */
export type StreamUsage = "none" | "asked" | "unasked"

/**
 * The reply to a chat completion, or the refusal of a request that OpenAI would refuse.
 *
 * @category constructors
 * @since 0.1.0
 */
export const reply = (
  body: JsonRecord,
  call: Reply.Call,
  options: { readonly model: string; readonly sendsUsage: boolean }
): Result.Result<Reply.Reply, Reply.Reply> =>
  Result.gen(function*() {
    yield* checked(body)
    const decoded = yield* Result.mapError(SimulatedModel.decode(body), (problem) => OpenAiError.make(problem))
    const allowed = record(record(body["tool_choice"])["allowed_tools"])
    const names = new Set(list(allowed["tools"]).map((tool) => String(record(record(tool)["function"])["name"])))
    const request = Array.isArray(allowed["tools"])
      ? SimulatedModel.narrowed(decoded, names, allowed["mode"] === "required" ? "required" : "auto")
      : decoded
    const missing = SimulatedModel.unknownTool(request)
    if (missing !== undefined) {
      return yield* Result.fail(OpenAiError.invalid("tool_choice", "a function out of 'tools'", missing))
    }
    const answer = SimulatedModel.answer(options.model, request)
    const facts = { id: call.id, model: options.model, created: call.now }
    const usage = usageOf(answer)
    return request.stream
      ? Reply.events(
        chunks(answer, facts, options.sendsUsage ? "unasked" : request.includeUsage ? "asked" : "none", usage)
      )
      : Reply.json(completion(answer, facts, usage))
  })

/**
 * OpenAI's chat completion.
 *
 * @category encoding
 * @since 0.1.0
 */
export const completion = (answer: SimulatedModel.Answer, facts: Facts, usage: unknown = answer.usage): unknown => ({
  id: `chatcmpl-${facts.id}`,
  object: "chat.completion",
  created: facts.created,
  model: facts.model,
  choices: [{
    index: 0,
    message: {
      role: "assistant",
      content: answer.calls.length === 0 ? answer.text : null,
      refusal: null,
      ...(answer.calls.length === 0 ? {} : {
        tool_calls: answer.calls.map((call, i) => ({
          id: callId(facts, i),
          type: "function",
          function: { name: call.name, arguments: JSON.stringify(call.arguments) }
        }))
      })
    },
    logprobs: null,
    finish_reason: answer.finishReason
  }],
  usage
})

/**
 * OpenAI's chat completion as events: tool calls in fragments, usage where it is said.
 *
 * @category encoding
 * @since 0.1.0
 */
export const chunks = (
  answer: SimulatedModel.Answer,
  facts: Facts,
  streamUsage: StreamUsage,
  usage: unknown = answer.usage
): ReadonlyArray<string> => {
  const chunk = (choices: ReadonlyArray<unknown>, extra: JsonRecord) =>
    Reply.event({
      id: `chatcmpl-${facts.id}`,
      object: "chat.completion.chunk",
      created: facts.created,
      model: facts.model,
      choices,
      ...extra
    })
  const quiet = streamUsage === "asked" ? { usage: null } : {}
  const delta = (delta: unknown, finishReason: string | null = null, extra: JsonRecord = quiet) =>
    chunk([{ index: 0, delta, logprobs: null, finish_reason: finishReason }], extra)
  return [
    delta({ role: "assistant", content: answer.calls.length === 0 ? "" : null }),
    ...Reply.words(answer.text).map((content) => delta({ content })),
    ...answer.calls.flatMap((call, index) => [
      delta({
        tool_calls: [{
          index,
          id: callId(facts, index),
          type: "function",
          function: { name: call.name, arguments: "" }
        }]
      }),
      ...Reply.fragments(JSON.stringify(call.arguments)).map((text) =>
        delta({ tool_calls: [{ index, function: { arguments: text } }] })
      )
    ]),
    delta({}, answer.finishReason, streamUsage === "unasked" ? { usage } : quiet),
    ...(streamUsage === "asked" ? [chunk([], { usage })] : []),
    "data: [DONE]\n\n"
  ]
}

const callId = (facts: Facts, index: number) => `call_${facts.id.replaceAll("-", "").slice(-12)}_${index}`

/** What the simulated model does not read itself, but OpenAI insists on. */
const checked = (body: JsonRecord): Result.Result<void, Reply.Reply> => {
  const messages = body["messages"]
  if (messages === undefined) return Result.fail(OpenAiError.missing("messages"))
  if (!Array.isArray(messages) || messages.length === 0) {
    return Result.fail(OpenAiError.invalid("messages", "a list of messages that is not empty", messages))
  }
  const calls = new Set<string>()
  for (const [index, raw] of messages.entries()) {
    const at = `messages[${index}]`
    if (!isRecord(raw) || !roles.has(String(raw["role"]))) {
      return Result.fail(OpenAiError.invalid(`${at}.role`, [...roles].join(", "), record(raw)["role"]))
    }
    for (const call of list(raw["tool_calls"])) calls.add(String(record(call)["id"]))
    const answered = raw["role"] === "tool" ? text(raw["tool_call_id"]) : undefined
    if (raw["role"] === "tool" && (answered === undefined || !calls.has(answered))) {
      return Result.fail(OpenAiError.make(
        "Invalid parameter: messages with role 'tool' must be a response to a preceeding message with 'tool_calls'.",
        { param: `${at}.role` }
      ))
    }
    const content = raw["content"]
    if (content !== undefined && content !== null && typeof content !== "string" && !Array.isArray(content)) {
      return Result.fail(OpenAiError.invalid(`${at}.content`, "a text or a list of parts", content))
    }
  }
  const tools = body["tools"]
  if (tools !== undefined && tools !== null && !Array.isArray(tools)) {
    return Result.fail(OpenAiError.invalid("tools", "a list", tools))
  }
  for (const [index, tool] of list(tools).entries()) {
    if (record(tool)["type"] === "function" && text(record(record(tool)["function"])["name"]) === undefined) {
      return Result.fail(OpenAiError.missing(`tools[${index}].function.name`))
    }
  }
  const n = body["n"]
  return n === undefined || n === null || n === 1
    ? Result.succeed(undefined)
    : Result.fail(OpenAiError.invalid("n", "1, for the simulated model gives one choice", n))
}

const roles: ReadonlySet<string> = new Set(["system", "developer", "user", "assistant", "tool", "function"])

const usageOf = ({ usage }: SimulatedModel.Answer) => ({
  ...usage,
  prompt_tokens_details: { cached_tokens: 0, audio_tokens: 0 },
  completion_tokens_details: {
    reasoning_tokens: 0,
    audio_tokens: 0,
    accepted_prediction_tokens: 0,
    rejected_prediction_tokens: 0
  }
})
