/**
 * The local gateway's one HTTP application, on Node's server: three faces, Host and Origin checks, health.
 *
 * @since 0.1.0
 */
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import * as NodeHttpServerRequest from "@effect/platform-node/NodeHttpServerRequest"
import * as Cause from "effect/Cause"
import type * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Scope from "effect/Scope"
import * as Tracer from "effect/Tracer"
import * as Headers from "effect/unstable/http/Headers"
import * as HttpMiddleware from "effect/unstable/http/HttpMiddleware"
import * as HttpRouter from "effect/unstable/http/HttpRouter"
import type * as HttpServer from "effect/unstable/http/HttpServer"
import * as HttpServerError from "effect/unstable/http/HttpServerError"
import * as HttpServerRequest from "effect/unstable/http/HttpServerRequest"
import * as HttpServerResponse from "effect/unstable/http/HttpServerResponse"
import * as NetAddress from "effect/unstable/net/NetAddress"
import { createServer, type Server } from "node:http"
import * as Access from "./Access.ts"
import * as BindingFace from "./BindingFace.ts"
import * as DataPlane from "./DataPlane.ts"
import * as Envelope from "./Envelope.ts"
import * as Faces from "./Faces.ts"
import type { GatewayStore } from "./GatewayStore.ts"
import { AddressUnavailable, PortInUse } from "./LocalGatewayError.ts"
import * as LogPage from "./LogPage.ts"
import type { LogStore } from "./LogStore.ts"
import * as ManagementApi from "./ManagementApi.ts"
import { Metrics } from "./Metrics.ts"
import type { ObjectStore } from "./ObjectStore.ts"
import type { Pipeline } from "./Pipeline.ts"
import type { PolicyStore } from "./policies/PolicyStore.ts"
import type { RouteStore } from "./RouteStore.ts"
import type { Sealing } from "./Sealing.ts"
import { Site } from "./Site.ts"
import { Stopping } from "./Stopping.ts"
import * as TestMode from "./TestMode.ts"
import * as turn from "./turn.ts"
import * as V4 from "./V4.ts"
import * as WebSocketFace from "./WebSocketFace.ts"
import * as WorkersApi from "./WorkersApi.ts"
import type { WorkerScripts } from "./WorkerScripts.ts"

/**
 * A server that listens, and the port it got.
 *
 * @category models
 * @since 0.1.0
 */
export interface Listening {
  readonly server: HttpServer.HttpServer["Service"]
  readonly port: number
  /** Takes no new connections, and waits a while for the answers that are open. */
  readonly drain: Effect.Effect<void>
}

/**
 * Takes the port; closing the scope gives it back when the open answers are done, or their time is up, whatever clients
 * keep open.
 *
 * @category constructors
 * @since 0.1.0
 */
export const listen = (
  host: string,
  port: number,
  times: {
    /** For a client to send a request; a tenth of it is for the headers. */
    readonly client: Duration.Duration
    /** For answers that are open when the scope closes. */
    readonly shutdown: Duration.Duration
  }
): Effect.Effect<Listening, PortInUse | AddressUnavailable, Scope.Scope> =>
  Effect.gen(function*() {
    const milliseconds = Math.max(1, Duration.toMillis(times.client))
    const node = createServer({
      // Slow requests are cut: they hold memory that a developer's machine has better uses for.
      headersTimeout: Math.ceil(milliseconds / 10),
      requestTimeout: milliseconds,
      connectionsCheckingInterval: Math.ceil(milliseconds / 20),
      maxHeaderSize: 64 * 1024,
      // Clients that would like HTTP/2 offer `h2c` with ordinary requests; only WebSocket is a reason to switch.
      shouldUpgradeCallback: ({ headers }) => headers.upgrade?.toLowerCase() === "websocket"
    })
    // Far beyond what one machine serves; what comes then is refused instead of filling the memory.
    node.maxConnections = 20_000
    // A scope of its own: the first WebSocket adds a finalizer that waits for all of them, so it has to run after those
    // of the requests, and not before as it would in the order of time.
    const scope = yield* Scope.fork(yield* Effect.scope)
    const server = yield* NodeHttpServer.make(() => node, {
      host,
      port,
      // Its own wait ends the scope with an interruption when it runs out; `drain` waits instead.
      disablePreemptiveShutdown: true,
      websocket: { handleProtocols: WebSocketFace.chooseProtocol }
    }).pipe(
      Scope.provide(scope),
      Effect.mapError(({ cause }) =>
        cause instanceof Error && "code" in cause && cause.code === "EADDRINUSE"
          ? new PortInUse({ host, port })
          : new AddressUnavailable({ host, port, cause })
      )
    )
    // Runs before the server's own finalizer, which waits for every connection.
    yield* Scope.addFinalizer(scope, Effect.sync(() => node.closeAllConnections()))
    return {
      server,
      port: NetAddress.isInetAddress(server.address) ? server.address.port : port,
      drain: closed(node, Duration.toMillis(times.shutdown))
    }
  })

/**
 * Serves the faces until the scope closes.
 *
 * @category constructors
 * @since 0.1.0
 */
export const serve = (
  listening: Listening
): Effect.Effect<
  void,
  never,
  | Scope.Scope
  | Site
  | GatewayStore
  | LogStore
  | ObjectStore
  | PolicyStore
  | RouteStore
  | Sealing
  | Pipeline
  | WorkerScripts
  | Metrics
