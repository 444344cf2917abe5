/**
 * Answers of a model, kept and given again to calls that ask the same: text, objects and, part by part, streams.
 *
 * Calls that ask the same at the same time are one call. Kept is only what is whole and can be repeated: no failure, no
 * stream that was cut, no answer that had a tool's handler run. Where they are kept says Effect's `BackingPersistence`:
 * memory, SQL, Redis or a `KeyValueStore` with the layers of Effect, Workers KV with `WorkersKv`, Cloudflare's Cache API
 * with `CacheApi`. Whatever goes wrong there, the call is made.
 *
 * **Example** (Answers that are kept for an hour)
 *
 * ```ts
 * import * as Effect from "effect/Effect"
 * import * as Layer from "effect/Layer"
 * import * as LanguageModel from "effect/unstable/ai/LanguageModel"
 * import * as Persistence from "effect/unstable/persistence/Persistence"
 * import type { AiGatewayClient } from "effect-ai-gateway"
 * import * as ResponseCache from "effect-ai-gateway/ResponseCache"
 *
 * export const cached = <R>(client: AiGatewayClient<R>) =>
 *   client.model({ provider: "openai", model: "gpt-4o-mini" }).pipe(
 *     ResponseCache.layer({ name: "openai/gpt-4o-mini", ttl: "1 hour" }),
 *     Layer.provide(Persistence.layerBackingMemory)
 *   )
 *
 * export const answer = Effect.gen(function*() {
 *   const response = yield* LanguageModel.generateText({ prompt: "What is Effect?" })
 *   return { text: response.text, secondsOld: ResponseCache.of(response)?.age ?? 0 }
 * })
 * ```
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
import { dual } from "effect/Function"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as AiError from "effect/unstable/ai/AiError"
import * as LanguageModel from "effect/unstable/ai/LanguageModel"
import * as Response from "effect/unstable/ai/Response"
import * as Persistence from "effect/unstable/persistence/Persistence"
import { aroundCall, type Call, type Called } from "../client/aroundCall.ts"
import { aroundModel, type CallOptions as Asked, type Policy, type Watch } from "./aroundModel.ts"
import * as CachedAnswer from "./cachedAnswer.ts"
import { cacheKey, type Tools } from "./cacheKey.ts"
import { invalidOption } from "./finalErrors.ts"
import * as SingleFlight from "./singleFlight.ts"

export type { Cached } from "./cachedAnswer.ts"

/**
 * How long answers are kept, and what they depend on.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options {
  /**
   * What model this is, part of the key: two models with one name have one cache. The model's own parameters are not in the
   * key, those around a call are; a model that is asked in another way, from now on, needs another name.
   */
  readonly name: string
  /** How old an answer may be, more than 0; a plain number is milliseconds. */
  readonly ttl: Duration.Input
  /** What else the answer depends on, as JSON: a tenant, a version, metadata that a dynamic route goes by. */
  readonly keyOf?: ((call: Asked) => Effect.Effect<unknown>) | undefined
  /** Larger answers are not kept, in bytes of their JSON: an integer of at least 1; 1 MiB by default. */
  readonly maxBytes?: number | undefined
  /**
   * How long a call waits for one that asks the same and is under way, before it asks the model itself; 30 seconds by
   * default. 0 lets every call ask for itself.
   */
  readonly wait?: Duration.Input | undefined
  /** How long reading or writing may take before the call goes on without, more than 0; 1 second by default. */
  readonly storeTimeout?: Duration.Input | undefined
  /** The store's part that is used; `response-cache` by default. */
  readonly storeId?: string | undefined
}

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
 * A language model whose answers are kept, and given again to calls that ask the same.
 *
 * An option out of its range fails each call with an `InvalidRequestError`, before any request.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer: {
  (options: Options): <E, R>(
    model: Layer.Layer<LanguageModel.LanguageModel, E, R>
  ) => Layer.Layer<LanguageModel.LanguageModel, E, R | Persistence.BackingPersistence>
  <E, R>(
    model: Layer.Layer<LanguageModel.LanguageModel, E, R>,
    options: Options
  ): Layer.Layer<LanguageModel.LanguageModel, E, R | Persistence.BackingPersistence>
} = dual(
  2,
  <E, R>(model: Layer.Layer<LanguageModel.LanguageModel, E, R>, options: Options) =>
    Layer.effect(
      LanguageModel.LanguageModel,
      Effect.gen(function*() {
        const model = yield* LanguageModel.LanguageModel
        const settings = settingsOf(options)
        if (AiError.isAiError(settings)) {
          return aroundModel(model, { effect: () => Effect.fail(settings), stream: () => Stream.fail(settings) })
        }
        const persistence = yield* Persistence.BackingPersistence
        return aroundModel(model, cacheOf(settings, yield* persistence.make(settings.storeId)))
      })
    ).pipe(Layer.provide(model))
)

/**
 * Sets options for every call inside an effect or a stream, over those of outer calls.
 *
 * @category combinators
 * @since 0.1.0
 */
