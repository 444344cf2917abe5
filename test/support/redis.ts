/**
 * A real Redis on a free port, gone with the scope; a test may stop and start it.
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { type ChildProcess, spawn } from "node:child_process"
import { mkdtempSync, rmSync } from "node:fs"
import { createServer } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { find } from "./programs.ts"

export interface Redis {
  readonly port: number
  readonly url: string
  /** As a power cut does it: nothing is said and nothing is kept. */
  readonly kill: Effect.Effect<void>
  /** On the same port, empty. */
  readonly start: Effect.Effect<void>
  /** It stays connected and says nothing. */
  readonly freeze: Effect.Effect<void>
  readonly thaw: Effect.Effect<void>
}

export const isMissing = find("redis") === undefined

export const freePort = Effect.callback<number>((resume) => {
  const server = createServer().listen(0, "127.0.0.1", () => {
    const address = server.address()
    server.close(() => resume(Effect.succeed(typeof address === "object" && address !== null ? address.port : 0)))
  })
})

export const redis = (more: ReadonlyArray<string> = []): Effect.Effect<Redis, never, Scope.Scope> =>
  Effect.gen(function*() {
    const port = yield* freePort
    const directory = yield* Effect.acquireRelease(
      Effect.sync(() => mkdtempSync(join(tmpdir(), "redis-"))),
      (directory) => Effect.sync(() => rmSync(directory, { recursive: true, force: true }))
    )
    let child: ChildProcess | undefined
    const start = Effect.callback<void>((resume) => {
      const args = ["--port", String(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", ...more]
      child = spawn(String(find("redis")), args, { cwd: directory })
      let said = ""
      child.stdout?.on("data", (part) => {
        said += part
        if (said.includes("Ready to accept connections")) resume(Effect.void)
      })
      child.once("exit", () => resume(Effect.die(new Error(`redis-server ended: ${said}`))))
    })
    const kill = Effect.callback<void>((resume) => {
      if (child === undefined || child.exitCode !== null || child.signalCode !== null) return resume(Effect.void)
      child.once("exit", () => resume(Effect.void))
      child.kill("SIGKILL")
    })
    yield* Effect.acquireRelease(start, () => kill)
    return {
      port,
      url: `redis://127.0.0.1:${port}`,
      kill,
      start,
      freeze: Effect.sync(() => child?.kill("SIGSTOP")),
      thaw: Effect.sync(() => child?.kill("SIGCONT"))
    }
  })
