/**
 * The local gateway's SQLite database: one file, or memory, with the tables of every store.
 *
 * Several processes may open the same file: WAL, a busy timeout, and writes that start as writes.
 *
 * @since 0.1.0
 */
import * as SqliteClient from "@effect/sql-sqlite-node/SqliteClient"
import * as SqliteMigrator from "@effect/sql-sqlite-node/SqliteMigrator"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schedule from "effect/Schedule"
import * as Reactivity from "effect/unstable/reactivity/Reactivity"
import * as SqlClient from "effect/unstable/sql/SqlClient"
import { chmodSync, closeSync, mkdirSync, openSync } from "node:fs"
import { dirname } from "node:path"
import { StoreUnavailable } from "./LocalGatewayError.ts"
import { labelText } from "./logInserts.ts"

/**
 * Opens the database, creates its folder and file (mode 0600) when they are missing, and brings its tables up to date.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (store: string): Layer.Layer<SqlClient.SqlClient, StoreUnavailable> =>
  Layer.effect(
    SqlClient.SqlClient,
    Effect.gen(function*() {
      if (store !== memory) yield* prepareFile(store)
      const client = yield* SqliteClient.make({ filename: store, disableWAL: true }).pipe(
        Effect.catchDefect((cause) => Effect.fail(cause))
      )
      yield* client.unsafe(`PRAGMA busy_timeout = 20`)
      // The client keeps what it prepared for ten minutes, also that it failed: tried again, it would stay locked.
      yield* client.unsafe(`PRAGMA journal_mode = WAL`).unprepared.pipe(
        Effect.catchDefect((cause) => Effect.fail(cause)),
        patiently
      )
      yield* client.unsafe(`PRAGMA synchronous = NORMAL`)
      // Of pages, 16 MiB: each new entry goes to a place of its own in every index of the log.
      yield* client.unsafe(`PRAGMA cache_size = -16384`)
      yield* migrate.pipe(
        Effect.provideService(SqlClient.SqlClient, client),
        patiently,
        // Two that open a new file at once both find it empty; the slower one looks again.
        Effect.retry({ schedule: Schedule.spaced("100 millis"), times: 3 })
      )
      yield* refuseNewer(client)
      return client
    }).pipe(Effect.mapError((cause) => new StoreUnavailable({ store, cause: deepest(cause) })))
  ).pipe(Layer.provide(Reactivity.layer))

/**
 * Waits for others that write to the same file, for up to ten seconds.
 *
 * SQLite's own wait stops the whole process, and with it a writer in the same process, so it is short and repeated.
 *
 * @category combinators
 * @since 0.1.0
 */
