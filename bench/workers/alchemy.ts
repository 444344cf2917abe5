import * as Cloudflare from "alchemy/Cloudflare"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import * as LanguageModel from "effect/unstable/ai/LanguageModel"
import * as Sse from "effect/unstable/encoding/Sse"
import * as HttpServerResponse from "effect/unstable/http/HttpServerResponse"

const Gateway = Cloudflare.AI.Gateway("Gateway", { id: "size" })

/** The same Worker as in `ours.ts`, over Alchemy's built-in gateway and model layer. */
export default class Peer extends Cloudflare.Worker<Peer>()(
  "Peer",
  { main: import.meta.url },
  Effect.gen(function*() {
    const aiGateway = yield* Cloudflare.AI.QueryGateway(Gateway)
    const model = aiGateway.model({ model: "@cf/meta/llama-3.1-8b-instruct" })
    return {
      fetch: Effect.gen(function*() {
        const { text } = yield* LanguageModel.generateText({ prompt: "Hello" }).pipe(Effect.provide(model))
        const stream = LanguageModel.streamText({ prompt: text }).pipe(
          Stream.provide(model),
          Stream.map((part) =>
            Sse.encoder.write({ _tag: "Event", event: part.type, id: undefined, data: JSON.stringify(part) })
          ),
          Stream.encodeText
        )
        // The model's phantom requirement, which this Worker has at request time.
        return HttpServerResponse.stream(stream as Stream.Stream<Uint8Array, never>)
      }).pipe(Effect.orDie)
    }
  }).pipe(Effect.provide(Cloudflare.AI.QueryGatewayBinding))
) {}
