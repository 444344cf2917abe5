/// <reference types="@cloudflare/workers-types" />
/**
 * The client of one gateway: models, raw requests, and its log.
 *
 * **Example** (A request of your own, and what the log says of it)
 *
 * ```ts
 * import * as Effect from "effect/Effect"
 * import type { AiGatewayClient } from "effect-ai-gateway"
 *
 * export const classify = Effect.fn(function*<R>(client: AiGatewayClient<R>, text: string) {
 *   const answer = yield* client.run({
 *     provider: "workers-ai",
 *     endpoint: "@cf/huggingface/distilbert-sst-2-int8",
 *     query: { text }
 *   })
 *   const log = answer.info.logId === null ? undefined : yield* client.getLog(answer.info.logId)
 *   return { answer: yield* answer.text, milliseconds: log?.duration }
 * })
 * ```
 *
 * @since 0.1.0
 */
import type * as Arr from "effect/Array"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as EmbeddingModel from "effect/unstable/ai/EmbeddingModel"
import type * as LanguageModel from "effect/unstable/ai/LanguageModel"
import type * as HttpClient from "effect/unstable/http/HttpClient"
import * as BindingTransport from "./client/BindingTransport.ts"
import type { GatewayError } from "./client/GatewayError.ts"
import type { Feedback, GatewayLog } from "./client/GatewayLog.ts"
import type { GatewayResponse, GatewayTransport, Step } from "./client/Transport.ts"
import type * as GatewayEmbeddingModel from "./model/EmbeddingModel.ts"
import type * as GatewayModel from "./model/GatewayModel.ts"
import type { ProviderName } from "./model/Providers.ts"

export type { Feedback, GatewayLog } from "./client/GatewayLog.ts"
export type { GatewayResponse, Step } from "./client/Transport.ts"

/**
 * Talks to one gateway; `R` is what its methods need at request time: `RuntimeContext` for what `AiGateway.bind` gives
 * in a Worker, nothing elsewhere.
 *
 * Each failure is a {@link GatewayError} whose `reason` says why and whose `code` is Cloudflare's; models fail with
 * `AiError` as every Effect model does.
 *
 * @category models
 * @since 0.1.0
 */
export interface AiGatewayClient<R = never> {
  /** The gateway's id. */
  readonly id: Effect.Effect<string, never, R>
  /** The Worker's `ai` binding; under `alchemy dev` a stand-in that reaches the local gateway. */
  readonly raw: Effect.Effect<Ai, never, R>
  /**
   * Sends a request to a provider through the gateway and gives its answer as it came.
   *
   * Several steps are tried by the gateway in their order; `info.step` says which one answered.
   */
  readonly run: (
    steps: Step | Arr.NonEmptyReadonlyArray<Step>
  ) => Effect.Effect<GatewayResponse, GatewayError, R>
  /** The gateway's URL for a provider (`openai`, `workers-ai`, ...) or, without one, of its universal endpoint. */
  readonly getUrl: (provider?: string | undefined) => Effect.Effect<string, GatewayError, R>
  /** One log entry; an answer's log id is in `ResponseInfo.of(response).logId`. Fails with `LogNotFound`. */
  readonly getLog: (logId: string) => Effect.Effect<GatewayLog, GatewayError, R>
  /** Attaches feedback to a log entry. Fails with `LogNotFound`. */
  readonly patchLog: (logId: string, feedback: Feedback) => Effect.Effect<void, GatewayError, R>
  /**
   * A model behind the gateway as a Layer of Effect's `LanguageModel`.
   *
   * `model` alone is a Workers AI id (`@cf/...`), `provider/model` or a dynamic route (`dynamic/...`); with `provider`
   * it is that provider's own id, and `parameters`, `providerOptions` and `apiKey` are typed for it.
   */
  readonly model: (options: GatewayModel.Options) => Layer.Layer<LanguageModel.LanguageModel, never, R>
  /**
   * An embedding model behind the gateway as a Layer of Effect's `EmbeddingModel` and its `Dimensions`.
   *
   * Inputs are sent in batches of the provider's size; every vector is checked to have the declared length.
   */
  readonly embeddingModel: (
    options: GatewayEmbeddingModel.Options
  ) => Layer.Layer<EmbeddingModel.EmbeddingModel | EmbeddingModel.Dimensions, never, R>
  /**
   * Effect's `HttpClient`, routed through the gateway to one provider, for code that speaks the provider's API itself.
   *
   * URLs may be the provider's own or just paths; only POST requests with a JSON body go through the gateway.
   */
  readonly httpClient: (provider: ProviderName) => Layer.Layer<HttpClient.HttpClient, never, R>
}

/**
 * Makes a client over a transport.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = <R>(options: {
  readonly id: Effect.Effect<string, never, R>
  readonly raw: Effect.Effect<Ai, never, R>
  readonly transport: GatewayTransport<R>
}): AiGatewayClient<R> => {
  const { id, raw, transport } = options
  return {
    id,
    raw,
    run: Effect.fn("AiGateway.run")((steps: Step | Arr.NonEmptyReadonlyArray<Step>) =>
      transport.send(isMany(steps) ? steps : [steps])
    ),
    getUrl: Effect.fn("AiGateway.getUrl")(transport.getUrl),
    getLog: Effect.fn("AiGateway.getLog")(transport.getLog),
    patchLog: Effect.fn("AiGateway.patchLog")(transport.patchLog),
    // Loaded when a model is first built, so that a Worker's start does not evaluate streams and codecs.
    model: (options) =>
      Layer.unwrap(Effect.map(
        Effect.promise(() => import("./model/GatewayModel.ts")),
        (GatewayModel) => GatewayModel.layer(transport, options)
      )),
    embeddingModel: (options) =>
      Layer.unwrap(Effect.map(
        Effect.promise(() => import("./model/EmbeddingModel.ts")),
        (EmbeddingModel) => EmbeddingModel.layer(transport, options)
      )),
    httpClient: (provider) =>
      Layer.unwrap(Effect.promise(async () => {
        const [ProviderHttpClient, Providers] = await Promise.all([
          import("./client/ProviderHttpClient.ts"),
          import("./model/Providers.ts")
        ])
        const slug = Providers.slugOf(provider) ?? provider
        return ProviderHttpClient.layer(transport, { slug, basePath: Providers.get(slug)?.basePath ?? "" })
      }))
  }
}

/**
 * Makes the client of a gateway from a Worker's `ai` binding, for Workers that are deployed by other means than Alchemy.
 *
 * @category constructors
 * @since 0.1.0
 */
export const fromBinding = (ai: Ai, gatewayId: string): AiGatewayClient =>
  make({
    id: Effect.succeed(gatewayId),
    raw: Effect.succeed(ai),
    transport: BindingTransport.make({ ai: Effect.succeed(ai), gatewayId: Effect.succeed(gatewayId) })
  })

/**
 * The constructors under the type's own name: `AiGatewayClient.fromBinding(env.AI, "prod-gateway")`.
 *
 * @category constructors
 * @since 0.1.0
 */
export const AiGatewayClient = { fromBinding } as const

const isMany = (steps: Step | Arr.NonEmptyReadonlyArray<Step>): steps is Arr.NonEmptyReadonlyArray<Step> =>
  Array.isArray(steps)
