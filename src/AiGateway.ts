/**
 * The `AiGateway` resource: declare it in a stack, bind it in a Worker's Init.
 *
 * **Example** (A gateway, and a Worker that answers through it)
 *
 * ```ts
 * import * as Cloudflare from "alchemy/Cloudflare"
 * import * as Effect from "effect/Effect"
 * import * as Stream from "effect/Stream"
 * import * as LanguageModel from "effect/unstable/ai/LanguageModel"
 * import * as HttpServerResponse from "effect/unstable/http/HttpServerResponse"
 * import { AiGateway, AiGatewayBindingLive, Sse } from "effect-ai-gateway"
 *
 * export const Gateway = AiGateway("Gateway", { cacheTtl: "5 minutes", authentication: true })
 *
 * export default class Api extends Cloudflare.Worker<Api>()(
 *   "Api",
 *   { main: import.meta.url },
 *   Effect.gen(function*() {
 *     const aiGateway = yield* AiGateway.bind(Gateway)
 *     const model = aiGateway.model({ model: "@cf/meta/llama-3.1-8b-instruct" })
 *     return {
 *       fetch: Effect.sync(() =>
 *         HttpServerResponse.stream(
 *           LanguageModel.streamText({ prompt: "Say hello." }).pipe(Stream.provide(model), Sse.encode),
 *           { headers: Sse.headers }
 *         )
 *       )
 *     }
 *   }).pipe(Effect.provide(AiGatewayBindingLive))
 * ) {}
 * ```
 *
 * @since 0.1.0
 */
import { Resource } from "alchemy/Resource"
import { AiGatewayBinding } from "./AiGatewayBinding.ts"
import type { Providers } from "./providers.ts"
import type { AiGatewayAttributes } from "./resource/Attributes.ts"
import type { AiGatewayProps } from "./resource/Props.ts"

/**
 * A Cloudflare AI Gateway: a cache, rate limits, logs and one address before all models.
 *
 * `AiGateway(id, props)` declares one; every prop but `id` changes in place. `AiGateway.bind(gateway)` gives a Worker
 * its client, `AiGateway.ref(id)` refers to one that is declared elsewhere.
 *
 * Wrong props fail the plan with {@link InvalidProps}, which lists every problem, before any call is made. A gateway
 * that exists but is not in this stack's state is taken over only with `--adopt` or `Alchemy.adopt(true)`.
 *
 * @category resources
 * @since 0.1.0
 */
export type AiGateway = Resource<"EffectAiGateway.AiGateway", AiGatewayProps, AiGatewayAttributes, never, Providers>

/**
 * @category resources
 * @since 0.1.0
 */
export const AiGateway = Resource<AiGateway>("EffectAiGateway.AiGateway")({ bind: AiGatewayBinding })

export type { AiGatewayAttributes } from "./resource/Attributes.ts"
export type { AiGatewayProps, Seconds } from "./resource/Props.ts"
