/**
 * Several models for one call: when one fails, or takes too long, the next is asked.
 *
 * Built on Effect's `ExecutionPlan`. The next model is asked only while no content of the answer has reached the consumer
 * and no handler of a tool has started: no part comes twice, and nothing is seen of a model that failed.
 *
 * **Example** (The answer of the first model that answers in time)
 *
 * ```ts
 * import * as Effect from "effect/Effect"
 * import * as LanguageModel from "effect/unstable/ai/LanguageModel"
 * import { type AiGatewayClient, Fallback } from "effect-ai-gateway"
 *
 * export const answer = <R>(client: AiGatewayClient<R>) => {
 *   const plan = Fallback.plan([
 *     { name: "sonnet", model: client.model({ provider: "anthropic", model: "claude-sonnet-4-6" }), timeout: "5 seconds" },
 *     { name: "llama", model: client.model({ model: "@cf/meta/llama-3.1-8b-instruct" }) }
 *   ], {
 *     onFallback: ({ error, failed, next }) => Effect.logWarning(`${failed} failed, asking ${next}`, error.message)
 *   })
 *   return LanguageModel.generateText({ prompt: "What is Effect?" }).pipe(
 *     Effect.map((response) => ({ text: response.text, asked: Fallback.attempted(response) })),
 *     Fallback.withPlan(plan)
 *   )
 * }
 * ```
 *
 * @since 0.1.0
 */
import * as Arr from "effect/Array"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as ExecutionPlan from "effect/ExecutionPlan"
import { dual } from "effect/Function"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as AiError from "effect/unstable/ai/AiError"
import * as LanguageModel from "effect/unstable/ai/LanguageModel"
import type { Call } from "../model/Parameters.ts"
import * as Acts from "./acts.ts"
import { aroundModel, type Calls, fromCalls, type Policy, type Watch } from "./aroundModel.ts"
import { invalidOption, isFinal } from "./finalErrors.ts"
import { keep } from "./keptModel.ts"
import * as PlanRun from "./planRun.ts"
import { layerAround } from "./policyLayer.ts"
import { stampPart, stampResponse } from "./stampFinish.ts"
import { timeLimit } from "./timeLimit.ts"

export { type Attempted, attempted, attemptsOf, type Failed, type Served } from "./attempts.ts"

/**
 * One model of a plan.
 *
 * @category models
 * @since 0.1.0
 */
export interface PlanModel<R> {
  /** How the model is called in hooks, errors and answers; `model 1`, `model 2`, ... by default. */
  readonly name?: string | undefined
  readonly model: Layer.Layer<LanguageModel.LanguageModel, never, R>
  /** For the whole answer, or for a stream's first content; none by default. Longer than 0. */
  readonly timeout?: Duration.Input | undefined
}

/**
 * What goes into a plan: a model with its name and time, or only its layer.
 *
 * @category models
 * @since 0.1.0
 */
export type Entry<R> = PlanModel<R> | Layer.Layer<LanguageModel.LanguageModel, never, R>

/**
 * @category models
 * @since 0.1.0
 */
export interface Options {
  /** Runs before the next model is asked. Its own failure or defect is logged, and changes nothing for the call. */
  readonly onFallback?: ((event: FallbackEvent) => Effect.Effect<unknown, unknown>) | undefined
  /** After which errors the next model is asked, all by default; after any other the call fails at once. */
  readonly while?: ((error: AiError.AiError) => boolean) | undefined
}

/**
 * @category models
 * @since 0.1.0
 */
export interface FallbackEvent {
  /** The name of the model that failed. */
  readonly failed: string
  readonly error: AiError.AiError
  /** The name of the model that is asked next. */
  readonly next: string
}

/**
 * A plan: an `ExecutionPlan` of Effect, with the names of its models.
 *
 * With `Effect.withExecutionPlan` alone it has its times and its `while`; {@link withPlan} adds the hook and what is said
 * of the attempts, and keeps streams from falling back in the middle.
 *
 * @category models
 * @since 0.1.0
 */
