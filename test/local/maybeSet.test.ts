import { assert, describe, it } from "@effect/vitest"
import * as FastCheck from "fast-check"
import * as MaybeSet from "../../src/local/MaybeSet.ts"

describe("a set that knows what is not in it", () => {
  it("never denies what was added", () => {
    FastCheck.assert(FastCheck.property(FastCheck.array(FastCheck.maxSafeNat()), (numbers) => {
      const set = MaybeSet.make()
      for (const number of numbers) set.add(number)
      assert.isTrue(numbers.every((number) => set.mayHave(number)))
    }))
  })

  it("is rarely mistaken, also with a million numbers of one gateway", () => {
    const set = MaybeSet.make()
    const gateway = 2 ** 51
    assert.isFalse(set.mayHave(1))
    for (let i = 0; i < 1_000_000; i++) set.add(gateway + i)
    let mistakes = 0
    for (let i = 0; i < 100_000; i++) if (set.mayHave(gateway + 1_000_000 + i)) mistakes++
    assert.isBelow(mistakes, 150)
  })
})
