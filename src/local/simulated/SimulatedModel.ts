/**
 * The built-in offline model: deterministic answers, plainly labelled as simulated.
 *
 * It reads a request of Workers AI or of OpenAI's chat API and decides what a model would do: call tools that the
 * prompt asks for, follow a JSON schema, or answer with text that refers to the prompt. How the decision travels is
 * `wire.ts`.
 *
 * @since 0.1.0
 */
import * as Result from "effect/Result"
import { isRecord, list } from "./JsonSchema.ts"
import * as PromptValues from "./PromptValues.ts"
import * as SchemaValue from "./SchemaValue.ts"

/**
 * A request as far as the simulated model reads it.
 *
 * @category models
 * @since 0.1.0
 */
export interface Request {
  readonly messages: ReadonlyArray<Message>
  readonly tools: ReadonlyArray<Tool>
  readonly toolChoice: "auto" | "none" | "required" | { readonly name: string }
  readonly parallel: boolean
  /** Undefined for text; `true` takes any JSON object. */
  readonly schema: unknown
  readonly maxTokens: number | undefined
  readonly stream: boolean
  /** OpenAI's `stream_options.include_usage`. */
  readonly includeUsage: boolean
}

/**
 * @category models
 * @since 0.1.0
 */
export interface Message {
  readonly role: string
  readonly text: string
  /** Tools that this message calls, by their call's id. */
  readonly calls: ReadonlyArray<{ readonly id: string; readonly name: string }>
  /** The call that this message answers. */
  readonly callId: string | undefined
  readonly name: string | undefined
}

/**
 * @category models
 * @since 0.1.0
 */
export interface Tool {
  readonly name: string
  readonly description: string
  readonly parameters: unknown
}

/**
 * What the model does about a request.
 *
 * @category models
 * @since 0.1.0
 */
export interface Answer {
  readonly text: string
  /** The value behind `text` when a schema was followed whole. */
  readonly value: unknown
  readonly calls: ReadonlyArray<{ readonly name: string; readonly arguments: unknown }>
  readonly finishReason: "stop" | "length" | "tool_calls"
  readonly usage: Usage
}

/**
 * Token counts, estimated at four characters a token.
 *
 * @category models
 * @since 0.1.0
 */
export interface Usage {
  readonly prompt_tokens: number
  readonly completion_tokens: number
  readonly total_tokens: number
}

/**
 * Reads a request's JSON body; fails with what is wrong with it.
 *
 * @category decoding
 * @since 0.1.0
 */
export const decode = (body: unknown): Result.Result<Request, string> => {
  if (!isRecord(body)) return Result.fail("expected a JSON object with 'prompt' or 'messages'")
  const given = body["messages"] ?? (Array.isArray(body["input"]) ? body["input"] : undefined)
  const prompt = [body["prompt"], body["input"]].find((_) => typeof _ === "string")
  if (given === undefined && prompt === undefined) {
    return Result.fail(
      "oneOf at '/' not met, 0 matches: required properties at '/' are 'prompt', required properties at '/' are 'messages'"
    )
  }
  if (given !== undefined && (!Array.isArray(given) || given.length === 0 || !given.every(isRecord))) {
    return Result.fail("'/messages' must be a non-empty array of objects with 'role' and 'content'")
  }
  const messages = given === undefined
    ? [message({ role: "user", content: prompt })]
    : given.map(message)
  const maxTokens = [body["max_completion_tokens"], body["max_tokens"]].find((_) => _ !== undefined && _ !== null)
  if (maxTokens !== undefined && !(typeof maxTokens === "number" && Number.isInteger(maxTokens) && maxTokens > 0)) {
    return Result.fail("'/max_tokens' must be a positive integer")
  }
  const streamOptions = body["stream_options"]
  return Result.succeed({
    messages,
    tools: list(body["tools"]).flatMap(tool),
    toolChoice: toolChoice(body["tool_choice"]),
    parallel: body["parallel_tool_calls"] !== false,
    schema: schemaOf(body["response_format"]),
    maxTokens,
    stream: body["stream"] === true,
    includeUsage: isRecord(streamOptions) && streamOptions["include_usage"] === true
  })
}

/**
 * Decides what the model answers.
 *
 * @category constructors
 * @since 0.1.0
 */
