/**
 * How cached answers and counts get into their file; also what the thread runs that writes them, so this imports types only.
 *
 * @since 0.1.0
 */
import type { CachePlace } from "./CachePlace.ts"

/**
 * @category models
 * @since 0.1.0
 */
export type CacheChange =
  | {
    readonly _tag: "Put"
    readonly place: CachePlace
    readonly version: number
    readonly status: number
    /** JSON. */
    readonly headers: string
    readonly body: Uint8Array
    readonly expires: number
    readonly now: number
    /** Most bytes of all bodies. */
    readonly limit: number
  }
  /** It was used. */
  | { readonly _tag: "Touch"; readonly place: CachePlace }
  /** All from one number until before another whose names begin so. */
  | { readonly _tag: "Clear"; readonly first: number; readonly end: number; readonly start: string }

/**
 * It may grow until it is written.
 *
 * @category models
 * @since 0.1.0
 */
export interface Count {
  readonly _tag: "Count"
  readonly account: string
  readonly gateway: string
  readonly name: string
  readonly bucket: number
  amount: number
  readonly expires: number
  now: number
}

/**
 * @category models
 * @since 0.1.0
 */
export type CountChange = Count | { readonly _tag: "Clear"; readonly account: string; readonly gateway: string }

/**
 * @category constants
 * @since 0.1.0
 */
export const cacheStatements = {
  begin: "UPDATE cache_state SET writes = writes + 1 RETURNING writes",
  /** One that is replaced stays where it is in the order, and so counts as used. */
  insert: `INSERT INTO cache (place, name, version, status, headers, body, expires_at) VALUES (?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT DO UPDATE SET name = excluded.name, version = excluded.version, status = excluded.status,
    headers = excluded.headers, body = excluded.body, expires_at = excluded.expires_at, used = 1`,
  touch: "UPDATE cache SET used = 1 WHERE place = ? AND name = ? AND used = 0",
  size: "SELECT size FROM cache_state",
  oldest: "SELECT id, length(body) AS size, used FROM cache ORDER BY id",
  renew: "UPDATE cache SET id = (SELECT max(id) + 1 FROM cache), used = 0 WHERE id = ?",
  removeOldest: "DELETE FROM cache WHERE id <= ?",
  remove: "DELETE FROM cache WHERE place = ? AND name = ?",
  removeOld: "DELETE FROM cache WHERE expires_at <= ?",
  removeAll: "DELETE FROM cache WHERE place >= ? AND place < ? AND substr(name, 1, length(?)) = ?",
  count: `INSERT INTO limit_counts (account, gateway, name, bucket, amount, expires_at) VALUES (?, ?, ?, ?, ?, ?)
    ON CONFLICT DO UPDATE SET amount = amount + excluded.amount`,
  removeCounts: "DELETE FROM limit_counts WHERE account = ? AND gateway = ?",
  removeOldCounts: "DELETE FROM limit_counts WHERE expires_at <= ?"
} as const
