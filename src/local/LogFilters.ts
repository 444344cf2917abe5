/**
 * Which entries of a log are meant: the query's filters, checked, and as SQL.
 *
 * Filters come in two spellings: Cloudflare's SDK repeats `filters.key`, `filters.operator` and `filters.value`, and in
 * that order a name that comes again begins the next filter; others send one JSON array in `filters`, or repeat
 * `filters` with one object each. The flat parameters of before (`min_cost`, `start_date`, ...) are read too. All are
 * and-ed, and what is not understood is refused: a filter that is ignored would show, or delete, what was not asked for.
 *
 * Source: wire reference, section 6.4; local gateway, section 1 and LOG-07.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import type * as SqlClient from "effect/unstable/sql/SqlClient"
import type * as Statement from "effect/unstable/sql/Statement"
import * as LogFilter from "../client/LogFilter.ts"
import { ApiError, type Notice } from "./Envelope.ts"

/**
 * A condition that was checked: its values are of the key's kind, instants are milliseconds, and `null` means that the
 * entry has none.
 *
 * @category models
 * @since 0.1.0
 */
export interface Condition {
  readonly key: RecordedKey
  /** `gte` and `lte` come of the flat parameters alone. */
  readonly operator: LogFilter.Operator | "gte" | "lte"
  readonly values: ReadonlyArray<Value>
}

/**
 * @category models
 * @since 0.1.0
 */
export type Value = string | number | boolean | null

/**
 * The keys that the local gateway has an answer to.
 *
 * @category models
 * @since 0.1.0
 */
export type RecordedKey = Exclude<LogFilter.Key, typeof unrecorded[number]>

const unrecorded = ["authentication", "wholesale", "compatibilityMode", "dlp_action"] as const

/**
 * At most so many values in one query: SQLite's expressions have a depth.
 *
 * @category constants
 * @since 0.1.0
 */
export const maxValues = 200

/**
 * Reads the filters of a query, or says everything that is wrong with them.
 *
 * @category decoding
 * @since 0.1.0
 */
export const decode = (params: URLSearchParams): Effect.Effect<ReadonlyArray<Condition>, ApiError> =>
  Effect.suspend(() => {
    const problems: Array<Notice> = []
    const raw = [...dotted(params, problems)]
    for (const text of params.getAll("filters")) raw.push(...fromJson(text, raw.length, problems))
    raw.push(...flat(params))
    const conditions = raw.flatMap((filter) => check(filter, problems))
    if (conditions.reduce((n, _) => n + _.values.length, 0) > maxValues) {
      problems.push(notice(["query", "filters"], `expected at most ${maxValues} values in all`))
    }
    return problems.length === 0
      ? Effect.succeed(conditions)
      : Effect.fail(new ApiError({ status: 400, errors: problems }))
  })

/**
 * The conditions as SQL on a row of `logs`; every value is a parameter.
 *
 * @category encoding
 * @since 0.1.0
 */
export const where = (
  sql: SqlClient.SqlClient,
  conditions: ReadonlyArray<Condition>,
  search?: string | undefined
): ReadonlyArray<Statement.Fragment> => [
  ...conditions.map((condition) => clause(sql, condition)),
  ...(search === undefined ? [] : [
    sql`EXISTS (SELECT 1 FROM json_each(logs.metadata) AS label WHERE instr(lower(label.key), lower(${search})) > 0
      OR instr(lower(${sql.literal(labelText)}), lower(${search})) > 0)`
  ])
]

/**
 * Tokens in and out together, null when neither is known.
 *
 * @category constants
 * @since 0.1.0
 */
export const totalTokens =
  "CASE WHEN coalesce(tokens_in, tokens_out) IS NULL THEN NULL ELSE coalesce(tokens_in, 0) + coalesce(tokens_out, 0) END"

interface Raw {
  readonly path: ReadonlyArray<string | number>
  readonly key: unknown
  readonly operator: unknown
  readonly values: ReadonlyArray<unknown>
  /** A query has texts only; JSON has types. */
  readonly spelling: "text" | "json" | "flat"
}

