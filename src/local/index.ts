/**
 * The local gateway: Cloudflare's AI Gateway on one machine. Node only.
 *
 * **Example** (A gateway for a test, with an address and a token of its own)
 *
 * ```ts
 * import * as Effect from "effect/Effect"
 * import * as Redacted from "effect/Redacted"
 * import { LocalGateway } from "effect-ai-gateway/local"
 *
 * export const program = Effect.gen(function*() {
 *   const { accountId, token, url } = yield* LocalGateway.LocalGateway
 *   const gateways = `${url}/client/v4/accounts/${accountId}/ai-gateway/gateways`
 *   return yield* Effect.promise(() =>
 *     fetch(gateways, { headers: { authorization: `Bearer ${Redacted.value(token)}` } })
 *   )
 * }).pipe(Effect.provide(LocalGateway.layerTest))
 * ```
 *
 * @since 0.1.0
 */

/**
 * @since 0.1.0
 */
export * as LocalGateway from "./LocalGateway.ts"
