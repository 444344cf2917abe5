/**
 * The gateway's response cache: what is looked up, what is kept, and for how long.
 *
 * A gateway caches when its `cache_ttl` says so, a request when it brings a key of its own (`cf-aig-cache-key`); a
 * lifetime alone (`cf-aig-cache-ttl`) turns nothing on. Lifetimes out of their range count as its end. Only whole answers
 * of 200 to 299 in text or image are kept, to requests that ask for no stream; the caller's credential at the provider is
 * part of every key. A request that skips the cache is not kept either. Source: the wire reference, sections 4 and 12.1.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import type * as Option from "effect/Option"
import { hash } from "node:crypto"
import type { Answer } from "./Answer.ts"
import type { CacheStore, Entry, Key } from "./CacheStore.ts"
import type { Gateway } from "./Gateway.ts"
import type { Step } from "./GatewayRequest.ts"
import { isRecord } from "./simulated/JsonSchema.ts"

/**
 * What a request asks of the cache; undefined leaves the decision to the next one.
 *
 * @category models
 * @since 0.1.0
 */
export interface Wanted {
  /** Seconds; 0 for no caching. */
  readonly ttl?: number | undefined
  readonly skip?: boolean | undefined
  readonly key?: string | undefined
}

/**
 * How a step uses the cache. Where it is not `used` the answer is a MISS all the same.
 *
 * @category models
 * @since 0.1.0
 */
export interface Plan {
  readonly used: boolean
  readonly key: Key
  /** Milliseconds. */
  readonly ttl: number
  readonly version: number
}

/**
 * Larger requests and answers are not cached.
 *
 * @category constants
 * @since 0.1.0
 */
export const sizeLimit = 25 * 1024 * 1024

/**
 * Reads the three options as they come in headers or in the binding's JSON; what is no such value is left out.
 *
 * @category decoding
 * @since 0.1.0
 */
export const read = (raw: { readonly [Name in keyof Wanted]: unknown }): Wanted => {
  const ttl = typeof raw.ttl === "string" && /^\d{1,15}$/.test(raw.ttl) ? Number(raw.ttl) : raw.ttl
  const { key, skip } = raw
  return {
    ttl: typeof ttl === "number" && Number.isInteger(ttl) && ttl >= 0 ? ttl : undefined,
    skip: skip === true || skip === "true" ? true : skip === false || skip === "false" ? false : undefined,
    key: typeof key === "string" && key !== "" ? key : undefined
  }
}

/**
 * The plan of a step as it is before the store has said under which version, see {@link versioned}; undefined where caching
 * is not in play.
 *
 * @category constructors
 * @since 0.1.0
 */
export const plan = (
  gateway: Gateway,
  wanted: Wanted,
  step: Step,
  request: { readonly model: string; readonly json: unknown; readonly face: "rest" | "binding" }
): Plan | undefined => {
  const setting = Number(gateway.settings["cache_ttl"] ?? 0)
  const ttl = wanted.ttl ?? (setting > 0 ? setting : wanted.key === undefined ? 0 : keyTtl)
  if (ttl === 0 || (setting <= 0 && wanted.key === undefined) || step.method !== "POST") return undefined
  return {
    used: wanted.skip !== true && step.body.length <= sizeLimit && !asksForStream(step, request.json),
    key: {
      gateway: gateway.id,
      key: keyOf(step, request, wanted.key),
      version: gateway.settings["cache_invalidate_on_update"] === true ? gateway.modifiedAt : undefined
    },
    ttl: Math.min(Math.max(ttl, minTtl), maxTtl) * 1000,
    version: gateway.modifiedAt
  }
}

/**
 * The plan under the version that the store has for the gateway now, where answers are to be found under one only.
 *
 * @category combinators
 * @since 0.1.0
 */
