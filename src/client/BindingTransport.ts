/// <reference types="@cloudflare/workers-types" />
/**
 * The gateway through a Worker's `ai` binding: no token, no URL, the same account.
 *
 * Workers AI goes through `env.AI.run` with a gateway, everything else through `env.AI.gateway(id).run`. Both answer
 * with the raw `Response`; the binding's per-instance state (`aiGatewayLogId`) is never read, because concurrent
 * requests share it.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as GatewayError from "./GatewayError.ts"
import * as GatewayLog from "./GatewayLog.ts"
import * as ResponseInfo from "./ResponseInfo.ts"
import type { GatewayTransport, Step } from "./Transport.ts"
import { exposeHeaders, fromWeb } from "./webResponse.ts"

/**
 * Makes the transport of one gateway from a binding that is only there at request time.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = <R>(options: {
  readonly ai: Effect.Effect<Ai, never, R>
  readonly gatewayId: Effect.Effect<string, never, R>
}): GatewayTransport<R> => {
  const binding = Effect.zip(options.ai, options.gatewayId)
  const call = <A>(method: string, f: (gateway: AiGateway) => Promise<A>) =>
    Effect.flatMap(
      binding,
      ([ai, id]) => Effect.tryPromise({ try: () => f(ai.gateway(id)), catch: (cause) => thrown(method, cause) })
    )

  return {
    send: (steps) =>
      Effect.flatMap(binding, ([ai, id]) =>
        Effect.tryPromise({
          try: (signal) => send(ai, id, steps, signal),
          catch: (cause) => thrown("send", cause)
        })).pipe(Effect.flatMap((response) => fromWeb(response, { method: "send", steps }))),

    getUrl: (provider) => call("getUrl", (gateway) => gateway.getUrl(provider)),

    getLog: (logId) =>
      Effect.flatMap(call("getLog", (gateway) => gateway.getLog(logId)), (wire) => {
        const log = GatewayLog.fromWire(wire)
        return typeof log === "string"
          ? fail("getLog", new GatewayError.UnexpectedAnswer({ description: log, info: ResponseInfo.empty }))
          : Effect.succeed(log)
      }),

    patchLog: (logId, feedback) => {
      const problem = GatewayLog.problemOf(feedback)
      return problem === undefined
        // The binding's types know 1 and -1 only; the API documents 0 as well.
        ? call("patchLog", (gateway) => gateway.patchLog(logId, feedback as AiGatewayPatchLog))
        : fail("patchLog", new GatewayError.InvalidRequest({ description: problem, info: ResponseInfo.empty }))
    }
  }
}

const fail = (method: string, reason: GatewayError.Reason) =>
  Effect.fail(new GatewayError.GatewayError({ method, reason }))

const send = (ai: Ai, gatewayId: string, steps: ReadonlyArray<Step>, signal: AbortSignal): Promise<Response> => {
  const [step] = steps
  if (steps.length === 1 && step?.provider === "workers-ai" && step.endpoint.startsWith("@")) {
    // The types list the models of one day; any id is allowed, and unknown ones are the gateway's to refuse.
    return ai.run(step.endpoint as keyof AiModels, step.query as AiModels[keyof AiModels]["inputs"], {
      gateway: { id: gatewayId },
      returnRawResponse: true,
      extraHeaders: exposeHeaders(step.headers),
      signal
    }) as Promise<Response>
  }
  const data = steps.map(({ endpoint, headers, provider, query }) => ({
    provider,
    endpoint,
    headers: { "content-type": "application/json", ...exposeHeaders(headers) },
    query
  }))
  return ai.gateway(gatewayId).run(data, { signal })
}

const thrown = (method: string, cause: unknown): GatewayError.GatewayError => {
  const name = cause instanceof Error ? cause.name : ""
  const said = cause instanceof Error ? cause.message : String(cause)
  const common = { description: said, info: ResponseInfo.empty }
  switch (name) {
    case "AiGatewayLogNotFound":
      return new GatewayError.GatewayError({
        method,
        reason: new GatewayError.LogNotFound({ ...common, status: 404, code: 7002 }),
        cause
      })
    case "AiGatewayInternalError":
    case "AiInternalError":
      return new GatewayError.GatewayError({ method, reason: new GatewayError.UpstreamFailed(common), cause })
    default:
      return GatewayError.transportFailed({ method, description: said, cause })
  }
}
