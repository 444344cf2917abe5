/**
 * Values with the time at which they expire, for stores whose own times are coarser than what is asked for.
 *
 * @since 0.1.0
 */
import type * as Arr from "effect/Array"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as Persistence from "effect/unstable/persistence/Persistence"

/**
 * What such a store can do with texts.
 *
 * @category models
 * @since 0.1.0
 */
export interface Texts {
  readonly get: (key: string) => Promise<string | null | undefined>
  /** For about so many seconds, at least; without them for good. */
  readonly set: (key: string, text: string, seconds: number | undefined) => Promise<unknown>
  readonly remove: (key: string) => Promise<unknown>
  readonly clear: () => Promise<unknown>
}

/**
 * A backing store over texts. A text that is not of such a store is a value that is not there.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (name: string, texts: Effect.Effect<Texts>): Persistence.BackingPersistenceStore => {
  const use = <A>(what: string, f: (texts: Texts) => Promise<A>): Effect.Effect<A, Persistence.PersistenceError> =>
    Effect.flatMap(texts, (texts) =>
      Effect.tryPromise({
        try: () => f(texts),
        catch: (cause) => new Persistence.PersistenceError({ message: `${name} could not ${what}`, cause })
      }))

  const get = (key: string): Effect.Effect<object | undefined, Persistence.PersistenceError> =>
    Effect.flatMap(use("read", (texts) => texts.get(key)), (text) =>
      Effect.map(Clock.currentTimeMillis, (now) => {
        const stored = Option.getOrUndefined(read(text))
        return stored === undefined || stored.expires !== null && stored.expires <= now ? undefined : stored.value
      }))

  const set = (key: string, value: object, ttl: Duration.Duration | undefined) =>
    Effect.flatMap(Clock.currentTimeMillis, (now) => {
      const millis = ttl === undefined ? undefined : Duration.toMillis(ttl)
      const expires = millis === undefined ? null : now + millis
      const seconds = millis === undefined ? undefined : Math.ceil(millis / 1000)
      return Effect.asVoid(use("write", async (texts) => texts.set(key, JSON.stringify({ value, expires }), seconds)))
    })

  return {
    get,
    getMany: (keys) => Effect.forEach(keys, get, { concurrency: "unbounded" }).pipe(Effect.map(asMany)),
    set,
    setMany: (entries) =>
      Effect.forEach(entries, ([key, value, ttl]) => set(key, value, ttl), { concurrency: "unbounded", discard: true }),
    remove: (key) => Effect.asVoid(use("remove", (texts) => texts.remove(key))),
    clear: Effect.asVoid(use("clear", (texts) => texts.clear()))
  }
}

const read = Schema.decodeUnknownOption(Schema.fromJsonString(Schema.Struct({
  value: Schema.ObjectKeyword,
  expires: Schema.NullOr(Schema.Finite)
})))

/** As many as there were keys. */
const asMany = <A>(values: ReadonlyArray<A>) => values as Arr.NonEmptyArray<A>
