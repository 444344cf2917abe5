/**
 * Where gateways and their settings are kept.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as SqlClient from "effect/unstable/sql/SqlClient"
import { patiently } from "./Database.ts"
import type * as Gateway from "./Gateway.ts"

/**
 * A page of gateways.
 *
 * @category models
 * @since 0.1.0
 */
export interface ListOptions {
  /** From 1. */
  readonly page: number
  readonly perPage: number
  /** Part of the id. */
  readonly search?: string | undefined
  readonly orderBy: "id" | "created_at" | "modified_at"
  readonly direction: "asc" | "desc"
}

/**
 * The gateways of one account. A store that fails is a defect: no caller can act on it.
 *
 * @category services
 * @since 0.1.0
 */
export class GatewayStore extends Context.Service<GatewayStore, {
  /** None when the id is taken. */
  readonly create: (id: string, settings: Gateway.Settings) => Effect.Effect<Option.Option<Gateway.Gateway>>
  readonly get: (id: string) => Effect.Effect<Option.Option<Gateway.Gateway>>
  /** Replaces every setting. None when there is no such gateway. */
  readonly replace: (id: string, settings: Gateway.Settings) => Effect.Effect<Option.Option<Gateway.Gateway>>
  /** Removes the gateway and returns what it was. */
  readonly remove: (id: string) => Effect.Effect<Option.Option<Gateway.Gateway>>
  readonly list: (
    options: ListOptions
  ) => Effect.Effect<{ readonly gateways: ReadonlyArray<Gateway.Gateway>; readonly total: number }>
}>()("effect-ai-gateway/local/GatewayStore") {}

/**
 * Gateways in SQLite.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (account: string): Layer.Layer<GatewayStore, never, SqlClient.SqlClient> =>
  Layer.effect(
    GatewayStore,
    Effect.gen(function*() {
      const sql = yield* SqlClient.SqlClient
      const one = (rows: ReadonlyArray<unknown>) =>
        rows[0] === undefined ? Effect.succeedNone : Effect.asSome(fromRow(rows[0]))
      // Every request asks for its gateway. What another process has changed is seen a moment later.
      const known = new Map<string, { readonly gateway: Option.Option<Gateway.Gateway>; readonly until: number }>()
      const forget = (id: string) => Effect.sync(() => known.delete(id))
      const read = Effect.fnUntraced(
        function*(id: string, now: number) {
          const gateway = yield* one(yield* sql`SELECT * FROM gateways WHERE account = ${account} AND id = ${id}`)
          if (known.size >= mostKnown) known.clear()
          known.set(id, { gateway, until: now + moment })
          return gateway
        },
        patiently,
        Effect.orDie
      )
      return GatewayStore.of({
        create: Effect.fnUntraced(
          function*(id, settings) {
            const now = yield* Clock.currentTimeMillis
            return yield* one(
              yield* sql`INSERT INTO gateways ${
                sql.insert({ account, id, settings: JSON.stringify(settings), created_at: now, modified_at: now })
              } ON CONFLICT DO NOTHING RETURNING *`
            )
          },
          patiently,
          Effect.orDie,
          (changed, id) => Effect.ensuring(changed, forget(id))
        ),
        get: (id) =>
          Effect.flatMap(Clock.currentTimeMillis, (now) => {
            const last = known.get(id)
            return last !== undefined && now < last.until && now >= last.until - moment
              ? Effect.succeed(last.gateway)
              : read(id, now)
          }),
        replace: Effect.fnUntraced(
          function*(id, settings) {
            const now = yield* Clock.currentTimeMillis
            return yield* one(
              yield* sql`UPDATE gateways SET settings = ${JSON.stringify(settings)}, modified_at = ${now}
              WHERE account = ${account} AND id = ${id} RETURNING *`
            )
          },
          patiently,
          Effect.orDie,
          (changed, id) => Effect.ensuring(changed, forget(id))
        ),
        remove: Effect.fnUntraced(
          function*(id) {
            return yield* one(yield* sql`DELETE FROM gateways WHERE account = ${account} AND id = ${id} RETURNING *`)
          },
          patiently,
          Effect.orDie,
          (changed, id) => Effect.ensuring(changed, forget(id))
        ),
        list: Effect.fnUntraced(
          function*(options) {
            const mine = sql.and([
              sql`account = ${account}`,
              // instr and not LIKE: an id may contain the wildcard _.
              ...(options.search === undefined ? [] : [sql`instr(id, ${options.search}) > 0`])
            ])
            const order = `${options.orderBy} ${options.direction}, id ${options.direction}`
            const rows = yield* sql`SELECT * FROM gateways WHERE ${mine} ORDER BY ${sql.literal(order)}
            LIMIT ${options.perPage} OFFSET ${(options.page - 1) * options.perPage}`
            const [counted] = yield* sql<{ readonly n: number }>`SELECT count(*) AS n FROM gateways WHERE ${mine}`
            return { gateways: yield* Effect.forEach(rows, fromRow), total: counted?.n ?? 0 }
          },
          patiently,
          Effect.orDie
        )
      })
    })
  )

/** Milliseconds for which a gateway is taken for what it was. */
const moment = 100

const mostKnown = 1000

const Row = Schema.Struct({
  id: Schema.String,
  settings: Schema.fromJsonString(Schema.Record(Schema.String, Schema.Unknown)),
  created_at: Schema.Number,
  modified_at: Schema.Number
})

const decodeRow = Schema.decodeUnknownEffect(Row)

const fromRow = (row: unknown) =>
  Effect.map(decodeRow(row), (row): Gateway.Gateway => ({
    id: row.id,
    settings: row.settings,
    createdAt: row.created_at,
    modifiedAt: row.modified_at
  }))
