/**
 * Effect's `LanguageModel` over a transport and a codec.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Stream from "effect/Stream"
import * as AiError from "effect/unstable/ai/AiError"
import * as IdGenerator from "effect/unstable/ai/IdGenerator"
import * as LanguageModel from "effect/unstable/ai/LanguageModel"
import type * as Response from "effect/unstable/ai/Response"
import { GatewayError } from "../client/GatewayError.ts"
import type { GatewayResponse, Step, Transport } from "../client/Transport.ts"
import * as AiErrors from "./AiErrors.ts"
import type { Codec, Request } from "./Codec.ts"
import { joinDeltas } from "./joinDeltas.ts"
import type { JsonRecord } from "./Json.ts"
import * as Parameters from "./Parameters.ts"
import * as PartStream from "./PartStream.ts"
import { PartWriter } from "./PartWriter.ts"
import type * as Providers from "./Providers.ts"
import * as telemetry from "./telemetry.ts"
import * as ToolParams from "./ToolParams.ts"

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
  readonly parameters?: Parameters.Parameters | undefined
  /** What only this provider has, under the provider's own names. */
  readonly providerOptions?: JsonRecord | undefined
  /** Headers with the provider's key, resolved for each request; none where the gateway has the key. */
  readonly auth?: Effect.Effect<NonNullable<Step["headers"]>, AiError.AiErrorReason> | undefined
}

/**
 * A language model of any wire format.
 *
 * The transport's requirements are taken from the context in which the layer is built, so the model's methods have none.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = Effect.fnUntraced(function*<R>(
  transport: Transport<R>,
  codec: Codec,
  { auth, model, parameters = {}, provider, providerOptions = {} }: Settings
): Effect.fn.Return<LanguageModel.LanguageModel, never, R> {
  const context = yield* Effect.context<R>()
  const invalid = Parameters.check(parameters)

  const send = (request: Request, method: Method, step: Step) => {
    const origin = AiErrors.originOf(step)
    return transport.send([step]).pipe(
      // What is set around the request, such as its options, wins over what was set around the layer.
      Effect.updateContext((current: Context.Context<never>) => Context.merge(context, current)),
      Effect.mapError((error) => toAiError(method, AiErrors.fromGatewayError(error, origin))),
      Effect.flatMap((response) => startAnswer(codec, request, method, origin, response))
    )
  }

  const open = (
    options: LanguageModel.ProviderOptions,
    method: Method
  ): Effect.Effect<Answer, AiError.AiError, IdGenerator.IdGenerator> =>
    Effect.contextWith((services: Context.Context<never>) => {
      const around = Context.get(services, Parameters.Current)
      // A name without a row is that of nobody.
      const own = Context.get(services, Parameters.CurrentProviderOptions)[provider as Providers.ProviderName]
      // Most calls set nothing around them; then there is nothing to merge or to check again.
      const isPlain = Object.keys(around).length === 0
      const merged = isPlain ? parameters : { ...parameters, ...around }
      const problem = isPlain ? invalid : Parameters.check(merged)
      const request: Request = {
        provider,
        model,
        parameters: merged,
        providerOptions: own === undefined ? providerOptions : { ...providerOptions, ...own },
        options,
        stream: method === "streamText"
      }
      telemetry.annotateRequest(request)
      const built = problem === undefined ? codec.step(request) : Result.fail(problem)
      if (Result.isFailure(built)) return Effect.fail(toAiError(method, built.failure))
      const step = built.success
      return auth === undefined
        ? send(request, method, step)
        : Effect.flatMap(
          Effect.mapError(auth, (reason) => toAiError(method, reason)),
          (headers) => send(request, method, { ...step, headers: { ...step.headers, ...headers } })
        )
    })

  return yield* LanguageModel.make({
    codecTransformer: codec.codecTransformer,
    generateText: (options) => Effect.flatMap(open(options, "generateText"), readAll),
    streamText: (options) =>
      Stream.unwrap(
        Effect.map(open(options, "streamText"), (answer) => PartStream.make(answer.response.stream, answer))
      )
  })
})

type Method = "generateText" | "streamText"

interface Answer extends PartStream.Run {
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
      request,
      response,
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

const readAll = (answer: Answer): Effect.Effect<Array<Response.PartEncoded>, AiError.AiError> =>
  answer.response.text.pipe(
    Effect.mapError(answer.failure),
    Effect.flatMap((text) => {
      const { failure, reader, request, writer } = answer
      PartStream.readWhole(text, reader, writer)
      if (writer.failure !== undefined) return Effect.fail(failure(writer.failure))
      if (writer.finished !== undefined) answer.onFinish(writer.finished)
      const parts = joinDeltas(writer.take())
      return Effect.succeed(request.options.responseFormat.type === "json" ? parts.map(withoutFence) : parts)
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
