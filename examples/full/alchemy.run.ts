import * as Alchemy from "alchemy"
import { providers } from "effect-ai-gateway/providers"
import * as Effect from "effect/Effect"
import Chat from "./Chat.ts"
import { Gateway } from "./Gateway.ts"

export default Alchemy.Stack(
  "chat",
  { providers: providers(), state: Alchemy.localState() },
  Effect.gen(function*() {
    const gateway = yield* Gateway
    const chat = yield* Chat
    return { url: chat.url, gatewayId: gateway.gatewayId, gatewayUrl: gateway.endpoint }
  })
)
