import * as Cloudflare from "alchemy/Cloudflare"
import { AiGateway, AiGatewayBindingLive, ResponseInfo, Sse } from "effect-ai-gateway"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import * as LanguageModel from "effect/unstable/ai/LanguageModel"
import * as HttpServerRequest from "effect/unstable/http/HttpServerRequest"
import * as HttpServerResponse from "effect/unstable/http/HttpServerResponse"
import { Gateway } from "./Gateway.ts"
import { page } from "./page.ts"

export default class Api extends Cloudflare.Worker<Api>()(
  "Api",
  { main: import.meta.url },
  Effect.gen(function*() {
    const aiGateway = yield* AiGateway.bind(Gateway)
    const languageModel = aiGateway.model({
      model: "@cf/meta/llama-3.1-8b-instruct",
      parameters: { temperature: 0.7, maxTokens: 1024 }
    })

    const generate = Effect.fn(function*(prompt: string) {
      const response = yield* LanguageModel.generateText({ prompt })
      return yield* HttpServerResponse.json({
        text: response.text,
        usage: { inputTokens: response.usage.inputTokens.total, outputTokens: response.usage.outputTokens.total },
        logId: ResponseInfo.of(response).logId
      })
    }, (effect) =>
      effect.pipe(
        Effect.provide(languageModel),
        Effect.catchTag("AiError", (error) =>
          HttpServerResponse.json({ error: error.reason._tag, retryable: error.isRetryable }, { status: 502 }))
      ))

    const stream = (prompt: string) =>
      HttpServerResponse.stream(
        LanguageModel.streamText({ prompt }).pipe(Stream.provide(languageModel), Sse.encode),
        { headers: Sse.headers }
      )

    return {
      fetch: Effect.gen(function*() {
        const request = yield* HttpServerRequest.HttpServerRequest
        const url = new URL(request.url, "http://worker")
        const prompt = url.searchParams.get("prompt") ?? "Say hello to Effect in one sentence."
        switch (url.pathname) {
          case "/":
            return HttpServerResponse.html(page)
          case "/generate":
            return yield* generate(prompt)
          case "/stream":
            return stream(prompt)
          default:
            return HttpServerResponse.text("There is /, /generate?prompt=... and /stream?prompt=...\n", { status: 404 })
        }
      }).pipe(Effect.orDie)
    }
  }).pipe(Effect.provide(AiGatewayBindingLive))
) {}
