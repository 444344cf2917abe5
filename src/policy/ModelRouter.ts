/**
 * Which model answers, by the name that is asked for: routes in order, from patterns to models, with a fallback.
 *
 * The handler asks for a name and knows no provider; the router is the `LanguageModel` that it is given. Experiments give
 * each variant its share, and the same variant to the same key.
 *
 * **Example** (One language model for all names, and an experiment that keeps users at their variant)
 *
 * ```ts
 * import * as Effect from "effect/Effect"
 * import type * as Redacted from "effect/Redacted"
 * import * as LanguageModel from "effect/unstable/ai/LanguageModel"
 * import type { AiGatewayClient } from "effect-ai-gateway"
 * import * as ModelRouter from "effect-ai-gateway/ModelRouter"
 *
 * export const answer = <R>(client: AiGatewayClient<R>, apiKey: Redacted.Redacted<string>, name: string) => {
 *   const router = ModelRouter.make({
 *     routes: [
 *       { pattern: "gpt-*", to: { provider: "openai" } },
 *       { pattern: /^claude-/, to: { provider: "anthropic" } },
 *       {
 *         pattern: "support",
 *         to: ModelRouter.weighted([
 *           { name: "llama", weight: 9, model: client.model({ model: "@cf/meta/llama-3.1-8b-instruct" }) },
 *           { name: "haiku", weight: 1, model: { model: "anthropic/claude-haiku-4-5" } }
 *         ], { key: "user" })
 *       }
 *     ],
 *     fallback: client.model({ model: "@cf/meta/llama-3.1-8b-instruct" }),
 *     toModel: (model) => client.model({ model, apiKey })
 *   })
 *   return LanguageModel.generateText({ prompt: "What is Effect?" }).pipe(
 *     Effect.map((response) => ({ text: response.text, by: ModelRouter.routed(response) })),
 *     ModelRouter.withModel(name),
 *     Effect.provide(router.layer)
 *   )
 * }
 * ```
 *
 * @since 0.1.0
 */
import * as Arr from "effect/Array"
import * as Effect from "effect/Effect"
import { dual } from "effect/Function"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import * as AiError from "effect/unstable/ai/AiError"
import * as LanguageModel from "effect/unstable/ai/LanguageModel"
import * as Prompt from "effect/unstable/ai/Prompt"
import { aroundCall, type Call, type Called } from "../client/aroundCall.ts"
import * as RequestOptions from "../client/RequestOptions.ts"
import { type CallOptions, type Calls, fromCalls, type Watch } from "./aroundModel.ts"
import { invalidOption } from "./finalErrors.ts"
import * as Patterns from "./modelPatterns.ts"
import { Current } from "./routedName.ts"
import * as Targets from "./routeTargets.ts"
import { finishOf, type Parts, stampPart, stampResponse } from "./stampFinish.ts"
import type * as Weights from "./weighted.ts"

export type { Pattern, RouteRequest } from "./modelPatterns.ts"
export { Current } from "./routedName.ts"
export type { Model, Named, Target } from "./routeTargets.ts"
export type { Choice, Weighted } from "./weighted.ts"

/**
 * @category models
 * @since 0.1.0
 */
export interface Route<R> {
  /** How the route is called in answers and errors; the pattern as it is written by default, `route 1`, ... for a function. */
  readonly name?: string | undefined
  readonly pattern: Patterns.Pattern
  readonly to: Targets.Target<R>
}

/**
 * @category models
 * @since 0.1.0
 */
export interface Options<R> {
  /** The first whose pattern matches is taken. */
  readonly routes: ReadonlyArray<Route<R>>
  /** For what no route matches; without it, that is an error that names the routes. */
  readonly fallback?: Targets.Target<R> | undefined
  /** Makes a model of a name, `openai/gpt-5`, such as `(model) => client.model({ model, apiKey })`; needed where a target is a name. */
  readonly toModel?: ((name: string) => Layer.Layer<LanguageModel.LanguageModel, never, R>) | undefined
}

/**
 * What a name leads to. Which one of several weighted models it will be is only known of a call.
 *
 * @category models
 * @since 0.1.0
 */
export interface Resolved {
  /** The name of the route, `fallback` for the fallback. */
  readonly route: string
  /** The names in the order of the weighted models; a model that is a layer has none. */
  readonly models: ReadonlyArray<string | undefined>
}

/**
 * What the finish part of an answer says as `metadata.modelRouter`.
 *
 * A type and not an interface, because only a type is the JSON that the metadata of parts has to be.
 *
 * @category models
 * @since 0.1.0
 */
export type Routed = {
  /** The name that was asked for; `null` when there was none. */
  readonly name: string | null
  readonly route: string
  /** Which of the weighted models it was; `null` where there is no choice. */
  readonly variant: string | null
}

declare module "effect/unstable/ai/Response" {
  interface FinishPartMetadata {
    /** Of an answer that came by a `ModelRouter`. */
    readonly modelRouter?: Routed | null
  }
}

