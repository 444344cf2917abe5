/**
 * Google's own schemas, a subset of OpenAPI 3.0 with types in capitals, as JSON schema.
 *
 * @since 0.1.0
 */
import { isRecord } from "../../model/Json.ts"

/**
 * @category conversions
 * @since 0.1.0
 */
export const toJsonSchema = (schema: unknown): unknown => {
  if (!isRecord(schema)) return schema
  const out: { [keyword: string]: unknown } = {}
  for (const [name, value] of Object.entries(schema)) {
    const keyword = name.replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase())
    if (keyword === "type" && typeof value === "string") out[keyword] = value.toLowerCase()
    else if (keyword === "properties" && isRecord(value)) {
      out[keyword] = Object.fromEntries(Object.entries(value).map(([key, of]) => [key, toJsonSchema(of)]))
    } else if (keyword === "items") out[keyword] = toJsonSchema(value)
    else if (keyword === "anyOf" && Array.isArray(value)) out[keyword] = value.map(toJsonSchema)
    // Numbers of 64 bits are texts in Google's JSON.
    else if (bounds.has(keyword) && typeof value === "string" && /^\d+$/.test(value)) out[keyword] = Number(value)
    else out[keyword] = value
  }
  return out
}

const bounds = new Set(["minItems", "maxItems", "minLength", "maxLength", "minProperties", "maxProperties"])
