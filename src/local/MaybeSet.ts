/**
 * A set of whole numbers below 2^53, in a fixed room, that knows for sure only what is not in it: Bloom's filter.
 *
 * It takes 2 MiB, and with a million numbers in it it is mistaken about one of a thousand others.
 *
 * @since 0.1.0
 */

/**
 * @category models
 * @since 0.1.0
 */
export interface MaybeSet {
  readonly add: (number: number) => void
  /** False only for what was never added. */
  readonly mayHave: (number: number) => boolean
}

/**
 * @category constructors
 * @since 0.1.0
 */
export const make = (): MaybeSet => {
  const words = new Uint32Array(bits >>> 5)
  return {
    add: (number) => {
      const step = stepOf(number)
      for (let n = 0, at = startOf(number); n < tries; n++, at = (at + step) >>> 0) {
        const bit = at & (bits - 1)
        words[bit >>> 5] = (words[bit >>> 5] ?? 0) | (1 << (bit & 31))
      }
    },
    mayHave: (number) => {
      const step = stepOf(number)
      for (let n = 0, at = startOf(number); n < tries; n++, at = (at + step) >>> 0) {
        const bit = at & (bits - 1)
        if (((words[bit >>> 5] ?? 0) & (1 << (bit & 31))) === 0) return false
      }
      return true
    }
  }
}

const bits = 1 << 24

/** With so many bits per number, of a million numbers. */
const tries = 6

/** Spreads what its bits say over all of them: the last steps of Murmur's hash. */
const mixed = (number: number, seed: number): number => {
  let found = number ^ Math.imul(Math.floor(number / 2 ** 32), 0x9e3779b1) ^ seed
  found = Math.imul(found ^ (found >>> 16), 0x85ebca6b)
  found = Math.imul(found ^ (found >>> 13), 0xc2b2ae35)
  return (found ^ (found >>> 16)) >>> 0
}

const startOf = (number: number) => mixed(number, 0)

/** Odd, so that no two tries meet. */
const stepOf = (number: number) => mixed(number, 0x27d4eb2f) | 1
