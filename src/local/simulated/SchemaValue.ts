/**
 * A value that satisfies a JSON schema, always the same for the same schema and suggestions.
 *
 * Suggestions (values found in a prompt) are tried first, then what the schema names itself (`const`, `enum`,
 * `default`, `examples`), then a value built from its keywords. Every choice is checked against the schema.
 *
 * @since 0.1.0
 */
import { compile, equal, isRecord, itemsOf, list, resolve, satisfies, typesOf } from "./JsonSchema.ts"
import * as Pattern from "./Pattern.ts"

/**
 * Values to prefer for a place in the schema, by the name of the property.
 *
 * @category models
 * @since 0.1.0
 */
export type Suggest = (name: string, schema: { readonly [keyword: string]: unknown }) => ReadonlyArray<unknown>

/**
 * Builds the value; falls back to the closest one that could be built when nothing satisfies the schema.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (schema: unknown, suggest: Suggest = () => []): unknown => {
  const context: Context = { root: schema, suggest, nodes: { left: 5000 } }
  const value = build(schema, { name: "value", depth: 0, avoid: [] }, context)
  return value === none ? null : value
}

/** No value satisfies the schema here; `undefined` cannot say so, it has no JSON. */
const none = Symbol("none")

interface Context {
  readonly root: unknown
  readonly suggest: Suggest
  /** A schema that refers to itself in many places must not take the machine down. */
  readonly nodes: { left: number }
}

interface Place {
  readonly name: string
  readonly depth: number
  /** Values taken already, where items must differ. */
  readonly avoid: ReadonlyArray<unknown>
}

type Keywords = { readonly [keyword: string]: unknown }

const maxDepth = 24
/** From here on only what is required is built, so that recursive schemas end. */
const leanDepth = 4

const build = (schema: unknown, place: Place, context: Context): unknown => {
  if (schema === false || place.depth > maxDepth || context.nodes.left-- <= 0) return none
  if (!isRecord(schema)) return `simulated ${place.name}`
  const fits = (value: unknown) =>
    value !== none && satisfies(schema, value, context.root) && !place.avoid.some((_) => equal(_, value))
  const flat = flatten(schema, context.root, 0)
  const named = [
    ...context.suggest(place.name, flat),
    ...("const" in flat ? [flat["const"]] : []),
    ...("default" in flat ? [flat["default"]] : []),
    ...list(flat["examples"]),
    ...byNullLast(list(flat["enum"]))
  ]
  const quick = named.find(fits)
  if (quick !== undefined) return quick
  const choices = [...list(flat["anyOf"]), ...list(flat["oneOf"])]
  if (choices.length > 0) {
    const { anyOf: _, oneOf: __, ...base } = flat
    for (const choice of ordered(choices, place.depth)) {
      const value = build({ allOf: [base, choice] }, { ...place, depth: place.depth + 1 }, context)
      if (fits(value)) return value
    }
  }
  let closest: unknown = none
  for (const type of kindsOf(flat)) {
    for (const value of ofType(type, flat, place, context)) {
      if (fits(value)) return value
      if (closest === none) closest = value
    }
  }
  // At the top a value that is nearly right serves better than none.
  return place.depth === 0 ? closest : none
}

/** Simple alternatives first once the value is deep, so that a recursive one is not followed for ever. */
const ordered = (choices: ReadonlyArray<unknown>, depth: number): ReadonlyArray<unknown> => {
  const isNull = (choice: unknown) => isRecord(choice) && (choice["type"] === "null" || choice["const"] === null)
  const weight = (choice: unknown) =>
    depth < leanDepth ? (isNull(choice) ? 1 : 0) : JSON.stringify(choice).includes("$ref") ? 1e6 : 0
  return choices.toSorted((a, b) => weight(a) - weight(b))
}

const byNullLast = (values: ReadonlyArray<unknown>) =>
  values.toSorted((a, b) => (a === null ? 1 : 0) - (b === null ? 1 : 0))

const kindsOf = (schema: Keywords): ReadonlyArray<string> => {
  const named = typesOf(schema)
  if (named.length > 0) return named.toSorted((a, b) => (a === "null" ? 1 : 0) - (b === "null" ? 1 : 0))
  const has = (...keywords: ReadonlyArray<string>) => keywords.some((_) => _ in schema)
  if (has("properties", "required", "additionalProperties", "patternProperties", "minProperties")) return ["object"]
  if (has("items", "prefixItems", "minItems", "contains")) return ["array"]
  if (has("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf")) return ["number"]
  return ["string", "number", "object", "array", "boolean", "null"]
}

/** Candidates of one type, best first. */
const ofType = (type: string, schema: Keywords, place: Place, context: Context): ReadonlyArray<unknown> => {
  switch (type) {
    case "string":
      return strings(schema, place)
    case "integer":
    case "number":
      return numbers(schema, type === "integer")
    case "boolean":
      return [true, false]
    case "null":
      return [null]
    case "array":
      return [
        array(schema, place, context),
        array(schema, { ...place, depth: Math.max(place.depth, leanDepth) }, context)
      ]
    case "object":
      return [
        object(schema, place, context),
        object(schema, { ...place, depth: Math.max(place.depth, leanDepth) }, context)
      ]
    default:
      return []
  }
}

