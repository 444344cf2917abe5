/**
 * The command line's own program, from its source.
 */
import * as Effect from "effect/Effect"
import { type ChildProcess, spawn } from "node:child_process"
import type { Server } from "node:http"
import { fileURLToPath } from "node:url"

// The dependency `node` is one that runs TypeScript, whichever node runs the tests.
const node = fileURLToPath(new URL("../../node_modules/.bin/node", import.meta.url))
const cli = fileURLToPath(new URL("../../src/cli.ts", import.meta.url))

export interface Ran {
  readonly code: number | null
  readonly out: string
  readonly err: string
}

export interface Environment {
  readonly [name: string]: string
}

const start = (env: Environment, args: ReadonlyArray<string>) => {
  const child = spawn(node, ["--conditions", "effect-ai-gateway-source", cli, ...args], {
    stdio: ["ignore", "pipe", "pipe"],
    env: { ...process.env, ...env }
  })
  let out = ""
  let err = ""
  child.stdout.on("data", (chunk) => out += chunk)
  child.stderr.on("data", (chunk) => err += chunk)
  const ended = new Promise<Ran>((resolve) => child.on("close", (code) => resolve({ code, out, err })))
  const line = new Promise<string>((resolve, reject) => {
    child.stdout.on("data", () => out.includes("\n") && resolve(out))
    void ended.then((_) => reject(new Error(`ended early: ${_.err}`)))
  })
  line.catch(() => undefined)
  return { child, ended, line }
}

const stopped = (child: ChildProcess) => Effect.sync(() => void child.kill("SIGKILL"))

export const runningIn = (env: Environment, ...args: ReadonlyArray<string>) =>
  Effect.acquireRelease(Effect.sync(() => start(env, args)), ({ child }) => stopped(child))

export const running = (...args: ReadonlyArray<string>) => runningIn({}, ...args)

export const ranIn = (env: Environment, ...args: ReadonlyArray<string>) =>
  Effect.gen(function*() {
    const { ended } = yield* runningIn(env, ...args)
    return yield* Effect.promise(() => ended).pipe(Effect.timeout("15 seconds"))
  })

export const ran = (...args: ReadonlyArray<string>) => ranIn({}, ...args)

/** What a gateway says on the line of `--json`. */
export interface Ready {
  readonly ready: true
  readonly url: string
  readonly accountId: string
  readonly token?: string
}

/** With `--json`. */
export const gatewayIn = (env: Environment, ...args: ReadonlyArray<string>) =>
  Effect.gen(function*() {
    const { child, ended, line } = yield* runningIn(env, "local", "--json", ...args)
    const ready: Ready = JSON.parse(yield* Effect.promise(() => line))
    return { child, ended, ready }
  })

/** A local gateway without a file, whose token is `t`. */
export const gatewayWith = (...args: ReadonlyArray<string>) =>
  gatewayIn({}, "--port", "0", "--store", ":memory:", "--token", "t", ...args)

/** Listens on a free port of the loopback interface while the scope is open. */
export const portOf = (server: Server) =>
  Effect.acquireRelease(
    Effect.callback<number>((resume) => {
      server.listen(0, "127.0.0.1", () => {
        const address = server.address()
        resume(Effect.succeed(typeof address === "object" && address !== null ? address.port : 0))
      })
    }),
    () => Effect.sync(() => void server.close())
  )
