/**
 * Bodies of the management API's smaller objects: which fields they have and what those may be.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Envelope from "./Envelope.ts"
import { invalidInput } from "./Gateway.ts"
import { isRecord } from "./simulated/JsonSchema.ts"

/**
 * One field of a body.
 *
 * @category models
 * @since 0.1.0
 */
export interface Field {
  readonly required: boolean
  /** What is expected of a value that is not that. */
  readonly check: (value: unknown) => string | undefined
}

/**
 * @category models
 * @since 0.1.0
 */
export type Fields = { readonly [name: string]: Field }

/**
 * The given fields of a body; refuses it with every problem at once, unknown fields included.
 *
 * @category decoding
 * @since 0.1.0
 */
export const decode = (
  body: unknown,
  fields: Fields
): Effect.Effect<{ readonly [name: string]: unknown }, Envelope.ApiError> => {
  const found = problems(body, fields, ["body"])
  return isRecord(body) && found.length === 0
    ? Effect.succeed(Object.fromEntries(Object.entries(body).filter(([, value]) => value !== undefined)))
    : Effect.fail(new Envelope.ApiError({ status: 400, errors: found }))
}

/**
 * What is wrong with an object at a place in a request.
 *
 * @category decoding
 * @since 0.1.0
 */
export const problems = (
  value: unknown,
  fields: Fields,
  path: ReadonlyArray<string>
): ReadonlyArray<Envelope.Notice> => {
  if (!isRecord(value)) return [notice(path, "expected a JSON object")]
  const found: Array<Envelope.Notice> = []
  for (const [name, field] of Object.entries(fields)) {
    const given = value[name]
    const expected = given === undefined ? undefined : field.check(given)
    if (given === undefined && field.required) found.push(notice([...path, name], "is required"))
    if (expected !== undefined) found.push(notice([...path, name], `expected ${expected}`))
  }
  for (const name of Object.keys(value)) {
    if (!Object.hasOwn(fields, name)) found.push(notice([...path, name], "is not a field of this object"))
  }
  return found
}

/** @since 0.1.0 */
export const required = (check: Field["check"]): Field => ({ required: true, check })

/** @since 0.1.0 */
export const optional = (check: Field["check"]): Field => ({ required: false, check })

/** @since 0.1.0 */
export const text: Field["check"] = (u) => typeof u === "string" && u !== "" ? undefined : "a text that is not empty"

/** @since 0.1.0 */
export const anyText: Field["check"] = (u) => typeof u === "string" ? undefined : "a text"

/** @since 0.1.0 */
export const flag: Field["check"] = (u) => typeof u === "boolean" ? undefined : "true or false"

/** @since 0.1.0 */
export const matching = (pattern: RegExp, expected: string): Field["check"] => (u) =>
  typeof u === "string" && pattern.test(u) ? undefined : expected

/** @since 0.1.0 */
export const integer = (minimum: number, maximum: number): Field["check"] => (u) =>
  typeof u === "number" && Number.isInteger(u) && u >= minimum && u <= maximum
    ? undefined
    : `an integer from ${minimum} to ${maximum}`

/** @since 0.1.0 */
export const oneOf = (values: ReadonlyArray<string>): Field["check"] => (u) =>
  typeof u === "string" && values.includes(u) ? undefined : `one of ${values.join(", ")}`

/** A list whose members all pass. @since 0.1.0 */
export const list = (item: Field["check"], minimum = 0): Field["check"] => (u) => {
  if (!Array.isArray(u)) return "a list"
  if (u.length < minimum) return `a list of at least ${minimum}`
  for (const [at, value] of u.entries()) {
    const expected = item(value)
    if (expected !== undefined) return `${expected} at position ${at}`
  }
  return undefined
}

/**
 * A problem at a place in a request.
 *
 * @category constructors
 * @since 0.1.0
 */
export const notice = (path: ReadonlyArray<string>, problem: string): Envelope.Notice => ({
  code: invalidInput,
  message: `${path.join(".")}: ${problem}`,
  path
})
