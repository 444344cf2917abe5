/**
 * Cloudflare's v4 API on this machine: gateways with all that belongs to them, and the run APIs.
 *
 * Source: the wire reference, sections 1.6, 1.7 and 7. Every path needs the token as `Authorization: Bearer`.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type * as Result from "effect/Result"
import * as HttpRouter from "effect/unstable/http/HttpRouter"
import type * as HttpServerRequest from "effect/unstable/http/HttpServerRequest"
import type * as HttpServerResponse from "effect/unstable/http/HttpServerResponse"
import * as CustomProvidersApi from "./CustomProvidersApi.ts"
import * as DatasetsApi from "./DatasetsApi.ts"
import * as Envelope from "./Envelope.ts"
import * as Faces from "./Faces.ts"
import * as Gateway from "./Gateway.ts"
import * as GatewayRoutes from "./GatewayRoutes.ts"
import { GatewayStore } from "./GatewayStore.ts"
import * as LogsApi from "./LogsApi.ts"
import { LogStore } from "./LogStore.ts"
import * as Notices from "./Notices.ts"
import { ObjectStore } from "./ObjectStore.ts"
import * as Paging from "./Paging.ts"
import type { Pipeline } from "./Pipeline.ts"
import { PolicyStore } from "./policies/PolicyStore.ts"
import * as PoliciesApi from "./PoliciesApi.ts"
import * as ProviderConfigsApi from "./ProviderConfigsApi.ts"
import * as Providers from "./Providers.ts"
import * as RestApi from "./RestApi.ts"
import * as RoutesApi from "./RoutesApi.ts"
import type { RouteStore } from "./RouteStore.ts"
import type { Sealing } from "./Sealing.ts"
import * as SecretsApi from "./SecretsApi.ts"
import { Site } from "./Site.ts"
import * as V4 from "./V4.ts"

type Request = HttpServerRequest.HttpServerRequest

/**
 * The routes below `/client/v4`.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = Layer.suspend((): Layer.Layer<
  never,
  never,
  HttpRouter.HttpRouter | Site | GatewayStore | LogStore | ObjectStore | PolicyStore | RouteStore | Sealing | Pipeline
> =>
  Layer.mergeAll(
    gatewaysAndAccount,
    RoutesApi.layer,
    ProviderConfigsApi.layer,
    CustomProvidersApi.layer,
    DatasetsApi.layer,
    PoliciesApi.layer,
    SecretsApi.layer,
    RestApi.layer
  )
)

const gatewaysAndAccount = HttpRouter.use(Effect.fnUntraced(function*(router) {
  const site = yield* Site
  const gateways = yield* GatewayStore
  const logs = yield* LogStore
  const objects = yield* ObjectStore
  const policies = yield* PolicyStore

  const route = V4.routes(router, site)

  const ofGateway = GatewayRoutes.make(route, gateways)

  const body = (request: Request) => Faces.readJson(request, site.bodyLimit)

  const answer = (gateway: Gateway.Gateway) =>
    Effect.map(
      Notices.of(gateway.settings),
      (notices) => Envelope.ok(Gateway.encode(gateway), { messages: notices.map((message) => ({ code: 0, message })) })
    )

  yield* route("POST", "/ai-gateway/gateways", ({ request }) =>
    Effect.gen(function*() {
      const { id, settings } = yield* valid(Gateway.decode(yield* body(request)))
      const created = yield* gateways.create(id, settings)
      if (Option.isNone(created)) {
        return yield* Effect.fail(
          Envelope.apiError(400, 7001, `A gateway with the id ${id} already exists`, ["body", "id"])
        )
      }
      return yield* answer(created.value)
    }))

  yield* route("GET", "/ai-gateway/gateways", ({ params }) =>
    Effect.gen(function*() {
      const { page, perPage } = yield* Paging.decode(params)
      const search = params.get("search") ?? ""
      const { gateways: found, total } = yield* gateways.list({
        page,
        perPage,
        search: search === "" ? undefined : search,
        orderBy: yield* Paging.choice(params, "order_by", ["created_at", "id", "modified_at"]),
        direction: yield* Paging.choice(params, "order_by_direction", ["asc", "desc"])
      })
      return Envelope.ok(found.map(Gateway.encode), {
        resultInfo: { page, per_page: perPage, count: found.length, total_count: total }
      })
    }))

  yield* ofGateway("GET", "", (_, gateway) => answer(gateway))

  yield* route("PUT", "/ai-gateway/gateways/:gateway", ({ path, request }) =>
    Effect.gen(function*() {
      const id = path[2] ?? ""
      const given = yield* body(request)
      yield* GatewayRoutes.existing(gateways.get(id))
      const { settings } = yield* valid(Gateway.decode(given, id))
      return yield* answer(yield* GatewayRoutes.existing(gateways.replace(id, settings)))
    }))

  yield* route("DELETE", "/ai-gateway/gateways/:gateway", ({ path }) =>
    Effect.gen(function*() {
      const removed = yield* GatewayRoutes.existing(gateways.remove(path[2] ?? ""))
      yield* logs.remove({ gateway: removed.id, orderBy: "created_at", direction: "asc" })
      // Routes stay, as they do on Cloudflare.
      for (const kind of ["provider_config", "dataset", "evaluation"] as const) yield* objects.clear(kind, removed.id)
      yield* policies.clear(removed.id)
      return Envelope.ok(Gateway.encode(removed))
    }))

  yield* ofGateway(
    "GET",
    "/url/:provider",
    (call, gateway) => Effect.map(providerUrl(site, gateway.id, call.path[4] ?? ""), (url) => Envelope.ok(url))
  )

  yield* ofGateway("GET", "/logs", ({ params }, gateway) => LogsApi.list(logs, gateway.id, params))
  yield* ofGateway("DELETE", "/logs", ({ params }, gateway) => LogsApi.remove(logs, gateway.id, params))
  yield* ofGateway("GET", "/logs/:log", ({ path }, gateway) => LogsApi.get(logs, gateway.id, path[4] ?? ""))
  yield* ofGateway(
    "PATCH",
    "/logs/:log",
    ({ path, request }, gateway) => LogsApi.patch(logs, gateway.id, path[4] ?? "", request, site.bodyLimit)
  )
  for (const which of ["request", "response"] as const) {
    yield* ofGateway(
      "GET",
      `/logs/:log/${which}`,
      ({ path }, gateway) => LogsApi.body(logs, gateway.id, path[4] ?? "", which)
    )
  }

  const account = {
    id: site.accountId,
    name: "Local gateway",
    type: "standard",
    settings: { enforce_twofactor: false },
    created_on: "2026-01-01T00:00:00.000Z"
  }
  yield* route("GET", "", () => Effect.succeed(Envelope.ok(account)))
  const open = (path: `/${string}`, reply: HttpServerResponse.HttpServerResponse) =>
    router.add("GET", path, (request) =>
      V4.authorized(site, request).pipe(
        Effect.as(reply),
        Effect.catch((error) => Effect.succeed(Faces.failure(error)))
      ))
  yield* open(
    `${V4.base}/accounts`,
    Envelope.ok([account], { resultInfo: { page: 1, per_page: 20, count: 1, total_count: 1 } })
  )
  yield* open(
    `${V4.base}/user/tokens/verify`,
    Envelope.ok({ id: site.accountId, status: "active" }, {
      messages: [{ code: 10000, message: "This API Token is valid and active" }]
    })
  )

  yield* router.add("*", `${V4.base}/*`, (request) =>
    V4.authorized(site, request).pipe(
      Effect.andThen(Effect.fail(V4.noRoute(request))),
      Effect.catch((error) => Effect.succeed(Faces.failure(error)))
    ))
}))

/**
 * Where a provider's requests go on this gateway; `universal` names the universal endpoint. Fails with 2008.
 *
 * @category getters
 * @since 0.1.0
 */
export const providerUrl = (
  site: Site["Service"],
  gateway: string,
  provider: string
): Effect.Effect<string, Envelope.ApiError> => {
  const root = `${site.origin}/v1/${site.accountId}/${gateway}/`
  if (provider === "universal") return Effect.succeed(root)
  return Providers.slugs.has(provider) || provider === "compat" || provider.startsWith("custom-")
    ? Effect.succeed(`${root}${provider}`)
    : Effect.fail(Envelope.apiError(400, 2008, "Invalid provider"))
}

const valid = <A>(
  result: Result.Result<A, ReadonlyArray<Envelope.Notice>>
): Effect.Effect<A, Envelope.ApiError> =>
  Effect.mapError(Effect.fromResult(result), (errors) => new Envelope.ApiError({ status: 400, errors }))
