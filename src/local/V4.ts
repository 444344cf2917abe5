/**
 * Routes of Cloudflare's v4 API: below `/client/v4/accounts/{account}`, with the token, in the v4 envelope.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type * as HttpRouter from "effect/unstable/http/HttpRouter"
import type * as HttpServerRequest from "effect/unstable/http/HttpServerRequest"
import type * as HttpServerResponse from "effect/unstable/http/HttpServerResponse"
import * as Access from "./Access.ts"
import * as Envelope from "./Envelope.ts"
import * as Faces from "./Faces.ts"
import type * as RequestBody from "./RequestBody.ts"
import type { Site } from "./Site.ts"

/**
 * @category models
 * @since 0.1.0
 */
export type Failure = Envelope.ApiError | Envelope.AiGatewayError | RequestBody.BodyTooLarge

/**
 * @category models
 * @since 0.1.0
 */
export type Reply = Effect.Effect<HttpServerResponse.HttpServerResponse, Failure, Scope.Scope>

/**
 * What a handler gets: the request, and its path's segments below the account, decoded.
 *
 * @category models
 * @since 0.1.0
 */
export interface Call {
  readonly request: HttpServerRequest.HttpServerRequest
  readonly path: ReadonlyArray<string>
  readonly params: URLSearchParams
}

/**
 * @category constants
 * @since 0.1.0
 */
export const base = "/client/v4"

/**
 * Fails without the token, as Cloudflare does with a wrong one.
 *
 * @category guards
 * @since 0.1.0
 */
export const authorized = (
  site: Site["Service"],
  request: HttpServerRequest.HttpServerRequest
): Effect.Effect<void, Envelope.ApiError> => {
  const given = Access.credential(request.headers["authorization"])
  if (given === undefined) {
    return Effect.fail(Envelope.apiError(400, 9106, "Missing Authorization header: send Authorization: Bearer <token>"))
  }
  // Not 10000 "Authentication error": clients of Cloudflare take that for a hiccup and retry for many seconds.
  return site.isToken(given) ? Effect.void : Effect.fail(Envelope.apiError(403, 9109, "Invalid access token"))
}

/**
 * Adds routes below the account.
 *
 * @category constructors
 * @since 0.1.0
 */
export const routes = (router: HttpRouter.HttpRouter, site: Site["Service"]) =>
(
  method: "GET" | "POST" | "PUT" | "PATCH" | "DELETE",
  path: string,
  handler: (call: Call) => Reply
) =>
  router.add(
    method,
    `${base}/accounts/:account${path}`,
    (request) =>
      Effect.gen(function*() {
        yield* authorized(site, request)
        const { query, segments } = Faces.target(request.url)
        const [account, ...rest] = segments.slice(3)
        if (account !== site.accountId) return yield* Effect.fail(noRoute(request))
        return yield* handler({
          request,
          params: new URLSearchParams(query),
          path: rest.map(Faces.decodeSegment)
        })
      }).pipe(Effect.catch((error) => Effect.succeed(Faces.failure(error))))
  )

/**
 * The path is not one of the API's (404, code 7003).
 *
 * @category errors
 * @since 0.1.0
 */
export const noRoute = (request: HttpServerRequest.HttpServerRequest): Envelope.ApiError =>
  Envelope.apiError(
    404,
    7003,
    `Could not route to ${request.url.split("?")[0]}, perhaps your object identifier is invalid?`
  )
