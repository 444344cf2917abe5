/**
 * A provider's key, in the header that the provider reads.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as AiError from "effect/unstable/ai/AiError"
import type { Step } from "../client/Transport.ts"
import type { Provider } from "./Providers.ts"

/**
 * A key, or where it comes from: a `Config.Redacted("OPENAI_API_KEY")`, or any Effect that is run for each request.
 *
 * Without a key the gateway uses the one that is stored in it, if there is one.
 *
 * @category models
 * @since 0.1.0
 */
export type ApiKey = Redacted.Redacted<string> | Effect.Effect<Redacted.Redacted<string>, unknown>

/**
 * The headers that carry a key; a key that cannot be had, or is empty, is an `AuthenticationError` before any request.
 *
 * @category constructors
 * @since 0.1.0
 */
export const headers = (
  provider: Provider,
  apiKey: ApiKey
): Effect.Effect<NonNullable<Step["headers"]>, AiError.AuthenticationError> =>
  (Redacted.isRedacted(apiKey) ? Effect.succeed(apiKey) : apiKey).pipe(
    // What failed may quote the key or its place; the error says only that there is none.
    Effect.mapError(() => missing("the Effect or Config given as apiKey failed")),
    Effect.flatMap((key) => {
      const value = Redacted.value(key).trim()
      if (value === "") return Effect.fail(missing("the apiKey is empty"))
      const { name, scheme } = provider.key
      return Effect.succeed({
        [name]: Redacted.make(scheme === undefined ? value : `${scheme} ${value}`, { label: name })
      })
    })
  )

const missing = (description: string) => new AiError.AuthenticationError({ kind: "MissingKey", description })
