/**
 * How cached answers and counts get into their file; also what the thread runs that writes them, so this imports nothing.
 *
 * @since 0.1.0
 */

/**
 * @category models
 * @since 0.1.0
 */
export type CacheChange =
  | {
    readonly _tag: "Put"
    /** Where it is found: what the gateway's places begin with, then its key. */
    readonly place: string
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
  | { readonly _tag: "Touch"; readonly place: string; readonly now: number }
  /** All places that begin so. */
  | { readonly _tag: "Clear"; readonly start: string }

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
  insert: `INSERT INTO cache (place, version, status, headers, body, expires_at, used_at) VALUES (?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT DO UPDATE SET version = excluded.version, status = excluded.status, headers = excluded.headers,
    body = excluded.body, expires_at = excluded.expires_at, used_at = excluded.used_at`,
  touch: "UPDATE cache SET used_at = ? WHERE place = ?",
  size: "SELECT size FROM cache_state",
  /** As few as have so many bytes together; at most a thousand. */
  removeUnused: `DELETE FROM cache WHERE id IN (SELECT id FROM (
    SELECT id, sum(length(body)) OVER (ORDER BY used_at, id) - length(body) AS before
    FROM (SELECT id, used_at, body FROM cache ORDER BY used_at, id LIMIT 1000)) WHERE before < ?)`,
  remove: "DELETE FROM cache WHERE place = ?",
  removeOld: "DELETE FROM cache WHERE expires_at <= ?",
  removeAll: "DELETE FROM cache WHERE place >= ? AND place < ?",
  count: `INSERT INTO limit_counts (account, gateway, name, bucket, amount, expires_at) VALUES (?, ?, ?, ?, ?, ?)
    ON CONFLICT DO UPDATE SET amount = amount + excluded.amount`,
  removeCounts: "DELETE FROM limit_counts WHERE account = ? AND gateway = ?",
  removeOldCounts: "DELETE FROM limit_counts WHERE expires_at <= ?"
} as const
