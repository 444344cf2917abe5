/**
 * A gateway as the management API takes, keeps and answers it.
 *
 * Validation, defaults and answers derive from one list of fields: the table of settings that the resource uses,
 * plus the documented fields that it does not know yet. Source: the wire reference, section 7.2.
 *
 * @since 0.1.0
 */
import * as Result from "effect/Result"
import { idPattern, type Setting, settings } from "../resource/settings.ts"
import type { Notice } from "./Envelope.ts"

/**
 * A stored gateway; its settings are under their wire names, every field present.
 *
 * @category models
 * @since 0.1.0
 */
export interface Gateway {
  readonly id: string
  readonly settings: Settings
  /** Milliseconds since the epoch. */
  readonly createdAt: number
  readonly modifiedAt: number
}

/**
 * @category models
 * @since 0.1.0
 */
export interface Settings {
  readonly [wire: string]: unknown
}

type Field = Setting | {
  readonly wire: string
  readonly required: boolean
  readonly nullable: boolean
  /** Absent: the field is left out of answers until it was set. */
  readonly serverDefault?: null
  readonly kind: "object" | "array"
}

const optional = { required: false, nullable: true } as const
const flag = { required: false, nullable: false, kind: "boolean", serverDefault: false } as const

const fields: ReadonlyArray<Field> = [
  ...Object.values(settings),
  { ...flag, wire: "byok_only" },
  {
    ...optional,
    nullable: false,
    wire: "workers_ai_billing_mode",
    kind: "enum",
    values: ["postpaid", "unified"],
    serverDefault: "postpaid"
  },
  { ...flag, wire: "zdr" },
  {
    ...optional,
    wire: "retry_max_attempts",
    kind: "integer",
    minimum: 1,
    maximum: 5,
    zeroIsOff: false,
    serverDefault: null
  },
  {
    ...optional,
    wire: "retry_delay",
    kind: "integer",
    minimum: 0,
    maximum: 60_000,
    zeroIsOff: false,
    serverDefault: null
  },
  {
    ...optional,
    wire: "retry_backoff",
    kind: "enum",
    values: ["constant", "linear", "exponential"],
    serverDefault: null
  },
  { ...flag, wire: "log_classification" },
  { ...flag, wire: "logpush" },
  { ...optional, wire: "logpush_public_key", kind: "string", serverDefault: null },
  { ...optional, wire: "store_id", kind: "string", serverDefault: null },
  { ...optional, wire: "dlp", kind: "object" },
  { ...optional, wire: "guardrails", kind: "object", serverDefault: null },
  { ...optional, wire: "otel", kind: "array", serverDefault: null },
  { ...optional, wire: "spend_limits", kind: "object", serverDefault: null },
  { ...optional, wire: "stripe", kind: "object", serverDefault: null }
]

const byWire = new Map(fields.map((field) => [field.wire, field]))

/** Fields of answers that clients send back on update; the API ignores them. */
const responseOnly = new Set(["created_at", "modified_at", "is_default", "account_id", "account_tag", "internal_id"])

/** What this version does as Cloudflare does; every other setting is stored and answered only. */
const enforced = new Set(["authentication", "collect_logs", "log_management", "log_management_strategy"])

/**
 * Code of a request body or query that fails validation.
 *
 * Not 7001, which the API's clients take for "already exists".
 *
 * @category constants
 * @since 0.1.0
 */
export const invalidInput = 7000

/**
 * Decodes the body of a create (no `id` given) or of a full replacement; lists every problem, each with its path.
 *
 * @category decoding
 * @since 0.1.0
 */
export const decode = (
  body: unknown,
  id?: string
): Result.Result<{ readonly id: string; readonly settings: Settings }, ReadonlyArray<Notice>> => {
  if (!isRecord(body)) return Result.fail([notice([], "expected a JSON object")])
  const problems: Array<Notice> = []
  const given = body["id"]
  if (id === undefined && given === undefined) problems.push(notice(["id"], "is required"))
  else if (given !== undefined && (typeof given !== "string" || !idPattern.test(given))) {
    problems.push(notice(["id"], "expected 1 to 64 characters of a-z, 0-9, _ and -"))
  } else if (id !== undefined && given !== undefined && given !== id) {
    problems.push(notice(["id"], `cannot be changed, this gateway is ${id}`))
  }
  const decoded: { [wire: string]: unknown } = {}
  for (const field of fields) {
    const value = body[field.wire]
    if (value === undefined) {
      if (field.required) problems.push(notice([field.wire], "is required"))
      else if (field.serverDefault !== undefined) decoded[field.wire] = field.serverDefault
      continue
    }
    const problem = check(field, value)
    if (problem === undefined) decoded[field.wire] = value
    else problems.push(notice([field.wire], problem))
  }
  for (const name of Object.keys(body)) {
    if (name !== "id" && !byWire.has(name) && !responseOnly.has(name)) {
      problems.push(notice([name], "is not a setting of a gateway"))
    }
  }
  return problems.length > 0
    ? Result.fail(problems)
    // `given` was checked to be a string above, and an update brings its own id.
    : Result.succeed({ id: id ?? String(given), settings: decoded })
}

