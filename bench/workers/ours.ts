import * as Cloudflare from "alchemy/Cloudflare"
import { AiGateway, AiGatewayBindingLive, Sse } from "effect-ai-gateway"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import * as LanguageModel from "effect/unstable/ai/LanguageModel"
import * as HttpServerResponse from "effect/unstable/http/HttpServerResponse"

const Gateway = AiGateway("Gateway", { id: "size" })

export default class Ours extends Cloudflare.Worker<Ours>()(
  "Ours",
  { main: import.meta.url },
  Effect.gen(function*() {
    const aiGateway = yield* AiGateway.bind(Gateway)
    const model = aiGateway.model({ model: "@cf/meta/llama-3.1-8b-instruct" })
    return {
      fetch: Effect.gen(function*() {
        const { text } = yield* LanguageModel.generateText({ prompt: "Hello" }).pipe(Effect.provide(model))
        const stream = LanguageModel.streamText({ prompt: text }).pipe(Stream.provide(model), Sse.encode)
        return HttpServerResponse.stream(stream, { headers: Sse.headers })
      }).pipe(Effect.orDie)
    }
  }).pipe(Effect.provide(AiGatewayBindingLive))
) {}
