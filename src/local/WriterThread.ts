/**
 * Writes behind the requests, in a thread of its own: the indexes of a log of millions cost more than all else that a
 * request does, and no request waits for a disk.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { Worker } from "node:worker_threads"
import { CacheDatabase, cacheFileOf } from "./CacheDatabase.ts"
import type { CacheChange, CountChange } from "./cacheWrites.ts"
import type { Append } from "./logInserts.ts"
import * as WriterLane from "./WriterLane.ts"
import type { Batch, Written } from "./writingThread.ts"

/**
 * @category services
 * @since 0.1.0
 */
export class WriterThread extends Context.Service<WriterThread, {
  readonly logs: WriterLane.Lane<Append>
  readonly counts: WriterLane.Lane<CountChange>
  readonly answers: WriterLane.Lane<CacheChange>
  /**
   * How often another process was seen to have written to the file of the cache, by what is at most 100 milliseconds old:
   * each batch tells it, and a look where there was none.
   */
  readonly others: (now: number) => number
}>()("effect-ai-gateway/local/WriterThread") {}

/**
 * The thread of a store in a file, whose tables are there; at the end of its scope everything is written.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (store: string): Layer.Layer<WriterThread, never, CacheDatabase> =>
  Layer.effect(WriterThread, make(store))

/** Milliseconds; whoever asks for what is written does not wait for it. */
const gathering = {
  logs: 4,
  counts: 4,
  // A thousand together change a page of the index of places hardly more often than fifty do, and none is missed much.
  answers: 100
}

/** Node gives a thread those of the process, and refuses `--input-type` for a file. */
const flags: ReadonlyArray<string> = process.execArgv

/** Milliseconds between two looks at what other processes have written. */
const look = 100

const make = (store: string) =>
  Effect.gen(function*() {
    const run = Effect.runForkWith(yield* Effect.context<never>())
    const database = yield* CacheDatabase
    const extension = import.meta.url.endsWith(".ts") ? ".ts" : ".js"
    /** Whoever ends the thread waits for its end; a process with nothing else to wait for would not. */
    let isEnding = false
    const worker = yield* Effect.acquireRelease(
      Effect.sync(() =>
        new Worker(new URL(`./writingThread${extension}`, import.meta.url), {
          workerData: { store, cacheFile: cacheFileOf(store) },
          execArgv: flags.filter((flag, i) => !flag.startsWith("--input-type") && flags[i - 1] !== "--input-type")
        })
      ),
      (worker) =>
        Effect.promise(() => {
          isEnding = true
          worker.ref()
          return worker.terminate()
        })
    )
    let isGone = false
    const send = (batch: Batch) => {
      if (!isGone) {
        worker.ref()
        return worker.postMessage(batch)
      }
      run(
        Effect.logError(
          `The local gateway lost ${batch.changes.length} ${batch.lane}: the thread that writes them has ended`
        )
      )
      lanes[batch.lane].arrived()
    }
    const lanes = {
      logs: WriterLane.make<Append>({
        gathering: gathering.logs,
        weigh: ({ request, response }) => 1024 + (request?.length ?? 0) + (response?.length ?? 0),
        send: (changes) => send({ lane: "logs", changes })
      }),
      counts: WriterLane.make<CountChange>({
        gathering: gathering.counts,
        weigh: () => 256,
        send: (changes) => send({ lane: "counts", changes })
      }),
      answers: WriterLane.make<CacheChange>({
        gathering: gathering.answers,
        weigh: (change) => 1024 + (change._tag === "Put" ? change.body.length : 0),
        send: (changes) => send({ lane: "answers", changes })
      })
    }
    const all = Object.values(lanes)
    const rest = () => {
      if (!isEnding && !all.some((lane) => lane.isWriting())) worker.unref()
    }
    rest()
    let others = 0
    let writes = database.writes()
    let nextLook = 0
    let asked = 0
    worker.on("message", ({ cache, failure, lane }: Written) => {
      if (cache?.foreign === true) others++
      writes = cache?.writes ?? writes
      if (cache !== undefined) nextLook = asked + look
      if (failure !== undefined) run(Effect.logError(`The local gateway lost ${failure}`))
      lanes[lane].arrived()
      rest()
    })
    // It has no way to end but by a mistake of ours; nothing may wait for it then.
    worker.on("error", (cause) => {
      isGone = true
      run(Effect.logError(`The local gateway can write no more logs, answers and counts: ${String(cause)}`))
      for (const lane of all) if (lane.isWriting()) lane.arrived()
    })
    for (const { flush } of all) yield* Effect.addFinalizer(() => flush)

    const { answers, counts, logs } = lanes
    return WriterThread.of({
      answers,
      counts,
      logs,
      others: (now) => {
        asked = now
        if (now < nextLook && now >= nextLook - look) return others
        nextLook = now + look
        // What of ours is on its way tells it when it arrives; until then nobody knows whose a transaction is.
        if (answers.isWriting() || counts.isWriting()) return others
        const found = database.writes()
        if (found !== writes) others++
        writes = found
        return others
      }
    })
  })
