/**
 * Where the gateway's log entries are kept.
 *
 * Entries are written behind the request (`LogWriter`); every read and the end of the scope waits for what was appended, so
 * that nothing is missed and nothing is lost on an orderly shutdown.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as PubSub from "effect/PubSub"
import type * as Scope from "effect/Scope"
import * as SqlClient from "effect/unstable/sql/SqlClient"
import { patiently } from "./Database.ts"
import * as LogFilters from "./LogFilters.ts"
import * as LogQueries from "./LogQueries.ts"
import { fromRow, toValues } from "./LogRow.ts"
import { LogWriter } from "./LogWriter.ts"

/**
 * One request to one provider, with no header of it: only bodies and facts.
 *
 * @category models
 * @since 0.1.0
 */
export interface LogEntry {
  readonly id: string
  readonly gateway: string
  /** Milliseconds since the epoch, when the request arrived. */
  readonly createdAt: number
  readonly provider: string
  readonly model: string
  /** Below the provider's slug, without the query string, which may hold a key. */
  readonly path: string
  /** Milliseconds until the last byte. */
  readonly duration: number
  readonly requestType: string
  readonly requestContentType: string | null
  readonly responseContentType: string | null
  readonly statusCode: number
  readonly success: boolean
  readonly cached: boolean
  readonly tokensIn: number | null
  readonly tokensOut: number | null
  /** US dollars; null when nobody knows. */
  readonly cost: number | null
  readonly customCost: boolean
  readonly metadata: Metadata | null
  readonly step: number
  readonly eventId: string
  readonly userAgent: string | null
  readonly requestSize: number
  readonly responseSize: number
  readonly feedback: number | null
  readonly score: number | null
}

/**
 * Flat labels of a request.
 *
 * @category models
 * @since 0.1.0
 */
export interface Metadata {
  readonly [key: string]: string | number | boolean
}

/**
 * What was sent and answered, as text.
 *
 * @category models
 * @since 0.1.0
 */
export interface Bodies {
  readonly request: string
  readonly response: string
}

/**
 * What a person or a program thinks of an answer; a field that is absent stays as it was.
 *
 * @category models
 * @since 0.1.0
 */
export interface Patch {
  readonly feedback?: -1 | 0 | 1 | null | undefined
  readonly score?: number | null | undefined
  readonly metadata?: Metadata | null | undefined
}

/**
 * How many entries a gateway keeps, and what gives way.
 *
 * @category models
 * @since 0.1.0
 */
export interface Cap {
  readonly limit: number
  readonly strategy: "STOP_INSERTING" | "DELETE_OLDEST"
}

/**
 * Some entries of a gateway's log, in an order.
 *
 * @category models
 * @since 0.1.0
 */
export interface Selection {
  readonly gateway: string
  /** All must hold; every entry when there are none. */
  readonly conditions?: ReadonlyArray<LogFilters.Condition> | undefined
  /** A text within a key or a value of the metadata, in any case of its ASCII letters. */
  readonly search?: string | undefined
  readonly orderBy: "created_at" | "provider" | "model" | "model_type" | "success" | "cached" | Amount
  readonly direction: "asc" | "desc"
}

/**
 * The fields that are amounts, by their names on the wire.
 *
 * @category models
 * @since 0.1.0
 */
export type Amount = "cost" | "tokens_in" | "tokens_out" | "duration" | "feedback"

/**
 * A page of a gateway's log.
 *
 * @category models
 * @since 0.1.0
 */
export interface ListOptions extends Selection {
  /** From 1. */
  readonly page: number
  readonly perPage: number
}

/**
 * The logs of one account's gateways. A store that fails is a defect: no caller can act on it.
 *
 * @category services
 * @since 0.1.0
 */
