/**
 * What the log page and its server tell each other: types only, no code.
 *
 * @since 0.1.0
 */

/**
 * @category models
 * @since 0.1.0
 */
export interface Entry {
  readonly id: string
  readonly gateway: string
  /** Milliseconds since the epoch. */
  readonly createdAt: number
  readonly provider: string
  readonly model: string
  readonly path: string
  /** Milliseconds. */
  readonly duration: number
  readonly requestType: string
  readonly requestContentType: string | null
  readonly responseContentType: string | null
  readonly statusCode: number
  readonly success: boolean
  readonly cached: boolean
  readonly tokensIn: number | null
  readonly tokensOut: number | null
  readonly cost: number | null
  readonly customCost: boolean
  readonly metadata: { readonly [key: string]: string | number | boolean } | null
  readonly step: number
  readonly eventId: string
  readonly userAgent: string | null
  readonly requestSize: number
  readonly responseSize: number
  readonly feedback: number | null
  readonly score: number | null
}

/**
 * An entry of a list, with its place in the log.
 *
 * @category models
 * @since 0.1.0
 */
export interface Row extends Entry {
  readonly place: number
}

/**
 * `/page/logs`: newest first.
 *
 * @category models
 * @since 0.1.0
 */
export interface Logs {
  readonly entries: ReadonlyArray<Row>
  /** Whether there are older ones. */
  readonly more: boolean
  /** The place after which new entries will be. */
  readonly newest: number
}

/**
 * An event of `/page/live`: what came since the last one, newest first.
 *
 * @category models
 * @since 0.1.0
 */
export interface Arrival {
  readonly entries: ReadonlyArray<Row>
  readonly newest: number
  /** Whether more came than are told here. */
  readonly skipped: boolean
}

/**
 * `/page/log`
 *
 * @category models
 * @since 0.1.0
 */
export interface Log {
  readonly entry: Entry
  /** Null when payloads were not collected. */
  readonly bodies: { readonly request: Body; readonly response: Body } | null
  /** All entries of the same event, this one included. */
  readonly steps: ReadonlyArray<Entry>
}

/**
 * @category models
 * @since 0.1.0
 */
export interface Body {
  readonly text: string
  /** Characters in all, of which `text` may be the first ones only. */
  readonly length: number
}

/**
 * @category models
 * @since 0.1.0
 */
export interface Sums {
  readonly requests: number
  readonly failures: number
  readonly cached: number
  readonly tokensIn: number
  readonly tokensOut: number
  readonly cost: number
  readonly p50: number | null
  readonly p95: number | null
}

/**
 * `/page/totals`
 *
 * @category models
 * @since 0.1.0
 */
export interface Totals {
  readonly from: number
  readonly to: number
  readonly whole: Sums
  /** Of how many entries, the newest, the percentiles of the whole are. */
  readonly percentilesOf: number
  readonly parts: ReadonlyArray<Sums & { readonly from: number }>
}

/**
 * `/page/names`
 *
 * @category models
 * @since 0.1.0
 */
export interface Names {
  readonly providers: ReadonlyArray<string>
  readonly models: ReadonlyArray<string>
}

/**
 * An entry of `/page/gateways`.
 *
 * @category models
 * @since 0.1.0
 */
export interface Gateway {
  readonly id: string
  /** What is set and not done here. */
  readonly notices: ReadonlyArray<string>
}