const dotted = (params: URLSearchParams, problems: Array<Notice>): ReadonlyArray<Raw> => {
  const groups: Array<{ key?: string; operator?: string; value?: Array<string> }> = []
  let last: string | undefined
  for (const [name, text] of params) {
    if (!name.startsWith("filters") || name === "filters") continue
    const field = name.slice("filters.".length)
    if (field !== "key" && field !== "operator" && field !== "value") {
      problems.push(notice(["query", name], "expected filters.key, filters.operator or filters.value"))
      continue
    }
    let group = groups.at(-1)
    const isNext = group === undefined || (group[field] !== undefined && !(field === "value" && last === "value"))
    if (group === undefined || isNext) {
      group = {}
      groups.push(group)
    }
    if (field === "value") group.value = [...(group.value ?? []), text]
    else group[field] = text
    last = field
  }
  return groups.map((group, i) => ({
    path: ["query", "filters", i],
    key: group.key,
    operator: group.operator,
    values: group.value ?? [],
    spelling: "text"
  }))
}

const fromJson = (text: string, first: number, problems: Array<Notice>): ReadonlyArray<Raw> => {
  let json: unknown
  try {
    json = JSON.parse(text)
  } catch {
    json = undefined
  }
  if (typeof json !== "object" || json === null) {
    problems.push(notice(["query", "filters"], "expected a JSON array of {key, operator, value}"))
    return []
  }
  return (Array.isArray(json) ? json : [json]).flatMap((filter: unknown, i): ReadonlyArray<Raw> => {
    const path = ["query", "filters", first + i]
    if (typeof filter !== "object" || filter === null || Array.isArray(filter)) {
      problems.push(notice(path, "expected an object with key, operator and value"))
      return []
    }
    const { key, operator, value, ...rest }: { readonly [name: string]: unknown } = { ...filter }
    for (const name of Object.keys(rest)) {
      problems.push(notice([...path, name], "expected key, operator and value only"))
    }
    const values = Array.isArray(value) ? value : value === undefined ? [] : [value]
    return [{ path, key, operator, values, spelling: "json" }]
  })
}

const flatParams: { readonly [name: string]: readonly [RecordedKey, Condition["operator"]] } = {
  start_date: ["created_at", "gte"],
  end_date: ["created_at", "lte"],
  provider: ["provider", "eq"],
  model: ["model", "eq"],
  model_type: ["model_type", "eq"],
  request_content_type: ["request_content_type", "eq"],
  response_content_type: ["response_content_type", "eq"],
  cached: ["cached", "eq"],
  success: ["success", "eq"],
  feedback: ["feedback", "eq"],
  min_cost: ["cost", "gte"],
  max_cost: ["cost", "lte"],
  min_duration: ["duration", "gte"],
  max_duration: ["duration", "lte"],
  min_tokens_in: ["tokens_in", "gte"],
  max_tokens_in: ["tokens_in", "lte"],
  min_tokens_out: ["tokens_out", "gte"],
  max_tokens_out: ["tokens_out", "lte"],
  min_total_tokens: ["tokens", "gte"],
  max_total_tokens: ["tokens", "lte"]
}

const flat = (params: URLSearchParams): ReadonlyArray<Raw> =>
  Object.entries(flatParams).flatMap(([name, [key, operator]]): ReadonlyArray<Raw> => {
    const text = params.get(name)
    return text === null ? [] : [{ path: ["query", name], key, operator, values: [text], spelling: "flat" }]
  })

