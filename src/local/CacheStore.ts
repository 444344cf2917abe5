/**
 * Where cached answers are kept: byte for byte, per gateway, until their time is up or others need the room.
 *
 * All answers together stay within a size; those that were not used for longest give way.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as SqlClient from "effect/unstable/sql/SqlClient"
import { patiently } from "./Database.ts"
import type { Gateway } from "./Gateway.ts"

/**
 * @category models
 * @since 0.1.0
 */
export interface Entry {
  readonly status: number
  /** Those that say what the body is, names in lower case. */
  readonly headers: { readonly [name: string]: string }
  readonly body: Uint8Array
  /** Of the gateway's settings under which it was stored. */
  readonly version: number
}

/**
 * What is looked up; with a version, only an answer that was stored under it is found.
 *
 * @category models
 * @since 0.1.0
 */
export interface Key {
  readonly gateway: string
  readonly key: string
  readonly version?: number | undefined
}

/**
 * The cached answers of one account's gateways. A store that fails is a defect: no caller can act on it.
 *
 * @category services
 * @since 0.1.0
 */
export class CacheStore extends Context.Service<CacheStore, {
  /** What answers are stored and found under, another one after each update of the gateway; undefined when nobody knows. */
  readonly versionOf: (gateway: Pick<Gateway, "id" | "modifiedAt">) => Effect.Effect<number | undefined>
  readonly get: (key: Key) => Effect.Effect<Option.Option<Entry>>
  /** Replaces what is there; `ttl` in milliseconds. An answer larger than the whole cache is not kept. */
  readonly put: (key: Key, entry: Entry, ttl: number) => Effect.Effect<void>
  /** Forgets every answer of a gateway. */
  readonly clear: (gateway: string) => Effect.Effect<void>
}>()("effect-ai-gateway/local/CacheStore") {}

/**
 * @category models
 * @since 0.1.0
 */
export interface Options {
  /** Most bytes of bodies. */
  readonly limit: number
}

/**
 * Answers in SQLite: they outlive the process, and all processes on one file share them.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (
  account: string,
  { limit }: Options
): Layer.Layer<CacheStore, never, SqlClient.SqlClient> =>
  Layer.effect(
    CacheStore,
    Effect.gen(function*() {
      const sql = yield* SqlClient.SqlClient

      const insert = Effect.fnUntraced(function*({ gateway, key }: Key, entry: Entry, now: number, ttl: number) {
        yield* sql`DELETE FROM cache WHERE account = ${account} AND gateway = ${gateway} AND key = ${key}
          OR expires_at <= ${now}`
        const { body, headers, status, version } = entry
        if (body.length > limit) return
        yield* sql`INSERT INTO cache ${
          sql.insert({
            account,
            gateway,
            key,
            version,
            status,
            headers: JSON.stringify(headers),
            body,
            expires_at: now + ttl,
            used_at: now
          })
        }`
        while (true) {
          const [size] = yield* sql<{ readonly n: number }>`SELECT n FROM cache_size`
          if ((size?.n ?? 0) <= limit) return
          yield* sql`DELETE FROM cache WHERE id = (SELECT id FROM cache ORDER BY used_at, id LIMIT 1)`
        }
      })

      return CacheStore.of({
        versionOf: ({ modifiedAt }) => Effect.succeed(modifiedAt),
        get: Effect.fnUntraced(
          function*({ gateway, key, version }) {
            const now = yield* Clock.currentTimeMillis
            const [row] = yield* sql`SELECT id, status, headers, body, version, used_at FROM cache
              WHERE account = ${account} AND gateway = ${gateway} AND key = ${key} AND expires_at > ${now}`
            if (row === undefined) return Option.none()
            const { id, used_at: used, ...entry } = yield* decodeRow(row)
            if (version !== undefined && entry.version !== version) return Option.none()
            // To the second is enough to know what is in use, and spares most hits a write.
            if (now - used >= 1000) yield* sql`UPDATE cache SET used_at = ${now} WHERE id = ${id}`
            return Option.some(entry)
          },
          patiently,
          Effect.orDie
        ),
        put: Effect.fnUntraced(
          function*(key, entry, ttl) {
            const now = yield* Clock.currentTimeMillis
            yield* sql.withTransaction(insert(key, entry, now, ttl))
          },
          patiently,
          Effect.orDie
        ),
        clear: (gateway) =>
          sql`DELETE FROM cache WHERE account = ${account} AND gateway = ${gateway}`.pipe(
            patiently,
            Effect.orDie,
            Effect.asVoid
          )
      })
    })
  )

/**
 * Answers in this process, for as long as it lives.
 *
 * @category layers
 * @since 0.1.0
 */
export const layerMemory = ({ limit }: Options): Layer.Layer<CacheStore> =>
  Layer.sync(CacheStore, () => {
    /** In the order of their last use. */
    const entries = new Map<string, { readonly gateway: string; readonly entry: Entry; readonly expires: number }>()
    let size = 0
    const nameOf = ({ gateway, key }: Key) => `${gateway}/${key}`
    const remove = (name: string) => {
      size -= entries.get(name)?.entry.body.length ?? 0
      entries.delete(name)
    }
    const timed = <A>(f: (now: number) => A) => Effect.map(Clock.currentTimeMillis, f)

    return CacheStore.of({
      versionOf: ({ modifiedAt }) => Effect.succeed(modifiedAt),
      get: (key) =>
        timed((now) => {
          const name = nameOf(key)
          const found = entries.get(name)
          if (found === undefined) return Option.none()
          if (found.expires <= now) {
            remove(name)
            return Option.none()
          }
          if (key.version !== undefined && found.entry.version !== key.version) return Option.none()
          entries.delete(name)
          entries.set(name, found)
          return Option.some(found.entry)
        }),
      put: (key, entry, ttl) =>
        timed((now) => {
          remove(nameOf(key))
          if (entry.body.length > limit) return
          entries.set(nameOf(key), { gateway: key.gateway, entry, expires: now + ttl })
          size += entry.body.length
          for (const name of entries.keys()) {
            if (size <= limit) break
            remove(name)
          }
        }),
      clear: (gateway) =>
        Effect.sync(() => {
          for (const [name, entry] of entries) if (entry.gateway === gateway) remove(name)
        })
    })
  })

const decodeRow = Schema.decodeUnknownEffect(Schema.Struct({
  id: Schema.Number,
  status: Schema.Number,
  headers: Schema.fromJsonString(Schema.Record(Schema.String, Schema.String)),
  body: Schema.Uint8Array,
  version: Schema.Number,
  used_at: Schema.Number
}))
