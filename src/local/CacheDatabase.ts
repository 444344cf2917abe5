/**
 * The SQLite file of cached answers and counters, beside that of settings and logs: every request writes to it, and an
 * upgrade may begin it anew.
 *
 * What requests write in one turn of the event loop is one transaction, so that many at once cost little more than one.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schedule from "effect/Schedule"
import { DatabaseSync, type StatementSync } from "node:sqlite"
import { isLocked, memory, prepareFile } from "./Database.ts"
import { StoreUnavailable } from "./LocalGatewayError.ts"

/**
 * A database that fails is a defect: no caller can act on it.
 *
 * @category services
 * @since 0.1.0
 */
export class CacheDatabase extends Context.Service<CacheDatabase, {
  readonly prepare: (sql: string) => StatementSync
  readonly read: <A>(f: () => A) => Effect.Effect<A>
  /** Committed when it is done; `f` may run again where another's write of the same turn has failed. */
  readonly write: <A>(f: () => A) => Effect.Effect<A>
  /** Within `read` and `write`: another number once another process has written, or a write was taken back. */
  readonly generation: () => number
}>()("effect-ai-gateway/local/CacheDatabase") {}

/**
 * Opens the file that belongs to a store, mode 0600, and makes it when it is missing or of another version.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (store: string): Layer.Layer<CacheDatabase, StoreUnavailable> => {
  const file = store === memory ? memory : `${store}.cache`
  return Layer.effect(
    CacheDatabase,
    Effect.gen(function*() {
      if (file !== memory) yield* prepareFile(file)
      const db = yield* Effect.acquireRelease(
        Effect.try({ try: () => new DatabaseSync(file, { timeout: 20 }), catch: (cause) => cause }),
        (db) => Effect.sync(() => db.close())
      )
      yield* Effect.try({ try: () => prepare(db), catch: (cause) => cause }).pipe(
        Effect.retry({ schedule: Schedule.spaced("10 millis"), times: patience, while: isLocked })
      )
      const transactions = make(db)
      yield* Effect.addFinalizer(() => Effect.sync(transactions.flush))
      return transactions.service
    }).pipe(Effect.mapError((cause) => new StoreUnavailable({ store: file, cause })))
  )
}

interface Write {
  readonly run: () => void
  readonly done: () => void
  readonly fail: (cause: unknown) => void
}

const make = (db: DatabaseSync) => {
  const statements = {
    begin: db.prepare("BEGIN IMMEDIATE"),
    commit: db.prepare("COMMIT"),
    rollback: db.prepare("ROLLBACK"),
    version: db.prepare("PRAGMA data_version")
  }
  let waiting: Array<Write> = []
  let rollbacks = 0

  let written: number | undefined
  const generation = () => Number(statements.version.get()?.["data_version"]) + rollbacks

  const transact = (batch: ReadonlyArray<Write>): void => {
    statements.begin.run()
    // Nobody else can write before the end.
    written = generation()
    try {
      for (const { run } of batch) run()
      written = undefined
      statements.commit.run()
    } catch (cause) {
      written = undefined
      if (db.isTransaction) statements.rollback.run()
      rollbacks++
      const [only, ...others] = batch
      if (only === undefined) return
      // Each by itself, so that only the one fails that has to.
      if (others.length === 0) return only.fail(cause)
      return batch.forEach((write) => transact([write]))
    }
    for (const { done } of batch) done()
  }
  /** Waits for other processes that write, up to ten seconds. */
  const flush = (attempt = 0): void => {
    const batch = waiting
    if (batch.length === 0) return
    waiting = []
    try {
      transact(batch)
    } catch (cause) {
      if (!isLocked(cause) || attempt >= patience) return batch.forEach(({ fail }) => fail(cause))
      waiting = [...batch, ...waiting]
      setTimeout(() => flush(attempt + 1), 10)
    }
  }

  return {
    flush: () => flush(patience),
    service: CacheDatabase.of({
      prepare: (sql) => db.prepare(sql),
      read: (f) => Effect.sync(f),
      write: <A>(f: () => A) =>
        Effect.callback<A>((resume) => {
          let result: Effect.Effect<A>
          waiting.push({
            run: () => void (result = Effect.succeed(f())),
            done: () => resume(result),
            fail: (cause) => resume(Effect.die(cause))
          })
          if (waiting.length === 1) setImmediate(flush)
        }),
      generation: () => written ?? generation()
    })
  }
}

const patience = 1000

/** Of the tables below. */
const version = 1

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
  `CREATE TABLE cache (
    id INTEGER PRIMARY KEY,
    account TEXT NOT NULL,
    gateway TEXT NOT NULL,
    key TEXT NOT NULL,
    version INTEGER NOT NULL,
    status INTEGER NOT NULL,
    headers TEXT NOT NULL,
    body BLOB NOT NULL,
    expires_at INTEGER NOT NULL,
    used_at INTEGER NOT NULL,
    UNIQUE (account, gateway, key)
  )`,
  `CREATE INDEX cache_expiry ON cache (expires_at)`,
  `CREATE INDEX cache_use ON cache (used_at, id)`,
  // The size by trigger: no insert ever sums up all bodies.
  `CREATE TABLE cache_size (n INTEGER NOT NULL)`,
  `INSERT INTO cache_size (n) VALUES (0)`,
  `CREATE TRIGGER cache_added AFTER INSERT ON cache BEGIN
    UPDATE cache_size SET n = n + length(NEW.body);
  END`,
  `CREATE TRIGGER cache_changed AFTER UPDATE OF body ON cache BEGIN
    UPDATE cache_size SET n = n + length(NEW.body) - length(OLD.body);
  END`,
  `CREATE TRIGGER cache_removed AFTER DELETE ON cache BEGIN
    UPDATE cache_size SET n = n - length(OLD.body);
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
