/**
 * Effect's `EmbeddingModel` over a transport: batched to the provider's limit, in order, of the length asked for.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as RequestResolver from "effect/RequestResolver"
import * as Result from "effect/Result"
import * as AiError from "effect/unstable/ai/AiError"
import * as EmbeddingModel from "effect/unstable/ai/EmbeddingModel"
import type { GatewayError } from "../client/GatewayError.ts"
import * as RequestOptions from "../client/RequestOptions.ts"
import type { Step, Transport } from "../client/Transport.ts"
import * as AiErrors from "./AiErrors.ts"
import * as ApiKey from "./ApiKey.ts"
import * as EmbeddingFormats from "./EmbeddingFormats.ts"
import { excerpt, isRecord, type JsonRecord, parse } from "./Json.ts"
import * as ModelName from "./ModelName.ts"
import * as Providers from "./Providers.ts"
import * as Timeouts from "./Timeouts.ts"
import { withoutOptions } from "./withoutOptions.ts"

/**
 * Which model, and how long its vectors are.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options {
  /** `@cf/...`, or `provider/model`, or the model of `provider`. */
  readonly model: string
  readonly provider?: Providers.ProviderName | undefined
  /** Length of the vectors; asked for where the provider can be asked, and checked in every answer. */
  readonly dimensions: number
  readonly apiKey?: ApiKey.ApiKey | undefined
  /** What only this provider has, under its own names; goes into the body last. */
  readonly providerOptions?: JsonRecord | undefined
  /** What the model's requests ask of the gateway; `RequestOptions.withOptions` around a call wins over them. */
  readonly options?: RequestOptions.RequestOptions | undefined
  /** How long a call waits: `answer`, of each batch; `Timeouts.withTimeouts` around a call wins. */
  readonly timeouts?: Timeouts.Timeouts | undefined
}

/** Requests of one `embedMany` that are under way at once. */
const concurrency = 4

