import { assert, describe, it } from "@effect/vitest"
import * as Usage from "../../src/model/Usage.ts"

describe("Usage", () => {
  it("is zero only when nothing was counted, be it tokens that a cache was written with", () => {
    assert.isTrue(Usage.isZero({ input: 0, output: 0, cacheRead: 0 }))
    for (const count of ["input", "output", "cacheRead", "cacheWrite", "reasoning"]) {
      assert.isFalse(Usage.isZero({ [count]: 1 }), count)
    }
  })

  it("counts the uncached and the text that are left, never below zero, and makes up nothing", () => {
    assert.deepStrictEqual(Usage.toPart({ input: 10, cacheRead: 3, cacheWrite: 2, output: 5, reasoning: 6 }), {
      inputTokens: { uncached: 5, total: 10, cacheRead: 3, cacheWrite: 2 },
      outputTokens: { total: 5, text: 0, reasoning: 6 }
    })
    assert.deepStrictEqual(Usage.toPart({ output: 5 }).outputTokens, {
      total: 5,
      text: undefined,
      reasoning: undefined
    })
  })
})
