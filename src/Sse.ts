/**
 * Response parts as server-sent events, to a browser or any other client, and back.
 *
 * ```ts
 * const body = LanguageModel.streamText({ prompt }).pipe(Stream.provide(languageModel), Sse.encode)
 * return HttpServerResponse.stream(body, { headers: Sse.headers })
 * ```
 *
 * @since 0.1.0
 */

/** Apart from each other, so that a Worker that only encodes does not carry what decoding needs. */
export { decode, RemoteError, SseDecodeError, type StreamPart } from "./sse/Decode.ts"
export { encode, type Failure, headers } from "./sse/Encode.ts"
