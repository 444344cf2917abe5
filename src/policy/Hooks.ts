/**
 * Effects that run with each call of a model: when it is asked, when it answers, when it fails, and for each part of a stream.
 *
 * Of each call exactly one of `onResponse`, `onError` and `onInterrupt` runs. By default hooks can neither break nor slow the
 * call: they run beside it, and what they fail with is logged. It is closing the layer that waits for them: it stands around
 * a program, and not around each call. Hooks see no text of prompts and answers, unless asked for.
 *
 * **Example** (A log line for each answer)
 *
 * ```ts
 * import * as Effect from "effect/Effect"
 * import * as LanguageModel from "effect/unstable/ai/LanguageModel"
 * import type { AiGatewayClient } from "effect-ai-gateway"
 * import * as Hooks from "effect-ai-gateway/Hooks"
 *
 * export const answer = <R>(client: AiGatewayClient<R>) =>
 *   LanguageModel.generateText({ prompt: "What is Effect?" }).pipe(
 *     Effect.provide(
 *       client.model({ model: "@cf/meta/llama-3.1-8b-instruct" }).pipe(
 *         Hooks.layer({
 *           onResponse: ({ duration, id, model, usage }) =>
 *             Effect.logInfo("answered", { id, model, duration, tokens: usage?.outputTokens.total }),
 *           onError: ({ id, reason }) => Effect.logError("failed", { id, reason })
 *         })
 *       )
 *     )
 *   )
 * ```
 *
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import type * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import { dual } from "effect/Function"
import type * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Pull from "effect/Pull"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as AiError from "effect/unstable/ai/AiError"
import * as IdGenerator from "effect/unstable/ai/IdGenerator"
import type * as LanguageModel from "effect/unstable/ai/LanguageModel"
import * as Prompt from "effect/unstable/ai/Prompt"
import * as Response from "effect/unstable/ai/Response"
import * as ResponseInfo from "../client/ResponseInfo.ts"
import type { FailureInfo } from "../model/AiErrors.ts"
import * as Answered from "./answered.ts"
import { aroundModel, type Policy, type Watch } from "./aroundModel.ts"
import { unplanned } from "./attempts.ts"
import { invalidOption } from "./finalErrors.ts"
import type { EndEvent, ErrorEvent, PartEvent, RequestEvent, ResponseEvent } from "./hookEvents.ts"
import * as HookLines from "./hookLines.ts"
import * as OwnContext from "./ownContext.ts"
import { layerAround, refusing } from "./policyLayer.ts"

export type { Answered } from "./answered.ts"
export type { EndEvent, ErrorEvent, PartEvent, RequestEvent, ResponseEvent } from "./hookEvents.ts"
export { HookFailed, type HookName } from "./hookLines.ts"

/**
 * What runs, and how. A hook's requirements are those of the layer.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options<R = never> {
  /** Before the model is asked. */
  readonly onRequest?: ((event: RequestEvent) => Effect.Effect<unknown, unknown, R>) | undefined
  /** For each part of a stream, in order. */
  readonly onPart?: ((event: PartEvent) => Effect.Effect<unknown, unknown, R>) | undefined
  /** After a whole answer. */
  readonly onResponse?: ((event: ResponseEvent) => Effect.Effect<unknown, unknown, R>) | undefined
  /** After a failure or a defect. */
  readonly onError?: ((event: ErrorEvent) => Effect.Effect<unknown, unknown, R>) | undefined
  /** After a call that was interrupted, or a stream that its consumer left before the finish part. */
  readonly onInterrupt?: ((event: EndEvent) => Effect.Effect<unknown, unknown, R>) | undefined
  /** The hooks run in the call, which goes on when they have ended; `false` by default. */
  readonly wait?: boolean | undefined
  /** What a hook fails with fails the call, with {@link HookFailed}; implies `wait`. `false` by default. */
  readonly failing?: boolean | undefined
  /** Gives the hooks prompts, parts, answers and errors; `false` by default. */
  readonly content?: boolean | undefined
  /** What an answer cost. */
  readonly cost?: ((answered: Answered.Answered) => number | undefined) | undefined
  /** How many hooks may wait in the background: an integer of at least 1; 1000 by default. */
  readonly capacity?: number | undefined
  /** How many hooks run at once in the background: an integer of at least 1; 16 by default. */
  readonly concurrency?: number | undefined
  /** How long closing the layer waits for hooks in the background, at most; 10 seconds by default. */
  readonly grace?: Duration.Input | undefined
}

