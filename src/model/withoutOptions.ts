/**
 * Layers that keep the context in which they are built, without what was set around the call that built them.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as RequestOptions from "../client/RequestOptions.ts"
import * as Parameters from "./Parameters.ts"
import * as Timeouts from "./Timeouts.ts"

/**
 * What a layer needs, and nothing of what the call that happened to build it asked for: a layer may outlive that call, and
 * serve others.
 *
 * @category combinators
 * @since 0.1.0
 */
export const withoutOptions = <R>(context: Context.Context<R>): Context.Context<R> =>
  // The references are in no requirements.
  Context.omit(
    RequestOptions.Current,
    Timeouts.Current,
    Parameters.Current,
    Parameters.CurrentProviderOptions
  )(context) as Context.Context<R>
