import { assert, describe, it } from "@effect/vitest"
import { spawn } from "node:child_process"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"

const root = path.resolve(import.meta.dirname, "../..")

/** Processes that have this folder as their home, as far as the system tells: whatever was started for the stack. */
const livingIn = (home: string): ReadonlyArray<string> =>
  !fs.existsSync("/proc/self/environ") ? [] : fs.readdirSync("/proc").filter((pid) => {
    try {
      return /^\d+$/.test(pid) && fs.readFileSync(`/proc/${pid}/environ`, "utf8").split("\0").includes(`HOME=${home}`)
    } catch {
      // It has ended meanwhile, or is somebody else's.
      return false
    }
  })

const answers = (url: string) => fetch(url).then(() => true, () => false)

describe("npm start", () => {
  it("deploys, prints an answer as it arrives, stays, and leaves nothing behind on Ctrl+C", async () => {
    const home = fs.mkdtempSync(path.join(os.tmpdir(), "start-"))
    const child = spawn(process.execPath, [path.join(root, "examples/start.ts")], {
      cwd: root,
      env: { PATH: process.env["PATH"], HOME: home, ALCHEMY_STAGE: "start-test" }
    })
    const chunks: Array<string> = []
    const exited = new Promise<number | null>((resolve) => child.once("close", resolve))
    const said = () => chunks.join("")
    const ready = new Promise<void>((resolve, reject) => {
      const listen = (data: Buffer) => {
        chunks.push(data.toString())
        if (said().includes("Ctrl+C stops everything")) resolve()
      }
      child.stdout.on("data", listen)
      child.stderr.on("data", listen)
      child.once("close", () => reject(new Error(`it stopped: ${said()}`)))
    })
    try {
      await ready
      assert.include(said(), "simulated answer")
      const from = chunks.findIndex((chunk) => chunk.includes("simulated"))
      const to = chunks.findIndex((chunk) => chunk.includes("Gateway   prod-gateway"))
      assert.isAbove(to - from, 5, "the answer comes piece by piece")
      const worker = /Worker\s+(http:\S+)/.exec(said())![1]!
      const gateway = /prod-gateway at (http:\S+)/.exec(said())![1]!
      assert.include(said(), `Local AI gateway at ${gateway}, its log page: ${gateway}/`)
      assert.isTrue(await answers(worker))
      assert.isTrue(await answers(gateway))
      if (process.platform === "linux") assert.isAbove(livingIn(home).length, 1)

      child.kill("SIGINT")
      await exited
      // Not by the Worker's port, which another stack on this machine may have by now.
      assert.deepStrictEqual(livingIn(home), [], "processes that are still there")
      assert.isFalse(await answers(gateway), "the gateway still answers")
    } finally {
      child.kill("SIGINT")
      await exited
      fs.rmSync(home, { recursive: true, force: true })
    }
  }, 120_000)
})
