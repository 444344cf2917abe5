/**
 * Binding a gateway into a Worker: `AiGateway.bind(Gateway)` in Init, `AiGatewayBindingLive` provided once.
 *
 * @since 0.1.0
 */
import * as Binding from "alchemy/Binding"
import { Worker, WorkerEnvironment } from "alchemy/Cloudflare"
import { defaultProviderMode } from "alchemy/ProviderMode"
import type { RuntimeContext } from "alchemy/RuntimeContext"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { AiGateway } from "./AiGateway.ts"
import * as AiGatewayClient from "./AiGatewayClient.ts"
import * as Transport from "./client/Transport.ts"

/**
 * The capability to talk to a gateway; forgetting its layer is a type error at the Worker.
 *
 * @category services
 * @since 0.1.0
 */
export interface AiGatewayBinding extends
  Binding.Service<
    AiGatewayBinding,
    "EffectAiGateway.AiGateway.bind",
    (gateway: AiGateway) => Effect.Effect<AiGatewayClient.AiGatewayClient<RuntimeContext>>
  >
{}

/**
 * @category services
 * @since 0.1.0
 */
export const AiGatewayBinding = Binding.Service<AiGatewayBinding>("EffectAiGateway.AiGateway.bind")

/**
 * Binds gateways into the Worker it is provided to: the `ai` binding on Cloudflare, the local gateway's address under
 * `alchemy dev`.
 *
 * @category layers
 * @since 0.1.0
 */
export const AiGatewayBindingLive: Layer.Layer<AiGatewayBinding, never, Worker | WorkerEnvironment> = Layer.effect(
  AiGatewayBinding,
  Effect.gen(function*() {
    const env: { readonly [name: string]: unknown } = yield* WorkerEnvironment
    const host = yield* Worker
    return Effect.fn("AiGateway.bind")(function*(gateway: AiGateway) {
      const name = gateway.LogicalId
      if (!globalThis.__ALCHEMY_RUNTIME__) {
        const runDefault = yield* defaultProviderMode
        const gatewayMode = gateway.Mode ?? runDefault
        if (gatewayMode === "local" && (host.Mode ?? runDefault) !== "local") {
          return yield* Effect.die(
            new Error(
              `The Worker "${host.LogicalId}" runs on Cloudflare and cannot reach the gateway "${name}" on this ` +
                "machine: pipe both through Alchemy.remote(), or neither"
            )
          )
        }
        yield* host.bind`${gateway}`({
          bindings: [
            gatewayMode === "local"
              // An Output, which the engine resolves before the Worker starts.
              ? { type: "plain_text", name, text: gateway.endpoint as unknown as string }
              : { type: "ai", name }
          ]
        })
      }
      const id = yield* gateway.gatewayId
      const raw = Effect.suspend(() => {
        const bound = env[name]
        if (bound === undefined) {
          return Effect.die(
            new Error(`The Worker "${host.LogicalId}" has no binding "${name}": bind the gateway in Init, and deploy`)
          )
        }
        return typeof bound === "string"
          // Loaded under `alchemy dev` only.
          ? Effect.map(Effect.promise(() => import("./client/LocalAi.ts")), (LocalAi) => LocalAi.make(bound))
          : Effect.succeed(bound as Ai) // as bound above
      })
      return AiGatewayClient.make({
        id,
        raw,
        transport: Transport.lazy(async () => {
          const BindingTransport = await import("./client/BindingTransport.ts")
          return BindingTransport.make({ ai: raw, gatewayId: id })
        })
      })
    })
  })
)
