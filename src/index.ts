/**
 * What a Worker imports: the resource, the client, and the streams. Nothing here reaches Node or Cloudflare's API.
 *
 * @since 0.1.0
 */

export { AiGateway, type AiGatewayAttributes, type AiGatewayProps } from "./AiGateway.ts"
export { AiGatewayBinding, AiGatewayBindingLive } from "./AiGatewayBinding.ts"
export type { AiGatewayClient, Feedback, GatewayLog, GatewayResponse, Parameters, Step } from "./AiGatewayClient.ts"
export * as GatewayError from "./client/GatewayError.ts"
export * as ResponseInfo from "./client/ResponseInfo.ts"
export * as Sse from "./Sse.ts"
