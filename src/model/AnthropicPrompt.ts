/**
 * Effect's prompt in the form of Anthropic's Messages API.
 *
 * - System messages become the request's `system` field, in their order and wherever they stand: as messages only the
 *   newest models take them. One in the middle of a conversation therefore applies to all of it.
 * - The API wants user and assistant in turns: messages of one role that follow each other become one, and the results
 *   of tools stand at its start.
 * - A text without any character that is not white space has no block: the API refuses it. So is white space at the end
 *   of an answer that the model has to continue (a prompt that ends with an assistant message).
 * - Thinking goes back with its signature, which the API checks. Reasoning without one, such as another provider's, is
 *   not sent.
 * - `options.anthropic.cacheControl` on a message applies to its last block, on a part to that part.
 * - A tool's result that is a list of content blocks (`{ type: "text", text }`, `{ type: "image", data, mimeType }`, or
 *   a block of the API's own: image, document, search_result, tool_reference) is sent as such, with the images to look at.
 *
 * Sources: wire reference, section 10.3; the request types of Anthropic's TypeScript SDK.
 *
 * @since 0.1.0
 */
import * as Encoding from "effect/Encoding"
import * as Result from "effect/Result"
import * as AiError from "effect/unstable/ai/AiError"
import type * as Prompt from "effect/unstable/ai/Prompt"
import type { CacheControl, CacheOptions } from "./AnthropicMetadata.ts"
import { isRecord, type JsonRecord, record, text } from "./Json.ts"

/**
 * @category models
 * @since 0.1.0
 */
export interface Message {
  readonly role: "user" | "assistant"
  readonly content: ReadonlyArray<JsonRecord>
}

/**
 * The parts of the request that the prompt decides.
 *
 * @category models
 * @since 0.1.0
 */
export interface Conversation {
  readonly system?: string | ReadonlyArray<JsonRecord>
  readonly messages: ReadonlyArray<Message>
}

/**
 * The conversation of a prompt; what the wire cannot carry is pushed onto `problems`, never left out in silence.
 *
 * `wireName` gives the provider's name of a tool for that of the toolkit.
 *
 * @category constructors
 * @since 0.1.0
 */
export const conversation = (
  prompt: Prompt.Prompt,
  wireName: (tool: string) => string,
  problems: Array<AiError.AiErrorReason>
): Conversation => {
  const system: Array<Block> = []
  const turns: Array<Turn> = []
  const turn = (role: Turn["role"]): Turn => {
    let last = turns.at(-1)
    if (last?.role !== role) turns.push(last = { role, results: [], blocks: [] })
    return last
  }
  for (const message of prompt.content) {
    const cache = cacheControl(message.options.anthropic)
    switch (message.role) {
      case "system":
        addText(system, message.content, cache)
        break
      case "user": {
        const { blocks } = turn("user")
        const before = blocks.length
        for (const part of message.content) {
          if (part.type === "text") addText(blocks, part.text, cacheControl(part.options.anthropic))
          else blocks.push(fileBlock(part, problems))
        }
        markLast(blocks, before, cache)
        break
      }
      case "assistant": {
        const { blocks } = turn("assistant")
        const before = blocks.length
        const results: Array<Block> = []
        for (const part of message.content) {
          if (part.type === "tool-result" && !part.providerExecuted) results.push(resultBlock(part))
          else addAssistantPart(blocks, part, wireName, problems)
        }
        markLast(blocks, before, cache)
        if (results.length > 0) turn("user").results.push(...results)
        break
      }
      case "tool": {
        const { results } = turn("user")
        const before = results.length
        for (const part of message.content) {
          if (part.type === "tool-result") results.push(resultBlock(part))
        }
        markLast(results, before, cache)
      }
    }
  }
  const messages = turns
    .map(({ blocks, results, role }): Message => ({ role, content: [...results, ...blocks] }))
    .filter(({ content }) => content.length > 0)
  if (messages.length === 0) {
    problems.push(
      new AiError.InvalidRequestError({
        parameter: "prompt",
        constraint: "must have a message that is not a system one"
      })
    )
  }
  trimLast(messages)
  const [first] = system
  if (first === undefined) return { messages }
  const plain = system.length === 1 && first["cache_control"] === undefined
  return { system: plain ? String(first["text"]) : system, messages }
}

/** A content block under construction: cache control is added when the message is complete. */
type Block = { [name: string]: unknown }

interface Turn {
  readonly role: Message["role"]
  readonly results: Array<Block>
  readonly blocks: Array<Block>
}

const cacheControl = (options: CacheOptions | null | undefined): CacheControl | undefined =>
  options?.cacheControl ?? undefined

