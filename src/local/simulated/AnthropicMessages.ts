/**
 * Anthropic's Messages API by the simulated model: messages, whole or as named events, the count of their tokens, models.
 *
 * Tools that Anthropic runs itself are taken and never used, and nothing is thought aloud. Source: the wire reference,
 * section 10.3; Anthropic's reference of messages.
 *
 * @since 0.1.0
 */
import * as Result from "effect/Result"
import { isRecord, type JsonRecord, parse, record, text } from "../../model/Json.ts"
import { prices } from "../../model/prices.ts"
import { list } from "./JsonSchema.ts"
import * as Reply from "./Reply.ts"
import * as SimulatedModel from "./SimulatedModel.ts"

/**
 * The reply to a request; a refusal is one, too.
 *
 * @category constructors
 * @since 0.1.0
 */
export const reply = (call: Reply.Call): Reply.Reply => {
  const { method, path } = call
  if (method === "GET" && path === "v1/models") return models(call)
  if (method === "GET" && path.startsWith("v1/models/")) return Reply.json(modelOf(path.slice("v1/models/".length)))
  if (method === "POST" && path === "v1/messages") return Result.merge(messages(call, false))
  if (method === "POST" && path === "v1/messages/count_tokens") return Result.merge(messages(call, true))
  return refused(
    call,
    `${method} /${path}: the simulated model answers v1/messages, v1/messages/count_tokens and v1/models. ` +
      `With a key, or with --upstream ${call.provider}=URL, the local gateway asks the provider itself.`,
    404
  )
}

const messages = (call: Reply.Call, onlyCount: boolean): Result.Result<Reply.Reply, Reply.Reply> =>
  Result.gen(function*() {
    const fail = (problem: string) => Result.fail(refused(call, problem))
    if (text(call.headers["anthropic-version"]) === undefined && call.provider === "anthropic") {
      return yield* fail("anthropic-version: header is required")
    }
    const body = parse(new TextDecoder().decode(call.body))
    if (!isRecord(body)) return yield* fail("The request body is not valid JSON: expected an object")
    const model = text(body["model"])
    if (model === undefined) return yield* fail("model: Field required")
    const maxTokens = body["max_tokens"]
    if (!onlyCount && maxTokens === undefined) return yield* fail("max_tokens: Field required")
    if (!onlyCount && !(typeof maxTokens === "number" && Number.isInteger(maxTokens) && maxTokens > 0)) {
      return yield* fail(`max_tokens: Input should be a positive integer, got ${JSON.stringify(maxTokens)}`)
    }
    const request = yield* Result.mapError(decode(body), (problem) => refused(call, problem))
    if (onlyCount) return Reply.json({ input_tokens: SimulatedModel.tokensOf(request) })
    const answer = SimulatedModel.answer(model, request)
    return request.stream
      ? Reply.events(events(answer, call.id, model))
      : Reply.json({
        ...head(answer, call.id, model),
        content: blocksOf(answer, call.id),
        ...stopOf(answer),
        usage: usageOf(answer, answer.usage.completion_tokens)
      })
  })

const decode = (body: JsonRecord): Result.Result<SimulatedModel.Request, string> =>
  Result.gen(function*() {
    const tools = list(body["tools"]).flatMap((tool): ReadonlyArray<SimulatedModel.Tool> => {
      const { description, input_schema, name } = record(tool)
      return typeof name !== "string" || !isRecord(input_schema)
        ? []
        : [{ name, description: text(description) ?? "", parameters: input_schema }]
    })
    const choice = record(body["tool_choice"])
    // Its name before it became a part of `output_config`.
    const format = record(record(body["output_config"])["format"] ?? body["output_format"])
    const system = contentText(body["system"])
    const request: SimulatedModel.Request = {
      messages: [
        ...(system === "" ? [] : [SimulatedModel.turn("system", system)]),
        ...(yield* turns(body["messages"]))
      ],
      tools,
      toolChoice: choice["type"] === "none"
        ? "none"
        : choice["type"] === "any"
        ? "required"
        : choice["type"] === "tool"
        ? { name: String(choice["name"]) }
        : "auto",
      parallel: choice["disable_parallel_tool_use"] !== true,
      schema: format["type"] === "json_schema" ? format["schema"] ?? true : undefined,
      maxTokens: typeof body["max_tokens"] === "number" ? body["max_tokens"] : undefined,
      stop: list(body["stop_sequences"]).filter((_): _ is string => typeof _ === "string"),
      stream: body["stream"] === true,
      includeUsage: true
    }
    const missing = SimulatedModel.unknownTool(request)
    return missing === undefined
      ? request
      : yield* Result.fail(`tool_choice.name: Tool '${missing}' not found in tools`)
  })

