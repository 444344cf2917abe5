/**
 * One entry of a gateway's log, and the feedback that can be attached to it.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"

const Null = <S extends Schema.Top>(schema: S) => Schema.optional(Schema.NullOr(schema))

const Metadata = Schema.Record(Schema.String, Schema.Union([Schema.String, Schema.Number, Schema.Boolean, Schema.Null]))

/**
 * A log entry as the gateway answers it; fields it does not know are absent or `null`.
 *
 * Source: Cloudflare's API reference of AI Gateway logs, and `AiGatewayLog` of the Workers types. The binding gives
 * `created_at` as a `Date`, HTTP as a text; some answers have `metadata` as JSON text.
 *
 * @category models
 * @since 0.1.0
 */
export const GatewayLog = Schema.Struct({
  id: Schema.String,
  createdAt: Schema.Union([Schema.Date, Schema.DateFromString]),
  provider: Schema.String,
  model: Schema.String,
  path: Null(Schema.String),
  /** Milliseconds. */
  duration: Null(Schema.Number),
  statusCode: Null(Schema.Number),
  success: Null(Schema.Boolean),
  cached: Null(Schema.Boolean),
  tokensIn: Null(Schema.Number),
  tokensOut: Null(Schema.Number),
  /** US dollars. */
  cost: Null(Schema.Number),
  step: Null(Schema.Number),
  metadata: Null(Schema.Union([Metadata, Schema.fromJsonString(Metadata)])),
  requestHead: Null(Schema.String),
  responseHead: Null(Schema.String)
}).pipe(Schema.encodeKeys({
  createdAt: "created_at",
  statusCode: "status_code",
  tokensIn: "tokens_in",
  tokensOut: "tokens_out",
  requestHead: "request_head",
  responseHead: "response_head"
}))

/**
 * @category models
 * @since 0.1.0
 */
export type GatewayLog = typeof GatewayLog.Type

/**
 * What a user thought of an answer; fields left out keep their value, `null` clears one.
 *
 * @category models
 * @since 0.1.0
 */
export const Feedback = Schema.Struct({
  /** 1 is good, -1 is bad. */
  feedback: Schema.optional(Schema.NullOr(Schema.Literals([-1, 0, 1]))),
  /** 0 to 100. */
  score: Schema.optional(Schema.NullOr(Schema.Finite.check(Schema.isBetween({ minimum: 0, maximum: 100 })))),
  metadata: Schema.optional(
    Schema.NullOr(Schema.Record(Schema.String, Schema.Union([Schema.String, Schema.Finite, Schema.Boolean])))
  )
})

/**
 * @category models
 * @since 0.1.0
 */
export type Feedback = typeof Feedback.Type
