/**
 * A language model with a policy around each of its calls, and with an eye on what the calls do.
 *
 * A call of a model also runs the handlers of the tools that the answer calls. What a handler does is done, and so is what
 * the consumer of a stream has seen: then the call's error is final.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import type * as AiError from "effect/unstable/ai/AiError"
import * as LanguageModel from "effect/unstable/ai/LanguageModel"
import * as Prompt from "effect/unstable/ai/Prompt"
import type * as Tool from "effect/unstable/ai/Tool"
import type * as Toolkit from "effect/unstable/ai/Toolkit"
import * as askedModels from "../model/askedModels.ts"
import * as Acts from "./acts.ts"
import { markFinal } from "./finalErrors.ts"
import * as leadingParts from "./leadingParts.ts"

/**
 * What is known of one call while it runs, over all its tries.
 *
 * @category models
 * @since 0.1.0
 */
export interface Watch {
  readonly method: "generateText" | "generateObject" | "streamText"
  /** What the call was asked with. */
  readonly options: CallOptions
  /** Whether content has gone out or a handler has started. */
  hasActed: boolean
  /** How often a tool's handler has started or ended. */
  events: number
  /** How many handlers are running now. */
  running: number
}

/**
 * What a policy does with a call; it can run the call any number of times.
 *
 * @category models
 * @since 0.1.0
 */
export interface Policy {
  readonly effect: <A extends LanguageModel.GenerateTextResponse<{}>, E, R>(
    call: Effect.Effect<A, E, R>,
    watch: Watch
  ) => Effect.Effect<A, E | AiError.AiError, R>
  /** The stream's leading parts come together with its first content. */
  readonly stream: <A, E, R>(call: Stream.Stream<A, E, R>, watch: Watch) => Stream.Stream<A, E | AiError.AiError, R>
  /** Put around the wait for a stream's first content. */
  readonly opening?: ((watch: Watch) => leadingParts.Around<AiError.AiError> | undefined) | undefined
}

/**
 * The methods of a model, whatever their options ask for.
 *
 * @category models
 * @since 0.1.0
 */
export interface Calls<R> {
  readonly generateText: (options: CallOptions) => Effect.Effect<LanguageModel.GenerateTextResponse<{}>, unknown, R>
  readonly generateObject: (
    options: CallOptions
  ) => Effect.Effect<LanguageModel.GenerateObjectResponse<{}, unknown>, unknown, R>
  readonly streamText: (options: CallOptions) => Stream.Stream<unknown, unknown, R>
}

/**
 * The options of a call that policies read; all others go through them as they came.
 *
 * @category models
 * @since 0.1.0
 */
export interface CallOptions {
  readonly prompt?: Prompt.RawInput | undefined
  readonly toolChoice?: unknown
  /** Of `generateObject`. */
  readonly schema?: Schema.Constraint | undefined
  readonly objectName?: string | undefined
  readonly toolkit?: Handlers | Effect.Effect<Handlers> | undefined
  readonly disableToolCallResolution?: boolean | undefined
}

/**
 * The tools of a call with what runs them.
 *
 * @category models
 * @since 0.1.0
 */
export type Handlers = Toolkit.WithHandler<Record<string, Tool.Any>>

/**
 * The model with the policy around its calls.
 *
 * @category combinators
 * @since 0.1.0
 */
export const aroundModel = (model: LanguageModel.LanguageModel, policy: Policy): LanguageModel.LanguageModel => {
  // The methods' types follow from the options of each call, which a policy neither knows nor changes.
  const calls = model as unknown as Calls<never>
  const around = fromCalls({
    generateText: (options) =>
      effect("generateText", options, (watch) => calls.generateText(watched(options, watch)), policy),
    generateObject: (options) =>
      effect("generateObject", options, (watch) => calls.generateObject(watched(options, watch)), policy),
    streamText: (options) =>
      Stream.unwrap(Effect.map(Acts.Current, (acts) => {
        const watch = watchOf("streamText", options, acts)
        const held = leadingParts.hold(calls.streamText(watched(options, watch)), {
          around: policy.opening?.(watch),
          onContent: () => act(watch)
        })
        return policy.stream(Stream.mapError(held, (error) => watch.hasActed ? markFinal(error) : error), watch)
      }))
  })
  return askedModels.mark(around, askedModels.of(model))
}

