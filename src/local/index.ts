/**
 * The local gateway: Cloudflare's AI Gateway on one machine. Node only.
 *
 * @since 0.1.0
 */

/**
 * @since 0.1.0
 */
export * as LocalGateway from "./LocalGateway.ts"
