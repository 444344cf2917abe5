/**
 * Where a route leads to, and the models that are there.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import * as LanguageModel from "effect/unstable/ai/LanguageModel"
import { keep } from "./keptModel.ts"
import type { RouteRequest } from "./modelPatterns.ts"
import * as Weights from "./weighted.ts"

/**
 * A model by its name: a provider for the name that was asked for, a model for whatever was, or with `{}` the one that was.
 *
 * Together they are a name as `client.model({ model })` takes it: `openai/gpt-5`, `@cf/...`.
 *
 * @category models
 * @since 0.1.0
 */
export interface Named {
  readonly provider?: string | undefined
  readonly model?: string | undefined
}

/**
 * A model: a layer, or the name of one.
 *
 * @category models
 * @since 0.1.0
 */
export type Model<R> = Layer.Layer<LanguageModel.LanguageModel, never, R> | Named

/**
 * Where a route leads to.
 *
 * @category models
 * @since 0.1.0
 */
export type Target<R> = Model<R> | Weights.Weighted<Model<R>>

/**
 * @category guards
 * @since 0.1.0
 */
export const isWeighted = <R>(to: Target<R>): to is Weights.Weighted<Model<R>> => "_tag" in to && to._tag === "Weighted"

/**
 * @category guards
 * @since 0.1.0
 */
export const isNamed = <R>(model: Model<R>): model is Named => !Layer.isLayer(model)

/**
 * All models that a target may be.
 *
 * @category accessors
 * @since 0.1.0
 */
export const modelsOf = <R>(to: Target<R>): ReadonlyArray<Model<R>> =>
  isWeighted(to) ? to.choices.map(({ model }) => model) : [to]

/**
 * The name of a model, for what was asked for: `provider/model`, or a model alone where no provider is said.
 *
 * @category accessors
 * @since 0.1.0
 */
export const nameOf = ({ model, provider }: Named, asked: string): string => {
  const name = model ?? asked
  return provider === undefined || name.startsWith(`${provider}/`) ? name : `${provider}/${name}`
}

/**
 * The model of a target for a request, and which variant it is.
 *
 * @category combinators
 * @since 0.1.0
 */
export const choose = <R>(
  to: Target<R>,
  route: string,
  request: RouteRequest
): Effect.Effect<{ readonly model: Model<R>; readonly variant: string | null }> => {
  if (!isWeighted(to)) return Effect.succeed({ model: to, variant: null })
  return Effect.map(Weights.choose(to, route, request), (index) => {
    const { model, name = `variant ${index + 1}` } = to.choices[index]! // it chose one of these
    return { model, variant: name }
  })
}

/**
 * Gives the models of a router: each is built when it is first asked, and kept.
 *
 * Names may come from outside, and be as many as somebody likes to think of: after the first hundred, a model is built
 * for the call.
 *
 * @category constructors
 * @since 0.1.0
 */
export const kept = <R>(
  scope: Scope.Scope,
  context: Context.Context<R>,
  toModel: (name: string) => Layer.Layer<LanguageModel.LanguageModel, never, R>
): (model: Model<R>, asked: string) => Effect.Effect<LanguageModel.LanguageModel, never, Scope.Scope> => {
  const byLayer = new Map<unknown, ReturnType<typeof keep>>()
  const byName = new Map<string, ReturnType<typeof keep>>()
  const build = (layer: Layer.Layer<LanguageModel.LanguageModel, never, R>, own: Scope.Scope) =>
    keep(Layer.provide(layer, Layer.succeedContext(context)), own)
  const find = Effect.fnUntraced(function*(model: Model<R>, asked: string) {
    if (!isNamed(model)) {
      const known = byLayer.get(model) ?? build(model, scope)
      byLayer.set(model, known)
      return yield* known
    }
    const name = nameOf(model, asked)
    const known = byName.get(name)
    if (known !== undefined) return yield* known
    const isKept = byName.size < mostNamed
    const made = build(toModel(name), isKept ? scope : yield* Effect.scope)
    if (isKept) byName.set(name, made)
    return yield* made
  })
  return (model, asked) =>
    Effect.map(find(model, asked), (context) => Context.get(context, LanguageModel.LanguageModel))
}

const mostNamed = 100
