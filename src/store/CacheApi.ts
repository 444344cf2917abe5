/**
 * Cloudflare's Cache API as a store of Effect's persistence: for `ResponseCache` in Workers, without a binding.
 *
 * What is kept is kept in one data center, as long as there is room for it. On `workers.dev` nothing is kept: there the
 * Cache API answers as if it was empty. It cannot be cleared, since it does not say what is in it.
 *
 * **Example** (Answers kept where the Worker runs)
 *
 * ```ts
 * import * as Layer from "effect/Layer"
 * import type { AiGatewayClient } from "effect-ai-gateway"
 * import * as CacheApi from "effect-ai-gateway/CacheApi"
 * import * as ResponseCache from "effect-ai-gateway/ResponseCache"
 *
 * export const cached = <R>(client: AiGatewayClient<R>) =>
 *   client.model({ model: "@cf/meta/llama-3.1-8b-instruct" }).pipe(
 *     ResponseCache.layer({ name: "llama-3.1-8b", ttl: "10 minutes" }),
 *     Layer.provide(CacheApi.layer({ name: "answers" }))
 *   )
 * ```
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Persistence from "effect/unstable/persistence/Persistence"
import * as Expiring from "./expiring.ts"

/**
 * @category models
 * @since 0.1.0
 */
export interface Options {
  /** A cache of its own, as `caches.open` gives it; `caches.default` by default. */
  readonly name?: string | undefined
}

/**
 * Keeps everything under URLs of a host that does not exist: `https://effect-ai-gateway.invalid/storeId/key`.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (options: Options = {}): Layer.Layer<Persistence.BackingPersistence> =>
  Layer.succeed(
    Persistence.BackingPersistence,
    Persistence.BackingPersistence.of({
      make: (storeId) => Effect.succeed(Expiring.make("The Cache API", Effect.succeed(textsOf(storeId, options))))
    })
  )

const textsOf = (storeId: string, options: Options): Expiring.Texts => {
  const urlOf = (key: string) =>
    `https://effect-ai-gateway.invalid/${encodeURIComponent(storeId)}/${encodeURIComponent(key)}`
  return {
    get: async (key) => (await (await open(options)).match(urlOf(key)))?.text(),
    set: async (key, text, seconds = aYear) => {
      const headers = { "content-type": "application/json", "cache-control": `public, max-age=${seconds}` }
      await (await open(options)).put(urlOf(key), new Response(text, { headers }))
    },
    remove: async (key) => (await open(options)).delete(urlOf(key)),
    clear: async () => {
      throw new Error("The Cache API does not say what is in it, so that nothing can clear it")
    }
  }
}

/** The longest that caches are asked for. */
const aYear = 365 * 24 * 3600

/** Asked for in each request: what one request of a Worker has opened is not another's. */
const open = async ({ name }: Options): Promise<Cache> => {
  // The types that are there depend on the program's: those of browsers have no default cache.
  const given = globalThis.caches as (CacheStorage & { readonly default?: Cache }) | undefined
  const cache = name === undefined ? given?.default : await given?.open(name)
  if (cache === undefined) throw new Error("There is no Cache API here, or no default cache")
  return cache
}
