import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Logger from "effect/Logger"
import { LocalGateway } from "../../src/local/index.ts"
import { create, manage } from "./talk.ts"
import { temporaryFile } from "./temporaryFile.ts"

/** What a gateway says when it starts on a file. */
const saidAtStart = (store: string) =>
  Effect.gen(function*() {
    const said: Array<string> = []
    yield* Effect.scoped(LocalGateway.make({ store })).pipe(
      Effect.provide(Logger.layer([Logger.make(({ message }) => void said.push(String(message)))]))
    )
    return said
  })

describe("a setting that is stored but not enforced", () => {
  it.live("is said by the API with each answer, and at every start", () =>
    Effect.gen(function*() {
      const store = yield* temporaryFile
      const notice = "zdr is stored but not enforced by the local gateway"
      yield* Effect.scoped(Effect.gen(function*() {
        const gateway = yield* LocalGateway.make({ store })
        yield* create(gateway, "quiet")
        yield* create(gateway, "strict", { zdr: true })
        const { messages } = (yield* manage(gateway, "/strict")).json
        assert.deepStrictEqual(messages, [{ code: 0, message: notice }])
      }))
      assert.deepStrictEqual(yield* saidAtStart(store), [`Gateway strict: ${notice}`])
    }))

  it.live("is not said where there is none", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* saidAtStart(yield* temporaryFile), [])
    }))
})
