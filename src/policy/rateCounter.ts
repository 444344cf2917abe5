/**
 * How many came within a window: one counter's buckets in time, and whether one more fits.
 *
 * A fixed window is one bucket, aligned to the clock. A sliding one has up to about a hundred, and a bucket counts until
 * the last moment of it has left the window. So no stretch of the window's length has more than the limit (a property test); a
 * place becomes free at most a hundredth of the window later than it could, and a counter stays small however high its limit.
 *
 * @since 0.1.0
 */

/**
 * What is counted: one key's window, in milliseconds, and the most that may come in it.
 *
 * @category models
 * @since 0.1.0
 */
export interface Counter {
  readonly key: string
  readonly algorithm: "fixed" | "sliding"
  readonly window: number
  readonly limit: number
}

/**
 * Whether one more was let through; times are in milliseconds from now.
 *
 * @category models
 * @since 0.1.0
 */
export interface Taken {
  readonly isAllowed: boolean
  /** How many more may come now; undefined where the store does not say. */
  readonly remaining: number | undefined
  /** Until nothing counts any more; undefined where the store does not say. */
  readonly resetAfter: number | undefined
  /** Until the next one may come; 0 when this one may. */
  readonly retryAfter: number
}

/**
 * Buckets that have something in them, oldest first: when each began, and how many came in it.
 *
 * @category models
 * @since 0.1.0
 */
export type Buckets = ReadonlyArray<readonly [start: number, count: number]>

/**
 * Counts one where it fits.
 *
 * @category combinators
 * @since 0.1.0
 */
export const take = (
  buckets: Buckets,
  counter: Counter,
  now: number
): { readonly buckets: Buckets; readonly taken: Taken } => {
  const { counts, width } = shapeOf(counter)
  const current = buckets.filter(([start]) => start + counts > now)
  const sum = current.reduce((sum, [, count]) => sum + count, 0)
  if (sum >= counter.limit) {
    // The limit may be lower than it was: then more than one place has to become free.
    let over = sum - counter.limit
    const next = current.find(([, count]) => (over -= count) < 0)
    const taken: Taken = {
      isAllowed: false,
      remaining: 0,
      resetAfter: (current.at(-1)?.[0] ?? now) + counts - now,
      retryAfter: (next?.[0] ?? now) + counts - now
    }
    return { buckets: current, taken }
  }
  const last = current.at(-1)
  // A clock that was set back goes on with the newest bucket.
  const start = Math.max(last?.[0] ?? 0, Math.floor(now / width) * width)
  return {
    buckets: last?.[0] === start ? [...current.slice(0, -1), [start, last[1] + 1]] : [...current, [start, 1]],
    taken: { isAllowed: true, remaining: counter.limit - sum - 1, resetAfter: start + counts - now, retryAfter: 0 }
  }
}

/**
 * When nothing of these buckets counts any more, in milliseconds since 1970.
 *
 * @category getters
 * @since 0.1.0
 */
export const endOf = (buckets: Buckets, counter: Counter): number =>
  (buckets.at(-1)?.[0] ?? 0) + shapeOf(counter).counts

/**
 * The name of the counter in a store: another algorithm or window of a key is another counter.
 *
 * @category getters
 * @since 0.1.0
 */
export const nameOf = ({ algorithm, key, window }: Counter): string => `${algorithm}:${window}:${key}`

/** How long a bucket lasts, and how long from its start it counts. */
const shapeOf = ({ algorithm, window }: Counter) => {
  if (algorithm === "fixed") return { width: window, counts: window }
  const width = Math.max(1, Math.ceil(window / 100))
  return { width, counts: width - 1 + window }
}
