/**
 * Effect's prompt in the form of OpenAI's chat completions, which many providers share.
 *
 * Sources: wire reference, sections 1.7 and 10.1; OpenAI's reference of chat completions for content parts; Mistral's,
 * Perplexity's and OpenRouter's for theirs.
 *
 * @since 0.1.0
 */
import * as Encoding from "effect/Encoding"
import type * as Schema from "effect/Schema"
import * as AiError from "effect/unstable/ai/AiError"
import type * as Prompt from "effect/unstable/ai/Prompt"
import { record, text } from "./Json.ts"

declare module "effect/unstable/ai/Prompt" {
  interface ReasoningPartOptions {
    /** What OpenRouter needs to take up the thought again: signatures, encrypted thoughts. */
    readonly openrouter?: { readonly reasoningDetails: ReadonlyArray<Schema.Json> } | null
  }
  interface ToolCallPartOptions {
    /** What the provider behind OpenAI's format put beside the call: Gemini's thought signature. */
    readonly compat?: { readonly extraContent: Schema.Json } | null
  }
}

/**
 * How a provider carries what OpenAI's format leaves open.
 *
 * @category models
 * @since 0.1.0
 */
export interface Rules {
  readonly files: FileForms
  /** Makes a tool call's id one that the provider takes; the same for call and result. */
  readonly toolId?: ((id: string) => string) | undefined
  /** Where reasoning of earlier turns goes; absent where the models' own chat templates drop it. */
  readonly reasoning?: "reasoning_content" | "reasoning_details" | "thinking" | undefined
  /** Tool results carry the tool's name. */
  readonly toolNames?: boolean | undefined
  /** A message of calls alone says `content: ""` instead of nothing. */
  readonly emptyContent?: boolean | undefined
}

/**
 * The forms of a user's files; a kind without a form is refused.
 *
 * @category models
 * @since 0.1.0
 */
export interface FileForms {
  readonly image?: "image_url" | undefined
  /** OpenAI's data and format, or Mistral's bare string. */
  readonly audio?: "input_audio" | "mistral" | undefined
  readonly pdf?: "file" | "document_url" | "file_url" | undefined
  /** Documents may be given by their address where the form is `file`. */
  readonly pdfUrl?: boolean | undefined
}

/**
 * @category models
 * @since 0.1.0
 */
export interface Message {
  readonly role: "system" | "user" | "assistant" | "tool"
  /** Never `null`: Workers AI refuses that (wire reference, 1.7). */
  readonly content?: string | ReadonlyArray<ContentPart>
  readonly tool_calls?: ReadonlyArray<MessageToolCall>
  readonly tool_call_id?: string
  readonly name?: string
  readonly reasoning_content?: string
  readonly reasoning_details?: ReadonlyArray<unknown>
}

/**
 * @category models
 * @since 0.1.0
 */
export type ContentPart =
  | { readonly type: "text"; readonly text: string }
  | { readonly type: "image_url"; readonly image_url: { readonly url: string; readonly detail?: string } }
  | { readonly type: "input_audio"; readonly input_audio: string | { readonly data: string; readonly format: string } }
  | { readonly type: "file"; readonly file: UploadedFile }
  | { readonly type: "document_url"; readonly document_url: string; readonly document_name?: string }
  | { readonly type: "file_url"; readonly file_url: { readonly url: string }; readonly file_name?: string }
  | { readonly type: "thinking"; readonly thinking: ReadonlyArray<{ readonly type: "text"; readonly text: string }> }

/** A document in the message, or one that was uploaded before. */
type UploadedFile = { readonly filename: string; readonly file_data: string } | { readonly file_id: string }

/**
 * @category models
 * @since 0.1.0
 */
export interface MessageToolCall {
  readonly id: string
  readonly type: "function"
  readonly function: { readonly name: string; readonly arguments: string }
  readonly extra_content?: unknown
}

/**
 * The messages of a prompt; what the wire cannot carry is pushed onto `problems`, never left out in silence.
 *
 * Reasoning of earlier turns is not sent unless the rules have a place for it.
 *
 * @category constructors
 * @since 0.1.0
 */
export const messages = (
  prompt: Prompt.Prompt,
  problems: Array<AiError.AiErrorReason>,
  rules: Rules = workersAi
): ReadonlyArray<Message> => {
  const out: Array<Message> = []
  for (const message of prompt.content) {
    switch (message.role) {
      case "system":
        out.push({ role: "system", content: message.content })
        break
      case "user":
        out.push({ role: "user", content: userContent(message.content, rules, problems) })
        break
      case "assistant":
        assistant(message, out, rules, problems)
        break
      case "tool":
        for (const part of message.content) {
          if (part.type === "tool-result") out.push(toolResult(part, rules))
        }
    }
  }
  return out
}

/** Workers AI's: it needs content and knows no files but images. */
const workersAi: Rules = { files: { image: "image_url" }, toolNames: true, emptyContent: true }

const userContent = (
  parts: Prompt.UserMessage["content"],
  rules: Rules,
  problems: Array<AiError.AiErrorReason>
): string | ReadonlyArray<ContentPart> => {
  // Plain text stays a string: older models, and some providers, take no list of parts.
  if (parts.every((part) => part.type === "text")) return parts.map((part) => part.text).join("\n")
  const content: Array<ContentPart> = []
  for (const part of parts) {
    const made = part.type === "text" ? { type: part.type, text: part.text } : filePart(part, rules.files)
    if (made !== undefined) content.push(made)
    else if (part.type === "file") problems.push(unsupportedFile(part, rules.files))
  }
  return content
}

