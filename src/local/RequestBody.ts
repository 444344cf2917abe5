/**
 * Reads a request's whole body up to a limit.
 *
 * Over the limit the rest is read and dropped, so that the client gets to see the 413 instead of a reset.
 *
 * @since 0.1.0
 */
import * as NodeHttpServerRequest from "@effect/platform-node/NodeHttpServerRequest"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type * as HttpServerRequest from "effect/unstable/http/HttpServerRequest"

/**
 * The body is larger than the gateway takes.
 *
 * @category errors
 * @since 0.1.0
 */
export class BodyTooLarge extends Schema.TaggedError<BodyTooLarge>("effect-ai-gateway/local/BodyTooLarge")(
  "BodyTooLarge",
  { limit: Schema.Number }
) {
  override get message(): string {
    return `Request too large: the local gateway takes bodies of up to ${this.limit} bytes`
  }
}

/**
 * The body's bytes. A request that breaks off never resumes: its fiber is interrupted by the server.
 *
 * @category getters
 * @since 0.1.0
 */
export const read = (
  request: HttpServerRequest.HttpServerRequest,
  limit: number
): Effect.Effect<Uint8Array, BodyTooLarge> =>
  Effect.callback<Uint8Array, BodyTooLarge>((resume) => {
    const message = NodeHttpServerRequest.toIncomingMessage(request)
    const announced = Number(message.headers["content-length"] ?? 0)
    if (announced > limit) {
      message.resume()
      return resume(Effect.fail(new BodyTooLarge({ limit })))
    }
    let size = 0
    let chunks: Array<Uint8Array> = []
    const onData = (chunk: Uint8Array) => {
      size += chunk.length
      if (size <= limit) {
        chunks.push(chunk)
        // The end itself is told in a turn of its own.
        if (size === announced) onEnd()
        return
      }
      chunks = []
      message.off("data", onData)
      message.resume()
      resume(Effect.fail(new BodyTooLarge({ limit })))
    }
    const onEnd = () => resume(Effect.succeed(chunks.length === 1 && chunks[0] ? chunks[0] : Buffer.concat(chunks)))
    message.on("data", onData)
    message.once("end", onEnd)
    return Effect.sync(() => {
      message.off("data", onData)
      message.off("end", onEnd)
    })
  })
