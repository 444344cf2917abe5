/**
 * Alchemy's built-in gateway, unmodified: its resource deployed to the local management API, and its Worker with
 * `QueryGateway` and its own model layer in real workerd, the genuine `env.AI` on the local gateway.
 */
import * as AiBinding from "@alchemy.run/cloudflare-runtime/core/bindings/Ai"
import * as Text from "@alchemy.run/cloudflare-runtime/core/bindings/Text"
import { assert } from "@effect/vitest"
import * as Cloudflare from "alchemy/Cloudflare"
import * as Test from "alchemy/Test/Vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Scope from "effect/Scope"
import { afterAll, describe } from "vitest"
import { build } from "../../bench/bundle.ts"
import * as LocalGateway from "../../src/local/LocalGateway.ts"
import { gatewayProviders } from "../../src/providers.ts"
import { localCredentials, withoutAccount } from "../../src/resource/account.ts"
import { manage } from "../local/talk.ts"
import { run } from "../support/workerd.ts"

const scope = Scope.makeUnsafe()
const gateway = await Effect.runPromise(Scope.provide(LocalGateway.make({ pause: 0 }), scope))
afterAll(() => Effect.runPromise(Scope.close(scope, Exit.void)))

const { test } = Test.make({
  providers: Layer.provideMerge(
    gatewayProviders(),
    Layer.merge(withoutAccount(), localCredentials(Effect.succeed(gateway)))
  ),
  dev: false
})

const declared = (cacheTtl: number) =>
  Cloudflare.AI.Gateway("Gateway", { id: "alchemys-own", cacheTtl, authentication: true, collectLogs: true })

describe("Alchemy's own Cloudflare.AI.Gateway", () => {
  test.provider("is created, stays as it is, changes and goes on the local API", (stack) =>
    Effect.gen(function*() {
      yield* stack.deploy(declared(60))
      const plan = yield* stack.plan(declared(60))
      assert.strictEqual(plan.resources["Gateway"]?.action, "noop")
      yield* stack.deploy(declared(300))
      assert.deepInclude((yield* manage(gateway, "/alchemys-own")).json.result, {
        cache_ttl: 300,
        authentication: true
      })
      yield* stack.destroy()
      assert.strictEqual((yield* manage(gateway, "/alchemys-own")).status, 404)
    }))

  test.provider("answers its own Worker, text and stream, and has the log of both", (stack) =>
    Effect.gen(function*() {
      yield* stack.deploy(Cloudflare.AI.Gateway("Gateway", { id: "alchemys-own", authentication: true }))
      const files = Object.values(yield* build("alchemy.ts")).filter((file) => file.type === "chunk")
      const entryFirst = files.toSorted((a, b) => Number(b.isEntry) - Number(a.isEntry))
      const url = yield* run(gateway, {
        name: "alchemys-own",
        compatibilityDate: "2026-08-31",
        compatibilityFlags: ["nodejs_compat"],
        bindings: [AiBinding.remote("Gateway"), Text.local("Gateway_gatewayId", "alchemys-own")],
        modules: entryFirst.map(({ code, fileName }) => ({ name: fileName, type: "ESModule", content: code }))
      })
      const { status, text } = yield* Effect.promise(async () => {
        const response = await fetch(url)
        return { status: response.status, text: await response.text() }
      })
      assert.strictEqual(status, 200, text)
      const parts = text.split("\n\n").flatMap((event) => /^data: (.*)$/m.exec(event)?.[1] ?? []).map((_) =>
        JSON.parse(_)
      )
      const said = parts.filter((part) => part.type === "text-delta").map((part) => part.delta).join("")
      assert.include(said, "Hello", "the stream was asked about the answer, which repeats the prompt")
      assert.strictEqual(parts.at(-1).type, "finish")
      const logs = (yield* manage(gateway, "/alchemys-own/logs")).json.result
      assert.lengthOf(logs, 2)
      for (const log of logs) assert.deepInclude(log, { success: true, model: "@cf/meta/llama-3.1-8b-instruct" })
      yield* stack.destroy()
    }).pipe(Effect.scoped), 60_000)
})
