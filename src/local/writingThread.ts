/**
 * The thread that writes what requests leave behind: log entries into the store, answers and counts into the file of the
 * cache. Each message is a batch and one transaction; then it says what became of it.
 *
 * It imports nothing but Node's modules, so that it starts at once.
 *
 * @since 0.1.0
 */
import { constants, setPriority } from "node:os"
import { DatabaseSync } from "node:sqlite"
import { parentPort, workerData } from "node:worker_threads"
import { type CacheChange, cacheStatements, type CountChange } from "./cacheWrites.ts"
import { type Append, labelsOf, placeOf, statements, tally } from "./logInserts.ts"

/**
 * One message.
 *
 * @category models
 * @since 0.1.0
 */
export type Batch =
  | { readonly lane: "logs"; readonly changes: ReadonlyArray<Append> }
  | { readonly lane: "counts"; readonly changes: ReadonlyArray<CountChange> }
  | { readonly lane: "answers"; readonly changes: ReadonlyArray<CacheChange> }

/**
 * The answer to one message.
 *
 * @category models
 * @since 0.1.0
 */
export interface Written {
  readonly lane: Batch["lane"]
  /** What was lost, and why. */
  readonly failure: string | undefined
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

// Requests go before what they leave behind. On Linux alone a thread has a priority of its own.
if (process.platform === "linux") {
  try {
    setPriority(0, constants.priority.PRIORITY_BELOW_NORMAL)
  } catch {
    // A sandbox may forbid it; all is done all the same.
  }
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

const writeLogs = (batch: ReadonlyArray<Append>) =>
  transaction(logs, () => {
    const counts = tally()
    for (const append of batch) {
      const { request, response, values } = append
      if (!counts.admits(append, () => Number(log.count.get(...placeOf(append))?.["n"] ?? 0))) continue
      counts.add(append)
      log.entry.run(...values)
      if (request !== null) log.bodies.run(request, response)
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

let writes = Number(cache.prepare("SELECT writes FROM cache_state").get()?.["writes"])

/** Changes the file of the cache in one transaction, and tells whether it is the first after one of another process. */
const writeCache = (write: () => void): NonNullable<Written["cache"]> => {
  let now = writes
  transaction(cache, () => {
    now = Number(prepared["begin"]?.get()?.["writes"])
    write()
  })
  const foreign = now !== writes + 1
  writes = now
  return { writes, foreign }
}

/** What has expired goes once a second. */
const sweeper = (statement: "removeOld" | "removeOldCounts") => {
  let next = 0
  return (now: number) => {
    if (now < next && now >= next - 1000) return
    run(statement, now)
    next = now + 1000
  }
}

const sweepAnswers = sweeper("removeOld")
const sweepCounts = sweeper("removeOldCounts")

const writeAnswers = (changes: ReadonlyArray<CacheChange>) => {
  let limit: number | undefined
  for (const change of changes) {
    switch (change._tag) {
      case "Put": {
        const { body, expires, headers, now, place, status, version } = change
        sweepAnswers(now)
        limit = change.limit
        if (body.length > limit) run("remove", place.number, place.name)
        else run("insert", place.number, place.name, version, status, headers, body, expires)
        break
      }
      case "Touch":
        run("touch", change.place.number, change.place.name)
        break
      case "Clear":
        run("removeAll", change.first, change.end, change.start, change.start)
    }
  }
  if (limit !== undefined) makeRoom(limit)
}

/** The oldest give way; those that were used have another turn first, as many as are moved in a moment. */
const makeRoom = (limit: number) => {
  let excess = Number(prepared["size"]?.get()?.["size"]) - limit
  if (excess <= 0) return
  // At most half of the limit moves, so that room is found before what has just come.
  let movable = Math.min(limit / 2, mostMoved)
  const used: Array<number> = []
  let last = 0
  for (const row of prepared["oldest"]?.iterate() ?? []) {
    last = Number(row["id"])
    const size = Number(row["size"])
    if (row["used"] === 1 && size <= movable) {
      used.push(last)
      movable -= size
    } else excess -= size
    if (excess <= 0) break
  }
  for (const id of used) run("renew", id)
  run("removeOldest", last)
}

/** Bytes of bodies, which are written again. */
const mostMoved = 4 * 1024 * 1024

const writeCounts = (changes: ReadonlyArray<CountChange>) => {
  for (const change of changes) {
    if (change._tag === "Clear") run("removeCounts", change.account, change.gateway)
    else {
      sweepCounts(change.now)
      run("count", change.account, change.gateway, change.name, change.bucket, change.amount, change.expires)
    }
  }
}

const write = (batch: Batch): Written["cache"] => {
  switch (batch.lane) {
    case "logs":
      return void writeLogs(batch.changes)
    case "counts":
      return writeCache(() => writeCounts(batch.changes))
    case "answers":
      return writeCache(() => writeAnswers(batch.changes))
  }
}

const named = { logs: "log entries", counts: "counts", answers: "cached answers" }

parentPort?.on("message", (batch: Batch) => {
  const { changes, lane } = batch
  let written: Written = { lane, failure: undefined, cache: undefined }
  try {
    written = { ...written, cache: write(batch) }
  } catch (cause) {
    written = { ...written, failure: `${changes.length} ${named[lane]}: ${String(cause)}` }
  }
  parentPort?.postMessage(written)
})
