/**
 * From the parts of a stream to those of a whole answer: codecs write the former only.
 *
 * @since 0.1.0
 */
import type * as Response from "effect/unstable/ai/Response"

/**
 * The parts of a whole answer from those of a stream: text and reasoning joined, tool parameters left out.
 *
 * @category constructors
 * @since 0.1.0
 */
export const joinDeltas = (parts: ReadonlyArray<Response.StreamPartEncoded>): Array<Response.PartEncoded> => {
  const whole: Array<Response.PartEncoded> = []
  let joined = ""
  let metadata: Response.ProviderMetadata = {}
  for (const part of parts) {
    switch (part.type) {
      case "text-start":
      case "reasoning-start":
        joined = ""
        metadata = part.metadata ?? {}
        break
      case "text-delta":
      case "reasoning-delta":
        joined += part.delta
        break
      case "text-end":
        whole.push({ ...base, type: "text", text: joined, metadata: { ...metadata, ...part.metadata } })
        break
      case "reasoning-end":
        whole.push({ ...base, type: "reasoning", text: joined, metadata: { ...metadata, ...part.metadata } })
        break
      case "tool-params-start":
      case "tool-params-delta":
      case "tool-params-end":
      case "error":
        break
      default:
        whole.push(part)
    }
  }
  return whole
}

/** The decoded shape: Effect decodes it faster than a bare encoded part. */
const base = { "~effect/ai/Response/Part": "~effect/ai/Response/Part" } as const