export const withOptions: {
  (options: CallOptions): <Self extends Call>(self: Self) => Called<Self>
  <Self extends Call>(self: Self, options: CallOptions): Called<Self>
} = dual(
  2,
  (self: Call, options: CallOptions): Call => aroundCall(self, Current, (outer) => ({ ...outer, ...options }))
)

/**
 * Asks the model whatever is in the cache, and keeps nothing.
 *
 * @category combinators
 * @since 0.1.0
 */
export const skip = <Self extends Call>(self: Self): Called<Self> => withOptions(self, { skip: true })

/**
 * Says how old an answer from the cache is; undefined if the model was asked for it, or if it has not ended yet.
 *
 * Takes a `generateText` / `generateObject` response, a list of parts, or a finish part itself. What shared the answer of a
 * call that was under way is from the cache, too: nothing was paid for it.
 *
 * @category accessors
 * @since 0.1.0
 */
export const of = (
  response:
    | { readonly content: ReadonlyArray<Response.AnyPart> }
    | ReadonlyArray<Response.AnyPart>
    | Response.AnyPart
): CachedAnswer.Cached | undefined => {
  const parts: ReadonlyArray<Response.AnyPart> = "content" in response
    ? response.content
    : Array.isArray(response)
    ? response
    // A list that may be read-only is not taken out of the type by Array.isArray.
    : [response as Response.AnyPart]
  const finish = parts.findLast((part) => part.type === "finish")
  return finish?.metadata.responseCache ?? undefined
}

interface Settings {
  readonly name: string
  readonly ttl: Duration.Duration
  readonly keyOf: NonNullable<Options["keyOf"]>
  readonly maxBytes: number
  readonly wait: Duration.Duration
  readonly storeTimeout: Duration.Duration
  readonly storeId: string
}

const settingsOf = (options: Options): Settings | AiError.AiError => {
  const method = "ResponseCache.layer"
  const { keyOf = () => Effect.void, maxBytes = 1024 * 1024, name, storeId = "response-cache" } = options
  for (const [parameter, value] of [["name", name], ["storeId", storeId]] as const) {
    if (value === "") return invalidOption({ method, parameter, accepted: "a text that is not empty", value })
  }
  if (!Number.isSafeInteger(maxBytes) || maxBytes < 1) {
    return invalidOption({ method, parameter: "maxBytes", accepted: "an integer of at least 1", value: maxBytes })
  }
  const ttl = ttlOf(method, options.ttl)
  if (AiError.isAiError(ttl)) return ttl
  const durations = { wait: Duration.seconds(30), storeTimeout: Duration.seconds(1) }
  for (const parameter of ["wait", "storeTimeout"] as const) {
    const value = options[parameter]
    if (value === undefined) continue
    const duration = Option.getOrUndefined(Duration.fromInput(value))
    const least = parameter === "wait" ? "at least" : "more than"
    if (
      duration === undefined || !Duration.isFinite(duration) || Duration.isNegative(duration) ||
      parameter !== "wait" && Duration.isZero(duration)
    ) {
      return invalidOption({ method, parameter, accepted: `a finite duration of ${least} 0`, value })
    }
    durations[parameter] = duration
  }
  return { ...durations, name, ttl, keyOf, maxBytes, storeId }
}

const ttlOf = (method: string, value: Duration.Input): Duration.Duration | AiError.AiError => {
  const duration = Option.getOrUndefined(Duration.fromInput(value))
  return duration !== undefined && Duration.isPositive(duration)
    ? duration
    : invalidOption({ method, parameter: "ttl", accepted: "a duration of more than 0", value })
}

/** A call that takes part in the cache. */
interface Cacheable {
  readonly key: string
  readonly ttl: Duration.Duration
  readonly form: CachedAnswer.Form
}

/** What the callers that wait are given: the answer, or the failure of the one call that was made. */
type Shared = { readonly entry: CachedAnswer.Entry } | { readonly error: AiError.AiError }

type Land = (landing: SingleFlight.Landing<Shared>) => void