export class LogStore extends Context.Service<LogStore, {
  /** Returns at once; `bodies` is null when payloads are not collected. */
  readonly append: (entry: LogEntry, bodies: Bodies | null, cap: Cap) => Effect.Effect<void>
  readonly get: (gateway: string, id: string) => Effect.Effect<Option.Option<LogEntry>>
  readonly bodies: (gateway: string, id: string) => Effect.Effect<Option.Option<Bodies>>
  readonly list: (
    options: ListOptions
  ) => Effect.Effect<{ readonly entries: ReadonlyArray<LogEntry>; readonly total: number }>
  /** The least and the greatest of each amount, as `min_cost` and so on; those of no entry are absent. */
  readonly ranges: (
    options: Pick<Selection, "gateway" | "conditions" | "search">
  ) => Effect.Effect<{ readonly [name: string]: number }>
  /** None when there is no such entry. */
  readonly patch: (gateway: string, id: string, patch: Patch) => Effect.Effect<Option.Option<LogEntry>>
  /** Removes the first `limit` entries in that order, or all. */
  readonly remove: (options: Selection & { readonly limit?: number | undefined }) => Effect.Effect<void>
  /** Newest first, by place in the log instead of by page, so that it stays quick in a log of millions. */
  readonly newest: (query: LogQueries.Query, range: LogQueries.Range) => Effect.Effect<ReadonlyArray<LogQueries.Placed>>
  /** Sums and percentiles of a time, as a whole and in equal parts. */
  readonly totals: (query: LogQueries.Query, period: LogQueries.Period) => Effect.Effect<LogQueries.Totals>
  /** The entries of one event, in the order of their steps; at most 100. */
  readonly steps: (gateway: string, eventId: string) => Effect.Effect<ReadonlyArray<LogEntry>>
  /** Providers and models that there are entries of; at most 200 of each. */
  readonly names: (
    gateway: string | undefined
  ) => Effect.Effect<{ readonly providers: ReadonlyArray<string>; readonly models: ReadonlyArray<string> }>
  /** Hears that this process has appended since it was heard last; what other processes append is not heard. */
  readonly subscribe: Effect.Effect<PubSub.Subscription<void>, never, Scope.Scope>
}>()("effect-ai-gateway/local/LogStore") {}

