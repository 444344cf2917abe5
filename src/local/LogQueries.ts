/**
 * What the log page asks of the log, as SQL that stays quick in a log of millions: places instead of page numbers, and
 * an index for each filter.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import type * as SqlClient from "effect/unstable/sql/SqlClient"
import type { SqlError } from "effect/unstable/sql/SqlError"
import type * as Statement from "effect/unstable/sql/Statement"
import * as LogFilters from "./LogFilters.ts"
import { fromRow } from "./LogRow.ts"
import type { LogEntry } from "./LogStore.ts"

/**
 * Which entries are meant; every one when nothing is said.
 *
 * @category models
 * @since 0.1.0
 */
export interface Query {
  readonly gateway?: string | undefined
  readonly provider?: string | undefined
  readonly model?: string | undefined
  /** A code, or whether the request succeeded. */
  readonly status?: number | "success" | "failure" | undefined
  readonly cached?: boolean | undefined
  /** Of one label of the metadata: its name, its value as text, or both. */
  readonly label?: { readonly key?: string | undefined; readonly value?: string | undefined } | undefined
}

/**
 * A part of the log; places grow with every entry and are never used again.
 *
 * @category models
 * @since 0.1.0
 */
export interface Range {
  /** Only entries before this place. */
  readonly before?: number | undefined
  /** Only entries after this place. */
  readonly after?: number | undefined
  readonly limit: number
}

/**
 * An entry and its place in the log.
 *
 * @category models
 * @since 0.1.0
 */
export interface Placed {
  readonly place: number
  readonly entry: LogEntry
}

/**
 * A time, in milliseconds since the epoch, and in how many parts it is told.
 *
 * @category models
 * @since 0.1.0
 */
export interface Period {
  /** From the oldest entry on when absent. */
  readonly from?: number | undefined
  /** Exclusive. */
  readonly to: number
  readonly parts: number
}

/**
 * Sums of some entries, and the latencies that half of them and 95 of 100 do not exceed (nearest rank).
 *
 * @category models
 * @since 0.1.0
 */
export interface Sums {
  readonly requests: number
  readonly failures: number
  readonly cached: number
  readonly tokensIn: number
  readonly tokensOut: number
  /** US dollars, of the entries whose cost is known. */
  readonly cost: number
  /** Milliseconds; null when there is no entry. */
  readonly p50: number | null
  readonly p95: number | null
}

/**
 * @category models
 * @since 0.1.0
 */
export interface Totals {
  readonly from: number
  readonly to: number
  readonly whole: Sums
  /** Of how many entries, the newest, the percentiles of the whole are: all of them, up to `percentileLimit`. */
  readonly percentilesOf: number
  readonly parts: ReadonlyArray<Sums & { readonly from: number }>
}

/**
 * Percentiles sort what they are of, and a sort of millions would hold up the requests.
 *
 * @category constants
 * @since 0.1.0
 */
export const percentileLimit = 100_000

type Sql = SqlClient.SqlClient

/** The newest entries of the range, newest first. */
export const newest = (sql: Sql, account: string, query: Query, range: Range) =>
  Effect.gen(function*() {
    const { key, value } = query.label ?? {}
    const isLabelled = key !== undefined || value !== undefined
    const labels = sql.and([
      sql`1`,
      ...(key === undefined ? [] : [sql`key = ${key}`]),
      ...(value === undefined ? [] : [LogFilters.labelled(sql, value)])
    ])
    const isRare = isLabelled &&
      (yield* sql`SELECT 1 FROM log_labels WHERE ${labels} LIMIT ${fewLabels}`).length < fewLabels
    const isAlone = query.model === undefined && query.provider === undefined && query.status === undefined &&
      query.cached === undefined
    // With their key, the index of the labels has the order of the log.
    if (key !== undefined && (isRare || isAlone)) {
      return yield* placed(
        yield* sql`SELECT logs.* FROM log_labels CROSS JOIN logs ON logs.seq = log_labels.seq
          WHERE ${labels} AND ${sql.and([...where(sql, account, query), ...rangeOf(sql, "log_labels.seq", range)])}
          ORDER BY log_labels.seq DESC LIMIT ${range.limit}`
      )
    }
    // The indexes begin with the gateway, so that of several is asked one by one.
    const gateways = query.gateway === undefined ? yield* gatewaysOf(sql, account) : [query.gateway]
    const found = yield* Effect.forEach(gateways, (gateway) =>
      sql<Place>`SELECT * FROM logs WHERE ${
        sql.and([
          ...where(sql, account, { ...query, gateway }),
          ...rangeOf(sql, "seq", range),
          ...(isRare ? [sql`seq IN (SELECT seq FROM log_labels WHERE ${labels})`] : [])
        ])
      } ORDER BY seq DESC LIMIT ${range.limit}`)
    return yield* placed(found.flat().sort((a, b) => b.seq - a.seq).slice(0, range.limit))
  })

