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
        assert.deepStrictEqual(
          ours.modules.filter((module) => /^lib\/(policy|store)\//.test(module)),
          [],
          "policies that the Worker does not import"
        )
      }),
    60_000
  )

  // All that is over it is Effect's own: a module that both the start and a codec use goes into the start as a whole,
  // above all Effect's conversion of schemas for OpenAI and Anthropic.
  it.effect(
    "is at start at most 5.5 KiB larger than with Alchemy's own gateway and model layer, gzipped",
    () =>
      Effect.gen(function*() {
        const [peer, ours] = [yield* bundle("alchemy.ts"), yield* bundle("ours.ts")]
        assert.isAtMost(ours.gzip, peer.gzip + 5.5 * 1024)
      }),
    60_000
  )

  it.effect(
    "loads no codec before its provider is used, and all of them are within 40 KiB, gzipped",
    () =>
      Effect.gen(function*() {
        const ours = yield* bundle("ours.ts")
        const atStart = ours.modules.filter((module) => module.startsWith("lib/model/"))
        assert.deepStrictEqual(atStart, ["lib/model/Json.js"])
        const sizeOf = (name: string) => ours.later.find((entry) => entry.name === name)?.gzip ?? 0
        for (const name of ["WorkersAi", "OpenAiChat", "AnthropicMessages", "GoogleGenerateContent"]) {
          assert.isAbove(sizeOf(name), 1024, `${name} is loaded by itself`)
          assert.isBelow(sizeOf(name), 12 * 1024, `${name} does not carry the others`)
        }
        assert.isBelow(sizeOf("all codecs"), 40 * 1024)
      }),
    60_000
  )
})