export const answer = (model: string, request: Request): Answer => {
  const prompt = request.messages.findLast((_) => _.role === "user")?.text ?? ""
  const results = resultsAfterPrompt(request.messages)
  const calls = results.length > 0 ? [] : chooseTools(request, prompt).map((tool) => ({
    name: tool.name,
    arguments: argumentsFor(tool, prompt)
  }))
  const promptTokens = estimate(
    request.messages.map((_) => _.text).join("\n") + (request.tools.length > 0 ? JSON.stringify(request.tools) : "")
  )
  if (calls.length > 0) {
    const completion = calls.reduce(
      (sum, call) => sum + estimate(call.name) + estimate(JSON.stringify(call.arguments)),
      0
    )
    return { text: "", value: undefined, calls, finishReason: "tool_calls", usage: usage(promptTokens, completion) }
  }
  const value = request.schema === undefined
    ? undefined
    : request.schema === true
    ? { answer: textFor(model, prompt, results) }
    : SchemaValue.make(request.schema, PromptValues.suggestFrom(prompt))
  const whole = value === undefined ? textFor(model, prompt, results) : JSON.stringify(value)
  const text = request.maxTokens === undefined ? whole : [...whole].slice(0, request.maxTokens * perToken).join("")
  const cut = text.length < whole.length
  return {
    text,
    value: cut ? undefined : value,
    calls: [],
    finishReason: cut ? "length" : "stop",
    usage: usage(promptTokens, estimate(text))
  }
}

/**
 * Vectors that depend on nothing but their text: texts that share words are near each other.
 *
 * @category constructors
 * @since 0.1.0
 */
export const embed = (text: string, dimensions: number): ReadonlyArray<number> => {
  const vector = Array.from({ length: dimensions }, () => 0)
  for (const word of ["", ...text.toLowerCase().match(/[\p{L}\p{N}]+/gu) ?? []]) {
    // FNV-1a spreads a word over four places of the vector.
    let hash = 0x811c9dc5
    for (let round = 0; round < 4; round++) {
      for (const char of `${round}${word}`) hash = Math.imul(hash ^ (char.codePointAt(0) ?? 0), 0x01000193) >>> 0
      const at = hash % dimensions
      vector[at] = (vector[at] ?? 0) + (hash & 0x10000 ? 1 : -1)
    }
  }
  const length = Math.hypot(...vector) || 1
  return vector.map((_) => Math.fround(_ / length))
}

/**
 * How many tokens a text has, by the estimate that the whole model uses.
 *
 * @category getters
 * @since 0.1.0
 */
export const estimate = (text: string): number => Math.ceil([...text].length / perToken)

const perToken = 4

const usage = (prompt: number, completion: number): Usage => ({
  prompt_tokens: prompt,
  completion_tokens: completion,
  total_tokens: prompt + completion
})

const textFor = (model: string, prompt: string, results: ReadonlyArray<{ name: string; text: string }>): string => {
  const asked = prompt.length > 400 ? `${prompt.slice(0, 400)}...` : prompt
  if (results.length === 0) {
    return `(simulated answer of ${model}) You asked: "${asked}". ` +
      "No model ran: the local gateway made up this text, word by word, so that you can see it stream."
  }
  const quoted = results.map((_) => `${_.name} answered ${_.text}`).join(", and ")
  return `(simulated answer of ${model}) About "${asked}": ${quoted}.`
}

/** Results of tools that came after the last thing the user said. */
const resultsAfterPrompt = (messages: ReadonlyArray<Message>) => {
  const asked = messages.findLastIndex((_) => _.role === "user")
  const after = messages.slice(asked + 1)
  const names = new Map(after.flatMap((_) => _.calls).map((_) => [_.id, _.name]))
  return after.filter((_) => _.role === "tool" || _.role === "function").map((_) => ({
    name: _.name ?? names.get(_.callId ?? "") ?? "the tool",
    text: _.text
  }))
}

const chooseTools = (request: Request, prompt: string): ReadonlyArray<Tool> => {
  const { toolChoice, tools } = request
  if (tools.length === 0 || toolChoice === "none") return []
  if (typeof toolChoice === "object") return tools.filter((_) => _.name === toolChoice.name).slice(0, 1)
  const asked = askedFor(tools, prompt)
  const chosen = asked.length > 0 ? asked : toolChoice === "required" ? tools.slice(0, 1) : []
  return request.parallel ? chosen : chosen.slice(0, 1)
}

