/**
 * Google's Gemini API by the simulated model: content, whole or streamed, embeddings, the count of tokens, models.
 *
 * It answers on `v1` and `v1beta`, and below Vertex AI's projects. Fields may be written in both of Google's ways,
 * `systemInstruction` and `system_instruction`. Tools that Google runs itself are taken and never used. Source: the wire
 * reference, section 10.4; Google's reference of the API.
 *
 * @since 0.1.0
 */
import * as Result from "effect/Result"
import { isRecord, type JsonRecord, parse, record, text } from "../../model/Json.ts"
import { prices } from "../../model/prices.ts"
import * as GoogleSchemas from "./GoogleSchemas.ts"
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
  const named = /^v\d\w*\/models(?:\/([^/:]+))?$/.exec(path)
  if (method === "GET" && named !== null) return named[1] === undefined ? models() : Reply.json(modelOf(named[1]))
  const asked =
    /^v\d\w*\/(?:projects\/[^/]+\/locations\/[^/]+\/)?(?:publishers\/google\/)?(?:models|tunedModels)\/([^/:]+):(\w+)$/
      .exec(path)
  const [, model = "", action = ""] = asked ?? []
  const handler = method === "POST" && Object.hasOwn(actions, action) ? actions[action] : undefined
  if (handler === undefined) {
    return refused(
      `${method} /${path}: the simulated model answers ${Object.keys(actions).join(", ")} of models, and their list. ` +
        `With a key, or with --upstream ${call.provider}=URL, the local gateway asks the provider itself.`,
      404
    )
  }
  const body = parse(new TextDecoder().decode(call.body))
  if (!isRecord(body)) return refused("Invalid JSON payload received: expected an object")
  return Result.merge(Result.mapError(handler({ body, call, model }), (problem) => refused(problem)))
}

interface Asked {
  readonly body: JsonRecord
  readonly call: Reply.Call
  readonly model: string
}

type Handler = (asked: Asked) => Result.Result<Reply.Reply, string>

const generate: Handler = ({ body, call, model }) =>
  Result.map(decode(body), (request) => {
    const answer = answerTo(model, request, body)
    return Reply.json(chunk(call, model, answer, partsOf(answer, call.id), true))
  })

const stream: Handler = ({ body, call, model }) =>
  Result.map(decode(body), (request) => {
    const answer = answerTo(model, request, body)
    const parts = answer.calls.length === 0
      ? Reply.words(answer.text).map((text) => [{ text }])
      : partsOf(answer, call.id).map((part) => [part])
    const chunks = (parts.length === 0 ? [[]] : parts).map((part, index, all) =>
      JSON.stringify(chunk(call, model, answer, part, index === all.length - 1))
    )
    return call.params.get("alt") === "sse"
      ? { contentType: "text/event-stream", pieces: chunks.map((chunk) => `data: ${chunk}\r\n\r\n`) }
      : {
        contentType: "application/json; charset=UTF-8",
        pieces: chunks.map((chunk, index) =>
          `${index === 0 ? "[" : ",\r\n"}${chunk}${index === chunks.length - 1 ? "\n]\n" : ""}`
        )
      }
  })

const countTokens: Handler = ({ body }) =>
  Result.map(decode(record(field(body, "generateContentRequest") ?? body)), (request) => {
    const totalTokens = SimulatedModel.tokensOf(request)
    return Reply.json({ totalTokens, promptTokensDetails: [{ modality: "TEXT", tokenCount: totalTokens }] })
  })

const embed: Handler = ({ body, model }) =>
  Result.map(embedding(body, model, "EmbedContentRequest"), (embedding) => Reply.json({ embedding }))

const batchEmbed: Handler = ({ body, model }) =>
  Result.gen(function*() {
    const requests = list(body["requests"])
    if (requests.length === 0 || requests.length > 100) {
      return yield* Result.fail("* BatchEmbedContentsRequest.requests: must hold 1 to 100 requests")
    }
    const embeddings: Array<unknown> = []
    for (const [index, request] of requests.entries()) {
      embeddings.push(
        yield* embedding(record(request), model, `BatchEmbedContentsRequest.requests[${index}]`)
      )
    }
    return Reply.json({ embeddings })
  })

