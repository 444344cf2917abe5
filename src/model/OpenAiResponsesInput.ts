/**
 * Effect's prompt, tools and tool choice in the form of OpenAI's Responses API: a flat list of items.
 *
 * System messages go into the list with the role `system`, not into `instructions`: those are forgotten by
 * `previous_response_id`, and every server of this format knows the role (OpenAI reads it as `developer` for the models
 * that know that one). What an answer's item was is kept in the options of its prompt parts under `openai`, and from
 * there the item is sent again: ids, encrypted reasoning, and the calls of built-in tools as they came.
 *
 * Sources: wire reference, sections 9.2 and 10.2; OpenAI's API reference, "Create a model response", field `input`.
 *
 * @since 0.1.0
 */
import * as Encoding from "effect/Encoding"
import * as Exit from "effect/Exit"
import * as Schema from "effect/Schema"
import * as AiError from "effect/unstable/ai/AiError"
import type * as LanguageModel from "effect/unstable/ai/LanguageModel"
import * as OpenAiStructuredOutput from "effect/unstable/ai/OpenAiStructuredOutput"
import type * as Prompt from "effect/unstable/ai/Prompt"
import * as Tool from "effect/unstable/ai/Tool"
import { isRecord, type JsonRecord, record, text } from "./Json.ts"
import * as ToolParams from "./ToolParams.ts"

/**
 * How a prompt is to be sent.
 *
 * @category models
 * @since 0.1.0
 */
export interface InputOptions {
  /** The whole conversation, also where only its end is sent: it says which call a result is of. */
  readonly history: Prompt.Prompt
  /** Whether the provider keeps answers (`store`); if not, reasoning without its encrypted content means nothing to it. */
  readonly stored: boolean
}

/**
 * The input items of a prompt; what the wire cannot carry is pushed onto `problems`.
 *
 * Left out are the reasoning of other providers, which no API could read, and approvals of tools, which Effect has
 * resolved before.
 *
 * @category constructors
 * @since 0.1.0
 */
export const input = (
  prompt: Prompt.Prompt,
  { history, stored }: InputOptions,
  problems: Array<AiError.AiErrorReason>
): ReadonlyArray<JsonRecord> => {
  const items: Array<JsonRecord> = []
  const builtInCalls = builtInCallsOf(history)
  for (const message of prompt.content) {
    switch (message.role) {
      case "system":
        items.push({ role: "system", content: message.content })
        break
      case "user":
        items.push({ role: "user", content: message.content.map((part) => userPart(part, problems)) })
        break
      case "assistant":
        for (const item of assistantItems(message, problems)) {
          if (stored || item["type"] !== "reasoning" || item["encrypted_content"] || item["content"]) items.push(item)
        }
        break
      case "tool":
        for (const part of message.content) {
          if (part.type === "tool-result") items.push(toolResult(part, builtInCalls.get(part.id)))
        }
    }
  }
  return items
}

/**
 * The tools: functions with a JSON schema, and built-in tools as their type and arguments.
 *
 * A function is strict unless `Tool.Strict` says otherwise: its schema is the one of OpenAI's subset, and
 * {@link toolParams} brings the arguments back into the tool's own encoding. A dynamic tool's JSON schema is sent as it
 * is, and is not strict unless it is said to be.
 *
 * @category constructors
 * @since 0.1.0
 */
export const tools = (
  tools: ReadonlyArray<Tool.Any>,
  problems: Array<AiError.AiErrorReason>
): ReadonlyArray<JsonRecord> =>
  tools.map((tool) => {
    const { problem, wire } = wireToolOf(tool)
    if (problem !== undefined) problems.push(problem)
    return wire
  })

/**
 * A call's arguments in the tool's own encoding; what does not fit stays as it is, for Effect to say what is wrong.
 *
 * @category accessors
 * @since 0.1.0
 */
export const toolParams = (tools: ReadonlyArray<Tool.Any>): (name: string, params: unknown) => unknown =>
  ToolParams.byName(tools, (tool) => wireToolOf(tool).params)

/**
 * `oneOf` needs no name on the wire: the tools are already the ones it allows.
 *
 * @category constructors
 * @since 0.1.0
 */
export const toolChoice = (
  choice: LanguageModel.ProviderOptions["toolChoice"],
  tools: ReadonlyArray<Tool.Any>
): string | JsonRecord => {
  if (typeof choice === "string") return choice
  if (!("tool" in choice)) return choice.mode ?? "auto"
  const tool = tools.find((tool) => tool.name === choice.tool)
  if (tool === undefined || !Tool.isProviderDefined(tool)) return { type: "function", name: choice.tool }
  const { name, server_label } = record(tool.args)
  if (tool.providerName === "mcp") return { type: "mcp", server_label }
  return tool.providerName === "custom" ? { type: "custom", name } : { type: tool.providerName }
}

