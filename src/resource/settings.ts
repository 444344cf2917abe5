/**
 * The settings of a gateway: one table that maps every prop to its wire name, kind, range and default.
 *
 * The props' schema, create, update, diff and read of the resource, and the local gateway's own validation all
 * derive from it, so that a setting is added in one place.
 *
 * Source of names, ranges and defaults: Cloudflare's API reference of AI Gateway (create a gateway), as collected in
 * the wire reference, section 7.2.
 *
 * @since 0.1.0
 */

/**
 * One setting as it travels: its wire name, its kind, and what the API answers when nobody set it.
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
    /** The API takes `null` for "off" or "none". */
    readonly nullable: boolean
    /** What the API answers when the field was never set. */
    readonly serverDefault: string | number | boolean | null
  }
  & (
    | { readonly kind: "boolean" }
    | { readonly kind: "string" }
    | { readonly kind: "enum"; readonly values: ReadonlyArray<string> }
    | {
      readonly kind: "integer" | "seconds"
      /** Least value that means something, in the setting's unit. */
      readonly minimum: number
      /** Greatest value the API takes, in the setting's unit. */
      readonly maximum: number
      /** The API answers 0 for "off" and takes 0 and `null` alike. */
      readonly zeroIsOff: boolean
    }
  )

const month = 31 * 24 * 60 * 60

/**
 * Every setting, by the name of its prop.
 *
 * @category settings
 * @since 0.1.0
 */
export const settings = {
  cacheTtl: {
    wire: "cache_ttl",
    kind: "seconds",
    required: true,
    nullable: true,
    minimum: 60,
    maximum: month,
    zeroIsOff: true,
    serverDefault: 0
  },
  cacheInvalidateOnUpdate: {
    wire: "cache_invalidate_on_update",
    kind: "boolean",
    required: true,
    nullable: false,
    serverDefault: false
  },
  rateLimitingInterval: {
    wire: "rate_limiting_interval",
    kind: "seconds",
    required: true,
    nullable: true,
    minimum: 1,
    maximum: 2_147_483_647,
    zeroIsOff: true,
    serverDefault: 0
  },
  rateLimitingLimit: {
    wire: "rate_limiting_limit",
    kind: "integer",
    required: true,
    nullable: true,
    minimum: 1,
    maximum: 2_147_483_647,
    zeroIsOff: true,
    serverDefault: 0
  },
  rateLimitingTechnique: {
    wire: "rate_limiting_technique",
    kind: "enum",
    required: false,
    nullable: true,
    values: ["fixed", "sliding"],
    serverDefault: "fixed"
  },
  collectLogs: { wire: "collect_logs", kind: "boolean", required: true, nullable: false, serverDefault: true },
  logManagement: {
    wire: "log_management",
    kind: "integer",
    required: false,
    nullable: true,
    minimum: 10_000,
    maximum: 10_000_000,
    zeroIsOff: false,
    serverDefault: 10_000_000
  },
  logManagementStrategy: {
    wire: "log_management_strategy",
    kind: "enum",
    required: false,
    nullable: true,
    values: ["STOP_INSERTING", "DELETE_OLDEST"],
    serverDefault: "DELETE_OLDEST"
  },
  authentication: { wire: "authentication", kind: "boolean", required: false, nullable: false, serverDefault: false }
} as const satisfies { readonly [prop: string]: Setting }

/**
 * @category settings
 * @since 0.1.0
 */
export type SettingName = keyof typeof settings

/**
 * A gateway id as Cloudflare takes it.
 *
 * @category settings
 * @since 0.1.0
 */
export const idPattern = /^[a-z0-9_-]{1,64}$/
