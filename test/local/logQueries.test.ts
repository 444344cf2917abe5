import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as SqlClient from "effect/unstable/sql/SqlClient"
import * as fc from "fast-check"
import * as Database from "../../src/local/Database.ts"
import type * as LogQueries from "../../src/local/LogQueries.ts"
import * as LogStore from "../../src/local/LogStore.ts"
import * as LogWriter from "../../src/local/LogWriter.ts"

const account = "0".repeat(32)
const cap: LogStore.Cap = { limit: 100_000, strategy: "DELETE_OLDEST" }
const store = Layer.provide(LogStore.layer(account), LogWriter.layer(Database.memory)).pipe(
  Layer.provideMerge(Layer.fresh(Database.layer(Database.memory)))
)

const base: LogStore.LogEntry = {
  id: "1",
  gateway: "a",
  createdAt: 0,
  provider: "openai",
  model: "m1",
  path: "p",
  duration: 1,
  requestType: "Provider",
  requestContentType: null,
  responseContentType: null,
  statusCode: 200,
  success: true,
  cached: false,
  tokensIn: 1,
  tokensOut: 1,
  cost: 0.5,
  customCost: false,
  metadata: null,
  step: 0,
  eventId: "1",
  userAgent: null,
  requestSize: 0,
  responseSize: 0,
  feedback: null,
  score: null
}

const entries: fc.Arbitrary<ReadonlyArray<LogStore.LogEntry>> = fc.array(
  fc.record({
    gateway: fc.constantFrom("a", "b"),
    createdAt: fc.integer({ min: 0, max: 10_000 }),
    provider: fc.constantFrom("openai", "anthropic"),
    model: fc.constantFrom("m1", "m2", "<b>"),
    duration: fc.integer({ min: 0, max: 40 }),
    statusCode: fc.constantFrom(200, 201, 429, 500),
    isCut: fc.boolean(),
    cached: fc.boolean(),
    tokensIn: fc.option(fc.integer({ min: 0, max: 99 })),
    tokensOut: fc.option(fc.integer({ min: 0, max: 99 })),
    cost: fc.option(fc.integer({ min: 0, max: 99 })),
    metadata: fc.option(fc.dictionary(
      fc.constantFrom("user", "n", "flag"),
      fc.constantFrom<string | number | boolean>("u1", 1, 1.5, true, "true", "1", 1e21),
      { maxKeys: 3 }
    ))
  }),
  { maxLength: 40 }
).map((all) =>
  all.map(({ isCut, ...one }, i) => ({
    ...base,
    ...one,
    id: String(i),
    eventId: String(i),
    success: one.statusCode < 300 && !isCut
  }))
)

const optional = <A>(one: fc.Arbitrary<A>) => fc.option(one, { nil: undefined })

const queries: fc.Arbitrary<LogQueries.Query> = fc.record({
  gateway: optional(fc.constantFrom("a", "b", "none")),
  provider: optional(fc.constantFrom("openai", "none")),
  model: optional(fc.constantFrom("m1", "<b>")),
  status: optional(fc.constantFrom<NonNullable<LogQueries.Query["status"]>>("success", "failure", 200, 429)),
  cached: optional(fc.boolean()),
  label: fc.record({
    key: optional(fc.constantFrom("user", "n")),
    value: optional(fc.constantFrom("u1", "1", "1.50", "true", "1e21"))
  })
})

/** What the SQL says, said once more in the plainest way. */
const matches = (query: LogQueries.Query) => (entry: LogStore.LogEntry): boolean => {
  const { key, value } = query.label ?? {}
  const labels = Object.entries(entry.metadata ?? {})
  const same = (one: string | number | boolean) =>
    String(one) === value || (typeof one === "number" && one === Number(value)) ||
    (typeof one === "string" && /^[\d.]+$/.test(one) && /^[\d.]+$/.test(value ?? "") && one === String(Number(value)))
  return (query.gateway === undefined || entry.gateway === query.gateway) &&
    (query.provider === undefined || entry.provider === query.provider) &&
    (query.model === undefined || entry.model === query.model) &&
    (query.status === undefined || entry.statusCode === query.status ||
      (query.status === "success" && entry.success) || (query.status === "failure" && !entry.success)) &&
    (query.cached === undefined || entry.cached === query.cached) &&
    ((key === undefined && value === undefined) ||
      labels.some(([k, v]) => (key === undefined || k === key) && (value === undefined || same(v))))
}

