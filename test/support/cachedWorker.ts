/** A Worker whose answers are kept in a KV namespace that its stack declares, as docs/ResponseCache.md has it. */
import * as Cloudflare from "alchemy/Cloudflare"
import { AiGateway, AiGatewayBindingLive } from "effect-ai-gateway"
import * as ResponseCache from "effect-ai-gateway/ResponseCache"
import * as WorkersKv from "effect-ai-gateway/WorkersKv"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as LanguageModel from "effect/unstable/ai/LanguageModel"
import * as HttpServerRequest from "effect/unstable/http/HttpServerRequest"
import * as HttpServerResponse from "effect/unstable/http/HttpServerResponse"

export const Gateway = AiGateway("Gateway", { id: "cached-worker" })
export const Answers = Cloudflare.KV.Namespace("Answers")

export default class Api extends Cloudflare.Worker<Api>()(
  "Api",
  { main: import.meta.url },
  Effect.gen(function*() {
    const client = yield* AiGateway.bind(Gateway)
    const kv = yield* Cloudflare.KV.ReadWriteNamespace(yield* Answers)
    const model = client.model({ model: "@cf/meta/llama-3.1-8b-instruct" }).pipe(
      ResponseCache.layer({ name: "llama-3.1-8b", ttl: "1 hour" }),
      Layer.provide(WorkersKv.layer(kv.raw))
    )
    return {
      fetch: Effect.gen(function*() {
        const { url } = yield* HttpServerRequest.HttpServerRequest
        const response = yield* LanguageModel.generateText({ prompt: url })
        return yield* HttpServerResponse.json({
          text: response.text,
          cached: ResponseCache.of(response)?.cached ?? false
        })
      }).pipe(Effect.provide(model), Effect.orDie)
    }
  }).pipe(Effect.provide([AiGatewayBindingLive, Cloudflare.KV.ReadWriteNamespaceBinding]))
) {}