const actions: { readonly [action: string]: Handler } = {
  generateContent: generate,
  streamGenerateContent: stream,
  countTokens,
  embedContent: embed,
  batchEmbedContents: batchEmbed
}

const embedding = (body: JsonRecord, model: string, at: string): Result.Result<unknown, string> => {
  const content = partsText(list(record(body["content"])["parts"]).map(record))
  const most = model === "text-embedding-004" ? 768 : 3072
  const wanted = field(body, "outputDimensionality") ?? most
  if (content === "") return Result.fail(`* ${at}.content: contents is not specified`)
  return typeof wanted === "number" && Number.isInteger(wanted) && wanted > 0 && wanted <= most
    ? Result.succeed({ values: SimulatedModel.embed(content, wanted) })
    : Result.fail(`* ${at}.output_dimensionality: must be an integer from 1 to ${most}, got ${JSON.stringify(wanted)}`)
}

/** A field by its name in JSON, or by that of Google's protocol buffers, which its own examples use. */
const field = (from: JsonRecord, name: string): unknown =>
  from[name] ?? from[name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)]

const decode = (body: JsonRecord): Result.Result<SimulatedModel.Request, string> =>
  Result.gen(function*() {
    const config = record(field(body, "generationConfig"))
    const calling = record(field(record(field(body, "toolConfig")), "functionCallingConfig"))
    const tools = list(body["tools"]).flatMap((tool) => list(field(record(tool), "functionDeclarations")))
      .map(record).flatMap((declared): ReadonlyArray<SimulatedModel.Tool> => {
        const parameters = field(declared, "parametersJsonSchema") ?? GoogleSchemas.toJsonSchema(declared["parameters"])
        const { description, name } = declared
        return typeof name === "string" ? [{ name, description: text(description) ?? "", parameters }] : []
      })
    const mode = String(calling["mode"] ?? "AUTO").toUpperCase()
    const system = partsText(partsIn(field(body, "systemInstruction")))
    const maxTokens = field(config, "maxOutputTokens")
    if (maxTokens !== undefined && !(typeof maxTokens === "number" && Number.isInteger(maxTokens) && maxTokens > 0)) {
      return yield* Result.fail(
        `* GenerateContentRequest.generation_config.max_output_tokens: must be a positive integer, got ${
          JSON.stringify(maxTokens)
        }`
      )
    }
    const request: SimulatedModel.Request = {
      messages: [
        ...(system === "" ? [] : [SimulatedModel.turn("system", system)]),
        ...(yield* turns(body["contents"]))
      ],
      tools,
      toolChoice: mode === "NONE" ? "none" : mode === "ANY" ? "required" : "auto",
      parallel: true,
      schema: schemaOf(config),
      maxTokens,
      stop: list(field(config, "stopSequences")).filter((_): _ is string => typeof _ === "string"),
      stream: false,
      includeUsage: true
    }
    const allowed = list(field(calling, "allowedFunctionNames")).map(String)
    return mode === "ANY" && allowed.length > 0
      ? SimulatedModel.narrowed(request, new Set(allowed), "required")
      : request
  })

const schemaOf = (config: JsonRecord): unknown => {
  const type = field(config, "responseMimeType")
  const given = field(config, "responseJsonSchema") ?? GoogleSchemas.toJsonSchema(field(config, "responseSchema"))
  return type === "application/json" || type === "text/x.enum" ? given ?? true : undefined
}

/** An enumeration's value is not written as JSON. */
const answerTo = (model: string, request: SimulatedModel.Request, body: JsonRecord): SimulatedModel.Answer => {
  const answer = SimulatedModel.answer(model, request)
  const type = field(record(field(body, "generationConfig")), "responseMimeType")
  return type === "text/x.enum" && typeof answer.value === "string" ? { ...answer, text: answer.value } : answer
}

