/**
 * Code that speaks a provider's API itself, through the gateway: `node examples/httpClient.ts`.
 *
 * Here it is Workers AI's OpenAI-like API behind a local gateway, so that it runs without account and key; with
 * `client.httpClient("openai")` any Effect package for OpenAI runs the same way.
 */
import { AiGatewayHttp } from "effect-ai-gateway"
import { LocalGateway } from "effect-ai-gateway/local"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as FetchHttpClient from "effect/unstable/http/FetchHttpClient"
import * as HttpClient from "effect/unstable/http/HttpClient"
import * as HttpClientRequest from "effect/unstable/http/HttpClientRequest"
import * as HttpClientResponse from "effect/unstable/http/HttpClientResponse"

const Answer = Schema.Struct({
  choices: Schema.NonEmptyArray(Schema.Struct({ message: Schema.Struct({ content: Schema.String }) }))
})

/** Knows nothing of gateways: it asks an OpenAI-like API. */
const ask = (prompt: string) =>
  HttpClientRequest.post("/v1/chat/completions").pipe(
    HttpClientRequest.bodyJsonUnsafe({
      model: "@cf/meta/llama-3.1-8b-instruct",
      messages: [{ role: "user", content: prompt }]
    }),
    HttpClient.execute,
    Effect.flatMap(HttpClientResponse.filterStatusOk),
    Effect.flatMap(HttpClientResponse.schemaBodyJson(Answer)),
    Effect.map(({ choices }) => choices[0].message.content)
  )

const program = Effect.gen(function*() {
  const { accountId, token, url } = yield* LocalGateway.LocalGateway
  const client = yield* AiGatewayHttp.make({ accountId, gatewayId: "default", token, baseUrl: url }).pipe(
    Effect.provide(FetchHttpClient.layer)
  )
  const answer = yield* ask("What is a gateway?").pipe(Effect.provide(client.httpClient("workers-ai")))
  yield* Console.log(answer)
})

await Effect.runPromise(program.pipe(Effect.provide(LocalGateway.layerTest)))
