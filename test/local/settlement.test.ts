import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Logger from "effect/Logger"
import { chat, run } from "./pipeline.ts"

describe("what an answer leaves to do", () => {
  for (const isShared of [false, true]) {
    it.effect(`is done ${isShared ? "before it is given, where several processes are one gateway" : "after it"}`, () => {
      const order: Array<string> = []
      return run(
        {},
        (n) => chat(n),
        ({ open }) =>
          Effect.gen(function*() {
            const answer = yield* open({}, () => void order.push("answered"))
            assert.strictEqual(answer.status, 200)
            assert.deepStrictEqual(order, isShared ? ["logged", "answered"] : ["answered", "logged"])
          }),
        { isShared, isWhole: true, onAppend: Effect.sync(() => void order.push("logged")) }
      )
    })
  }

  for (const isWhole of [true, false]) {
    it.effect(`fails no ${isWhole ? "answer" : "stream"}: what goes wrong is said in the gateway's own log`, () => {
      const said: Array<string> = []
      return run(
        {},
        (n) => chat(n),
        ({ ask }) =>
          Effect.gen(function*() {
            const answer = yield* ask()
            assert.deepInclude(JSON.parse(answer.text), { id: "chat-1" })
            assert.match(said.join("\n"), /could not keep, count or log a request that it answered/)
          }),
        { isWhole, onAppend: Effect.die("the disk is full") }
      ).pipe(Effect.provide(Logger.layer([Logger.make(({ message }) => void said.push(String(message)))])))
    })
  }
})
