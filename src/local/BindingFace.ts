/**
 * The paths that workerd's genuine `env.AI` calls, below `/workers-binding` and for the Host `workers-binding.ai`.
 *
 * The binding needs no credentials on Cloudflare. Here that holds while the gateway listens on loopback; on any other
 * address the gateway's token is required. Source: the wire reference, section 8.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import * as HttpRouter from "effect/unstable/http/HttpRouter"
import type * as HttpServerRequest from "effect/unstable/http/HttpServerRequest"
import type * as HttpServerResponse from "effect/unstable/http/HttpServerResponse"
import * as Access from "./Access.ts"
import * as Envelope from "./Envelope.ts"
import * as Faces from "./Faces.ts"
import { existing } from "./GatewayRoutes.ts"
import { GatewayStore } from "./GatewayStore.ts"
import * as LogsApi from "./LogsApi.ts"
import { LogStore } from "./LogStore.ts"
import { providerUrl } from "./ManagementApi.ts"
import { Pipeline } from "./Pipeline.ts"
import type { BodyTooLarge } from "./RequestBody.ts"
import * as RequestOptions from "./RequestOptions.ts"
import * as RunBuffers from "./RunBuffers.ts"
import * as RunPath from "./RunPath.ts"
import { isRecord } from "./simulated/JsonSchema.ts"
import * as Models from "./simulated/models.ts"
import { Site } from "./Site.ts"
import * as Universal from "./Universal.ts"

type Failure = Envelope.ApiError | Envelope.AiGatewayError | BodyTooLarge
type Request = HttpServerRequest.HttpServerRequest
type Reply = Effect.Effect<HttpServerResponse.HttpServerResponse, Failure, Scope.Scope>

/**
 * Prefix of the binding's paths for callers that cannot set the Host.
 *
 * @category constants
 * @since 0.1.0
 */
export const prefix = "/workers-binding"