declare module "effect/unstable/ai/AiError" {
  interface InvalidRequestErrorMetadata {
    /** Of a name that no route of a `ModelRouter` matches. */
    readonly modelRouter?: { readonly name: string; readonly routes: Array<string> } | null
  }
}

/**
 * No route matches the name, and there is no fallback.
 *
 * @category errors
 * @since 0.1.0
 */
export class NoRoute extends Schema.TaggedError<NoRoute>("effect-ai-gateway/ModelRouter/NoRoute")("NoRoute", {
  /** The name that was asked for; empty when there was none. */
  name: Schema.String,
  /** The names of the routes there are, in their order. */
  routes: Schema.Array(Schema.String)
}) {
  override get message(): string {
    return `${asked(this.name)}; there are routes for ${this.routes.join(", ")}`
  }
}

/**
 * @category models
 * @since 0.1.0
 */
export interface ModelRouter<R> {
  /** Where a name leads to; functions of the request see what is given of it beside the name. */
  readonly resolve: (
    name: string,
    request?: Partial<Omit<Patterns.RouteRequest, "name">>
  ) => Effect.Effect<Resolved, NoRoute | AiError.AiError>
  /** The model that a name leads to, call by call, whatever {@link withModel} says. */
  readonly model: (name: string) => Layer.Layer<LanguageModel.LanguageModel, never, R>
  /** The model that the name set by {@link withModel} leads to. Each model is built when it is first asked, and kept. */
  readonly layer: Layer.Layer<LanguageModel.LanguageModel, never, R>
}

/**
 * The services that the models of a router need.
 *
 * @category models
 * @since 0.1.0
 */
export type Requirements<O> =
  | (O extends { readonly routes: ReadonlyArray<{ readonly to: infer To }> } ? TargetRequirements<To> : never)
  | (O extends { readonly fallback: infer To } ? TargetRequirements<To> : never)
  | (O extends { readonly toModel: (name: string) => infer L } ? TargetRequirements<L> : never)

type TargetRequirements<To> = To extends Layer.Layer<infer _A, infer _E, infer R> ? R
  : To extends Weights.Weighted<infer Model> ? Model extends Layer.Layer<infer _A, infer _E, infer R> ? R : never
  : never

/**
 * A router over these routes.
 *
 * An option out of its range fails each call with an `InvalidRequestError` that names the option, before any request.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = <const O extends Options<unknown>>(options: O): ModelRouter<Requirements<O>> => {
  // The requirements are those that the type of the options says.
  const { fallback, routes, toModel } = options as Options<Requirements<O>>
  const problem = problemOf(options)
  const rules = problem !== undefined ? [] : routes.map(({ name, pattern, to }, index) => ({
    // A function has no text that would tell one from another once the code is minified.
    route: name ?? (typeof pattern === "function" ? `route ${index + 1}` : String(pattern)),
    test: Patterns.test(pattern),
    to
  }))
  const find = (request: Patterns.RouteRequest) =>
    Effect.suspend((): Effect.Effect<Found<Requirements<O>>, NoRoute | AiError.AiError> => {
      if (problem !== undefined) return Effect.fail(problem)
      const rule = rules.find(({ test }) => test(request))
      if (rule !== undefined) return Effect.succeed({ route: rule.route, to: rule.to })
      return fallback === undefined
        ? Effect.fail(new NoRoute({ name: request.name, routes: rules.map(({ route }) => route) }))
        : Effect.succeed({ route: "fallback", to: fallback })
    })
  const layerOf = (fixed: string | undefined) =>
    Layer.effect(
      LanguageModel.LanguageModel,
      Effect.gen(function*() {
        // Without `toModel` there is no name among the targets.
        const models = Targets.kept(yield* Effect.scope, yield* Effect.context<Requirements<O>>(), toModel!)
        const route = Effect.fnUntraced(function*(method: Watch["method"], options: CallOptions) {
          const asked = fixed ?? (yield* Current)
          const { metadata = {} } = yield* RequestOptions.Current
          const request = { name: asked ?? "", prompt: Prompt.make(options.prompt ?? []), metadata }
          const { route, to } = yield* Effect.mapError(
            find(request),
            (error) => error._tag === "NoRoute" ? toAiError(method, error) : error
          )
          const chosen = yield* Targets.choose(to, route, request)
          const routed: Routed = { name: asked ?? null, route, variant: chosen.variant }
          // The methods' types follow from the options of each call, which a router neither knows nor changes.
          const calls = (yield* models(chosen.model, request.name)) as unknown as Calls<never>
          return { calls, metadata: () => ({ modelRouter: routed }) }
        })
        return fromCalls({
          generateText: (options) =>
            Effect.scoped(Effect.flatMap(route("generateText", options), ({ calls, metadata }) =>
              Effect.map(calls.generateText(options), (response) =>
                stampResponse(response, metadata)))),
          generateObject: (options) =>
            Effect.scoped(Effect.flatMap(route("generateObject", options), ({ calls, metadata }) =>
              Effect.map(calls.generateObject(options), (response) =>
                stampResponse(response, metadata)))),
          streamText: (options) =>
            Stream.unwrap(Effect.map(route("streamText", options), ({ calls, metadata }) =>
              Stream.mapArray(
                calls.streamText(options),
                Arr.map((part) =>
                  stampPart(part, metadata)
                )
              )))
        })
      })
    )
  return {
    resolve: (name, { metadata = {}, prompt = Prompt.empty } = {}) =>
      Effect.map(find({ name, prompt, metadata }), ({ route, to }) => ({
        route,
        models: Targets.modelsOf(to).map((model) => Targets.isNamed(model) ? Targets.nameOf(model, name) : undefined)
      })),
    model: layerOf,
    layer: layerOf(undefined)
  }
}

/**
 * A target that is one of several models, each for its share of the requests.
 *
 * The same key always has the same model, as long as the weights stay; requests without a key are chosen for at random.
 *
 * @category constructors
 * @since 0.1.0
 */
