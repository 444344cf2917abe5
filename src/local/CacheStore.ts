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
import { CacheDatabase } from "./CacheDatabase.ts"
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
export const layer = (account: string, { limit }: Options): Layer.Layer<CacheStore, never, CacheDatabase> =>
  Layer.effect(
    CacheStore,
    Effect.map(CacheDatabase, ({ prepare, read, write }) => {
      const find = prepare(
        `SELECT id, status, headers, body, version, used_at FROM cache
          WHERE account = ? AND gateway = ? AND key = ? AND expires_at > ?`
      )
      const use = prepare("UPDATE cache SET used_at = ? WHERE id = ?")
      const insert = prepare(
        `INSERT INTO cache (account, gateway, key, version, status, headers, body, expires_at, used_at)
          VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET version = excluded.version,
          status = excluded.status, headers = excluded.headers, body = excluded.body, expires_at = excluded.expires_at,
          used_at = excluded.used_at`
      )
      const size = prepare("SELECT n FROM cache_size")
      const removeUnused = prepare("DELETE FROM cache WHERE id = (SELECT id FROM cache ORDER BY used_at, id LIMIT 1)")
      const remove = prepare("DELETE FROM cache WHERE account = ? AND gateway = ? AND key = ?")
      const removeOld = prepare("DELETE FROM cache WHERE expires_at <= ?")
      const removeAll = prepare("DELETE FROM cache WHERE account = ? AND gateway = ?")
      let nextSweep = 0

      return CacheStore.of({
        versionOf: ({ modifiedAt }) => Effect.succeed(modifiedAt),
        get: Effect.fnUntraced(function*({ gateway, key, version }) {
          const now = yield* Clock.currentTimeMillis
          const row = yield* read(() => find.get(account, gateway, key, now))
          const entry = row === undefined ? undefined : entryOf(row)
          if (entry === undefined || (version !== undefined && entry.version !== version)) return Option.none()
          const id = row?.["id"] ?? null
          // To the second is enough to know what is in use, and spares most hits a write.
          if (now - Number(row?.["used_at"]) >= 1000) yield* write(() => use.run(now, id))
          return Option.some(entry)
        }),
        put: Effect.fnUntraced(function*({ gateway, key }, { body, headers, status, version }, ttl) {
          const now = yield* Clock.currentTimeMillis
          yield* write(() => {
            if (now >= nextSweep || now < nextSweep - sweep) {
              removeOld.run(now)
              nextSweep = now + sweep
            }
            if (body.length > limit) return void remove.run(account, gateway, key)
            insert.run(account, gateway, key, version, status, JSON.stringify(headers), body, now + ttl, now)
            while (Number(size.get()?.["n"]) > limit) removeUnused.run()
          })
        }),
        clear: (gateway) => Effect.asVoid(write(() => removeAll.run(account, gateway)))
      })
    })
  )

/** Milliseconds between two removals of what has expired. */
const sweep = 1000

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

/** Undefined for a row that is none of ours. */
const entryOf = ({ body, headers, status, version }: { readonly [column: string]: unknown }): Entry | undefined =>
  body instanceof Uint8Array && typeof headers === "string" && typeof status === "number" && typeof version === "number"
    ? { status, version, body, headers: JSON.parse(headers) }
    : undefined
