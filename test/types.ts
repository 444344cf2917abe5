/**
 * Claims about types, checked by `tsc`: what compiles, and what is refused.
 */
import * as Cloudflare from "alchemy/Cloudflare"
import type { RuntimeContext } from "alchemy/RuntimeContext"
import * as Effect from "effect/Effect"
import type * as Layer from "effect/Layer"
import * as Stream from "effect/Stream"
import * as LanguageModel from "effect/unstable/ai/LanguageModel"
import * as HttpServerResponse from "effect/unstable/http/HttpServerResponse"
import { AiGateway, type AiGatewayBinding, AiGatewayBindingLive, type AiGatewayClient, Sse } from "../src/index.ts"
import type { Providers } from "../src/providers.ts"

// One identifier: a type, a constructor, and what binds it.
export const gateway: Effect.Effect<AiGateway, never, Providers> = AiGateway("Gateway", {
  id: "prod-gateway",
  cacheTtl: 300,
  cacheInvalidateOnUpdate: true,
  rateLimitingInterval: 60,
  rateLimitingLimit: 100,
  rateLimitingTechnique: "sliding",
  collectLogs: true,
  logManagement: 100_000,
  logManagementStrategy: "DELETE_OLDEST",
  authentication: true
})
export const bound: Effect.Effect<
  AiGatewayClient<RuntimeContext>,
  never,
  AiGatewayBinding | Providers
> = AiGateway.bind(gateway)
export const referred = AiGateway.ref("Gateway")

// @ts-expect-error there is no such setting
AiGateway("Gateway", { cacheTtll: 300 })
// @ts-expect-error neither sliding nor fixed
AiGateway("Gateway", { rateLimitingTechnique: "leaky" })
// @ts-expect-error only a gateway can be bound
AiGateway.bind("Gateway")

const worker = Effect.gen(function*() {
  const aiGateway = yield* AiGateway.bind(gateway)
  const languageModel = aiGateway.model({
    model: "@cf/meta/llama-3.1-8b-instruct",
    parameters: { temperature: 0.7, maxTokens: 1024 }
  })
  const typed: Layer.Layer<LanguageModel.LanguageModel, never, RuntimeContext> = languageModel
  return {
    fetch: Effect.sync(() => {
      // What the seed promises: no requirement is left, so the response takes the stream as it is.
      const stream: Stream.Stream<Uint8Array> = LanguageModel.streamText({ prompt: "Hello" }).pipe(
        Stream.provide(typed),
        Sse.encode
      )
      return HttpServerResponse.stream(stream, { headers: Sse.headers })
    })
  }
})
export const provided = Cloudflare.Worker(
  "Api",
  { main: "./Api.ts" },
  worker.pipe(Effect.provide(AiGatewayBindingLive))
)
// @ts-expect-error AiGatewayBindingLive is not provided
export const forgotten = Cloudflare.Worker("Api", { main: "./Api.ts" }, worker)

// A requirement that is not Alchemy's phantom stays.
declare const needy: Stream.Stream<Sse.StreamPart, Error, RuntimeContext | LanguageModel.LanguageModel>
export const encoded: Stream.Stream<Uint8Array, never, LanguageModel.LanguageModel> = Sse.encode(needy)
// @ts-expect-error the model is missing
HttpServerResponse.stream(Sse.encode(needy))
