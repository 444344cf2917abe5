/**
 * What happens in real time beside the test clock: promises, and hashes, which are made in other threads.
 */
import * as Effect from "effect/Effect"
import * as TestClock from "effect/testing/TestClock"

const { subtle } = crypto
const digest = subtle.digest.bind(subtle)
let hashing = 0
subtle.digest = async (...args) => {
  hashing++
  try {
    return await digest(...args)
  } finally {
    hashing--
  }
}

/** Lets everything happen that needs no time of the clock. */
export const settle = Effect.promise(async () => {
  do {
    for (let turn = 0; turn < 5; turn++) await new Promise((resolve) => setImmediate(resolve))
  } while (hashing > 0)
})

/** Lets time pass, with what is to happen before and after. */
export const pass = (millis: number) => settle.pipe(Effect.andThen(TestClock.adjust(millis)), Effect.andThen(settle))
