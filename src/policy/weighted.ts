/**
 * A choice between models by weights, the same one each time for the same key.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"
import type { RouteRequest } from "./modelPatterns.ts"

/**
 * One of the models to choose from.
 *
 * @category models
 * @since 0.1.0
 */
export interface Choice<Model> {
  /** How it is called in answers; `variant 1`, `variant 2`, ... by default. */
  readonly name?: string | undefined
  /** Its share is this of the sum of all weights; more than 0. */
  readonly weight: number
  readonly model: Model
}

/**
 * @category models
 * @since 0.1.0
 */
export interface Options {
  /** Keeps one experiment's choices from another's; the route's name by default. */
  readonly name?: string | undefined
  /** A key of the request's metadata, or what the request's key is; without one it is chosen at random. */
  readonly key?: string | ((request: RouteRequest) => string | undefined) | undefined
}

/**
 * Models to choose from.
 *
 * @category models
 * @since 0.1.0
 */
export interface Weighted<Model> extends Options {
  readonly _tag: "Weighted"
  readonly choices: ReadonlyArray<Choice<Model>>
}

/**
 * The index of the choice for a request.
 *
 * @category combinators
 * @since 0.1.0
 */
export const choose = (
  { choices, key, name }: Weighted<unknown>,
  route: string,
  request: RouteRequest
): Effect.Effect<number> => {
  const value = typeof key === "function" ? key(request) : key === undefined ? undefined : request.metadata[key]
  const share = value === undefined ? Random.next : Effect.succeed(shareOf(`${name ?? route}\n${value}`))
  return Effect.map(share, (share) => indexAt(choices.map(({ weight }) => weight), share))
}

/**
 * Where a text falls between 0 and 1: always at the same place, and texts that differ little far from each other.
 *
 * FNV-1a over the code units, then the last step of MurmurHash3. It is part of the contract, since a change would move
 * everybody who takes part in an experiment; Effect's own hash may change with any version.
 *
 * @category combinators
 * @since 0.1.0
 */
export const shareOf = (text: string): number => {
  let hash = 0x811c9dc5
  for (let i = 0; i < text.length; i++) {
    hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193)
  }
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b)
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35)
  return ((hash ^ (hash >>> 16)) >>> 0) / 2 ** 32
}

const indexAt = (weights: ReadonlyArray<number>, share: number): number => {
  let left = share * weights.reduce((sum, weight) => sum + weight, 0)
  const found = weights.findIndex((weight) => (left -= weight) < 0)
  // Sums of fractions may be a little short of the whole.
  return found === -1 ? weights.length - 1 : found
}
