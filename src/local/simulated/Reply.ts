/**
 * What a simulated provider is asked, and what it replies: JSON, or a body that comes piece by piece.
 *
 * @since 0.1.0
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import * as Answer from "../Answer.ts"

/**
 * One request to a simulated provider.
 *
 * @category models
 * @since 0.1.0
 */
export interface Call {
  readonly provider: string
  readonly method: string
  /** Below the slug, decoded, without a slash at its ends. */
  readonly path: string
  readonly params: URLSearchParams
  /** Names in lower case. */
  readonly headers: { readonly [name: string]: string | undefined }
  readonly body: Uint8Array
  /** 24 hexadecimal digits: always the same for the same request, for all that needs an id. */
  readonly id: string
  /** Seconds since the epoch. */
  readonly now: number
}

/**
 * @category models
 * @since 0.1.0
 */
export type Reply =
  | { readonly status: number; readonly json: unknown }
  | { readonly contentType: string; readonly pieces: ReadonlyArray<string> }

/**
 * @category constructors
 * @since 0.1.0
 */
export const json = (json: unknown, status = 200): Reply => ({ status, json })

/**
 * Server-sent events, each of them whole in one piece.
 *
 * @category constructors
 * @since 0.1.0
 */
export const events = (pieces: ReadonlyArray<string>): Reply => ({
  contentType: "text/event-stream; charset=utf-8",
  pieces
})

/**
 * The reply on its way, with a pause before each piece but the first.
 *
 * @category conversions
 * @since 0.1.0
 */
export const toAnswer = (
  reply: Reply,
  pause: Duration.Duration,
  headers: { readonly [name: string]: string }
): Answer.Answer => {
  if ("json" in reply) return Answer.json(reply.status, reply.json, headers)
  const { contentType, pieces } = reply
  const rest = Stream.fromArray(pieces.slice(1)).pipe(Stream.rechunk(1), Stream.tap(() => Effect.sleep(pause)))
  const texts = Duration.toMillis(pause) === 0
    ? Stream.fromArray(pieces)
    : Stream.concat(Stream.fromArray(pieces.slice(0, 1)), rest)
  return { status: 200, headers: { ...headers, "content-type": contentType }, body: Stream.encodeText(texts) }
}

/**
 * An event's text: its name when it has one, and its data.
 *
 * @category encoding
 * @since 0.1.0
 */
export const event = (data: unknown, name?: string): string =>
  `${name === undefined ? "" : `event: ${name}\n`}data: ${JSON.stringify(data)}\n\n`

/**
 * A text word by word, each with the space before it; together they are the text.
 *
 * @category getters
 * @since 0.1.0
 */
export const words = (text: string): ReadonlyArray<string> => text.match(/\s*\S+|\s+$/g) ?? []

/**
 * A text in parts of twelve characters, as the arguments of tool calls come.
 *
 * @category getters
 * @since 0.1.0
 */
export const fragments = (text: string): ReadonlyArray<string> => text.match(/[^]{1,12}/gu) ?? []
