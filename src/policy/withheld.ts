/**
 * What came of an answer that a policy kept from the caller: it is paid all the same.
 *
 * Beside the error and not in it, so that no text of an answer that must not be seen gets into logs.
 *
 * @since 0.1.0
 */

const answers = new WeakMap<object, ReadonlyArray<unknown>>()

/**
 * The parts that were kept back when the call failed with this error; undefined where no policy kept any.
 *
 * @category getters
 * @since 0.1.0
 */
export const partsOf = (error: unknown): ReadonlyArray<unknown> | undefined =>
  typeof error === "object" && error !== null ? answers.get(error) : undefined

/**
 * Says of an error what was kept back, and gives it back; what a policy inside has said of it stays where there is no more.
 *
 * @category combinators
 * @since 0.1.0
 */
export const withhold = <E>(error: E, parts: ReadonlyArray<unknown>): E => {
  if (typeof error === "object" && error !== null && (parts.length > 0 || !answers.has(error))) {
    answers.set(error, parts)
  }
  return error
}
