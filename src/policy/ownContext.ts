/**
 * Effects of a policy's own, such as hooks and checks, in the context in which the policy's layer was built.
 *
 * They may ask models and make requests themselves: then nothing that was set around the user's call may reach them, also
 * not around the call that happened to build the layer. A cache key of the call would give the call's answer as theirs, and
 * what they do is not what the call did.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as References from "effect/References"
import type * as Scope from "effect/Scope"
import * as Tracer from "effect/Tracer"
import { withoutOptions } from "../model/withoutOptions.ts"
import * as Acts from "./acts.ts"
import * as PlanRun from "./planRun.ts"
import * as RoutedName from "./routedName.ts"

/**
 * Runs the effect in the policy's context, with only the span and the log annotations of the call around it.
 *
 * @category combinators
 * @since 0.1.0
 */
export const run = <A, E, R>(
  effect: Effect.Effect<A, E, R | Scope.Scope>,
  context: Context.Context<Exclude<R, Scope.Scope>>
): Effect.Effect<A, E> =>
  Effect.updateContext(
    // What it opens is closed after it, and not when the layer is.
    Effect.scoped(effect),
    (call: Context.Context<never>): Context.Context<Exclude<R, Scope.Scope>> => {
      const own = withoutOptions(context).pipe(
        Context.add(Acts.Current, undefined),
        Context.add(PlanRun.Current, undefined),
        Context.add(RoutedName.Current, undefined),
        Context.add(References.CurrentLogAnnotations, Context.get(call, References.CurrentLogAnnotations))
      )
      const span = Context.getOrUndefined(call, Tracer.ParentSpan)
      return span === undefined ? own : Context.add(own, Tracer.ParentSpan, span)
    }
  )
