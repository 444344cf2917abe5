/**
 * What a Worker imports: the resource, the client, and the streams. Nothing here reaches Node or Cloudflare's API.
 *
 * @since 0.1.0
 */

export { AiGateway, type AiGatewayAttributes, type AiGatewayProps } from "./AiGateway.ts"
export { AiGatewayBinding, AiGatewayBindingLive } from "./AiGatewayBinding.ts"
export { AiGatewayClient, type Feedback, type GatewayLog, type GatewayResponse, type Step } from "./AiGatewayClient.ts"
export * as AiGatewayHttp from "./AiGatewayHttp.ts"
export * as GatewayError from "./client/GatewayError.ts"
export * as ResponseInfo from "./client/ResponseInfo.ts"
export * as Metrics from "./Metrics.ts"
export type { Options as ModelOptions } from "./model/GatewayModel.ts"
export * as Parameters from "./model/Parameters.ts"
export * as Sse from "./Sse.ts"
