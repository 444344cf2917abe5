/**
 * Which requests a route is for: by the model's name, or by what is asked.
 *
 * @since 0.1.0
 */
import type * as Prompt from "effect/unstable/ai/Prompt"
import type { MetadataValue } from "../client/GatewayLog.ts"

/**
 * What is known of a request before a model is chosen.
 *
 * @category models
 * @since 0.1.0
 */
export interface RouteRequest {
  /** The name that was asked for; empty when there was none. */
  readonly name: string
  readonly prompt: Prompt.Prompt
  /** The `metadata` of the `RequestOptions` around the call. */
  readonly metadata: { readonly [key: string]: MetadataValue }
}

/**
 * A name; a glob, in which `*` stands for any characters; a regular expression; or a function of the request.
 *
 * Names and globs match in any case and as a whole. A regular expression matches as it says, and always from the name's
 * start: flags `g` and `y` keep nothing from one request to the next.
 *
 * @category models
 * @since 0.1.0
 */
export type Pattern = string | RegExp | ((request: RouteRequest) => boolean)

/**
 * The test of a pattern.
 *
 * @category constructors
 * @since 0.1.0
 */
export const test = (pattern: Pattern): (request: RouteRequest) => boolean => {
  if (typeof pattern === "function") return pattern
  if (typeof pattern === "string") {
    const pieces = pattern.toLowerCase().split("*")
    return ({ name }) => matches(pieces, name.toLowerCase())
  }
  // A copy, whose state is nobody else's.
  const own = new RegExp(pattern)
  return ({ name }) => {
    own.lastIndex = 0
    return own.test(name)
  }
}

/** Piece after piece from the left, so that no name makes it slow, as it may a regular expression of many `.*`. */
const matches = (pieces: ReadonlyArray<string>, name: string): boolean => {
  const first = pieces[0] ?? ""
  const last = pieces.at(-1) ?? ""
  if (pieces.length === 1) return name === first
  if (name.length < first.length + last.length || !name.startsWith(first) || !name.endsWith(last)) return false
  let at = first.length
  const end = name.length - last.length
  for (const piece of pieces.slice(1, -1)) {
    const found = name.indexOf(piece, at)
    if (found === -1 || found + piece.length > end) return false
    at = found + piece.length
  }
  return true
}
