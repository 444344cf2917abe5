/**
 * Which models stand behind a `LanguageModel`, for those that must know before an answer says it.
 *
 * Beside the service and not in it, since Effect's own interface says what is in one.
 *
 * @since 0.1.0
 */
import type * as LanguageModel from "effect/unstable/ai/LanguageModel"
import type { ModelName } from "./ModelName.ts"

const asked = new WeakMap<LanguageModel.LanguageModel, ReadonlyArray<ModelName>>()

/**
 * None where it is not known, as of a plan of several.
 *
 * @category getters
 * @since 0.1.0
 */
export const of = (model: LanguageModel.LanguageModel): ReadonlyArray<ModelName> => asked.get(model) ?? []

/**
 * Says of a service which models it asks, and gives it back.
 *
 * @category combinators
 * @since 0.1.0
 */
export const mark = (
  model: LanguageModel.LanguageModel,
  models: ReadonlyArray<ModelName>
): LanguageModel.LanguageModel => {
  if (models.length > 0) asked.set(model, models)
  return model
}
