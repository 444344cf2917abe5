/**
 * What happens in real time beside the test clock: promises, and hashes, which are made in other threads.
 */
import * as Effect from "effect/Effect"
import * as TestClock from "effect/testing/TestClock"

const { subtle } = crypto
const digest = subtle.digest.bind(subtle)
const hashing = new Set<Promise<unknown>>()
subtle.digest = (...args) => {
  const hash = digest(...args)
  hashing.add(hash)
  return hash.finally(() => hashing.delete(hash))
}

/** Lets everything happen that needs no time of the clock. */
export const settle = Effect.promise(async () => {
  do {
    for (let turn = 0; turn < 5; turn++) await new Promise((resolve) => setImmediate(resolve))
  } while (hashing.size > 0)
})

/** Lets time pass, with what is to happen before and after. */
export const pass = (millis: number) => settle.pipe(Effect.andThen(TestClock.adjust(millis)), Effect.andThen(settle))
