/**
 * One text for all values that say the same, and its SHA-256.
 *
 * The text is JSON with sorted keys, and with tokens that JSON does not have for what it does not know (`NaN`, bytes, URLs,
 * dates, ...), so that two values have one text only if they are equal. A value of an unknown class has none: what it keeps
 * to itself could make the difference.
 *
 * @since 0.1.0
 */
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Encoding from "effect/Encoding"

/**
 * The value has no text that would stand for it alone.
 *
 * @category errors
 * @since 0.1.0
 */
export class NotHashable extends Data.TaggedError("NotHashable")<{ readonly cause: unknown }> {}

/**
 * The SHA-256 of a value in hexadecimal digits. Bytes in it are hashed by their content, each once.
 *
 * @category constructors
 * @since 0.1.0
 */
export const stableHash = (value: unknown): Effect.Effect<string, NotHashable> =>
  Effect.tryPromise({
    try: async () => {
      const pieces: Array<string | Uint8Array> = []
      write(value, pieces)
      const texts = await Promise.all(pieces.map((piece) => typeof piece === "string" ? piece : sha256(piece)))
      return sha256(new TextEncoder().encode(texts.join("")))
    },
    catch: (cause) => new NotHashable({ cause })
  })

const sha256 = async (bytes: Uint8Array): Promise<string> =>
  // What is shared with another thread is not taken by the type, and not given here.
  Encoding.encodeHex(new Uint8Array(await crypto.subtle.digest("SHA-256", bytes as Uint8Array<ArrayBuffer>)))

const write = (value: unknown, out: Array<string | Uint8Array>): void => {
  switch (typeof value) {
    case "string":
    case "boolean":
      out.push(JSON.stringify(value))
      return
    case "number":
      out.push(Object.is(value, -0) ? "-0" : String(value))
      return
    case "bigint":
      out.push(`${value}n`)
      return
    case "undefined":
      out.push("undefined")
      return
    case "object":
      return writeObject(value, out)
    default:
      throw new TypeError(`A ${typeof value} cannot be part of a key`)
  }
}

const writeObject = (value: object | null, out: Array<string | Uint8Array>): void => {
  if (value === null) {
    out.push("null")
  } else if (Array.isArray(value)) {
    out.push("[")
    for (const item of value) {
      write(item, out)
      out.push(",")
    }
    out.push("]")
  } else if (ArrayBuffer.isView(value)) {
    out.push("bytes:", new Uint8Array(value.buffer, value.byteOffset, value.byteLength))
  } else if (value instanceof ArrayBuffer) {
    out.push("bytes:", new Uint8Array(value))
  } else if (value instanceof URL) {
    out.push("url:", JSON.stringify(value.href))
  } else if (value instanceof Date) {
    out.push("date:", String(value.getTime()))
  } else {
    writeRecord(value, out)
  }
}

const writeRecord = (value: object, out: Array<string | Uint8Array>): void => {
  const prototype: unknown = Object.getPrototypeOf(value)
  // A record of another realm has another Object.prototype, which is again the last one.
  if (typeof prototype === "object" && prototype !== null && Object.getPrototypeOf(prototype) !== null) {
    throw new TypeError(`A value of the class ${value.constructor.name} cannot be part of a key`)
  }
  out.push("{")
  for (const key of Object.keys(value).sort()) {
    const field: unknown = Reflect.get(value, key)
    if (field === undefined) continue
    out.push(JSON.stringify(key), ":")
    write(field, out)
    out.push(",")
  }
  out.push("}")
}
