/**
 * Effect's prompt in the form of Bedrock's Converse API.
 *
 * - System messages become the request's `system` list, in their order and wherever they stand.
 * - The API wants user and assistant in turns: messages of one role that follow each other become one, and the results
 *   of tools, which are the user's there, stand at its start.
 * - A text without any character that is not white space has no block: the API refuses it. So is white space at the end
 *   of an answer that the model has to continue (a prompt that ends with an assistant message).
 * - Thoughts go back with what Bedrock said to them: their signature, or the encrypted text. Reasoning without either,
 *   such as another provider's, is not sent.
 * - `options.bedrock.cachePoint` on a message or a part puts a cache point behind it.
 * - Files are images (png, jpeg, gif, webp) and documents, as data; the API loads no addresses.
 *
 * Sources: wire reference, sections 9.2 and 10.5; Amazon's reference of `Converse` (Message, ContentBlock).
 *
 * @since 0.1.0
 */
import * as Encoding from "effect/Encoding"
import * as AiError from "effect/unstable/ai/AiError"
import type * as Prompt from "effect/unstable/ai/Prompt"
import { isRecord, type JsonRecord } from "./Json.ts"

// Type aliases where interfaces would do: only they fit the index signature of Effect's options.

/**
 * @category models
 * @since 0.1.0
 */
export type CacheOptions = {
  /** The request up to here may be cached and used again. */
  readonly cachePoint?: boolean | null
}

/**
 * What the API needs back to go on with its own thoughts; one of the two.
 *
 * @category models
 * @since 0.1.0
 */
export type ReasoningOptions = {
  readonly signature?: string | null
  /** Thoughts that come encrypted only, as base64. */
  readonly redactedContent?: string | null
}

declare module "effect/unstable/ai/Prompt" {
  interface SystemMessageOptions {
    readonly bedrock?: CacheOptions | null
  }
  interface UserMessageOptions {
    readonly bedrock?: CacheOptions | null
  }
  interface AssistantMessageOptions {
    readonly bedrock?: CacheOptions | null
  }
  interface ToolMessageOptions {
    readonly bedrock?: CacheOptions | null
  }
  interface TextPartOptions {
    readonly bedrock?: CacheOptions | null
  }
  interface FilePartOptions {
    readonly bedrock?: CacheOptions | null
  }
  interface ReasoningPartOptions {
    readonly bedrock?: ReasoningOptions | null
  }
  interface ToolCallPartOptions {
    readonly bedrock?: CacheOptions | null
  }
  interface ToolResultPartOptions {
    readonly bedrock?: CacheOptions | null
  }
}

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
  readonly system: ReadonlyArray<JsonRecord>
  readonly messages: ReadonlyArray<Message>
  /** Tools that were called: the API wants to know them even when none is offered any more. */
  readonly calledTools: ReadonlySet<string>
}

/**
 * The conversation of a prompt; what the wire cannot carry is pushed onto `problems`, never left out in silence.
 *
 * @category constructors
 * @since 0.1.0
 */
export const conversation = (prompt: Prompt.Prompt, problems: Array<AiError.AiErrorReason>): Conversation => {
  const system: Array<JsonRecord> = []
  const turns: Array<Turn> = []
  const calledTools = new Set<string>()
  let documents = 0
  const turn = (role: Turn["role"]): Turn => {
    let last = turns.at(-1)
    if (last?.role !== role) turns.push(last = { role, results: [], blocks: [] })
    return last
  }
  const result = (part: Prompt.ToolResultPart): void => {
    if (part.providerExecuted) return void problems.push(foreignTool(part.name))
    calledTools.add(part.name)
    add(turn("user").results, resultBlock(part), part.options.bedrock)
  }
  for (const message of prompt.content) {
    const cache = message.options.bedrock
    switch (message.role) {
      case "system":
        add(system, textBlock(message.content), cache)
        break
      case "user": {
        const { blocks } = turn("user")
        const before = blocks.length
        for (const part of message.content) {
          if (part.type === "text") add(blocks, textBlock(part.text), part.options.bedrock)
          else add(blocks, fileBlock(part, () => `document-${++documents}`, problems), part.options.bedrock)
        }
        markEnd(blocks, before, cache)
        break
      }
      case "assistant": {
        const { blocks } = turn("assistant")
        const before = blocks.length
        const results: Array<Prompt.ToolResultPart> = []
        for (const part of message.content) {
          switch (part.type) {
            case "text":
              add(blocks, textBlock(part.text), part.options.bedrock)
              break
            case "reasoning":
              add(blocks, reasoningBlock(part), undefined)
              break
            case "file":
              problems.push(invalidFile("may hold files of the user only", part))
              break
            case "tool-call":
              calledTools.add(part.name)
              add(blocks, callBlock(part, problems), part.options.bedrock)
              break
            case "tool-result":
              results.push(part)
          }
        }
        markEnd(blocks, before, cache)
        results.forEach(result)
        break
      }
      case "tool": {
        const { results } = turn("user")
        const before = results.length
        for (const part of message.content) {
          if (part.type === "tool-result") result(part)
        }
        markEnd(results, before, cache)
      }
    }
  }
  const messages = turns
    .map(({ blocks, results, role }): Message => ({ role, content: [...results, ...blocks] }))
    .filter(({ content }) => content.length > 0)
  if (messages.length === 0) problems.push(invalid("must have a message that is not a system one"))
  trimLast(messages)
  return { system, messages, calledTools }
}

