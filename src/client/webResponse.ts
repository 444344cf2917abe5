/**
 * A web `Response` as an answer of the gateway: 2xx is a {@link GatewayResponse}, everything else a `GatewayError`.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as Stream from "effect/Stream"
import * as GatewayError from "./GatewayError.ts"
import * as ResponseInfo from "./ResponseInfo.ts"
import type { GatewayResponse, Step } from "./Transport.ts"
import * as webBody from "./webBody.ts"

/**
 * Takes over a response: whoever gets the result reads its body once, and interruption cancels that read.
 *
 * @category constructors
 * @since 0.1.0
 */
export const fromWeb = (
  response: Response,
  options: { readonly method: string; readonly steps: ReadonlyArray<Step> }
): Effect.Effect<GatewayResponse, GatewayError.GatewayError> => {
  const headers = Object.fromEntries(response.headers) as { readonly [name: string]: string | undefined }
  const served = options.steps[Number(headers["cf-aig-step"] ?? 0)]
  const info = ResponseInfo.fromHeaders(headers, served)
  const cut = (cause: unknown) =>
    GatewayError.transportFailed({
      method: options.method,
      description: "the connection was cut while the answer was read",
      cause,
      info
    })
  const { body } = response
  const stream = body === null ? Stream.empty : webBody.stream(body, cut)
  const text = body === null ? Effect.succeed("") : webBody.text(body, cut)
  if (response.ok) return Effect.succeed({ status: response.status, headers, info, stream, text })
  return Effect.flatMap(Effect.zip(text, Clock.currentTimeMillis), ([body, now]) =>
    Effect.fail(
      GatewayError.fromAnswer({
        method: options.method,
        status: response.status,
        headers,
        body: scrub(body, options.steps),
        info,
        now
      })
    ))
}

/** Providers quote refused keys in their answers; an error must not pass them on. */
/** @internal */
export const scrub = (body: string, steps: ReadonlyArray<Step>): string => {
  let text = body
  for (const step of steps) {
    for (const value of Object.values(step.headers ?? {})) {
      if (!Redacted.isRedacted(value)) continue
      for (const secret of Redacted.value(value).split(" ")) {
        if (secret.length > 7) text = text.replaceAll(secret, "<redacted>")
      }
    }
  }
  return text
}

/**
 * The steps as the universal endpoint takes them, with their secrets in clear: only for the bytes that leave.
 *
 * @category conversions
 * @since 0.1.0
 */
export const exposeHeaders = (headers: Step["headers"]): { readonly [name: string]: string } =>
  Object.fromEntries(
    Object.entries(headers ?? {}).map((
      [name, value]
    ) => [name, Redacted.isRedacted(value) ? Redacted.value(value) : value])
  )
