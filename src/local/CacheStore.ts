/**
 * Where cached answers are kept: byte for byte, per gateway, until their time is up or others need the room.
 *
 * All answers together stay within a size: the oldest that were not used lately give way.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import { CacheDatabase } from "./CacheDatabase.ts"
import * as CachePlace from "./CachePlace.ts"
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
        `SELECT status, headers, body, version, expires_at, used FROM cache WHERE place = ? AND name = ? AND expires_at > ?`
      )
      const rangeOf = CachePlace.ranges(account)
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
            const place = CachePlace.make(rangeOf(key.gateway), key.key)
            const { name, number } = place
            const { waiting, writing } = unwritten
            const others = othersAt(now)
            if (others !== seen) {
              seen = others
              recent.clear()
              isAlone = false
            }
            let found = waiting.puts.get(name) ?? writing.puts.get(name)
            if (found === undefined) {
              if (isAlone && places.isWhole && !places.all.mayHave(number)) return Option.none()
              found = recent.get(name)
              if (found === undefined) {
                found = keptOf(find.get(number, name, now), now)
                if (found === undefined) return Option.none()
                recent.set(name, found)
              }
              // To the second is enough to know what is in use, and spares most hits a write.
              if (now - found.usedAt >= 1000 && !waiting.touched.has(name) && !writing.touched.has(name)) {
                found.usedAt = now
                waiting.touched.add(name)
                lane.give({ _tag: "Touch", place })
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
            const place = CachePlace.make(rangeOf(key.gateway), key.key)
            recent.delete(place.name)
            places.all.add(place.number)
            unwritten.waiting.puts.set(place.name, { entry: body.length > limit ? null : entry, expires, usedAt: now })
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
            const range = rangeOf(gateway)
            const { first, start } = range
            for (const { puts } of [unwritten.waiting, unwritten.writing]) {
              for (const name of puts.keys()) if (name.startsWith(start)) puts.delete(name)
            }
            recent.clear()
            lane.give({ _tag: "Clear", first, end: CachePlace.endOf(range), start })
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
  /** When the file was told last. */
  usedAt: number
}

/** The answers of up to 1 MiB that were asked for lately, 16 MiB of them; the older half is forgotten as a whole. */
const recentOnes = () => {
  let young = new Map<string, Kept>()
  let old = new Map<string, Kept>()
  let size = 0
  return {
    get: (name: string) => young.get(name) ?? old.get(name),
    set: (name: string, kept: Kept) => {
      const needed = 1024 + (kept.entry?.body.length ?? 0)
      if (needed > halfOfRecent / 8) return
      if (size + needed > halfOfRecent) {
        old = young
        young = new Map()
        size = 0
      }
      young.set(name, kept)
      size += needed
    },
    delete: (name: string) => {
      young.delete(name)
      old.delete(name)
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
    let last = -1
    for (;;) {
      const found = next.all(last)
      for (const { place } of found) places.all.add(last = Number(place))
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
const keptOf = (row: { readonly [column: string]: unknown } | undefined, now: number): Kept | undefined => {
  if (row === undefined) return undefined
  const { body, expires_at: expires, headers, status, used, version } = row
  return body instanceof Uint8Array && typeof headers === "string" && typeof status === "number" &&
      typeof version === "number" && typeof expires === "number"
    ? { entry: { status, version, body, headers: JSON.parse(headers) }, expires, usedAt: used === 1 ? now : -Infinity }
    : undefined
}
