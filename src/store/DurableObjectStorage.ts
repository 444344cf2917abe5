/**
 * A Durable Object's storage as Effect's `KeyValueStore`: for the counters of `RateLimit` and `Budget`, which are exact there,
 * since the object is the only one that writes to it.
 *
 * Values are texts; SQLite-backed objects take up to 2 MB for a key and its value, others 128 KiB. The object may keep other
 * things in its storage: the store's keys begin with its prefix, and it clears and counts no others.
 *
 * **Example** (An object that counts the calls of one user)
 *
 * ```ts
 * import { DurableObject } from "cloudflare:workers"
 * import * as Effect from "effect/Effect"
 * import * as Layer from "effect/Layer"
 * import * as ManagedRuntime from "effect/ManagedRuntime"
 * import * as DurableObjectStorage from "effect-ai-gateway/DurableObjectStorage"
 * import * as RateLimit from "effect-ai-gateway/RateLimit"
 *
 * export class User extends DurableObject {
 *   // One for all calls: what holds them apart while one counts is in it.
 *   readonly #runtime = ManagedRuntime.make(
 *     RateLimit.layerKeyValueStore().pipe(Layer.provide(DurableObjectStorage.layer(this.ctx.storage)))
 *   )
 *
 *   mayAsk(): Promise<boolean> {
 *     return RateLimit.check({ key: "asks", limit: 50, window: "1 hour" }).pipe(
 *       Effect.as(true),
 *       Effect.catchTag("RateLimited", () => Effect.succeed(false)),
 *       this.#runtime.runPromise
 *     )
 *   }
 * }
 * ```
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as KeyValueStore from "effect/unstable/persistence/KeyValueStore"

/**
 * What is used of a Durable Object's `ctx.storage`.
 *
 * @category models
 * @since 0.1.0
 */
export interface Storage {
  readonly get: (key: string) => Promise<unknown>
  readonly put: (key: string, value: string) => Promise<void>
  readonly delete: (key: string) => Promise<boolean>
  readonly list: (options: { readonly prefix: string }) => Promise<ReadonlyMap<string, unknown>>
}

/**
 * Keeps everything in the storage under keys that begin with `prefix`, `kv:` by default.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (
  storage: Storage,
  { prefix = "kv:" }: { readonly prefix?: string | undefined } = {}
): Layer.Layer<KeyValueStore.KeyValueStore> => Layer.sync(KeyValueStore.KeyValueStore, () => make(storage, prefix))

const make = (storage: Storage, prefix: string): KeyValueStore.KeyValueStore => {
  const use = <A>(method: string, key: string | undefined, f: (key: string) => Promise<A>) =>
    Effect.tryPromise({
      try: () => f(`${prefix}${key ?? ""}`),
      catch: (cause) =>
        new KeyValueStore.KeyValueStoreError({
          message: `The Durable Object's storage could not ${method}`,
          method,
          ...(key === undefined ? {} : { key }),
          cause
        })
    })
  return KeyValueStore.makeStringOnly({
    get: (key) =>
      Effect.map(use("get", key, (key) => storage.get(key)), (value) => typeof value === "string" ? value : undefined),
    set: (key, value) => use("set", key, (key) => storage.put(key, value)),
    remove: (key) => Effect.asVoid(use("remove", key, (key) => storage.delete(key))),
    clear: use("clear", undefined, async (prefix) => {
      for (const key of (await storage.list({ prefix })).keys()) await storage.delete(key)
    }),
    size: use("size", undefined, async (prefix) => (await storage.list({ prefix })).size)
  })
}
