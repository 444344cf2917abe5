/**
 * Tries a call again when its failure is one that passes: too many requests, a provider that failed, a lost connection.
 *
 * Waits as long as the answer's `retry-after` says, else a little longer after each try. A stream is tried again only
 * while none of its content has reached the consumer, so that no part comes twice; a call whose tools have started to run
 * is not tried again.
 *
 * **Example** (A model that is tried up to five times, with nothing changed where it is used)
 *
 * ```ts
 * import * as Effect from "effect/Effect"
 * import * as LanguageModel from "effect/unstable/ai/LanguageModel"
 * import { type AiGatewayClient, Retry } from "effect-ai-gateway"
 *
 * export const answer = <R>(client: AiGatewayClient<R>) =>
 *   LanguageModel.generateText({ prompt: "What is Effect?" }).pipe(
 *     Effect.provide(Retry.layer(client.model({ model: "@cf/meta/llama-3.1-8b-instruct" }), { attempts: 5 }))
 *   )
 * ```
 *
 * @since 0.1.0
 */
import type * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { dual, identity } from "effect/Function"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Schedule from "effect/Schedule"
import * as Stream from "effect/Stream"
import * as AiError from "effect/unstable/ai/AiError"
import type * as LanguageModel from "effect/unstable/ai/LanguageModel"
import { GatewayError } from "../client/GatewayError.ts"
import type { Call } from "../model/Parameters.ts"
import * as Acts from "./acts.ts"
import { aroundModel, type Policy, watchModel } from "./aroundModel.ts"
import { invalidOption, isFinal } from "./finalErrors.ts"
import * as leadingParts from "./leadingParts.ts"
import { layerAround, refusing } from "./policyLayer.ts"

/**
 * How often, after how long, and after which failures a call is tried again.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options {
  /** Tries in all, the first one included: an integer from 1 to 10; 3 by default. */
  readonly attempts?: number | undefined
  /** The wait before the second try, doubled before each further one; 200 milliseconds by default. */
  readonly baseDelay?: Duration.Input | undefined
  /** The longest wait, also where the answer asks for a longer one; 60 seconds by default. */
  readonly maxDelay?: Duration.Input | undefined
  /** Varies each wait by up to a fifth, so that many clients do not come back at once; `true` by default. */
  readonly jitter?: boolean | undefined
  /** Which failures are tried again, in place of `error.isRetryable`. */
  readonly while?: ((error: AiError.AiError | GatewayError) => boolean) | undefined
}

/**
 * The call with the failure that a wrong option is.
 *
 * @category models
 * @since 0.1.0
 */
export type Retried<Self extends Call> = Self extends Stream.Stream<infer A, infer E, infer R>
  ? Stream.Stream<A, E | AiError.AiError, R>
  : Self extends Effect.Effect<infer A, infer E, infer R> ? Effect.Effect<A, E | AiError.AiError, R>
  : never

/**
 * The waits alone, for `Effect.retry`: goes on while the error is an `AiError` or a `GatewayError` to be tried again.
 *
 * An option out of its range is thrown, since a schedule could say so only after the first try.
 *
 * @category constructors
 * @since 0.1.0
 */
export const schedule = (options: Options = {}): Schedule.Schedule<Duration.Duration, unknown> => {
  const settings = settingsOf("schedule", options)
  if (AiError.isAiError(settings)) throw settings
  return scheduleOf(settings, isRetried)
}

/**
 * A language model whose calls are tried again; what fails in the end is the last error.
 *
 * An option out of its range fails each call with an `InvalidRequestError`, before any request.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer: {
  (options?: Options): <E, R>(
    model: Layer.Layer<LanguageModel.LanguageModel, E, R>
  ) => Layer.Layer<LanguageModel.LanguageModel, E, R>
  <E, R>(
    model: Layer.Layer<LanguageModel.LanguageModel, E, R>,
    options?: Options
  ): Layer.Layer<LanguageModel.LanguageModel, E, R>
} = dual(
  (args) => Layer.isLayer(args[0]),
  <E, R>(model: Layer.Layer<LanguageModel.LanguageModel, E, R>, options: Options = {}) => {
    const settings = settingsOf("layer", options)
    const policy: Policy = AiError.isAiError(settings)
      ? refusing(settings)
      : {
        effect: (call) => Effect.retry(call, scheduleOf(settings, isRetried)),
        stream: (call) => Stream.retry(call, scheduleOf(settings, isRetried))
      }
    return layerAround(model, (model) => Effect.succeed(aroundModel(model, policy)))
  }
)

/**
 * Tries an effect or a stream again, with everything that is in it; what fails in the end is the last error.
 *
 * Failures other than `AiError` and `GatewayError` are not tried again. Of a stream that has no response parts, every
 * element is content. An option out of its range is an `InvalidRequestError`, before the first try.
 *
 * @category combinators
 * @since 0.1.0
 */
