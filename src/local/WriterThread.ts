/**
 * Writes behind the requests, in a thread of its own: the indexes of a log of millions cost more than all else that a
 * request does, and no request waits for a disk.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { Worker } from "node:worker_threads"
import { type CacheDatabase, cacheFileOf } from "./CacheDatabase.ts"
import { type CacheChange, type CountChange, together } from "./cacheWrites.ts"
import type { Append } from "./logInserts.ts"
import type { Batch, Written } from "./writingThread.ts"

/**
 * @category services
 * @since 0.1.0
 */
export class WriterThread extends Context.Service<WriterThread, {
  /** Returns at once; `done` is called when it is written, or lost: that is said in the log. */
  readonly log: (append: Append) => void
  readonly cache: (change: CacheChange, done?: () => void) => void
  readonly count: (change: CountChange, done?: () => void) => void
  /** How often another process was seen to have written to the file of the cache. */
  readonly foreign: () => number
  /** Done when all that was given before is written. */
  readonly flush: Effect.Effect<void>
  /** Waits while far too much is waiting already: a slow disk must not fill the memory. */
  readonly room: Effect.Effect<void>
}>()("effect-ai-gateway/local/WriterThread") {}

/**
 * The thread of a store in a file, whose tables are there; at the end of its scope everything is written.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (store: string): Layer.Layer<WriterThread, never, CacheDatabase> =>
  Layer.effect(WriterThread, make(store))

const most = 20_000

const make = (store: string) =>
  Effect.gen(function*() {
    const run = Effect.runForkWith(yield* Effect.context<never>())
    const extension = import.meta.url.endsWith(".ts") ? ".ts" : ".js"
    const worker = yield* Effect.acquireRelease(
      Effect.sync(() =>
        new Worker(new URL(`./writingThread${extension}`, import.meta.url), {
          workerData: { store, cacheFile: cacheFileOf(store) }
        })
      ),
      (worker) => Effect.promise(() => worker.terminate())
    )
    interface Waiting {
      readonly logs: Array<Append>
      readonly cache: Array<CacheChange>
      readonly done: Array<() => void>
    }
    const nothing = (): Waiting => ({ logs: [], cache: [], done: [] })
    let waiting = nothing()
    const counts = together()
    let size = 0
    /** Given to the thread and not yet answered, in their order. */
    const given: Array<Waiting & { readonly size: number }> = []
    let isGone = false

    const give = () => {
      // What comes while the thread writes goes together when it is done: many entries cost little more than one.
      if (size === 0 || given.length > 0) return
      const { cache, done, logs } = waiting
      const taken = counts.take()
      if (isGone) run(lostAll(size))
      else given.push({ ...waiting, size })
      waiting = nothing()
      size = 0
      if (isGone) return done.forEach((_) => _())
      worker.ref()
      worker.postMessage({ cache, counts: taken, logs } satisfies Batch)
    }
    const settle = () => {
      for (const done of given.shift()?.done ?? []) done()
      give()
      if (given.length === 0) worker.unref()
    }
    const added = (done: (() => void) | undefined) => {
      if (done !== undefined) waiting.done.push(done)
      // What comes in one turn of the event loop goes together.
      if (size++ === 0) setImmediate(give)
    }
    worker.unref()
    let foreigners = 0
    worker.on("message", ({ failures, foreign }: Written) => {
      if (foreign) foreigners++
      for (const failure of failures) run(Effect.logError(`The local gateway lost ${failure}`))
      settle()
    })
    // It has no way to end but by a mistake of ours; nothing may wait for it then.
    worker.on("error", (cause) => {
      isGone = true
      run(Effect.logError(`The local gateway can write no more logs, answers and counts: ${String(cause)}`))
      while (given.length > 0) settle()
    })

    const flush = Effect.suspend(() => {
      const written = Deferred.makeUnsafe<void>()
      waiting.done.push(() => Deferred.doneUnsafe(written, Effect.void))
      if (size > 0) give()
      else if (given.length > 0) given.at(-1)?.done.push(...waiting.done.splice(0))
      else for (const done of waiting.done.splice(0)) done()
      return Deferred.await(written)
    })
    yield* Effect.addFinalizer(() => flush)

    return WriterThread.of({
      log: (append) => {
        waiting.logs.push(append)
        added(undefined)
      },
      cache: (change, done) => {
        waiting.cache.push(change)
        added(done)
      },
      count: (change, done) => {
        counts.add(change)
        added(done)
      },
      foreign: () => foreigners,
      flush,
      room: Effect.suspend(() => size + given.reduce((sum, batch) => sum + batch.size, 0) >= most ? flush : Effect.void)
    })
  })

const lostAll = (changes: number) =>
  Effect.logError(
    `The local gateway lost ${changes} log entries, answers and counts: the thread that writes them has ended`
  )