export const patiently = <A, E, R>(self: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  // Most are not locked, and pay for no schedule.
  Effect.catchIf(self, isLocked, () =>
    Effect.retry(Effect.delay(self, "10 millis"), {
      schedule: Schedule.spaced("10 millis"),
      times: 1000,
      while: isLocked
    }))

/**
 * The store that lives and dies with the gateway.
 *
 * @category constants
 * @since 0.1.0
 */
export const memory = ":memory:"

/**
 * Makes a file that only its owner reads, and its folder, when they are missing.
 *
 * @category constructors
 * @since 0.1.0
 */
export const prepareFile = (file: string): Effect.Effect<void, unknown> =>
  Effect.try({
    try: () => {
      mkdirSync(dirname(file), { recursive: true })
      // The mode must be right before SQLite writes the first byte; SQLite gives -wal and -shm the same mode.
      closeSync(openSync(file, "a", 0o600))
      chmodSync(file, 0o600)
    },
    catch: (cause) => cause
  })

const migrations: { readonly [idAndName: string]: Effect.Effect<void, unknown, SqlClient.SqlClient> } = {
  "1_gateways_and_logs": Effect.gen(function*() {
    const sql = yield* SqlClient.SqlClient
    for (const statement of schema) yield* sql.unsafe(statement)
  }),
  "2_workers": Effect.gen(function*() {
    const sql = yield* SqlClient.SqlClient
    yield* sql.unsafe(workers)
  }),
  "3_routes_and_objects": Effect.gen(function*() {
    const sql = yield* SqlClient.SqlClient
    for (const statement of routesAndObjects) yield* sql.unsafe(statement)
  }),
  // Cache and limits were here once: see CacheDatabase.
  "4_cache_and_limits": Effect.void,
  "5_unknown_costs": Effect.gen(function*() {
    const sql = yield* SqlClient.SqlClient
    for (const statement of unknownCosts) yield* sql.unsafe(statement)
  }),
  "6_log_indexes": Effect.gen(function*() {
    const sql = yield* SqlClient.SqlClient
    for (const statement of logIndexes) yield* sql.unsafe(statement)
  }),
  // They have a file of their own: see CacheDatabase.
  "7_cache_and_limits_elsewhere": Effect.gen(function*() {
    const sql = yield* SqlClient.SqlClient
    for (const table of ["cache", "cache_size", "limit_counts"]) yield* sql.unsafe(`DROP TABLE IF EXISTS ${table}`)
  }),
  "8_log_texts": Effect.gen(function*() {
    const sql = yield* SqlClient.SqlClient
    for (const statement of logTexts) yield* sql.unsafe(statement)
  }),
  // An insert with a trigger keeps a copy of every page it changes, and took twice the time: see `logInserts`.
  "9_inserts_without_triggers": Effect.gen(function*() {
    const sql = yield* SqlClient.SqlClient
    for (const trigger of ["logs_added", "labels_added"]) yield* sql.unsafe(`DROP TRIGGER IF EXISTS ${trigger}`)
  })
}

const migrate = SqliteMigrator.run({ loader: SqliteMigrator.fromRecord(migrations), table: "migrations" })

const newest = Math.max(...Object.keys(migrations).map((name) => Number.parseInt(name)))

/** The tables of a newer version may have changed in ways that this one would spoil. */
const refuseNewer = (sql: SqlClient.SqlClient) =>
  Effect.flatMap(
    sql<{ readonly id: number }>`SELECT max(migration_id) AS id FROM migrations`,
    ([found]) =>
      found === undefined || found.id <= newest
        ? Effect.void
        : Effect.fail(
          new Error(
            `a newer version of effect-ai-gateway has written it, with tables of version ${found.id}; this one knows ${newest}`
          )
        )
  )

const logsAdded = `CREATE TRIGGER logs_added AFTER INSERT ON logs BEGIN
    INSERT INTO log_counts (account, gateway, n) VALUES (NEW.account, NEW.gateway, 1)
      ON CONFLICT (account, gateway) DO UPDATE SET n = n + 1;
  END`

const logsRemoved = `CREATE TRIGGER logs_removed AFTER DELETE ON logs BEGIN
    UPDATE log_counts SET n = n - 1 WHERE account = OLD.account AND gateway = OLD.gateway;
    DELETE FROM log_bodies WHERE id = OLD.id;
  END`

const logsNewest = `CREATE INDEX logs_newest ON logs (account, gateway, seq)`

const logs = (name: string, cost: string) =>
  `CREATE TABLE ${name} (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    account TEXT NOT NULL,
    gateway TEXT NOT NULL,
    id TEXT NOT NULL UNIQUE,
    created_at INTEGER NOT NULL,
    provider TEXT NOT NULL,
    model TEXT NOT NULL,
    path TEXT NOT NULL,
    duration REAL NOT NULL,
    request_type TEXT NOT NULL,
    request_content_type TEXT,
    response_content_type TEXT,
    status_code INTEGER NOT NULL,
    success INTEGER NOT NULL,
    cached INTEGER NOT NULL,
    tokens_in INTEGER,
    tokens_out INTEGER,
    cost ${cost},
    custom_cost INTEGER NOT NULL,
    metadata TEXT,
    step INTEGER NOT NULL,
    event_id TEXT NOT NULL,
    user_agent TEXT,
    request_size INTEGER NOT NULL,
    response_size INTEGER NOT NULL,
    feedback INTEGER,
    score REAL
  )`

const schema = [
  `CREATE TABLE gateways (
    account TEXT NOT NULL,
    id TEXT NOT NULL,
    settings TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    modified_at INTEGER NOT NULL,
    PRIMARY KEY (account, id)
  ) WITHOUT ROWID`,
  logs("logs", "REAL NOT NULL"),
  logsNewest,
  `CREATE TABLE log_bodies (id TEXT PRIMARY KEY, request TEXT NOT NULL, response TEXT NOT NULL) WITHOUT ROWID`,
  // Counts by trigger: the cap holds for every process, and no insert ever counts millions of rows.
  `CREATE TABLE log_counts (
    account TEXT NOT NULL,
    gateway TEXT NOT NULL,
    n INTEGER NOT NULL,
    PRIMARY KEY (account, gateway)
  ) WITHOUT ROWID`,
  logsAdded,
  logsRemoved
]

const workers = `CREATE TABLE workers (
  account TEXT NOT NULL,
  name TEXT NOT NULL,
  tag TEXT NOT NULL,
  settings TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  modified_at INTEGER NOT NULL,
  PRIMARY KEY (account, name)
) WITHOUT ROWID`

const routesAndObjects = [
  `CREATE TABLE routes (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    account TEXT NOT NULL,
    gateway TEXT NOT NULL,
    id TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    modified_at INTEGER NOT NULL,
    UNIQUE (account, gateway, name)
  )`,
  `CREATE TABLE route_versions (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    route TEXT NOT NULL,
    elements TEXT NOT NULL,
    created_at INTEGER NOT NULL
  )`,
  `CREATE INDEX route_versions_of ON route_versions (route, seq)`,
  `CREATE TABLE route_deployments (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    route TEXT NOT NULL,
    version TEXT NOT NULL,
    created_at INTEGER NOT NULL
  )`,
  `CREATE INDEX route_deployments_of ON route_deployments (route, seq)`,
  // What belongs to the account itself has no parent.
  `CREATE TABLE objects (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    account TEXT NOT NULL,
    kind TEXT NOT NULL,
    parent TEXT NOT NULL,
    id TEXT NOT NULL,
    name TEXT NOT NULL,
    fields TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    modified_at INTEGER NOT NULL,
    UNIQUE (account, kind, parent, id),
    UNIQUE (account, kind, parent, name)
  )`
]

/** SQLite cannot take NOT NULL from a column: the entries move to a table whose `cost` may be unknown. */
const unknownCosts = [
  logs("logs_moved", "REAL"),
  `INSERT INTO logs_moved SELECT * FROM logs`,
  // It takes its triggers and its index along, and its bodies stay.
  `DROP TABLE logs`,
  `ALTER TABLE logs_moved RENAME TO logs`,
  logsNewest,
  logsAdded,
  logsRemoved
]

/** Under the entry's place, two texts of usual length fit into one page; under its id each took pages of its own. */
const logTexts = [
  `CREATE TABLE log_texts (seq INTEGER PRIMARY KEY, request TEXT NOT NULL, response TEXT NOT NULL)`,
  `INSERT INTO log_texts (seq, request, response)
    SELECT seq, request, response FROM log_bodies JOIN logs USING (id) ORDER BY seq`,
  `DROP TRIGGER logs_removed`,
  `CREATE TRIGGER logs_removed AFTER DELETE ON logs BEGIN
    UPDATE log_counts SET n = n - 1 WHERE account = OLD.account AND gateway = OLD.gateway;
    DELETE FROM log_texts WHERE seq = OLD.seq;
  END`,
  `DROP TABLE log_bodies`
]

const addLabels = (row: string) =>
  `INSERT OR IGNORE INTO log_labels (value, key, seq) SELECT ${labelText}, key, ${row}.seq FROM json_each(${row}.metadata)`

const removeLabels = (row: string) =>
  `DELETE FROM log_labels WHERE (value, key, seq) IN (
    SELECT ${labelText}, key, ${row}.seq FROM json_each(${row}.metadata))`

/**
 * One for each field that entries are searched by. After `seq`, in whose order they are listed, come the fields that it
 * is combined with, so that neither a count nor an entry that another filter leaves out needs the row itself.
 */
const logIndexes = [
  `CREATE INDEX logs_model ON logs (account, gateway, model, seq, provider, status_code, success, cached)`,
  `CREATE INDEX logs_provider ON logs (account, gateway, provider, seq, model, status_code, success, cached)`,
  `CREATE INDEX logs_success ON logs (account, gateway, success, seq, status_code, cached)`,
  `CREATE INDEX logs_cached ON logs (account, gateway, cached, seq, status_code, success)`,
  `CREATE INDEX logs_time ON logs (account, created_at, duration, success, cached, tokens_in, tokens_out, cost, gateway)`,
  `CREATE INDEX logs_event ON logs (account, gateway, event_id)`,
  `CREATE TABLE log_labels (
    key TEXT NOT NULL,
    value TEXT NOT NULL,
    seq INTEGER NOT NULL,
    PRIMARY KEY (value, key, seq)
  ) WITHOUT ROWID`,
  `CREATE INDEX log_labels_key ON log_labels (key, seq)`,
  `INSERT OR IGNORE INTO log_labels (value, key, seq)
    SELECT CASE label.type WHEN 'true' THEN 'true' WHEN 'false' THEN 'false' ELSE CAST(label.value AS TEXT) END,
      label.key, logs.seq FROM logs, json_each(logs.metadata) AS label`,
  `CREATE TRIGGER labels_added AFTER INSERT ON logs WHEN NEW.metadata IS NOT NULL BEGIN ${addLabels("NEW")}; END`,
  `CREATE TRIGGER labels_changed AFTER UPDATE OF metadata ON logs BEGIN
    ${removeLabels("OLD")}; ${addLabels("NEW")};
  END`,
  `CREATE TRIGGER labels_removed AFTER DELETE ON logs WHEN OLD.metadata IS NOT NULL BEGIN ${removeLabels("OLD")}; END`
]

/**
 * Whether another process or connection is writing.
 *
 * @category predicates
 * @since 0.1.0
 */
export const isLocked = (error: unknown): boolean =>
  /locked|busy/i.test(String(deepest(error))) ||
  (typeof error === "object" && error !== null && "kind" in error && error.kind === "Locked")

/** SQL errors wrap what SQLite said twice; people need what SQLite said. */
const deepest = (error: unknown): unknown => {
  if (typeof error !== "object" || error === null) return error
  if ("cause" in error && error.cause !== undefined) return deepest(error.cause)
  if ("reason" in error && typeof error.reason === "object" && error.reason !== null) return deepest(error.reason)
  return error
}
