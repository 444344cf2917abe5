/**
 * Carries a step to a provider's own server and its answer back, byte for byte.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import { bindingHost } from "./Access.ts"
import type * as Answer from "./Answer.ts"
import { refused } from "./CustomUpstream.ts"
import { type AiGatewayError, noProviderAnswer } from "./Envelope.ts"
import { refusedCode } from "./PublicAddress.ts"
import type { UpstreamClient } from "./UpstreamClient.ts"

/**
 * Sends one request; fails when no answer came. Interruption closes the connection.
 *
 * Redirects are answers: the client's own key must not follow them to another host.
 *
 * @category constructors
 * @since 0.1.0
 */
export const send = (
  send: UpstreamClient["Service"]["send"],
  options: {
    readonly url: string
    readonly method: string
    readonly headers: { readonly [name: string]: string | undefined }
    readonly body: Uint8Array
  }
): Effect.Effect<Answer.Answer, AiGatewayError> =>
  send({ ...options, headers: forwarded(options.headers) }).pipe(
    Effect.map((answer) => ({ ...answer, headers: returned(answer.headers) })),
    Effect.mapError(({ code }) => {
      // Scheme and host only: the path and the query may hold a key.
      const { origin } = new URL(options.url)
      return code === refusedCode
        ? refused(origin)
        : noProviderAnswer(`${origin} is not reachable${code === undefined ? "" : ` (${code})`}`)
    })
  )

/** Connection-level headers belong to one connection (RFC 9110, 7.6.1). */
const hopByHop = new Set([
  "connection",
  "keep-alive",
  "proxy-authenticate",
  "proxy-authorization",
  "proxy-connection",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade"
])

const dropped = new Set(["host", "content-length", "expect", "accept-encoding", "cf-cache-ttl", "cf-skip-cache"])

/**
 * The headers a provider gets to see.
 *
 * @category getters
 * @since 0.1.0
 */
export const forwarded = (headers: { readonly [name: string]: string | undefined }): { [name: string]: string } => {
  const named = namedBy(headers["connection"])
  const out: { [name: string]: string } = {}
  for (const name of Object.keys(headers)) {
    const value = headers[name]
    if (value === undefined || hopByHop.has(name) || dropped.has(name) || named.has(name)) continue
    if (name.startsWith("cf-aig-") || name.startsWith("cf-consn-") || value === bindingHost) continue
    out[name] = value
  }
  // A compressed answer could be passed on, but its tokens could not be counted.
  out["accept-encoding"] = "identity"
  return out
}

const returned = (headers: Answer.Answer["headers"]): Answer.Answer["headers"] => {
  const named = namedBy(headers["connection"])
  const out: { [name: string]: string } = {}
  for (const name in headers) {
    const value = headers[name]
    // A provider's cookies would mix the gateway's callers.
    if (!hopByHop.has(name) && !named.has(name) && name !== "set-cookie" && value !== undefined) out[name] = value
  }
  return out
}

/** Further headers of the connection, in both directions. */
const namedBy = (connection: string | undefined): ReadonlySet<string> =>
  connection === undefined ? none : new Set(connection.toLowerCase().split(",").map((_) => _.trim()))

const none: ReadonlySet<string> = new Set()
