/**
 * The universal endpoint's body: an array of steps that are tried in order, or a single one.
 *
 * Source: the wire reference, section 1.4.
 *
 * @since 0.1.0
 */
import * as Arr from "effect/Array"
import * as Effect from "effect/Effect"
import type * as HttpServerRequest from "effect/unstable/http/HttpServerRequest"
import { AiGatewayError, invalidProvider } from "./Envelope.ts"
import type { Step } from "./GatewayRequest.ts"
import * as Providers from "./Providers.ts"
import * as RequestBody from "./RequestBody.ts"
import { isRecord } from "./simulated/JsonSchema.ts"

/**
 * Reads and checks the steps; a wrong one is named by its index.
 *
 * What the request says about stored keys holds for each step that does not say otherwise.
 *
 * @category decoding
 * @since 0.1.0
 */
export const read = (
  request: HttpServerRequest.HttpServerRequest,
  limit: number
): Effect.Effect<Arr.NonEmptyReadonlyArray<Step>, AiGatewayError | RequestBody.BodyTooLarge> =>
  Effect.gen(function*() {
    const bytes = yield* RequestBody.read(request, limit)
    const given = yield* Effect.try({
      try: (): unknown => JSON.parse(new TextDecoder().decode(bytes)),
      catch: () => bad("the request body is not valid JSON")
    })
    const keys = Object.fromEntries(aboutKeys.flatMap((name) => {
      const value = request.headers[name]
      return value === undefined ? [] : [[name, value]]
    }))
    const steps = yield* Effect.forEach(
      Array.isArray(given) ? given : [given],
      (raw, index) =>
        Effect.map(decode(raw, index), (step): Step => ({ ...step, headers: { ...keys, ...step.headers } }))
    )
    return Arr.isReadonlyArrayNonEmpty(steps)
      ? steps
      : yield* Effect.fail(bad("expected at least one step with 'provider' and 'endpoint'"))
  })

const decode = (raw: unknown, index: number): Effect.Effect<Step, AiGatewayError> =>
  isRecord(raw)
    ? toStep(raw, (problem) => `step ${index}: ${problem}`)
    : Effect.fail(bad(`step ${index}: expected an object with 'provider' and 'endpoint'`))

/**
 * Checks the fields of a step; `said` puts a problem in its place.
 *
 * @category decoding
 * @since 0.1.0
 */
export const toStep = (
  { authorization, config, endpoint, headers, provider, query }: { readonly [field: string]: unknown },
  said: (problem: string) => string
): Effect.Effect<Step, AiGatewayError> => {
  if (typeof provider !== "string") return Effect.fail(bad(said("'provider' must be a string")))
  if (typeof endpoint !== "string") return Effect.fail(bad(said("'endpoint' must be a string")))
  if (headers !== undefined && headers !== null && !isRecord(headers)) {
    return Effect.fail(bad(said("'headers' must be an object")))
  }
  if (provider !== "compat" && !Providers.isKnown(provider)) return Effect.fail(invalidProvider())
  const lower: { [name: string]: string } = { "content-type": "application/json" }
  if (typeof authorization === "string") lower["authorization"] = authorization
  // The same options by other names; where a step has both, its headers count.
  if (isRecord(config)) {
    for (const [name, header] of Object.entries(headersOfConfig)) {
      const value = config[name]
      if (typeof value === "number" || typeof value === "string") lower[header] = String(value)
    }
  }
  for (const [name, value] of Object.entries(headers ?? {})) {
    if (value === null || value === undefined) continue
    lower[name.toLowerCase()] = typeof value === "object" ? JSON.stringify(value) : String(value)
  }
  const at = endpoint.indexOf("?")
  const path = (at === -1 ? endpoint : endpoint.slice(0, at)).replace(/^\/+/, "")
  if (Providers.hasDotSegment(path)) return Effect.fail(bad(said("'endpoint' must not have '.' or '..' as a segment")))
  return Effect.succeed({
    provider,
    method: "POST",
    path,
    query: at === -1 ? "" : endpoint.slice(at),
    headers: lower,
    body: new TextEncoder().encode(JSON.stringify(query ?? {}))
  })
}

const aboutKeys = ["cf-aig-byok-alias", "cf-aig-no-wholesale"]

const headersOfConfig = {
  requestTimeout: "cf-aig-request-timeout",
  maxAttempts: "cf-aig-max-attempts",
  retryDelay: "cf-aig-retry-delay",
  backoff: "cf-aig-backoff"
}

const bad = (problem: string) => new AiGatewayError({ status: 400, code: 7000, description: problem })
