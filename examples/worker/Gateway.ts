import { AiGateway } from "effect-ai-gateway"

export const Gateway = AiGateway("Gateway", {
  id: "prod-gateway",
  cacheTtl: "5 minutes",
  cacheInvalidateOnUpdate: true,
  rateLimitingInterval: "1 minute",
  rateLimitingLimit: 100,
  rateLimitingTechnique: "sliding",
  collectLogs: true,
  logManagement: 100_000,
  logManagementStrategy: "DELETE_OLDEST",
  authentication: true
})
