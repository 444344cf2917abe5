/**
 * The JSON schema in a prompt: with APIs that can enforce no more than JSON, the prompt says how the answer should look.
 *
 * @since 0.1.0
 */
import { isRecord, type JsonRecord, parse } from "../../model/Json.ts"

/**
 * The first schema that stands behind the word "schema"; undefined when there is none.
 *
 * @category getters
 * @since 0.1.0
 */
export const find = (texts: ReadonlyArray<string>): JsonRecord | undefined => {
  for (const text of texts) {
    const word = text.search(/schema/i)
    for (let at = word === -1 ? -1 : text.indexOf("{", word), tries = 0; at !== -1 && tries < 20; tries++) {
      const found = parse(text.slice(at, endOf(text, at)))
      if (isRecord(found) && ["type", "properties", "$ref", "anyOf", "allOf", "oneOf"].some((_) => _ in found)) {
        return found
      }
      at = text.indexOf("{", at + 1)
    }
  }
  return undefined
}

/** Behind the brace that closes the one at `start`. */
const endOf = (text: string, start: number): number => {
  let depth = 0
  let quoted = false
  for (let at = start; at < text.length; at++) {
    const char = text[at]
    if (quoted) {
      if (char === "\\") at++
      else if (char === "\"") quoted = false
    } else if (char === "\"") quoted = true
    else if (char === "{") depth++
    else if (char === "}" && --depth === 0) return at + 1
  }
  return text.length
}
