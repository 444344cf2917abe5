import * as api from "@distilled.cloud/cloudflare/ai-gateway"
import * as workers from "@distilled.cloud/cloudflare/workers"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as FetchHttpClient from "effect/unstable/http/FetchHttpClient"
import { execFile } from "node:child_process"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import * as LocalGateway from "../../src/local/LocalGateway.ts"
import { localCredentials } from "../../src/resource/account.ts"

const root = path.resolve(import.meta.dirname, "../..")
const accountId = "0".repeat(32)

/** A machine that knows no Cloudflare: its own home, and nothing of it in the environment. */
const machine = Effect.acquireRelease(
  Effect.sync(() => fs.mkdtempSync(path.join(os.tmpdir(), "no-account-"))),
  (folder) => Effect.sync(() => fs.rmSync(folder, { recursive: true, force: true }))
)

const alchemy = (folder: string, ...args: ReadonlyArray<string>) =>
  Effect.promise<string>(() =>
    new Promise((resolve, reject) => {
      const cli = path.join(root, "node_modules/alchemy/bin/cli.js")
      const config = ["--config", path.join(root, "alchemy.run.ts"), "--stage", "test", "--no-input"]
      execFile(process.execPath, [cli, ...args, ...config], {
        cwd: folder,
        env: { PATH: process.env["PATH"], HOME: folder, DO_NOT_TRACK: "1" }
      }, (error, stdout, stderr) => error === null ? resolve(stdout) : reject(new Error(stdout + stderr)))
    })
  )

const files = (folder: string): ReadonlyArray<string> =>
  fs.readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => path.join(entry.parentPath, entry.name))

describe("alchemy without an account", () => {
  it.live("plans, deploys, sees and repairs drift, and destroys this repository's stack", () =>
    Effect.gen(function*() {
      const folder = yield* machine
      const store = path.join(folder, ".alchemy/local/ai-gateway.db")
      const token = "token-of-a-local-gateway-77c1"
      /** Looks into the gateway that the commands embed, between two of them. */
      const between = <A, E>(effect: Effect.Effect<A, E, Effect.Services<ReturnType<typeof api.getAiGateway>>>) =>
        Effect.gen(function*() {
          const gateway = yield* LocalGateway.make({ store, token: Redacted.make(token) })
          return yield* effect.pipe(Effect.provide(localCredentials(Effect.succeed(gateway))))
        }).pipe(Effect.scoped, Effect.provide(FetchHttpClient.layer))

      assert.include(yield* alchemy(folder, "plan"), "2 to create")

      const deployed = yield* alchemy(folder, "deploy", "--yes")
      assert.include(deployed, "Done: 2 succeeded")
      assert.include(deployed, "gatewayId: 'prod-gateway'")
      assert.match(deployed, /https:\/\/[\w-]+\.no-account\.workers\.dev/, "a URL that nobody takes for a served one")
      const name = /https:\/\/([\w-]+)\.no-account/.exec(deployed)![1]!
      const { bindings } = yield* between(workers.getScriptScriptAndVersionSetting({ accountId, scriptName: name }))
      const ai = bindings?.find((binding) => binding.type === "ai")
      assert.strictEqual(ai?.name, "Gateway", "on Cloudflare the Worker has the ai binding")
      const gateway = yield* between(api.getAiGateway({ accountId, id: "prod-gateway" }))
      assert.deepInclude(gateway, { cacheTtl: 300, rateLimitingLimit: 100, authentication: true })

      assert.include(yield* alchemy(folder, "plan"), "no changes")

      yield* between(api.updateAiGateway({
        accountId,
        id: "prod-gateway",
        cacheInvalidateOnUpdate: true,
        cacheTtl: 1000,
        collectLogs: true,
        rateLimitingInterval: 60,
        rateLimitingLimit: 100
      }))
      assert.match(yield* alchemy(folder, "drift"), /\[Gateway\] (update|drifted)/)
      yield* alchemy(folder, "drift", "--repair")
      assert.strictEqual((yield* between(api.getAiGateway({ accountId, id: "prod-gateway" }))).cacheTtl, 300)

      for (const file of files(folder)) {
        assert.notInclude(fs.readFileSync(file, "latin1"), token, `${file} holds the gateway's token`)
      }

      assert.include(yield* alchemy(folder, "destroy", "--yes"), "Done: 2 succeeded")
      const gone = yield* between(
        api.getAiGateway({ accountId, id: "prod-gateway" }).pipe(Effect.catchTag("GatewayNotFound", () => Effect.void))
      )
      assert.isUndefined(gone)
    }).pipe(Effect.scoped), 120_000)
})
