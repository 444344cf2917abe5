/**
 * Token counts: what wires say of them, and the part that Effect has for them.
 *
 * @since 0.1.0
 */
import type * as Response from "effect/unstable/ai/Response"

/**
 * Token counts as the wire gave them; what it did not give stays `undefined`.
 *
 * @category models
 * @since 0.1.0
 */
export interface Usage {
  readonly input?: number | undefined
  readonly cacheRead?: number | undefined
  readonly cacheWrite?: number | undefined
  readonly output?: number | undefined
  readonly reasoning?: number | undefined
}

/**
 * Some terminators repeat the counts as zeros.
 *
 * @category predicates
 * @since 0.1.0
 */
export const isZero = (usage: Usage): boolean =>
  !usage.input && !usage.output && !usage.cacheRead && !usage.cacheWrite && !usage.reasoning

/**
 * The counts of a finish part; what the wire did not give is left open there, too.
 *
 * @category conversions
 * @since 0.1.0
 */
export const toPart = (usage: Usage = {}): typeof Response.Usage.Encoded => {
  const { cacheRead, cacheWrite, input, output, reasoning } = usage
  return {
    inputTokens: {
      uncached: input === undefined ? undefined : Math.max(0, input - (cacheRead ?? 0) - (cacheWrite ?? 0)),
      total: input,
      cacheRead,
      cacheWrite
    },
    outputTokens: {
      total: output,
      text: output === undefined || reasoning === undefined ? undefined : Math.max(0, output - reasoning),
      reasoning
    }
  }
}
