/**
 * An answer of a provider on its way through the gateway.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"

/**
 * Whole, or a stream that is passed on as it comes; a stream that fails was cut by the provider.
 *
 * @category models
 * @since 0.1.0
 */
export interface Answer {
  readonly status: number
  /** Names in lower case. */
  readonly headers: { readonly [name: string]: string }
  readonly body: Uint8Array | Stream.Stream<Uint8Array, unknown>
}

/**
 * @category constructors
 * @since 0.1.0
 */
export const json = (
  status: number,
  body: unknown,
  headers: { readonly [name: string]: string } = {}
): Answer => ({
  status,
  headers: { ...headers, "content-type": "application/json" },
  body: new TextEncoder().encode(JSON.stringify(body))
})

/**
 * @category predicates
 * @since 0.1.0
 */
export const isSuccess = ({ status }: Pick<Answer, "status">): boolean => status >= 200 && status < 300

/**
 * Reads a body to its end and keeps nothing of it.
 *
 * @category combinators
 * @since 0.1.0
 */
export const drain = (answer: Answer): Effect.Effect<void, unknown> =>
  answer.body instanceof Uint8Array ? Effect.void : Stream.runDrain(answer.body)