const turns = (given: unknown): Result.Result<ReadonlyArray<SimulatedModel.Message>, string> => {
  if (given === undefined) return Result.fail("messages: Field required")
  if (!Array.isArray(given)) return Result.fail("messages: Input should be a valid list")
  if (given.length === 0) return Result.fail("messages: at least one message is required")
  const messages: Array<SimulatedModel.Message> = []
  let called = new Set<string>()
  for (const [index, raw] of given.entries()) {
    const { content, role } = record(raw)
    if (role !== "user" && role !== "assistant") {
      return Result.fail(`messages.${index}.role: Input should be 'user' or 'assistant', got ${JSON.stringify(role)}`)
    }
    if (typeof content !== "string" && !Array.isArray(content)) {
      return Result.fail(`messages.${index}.content: Input should be a valid string or a valid list`)
    }
    const blocks = list(content).map(record)
    const results = blocks.filter((_) => _["type"] === "tool_result")
    for (const { tool_use_id: id } of results) {
      if (!called.has(String(id))) {
        return Result.fail(
          `messages.${index}.content: unexpected \`tool_use_id\` found in \`tool_result\` blocks: ${
            String(id)
          }. Each ` +
            "`tool_result` block must have a corresponding `tool_use` block in the previous message."
        )
      }
      called.delete(String(id))
    }
    if (called.size > 0) {
      return Result.fail(
        `messages.${index - 1}: \`tool_use\` ids were found without \`tool_result\` blocks immediately after: ` +
          `${[...called].join(", ")}. Each \`tool_use\` block must have a corresponding \`tool_result\` block in the ` +
          "next message."
      )
    }
    const calls = blocks.filter((_) => _["type"] === "tool_use")
      .map(({ id, name }) => ({ id: String(id), name: String(name) }))
    called = new Set(calls.map((_) => _.id))
    messages.push(
      ...results.map((_) =>
        SimulatedModel.turn("tool", contentText(_["content"]), { callId: String(_["tool_use_id"]) })
      )
    )
    const said = contentText(content)
    // What comes back with the results of tools and says nothing is no new question.
    if (results.length === 0 || said !== "") messages.push(SimulatedModel.turn(role, said, { calls }))
  }
  return Result.succeed(messages)
}

const contentText = (content: unknown): string =>
  typeof content === "string"
    ? content
    : list(content).map(record).map((block) => block["type"] === "text" ? text(block["text"]) ?? "" : "").join("")

const refused = (call: Reply.Call, problem: string, status: 400 | 404 = 400): Reply.Reply =>
  Reply.json({
    type: "error",
    error: { type: status === 404 ? "not_found_error" : "invalid_request_error", message: problem },
    request_id: `req_${call.id}`
  }, status)

const head = (answer: SimulatedModel.Answer, id: string, model: string) => ({
  id: `msg_${id}`,
  type: "message",
  role: "assistant",
  model,
  content: [],
  stop_reason: null,
  stop_sequence: null,
  usage: usageOf(answer, 1)
})

const usageOf = ({ usage }: SimulatedModel.Answer, output: number) => ({
  input_tokens: usage.prompt_tokens,
  cache_creation_input_tokens: 0,
  cache_read_input_tokens: 0,
  cache_creation: { ephemeral_5m_input_tokens: 0, ephemeral_1h_input_tokens: 0 },
  output_tokens: output,
  service_tier: "standard"
})

const stopOf = ({ finishReason, stoppedAt }: SimulatedModel.Answer) => ({
  stop_reason: finishReason === "length"
    ? "max_tokens"
    : finishReason === "tool_calls"
    ? "tool_use"
    : stoppedAt === undefined
    ? "end_turn"
    : "stop_sequence",
  stop_sequence: stoppedAt ?? null
})

const blocksOf = (answer: SimulatedModel.Answer, id: string): ReadonlyArray<JsonRecord> =>
  answer.calls.length === 0
    ? answer.text === "" ? [] : [{ type: "text", text: answer.text }]
    : answer.calls.map((call, index) => ({
      type: "tool_use",
      id: `toolu_${id}${index}`,
      name: call.name,
      input: call.arguments
    }))

const events = (answer: SimulatedModel.Answer, id: string, model: string): ReadonlyArray<string> => {
  const event = (type: string, fields: JsonRecord = {}) => Reply.event({ type, ...fields }, type)
  const content: Array<string> = []
  for (const [index, block] of blocksOf(answer, id).entries()) {
    const isText = block["type"] === "text"
    const deltas: ReadonlyArray<JsonRecord> = isText
      ? Reply.words(String(block["text"])).map((text) => ({ type: "text_delta", text }))
      : ["", ...Reply.fragments(JSON.stringify(block["input"]))]
        .map((partial_json) => ({ type: "input_json_delta", partial_json }))
    content.push(
      event("content_block_start", { index, content_block: { ...block, ...(isText ? { text: "" } : { input: {} }) } })
    )
    if (index === 0) content.push(event("ping"))
    for (const delta of deltas) content.push(event("content_block_delta", { index, delta }))
    content.push(event("content_block_stop", { index }))
  }
  return [
    event("message_start", { message: head(answer, id, model) }),
    ...content,
    event("message_delta", { delta: stopOf(answer), usage: { output_tokens: answer.usage.completion_tokens } }),
    event("message_stop")
  ]
}

const modelOf = (id: string) => ({ type: "model", id, display_name: id, created_at: "1970-01-01T00:00:00Z" })

const models = ({ params }: Reply.Call): Reply.Reply => {
  const all = Object.keys(prices["anthropic"]?.models ?? {})
  const after = all.indexOf(params.get("after_id") ?? "")
  const limit = Number(params.get("limit") ?? 20)
  const page = all.slice(after + 1, after + 1 + (Number.isInteger(limit) && limit > 0 ? limit : 20))
  return Reply.json({
    data: page.map(modelOf),
    has_more: after + 1 + page.length < all.length,
    first_id: page[0] ?? null,
    last_id: page.at(-1) ?? null
  })
}
