/**
 * A gateway as the management API takes, keeps and answers it.
 *
 * Validation, defaults and answers derive from the table of settings that the resource uses. Source: the wire reference,
 * section 7.2.
 *
 * @since 0.1.0
 */
import * as Hash from "effect/Hash"
import * as Result from "effect/Result"
import { idPattern, type Setting, settings } from "../resource/settings.ts"
import * as shape from "../resource/shape.ts"
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

const fields: ReadonlyArray<Setting> = Object.values(settings)

const byWire = new Map(fields.map((field) => [field.wire, field]))

/** Fields of answers that clients send back on update; the API ignores them. */
const responseOnly = new Set(["created_at", "modified_at", "is_default", "account_id", "account_tag", "internal_id"])

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
    const wrong = check(field, value)
    if (wrong.length === 0) decoded[field.wire] = field.wire === settings.spendLimits.wire ? withRuleIds(value) : value
    else problems.push(...wrong.map(({ message, path }) => notice(path, message)))
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
    out[field.wire] = value === null && "zeroIsOff" in field && field.zeroIsOff ? field.serverDefault : value
  }
  return {
    ...out,
    is_default: gateway.id === "default",
    created_at: new Date(gateway.createdAt).toISOString(),
    modified_at: new Date(gateway.modifiedAt).toISOString()
  }
}

/**
 * A sentence for each setting in use that is kept but has no effect on this machine.
 *
 * @category getters
 * @since 0.1.0
 */
export const notEnforced = (settings: Settings): ReadonlyArray<string> =>
  fields.flatMap((field) => {
    const value = settings[field.wire]
    const unset = value === undefined || value === null || value === false || value === "" ||
      value === field.serverDefault
    return unset || field.enforced ? [] : [`${field.wire} is stored but not enforced by the local gateway`]
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

const check = (field: Setting, value: unknown): ReadonlyArray<shape.Problem> => {
  if (value === null && field.nullable) return []
  // Optional texts are answered as "" when nobody set them, and come back so.
  if (value === "" && field.kind === "text") return []
  const wire: shape.Shape = field.kind === "nested"
    ? field.wireShape
    : field.kind === "duration"
    ? { ...field, kind: "integer" }
    : field
  const off = [
    ...("zeroIsOff" in field && field.zeroIsOff ? ["0"] : []),
    ...(field.nullable ? ["null"] : [])
  ].map((value) => `, or ${value}`).join("")
  return shape.check(wire, value, [field.wire]).map(({ message, path }) => ({
    path,
    message: path.length > 1 ? message : message.replace(/(?=, got )|$/, off)
  }))
}

/** The server names the rules that come without an id; the same rule has the same name every time. */
const withRuleIds = (value: unknown): unknown =>
  shape.isRecord(value) && Array.isArray(value["rules"]) ? { ...value, rules: value["rules"].map(withRuleId) } : value

const withRuleId = (rule: unknown, i: number): unknown =>
  shape.isRecord(rule)
    ? { ...rule, technique: rule["technique"] ?? "sliding", id: rule["id"] ?? eightDigits(JSON.stringify([i, rule])) }
    : rule

const eightDigits = (text: string): string => (Hash.string(text) >>> 0).toString(16).padStart(8, "0")

const notice = (path: shape.Path, problem: string): Notice => ({
  code: invalidInput,
  message: `${["body", ...path].join(".")}: ${problem}`,
  path: ["body", ...path]
})

const isRecord = (u: unknown): u is { readonly [key: string]: unknown } =>
  typeof u === "object" && u !== null && !Array.isArray(u)
