/**
 * What waits for the writing thread: it gathers for a while and goes together, one batch at a time.
 *
 * @since 0.1.0
 */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"

/**
 * What its owner has given and is not in the file yet: added to `waiting`, which becomes `writing` when it goes.
 *
 * Nothing is taken out of them one by one: V8 keeps what was in a Map or Set that changes all the time.
 *
 * @category models
 * @since 0.1.0
 */
export interface Pile<A> {
  readonly waiting: A
  readonly writing: A
}

/**
 * @category models
 * @since 0.1.0
 */
export interface Lane<Change> {
  /** Returns at once; what is lost is said in the log. */
  readonly give: (change: Change) => void
  /** One that goes with the batches of this lane. */
  readonly pile: <A>(empty: () => A) => Pile<A>
  /** Done when all that was given before is written. */
  readonly flush: Effect.Effect<void>
  /** Waits while far too much is waiting already: a slow disk must not fill the memory. */
  readonly room: Effect.Effect<void>
}

/**
 * @category models
 * @since 0.1.0
 */
export interface Options<Change> {
  /** Milliseconds that the first of a batch waits for others. */
  readonly gathering: number
  /** About as many bytes as it takes in memory. */
  readonly weigh: (change: Change) => number
  readonly send: (changes: ReadonlyArray<Change>) => void
}

/**
 * A lane, and what its driver says when the batch that was sent has been written or lost.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = <Change>({ gathering, send, weigh }: Options<Change>): Lane<Change> & {
  readonly arrived: () => void
  readonly isWriting: () => boolean
} => {
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
  const changes = pile((): Array<Change> => [])
  const flushes = pile((): Array<() => void> => [])
  let weight = 0
  let weightWriting = 0
  let isWriting = false
  /** What waits goes as soon as the thread is free. */
  let isDue = false
  let timer: NodeJS.Timeout | undefined

  const leave = () => {
    isDue = changes.waiting.length > 0
    if (!isDue || isWriting) return
    isDue = false
    clearTimeout(timer)
    for (const turn of turns) turn.leave()
    weightWriting = weight
    weight = 0
    isWriting = true
    send(changes.writing)
  }
  const flush = Effect.suspend(() => {
    const written = Deferred.makeUnsafe<void>()
    const done = () => Deferred.doneUnsafe(written, Effect.void)
    if (changes.waiting.length > 0) {
      flushes.waiting.push(done)
      leave()
    } else if (isWriting) flushes.writing.push(done)
    else done()
    return Deferred.await(written)
  })

  return {
    give: (change) => {
      // Waking the thread for each costs more than what it writes.
      if (changes.waiting.push(change) === 1) timer = setTimeout(leave, gathering)
      weight += weigh(change)
      if (weight >= enough) leave()
    },
    pile,
    flush,
    room: Effect.suspend(() => weight + weightWriting >= most ? flush : Effect.void),
    arrived: () => {
      const flushed = flushes.writing
      for (const turn of turns) turn.arrive()
      weightWriting = 0
      isWriting = false
      for (const done of flushed) done()
      if (isDue) leave()
    },
    isWriting: () => isWriting
  }
}

/** Bytes that need not gather any longer. */
const enough = 4 * 1024 * 1024

/** Bytes that may wait in one lane. */
const most = 64 * 1024 * 1024