/**
 * A model whose methods need not know what is asked of it. They may read the prompt as often as they like.
 *
 * @category constructors
 * @since 0.1.0
 */
export const fromCalls = (calls: Calls<never>): LanguageModel.LanguageModel =>
  // The methods give what the model gave that the options went to.
  ({
    [LanguageModel.TypeId]: LanguageModel.TypeId,
    generateText: (options: CallOptions) => calls.generateText(kept(options)),
    generateObject: (options: CallOptions) => calls.generateObject(kept(options)),
    streamText: (options: CallOptions) => calls.streamText(kept(options))
  }) as unknown as LanguageModel.LanguageModel

/**
 * The toolkit with other handlers. It is known of it as before which tools it has, also where its handlers are made only
 * during the call.
 *
 * @category combinators
 * @since 0.1.0
 */
export const mapHandlers = (
  toolkit: NonNullable<CallOptions["toolkit"]>,
  f: (handlers: Handlers) => Handlers
): NonNullable<CallOptions["toolkit"]> => {
  if (!Effect.isEffect(toolkit)) return f(toolkit)
  const mapped = Effect.map(toolkit, f)
  return "tools" in toolkit ? Object.assign(mapped, { tools: toolkit.tools }) : mapped
}

/**
 * The context with its language model, if it has one, watched: what its calls do is written into the current account.
 *
 * @category combinators
 * @since 0.1.0
 */
export const watchModel = <R>(context: Context.Context<R>): Context.Context<R> => {
  const model = Context.getOrUndefined(context, LanguageModel.LanguageModel)
  return model === undefined
    ? context
    : Context.add(context, LanguageModel.LanguageModel, aroundModel(model, { effect: (_) => _, stream: (_) => _ }))
}

/** Messages that come out of a generator are gone once they are read, and another try would ask with none. */
const kept = (options: CallOptions): CallOptions => {
  const { prompt } = options
  return typeof prompt === "object" && Symbol.iterator in prompt && Object.is(prompt[Symbol.iterator](), prompt)
    ? { ...options, prompt: Prompt.make(prompt) }
    : options
}

interface Account extends Watch {
  readonly acts: Acts.Acts | undefined
}

const watchOf = (method: Watch["method"], options: CallOptions, acts: Acts.Acts | undefined): Account => ({
  method,
  options,
  hasActed: false,
  events: 0,
  running: 0,
  acts
})

const act = (watch: Account): void => {
  watch.hasActed = true
  Acts.act(watch.acts)
}

const effect = <A extends LanguageModel.GenerateTextResponse<{}>>(
  method: Watch["method"],
  options: CallOptions,
  call: (watch: Account) => Effect.Effect<A, unknown>,
  policy: Policy
): Effect.Effect<A, unknown> =>
  Effect.flatMap(Acts.Current, (acts) => {
    const watch = watchOf(method, options, acts)
    return policy.effect(Effect.mapError(call(watch), (error) => watch.hasActed ? markFinal(error) : error), watch)
  })

const watched = (options: CallOptions, watch: Account): CallOptions => {
  const { toolkit } = options
  if (toolkit === undefined || options.disableToolCallResolution === true) return options
  return { ...options, toolkit: mapHandlers(toolkit, (handlers) => watchedHandlers(handlers, watch)) }
}

const watchedHandlers = (handlers: Handlers, watch: Account): Handlers => ({
  ...handlers,
  handle: (name, params, toolCallId, options) =>
    // Parameters that the handler does not accept fail here, before it has started.
    Effect.map(handlers.handle(name, params, toolCallId, options), (results) => {
      act(watch)
      watch.events++
      watch.running++
      return Stream.ensuring(
        results,
        Effect.sync(() => {
          watch.events++
          watch.running--
        })
      )
    })
})
