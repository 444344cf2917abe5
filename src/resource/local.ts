/**
 * The lifecycles under `alchemy dev`: the live ones, with credentials that point at a local gateway.
 *
 * It runs in Alchemy's dev sidecar, so the gateway outlives hot reloads of the stack and stops with the session.
 *
 * @since 0.1.0
 */
import { AlchemyContext } from "alchemy/AlchemyContext"
import * as RpcProvider from "alchemy/Local/RpcProvider"
import { Stage } from "alchemy/Stage"
import { moduleExtension } from "alchemy/Util/Node"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Path from "effect/Path"
import * as Scope from "effect/Scope"
import { AiGateway } from "../AiGateway.ts"
import * as LocalGateway from "../local/LocalGateway.ts"
import { devStore, localCredentials } from "./account.ts"
import { DynamicRouteResource } from "./DynamicRoute.ts"
import * as keyLifecycle from "./keyLifecycle.ts"
import * as lifecycle from "./lifecycle.ts"
import { ProviderKeyResource } from "./ProviderKey.ts"
import * as routeLifecycle from "./routeLifecycle.ts"

/** The module that the sidecar imports; its default export has the layers below. */
const sidecarUrl = import.meta.resolve(`./sidecar${moduleExtension(import.meta.url)}`, import.meta.url)

/** The one local gateway of a session, and the credentials that lead to it. */
class Here extends Context.Service<Here, {
  readonly url: string
  readonly credentials: Context.Context<Layer.Success<ReturnType<typeof localCredentials>>>
}>()("effect-ai-gateway/resource/local/Here") {}

const here = RpcProvider.providerServices(Layer.effect(
  Here,
  Effect.gen(function*() {
    const { dotAlchemy } = yield* AlchemyContext
    const path = yield* Path.Path
    const scope = yield* Effect.scope
    const gateway = yield* LocalGateway.make({ store: path.join(dotAlchemy, "local", devStore(yield* Stage)) })
      .pipe(Effect.orDie)
    yield* Effect.logInfo(`Local AI gateway at ${gateway.url}, its log page: ${gateway.url}/`)
    const credentials = yield* Layer.build(localCredentials(Effect.succeed(gateway))).pipe(Scope.provide(scope))
    return Here.of({ url: gateway.url, credentials })
  })
))

// What an interrupted session left in the store is ours to take over, so all of them adopt.

/**
 * The provider of local gateways.
 *
 * @category layers
 * @since 0.1.0
 */
export const localProvider = () =>
  RpcProvider.effect(
    AiGateway,
    sidecarUrl,
    Effect.map(Here, ({ credentials, url }) => {
      const service = lifecycle.make({ endpoint: url, adopt: true })
      return {
        stables: service.stables,
        diff: (input) => Effect.provide(service.diff(input), credentials),
        read: (input) => Effect.provide(service.read(input), credentials),
        reconcile: (input) => Effect.provide(service.reconcile(input), credentials),
        delete: (input) => Effect.provide(service.delete(input), credentials),
        list: () => Effect.provide(service.list(), credentials)
      }
    })
  ).pipe(Layer.provide(here))

/**
 * The provider of local gateways' routes.
 *
 * @category layers
 * @since 0.1.0
 */
export const localRouteProvider = () =>
  RpcProvider.effect(
    DynamicRouteResource,
    sidecarUrl,
    Effect.map(Here, ({ credentials }) => {
      const service = routeLifecycle.make({ adopt: true })
      return {
        stables: service.stables,
        diff: (input) => Effect.provide(service.diff(input), credentials),
        read: (input) => Effect.provide(service.read(input), credentials),
        reconcile: (input) => Effect.provide(service.reconcile(input), credentials),
        delete: (input) => Effect.provide(service.delete(input), credentials),
        list: () => Effect.provide(service.list(), credentials)
      }
    })
  ).pipe(Layer.provide(here))

/**
 * The provider of local gateways' provider keys.
 *
 * @category layers
 * @since 0.1.0
 */
export const localKeyProvider = () =>
  RpcProvider.effect(
    ProviderKeyResource,
    sidecarUrl,
    Effect.map(Here, ({ credentials }) => {
      const service = keyLifecycle.make({ adopt: true })
      return {
        stables: service.stables,
        diff: (input) => Effect.provide(service.diff(input), credentials),
        read: (input) => Effect.provide(service.read(input), credentials),
        reconcile: (input) => Effect.provide(service.reconcile(input), credentials),
        delete: (input) => Effect.provide(service.delete(input), credentials),
        list: () => Effect.provide(service.list(), credentials)
      }
    })
  ).pipe(Layer.provide(here))
