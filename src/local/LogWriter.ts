/**
 * Writes log entries behind the requests, in batches.
 *
 * A store in a file is written by a thread of its own: indexes for every filter of a log of millions cost more than all
 * else that a request does. One in memory is written here.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Semaphore from "effect/Semaphore"
import * as SqlClient from "effect/unstable/sql/SqlClient"
import { Worker } from "node:worker_threads"
import { memory, patiently } from "./Database.ts"
import { type Append, statements, trims } from "./logInserts.ts"

/**
 * @category services
 * @since 0.1.0
 */
export class LogWriter extends Context.Service<LogWriter, {
  /** Returns at once, or waits while far too much is waiting already. What cannot be written is said in the log. */
  readonly append: (append: Append) => Effect.Effect<void>
  /** Done when all that was appended before is written. */
  readonly flush: Effect.Effect<void>
}>()("effect-ai-gateway/local/LogWriter") {}

/**
 * The writer of a store; at the end of its scope everything is written.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (store: string): Layer.Layer<LogWriter, never, SqlClient.SqlClient> =>
  Layer.effect(LogWriter, store === memory ? here : inThread(store))

/** So many entries may wait; a slow disk must not fill the memory. */
const most = 20_000

const here = Effect.gen(function*() {
  const sql = yield* SqlClient.SqlClient
  const writing = yield* Semaphore.make(1)
  let waiting: Array<Append> = []

  const insert = Effect.fnUntraced(function*(batch: ReadonlyArray<Append>) {
    yield* sql.unsafe(statements.lock)
    for (const { account, bodies, cap, gateway, id, values } of batch) {
      if (cap.strategy === "STOP_INSERTING") {
        const [counted] = yield* sql.unsafe<{ readonly n: number }>(statements.count, [account, gateway])
        if ((counted?.n ?? 0) >= cap.limit) continue
      }
      yield* sql.unsafe(statements.entry, values)
      if (bodies !== null) yield* sql.unsafe(statements.bodies, [id, bodies.request, bodies.response])
    }
    for (const values of trims(batch)) yield* sql.unsafe(statements.trim, values)
  })
  const flush = Effect.suspend(() => {
    const batch = waiting
    waiting = []
    return batch.length === 0 ? Effect.void : insert(batch).pipe(
      sql.withTransaction,
      patiently,
      Effect.catch((error) => lost(batch.length, String(error)))
    )
  }).pipe(writing.withPermits(1), Effect.uninterruptible)
  yield* Effect.addFinalizer(() => flush)
  const scope = yield* Effect.scope

  return LogWriter.of({
    append: (append) =>
      Effect.suspend(() => {
        waiting.push(append)
        if (waiting.length >= most) return flush
        return waiting.length === 1
          ? Effect.asVoid(Effect.forkIn(Effect.andThen(Effect.yieldNow, flush), scope))
          : Effect.void
      }),
    flush
  })
})

const inThread = (store: string) =>
  Effect.gen(function*() {
    const run = Effect.runForkWith(yield* Effect.context<never>())
    const extension = import.meta.url.endsWith(".ts") ? ".ts" : ".js"
    const worker = yield* Effect.acquireRelease(
      Effect.sync(() => new Worker(new URL(`./logWriterThread${extension}`, import.meta.url), { workerData: store })),
      (worker) => Effect.promise(() => worker.terminate())
    )
    let waiting: Array<Append> = []
    /** Given to the thread and not yet written. */
    let given = 0
    const listeners: Array<Deferred.Deferred<void>> = []

    const give = () => {
      if (waiting.length === 0) return
      const batch = waiting
      waiting = []
      given += batch.length
      worker.ref()
      worker.postMessage(batch)
    }
    const settle = (written: number) => {
      given -= written
      if (given > 0) return
      worker.unref()
      for (const listener of listeners.splice(0)) Deferred.doneUnsafe(listener, Effect.void)
    }
    worker.unref()
    worker.on("message", ({ failure, written }: { readonly written: number; readonly failure?: string }) => {
      if (failure !== undefined) run(lost(written, failure))
      settle(written)
    })
    // It has no way to end but by a mistake of ours; nothing may wait for it then.
    worker.on("error", (cause) => {
      run(lost(given, String(cause)))
      settle(given)
    })

    const flush = Effect.suspend(() => {
      give()
      if (given === 0) return Effect.void
      const written = Deferred.makeUnsafe<void>()
      listeners.push(written)
      return Deferred.await(written)
    })
    yield* Effect.addFinalizer(() => flush)

    return LogWriter.of({
      append: (append) =>
        Effect.suspend(() => {
          waiting.push(append)
          // What comes in one turn of the event loop goes together.
          if (waiting.length === 1) setImmediate(give)
          return waiting.length + given >= most ? flush : Effect.void
        }),
      flush
    })
  })

const lost = (entries: number, why: string) =>
  Effect.logError(`The local gateway lost ${entries} log entries: its store failed: ${why}`)
