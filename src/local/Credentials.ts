/**
 * Whose key a request goes to its provider with: its own, a stored one (BYOK), or none.
 *
 * A key on the request wins, and then stored keys are not looked at. Without one the stored key of the alias in
 * `cf-aig-byok-alias` is used, else the one called `default`, else the one that was made the default. There is no Unified
 * Billing here, so what is left goes without a key: to the simulated model, or to a server that needs none (`Destination`);
 * unless only own keys are allowed (`byok_only`, `cf-aig-no-wholesale`), which is a 400. Workers AI is outside of all this. Source: the wire reference,
 * sections 3.2, 3.3, 3.5 and 9.2.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import { AiGatewayError } from "./Envelope.ts"
import type { Gateway } from "./Gateway.ts"
import { ObjectStore, type StoredObject } from "./ObjectStore.ts"
import { RateLimitStore } from "./RateLimitStore.ts"
import { Sealing } from "./Sealing.ts"

/**
 * A request's headers as its provider gets them.
 *
 * @category models
 * @since 0.1.0
 */
export interface Credentials {
  /** Names in lower case; the key is in the provider's own header. */
  readonly headers: { readonly [name: string]: string | undefined }
  readonly source: "request" | "stored" | "none"
  /** Where the key came out of the store: to be cut out of everything that is kept. */
  readonly secret: Redacted.Redacted<string> | undefined
}

/**
 * Finds the key and puts it into its header.
 *
 * Fails with 2040 for an alias that the provider has not, with 2003 for a stored key over its own rate limit, and with 400
 * where no key may come from elsewhere and there is none (Cloudflare's code for this is not published; here it is 2040).
 *
 * @category constructors
 * @since 0.1.0
 */
export const resolve = (options: {
  readonly gateway: Gateway
  readonly provider: string
  /** Names in lower case. */
  readonly headers: { readonly [name: string]: string | undefined }
  /** With its question mark, or empty: Google takes keys there, too. */
  readonly query?: string | undefined
  /** `compat`: the provider's key is in `Authorization`, whatever the provider. `run`: of the aliases only `default` counts. */
  readonly face: "provider" | "compat" | "run"
}): Effect.Effect<Credentials, AiGatewayError, ObjectStore | Sealing | RateLimitStore> =>
  Effect.gen(function*() {
    const given = ofRequest(options)
    if (given !== undefined) return given
    const { gateway, headers, provider } = options
    const { own, places } = ownKey(options)
    const config = yield* stored(options)
    if (config === undefined) {
      const only = gateway.settings["byok_only"] === true ? "byok_only" : "cf-aig-no-wholesale"
      if (gateway.settings["byok_only"] === true || headers["cf-aig-no-wholesale"]?.toLowerCase() === "true") {
        const description = `The request has no key for '${provider}', none is stored, and ${only} allows no other`
        return yield* Effect.fail(new AiGatewayError({ status: 400, code: 2040, description }))
      }
      return { headers, source: "none", secret: undefined } as const
    }
    const secret = yield* opened(gateway, provider, config)
    return {
      headers: moved(headers, places, own, Redacted.value(secret)),
      source: "stored",
      secret
    } as const
  })

/**
 * The request's own key in its provider's header; undefined for a request that has none.
 *
 * @category getters
 * @since 0.1.0
 */
export const ofRequest = (options: Parameters<typeof resolve>[0]): Credentials | undefined => {
  const { face, headers, provider } = options
  const own = { headers, source: "request", secret: undefined } as const
  if (provider === "workers-ai") return own
  const { own: to, place, places } = ownKey(options)
  if (place === undefined) return isInQuery(options) ? own : undefined
  return face === "compat" && place !== to.name
    ? { ...own, headers: moved(headers, places, to, bare(headers[place] ?? "")) }
    : own
}

/**
 * Whether {@link resolve} would find a key, without counting its use.
 *
 * @category predicates
 * @since 0.1.0
 */
export const exist = (options: Parameters<typeof resolve>[0]): Effect.Effect<boolean, never, ObjectStore> =>
  ownKey(options).place !== undefined || isInQuery(options)
    ? Effect.succeed(true)
    : Effect.match(stored(options), { onFailure: () => false, onSuccess: (config) => config !== undefined })

/** Where the request has its key, out of the places where it may be. */
const ownKey = ({ face, headers, provider }: Parameters<typeof resolve>[0]) => {
  const own = keyHeader(provider)
  const places = face === "compat" ? [...own.also, own.name, "authorization"] : [own.name, ...own.also]
  return { own, places, place: places.find((name) => hasKey(headers[name])) }
}

const isInQuery = ({ provider, query }: Parameters<typeof resolve>[0]): boolean =>
  provider === "google-ai-studio" && /[?&]key=[^&]/.test(query ?? "")

