/**
 * Frames of Amazon's event streams, written after the wire reference (10.5) and with Node's own CRC32, so that they owe
 * nothing to the library that reads them.
 */
import { crc32 } from "node:zlib"
import { fixture } from "./parts.ts"

const text = (value: string) => Buffer.from(value, "utf8")
const number = (value: number, size: number) => {
  const bytes = Buffer.alloc(size)
  bytes.writeUIntBE(value, 0, size)
  return bytes
}

export const frame = (headers: { readonly [name: string]: string }, payload: string | Uint8Array): Uint8Array => {
  const block = Buffer.concat(
    Object.entries(headers).flatMap(([name, value]) => [
      number(text(name).length, 1),
      text(name),
      number(7, 1),
      number(text(value).length, 2),
      text(value)
    ])
  )
  return rawFrame(block, typeof payload === "string" ? text(payload) : payload)
}

/** With the headers as they are given, and a length of theirs that need not be true. */
export const rawFrame = (headers: Uint8Array, payload: Uint8Array, claimed = headers.length): Uint8Array => {
  const prelude = Buffer.concat([number(headers.length + payload.length + 16, 4), number(claimed, 4)])
  const body = Buffer.concat([prelude, number(crc32(prelude), 4), headers, payload])
  return new Uint8Array(Buffer.concat([body, number(crc32(body), 4)]))
}

export const event = (type: string, payload: unknown): Uint8Array =>
  frame(
    { ":event-type": type, ":content-type": "application/json", ":message-type": "event" },
    JSON.stringify(payload)
  )

export const exception = (type: string, message: string): Uint8Array =>
  frame(
    { ":exception-type": type, ":content-type": "application/json", ":message-type": "exception" },
    JSON.stringify({ message })
  )

export const concat = (...frames: ReadonlyArray<Uint8Array>): Uint8Array => new Uint8Array(Buffer.concat(frames))

/** A fixture of one event a line: `{"type": {payload}}`, exceptions under a name that ends so. */
export const recorded = (name: string): ReadonlyArray<Uint8Array> =>
  fixture(name, "bedrock").trim().split("\n").map((line) => {
    const [[type, payload]] = Object.entries(JSON.parse(line)) as [[string, { readonly message: string }]]
    return type.endsWith("Exception") ? exception(type, payload.message) : event(type, payload)
  })

/** The bytes in reads of `size`. */
export const split = (bytes: Uint8Array, size: number): ReadonlyArray<Uint8Array> => {
  const reads: Array<Uint8Array> = []
  for (let at = 0; at < bytes.length; at += size) reads.push(bytes.subarray(at, at + size))
  return reads
}
