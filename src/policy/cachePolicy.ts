/**
 * What a cache does with a call: looks for an answer, waits for one that is under way, or asks the model and keeps what it
 * says.
 *
 * @since 0.1.0
 */
import type * as Arr from "effect/Array"
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as AiError from "effect/unstable/ai/AiError"
import type * as LanguageModel from "effect/unstable/ai/LanguageModel"
import * as Response from "effect/unstable/ai/Response"
import type * as Persistence from "effect/unstable/persistence/Persistence"
import type { CallOptions as Asked, Policy, Watch } from "./aroundModel.ts"
import * as CachedAnswer from "./cachedAnswer.ts"
import { cacheKey, type Tools } from "./cacheKey.ts"
import { invalidOption, isFinal, markFinal } from "./finalErrors.ts"
import * as SingleFlight from "./singleFlight.ts"

/**
 * What is set around a call.
 *
 * @category models
 * @since 0.1.0
 */
export interface CallOptions {
  /** Neither takes an answer from the cache nor keeps one. */
  readonly skip?: boolean | undefined
  /** How old the answer may be, over the cache's own; how long a new one is kept. */
  readonly ttl?: Duration.Input | undefined
  /** What else the answer depends on, as JSON. */
  readonly key?: unknown
}

/**
 * The options that are set around a call.
 *
 * @category services
 * @since 0.1.0
 */
export const Current = Context.Reference<CallOptions>("effect-ai-gateway/ResponseCache", { defaultValue: () => ({}) })

/**
 * The options of a cache, checked and with their defaults.
 *
 * @category models
 * @since 0.1.0
 */
export interface Settings {
  readonly name: string
  readonly ttl: Duration.Duration
  readonly keyOf: (call: Asked) => Effect.Effect<unknown>
  readonly maxBytes: number
  readonly wait: Duration.Duration
  readonly storeTimeout: Duration.Duration
  readonly storeId: string
}

/**
 * How old an answer may be, or that it is no such time.
 *
 * @category constructors
 * @since 0.1.0
 */
export const ttlOf = (method: string, value: Duration.Input): Duration.Duration | AiError.AiError => {
  const duration = Option.getOrUndefined(Duration.fromInput(value))
  return duration !== undefined && Duration.isPositive(duration)
    ? duration
    : invalidOption({ method, parameter: "ttl", accepted: "a duration of more than 0", value })
}

/**
 * A cache in a store. Calls of this one policy that ask the same at the same time are one call.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (settings: Settings, store: Persistence.BackingPersistenceStore): Policy => {
  const flights = SingleFlight.make<Shared>()
  const { lookUp, keep } = keeping(settings, store)
  return {
    effect: <A extends LanguageModel.GenerateTextResponse<{}>, E, R>(call: Effect.Effect<A, E, R>, watch: Watch) =>
      Effect.flatMap(cacheableOf(settings, watch), (cacheable): Effect.Effect<A, E | AiError.AiError, R> => {
        if (cacheable === undefined) return call
        // The response was encoded as one of this method.
        const decode = (entry: CachedAnswer.Entry, now: number) =>
          CachedAnswer.decodeResponse(entry, cacheable.form, now) as Effect.Effect<A, unknown>

        const ask = (land: Land): Effect.Effect<A, E, R> =>
          Effect.flatMap(lookUp(cacheable, decode), (found) => {
            if (found !== undefined) {
              land({ shared: true, value: { entry: found.entry } })
              return Effect.succeed(found.answer)
            }
            return call.pipe(
              Effect.tapCause(landFailure(land, watch)),
              Effect.tap((response) => keep(cacheable, land, { ...response, parts: [response.content] }, false))
            )
          })

        type Answer = Effect.Effect<A, E | AiError.AiError, R>
        return Effect.uninterruptibleMask((restore) =>
          Effect.flatMap(flights.join(cacheable.key, settings.wait, restore), (part): Answer => {
            if (part.role !== "follower") return Effect.ensuring(restore(ask(part.land)), part.leave)
            if ("error" in part.value) return Effect.fail(ownError(part.value))
            const shared = decoded(part.value.entry, decode)
            return restore(Effect.flatMap(shared, (answer) => answer === undefined ? call : Effect.succeed(answer)))
          })
        )
      }),

    stream: <A, E, R>(call: Stream.Stream<A, E, R>, watch: Watch) =>
      Stream.unwrap(Effect.map(cacheableOf(settings, watch), (cacheable): Stream.Stream<A, E | AiError.AiError, R> => {
        if (cacheable === undefined) return call
        type Groups = ReadonlyArray<Arr.NonEmptyReadonlyArray<A>>
        // The parts were encoded as those of such a stream.
        const decode = (entry: CachedAnswer.Entry, now: number) =>
          CachedAnswer.decodeParts(entry, cacheable.form, { isStream: true, now }) as Effect.Effect<Groups, unknown>
        const replay = (groups: Groups): Stream.Stream<A> => Stream.flattenArray(Stream.fromArray(groups))

        const ask = (land: Land): Stream.Stream<A, E, R> =>
          Stream.unwrap(Effect.map(lookUp(cacheable, decode), (found): Stream.Stream<A, E, R> => {
            if (found !== undefined) {
              land({ shared: true, value: { entry: found.entry } })
              return replay(found.answer)
            }
            return recorded(
              Stream.tapCause(call, landFailure(land, watch)),
              settings.maxBytes,
              (parts) =>
                parts === undefined ? Effect.sync(() => land(notShared)) : keep(cacheable, land, { parts }, true)
            )
          }))

        type Answer = Effect.Effect<Stream.Stream<A, E | AiError.AiError, R>, never, Scope.Scope>
        return Stream.unwrap(
          Effect.uninterruptibleMask((restore) =>
            Effect.flatMap(flights.join(cacheable.key, settings.wait, restore), (part): Answer => {
              // It leaves with the stream, whether that ended, was cut, or is no longer read.
              if (part.role !== "follower") return Effect.as(Effect.addFinalizer(() => part.leave), ask(part.land))
              if ("error" in part.value) return Effect.succeed(Stream.fail(ownError(part.value)))
              const shared = decoded(part.value.entry, decode)
              return restore(Effect.map(shared, (groups) => groups === undefined ? call : replay(groups)))
            })
          )
        )
      }))
  }
}

/** A call that takes part in the cache. */
interface Cacheable {
  readonly key: string
  readonly ttl: Duration.Duration
  readonly form: CachedAnswer.Form
}

