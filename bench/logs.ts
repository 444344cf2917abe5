/**
 * Pages of a log of a million entries, through the management API and the log page, beside those of an empty one.
 *
 * `node bench/logs.ts [entries] [rounds]`; every page is asked for in turn from both gateways, medians are printed.
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import { mkdtempSync, rmSync, statSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { DatabaseSync } from "node:sqlite"
import * as Database from "../src/local/Database.ts"
import { LocalGateway } from "../src/local/index.ts"
import { columns, statements } from "../src/local/logInserts.ts"

const account = "0".repeat(32)
const [entries = 1_000_000, rounds = 11] = process.argv.slice(2).map(Number)

/** Entries as a busy week leaves them: twelve models, a few failures, hits, and labels of five thousand users. */
const fill = (file: string, n: number) => {
  const db = new DatabaseSync(file)
  db.exec("PRAGMA synchronous = OFF; PRAGMA cache_size = -262144")
  const entry = db.prepare(statements.entry)
  const bodies = db.prepare(statements.bodies)
  const labels = db.prepare(statements.labels)
  db.exec("BEGIN")
  const start = Date.now() - 7 * 24 * 3600 * 1000
  for (let i = 0; i < n; i++) {
    if (i % 10_000 === 0) db.exec("COMMIT; BEGIN")
    const at = start + Math.floor((i / n) * 7 * 24 * 3600 * 1000)
    const id =
      `${at.toString(16).padStart(12, "0").replace(/^(.{8})/, "$1-")}-7${(i % 4096).toString(16).padStart(3, "0")}-` +
      `8000-${i.toString(16).padStart(12, "0")}`
    const failed = i % 41 === 0
    const values: { readonly [column in typeof columns[number]]: string | number | null } = {
      account,
      id,
      gateway: "busy",
      created_at: at,
      provider: ["openai", "anthropic", "workers-ai"][i % 3] ?? "openai",
      model: `model-${(i * 7) % 12}`,
      path: "chat/completions",
      duration: 200 + (i * 37) % 4000,
      request_type: "Provider",
      request_content_type: "application/json",
      response_content_type: "application/json",
      status_code: failed ? 429 : 200,
      success: failed ? 0 : 1,
      cached: i % 9 === 0 ? 1 : 0,
      tokens_in: (i * 13) % 900,
      tokens_out: (i * 31) % 700,
      cost: (i % 1000) / 100_000,
      custom_cost: 0,
      metadata: JSON.stringify({ user: `u-${(i * 101) % 5000}`, team: i % 500 === 0 ? "rare" : "common" }),
      step: 0,
      event_id: id,
      user_agent: "bench",
      request_size: 900,
      response_size: 1200,
      feedback: i % 1000 === 0 ? 1 : null,
      score: null
    }
    entry.run(...columns.map((column) => values[column]))
    bodies.run("{\"prompt\":\"why\"}", "{\"response\":\"so\"}")
    labels.run(values.metadata)
  }
  db.prepare(statements.counted).run(account, "busy", n)
  db.exec("COMMIT")
  db.close()
}

const filter = (key: string, operator: string, value: unknown) =>
  `&filters=${encodeURIComponent(JSON.stringify([{ key, operator, value: [value] }]))}`

const pages: ReadonlyArray<readonly [string, string]> = [
  ["no filter, newest", ""],
  ["model", filter("model", "eq", "model-3")],
  ["a model that nobody used", filter("model", "eq", "none")],
  ["provider", filter("provider", "eq", "anthropic")],
  ["failures", filter("success", "eq", false)],
  ["hits of the cache", filter("cached", "eq", true)],
  ["one user", filter("metadata.value", "eq", "u-77")],
  ["a rare label", filter("metadata.value", "eq", "rare")],
  ["one event", filter("event_id", "eq", "none")],
  ["cost above (reads all)", filter("cost", "gt", 0.0099)],
  ["part of a model's name (reads all)", filter("model", "contains", "-11")]
]

const median = (values: ReadonlyArray<number>) => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0

const main = Effect.gen(function*() {
  const folder = yield* Effect.acquireRelease(
    Effect.sync(() => mkdtempSync(join(tmpdir(), "bench-logs-"))),
    (folder) => Effect.sync(() => rmSync(folder, { recursive: true }))
  )
  const gatewayWith = Effect.fn(function*(n: number) {
    const store = join(folder, `${n}.db`)
    yield* Effect.scoped(Layer.build(Database.layer(store)))
    const started = performance.now()
    fill(store, n)
    if (n > 0) {
      console.log(
        `${n.toLocaleString("en")} entries, ${(statSync(store).size / 2 ** 20).toFixed(0)} MiB, made in ` +
          `${((performance.now() - started) / 1000).toFixed(0)} s`
      )
    }
    const gateway = yield* LocalGateway.make({ store })
    const base = `${gateway.url}/client/v4/accounts/${account}/ai-gateway/gateways`
    const headers = { authorization: `Bearer ${Redacted.value(gateway.token)}` }
    yield* Effect.promise(() =>
      fetch(base, {
        method: "POST",
        headers,
        body: JSON.stringify({
          id: "busy",
          cache_ttl: null,
          cache_invalidate_on_update: false,
          collect_logs: true,
          rate_limiting_interval: null,
          rate_limiting_limit: null
        })
      })
    )
    return async (query: string) => {
      const asked = performance.now()
      const response = await fetch(`${base}/busy/logs?per_page=50${query}`, { headers })
      const { result_info: { total_count: total } }: { readonly result_info: { readonly total_count: number } } =
        await response.json()
      return { total, took: performance.now() - asked }
    }
  })
  const empty = yield* gatewayWith(0)
  const full = yield* gatewayWith(entries)
  console.log("\na page of 50                           of so many      full      empty   ratio")
  for (const [name, query] of pages) {
    const took: { readonly full: Array<number>; readonly empty: Array<number> } = { full: [], empty: [] }
    let total = 0
    for (let round = 0; round < rounds; round++) {
      took.empty.push((yield* Effect.promise(() => empty(query))).took)
      const page = yield* Effect.promise(() => full(query))
      took.full.push(page.took)
      total = page.total
    }
    const [a, b] = [median(took.full), median(took.empty)]
    console.log(
      `${name.padEnd(36)} ${total.toLocaleString("en").padStart(12)} ${a.toFixed(1).padStart(7)} ms ${
        b.toFixed(1).padStart(7)
      } ms ${(a / b).toFixed(1).padStart(7)}${a > 100 ? "  MORE THAN 100 ms" : ""}`
    )
  }
})

await Effect.runPromise(Effect.scoped(main))
