/**
 * The binary frames of Amazon's event streams: reads of any size in, messages out.
 *
 * The frames are taken apart, and both of their checksums checked, by the AWS SDK's own codec. What is here puts them
 * together from the reads: each byte is copied at most once.
 *
 * Source: wire reference, section 10.5.
 *
 * @since 0.1.0
 */
import { EventStreamCodec } from "@smithy/core/event-streams"
import * as AiError from "effect/unstable/ai/AiError"

/**
 * One message.
 *
 * @category models
 * @since 0.1.0
 */
export interface Frame {
  /** A header's text, or `undefined` when there is no such header or it is no text. */
  readonly header: (name: string) => string | undefined
  readonly payload: string
}

/**
 * The state of one run; never share it between two streams.
 *
 * @category models
 * @since 0.1.0
 */
export interface EventFrames {
  readonly push: (bytes: Uint8Array) => void
  readonly end: () => void
}

/**
 * @category models
 * @since 0.1.0
 */
export interface Handlers {
  readonly frame: (frame: Frame) => void
  /** The bytes are no frames; nothing is read after that. */
  readonly corrupt: (reason: AiError.InvalidOutputError) => void
  /** The body ended inside a frame. */
  readonly cut: () => void
}

/** A frame has a prelude of 12 bytes and a checksum of 4. */
const minimum = 16
/** Amazon's own limits: 16 MiB of payload, 128 KiB of headers. */
const maximum = 16 * 1024 * 1024 + 128 * 1024 + minimum

/**
 * @category constructors
 * @since 0.1.0
 */
export const make = (handlers: Handlers): EventFrames => {
  const decode = makeDecoder()
  const head = new Uint8Array(4)
  let pieces: Array<Uint8Array> = []
  /** Bytes of the open frame that came with earlier reads. */
  let held = 0
  /** Length of the open frame; 0 until its first four bytes are there. */
  let length = 0
  let isCorrupt = false

  const corrupt = (description: string): void => {
    isCorrupt = true
    handlers.corrupt(new AiError.InvalidOutputError({ description }))
  }

  return {
    push(bytes) {
      if (isCorrupt) return
      let at = 0
      while (at < bytes.length) {
        if (length === 0) {
          if (held === 0 && bytes.length - at >= 4) length = uint32(bytes, at)
          else {
            // The length itself is split.
            while (held < 4 && at < bytes.length) head[held++] = bytes[at++] ?? 0
            if (held < 4) return
            pieces.push(head.slice())
            length = uint32(head, 0)
          }
          if (length < minimum || length > maximum) return corrupt(`a frame cannot have ${length} bytes`)
        }
        const piece = bytes.subarray(at, at + length - held)
        at += piece.length
        if (held + piece.length < length) {
          pieces.push(piece)
          held += piece.length
          return
        }
        const whole = held === 0 ? piece : join(pieces, piece, length)
        pieces = []
        held = 0
        length = 0
        const frame = decode(whole)
        if (typeof frame === "string") return corrupt(`a frame is damaged: ${frame}`)
        handlers.frame(frame)
      }
    },
    end() {
      if (held > 0 && !isCorrupt) handlers.cut()
    }
  }
}

/** The frame, or what is wrong with it. */
const makeDecoder = (): (bytes: Uint8Array) => Frame | string => {
  const decoder = new TextDecoder()
  /** Where the headers of the frame at hand end in its buffer; the codec does not hold them to it. */
  let headersEnd = 0
  const codec = new EventStreamCodec(
    (input) => {
      if (typeof input === "string") return input
      if (input.byteOffset + input.byteLength > headersEnd) throw new RangeError("a header goes on after the headers")
      return decoder.decode(input)
    },
    (text) => new TextEncoder().encode(text)
  )

  return (bytes) => {
    headersEnd = bytes.byteOffset + 12 + uint32(bytes, 4)
    try {
      const { body, headers } = codec.decode(bytes)
      return {
        header(name) {
          const header = Object.hasOwn(headers, name) ? headers[name] : undefined
          return header?.type === "string" ? header.value : undefined
        },
        payload: decoder.decode(body)
      }
    } catch (error) {
      return error instanceof Error ? error.message : String(error)
    }
  }
}

const uint32 = (bytes: Uint8Array, at: number): number =>
  new DataView(bytes.buffer, bytes.byteOffset).getUint32(at, false)

const join = (pieces: ReadonlyArray<Uint8Array>, last: Uint8Array, length: number): Uint8Array => {
  const whole = new Uint8Array(length)
  let at = 0
  for (const piece of pieces) {
    whole.set(piece, at)
    at += piece.length
  }
  whole.set(last, at)
  return whole
}