/** What the callers that wait are given: the answer, or the failure of the one call that was made. */
type Shared =
  | { readonly entry: CachedAnswer.Entry }
  | { readonly error: AiError.AiError; readonly isFinal: boolean }

type Land = (landing: SingleFlight.Landing<Shared>) => void

const notShared = { shared: false } as const

const keeping = (settings: Settings, store: Persistence.BackingPersistenceStore) => ({
  /** The answer that is kept, if there is one and it can still be read. */
  lookUp: <A>(
    { key, ttl }: Cacheable,
    decode: (entry: CachedAnswer.Entry, now: number) => Effect.Effect<A, unknown>
  ): Effect.Effect<{ readonly entry: CachedAnswer.Entry; readonly answer: A } | undefined> =>
    Effect.gen(function*() {
      const stored = yield* Effect.timeoutOption(store.get(key), settings.storeTimeout)
      if (Option.isNone(stored)) {
        yield* Effect.logWarning("The response cache is too slow to read")
        return undefined
      }
      const entry = Option.getOrUndefined(CachedAnswer.read(stored.value))
      const now = yield* Clock.currentTimeMillis
      if (entry === undefined || CachedAnswer.ageOf(entry, now) * 1000 >= Duration.toMillis(ttl)) return undefined
      const answer = yield* decoded(entry, decode)
      return answer === undefined ? undefined : { entry, answer }
    }).pipe(spared("The response cache could not be read")),

  /** Gives the answer to those who wait for it, and to the store. */
  keep: (
    { form, key, ttl }: Cacheable,
    land: Land,
    answer: { readonly parts: ReadonlyArray<ReadonlyArray<unknown>>; readonly value?: unknown },
    isStream: boolean
  ): Effect.Effect<void> =>
    Effect.gen(function*() {
      const parts = answer.parts.flat().filter(Response.isPart)
      if (!CachedAnswer.isKept(parts, form)) return land(notShared)
      // An answer that came from a cache further in is as old as it was there.
      const at = (yield* Clock.currentTimeMillis) - (CachedAnswer.of(parts)?.age ?? 0) * 1000
      const entry = yield* Effect.tapError(
        CachedAnswer.encode({ ...answer, at }, form, isStream),
        () => Effect.sync(() => land(notShared))
      )
      land({ shared: true, value: { entry } })
      if (sizeOf(entry) > settings.maxBytes) return
      const written = yield* Effect.timeoutOption(
        store.set(key, entry, Duration.isFinite(ttl) ? ttl : undefined),
        settings.storeTimeout
      )
      if (Option.isNone(written)) yield* Effect.logWarning("The response cache is too slow to write")
    }).pipe(spared("An answer could not be kept"), Effect.asVoid)
})

