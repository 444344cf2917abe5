/**
 * What is expected of every store, once it has done the exercise.
 */
import { assert } from "@effect/vitest"
import type { Report } from "./exerciseStore.ts"

export const checkStore = (
  report: Report,
  /** What `clear` clears, or why it does not: Effect's `layerBackingKvs` clears the whole `KeyValueStore`. */
  cleared: "store" | "everything" | RegExp = "store"
): void => {
  assert.isNull(report.missing)
  assert.deepStrictEqual<unknown>(report.values, [0, 1, 2, 3, 4].map((index) => ({ index })))
  assert.deepStrictEqual<unknown>(report.many, [{ again: true }, null, { index: 2 }])
  assert.isNull(report.elsewhere, "stores are apart")
  assert.isNull(report.removed)
  assert.deepStrictEqual<unknown>(report.before, [{ s: 1 }, { s: 2 }, { s: 3 }])
  assert.deepStrictEqual<unknown>(report.after, [null, { s: 2 }, { s: 3 }])
  if (typeof cleared === "string") {
    assert.isTrue(report.cleared)
    assert.deepStrictEqual<unknown>(report.left, [null, cleared === "store" ? { kept: true } : null])
  } else assert.match(String(report.cleared), cleared)

  const { brief, calls, first, replayed, second, stream, tooOld } = report.answers
  assert.deepStrictEqual<unknown>([first, second], [["answer 0", null], ["answer 0", true]])
  assert.deepStrictEqual(stream.groups, [3, 2, 2, 1])
  assert.deepStrictEqual(replayed, stream)
  assert.deepStrictEqual<unknown>([brief, tooOld], [["answer 2", null], ["answer 3", null]])
  assert.strictEqual(calls, 4)
}