const filePart = (part: Prompt.FilePart, forms: FileForms): ContentPart | undefined => {
  const { fileName, mediaType } = part
  if (mediaType.startsWith("image/") && forms.image !== undefined) {
    // OpenAI's option, under the key and in the shape of Effect's own package for it.
    const detail = text(record(part.options["openai"])["imageDetail"])
    return { type: "image_url", image_url: { url: url(part), ...(detail === undefined ? {} : { detail }) } }
  }
  if (mediaType.startsWith("audio/")) return audioPart(part, forms.audio)
  if (mediaType !== "application/pdf") return undefined
  switch (forms.pdf) {
    case "file": {
      // The id of an upload of OpenAI's.
      const id = typeof part.data === "string" ? /^file-\w+$/.exec(part.data)?.[0] : undefined
      if (id !== undefined) return { type: "file", file: { file_id: id } }
      const file_data = url(part)
      if (!forms.pdfUrl && !file_data.startsWith("data:")) return undefined
      return { type: "file", file: { filename: fileName ?? "document.pdf", file_data } }
    }
    case "document_url":
      return {
        type: "document_url",
        document_url: url(part),
        ...(fileName === undefined ? {} : { document_name: fileName })
      }
    case "file_url":
      // Perplexity takes an address, or base64 without the prefix of a data URL.
      return {
        type: "file_url",
        file_url: { url: base64(part) ?? url(part) },
        ...(fileName === undefined ? {} : { file_name: fileName })
      }
    case undefined:
      return undefined
  }
}

const audioPart = (part: Prompt.FilePart, form: FileForms["audio"]): ContentPart | undefined => {
  const data = base64(part)
  if (form === "mistral") return { type: "input_audio", input_audio: data ?? url(part) }
  const subtype = part.mediaType.slice("audio/".length).replace(/^x-/, "").replace(/^wave$/, "wav")
  const format = subtype === "mpeg" || subtype === "mpeg3" ? "mp3" : subtype
  if (form === undefined || data === undefined || !/^[a-z0-9]+$/.test(format)) return undefined
  return { type: "input_audio", input_audio: { data, format } }
}

const assistant = (
  message: Prompt.AssistantMessage,
  out: Array<Message>,
  rules: Rules,
  problems: Array<AiError.AiErrorReason>
): void => {
  let content = ""
  let thoughts = ""
  const parts: Array<ContentPart> = []
  const details: Array<unknown> = []
  const calls: Array<MessageToolCall> = []
  const results: Array<Message> = []
  for (const part of message.content) {
    switch (part.type) {
      case "text":
        content += part.text
        if (part.text !== "") parts.push({ type: "text", text: part.text })
        break
      case "reasoning":
        thoughts += part.text
        if (part.text !== "") parts.push({ type: "thinking", thinking: [{ type: "text", text: part.text }] })
        details.push(...(part.options.openrouter?.reasoningDetails ?? []))
        break
      case "tool-call": {
        const extra = part.options.compat?.extraContent
        calls.push({
          id: rules.toolId?.(part.id) ?? part.id,
          type: "function",
          function: { name: part.name, arguments: JSON.stringify(part.params ?? {}) },
          ...(extra === undefined ? {} : { extra_content: extra })
        })
        break
      }
      case "tool-result":
        results.push(toolResult(part, rules))
        break
      case "file":
        problems.push(unsupportedFile(part, {}))
    }
  }
  const asParts = rules.reasoning === "thinking" && thoughts !== ""
  const hasContent = content !== "" || calls.length === 0 || rules.emptyContent === true
  out.push({
    role: "assistant",
    ...(asParts ? { content: parts } : hasContent ? { content } : {}),
    ...(rules.reasoning === "reasoning_content" && thoughts !== "" ? { reasoning_content: thoughts } : {}),
    ...(rules.reasoning === "reasoning_details" && details.length > 0 ? { reasoning_details: details } : {}),
    ...(calls.length === 0 ? {} : { tool_calls: calls })
  }, ...results)
}

const toolResult = (part: Prompt.ToolResultPart, rules: Rules): Message => ({
  role: "tool",
  tool_call_id: rules.toolId?.(part.id) ?? part.id,
  ...(rules.toolNames === true ? { name: part.name } : {}),
  // The wire has no flag for a failed call, so the text has to say it.
  content: part.isFailure ? JSON.stringify({ error: part.result ?? null }) : resultText(part.result)
})

const resultText = (result: unknown): string => typeof result === "string" ? result : JSON.stringify(result ?? null)

const url = (part: Prompt.FilePart): string => {
  if (part.data instanceof URL) return part.data.href
  if (typeof part.data !== "string") return `data:${part.mediaType};base64,${Encoding.encodeBase64(part.data)}`
  return /^(data|https?):/.test(part.data) ? part.data : `data:${part.mediaType};base64,${part.data}`
}

/** The bare base64 text; `undefined` for an address. */
const base64 = (part: Prompt.FilePart): string | undefined => {
  const whole = url(part)
  return whole.startsWith("data:") ? whole.slice(whole.indexOf(",") + 1) : undefined
}

const unsupportedFile = (part: Prompt.FilePart, forms: FileForms): AiError.InvalidRequestError => {
  const kinds = [
    ...(forms.image === undefined ? [] : ["images"]),
    ...(forms.audio === undefined ? [] : ["audio"]),
    ...(forms.pdf === undefined ? [] : ["PDF documents"])
  ]
  const isAddress = !url(part).startsWith("data:")
  return new AiError.InvalidRequestError({
    parameter: "prompt",
    constraint: kinds.length === 0 ? "may hold no files here" : `may hold ${kinds.join(", ")} of the user only`,
    description: `It has a file of type ${part.mediaType}${isAddress ? ", given by its address" : ""}`
  })
}