export interface Plan<R> extends EffectPlan<R> {
  readonly names: ReadonlyArray<string>
  readonly onFallback: Options["onFallback"]
}

/**
 * The call with the plan's models: it needs what they need, and no model.
 *
 * @category models
 * @since 0.1.0
 */
export type Planned<Self extends Call, R> = Self extends Stream.Stream<infer A, infer E, infer R0>
  ? Stream.Stream<A, E, Exclude<R0, LanguageModel.LanguageModel> | R>
  : Self extends Effect.Effect<infer A, infer E, infer R0>
    ? Effect.Effect<A, E, Exclude<R0, LanguageModel.LanguageModel> | R>
  : never

/**
 * The services that the models of a plan need.
 *
 * @category models
 * @since 0.1.0
 */
export type Requirements<Model> = Model extends Layer.Layer<infer _A, infer _E, infer R> ? R
  : Model extends { readonly model: Layer.Layer<infer _A, infer _E, infer R> } ? R
  : never

/**
 * A plan that asks the models one after the other.
 *
 * Only an `AiError` makes it go on. A timeout is one too: a retryable `NetworkError` whose `metadata.aiGateway.timeout` is
 * `answer`, or `firstPart` for a stream. A list without models or a time out of its range fails each call with an
 * `InvalidRequestError`, before any request.
 *
 * @category constructors
 * @since 0.1.0
 */
export const plan = <const Models extends Arr.NonEmptyReadonlyArray<Entry<unknown>>>(
  models: Models,
  options: Options = {}
): Plan<Requirements<Models[number]>> => {
  // The requirements are those that the type of the list says.
  const entries = (models as ReadonlyArray<Entry<Requirements<Models[number]>>>).map(named)
  const problem = problemOf(entries)
  const layers = problem === undefined ? entries.map(provided) : [failing(problem)]
  const goesOn = (error: unknown) =>
    Effect.map(
      Acts.Current,
      (acts) =>
        AiError.isAiError(error) && !isFinal(error) && acts?.hasActed !== true && (options.while?.(error) ?? true)
    )
  // Every step has the same `while`: a step's own is asked before it is taken, so that a "no" stops the whole plan.
  const steps = layers.map((provide): Step<Requirements<Models[number]>> => ({ provide, while: goesOn }))
  return make(
    // Without a model there is the one that fails.
    steps as unknown as Arr.NonEmptyReadonlyArray<Step<Requirements<Models[number]>>>,
    { names: problem === undefined ? entries.map((entry) => entry.name) : [], onFallback: options.onFallback }
  )
}

/**
 * Runs a call with the models of the plan.
 *
 * @category combinators
 * @since 0.1.0
 */
export const withPlan: {
  <R>(plan: Plan<R>): <Self extends Call>(self: Self) => Planned<Self, R>
  <Self extends Call, R>(self: Self, plan: Plan<R>): Planned<Self, R>
} = dual(
  2,
  (self: Call, plan: Plan<unknown>): Call =>
    Stream.isStream(self)
      ? Acts.stream(() => {
        const run = PlanRun.make(plan)
        const options = { preventFallbackOnPartialStream: true, onEvent: run.onEvent }
        return Stream.withExecutionPlan(self, plan, options).pipe(
          Stream.mapError(run.describe),
          Stream.provideService(PlanRun.Current, run)
        )
      })
      : Acts.effect(() => {
        const run = PlanRun.make(plan)
        return Effect.withExecutionPlan(self, plan, { onEvent: run.onEvent }).pipe(
          Effect.mapError(run.describe),
          Effect.provideService(PlanRun.Current, run)
        )
      })
)

