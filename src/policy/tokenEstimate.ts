/**
 * About how many tokens a text or a call's prompt has, where no provider has counted them yet.
 *
 * Four characters a token, as in English; one for each character of Chinese, Japanese and Korean, and two characters a token
 * in other scripts. Images count for 1,000 tokens each.
 *
 * @since 0.1.0
 */
import * as Prompt from "effect/unstable/ai/Prompt"
import * as Tool from "effect/unstable/ai/Tool"
import type { CallOptions } from "./aroundModel.ts"

/**
 * Counts the tokens of a text.
 *
 * @category models
 * @since 0.1.0
 */
export type CountTokens = (text: string) => number

/**
 * Of a text.
 *
 * @category getters
 * @since 0.1.0
 */
export const ofText: CountTokens = (text) => {
  let quarters = 0
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at)
    quarters += code < 0x250 ? 1 : code < 0x2e80 ? 2 : 4
  }
  return Math.ceil(quarters / 4)
}

/**
 * Of all that a call sends: messages, files and tools. A toolkit that is only made during the call does not count, nor does an
 * object's schema.
 *
 * @category getters
 * @since 0.1.0
 */
export const ofCall = ({ prompt, toolkit }: CallOptions, count: CountTokens): number => {
  let tokens = 0
  for (const message of prompt === undefined ? [] : Prompt.make(prompt).content) {
    // What every message costs beside its text: its role and its ends.
    tokens += 4
    if (typeof message.content === "string") tokens += count(message.content)
    else for (const part of message.content) tokens += ofPart(part, count)
  }
  return tokens + ofTools(toolkit, count)
}

/**
 * Text for any value, as it goes into a prompt.
 *
 * @category conversions
 * @since 0.1.0
 */
export const shown = (value: unknown): string => {
  if (typeof value === "string") return value
  try {
    return JSON.stringify(value) ?? ""
  } catch {
    // No JSON: the call says so itself.
    return ""
  }
}

const ofImage = 1000

const ofPart = (part: Exclude<Prompt.Message["content"], string>[number], count: CountTokens): number => {
  switch (part.type) {
    case "text":
    case "reasoning":
      return count(part.text)
    case "tool-call":
      return count(part.name) + count(shown(part.params))
    case "tool-result":
      return count(part.name) + count(shown(part.result))
    case "file":
      return ofFile(part)
    default:
      return 0
  }
}

const ofFile = ({ data, mediaType }: Prompt.FilePart): number => {
  if (mediaType.startsWith("image/") || data instanceof URL) return ofImage
  // Four bytes a token; base64 has four characters for three bytes.
  return Math.ceil((typeof data === "string" ? data.length * 0.75 : data.length) / 4)
}

const ofTools = (toolkit: CallOptions["toolkit"], count: CountTokens): number => {
  // A toolkit is an effect that has its tools, too.
  if (toolkit === undefined || !("tools" in toolkit)) return 0
  let tokens = 0
  for (const tool of Object.values(toolkit.tools as { readonly [name: string]: Tool.Any })) { // of both of them
    tokens += count(`${tool.name} ${Tool.getDescription(tool) ?? ""} ${schemaOf(tool)}`)
  }
  return tokens
}

const schemaOf = (tool: Tool.Any): string => {
  try {
    return shown(Tool.getJsonSchema(tool))
  } catch {
    // A schema that has no JSON form fails the call itself.
    return ""
  }
}