/**
 * An embedding model behind the gateway; failures are `AiError`s with `reason.metadata.aiGateway`.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = <R>(
  transport: Transport<R>,
  options: Options
): Layer.Layer<EmbeddingModel.EmbeddingModel | EmbeddingModel.Dimensions, never, R> =>
  Layer.merge(
    Layer.effect(EmbeddingModel.EmbeddingModel, make(transport, options)),
    Layer.succeed(EmbeddingModel.Dimensions, options.dimensions)
  )

/**
 * The effect behind {@link layer}.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = Effect.fnUntraced(function*<R>(
  transport: Transport<R>,
  options: Options
): Effect.fn.Return<EmbeddingModel.EmbeddingModel, never, R> {
  const context = withoutOptions(yield* Effect.context<R>())
  const resolved = resolve(options)

  const batch = (inputs: ReadonlyArray<string>, { auth, format, name }: Resolved) =>
    Effect.gen(function*() {
      const built = format.step({ ...name, inputs, dimensions: options.dimensions })
      const query = { ...(isRecord(built.query) ? built.query : {}), ...options.providerOptions }
      const step: Step = { ...built, query, headers: yield* Effect.mapError(auth, fail), options: options.options }
      const origin = AiErrors.originOf(step)
      const failed = Effect.mapError((error: GatewayError) => fail(AiErrors.fromGatewayError(error, origin)))
      const response = yield* transport.send([step]).pipe(
        Effect.updateContext((current: Context.Context<never>) => Context.merge(context, current)),
        failed
      )
      const text = yield* failed(response.text)
      const json = parse(text)
      if (isRecord(json) && AiErrors.isErrorBody(json)) {
        return yield* Effect.fail(fail(AiErrors.fromBody(json, origin, response.info)))
      }
      const answer = isRecord(json) ? format.read(json) : undefined
      if (answer === undefined) return yield* unreadable(`the answer has no embeddings: ${excerpt(text)}`)
      if (answer.vectors.length !== inputs.length) {
        return yield* unreadable(`${answer.vectors.length} vectors came for ${inputs.length} inputs`)
      }
      const vectors: Array<Array<number>> = []
      for (const vector of answer.vectors) {
        if (!isVector(vector)) return yield* unreadable("a vector is no list of numbers")
        if (vector.length !== options.dimensions) {
          return yield* unreadable(
            `the vectors have ${vector.length} dimensions, and the model was declared with ${options.dimensions}`
          )
        }
        vectors.push(vector)
      }
      return { vectors, inputTokens: answer.inputTokens }
    })

  const limited = <A>(self: Effect.Effect<A, AiError.AiError>, { format, name }: Resolved) =>
    Effect.contextWith((services: Context.Context<never>) => {
      const timeouts = Timeouts.over(Context.get(services, Timeouts.Current), options.timeouts ?? Timeouts.none)
      const problem = Timeouts.check(timeouts)
      if (problem !== undefined) return Effect.fail(fail(problem))
      const millis = Timeouts.millisOf(timeouts, "answer")
      if (millis === undefined) return self
      const origin = AiErrors.originOf(format.step({ ...name, inputs: [], dimensions: options.dimensions }))
      return Effect.timeoutOrElse(self, {
        duration: millis,
        orElse: () => Effect.fail(fail(AiErrors.timedOut("answer", millis, origin)))
      })
    })

  const model = yield* EmbeddingModel.make({
    embedMany: ({ inputs }) => {
      if (Result.isFailure(resolved)) return Effect.fail(fail(resolved.failure))
      const batches: Array<ReadonlyArray<string>> = []
      const { limit } = resolved.success.format
      for (let at = 0; at < inputs.length; at += limit) batches.push(inputs.slice(at, at + limit))
      return Effect.map(
        Effect.forEach(batches, (inputs) => limited(batch(inputs, resolved.success), resolved.success), {
          concurrency
        }),
        (answers) => ({
          results: answers.flatMap((answer) => answer.vectors),
          usage: {
            // A sum that leaves a batch out would be a lie.
            inputTokens: answers.reduce<number | undefined>(
              (sum, { inputTokens }) => sum === undefined || inputTokens === undefined ? undefined : sum + inputTokens,
              0
            )
          }
        })
      )
    }
  })

  // Inputs that are asked for at once travel together, but only with the same options around them.
  const resolver = RequestResolver.grouped(model.resolver, ({ context }) => [
    Context.get(context, RequestOptions.Current),
    Context.get(context, Timeouts.Current)
  ])
  return {
    ...model,
    resolver,
    embed: (input) =>
      Effect.withSpan(
        Effect.request(new EmbeddingModel.EmbeddingRequest({ input }), resolver),
        "EmbeddingModel.embed"
      )
  }
})

interface Resolved {
  readonly name: ModelName.ModelName
  readonly format: EmbeddingFormats.EmbeddingFormat
  readonly auth: Effect.Effect<NonNullable<Step["headers"]>, AiError.AiErrorReason>
}

const resolve = (options: Options): Result.Result<Resolved, AiError.AiErrorReason> =>
  Result.flatMap(ModelName.resolve(options), (name) => {
    const format = EmbeddingFormats.get(name.provider)
    const provider = Providers.get(name.provider)
    if (format === undefined || provider === undefined) {
      return invalid(
        "provider",
        `must be one of ${EmbeddingFormats.providers.join(", ")}, or custom-...`,
        `${name.provider} has no embeddings here`
      )
    }
    if (!Number.isSafeInteger(options.dimensions) || options.dimensions < 1) {
      return invalid("dimensions", "must be an integer of at least 1", `It is ${String(options.dimensions)}`)
    }
    const auth = options.apiKey === undefined ? Effect.succeed({}) : ApiKey.headers(provider, options.apiKey)
    return Result.succeed({ name, format, auth })
  })

const invalid = (parameter: string, constraint: string, description: string) =>
  Result.fail(new AiError.InvalidRequestError({ parameter, constraint, description }))

const fail = (reason: AiError.AiErrorReason) => AiError.make({ module: "AiGateway", method: "embedMany", reason })

const unreadable = (description: string) => Effect.fail(fail(new AiError.InvalidOutputError({ description })))

const isVector = (u: unknown): u is Array<number> =>
  Array.isArray(u) && u.length > 0 && u.every((value) => typeof value === "number" && Number.isFinite(value))