/**
 * The plan as one language model. Each of its models is built when it is first asked, and kept.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = <R>(plan: Plan<R>): Layer.Layer<LanguageModel.LanguageModel, never, R> =>
  Layer.effect(
    LanguageModel.LanguageModel,
    Effect.gen(function*() {
      const scope = yield* Effect.scope
      const { steps } = yield* plan.captureRequirements
      const own = make(Arr.map(steps, (step) => ({ ...step, provide: kept(step.provide, scope) })), plan)
      return fromCalls({
        generateText: (options) => withPlan(ofContext.generateText(options), own),
        generateObject: (options) => withPlan(ofContext.generateObject(options), own),
        streamText: (options) => withPlan(ofContext.streamText(options), own)
      })
    })
  )

/** The functions that ask the model of the context; their types follow from options that only go through here. */
const ofContext = {
  generateText: LanguageModel.generateText,
  generateObject: LanguageModel.generateObject,
  streamText: LanguageModel.streamText
} as unknown as Calls<LanguageModel.LanguageModel>

type EffectPlan<R> = ExecutionPlan.ExecutionPlan<
  { provides: LanguageModel.LanguageModel; input: unknown; error: never; requirements: R }
>

interface Step<R> {
  readonly provide:
    | Context.Context<LanguageModel.LanguageModel>
    | Layer.Layer<LanguageModel.LanguageModel, never, R>
  readonly while?: ((error: unknown) => boolean | Effect.Effect<boolean, never, R>) | undefined
}

interface NamedModel<R> extends PlanModel<R> {
  readonly name: string
}

const named = <R>(entry: Entry<R>, index: number): NamedModel<R> => {
  const { model, name = `model ${index + 1}`, timeout }: PlanModel<R> = "model" in entry ? entry : { model: entry }
  return { name, model, timeout }
}

const make = <R>(
  steps: Arr.NonEmptyReadonlyArray<Step<R>>,
  { names, onFallback }: PlanRun.Plan
): Plan<R> => Object.assign(ExecutionPlan.make(...steps), { names, onFallback })

const problemOf = (models: ReadonlyArray<NamedModel<unknown>>): AiError.AiError | undefined => {
  const method = "Fallback.plan"
  if (models.length === 0) {
    return invalidOption({ method, parameter: "models", accepted: "a list of at least one model", value: [] })
  }
  for (const [index, { timeout: value }] of models.entries()) {
    if (value === undefined) continue
    const duration = Option.getOrUndefined(Duration.fromInput(value))
    if (duration === undefined || !Duration.isFinite(duration) || !Duration.isPositive(duration)) {
      const parameter = `models[${index}].timeout`
      return invalidOption({ method, parameter, accepted: "a finite duration of more than 0", value })
    }
  }
  return undefined
}

const failing = (error: AiError.AiError): Layer.Layer<LanguageModel.LanguageModel> =>
  Layer.effect(
    LanguageModel.LanguageModel,
    LanguageModel.make({ generateText: () => Effect.fail(error), streamText: () => Stream.fail(error) })
  )

/** The model with its time, and with its name in the finish part of its answers. */
const provided = <R>({ model, name, timeout }: NamedModel<R>): Layer.Layer<LanguageModel.LanguageModel, never, R> => {
  const limit = (watch: Watch) =>
    timeout === undefined ? undefined : timeLimit({ model: name, duration: Duration.fromInputUnsafe(timeout), watch })
  const policy: Policy = {
    opening: limit,
    effect: (call, watch) =>
      Effect.flatMap(PlanRun.Current, (run) => {
        const limited = limit(watch)?.(call) ?? call
        return run === undefined
          ? limited
          : Effect.map(limited, (response) => stampResponse(response, stamp(run, name)))
      }),
    stream: (call) =>
      Stream.unwrap(Effect.map(PlanRun.Current, (run) =>
        run === undefined
          ? call
          : Stream.mapArray(call, (parts) => Arr.map(parts, (part) => stampPart(part, stamp(run, name))))))
  }
  return layerAround(model, (model) => Effect.succeed(aroundModel(model, policy)))
}

const stamp = (run: PlanRun.PlanRun, name: string) => () => ({ fallback: run.served(name) })

/** What a plan has is a context where its models were built before it. */
const kept = (provide: Step<never>["provide"], scope: Scope.Scope): Layer.Layer<LanguageModel.LanguageModel> =>
  Context.isContext(provide) ? Layer.succeedContext(provide) : Layer.effectContext(keep(provide, scope))
