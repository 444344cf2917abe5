/**
 * A log entry as a row of the table `logs`.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type { Append } from "./logInserts.ts"
import type { LogEntry } from "./LogStore.ts"

const Flag = Schema.Literals([0, 1])

const Row = Schema.Struct({
  id: Schema.String,
  gateway: Schema.String,
  created_at: Schema.Number,
  provider: Schema.String,
  model: Schema.String,
  path: Schema.String,
  duration: Schema.Number,
  request_type: Schema.String,
  request_content_type: Schema.NullOr(Schema.String),
  response_content_type: Schema.NullOr(Schema.String),
  status_code: Schema.Number,
  success: Flag,
  cached: Flag,
  tokens_in: Schema.NullOr(Schema.Number),
  tokens_out: Schema.NullOr(Schema.Number),
  cost: Schema.NullOr(Schema.Number),
  custom_cost: Flag,
  metadata: Schema.NullOr(
    Schema.fromJsonString(
      Schema.Record(Schema.String, Schema.Union([Schema.String, Schema.Number, Schema.Boolean]))
    )
  ),
  step: Schema.Number,
  event_id: Schema.String,
  user_agent: Schema.NullOr(Schema.String),
  request_size: Schema.Number,
  response_size: Schema.Number,
  feedback: Schema.NullOr(Schema.Number),
  score: Schema.NullOr(Schema.Number)
})

const decodeRow = Schema.decodeUnknownEffect(Row)

/**
 * Reads a row; one that is no entry is a mistake of the store.
 *
 * @category decoding
 * @since 0.1.0
 */
export const fromRow = (row: unknown) =>
  Effect.map(decodeRow(row), (row): LogEntry => ({
    id: row.id,
    gateway: row.gateway,
    createdAt: row.created_at,
    provider: row.provider,
    model: row.model,
    path: row.path,
    duration: row.duration,
    requestType: row.request_type,
    requestContentType: row.request_content_type,
    responseContentType: row.response_content_type,
    statusCode: row.status_code,
    success: row.success === 1,
    cached: row.cached === 1,
    tokensIn: row.tokens_in,
    tokensOut: row.tokens_out,
    cost: row.cost,
    customCost: row.custom_cost === 1,
    metadata: row.metadata,
    step: row.step,
    eventId: row.event_id,
    userAgent: row.user_agent,
    requestSize: row.request_size,
    responseSize: row.response_size,
    feedback: row.feedback,
    score: row.score
  }))

/**
 * The values of an entry, in the order of the columns.
 *
 * @category encoding
 * @since 0.1.0
 */
export const toValues = (account: string, entry: LogEntry): Append["values"] => [
  account,
  entry.id,
  entry.gateway,
  entry.createdAt,
  entry.provider,
  entry.model,
  entry.path,
  entry.duration,
  entry.requestType,
  entry.requestContentType,
  entry.responseContentType,
  entry.statusCode,
  entry.success ? 1 : 0,
  entry.cached ? 1 : 0,
  entry.tokensIn,
  entry.tokensOut,
  entry.cost,
  entry.customCost ? 1 : 0,
  entry.metadata === null ? null : JSON.stringify(entry.metadata),
  entry.step,
  entry.eventId,
  entry.userAgent,
  entry.requestSize,
  entry.responseSize,
  entry.feedback,
  entry.score
]
