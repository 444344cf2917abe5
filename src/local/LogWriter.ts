/**
 * Writes log entries behind the requests, in batches.
 *
 * A store in a file is written by `WriterThread`, one in memory here.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Semaphore from "effect/Semaphore"
import * as SqlClient from "effect/unstable/sql/SqlClient"
import { patiently } from "./Database.ts"
import { type Append, labelsOf, placeOf, statements, tally } from "./logInserts.ts"
import { WriterThread } from "./WriterThread.ts"

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
 * For a store in a file: by the thread.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer: Layer.Layer<LogWriter, never, WriterThread> = Layer.effect(
  LogWriter,
  Effect.suspend(() => inThread())
)

/**
 * For a store in memory: here; at the end of the scope everything is written.
 *
 * @category layers
 * @since 0.1.0
 */
export const layerMemory: Layer.Layer<LogWriter, never, SqlClient.SqlClient> = Layer.effect(
  LogWriter,
  Effect.suspend(() => here())
)

/** So many entries may wait; a slow disk must not fill the memory. */
const most = 20_000

const here = Effect.fnUntraced(function*() {
  const sql = yield* SqlClient.SqlClient
  const writing = yield* Semaphore.make(1)
  let waiting: Array<Append> = []

  const insert = Effect.fnUntraced(function*(batch: ReadonlyArray<Append>) {
    yield* sql.unsafe(statements.lock)
    const counts = tally()
    for (const append of batch) {
      const { request, response, strategy, values } = append
      const [counted] = strategy === "STOP_INSERTING"
        ? yield* sql.unsafe<{ readonly n: number }>(statements.count, placeOf(append))
        : []
      if (!counts.admits(append, () => counted?.n ?? 0)) continue
      counts.add(append)
      yield* sql.unsafe(statements.entry, values)
      if (request !== null) yield* sql.unsafe(statements.bodies, [request, response])
      const labels = labelsOf(append)
      if (labels !== null) yield* sql.unsafe(statements.labels, [labels])
    }
    for (const { counted, trim } of counts.end()) {
      yield* sql.unsafe(statements.counted, counted)
      if (trim !== undefined) yield* sql.unsafe(statements.trim, trim)
    }
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

const inThread = () =>
  Effect.map(WriterThread, ({ logs: { flush, give, room } }) =>
    LogWriter.of({
      append: (append) =>
        Effect.suspend(() => {
          give(append)
          return room
        }),
      flush
    }))

const lost = (entries: number, why: string) =>
  Effect.logError(`The local gateway lost ${entries} log entries: its store failed: ${why}`)
