import * as Cloudflare from "alchemy/Cloudflare"
import { AiGateway } from "effect-ai-gateway"

/** Keys of the providers are stored in the gateway (`AiGateway.ProviderKey`), so the Worker has none. */
export const Gateway = AiGateway("ChatGateway", {
  id: "chat-gateway",
  collectLogs: true,
  authentication: true
})

/** Where the answers are kept. */
export const Answers = Cloudflare.KV.Namespace("Answers")
