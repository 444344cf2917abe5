/**
 * Rate limits for a Worker's own users: so many calls of each key in a window, and an answer of 429 beyond.
 *
 * The window slides: there are never more than the limit in any stretch of its length. Or it is fixed to the clock, which
 * costs less to keep and lets up to twice the limit through around the moment where one window ends.
 *
 * **Example** (Fifty calls an hour for each address)
 *
 * ```ts
 * import * as Effect from "effect/Effect"
 * import * as Layer from "effect/Layer"
 * import * as LanguageModel from "effect/unstable/ai/LanguageModel"
 * import * as HttpServer from "effect/unstable/http/HttpServer"
 * import * as HttpServerResponse from "effect/unstable/http/HttpServerResponse"
 * import * as RateLimit from "effect-ai-gateway/RateLimit"
 *
 * const handler = LanguageModel.generateText({ prompt: "What is Effect?" }).pipe(
 *   Effect.map((response) => HttpServerResponse.text(response.text)),
 *   RateLimit.withLimit({ limit: 50, window: "1 hour", headers: true })
 * )
 *
 * // The server's: around the handler the counters would begin anew with each request.
 * export const server = HttpServer.serve(handler).pipe(Layer.provide(RateLimit.layerMemory))
 * ```
 *
 * @since 0.1.0
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { dual } from "effect/Function"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as HttpServerRequest from "effect/unstable/http/HttpServerRequest"
import * as HttpServerRespondable from "effect/unstable/http/HttpServerRespondable"
import * as HttpServerResponse from "effect/unstable/http/HttpServerResponse"
import type { Taken } from "./rateCounter.ts"
import { RateLimitStore } from "./rateLimitStores.ts"

export { type Counter, type Taken } from "./rateCounter.ts"
export {
  type Binding,
  layerBinding,
  layerKeyValueStore,
  layerMemory,
  layerRateLimiter,
  layerRedis,
  RateLimitStore
} from "./rateLimitStores.ts"

/**
 * How many may come, and in which time.
 *
 * @category models
 * @since 0.1.0
 */
export interface Limit {
  /** An integer of at least 1. */
  readonly limit: number
  /** At least 1 millisecond. */
  readonly window: Duration.Input
  /** `sliding` by default. */
  readonly algorithm?: "fixed" | "sliding" | undefined
  /** What happens when the store fails: the check fails by default, `allow` logs the failure and lets the call through. */
  readonly onStoreError?: "fail" | "allow" | undefined
}

/**
 * The limit of one key.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options extends Limit {
  /** Who is counted: a user, an address, a user and a route; each key by itself. */
  readonly key: string
}

/**
 * The limit of a handler.
 *
 * @category models
 * @since 0.1.0
 */
export interface HandlerOptions extends Limit {
  /**
   * Who is counted. By default the address in `cf-connecting-ip`, which Cloudflare sets; requests without it, such as those
   * that do not come through Cloudflare, count as one.
   */
  readonly key?: ((request: HttpServerRequest.HttpServerRequest) => string) | undefined
  /** Says the limit in `ratelimit-limit`, `ratelimit-remaining` and `ratelimit-reset`; `false` by default. */
  readonly headers?: boolean | undefined
}

/**
 * A call that may go on.
 *
 * @category models
 * @since 0.1.0
 */
export interface Allowed {
  readonly limit: number
  /** How many more may come now; undefined where the store does not say, or has failed. */
  readonly remaining: number | undefined
  /** Until nothing counts any more; undefined where the store does not say, or has failed. */
  readonly resetAfter: Duration.Duration | undefined
}

/**
 * There were too many. As a handler's failure, Effect's HTTP server answers with {@link respond}.
 *
 * @category errors
 * @since 0.1.0
 */
export class RateLimited extends Schema.TaggedError<RateLimited>("effect-ai-gateway/RateLimited")("RateLimited", {
  limit: Schema.Finite,
  /** Until the next call may come. */
  retryAfter: Schema.Duration
}) {
  override get message(): string {
    return `Too many requests: try again in ${seconds(this.retryAfter)} s`
  }

  [HttpServerRespondable.symbol](): Effect.Effect<HttpServerResponse.HttpServerResponse> {
    return Effect.succeed(respond(this))
  }
}

/**
 * A limit that could not be checked: an option is out of its range, or the store failed.
 *
 * @category errors
 * @since 0.1.0
 */
export class RateLimitError extends Schema.TaggedError<RateLimitError>("effect-ai-gateway/RateLimitError")(
  "RateLimitError",
  {
    reason: Schema.Literals(["InvalidOption", "StoreFailed"]),
    description: Schema.String,
    cause: Schema.optional(Schema.Defect())
  }
) {
  override get message(): string {
    return this.description
  }
}

/**
 * Counts one call of the key, or fails with {@link RateLimited} where there were too many.
 *
 * A call that is refused does not count.
 *
 * @category constructors
 * @since 0.1.0
 */
