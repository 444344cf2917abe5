/**
 * Forgets what other stores know of a gateway when the gateway is deleted, or updated under `cache_invalidate_on_update`.
 *
 * Twice: before the change, so that a store that is out of reach leaves the gateway as it was, and the request can be made
 * again; and after it, for what was answered in between.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import { CacheStore } from "./CacheStore.ts"
import { GatewayStore } from "./GatewayStore.ts"
import { RateLimitStore } from "./RateLimitStore.ts"

/**
 * The store of gateways around another one.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer: Layer.Layer<GatewayStore, never, GatewayStore | CacheStore | RateLimitStore> = Layer.effect(
  GatewayStore,
  Effect.gen(function*() {
    const gateways = yield* GatewayStore
    const cache = yield* CacheStore
    const limits = yield* RateLimitStore
    return GatewayStore.of({
      ...gateways,
      replace: (id, settings) =>
        around(
          gateways.replace(id, settings),
          settings["cache_invalidate_on_update"] === true ? cache.clear(id) : Effect.void
        ),
      remove: (id) => around(gateways.remove(id), Effect.andThen(cache.clear(id), limits.clear(id)))
    })
  })
)

const around = <A>(change: Effect.Effect<Option.Option<A>>, clear: Effect.Effect<void>) =>
  Effect.tap(Effect.andThen(clear, change), (changed) => Option.isSome(changed) ? clear : Effect.void)
