/**
 * What the layers of policies have in common: each takes a model's layer and gives one back, also in a pipe.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type * as AiError from "effect/unstable/ai/AiError"
import * as LanguageModel from "effect/unstable/ai/LanguageModel"
import type { Policy } from "./aroundModel.ts"

/**
 * The `layer` of a policy that needs `R2`.
 *
 * @category models
 * @since 0.1.0
 */
export interface PolicyLayer<Options, R2> {
  (options: Options): <E, R>(
    model: Layer.Layer<LanguageModel.LanguageModel, E, R>
  ) => Layer.Layer<LanguageModel.LanguageModel, E, R | R2>
  <E, R>(
    model: Layer.Layer<LanguageModel.LanguageModel, E, R>,
    options: Options
  ): Layer.Layer<LanguageModel.LanguageModel, E, R | R2>
}

/**
 * The layer of what is made of a layer's model.
 *
 * @category layers
 * @since 0.1.0
 */
export const layerAround = <E, R, E2, R2>(
  model: Layer.Layer<LanguageModel.LanguageModel, E, R>,
  make: (model: LanguageModel.LanguageModel) => Effect.Effect<LanguageModel.LanguageModel, E2, R2>
): Layer.Layer<LanguageModel.LanguageModel, E | E2, R | Exclude<R2, Scope.Scope>> =>
  Layer.effect(LanguageModel.LanguageModel, Effect.flatMap(LanguageModel.LanguageModel, make)).pipe(
    Layer.provide(model)
  )

/**
 * Fails every call, before any request: for options that are out of their range.
 *
 * @category constructors
 * @since 0.1.0
 */
export const refusing = (error: AiError.AiError): Policy => ({
  effect: () => Effect.fail(error),
  stream: () => Stream.fail(error)
})
