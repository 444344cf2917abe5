/**
 * Workers that were deployed without an account: recorded so that plans, drift and destroy are right, not served.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Crypto from "effect/Crypto"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as SqlClient from "effect/unstable/sql/SqlClient"

/**
 * @category models
 * @since 0.1.0
 */
export interface WorkerScript {
  readonly name: string
  /** Stays the same when the script is uploaded again. */
  readonly tag: string
  /** What was uploaded beside the modules: bindings (secrets without their values), compatibility, tags. */
  readonly settings: { readonly [name: string]: unknown }
  /** Milliseconds since the epoch. */
  readonly createdAt: number
  readonly modifiedAt: number
}

/**
 * The scripts of one account. A store that fails is a defect: no caller can act on it.
 *
 * @category services
 * @since 0.1.0
 */
export class WorkerScripts extends Context.Service<WorkerScripts, {
  readonly put: (name: string, settings: WorkerScript["settings"]) => Effect.Effect<WorkerScript>
  readonly get: (name: string) => Effect.Effect<Option.Option<WorkerScript>>
  readonly remove: (name: string) => Effect.Effect<Option.Option<WorkerScript>>
  readonly list: Effect.Effect<ReadonlyArray<WorkerScript>>
}>()("effect-ai-gateway/local/WorkerScripts") {}

/**
 * Scripts in SQLite.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (account: string): Layer.Layer<WorkerScripts, never, SqlClient.SqlClient | Crypto.Crypto> =>
  Layer.effect(
    WorkerScripts,
    Effect.gen(function*() {
      const sql = yield* SqlClient.SqlClient
      const crypto = yield* Crypto.Crypto
      const first = (rows: ReadonlyArray<unknown>) =>
        rows[0] === undefined ? Effect.succeedNone : Effect.asSome(fromRow(rows[0]))
      return WorkerScripts.of({
        put: Effect.fnUntraced(function*(name, settings) {
          const now = yield* Clock.currentTimeMillis
          const tag = (yield* crypto.randomUUIDv4).replaceAll("-", "")
          const rows = yield* sql`INSERT INTO workers ${
            sql.insert({
              account,
              name,
              tag,
              settings: JSON.stringify(settings),
              created_at: now,
              modified_at: now
            })
          } ON CONFLICT (account, name) DO UPDATE SET settings = excluded.settings, modified_at = excluded.modified_at
            RETURNING *`
          return yield* fromRow(rows[0])
        }, Effect.orDie),
        get: Effect.fnUntraced(function*(name) {
          return yield* first(yield* sql`SELECT * FROM workers WHERE account = ${account} AND name = ${name}`)
        }, Effect.orDie),
        remove: Effect.fnUntraced(function*(name) {
          return yield* first(
            yield* sql`DELETE FROM workers WHERE account = ${account} AND name = ${name} RETURNING *`
          )
        }, Effect.orDie),
        list: sql`SELECT * FROM workers WHERE account = ${account} ORDER BY name`.pipe(
          Effect.flatMap(Effect.forEach(fromRow)),
          Effect.orDie
        )
      })
    })
  )

const Row = Schema.Struct({
  name: Schema.String,
  tag: Schema.String,
  settings: Schema.fromJsonString(Schema.Record(Schema.String, Schema.Unknown)),
  created_at: Schema.Number,
  modified_at: Schema.Number
})

const decodeRow = Schema.decodeUnknownEffect(Row)

const fromRow = (row: unknown) =>
  Effect.map(decodeRow(row), ({ created_at, modified_at, ...row }): WorkerScript => ({
    ...row,
    createdAt: created_at,
    modifiedAt: modified_at
  }))
