/**
 * The settings of a gateway: one table that maps every prop to its wire name, kind, unit, range and default.
 *
 * The check of props, create, update, diff and read of the resource, its attributes, the table in the documentation,
 * and the local gateway's own validation all derive from it, so that a setting is added in one place.
 *
 * Source of names, ranges and defaults: Cloudflare's API reference of AI Gateway (create and update a gateway), as
 * collected in the wire reference, section 7.2; `source` names the page that says what a setting does.
 *
 * @since 0.1.0
 */
import * as dlp from "./dlp.ts"
import * as guardrails from "./guardrails.ts"
import * as otel from "./otel.ts"
import type { DurationShape, IntegerShape, Path, Problem, Shape, TextShape } from "./shape.ts"
import * as spendLimits from "./spendLimits.ts"
import * as stripe from "./stripe.ts"

/**
 * One setting as it travels.
 *
 * @category models
 * @since 0.1.0
 */
export type Setting =
  & {
    /** Field name in the management API. */
    readonly wire: string
    /** The API refuses a create or an update without it. */
    readonly required: boolean
    /** The API takes `null`. */
    readonly nullable: boolean
    /** The prop takes `null`, for "off" or "none". */
    readonly off: boolean
    /** A create takes it; the others need an update after it. */
    readonly create: boolean
    /** The local gateway does what it says; the others it stores and answers. */
    readonly enforced: boolean
    /** What the API answers when nobody set it; absent, it leaves the field out. */
    readonly serverDefault?: string | number | boolean | null
    /** Page below `https://developers.cloudflare.com/ai-gateway/`. */
    readonly source: string
  }
  & (
    | { readonly kind: "boolean" }
    | TextShape
    | { readonly kind: "enum"; readonly values: ReadonlyArray<string> }
    | (IntegerShape & { readonly zeroIsOff: boolean })
    | (DurationShape & { readonly zeroIsOff: boolean })
    | Nested
  )

/**
 * A setting with parts, which are named differently in props and on the wire.
 *
 * @category models
 * @since 0.1.0
 */
export interface Nested {
  readonly kind: "nested"
  readonly shape: Shape
  readonly wireShape: Shape
  /** What the shape cannot say. */
  readonly problems?: (u: unknown, path: Path) => ReadonlyArray<Problem>
  /** Of a checked value; secrets stay `Redacted`. */
  readonly toWire: (declared: never) => unknown
  /** Without secrets, in one order; `null` when it is off. */
  readonly fromWire: (raw: unknown) => unknown
  /** What turns it off where the API takes no `null`. */
  readonly wireOff?: unknown
}

const month = 31 * 24 * 60 * 60
const most = 2_147_483_647

const flag = { kind: "boolean", required: false, nullable: false, off: false, create: true, enforced: false } as const
const optional = { required: false, nullable: true, off: true, create: true, enforced: false } as const
const nested = { ...optional, kind: "nested", create: false } as const

const isPem = (text: string) =>
  /^\s*-----BEGIN PUBLIC KEY-----\s[A-Za-z0-9+/=\s]+-----END PUBLIC KEY-----\s*$/.test(text)

/**
 * Every setting, by the name of its prop.
 *
 * @category settings
 * @since 0.1.0
 */
