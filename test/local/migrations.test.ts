import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import { DatabaseSync } from "node:sqlite"
import * as Database from "../../src/local/Database.ts"
import * as LogStore from "../../src/local/LogStore.ts"
import * as LogWriter from "../../src/local/LogWriter.ts"
import { temporaryFile } from "./temporaryFile.ts"

const account = "0".repeat(32)

const entry: LogStore.LogEntry = {
  id: "1",
  gateway: "gw",
  createdAt: 0,
  provider: "openai",
  model: "m",
  path: "p",
  duration: 1.5,
  requestType: "Provider",
  requestContentType: null,
  responseContentType: null,
  statusCode: 200,
  success: true,
  cached: false,
  tokensIn: 1,
  tokensOut: null,
  cost: 0.5,
  customCost: false,
  metadata: null,
  step: 0,
  eventId: "1",
  userAgent: null,
  requestSize: 2,
  responseSize: 3,
  feedback: null,
  score: null
}
const cap: LogStore.Cap = { limit: 2, strategy: "DELETE_OLDEST" }

const withLogs = <A, E>(file: string, use: (logs: LogStore.LogStore["Service"]) => Effect.Effect<A, E>) =>
  Effect.flatMap(LogStore.LogStore, use).pipe(
    Effect.provide(
      Layer.provide(LogStore.layer(account), LogWriter.layerMemory).pipe(
        Layer.provide(Layer.fresh(Database.layer(file)))
      ),
      { local: true }
    )
  )

describe("a database of a newer version", () => {
  it.effect("is left as it is, and named with what to do", () =>
    Effect.gen(function*() {
      const file = yield* temporaryFile
      yield* withLogs(file, (logs) => logs.append(entry, null, cap))
      const newer = new DatabaseSync(file)
      newer.exec("INSERT INTO migrations (migration_id, name) VALUES (1000, 'of_tomorrow')")
      newer.close()
      const error = yield* Effect.flip(withLogs(file, (logs) => logs.append({ ...entry, id: "2" }, null, cap)))
      assert.strictEqual(error._tag, "StoreUnavailable")
      assert.include(error.message, file)
      assert.match(error.message, /a newer version of effect-ai-gateway .* version 1000; this one knows \d+/)
      assert.include(error.message, "choose another file")
    }))
})

describe("a database of before", () => {
  it.effect("keeps its logs, bodies, counts and caps, and takes costs that nobody knows", () =>
    Effect.gen(function*() {
      const file = yield* temporaryFile
      const first: LogStore.LogEntry = { ...entry, metadata: { user: "u-1" } }
      yield* withLogs(file, (logs) => logs.append(first, { request: "q", response: "a" }, cap))
      // As the third migration left it.
      const old = new DatabaseSync(file)
      old.exec(
        `DELETE FROM migrations WHERE migration_id > 3; DROP TABLE log_labels;
         CREATE TABLE log_bodies (id TEXT PRIMARY KEY, request TEXT NOT NULL, response TEXT NOT NULL) WITHOUT ROWID;
         INSERT INTO log_bodies SELECT id, request, response FROM log_texts JOIN logs USING (seq); DROP TABLE log_texts`
      )
      const table = String(old.prepare("SELECT sql FROM sqlite_master WHERE name = 'logs'").get()?.["sql"])
      const triggers = old.prepare(
        "SELECT sql FROM sqlite_master WHERE name IN ('logs_newest', 'logs_removed')"
      ).all()
      const before = table.replace(/"?logs"?/, "logs_before").replace("cost REAL", "cost REAL NOT NULL")
      old.exec(
        `${before}; INSERT INTO logs_before SELECT * FROM logs; DROP TABLE logs; ALTER TABLE logs_before RENAME TO logs`
      )
      for (const { sql } of triggers) {
        old.exec(String(sql).replace("log_texts WHERE seq = OLD.seq", "log_bodies WHERE id = OLD.id"))
      }
      old.exec(
        `CREATE TRIGGER logs_added AFTER INSERT ON logs BEGIN
           INSERT INTO log_counts (account, gateway, n) VALUES (NEW.account, NEW.gateway, 1)
             ON CONFLICT (account, gateway) DO UPDATE SET n = n + 1;
         END`
      )
      old.close()

      yield* withLogs(file, (logs) =>
        Effect.gen(function*() {
          assert.deepStrictEqual(yield* logs.get("gw", "1"), Option.some(first))
          const labelled = yield* logs.newest({ label: { key: "user", value: "u-1" } }, { limit: 1 })
          assert.deepStrictEqual(labelled.map(({ entry }) => entry), [first])
          assert.deepStrictEqual(yield* logs.bodies("gw", "1"), Option.some({ request: "q", response: "a" }))
          for (const id of ["2", "3"]) yield* logs.append({ ...entry, id, cost: null }, null, cap)
          const { entries, total } = yield* logs.list({
            gateway: "gw",
            page: 1,
            perPage: 10,
            orderBy: "created_at",
            direction: "desc"
          })
          assert.deepStrictEqual([entries.map((_) => [_.id, _.cost]), total], [[["3", null], ["2", null]], 2])
          assert.isTrue(Option.isNone(yield* logs.bodies("gw", "1")), "the trigger took its bodies")
          assert.deepInclude(yield* logs.ranges({ gateway: "gw" }), { min_tokens_in: 1 })
        }))
    }))
})
