import { layerRuntime, Runtime } from "@alchemy.run/cloudflare-runtime/core"
import * as AiBinding from "@alchemy.run/cloudflare-runtime/core/bindings/Ai"
import * as RemoteBindings from "@alchemy.run/cloudflare-runtime/core/remote-bindings/RemoteBindings"
import * as api from "@distilled.cloud/cloudflare/ai-gateway"
import { assert, describe, it } from "@effect/vitest"
import { PlatformServices } from "alchemy/Util/PlatformServices"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import * as FetchHttpClient from "effect/unstable/http/FetchHttpClient"
import * as path from "node:path"
import { rolldown } from "rolldown"
import * as AiGatewayClient from "../../src/AiGatewayClient.ts"
import * as AiGatewayHttp from "../../src/AiGatewayHttp.ts"
import * as LocalAi from "../../src/client/LocalAi.ts"
import * as LocalGateway from "../../src/local/LocalGateway.ts"
import { localCredentials } from "../../src/resource/account.ts"
import { exercise, type Report } from "../support/exercise.ts"

const accountId = "0".repeat(32)

const declareGateway = Effect.gen(function*() {
  const gateway = yield* LocalGateway.LocalGateway
  yield* api.createAiGateway({
    accountId,
    id: "contract",
    authentication: true,
    cacheInvalidateOnUpdate: false,
    cacheTtl: null,
    collectLogs: true,
    rateLimitingInterval: null,
    rateLimitingLimit: null
  }).pipe(Effect.provide(localCredentials(Effect.succeed(gateway))))
  return gateway
}).pipe(Effect.provide(FetchHttpClient.layer))

/** The Worker as one module, as a bundler gives it to workerd. */
const bundleWorker = Effect.promise(async () => {
  const build = await rolldown({
    input: path.join(import.meta.dirname, "../support/exerciseWorker.ts"),
    platform: "browser",
    logLevel: "silent",
    resolve: { conditionNames: ["workerd", "worker", "import", "default"] }
  })
  const { output } = await build.generate({ format: "esm", codeSplitting: false })
  await build.close()
  return output[0].code
})

/** Runs the report inside workerd, whose own `env.AI` talks to the local gateway. */
const inWorkerd = Effect.gen(function*() {
  const gateway = yield* declareGateway
  const address = new URL(gateway.url).host
  const emulated = Layer.succeed(
    RemoteBindings.RemoteBindings,
    RemoteBindings.RemoteBindings.of({
      services: [{ name: "local-gateway", external: { address, http: {} } }],
      api: { register: () => Effect.succeed({ name: "local-gateway" }) }
    })
  )
  const content = yield* bundleWorker
  return yield* Effect.gen(function*() {
    const runtime = yield* Runtime
    const url = yield* runtime.start({
      name: "client-contract",
      compatibilityDate: "2026-08-01",
      compatibilityFlags: [],
      bindings: [AiBinding.remote("AI")],
      modules: [{ name: "main.js", type: "ESModule", content }]
    })
    return yield* Effect.promise(async () => {
      const response = await fetch(url)
      const text = await response.text()
      if (!response.ok) throw new Error(text)
      const report: Report = JSON.parse(text)
      return report
    })
  }).pipe(Effect.provide(
    emulated.pipe(
      Layer.provideMerge(layerRuntime({ api: { accountId } })),
      Layer.provide(localCredentials(Effect.succeed(gateway))),
      Layer.provide(Layer.mergeAll(PlatformServices, FetchHttpClient.layer))
    )
  ))
})

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

const contract = (name: string, run: Effect.Effect<Report, unknown, LocalGateway.LocalGateway | Scope.Scope>) =>
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
        assert.deepStrictEqual([report.fallback.step, report.fallback.provider], [1, "workers-ai"])
        assert.include(report.fallback.text, "second step")

        const { after, before } = report.log
        assert.strictEqual(before.id, report.run.info.logId)
        assert.deepStrictEqual([before.provider, before.statusCode, before.success], ["workers-ai", 200, true])
        assert.include(before.requestHead, "one step")
        assert.deepStrictEqual(after.metadata, { reviewer: "u-42" })

        assert.match(report.url, /^http:\/\/127\.0\.0\.1:\d+\/v1\/0{32}\/contract\/openai$/)
        assert.match(report.universalUrl, /^http:\/\/127\.0\.0\.1:\d+\/v1\/0{32}\/contract\/?$/)
      }).pipe(Effect.scoped, Effect.provide(LocalGateway.layerTest)), 60_000)

    it.live("fails with what Cloudflare says, never with an empty answer", () =>
      Effect.gen(function*() {
        const report = yield* run
        const of = (error: Report["missingGateway"]) => {
          if (typeof error === "string") return assert.fail(error)
          return [error.reason, error.code, error.isRetryable]
        }
        assert.deepStrictEqual(of(report.missingGateway), ["GatewayNotFound", 2001, false])
        assert.deepStrictEqual(of(report.missingGatewayUniversal), ["GatewayNotFound", 2001, false])
        assert.deepStrictEqual(of(report.missingGatewayModel), ["InvalidRequestError", 2001, false])
        assert.deepStrictEqual(of(report.missingGatewayStream), ["InvalidRequestError", 2001, false])
        assert.deepStrictEqual(of(report.missingLog), ["LogNotFound", 7002, false])
        assert.deepStrictEqual(of(report.missingLogPatch), ["LogNotFound", 7002, false])
        assert.deepStrictEqual(of(report.unknownModel), ["InvalidRequestError", 5007, false])
        assert.include(JSON.stringify(report.missingGateway), "Declare the gateway")
      }).pipe(Effect.scoped, Effect.provide(LocalGateway.layerTest)), 60_000)
  })

contract("the client over the genuine env.AI of workerd", inWorkerd)
contract("the client over the stand-in of alchemy dev", overLocalAi)
contract("the client over HTTP", overHttp)
