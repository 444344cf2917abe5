import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Database from "../../src/local/Database.ts"
import * as LogFilters from "../../src/local/LogFilters.ts"
import * as LogStore from "../../src/local/LogStore.ts"
import * as LogWriter from "../../src/local/LogWriter.ts"

const account = "0".repeat(32)

const ada: LogStore.LogEntry = {
  id: "ada",
  gateway: "gw",
  createdAt: Date.parse("2026-03-01T00:00:00.000Z"),
  provider: "openai",
  model: "gpt-4o",
  path: "chat/completions",
  duration: 120.5,
  requestType: "Universal",
  requestContentType: "application/json",
  responseContentType: "text/event-stream",
  statusCode: 200,
  success: true,
  cached: false,
  tokensIn: 10,
  tokensOut: 5,
  cost: 0.01,
  customCost: false,
  metadata: { user: "u-1", age: 42, vip: true, "it's": `"; DROP TABLE logs; --` },
  step: 0,
  eventId: "e-1",
  userAgent: "curl/8",
  requestSize: 1,
  responseSize: 1,
  feedback: 1,
  score: 90
}

const bob: LogStore.LogEntry = {
  ...ada,
  id: "bob",
  createdAt: Date.parse("2026-03-02T00:00:00.000Z"),
  provider: "workers-ai",
  model: "@cf/meta/llama",
  duration: 80,
  requestType: "Workers AI Binding",
  requestContentType: null,
  responseContentType: null,
  success: false,
  cached: true,
  tokensIn: 3,
  tokensOut: null,
  cost: 0,
  metadata: { user: "u-2", age: "7", ratio: 0.25 },
  eventId: "e-2",
  userAgent: null,
  feedback: -1
}

const cy: LogStore.LogEntry = {
  ...ada,
  id: "cy",
  createdAt: Date.parse("2026-03-03T00:00:00.000Z"),
  tokensIn: null,
  tokensOut: null,
  metadata: null,
  eventId: "e-3",
  feedback: null
}

const withEntries = <A, E>(use: (logs: LogStore.LogStore["Service"]) => Effect.Effect<A, E>) =>
  Effect.gen(function*() {
    const logs = yield* LogStore.LogStore
    for (const entry of [ada, bob, cy]) {
      yield* logs.append(entry, null, { limit: 10, strategy: "DELETE_OLDEST" })
    }
    return yield* use(logs)
  }).pipe(
    Effect.provide(
      Layer.provide(LogStore.layer(account), LogWriter.layerMemory).pipe(
        Layer.provide(Layer.fresh(Database.layer(Database.memory)))
      ),
      {
        local: true
      }
    )
  )

const selectedBy = (logs: LogStore.LogStore["Service"], query: string) =>
  LogFilters.decode(new URLSearchParams(query)).pipe(
    Effect.flatMap((conditions) =>
      logs.list({ gateway: "gw", page: 1, perPage: 10, orderBy: "created_at", direction: "asc", conditions })
    ),
    Effect.map((_) => _.entries.map((entry) => entry.id).join(" "))
  )

type Filter = readonly [key: string, operator: string, ...values: ReadonlyArray<string | number | boolean | null>]

const asJson = (filters: ReadonlyArray<Filter>) =>
  new URLSearchParams({
    filters: JSON.stringify(filters.map(([key, operator, ...value]) => ({ key, operator, value })))
  }).toString()

const asDotted = (filters: ReadonlyArray<Filter>) =>
  new URLSearchParams(filters.flatMap(([key, operator, ...values]) => [
    ["filters.key", key],
    ["filters.operator", operator],
    ...values.map((value) => ["filters.value", String(value ?? "")])
  ])).toString()

