/**
 * Holds back the parts of a stream that are no content, until it is sure that the model answers.
 *
 * As long as no content has reached the consumer, another try or another model can still answer in its place, and the
 * consumer sees nothing of the one that failed.
 *
 * @since 0.1.0
 */
import * as Arr from "effect/Array"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Pull from "effect/Pull"
import * as Stream from "effect/Stream"
import * as Response from "effect/unstable/ai/Response"

/**
 * What happens around the first content.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options<E> {
  /** Called once, before the first content goes to the consumer. */
  readonly onContent?: (() => void) | undefined
  /** Put around all that happens until there is content, such as a time limit. */
  readonly around?: Around<E> | undefined
}

/**
 * What stands around an effect of any kind, and fails with errors of its own.
 *
 * @category models
 * @since 0.1.0
 */
export type Around<E> = <A, E1, R>(opening: Effect.Effect<A, E1, R>) => Effect.Effect<A, E1 | E, R>

/**
 * The same stream, with leading parts coming together with the first content or with the end; a stream that fails before
 * has given none.
 *
 * @category combinators
 * @since 0.1.0
 */
export const hold = <A, E, R, E2 = never>(
  self: Stream.Stream<A, E, R>,
  { around, onContent }: Options<E2> = {}
): Stream.Stream<A, E | E2, R> =>
  Stream.transformPull(self, (pull) =>
    Effect.sync(() => {
      let held: ReadonlyArray<A> = []
      let state: "opening" | "open" | "ended" = "opening"
      const untilContent: Pull.Pull<Arr.NonEmptyReadonlyArray<A>, E, void> = Effect.flatMap(pull, (parts) => {
        const all = Arr.appendAll(held, parts)
        if (parts.every(isLeading)) {
          held = all
          return untilContent
        }
        return Effect.succeed(all)
      })
      const opening = Effect.map(around === undefined ? untilContent : around(untilContent), (parts) => {
        state = "open"
        onContent?.()
        return parts
      }).pipe(
        Pull.catchDone(() => {
          state = "ended"
          return Arr.isReadonlyArrayNonEmpty(held) ? Effect.succeed(held) : Cause.done()
        })
      )
      const ended = Cause.done()
      return Effect.suspend((): Pull.Pull<Arr.NonEmptyReadonlyArray<A>, E | E2, void> =>
        state === "open" ? pull : state === "opening" ? opening : ended
      )
    }))

/**
 * Whether it is no content; anything that is no response part is content.
 *
 * @category guards
 * @since 0.1.0
 */
export const isLeading = (element: unknown): boolean => Response.isPart(element) && leading.has(element.type)

const leading: ReadonlySet<string> = new Set(
  [
    "response-metadata",
    "text-start",
    "reasoning-start",
    "tool-params-start"
  ] satisfies ReadonlyArray<Response.AnyPart["type"]>
)
