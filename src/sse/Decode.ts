/**
 * Server-sent events of `Sse.encode` back to response parts, for a remote client.
 *
 * @since 0.1.0
 */
import * as Arr from "effect/Array"
import * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type * as Pull from "effect/Pull"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import * as Response from "effect/unstable/ai/Response"
import * as Toolkit from "effect/unstable/ai/Toolkit"
import * as EventScanner from "../model/EventScanner.ts"
import { excerpt, isRecord, type JsonRecord, parse, text } from "../model/Json.ts"
import * as Utf8 from "../model/Utf8.ts"

/**
 * A part that came through the wire: what `LanguageModel.streamText` yields, with tool parameters and results in their
 * JSON form.
 *
 * @category models
 * @since 0.1.0
 */
export type StreamPart =
  | Response.StreamPart<{}>
  | Response.ToolCallPart<string, unknown>
  | Response.ToolResultPart<string, unknown, unknown>

/**
 * The other side's stream failed, and said so in an `error` event.
 *
 * @category errors
 * @since 0.1.0
 */
export class RemoteError extends Schema.TaggedError<RemoteError>("effect-ai-gateway/Sse/RemoteError")("RemoteError", {
  /** The tag of the reason there, such as `RateLimitError`. */
  reason: Schema.String,
  description: Schema.String,
  /** Cloudflare's code, when there was one. */
  code: Schema.NullOr(Schema.Number),
  isRetryable: Schema.Boolean,
  retryAfter: Schema.optionalKey(Schema.Duration)
}) {
  override get message(): string {
    return `${this.reason}: ${this.description}${this.code === null ? "" : ` (code ${this.code})`}`
  }
}

/**
 * The bytes are not a stream of parts, or end before its end.
 *
 * @category errors
 * @since 0.1.0
 */
export class SseDecodeError extends Schema.TaggedError<SseDecodeError>("effect-ai-gateway/Sse/SseDecodeError")(
  "SseDecodeError",
  {
    /** `Cut`: neither a finish part nor an error event came. `Malformed`: an event is not the part it says it is. */
    reason: Schema.Literals(["Cut", "Malformed"]),
    description: Schema.String
  }
) {
  get isRetryable(): boolean {
    return this.reason === "Cut"
  }
  override get message(): string {
    return this.description
  }
}

/**
 * Bytes of `Sse.encode` to the same parts.
 *
 * Tool parameters and results stay in their JSON form. An `error` event is a {@link RemoteError}; bytes that end with
 * neither a finish part nor an error event are an {@link SseDecodeError}; events of unknown names are skipped.
 *
 * @category decoding
 * @since 0.1.0
 */
export const decode = <E, R>(
  self: Stream.Stream<Uint8Array, E, R>
): Stream.Stream<StreamPart, E | RemoteError | SseDecodeError, R> =>
  Stream.transformPull(self, (upstream) =>
    Effect.sync(() => {
      let parts: Array<StreamPart> = []
      let failure: RemoteError | SseDecodeError | undefined
      let finished = false
      const bytes = Utf8.make()
      const scanner = EventScanner.make((data, event) => {
        if (finished || failure !== undefined || !partTypes.has(event)) return
        const part = decodeEvent(event, data)
        if (part instanceof RemoteError || part instanceof SseDecodeError) {
          failure = part
        } else {
          parts.push(part)
          finished = part.type === "finish"
        }
      })

      type Next = Pull.Pull<Arr.NonEmptyReadonlyArray<StreamPart>, E | RemoteError | SseDecodeError, void, R>
      const emit = (): Next | undefined => {
        const read = parts
        parts = []
        if (Arr.isArrayNonEmpty(read)) return Effect.succeed(read)
        if (failure !== undefined) return Effect.fail(failure)
        return finished ? Cause.done() : undefined
      }
      const read: Next = Effect.flatMap(upstream, (reads) => {
        for (const read of reads) scanner.push(bytes.push(read))
        return emit() ?? read
      })
      const end = (): Next => {
        scanner.push(bytes.end())
        scanner.end()
        // An event that broke off is malformed only because the bytes were cut.
        if (!finished && !(failure instanceof RemoteError)) {
          failure = new SseDecodeError({
            reason: "Cut",
            description: "The stream was cut: it ended with neither a finish part nor an error event"
          })
        }
        return emit() ?? Cause.done()
      }
      const readOrEnd: Next = Effect.catch(
        read,
        (error): Next => Cause.isDone(error) && !finished && failure === undefined ? end() : Effect.fail(error)
      )
      return Effect.suspend(() => finished || failure !== undefined ? emit() ?? readOrEnd : readOrEnd)
    }))

const decodePart = Schema.decodeUnknownOption(Response.StreamPart(Toolkit.empty))

const partTypes: ReadonlySet<string> = new Set<StreamPart["type"]>([
  "text-start",
  "text-delta",
  "text-end",
  "reasoning-start",
  "reasoning-delta",
  "reasoning-end",
  "tool-params-start",
  "tool-params-delta",
  "tool-params-end",
  "tool-call",
  "tool-result",
  "tool-approval-request",
  "file",
  "source",
  "response-metadata",
  "finish",
  "error"
])

const decodeEvent = (event: string, data: string): StreamPart | RemoteError | SseDecodeError => {
  const json = parse(data)
  const part = isRecord(json) && json["type"] === event ? decodeJson(json) : undefined
  return part ?? new SseDecodeError({
    reason: "Malformed",
    description: `The event "${event}" is not a part of that type: ${excerpt(data)}`
  })
}

const decodeJson = (json: JsonRecord): StreamPart | RemoteError | undefined => {
  // Parts have metadata, the report of a failure has none.
  if (json["type"] === "error" && json["metadata"] === undefined) return remoteError(json["error"])
  const id = json["id"]
  const name = json["name"]
  switch (json["type"]) {
    case "tool-call":
      return typeof id !== "string" || typeof name !== "string" ? undefined : Response.makePart("tool-call", {
        id,
        name,
        params: json["params"],
        providerExecuted: json["providerExecuted"] === true,
        metadata: metadata(json)
      })
    case "tool-result":
      return typeof id !== "string" || typeof name !== "string" ? undefined : Response.makePart("tool-result", {
        id,
        name,
        isFailure: json["isFailure"] === true,
        result: json["result"],
        encodedResult: json["result"],
        providerExecuted: json["providerExecuted"] === true,
        preliminary: json["preliminary"] === true,
        metadata: metadata(json)
      })
    default:
      return Option.getOrUndefined(decodePart(json))
  }
}

const decodeMetadata = Schema.decodeUnknownOption(Response.ProviderMetadata)

const metadata = (json: JsonRecord) => Option.getOrElse(decodeMetadata(json["metadata"]), () => ({}))

const remoteError = (error: unknown): RemoteError | undefined => {
  if (!isRecord(error)) return undefined
  const retryAfter = error["retryAfter"]
  return new RemoteError({
    reason: text(error["reason"]) ?? "Unknown",
    description: text(error["message"]) ?? "The answer could not be completed",
    code: typeof error["code"] === "number" ? error["code"] : null,
    isRetryable: error["retryable"] === true,
    ...(typeof retryAfter === "number" && retryAfter >= 0 ? { retryAfter: Duration.millis(retryAfter) } : {})
  })
}
