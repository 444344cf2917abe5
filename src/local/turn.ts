/**
 * The turns of the event loop: answers that come in one turn are sent together at its end, then follows what they leave to
 * do.
 *
 * Sending wakes whoever waits for it, which takes longer than all else about it; who is awake needs no waking.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"

let atEnd: Array<() => void> = []

/** Only while those of `atEnd` are let go on. */
let afterThem: Array<() => void> | undefined

const finish = () => {
  const sending = atEnd
  const following: Array<() => void> = []
  atEnd = []
  afterThem = following
  for (const go of sending) go()
  afterThem = undefined
  for (const go of following) go()
}

/**
 * Done at the end of the turn, in the order of those who wait for it.
 *
 * @category combinators
 * @since 0.1.0
 */
export const end: Effect.Effect<void> = Effect.callback<void>((resume) => {
  if (atEnd.push(() => resume(Effect.void)) === 1) setImmediate(finish)
})

/**
 * Done when nobody who waited for the {@link end} has still to go on; mostly at once.
 *
 * @category combinators
 * @since 0.1.0
 */
export const afterwards: Effect.Effect<void> = Effect.suspend(() => {
  const following = afterThem
  return following === undefined
    ? Effect.void
    : Effect.callback<void>((resume) => void following.push(() => resume(Effect.void)))
})
