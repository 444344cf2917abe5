import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as turn from "../../src/local/turn.ts"

describe("a turn of the event loop", () => {
  it.live("sends all that is ready at its end, in order, before what they leave to do", () =>
    Effect.gen(function*() {
      const seen: Array<string> = []
      const say = (text: string) => Effect.sync(() => void seen.push(text))
      const answer = (n: number) =>
        turn.end.pipe(
          Effect.andThen(say(`sent ${n}`)),
          Effect.andThen(turn.afterwards),
          Effect.andThen(say(`settled ${n}`))
        )
      const fibers = [1, 2, 3].map((n) => Effect.runFork(answer(n)))
      assert.deepStrictEqual(seen, [])
      yield* Effect.forEach(fibers, Fiber.join, { discard: true })
      assert.deepStrictEqual(seen, ["sent 1", "sent 2", "sent 3", "settled 1", "settled 2", "settled 3"])
    }))

  it("makes nobody wait for what follows who did not wait for its end", () => {
    assert.isUndefined(Effect.runSync(turn.afterwards))
  })

  it.live("lets the others go on when one of them is interrupted, or starts another", () =>
    Effect.gen(function*() {
      const seen: Array<string> = []
      const first = Effect.runFork(turn.end)
      const second = Effect.runFork(
        Effect.andThen(
          turn.end,
          Effect.sync(() => {
            seen.push("second")
            Effect.runFork(Effect.andThen(turn.end, Effect.sync(() => void seen.push("third"))))
          })
        )
      )
      yield* Fiber.interrupt(first)
      yield* Fiber.join(second)
      yield* turn.end
      yield* turn.end
      assert.deepStrictEqual(seen, ["second", "third"])
    }))
})