const matches: ReadonlyArray<readonly [expected: string, ...filters: ReadonlyArray<Filter>]> = [
  ["bob", ["id", "eq", "bob"]],
  ["ada cy", ["id", "neq", "bob"]],
  ["ada bob", ["id", "eq", "bob", "ada"]],
  ["cy", ["id", "neq", "bob", "ada"]],
  ["bob", ["id", "contains", "o"]],
  ["bob", ["created_at", "eq", "2026-03-02T00:00:00.000Z"]],
  ["ada cy", ["created_at", "neq", "2026-03-02T01:00:00+01:00"]],
  ["ada", ["created_at", "lt", "2026-03-02"]],
  ["cy", ["created_at", "gt", "2026-03-02T00:00:00Z"]],
  ["ada cy", ["request_content_type", "eq", "application/json"]],
  ["bob", ["request_content_type", "eq", null]],
  ["ada cy", ["response_content_type", "contains", "event-stream"]],
  ["bob", ["request_type", "contains", "Binding"]],
  ["ada cy", ["success", "eq", true]],
  ["bob", ["success", "neq", true]],
  ["bob", ["cached", "eq", true]],
  ["bob", ["provider", "eq", "workers-ai"]],
  ["ada cy", ["model", "contains", "gpt"]],
  ["ada bob cy", ["model_type", "eq", ""]],
  ["", ["model_type", "contains", "t"]],
  ["ada cy", ["cost", "gt", 0.001]],
  ["bob", ["cost", "lt", 0.001]],
  ["bob", ["cost", "eq", 0]],
  ["ada", ["tokens", "eq", 15]],
  ["bob", ["tokens", "lt", 4]],
  ["cy", ["tokens", "eq", null]],
  ["ada", ["tokens_in", "gt", 3]],
  ["bob cy", ["tokens_out", "eq", null]],
  ["ada", ["tokens_out", "neq", null]],
  ["ada cy", ["duration", "gt", 120.4]],
  ["bob", ["feedback", "eq", -1]],
  ["cy", ["feedback", "eq", null]],
  ["bob cy", ["feedback", "neq", 1]],
  ["ada", ["feedback", "gt", 0]],
  ["bob", ["event_id", "eq", "e-2"]],
  ["bob", ["user_agent", "eq", null]],
  ["ada cy", ["user_agent", "contains", "curl"]],
  ["ada", ["metadata.key", "eq", "vip"]],
  ["bob cy", ["metadata.key", "neq", "vip"]],
  ["bob", ["metadata.key", "contains", "rat"]],
  ["ada", ["metadata.key", "eq", "it's"]],
  ["ada", ["metadata.value", "eq", `"; DROP TABLE logs; --`]],
  ["bob", ["metadata.value", "eq", "u-2"]],
  ["ada cy", ["metadata.value", "neq", "u-2"]],
  ["ada bob", ["metadata.value", "contains", "u-"]],
  ["ada", ["metadata.value", "eq", 42]],
  ["bob", ["metadata.value", "eq", 7]],
  ["ada", ["metadata.value", "eq", true]],
  ["", ["metadata.value", "eq", 1]],
  ["ada", ["metadata.value", "gt", 1]],
  ["bob", ["metadata.value", "lt", 0.5]],
  ["ada", ["metadata.key", "eq", "age"], ["metadata.value", "eq", "u-1"]],
  ["", ["success", "eq", true], ["cached", "eq", true]],
  ["cy", ["success", "eq", true], ["feedback", "eq", null], ["cost", "gt", 0]]
]

const refusals: ReadonlyArray<readonly [query: string, path: string, message: string]> = [
  [asJson([["nonsense", "eq", 1]]), "filters.0.key", "expected one of id, created_at"],
  [asJson([["success", "is", true]]), "filters.0.operator", "expected one of eq, neq for success"],
  [asJson([["success", "contains", true]]), "filters.0.operator", "expected one of eq, neq"],
  [asJson([["success", "eq", "true"]]), "filters.0.value.0", "expected true or false for success"],
  [asDotted([["success", "eq", "yes"]]), "filters.0.value.0", "expected true or false for success"],
  [asJson([["cost", "gt", 1], ["cost", "eq", 1, "2"]]), "filters.1.value.1", "expected a number or null for cost"],
  [asDotted([["cost", "gt", "much"]]), "filters.0.value.0", "expected a number for cost"],
  [asJson([["cost", "gt", null]]), "filters.0.value.0", "expected a number for cost"],
  [asJson([["cost", "lt", 1, 2]]), "filters.0.value", "expected one value for lt"],
  [asJson([["created_at", "gt", "yesterday"]]), "filters.0.value.0", "expected an ISO date-time"],
  [asJson([["created_at", "gt", "2026-03-02T00:00:00"]]), "filters.0.value.0", "expected an ISO date-time"],
  [asJson([["metadata.value", "gt", "a"]]), "filters.0.value.0", "expected a number"],
  [asJson([["model", "contains", 4]]), "filters.0.value.0", "expected a text for model"],
  [asJson([["model", "eq"]]), "filters.0.value", "expected at least one value"],
  ["filters.key=model&filters.value=x", "filters.0.operator", "expected one of eq, neq, contains for model"],
  ["filters.operator=eq&filters.value=x", "filters.0.key", "expected one of id"],
  ["filters[0][key]=model", "filters[0][key]", "expected filters.key, filters.operator or filters.value"],
  ["filters={}", "filters.0.key", "expected one of id"],
  ["filters=3", "filters", "expected a JSON array"],
  ["filters=", "filters", "expected a JSON array"],
  ["filters=[1]", "filters.0", "expected an object"],
  [`filters=[{"key":"model","operator":"eq","value":["x"],"not":true}]`, "filters.0.not", "expected key, operator"],
  ["min_cost=cheap", "min_cost", "expected a number for cost"],
  ["start_date=", "start_date", "expected an ISO date-time"],
  [asJson([["id", "eq", ...Array.from({ length: 201 }, String)]]), "filters", "expected at most 200 values"]
]

