/**
 * Runs a Worker of `test/support` in real workerd, its genuine `env.AI` on a local gateway.
 */
import { layerRuntime, Runtime } from "@alchemy.run/cloudflare-runtime/core"
import * as AiBinding from "@alchemy.run/cloudflare-runtime/core/bindings/Ai"
import * as RemoteBindings from "@alchemy.run/cloudflare-runtime/core/remote-bindings/RemoteBindings"
import * as api from "@distilled.cloud/cloudflare/ai-gateway"
import { PlatformServices } from "alchemy/Util/PlatformServices"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import * as FetchHttpClient from "effect/unstable/http/FetchHttpClient"
import * as path from "node:path"
import { rolldown } from "rolldown"
import type * as LocalGateway from "../../src/local/LocalGateway.ts"
import { localCredentials } from "../../src/resource/account.ts"

type Gateway = LocalGateway.LocalGateway["Service"]

/** Declares a gateway with authentication and logs. */
export const declare = (gateway: Gateway, id: string) =>
  api.createAiGateway({
    accountId: gateway.accountId,
    id,
    authentication: true,
    cacheInvalidateOnUpdate: false,
    cacheTtl: null,
    collectLogs: true,
    rateLimitingInterval: null,
    rateLimitingLimit: null
  }).pipe(Effect.provide(localCredentials(Effect.succeed(gateway))), Effect.provide(FetchHttpClient.layer))

/** The Worker as one module, as a bundler gives it to workerd. */
const bundle = (worker: string) =>
  Effect.promise(async () => {
    const build = await rolldown({
      input: path.join(import.meta.dirname, worker),
      platform: "browser",
      logLevel: "silent",
      resolve: { conditionNames: ["workerd", "worker", "import", "default"] }
    })
    const { output } = await build.generate({ format: "esm", codeSplitting: false })
    await build.close()
    return output[0].code
  })

/** Starts the Worker, with a genuine `env.AI` or with other bindings; the answer is its URL. */
export const start = (
  worker: string,
  gateway: Gateway,
  bindings: Options["bindings"] = [AiBinding.remote("AI")],
  durableObjectNamespaces: NonNullable<Options["durableObjectNamespaces"]> = []
): Effect.Effect<URL, never, Scope.Scope> =>
  Effect.flatMap(bundle(worker), (content) =>
    run(gateway, {
      name: path.parse(worker).name,
      bindings,
      durableObjectNamespaces,
      modules: [{ name: "main.js", type: "ESModule", content }]
    }))

type Options = Parameters<Runtime["Service"]["start"]>[0]

/** Runs modules, the first of them the entry; an AI binding among the bindings is the gateway's. */
export const run = (
  gateway: Gateway,
  options: Pick<Options, "name" | "bindings" | "modules"> & Partial<Options>
): Effect.Effect<URL, never, Scope.Scope> =>
  Effect.gen(function*() {
    const emulated = Layer.succeed(
      RemoteBindings.RemoteBindings,
      RemoteBindings.RemoteBindings.of({
        services: [{ name: "local-gateway", external: { address: new URL(gateway.url).host, http: {} } }],
        api: { register: () => Effect.succeed({ name: "local-gateway" }) }
      })
    )
    const services = yield* Layer.build(
      emulated.pipe(
        Layer.provideMerge(layerRuntime({ api: { accountId: gateway.accountId } })),
        Layer.provide(localCredentials(Effect.succeed(gateway))),
        Layer.provide(Layer.mergeAll(PlatformServices, FetchHttpClient.layer))
      )
    )
    return yield* Effect.flatMap(Runtime, (runtime) =>
      runtime.start({ compatibilityDate: "2026-08-01", compatibilityFlags: [], ...options })).pipe(
        Effect.provide(services)
      )
  }).pipe(Effect.orDie)

/** The JSON that a Worker answers. */
export const ask = <A>(url: URL, query: string): Effect.Effect<A> =>
  Effect.promise(async () => {
    const response = await fetch(new URL(query, url))
    const text = await response.text()
    if (!response.ok) throw new Error(text)
    return JSON.parse(text)
  })
