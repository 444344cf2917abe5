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
import * as MaybeSet from "./MaybeSet.ts"
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
      const { answers: lane, others: othersAt } = yield* WriterThread
      const find = prepare(
        `SELECT status, headers, body, version, expires_at, used_at FROM cache WHERE place = ? AND expires_at > ?`
      )
      const startOf = startsOf(account)
      const placeOf = ({ gateway, key }: Key) => startOf(gateway) + key
      const unwritten = lane.pile(() => ({
        /** No entry for what the thread removes. */
        puts: new Map<string, Kept>(),
        touched: new Set<string>()
      }))
      const recent = recentOnes()
      const places = yield* placesOf(prepare)
      let seen = othersAt(0)
      let isAlone = true

      return CacheStore.of({
        versionOf: ({ modifiedAt }) => Effect.succeed(modifiedAt),
        get: (key) =>
          Effect.map(Clock.currentTimeMillis, (now) => {
            const place = placeOf(key)
            const { waiting, writing } = unwritten
            const others = othersAt(now)
            if (others !== seen) {
              seen = others
              recent.clear()
              isAlone = false
            }
            let found = waiting.puts.get(place) ?? writing.puts.get(place)
            if (found === undefined) {
              if (isAlone && places.isWhole && !places.all.mayHave(place)) return Option.none()
              found = recent.get(place)
              if (found === undefined) {
                found = keptOf(find.get(place, now))
                if (found === undefined) return Option.none()
                recent.set(place, found)
              }
              // To the second is enough to know what is in use, and spares most hits a write.
              if (now - found.usedAt >= 1000 && !waiting.touched.has(place) && !writing.touched.has(place)) {
                found.usedAt = now
                waiting.touched.add(place)
                lane.give({ _tag: "Touch", place, now })
              }
            }
            const { entry, expires } = found
            return entry === null || expires <= now || (key.version !== undefined && entry.version !== key.version)
              ? Option.none()
              : Option.some(entry)
          }),
        put: (key, entry, ttl) =>
          Effect.flatMap(Clock.currentTimeMillis, (now) => {
            const { body, headers, status, version } = entry
            const expires = now + ttl
            const place = placeOf(key)
            recent.delete(place)
            places.all.add(place)
            unwritten.waiting.puts.set(place, { entry: body.length > limit ? null : entry, expires, usedAt: now })
            lane.give({
              _tag: "Put",
              place,
              version,
              status,
              headers: JSON.stringify(headers),
              body,
              expires,
              now,
              limit
            })
            return lane.room
          }),
        clear: (gateway) =>
          Effect.suspend(() => {
            const start = startOf(gateway)
            for (const { puts } of [unwritten.waiting, unwritten.writing]) {
              for (const place of puts.keys()) if (place.startsWith(start)) puts.delete(place)
            }
            recent.clear()
            lane.give({ _tag: "Clear", start })
            // What was looked up meanwhile is not there any more.
            return Effect.andThen(lane.flush, Effect.sync(recent.clear))
          })
      })
    })
  )

/** An answer as it is known here. */
interface Kept {
  readonly entry: Entry | null
  readonly expires: number
  usedAt: number
}

/** What the places of a gateway begin with: short, since every answer goes to a page of its own in their index. */
const startsOf = (account: string) => {
  const known = new Map<string, string>()
  return (gateway: string): string => {
    const before = known.get(gateway)
    if (before !== undefined) return before
    const found = `${hash("sha256", `${account}/${gateway}`, "base64url").slice(0, 11)}/`
    if (known.size < mostGateways) known.set(gateway, found)
    return found
  }
}

/** Whose starts are remembered. */
const mostGateways = 1000

/** The answers of up to 1 MiB that were asked for lately, 16 MiB of them; the older half is forgotten as a whole. */
const recentOnes = () => {
  let young = new Map<string, Kept>()
  let old = new Map<string, Kept>()
  let size = 0
  return {
    get: (place: string) => young.get(place) ?? old.get(place),
    set: (place: string, kept: Kept) => {
      const needed = 1024 + (kept.entry?.body.length ?? 0)
      if (needed > halfOfRecent / 8) return
      if (size + needed > halfOfRecent) {
        old = young
        young = new Map()
        size = 0
      }
      young.set(place, kept)
      size += needed
    },
    delete: (place: string) => {
      young.delete(place)
      old.delete(place)
    },
    clear: () => {
      young = new Map()
      old = new Map()
      size = 0
    }
  }
}

const halfOfRecent = 8 * 1024 * 1024

/**
 * The places in the file: most questions are for an answer that is not there, and need not look.
 *
 * They are whole when all that was there at the start has been read; another process's are not among them.
 */
const placesOf = Effect.fnUntraced(function*(prepare: CacheDatabase["Service"]["prepare"]) {
  const places = { all: MaybeSet.make(), isWhole: false }
  const next = prepare("SELECT place FROM cache WHERE place > ? ORDER BY place LIMIT 1000")
  yield* Effect.forkScoped(Effect.gen(function*() {
    let last = ""
    for (;;) {
      const found = next.all(last)
      for (const { place } of found) places.all.add(last = String(place))
      if (found.length === 0) break
      yield* Effect.yieldNow
    }
    places.isWhole = true
  }))
  return places
})

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

/** Undefined for no row, and for one that is none of ours. */
const keptOf = (row: { readonly [column: string]: unknown } | undefined): Kept | undefined => {
  if (row === undefined) return undefined
  const { body, expires_at: expires, headers, status, used_at: usedAt, version } = row
  return body instanceof Uint8Array && typeof headers === "string" && typeof status === "number" &&
      typeof version === "number" && typeof expires === "number" && typeof usedAt === "number"
    ? { entry: { status, version, body, headers: JSON.parse(headers) }, expires, usedAt }
    : undefined
}
