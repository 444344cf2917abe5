import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as FetchHttpClient from "effect/unstable/http/FetchHttpClient"
import * as Socket from "effect/unstable/socket/Socket"
import * as AiGatewayClient from "../../src/AiGatewayClient.ts"
import * as AiGatewayHttp from "../../src/AiGatewayHttp.ts"
import * as AiGatewayWebSocket from "../../src/AiGatewayWebSocket.ts"
import * as LocalAi from "../../src/client/LocalAi.ts"
import * as LocalGateway from "../../src/local/LocalGateway.ts"
import { exercise, type Report } from "../support/exercise.ts"
import * as workerd from "../support/workerd.ts"

/** OpenAI is named and not there, for what falls back to another provider. */
const withoutOpenAi = LocalGateway.layerTestWith({ upstreams: { openai: "http://127.0.0.1:9/v1" } })

const declareGateway = Effect.tap(LocalGateway.LocalGateway, (gateway) => workerd.declare(gateway, "contract"))

/** Runs the report inside workerd, whose own `env.AI` talks to the local gateway. */
const inWorkerd = Effect.flatMap(
  declareGateway,
  (gateway) => Effect.flatMap(workerd.start("exerciseWorker.ts", gateway), (url) => workerd.ask<Report>(url, "/"))
)

const overLocalAi = Effect.gen(function*() {
  const gateway = yield* declareGateway
  const report = yield* exercise((id) => AiGatewayClient.fromBinding(LocalAi.make(gateway.url), id))
  return JSON.parse(JSON.stringify(report)) as Report
})

const overHttp = Effect.gen(function*() {
  const { accountId, token, url } = yield* declareGateway
  const clients = yield* Effect.all(
    Object.fromEntries(
      ["contract", "absent"].map((gatewayId) => [
        gatewayId,
        AiGatewayHttp.make({ accountId, gatewayId, token, baseUrl: url })
      ])
    )
  )
  const report = yield* exercise((id) => clients[id]!)
  return JSON.parse(JSON.stringify(report)) as Report
}).pipe(Effect.provide(FetchHttpClient.layer))

const overWebSocket = Effect.gen(function*() {
  const { accountId, token, url } = yield* declareGateway
  const clients = yield* Effect.all(
    Object.fromEntries(
      ["contract", "absent"].map((gatewayId) => [
        gatewayId,
        AiGatewayWebSocket.make({ accountId, gatewayId, token, baseUrl: url })
      ])
    )
  )
  const report = yield* exercise((id) => clients[id]!)
  return JSON.parse(JSON.stringify(report)) as Report
}).pipe(Effect.provide([FetchHttpClient.layer, Socket.layerWebSocketConstructorGlobal]))

const contract = (
  name: string,
  run: Effect.Effect<Report, unknown, LocalGateway.LocalGateway | Scope.Scope>,
  { severalSteps = true } = {}
) =>
  describe(name, () => {
    it.live("does everything that a client promises", () =>
      Effect.gen(function*() {
        const report = yield* run
        assert.strictEqual(report.id, "contract")

        for (const model of [report.native, report.openai]) {
          assert.include(model.text, "How are you?")
          assert.strictEqual(model.streamedText, model.text, "a stream says the same as a whole answer")
          assert.strictEqual(model.finishReason, "stop")
          assert.isAbove(model.usage[0]!, 0)
          assert.isAbove(model.usage[1]!, 0)
          assert.deepStrictEqual(model.streamedParts.slice(-2), ["text-end", "finish"])
          assert.isString(model.logId)
          assert.isString(model.streamedLogId)
          assert.notStrictEqual(model.logId, model.streamedLogId)
          assert.isString(model.object.city)
          assert.isTrue(Number.isInteger(model.object.days))
          const ran = [{ name: "GetWeather" as const, result: { celsius: 21 } }]
          assert.deepStrictEqual(model.toolResults, ran, "the handler ran")
          assert.deepStrictEqual(model.streamedToolResults, ran, "the handler ran in the stream")
          assert.strictEqual(model.toolFinish, "tool-calls")
          assert.deepStrictEqual(model.streamedToolFinish, ["tool-calls"])
        }

        assert.strictEqual(report.run.status, 200)
        assert.include(report.run.text, "one step")
        assert.strictEqual(report.run.info.provider, "workers-ai")
        for (const tried of Object.values(report.fallback)) {
          if (severalSteps) {
            if ("error" in tried) return assert.fail(tried.error.message)
            assert.deepStrictEqual([tried.value.step, tried.value.provider], [1, "workers-ai"])
            assert.include(tried.value.text, "second step")
          } else {
            if ("value" in tried) return assert.fail("several steps over a transport for one")
            assert.match(tried.error.reason, /^InvalidRequest/)
            assert.include(tried.error.message, "HTTP", "says what else can")
          }
        }

        const { after, before } = report.log
        assert.strictEqual(before.id, report.run.info.logId)
        assert.deepStrictEqual([before.provider, before.statusCode, before.success], ["workers-ai", 200, true])
        assert.include(before.requestHead, "one step")
        assert.deepStrictEqual(after.metadata, { reviewer: "u-42" })

        assert.match(report.url, /^http:\/\/127\.0\.0\.1:\d+\/v1\/0{32}\/contract\/openai$/)
        assert.match(report.universalUrl, /^http:\/\/127\.0\.0\.1:\d+\/v1\/0{32}\/contract\/?$/)
      }).pipe(Effect.scoped, Effect.provide(withoutOpenAi)), 60_000)

    it.live("fails with what Cloudflare says, never with an empty answer", () =>
      Effect.gen(function*() {
        const report = yield* run
        const of = (error: { readonly value: unknown } | Extract<Report["missingGateway"], { error: unknown }>) => {
          if ("value" in error) return assert.fail("it succeeded")
          return [error.error.reason, error.error.code, error.error.isRetryable]
        }
        assert.deepStrictEqual(of(report.missingGateway), ["GatewayNotFound", 2001, false])
        assert.deepStrictEqual(
          of(report.missingGatewayUniversal),
          severalSteps ? ["GatewayNotFound", 2001, false] : ["InvalidRequest", null, false]
        )
        assert.deepStrictEqual(of(report.missingGatewayModel), ["InvalidRequestError", 2001, false])
        assert.deepStrictEqual(of(report.missingGatewayStream), ["InvalidRequestError", 2001, false])
        assert.deepStrictEqual(of(report.missingLog), ["LogNotFound", 7002, false])
        assert.deepStrictEqual(of(report.missingLogPatch), ["LogNotFound", 7002, false])
        assert.deepStrictEqual(of(report.unknownModel), ["InvalidRequestError", 5007, false])
        assert.include(JSON.stringify(report.missingGateway), "Declare the gateway")
      }).pipe(Effect.scoped, Effect.provide(withoutOpenAi)), 60_000)
  })

contract("the client over the genuine env.AI of workerd", inWorkerd)
contract("the client over the stand-in of alchemy dev", overLocalAi)
contract("the client over HTTP", overHttp)
contract("the client over a WebSocket", overWebSocket, { severalSteps: false })
