/**
 * The data plane: `/v1/{account}/{gateway}/{provider}/{path}`, and the universal endpoint at `/v1/{account}/{gateway}`.
 *
 * The universal endpoint speaks WebSocket, too. The route is decided once, from the request line; the path below the
 * provider's slug is never decoded. Source: the wire reference, sections 1.1 to 1.4, 1.9, 3.1 and 12.1.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import type * as Layer from "effect/Layer"
import * as HttpRouter from "effect/unstable/http/HttpRouter"
import type * as HttpServerRequest from "effect/unstable/http/HttpServerRequest"
import * as Access from "./Access.ts"
import * as Envelope from "./Envelope.ts"
import * as Faces from "./Faces.ts"
import { Pipeline } from "./Pipeline.ts"
import * as Providers from "./Providers.ts"
import * as RequestBody from "./RequestBody.ts"
import * as RequestOptions from "./RequestOptions.ts"
import { Site } from "./Site.ts"
import * as Universal from "./Universal.ts"
import * as WebSocketFace from "./WebSocketFace.ts"

/**
 * The routes below `/v1`.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer: Layer.Layer<never, never, HttpRouter.HttpRouter | Site | Pipeline> = HttpRouter.use(
  Effect.fnUntraced(function*(router) {
    const site = yield* Site
    const pipeline = yield* Pipeline

    /** SDKs with one key send the gateway's token where the provider's key goes. */
    const isAuthenticated = (request: HttpServerRequest.HttpServerRequest) => {
      const own = Access.credential(request.headers["cf-aig-authorization"]) ??
        (WebSocketFace.isUpgrade(request) ? WebSocketFace.tokenOf(request) : undefined)
      return own !== undefined ? site.isToken(own) : ["authorization", "x-api-key", "x-goog-api-key", "api-key"]
        .some((name) => site.isToken(Access.credential(request.headers[name])))
    }

    const answer = Effect.fnUntraced(
      function*(request: HttpServerRequest.HttpServerRequest) {
        const { query, segments } = Faces.target(request.url)
        const [, account, gateway, provider, ...rest] = segments
        const path = rest.join("/")
        const { headers } = request
        const authenticated = isAuthenticated(request)
        const target = { account: Faces.decodeSegment(account), gateway: Faces.decodeSegment(gateway), authenticated }
        const admitted = yield* pipeline.admit(target)
        const common = {
          gateway: admitted,
          face: "rest",
          userAgent: headers["user-agent"]
        } as const
        const isUniversal = provider === undefined || (provider === "" && rest.length === 0)
        if (WebSocketFace.isUpgrade(request)) {
          if (!isUniversal) return yield* Effect.fail(noRealtime)
          return yield* WebSocketFace.serve(request, { ...target, pipeline, headers, limit: site.bodyLimit })
        }
        if (isUniversal) {
          if (request.method !== "POST") return yield* Effect.fail(Envelope.invalidProvider())
          const steps = yield* Universal.read(request, site.bodyLimit)
          return Faces.respond(
            request,
            yield* pipeline.send({ ...common, options: RequestOptions.fromHeaders(headers), steps, type: "Universal" })
          )
        }
        if (provider !== "compat" && !Providers.isKnown(provider)) {
          return yield* Effect.fail(Envelope.invalidProvider())
        }
        if (Providers.hasDotSegment(path)) return yield* Effect.fail(Envelope.dotSegment())
        const body = yield* RequestBody.read(request, site.bodyLimit)
        return Faces.respond(
          request,
          yield* pipeline.send({
            ...common,
            // They are the step's own.
            options: RequestOptions.none,
            steps: [{ provider, method: request.method, path, query, headers, body }],
            type: "Provider"
          })
        )
      },
      Effect.catch((error) => Effect.succeed(Faces.failure(error)))
    )
    yield* router.add("*", "/v1/*", answer)
  })
)

const noRealtime = new Envelope.AiGatewayError({
  status: 501,
  code: 7000,
  description: "The local gateway has no realtime WebSocket API; the non-realtime one is at /v1/{account}/{gateway}"
})