/**
 * Settings of the gateway `default`, which the first authenticated request creates (the wire reference, 1.2).
 *
 * @category constructors
 * @since 0.1.0
 */
export const defaultSettings: Settings = {
  ...Object.fromEntries(
    fields.flatMap((field) => field.serverDefault === undefined ? [] : [[field.wire, field.serverDefault]])
  ),
  authentication: true
}

/**
 * The gateway as the API answers it: 0 for a setting that is off, times as ISO 8601.
 *
 * @category encoding
 * @since 0.1.0
 */
export const encode = (gateway: Gateway): { readonly [wire: string]: unknown } => {
  const out: { [wire: string]: unknown } = { id: gateway.id }
  for (const field of fields) {
    const value = gateway.settings[field.wire]
    if (value === undefined) continue
    out[field.wire] = value === null && "zeroIsOff" in field && field.zeroIsOff ? 0 : value
  }
  return {
    ...out,
    is_default: gateway.id === "default",
    created_at: new Date(gateway.createdAt).toISOString(),
    modified_at: new Date(gateway.modifiedAt).toISOString()
  }
}

/**
 * One message for each setting in use that is kept but has no effect on this machine yet.
 *
 * @category encoding
 * @since 0.1.0
 */
export const notEnforced = (settings: Settings): ReadonlyArray<Notice> =>
  fields.flatMap((field) => {
    const value = settings[field.wire]
    const unset = value === undefined || value === null || value === false || value === "" ||
      value === field.serverDefault
    return unset || enforced.has(field.wire)
      ? []
      : [{ code: 0, message: `${field.wire} is stored but not yet enforced by the local gateway` }]
  })

/**
 * Whether requests need the gateway's token.
 *
 * @category accessors
 * @since 0.1.0
 */
export const authenticated = (gateway: Gateway): boolean => gateway.settings["authentication"] === true

/**
 * Whether requests are logged unless they say otherwise.
 *
 * @category accessors
 * @since 0.1.0
 */
export const collectsLogs = (gateway: Gateway): boolean => gateway.settings["collect_logs"] === true

/**
 * How many log entries the gateway keeps, and what gives way when there are more.
 *
 * @category accessors
 * @since 0.1.0
 */
export const logCap = (
  gateway: Gateway
): { readonly limit: number; readonly strategy: "STOP_INSERTING" | "DELETE_OLDEST" } => {
  const limit = gateway.settings["log_management"]
  return {
    limit: typeof limit === "number" ? limit : settings.logManagement.serverDefault,
    strategy: gateway.settings["log_management_strategy"] === "STOP_INSERTING" ? "STOP_INSERTING" : "DELETE_OLDEST"
  }
}

const check = (field: Field, value: unknown): string | undefined => {
  const orNull = field.nullable ? " or null" : ""
  if (value === null) return field.nullable ? undefined : `expected ${expected(field)}, got null`
  switch (field.kind) {
    case "boolean":
    case "string":
      return typeof value === field.kind ? undefined : `expected ${expected(field)}${orNull}`
    case "enum":
      return typeof value === "string" && field.values.includes(value)
        ? undefined
        : `expected ${expected(field)}${orNull}`
    case "object":
      return isRecord(value) ? undefined : `expected ${expected(field)}${orNull}`
    case "array":
      return Array.isArray(value) ? undefined : `expected ${expected(field)}${orNull}`
    default: {
      if (typeof value === "number" && Number.isInteger(value)) {
        if (field.zeroIsOff && value === 0) return undefined
        if (value >= field.minimum && value <= field.maximum) return undefined
      }
      return `expected ${expected(field)}${field.zeroIsOff ? ", or 0" : ""}${orNull}${
        field.zeroIsOff ? " for off" : ""
      }`
    }
  }
}

const expected = (field: Field): string => {
  switch (field.kind) {
    case "boolean":
      return "true or false"
    case "string":
      return "a string"
    case "enum":
      return `one of ${field.values.join(", ")}`
    case "object":
      return "an object"
    case "array":
      return "an array"
    default:
      return `an integer from ${field.minimum} to ${field.maximum}${field.kind === "seconds" ? " (seconds)" : ""}`
  }
}

const notice = (path: ReadonlyArray<string>, problem: string): Notice => ({
  code: invalidInput,
  message: `${["body", ...path].join(".")}: ${problem}`,
  path: ["body", ...path]
})

const isRecord = (u: unknown): u is { readonly [key: string]: unknown } =>
  typeof u === "object" && u !== null && !Array.isArray(u)
