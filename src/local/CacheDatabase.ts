/**
 * The SQLite file of cached answers and counters, beside that of settings and logs: an upgrade may begin it anew.
 *
 * Here it is read; what requests write is written by `WriterThread`.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schedule from "effect/Schedule"
import { DatabaseSync, type StatementSync } from "node:sqlite"
import { isLocked, prepareFile } from "./Database.ts"
import { StoreUnavailable } from "./LocalGatewayError.ts"

/**
 * @category services
 * @since 0.1.0
 */
export class CacheDatabase extends Context.Service<CacheDatabase, {
  /** Statements that read. */
  readonly prepare: (sql: string) => StatementSync
  /** Transactions that the threads of all processes have written. */
  readonly writes: () => number
}>()("effect-ai-gateway/local/CacheDatabase") {}

/**
 * The file that belongs to a store in a file.
 *
 * @category getters
 * @since 0.1.0
 */
export const cacheFileOf = (store: string): string => `${store}.cache`

/**
 * Opens the file, mode 0600, and makes it when it is missing or of another version.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (store: string): Layer.Layer<CacheDatabase, StoreUnavailable> => {
  const file = cacheFileOf(store)
  return Layer.effect(
    CacheDatabase,
    Effect.gen(function*() {
      yield* prepareFile(file)
      const db = yield* Effect.acquireRelease(
        Effect.try({ try: () => new DatabaseSync(file, { timeout: 20 }), catch: (cause) => cause }),
        (db) => Effect.sync(() => db.close())
      )
      yield* Effect.try({ try: () => prepare(db), catch: (cause) => cause }).pipe(
        Effect.retry({ schedule: Schedule.spaced("10 millis"), times: 1000, while: isLocked })
      )
      const writes = db.prepare("SELECT writes FROM cache_state")
      return CacheDatabase.of({
        prepare: (sql) => db.prepare(sql),
        writes: () => Number(writes.get()?.["writes"])
      })
    }).pipe(Effect.mapError((cause) => new StoreUnavailable({ store: file, cause })))
  )
}

/** Of the tables below. */
const version = 3

const prepare = (db: DatabaseSync) => {
  db.exec("PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; BEGIN IMMEDIATE")
  const found = db.prepare("PRAGMA user_version").get()?.["user_version"]
  if (found !== version) {
    const tables = db.prepare("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'").all()
    for (const { name } of tables) db.exec(`DROP TABLE "${String(name)}"`)
    for (const statement of schema) db.exec(statement)
    db.exec(`PRAGMA user_version = ${version}`)
  }
  db.exec("COMMIT")
}

const schema = [
  // In the order of `id`, except for those that were used, they give way.
  `CREATE TABLE cache (
    id INTEGER PRIMARY KEY,
    place INTEGER NOT NULL UNIQUE,
    name TEXT NOT NULL,
    version INTEGER NOT NULL,
    status INTEGER NOT NULL,
    headers TEXT NOT NULL,
    body BLOB NOT NULL,
    expires_at INTEGER NOT NULL,
    used INTEGER NOT NULL DEFAULT 0
  )`,
  `CREATE INDEX cache_expiry ON cache (expires_at)`,
  // The size by trigger: no insert ever sums up all bodies.
  `CREATE TABLE cache_state (size INTEGER NOT NULL, writes INTEGER NOT NULL)`,
  `INSERT INTO cache_state (size, writes) VALUES (0, 0)`,
  `CREATE TRIGGER cache_added AFTER INSERT ON cache BEGIN
    UPDATE cache_state SET size = size + length(NEW.body);
  END`,
  `CREATE TRIGGER cache_changed AFTER UPDATE OF body ON cache BEGIN
    UPDATE cache_state SET size = size + length(NEW.body) - length(OLD.body);
  END`,
  `CREATE TRIGGER cache_removed AFTER DELETE ON cache BEGIN
    UPDATE cache_state SET size = size - length(OLD.body);
  END`,
  `CREATE TABLE limit_counts (
    account TEXT NOT NULL,
    gateway TEXT NOT NULL,
    name TEXT NOT NULL,
    bucket INTEGER NOT NULL,
    amount REAL NOT NULL,
    expires_at INTEGER NOT NULL,
    PRIMARY KEY (account, gateway, name, bucket)
  ) WITHOUT ROWID`,
  `CREATE INDEX limit_counts_expiry ON limit_counts (expires_at)`
]