const check = (raw: Raw, problems: Array<Notice>): ReadonlyArray<Condition> => {
  const { key, operator, path } = raw
  const fail = (field: string, problem: string) => {
    problems.push(notice(raw.spelling === "flat" ? path : [...path, field], problem))
    return []
  }
  if (!LogFilter.isKey(key)) return fail("key", `expected one of ${Object.keys(LogFilter.keys).join(", ")}`)
  if (!isRecorded(key)) return fail("key", `${key} is not recorded by the local gateway`)
  const kind: LogFilter.Kind = LogFilter.keys[key]
  const allowed: ReadonlyArray<unknown> = LogFilter.operators[kind]
  const isAllowed = (u: unknown): u is Condition["operator"] => raw.spelling === "flat" || allowed.includes(u)
  if (!isAllowed(operator)) return fail("operator", `expected one of ${allowed.join(", ")} for ${key}`)
  const ordered = operator !== "eq" && operator !== "neq" && operator !== "contains"
  if (raw.values.length === 0) return fail("value", "expected at least one value")
  if (ordered && raw.values.length > 1) return fail("value", `expected one value for ${operator}`)
  const wanted = operator === "contains" ? "text" : ordered && kind === "label" ? "number" : kind
  const nullable = !ordered && operator !== "contains" && (kind === "text" || kind === "number")
  const values: Array<Value> = []
  for (const [i, given] of raw.values.entries()) {
    const isNull = given === null || (given === "" && raw.spelling !== "json")
    const value = isNull ? null : valueOf(wanted, given, raw.spelling !== "json")
    if (value === undefined || (value === null && !nullable)) {
      problems.push(notice(
        raw.spelling === "flat" ? path : [...path, "value", i],
        `expected ${expected[wanted]}${nullable ? " or null" : ""} for ${key}`
      ))
    } else values.push(value)
  }
  return [{ key, operator, values }]
}

const isRecorded = (key: LogFilter.Key): key is RecordedKey => !unrecorded.some((_) => _ === key)

const expected: { readonly [kind in LogFilter.Kind]: string } = {
  text: "a text",
  time: "an ISO date-time with its zone",
  flag: "true or false",
  number: "a number",
  label: "a text, a number, true or false"
}

const valueOf = (kind: LogFilter.Kind, given: unknown, isText: boolean): Value | undefined => {
  switch (kind) {
    case "text":
      return typeof given === "string" ? given : undefined
    case "label":
      return typeof given === "string" || typeof given === "number" || typeof given === "boolean" ? given : undefined
    case "flag":
      return isText ? (given === "true" ? true : given === "false" ? false : undefined) : asBoolean(given)
    case "number":
      return isText ? asNumber(given) : typeof given === "number" ? given : undefined
    case "time": {
      if (typeof given !== "string" || !/^\d{4}-\d\d-\d\d(T.*(Z|[+-]\d\d:?\d\d))?$/i.test(given)) return undefined
      const millis = Date.parse(given)
      return Number.isNaN(millis) ? undefined : millis
    }
  }
}

const asBoolean = (u: unknown): boolean | undefined => typeof u === "boolean" ? u : undefined

const asNumber = (u: unknown): number | undefined =>
  typeof u === "string" && /^-?\d+(\.\d+)?(e[+-]?\d+)?$/i.test(u) && Number.isFinite(Number(u)) ? Number(u) : undefined

const notice = (path: ReadonlyArray<string | number>, problem: string): Notice => ({
  code: 7000,
  message: `${
    path.reduce<string>((text, _) =>
      text === "" ? String(_) : typeof _ === "number" ? `${text}[${_}]` : `${text}.${_}`, "")
  }: ${problem}`,
  path
})

const columns: { readonly [key in Exclude<RecordedKey, "metadata.key" | "metadata.value">]: string } = {
  id: "id",
  created_at: "created_at",
  request_content_type: "request_content_type",
  response_content_type: "response_content_type",
  request_type: "request_type",
  success: "success",
  cached: "cached",
  provider: "provider",
  model: "model",
  // As every entry is answered.
  model_type: "''",
  cost: "cost",
  tokens: `(${totalTokens})`,
  tokens_in: "tokens_in",
  tokens_out: "tokens_out",
  duration: "duration",
  feedback: "feedback",
  event_id: "event_id",
  user_agent: "user_agent"
}

/**
 * Whether the metadata has a label of this name, of this value, or of both.
 *
 * @category encoding
 * @since 0.1.0
 */