const cacheOf = (settings: Settings, store: Persistence.BackingPersistenceStore): Policy => {
  const flights = SingleFlight.make<Shared>()
  const isFresh = (entry: CachedAnswer.Entry, ttl: Duration.Duration, now: number) =>
    CachedAnswer.ageOf(entry, now) * 1000 < Duration.toMillis(ttl)

  /** The answer that is kept, if there is one and it can still be read. */
  const lookUp = <A>(
    { key, ttl }: Cacheable,
    decode: (entry: CachedAnswer.Entry, now: number) => Effect.Effect<A, unknown>
  ): Effect.Effect<{ readonly entry: CachedAnswer.Entry; readonly answer: A } | undefined> =>
    Effect.gen(function*() {
      const stored = yield* Effect.timeoutOption(store.get(key), settings.storeTimeout)
      if (Option.isNone(stored)) {
        return yield* Effect.as(Effect.logWarning("The response cache is too slow to read"), undefined)
      }
      const entry = Option.getOrUndefined(CachedAnswer.read(stored.value))
      const now = yield* Clock.currentTimeMillis
      if (entry === undefined || !isFresh(entry, ttl, now)) {
        return undefined
      }
      // What cannot be decoded was written by another version of the program, or not by us.
      const answer = yield* Effect.option(decode(entry, now))
      return Option.isNone(answer) ? undefined : { entry, answer: answer.value }
    }).pipe(spared("The response cache could not be read"))

  /** Gives the answer to those who wait for it, and to the store. */
  const keep = (
    { form, key, ttl }: Cacheable,
    land: Land,
    answer: { readonly parts: ReadonlyArray<ReadonlyArray<unknown>>; readonly value?: unknown },
    isStream: boolean
  ): Effect.Effect<void> =>
    Effect.gen(function*() {
      const parts = answer.parts.flat().filter(Response.isPart)
      if (!CachedAnswer.isKept(parts, form)) return land(notShared)
      // An answer that came from a cache further in is as old as it was there.
      const at = (yield* Clock.currentTimeMillis) - (of(parts)?.age ?? 0) * 1000
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

  /** What the leader's failure is to the others: theirs, too, unless it came of what only the leader did. */
  const landFailure = (land: Land, watch: Watch) => (cause: Cause.Cause<unknown>) =>
    Effect.sync(() => {
      // Whoever waits for one that was interrupted takes its place.
      if (Cause.hasInterruptsOnly(cause)) return
      const error = Option.getOrUndefined(Cause.findErrorOption(cause))
      if (!AiError.isAiError(error)) return land(notShared)
      // Of a stream that was cut, the others have seen nothing: the next of them asks again.
      if (!watch.hasActed) land({ shared: true, value: { error } })
    })

  return {
    effect: <A extends LanguageModel.GenerateTextResponse<{}>, E, R>(call: Effect.Effect<A, E, R>, watch: Watch) =>
      Effect.flatMap(cacheableOf(settings, watch), (cacheable): Effect.Effect<A, E | AiError.AiError, R> => {
        if (cacheable === undefined) return call
        // The response was encoded as one of this method.
        const decode = (entry: CachedAnswer.Entry, now: number) =>
          CachedAnswer.decodeResponse(entry, cacheable.form, now) as Effect.Effect<A, unknown>

        const lead = (land: Land): Effect.Effect<A, E, R> =>
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

        return Effect.uninterruptibleMask((restore) =>
          Effect.flatMap(
            flights.join(cacheable.key, settings.wait, restore),
            ({ leave, part }): Effect.Effect<A, E | AiError.AiError, R> => {
              switch (part.role) {
                case "alone":
                  return restore(call)
                case "leader":
                  return Effect.ensuring(restore(lead(part.land)), leave)
                case "follower":
                  if ("error" in part.value) return Effect.fail(part.value.error)
                  return restore(Effect.flatMap(
                    fromEntry(part.value.entry, decode),
                    (answer) => answer === undefined ? call : Effect.succeed(answer)
                  ))
              }
            }
          )
        )
      }),
    stream: <A, E, R>(call: Stream.Stream<A, E, R>, watch: Watch) =>
      Stream.unwrap(Effect.map(cacheableOf(settings, watch), (cacheable): Stream.Stream<A, E | AiError.AiError, R> => {
        if (cacheable === undefined) return call
        const decode = (entry: CachedAnswer.Entry, now: number) =>
          // The parts were encoded as those of such a stream.
          CachedAnswer.decodeParts(entry, cacheable.form, { isStream: true, now }) as Effect.Effect<
            ReadonlyArray<Arr.NonEmptyReadonlyArray<A>>,
            unknown
          >
        const replay = (groups: ReadonlyArray<Arr.NonEmptyReadonlyArray<A>>): Stream.Stream<A> =>
          Stream.flattenArray(Stream.fromArray(groups))

        const lead = (land: Land): Stream.Stream<A, E, R> =>
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

        type Opened = Effect.Effect<Stream.Stream<A, E | AiError.AiError, R>, never, Scope.Scope>
        return Stream.unwrap(
          Effect.uninterruptibleMask((restore) =>
            Effect.flatMap(flights.join(cacheable.key, settings.wait, restore), ({ leave, part }): Opened => {
              switch (part.role) {
                case "alone":
                  return Effect.succeed(call)
                case "leader":
                  // With the stream, whether it ended, was cut, or is no longer read.
                  return Effect.as(Effect.addFinalizer(() => leave), lead(part.land))
                case "follower":
                  if ("error" in part.value) return Effect.succeed(Stream.fail(part.value.error))
                  return restore(Effect.map(
                    fromEntry(part.value.entry, decode),
                    (groups) => groups === undefined ? call : replay(groups)
                  ))
              }
            })
          )
        )
      }))
  }
}

const notShared = { shared: false } as const

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

/** What others decoded differently, with tools or a schema of the same JSON schema, is undefined. */
const fromEntry = <A>(
  entry: CachedAnswer.Entry,
  decode: (entry: CachedAnswer.Entry, now: number) => Effect.Effect<A, unknown>
): Effect.Effect<A | undefined> =>
  Effect.flatMap(
    Clock.currentTimeMillis,
    (now) => Effect.map(Effect.option(decode(entry, now)), Option.getOrUndefined)
  )

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
