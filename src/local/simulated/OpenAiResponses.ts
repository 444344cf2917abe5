/**
 * OpenAI's Responses by the simulated model: a list of output items, whole or as events with sequence numbers.
 *
 * Functions are called; tools that OpenAI runs itself are taken and never used. Answers are not kept, so a request that
 * goes on from `previous_response_id` is refused as OpenAI refuses an id that it does not know. Source: the wire reference,
 * section 10.2; OpenAI's reference of responses.
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
 * The reply to a request, or the refusal of one that OpenAI would refuse.
 *
 * @category constructors
 * @since 0.1.0
 */
export const reply = (body: JsonRecord, call: Reply.Call, model: string): Result.Result<Reply.Reply, Reply.Reply> =>
  Result.gen(function*() {
    const request = yield* decode(body)
    const answer = SimulatedModel.answer(model, request)
    const head = headOf(body, call, model)
    const items = itemsOf(answer, call.id)
    return request.stream
      ? Reply.events(events(head, answer, items))
      : Reply.json({ ...head, ...endOf(answer), output: items.map(complete) })
  })

const decode = (body: JsonRecord): Result.Result<SimulatedModel.Request, Reply.Reply> =>
  Result.gen(function*() {
    const previous = text(body["previous_response_id"])
    if (previous !== undefined) {
      return yield* Result.fail(OpenAiError.make(
        `Previous response with id '${previous}' not found. (The simulated model keeps none: send the whole input.)`,
        { param: "previous_response_id", code: "previous_response_not_found" }
      ))
    }
    const maxTokens = body["max_output_tokens"] ?? undefined
    if (maxTokens !== undefined && !(typeof maxTokens === "number" && Number.isInteger(maxTokens) && maxTokens > 0)) {
      return yield* Result.fail(OpenAiError.invalid("max_output_tokens", "a positive integer", maxTokens))
    }
    const instructions = text(body["instructions"])
    const tools = list(body["tools"]).flatMap((tool): ReadonlyArray<SimulatedModel.Tool> => {
      const { description, name, parameters, type } = record(tool)
      return type !== "function" || typeof name !== "string"
        ? []
        : [{ name, description: text(description) ?? "", parameters }]
    })
    const choice = record(body["tool_choice"])
    const request: SimulatedModel.Request = {
      messages: [
        ...(instructions === undefined ? [] : [SimulatedModel.turn("system", instructions)]),
        ...(yield* messagesOf(body["input"]))
      ],
      tools,
      toolChoice: body["tool_choice"] === "none" || body["tool_choice"] === "required"
        ? body["tool_choice"]
        : choice["type"] === "function"
        ? { name: String(choice["name"]) }
        : "auto",
      parallel: body["parallel_tool_calls"] !== false,
      schema: schemaOf(record(record(body["text"])["format"])),
      maxTokens,
      stop: [],
      stream: body["stream"] === true,
      includeUsage: true
    }
    const missing = SimulatedModel.unknownTool(request)
    if (missing !== undefined) {
      return yield* Result.fail(OpenAiError.invalid("tool_choice", "a function out of 'tools'", missing))
    }
    return choice["type"] !== "allowed_tools" ? request : SimulatedModel.narrowed(
      request,
      new Set(list(choice["tools"]).map((tool) => String(record(tool)["name"]))),
      choice["mode"] === "required" ? "required" : "auto"
    )
  })

const messagesOf = (input: unknown): Result.Result<ReadonlyArray<SimulatedModel.Message>, Reply.Reply> => {
  if (input === undefined || input === null) return Result.fail(OpenAiError.missing("input"))
  if (typeof input === "string") return Result.succeed([SimulatedModel.turn("user", input)])
  if (!Array.isArray(input) || input.length === 0) {
    return Result.fail(OpenAiError.invalid("input", "a text or a list of items that is not empty", input))
  }
  const messages: Array<SimulatedModel.Message> = []
  const calls = new Set<string>()
  for (const [index, raw] of input.entries()) {
    const item = record(raw)
    switch (item["type"] ?? "message") {
      case "message": {
        const role = text(item["role"])
        if (role === undefined || !roles.has(role)) {
          return Result.fail(OpenAiError.invalid(`input[${index}].role`, [...roles].join(", "), item["role"]))
        }
        messages.push(SimulatedModel.turn(role, contentText(item["content"])))
        break
      }
      case "function_call": {
        const id = String(item["call_id"])
        calls.add(id)
        messages.push(SimulatedModel.turn("assistant", "", { calls: [{ id, name: String(item["name"]) }] }))
        break
      }
      case "function_call_output": {
        const id = String(item["call_id"])
        if (!calls.has(id)) {
          return Result.fail(OpenAiError.make(`No tool call found for function call output with call_id ${id}.`, {
            param: "input"
          }))
        }
        messages.push(SimulatedModel.turn("tool", contentText(item["output"]), { callId: id }))
      }
        // What else a model said or did before (reasoning, OpenAI's own tools) changes nothing here.
    }
  }
  return Result.succeed(messages)
}

const roles: ReadonlySet<string> = new Set(["user", "assistant", "system", "developer"])