> =>
  Effect.gen(function*() {
    const { accountId } = yield* Site
    const stopping = yield* Deferred.make<void>()
    const logPage = LogPage.layer({ about: about(accountId), stopping: Deferred.await(stopping) })
    yield* Effect.gen(function*() {
      const app = yield* HttpRouter.toHttpEffect(
        Layer.mergeAll(
          // Before the routes, whose last one would take `/` as well.
          logPage,
          routes,
          ManagementApi.layer,
          WorkersApi.layer,
          BindingFace.layer,
          DataPlane.layer,
          TestMode.layer
        )
      )
      // Spans that nobody takes cost more than the routing.
      const isTraced = (yield* Effect.context<never>()).mapUnsafe.has(Tracer.Tracer.key)
      yield* listening.server.serve(app).pipe(
        flatContext,
        Effect.provideService(HttpMiddleware.TracerDisabledWhen, ({ url }) => !isTraced || isWatch(url))
      )
    }).pipe(Effect.provideService(Stopping, Deferred.await(stopping)))
    // Runs before the server's finalizer, which interrupts what is still being answered.
    yield* Effect.addFinalizer(() => listening.drain)
    // Open log pages and WebSockets would never be done.
    yield* Effect.addFinalizer(() => Deferred.succeed(stopping, undefined))
  }).pipe(
    Effect.provideService(HttpRouter.RouterConfig, {
      // Paths are Cloudflare's, to the letter; models and file names below them are long.
      caseSensitive: true,
      ignoreDuplicateSlashes: false,
      maxParamLength: 1 << 16
    }),
    // A WebSocket's subprotocol carries the token.
    Effect.updateService(
      Headers.CurrentRedactedNames,
      (names) => [...names, ...Access.secretHeaders, "sec-websocket-protocol"]
    )
  )

/**
 * Waits for the connections that are answering, by the system's clock: clients are real also where a test owns the time.
 */
const closed = (node: Server, patience: number): Effect.Effect<void> =>
  Effect.callback<void>((resume) => {
    // A connection that has had its answer is kept for the client's next request, which nobody takes any more.
    const idle = setInterval(() => node.closeIdleConnections(), 25)
    const bound = setTimeout(() => done(), patience)
    const done = () => {
      clearInterval(idle)
      clearTimeout(bound)
      resume(Effect.void)
    }
    node.close(done)
    return Effect.sync(done)
  })

const routes = HttpRouter.use(Effect.fnUntraced(function*(router) {
  const site = yield* Site
  const metrics = yield* Metrics

  yield* router.addGlobalMiddleware((app) =>
    Effect.gen(function*() {
      const request = yield* HttpServerRequest.HttpServerRequest
      const refused = Access.refusal(site.host, request.headers)
      if (refused !== undefined) return Faces.failure(Envelope.apiError(403, 403, refused))
      // The connection tells the end of every answer, also of one that nobody has begun to read. A WebSocket has none.
      if (!WebSocketFace.isUpgrade(request) && !isWatch(request.url)) {
        NodeHttpServerRequest.toServerResponse(request).once("close", metrics.begin())
      }
      // workerd reaches the binding by its Host; from here on the path alone decides.
      const response =
        yield* Access.isBindingHost(request.headers["host"]) && !request.url.startsWith(`${BindingFace.prefix}/`)
          ? Effect.provideService(
            app,
            HttpServerRequest.HttpServerRequest,
            request.modify({ url: `${BindingFace.prefix}${request.url}` })
          )
          : app
      // One that is alone is answered at once.
      if (response.body._tag === "Uint8Array" && metrics.inFlight() > 1) yield* turn.end
      return response
    }).pipe(
      // A path with a broken escape matches no route at all.
      Effect.catchIf(isRouteNotFound, () =>
        Effect.succeed(Faces.failure(Envelope.apiError(404, 7003, "Could not route to this path")))),
      Effect.catchCause((cause) =>
        Cause.hasInterruptsOnly(cause)
          ? Effect.failCause(cause)
          : Effect.as(
            Effect.logError("The local gateway failed", cause),
            Faces.failure(Envelope.apiError(500, 10013, "The local gateway failed; its output says why"))
          )
      )
    )
  )

  yield* router.add("GET", "/health", Envelope.json({ status: "ok" }))
  yield* router.add("GET", "/metrics", (request) =>
    // The models that are used here are nobody else's business.
    (Access.isLoopback(site.host) ? Effect.void : V4.authorized(site, request)).pipe(
      Effect.map(() => HttpServerResponse.text(metrics.render(), { contentType: "text/plain; version=0.0.4" })),
      Effect.catch((error) => Effect.succeed(Faces.failure(error)))
    ))
  yield* router.add("*", "/*", (request) =>
    Effect.succeed(Faces.failure(
      Envelope.apiError(404, 7003, `Could not route to ${request.url.split("?")[0]}; GET / says what is here`)
    )))
}))

/**
 * With the context in one piece. Every request adds services of its own to it, and to one that is made of many pieces only
 * at the price of a copy.
 */
const flatContext = <A, E, R>(self: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.contextWith((context: Context.Context<R>) => Effect.provideContext(self, context))

/** Asked again and again by those who watch the gateway. */
const isWatch = (url: string) => url === "/health" || url === "/metrics" || url.startsWith("/page/")

const isRouteNotFound = (error: unknown): boolean =>
  HttpServerError.isHttpServerError(error) && error.reason._tag === "RouteNotFound"

const about = (accountId: string) =>
  `effect-ai-gateway: a local stand-in for Cloudflare's AI Gateway. Answers of its built-in model are simulated.

  /client/v4/accounts/${accountId}/ai-gateway/gateways   management API (Authorization: Bearer <token>)
  /v1/${accountId}/{gateway}/{provider}/...              data plane (cf-aig-authorization: Bearer <token>)
  /v1/${accountId}/{gateway}                             universal endpoint, also over WebSocket
  ${BindingFace.prefix}/...                                       the paths of a Worker's env.AI
  /                                                      the log page, in a browser
  /health, /metrics (Prometheus)
`
