/**
 * The name of the model that a call asks a `ModelRouter` for. Apart from the router, so that policies around one can tell
 * calls for different models apart without carrying it.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"

/**
 * The name that is asked for, set by `ModelRouter.withModel`.
 *
 * @category services
 * @since 0.1.0
 */
export const Current = Context.Reference<string | undefined>("effect-ai-gateway/ModelRouter", {
  defaultValue: () => undefined
})
