/**
 * Succeeds when the local gateway begins to stop: what would stay open without end then ends by itself.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"

/**
 * Never, where nothing stops.
 *
 * @category services
 * @since 0.1.0
 */
export const Stopping = Context.Reference<Effect.Effect<void>>("effect-ai-gateway/local/Stopping", {
  defaultValue: () => Effect.never
})