/** Tools whose name is mentioned; when there is none, those with most words of their description in the prompt. */
const askedFor = (tools: ReadonlyArray<Tool>, prompt: string): ReadonlyArray<Tool> => {
  const words = new Set(stems(prompt))
  const lower = prompt.toLowerCase()
  const named = tools.filter((tool) =>
    lower.includes(tool.name.toLowerCase()) || stems(spaced(tool.name)).some((_) => words.has(_))
  )
  if (named.length > 0) return named
  const scores = tools.map((tool) => stems(tool.description).filter((_) => _.length >= 5 && words.has(_)).length)
  const best = Math.max(0, ...scores)
  return best === 0 ? [] : tools.filter((_, i) => scores[i] === best)
}

const spaced = (name: string) => name.replace(/([a-z0-9])([A-Z])/g, "$1 $2").replace(/[_\-.]+/g, " ")

/** Words that mean something, without the endings that keep "prices" and "price" apart. */
const stems = (text: string): ReadonlyArray<string> => [
  ...new Set(
    (text.toLowerCase().match(/[\p{L}\p{N}]+/gu) ?? [])
      .filter((_) => _.length >= 4 && !common.has(_))
      .map((_) => _.replace(/(ing|ed|es|s)$/, (ending, __, at: number) => at >= 4 ? "" : ending))
  )
]

const common = new Set(
  ("this that with from into about what which when where will would could should have has does been them they their " +
    "there then than your some just like want need please tell give show find make call tool tools function current " +
    "lookup search fetch list value values given returns return user users data information get set name text one " +
    "simulated answer question using used uses also only each every result results")
    .split(" ")
)

const argumentsFor = (tool: Tool, prompt: string): unknown => {
  const value = SchemaValue.make(tool.parameters ?? { type: "object" }, PromptValues.suggestFrom(prompt))
  return isRecord(value) ? value : {}
}

const message = (raw: { readonly [key: string]: unknown }): Message => ({
  role: typeof raw["role"] === "string" ? raw["role"] : "user",
  text: contentText(raw["content"]),
  calls: list(raw["tool_calls"]).filter(isRecord).map((call) => ({
    id: String(call["id"] ?? ""),
    name: String((isRecord(call["function"]) ? call["function"]["name"] : call["name"]) ?? "")
  })),
  callId: typeof raw["tool_call_id"] === "string" ? raw["tool_call_id"] : undefined,
  name: typeof raw["name"] === "string" && raw["name"] !== "" ? raw["name"] : undefined
})

const contentText = (content: unknown): string =>
  typeof content === "string"
    ? content
    : Array.isArray(content)
    ? content.map((part) => isRecord(part) && typeof part["text"] === "string" ? part["text"] : "").join("")
    : content === undefined || content === null
    ? ""
    : JSON.stringify(content)

const tool = (raw: unknown): ReadonlyArray<Tool> => {
  const spec = isRecord(raw) ? isRecord(raw["function"]) ? raw["function"] : raw : {}
  return typeof spec["name"] !== "string" ? [] : [{
    name: spec["name"],
    description: typeof spec["description"] === "string" ? spec["description"] : "",
    parameters: spec["parameters"]
  }]
}

const toolChoice = (raw: unknown): Request["toolChoice"] => {
  if (raw === "none" || raw === "required") return raw
  if (raw === "any") return "required"
  const named = isRecord(raw) ? isRecord(raw["function"]) ? raw["function"]["name"] : raw["name"] : undefined
  return typeof named === "string" ? { name: named } : "auto"
}

/** Workers AI takes the schema bare, OpenAI wraps it as `{ name, schema, strict }`. */
const schemaOf = (format: unknown): unknown => {
  if (!isRecord(format)) return undefined
  if (format["type"] === "json_object") return true
  if (format["type"] !== "json_schema") return undefined
  const given = format["json_schema"]
  return isRecord(given) && isRecord(given["schema"]) && !("type" in given) && !("properties" in given)
    ? given["schema"]
    : given ?? true
}