export const versioned = (
  store: CacheStore["Service"],
  plan: Plan | undefined,
  gateway: Gateway
): Effect.Effect<Plan | undefined> =>
  plan?.used !== true || plan.key.version === undefined
    ? Effect.succeed(plan)
    : Effect.map(store.versionOf(gateway), (version) =>
      version === undefined ? { ...plan, used: false } : { ...plan, version, key: { ...plan.key, version } })

/**
 * The cached answer of a plan.
 *
 * @category getters
 * @since 0.1.0
 */
export const find = (
  store: CacheStore["Service"],
  plan: Plan | undefined
): Effect.Effect<Option.Option<Answer>> => plan?.used === true ? store.get(plan.key) : Effect.succeedNone

/**
 * The entry that an answer makes, without its body; undefined for one that is not kept.
 *
 * @category getters
 * @since 0.1.0
 */
export const entryOf = (
  answer: Answer,
  plan: Plan | undefined,
  isSimulated: boolean
): Omit<Entry, "body"> | undefined => {
  if (plan?.used !== true || answer.status < 200 || answer.status > 299) return undefined
  if (!isTextOrImage(answer.headers["content-type"] ?? "")) return undefined
  return {
    status: answer.status,
    headers: keptHeaders(answer, isSimulated),
    version: plan.version
  }
}

/** Five minutes for a request with a key on a gateway that has no lifetime. */
const keyTtl = 300
const minTtl = 60
const maxTtl = 31 * 24 * 3600

const kept = ["content-type", "content-encoding", "content-language", "content-disposition"]

const keptHeaders = ({ headers }: Answer, isSimulated: boolean): Entry["headers"] => {
  const out: { [name: string]: string } = {}
  for (const name of kept) {
    const value = headers[name]
    if (value !== undefined) out[name] = value
  }
  // Only of the answers of our own model, which give way to a provider's.
  if (isSimulated) out["x-simulated"] = "true"
  return out
}

const isTextOrImage = (contentType: string) => {
  const type = contentType.split(";")[0]?.trim().toLowerCase() ?? ""
  return type !== "text/event-stream" &&
    /^(text\/|image\/|application\/(json|xml)$|application\/.+\+(json|xml)$)/.test(type)
}

/** In the body of most, in the path of Google and Bedrock. */
const asksForStream = (step: Step, json: unknown) =>
  (isRecord(json) && json["stream"] === true) ||
  /:streamGenerateContent$|\/(converse-stream|invoke-with-response-stream)$/.test(step.path)

/** In which providers take the caller's credential, and what chooses a stored one. */
const credentials = ["authorization", "x-api-key", "x-goog-api-key", "api-key", "xi-api-key", "cf-aig-byok-alias"]

/**
 * A key of the caller's own replaces endpoint, model and body. Provider and credential stay: the answer of another
 * provider has another format, and that of another account is not for everybody.
 */
const keyOf = (
  step: Step,
  { face, model }: { readonly face: string; readonly model: string },
  own: string | undefined
): string => {
  let text = ""
  // With their lengths, so that no two lists of parts read the same.
  const add = (part: string | undefined) =>
    void (text += part === undefined ? "-" : `${Buffer.byteLength(part)}:${part}`)
  add(step.provider)
  // Workers AI answers REST and the binding in two envelopes.
  if (step.provider === "workers-ai") add(face)
  for (const name of credentials) add(step.headers[name])
  // Google's key may be in the query.
  add(step.query === "" ? undefined : new URLSearchParams(step.query).get("key") ?? undefined)
  if (own !== undefined) add(`own ${own}`)
  else for (const part of ["endpoint", `${step.path}${step.query}`, model]) add(part)
  // In one piece: each that is given to a hash by itself costs a call out of JavaScript.
  const whole = own === undefined ? Buffer.concat([Buffer.from(`${text}${step.body.length}:`), step.body]) : text
  // 128 bits of it are one's alone, and short keys keep the stores' indexes short.
  return hash("sha256", whole, "base64url").slice(0, 22)
}
