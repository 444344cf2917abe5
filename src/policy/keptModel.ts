/**
 * A language model that is built when it is first asked, and then kept.
 *
 * @since 0.1.0
 */
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import * as Semaphore from "effect/Semaphore"
import type * as LanguageModel from "effect/unstable/ai/LanguageModel"

/**
 * The model's context, built once in the scope however many ask; what was interrupted or failed is built again.
 *
 * @category constructors
 * @since 0.1.0
 */
export const keep = (
  model: Layer.Layer<LanguageModel.LanguageModel>,
  scope: Scope.Scope
): Effect.Effect<Context.Context<LanguageModel.LanguageModel>> => {
  const lock = Semaphore.makeUnsafe(1)
  let built: Context.Context<LanguageModel.LanguageModel> | undefined
  const build = Effect.suspend(() =>
    built !== undefined ?
      Effect.succeed(built) :
      Effect.tap(Layer.buildWithScope(model, scope), (context) =>
        Effect.sync(() => {
          built = context
        }))
  )
  return Effect.suspend(() => built === undefined ? lock.withPermit(build) : Effect.succeed(built))
}
