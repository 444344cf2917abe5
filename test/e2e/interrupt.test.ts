/**
 * Interruption and backpressure across everything: client, local gateway, and a provider that never ends.
 */
import * as api from "@distilled.cloud/cloudflare/ai-gateway"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Schedule from "effect/Schedule"
import * as Stream from "effect/Stream"
import * as LanguageModel from "effect/unstable/ai/LanguageModel"
import * as FetchHttpClient from "effect/unstable/http/FetchHttpClient"
import * as http from "node:http"
import type { AddressInfo } from "node:net"
import * as AiGatewayClient from "../../src/AiGatewayClient.ts"
import * as AiGatewayHttp from "../../src/AiGatewayHttp.ts"
import * as LocalAi from "../../src/client/LocalAi.ts"
import * as LocalGateway from "../../src/local/LocalGateway.ts"
import { localCredentials } from "../../src/resource/account.ts"

const chunk = `data: ${
  JSON.stringify({ choices: [{ index: 0, delta: { content: "x".repeat(1000) }, finish_reason: null }] })
}\n\n`

/** A provider that streams as fast as it may and never ends; counts what it wrote and knows who went away. */
const endless = Effect.acquireRelease(
  Effect.promise(() =>
    new Promise<
      { readonly url: string; readonly state: { written: number; closed: number }; readonly server: http.Server }
    >(
      (resolve) => {
        const state = { written: 0, closed: 0 }
        const server = http.createServer((request, response) => {
          request.resume()
          response.writeHead(200, { "content-type": "text/event-stream" })
          const write = (): void => {
            let more = true
            while (more && !response.destroyed) {
              state.written++
              more = response.write(chunk)
            }
            if (!response.destroyed) response.once("drain", write)
          }
          response.once("close", () => state.closed++)
          write()
        })
        server.listen(0, "127.0.0.1", () => {
          resolve({ url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, state, server })
        })
      }
    )
  ),
  ({ server }) =>
    Effect.sync(() => {
      server.closeAllConnections()
      server.close()
    })
)

const setup = Effect.gen(function*() {
  const provider = yield* endless
  const gateway = yield* LocalGateway.make({ upstreams: { openai: provider.url } })
  const { accountId, token, url } = gateway
  yield* api.createAiGateway({
    accountId,
    id: "endless",
    cacheInvalidateOnUpdate: false,
    cacheTtl: null,
    collectLogs: false,
    rateLimitingInterval: null,
    rateLimitingLimit: null
  }).pipe(Effect.provide(localCredentials(Effect.succeed(gateway))))
  const over = {
    HTTP: yield* AiGatewayHttp.make({ accountId, gatewayId: "endless", token, baseUrl: url }),
    "the stand-in of env.AI": AiGatewayClient.fromBinding(LocalAi.make(url), "endless")
  }
  return { state: provider.state, over }
}).pipe(Effect.provide(FetchHttpClient.layer))

const stream = (client: AiGatewayClient.AiGatewayClient) =>
  LanguageModel.streamText({ prompt: "go on" }).pipe(
    Stream.provide(client.model({ provider: "openai", model: "gpt-4o-mini" }))
  )

const until = (condition: () => boolean) =>
  Effect.sync(condition).pipe(
    Effect.repeat({ schedule: Schedule.spaced("10 millis"), until: (done) => done, times: 300 }),
    Effect.tap((done) => Effect.sync(() => assert.isTrue(done)))
  )

for (const name of ["HTTP", "the stand-in of env.AI"] as const) {
  describe(`a stream over ${name}`, () => {
    it.live("closes the provider's connection when it is stopped after the first part", () =>
      Effect.gen(function*() {
        const { over, state } = yield* setup
        const parts = yield* stream(over[name]).pipe(
          Stream.filter((part) => part.type === "text-delta"),
          Stream.take(1),
          Stream.runCollect
        )
        assert.strictEqual(parts.length, 1)
        yield* until(() => state.closed === 1)
      }).pipe(Effect.scoped))

    it.live("closes the provider's connection when its fiber is interrupted", () =>
      Effect.gen(function*() {
        const { over, state } = yield* setup
        let seen = 0
        const fiber = yield* stream(over[name]).pipe(
          Stream.runForEach(() => Effect.sync(() => seen++)),
          Effect.forkChild
        )
        yield* until(() => seen > 2)
        yield* Fiber.interrupt(fiber)
        yield* until(() => state.closed === 1)
      }).pipe(Effect.scoped))

    it.live("makes the provider wait for a slow consumer", () =>
      Effect.gen(function*() {
        const { over, state } = yield* setup
        const fiber = yield* stream(over[name]).pipe(
          Stream.runForEachArray(() => Effect.sleep("200 millis")),
          Effect.forkChild
        )
        yield* until(() => state.written > 0)
        yield* Effect.sleep("700 millis")
        const written = state.written
        yield* Effect.sleep("300 millis")
        // Without backpressure a megabyte comes every few milliseconds; with it, what the sockets hold and a few reads.
        assert.isBelow(state.written - written, 2000)
        assert.isBelow(state.written, 20_000)
        yield* Fiber.interrupt(fiber)
        yield* until(() => state.closed === 1)
      }).pipe(Effect.scoped))
  })
}
