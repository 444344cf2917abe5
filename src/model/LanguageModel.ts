/**
 * Effect's `LanguageModel` over a transport and a codec.
 *
 * @since 0.1.0
 */
import * as Arr from "effect/Array"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Stream from "effect/Stream"
import * as AiError from "effect/unstable/ai/AiError"
import * as IdGenerator from "effect/unstable/ai/IdGenerator"
import * as LanguageModel from "effect/unstable/ai/LanguageModel"
import type * as Response from "effect/unstable/ai/Response"
import { GatewayError } from "../client/GatewayError.ts"
import type * as RequestOptions from "../client/RequestOptions.ts"
import type { ResponseInfo } from "../client/ResponseInfo.ts"
import type { GatewayResponse, Step, Transport } from "../client/Transport.ts"
import * as AiErrors from "./AiErrors.ts"
import { mark } from "./askedModels.ts"
import type { Codec, Request } from "./Codec.ts"
import { joinDeltas } from "./joinDeltas.ts"
import type { JsonRecord } from "./Json.ts"
import * as ObjectDialects from "./ObjectDialects.ts"
import * as Parameters from "./Parameters.ts"
import * as PartStream from "./PartStream.ts"
import { PartWriter } from "./PartWriter.ts"
import type * as Providers from "./Providers.ts"
import * as telemetry from "./telemetry.ts"
import * as Timeouts from "./Timeouts.ts"
import * as ToolParams from "./ToolParams.ts"
import { withoutOptions } from "./withoutOptions.ts"

/**
 * One model of one provider.
 *
 * @category models
 * @since 0.1.0
 */
export interface Settings {
  /** The gateway's slug of the provider. */
  readonly provider: string
  /** The provider's own id of the model. */
  readonly model: string
  readonly codec: Codec
  readonly parameters?: Parameters.Parameters | undefined
  /** What only this provider has, under the provider's own names. */
  readonly providerOptions?: JsonRecord | undefined
  /** Headers with the provider's key, resolved for each request; none where the gateway has the key. */
  readonly auth?: Effect.Effect<NonNullable<Step["headers"]>, AiError.AiErrorReason> | undefined
  /** What the model's requests ask of the gateway; what is set around a call wins. */
  readonly options?: RequestOptions.RequestOptions | undefined
  /** How long a call waits for this model; of several, the first one's hold. */
  readonly timeouts?: Timeouts.Timeouts | undefined
}

