/**
 * Where the small objects beside gateways are kept: provider configs, custom providers, datasets, evaluations,
 * policies, secrets.
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
import { patiently } from "./Database.ts"

/**
 * @category models
 * @since 0.1.0
 */
export type Kind =
  | "provider_config"
  | "custom_provider"
  | "dataset"
  | "evaluation"
  | "policy"
  | "secrets_store"
  | "secret"

/**
 * @category models
 * @since 0.1.0
 */
export interface StoredObject {
  readonly id: string
  /** Unique among the objects of its kind and parent. */
  readonly name: string
  /** Fields under their wire names. */
  readonly fields: { readonly [name: string]: unknown }
  /** Milliseconds since the epoch. */
  readonly createdAt: number
  readonly modifiedAt: number
}

/**
 * The objects of one account. A store that fails is a defect: no caller can act on it.
 *
 * `parent` is what an object belongs to: a gateway's or a store's id, or nothing for the account.
 *
 * @category services
 * @since 0.1.0
 */
export class ObjectStore extends Context.Service<ObjectStore, {
  /** None when the name is taken. */
  readonly create: (
    kind: Kind,
    parent: string,
    name: string,
    fields: StoredObject["fields"]
  ) => Effect.Effect<Option.Option<StoredObject>>
  readonly get: (kind: Kind, parent: string, id: string) => Effect.Effect<Option.Option<StoredObject>>
  readonly byName: (kind: Kind, parent: string, name: string) => Effect.Effect<Option.Option<StoredObject>>
  /** None when there is no such object. */
  readonly replace: (
    kind: Kind,
    parent: string,
    id: string,
    fields: StoredObject["fields"]
  ) => Effect.Effect<Option.Option<StoredObject>>
  /** False when the name is another object's. */
  readonly rename: (kind: Kind, parent: string, id: string, name: string) => Effect.Effect<boolean>
  readonly remove: (kind: Kind, parent: string, id: string) => Effect.Effect<Option.Option<StoredObject>>
  /** Removes all that belongs to a parent. */
  readonly clear: (kind: Kind, parent: string) => Effect.Effect<void>
  /** All of them, the oldest first: there are never many. */
  readonly list: (kind: Kind, parent: string) => Effect.Effect<ReadonlyArray<StoredObject>>
}>()("effect-ai-gateway/local/ObjectStore") {}

/**
 * Objects in SQLite.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (account: string): Layer.Layer<ObjectStore, never, SqlClient.SqlClient | Crypto.Crypto> =>
  Layer.effect(
    ObjectStore,
    Effect.gen(function*() {
      const sql = yield* SqlClient.SqlClient
      const crypto = yield* Crypto.Crypto
      const one = (rows: ReadonlyArray<unknown>) =>
        rows[0] === undefined ? Effect.succeedNone : Effect.asSome(fromRow(rows[0]))
      const of = (kind: Kind, parent: string) =>
        sql.and([sql`account = ${account}`, sql`kind = ${kind}`, sql`parent = ${parent}`])
      return ObjectStore.of({
        create: Effect.fnUntraced(
          function*(kind, parent, name, fields) {
            const now = yield* Clock.currentTimeMillis
            const uuid = yield* crypto.randomUUIDv4
            // Custom providers have UUIDs, the others 32 digits.
            const id = kind === "custom_provider" ? uuid : uuid.replaceAll("-", "")
            return yield* one(
              yield* sql`INSERT INTO objects ${
                sql.insert({
                  account,
                  kind,
                  parent,
                  id,
                  name,
                  fields: JSON.stringify(fields),
                  created_at: now,
                  modified_at: now
                })
              } ON CONFLICT DO NOTHING RETURNING *`
            )
          },
          patiently,
          Effect.orDie
        ),
        get: Effect.fnUntraced(
          function*(kind, parent, id) {
            return yield* one(yield* sql`SELECT * FROM objects WHERE ${of(kind, parent)} AND id = ${id}`)
          },
          patiently,
          Effect.orDie
        ),
        byName: Effect.fnUntraced(
          function*(kind, parent, name) {
            return yield* one(yield* sql`SELECT * FROM objects WHERE ${of(kind, parent)} AND name = ${name}`)
          },
          patiently,
          Effect.orDie
        ),
        replace: Effect.fnUntraced(
          function*(kind, parent, id, fields) {
            const now = yield* Clock.currentTimeMillis
            return yield* one(
              yield* sql`UPDATE objects SET fields = ${JSON.stringify(fields)}, modified_at = ${now}
              WHERE ${of(kind, parent)} AND id = ${id} RETURNING *`
            )
          },
          patiently,
          Effect.orDie
        ),
        rename: Effect.fnUntraced(
          function*(kind, parent, id, name) {
            const renamed = yield* sql`UPDATE OR IGNORE objects SET name = ${name}
            WHERE ${of(kind, parent)} AND id = ${id} RETURNING id`
            return renamed.length === 1
          },
          patiently,
          Effect.orDie
        ),
        remove: Effect.fnUntraced(
          function*(kind, parent, id) {
            return yield* one(yield* sql`DELETE FROM objects WHERE ${of(kind, parent)} AND id = ${id} RETURNING *`)
          },
          patiently,
          Effect.orDie
        ),
        clear: Effect.fnUntraced(
          function*(kind, parent) {
            yield* sql`DELETE FROM objects WHERE ${of(kind, parent)}`
          },
          patiently,
          Effect.orDie
        ),
        list: Effect.fnUntraced(
          function*(kind, parent) {
            const rows = yield* sql`SELECT * FROM objects WHERE ${of(kind, parent)} ORDER BY seq`
            return yield* Effect.forEach(rows, fromRow)
          },
          patiently,
          Effect.orDie
        )
      })
    })
  )

const Row = Schema.Struct({
  id: Schema.String,
  name: Schema.String,
  fields: Schema.fromJsonString(Schema.Record(Schema.String, Schema.Unknown)),
  created_at: Schema.Number,
  modified_at: Schema.Number
})

const decodeRow = Schema.decodeUnknownEffect(Row)

const fromRow = (row: unknown) =>
  Effect.map(decodeRow(row), ({ created_at, modified_at, ...row }): StoredObject => ({
    ...row,
    createdAt: created_at,
    modifiedAt: modified_at
  }))
