import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as CacheDatabase from "../../src/local/CacheDatabase.ts"
import * as WriterThread from "../../src/local/WriterThread.ts"
import { temporaryFile } from "./temporaryFile.ts"

describe("the thread that writes", () => {
  it.live("lets nobody wait when it has ended, and says what is lost", () =>
    Effect.gen(function*() {
      const file = yield* temporaryFile
      const said: Array<string> = []
      // A store without the tables of logs, which ends the thread.
      const thread = Layer.provide(WriterThread.layer(file), CacheDatabase.layer(file))
      yield* Effect.flatMap(WriterThread.WriterThread, ({ counts }) =>
        Effect.gen(function*() {
          const count = { _tag: "Clear", account: "a", gateway: "g" } as const
          const unwritten = counts.pile((): Array<string> => [])
          for (const moment of ["before it ends", "after"]) {
            unwritten.waiting.push(moment)
            counts.give(count)
            yield* Effect.timeout(counts.flush, "10 seconds")
            assert.deepStrictEqual([unwritten.waiting, unwritten.writing], [[], []])
          }
        })).pipe(
          Effect.provide(thread, { local: true }),
          Effect.provide(Logger.layer([Logger.make(({ message }) => void said.push(String(message)))]))
        )
      assert.match(said.join("\n"), /can write no more logs.*no such table[^]*lost 1 counts/)
    }))
})
