import { layerRuntime, Runtime } from "@alchemy.run/cloudflare-runtime/core"
import * as Ai from "@alchemy.run/cloudflare-runtime/core/bindings/Ai"
import * as RemoteBindings from "@alchemy.run/cloudflare-runtime/core/remote-bindings/RemoteBindings"
import { fromApiToken } from "@distilled.cloud/cloudflare/Credentials"
import { assert, describe, it } from "@effect/vitest"
import { PlatformServices } from "alchemy/Util/PlatformServices"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as FetchHttpClient from "effect/unstable/http/FetchHttpClient"
import { LocalGateway } from "../../src/local/index.ts"
import { create } from "./talk.ts"

/** A Worker that does one thing with the genuine `env.AI` per path. */
const script = `
const model = "@cf/meta/llama-3.1-8b-instruct"
const viaGateway = { gateway: { id: "gw" } }
const actions = {
  run: async (ai) => ({ result: await ai.run(model, { prompt: "by the shim" }, viaGateway), shim: ai.constructor.name }),
  bare: async (ai) => ({ result: await ai.run(model, { prompt: "no gateway" }), logId: ai.aiGatewayLogId }),
  stream: async (ai) => ({ text: await new Response(await ai.run(model, { prompt: "flow", stream: true }, viaGateway)).text() }),
  raw: async (ai) => {
    const response = await ai.run(model, { prompt: "x" }, { ...viaGateway, returnRawResponse: true })
    return { status: response.status, type: response.headers.get("content-type") }
  },
  universal: async (ai) => {
    const response = await ai.gateway("gw").run([
      { provider: "openai", endpoint: "chat/completions", headers: { n: 1 }, query: {} },
      { provider: "workers-ai", endpoint: model, headers: { "cf-aig-metadata": { a: 1 } }, query: { prompt: "second" } }
    ], { gateway: { metadata: { from: "options" }, eventId: "ev-1" } })
    return { headers: Object.fromEntries(response.headers), body: await response.json() }
  },
  getUrl: async (ai) => ({ openai: await ai.gateway("gw").getUrl("openai"), universal: await ai.gateway("gw").getUrl() }),
  log: async (ai) => {
    await ai.run(model, { prompt: "logged" }, { gateway: { id: "gw", metadata: { user: "u" } } })
    const id = ai.aiGatewayLogId
    await ai.gateway("gw").patchLog(id, { feedback: 1, score: 50 })
    const log = await ai.gateway("gw").getLog(id)
    return { log, isDate: log.created_at instanceof Date }
  },
  missingLog: (ai) => ai.gateway("gw").getLog("none"),
  missingPatch: (ai) => ai.gateway("gw").patchLog("none", { feedback: 1 }),
  missingGateway: (ai) => ai.run(model, { prompt: "x" }, { gateway: { id: "none" } }),
  missingModel: (ai) => ai.run("@cf/", { prompt: "x" }, viaGateway),
  missingInput: (ai) => ai.run(model, {}, viaGateway),
  models: async (ai) => ({ models: await ai.models() })
}
export default {
  async fetch(request, env) {
    try {
      return Response.json(await actions[new URL(request.url).pathname.slice(1)](env.AI))
    } catch (error) {
      return Response.json({ name: error.name, message: error.message })
    }
  }
}`

const bindingsTo = (address: string) =>
  Layer.succeed(
    RemoteBindings.RemoteBindings,
    RemoteBindings.RemoteBindings.of({
      services: [{ name: "local-ai-gateway", external: { address, http: {} } }],
      api: { register: () => Effect.succeed({ name: "local-ai-gateway" }) }
    })
  )

describe("workerd's genuine env.AI", () => {
  it.live("runs, streams, falls back, reads and patches logs, and throws what Cloudflare's does", () =>
    Effect.gen(function*() {
      const gateway = yield* LocalGateway.make({ pause: 0 })
      yield* create(gateway, "gw", { authentication: true })
      yield* Effect.gen(function*() {
        const runtime = yield* Runtime
        const url = yield* runtime.start({
          name: "shim",
          compatibilityDate: "2026-08-01",
          compatibilityFlags: [],
          bindings: [Ai.remote("AI")],
          modules: [{ name: "main.js", type: "ESModule", content: script }]
        })
        // The Worker's answers are asserted one by one.
        // oxlint-disable-next-line typescript/no-explicit-any
        const act = (action: string): Effect.Effect<any> =>
          Effect.promise(() => fetch(new URL(action, url)).then((_) => _.json()))

        const run = yield* act("run")
        assert.include(run.result.response, "by the shim")
        assert.isAbove(run.result.usage.total_tokens, 0)
        assert.strictEqual(run.shim, "Ai")
        const bare = yield* act("bare")
        assert.include(bare.result.response, "no gateway")
        assert.strictEqual(bare.logId, null)
        const { text } = yield* act("stream")
        assert.isTrue(text.startsWith("data: {\"response\":"))
        assert.isTrue(text.endsWith("data: [DONE]\n\n"))
        assert.deepStrictEqual(yield* act("raw"), { status: 200, type: "application/json" })
        const universal = yield* act("universal")
        assert.strictEqual(universal.headers["cf-aig-step"], "1")
        assert.strictEqual(universal.headers["cf-aig-event-id"], "ev-1")
        assert.include(universal.body.response, "second")
        const base = `${gateway.url}/v1/${gateway.accountId}/gw/`
        assert.deepStrictEqual(yield* act("getUrl"), { openai: `${base}openai`, universal: base })
        const { isDate, log } = yield* act("log")
        assert.isTrue(isDate)
        assert.deepInclude(log, {
          feedback: 1,
          score: 50,
          metadata: { user: "u" },
          provider: "workers-ai",
          success: true
        })
        assert.deepStrictEqual(yield* act("missingLog"), { name: "AiGatewayLogNotFound", message: "Log not found" })
        assert.strictEqual((yield* act("missingPatch")).name, "AiGatewayLogNotFound")
        const missing = yield* act("missingGateway")
        assert.deepStrictEqual(missing, {
          name: "AiGatewayError",
          message: "2001: Please configure AI Gateway in the Cloudflare dashboard"
        })
        assert.match((yield* act("missingModel")).message, /^5007: No such model/)
        assert.match((yield* act("missingInput")).message, /^5006: /)
        assert.isAbove((yield* act("models")).models.length, 3)
      }).pipe(Effect.provide(
        bindingsTo(new URL(gateway.url).host).pipe(
          Layer.provideMerge(layerRuntime({ api: { accountId: "0".repeat(32) } })),
          Layer.provide(fromApiToken({ apiToken: "unused", apiBaseUrl: "http://127.0.0.1:9" })),
          Layer.provide(Layer.mergeAll(PlatformServices, FetchHttpClient.layer))
        )
      ))
    }))
})