interface WireTool {
  readonly wire: JsonRecord
  readonly params: (params: unknown) => unknown
  readonly problem?: AiError.AiErrorReason
}

/** Made once for each tool: a toolkit's tools live as long as the program. */
const wireTools = new WeakMap<Tool.Any, WireTool>()

const wireToolOf = (tool: Tool.Any): WireTool => {
  const known = wireTools.get(tool)
  if (known !== undefined) return known
  const made = makeWireTool(tool)
  wireTools.set(tool, made)
  return made
}

const asIs = (params: unknown): unknown => params

const makeWireTool = (tool: Tool.Any): WireTool => {
  if (Tool.isProviderDefined(tool)) {
    // Effect puts the mode of a tool that has a handler beside the tool's own arguments.
    const { failureMode: _, ...args } = record(tool.args)
    return { wire: { ...args, type: tool.providerName }, params: asIs }
  }
  const annotated = Tool.getStrictMode(tool)
  const isRaw = Tool.isDynamic(tool) && tool.jsonSchema !== undefined
  try {
    return annotated === false || isRaw
      ? { wire: functionTool(tool, Tool.getJsonSchema(tool), annotated ?? false), params: ToolParams.readerOf(tool) }
      : {
        wire: functionTool(tool, Tool.getJsonSchema(tool, { transformer: OpenAiStructuredOutput.toCodecOpenAI }), true),
        params: fromStrict(tool.parametersSchema)
      }
  } catch (error) {
    const description = `its parameters have no JSON schema that OpenAI takes: ${
      error instanceof Error ? error.message : String(error)
    }`
    return {
      wire: functionTool(tool, {}, false),
      params: asIs,
      problem: new AiError.ToolConfigurationError({ toolName: tool.name, description })
    }
  }
}

const functionTool = (tool: Tool.Any, schema: JsonRecord, strict: boolean): JsonRecord => {
  const description = Tool.getDescription(tool)
  // OpenAI refuses an object schema that names no properties.
  const parameters = schema["type"] === "object" && schema["properties"] === undefined
    ? { ...schema, properties: {} }
    : schema
  return {
    type: "function",
    name: tool.name,
    ...(description === undefined ? {} : { description }),
    parameters,
    strict
  }
}

/** OpenAI's subset has no optional keys, tuples or records; a call has what stands for them there. */
const fromStrict = (schema: Schema.Constraint): (params: unknown) => unknown => {
  // Tools forget what their schemas need; one that needs services fails here and leaves the arguments as they are.
  const plain = schema as Schema.ConstraintCodec<unknown, unknown>
  const { codec } = OpenAiStructuredOutput.toCodecOpenAI(plain)
  if (codec === plain) return asIs
  const decode = Schema.decodeUnknownExit(codec)
  const encode = Schema.encodeUnknownExit(plain)
  return (params) => {
    const decoded = decode(params)
    if (Exit.isFailure(decoded)) return params
    const encoded = encode(decoded.value)
    return Exit.isSuccess(encoded) ? encoded.value : params
  }
}

