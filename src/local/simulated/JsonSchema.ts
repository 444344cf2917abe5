/**
 * JSON Schema, as far as models are asked to follow it: does a value satisfy a schema?
 *
 * Covers the vocabulary that tools and structured output use: types, enum, const, references, combinators, bounds,
 * objects, arrays, patterns. Keywords that are not known here do not constrain.
 *
 * @since 0.1.0
 */

/**
 * @category models
 * @since 0.1.0
 */
export type JsonSchema = boolean | { readonly [keyword: string]: unknown }

/**
 * Whether a value satisfies a schema; `root` is where `$ref`s point into.
 *
 * @category predicates
 * @since 0.1.0
 */
export const satisfies = (schema: unknown, value: unknown, root: unknown): boolean => holds(schema, value, root, 0)

/** `hops` counts schemas seen at one place of the value: a schema that refers only to itself constrains nothing. */
const holds = (schema: unknown, value: unknown, root: unknown, hops: number): boolean => {
  if (schema === false) return false
  if (!isRecord(schema) || hops > 64) return true
  const here = (of: unknown) => holds(of, value, root, hops + 1)
  if (typeof schema["$ref"] === "string" && !here(resolve(schema["$ref"], root))) return false
  if ("const" in schema && !equal(schema["const"], value)) return false
  if (Array.isArray(schema["enum"]) && !schema["enum"].some((_) => equal(_, value))) return false
  const types = typesOf(schema)
  if (types.length > 0 && !types.some((type) => isOfType(type, value))) return false
  if (!list(schema["allOf"]).every(here)) return false
  if (Array.isArray(schema["anyOf"]) && !schema["anyOf"].some(here)) return false
  if (Array.isArray(schema["oneOf"]) && schema["oneOf"].filter(here).length !== 1) return false
  if ("not" in schema && here(schema["not"])) return false
  if (typeof value === "number") return numberFits(schema, value)
  if (typeof value === "string") return stringFits(schema, value)
  if (Array.isArray(value)) return arrayFits(schema, value, root)
  if (isRecord(value)) return objectFits(schema, value, root)
  return true
}

/**
 * Follows a reference inside the document: `#`, `#/$defs/X`, `#/definitions/X`.
 *
 * @category getters
 * @since 0.1.0
 */
export const resolve = (reference: string, root: unknown): unknown => {
  if (!reference.startsWith("#")) return true
  let at: unknown = root
  for (const part of reference.slice(1).split("/").slice(1)) {
    const key = decode(part.replaceAll("~1", "/").replaceAll("~0", "~"))
    at = Array.isArray(at) ? at[Number(key)] : isRecord(at) && Object.hasOwn(at, key) ? at[key] : undefined
  }
  return at === undefined ? true : at
}

/**
 * The types a schema names.
 *
 * @category getters
 * @since 0.1.0
 */
export const typesOf = (schema: { readonly [keyword: string]: unknown }): ReadonlyArray<string> => {
  const type = schema["type"]
  const named = (typeof type === "string" ? [type] : list(type)).filter((_): _ is string => typeof _ === "string")
  return schema["nullable"] === true && named.length > 0 ? [...named, "null"] : named
}

/**
 * @category getters
 * @since 0.1.0
 */
export const list = (u: unknown): ReadonlyArray<unknown> => Array.isArray(u) ? u : []

/**
 * @category predicates
 * @since 0.1.0
 */
export const isRecord = (u: unknown): u is { readonly [key: string]: unknown } =>
  typeof u === "object" && u !== null && !Array.isArray(u)

/**
 * Compiles a pattern as JSON Schema means it; undefined when this engine cannot.
 *
 * @category getters
 * @since 0.1.0
 */
export const compile = (pattern: unknown): RegExp | undefined => {
  if (typeof pattern !== "string") return undefined
  try {
    return new RegExp(pattern, "u")
  } catch {
    try {
      // Schemas in the wild escape characters that the unicode mode does not let escape.
      return new RegExp(pattern)
    } catch {
      return undefined
    }
  }
}

const isOfType = (type: string, value: unknown): boolean => {
  switch (type) {
    case "null":
      return value === null
    case "integer":
      return typeof value === "number" && Number.isInteger(value)
    case "array":
      return Array.isArray(value)
    case "object":
      return isRecord(value)
    default:
      return typeof value === type
  }
}