export const withRetry: {
  (options?: Options): <Self extends Call>(self: Self) => Retried<Self>
  <Self extends Call>(self: Self, options?: Options): Retried<Self>
} = dual(
  (args) => Stream.isStream(args[0]) || Effect.isEffect(args[0]),
  (self: Call, options: Options = {}): Call => {
    const settings = settingsOf("withRetry", options)
    if (Stream.isStream(self)) return AiError.isAiError(settings) ? Stream.fail(settings) : retryStream(self, settings)
    return AiError.isAiError(settings) ? Effect.fail(settings) : retryEffect(self, settings)
  }
)

interface Settings {
  readonly attempts: number
  readonly baseDelay: Duration.Duration
  readonly maxDelay: Duration.Duration
  readonly jitter: boolean
  readonly while: NonNullable<Options["while"]>
}

type Failure = AiError.AiError | GatewayError

/** What is known of the context's type does not matter: its model is only replaced by the same one, watched. */
const watch = (context: Context.Context<unknown>): Context.Context<unknown> => watchModel(context)

const settingsOf = (name: string, options: Options): Settings | AiError.AiError => {
  const method = `Retry.${name}`
  const attempts = options.attempts ?? 3
  if (!Number.isInteger(attempts) || attempts < 1 || attempts > 10) {
    return invalidOption({ method, parameter: "attempts", accepted: "an integer from 1 to 10", value: attempts })
  }
  const delays = { baseDelay: Duration.millis(200), maxDelay: Duration.seconds(60) }
  for (const parameter of ["baseDelay", "maxDelay"] as const) {
    const value = options[parameter]
    if (value === undefined) continue
    const duration = Option.getOrUndefined(Duration.fromInput(value))
    if (duration === undefined || !Duration.isFinite(duration) || Duration.isNegative(duration)) {
      return invalidOption({ method, parameter, accepted: "a finite duration of at least 0", value })
    }
    delays[parameter] = duration
  }
  return { ...delays, attempts, jitter: options.jitter ?? true, while: options.while ?? ((error) => error.isRetryable) }
}

const scheduleOf = (
  settings: Settings,
  goesOn: (error: unknown, settings: Settings) => boolean
): Schedule.Schedule<Duration.Duration, unknown> =>
  Schedule.exponential(settings.baseDelay).pipe(
    settings.jitter ? Schedule.jittered : identity,
    Schedule.setInputType<unknown>(),
    Schedule.modifyDelay(({ duration, input }) =>
      // The answer's wait is not varied: a try before its time is refused again.
      Effect.succeed(Duration.min((isFailure(input) ? input.retryAfter : undefined) ?? duration, settings.maxDelay))
    ),
    Schedule.while(({ attempt, input }) => attempt < settings.attempts && goesOn(input, settings))
  )

const isFailure = (error: unknown): error is Failure => AiError.isAiError(error) || error instanceof GatewayError

const isRetried = (error: unknown, settings: Settings): boolean =>
  isFailure(error) && !isFinal(error) && settings.while(error)

const retryEffect = (self: Effect.Effect<unknown, unknown, unknown>, settings: Settings) =>
  Acts.effect((acts) =>
    Effect.retry(
      Effect.updateContext(self, watch),
      scheduleOf(settings, (error) => !acts.hasActed && isRetried(error, settings))
    )
  )

const retryStream = (self: Stream.Stream<unknown, unknown, unknown>, settings: Settings) =>
  Acts.stream((acts) =>
    Stream.retry(
      // The elements may be content that no model gave.
      leadingParts.hold(Stream.updateContext(self, watch), { onContent: () => Acts.act(acts) }),
      scheduleOf(settings, (error) => !acts.hasActed && isRetried(error, settings))
    )
  )