/** Sums over a period; the event loop gets its turn after each part. */
export const totals = (sql: Sql, account: string, query: Query, period: Period) =>
  Effect.gen(function*() {
    const from = period.from ?? (yield* oldest(sql, account)) ?? period.to - period.parts
    // Whole milliseconds, so that no entry falls between two parts.
    const width = Math.max(1, Math.ceil((period.to - from) / period.parts))
    const filters = sql.and(where(sql, account, query))
    const within = (a: number, b: number) => sql`${filters} AND created_at >= ${a} AND created_at < ${b}`
    const latencies = (time: Statement.Fragment, requests: number) => {
      const n = Math.min(requests, percentileLimit)
      // The nearest rank.
      const at = (percent: number) => sql`max(CASE WHEN rank = ${Math.ceil(n * percent / 100)} THEN duration END)`
      return sql<Pick<Sums, "p50" | "p95">>`SELECT ${at(50)} AS p50, ${at(95)} AS p95 FROM (
        SELECT duration, row_number() OVER (ORDER BY duration) AS rank FROM (
          SELECT duration FROM logs INDEXED BY logs_time WHERE ${time}
          ${requests <= percentileLimit ? sql`` : sql`ORDER BY created_at DESC LIMIT ${percentileLimit}`}))`
    }
    const parts: Array<Totals["parts"][number]> = []
    for (let start = from; start < period.to; start += width) {
      const time = within(start, Math.min(start + width, period.to))
      const [sums = none] = yield* sql<Omit<Sums, "p50" | "p95">>`SELECT ${sql.literal(sumsOf)}
        FROM logs INDEXED BY logs_time WHERE ${time}`
      const [latency = none] = sums.requests === 0 ? [] : yield* latencies(time, sums.requests)
      parts.push({ from: start, ...sums, p50: latency.p50, p95: latency.p95 })
      yield* Effect.yieldNow
    }
    const sum = (field: Exclude<keyof Sums, "p50" | "p95">) => parts.reduce((n, part) => n + part[field], 0)
    const requests = sum("requests")
    const [latency = none] = requests === 0 ? [] : yield* latencies(within(from, period.to), requests)
    return {
      from,
      to: period.to,
      whole: {
        requests,
        failures: sum("failures"),
        cached: sum("cached"),
        tokensIn: sum("tokensIn"),
        tokensOut: sum("tokensOut"),
        cost: sum("cost"),
        p50: latency.p50,
        p95: latency.p95
      },
      percentilesOf: Math.min(requests, percentileLimit),
      parts
    } satisfies Totals
  })

/** The entries of one event. */
export const steps = (sql: Sql, account: string, gateway: string, eventId: string) =>
  Effect.flatMap(
    sql`SELECT * FROM logs WHERE account = ${account} AND gateway = ${gateway} AND event_id = ${eventId}
      ORDER BY step, seq LIMIT 100`,
    (rows) => Effect.forEach(rows, fromRow)
  )

