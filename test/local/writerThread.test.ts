import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import { execFile } from "node:child_process"
import { fileURLToPath } from "node:url"
import * as CacheDatabase from "../../src/local/CacheDatabase.ts"
import * as WriterThread from "../../src/local/WriterThread.ts"
import { temporaryFile } from "./temporaryFile.ts"

const node = fileURLToPath(new URL("../../node_modules/.bin/node", import.meta.url))

describe("the thread that writes", () => {
  it.live(
    "lets a program that has nothing else to do go on after it has closed its gateway",
    () =>
      Effect.gen(function*() {
        const file = yield* temporaryFile
        const of = (name: string) => JSON.stringify(new URL(`../../${name}`, import.meta.url).href)
        const program = `
        import * as Effect from "effect/Effect"
        import * as Layer from "effect/Layer"
        import * as CacheDatabase from ${of("src/local/CacheDatabase.ts")}
        import * as Database from ${of("src/local/Database.ts")}
        import * as WriterThread from ${of("src/local/WriterThread.ts")}
        const file = ${JSON.stringify(file)}
        const thread = Layer.provide(WriterThread.layer(file), Layer.merge(CacheDatabase.layer(file), Database.layer(file)))
        await Effect.runPromise(Effect.provide(
          Effect.flatMap(WriterThread.WriterThread, ({ answers }) => Effect.sync(() =>
            answers.give({ _tag: "Clear", first: 0, end: 1, start: "" })
          )),
          thread
        ))
        console.log("went on")`
        const args = ["--conditions", "effect-ai-gateway-source", "--input-type", "module", "--eval", program]
        const ended = yield* Effect.promise(() =>
          new Promise<ReadonlyArray<unknown>>((resolve) =>
            execFile(
              node,
              args,
              { cwd: fileURLToPath(new URL("../..", import.meta.url)) },
              (error, stdout) => resolve([error?.code ?? 0, stdout])
            )
          )
        )
        assert.deepStrictEqual(ended, [0, "went on\n"])
      }),
    20_000
  )

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