interface Turn {
  readonly role: Message["role"]
  readonly results: Array<JsonRecord>
  readonly blocks: Array<JsonRecord>
}

const cachePoint: JsonRecord = { cachePoint: { type: "default" } }

const add = (
  blocks: Array<JsonRecord>,
  block: JsonRecord | undefined,
  cache: CacheOptions | null | undefined
): void => {
  if (block === undefined) return
  blocks.push(block)
  if (cache?.cachePoint) blocks.push(cachePoint)
}

/** A message that came to nothing has no end to mark, and two points in a row are refused. */
const markEnd = (blocks: Array<JsonRecord>, from: number, cache: CacheOptions | null | undefined): void => {
  if (cache?.cachePoint && blocks.length > from && blocks.at(-1) !== cachePoint) blocks.push(cachePoint)
}

const textBlock = (text: string): JsonRecord | undefined => text.trim() === "" ? undefined : { text }

const trimLast = (messages: Array<Message>): void => {
  const last = messages.at(-1)
  const said = last?.content.at(-1)?.["text"]
  if (last?.role !== "assistant" || typeof said !== "string") return
  messages[messages.length - 1] = {
    role: "assistant",
    content: [...last.content.slice(0, -1), { text: said.trimEnd() }]
  }
}

const reasoningBlock = ({ options: { bedrock }, text }: Prompt.ReasoningPart): JsonRecord | undefined =>
  bedrock?.redactedContent
    ? { reasoningContent: { redactedContent: bedrock.redactedContent } }
    : bedrock?.signature
    ? { reasoningContent: { reasoningText: { text, signature: bedrock.signature } } }
    : undefined

const callBlock = (part: Prompt.ToolCallPart, problems: Array<AiError.AiErrorReason>): JsonRecord => {
  if (part.providerExecuted) problems.push(foreignTool(part.name))
  const input = part.params ?? {}
  if (!isRecord(input)) problems.push(invalid(`must have an object as the arguments of tool ${part.name}`))
  return { toolUse: { toolUseId: wireId(part.id), name: part.name, input } }
}

/** The status of a success goes without saying: not all models take it. */
const resultBlock = ({ id, isFailure, result }: Prompt.ToolResultPart): JsonRecord => ({
  toolResult: {
    toolUseId: wireId(id),
    content: [
      isRecord(result)
        ? { json: result }
        : { text: typeof result === "string" && result !== "" ? result : JSON.stringify(result ?? null) }
    ],
    ...(isFailure ? { status: "error" } : {})
  }
})

/** The API takes letters, digits, _ and - in the ids of calls; those of other providers may hold more. */
const wireId = (id: string): string => id.replaceAll(/[^a-zA-Z0-9_-]/g, "_")

const imageFormats: ReadonlyMap<string, string> = new Map([
  ["image/png", "png"],
  ["image/jpeg", "jpeg"],
  ["image/gif", "gif"],
  ["image/webp", "webp"]
])

const documentFormats: ReadonlyMap<string, string> = new Map([
  ["application/pdf", "pdf"],
  ["text/csv", "csv"],
  ["application/msword", "doc"],
  ["application/vnd.openxmlformats-officedocument.wordprocessingml.document", "docx"],
  ["application/vnd.ms-excel", "xls"],
  ["application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", "xlsx"],
  ["text/html", "html"],
  ["text/plain", "txt"],
  ["text/markdown", "md"]
])

const fileBlock = (
  part: Prompt.FilePart,
  defaultName: () => string,
  problems: Array<AiError.AiErrorReason>
): JsonRecord => {
  // Parameters such as a charset are no part of the format.
  const mediaType = part.mediaType.replace(/\s*;.*$/s, "").toLowerCase()
  const source = { bytes: base64(part, problems) }
  const image = imageFormats.get(mediaType)
  if (image !== undefined) return { image: { format: image, source } }
  const format = documentFormats.get(mediaType)
  if (format === undefined) {
    problems.push(invalidFile("may hold images (png, jpeg, gif, webp), PDF, texts and office documents only", part))
  }
  return { document: { format, name: documentName(part.fileName) || defaultName(), source } }
}

/** The API takes letters, digits, single spaces, hyphens, parentheses and brackets in the names of documents. */
const documentName = (fileName = ""): string =>
  fileName.replace(/\.[^.]*$/, "").replaceAll(/[^a-zA-Z0-9 ()[\]-]/g, "-").replaceAll(/ +/g, " ").trim().slice(0, 200)

const base64 = (part: Prompt.FilePart, problems: Array<AiError.AiErrorReason>): string => {
  const { data } = part
  if (data instanceof Uint8Array) return Encoding.encodeBase64(data)
  const given = data instanceof URL ? data.href : data
  const isDataUrl = given.startsWith("data:")
  if (isDataUrl ? !/^data:[^,]*;base64,/.test(given) : given.includes(":")) {
    problems.push(invalidFile("may hold files as data only, not as addresses", part))
  }
  return isDataUrl ? given.slice(given.indexOf(",") + 1) : given
}

const foreignTool = (tool: string): AiError.InvalidRequestError =>
  invalid("may hold calls and results of the caller's own tools only", `It has one of ${tool}, which a provider ran`)

const invalidFile = (constraint: string, part: Prompt.FilePart): AiError.InvalidRequestError =>
  invalid(constraint, `It has a file of type ${part.mediaType}`)

const invalid = (constraint: string, description?: string): AiError.InvalidRequestError =>
  new AiError.InvalidRequestError({
    parameter: "prompt",
    constraint,
    ...(description === undefined ? {} : { description })
  })