/** The config whose key is to be used; undefined when there is none. */
const stored = Effect.fnUntraced(function*(options: Parameters<typeof resolve>[0]) {
  const { face, gateway, headers, provider } = options
  const objects = yield* ObjectStore
  const configs = (yield* objects.list("provider_config", gateway.id))
    .filter(({ fields }) => fields["provider_slug"] === provider)
  const byAlias = (alias: string) => configs.find(({ fields }) => fields["alias"] === alias)
  if (face === "run") return byAlias("default")
  const alias = headers["cf-aig-byok-alias"]?.trim() ?? ""
  if (alias === "") return byAlias("default") ?? configs.find(({ fields }) => fields["default_config"] === true)
  const named = byAlias(alias)
  if (named !== undefined) return named
  const aliases = configs.map(({ fields }) => `'${String(fields["alias"])}'`).join(", ")
  return yield* Effect.fail(
    new AiGatewayError({
      status: 400,
      code: 2040,
      description: `Provider '${provider}' has no BYOK credential named '${alias}'. Configured aliases: ${
        aliases === "" ? "none" : aliases
      }`
    })
  )
})

/** The key of a config, which counts for the config's own limit. */
const opened = Effect.fnUntraced(function*(gateway: Gateway, provider: string, config: StoredObject) {
  const { alias, rate_limit: limit, rate_limit_period: period, secret_id: id } = config.fields
  const objects = yield* ObjectStore
  const store = gateway.settings["store_id"]
  const secret = typeof store === "string" && typeof id === "string"
    ? yield* objects.get("secret", store, id)
    : Option.none()
  const sealed = Option.isSome(secret) ? secret.value.fields["sealed"] : undefined
  if (typeof sealed !== "string") {
    const description = `The secret of the BYOK credential '${String(alias)}' of '${provider}' is gone from its store`
    return yield* Effect.fail(new AiGatewayError({ status: 400, code: 2040, description }))
  }
  const key = yield* (yield* Sealing).open(sealed)
  // A request that needs more than this gateway can do with a key should not go out with half of it.
  if (/^\s*\{/.test(Redacted.value(key))) {
    const description =
      `The BYOK credential '${String(alias)}' of '${provider}' is JSON: the local gateway neither signs ` +
      "for AWS nor gets tokens of Google Cloud; store an API key or an access token instead"
    return yield* Effect.fail(new AiGatewayError({ status: 400, code: 2040, description }))
  }
  if (typeof limit === "number") {
    const window = (typeof period === "number" ? period : 60) * 1000
    const counter = { gateway: gateway.id, name: `key ${config.id}`, technique: "fixed", window } as const
    const within = yield* (yield* RateLimitStore).take(counter, limit)
    if (!within) {
      return yield* Effect.fail(new AiGatewayError({ status: 429, code: 2003, description: "Rate limited" }))
    }
  }
  return key
})

interface KeyHeader {
  readonly name: string
  /** Stands before the key, with a space; "" for nothing. */
  readonly scheme: string
  /** Other headers that the provider takes a key in. */
  readonly also: ReadonlyArray<string>
}

const keyHeader = (provider: string): KeyHeader =>
  Object.hasOwn(keyHeaders, provider) ? keyHeaders[provider] ?? bearer : bearer

const bearer: KeyHeader = { name: "authorization", scheme: "Bearer", also: [] }

const keyHeaders: { readonly [provider: string]: KeyHeader } = {
  anthropic: { name: "x-api-key", scheme: "", also: ["authorization"] },
  "azure-openai": { name: "api-key", scheme: "", also: ["authorization"] },
  cartesia: { name: "x-api-key", scheme: "", also: ["authorization"] },
  deepgram: { name: "authorization", scheme: "Token", also: [] },
  elevenlabs: { name: "xi-api-key", scheme: "", also: [] },
  fal: { name: "authorization", scheme: "Key", also: [] },
  "google-ai-studio": { name: "x-goog-api-key", scheme: "", also: ["authorization"] },
  ideogram: { name: "api-key", scheme: "", also: ["authorization"] },
  parallel: { name: "x-api-key", scheme: "", also: ["authorization"] }
}

const schemes = /^(bearer|token|key|api-key)(\s+|$)/i

const bare = (value: string): string => value.trim().replace(schemes, "")

/** A scheme alone is what SDKs send that were given an empty key. */
const hasKey = (value: string | undefined): boolean => value !== undefined && bare(value) !== ""

const moved = (
  headers: Credentials["headers"],
  places: ReadonlyArray<string>,
  to: KeyHeader,
  key: string
): Credentials["headers"] => ({
  ...Object.fromEntries(Object.entries(headers).filter(([name]) => !places.includes(name))),
  [to.name]: to.scheme === "" ? key : `${to.scheme} ${key}`
})