export const weighted = <const Choices extends ReadonlyArray<Weights.Choice<Targets.Model<unknown>>>>(
  choices: Choices,
  options: Weights.Options = {}
): Weights.Weighted<Choices[number]["model"]> => ({ ...options, _tag: "Weighted", choices })

/**
 * Sets the name that routers are asked for, for everything inside an effect or a stream; inner names win.
 *
 * @category combinators
 * @since 0.1.0
 */
export const withModel: {
  (name: string): <Self extends Call>(self: Self) => Called<Self>
  <Self extends Call>(self: Self, name: string): Called<Self>
} = dual(2, (self: Call, name: string): Call => aroundCall(self, Current, () => name))

/**
 * By which route an answer came, and which variant it is; undefined if it came by no router, or has not ended yet.
 *
 * Takes a `generateText` / `generateObject` response, a list of parts, or a finish part itself.
 *
 * @category accessors
 * @since 0.1.0
 */
export const routed = (response: Parts): Routed | undefined => finishOf(response)?.metadata.modelRouter ?? undefined

/**
 * What a call failed with when no route matched its name.
 *
 * @category accessors
 * @since 0.1.0
 */
export const noRouteOf = (error: unknown): NoRoute | undefined => {
  if (!AiError.isAiError(error) || error.reason._tag !== "InvalidRequestError") return undefined
  const { modelRouter } = error.reason.metadata
  return modelRouter === undefined || modelRouter === null ? undefined : new NoRoute(modelRouter)
}

interface Found<R> {
  readonly route: string
  readonly to: Targets.Target<R>
}

const asked = (name: string): string => name === "" ? "No model was asked for" : `No route for ${JSON.stringify(name)}`

const toAiError = (method: string, { name, routes }: NoRoute): AiError.AiError =>
  AiError.make({
    module: "ModelRouter",
    method,
    reason: new AiError.InvalidRequestError({
      parameter: "model",
      constraint: `must match a route: ${routes.join(", ")}`,
      description: asked(name),
      metadata: { modelRouter: { name, routes: Array.from(routes) } }
    })
  })

const problemOf = ({ fallback, routes, toModel }: Options<unknown>): AiError.AiError | undefined => {
  const invalid = (parameter: string, accepted: string, value: unknown) =>
    invalidOption({ method: "ModelRouter.make", parameter, accepted, value })
  if (routes.length === 0 && fallback === undefined) {
    return invalid("routes", "a list of at least one route, unless there is a fallback", routes)
  }
  const targets = routes.map((route, index) => [`routes[${index}].to`, route.to] as const)
  const all = fallback === undefined ? targets : [...targets, ["fallback", fallback] as const]
  for (const [index, { pattern }] of routes.entries()) {
    const isRight = typeof pattern === "string"
      ? pattern.trim() !== ""
      : typeof pattern === "function" || pattern instanceof RegExp
    if (!isRight) {
      return invalid(`routes[${index}].pattern`, "a name, a glob, a regular expression or a function", pattern)
    }
  }
  for (const [at, to] of all) {
    if (Targets.isWeighted(to)) {
      if (to.choices.length === 0) return invalid(`${at}.choices`, "a list of at least one model", [])
      const wrong = to.choices.findIndex(({ weight }) => !(Number.isFinite(weight) && weight > 0))
      if (wrong !== -1) {
        return invalid(`${at}.choices[${wrong}].weight`, "a finite number of more than 0", to.choices[wrong]?.weight)
      }
      if (to.key === "") return invalid(`${at}.key`, "a key of the metadata, or a function", to.key)
    }
    const named = Targets.modelsOf(to).find(Targets.isNamed)
    if (named === undefined) continue
    if (toModel === undefined) {
      return invalid("toModel", `a function that makes models, since ${at} is a name`, toModel)
    }
    if (named.provider === "" || named.model === "") {
      return invalid(at, "a layer, or a name whose provider and model are not empty", named)
    }
  }
  return undefined
}
