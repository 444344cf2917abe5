/**
 * Whose key a request of the REST API went with, as its answers say: `BYOK` for the caller's own, else `Unified`.
 *
 * There is no Unified Billing on this machine: `Unified` is what Cloudflare would have paid for, here the simulated model or a
 * server that needs no key. Source: the wire reference, sections 1.6 and 3.2.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import { isRecord, parse } from "../model/Json.ts"
import * as Answer from "./Answer.ts"
import * as Credentials from "./Credentials.ts"
import * as Envelope from "./Envelope.ts"
import type { Gateway } from "./Gateway.ts"
import type { Step } from "./GatewayRequest.ts"
import type { ObjectStore } from "./ObjectStore.ts"

/**
 * @category models
 * @since 0.1.0
 */
export type KeySource = "BYOK" | "Unified"

/**
 * Where a step's key comes from; `provider` is the one that is asked, also where the step goes to the unified endpoint.
 *
 * @category constructors
 * @since 0.1.0
 */
export const of = (
  gateway: Gateway,
  provider: string,
  step: Pick<Step, "headers" | "query">
): Effect.Effect<KeySource, never, ObjectStore> =>
  Effect.map(
    Credentials.exist({ ...step, gateway, provider, face: "run" }),
    (exists) => exists ? "BYOK" : "Unified"
  )

/**
 * The answer with `gatewayMetadata` in it, every other byte as it was.
 *
 * Whole JSON answers only: no provider's events have a place for it, so streams pass as they are.
 *
 * @category combinators
 * @since 0.1.0
 */
export const tell = (answer: Answer.Answer, keySource: KeySource): Answer.Answer => {
  const isJson = answer.headers["content-type"]?.toLowerCase().startsWith("application/json") === true
  if (!isJson || answer.status < 200 || answer.status > 299) return answer
  const { "content-length": _, ...headers } = answer.headers
  const { body } = answer
  return {
    ...answer,
    headers,
    body: body instanceof Uint8Array ? marked(body, keySource) : Stream.unwrap(
      Effect.map(Stream.runCollect(body), (chunks) => Stream.succeed(marked(Buffer.concat(chunks), keySource)))
    )
  }
}

/**
 * What `/ai/run` answers instead when the provider refuses the key: 401 with 2009 for an own key, else 503.
 *
 * @category combinators
 * @since 0.1.0
 */
export const orRefusal = (answer: Answer.Answer, keySource: KeySource): Effect.Effect<Answer.Answer> => {
  if (answer.status !== 401) return Effect.succeed(answer)
  const error = keySource === "BYOK" ? Envelope.unauthorized() : new Envelope.AiGatewayError({
    status: 503,
    // Cloudflare publishes no code for it.
    code: 2005,
    description: "Failed to get response from provider: it rejected the gateway's credential"
  })
  const own = Object.fromEntries(Object.entries(answer.headers).filter(([name]) => name.startsWith("cf-aig-")))
  // Read to its end, so that its log entry is whole.
  return Effect.as(Effect.ignore(Answer.drain(answer)), Answer.json(error.status, Envelope.gatewayBody(error), own))
}

const marked = (bytes: Uint8Array, keySource: KeySource): Uint8Array => {
  const text = new TextDecoder().decode(bytes)
  const json = parse(text)
  if (!isRecord(json) || "gatewayMetadata" in json) return bytes
  const comma = Object.keys(json).length === 0 ? "" : ","
  const metadata = `${comma}"gatewayMetadata":${JSON.stringify({ keySource })}}`
  return new TextEncoder().encode(text.replace(/\}\s*$/, () => metadata))
}
