/**
 * The sampling parameters that all models share, under one name each.
 *
 * **Example** (A call that is to be repeatable, whatever the model's own parameters are)
 *
 * ```ts
 * import * as LanguageModel from "effect/unstable/ai/LanguageModel"
 * import { Parameters } from "effect-ai-gateway"
 *
 * export const verdict = LanguageModel.generateText({ prompt: "Is 7 prime? Answer yes or no." }).pipe(
 *   Parameters.withParameters({ temperature: 0, seed: 7, maxTokens: 3 })
 * )
 * ```
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import { dual } from "effect/Function"
import * as AiError from "effect/unstable/ai/AiError"

/**
 * Sampling parameters; what is absent is the model's default.
 *
 * @category models
 * @since 0.1.0
 */
export interface Parameters {
  /** 0 to 5; most models are made for 0 to 2. */
  readonly temperature?: number | undefined
  /** Most tokens to generate, an integer of at least 1. */
  readonly maxTokens?: number | undefined
  /** Nucleus sampling, 0 to 1. */
  readonly topP?: number | undefined
  /** Sample from this many tokens, an integer of at least 1. */
  readonly topK?: number | undefined
  /** Texts that end the answer, none of them empty. */
  readonly stop?: ReadonlyArray<string> | undefined
  /** An integer that makes sampling repeatable where the model can. */
  readonly seed?: number | undefined
  /** -2 to 2. */
  readonly frequencyPenalty?: number | undefined
  /** -2 to 2. */
  readonly presencePenalty?: number | undefined
  /** How much a reasoning model thinks before it answers. */
  readonly reasoningEffort?: ReasoningEffort | undefined
}

/**
 * @category models
 * @since 0.1.0
 */
export type ReasoningEffort = "none" | "minimal" | "low" | "medium" | "high"

/**
 * Parameters that are set around a call; they win over those of the model.
 *
 * @category services
 * @since 0.1.0
 */
export const Current = Context.Reference<Parameters>("effect-ai-gateway/Parameters", { defaultValue: () => ({}) })

/**
 * Sets parameters for every model call inside an effect, over those of the model and of outer calls.
 *
 * @category combinators
 * @since 0.1.0
 */
export const withParameters: {
  (parameters: Parameters): <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
  <A, E, R>(self: Effect.Effect<A, E, R>, parameters: Parameters): Effect.Effect<A, E, R>
} = dual(
  2,
  <A, E, R>(self: Effect.Effect<A, E, R>, parameters: Parameters): Effect.Effect<A, E, R> =>
    Effect.updateService(self, Current, (outer) => ({ ...outer, ...parameters }))
)

/**
 * Says what is wrong with the first parameter that is out of its range, so that no request is made with it.
 *
 * @category constructors
 * @since 0.1.0
 */
export const check = (parameters: Parameters): AiError.InvalidRequestError | undefined => {
  for (const [name, { accepted, accepts }] of rules) {
    const value = parameters[name]
    if (value !== undefined && !accepts(value)) {
      return new AiError.InvalidRequestError({
        parameter: name,
        constraint: `must be ${accepted}`,
        description: `It is ${typeof value === "number" ? value : JSON.stringify(value)}`
      })
    }
  }
  return undefined
}

interface Rule {
  readonly accepted: string
  readonly accepts: (value: unknown) => boolean
}

const between = (minimum: number, maximum: number): Rule => ({
  accepted: `a number from ${minimum} to ${maximum}`,
  accepts: (value) => typeof value === "number" && value >= minimum && value <= maximum
})

const atLeastOne: Rule = {
  accepted: "an integer of at least 1",
  accepts: (value) => Number.isSafeInteger(value) && Number(value) >= 1
}

// Temperature is as wide as its widest provider: Workers AI documents 0 to 5.
const rules: ReadonlyArray<readonly [keyof Parameters, Rule]> = [
  ["temperature", between(0, 5)],
  ["maxTokens", atLeastOne],
  ["topP", between(0, 1)],
  ["topK", atLeastOne],
  ["stop", {
    accepted: "a list of texts that are not empty",
    accepts: (value) => Array.isArray(value) && value.every((text) => typeof text === "string" && text !== "")
  }],
  ["seed", { accepted: "an integer", accepts: Number.isSafeInteger }],
  ["frequencyPenalty", between(-2, 2)],
  ["presencePenalty", between(-2, 2)],
  ["reasoningEffort", {
    accepted: "one of none, minimal, low, medium, high",
    accepts: (value) => typeof value === "string" && /^(none|minimal|low|medium|high)$/.test(value)
  }]
]