const marked = (block: Block, cache: CacheControl | undefined): Block =>
  cache === undefined ? block : { ...block, cache_control: cache }

/** Thoughts cannot be marked; what is before them can. */
const markLast = (blocks: Array<Block>, from: number, cache: CacheControl | undefined): void => {
  if (cache === undefined) return
  for (let i = blocks.length - 1; i >= from; i--) {
    const block = blocks[i]
    if (block !== undefined && block["type"] !== "thinking" && block["type"] !== "redacted_thinking") {
      block["cache_control"] ??= cache
      return
    }
  }
}

const addText = (blocks: Array<Block>, text: string, cache: CacheControl | undefined, citations?: unknown): void => {
  if (text.trim() === "") return
  blocks.push(marked({ type: "text", text, ...(citations === undefined ? {} : { citations }) }, cache))
}

const trimLast = (messages: Array<Message>): void => {
  const last = messages.at(-1)
  const block = last?.content.at(-1)
  if (last?.role !== "assistant" || block?.["type"] !== "text") return
  const trimmed = { ...block, text: String(block["text"]).trimEnd() }
  messages[messages.length - 1] = { role: "assistant", content: [...last.content.slice(0, -1), trimmed] }
}

const addAssistantPart = (
  blocks: Array<Block>,
  part: Prompt.AssistantMessage["content"][number],
  wireName: (tool: string) => string,
  problems: Array<AiError.AiErrorReason>
): void => {
  switch (part.type) {
    case "text": {
      const { anthropic } = part.options
      const citations = Array.isArray(anthropic?.citations) ? anthropic.citations.map(citation) : undefined
      addText(blocks, part.text, cacheControl(anthropic), citations)
      break
    }
    case "reasoning": {
      const block = reasoningBlock(part)
      if (block !== undefined) blocks.push(block)
      break
    }
    case "file":
      problems.push(invalidFile("may hold files of the user only", part))
      break
    case "tool-call":
      blocks.push(callBlock(part, wireName, problems))
      break
    case "tool-result":
      blocks.push(providerResultBlock(part, problems))
  }
}

/** The API gives the cited file's id but does not take it back. */
const citation = (given: unknown): unknown => {
  if (!isRecord(given)) return given
  const { file_id: _, ...rest } = given
  return rest
}

const reasoningBlock = ({ options: { anthropic }, text }: Prompt.ReasoningPart): Block | undefined => {
  if (anthropic?.redactedData) return { type: "redacted_thinking", data: anthropic.redactedData }
  if (anthropic?.compaction) {
    const { encryptedContent } = anthropic.compaction
    return {
      type: "compaction",
      content: text === "" ? null : text,
      ...(encryptedContent === null ? {} : { encrypted_content: encryptedContent })
    }
  }
  return anthropic?.signature ? { type: "thinking", thinking: text, signature: anthropic.signature } : undefined
}

const callBlock = (
  part: Prompt.ToolCallPart,
  wireName: (tool: string) => string,
  problems: Array<AiError.AiErrorReason>
): Block => {
  const { anthropic } = part.options
  if (part.providerExecuted && !isOwn(part.id, anthropic?.type)) problems.push(foreignTool(part.name))
  return marked({
    type: part.providerExecuted ? anthropic?.type ?? "server_tool_use" : "tool_use",
    id: wireId(part.id),
    name: anthropic?.name ?? wireName(part.name),
    input: part.params ?? {},
    ...(anthropic?.serverName ? { server_name: anthropic.serverName } : {}),
    ...(anthropic?.caller ? { caller: anthropic.caller } : {})
  }, cacheControl(anthropic))
}

const providerResultBlock = (part: Prompt.ToolResultPart, problems: Array<AiError.AiErrorReason>): Block => {
  const { anthropic } = part.options
  if (anthropic?.block) return marked({ ...anthropic.block }, cacheControl(anthropic))
  problems.push(foreignTool(part.name))
  return {}
}

const isOwn = (id: string, type: string | null | undefined) => typeof type === "string" || id.startsWith("srvtoolu_")

const foreignTool = (tool: string): AiError.InvalidRequestError =>
  new AiError.InvalidRequestError({
    parameter: "prompt",
    constraint: "may hold calls and results of Anthropic's own server tools only",
    description: `It has one of ${tool}, which another provider ran`
  })

/** The API takes letters, digits, _ and - in the ids of calls; those of other providers may hold more. */
const wireId = (id: string): string => id.replaceAll(/[^a-zA-Z0-9_-]/g, "_")

