/**
 * How log entries get into their tables; also what the thread runs that writes them, so this imports nothing.
 *
 * @since 0.1.0
 */

/**
 * An entry on its way to the tables.
 *
 * @category models
 * @since 0.1.0
 */
export interface Append {
  readonly account: string
  readonly gateway: string
  /** In the order of {@link columns}. */
  readonly values: ReadonlyArray<string | number | null>
  readonly bodies: { readonly request: string; readonly response: string } | null
  readonly cap: { readonly limit: number; readonly strategy: "STOP_INSERTING" | "DELETE_OLDEST" }
}

/**
 * The columns of an entry.
 *
 * @category constants
 * @since 0.1.0
 */
export const columns = [
  "account",
  "id",
  "gateway",
  "created_at",
  "provider",
  "model",
  "path",
  "duration",
  "request_type",
  "request_content_type",
  "response_content_type",
  "status_code",
  "success",
  "cached",
  "tokens_in",
  "tokens_out",
  "cost",
  "custom_cost",
  "metadata",
  "step",
  "event_id",
  "user_agent",
  "request_size",
  "response_size",
  "feedback",
  "score"
] as const

const ofGateway = "account = ? AND gateway = ?"

/**
 * The statements of a transaction that appends.
 *
 * @category constants
 * @since 0.1.0
 */
export const statements = {
  /** Takes the lock: a transaction that starts by reading cannot wait for another process's write. */
  lock: "UPDATE log_counts SET n = n WHERE 0",
  count: `SELECT n FROM log_counts WHERE ${ofGateway}`,
  entry: `INSERT INTO logs (${columns.join(", ")}) VALUES (${columns.map(() => "?").join(", ")})`,
  /** Right after the entry's own. */
  bodies: "INSERT INTO log_texts (seq, request, response) VALUES (last_insert_rowid(), ?, ?)",
  trim: `DELETE FROM logs WHERE seq IN (SELECT seq FROM logs WHERE ${ofGateway} ORDER BY seq LIMIT max(0, (
    SELECT n FROM log_counts WHERE ${ofGateway}) - ?))`
} as const

/**
 * Which gateways of a batch have to lose their oldest entries when it is in, each with its newest cap.
 *
 * @category getters
 * @since 0.1.0
 */
export const trims = (batch: ReadonlyArray<Append>): ReadonlyArray<ReadonlyArray<string | number>> => {
  const newest = new Map<string, Append>()
  for (const append of batch) {
    if (append.cap.strategy === "DELETE_OLDEST") newest.set(`${append.account}/${append.gateway}`, append)
  }
  return [...newest.values()].map(({ account, cap, gateway }) => [account, gateway, account, gateway, cap.limit])
}
