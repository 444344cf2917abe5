/**
 * The thread that writes log entries: a batch for each message, one transaction each, then says what became of it.
 *
 * @since 0.1.0
 */
import { DatabaseSync } from "node:sqlite"
import { parentPort, workerData } from "node:worker_threads"
import { type Append, statements, trims } from "./logInserts.ts"

// Waiting stops nothing but this thread.
const db = new DatabaseSync(String(workerData), { timeout: 10_000 })
db.exec("PRAGMA synchronous = NORMAL; PRAGMA cache_size = -16384")
const count = db.prepare(statements.count)
const entry = db.prepare(statements.entry)
const bodies = db.prepare(statements.bodies)
const trim = db.prepare(statements.trim)

const write = (batch: ReadonlyArray<Append>) => {
  db.exec("BEGIN IMMEDIATE")
  try {
    for (const append of batch) {
      const { account, cap, gateway } = append
      if (cap.strategy === "STOP_INSERTING" && Number(count.get(account, gateway)?.["n"] ?? 0) >= cap.limit) continue
      entry.run(...append.values)
      if (append.bodies !== null) bodies.run(append.id, append.bodies.request, append.bodies.response)
    }
    for (const values of trims(batch)) trim.run(...values)
    db.exec("COMMIT")
  } catch (cause) {
    if (db.isTransaction) db.exec("ROLLBACK")
    throw cause
  }
}

parentPort?.on("message", (batch: ReadonlyArray<Append>) => {
  try {
    write(batch)
    parentPort?.postMessage({ written: batch.length })
  } catch (cause) {
    parentPort?.postMessage({ written: batch.length, failure: String(cause) })
  }
})
