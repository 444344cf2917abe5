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
 * import * as LanguageModel from "effect/unstable/ai/LanguageModel"
 * import * as Persistence from "effect/unstable/persistence/Persistence"
 * import type { AiGatewayClient } from "effect-ai-gateway"
 * import * as ResponseCache from "effect-ai-gateway/ResponseCache"
 *
 * export const program = <R>(client: AiGatewayClient<R>) =>
 *   Effect.gen(function*() {
 *     const ask = LanguageModel.generateText({ prompt: "What is Effect?" })
 *     yield* ask
 *     const again = yield* ask
 *     return { text: again.text, secondsOld: ResponseCache.of(again)?.age }
 *   }).pipe(
 *     Effect.provide(
 *       client.model({ provider: "openai", model: "gpt-4o-mini" }).pipe(
 *         ResponseCache.layer({ name: "openai/gpt-4o-mini", ttl: "1 hour" })
 *       )
 *     ),
 *     // It lives as long as its layer: a server provides it to all of itself, not to each request.
 *     Effect.provide(Persistence.layerBackingMemory)
 *   )
 * ```
 *
 * @since 0.1.0
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { dual } from "effect/Function"
import type * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as AiError from "effect/unstable/ai/AiError"
import type * as LanguageModel from "effect/unstable/ai/LanguageModel"
import * as Persistence from "effect/unstable/persistence/Persistence"
import { aroundCall, type Call, type Called } from "../client/aroundCall.ts"
import { aroundModel, type CallOptions as Asked } from "./aroundModel.ts"
import * as CachePolicy from "./cachePolicy.ts"
import { invalidOption } from "./finalErrors.ts"
import { layerAround, type PolicyLayer, refusing } from "./policyLayer.ts"

export { type Cached, of } from "./cachedAnswer.ts"
export { type CallOptions, Current } from "./cachePolicy.ts"

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
 * A language model whose answers are kept, and given again to calls that ask the same.
 *
 * An option out of its range fails each call with an `InvalidRequestError`, before any request.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer: PolicyLayer<Options, Persistence.BackingPersistence> = dual(
  2,
  <E, R>(model: Layer.Layer<LanguageModel.LanguageModel, E, R>, options: Options) => {
    const settings = settingsOf(options)
    return layerAround(model, (model) =>
      Effect.gen(function*() {
        const persistence = yield* Persistence.BackingPersistence
        const policy = AiError.isAiError(settings)
          ? refusing(settings)
          : CachePolicy.make(settings, yield* persistence.make(settings.storeId))
        return aroundModel(model, policy)
      }))
  }
)

/**
 * Sets options for every call inside an effect or a stream, over those of outer calls.
 *
 * @category combinators
 * @since 0.1.0
 */
export const withOptions: {
  (options: CachePolicy.CallOptions): <Self extends Call>(self: Self) => Called<Self>
  <Self extends Call>(self: Self, options: CachePolicy.CallOptions): Called<Self>
} = dual(
  2,
  (self: Call, options: CachePolicy.CallOptions): Call =>
    aroundCall(self, CachePolicy.Current, (outer) => ({ ...outer, ...options }))
)

/**
 * Asks the model whatever is in the cache, and keeps nothing.
 *
 * @category combinators
 * @since 0.1.0
 */
export const skip = <Self extends Call>(self: Self): Called<Self> => withOptions(self, { skip: true })

const settingsOf = (options: Options): CachePolicy.Settings | AiError.AiError => {
  const method = "ResponseCache.layer"
  const { keyOf = () => Effect.void, maxBytes = 1024 * 1024, name, storeId = "response-cache" } = options
  for (const [parameter, value] of [["name", name], ["storeId", storeId]] as const) {
    if (value === "") return invalidOption({ method, parameter, accepted: "a text that is not empty", value })
  }
  if (!Number.isSafeInteger(maxBytes) || maxBytes < 1) {
    return invalidOption({ method, parameter: "maxBytes", accepted: "an integer of at least 1", value: maxBytes })
  }
  const ttl = CachePolicy.ttlOf(method, options.ttl)
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
