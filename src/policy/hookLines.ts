/**
 * In which order and beside what the hooks of calls run: in the call itself, or in the background.
 *
 * In the background the hooks of a call run one after the other, those of different calls side by side. What waits is
 * bounded: beyond that, parts are left out, and calls that begin are not reported at all, so that a call that is reported has
 * its beginning and its end.
 *
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as FiberSet from "effect/FiberSet"
import type * as Scope from "effect/Scope"
import * as Semaphore from "effect/Semaphore"
import * as AiError from "effect/unstable/ai/AiError"
import { markFinal } from "./finalErrors.ts"

/**
 * @category models
 * @since 0.1.0
 */
export type HookName = "onRequest" | "onPart" | "onResponse" | "onError" | "onInterrupt"

/**
 * A hook that failed, or died, where its failure fails the call.
 *
 * @category errors
 * @since 0.1.0
 */
export class HookFailed extends AiError.AiError {
  readonly hook: HookName
  /** What the hook failed with. */
  readonly failure: Cause.Cause<unknown>

  constructor(method: string, hook: HookName, failure: Cause.Cause<unknown>) {
    const reason = new AiError.UnknownError({ description: `The hook ${hook} failed: ${messageOf(failure)}` })
    super({ module: "AiGateway", method, reason })
    this.hook = hook
    this.failure = failure
    markFinal(this)
  }
}

/**
 * The hooks of one call.
 *
 * @category models
 * @since 0.1.0
 */
export interface Line {
  readonly run: (hook: HookName, effect: Effect.Effect<unknown, unknown>) => Effect.Effect<void, HookFailed>
}

/**
 * Opens the line of a call; undefined where there is no room for it.
 *
 * @category models
 * @since 0.1.0
 */
export type Open = (method: string) => Effect.Effect<Line | undefined>

/**
 * The call waits for its hooks.
 *
 * @category constructors
 * @since 0.1.0
 */
export const inCall = (failing: boolean): Open => (method) =>
  Effect.succeed({
    run: (hook, effect) =>
      failing
        ? Effect.catchCause(
          Effect.asVoid(effect),
          (cause) =>
            Cause.hasInterruptsOnly(cause)
              ? Effect.interrupt
              : Effect.fail(new HookFailed(method, hook, cause))
        )
        : logged(hook, effect)
  })

/**
 * The call goes on, and its hooks run beside it. Closing the scope waits for them, for as long as `grace` says.
 *
 * @category constructors
 * @since 0.1.0
 */
export const inBackground = (options: {
  readonly capacity: number
  readonly concurrency: number
  readonly grace: Duration.Duration
}): Effect.Effect<Open, never, Scope.Scope> =>
  Effect.gen(function*() {
    const fibers = yield* FiberSet.make<void>()
    const slots = Semaphore.makeUnsafe(options.concurrency)
    let room = options.capacity
    let dropped = 0
    let nextWarning = 0

    const warn = Effect.suspend(() => {
      const count = dropped
      dropped = 0
      return count === 0
        ? Effect.void
        : Effect.logWarning(`Hooks are slower than the calls: ${count} calls or parts went by without them`)
    })
    const drop = Effect.flatMap(Clock.currentTimeMillis, (now) => {
      dropped++
      if (now < nextWarning) return Effect.void
      nextWarning = now + 60_000
      return warn
    })

    // Before the fibers are interrupted, which is what closing their set does.
    yield* Effect.addFinalizer(() =>
      Effect.interruptible(FiberSet.awaitEmpty(fibers)).pipe(
        Effect.timeoutOrElse({
          duration: options.grace,
          orElse: () => Effect.logWarning("Hooks that had not ended in time are interrupted")
        }),
        Effect.andThen(warn)
      )
    )

    return () =>
      Effect.suspend(() => {
        if (room <= 0) return Effect.as(drop, undefined)
        let waiting: Array<Effect.Effect<void>> = []
        let isRunning = false
        const drain: Effect.Effect<void> = Effect.suspend(() => {
          const batch = waiting
          waiting = []
          if (batch.length === 0) {
            isRunning = false
            return Effect.void
          }
          return Effect.andThen(Effect.forEach(batch, (hook) => hook, { discard: true }), drain)
        })
        const line: Line = {
          run: (hook, effect) =>
            Effect.suspend(() => {
              if (hook === "onPart" && room <= 0) return drop
              room--
              const leave = Effect.sync(() => {
                room++
              })
              waiting.push(Effect.ensuring(slots.withPermit(logged(hook, effect)), leave))
              if (isRunning) return Effect.void
              isRunning = true
              return Effect.asVoid(FiberSet.run(fibers, drain))
            })
        }
        return Effect.succeed(line)
      })
  })

const logged = (hook: HookName, effect: Effect.Effect<unknown, unknown>): Effect.Effect<void> =>
  Effect.catchCause(Effect.asVoid(effect), (cause) => Effect.logWarning(`The hook ${hook} failed`, cause))

const messageOf = (cause: Cause.Cause<unknown>): string => {
  const error = Cause.squash(cause)
  return error instanceof Error ? error.message : String(error)
}