export const hasLabel = (
  sql: SqlClient.SqlClient,
  label: { readonly key?: string | undefined; readonly value?: string | undefined }
): Statement.Fragment =>
  sql`EXISTS (SELECT 1 FROM json_each(logs.metadata) AS label WHERE ${
    sql.and([
      ...(label.key === undefined ? [] : [keyIs(sql, "eq", label.key)]),
      ...(label.value === undefined ? [] : [labelIs(sql, "eq", label.value)])
    ])
  })`

/**
 * The labels of this value in the table `log_labels`, whose texts SQLite made; a number is found however it is written.
 *
 * @category encoding
 * @since 0.1.0
 */
export const labelled = (sql: SqlClient.SqlClient, value: string | number | boolean): Statement.Fragment => {
  const number = typeof value === "number" ? value : asNumber(value)
  return number === undefined
    ? sql`value = ${String(value)}`
    : sql`value IN (${String(value)}, CAST(json_extract(${JSON.stringify(number)}, '$') AS TEXT))`
}

/** A value of metadata as text, so that a query, which has texts only, finds numbers and booleans. */
const labelText = "CASE label.type WHEN 'true' THEN 'true' WHEN 'false' THEN 'false' ELSE CAST(label.value AS TEXT) END"

/** The texts that an entry may lack; an index finds the others. */
const nullable: ReadonlySet<RecordedKey> = new Set(["request_content_type", "response_content_type", "user_agent"])

const comparisons = { eq: "IS", neq: "IS NOT", lt: "<", gt: ">", lte: "<=", gte: ">=" } as const

const clause = (sql: SqlClient.SqlClient, { key, operator, values }: Condition): Statement.Fragment => {
  if (key === "metadata.key" || key === "metadata.value") {
    const found = sql`EXISTS (SELECT 1 FROM json_each(logs.metadata) AS label WHERE ${
      sql.or(
        values.map((value) => key === "metadata.key" ? keyIs(sql, operator, value) : labelIs(sql, operator, value))
      )
    })`
    if (operator === "neq") return sql`NOT ${found}`
    // Their table knows at once which entries may have a value.
    return key === "metadata.value" && operator === "eq"
      ? sql`(seq IN (SELECT seq FROM log_labels WHERE ${
        sql.or(values.map((value) => labelled(sql, value ?? "")))
      }) AND ${found})`
      : found
  }
  const column = sql.literal(columns[key])
  const isText = LogFilter.keys[key] === "text"
  const each = values.map((value) =>
    operator === "contains"
      ? sql`instr(${column}, ${value}) > 0`
      : isText
      // An entry without a user agent, say, has none as much as one with an empty one.
      ? !nullable.has(key)
        ? sql`${column} ${sql.literal(comparisons[operator])} ${value ?? ""}`
        : sql`coalesce(${column}, '') ${sql.literal(comparisons[operator])} ${value ?? ""}`
      : sql`${column} ${sql.literal(comparisons[operator])} ${typeof value === "boolean" ? Number(value) : value}`
  )
  return operator === "neq" ? sql.and(each) : sql.or(each)
}

const keyIs = (sql: SqlClient.SqlClient, operator: Condition["operator"], value: Value): Statement.Fragment =>
  operator === "contains" ? sql`instr(label.key, ${value}) > 0` : sql`label.key = ${value ?? ""}`

const labelIs = (sql: SqlClient.SqlClient, operator: Condition["operator"], value: Value): Statement.Fragment => {
  if (operator === "contains") return sql`instr(${sql.literal(labelText)}, ${value}) > 0`
  const isNumber = "label.type IN ('integer', 'real')"
  const number = typeof value === "number" ? value : asNumber(value)
  if (operator !== "eq" && operator !== "neq") {
    return sql`(${sql.literal(isNumber)} AND label.value ${sql.literal(comparisons[operator])} ${number ?? null})`
  }
  const same = sql`${sql.literal(labelText)} = ${String(value)}`
  return number === undefined ? same : sql`(${same} OR (${sql.literal(isNumber)} AND label.value = ${number}))`
}
