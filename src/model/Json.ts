/**
 * Guards for JSON of unknown shape: the codecs read answers field by field with these, never with a cast.
 *
 * @since 0.1.0
 */

/**
 * @category models
 * @since 0.1.0
 */
export interface JsonRecord {
  readonly [key: string]: unknown
}

/**
 * Parses JSON text; `undefined`, which no JSON text means, when it is not JSON.
 *
 * @category constructors
 * @since 0.1.0
 */
export const parse = (text: string): unknown => {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

/**
 * @category guards
 * @since 0.1.0
 */
export const isRecord = (u: unknown): u is JsonRecord => typeof u === "object" && u !== null && !Array.isArray(u)

/**
 * The value as a string with characters in it, or `undefined`.
 *
 * @category accessors
 * @since 0.1.0
 */
export const text = (u: unknown): string | undefined => typeof u === "string" && u !== "" ? u : undefined

/**
 * The value as a record, or an empty one.
 *
 * @category accessors
 * @since 0.1.0
 */
export const record = (u: unknown): JsonRecord => isRecord(u) ? u : nothing

/**
 * The value as a count, or `undefined`: Effect's `Usage` takes integers only.
 *
 * @category accessors
 * @since 0.1.0
 */
export const count = (u: unknown): number | undefined =>
  typeof u === "number" && Number.isSafeInteger(u) && u >= 0 ? u : undefined

/**
 * The first characters of a text on one line, for error messages.
 *
 * @category accessors
 * @since 0.1.0
 */
export const excerpt = (text: string): string => {
  const line = text.slice(0, 400).replace(/\s+/g, " ").trim()
  return line.length > 120 ? `${line.slice(0, 120)}...` : line
}

const nothing: JsonRecord = {}