const numberFits = (schema: { readonly [keyword: string]: unknown }, value: number): boolean => {
  const { exclusiveMaximum, exclusiveMinimum, maximum, minimum, multipleOf } = schema
  if (typeof minimum === "number" && (exclusiveMinimum === true ? value <= minimum : value < minimum)) return false
  if (typeof maximum === "number" && (exclusiveMaximum === true ? value >= maximum : value > maximum)) return false
  if (typeof exclusiveMinimum === "number" && value <= exclusiveMinimum) return false
  if (typeof exclusiveMaximum === "number" && value >= exclusiveMaximum) return false
  if (typeof multipleOf === "number" && multipleOf > 0) {
    const times = value / multipleOf
    if (Math.abs(times - Math.round(times)) > 1e-9 * Math.max(1, Math.abs(times))) return false
  }
  return true
}

const stringFits = (schema: { readonly [keyword: string]: unknown }, value: string): boolean => {
  const { maxLength, minLength } = schema
  const length = [...value].length
  if (typeof minLength === "number" && length < minLength) return false
  if (typeof maxLength === "number" && length > maxLength) return false
  return compile(schema["pattern"])?.test(value) ?? true
}

const arrayFits = (
  schema: { readonly [keyword: string]: unknown },
  value: ReadonlyArray<unknown>,
  root: unknown
): boolean => {
  const { maxItems, minItems } = schema
  if (typeof minItems === "number" && value.length < minItems) return false
  if (typeof maxItems === "number" && value.length > maxItems) return false
  const { first, rest } = itemsOf(schema)
  if (schema["uniqueItems"] === true && value.some((a, i) => value.slice(0, i).some((b) => equal(a, b)))) return false
  if ("contains" in schema) {
    const least = typeof schema["minContains"] === "number" ? schema["minContains"] : 1
    if (value.filter((_) => satisfies(schema["contains"], _, root)).length < least) return false
  }
  return value.every((item, i) => satisfies(i < first.length ? first[i] : rest, item, root))
}

/**
 * The schemas of an array's items: of the first ones by position, and of the rest; both drafts' spellings.
 *
 * @category getters
 * @since 0.1.0
 */
export const itemsOf = (
  schema: { readonly [keyword: string]: unknown }
): { readonly first: ReadonlyArray<unknown>; readonly rest: unknown } =>
  Array.isArray(schema["items"])
    ? { first: schema["items"], rest: schema["additionalItems"] ?? true }
    : { first: list(schema["prefixItems"]), rest: schema["items"] ?? true }

const objectFits = (
  schema: { readonly [keyword: string]: unknown },
  value: { readonly [key: string]: unknown },
  root: unknown
): boolean => {
  const keys = Object.keys(value)
  const { maxProperties, minProperties } = schema
  if (typeof minProperties === "number" && keys.length < minProperties) return false
  if (typeof maxProperties === "number" && keys.length > maxProperties) return false
  if (!list(schema["required"]).every((_) => typeof _ === "string" && Object.hasOwn(value, _))) return false
  const properties = isRecord(schema["properties"]) ? schema["properties"] : {}
  const patterns = isRecord(schema["patternProperties"]) ? Object.entries(schema["patternProperties"]) : []
  return keys.every((key) => {
    if ("propertyNames" in schema && !satisfies(schema["propertyNames"], key, root)) return false
    let named = false
    if (Object.hasOwn(properties, key)) {
      named = true
      if (!satisfies(properties[key], value[key], root)) return false
    }
    for (const [pattern, of] of patterns) {
      if (compile(pattern)?.test(key) !== true) continue
      named = true
      if (!satisfies(of, value[key], root)) return false
    }
    return named || satisfies(schema["additionalProperties"] ?? true, value[key], root)
  })
}

/**
 * Whether two JSON values are the same; the order of an object's keys does not count.
 *
 * @category predicates
 * @since 0.1.0
 */
export const equal = (a: unknown, b: unknown): boolean => {
  if (Array.isArray(a)) return Array.isArray(b) && a.length === b.length && a.every((_, i) => equal(_, b[i]))
  if (isRecord(a)) {
    return isRecord(b) && Object.keys(a).length === Object.keys(b).length &&
      Object.keys(a).every((key) => Object.hasOwn(b, key) && equal(a[key], b[key]))
  }
  return a === b
}

const decode = (part: string): string => {
  try {
    return decodeURIComponent(part)
  } catch {
    return part
  }
}