/**
 * A language model of any wire format; of several models the gateway takes the first that answers.
 *
 * The transport's requirements are taken from the context in which the layer is built, so the model's methods have none.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = Effect.fnUntraced(function*<R>(
  transport: Transport<R>,
  models: Arr.NonEmptyReadonlyArray<Settings>
): Effect.fn.Return<LanguageModel.LanguageModel, never, R> {
  const context = withoutOptions(yield* Effect.context<R>())
  const [first] = models

  const send = (
    requests: Arr.NonEmptyReadonlyArray<Request>,
    method: Method,
    steps: Arr.NonEmptyReadonlyArray<Step>
  ) => {
    const origins = AiErrors.originsOf(steps)
    return transport.send(steps).pipe(
      // What is set around the request wins over what was set around the layer.
      Effect.updateContext((current: Context.Context<never>) => Context.merge(context, current)),
      Effect.mapError((error) => toAiError(method, AiErrors.fromGatewayError(error, at(origins, error.reason.info)))),
      Effect.flatMap((response) => {
        const { codec } = at(models, response.info)
        const request = at(requests, response.info)
        return startAnswer(codec, request, method, at(origins, response.info), response)
      })
    )
  }

  const open = (
    options: LanguageModel.ProviderOptions,
    method: Method
  ): Effect.Effect<Answer, AiError.AiError, IdGenerator.IdGenerator> =>
    Effect.contextWith((services: Context.Context<never>) => {
      const around = Context.get(services, Parameters.Current)
      const aroundByProvider = Context.get(services, Parameters.CurrentProviderOptions)
      const prepare = (settings: Settings): Prepared => prepareOne(settings, options, method, around, aroundByProvider)
      const prepared = Arr.map(models, prepare)
      telemetry.annotateRequest(prepared[0].request)
      const built: Array<Step> = []
      for (const { step } of prepared) {
        if (Result.isFailure(step)) return Effect.fail(toAiError(method, step.failure))
        built.push(step.success)
      }
      const requests = Arr.map(prepared, ({ request }) => request)
      // As many as there are models.
      const steps = built as unknown as Arr.NonEmptyReadonlyArray<Step>
      if (models.every(({ auth }) => auth === undefined)) return send(requests, method, steps)
      return Effect.flatMap(
        Effect.mapError(authorized(models, steps), (reason) => toAiError(method, reason)),
        (steps) => send(requests, method, steps)
      )
    })

  const timedOut = (method: Method, limit: Timeouts.Limit, millis: number) =>
    toAiError(
      method,
      AiErrors.timedOut(limit, millis, AiErrors.originOf({ ...first, endpoint: first.model, query: {} }))
    )

  /** Most calls have no limits; then there is nothing around them. */
  const limited = <A, R2>(
    method: Method,
    f: (timeouts: Timeouts.Timeouts | undefined) => Effect.Effect<A, AiError.AiError, R2>
  ): Effect.Effect<A, AiError.AiError, R2> =>
    Effect.contextWith((services: Context.Context<never>) => {
      const around = Context.get(services, Timeouts.Current)
      if (first.timeouts === undefined && around === Timeouts.none) return f(undefined)
      const timeouts = Timeouts.over(around, first.timeouts ?? Timeouts.none)
      const problem = Timeouts.check(timeouts)
      return problem === undefined ? f(timeouts) : Effect.fail(toAiError(method, problem))
    })

  const within = <A, R2>(
    self: Effect.Effect<A, AiError.AiError, R2>,
    method: Method,
    timeouts: Timeouts.Timeouts,
    limit: Timeouts.Limit
  ) => {
    const millis = Timeouts.millisOf(timeouts, limit)
    return millis === undefined ? self : Effect.timeoutOrElse(self, {
      duration: millis,
      orElse: () => Effect.fail(timedOut(method, limit, millis))
    })
  }

  const model = yield* LanguageModel.make({
    codecTransformer: first.codec.codecTransformer,
    generateText: (options) =>
      limited("generateText", (timeouts) => {
        const answer = Effect.flatMap(open(options, "generateText"), (answer) => readAll(answer, first.codec))
        return timeouts === undefined ? answer : within(answer, "generateText", timeouts, "answer")
      }),
    streamText: (options) =>
      Stream.unwrap(limited("streamText", (timeouts) => {
        const opened = open(options, "streamText")
        if (timeouts === undefined) return Effect.map(opened, streamOf)
        return Effect.flatMap(Clock.currentTimeMillis, (started) =>
          Effect.map(within(opened, "streamText", timeouts, "firstPart"), (answer) =>
            Timeouts.limitParts(streamOf(answer), {
              timeouts,
              started,
              failure: (limit, millis) =>
                timedOut("streamText", limit, millis)
            })))
      }))
  })
  return mark(model, models.map(({ model, provider }) => ({ provider, model })))
})

const streamOf = (answer: Answer) => PartStream.make(answer.response.stream, answer)

/** What belongs to the step that the gateway names; it names none where there is only one, or where none answered. */
const at = <A>(all: Arr.NonEmptyReadonlyArray<A>, { step }: ResponseInfo): A => all[step ?? 0] ?? all[0]

interface Prepared {
  readonly request: Request
  readonly step: Result.Result<Step, AiError.AiErrorReason>
}

const prepareOne = (
  { codec, model, options: requestOptions, parameters = {}, provider, providerOptions = {} }: Settings,
  options: LanguageModel.ProviderOptions,
  method: Method,
  around: Parameters.Parameters,
  aroundByProvider: Parameters.ProviderOptions
): Prepared => {
  // A name without a row is that of nobody.
  const own = aroundByProvider[provider as Providers.ProviderName]
  const merged = Object.keys(around).length === 0 ? parameters : { ...parameters, ...around }
  const problem = Object.keys(merged).length === 0 ? undefined : Parameters.check(merged)
  const request: Request = {
    provider,
    model,
    parameters: merged,
    providerOptions: own === undefined ? providerOptions : { ...providerOptions, ...own },
    options,
    stream: method === "streamText"
  }
  const step = problem === undefined ? codec.step(request) : Result.fail(problem)
  return {
    request,
    step: requestOptions === undefined ? step : Result.map(step, (step) => ({ ...step, options: requestOptions }))
  }
}

