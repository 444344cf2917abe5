/**
 * Effect's `HttpClient`, routed through the gateway to one provider: for SDKs and code that speak a provider's API
 * themselves.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Stream from "effect/Stream"
import * as Headers from "effect/unstable/http/Headers"
import * as HttpClient from "effect/unstable/http/HttpClient"
import * as HttpClientError from "effect/unstable/http/HttpClientError"
import * as HttpClientRequest from "effect/unstable/http/HttpClientRequest"
import * as HttpClientResponse from "effect/unstable/http/HttpClientResponse"
import type { GatewayError } from "./GatewayError.ts"
import { type GatewayResponse, secretHeaders, type Step, type Transport } from "./Transport.ts"

/**
 * The provider whose API the requests speak.
 *
 * @category models
 * @since 0.1.0
 */
export interface Provider {
  /** The gateway's slug. */
  readonly slug: string
  /** Path of the provider's API that the gateway puts before the rest by itself, such as `v1`; no slashes around it. */
  readonly basePath: string
}

/**
 * A client of one provider as a Layer of Effect's `HttpClient`.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = <R>(transport: Transport<R>, provider: Provider): Layer.Layer<HttpClient.HttpClient, never, R> =>
  Layer.effect(
    HttpClient.HttpClient,
    Effect.map(Effect.context<R>(), (context) =>
      make({
        send: (steps) =>
          Effect.updateContext(
            transport.send(steps),
            // What is set around the request wins over what was set around the layer.
            (current: Context.Context<never>) => Context.merge(context, current)
          )
      }, provider))
  )

/**
 * Makes the client of one provider.
 *
 * A request's URL may be the provider's own, or just a path; what stands before the provider's base path is cut off.
 * Only POST requests with a JSON body go through the gateway; others are an `HttpClientError` before anything is sent.
 * An answer of any status is a response, as of any other client.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (
  transport: Transport<never>,
  provider: Provider
): HttpClient.HttpClient => {
  const whole = HttpClient.make((request, url, signal) =>
    Effect.flatMap(toStep(request, url, provider), (step) =>
      transport.send([step]).pipe(
        Effect.flatMap((response) => fromResponse(request, response, signal)),
        Effect.catchTag("GatewayError", (error) => fromError(request, error))
      ))
  ).pipe(
    HttpClient.transform((sent) =>
      Effect.updateService(sent, Headers.CurrentRedactedNames, (names) => [...names, ...secretHeaders])
    )
  )
  // After all that is put around this client: SDKs prepend the provider's own URL. A client needs whole URLs; of a path,
  // only what stands behind this name is used.
  return HttpClient.makeWith<HttpClientError.HttpClientError, never, HttpClientError.HttpClientError, never>(
    Effect.flatMap((request) =>
      whole.execute(
        /^https?:/.test(request.url) ? request : HttpClientRequest.prependUrl(request, "https://provider.invalid")
      )
    ),
    Effect.succeed
  )
}

/** Headers that describe the connection or the body, which the gateway makes anew. */
const dropped = /^(host|content-length|content-type|connection|accept-encoding|b3|traceparent|tracestate)$/

const toStep = (
  request: HttpClientRequest.HttpClientRequest,
  url: URL,
  { basePath, slug }: Provider
): Effect.Effect<Step, HttpClientError.HttpClientError> => {
  const refuse = (description: string) =>
    Effect.fail(
      new HttpClientError.HttpClientError({ reason: new HttpClientError.EncodeError({ request, description }) })
    )
  if (request.method !== "POST") return refuse(`${request.method} requests do not go through the gateway, only POST`)
  const { body } = request
  if (body._tag !== "Uint8Array") return refuse("only JSON bodies go through the gateway")
  let query: unknown
  try {
    query = JSON.parse(new TextDecoder().decode(body.body))
  } catch {
    return refuse("the body is not JSON")
  }
  const path = url.pathname.replace(/^\/+/, "")
  const endpoint = basePath !== "" && path.startsWith(`${basePath}/`) ? path.slice(basePath.length + 1) : path
  const headers: { [name: string]: string | Redacted.Redacted<string> } = {}
  for (const [name, value] of Object.entries(request.headers)) {
    if (!dropped.test(name)) {
      headers[name] = secretHeaders.includes(name)
        ? Redacted.make(value, { label: name })
        : value
    }
  }
  return Effect.succeed({ provider: slug, endpoint: endpoint + url.search, headers, query })
}

const fromResponse = (
  request: HttpClientRequest.HttpClientRequest,
  response: GatewayResponse,
  signal: AbortSignal
) =>
  Effect.map(
    // Effect stops to read a response by this signal only.
    Stream.toReadableStreamEffect(Stream.interruptWhen(response.stream, aborted(signal))),
    (body) =>
      HttpClientResponse.fromWeb(
        request,
        new Response(hasNoBody.has(response.status) ? null : body, {
          status: response.status,
          headers: given(response.headers)
        })
      )
  )

/** A failure, for a body that was cut must never look whole. */
const aborted = (signal: AbortSignal): Effect.Effect<never, unknown> =>
  Effect.callback((resume) => {
    const stop = () => resume(Effect.fail(signal.reason))
    if (signal.aborted) return stop()
    signal.addEventListener("abort", stop, { once: true })
    return Effect.sync(() => signal.removeEventListener("abort", stop))
  })

/** A `Response` of such a status refuses any body. */
const hasNoBody = new Set([204, 205])

const fromError = (
  request: HttpClientRequest.HttpClientRequest,
  error: GatewayError
): Effect.Effect<HttpClientResponse.HttpClientResponse, HttpClientError.HttpClientError> => {
  const { body, info, retryAfter, status } = error.reason
  if (status === undefined) {
    return Effect.fail(
      new HttpClientError.HttpClientError({
        reason: new HttpClientError.TransportError({ request, cause: error, description: error.message })
      })
    )
  }
  const headers = {
    // Of a long body an error keeps the start only, which is no JSON any more.
    "content-type": isJson(body) ? "application/json" : "text/plain",
    "cf-aig-log-id": info.logId ?? undefined,
    "retry-after-ms": retryAfter === undefined ? undefined : String(Math.ceil(Duration.toMillis(retryAfter)))
  }
  return Effect.succeed(
    HttpClientResponse.fromWeb(request, new Response(body ?? null, { status, headers: given(headers) }))
  )
}

const isJson = (text: string | undefined): boolean => {
  try {
    return text !== undefined && typeof JSON.parse(text) === "object"
  } catch {
    return false
  }
}

const given = (headers: { readonly [name: string]: string | undefined }): { [name: string]: string } =>
  Object.fromEntries(Object.entries(headers).flatMap(([name, value]) => value === undefined ? [] : [[name, value]]))
