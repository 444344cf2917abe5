/**
 * Who may talk to the local gateway: tokens, and the Host and Origin of every request.
 *
 * The port is in reach of every page in the developer's browser, so a page may neither pose as this host (DNS
 * rebinding) nor write across origins.
 *
 * @since 0.1.0
 */
import * as Redacted from "effect/Redacted"
import { timingSafeEqual } from "node:crypto"
import { isIP } from "node:net"

/**
 * Host name that workerd's AI binding sends; nothing else resolves to it.
 *
 * @category constants
 * @since 0.1.0
 */
export const bindingHost = "workers-binding.ai"

/**
 * Whether a Host header names it, with or without a port.
 *
 * @category predicates
 * @since 0.1.0
 */
export const isBindingHost = (host: string | undefined): boolean =>
  host !== undefined && host.length >= bindingHost.length && host.replace(/:\d+$/, "").toLowerCase() === bindingHost

/**
 * Whether a host name or address stands for this machine only.
 *
 * @category predicates
 * @since 0.1.0
 */
export const isLoopback = (host: string): boolean => {
  const name = bare(host)
  return name === "localhost" || name.endsWith(".localhost") || name === "::1" ||
    (isIP(name) === 4 && name.startsWith("127."))
}

/**
 * Whether a request may be looked at, by its Host, Origin and fetch metadata; says why not.
 *
 * @category predicates
 * @since 0.1.0
 */
export const refusal = (
  listenHost: string,
  headers: { readonly [name: string]: string | undefined }
): string | undefined => {
  const host = headers["host"]
  if (host === undefined || !isAllowedHost(listenHost, host)) {
    return `the Host ${JSON.stringify(host ?? "")} is not this gateway: use 127.0.0.1 or localhost` +
      (isLoopback(listenHost) ? "" : `, or ${listenHost}`)
  }
  const origin = headers["origin"]
  if (origin !== undefined && origin !== `http://${host}` && origin !== `https://${host}`) {
    return `requests from the origin ${JSON.stringify(origin)} are refused: web pages may not use this gateway`
  }
  const site = headers["sec-fetch-site"]
  if ((site === "cross-site" || site === "same-site") && headers["sec-fetch-mode"] !== "navigate") {
    return "requests from other sites are refused: web pages may not use this gateway"
  }
  return undefined
}

/**
 * Compares candidates with the token in constant time; only its length can be found out.
 *
 * @category constructors
 * @since 0.1.0
 */
export const verifier = (token: Redacted.Redacted<string>): (candidate: string | undefined) => boolean => {
  const expected = Buffer.from(Redacted.value(token))
  return (candidate) => {
    if (candidate === undefined) return false
    const given = Buffer.from(candidate)
    return given.length === expected.length && timingSafeEqual(given, expected)
  }
}

/**
 * The credential in a header's value, with or without `Bearer `.
 *
 * @category getters
 * @since 0.1.0
 */
export const credential = (value: string | undefined): string | undefined => {
  const text = value?.replace(/^bearer\s+/i, "").trim()
  return text === "" ? undefined : text
}

/**
 * Headers in which callers carry secrets, of the gateway and of every provider.
 *
 * @category constants
 * @since 0.1.0
 */
export const secretHeaders: ReadonlyArray<string> = [
  "cf-aig-authorization",
  "authorization",
  "proxy-authorization",
  "x-api-key",
  "x-goog-api-key",
  "api-key",
  "xi-api-key",
  "x-auth-key",
  "cookie"
]

/**
 * The headers, whose names are in lower case, without those that carry the gateway's token.
 *
 * @category combinators
 * @since 0.1.0
 */
export const withoutToken = (
  headers: { readonly [name: string]: string | undefined },
  isToken: (candidate: string | undefined) => boolean
): { readonly [name: string]: string | undefined } => {
  const carrying = secretHeaders.filter((name) => headers[name] !== undefined && isToken(credential(headers[name])))
  if (carrying.length === 0) return headers
  const out: { [name: string]: string | undefined } = {}
  for (const name of Object.keys(headers)) if (!carrying.includes(name)) out[name] = headers[name]
  return out
}

const isAllowedHost = (listenHost: string, host: string): boolean => {
  const name = bare(host.replace(/:\d+$/, ""))
  if (name === bindingHost || isLoopback(name) || name === bare(listenHost)) return true
  // An address cannot be rebound, and who listens beyond loopback means to be reached by address.
  return !isLoopback(listenHost) && isIP(name) !== 0
}

const bare = (host: string) => host.toLowerCase().replace(/^\[|\]$/g, "").replace(/\.$/, "")
