import { assert } from "@effect/vitest"
import * as Alchemy from "alchemy"
import * as Test from "alchemy/Test/Vitest"
import { providers } from "effect-ai-gateway/providers"
import * as Effect from "effect/Effect"
import * as HttpClient from "effect/unstable/http/HttpClient"
import * as HttpClientResponse from "effect/unstable/http/HttpClientResponse"
import { describe } from "vitest"
import { awake } from "../support/awake.ts"
import Api from "../support/cachedWorker.ts"

const { afterAll, beforeAll, deploy, destroy, test } = Test.make({ providers: providers(), dev: true })

const stack = Alchemy.Stack(
  "cached-worker",
  { providers: providers(), state: Alchemy.inMemoryState() },
  Effect.map(Api, ({ url }) => ({ url }))
)
const outputs = beforeAll(deploy(stack), { timeout: 120_000 })
afterAll(destroy(stack), { timeout: 60_000 })

describe("a Worker with a KV namespace of Alchemy, on workerd", () => {
  test(
    "gives an answer again that another request has had",
    Effect.gen(function*() {
      const { url } = yield* outputs
      const ask = (path: string) =>
        HttpClient.get(new URL(path, String(url))).pipe(
          Effect.flatMap(HttpClientResponse.filterStatusOk),
          Effect.flatMap((response) => response.json),
          Effect.map((json) => json as { readonly text: string; readonly cached: boolean })
        )
      yield* awake(url)
      const first = yield* ask("/one")
      const second = yield* ask("/one")
      assert.deepStrictEqual([first.cached, second.cached], [false, true])
      assert.strictEqual(second.text, first.text)
      assert.include(first.text, "/one")
      assert.isFalse((yield* ask("/two")).cached)
    })
  )
})
