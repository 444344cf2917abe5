/**
 * From what a caller writes to a provider and a model: `@cf/...`, `provider/model`, `dynamic/route`, or both apart.
 *
 * @since 0.1.0
 */
import * as Result from "effect/Result"
import * as AiError from "effect/unstable/ai/AiError"
import * as Providers from "./Providers.ts"

/**
 * A model of a provider.
 *
 * @category models
 * @since 0.1.0
 */
export interface ModelName {
  /** The gateway's slug. */
  readonly provider: string
  /** The provider's own id of the model. */
  readonly model: string
}

/**
 * Finds provider and model; fails with an `InvalidRequestError` that names what is close.
 *
 * @category constructors
 * @since 0.1.0
 */
export const resolve = (options: {
  readonly provider?: string | undefined
  readonly model: string
}): Result.Result<ModelName, AiError.InvalidRequestError> => {
  const { model, provider } = options
  if (typeof model !== "string" || model.trim() === "") {
    return problem("model", "must be a model's id", `It is ${JSON.stringify(model)}`)
  }
  if (provider !== undefined) {
    const slug = Providers.slugOf(provider)
    return slug === undefined ? unknownProvider("provider", provider) : Result.succeed({ provider: slug, model })
  }
  if (model.startsWith("@")) return Result.succeed({ provider: "workers-ai", model })
  // A dynamic route is a model of the unified endpoint (wire reference, 1.5).
  if (model.startsWith("dynamic/")) return Result.succeed({ provider: "compat", model })
  const slash = model.indexOf("/")
  if (slash < 1 || slash === model.length - 1) {
    return problem(
      "model",
      "must be @cf/..., provider/model or dynamic/route, unless provider is given",
      `It is ${JSON.stringify(model)}`
    )
  }
  const prefix = model.slice(0, slash)
  const slug = Providers.slugOf(prefix)
  return slug === undefined
    ? unknownProvider("model", prefix)
    : Result.succeed({ provider: slug, model: model.slice(slash + 1) })
}

const unknownProvider = (parameter: string, name: string) => {
  const near = Providers.near(name)
  return problem(
    parameter,
    `must name one of ${Providers.slugs.join(", ")}, or custom-...`,
    `There is no provider ${JSON.stringify(name)}${near.length === 0 ? "" : `; near is ${near.slice(0, 3).join(", ")}`}`
  )
}

const problem = (parameter: string, constraint: string, description: string) =>
  Result.fail(new AiError.InvalidRequestError({ parameter, constraint, description }))
