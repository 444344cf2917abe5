/**
 * Where a cached answer stands in its file: a number in place of its name, since the index of hundreds of thousands of them
 * has to stay in memory and each answer changes a page of its own in it.
 *
 * Two names may have the same number, so what stands there tells its name, and the later one replaces the other.
 *
 * @since 0.1.0
 */
import { hash } from "node:crypto"

/**
 * @category models
 * @since 0.1.0
 */
export interface CachePlace {
  /** Nobody else's. */
  readonly name: string
  /** Below 2^52. */
  readonly number: number
}

/**
 * All places of a gateway; another one's may be among them, with names that begin otherwise.
 *
 * @category models
 * @since 0.1.0
 */
export interface Range {
  /** What the names begin with. */
  readonly start: string
  /** The lowest number; the highest is 2^32 - 1 more. */
  readonly first: number
}

/**
 * The ranges of an account's gateways; those of many are remembered.
 *
 * @category constructors
 * @since 0.1.0
 */
export const ranges = (account: string): (gateway: string) => Range => {
  const known = new Map<string, Range>()
  return (gateway) => {
    const before = known.get(gateway)
    if (before !== undefined) return before
    const start = `${hash("sha256", `${account}/${gateway}`, "base64url").slice(0, 11)}/`
    const found = { start, first: (numberOf(start) >>> 12) * width }
    if (known.size < mostGateways) known.set(gateway, found)
    return found
  }
}

/**
 * The place of a gateway's key.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = ({ first, start }: Range, key: string): CachePlace => ({
  name: start + key,
  number: first + numberOf(key)
})

/**
 * The number after the last one of a range.
 *
 * @category getters
 * @since 0.1.0
 */
export const endOf = ({ first }: Range): number => first + width

const width = 2 ** 32

const mostGateways = 1000

/** Fowler, Noll and Vo's hash of 32 bits. */
const numberOf = (text: string): number => {
  let found = 0x811c9dc5
  for (let i = 0; i < text.length; i++) found = Math.imul(found ^ text.charCodeAt(i), 0x01000193)
  // Its low bits alone depend on the last characters' low bits.
  found = Math.imul(found ^ (found >>> 15), 0x2c1b3c6d)
  return (found ^ (found >>> 13)) >>> 0
}