/**
 * A language model whose calls run hooks.
 *
 * With retries inside, hooks see a call once; with retries around them, they see each try.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer: {
  <R2 = never>(options: Options<R2>): <E, R>(
    model: Layer.Layer<LanguageModel.LanguageModel, E, R>
  ) => Layer.Layer<LanguageModel.LanguageModel, E, R | Exclude<R2, Scope.Scope>>
  <E, R, R2 = never>(
    model: Layer.Layer<LanguageModel.LanguageModel, E, R>,
    options: Options<R2>
  ): Layer.Layer<LanguageModel.LanguageModel, E, R | Exclude<R2, Scope.Scope>>
} = dual(
  2,
  <E, R, R2>(model: Layer.Layer<LanguageModel.LanguageModel, E, R>, options: Options<R2>) =>
    layerAround(model, (model) =>
      Effect.gen(function*() {
        const background = backgroundOf(options)
        if (AiError.isAiError(background)) return aroundModel(model, refusing(background))
        const open = options.wait === true || options.failing === true
          ? HookLines.inCall(options.failing === true)
          : yield* HookLines.inBackground(background)
        return aroundModel(model, policyOf(options, open, yield* Effect.context<Exclude<R2, Scope.Scope>>()))
      }))
)

/**
 * What a hook failed with and which one it was, of the error of a call with `failing: true`.
 *
 * @category accessors
 * @since 0.1.0
 */
export const failureOf = (
  error: unknown
): { readonly hook: HookLines.HookName; readonly cause: Cause.Cause<unknown> } | undefined => {
  const own = unplanned(error)
  return own instanceof HookLines.HookFailed ? { hook: own.hook, cause: own.failure } : undefined
}

const backgroundOf = (options: Pick<Options, "capacity" | "concurrency" | "grace">) => {
  const method = "Hooks.layer"
  const { capacity = 1000, concurrency = 16, grace = "10 seconds" } = options
  for (const [parameter, value] of Object.entries({ capacity, concurrency })) {
    if (!Number.isSafeInteger(value) || value < 1) {
      return invalidOption({ method, parameter, accepted: "an integer of at least 1", value })
    }
  }
  const duration = Option.getOrUndefined(Duration.fromInput(grace))
  if (duration === undefined || !Duration.isFinite(duration) || Duration.isNegative(duration)) {
    return invalidOption({ method, parameter: "grace", accepted: "a finite duration of at least 0", value: grace })
  }
  return { capacity, concurrency, grace: duration }
}

const policyOf = <R>(
  options: Options<R>,
  open: HookLines.Open,
  context: Context.Context<Exclude<R, Scope.Scope>>
): Policy => {
  const begin = (watch: Watch) => Effect.map(beginning(watch, open), (call) => call && reportOf(call, options, context))
  return {
    effect: (call, watch) =>
      Effect.uninterruptibleMask((restore) =>
        Effect.flatMap(begin(watch), (report) => {
          if (report === undefined) return restore(call)
          return Effect.flatMap(Effect.exit(restore(Effect.andThen(report.request, call))), (exit) => {
            if (Exit.isFailure(exit)) return Effect.andThen(report.failure(exit.cause), exit)
            report.note(exit.value.content)
            return Effect.andThen(report.response, exit)
          })
        })
      ),
    stream: (call, watch) =>
      Stream.transformPull(call, (pull, scope) =>
        Effect.uninterruptibleMask((restore) =>
          Effect.gen(function*() {
            const report = yield* begin(watch)
            if (report === undefined) return pull
            // A consumer that leaves after the finish part has the whole answer.
            yield* Scope.addFinalizer(scope, report.closed)
            yield* restore(report.request).pipe(Effect.tapCause(report.failure))
            return Effect.tap(pull, report.parts).pipe(
              Effect.catchCause((cause) =>
                // The scope tells of an interruption when it closes.
                Cause.hasInterruptsOnly(cause)
                  ? Effect.failCause(cause)
                  : Effect.andThen(
                    Effect.uninterruptible(
                      !Pull.isDoneCause(cause)
                        ? report.failure(cause)
                        : report.isFinished()
                        ? report.response
                        : report.incomplete
                    ),
                    Effect.failCause(cause)
                  )
              )
            )
          })
        ))
  }
}

interface Call {
  readonly watch: Watch
  readonly id: string
  readonly start: number
  readonly line: HookLines.Line
}

const beginning = (watch: Watch, open: HookLines.Open): Effect.Effect<Call | undefined> =>
  Effect.gen(function*() {
    const line = yield* open(watch.method)
    if (line === undefined) return undefined
    const id = yield* IdGenerator.defaultIdGenerator.generateId()
    return { watch, id, start: yield* Clock.currentTimeMillis, line }
  })