/** Undefined where the call goes to the model as if there was no cache. */
const cacheableOf = (settings: Settings, watch: Watch): Effect.Effect<Cacheable | undefined, AiError.AiError> =>
  Effect.gen(function*() {
    const options = yield* Current
    if (options.skip === true) return undefined
    const ttl = options.ttl === undefined ? settings.ttl : ttlOf("ResponseCache.withOptions", options.ttl)
    if (AiError.isAiError(ttl)) return yield* Effect.fail(ttl)
    const tools = yield* toolsOf(watch)
    if (tools === undefined) return undefined
    const extra = [yield* settings.keyOf(watch.options), options.key]
    return yield* cacheKey({ name: settings.name, watch, tools, extra }).pipe(
      Effect.map((key) => ({ key, ttl, form: CachedAnswer.formOf(watch, tools) })),
      Effect.catch(({ cause }) =>
        Effect.as(Effect.logWarning("A call has no key, so its answer is not kept", cause), undefined)
      )
    )
  })

/** Undefined if the handlers cannot be had: then the call fails of the same. */
const toolsOf = ({ options: { toolkit } }: Watch): Effect.Effect<Tools | undefined> => {
  if (toolkit === undefined) return Effect.succeed({})
  // A toolkit is an effect that gives its handlers, and knows its tools without them.
  if ("tools" in toolkit) return Effect.succeed(toolkit.tools)
  return Effect.map(Effect.exit(toolkit), (exit) => Exit.isSuccess(exit) ? exit.value.tools : undefined)
}

/** Undefined for what another version of the program has written, or another program. */
const decoded = <A>(
  entry: CachedAnswer.Entry,
  decode: (entry: CachedAnswer.Entry, now: number) => Effect.Effect<A, unknown>
): Effect.Effect<A | undefined> =>
  Effect.flatMap(
    Clock.currentTimeMillis,
    (now) => Effect.map(Effect.option(decode(entry, now)), Option.getOrUndefined)
  )

/** What the failure of a call is to the others: theirs, too, unless it came of what only this one did. */
const landFailure = (land: Land, watch: Watch) => (cause: Cause.Cause<unknown>): Effect.Effect<void> =>
  Effect.sync(() => {
    // Whoever waits for one that was interrupted takes its place.
    if (Cause.hasInterruptsOnly(cause)) return
    const error = Option.getOrUndefined(Cause.findErrorOption(cause))
    if (!AiError.isAiError(error)) return land(notShared)
    // Of a stream that was cut, the others have seen nothing: the next of them asks again.
    if (!watch.hasActed) land({ shared: true, value: { error, isFinal: isFinal(error) } })
  })

/** An error of its own for each who waits: what one does with it, such as marking it as final, is not for the others. */
const ownError = (shared: { readonly error: AiError.AiError; readonly isFinal: boolean }): AiError.AiError => {
  const { method, module, reason } = shared.error
  const error = AiError.make({ module, method, reason })
  return shared.isFinal ? markFinal(error) : error
}

/** The same stream; `onWhole` runs at its good end, with the parts as they came or undefined if they are too many. */
const recorded = <A, E, R>(
  self: Stream.Stream<A, E, R>,
  maxBytes: number,
  onWhole: (groups: ReadonlyArray<ReadonlyArray<A>> | undefined) => Effect.Effect<void>
): Stream.Stream<A, E, R> =>
  Stream.suspend(() => {
    let groups: Array<ReadonlyArray<A>> | undefined = []
    let length = 0
    return Stream.mapArray(self, (parts) => {
      for (const part of parts) length += lengthOf(part)
      if (length > maxBytes) groups = undefined
      groups?.push(parts)
      return parts
    }).pipe(Stream.concat(Stream.fromEffectDrain(Effect.suspend(() => onWhole(groups)))))
  })

/** Less than what the part is in bytes, by what can be long in it. */
const lengthOf = (part: unknown): number => {
  if (!Response.isPart(part)) return 0
  if ("delta" in part) return part.delta.length
  return part.type === "file" ? part.data.length : 0
}

const sizeOf = (entry: CachedAnswer.Entry): number => new TextEncoder().encode(JSON.stringify(entry)).length

/** Nothing that goes wrong with the store, defects included, is the call's failure. */
const spared = (message: string) => <A, E>(self: Effect.Effect<A, E>): Effect.Effect<A | undefined> =>
  Effect.catchCause(self, (cause) => Effect.as(Effect.logWarning(message, cause), undefined))
