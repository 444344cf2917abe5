import { assert, describe, it } from "@effect/vitest"
import * as FastCheck from "fast-check"
import * as JsonArrayStream from "../../src/model/JsonArrayStream.ts"
import { fixture } from "../support/parts.ts"

/** The elements, after each piece how many there were, and what came at the end. */
const read = (pieces: ReadonlyArray<string>) => {
  const elements: Array<string> = []
  const counts: Array<number> = []
  const stream = JsonArrayStream.make((json) => elements.push(json))
  for (const piece of pieces) {
    stream.push(piece)
    counts.push(elements.length)
  }
  stream.end()
  return { elements, counts }
}

describe("JsonArrayStream", () => {
  it("hands over each element when its last character has come", () => {
    const { counts, elements } = read(["[{\"a\"", ":1", "}", "\n,", "{}", ",[1,", "[2]]", ",7", ",\"x,]\"", "]"])
    assert.deepStrictEqual(elements, ["{\"a\":1}", "{}", "[1,[2]]", "7", "\"x,]\""])
    assert.deepStrictEqual(counts, [0, 0, 1, 1, 2, 2, 3, 3, 4, 5])
  })

  it("is not misled by brackets, quotes and backslashes in strings, however they are cut", () => {
    const text = String.raw`[{"a":"}]\"[{","b\\":"\\\\"},"\\","\\\"]",{"c":"\\\\\""}]`
    const expected = JSON.parse(text)
    for (let first = 0; first <= text.length; first++) {
      for (let second = first; second <= text.length; second++) {
        const { elements } = read([text.slice(0, first), text.slice(first, second), text.slice(second)])
        assert.deepStrictEqual(elements.map((json) => JSON.parse(json)), expected, `${first}, ${second}`)
      }
    }
  })

  it("gives the elements of any JSON array in any split", () => {
    FastCheck.assert(
      FastCheck.property(
        FastCheck.array(FastCheck.jsonValue({ maxDepth: 4 }), { maxLength: 5 }),
        FastCheck.integer({ min: 1, max: 7 }),
        FastCheck.constantFrom(undefined, 2),
        (array, size, indent) => {
          const text = JSON.stringify(array, null, indent)
          const pieces = Array.from(
            { length: Math.ceil(text.length / size) },
            (_, i) => text.slice(i * size, (i + 1) * size)
          )
          assert.deepStrictEqual(read(pieces).elements.map((json) => JSON.parse(json)), JSON.parse(text))
        }
      ),
      { numRuns: 500, seed: 3 }
    )
  })

  it("drops an element that was cut, and hands over what follows the array", () => {
    assert.deepStrictEqual(read(["[{},{\"a\":"]).elements, ["{}"])
    assert.deepStrictEqual(read(["[{},12"]).elements, ["{}"])
    assert.deepStrictEqual(read(["[{}]\n", " {\"error\":", "1}\n"]).elements, ["{}", "{\"error\":1}"])
    assert.deepStrictEqual(read(["[]", " \n"]).elements, [])
  })

  it("looks at each character once: one element of 2 MB in 16-character pieces", () => {
    const element = JSON.stringify({ data: "\\\"x".repeat(250_000) })
    const text = `[${element}]`
    const pieces = Array.from({ length: Math.ceil(text.length / 16) }, (_, i) => text.slice(i * 16, (i + 1) * 16))
    assert.deepStrictEqual(read(pieces).elements, [element])
  })

  it("splits Google's stream", () => {
    const { elements } = read([fixture("array.json", "google")])
    assert.strictEqual(elements.length, 3)
  })
})
