import { assert, describe, it } from "@effect/vitest"
import * as FastCheck from "fast-check"
import * as EventScanner from "../../src/model/EventScanner.ts"
import * as Utf8 from "../../src/model/Utf8.ts"

const scan = (reads: ReadonlyArray<Uint8Array>): ReadonlyArray<string> => {
  const events: Array<string> = []
  const utf8 = Utf8.make()
  const scanner = EventScanner.make((data, event) => events.push(event === "" ? data : `${event}|${data}`))
  for (const read of reads) scanner.push(utf8.push(read))
  scanner.push(utf8.end())
  scanner.end()
  return events
}

const bytes = (text: string) => new TextEncoder().encode(text)

const cases: ReadonlyArray<readonly [claim: string, text: string, events: ReadonlyArray<string>]> = [
  ["LF", "data: a\n\ndata: b\n\n", ["a", "b"]],
  ["CRLF", "data: a\r\n\r\ndata: b\r\n\r\n", ["a", "b"]],
  ["CR", "data: a\r\rdata: b\r\r", ["a", "b"]],
  ["mixed line ends", "data: a\n\r\ndata: b\r\n\ndata: c\r\n\r", ["a", "b", "c"]],
  ["data without a space", "data:a\n\n", ["a"]],
  ["one space only is taken away", "data:  a \n\n", [" a "]],
  ["several data lines", "data: a\ndata:\ndata: b\n\n", ["a\n\nb"]],
  ["data without a colon", "data\n\n", [""]],
  ["comments, id, retry and unknown fields", ": hi\nid: 7\nretry: 10\nfoo: bar\ndata: a\n\nretry: 3000\n\n", ["a"]],
  ["event names", "event: x\ndata: a\n\ndata: b\n\nevent:y\n\ndata: c\n\n", ["x|a", "b", "c"]],
  ["no event without data", "\n\n\nevent: x\n\n", []],
  ["a last event without its empty line", "data: a\n\ndata: b\n", ["a", "b"]],
  ["a last event without any line end", "data: a\n\ndata: b", ["a", "b"]],
  ["a byte order mark", "\ufeffdata: a\n\n", ["a"]],
  ["a byte order mark that is not at the start", "data: \ufeffa\n\n", ["\ufeffa"]],
  ["characters of two, three and four bytes", "data: é世🌍é\n\n", ["é世🌍é"]],
  ["fields whose name only starts like data", "database: a\ndata: b\n\n", ["b"]]
]

describe("EventScanner", () => {
  for (const [claim, text, events] of cases) {
    it(`reads ${claim}, however the bytes are split`, () => {
      const all = bytes(text)
      assert.deepStrictEqual(scan([all]), events)
      for (let at = 0; at <= all.length; at++) {
        assert.deepStrictEqual(scan([all.subarray(0, at), all.subarray(at)]), events, `split at ${at}`)
      }
      assert.deepStrictEqual(scan(Array.from(all, (byte) => Uint8Array.of(byte))), events, "byte by byte")
    })
  }

  it("gives the same events for any bytes in any split", () => {
    const anyBytes = FastCheck.array(
      FastCheck.oneof(
        FastCheck.constantFrom(..."data: event:\r\n\n\r".split("").map((char) => char.charCodeAt(0))),
        FastCheck.integer({ min: 0, max: 255 })
      ),
      { maxLength: 200 }
    )
    FastCheck.assert(
      FastCheck.property(anyBytes, FastCheck.array(FastCheck.nat(200), { maxLength: 20 }), (all, cuts) => {
        const source = Uint8Array.from(all)
        const at = [0, ...cuts.filter((cut) => cut <= source.length).sort((a, b) => a - b), source.length]
        const reads = at.slice(1).map((end, i) => source.subarray(at[i], end))
        assert.deepStrictEqual(scan(reads), scan([source]))
      }),
      { numRuns: 500 }
    )
  })

  it("decodes bytes in any split as the platform decodes them whole", () => {
    FastCheck.assert(
      FastCheck.property(FastCheck.uint8Array({ maxLength: 40 }), FastCheck.nat(40), (all, cut) => {
        const utf8 = Utf8.make()
        const text = utf8.push(all.subarray(0, cut)) + utf8.push(all.subarray(cut)) + utf8.end()
        assert.strictEqual(text, new TextDecoder().decode(all))
      }),
      { numRuns: 2000 }
    )
  })

  it("does not keep the reader's buffer", () => {
    const utf8 = Utf8.make()
    const buffer = bytes("é").slice(0, 1)
    assert.strictEqual(utf8.push(buffer), "")
    buffer[0] = 65
    assert.strictEqual(utf8.push(bytes("é").slice(1)), "é")
  })

  it("reads a line of 4 MB that comes in reads of 1 KB", () => {
    const all = bytes(`data: ${"x".repeat(4 << 20)}\n\n`)
    const reads = Array.from(
      { length: Math.ceil(all.length / 1024) },
      (_, i) => all.subarray(i * 1024, (i + 1) * 1024)
    )
    assert.strictEqual(scan(reads)[0]?.length, 4 << 20)
  })
})
