/**
 * The texts of a prompt and of an answer, as a check has to read them: also those in tools' parameters and in text files.
 *
 * @since 0.1.0
 */
import * as Encoding from "effect/Encoding"
import * as Result from "effect/Result"
import type * as Prompt from "effect/unstable/ai/Prompt"
import * as Response from "effect/unstable/ai/Response"

/**
 * What users, tools and the model itself have said, not the system messages; images and other files have no text here.
 *
 * @category getters
 * @since 0.1.0
 */
export const ofPrompt = (prompt: Prompt.Prompt): string => {
  const texts: Array<string> = []
  for (const message of prompt.content) {
    if (message.role === "system") continue
    for (const part of message.content) {
      if (part.type === "text" || part.type === "reasoning") texts.push(part.text)
      else if (part.type === "file") texts.push(ofFile(part))
      else if (part.type === "tool-call") texts.push(ofValue(part.params))
      else if (part.type === "tool-result") texts.push(ofValue(part.result))
    }
  }
  return joined(texts)
}

/**
 * Every string, number and name in a value, a line each: escapes of JSON hide none of it.
 *
 * @category getters
 * @since 0.1.0
 */
export const ofValue = (value: unknown): string => {
  const texts: Array<string> = []
  const seen = new Set<object>()
  // What is still to be read, the next one last: values from outside may be nested deeper than calls can be.
  const left: Array<unknown> = [value]
  while (left.length > 0) {
    const value = left.pop()
    if (typeof value === "string") texts.push(value)
    else if (typeof value === "number" || typeof value === "bigint" || typeof value === "boolean") {
      texts.push(String(value))
    } else if (typeof value === "object" && value !== null && !seen.has(value)) {
      seen.add(value)
      const inside = value instanceof Date
        ? [Number.isNaN(value.getTime()) ? "" : value.toISOString()]
        : Array.isArray(value)
        ? value
        : Object.entries(value).flat()
      for (let i = inside.length - 1; i >= 0; i--) left.push(inside[i])
    }
  }
  return joined(texts)
}

/**
 * Gathers the texts of an answer from its parts as they come.
 *
 * @category constructors
 * @since 0.1.0
 */
export const answerReader = () => {
  let text = ""
  let reasoning = ""
  /** Of calls whose parameters have begun and that have not come yet. */
  const open = new Map<string, string>()
  const calls: Array<string> = []

  return {
    /** Whether a tool's parameters are only partly there. */
    isInCall: () => open.size > 0,
    /** Takes the part, and gives what it adds. */
    add: (part: unknown): string => {
      const added = addedBy(part)
      if (!Response.isPart(part)) return added
      switch (part.type) {
        case "text":
        case "text-delta":
          text += added
          break
        case "reasoning":
        case "reasoning-delta":
          reasoning += added
          break
        case "tool-params-start":
          open.set(part.id, "")
          break
        case "tool-params-delta":
          open.set(part.id, (open.get(part.id) ?? "") + part.delta)
          break
        case "tool-call":
          open.delete(part.id)
          calls.push(added.trim())
      }
      return added
    },
    whole: (): string => joined([reasoning, text, ...calls, ...open.values()])
  }
}

/**
 * What a part of an answer adds to its texts; parameters of tools as a whole, and not while they come.
 *
 * @category getters
 * @since 0.1.0
 */
export const addedBy = (part: unknown): string => {
  if (!Response.isPart(part)) return ""
  switch (part.type) {
    case "text":
    case "reasoning":
      return part.text
    case "text-delta":
    case "reasoning-delta":
      return part.delta
    case "text-end":
    case "reasoning-end":
      return "\n"
    case "tool-call":
      return `\n${ofValue(part.params)}\n`
    default:
      return ""
  }
}

/**
 * The texts in an answer that is JSON, without the escapes; nothing where it is none.
 *
 * @category getters
 * @since 0.1.0
 */
export const ofJson = (json: string): string => {
  try {
    return ofValue(JSON.parse(json))
  } catch {
    return ""
  }
}

const joined = (texts: ReadonlyArray<string>): string => texts.filter((text) => text.trim() !== "").join("\n")

const ofFile = ({ data, mediaType }: Prompt.FilePart): string => {
  if (!/^(text\/|application\/(json|xml|yaml|x-yaml|javascript)\b|.*\+(json|xml)\b)/.test(mediaType)) return ""
  if (data instanceof Uint8Array) return new TextDecoder().decode(data)
  const [, isBase64, encoded] = /^data:[^,]*?(;base64)?,(.*)$/s.exec(String(data)) ?? []
  if (encoded !== undefined) return isBase64 === undefined ? unescaped(encoded) : ofBase64(encoded)
  return typeof data === "string" ? ofBase64(data) : ""
}

const ofBase64 = (text: string): string => Result.getOrElse(Encoding.decodeBase64String(text), () => text)

const unescaped = (text: string): string => {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}