const resultBlock = (part: Prompt.ToolResultPart): Block =>
  marked({
    type: "tool_result",
    tool_use_id: wireId(part.id),
    content: resultContent(part.result),
    ...(part.isFailure ? { is_error: true } : {})
  }, cacheControl(part.options.anthropic))

const resultContent = (result: unknown): string | ReadonlyArray<JsonRecord> => {
  if (typeof result === "string" && result !== "") return result
  // The whole result of an MCP server's tool holds its blocks under `content`.
  const listed = Array.isArray(result) ? result : record(result)["content"]
  if (Array.isArray(listed) && listed.length > 0) {
    const blocks = listed.map(resultPart)
    if (blocks.every((block) => block !== undefined)) return blocks
  }
  return JSON.stringify(result ?? null)
}

const resultPart = (item: unknown): JsonRecord | undefined => {
  if (!isRecord(item)) return undefined
  switch (item["type"]) {
    case "text":
      return text(item["text"]) === undefined ? undefined : { type: "text", text: item["text"] }
    case "image": {
      if (isRecord(item["source"])) return item
      const mediaType = text(item["mimeType"]) ?? text(item["mediaType"])
      const data = text(item["data"])
      return mediaType === undefined || data === undefined
        ? undefined
        : { type: "image", source: { type: "base64", media_type: mediaType, data } }
    }
    case "document":
      return isRecord(item["source"]) ? item : undefined
    case "search_result":
      return Array.isArray(item["content"]) ? item : undefined
    case "tool_reference":
      return text(item["tool_name"]) === undefined ? undefined : item
    default:
      return undefined
  }
}

const imageTypes: ReadonlySet<string> = new Set(["image/jpeg", "image/png", "image/gif", "image/webp"])

const fileBlock = (part: Prompt.FilePart, problems: Array<AiError.AiErrorReason>): Block => {
  const { anthropic } = part.options
  const cache = cacheControl(anthropic)
  const { fileId } = anthropic ?? {}
  const isImage = part.mediaType.startsWith("image/")
  const isText = part.mediaType.startsWith("text/plain")
  if (!isImage && !isText && part.mediaType !== "application/pdf") {
    // Other files cannot be read by the model itself, but by the code that it writes.
    if (fileId) return marked({ type: "container_upload", file_id: fileId }, cache)
    problems.push(invalidFile("may hold images, PDF and plain text, and other files by `fileId` only", part))
    return {}
  }
  const source = fileId ? { type: "file", file_id: fileId } : fileSource(part, problems)
  if (isImage) return marked({ type: "image", source }, cache)
  const title = anthropic?.documentTitle ?? part.fileName
  return marked({
    type: "document",
    source,
    ...(title === undefined ? {} : { title }),
    ...(anthropic?.documentContext ? { context: anthropic.documentContext } : {}),
    ...(anthropic?.citations ? { citations: anthropic.citations } : {})
  }, cache)
}

const fileSource = (part: Prompt.FilePart, problems: Array<AiError.AiErrorReason>): JsonRecord => {
  const data = part.data instanceof URL ? part.data.href : part.data
  const isText = part.mediaType.startsWith("text/plain")
  if (typeof data === "string" && /^https?:/.test(data)) {
    if (isText) problems.push(invalidFile("may hold plain text as data only, not as a URL", part))
    return { type: "url", url: data }
  }
  const base64 = typeof data === "string" ? data.replace(/^data:[^,]*,/, "") : Encoding.encodeBase64(data)
  if (typeof data === "string" && (data.startsWith("data:") ? !/^data:[^,]*;base64,/.test(data) : data.includes(":"))) {
    problems.push(invalidFile("may hold base64 data, and http and data URLs only", part))
  }
  if (isText) return { type: "text", media_type: "text/plain", data: plainText(part, base64, problems) }
  if (part.mediaType.startsWith("image/") && !imageTypes.has(part.mediaType)) {
    problems.push(invalidFile("may hold images of the types jpeg, png, gif and webp only", part))
  }
  return { type: "base64", media_type: part.mediaType, data: base64 }
}

const plainText = (part: Prompt.FilePart, base64: string, problems: Array<AiError.AiErrorReason>): string => {
  const bytes = Encoding.decodeBase64(base64)
  if (Result.isSuccess(bytes)) return new TextDecoder().decode(bytes.success)
  problems.push(invalidFile("must hold files as valid base64", part))
  return ""
}

const invalidFile = (constraint: string, part: Prompt.FilePart): AiError.InvalidRequestError =>
  new AiError.InvalidRequestError({
    parameter: "prompt",
    constraint,
    description: `It has a file of type ${part.mediaType}`
  })
