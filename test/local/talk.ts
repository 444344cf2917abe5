/**
 * Talks to a local gateway as any HTTP client does.
 */
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import type { LocalGateway } from "../../src/local/index.ts"

export type Gateway = LocalGateway.LocalGateway["Service"]

export interface Reply {
  readonly status: number
  readonly headers: { readonly [name: string]: string }
  readonly text: string
  // The tests assert on what comes; typing every answer would say it twice.
  // oxlint-disable-next-line typescript/no-explicit-any
  readonly json: any
}

export const call = (
  url: string,
  init: { method?: string; headers?: Record<string, string>; body?: unknown } = {}
): Effect.Effect<Reply> =>
  Effect.promise(async (signal) => {
    const { body } = init
    const raw = typeof body === "string" || body instanceof Uint8Array ? body : JSON.stringify(body)
    const response = await fetch(url, {
      method: init.method ?? (body === undefined ? "GET" : "POST"),
      headers: { "content-type": "application/json", ...init.headers },
      redirect: "manual",
      signal,
      // Node's fetch takes bytes; the types of Workers' do not say so.
      ...(body === undefined ? {} : { body: raw as BodyInit })
    })
    const text = await response.text()
    let json: unknown
    try {
      json = JSON.parse(text)
    } catch {
      json = undefined
    }
    return { status: response.status, headers: Object.fromEntries(response.headers), text, json }
  })

export const bearer = (gateway: Gateway) => ({ authorization: `Bearer ${Redacted.value(gateway.token)}` })

export const aig = (gateway: Gateway) => ({ "cf-aig-authorization": `Bearer ${Redacted.value(gateway.token)}` })

export const gateways = (gateway: Gateway) =>
  `${gateway.url}/client/v4/accounts/${gateway.accountId}/ai-gateway/gateways`

export const required = {
  cache_ttl: null,
  cache_invalidate_on_update: false,
  collect_logs: true,
  rate_limiting_interval: null,
  rate_limiting_limit: null
}

/** Management calls: `path` below `/gateways`. */
export const manage = (
  gateway: Gateway,
  path: string,
  init: { method?: string; headers?: Record<string, string>; body?: unknown } = {}
) => call(`${gateways(gateway)}${path}`, { ...init, headers: { ...bearer(gateway), ...init.headers } })

export const create = (gateway: Gateway, id: string, settings: { readonly [wire: string]: unknown } = {}) =>
  manage(gateway, "", { body: { id, ...required, ...settings } })

/** A request to the data plane: `path` below the account. */
export const data = (
  gateway: Gateway,
  path: string,
  init: { method?: string; headers?: Record<string, string>; body?: unknown } = {}
) => call(`${gateway.url}/v1/${gateway.accountId}/${path}`, init)

export const events = (text: string): ReadonlyArray<unknown> =>
  text.split("\n\n").filter((_) => _.startsWith("data: ") && _ !== "data: [DONE]").map((_) => JSON.parse(_.slice(6)))