export const check: (
  options: Options
) => Effect.Effect<Allowed, RateLimited | RateLimitError, RateLimitStore> = Effect.fn("RateLimit.check")(
  function*({ algorithm = "sliding", key, limit, onStoreError, window }: Options) {
    if (!Number.isSafeInteger(limit) || limit < 1) return yield* invalid("limit", "an integer of at least 1", limit)
    const duration = Option.getOrUndefined(Duration.fromInput(window))
    if (duration === undefined || !Duration.isFinite(duration) || Duration.toMillis(duration) < 1) {
      return yield* invalid("window", "a finite duration of at least 1 millisecond", window)
    }
    const store = yield* RateLimitStore
    const millis = Math.ceil(Duration.toMillis(duration))
    const taken = yield* store.take({ key, algorithm, limit, window: millis }).pipe(
      Effect.mapError((cause) =>
        new RateLimitError({ reason: "StoreFailed", description: "The rate limit cannot be checked", cause })
      ),
      Effect.catch((error) =>
        onStoreError === "allow"
          ? Effect.as(Effect.logWarning("The rate limit cannot be checked, the call goes on", error.cause), unknown)
          : Effect.fail(error)
      )
    )
    if (!taken.isAllowed) {
      return yield* new RateLimited({ limit, retryAfter: Duration.millis(taken.retryAfter) })
    }
    return {
      limit,
      remaining: taken.remaining,
      resetAfter: taken.resetAfter === undefined ? undefined : Duration.millis(taken.resetAfter)
    }
  }
)

/**
 * The answer to a call that came too often: 429 with `retry-after`, in whole seconds and at least 1, and a JSON body.
 *
 * @category constructors
 * @since 0.1.0
 */
export const respond = (
  error: RateLimited,
  options: { readonly headers?: boolean | undefined } = {}
): HttpServerResponse.HttpServerResponse => {
  const retryAfter = seconds(error.retryAfter)
  return HttpServerResponse.jsonUnsafe(
    { error: { type: "rate_limited", message: error.message, retryAfter } },
    {
      status: 429,
      headers: {
        "retry-after": String(retryAfter),
        ...(options.headers === true ? headers({ limit: error.limit, remaining: 0, resetAfter: error.retryAfter }) : {})
      }
    }
  )
}

/**
 * What an answer says of its limit: `ratelimit-limit`, `ratelimit-remaining`, and `ratelimit-reset` in whole seconds.
 *
 * Source: IETF draft "RateLimit header fields for HTTP" (draft-ietf-httpapi-ratelimit-headers-06).
 *
 * @category constructors
 * @since 0.1.0
 */
export const headers = ({ limit, remaining, resetAfter }: Allowed): { readonly [name: string]: string } => ({
  "ratelimit-limit": String(limit),
  ...(remaining === undefined ? {} : { "ratelimit-remaining": String(remaining) }),
  ...(resetAfter === undefined ? {} : { "ratelimit-reset": String(seconds(resetAfter)) })
})

/**
 * The handler, for those who do not come too often; the others get the answer of {@link respond}.
 *
 * @category combinators
 * @since 0.1.0
 */
export const withLimit: {
  (options: HandlerOptions): <E, R>(
    handler: Effect.Effect<HttpServerResponse.HttpServerResponse, E, R>
  ) => Limited<E, R>
  <E, R>(handler: Effect.Effect<HttpServerResponse.HttpServerResponse, E, R>, options: HandlerOptions): Limited<E, R>
} = dual(
  2,
  <E, R>(
    handler: Effect.Effect<HttpServerResponse.HttpServerResponse, E, R>,
    { headers: saysLimit = false, key = clientAddress, ...limit }: HandlerOptions
  ): Limited<E, R> =>
    HttpServerRequest.HttpServerRequest.pipe(
      Effect.flatMap((request) => check({ ...limit, key: key(request) })),
      Effect.matchEffect({
        onFailure: (error) =>
          error._tag === "RateLimited" ? Effect.succeed(respond(error, { headers: saysLimit })) : Effect.fail(error),
        onSuccess: (allowed) =>
          saysLimit ? Effect.map(handler, HttpServerResponse.setHeaders(headers(allowed))) : handler
      })
    )
)

/**
 * A handler with its limit.
 *
 * @category models
 * @since 0.1.0
 */
export type Limited<E, R> = Effect.Effect<
  HttpServerResponse.HttpServerResponse,
  E | RateLimitError,
  R | HttpServerRequest.HttpServerRequest | RateLimitStore
>

const clientAddress = (request: HttpServerRequest.HttpServerRequest): string =>
  request.headers["cf-connecting-ip"] ?? "unknown"

const unknown: Taken = { isAllowed: true, remaining: undefined, resetAfter: undefined, retryAfter: 0 }

const seconds = (duration: Duration.Duration): number => Math.max(1, Math.ceil(Duration.toSeconds(duration)))

const invalid = (name: string, accepted: string, value: unknown) =>
  new RateLimitError({
    reason: "InvalidOption",
    // JSON has no NaN and no infinity, which are the likeliest mistakes.
    description: `${name} must be ${accepted}. It is ${
      typeof value === "object" && value !== null ? JSON.stringify(value) : String(value)
    }`
  })
