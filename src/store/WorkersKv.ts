/**
 * Workers KV as a store of Effect's persistence: for `ResponseCache`, `Chat`, and whatever else keeps things there.
 *
 * Entries have KV's own time to live, of at least 60 seconds, and expire at their exact time also before. KV is eventually
 * consistent: what is written here is seen elsewhere after up to a minute, and one key takes one write per second.
 *
 * **Example** (Answers kept in the KV namespace of a Worker)
 *
 * ```ts
 * import * as Effect from "effect/Effect"
 * import * as Layer from "effect/Layer"
 * import * as LanguageModel from "effect/unstable/ai/LanguageModel"
 * import { AiGatewayClient } from "effect-ai-gateway"
 * import * as ResponseCache from "effect-ai-gateway/ResponseCache"
 * import * as WorkersKv from "effect-ai-gateway/WorkersKv"
 *
 * export default {
 *   async fetch(_: Request, env: { readonly AI: Ai; readonly ANSWERS: KVNamespace }): Promise<Response> {
 *     const model = "@cf/meta/llama-3.1-8b-instruct"
 *     const cached = AiGatewayClient.fromBinding(env.AI, "prod-gateway").model({ model }).pipe(
 *       ResponseCache.layer({ name: model, ttl: "1 hour" }),
 *       Layer.provide(WorkersKv.layer(env.ANSWERS))
 *     )
 *     const answer = LanguageModel.generateText({ prompt: "What is Effect?" })
 *     return new Response((await Effect.runPromise(Effect.provide(answer, cached))).text)
 *   }
 * }
 * ```
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Encoding from "effect/Encoding"
import * as Layer from "effect/Layer"
import * as Persistence from "effect/unstable/persistence/Persistence"
import * as Expiring from "./expiring.ts"

/**
 * What is used of a `KVNamespace`.
 *
 * @category models
 * @since 0.1.0
 */
export interface Namespace {
  readonly get: (key: string) => Promise<string | null>
  readonly put: (key: string, value: string, options?: { readonly expirationTtl?: number }) => Promise<void>
  readonly delete: (key: string) => Promise<void>
  readonly list: (
    options: { readonly prefix: string; readonly cursor?: string | null }
  ) => Promise<{
    readonly keys: ReadonlyArray<{ readonly name: string }>
    readonly list_complete: boolean
    readonly cursor?: string
  }>
}

/**
 * Keeps everything in a namespace: a binding of `env`, or an effect that gives it, as Alchemy's `kv.raw`.
 *
 * The keys are `storeId:key`, so that a namespace can be shared.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = <R = never>(
  namespace: Namespace | Effect.Effect<Namespace, never, R>
): Layer.Layer<Persistence.BackingPersistence, never, R> =>
  Layer.effect(
    Persistence.BackingPersistence,
    Effect.map(Effect.context<R>(), (context) => {
      const given = Effect.isEffect(namespace) ? Effect.provideContext(namespace, context) : Effect.succeed(namespace)
      return Persistence.BackingPersistence.of({
        make: (storeId) =>
          Effect.succeed(Expiring.make("Workers KV", Effect.map(given, (namespace) => textsOf(namespace, storeId))))
      })
    })
  )

const textsOf = (namespace: Namespace, storeId: string): Expiring.Texts => ({
  get: async (key) => namespace.get(await nameOf(storeId, key)),
  set: async (key, text, seconds) =>
    namespace.put(
      await nameOf(storeId, key),
      text,
      seconds === undefined ? {} : { expirationTtl: Math.max(leastTtl, seconds) }
    ),
  remove: async (key) => namespace.delete(await nameOf(storeId, key)),
  clear: async () => {
    const prefix = `${storeId}:`
    let cursor: string | undefined
    do {
      const page = await namespace.list(cursor === undefined ? { prefix } : { prefix, cursor })
      await Promise.all(page.keys.map(({ name }) => namespace.delete(name)))
      cursor = page.list_complete ? undefined : page.cursor
    } while (cursor !== undefined)
  }
})

/** Seconds, and bytes. Source: Cloudflare's documentation of Workers KV, "Write key-value pairs" and "Limits". */
const leastTtl = 60
const longestName = 512

const nameOf = async (storeId: string, key: string): Promise<string> => {
  const name = `${storeId}:${key}`
  const bytes = new TextEncoder().encode(key)
  if (new TextEncoder().encode(name).length <= longestName) return name
  return `${storeId}:sha256:${Encoding.encodeHex(new Uint8Array(await crypto.subtle.digest("SHA-256", bytes)))}`
}
