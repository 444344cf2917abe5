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
import { CacheDatabase, cacheFileOf } from "./CacheDatabase.ts"
import type { CacheChange, CountChange } from "./cacheWrites.ts"
import type { Append } from "./logInserts.ts"
import type { Batch, Written } from "./writingThread.ts"

/**
 * @category services
 * @since 0.1.0
 */
export class WriterThread extends Context.Service<WriterThread, {
  /** Returns at once; what is lost is said in the log. */
  readonly log: (append: Append) => void
  readonly cache: (change: CacheChange) => void
  readonly count: (change: CountChange) => void
  /**
   * What its owner has given and is not in the file yet: added to `waiting`, which becomes `writing` when it goes.
   *
   * Nothing is taken out of them one by one: V8 keeps what was in a Map or Set that changes all the time.
   */
  readonly pile: <A>(empty: () => A) => Pile<A>
  /**
   * How often another process was seen to have written to the file of the cache: each batch tells it, and every 100
   * milliseconds a look, if there is none.
   */
  readonly others: (now: number) => number
  /** Done when all that was given before is written. */
  readonly flush: Effect.Effect<void>
  /** Waits while far too much is waiting already: a slow disk must not fill the memory. */
  readonly room: Effect.Effect<void>
}>()("effect-ai-gateway/local/WriterThread") {}

/**
 * @category models
 * @since 0.1.0
 */
export interface Pile<A> {
  readonly waiting: A
  readonly writing: A
}

/**
 * The thread of a store in a file, whose tables are there; at the end of its scope everything is written.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (store: string): Layer.Layer<WriterThread, never, CacheDatabase> =>
  Layer.effect(WriterThread, make(store))

const most = 20_000

/** Milliseconds; whoever asks for what is written does not wait for it. */
const gathering = 4

/** Milliseconds between two looks at what other processes have written. */
const look = 100

const make = (store: string) =>
  Effect.gen(function*() {
    const run = Effect.runForkWith(yield* Effect.context<never>())
    const database = yield* CacheDatabase
    const extension = import.meta.url.endsWith(".ts") ? ".ts" : ".js"
    const worker = yield* Effect.acquireRelease(
      Effect.sync(() =>
        new Worker(new URL(`./writingThread${extension}`, import.meta.url), {
          workerData: { store, cacheFile: cacheFileOf(store) }
        })
      ),
      (worker) => Effect.promise(() => worker.terminate())
    )
    const turns: Array<{ readonly leave: () => void; readonly arrive: () => void }> = []
    const pile = <A>(empty: () => A): Pile<A> => {
      const made = { waiting: empty(), writing: empty() }
      turns.push({
        leave: () => {
          made.writing = made.waiting
          made.waiting = empty()
        },
        arrive: () => void (made.writing = empty())
      })
      return made
    }
    const logs = pile((): Array<Append> => [])
    const cache = pile((): Array<CacheChange> => [])
    const counts = pile((): Array<CountChange> => [])
    const flushes = pile((): Array<() => void> => [])
    /** Of what waits, and of what the thread was given and has not answered yet. */
    let size = 0
    let sizeWriting = 0
    let isWriting = false
    /** What waits goes as soon as the thread is free. */
    let isDue = false
    let isGone = false

    const give = () => {
      isDue = size > 0
      if (size === 0 || isWriting) return
      isDue = false
      for (const { leave } of turns) leave()
      sizeWriting = size
      size = 0
      isWriting = true
      if (isGone) {
        run(lostAll(sizeWriting))
        return settle()
      }
      worker.ref()
      worker.postMessage({ cache: cache.writing, counts: counts.writing, logs: logs.writing } satisfies Batch)
    }
    const settle = () => {
      const flushed = flushes.writing
      for (const { arrive } of turns) arrive()
      sizeWriting = 0
      isWriting = false
      for (const done of flushed) done()
      if (isDue) give()
      if (!isWriting) worker.unref()
    }
    const added = () => {
      // What comes within a few milliseconds goes together: waking the thread for each costs more than what it writes.
      if (size++ === 0) setTimeout(give, gathering)
    }
    worker.unref()
    let others = 0
    let writes = database.writes()
    let nextLook = 0
    worker.on("message", ({ cache: written, failures }: Written) => {
      if (written?.foreign === true) others++
      writes = written?.writes ?? writes
      for (const failure of failures) run(Effect.logError(`The local gateway lost ${failure}`))
      settle()
    })
    // It has no way to end but by a mistake of ours; nothing may wait for it then.
    worker.on("error", (cause) => {
      isGone = true
      run(Effect.logError(`The local gateway can write no more logs, answers and counts: ${String(cause)}`))
      if (isWriting) settle()
    })

    const flush = Effect.suspend(() => {
      const written = Deferred.makeUnsafe<void>()
      const done = () => Deferred.doneUnsafe(written, Effect.void)
      if (size > 0) {
        flushes.waiting.push(done)
        give()
      } else if (isWriting) flushes.writing.push(done)
      else done()
      return Deferred.await(written)
    })
    yield* Effect.addFinalizer(() => flush)

    return WriterThread.of({
      log: (append) => {
        logs.waiting.push(append)
        added()
      },
      cache: (change) => {
        cache.waiting.push(change)
        added()
      },
      count: (change) => {
        counts.waiting.push(change)
        added()
      },
      pile,
      others: (now) => {
        if (now < nextLook && now >= nextLook - look) return others
        nextLook = now + look
        // What of ours is on its way tells it when it arrives; until then nobody knows whose a transaction is.
        if ([cache.waiting, cache.writing, counts.waiting, counts.writing].some((_) => _.length > 0)) {
          return others
        }
        const found = database.writes()
        if (found !== writes) others++
        writes = found
        return others
      },
      flush,
      room: Effect.suspend(() => size + sizeWriting >= most ? flush : Effect.void)
    })
  })

const lostAll = (changes: number) =>
  Effect.logError(
    `The local gateway lost ${changes} log entries, answers and counts: the thread that writes them has ended`
  )