const formats: { readonly [format: string]: ReadonlyArray<string> } = {
  "date-time": ["2026-01-02T03:04:05.000Z", "2026-01-02T03:04:05Z"],
  date: ["2026-01-02"],
  time: ["03:04:05Z", "03:04:05"],
  duration: ["PT1H"],
  email: ["simulated@example.com"],
  "idn-email": ["simulated@example.com"],
  hostname: ["example.com"],
  "idn-hostname": ["example.com"],
  ipv4: ["192.0.2.1"],
  ipv6: ["2001:db8::1"],
  uri: ["https://example.com/simulated"],
  url: ["https://example.com/simulated"],
  "uri-reference": ["https://example.com/simulated"],
  iri: ["https://example.com/simulated"],
  uuid: ["018f0000-0000-7000-8000-000000000001", "3f2504e0-4f89-41d3-9a0c-0305e82c3301"],
  byte: ["c2ltdWxhdGVk"],
  base64: ["c2ltdWxhdGVk"],
  regex: ["^simulated$"],
  "json-pointer": ["/simulated"]
}

const strings = (schema: Keywords, place: Place): ReadonlyArray<string> => {
  const least = typeof schema["minLength"] === "number" ? schema["minLength"] : 0
  const most = typeof schema["maxLength"] === "number" ? schema["maxLength"] : Infinity
  const sized = (text: string) => {
    const long = text.length >= least ? text : text.padEnd(Math.min(least, 100_000), " simulated")
    return long.length <= most ? long : long.slice(0, most)
  }
  const format = typeof schema["format"] === "string" && Object.hasOwn(formats, schema["format"])
    ? formats[schema["format"]] ?? []
    : []
  const pattern = schema["pattern"]
  const matching = typeof pattern === "string" && compile(pattern) !== undefined
    ? [0, 1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 64].map((extra) => Pattern.example(pattern, extra))
    : []
  const plain = sized(`simulated ${place.name}`)
  const more = place.avoid.length === 0 ? [] : [
    sized(`simulated ${place.name} ${place.avoid.length + 1}`),
    sized(`${place.avoid.length + 1} simulated ${place.name}`)
  ]
  return [...format, ...matching, ...matching.map(sized), plain, ...more, sized("simulated"), sized("s"), ""]
}

const numbers = (schema: Keywords, integer: boolean): ReadonlyArray<number> => {
  const bound = (inclusive: unknown, exclusive: unknown) =>
    [inclusive, exclusive].filter((_): _ is number => typeof _ === "number")
  const low = Math.max(-Infinity, ...bound(schema["minimum"], schema["exclusiveMinimum"]))
  const high = Math.min(Infinity, ...bound(schema["maximum"], schema["exclusiveMaximum"]))
  const step = typeof schema["multipleOf"] === "number" && schema["multipleOf"] > 0 ? schema["multipleOf"] : undefined
  const near = Number.isFinite(low) ? low : Number.isFinite(high) ? high : 0
  const base = [
    1,
    near,
    Math.ceil(near),
    Math.floor(near),
    near + 1,
    near - 1,
    ...(Number.isFinite(low) && Number.isFinite(high) ? [high, low + (high - low) / 2, Math.floor(high)] : []),
    ...(Number.isFinite(high) ? [high - 1] : []),
    0,
    ...Array.from({ length: 40 }, (_, i) => Math.ceil(near) + i + 1),
    ...Array.from({ length: 40 }, (_, i) => Math.floor(near) - i - 1),
    near + 1e-6 * Math.max(1, Math.abs(near)),
    near - 1e-6 * Math.max(1, Math.abs(near))
  ]
  const stepped = step === undefined ? base : base.flatMap((_) => [
    round(Math.ceil(_ / step) * step),
    round(Math.floor(_ / step) * step),
    round((Math.ceil(_ / step) + 1) * step)
  ])
  return integer ? stepped.filter(Number.isInteger) : stepped
}

/** 0.1 * 3 must not become 0.30000000000000004. */
const round = (n: number) => Number(n.toPrecision(12))

const array = (schema: Keywords, place: Place, context: Context): unknown => {
  const { first, rest } = itemsOf(schema)
  const least = typeof schema["minItems"] === "number" ? schema["minItems"] : 0
  const most = typeof schema["maxItems"] === "number" ? schema["maxItems"] : Infinity
  const wanted = place.depth >= leanDepth ? Math.max(least, first.length) : Math.max(least, first.length, 1)
  const length = Math.min(wanted, most, 1000)
  const contained = "contains" in schema
    ? typeof schema["minContains"] === "number" ? schema["minContains"] : 1
    : 0
  const out: Array<unknown> = []
  for (let i = 0; i < Math.max(length, contained); i++) {
    const item = i < first.length ? first[i] : rest
    const value = build(i >= first.length && i < contained ? { allOf: [item, schema["contains"]] } : item, {
      name: singular(place.name),
      depth: place.depth + 1,
      avoid: schema["uniqueItems"] === true ? [...out] : []
    }, context)
    if (value === none) return out.length >= least ? out : none
    out.push(value)
  }
  return out
}