export const settings = {
  cacheTtl: {
    ...optional,
    wire: "cache_ttl",
    enforced: true,
    kind: "duration",
    unit: "seconds",
    required: true,
    minimum: 60,
    maximum: month,
    zeroIsOff: true,
    serverDefault: 0,
    source: "features/caching/"
  },
  cacheInvalidateOnUpdate: {
    ...flag,
    wire: "cache_invalidate_on_update",
    enforced: true,
    required: true,
    serverDefault: false,
    source: "features/caching/"
  },
  rateLimitingInterval: {
    ...optional,
    wire: "rate_limiting_interval",
    enforced: true,
    kind: "duration",
    unit: "seconds",
    required: true,
    minimum: 1,
    maximum: most,
    zeroIsOff: true,
    serverDefault: 0,
    source: "features/rate-limiting/"
  },
  rateLimitingLimit: {
    ...optional,
    wire: "rate_limiting_limit",
    enforced: true,
    kind: "integer",
    unit: "requests",
    required: true,
    minimum: 1,
    maximum: most,
    zeroIsOff: true,
    serverDefault: 0,
    source: "features/rate-limiting/"
  },
  rateLimitingTechnique: {
    ...optional,
    wire: "rate_limiting_technique",
    enforced: true,
    kind: "enum",
    off: false,
    values: ["fixed", "sliding"],
    serverDefault: "fixed",
    source: "features/rate-limiting/"
  },
  collectLogs: {
    ...flag,
    wire: "collect_logs",
    required: true,
    enforced: true,
    serverDefault: true,
    source: "observability/logging/"
  },
  logManagement: {
    ...optional,
    wire: "log_management",
    kind: "integer",
    unit: "entries",
    enforced: true,
    minimum: 10_000,
    maximum: 10_000_000,
    zeroIsOff: false,
    serverDefault: 10_000_000,
    source: "observability/logging/"
  },
  logManagementStrategy: {
    ...optional,
    wire: "log_management_strategy",
    kind: "enum",
    off: false,
    enforced: true,
    values: ["STOP_INSERTING", "DELETE_OLDEST"],
    serverDefault: "DELETE_OLDEST",
    source: "observability/logging/"
  },
  logpush: { ...flag, wire: "logpush", serverDefault: false, source: "observability/logging/logpush/" },
  logpushPublicKey: {
    ...optional,
    wire: "logpush_public_key",
    kind: "text",
    expected: "an RSA public key in PEM, from -----BEGIN PUBLIC KEY----- to -----END PUBLIC KEY-----",
    test: isPem,
    // Somebody may have taken the private key for it.
    hidden: true,
    serverDefault: null,
    source: "observability/logging/logpush/"
  },
  logClassification: {
    ...flag,
    wire: "log_classification",
    create: false,
    serverDefault: false,
    source: "observability/logging/"
  },
  authentication: {
    ...flag,
    wire: "authentication",
    enforced: true,
    serverDefault: false,
    source: "configuration/authentication/"
  },
  retryMaxAttempts: {
    ...optional,
    wire: "retry_max_attempts",
    kind: "integer",
    unit: "attempts",
    enforced: true,
    minimum: 1,
    maximum: 5,
    zeroIsOff: false,
    serverDefault: null,
    source: "configuration/request-handling/"
  },
  retryDelay: {
    ...optional,
    wire: "retry_delay",
    kind: "duration",
    unit: "milliseconds",
    enforced: true,
    minimum: 1,
    maximum: 60_000,
    zeroIsOff: true,
    serverDefault: null,
    source: "configuration/request-handling/"
  },
  retryBackoff: {
    ...optional,
    wire: "retry_backoff",
    kind: "enum",
    enforced: true,
    values: ["constant", "linear", "exponential"],
    serverDefault: null,
    source: "configuration/request-handling/"
  },
  byokOnly: {
    ...flag,
    enforced: true,
    wire: "byok_only",
    serverDefault: false,
    source: "configuration/bring-your-own-keys/"
  },
  storeId: {
    ...optional,
    enforced: true,
    wire: "store_id",
    kind: "text",
    expected: "the id of a Secrets Store, 32 hexadecimal digits",
    // Alchemy's stores under `alchemy dev` have other ids.
    test: (text: string) => /^([0-9a-f]{32}|dev:.+)$/.test(text),
    serverDefault: null,
    source: "configuration/bring-your-own-keys/"
  },
  workersAiBillingMode: {
    ...optional,
    wire: "workers_ai_billing_mode",
    kind: "enum",
    nullable: false,
    off: false,
    values: ["postpaid", "unified"],
    serverDefault: "postpaid",
    source: "features/unified-billing/"
  },
  zdr: { ...flag, wire: "zdr", serverDefault: false, source: "features/unified-billing/" },
  guardrails: {
    ...nested,
    ...guardrails,
    wire: "guardrails",
    enforced: true,
    serverDefault: null,
    source: "features/guardrails/"
  },
  dlp: {
    ...nested,
    ...dlp,
    wire: "dlp",
    enforced: true,
    nullable: false,
    wireOff: dlp.off,
    off: true,
    source: "features/dlp/"
  },
  spendLimits: {
    ...nested,
    ...spendLimits,
    wire: "spend_limits",
    enforced: true,
    serverDefault: null,
    source: "features/spend-limits/"
  },
  otel: {
    ...nested,
    ...otel,
    wire: "otel",
    enforced: true,
    serverDefault: null,
    source: "observability/otel-integration/"
  },
  stripe: { ...nested, ...stripe, wire: "stripe", serverDefault: null, source: "configuration/" }
} as const satisfies { readonly [prop: string]: Setting }

/**
 * @category settings
 * @since 0.1.0
 */
export type SettingName = keyof typeof settings

/**
 * Every setting with its name, in the order of the table.
 *
 * @category settings
 * @since 0.1.0
 */
export const entries = Object.entries(settings) as ReadonlyArray<[SettingName, Setting]> // forgets the table's own keys

/**
 * A gateway id as Cloudflare takes it.
 *
 * @category settings
 * @since 0.1.0
 */
export const idPattern = /^[a-z0-9_-]{1,64}$/

/**
 * The value of a setting that nobody set, as attributes have it.
 *
 * @category getters
 * @since 0.1.0
 */
export const defaultOf = (setting: Setting): string | number | boolean | null =>
  "zeroIsOff" in setting && setting.zeroIsOff ? null : setting.serverDefault ?? null

/**
 * A setting's value as the API answers it, in the form of attributes: 0 is off where 0 means off, and what is left out
 * has its default.
 *
 * @category conversions
 * @since 0.1.0
 */
export const fromWire = (setting: Setting, raw: unknown): unknown => {
  if (setting.kind === "nested") return setting.fromWire(raw)
  if (raw === undefined || (raw === null && !setting.off)) return defaultOf(setting)
  if (raw === "" || (raw === 0 && "zeroIsOff" in setting && setting.zeroIsOff)) return null
  return raw
}

/**
 * What goes over the wire for a setting that is off.
 *
 * @category conversions
 * @since 0.1.0
 */
export const wireOff = (setting: Setting): unknown =>
  setting.kind === "nested" && setting.wireOff !== undefined ? setting.wireOff : null
