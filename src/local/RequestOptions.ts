/**
 * What one request asks of the gateway, from `cf-aig-*` headers or from the binding's JSON.
 *
 * Source: the wire reference, sections 2.1, 2.3, 4.1, 5.7, 6.2, 6.5, 6.6 and 8.2.
 *
 * @since 0.1.0
 */
import * as Cache from "./Cache.ts"
import * as Costs from "./Costs.ts"
import * as Faults from "./Faults.ts"
import type { Metadata } from "./LogStore.ts"
import * as Retries from "./Retries.ts"
import { isRecord } from "./simulated/JsonSchema.ts"

/**
 * Options as far as this version honours them; undefined leaves the decision to the request or the gateway.
 *
 * @category models
 * @since 0.1.0
 */
export interface RequestOptions {
  readonly collectLog?: boolean | undefined
  readonly collectLogPayload?: boolean | undefined
  readonly metadata?: Metadata | undefined
  readonly eventId?: string | undefined
  readonly retries?: Retries.Wanted | undefined
  readonly cache?: Cache.Wanted | undefined
  readonly customCost?: Costs.CustomCost | undefined
  /** Where the exported span belongs, as it came. */
  readonly traceId?: string | undefined
  readonly parentSpanId?: string | undefined
  /** As it came; only a gateway in test mode reads it. */
  readonly fault?: string | undefined
}

/**
 * Reads the headers, whose names are in lower case.
 *
 * @category decoding
 * @since 0.1.0
 */
export const fromHeaders = (headers: { readonly [name: string]: string | undefined }): RequestOptions => ({
  collectLog: flag(headers["cf-aig-collect-log"]),
  collectLogPayload: flag(headers["cf-aig-collect-log-payload"]),
  metadata: metadata(parse(headers["cf-aig-metadata"])),
  eventId: eventIdOf(headers),
  retries: Retries.read({
    requestTimeout: headers["cf-aig-request-timeout"],
    maxAttempts: headers["cf-aig-max-attempts"],
    retryDelay: headers["cf-aig-retry-delay"],
    backoff: headers["cf-aig-backoff"]
  }),
  cache: Cache.read({
    // The names without `aig` are of before, and still honoured.
    ttl: headers["cf-aig-cache-ttl"] ?? headers["cf-cache-ttl"],
    skip: headers["cf-aig-skip-cache"] ?? headers["cf-skip-cache"],
    key: headers["cf-aig-cache-key"]
  }),
  customCost: Costs.readCustom(parse(headers["cf-aig-custom-cost"])),
  traceId: headers["cf-aig-otel-trace-id"],
  parentSpanId: headers["cf-aig-otel-parent-span-id"],
  fault: headers[Faults.header]
})

/**
 * What groups the log entries of several requests; undefined for none.
 *
 * @category decoding
 * @since 0.1.0
 */
export const eventIdOf = (headers: { readonly [name: string]: string | undefined }): string | undefined =>
  headers["cf-aig-event-id"] === "" ? undefined : headers["cf-aig-event-id"]

/**
 * Of a request that asks for nothing beside what its steps ask for.
 *
 * @category constructors
 * @since 0.1.0
 */
export const none: RequestOptions = {}

/**
 * Reads `options.gateway` of the binding's `run`.
 *
 * @category decoding
 * @since 0.1.0
 */
export const fromBinding = (gateway: { readonly [name: string]: unknown }): RequestOptions => {
  const retries = isRecord(gateway["retries"]) ? gateway["retries"] : {}
  return {
    collectLog: typeof gateway["collectLog"] === "boolean" ? gateway["collectLog"] : undefined,
    metadata: metadata(gateway["metadata"]),
    eventId: typeof gateway["eventId"] === "string" && gateway["eventId"] !== "" ? gateway["eventId"] : undefined,
    retries: Retries.read({
      requestTimeout: gateway["requestTimeoutMs"],
      maxAttempts: retries["maxAttempts"],
      retryDelay: retries["retryDelayMs"],
      backoff: retries["backoff"]
    }),
    cache: Cache.read({ ttl: gateway["cacheTtl"], skip: gateway["skipCache"], key: gateway["cacheKey"] })
  }
}

/**
 * The step's own options win over the request's.
 *
 * @category combinators
 * @since 0.1.0
 */
export const over = (step: RequestOptions, request: RequestOptions): RequestOptions =>
  request === none ? step : ({
    collectLog: step.collectLog ?? request.collectLog,
    collectLogPayload: step.collectLogPayload ?? request.collectLogPayload,
    metadata: step.metadata ?? request.metadata,
    eventId: step.eventId ?? request.eventId,
    retries: {
      requestTimeout: step.retries?.requestTimeout ?? request.retries?.requestTimeout,
      maxAttempts: step.retries?.maxAttempts ?? request.retries?.maxAttempts,
      retryDelay: step.retries?.retryDelay ?? request.retries?.retryDelay,
      backoff: step.retries?.backoff ?? request.retries?.backoff
    },
    cache: {
      ttl: step.cache?.ttl ?? request.cache?.ttl,
      skip: step.cache?.skip ?? request.cache?.skip,
      key: step.cache?.key ?? request.cache?.key
    },
    customCost: step.customCost ?? request.customCost,
    traceId: step.traceId ?? request.traceId,
    parentSpanId: step.parentSpanId ?? request.parentSpanId,
    fault: step.fault ?? request.fault
  })

/**
 * The first five flat entries; undefined when one of all is not flat, as the live service drops the whole then.
 *
 * Keys that begin with `cf.` belong to Cloudflare and are left out.
 *
 * @category decoding
 * @since 0.1.0
 */
export const metadata = (raw: unknown): Metadata | undefined => {
  if (typeof raw !== "object" || raw === null || Array.isArray(raw)) return undefined
  const entries = Object.entries(raw).filter(([key]) => !key.startsWith("cf."))
  if (entries.some(([, value]) => !isFlat(value))) return undefined
  // fromEntries defines properties, so that a key __proto__ is only a key.
  return Object.fromEntries(entries.filter((_): _ is [string, string | number | boolean] => isFlat(_[1])).slice(0, 5))
}

const isFlat = (u: unknown): u is string | number | boolean =>
  typeof u === "string" || typeof u === "number" || typeof u === "boolean"

const flag = (text: string | undefined): boolean | undefined =>
  text === "true" ? true : text === "false" ? false : undefined

const parse = (text: string | undefined): unknown => {
  if (text === undefined) return undefined
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