/**
 * Logs in SQLite.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (account: string): Layer.Layer<LogStore, never, SqlClient.SqlClient | LogWriter> =>
  Layer.effect(
    LogStore,
    Effect.gen(function*() {
      const sql = yield* SqlClient.SqlClient
      const { append, flush } = yield* LogWriter
      // Says only that there is something: who is slow misses repetitions, and nothing waits for them.
      const appended = yield* PubSub.sliding<void>(1)
      const announce = Effect.sync(() => void PubSub.publishUnsafe(appended, undefined))

      const find = Effect.fnUntraced(function*(gateway: string, id: string) {
        const rows = yield* sql`SELECT * FROM logs WHERE account = ${account} AND gateway = ${gateway} AND id = ${id}`
        return rows[0] === undefined ? Option.none<LogEntry>() : Option.some(yield* fromRow(rows[0]))
      })
      const selected = ({ conditions = [], gateway, search }: Pick<Selection, "gateway" | "conditions" | "search">) =>
        sql.and([
          sql`account = ${account}`,
          sql`gateway = ${gateway}`,
          ...LogFilters.where(sql, conditions, search)
        ])
      return LogStore.of({
        append: (entry, bodies, cap) =>
          Effect.andThen(
            append({
              values: toValues(account, entry),
              request: bodies?.request ?? null,
              response: bodies?.response ?? null,
              limit: cap.limit,
              strategy: cap.strategy
            }),
            announce
          ),
        get: (gateway, id) => flush.pipe(Effect.andThen(find(gateway, id)), patiently, Effect.orDie),
        bodies: Effect.fnUntraced(
          function*(gateway, id) {
            yield* flush
            const rows = yield* sql<Bodies>`SELECT request, response FROM log_texts JOIN logs USING (seq)
            WHERE account = ${account} AND gateway = ${gateway} AND id = ${id}`
            return Option.fromNullishOr(rows[0])
          },
          patiently,
          Effect.orDie
        ),
        list: Effect.fnUntraced(
          function*(options) {
            yield* flush
            const rows = yield* sql`SELECT * FROM logs WHERE ${selected(options)}
            ORDER BY ${sql.literal(order(options))}
            LIMIT ${options.perPage} OFFSET ${(options.page - 1) * options.perPage}`
            const isWhole = options.search === undefined && (options.conditions ?? []).length === 0
            const [counted] = yield* isWhole
              ? sql<{ readonly n: number }>`SELECT n FROM log_counts
                WHERE account = ${account} AND gateway = ${options.gateway}`
              : sql<{ readonly n: number }>`SELECT count(*) AS n FROM logs WHERE ${selected(options)}`
            return { entries: yield* Effect.forEach(rows, fromRow), total: counted?.n ?? 0 }
          },
          patiently,
          Effect.orDie
        ),
        ranges: Effect.fnUntraced(
          function*(options) {
            yield* flush
            const [found = {}] = yield* sql<{ readonly [name: string]: number | null }>`SELECT ${
              sql.literal(ranges)
            } FROM logs WHERE ${selected(options)}`
            return Object.fromEntries(
              Object.entries(found).filter((_): _ is [string, number] => typeof _[1] === "number")
            )
          },
          patiently,
          Effect.orDie
        ),
        patch: Effect.fnUntraced(
          function*(gateway, id, patch) {
            yield* flush
            const changes = {
              ...(patch.feedback === undefined ? {} : { feedback: patch.feedback }),
              ...(patch.score === undefined ? {} : { score: patch.score }),
              ...(patch.metadata === undefined
                ? {}
                : { metadata: patch.metadata === null ? null : JSON.stringify(patch.metadata) })
            }
            if (Object.keys(changes).length > 0) {
              yield* sql`UPDATE logs SET ${sql.update(changes)}
              WHERE account = ${account} AND gateway = ${gateway} AND id = ${id}`
            }
            return yield* find(gateway, id)
          },
          patiently,
          Effect.orDie
        ),
        remove: Effect.fnUntraced(
          function*(options) {
            yield* flush
            yield* sql`DELETE FROM logs WHERE seq IN (
            SELECT seq FROM logs WHERE ${selected(options)}
            ORDER BY ${sql.literal(order(options))} LIMIT ${options.limit ?? -1})`
          },
          patiently,
          Effect.orDie
        ),
        newest: (query, range) =>
          flush.pipe(Effect.andThen(LogQueries.newest(sql, account, query, range)), patiently, Effect.orDie),
        totals: (query, period) =>
          flush.pipe(Effect.andThen(LogQueries.totals(sql, account, query, period)), patiently, Effect.orDie),
        steps: (gateway, eventId) =>
          flush.pipe(Effect.andThen(LogQueries.steps(sql, account, gateway, eventId)), patiently, Effect.orDie),
        names: (gateway) =>
          flush.pipe(Effect.andThen(LogQueries.names(sql, account, gateway)), patiently, Effect.orDie),
        subscribe: PubSub.subscribe(appended)
      })
    })
  )

const ranges = [
  ["cost", "cost"],
  ["duration", "duration"],
  ["tokens_in", "tokens_in"],
  ["tokens_out", "tokens_out"],
  ["total_tokens", LogFilters.totalTokens]
].map(([name, amount]) => `min(${amount}) AS min_${name}, max(${amount}) AS max_${name}`).join(", ")

// `seq` breaks ties in the order of arrival, and is that order itself for `created_at`; all have one `model_type`.
const order = (options: Pick<Selection, "orderBy" | "direction">) =>
  options.orderBy === "created_at" || options.orderBy === "model_type"
    ? `seq ${options.direction}`
    : `${options.orderBy} ${options.direction}, seq ${options.direction}`