const singular = (name: string) => name.replace(/ies$/, "y").replace(/([^s])s$/, "$1")

const object = (schema: Keywords, place: Place, context: Context): unknown => {
  const properties = isRecord(schema["properties"]) ? schema["properties"] : {}
  const patterns = isRecord(schema["patternProperties"]) ? Object.entries(schema["patternProperties"]) : []
  const required = list(schema["required"]).filter((_): _ is string => typeof _ === "string")
  const most = typeof schema["maxProperties"] === "number" ? schema["maxProperties"] : Infinity
  const least = typeof schema["minProperties"] === "number" ? schema["minProperties"] : 0
  const additional = schema["additionalProperties"] ?? true
  const schemaOf = (key: string): unknown => {
    const of = [
      ...(Object.hasOwn(properties, key) ? [properties[key]] : []),
      ...patterns.filter(([pattern]) => compile(pattern)?.test(key) === true).map(([, schema]) => schema)
    ]
    return of.length === 0 ? additional : of.length === 1 ? of[0] : { allOf: of }
  }
  const out: { [key: string]: unknown } = {}
  const put = (key: string): boolean => {
    const value = build(schemaOf(key), {
      name: key,
      depth: place.depth + 1,
      avoid: place.avoid.flatMap((other) => isRecord(other) && key in other ? [other[key]] : [])
    }, context)
    if (value === none) return false
    // Not an assignment: a property named __proto__ is a property here.
    Object.defineProperty(out, key, { value, enumerable: true, configurable: true, writable: true })
    return true
  }
  for (const key of required) if (!put(key)) return none
  const wanted = Object.keys(properties).filter((key) => !required.includes(key))
  for (const key of wanted) {
    const count = Object.keys(out).length
    if (count < most && (count < least || place.depth < leanDepth)) put(key)
  }
  const target = Math.max(
    least,
    Object.keys(properties).length === 0 && (isRecord(additional) || patterns.length > 0) && place.depth < leanDepth
      ? 1
      : 0
  )
  for (let i = 0; Object.keys(out).length < Math.min(target, most, 100) && i < 200; i++) {
    const [pattern] = patterns[0] ?? []
    const key = pattern !== undefined
      ? Pattern.example(pattern, i)
      : "propertyNames" in schema
      ? build(schema["propertyNames"], { name: "key", depth: place.depth + 1, avoid: Object.keys(out) }, context)
      : `key${i + 1}`
    if (typeof key === "string" && !Object.hasOwn(out, key)) put(key)
  }
  return out
}

/** One record for a schema, its references and its `allOf`; its `anyOf` and `oneOf` stay as they are. */
const flatten = (schema: Keywords, root: unknown, depth: number): Keywords => {
  if (depth > maxDepth) return schema
  const { $ref, allOf, ...own } = schema
  const parts = [...(typeof $ref === "string" ? [resolve($ref, root)] : []), ...list(allOf)]
  return parts.reduce<Keywords>(
    (merged, part) => isRecord(part) ? merge(merged, flatten(part, root, depth + 1)) : part === false ? never : merged,
    own
  )
}

const never: Keywords = { not: {} }

const merge = (a: Keywords, b: Keywords): Keywords => {
  const out: { [keyword: string]: unknown } = { ...a }
  for (const [keyword, value] of Object.entries(b)) {
    const other = a[keyword]
    out[keyword] = other === undefined ? value : combine(keyword, other, value)
  }
  return out
}

const combine = (keyword: string, a: unknown, b: unknown): unknown => {
  switch (keyword) {
    case "properties":
    case "patternProperties":
      if (isRecord(a) && isRecord(b)) {
        const merged: { [key: string]: unknown } = { ...a }
        for (const [key, value] of Object.entries(b)) {
          merged[key] = Object.hasOwn(a, key) ? { allOf: [a[key], value] } : value
        }
        return merged
      }
      return b
    case "required":
      return [...new Set([...list(a), ...list(b)])]
    case "enum":
      return list(a).filter((_) => list(b).some((other) => equal(_, other)))
    case "type": {
      const left = typesOf({ type: a })
      const right = typesOf({ type: b })
      const both = [...left, ...right].filter((_) =>
        (left.includes(_) || (_ === "integer" && left.includes("number"))) &&
        (right.includes(_) || (_ === "integer" && right.includes("number")))
      )
      return [...new Set(both)]
    }
    case "items":
    case "additionalProperties":
    case "contains":
    case "propertyNames":
      return { allOf: [a, b] }
    case "anyOf":
    case "oneOf":
      return list(a).flatMap((left) => list(b).map((right) => ({ allOf: [left, right] })))
    case "minimum":
    case "exclusiveMinimum":
    case "minLength":
    case "minItems":
    case "minProperties":
      return typeof a === "number" && typeof b === "number" ? Math.max(a, b) : b
    case "maximum":
    case "exclusiveMaximum":
    case "maxLength":
    case "maxItems":
    case "maxProperties":
      return typeof a === "number" && typeof b === "number" ? Math.min(a, b) : b
    default:
      return a
  }
}