/** The hooks of one call; of those that end it only the first one runs. */
const reportOf = <R>(
  { id, line, start, watch }: Call,
  options: Options<R>,
  context: Context.Context<Exclude<R, Scope.Scope>>
) => {
  const { method } = watch
  const answered = Answered.make()
  const content: Array<Response.AnyPart> = []
  const keepsContent = options.content === true && options.onResponse !== undefined
  let prompt: Prompt.Prompt | undefined
  let index = 0
  let hasEnded = false

  const request = (): RequestEvent => ({
    id,
    method,
    ...(options.content === true ? { prompt: prompt ??= Prompt.make(watch.options.prompt ?? []) } : {})
  })
  const end = (duration: Duration.Duration, failure?: FailureInfo): EndEvent => {
    const info = answered.finish === undefined ? failure : ResponseInfo.of(answered.finish)
    return {
      ...request(),
      duration,
      provider: answered.provider ?? failure?.provider ?? undefined,
      model: answered.model ?? failure?.model ?? undefined,
      usage: answered.finish?.usage,
      finishReason: answered.finish?.reason,
      logId: info?.logId ?? undefined,
      cached: answered.cached,
      cost: options.cost?.(answered)
    }
  }
  /** An event that cannot be made, such as with a cost that throws, is the hook's defect. */
  const run = <Event>(
    name: HookLines.HookName,
    hook: ((event: Event) => Effect.Effect<unknown, unknown, R>) | undefined,
    event: (duration: Duration.Duration) => Event
  ): Effect.Effect<void, HookLines.HookFailed> =>
    hook === undefined ? Effect.void : Effect.flatMap(Clock.currentTimeMillis, (now) => {
      const duration = Duration.millis(now - start)
      return line.run(name, OwnContext.run(Effect.suspend(() => hook(event(duration))), context))
    })
  const ending = <E>(effect: Effect.Effect<void, E>): Effect.Effect<void, E> =>
    Effect.suspend(() => {
      if (hasEnded) return Effect.void
      hasEnded = true
      return effect
    })
  /** The call has an end of its own, and keeps it. */
  const logged = (effect: Effect.Effect<void, HookLines.HookFailed>) =>
    ending(Effect.catch(effect, ({ failure, hook }) => Effect.logWarning(`The hook ${hook} failed`, failure)))
  const response = run("onResponse", options.onResponse, (duration) => ({
    ...end(duration),
    ...(keepsContent ? { content } : {})
  }))
  const interrupt = logged(run("onInterrupt", options.onInterrupt, end))
  const failed = (reason: string, error: unknown) =>
    logged(run("onError", options.onError, (duration) => ({
      ...end(duration, Answered.failureInfoOf(error)),
      reason,
      isRetryable: AiError.isAiError(error) && error.isRetryable,
      status: Answered.failureInfoOf(error)?.status ?? undefined,
      code: Answered.failureInfoOf(error)?.code ?? undefined,
      ...(options.content === true ? { error } : {})
    })))

  const note = (parts: ReadonlyArray<unknown>): void => {
    Answered.note(answered, parts)
    if (keepsContent) { for (const part of parts) if (isPart(part)) content.push(part) }
  }

  return {
    note,
    isFinished: () => answered.finish !== undefined,
    request: run("onRequest", options.onRequest, request),
    parts: (parts: ReadonlyArray<unknown>): Effect.Effect<void, HookLines.HookFailed> =>
      Effect.suspend(() => {
        note(parts)
        return options.onPart === undefined
          ? Effect.void
          : Effect.forEach(parts.filter(isPart), (part) =>
            Effect.suspend(() => {
              const at = index++
              return run("onPart", options.onPart, (duration) => ({
                ...request(),
                type: part.type,
                index: at,
                duration,
                ...(options.content === true ? { part } : {})
              }))
            }), { discard: true })
      }),
    response: ending(response),
    /** Nobody is there any more whom a hook's failure could reach. */
    closed: Effect.suspend(() => answered.finish === undefined ? interrupt : logged(response)),
    failure: (cause: Cause.Cause<unknown>): Effect.Effect<void> => {
      if (Cause.hasInterruptsOnly(cause)) return interrupt
      const error = Cause.findErrorOption(cause)
      return Option.isSome(error) ? failed(reasonOf(error.value), error.value) : failed("Defect", Cause.squash(cause))
    },
    incomplete: failed("Incomplete", undefined)
  }
}

const isPart = (part: unknown): part is Response.AnyPart => Response.isPart(part)

const reasonOf = (error: unknown): string => {
  if (AiError.isAiError(error)) return error.reason._tag
  return typeof error === "object" && error !== null && "_tag" in error ? String(error._tag) : "Error"
}
