/**
 * The built-in offline model: deterministic answers, plainly labelled as simulated.
 *
 * It decides what a model would do with a request: call tools that the prompt asks for, follow a JSON schema, or answer
 * with text that refers to the prompt. `decode` reads a request of Workers AI or of OpenAI's chat API; how the other
 * providers' requests are read, and how answers travel, is in the files of the wires.
 *
 * @since 0.1.0
 */
import * as Result from "effect/Result"
import { isRecord, list } from "./JsonSchema.ts"
import * as PromptSchema from "./PromptSchema.ts"
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
  /** Texts before which the answer ends. */
  readonly stop: ReadonlyArray<string>
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
  /** The text out of `stop` that ended the answer. */
  readonly stoppedAt: string | undefined
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
    stop: stopTexts(body["stop"]),
    stream: body["stream"] === true,
    includeUsage: isRecord(streamOptions) && streamOptions["include_usage"] === true
  })
}

/**
 * A message that says this.
 *
 * @category constructors
 * @since 0.1.0
 */
export const turn = (role: string, text: string, extra: Partial<Message> = {}): Message => ({
  role,
  text,
  calls: [],
  callId: undefined,
  name: undefined,
  ...extra
})

/**
 * Decides what the model answers.
 *
 * @category constructors
 * @since 0.1.0
 */
export const answer = (model: string, request: Request): Answer => {
  const prompt = request.messages.findLast((_) => _.role === "user")?.text ?? ""
  const results = resultsAfterPrompt(request.messages)
  const calls = chooseTools(request, prompt, results).map((tool) => ({
    name: tool.name,
    arguments: argumentsFor(tool, prompt)
  }))
  const promptTokens = tokensOf(request)
  if (calls.length > 0) {
    const completion = calls.reduce(
      (sum, call) => sum + estimate(call.name) + estimate(JSON.stringify(call.arguments)),
      0
    )
    const finishReason = "tool_calls"
    return {
      text: "",
      value: undefined,
      calls,
      finishReason,
      stoppedAt: undefined,
      usage: usage(promptTokens, completion)
    }
  }
  const schema = request.schema === true
    ? PromptSchema.find(request.messages.map((_) => _.text)) ?? true
    : request.schema
  const value = schema === undefined
    ? undefined
    : schema === true
    ? { answer: textFor(model, prompt, results) }
    : SchemaValue.make(schema, PromptValues.suggestFrom(prompt))
  const whole = value === undefined ? textFor(model, prompt, results) : JSON.stringify(value)
  const { stoppedAt, text: said } = stopped(whole, request.stop)
  const text = request.maxTokens === undefined ? said : [...said].slice(0, request.maxTokens * perToken).join("")
  const cut = text.length < said.length
  return {
    text,
    value: text.length < whole.length ? undefined : value,
    calls: [],
    finishReason: cut ? "length" : "stop",
    stoppedAt: cut ? undefined : stoppedAt,
    usage: usage(promptTokens, estimate(text))
  }
}

/**
 * The request with these tools only, as choices of "allowed tools" want it.
 *
 * @category combinators
 * @since 0.1.0
 */
export const narrowed = (request: Request, names: ReadonlySet<string>, mode: "auto" | "required"): Request => ({
  ...request,
  tools: request.tools.filter((_) => names.has(_.name)),
  toolChoice: mode
})

/**
 * The tool that must be called and is not there; undefined when all is well.
 *
 * @category getters
 * @since 0.1.0
 */
export const unknownTool = ({ toolChoice, tools }: Request): string | undefined =>
  typeof toolChoice === "object" && !tools.some((_) => _.name === toolChoice.name) ? toolChoice.name : undefined

/**
 * How many tokens a request's messages and tools have.
 *
 * @category getters
 * @since 0.1.0
 */
export const tokensOf = ({ messages, tools }: Pick<Request, "messages" | "tools">): number =>
  estimate(messages.map((_) => _.text).join("\n") + (tools.length > 0 ? JSON.stringify(tools) : ""))

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
  const characters = [...prompt]
  const asked = characters.length > 400 ? `${characters.slice(0, 400).join("")}...` : prompt
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

const chooseTools = (
  request: Request,
  prompt: string,
  results: ReadonlyArray<{ readonly name: string }>
): ReadonlyArray<Tool> => {
  const { toolChoice, tools } = request
  if (tools.length === 0 || toolChoice === "none") return []
  if (results.length > 0) {
    // Who must call goes on with what was not called yet; once all were, an answer ends the loop of the caller's.
    const left = tools.filter((tool) => !results.some((_) => _.name === tool.name))
    if (toolChoice === "auto") return []
    return left.filter((_) => toolChoice === "required" || _.name === toolChoice.name).slice(0, 1)
  }
  if (typeof toolChoice === "object") return tools.filter((_) => _.name === toolChoice.name).slice(0, 1)
  const asked = askedFor(tools, prompt)
  const chosen = asked.length > 0 ? asked : toolChoice === "required" ? tools.slice(0, 1) : []
  return request.parallel ? chosen : chosen.slice(0, 1)
}

const stopped = (text: string, stop: ReadonlyArray<string>) => {
  let at = text.length
  let stoppedAt: string | undefined
  for (const one of stop) {
    const found = one === "" ? -1 : text.indexOf(one)
    if (found !== -1 && found < at) [at, stoppedAt] = [found, one]
  }
  return { text: text.slice(0, at), stoppedAt }
}

const stopTexts = (given: unknown): ReadonlyArray<string> =>
  (typeof given === "string" ? [given] : list(given)).filter((_): _ is string => typeof _ === "string")

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
