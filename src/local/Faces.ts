/**
 * What every face of the gateway does with requests and answers.
 *
 * @since 0.1.0
 */
import * as NodeHttpServerRequest from "@effect/platform-node/NodeHttpServerRequest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Stream from "effect/Stream"
import type * as HttpServerRequest from "effect/unstable/http/HttpServerRequest"
import * as HttpServerResponse from "effect/unstable/http/HttpServerResponse"
import type * as Answer from "./Answer.ts"
import * as Envelope from "./Envelope.ts"
import * as RequestBody from "./RequestBody.ts"

/**
 * Turns an answer into the server's response.
 *
 * @category encoding
 * @since 0.1.0
 */
export const respond = (
  request: HttpServerRequest.HttpServerRequest,
  answer: Answer.Answer
): HttpServerResponse.HttpServerResponse => {
  const options = {
    status: answer.status,
    headers: answer.headers,
    contentType: answer.headers["content-type"] ?? "application/octet-stream"
  }
  if (answer.body instanceof Uint8Array) return HttpServerResponse.uint8Array(answer.body, options)
  const { body } = answer
  return HttpServerResponse.stream(
    Stream.suspend(() => {
      // Node holds the headers back until the first byte of the body, which a slow model makes late.
      NodeHttpServerRequest.toServerResponse(request).flushHeaders()
      return body
    }).pipe(
      // The server would end a broken stream as if it were whole; a broken connection tells the truth.
      Stream.onExit((exit) =>
        Exit.isFailure(exit)
          ? Effect.sync(() => NodeHttpServerRequest.toServerResponse(request).destroy())
          : Effect.void
      )
    ),
    options
  )
}

/**
 * A failure of the v4 API, of the gateway, or of the body's size, in its envelope.
 *
 * @category encoding
 * @since 0.1.0
 */
export const failure = (
  error: Envelope.ApiError | Envelope.AiGatewayError | RequestBody.BodyTooLarge
): HttpServerResponse.HttpServerResponse => {
  switch (error._tag) {
    case "ApiError":
      return Envelope.fromApiError(error)
    case "AiGatewayError":
      return Envelope.fromAiGatewayError(error)
    case "BodyTooLarge":
      // Both spellings of the errors: this happens before it matters which face was meant.
      return Envelope.json({
        success: false,
        result: null,
        messages: [],
        errors: [{ code: 3006, message: error.message }],
        error: [{ code: 3006, message: error.message }]
      }, { status: 413, headers: { connection: "close" } })
  }
}

/**
 * The body as JSON; refused with 400 when it is none.
 *
 * @category decoding
 * @since 0.1.0
 */
export const readJson = (
  request: HttpServerRequest.HttpServerRequest,
  limit: number
): Effect.Effect<unknown, Envelope.ApiError | RequestBody.BodyTooLarge> =>
  Effect.flatMap(RequestBody.read(request, limit), (bytes) =>
    Effect.try({
      try: (): unknown => JSON.parse(new TextDecoder().decode(bytes)),
      catch: () => Envelope.apiError(400, 7000, "the request body is not valid JSON", ["body"])
    }))

/**
 * A request target in its parts: nothing is decoded, and nothing depends on the Host.
 *
 * @category decoding
 * @since 0.1.0
 */
export const target = (
  url: string
): { readonly segments: ReadonlyArray<string>; readonly query: string } => {
  const at = url.indexOf("?")
  const path = at === -1 ? url : url.slice(0, at)
  const query = at === -1 ? "" : url.slice(at)
  return { segments: path.slice(1).split("/"), query }
}

/**
 * One part of a path, decoded; a broken escape stays as it is.
 *
 * @category decoding
 * @since 0.1.0
 */
export const decodeSegment = (segment: string | undefined): string => {
  if (segment === undefined) return ""
  if (!segment.includes("%")) return segment
  try {
    return decodeURIComponent(segment)
  } catch {
    return segment
  }
}
