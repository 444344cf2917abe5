/**
 * How log entries get into their tables; also what the thread runs that writes them, so this imports nothing.
 *
 * Labels and counts have statements of their own, and no triggers: an insert with a trigger may have to be undone by
 * itself, so SQLite keeps a copy of every page it changes, which takes as long as the insert.
 *
 * @since 0.1.0
 */

/**
 * An entry on its way to the tables: flat, since all of it is copied to the thread that writes it.
 *
 * @category models
 * @since 0.1.0
 */
export interface Append {
  /** In the order of {@link columns}. */
  readonly values: ReadonlyArray<string | number | null>
  /** What was asked and answered, both or none. */
  readonly request: string | null
  readonly response: string | null
  readonly limit: number
  readonly strategy: "STOP_INSERTING" | "DELETE_OLDEST"
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
 * A label's value as text: `json_each` has numbers for true and false.
 *
 * @category constants
 * @since 0.1.0
 */
export const labelText = "CASE type WHEN 'true' THEN 'true' WHEN 'false' THEN 'false' ELSE CAST(value AS TEXT) END"

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
  /** Right after the entry's own, as the labels. */
  bodies: "INSERT INTO log_texts (seq, request, response) VALUES (last_insert_rowid(), ?, ?)",
  labels: `INSERT OR IGNORE INTO log_labels (value, key, seq)
    SELECT ${labelText}, key, last_insert_rowid() FROM json_each(?)`,
  counted: `INSERT INTO log_counts (account, gateway, n) VALUES (?, ?, ?)
    ON CONFLICT (account, gateway) DO UPDATE SET n = n + excluded.n`,
  trim: `DELETE FROM logs WHERE seq IN (SELECT seq FROM logs WHERE ${ofGateway} ORDER BY seq LIMIT max(0, (
    SELECT n FROM log_counts WHERE ${ofGateway}) - ?))`
} as const

/**
 * The metadata of an entry as JSON, or null.
 *
 * @category getters
 * @since 0.1.0
 */
export const labelsOf = ({ values }: Append): string | number | null => values[metadata] ?? null

const metadata = columns.indexOf("metadata")

/**
 * Account and gateway of an entry.
 *
 * @category getters
 * @since 0.1.0
 */
export const placeOf = ({ values }: Append): readonly [account: string, gateway: string] => [
  String(values[account]),
  String(values[gateway])
]

const account = columns.indexOf("account")
const gateway = columns.indexOf("gateway")

/**
 * A batch while it is written: what each of its gateways has got, and what that is to do at the end of the transaction.
 *
 * @category constructors
 * @since 0.1.0
 */
export const tally = () => {
  const gateways = new Map<string, { n: number; last: Append }>()
  const of = (append: Append) => {
    const name = placeOf(append).join("/")
    const found = gateways.get(name) ?? { n: 0, last: append }
    gateways.set(name, found)
    return found
  }
  return {
    /** Whether the entry has its place; `stored`: as many as its gateway had before the batch. */
    admits: (append: Append, stored: () => number): boolean =>
      append.strategy !== "STOP_INSERTING" || stored() + of(append).n < append.limit,
    add: (append: Append): void => {
      const found = of(append)
      found.n++
      found.last = append
    },
    /** Values of `counted`, and those of `trim` for gateways that lose their oldest, by their newest cap. */
    end: () =>
      [...gateways.values()].filter(({ n }) => n > 0).map(({ last, n }) => {
        const place = placeOf(last)
        return {
          counted: [...place, n],
          trim: last.strategy === "DELETE_OLDEST" ? [...place, ...place, last.limit] : undefined
        }
      })
  }
}
