/**
 * A set of texts in a fixed room that knows for sure only what is not in it: Bloom's filter.
 *
 * It takes 2 MiB, and with a million texts in it it is mistaken about one of a thousand others.
 *
 * @since 0.1.0
 */

/**
 * @category models
 * @since 0.1.0
 */
export interface MaybeSet {
  readonly add: (text: string) => void
  /** False only for what was never added. */
  readonly mayHave: (text: string) => boolean
}

/**
 * @category constructors
 * @since 0.1.0
 */
export const make = (): MaybeSet => {
  const words = new Uint32Array(bits >>> 5)
  return {
    add: (text) => {
      const step = stepOf(text)
      for (let n = 0, at = startOf(text); n < tries; n++, at = (at + step) >>> 0) {
        const bit = at & (bits - 1)
        words[bit >>> 5] = (words[bit >>> 5] ?? 0) | (1 << (bit & 31))
      }
    },
    mayHave: (text) => {
      const step = stepOf(text)
      for (let n = 0, at = startOf(text); n < tries; n++, at = (at + step) >>> 0) {
        const bit = at & (bits - 1)
        if (((words[bit >>> 5] ?? 0) & (1 << (bit & 31))) === 0) return false
      }
      return true
    }
  }
}

const bits = 1 << 24

/** With so many bits per text, of a million texts. */
const tries = 6

/** Fowler, Noll and Vo's hash; the two below differ in where it begins. */
const hash = (text: string, offset: number): number => {
  let found = offset
  for (let i = 0; i < text.length; i++) found = Math.imul(found ^ text.charCodeAt(i), 0x01000193)
  // Its low bits alone depend on the last characters' low bits.
  found = Math.imul(found ^ (found >>> 15), 0x2c1b3c6d)
  return (found ^ (found >>> 13)) >>> 0
}

const startOf = (text: string) => hash(text, 0x811c9dc5)

/** Odd, so that no two tries meet. */
const stepOf = (text: string) => hash(text, 0x9747b28c) | 1