const rank = (sorted: ReadonlyArray<number>, percent: number) =>
  sorted[Math.ceil(sorted.length * percent / 100) - 1] ?? null

const sums = (some: ReadonlyArray<LogStore.LogEntry>): LogQueries.Sums => {
  const of = (field: (entry: LogStore.LogEntry) => number | null) => some.reduce((n, one) => n + (field(one) ?? 0), 0)
  const sorted = some.map(({ duration }) => duration).sort((a, b) => a - b)
  return {
    requests: some.length,
    failures: of((_) => _.success ? 0 : 1),
    cached: of((_) => _.cached ? 1 : 0),
    tokensIn: of((_) => _.tokensIn),
    tokensOut: of((_) => _.tokensOut),
    cost: of((_) => _.cost),
    p50: rank(sorted, 50),
    p95: rank(sorted, 95)
  }
}

const withEntries = <A>(
  all: ReadonlyArray<LogStore.LogEntry>,
  use: (logs: LogStore.LogStore["Service"]) => Effect.Effect<A>
) =>
  Effect.gen(function*() {
    const logs = yield* LogStore.LogStore
    for (const one of all) yield* logs.append(one, null, cap)
    return yield* use(logs)
  }).pipe(Effect.provide(store, { local: true }))

describe("the log page's queries", () => {
  it.live(
    "give totals, parts and percentiles as a plain computation does, whatever the filters",
    () =>
      Effect.promise(() =>
        fc.assert(
          fc.asyncProperty(entries, queries, fc.integer({ min: 1, max: 7 }), (all, query, parts) =>
            Effect.runPromise(withEntries(all, (logs) =>
              Effect.gen(function*() {
                const wanted = all.filter(matches(query))
                const totals = yield* logs.totals(query, { from: 2000, to: 9000, parts })
                const within = (from: number, to: number) =>
                  wanted.filter(({ createdAt }) => createdAt >= from && createdAt < to)
                assert.deepStrictEqual(totals.whole, sums(within(2000, 9000)))
                const width = Math.ceil(7000 / parts)
                assert.deepStrictEqual(
                  totals.parts,
                  Array.from({ length: Math.ceil(7000 / width) }, (_, i) => {
                    const from = 2000 + i * width
                    return { from, ...sums(within(from, Math.min(from + width, 9000))) }
                  })
                )
                const whole = yield* logs.totals(query, { to: 10_001, parts })
                assert.deepStrictEqual(whole.whole, sums(wanted))
              })))),
          { numRuns: 60 }
        )
      ),
    60_000
  )

  it.live("list newest first from place to place, and miss or repeat nothing", () =>
    Effect.promise(() =>
      fc.assert(
        fc.asyncProperty(entries, queries, (all, query) =>
          Effect.runPromise(withEntries(all, (logs) =>
            Effect.gen(function*() {
              const wanted = all.filter(matches(query)).map(({ id }) => id).toReversed()
              const read: Array<string> = []
              let before: number | undefined
              for (;;) {
                const page = yield* logs.newest(query, { before, limit: 3 })
                read.push(...page.map(({ entry }) =>
                  entry.id
                ))
                before = page.at(-1)?.place
                if (page.length < 3) break
              }
              assert.deepStrictEqual(read, wanted)
              const [, second] = yield* logs.newest({}, { limit: 2 })
              if (second === undefined) return
              const later = yield* logs.newest(query, { after: second.place, limit: 3 })
              assert.deepStrictEqual(
                later.map(({ entry }) => entry.id),
                wanted.filter((id) => id === all.at(-1)?.id)
              )
            })))),
        { numRuns: 60 }
      )
    ), 60_000)

  it.live("name the providers and models that there are", () =>
    withEntries([
      base,
      { ...base, id: "2", model: "m2" },
      { ...base, id: "3", gateway: "b", provider: "anthropic", model: "m3" }
    ], (logs) =>
      Effect.gen(function*() {
        assert.deepStrictEqual(yield* logs.names(undefined), {
          providers: ["anthropic", "openai"],
          models: ["m1", "m2", "m3"]
        })
        assert.deepStrictEqual(yield* logs.names("b"), { providers: ["anthropic"], models: ["m3"] })
        assert.deepStrictEqual(yield* logs.names("none"), { providers: [], models: [] })
      })))

  it.live("forget the labels of metadata that was changed, and of entries that made room", () =>
    withEntries([{ ...base, metadata: { user: "u1" } }], (logs) =>
      Effect.gen(function*() {
        const found = (value: string) =>
          Effect.map(logs.newest({ label: { key: "user", value } }, { limit: 9 }), (_) => _.length)
        assert.strictEqual(yield* found("u1"), 1)
        yield* logs.patch("a", "1", { metadata: { user: "u2" } })
        assert.deepStrictEqual([yield* found("u1"), yield* found("u2")], [0, 1])
        yield* logs.patch("a", "1", { metadata: null })
        assert.strictEqual(yield* found("u2"), 0)
        yield* logs.append({ ...base, id: "2", metadata: { user: "u3" } }, null, { ...cap, limit: 1 })
        yield* logs.append({ ...base, id: "3" }, null, { ...cap, limit: 1 })
        assert.strictEqual(yield* found("u3"), 0)
      })))

  it.live("find the entries of a label that nearly all have, by any of its filters", () =>
    withEntries(
      Array.from({ length: 5200 }, (_, i) => ({
        ...base,
        id: String(i),
        gateway: i % 2 === 0 ? "a" : "b",
        model: i === 70 ? "rare" : "m1",
        metadata: { tier: i % 100 === 1 ? "free" : "pro" }
      })),
      (logs) =>
        Effect.gen(function*() {
          const found = (query: LogQueries.Query) =>
            Effect.map(logs.newest(query, { limit: 3 }), (_) => _.map(({ entry }) => entry.id))
          const newest = ["5199", "5198", "5197"]
          assert.deepStrictEqual(yield* found({ label: { value: "pro" } }), newest)
          assert.deepStrictEqual(yield* found({ label: { key: "tier", value: "pro" } }), newest)
          assert.deepStrictEqual(yield* found({ label: { key: "tier" }, cached: false }), newest)
          assert.deepStrictEqual(yield* found({ label: { key: "tier", value: "pro" }, model: "rare" }), ["70"])
          assert.deepStrictEqual(yield* found({ label: { key: "tier", value: "free" } }), ["5101", "5001", "4901"])
          assert.deepStrictEqual(yield* found({ label: { value: "pro" }, gateway: "b" }), ["5199", "5197", "5195"])
        })
    ))

  it.effect("search a log of millions by its indexes, never row by row", () =>
    Effect.gen(function*() {
      const sql = yield* SqlClient.SqlClient
      const plan = Effect.fnUntraced(function*(condition: string) {
        const rows = yield* sql<{ readonly detail: string }>`EXPLAIN QUERY PLAN SELECT * FROM logs WHERE account = 'x'
          AND gateway = 'y' AND ${sql.literal(condition)} AND seq < 9 ORDER BY seq DESC LIMIT 50`
        return rows.map(({ detail }) => detail).join("; ")
      })
      for (
        const [condition, index] of [
          ["model = 'm'", "logs_model"],
          ["provider = 'p'", "logs_provider"],
          ["success = 0", "logs_success"],
          ["status_code = 500 AND success = 0", "logs_success"],
          ["cached = 1", "logs_cached"]
        ] as const
      ) {
        const detail = yield* plan(condition)
        assert.match(detail, new RegExp(`^SEARCH logs USING INDEX ${index} .*seq<\\?`))
        assert.notInclude(detail, "TEMP B-TREE", "the index has the order of the log")
      }
    }).pipe(Effect.provide(Database.layer(Database.memory))))
})
