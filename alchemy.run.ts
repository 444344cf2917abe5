import * as Alchemy from "alchemy"
import { providers } from "effect-ai-gateway/providers"
import * as Effect from "effect/Effect"
import Api from "./examples/worker/Api.ts"
import { Gateway } from "./examples/worker/Gateway.ts"

export default Alchemy.Stack(
  "effect-ai-gateway",
  { providers: providers(), state: Alchemy.localState() },
  Effect.gen(function*() {
    const gateway = yield* Gateway
    const api = yield* Api
    return { url: api.url, gatewayId: gateway.gatewayId, gatewayUrl: gateway.endpoint }
  })
)
