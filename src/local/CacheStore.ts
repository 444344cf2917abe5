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
import { hash } from "node:crypto"
import { CacheDatabase } from "./CacheDatabase.ts"
import type { Gateway } from "./Gateway.ts"
import { WriterThread } from "./WriterThread.ts"

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
 * An answer is found here as soon as it is put, and by other processes a moment later.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (
  account: string,
  { limit }: Options
): Layer.Layer<CacheStore, never, CacheDatabase | WriterThread> =>
  Layer.effect(
    CacheStore,
    Effect.gen(function*() {
      const { prepare } = yield* CacheDatabase
      const writer = yield* WriterThread
      const find = prepare(
        `SELECT id, status, headers, body, version, used_at FROM cache WHERE place = ? AND expires_at > ?`
      )
      const unwritten = writer.pile(() => ({
        /** No entry for what the thread removes. */
        puts: new Map<string, { readonly gateway: string; readonly entry: Entry | null; readonly expires: number }>(),
        touched: new Set<number>()
      }))
      const gateways = new Map<string, Uint8Array>()
      const gatewayOf = (gateway: string): Uint8Array => {
        const known = gateways.get(gateway)
        if (known !== undefined) return known
        const found = hash("sha256", `${account}/${gateway}`, "buffer").subarray(0, gatewayBytes)
        if (gateways.size < mostGateways) gateways.set(gateway, found)
        return found
      }
      // Not in a piece of Node's pool, all of which would be sent along to the thread.
      const place = (gateway: Uint8Array, key: Uint8Array) => {
        const both = new Uint8Array(gatewayBytes + keyBytes)
        both.set(gateway)
        both.set(key, gatewayBytes)
        return both
      }
      const placeOf = ({ gateway, key }: Key) =>
        place(gatewayOf(gateway), hash("sha256", key, "buffer").subarray(0, keyBytes))

      return CacheStore.of({
        versionOf: ({ modifiedAt }) => Effect.succeed(modifiedAt),
        get: (key) =>
          Effect.map(Clock.currentTimeMillis, (now) => {
            const { version } = key
            const asked = (entry: Entry | null | undefined) =>
              entry === undefined || entry === null || (version !== undefined && entry.version !== version)
                ? Option.none()
                : Option.some(entry)
            const { waiting, writing } = unwritten
            const name = nameOf(key)
            const fresh = waiting.puts.get(name) ?? writing.puts.get(name)
            if (fresh !== undefined) return fresh.expires > now ? asked(fresh.entry) : Option.none()
            const row = find.get(placeOf(key), now)
            if (row === undefined) return Option.none()
            const id = Number(row["id"])
            // To the second is enough to know what is in use, and spares most hits a write.
            if (now - Number(row["used_at"]) >= 1000 && !waiting.touched.has(id) && !writing.touched.has(id)) {
              waiting.touched.add(id)
              writer.cache({ _tag: "Touch", id, now })
            }
            return asked(entryOf(row))
          }),
        put: (key, entry, ttl) =>
          Effect.flatMap(Clock.currentTimeMillis, (now) => {
            const { body, headers, status, version } = entry
            const expires = now + ttl
            unwritten.waiting.puts.set(nameOf(key), {
              gateway: key.gateway,
              entry: body.length > limit ? null : entry,
              expires
            })
            writer.cache({
              _tag: "Put",
              place: placeOf(key),
              version,
              status,
              headers: JSON.stringify(headers),
              body,
              expires,
              now,
              limit
            })
            return writer.room
          }),
        clear: (gateway) =>
          Effect.suspend(() => {
            for (const { puts } of [unwritten.waiting, unwritten.writing]) {
              for (const [name, kept] of puts) if (kept.gateway === gateway) puts.delete(name)
            }
            const end = (fill: number) => place(gatewayOf(gateway), new Uint8Array(keyBytes).fill(fill))
            writer.cache({ _tag: "Clear", from: end(0), to: end(0xff) })
            return writer.flush
          })
      })
    })
  )

/** Of the hash of the account and the gateway, and of the key's: so much of a hash is one's alone. */
const gatewayBytes = 8
const keyBytes = 16

/** Whose hashes are remembered. */
const mostGateways = 1000

const nameOf = ({ gateway, key }: Key) => `${gateway}/${key}`

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
