/**
 * The thread that writes what requests leave behind: log entries into the store, answers and counts into the file of the
 * cache. A batch for each message, one transaction for each file, then it says what became of it.
 *
 * It imports nothing but Node's modules, so that it starts at once.
 *
 * @since 0.1.0
 */
import { DatabaseSync } from "node:sqlite"
import { parentPort, workerData } from "node:worker_threads"
import { type CacheChange, cacheStatements, type CountChange } from "./cacheWrites.ts"
import { type Append, labelsOf, statements, tally } from "./logInserts.ts"

/**
 * One message; what it has none of is empty.
 *
 * @category models
 * @since 0.1.0
 */
export interface Batch {
  readonly logs: ReadonlyArray<Append>
  readonly cache: ReadonlyArray<CacheChange>
  readonly counts: ReadonlyArray<CountChange>
}

/**
 * The answer to one message.
 *
 * @category models
 * @since 0.1.0
 */
export interface Written {
  /** What was lost, and why. */
  readonly failures: ReadonlyArray<string>
  /** Of the file of the cache, if it was written to. */
  readonly cache: {
    /** Transactions up to this one. */
    readonly writes: number
    /** Whether one of another process was among those since the last time. */
    readonly foreign: boolean
  } | undefined
}

/** So many of its pages, of 4 KiB, go into the file together: most are the same ones again and again. */
const open = (file: string, pages: number) => {
  // Waiting stops nothing but this thread.
  const db = new DatabaseSync(file, { timeout: 10_000 })
  db.exec(`PRAGMA synchronous = NORMAL; PRAGMA cache_size = -16384; PRAGMA wal_autocheckpoint = ${pages}`)
  db.exec("PRAGMA temp_store = MEMORY")
  return db
}

const { cacheFile, store }: { readonly store: string; readonly cacheFile: string } = workerData
const logs = open(store, 4096)
// Each answer changes a page of its own in the index of places.
const cache = open(cacheFile, 16_384)

const transaction = (db: DatabaseSync, write: () => void) => {
  db.exec("BEGIN IMMEDIATE")
  try {
    write()
    db.exec("COMMIT")
  } catch (cause) {
    if (db.isTransaction) db.exec("ROLLBACK")
    throw cause
  }
}

const log = {
  count: logs.prepare(statements.count),
  counted: logs.prepare(statements.counted),
  entry: logs.prepare(statements.entry),
  bodies: logs.prepare(statements.bodies),
  labels: logs.prepare(statements.labels),
  trim: logs.prepare(statements.trim)
}

const writeLogs = (batch: Batch["logs"]) =>
  transaction(logs, () => {
    const counts = tally()
    for (const append of batch) {
      const { account, bodies, gateway, values } = append
      if (!counts.admits(append, () => Number(log.count.get(account, gateway)?.["n"] ?? 0))) continue
      counts.add(append)
      log.entry.run(...values)
      if (bodies !== null) log.bodies.run(bodies.request, bodies.response)
      const labels = labelsOf(append)
      if (labels !== null) log.labels.run(labels)
    }
    for (const { counted, trim } of counts.end()) {
      log.counted.run(...counted)
      if (trim !== undefined) log.trim.run(...trim)
    }
  })

const prepared = Object.fromEntries(
  Object.entries(cacheStatements).map(([name, sql]) => [name, cache.prepare(sql)])
)
const run = (name: keyof typeof cacheStatements, ...values: ReadonlyArray<string | number | Uint8Array>) =>
  prepared[name]?.run(...values)

let nextSweep = 0
let writes = Number(cache.prepare("SELECT writes FROM cache_state").get()?.["writes"])

/** How many transactions there were before. */
const writeCache = ({ cache: changes, counts }: Batch): number => {
  let before = writes
  transaction(cache, () => {
    before = Number(prepared["begin"]?.get()?.["writes"]) - 1
    let limit: number | undefined
    for (const change of changes) {
      switch (change._tag) {
        case "Put": {
          const { body, expires, headers, now, place, status, version } = change
          if (now >= nextSweep || now < nextSweep - sweep) {
            run("removeOld", now)
            run("removeOldCounts", now)
            nextSweep = now + sweep
          }
          limit = change.limit
          if (body.length > limit) run("remove", place)
          else run("insert", place, version, status, headers, body, expires, now)
          break
        }
        case "Touch":
          run("touch", change.now, change.place)
          break
        case "Clear":
          run("removeAll", change.start, `${change.start}\u{10ffff}`)
      }
    }
    const excess = () => limit === undefined ? 0 : Number(prepared["size"]?.get()?.["size"]) - limit
    for (let over = excess(); over > 0; over = excess()) run("removeUnused", over)
    for (const change of counts) {
      if (change._tag === "Clear") run("removeCounts", change.account, change.gateway)
      else run("count", change.account, change.gateway, change.name, change.bucket, change.amount, change.expires)
    }
    const last = counts.at(-1)
    if (last?._tag === "Count" && last.now >= nextSweep) {
      run("removeOldCounts", last.now)
      nextSweep = last.now + sweep
    }
  })
  return before
}

/** Milliseconds between two removals of what has expired. */
const sweep = 1000

parentPort?.on("message", (batch: Batch) => {
  const failures: Array<string> = []
  let written: Written["cache"]
  const attempt = (what: string, write: () => void) => {
    try {
      write()
    } catch (cause) {
      failures.push(`${what}: ${String(cause)}`)
    }
  }
  if (batch.logs.length > 0) attempt(`${batch.logs.length} log entries`, () => writeLogs(batch.logs))
  if (batch.cache.length + batch.counts.length > 0) {
    attempt(`${batch.cache.length} cached answers and ${batch.counts.length} counts`, () => {
      const before = writeCache(batch)
      written = { writes: before + 1, foreign: before !== writes }
      writes = before + 1
    })
  }
  parentPort?.postMessage({ failures, cache: written } satisfies Written)
})
