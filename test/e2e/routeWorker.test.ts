import { assert } from "@effect/vitest"
import * as Alchemy from "alchemy"
import * as Test from "alchemy/Test/Vitest"
import { providers } from "effect-ai-gateway/providers"
import * as Effect from "effect/Effect"
import { describe } from "vitest"
import { awake } from "../support/awake.ts"
import Api from "../support/routeWorker.ts"

const { afterAll, beforeAll, deploy, destroy, test } = Test.make({ providers: providers(), dev: true })

const stack = Alchemy.Stack(
  "route-worker",
  { providers: providers(), state: Alchemy.inMemoryState() },
  Effect.map(Api, ({ url }) => ({ url }))
)
const outputs = beforeAll(deploy(stack), { timeout: 120_000 })
afterAll(destroy(stack), { timeout: 60_000 })

describe("a Worker that declares a route, on workerd", () => {
  test(
    "reads what the route is called as a model",
    Effect.gen(function*() {
      const { url } = yield* outputs
      assert.strictEqual(yield* awake(url), "dynamic/support")
    })
  )
})
