import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { bundle } from "../bench/bundle.ts"

describe("a Worker's bundle", () => {
  it.effect(
    "carries nothing of Node, of Cloudflare's API client, or of SQL for our sake",
    () =>
      Effect.gen(function*() {
        const hello = yield* bundle("hello.ts")
        const ours = yield* bundle("ours.ts")
        assert.deepStrictEqual(ours.imports, hello.imports, "imports that a hello-world Worker does not have")
        const added = ours.modules.filter((module) => !hello.modules.includes(module))
        assert.isNotEmpty(added.filter((module) => module.startsWith("lib/")), "the Worker has our code")
        const forbidden =
          /^lib\/(local\/|resource\/|providers\.|cli\.)|@distilled\.cloud|\bsql\b|@effect\/platform-node/
        assert.deepStrictEqual(added.filter((module) => forbidden.test(module)), [])
      }),
    60_000
  )

  it.effect("is at start no larger than with Alchemy's own gateway and model layer", () =>
    Effect.gen(function*() {
      const [peer, ours] = [yield* bundle("alchemy.ts"), yield* bundle("ours.ts")]
      assert.isAtMost(ours.gzip, peer.gzip)
    }), 60_000)
})
