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
 * @category models
 * @since 0.1.0
 */
export type CountChange =
  | {
    readonly _tag: "Count"
    readonly account: string
    readonly gateway: string
    readonly name: string
    readonly bucket: number
    readonly amount: number
    readonly expires: number
    readonly now: number
  }
  | { readonly _tag: "Clear"; readonly account: string; readonly gateway: string }

/**
 * The counts of many requests with as few changes as do the same: at one time most count in the same buckets.
 *
 * @category combinators
 * @since 0.1.0
 */
export const together = (): {
  readonly add: (change: CountChange) => void
  /** What was added, in its order. */
  readonly changes: ReadonlyArray<CountChange>
} => {
  const changes: Array<CountChange> = []
  const places = new Map<string, number>()
  return {
    add: (change) => {
      if (change._tag === "Clear") {
        // What comes after it must not be counted before it.
        places.clear()
        changes.push(change)
        return
      }
      const name = `${change.bucket} ${change.account} ${change.gateway} ${change.name}`
      const place = places.get(name)
      const before = place === undefined ? undefined : changes[place]
      if (place === undefined || before?._tag !== "Count") {
        places.set(name, changes.length)
        changes.push(change)
      } else changes[place] = { ...before, amount: before.amount + change.amount, now: change.now }
    },
    changes
  }
}

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
  removeUnused: "DELETE FROM cache WHERE id = (SELECT id FROM cache ORDER BY used_at, id LIMIT 1)",
  remove: "DELETE FROM cache WHERE place = ?",
  removeOld: "DELETE FROM cache WHERE expires_at <= ?",
  removeAll: "DELETE FROM cache WHERE place >= ? AND place < ?",
  count: `INSERT INTO limit_counts (account, gateway, name, bucket, amount, expires_at) VALUES (?, ?, ?, ?, ?, ?)
    ON CONFLICT DO UPDATE SET amount = amount + excluded.amount`,
  removeCounts: "DELETE FROM limit_counts WHERE account = ? AND gateway = ?",
  removeOldCounts: "DELETE FROM limit_counts WHERE expires_at <= ?"
} as const
