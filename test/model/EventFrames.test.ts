import { assert, describe, it } from "@effect/vitest"
import * as FastCheck from "fast-check"
import * as EventFrames from "../../src/model/EventFrames.ts"
import * as eventFrames from "../support/eventFrames.ts"

/** What is told of the reads: payloads by event, and how it ended. */
const read = (...reads: ReadonlyArray<Uint8Array>): ReadonlyArray<string> => {
  const told: Array<string> = []
  const frames = EventFrames.make({
    frame: ({ header, payload }) => told.push(`${header(":event-type")} ${payload}`),
    corrupt: ({ description }) => told.push(`corrupt: ${description}`),
    cut: () => told.push("cut")
  })
  reads.forEach(frames.push)
  frames.end()
  return told
}

const first = eventFrames.event("one", { text: "世界" })
const second = eventFrames.event("two", {})
const both = eventFrames.concat(first, second)
const parts = ["one {\"text\":\"世界\"}", "two {}"] as const
const name = [...new TextEncoder().encode(":x")]

describe("EventFrames", () => {
  it("gives the frames of reads of any size", () => {
    assert.deepStrictEqual(read(both), parts)
    assert.deepStrictEqual(read(new Uint8Array(0), ...eventFrames.split(both, 1)), parts)
    FastCheck.assert(FastCheck.property(
      FastCheck.array(FastCheck.nat(both.length), { maxLength: 6 }),
      (cuts) => {
        const at = [0, ...cuts.toSorted((a, b) => a - b), both.length]
        assert.deepStrictEqual(read(...at.slice(1).map((end, i) => both.subarray(at[i], end))), parts)
      }
    ))
  })

  it("takes headers of all types, and a frame without any", () => {
    const headers = [
      [0],
      [1],
      [2, 7],
      [3, 0, 7],
      [4, 0, 0, 0, 7],
      [5, 0, 0, 0, 0, 0, 0, 0, 7],
      [6, 0, 2, 1, 2],
      [8, 0, 0, 0, 0, 0, 0, 0, 7],
      [9, ...Array.from({ length: 16 }, () => 1)]
    ].flatMap((value) => [2].concat(name, value))
    assert.deepStrictEqual(read(eventFrames.rawFrame(Uint8Array.from(headers), new Uint8Array(0))), ["undefined "])
    assert.deepStrictEqual(read(eventFrames.frame({}, "a")), ["undefined a"])
  })

  it("fails at any damaged bit, and reads nothing after it", () => {
    for (let bit = 0; bit < first.length * 8; bit++) {
      const damaged = both.slice()
      damaged[bit >> 3]! ^= 1 << (bit & 7)
      const told = read(damaged)
      assert.lengthOf(told, 1, `bit ${bit}`)
      // A longer length can want more than there is.
      assert.match(told[0]!, bit < 32 ? /^(corrupt: a frame|cut)/ : /^corrupt: a frame is damaged/, `bit ${bit}`)
    }
  })

  it("fails at lengths that no frame has", () => {
    for (const length of [0, 1, 15, 17 * 1024 * 1024, 0xffffffff]) {
      const bytes = new Uint8Array(16)
      new DataView(bytes.buffer).setUint32(0, length)
      assert.deepStrictEqual(read(bytes), [`corrupt: a frame cannot have ${length} bytes`])
      assert.deepStrictEqual(read(...eventFrames.split(bytes, 1)), [`corrupt: a frame cannot have ${length} bytes`])
    }
  })

  it("fails at headers that lie about their length, with checksums that are right", () => {
    const payload = new TextEncoder().encode("{\"text\":\"a long enough payload\"}")
    const long = Uint8Array.from([2, ...name, 7, 0, 20, 97])
    const lies: ReadonlyArray<Uint8Array> = [
      eventFrames.rawFrame(long, payload),
      eventFrames.rawFrame(Uint8Array.from([200, ...name]), payload),
      eventFrames.rawFrame(Uint8Array.from([2, ...name, 77]), payload),
      eventFrames.rawFrame(new Uint8Array(0), payload, payload.length + 1),
      eventFrames.rawFrame(new Uint8Array(0), payload, 0xffffffff)
    ]
    for (const lie of lies) {
      const told = read(eventFrames.concat(lie, second))
      assert.lengthOf(told, 1)
      assert.match(told[0]!, /^corrupt: a frame is damaged/)
    }
  })

  it("tells a body that ends inside a frame", () => {
    for (let at = 1; at < both.length; at++) {
      const told = read(both.subarray(0, at))
      const expected = at < first.length ? ["cut"] : at === first.length ? parts.slice(0, 1) : [parts[0], "cut"]
      assert.deepStrictEqual(told, expected)
    }
  })

  it("puts a frame of 4 MB together from reads of 1 KiB", () => {
    const text = "x".repeat(4_000_000)
    const told = read(...eventFrames.split(eventFrames.event("big", text), 1024))
    assert.lengthOf(told, 1)
    assert.strictEqual(told[0]!.length, text.length + 6)
  })

  it("survives any bytes", () => {
    FastCheck.assert(FastCheck.property(
      FastCheck.array(FastCheck.uint8Array({ maxLength: 40 })),
      (reads) => void read(...reads)
    ))
  })
})
