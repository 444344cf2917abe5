/**
 * Bytes to text, read by read: a code point that is split over two reads comes out whole.
 *
 * @since 0.1.0
 */

/**
 * The state of one run; never share it between two streams.
 *
 * @category models
 * @since 0.1.0
 */
export interface Utf8Decoder {
  /** The text of all code points that are complete so far. */
  readonly push: (bytes: Uint8Array) => string
  /** The replacement character when the bytes ended inside a code point. */
  readonly end: () => string
}

/**
 * Starts a decoder that drops a leading byte order mark and replaces invalid bytes, as the Encoding standard says.
 *
 * `TextDecoder` leaves its fast path in engines once it is asked to stream, so the split code point (at most three
 * bytes) is carried here and each read is decoded at once.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (): Utf8Decoder => {
  const decoder = new TextDecoder("utf-8", { ignoreBOM: true })
  let carry: Uint8Array | undefined
  let started = false

  const decode = (bytes: Uint8Array): string => {
    const text = decoder.decode(bytes)
    if (started || text === "") return text
    started = true
    return text.charCodeAt(0) === 0xfeff ? text.slice(1) : text
  }

  return {
    push(read) {
      let bytes = read
      if (carry !== undefined) {
        bytes = new Uint8Array(carry.length + read.length)
        bytes.set(carry)
        bytes.set(read, carry.length)
        carry = undefined
      }
      const complete = completeLength(bytes)
      if (complete === bytes.length) return decode(bytes)
      // A copy: the reader may use the read's buffer again.
      carry = bytes.slice(complete)
      return decode(bytes.subarray(0, complete))
    },
    end() {
      if (carry === undefined) return ""
      const rest = carry
      carry = undefined
      return decode(rest)
    }
  }
}

/** Length without a last sequence whose lead byte promises more bytes than have come. */
const completeLength = (bytes: Uint8Array): number => {
  const length = bytes.length
  for (let back = 1; back <= 3 && back <= length; back++) {
    // In range by the loop's condition.
    const byte = bytes[length - back]!
    if (byte < 0x80) return length
    if (byte >= 0xc0) {
      const promised = byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : 2
      return promised > back ? length - back : length
    }
  }
  return length
}