const userPart = (part: Prompt.UserMessage["content"][number], problems: Array<AiError.AiErrorReason>): JsonRecord => {
  if (part.type === "text") return { type: "input_text", text: part.text }
  const fileId = typeof part.data === "string" && /^file-\w+$/.test(part.data) ? part.data : undefined
  if (part.mediaType.startsWith("image/")) {
    const detail = text(record(part.options.openai)["imageDetail"])
    return {
      type: "input_image",
      ...(fileId === undefined ? { image_url: url(part) } : { file_id: fileId }),
      ...(detail === undefined ? {} : { detail })
    }
  }
  if (/^(audio|video)\//.test(part.mediaType)) problems.push(unsupportedFile(part))
  if (fileId !== undefined) return { type: "input_file", file_id: fileId }
  const at = url(part)
  return at.startsWith("data:")
    ? { type: "input_file", filename: part.fileName ?? fileName(part.mediaType), file_data: at }
    : { type: "input_file", file_url: at }
}

/** The API wants a name with every file's bytes, and goes by its ending. */
const fileName = (mediaType: string): string => `file.${mediaType === "text/plain" ? "txt" : mediaType.split("/")[1]}`

const assistantItems = (
  message: Prompt.AssistantMessage,
  problems: Array<AiError.AiErrorReason>
): ReadonlyArray<JsonRecord> => {
  const items: Array<JsonRecord> = []
  /** Calls whose items have their results in them, or stand for images. */
  const whole = new Set<string>()
  let texts: Grown | undefined
  let reasoning: Grown | undefined
  for (const part of message.content) {
    const info = record(part.options["openai"])
    const id = text(info["itemId"])
    if (part.type !== "text") texts = undefined
    if (part.type !== "reasoning") reasoning = undefined
    switch (part.type) {
      case "text": {
        if (part.text === "" && id === undefined) break
        if (texts === undefined || texts.id !== id) {
          texts = { id, item: { role: "assistant", content: [], ...withId(id) } }
          const phase = text(info["phase"])
          if (phase !== undefined) texts.item["phase"] = phase
          items.push(texts.item)
        }
        grow(
          texts,
          "content",
          info["refusal"] === true
            ? { type: "refusal", refusal: part.text }
            : { type: "output_text", text: part.text }
        )
        break
      }
      case "reasoning": {
        const encrypted = text(info["encryptedContent"])
        if (id === undefined && encrypted === undefined) break
        if (reasoning === undefined || reasoning.id !== id) {
          reasoning = { id, item: { type: "reasoning", ...withId(id), summary: [] } }
          items.push(reasoning.item)
        }
        if (encrypted !== undefined) reasoning.item["encrypted_content"] = encrypted
        if (part.text === "") break
        if (info["form"] === "content") grow(reasoning, "content", { type: "reasoning_text", text: part.text })
        else grow(reasoning, "summary", { type: "summary_text", text: part.text })
        break
      }
      case "tool-call": {
        const isImage = part.providerExecuted && id !== undefined && info["item"] === undefined
        if (part.providerExecuted && (isImage || isRecord(info["item"]))) whole.add(part.id)
        if (isImage) break
        items.push(
          isRecord(info["item"]) ? info["item"] : {
            type: "function_call",
            ...withId(id),
            call_id: part.id,
            name: part.name,
            arguments: JSON.stringify(part.params ?? {})
          }
        )
        break
      }
      case "tool-result":
        if (!whole.has(part.id)) items.push(toolResult(part, undefined))
        break
      case "file":
        if (id === undefined) problems.push(unsupportedFile(part))
        else items.push({ type: "image_generation_call", id, status: "completed", result: base64(part) })
    }
  }
  return items
}

/** An item that takes in the parts that follow, while they are of the same id. */
interface Grown {
  readonly id: string | undefined
  readonly item: { [name: string]: unknown }
}

const grow = ({ item }: Grown, list: string, entry: JsonRecord): void => {
  const entries = item[list]
  if (Array.isArray(entries)) entries.push(entry)
  else item[list] = [entry]
}

const withId = (id: string | undefined): JsonRecord => id === undefined ? {} : { id }

/** The items of built-in tools that are run here, by the ids of their calls. */
const builtInCallsOf = (prompt: Prompt.Prompt): ReadonlyMap<string, string> => {
  const types = new Map<string, string>()
  for (const message of prompt.content) {
    if (message.role !== "assistant") continue
    for (const part of message.content) {
      const type = part.type === "tool-call"
        ? text(record(record(part.options["openai"])["item"])["type"])
        : undefined
      if (type !== undefined && part.type === "tool-call") types.set(part.id, type)
    }
  }
  return types
}

const toolResult = (part: Prompt.ToolResultPart, builtIn: string | undefined): JsonRecord => {
  // A built-in tool's output has a shape of its own, and the tool's success schema is that shape.
  if (builtIn !== undefined && !part.isFailure) {
    const output = isRecord(part.result) ? part.result : { output: resultText(part.result) }
    return { ...output, type: `${builtIn}_output`, call_id: part.id }
  }
  return {
    type: builtIn === undefined ? "function_call_output" : `${builtIn}_output`,
    call_id: part.id,
    // The wire has no flag for a failed call, so the text has to say it.
    output: part.isFailure ? JSON.stringify({ error: part.result ?? null }) : resultText(part.result)
  }
}

const resultText = (result: unknown): string => typeof result === "string" ? result : JSON.stringify(result ?? null)

const url = (part: Prompt.FilePart): string => {
  if (part.data instanceof URL) return part.data.href
  if (typeof part.data === "string" && /^(data|https?):/.test(part.data)) return part.data
  return `data:${part.mediaType};base64,${base64(part)}`
}

const base64 = (part: Prompt.FilePart): string =>
  part.data instanceof Uint8Array ? Encoding.encodeBase64(part.data) : String(part.data)

const unsupportedFile = (part: Prompt.FilePart): AiError.InvalidRequestError =>
  new AiError.InvalidRequestError({
    parameter: "prompt",
    constraint: "may hold images and documents of the user, and images that the model made",
    description: `It has a file of type ${part.mediaType}`
  })