const authorized = (models: ReadonlyArray<Settings>, steps: Arr.NonEmptyReadonlyArray<Step>) =>
  Effect.forEach(steps, (step, index) => {
    const auth = models[index]?.auth
    return auth === undefined
      ? Effect.succeed(step)
      : Effect.map(auth, (headers): Step => ({ ...step, headers: { ...step.headers, ...headers } }))
  })

type Method = "generateText" | "streamText"

interface Answer extends PartStream.Run {
  readonly codec: Codec
  readonly request: Request
  readonly response: GatewayResponse
}

const startAnswer = (
  codec: Codec,
  request: Request,
  method: Method,
  origin: AiErrors.Origin,
  response: GatewayResponse
): Effect.Effect<Answer, never, IdGenerator.IdGenerator> =>
  Effect.map(Effect.zip(idPrefix(request), Effect.context<never>()), ([idPrefix, context]): Answer => {
    const { options } = request
    const writer = new PartWriter({
      tools: options.toolChoice === "none" ? noTools : new Set(options.tools.map((tool) => tool.name)),
      idPrefix,
      finish: {
        metadata: { aiGateway: response.info },
        response: { status: response.status, headers: publicHeaders(response.headers) }
      }
    })
    // A codec whose schemas are of another dialect puts its own in this place.
    if (options.tools.length > 0) writer.toolParams = ToolParams.byName(options.tools, ToolParams.readerOf)
    return {
      codec,
      request,
      response,
      isPartial: response.isPartial,
      writer,
      reader: codec.reader({
        request,
        writer,
        reasonOf: (body) => AiErrors.fromBody(body, origin, response.info),
        cut: (description) => AiErrors.cut(description, origin, response)
      }),
      failure: (cause) =>
        toAiError(method, cause instanceof GatewayError ? AiErrors.fromGatewayError(cause, origin) : cause),
      onFinish: (finish) => telemetry.annotateFinish(request, response.info, finish, context)
    }
  })

const readAll = (answer: Answer, decoding: Codec): Effect.Effect<Array<Response.PartEncoded>, AiError.AiError> =>
  answer.response.text.pipe(
    Effect.mapError(answer.failure),
    Effect.flatMap((text) => {
      const { failure, reader, request, writer } = answer
      PartStream.readWhole(text, reader, writer)
      if (writer.failure !== undefined) return Effect.fail(failure(writer.failure))
      if (writer.finished !== undefined) answer.onFinish(writer.finished)
      const parts = joinDeltas(writer.take())
      const { responseFormat } = request.options
      if (responseFormat.type !== "json") return Effect.succeed(parts)
      const plain = parts.map(withoutFence)
      return answer.codec.codecTransformer === decoding.codecTransformer
        ? Effect.succeed(plain)
        : ObjectDialects.translate(
          plain,
          responseFormat.schema,
          answer.codec.codecTransformer,
          decoding.codecTransformer
        )
    })
  )

const toAiError = (method: Method, reason: AiError.AiErrorReason): AiError.AiError =>
  AiError.make({ module: "AiGateway", method, reason })

const noTools: ReadonlySet<string> = new Set()

/** Ids differ from turn to turn of a conversation, so a random id starts them; only calls without ids need one. */
const idPrefix = (request: Request): Effect.Effect<string, never, IdGenerator.IdGenerator> =>
  request.options.tools.length === 0
    ? Effect.succeed("")
    : Effect.flatMap(IdGenerator.IdGenerator, (ids) => Effect.map(ids.generateId(), (id) => `${id}-`))

/** Models that have no JSON mode like to put their JSON into a Markdown fence. */
const withoutFence = (part: Response.PartEncoded): Response.PartEncoded => {
  if (part.type !== "text") return part
  const fenced = /^\s*```(?:json)?\s*\n([\s\S]*?)\n?\s*```\s*$/i.exec(part.text)
  return fenced?.[1] === undefined ? part : { ...part, text: fenced[1] }
}

/** The gateway's, the provider's limits and the content type; never cookies. */
const publicHeaders = (headers: GatewayResponse["headers"]): { readonly [name: string]: string } => {
  const kept: { [name: string]: string } = {}
  for (const name in headers) {
    const value = headers[name]
    if (value !== undefined && /^(cf-ai|x-ratelimit-|content-type$|retry-after)/.test(name)) kept[name] = value
  }
  return kept
}
