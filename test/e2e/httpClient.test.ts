import { assert, describe, it } from "@effect/vitest"
import { execFile } from "node:child_process"
import * as path from "node:path"
import { promisify } from "node:util"

const root = path.resolve(import.meta.dirname, "../..")

describe("examples/httpClient.ts", () => {
  it("asks an OpenAI-like API through a gateway of its own, and ends", async () => {
    const { stdout } = await promisify(execFile)(process.execPath, [path.join(root, "examples/httpClient.ts")], {
      cwd: root,
      env: { PATH: process.env["PATH"] }
    })
    assert.include(stdout, "You asked: \"What is a gateway?\"")
  }, 60_000)
})
