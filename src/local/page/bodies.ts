/**
 * Prompts and answers out of the bodies of the usual wire formats, so that they can be read; the bodies themselves are
 * shown beside them.
 *
 * @since 0.1.0
 */

/**
 * A message, with who said it.
 *
 * @category models
 * @since 0.1.0
 */
export interface Message {
  readonly role: string
  readonly text: string
}

/**
 * The prompt in a request's body; none when its format is not known.
 *
 * @category decoding
 * @since 0.1.0
 */
export const prompt = (body: string): ReadonlyArray<Message> => {
  const json = parse(body)
  if (!isRecord(json)) return []
  const system = textOf(json["system"] ?? json["systemInstruction"] ?? json["instructions"])
  const first = system === "" ? [] : [{ role: "system", text: system }]
  const list = json["messages"] ?? json["contents"] ?? json["input"]
  if (Array.isArray(list) && list.some(isRecord)) return [...first, ...list.flatMap(message)]
  const text = textOf(json["prompt"] ?? json["input"] ?? json["text"])
  return text === "" ? first : [...first, { role: "user", text }]
}

/**
 * The answer in a response's body, streamed or whole; none when its format is not known.
 *
 * @category decoding
 * @since 0.1.0
 */
export const answer = (body: string): ReadonlyArray<Message> => {
  const events = /^(data|event|id|:)/.test(body) ? eventsOf(body) : [parse(body)]
  let text = ""
  for (const event of events) text += answerOf(event)
  return text === "" ? [] : [{ role: "assistant", text }]
}

/**
 * JSON with its lines, other text as it is.
 *
 * @category encoding
 * @since 0.1.0
 */
export const pretty = (body: string): string => {
  const json = parse(body)
  return json === undefined ? body : JSON.stringify(json, undefined, 2)
}

const answerOf = (event: unknown): string => {
  if (!isRecord(event)) return ""
  const { candidates, choices, content, delta, error, errors, output, response, result, type } = event
  const errorText = textOf(isRecord(error) ? error["message"] : Array.isArray(error) ? error : errors)
  if (errorText !== "") return errorText
  // Workers AI, whose answer may be wrapped, and whose `response` may be an object when JSON was asked for.
  if (isRecord(result)) return answerOf(result)
  if (typeof response === "string") return response
  if (type === "response.output_text.delta") return textOf(delta)
  if (type === "content_block_delta") return textOf(delta)
  if (typeof type === "string" && type.startsWith("response.")) return ""
  if (Array.isArray(choices)) return choices.map((one) => isRecord(one) ? choiceOf(one) : "").join("")
  if (Array.isArray(candidates)) return candidates.map((one) => isRecord(one) ? textOf(one["content"]) : "").join("")
  if (Array.isArray(output)) return output.map((one) => textOf(one)).filter((_) => _ !== "").join("\n")
  if (Array.isArray(content)) return textOf(content)
  return isRecord(response) ? JSON.stringify(response, undefined, 2) : ""
}

const choiceOf = ({ delta, message, text }: { readonly [name: string]: unknown }): string => {
  if (!isRecord(delta)) return textOf(message ?? text)
  const calls = Array.isArray(delta["tool_calls"]) ? delta["tool_calls"] : []
  return textOf(delta["content"]) + calls.map((call) => isRecord(call) ? pieceOf(call["function"]) : "").join("")
}

/** A call comes in pieces, the first of which has its name. */
const pieceOf = (called: unknown): string =>
  isRecord(called)
    ? `${typeof called["name"] === "string" ? `${called["name"]} ` : ""}${textOf(called["arguments"])}`
    : ""

const message = (one: unknown): ReadonlyArray<Message> => {
  if (!isRecord(one)) return []
  const text = textOf(one)
  return text === "" ? [] : [{ role: typeof one["role"] === "string" ? one["role"] : "user", text }]
}

/** The texts in a part, a list of parts, or a message of any of the formats. */
const textOf = (part: unknown): string => {
  if (typeof part === "string") return part
  if (Array.isArray(part)) return part.map(textOf).filter((_) => _ !== "").join("\n")
  if (!isRecord(part)) return ""
  const { content, function: called, functionCall, input, message, name, parts, text, tool_calls, type } = part
  if (isRecord(called)) return call(called["name"], called["arguments"])
  if (isRecord(functionCall)) return call(functionCall["name"], functionCall["args"])
  if (type === "tool_use") return call(name, input)
  if (type === "function_call") return call(name, part["arguments"])
  if (typeof type === "string" && /image|audio|file|document/.test(type) && text === undefined) return `[${type}]`
  const own = textOf(text ?? content ?? parts ?? message)
  const calls = textOf(tool_calls)
  return [own, calls].filter((_) => _ !== "").join("\n")
}

const call = (name: unknown, input: unknown): string =>
  `${typeof name === "string" ? name : ""}(${typeof input === "string" ? input : JSON.stringify(input) ?? ""})`

const eventsOf = (body: string): ReadonlyArray<unknown> =>
  body.split("\n").filter((line) => line.startsWith("data:")).map((line) => parse(line.slice("data:".length)))

const parse = (text: string): unknown => {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

const isRecord = (u: unknown): u is { readonly [name: string]: unknown } =>
  typeof u === "object" && u !== null && !Array.isArray(u)
