/**
 * The lifecycle under `alchemy dev`: the live one, with credentials that point at a local gateway.
 *
 * It runs in Alchemy's dev sidecar, so the gateway outlives hot reloads of the stack and stops with the session.
 *
 * @since 0.1.0
 */
import { AlchemyContext } from "alchemy/AlchemyContext"
import * as RpcProvider from "alchemy/Local/RpcProvider"
import { Stage } from "alchemy/Stage"
import { moduleExtension } from "alchemy/Util/Node"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Path from "effect/Path"
import * as Scope from "effect/Scope"
import { AiGateway } from "../AiGateway.ts"
import * as LocalGateway from "../local/LocalGateway.ts"
import { localCredentials } from "./account.ts"
import * as lifecycle from "./lifecycle.ts"

/** The module that the sidecar imports; its default export is the layer below. */
const sidecarUrl = import.meta.resolve(`./sidecar${moduleExtension(import.meta.url)}`, import.meta.url)

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
    Effect.gen(function*() {
      const { dotAlchemy } = yield* AlchemyContext
      const path = yield* Path.Path
      const scope = yield* Effect.scope
      // A store per stage: a second session must not see, and at its end delete, the gateways of the first.
      const stage = (yield* Stage).replace(/[^\w-]/g, "_")
      const gateway = yield* LocalGateway.make({ store: path.join(dotAlchemy, "local", `ai-gateway.${stage}.db`) })
        .pipe(Effect.orDie)
      yield* Effect.logInfo(`AI Gateway on this machine: ${gateway.url} (models are simulated)`)
      const here = yield* Layer.build(localCredentials(Effect.succeed(gateway))).pipe(Scope.provide(scope))
      // A gateway that an interrupted session left in the store is ours to take over.
      const service = lifecycle.make({ endpoint: gateway.url, adopt: true })
      return {
        stables: service.stables,
        diff: (input) => Effect.provide(service.diff(input), here),
        read: (input) => Effect.provide(service.read(input), here),
        reconcile: (input) => Effect.provide(service.reconcile(input), here),
        delete: (input) => Effect.provide(service.delete(input), here),
        list: () => Effect.provide(service.list(), here)
      }
    })
  )