const contentText = (content: unknown): string =>
  typeof content === "string"
    ? content
    : Array.isArray(content)
    ? content.map((part) => text(record(part)["text"]) ?? "").join("")
    : content === undefined || content === null
    ? ""
    : JSON.stringify(content)

const schemaOf = (format: JsonRecord): unknown =>
  format["type"] === "json_object" ? true : format["type"] === "json_schema" ? format["schema"] ?? true : undefined

/** What a response says of its request, and what is not known before its end. */
const headOf = (body: JsonRecord, call: Reply.Call, model: string) => ({
  id: `resp_${call.id}`,
  object: "response",
  created_at: call.now,
  status: "in_progress",
  background: false,
  error: null,
  incomplete_details: null,
  instructions: body["instructions"] ?? null,
  max_output_tokens: body["max_output_tokens"] ?? null,
  model,
  output: [],
  parallel_tool_calls: body["parallel_tool_calls"] !== false,
  previous_response_id: null,
  reasoning: { effort: record(body["reasoning"])["effort"] ?? null, summary: null },
  service_tier: "default",
  store: body["store"] !== false,
  temperature: body["temperature"] ?? 1,
  text: isRecord(body["text"]) ? body["text"] : { format: { type: "text" } },
  tool_choice: body["tool_choice"] ?? "auto",
  tools: list(body["tools"]),
  top_p: body["top_p"] ?? 1,
  truncation: body["truncation"] ?? "disabled",
  usage: null,
  user: body["user"] ?? null,
  metadata: isRecord(body["metadata"]) ? body["metadata"] : {}
})

const endOf = ({ finishReason, usage }: SimulatedModel.Answer) => ({
  status: finishReason === "length" ? "incomplete" : "completed",
  incomplete_details: finishReason === "length" ? { reason: "max_output_tokens" } : null,
  usage: {
    input_tokens: usage.prompt_tokens,
    input_tokens_details: { cached_tokens: 0 },
    output_tokens: usage.completion_tokens,
    output_tokens_details: { reasoning_tokens: 0 },
    total_tokens: usage.total_tokens
  }
})

interface Spoken {
  readonly type: "message"
  readonly id: string
  readonly text: string
  readonly status: string
}

interface Called {
  readonly type: "function_call"
  readonly id: string
  readonly callId: string
  readonly name: string
  readonly arguments: string
}

type Item = Spoken | Called

const itemsOf = (answer: SimulatedModel.Answer, id: string): ReadonlyArray<Item> =>
  answer.calls.length === 0
    ? [{
      type: "message",
      id: `msg_${id}`,
      text: answer.text,
      status: answer.finishReason === "length" ? "incomplete" : "completed"
    }]
    : answer.calls.map((call, index) => ({
      type: "function_call",
      id: `fc_${id}_${index}`,
      callId: `call_${id.slice(-12)}_${index}`,
      name: call.name,
      arguments: JSON.stringify(call.arguments)
    }))

const part = (said: string) => ({ type: "output_text", text: said, annotations: [], logprobs: [] })

const complete = (item: Item): JsonRecord =>
  item.type === "message"
    ? { id: item.id, type: "message", status: item.status, role: "assistant", content: [part(item.text)] }
    : {
      id: item.id,
      type: "function_call",
      status: "completed",
      call_id: item.callId,
      name: item.name,
      arguments: item.arguments
    }

const started = (item: Item): JsonRecord => ({
  ...complete(item),
  status: "in_progress",
  ...(item.type === "message" ? { content: [] } : { arguments: "" })
})

const events = (
  head: ReturnType<typeof headOf>,
  answer: SimulatedModel.Answer,
  items: ReadonlyArray<Item>
): ReadonlyArray<string> => {
  let sequence = 0
  const event = (type: string, fields: JsonRecord) =>
    Reply.event({ type, sequence_number: sequence++, ...fields }, type)
  const end = endOf(answer)
  return [
    event("response.created", { response: head }),
    event("response.in_progress", { response: head }),
    // An event's number is the order in which it is made here.
    ...items.flatMap((item, output_index) => {
      const at = { item_id: item.id, output_index }
      const added = event("response.output_item.added", { output_index, item: started(item) })
      const inside = item.type === "message" ? spoken(item, at, event) : called(item, at, event)
      return [added, ...inside, event("response.output_item.done", { output_index, item: complete(item) })]
    }),
    event(`response.${end.status}`, { response: { ...head, ...end, output: items.map(complete) } })
  ]
}

type Make = (type: string, fields: JsonRecord) => string

const spoken = (item: Spoken, at: JsonRecord, event: Make): ReadonlyArray<string> => [
  event("response.content_part.added", { ...at, content_index: 0, part: part("") }),
  ...Reply.words(item.text).map((delta) =>
    event("response.output_text.delta", { ...at, content_index: 0, delta, logprobs: [] })
  ),
  event("response.output_text.done", { ...at, content_index: 0, text: item.text, logprobs: [] }),
  event("response.content_part.done", { ...at, content_index: 0, part: part(item.text) })
]

const called = (item: Called, at: JsonRecord, event: Make): ReadonlyArray<string> => [
  ...Reply.fragments(item.arguments).map((delta) => event("response.function_call_arguments.delta", { ...at, delta })),
  event("response.function_call_arguments.done", { ...at, name: item.name, arguments: item.arguments })
]
