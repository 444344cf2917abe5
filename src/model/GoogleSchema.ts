/**
 * JSON schema as Gemini reads it, for structured output and for the parameters of functions.
 *
 * Google takes two dialects. `responseSchema` and `parameters` are a protobuf message after a subset of OpenAPI 3.0: a
 * keyword it does not know, such as `$ref`, `additionalProperties` or `exclusiveMinimum`, is refused with a 400, so
 * recursive schemas cannot be sent at all and any newer keyword breaks the request. `responseJsonSchema` and
 * `parametersJsonSchema` are plain JSON schema: what the model does not support there is ignored. The second is the one
 * used here, and what would be ignored is rewritten so that the model still learns of it.
 *
 * Supported there: `$id`, `$defs`, `$ref` (alone, or beside keys that start with `$`), `$anchor`, `type`, `format`,
 * `title`, `description`, `enum` (of strings and numbers), `items`, `prefixItems`, `minItems`, `maxItems`, `minimum`,
 * `maximum`, `anyOf`, `oneOf` (as `anyOf`), `properties`, `additionalProperties`, `required`, `propertyOrdering`. A
 * recursive reference may stand in keys only that are not required.
 *
 * Source: `GenerateContentConfig.responseJsonSchema` and `FunctionDeclaration.parametersJsonSchema` of
 * `@google/genai@2.32.0`, the package that section 13 of the wire reference names for 10.4.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"
import * as LanguageModel from "effect/unstable/ai/LanguageModel"
import { isRecord, type JsonRecord, text } from "./Json.ts"

/**
 * Schema and codec of structured output.
 *
 * What comes back is JSON, so the codec is the schema's JSON codec (dates, big integers and the like are texts there).
 * Optional keys stay optional, and every check that the wire cannot carry is still made when the answer is decoded.
 *
 * @category codecs
 * @since 0.1.0
 */
export const codecTransformer: LanguageModel.CodecTransformer = (schema) => {
  const codec = Schema.toCodecJson(schema)
  return { codec, jsonSchema: rewrite(LanguageModel.defaultCodecTransformer(codec).jsonSchema) }
}

/**
 * The schema in Google's dialect: it allows nothing that the schema forbids, where the dialect can say so.
 *
 * @category constructors
 * @since 0.1.0
 */
export const rewrite = (schema: JsonRecord): { readonly [key: string]: unknown } => {
  const whole = withoutInfinity(mergeAllOf(schema))
  const reference = text(whole["$ref"])
  if (reference !== undefined) return { $ref: reference }
  const out: { [key: string]: unknown } = {}
  const notes: Array<string> = []
  for (const key in whole) {
    const value = whole[key]
    switch (key) {
      case "const":
        addEnum(out, [value])
        break
      case "enum":
        if (Array.isArray(value)) addEnum(out, value)
        break
      case "exclusiveMinimum":
        out["minimum"] = bound(value, whole, 1)
        break
      case "exclusiveMaximum":
        out["maximum"] = bound(value, whole, -1)
        break
      case "not":
        // Effect's `{}`: anything but null and undefined.
        out["type"] ??= "object"
        break
      case "properties":
      case "$defs":
        out[key] = isRecord(value) ? mapValues(value) : value
        break
      case "items":
      case "additionalProperties":
        out[key] = isRecord(value) ? rewrite(value) : value
        break
      case "prefixItems":
      case "anyOf":
      case "oneOf":
        out[key] = Array.isArray(value) ? value.map((item) => isRecord(item) ? rewrite(item) : item) : value
        break
      case "pattern":
      case "minLength":
      case "maxLength":
      case "multipleOf":
      case "uniqueItems":
      case "minProperties":
      case "maxProperties":
        notes.push(`${key}: ${JSON.stringify(value)}`)
        break
      default:
        out[key] = value
    }
  }
  // Effect leaves structs open, and drops what is too much; the model need not invent it.
  if (isRecord(out["properties"]) && out["additionalProperties"] === true) out["additionalProperties"] = false
  if (notes.length > 0) {
    const said = text(whole["description"])
    out["description"] = said === undefined ? notes.join(", ") : `${said} (${notes.join(", ")})`
  }
  return out
}

const mapValues = (schemas: JsonRecord): JsonRecord =>
  Object.fromEntries(
    Object.entries(schemas).map(([name, schema]) => [name, isRecord(schema) ? rewrite(schema) : schema])
  )

/** Keys of the schema itself win; the dialect has no `allOf`. */
const mergeAllOf = (schema: JsonRecord): JsonRecord => {
  const all = schema["allOf"]
  if (!Array.isArray(all)) return schema
  const { allOf: _, ...own } = schema
  const others = all.filter(isRecord).map(mergeAllOf)
  const merged: JsonRecord = Object.assign({}, ...others, own)
  const properties = [...others, own].map((part) => part["properties"]).filter(isRecord)
  const required = [...others, own].flatMap((part) => Array.isArray(part["required"]) ? part["required"] : [])
  return {
    ...merged,
    ...(properties.length === 0 ? {} : { properties: Object.assign({}, ...properties) }),
    ...(required.length === 0 ? {} : { required: Array.from(new Set(required)) })
  }
}

/** Effect writes a number that may be infinite as a number or one of three texts, which no model should choose. */
const withoutInfinity = (schema: JsonRecord): JsonRecord => {
  const { anyOf: choices, ...rest } = schema
  if (!Array.isArray(choices) || !choices.some((choice) => isRecord(choice) && choice["type"] === "number")) {
    return schema
  }
  const left = choices.filter((choice) => !isRecord(choice) || !isInfinity(choice["enum"]))
  if (left.length === choices.length) return schema
  return left.length === 1 && isRecord(left[0]) ? { ...left[0], ...rest } : { ...rest, anyOf: left }
}

const isInfinity = (texts: unknown): boolean =>
  Array.isArray(texts) && texts.length > 0 && texts.every((text) => /^(NaN|-?Infinity)$/.test(String(text)))

/** Only texts and numbers can be enumerated; of booleans and null the type remains. */
const addEnum = (out: { [key: string]: unknown }, values: ReadonlyArray<unknown>): void => {
  if (values.every((value) => typeof value === "string" || typeof value === "number")) {
    out["enum"] = values
    if (values.length > 0) out["type"] ??= typeof values[0]
  } else if (values.every((value) => typeof value === "boolean")) out["type"] ??= "boolean"
  else if (values.every((value) => value === null)) out["type"] ??= "null"
}

/** The dialect has closed bounds only: exact for integers, a little wide for other numbers. */
const bound = (value: unknown, schema: JsonRecord, inward: number): unknown =>
  typeof value === "number" && schema["type"] === "integer" ? Math.floor(value * inward) * inward + inward : value