/**
 * The routes below `/workers-binding`.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer: Layer.Layer<
  never,
  never,
  HttpRouter.HttpRouter | Site | GatewayStore | LogStore | Pipeline
> = HttpRouter.use(Effect.fnUntraced(function*(root) {
  const site = yield* Site
  const gateways = yield* GatewayStore
  const logs = yield* LogStore
  const pipeline = yield* Pipeline
  const runs = yield* RunBuffers.RunBuffers
  const router = root.prefixed(prefix)

  const route = (
    method: "GET" | "POST" | "PATCH" | "*",
    path: `/${string}`,
    handler: (request: Request, path: ReadonlyArray<string>) => Reply
  ) =>
    router.add(method, path, (request) =>
      Effect.gen(function*() {
        if (
          !Access.isLoopback(site.host) && !site.isToken(Access.credential(request.headers["cf-aig-authorization"]))
        ) {
          return yield* Effect.fail(Envelope.unauthorized())
        }
        return yield* handler(request, Faces.target(request.url).segments.map(Faces.decodeSegment))
      }).pipe(Effect.catch((error) => Effect.succeed(Faces.failure(error)))))

  const run = (viaGateway: boolean) => (request: Request): Reply =>
    Effect.gen(function*() {
      const given = yield* Faces.readJson(request, site.bodyLimit)
      const fields = isRecord(given) ? given : {}
      const inputs = isRecord(fields["inputs"]) ? fields["inputs"] : {}
      // An optional prefix comes before the model's id, as in `prefix:@cf/...`.
      const model = (request.headers["cf-consn-model-id"] ?? "").replace(/^[^@/]*:(?=@)/, "")
      const catalog = RunPath.stepOf(model, inputs, request.headers)
      const body = new TextEncoder().encode(JSON.stringify(fields["inputs"] ?? {}))
      const options = isRecord(fields["options"]) ? fields["options"] : {}
      // Models of other providers always go through a gateway.
      if (!viaGateway && catalog === undefined) {
        return Faces.respond(
          request,
          yield* pipeline.runModel({ model, endpoint: "run", body, face: "binding" })
        )
      }
      const wanted = isRecord(options["gateway"]) ? options["gateway"] : {}
      const gateway = yield* pipeline.admit({
        account: site.accountId,
        gateway: typeof wanted["id"] === "string" ? wanted["id"] : "default",
        authenticated: true
      })
      const answer = yield* pipeline.send({
        gateway,
        steps: [
          catalog ?? {
            provider: "workers-ai",
            method: "POST",
            path: `run/${model}`,
            query: "",
            headers: { ...request.headers, "content-type": "application/json" },
            body
          }
        ],
        options: RequestOptions.over(RequestOptions.fromBinding(wanted), RequestOptions.fromHeaders(request.headers)),
        type: "Workers AI Binding",
        face: "binding",
        userAgent: request.headers["user-agent"]
      })
      if (catalog === undefined) return Faces.respond(request, answer)
      if (!RunPath.isResumable(answer)) return Faces.respond(request, RunPath.forBinding(answer))
      // Every answer of the pipeline has one, and one request has one run.
      const runId = answer.headers["cf-aig-request-id"] ?? ""
      return Faces.respond(request, {
        ...answer,
        headers: { ...answer.headers, "cf-aig-run-id": runId },
        body: yield* runs.keep(`${gateway.id}/${runId}`, answer.body)
      })
    })

  yield* route("POST", "/run", run(false))
  yield* route("POST", "/ai-gateway/run", run(true))

  yield* route("POST", "/ai-gateway/universal/run/:gateway", (request, path) =>
    Effect.gen(function*() {
      const gateway = yield* pipeline.admit({
        account: site.accountId,
        gateway: path[3] ?? "",
        authenticated: true
      })
      const steps = yield* Universal.read(request, site.bodyLimit)
      const answer = yield* pipeline.send({
        gateway,
        steps,
        options: RequestOptions.fromHeaders(request.headers),
        type: "Universal",
        face: "binding",
        userAgent: request.headers["user-agent"]
      })
      return Faces.respond(request, answer)
    }))

  yield* route("GET", "/ai-gateway/gateways/:gateway/run/:run/resume", (request, path) =>
    Effect.gen(function*() {
      const from = new URLSearchParams(Faces.target(request.url).query).get("from") ?? "0"
      if (!/^\d{1,15}$/.test(from)) {
        return Envelope.json({ error: "from must be the index of an event" }, { status: 400 })
      }
      const runId = path[4] ?? ""
      const found = yield* runs.resume(`${path[2] ?? ""}/${runId}`, Number(from))
      if (Option.isNone(found)) return Envelope.json({ error: "Request not found" }, { status: 404 })
      const headers = { "content-type": "text/event-stream", "cf-aig-run-id": runId }
      return Faces.respond(request, { status: 200, headers, body: found.value })
    }))

  yield* route("GET", "/ai-gateway/gateways/:gateway/url/:provider", (_, path) =>
    Effect.gen(function*() {
      const gateway = yield* existing(gateways.get(path[2] ?? ""))
      // An object, unlike the v4 API's plain string.
      return Envelope.ok({ url: yield* providerUrl(site, gateway.id, path[4] ?? "") })
    }))

  yield* route(
    "GET",
    "/ai-gateway/gateways/:gateway/logs/:log",
    (_, path) => LogsApi.get(logs, path[2] ?? "", path[4] ?? "")
  )
  yield* route(
    "PATCH",
    "/ai-gateway/gateways/:gateway/logs/:log",
    (request, path) => LogsApi.patch(logs, path[2] ?? "", path[4] ?? "", request, site.bodyLimit)
  )

  yield* route(
    "GET",
    "/ai-api/models/search",
    () =>
      Effect.succeed(Envelope.ok(Models.catalog.map(({ name, task }) => ({
        id: name,
        name,
        description: "Answered by the local gateway's simulated model",
        task: { id: task, name: task, description: "" },
        source: 1,
        tags: [],
        properties: []
      }))))
  )

  yield* route(
    "*",
    "/*",
    (request) =>
      Effect.fail(
        Envelope.apiError(404, 7003, `The local AI binding has no ${request.method} ${request.url.split("?")[0]}`)
      )
  )
})).pipe(Layer.provide(RunBuffers.layer()))