const turns = (given: unknown): Result.Result<ReadonlyArray<SimulatedModel.Message>, string> => {
  const contents = isRecord(given) ? [given] : list(given)
  if (contents.length === 0) return Result.fail("* GenerateContentRequest.contents: contents is not specified")
  const messages: Array<SimulatedModel.Message> = []
  for (const [index, raw] of contents.entries()) {
    const role = record(raw)["role"] ?? "user"
    const parts = partsIn(raw)
    if (role !== "user" && role !== "model" && role !== "function") {
      return Result.fail("Please use a valid role: user, model.")
    }
    if (parts.length === 0) {
      return Result.fail(`* GenerateContentRequest.contents[${index}].parts: contents.parts must not be empty.`)
    }
    const results = parts.flatMap((part) => {
      const result = field(part, "functionResponse")
      return isRecord(result) ? [result] : []
    })
    const calls = parts.flatMap((part) => {
      const call = field(part, "functionCall")
      return isRecord(call) ? [{ id: String(call["id"] ?? ""), name: String(call["name"]) }] : []
    })
    for (const result of results) {
      const { output, result: plain } = record(result["response"])
      const said = output ?? plain ?? result["response"]
      const shown = typeof said === "string" ? said : JSON.stringify(said ?? null)
      messages.push(SimulatedModel.turn("tool", shown, { name: text(result["name"]) }))
    }
    const said = partsText(parts)
    // What comes back with the results of functions and says nothing is no new question.
    if (results.length === 0 || said !== "") {
      messages.push(SimulatedModel.turn(role === "model" ? "assistant" : "user", said, { calls }))
    }
  }
  return Result.succeed(messages)
}

const partsIn = (content: unknown): ReadonlyArray<JsonRecord> => {
  const parts = record(content)["parts"]
  return isRecord(parts) ? [parts] : list(parts).filter(isRecord)
}

const partsText = (parts: ReadonlyArray<JsonRecord>) =>
  parts.map((part) => part["thought"] === true ? "" : text(part["text"]) ?? "").join("")

const partsOf = (answer: SimulatedModel.Answer, id: string): ReadonlyArray<JsonRecord> =>
  answer.calls.length === 0
    ? answer.text === "" ? [] : [{ text: answer.text }]
    : answer.calls.map((call, index) => ({
      functionCall: { id: `call_${id.slice(-12)}_${index}`, name: call.name, args: call.arguments }
    }))

const chunk = (
  call: Reply.Call,
  modelVersion: string,
  { finishReason, usage }: SimulatedModel.Answer,
  parts: ReadonlyArray<JsonRecord>,
  isLast: boolean
) => ({
  candidates: [{
    content: { parts, role: "model" },
    ...(isLast ? { finishReason: finishReason === "length" ? "MAX_TOKENS" : "STOP" } : {}),
    index: 0
  }],
  usageMetadata: {
    promptTokenCount: usage.prompt_tokens,
    ...(isLast ? { candidatesTokenCount: usage.completion_tokens } : {}),
    totalTokenCount: isLast ? usage.total_tokens : usage.prompt_tokens,
    promptTokensDetails: [{ modality: "TEXT", tokenCount: usage.prompt_tokens }]
  },
  modelVersion,
  responseId: call.id
})

const refused = (message: string, code: 400 | 404 = 400): Reply.Reply =>
  Reply.json({ error: { code, message, status: code === 404 ? "NOT_FOUND" : "INVALID_ARGUMENT" } }, code)

const modelOf = (id: string) => ({
  name: `models/${id}`,
  version: "simulated",
  displayName: id,
  description: "Answered by the local gateway's simulated model",
  inputTokenLimit: 1_048_576,
  outputTokenLimit: 65_536,
  supportedGenerationMethods: /embedding/.test(id)
    ? ["embedContent", "batchEmbedContents"]
    : ["generateContent", "countTokens"]
})

const models = (): Reply.Reply =>
  Reply.json({
    models: [...Object.keys(prices["google-ai-studio"]?.models ?? {}), "gemini-embedding-001"].map(modelOf)
  })