/** Names by leaps through the index, from one to the next: entries are never counted. */
export const names = (sql: Sql, account: string, gateway: string | undefined) =>
  Effect.gen(function*() {
    const gateways = gateway === undefined ? yield* gatewaysOf(sql, account) : [gateway]
    const distinct = (column: "provider" | "model") =>
      Effect.map(
        Effect.forEach(gateways, (gateway) => {
          const mine = sql`account = ${account} AND gateway = ${gateway}`
          const name = sql.literal(column)
          return sql<{ readonly name: string }>`WITH RECURSIVE found(name) AS (
            SELECT min(${name}) FROM logs WHERE ${mine}
            UNION ALL
            SELECT (SELECT min(${name}) FROM logs WHERE ${mine} AND ${name} > found.name) FROM found
              WHERE found.name IS NOT NULL
          ) SELECT name FROM found WHERE name IS NOT NULL LIMIT ${namesLimit}`
        }),
        (found) => [...new Set(found.flat().map(({ name }) => name))].sort().slice(0, namesLimit)
      )
    return { providers: yield* distinct("provider"), models: yield* distinct("model") }
  })

type Place = { readonly seq: number }

const namesLimit = 200

/** So many are found one by one; of more, the newest entries have some soon. */
const fewLabels = 5000

const none: Sums = {
  requests: 0,
  failures: 0,
  cached: 0,
  tokensIn: 0,
  tokensOut: 0,
  cost: 0,
  p50: null,
  p95: null
}

const sumsOf = `count(*) AS requests, coalesce(sum(1 - success), 0) AS failures, coalesce(sum(cached), 0) AS cached,
  coalesce(sum(tokens_in), 0) AS tokensIn, coalesce(sum(tokens_out), 0) AS tokensOut, coalesce(sum(cost), 0) AS cost`

const placed = (rows: ReadonlyArray<object>) =>
  Effect.forEach(rows, (row) => Effect.map(fromRow(row), (entry): Placed => ({ place: placeOf(row), entry })))

const placeOf = (row: object): number => "seq" in row && typeof row.seq === "number" ? row.seq : 0

const gatewaysOf = (sql: Sql, account: string): Effect.Effect<ReadonlyArray<string>, SqlError> =>
  Effect.map(
    sql<{ readonly gateway: string }>`SELECT gateway FROM log_counts WHERE account = ${account} AND n > 0`,
    (rows) => rows.map(({ gateway }) => gateway)
  )

const oldest = (sql: Sql, account: string): Effect.Effect<number | undefined, SqlError> =>
  Effect.map(
    sql<{ readonly at: number | null }>`SELECT min(created_at) AS at FROM logs WHERE account = ${account}`,
    ([row]) => row?.at ?? undefined
  )

const rangeOf = (sql: Sql, column: string, { after, before }: Range): ReadonlyArray<Statement.Fragment> => [
  ...(before === undefined ? [] : [sql`${sql.literal(column)} < ${before}`]),
  ...(after === undefined ? [] : [sql`${sql.literal(column)} > ${after}`])
]

const where = (sql: Sql, account: string, query: Query): ReadonlyArray<Statement.Fragment> => {
  const { cached, gateway, label, model, provider, status } = query
  return [
    sql`account = ${account}`,
    ...(gateway === undefined ? [] : [sql`gateway = ${gateway}`]),
    ...(provider === undefined ? [] : [sql`provider = ${provider}`]),
    ...(model === undefined ? [] : [sql`model = ${model}`]),
    ...(status === undefined
      ? []
      : typeof status === "string"
      ? [sql`success = ${status === "success" ? 1 : 0}`]
      : [
        sql`status_code = ${status}`,
        // Says nothing new, and lets the index of the failures, which are few, find it.
        ...(status >= 200 && status < 300 ? [] : [sql`success = 0`])
      ]),
    ...(cached === undefined ? [] : [sql`cached = ${cached ? 1 : 0}`]),
    ...(label?.key === undefined && label?.value === undefined ? [] : [LogFilters.hasLabel(sql, label)])
  ]
}