describe("log filters", () => {
  it.effect("LOG-07: every key and operator lets through what it says, in both spellings", () =>
    withEntries((logs) =>
      Effect.gen(function*() {
        for (const [expected, ...filters] of matches) {
          assert.strictEqual(yield* selectedBy(logs, asJson(filters)), expected, `JSON: ${JSON.stringify(filters)}`)
          assert.strictEqual(yield* selectedBy(logs, asDotted(filters)), expected, `dots: ${JSON.stringify(filters)}`)
        }
      })
    ))

  it.effect("a filter's three names may come in any order, if each filter has the same", () =>
    withEntries((logs) =>
      Effect.gen(function*() {
        const valueFirst = "filters.value=ada&filters.value=bob&filters.operator=eq&filters.key=id" +
          "&filters.value=openai&filters.operator=eq&filters.key=provider"
        assert.strictEqual(yield* selectedBy(logs, valueFirst), "ada")
        const valueBetween = "filters.key=id&filters.value=ada&filters.value=cy&filters.operator=eq" +
          "&filters.key=feedback&filters.value=1&filters.operator=eq"
        assert.strictEqual(yield* selectedBy(logs, valueBetween), "ada")
      })
    ))

  it.effect("both spellings at once are and-ed, and one value needs no list", () =>
    withEntries((logs) =>
      Effect.gen(function*() {
        const both = `${asDotted([["success", "eq", true]])}&filters=${
          encodeURIComponent(`[{"key":"feedback","operator":"eq","value":1}]`)
        }`
        assert.strictEqual(yield* selectedBy(logs, both), "ada")
      })
    ))

  it.effect("the flat parameters of before filter, too, with their bounds included", () =>
    withEntries((logs) =>
      Effect.gen(function*() {
        const queries: ReadonlyArray<readonly [string, string]> = [
          ["start_date=2026-03-02T00:00:00Z", "bob cy"],
          ["end_date=2026-03-02T00:00:00Z", "ada bob"],
          ["provider=openai&feedback=1", "ada"],
          ["cached=true", "bob"],
          ["min_cost=0.01", "ada cy"],
          ["max_duration=80", "bob"],
          ["min_total_tokens=3&max_total_tokens=15", "ada bob"],
          ["max_tokens_in=3", "bob"],
          ["model=gpt-4o&response_content_type=text/event-stream", "ada cy"]
        ]
        for (const [query, expected] of queries) assert.strictEqual(yield* selectedBy(logs, query), expected, query)
      })
    ))

  it.effect("what is not understood is refused with its place in the query, never ignored", () =>
    Effect.gen(function*() {
      for (const [query, path, message] of refusals) {
        const error = yield* Effect.flip(LogFilters.decode(new URLSearchParams(query)))
        assert.strictEqual(error.status, 400, query)
        assert.strictEqual(error.errors.length, 1, query)
        assert.strictEqual(error.errors[0]?.path?.join("."), `query.${path}`, query)
        assert.include(error.errors[0]?.message, message)
      }
    }))

  it.effect("every problem of a query is told at once", () =>
    Effect.gen(function*() {
      const query = asJson([["success", "gt", true], ["nonsense", "eq", 1], ["cost", "eq", "a", "b"]])
      const error = yield* Effect.flip(LogFilters.decode(new URLSearchParams(query)))
      assert.deepStrictEqual(error.errors.map((_) => _.path?.slice(2)), [
        [0, "operator"],
        [1, "key"],
        [2, "value", 0],
        [2, "value", 1]
      ])
    }))

  it.effect("what Cloudflare records and the local gateway does not is refused, not an empty list", () =>
    Effect.gen(function*() {
      for (const key of ["authentication", "wholesale", "compatibilityMode", "dlp_action"]) {
        const error = yield* Effect.flip(LogFilters.decode(new URLSearchParams(asJson([[key, "eq", true]]))))
        assert.include(error.message, `${key} is not recorded by the local gateway`)
        assert.deepStrictEqual(error.errors[0]?.path, ["query", "filters", 0, "key"])
      }
    }))

  it.effect("the greatest number of values that is taken is answered", () =>
    withEntries((logs) =>
      Effect.gen(function*() {
        const many = Array.from({ length: LogFilters.maxValues - 1 }, (_, i) => 1000 + i)
        assert.strictEqual(yield* selectedBy(logs, asJson([["metadata.value", "eq", ...many, "u-2"]])), "bob")
        const filters = [...many.map((n): Filter => ["metadata.value", "neq", n]), ["id", "eq", "ada"]] as const
        assert.strictEqual(yield* selectedBy(logs, asJson(filters)), "ada")
      })
    ))
})
