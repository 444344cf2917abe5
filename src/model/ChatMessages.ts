/**
 * Effect's prompt, tools and tool choice in the form of OpenAI's chat completions, which many providers share.
 *
 * @since 0.1.0
 */
import * as Encoding from "effect/Encoding"
import * as AiError from "effect/unstable/ai/AiError"
import type * as LanguageModel from "effect/unstable/ai/LanguageModel"
import type * as Prompt from "effect/unstable/ai/Prompt"
import * as Tool from "effect/unstable/ai/Tool"

/**
 * @category models
 * @since 0.1.0
 */
export interface Message {
  readonly role: "system" | "user" | "assistant" | "tool"
  /** Never `null`: Workers AI refuses that (wire reference, 1.7). */
  readonly content: string | ReadonlyArray<ContentPart>
  readonly tool_calls?: ReadonlyArray<MessageToolCall>
  readonly tool_call_id?: string
  readonly name?: string
}

/**
 * @category models
 * @since 0.1.0
 */
export type ContentPart =
  | { readonly type: "text"; readonly text: string }
  | { readonly type: "image_url"; readonly image_url: { readonly url: string } }

/**
 * @category models
 * @since 0.1.0
 */
export interface MessageToolCall {
  readonly id: string
  readonly type: "function"
  readonly function: { readonly name: string; readonly arguments: string }
}

/**
 * @category models
 * @since 0.1.0
 */
export interface FunctionTool {
  readonly type: "function"
  readonly function: { readonly name: string; readonly description?: string; readonly parameters: unknown }
}

/**
 * The messages of a prompt; what the wire cannot carry is pushed onto `problems`, never left out in silence.
 *
 * Reasoning of earlier turns is not sent: the models' own chat templates drop it.
 *
 * @category constructors
 * @since 0.1.0
 */
export const messages = (prompt: Prompt.Prompt, problems: Array<AiError.AiErrorReason>): ReadonlyArray<Message> => {
  const out: Array<Message> = []
  for (const message of prompt.content) {
    switch (message.role) {
      case "system":
        out.push({ role: "system", content: message.content })
        break
      case "user":
        out.push({ role: "user", content: userContent(message.content, problems) })
        break
      case "assistant":
        assistant(message, out, problems)
        break
      case "tool":
        for (const part of message.content) {
          if (part.type === "tool-result") out.push(toolResult(part))
        }
    }
  }
  return out
}

/**
 * Tools in function form. A tool's schema is made once: a toolkit's tools live as long as the program.
 *
 * @category constructors
 * @since 0.1.0
 */
export const functionTools = (
  tools: ReadonlyArray<Tool.Any>,
  transformer: LanguageModel.CodecTransformer,
  problems: Array<AiError.AiErrorReason>
): ReadonlyArray<FunctionTool> =>
  tools.map((tool) => {
    const known = functionToolCache.get(tool)
    if (known !== undefined && known.transformer === transformer) return known.tool
    if (Tool.isProviderDefined(tool)) {
      problems.push(
        new AiError.ToolConfigurationError({
          toolName: tool.name,
          description: "it is defined by a provider, and this model has no such tool; define it with Tool.make"
        })
      )
    }
    const description = Tool.getDescription(tool)
    const made: FunctionTool = {
      type: "function",
      function: {
        name: tool.name,
        ...(description === undefined ? {} : { description }),
        parameters: Tool.getJsonSchema(tool, { transformer })
      }
    }
    functionToolCache.set(tool, { transformer, tool: made })
    return made
  })

/**
 * `oneOf` needs no name on the wire: the tools are already the ones it allows.
 *
 * @category constructors
 * @since 0.1.0
 */
export const toolChoice = (choice: LanguageModel.ProviderOptions["toolChoice"]) =>
  typeof choice === "string"
    ? choice
    : "tool" in choice
    ? { type: "function", function: { name: choice.tool } }
    : choice.mode ?? "auto"

const functionToolCache = new WeakMap<
  Tool.Any,
  { readonly transformer: LanguageModel.CodecTransformer; readonly tool: FunctionTool }
>()

const userContent = (
  parts: Prompt.UserMessage["content"],
  problems: Array<AiError.AiErrorReason>
): Message["content"] => {
  // Plain text stays a string: the older models of Workers AI take no list of parts.
  if (parts.every((part) => part.type === "text")) return parts.map((part) => part.text).join("\n")
  const content: Array<ContentPart> = []
  for (const part of parts) {
    if (part.type === "text") content.push({ type: "text", text: part.text })
    else if (part.mediaType.startsWith("image/")) content.push({ type: "image_url", image_url: { url: url(part) } })
    else problems.push(unsupportedFile(part))
  }
  return content
}

const assistant = (
  message: Prompt.AssistantMessage,
  out: Array<Message>,
  problems: Array<AiError.AiErrorReason>
): void => {
  let content = ""
  const calls: Array<MessageToolCall> = []
  const results: Array<Message> = []
  for (const part of message.content) {
    switch (part.type) {
      case "text":
        content += part.text
        break
      case "tool-call":
        calls.push({
          id: part.id,
          type: "function",
          function: { name: part.name, arguments: JSON.stringify(part.params ?? {}) }
        })
        break
      case "tool-result":
        results.push(toolResult(part))
        break
      case "file":
        problems.push(unsupportedFile(part))
    }
  }
  out.push({ role: "assistant", content, ...(calls.length === 0 ? {} : { tool_calls: calls }) }, ...results)
}

const toolResult = (part: Prompt.ToolResultPart): Message => ({
  role: "tool",
  tool_call_id: part.id,
  name: part.name,
  // The wire has no flag for a failed call, so the text has to say it.
  content: part.isFailure ? JSON.stringify({ error: part.result ?? null }) : resultText(part.result)
})

const resultText = (result: unknown): string => typeof result === "string" ? result : JSON.stringify(result ?? null)

const url = (part: Prompt.FilePart): string => {
  if (part.data instanceof URL) return part.data.href
  if (typeof part.data !== "string") return `data:${part.mediaType};base64,${Encoding.encodeBase64(part.data)}`
  return /^(data|https?):/.test(part.data) ? part.data : `data:${part.mediaType};base64,${part.data}`
}

const unsupportedFile = (part: Prompt.FilePart): AiError.InvalidRequestError =>
  new AiError.InvalidRequestError({
    parameter: "prompt",
    constraint: "may hold images of the user only",
    description: `It has a file of type ${part.mediaType}`
  })
