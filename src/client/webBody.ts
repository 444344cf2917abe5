/**
 * The body of a web `Response`, as a stream of its reads or as its text; interruption cancels it.
 *
 * @since 0.1.0
 */
import type * as Arr from "effect/Array"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import type * as Pull from "effect/Pull"
import * as Stream from "effect/Stream"

/**
 * As `Stream.fromReadableStream`, with callbacks instead of a promise wrapped in three effects, and with the reads that
 * can be had at once in one chunk: what costs in a stream of single events is each chunk's way through Effect.
 *
 * A chunk is one read, or up to eight that were there. When nobody waits at most one read is under way, so a slow
 * consumer makes the producer wait.
 *
 * @category constructors
 * @since 0.1.0
 */
export const stream = <E>(
  body: ReadableStream<Uint8Array>,
  onError: (cause: unknown) => E
): Stream.Stream<Uint8Array, E> =>
  Stream.unwrap(Effect.map(
    Effect.acquireRelease(
      Effect.sync(() => body.getReader()),
      (reader) => Effect.promise(() => reader.cancel().catch(() => undefined))
    ),
    (reader) => Stream.fromPull(Effect.succeed(pullOf(reader, onError)))
  ))

type Next<E> = Pull.Pull<Arr.NonEmptyReadonlyArray<Uint8Array>, E>

const pullOf = <E>(
  reader: ReadableStreamDefaultReader<Uint8Array>,
  onError: (cause: unknown) => E
): Next<E> => {
  let reads: Array<Uint8Array> = []
  /** What comes after the reads. */
  let end: Next<E> | undefined
  let waiting: ((next: Next<E>) => void) | undefined
  let isReading = false
  let isDelivering = false
  /** Microtasks since the last read came. */
  let ticks = 0

  const onRead = ({ done, value }: ReadableStreamReadResult<Uint8Array>) => {
    if (done) end = Cause.done()
    else reads.push(value)
    next()
  }
  const onFailure = (cause: unknown) => {
    end = Effect.fail(onError(cause))
    next()
  }
  const next = () => {
    isReading = false
    if (waiting === undefined) return
    if (end === undefined && reads.length < mostReads) {
      isReading = true
      reader.read().then(onRead, onFailure)
    }
    soon()
  }
  const soon = () => {
    ticks = 0
    if (!isDelivering) queueMicrotask(deliver)
    isDelivering = true
  }
  const deliver = () => {
    if (isReading && ++ticks < patience) return queueMicrotask(deliver)
    isDelivering = false
    if (waiting === undefined) return
    if (isNonEmpty(reads)) {
      const chunk = reads
      reads = []
      give(Effect.succeed(chunk))
    } else if (end !== undefined) {
      give(end)
    }
  }
  const give = (result: Next<E>) => {
    const resume = waiting
    waiting = undefined
    resume?.(result)
  }
  const stopWaiting = Effect.sync(() => {
    waiting = undefined
  })
  return Effect.callback((resume) => {
    waiting = resume
    if (!isReading) next()
    // Left from a pull that was given up, while the next read is under way.
    else if (reads.length > 0) soon()
    return stopWaiting
  })
}

/** Most reads of one chunk: more hardly make it cheaper, but let the producer run ahead. */
const mostReads = 8

/** Microtasks in which a stream answers a read for which it has, or makes, the bytes at once. */
const patience = 6

const isNonEmpty = <A>(values: ReadonlyArray<A>): values is Arr.NonEmptyReadonlyArray<A> => values.length > 0

/**
 * A loop over the reader: an Effect stream, which most answers do not need, would cost more than the request itself.
 *
 * @category constructors
 * @since 0.1.0
 */
export const text = <E>(
  body: ReadableStream<Uint8Array>,
  onError: (cause: unknown) => E
): Effect.Effect<string, E> =>
  Effect.callback((resume) => {
    const reader = body.getReader()
    const chunks: Array<Uint8Array> = []
    const next = (): Promise<void> =>
      reader.read().then(({ done, value }) => {
        if (done) return resume(Effect.succeed(decode(chunks)))
        chunks.push(value)
        return next()
      })
    next().catch((cause) => resume(Effect.fail(onError(cause))))
    return Effect.promise(() => reader.cancel().catch(() => undefined))
  })

const utf8 = new TextDecoder()

const decode = (chunks: ReadonlyArray<Uint8Array>): string => {
  const [first] = chunks
  if (chunks.length === 1) return utf8.decode(first)
  const decoder = new TextDecoder()
  let text = ""
  for (const chunk of chunks) text += decoder.decode(chunk, { stream: true })
  return text + decoder.decode()
}
