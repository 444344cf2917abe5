import { assert, describe, it } from "@effect/vitest"
import * as FastCheck from "fast-check"
import * as MaybeSet from "../../src/local/MaybeSet.ts"

describe("a set that knows what is not in it", () => {
  it("never denies what was added", () => {
    FastCheck.assert(FastCheck.property(FastCheck.array(FastCheck.string({ unit: "binary" })), (texts) => {
      const set = MaybeSet.make()
      for (const text of texts) set.add(text)
      assert.isTrue(texts.every((text) => set.mayHave(text)))
    }))
  })

  it("is rarely mistaken, also with a million texts of one beginning", () => {
    const set = MaybeSet.make()
    assert.isFalse(set.mayHave("anything"))
    for (let i = 0; i < 1_000_000; i++) set.add(`gateway/${i}`)
    let mistakes = 0
    for (let i = 0; i < 100_000; i++) if (set.mayHave(`gateway/other ${i}`)) mistakes++
    assert.isBelow(mistakes, 150)
  })
})
