import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { spawn } from "node:child_process"
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { createServer, type ServerResponse } from "node:http"
import { createRequire } from "node:module"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { temporaryDirectory } from "./local/temporaryFile.ts"
import { gatewayWith, portOf, ran, running } from "./support/cli.ts"

const require = createRequire(import.meta.url)

describe("effect-ai-gateway local", () => {
  it.live("prints one line of JSON when it is ready, serves, and ends with 0 on SIGTERM while a stream is open", () =>
    Effect.gen(function*() {
      const { child, ended, ready } = yield* gatewayWith("--shutdown-timeout", "0")
      // The token was given, so it is not printed.
      assert.deepStrictEqual(ready, { ready: true, url: ready.url, accountId: "0".repeat(32) })
      const base = `${ready.url}/v1/${ready.accountId}/default/workers-ai/@cf/meta/llama-3.1-8b-instruct`
      const response = yield* Effect.promise(() =>
        fetch(base, {
          method: "POST",
          headers: { "cf-aig-authorization": "Bearer t" },
          body: JSON.stringify({ prompt: "word ".repeat(400), stream: true })
        })
      )
      assert.strictEqual(response.status, 200)
      response.text().catch(() => undefined)
      child.kill("SIGTERM")
      const { code, err, out } = yield* Effect.promise(() => ended).pipe(Effect.timeout("5 seconds"))
      assert.strictEqual(code, 0, err)
      assert.strictEqual(out.trim().split("\n").length, 1)
    }))

  it.live("finishes an open stream on SIGTERM, says that it waits, and ends at once on the second", () =>
    Effect.gen(function*() {
      const open: Array<ServerResponse> = []
      const server = createServer((_, response) => {
        open.push(response.writeHead(200, { "content-type": "text/event-stream" }))
        response.write("data: first\n\n")
      })
      yield* Effect.addFinalizer(() => Effect.sync(() => server.closeAllConnections()))
      const port = yield* portOf(server)
      const streaming = Effect.gen(function*() {
        const { child, ended, ready } = yield* gatewayWith("--upstream", `openai=http://127.0.0.1:${port}`)
        const response = yield* Effect.promise(() =>
          fetch(`${ready.url}/v1/${ready.accountId}/default/openai/chat/completions`, {
            method: "POST",
            headers: { "cf-aig-authorization": "Bearer t" },
            body: "{}"
          })
        )
        const text = response.text().catch(() => "cut")
        child.kill("SIGTERM")
        yield* Effect.sleep("800 millis")
        return { child, ended, text }
      })
      const patient = yield* streaming
      open[0]?.end("data: last\n\n")
      const { code, err } = yield* Effect.promise(() => patient.ended)
      assert.strictEqual(yield* Effect.promise(() => patient.text), "data: first\n\ndata: last\n\n")
      assert.strictEqual(code, 0, err)
      assert.include(err, "Waiting up to 10s for answers that are open")
      const impatient = yield* streaming
      impatient.child.kill("SIGTERM")
      assert.strictEqual((yield* Effect.promise(() => impatient.ended).pipe(Effect.timeout("3 seconds"))).code, 143)
      assert.strictEqual(yield* Effect.promise(() => impatient.text), "cut")
    }))

  it.live("tells a person where everything is, with a curl command that works, and ends with 0 on SIGINT", () =>
    Effect.gen(function*() {
      const { child, ended, line } = yield* running("local", "--port", "0", "--store", ":memory:")
      const text = yield* Effect.promise(() => line)
      for (
        const word of ["url ", "account", "token", "management API", "data plane", "AI binding", "curl", "simulated"]
      ) {
        assert.include(text, word)
      }
      const [command = ""] = /^curl [^]*(?=\n\nStop)/m.exec(text) ?? []
      const shell = spawn("sh", ["-c", command])
      const said = yield* Effect.promise(() =>
        new Promise<string>((resolve) => {
          let out = ""
          shell.stdout.on("data", (chunk) => out += chunk)
          shell.on("error", () => resolve("no shell"))
          shell.on("close", () => resolve(out))
        })
      )
      assert.include(said, "[DONE]")
      child.kill("SIGINT")
      assert.strictEqual((yield* Effect.promise(() => ended)).code, 0)
    }))

  it.live("names the flag, the value and what it takes when a flag is wrong", () =>
    Effect.gen(function*() {
      const cases: ReadonlyArray<readonly [ReadonlyArray<string>, ReadonlyArray<string>]> = [
        [["--port", "99999"], ["--port", "99999", "0 to 65535"]],
        [["--port", "http"], ["--port", "http", "0 to 65535"]],
        [["--host", "0.0.0.0"], ["--host", "0.0.0.0", "token"]],
        [["--account", "me"], ["--account", "me", "32 hexadecimal digits"]],
        [["--upstream", "openai"], ["--upstream", "openai", "PROVIDER=URL"]],
        [["--upstream", "nobody=http://x"], ["--upstream", "nobody=http://x", "openai"]],
        [["--upstream", "openai=soon"], ["--upstream", "openai=soon", "http://", "simulated", "live"]],
        [["--upstream", "deepgram=simulated"], ["--upstream", "deepgram=simulated", "stands in for", "anthropic"]],
        [["--upstream", "openai=live", "--offline"], ["--upstream", "openai=live", "offline"]],
        [["--upstream", "workers-ai=http://x"], ["--upstream", "workers-ai=http://x", "simulated model"]],
        [["--store", "/dev/null/x.db"], ["--store", "/dev/null/x.db"]],
        [["--record", "written", "--replay", "read"], ["--record", "written", "replay"]],
        [["--replay", "/nowhere/at/all"], ["--replay", "/nowhere/at/all", "directory"]]
      ]
      const results = yield* Effect.forEach(cases, ([args]) => ran("local", "--json", ...args), { concurrency: 2 })
      results.forEach(({ code, err, out }, i) => {
        assert.strictEqual(code, 1)
        assert.strictEqual(out, "")
        for (const word of cases[i]?.[1] ?? []) assert.include(err, word)
      })
    }))

  it.live("records a provider's answers, and replays them when it is gone", () =>
    Effect.gen(function*() {
      const directory = yield* Effect.acquireRelease(
        Effect.sync(() => mkdtempSync(join(tmpdir(), "recordings-"))),
        (directory) => Effect.sync(() => rmSync(directory, { recursive: true }))
      )
      const server = createServer((_, response) => {
        response.setHeader("content-type", "application/json").end("{\"said\":\"once\"}")
      })
      const port = yield* portOf(server)
      const ask = (...args: ReadonlyArray<string>) =>
        Effect.scoped(Effect.gen(function*() {
          const { child, ended, ready: { accountId, url } } = yield* gatewayWith(...args)
          const answer = yield* Effect.promise(async () => {
            const response = await fetch(`${url}/v1/${accountId}/default/openai/chat/completions`, {
              method: "POST",
              headers: { "cf-aig-authorization": "Bearer t", authorization: "Bearer sk-secret" },
              body: JSON.stringify({ model: "gpt-4o-mini", messages: [] })
            })
            return { status: response.status, text: await response.text() }
          })
          child.kill("SIGTERM")
          yield* Effect.promise(() => ended)
          return answer
        }))
      const answer = { status: 200, text: "{\"said\":\"once\"}" }
      assert.deepStrictEqual(
        yield* ask("--record", directory, "--upstream", `openai=http://127.0.0.1:${port}/v1`),
        answer
      )
      server.close()
      assert.deepStrictEqual(yield* ask("--replay", directory), answer)
      const files = readdirSync(directory)
      assert.isNotEmpty(files)
      for (const name of files) {
        assert.notInclude(readFileSync(join(directory, name), "utf8"), "sk-secret")
      }
    }))

  it.live("asks no provider when it is offline, key or not, and says so at the start", () =>
    Effect.gen(function*() {
      const { child, ended, line } = yield* running(
        "local",
        "--port",
        "0",
        "--store",
        ":memory:",
        "--token",
        "t",
        "--offline",
        "--upstream",
        "groq=simulated"
      )
      const text = yield* Effect.promise(() => line)
      assert.include(text, "It is offline")
      const [, url] = /url\s+(\S+)/.exec(text) ?? []
      for (const provider of ["openai", "groq"]) {
        const response = yield* Effect.promise(() =>
          fetch(`${url}/v1/${"0".repeat(32)}/default/${provider}/chat/completions`, {
            method: "POST",
            headers: { "cf-aig-authorization": "Bearer t", authorization: "Bearer sk-leads-nowhere" },
            body: JSON.stringify({ model: "m", messages: [{ role: "user", content: "hi" }] })
          })
        )
        assert.deepStrictEqual([response.status, response.headers.get("x-simulated")], [200, "true"])
      }
      child.kill("SIGTERM")
      assert.strictEqual((yield* Effect.promise(() => ended)).code, 0)
    }))

  it.live("lets custom providers be at private addresses only when told", () =>
    Effect.gen(function*() {
      const create = (...args: ReadonlyArray<string>) =>
        Effect.scoped(Effect.gen(function*() {
          const { accountId, url } = (yield* gatewayWith(...args)).ready
          return yield* Effect.promise(() =>
            fetch(`${url}/client/v4/accounts/${accountId}/ai-gateway/custom-providers`, {
              method: "POST",
              headers: { authorization: "Bearer t", "content-type": "application/json" },
              body: JSON.stringify({ name: "Mine", slug: "mine", base_url: "http://127.0.0.1:9", enable: true })
            })
          )
        }))
      assert.strictEqual((yield* create()).status, 400)
      assert.strictEqual((yield* create("--allow-private-upstreams")).ok, true)
    }))

  it.live("says that the port is taken and what to do, and ends with 1", () =>
    Effect.gen(function*() {
      const server = createServer()
      const port = yield* portOf(server)
      const { code, err } = yield* ran("local", "--port", String(port), "--store", ":memory:")
      assert.strictEqual(code, 1)
      assert.include(err, `port ${port} of 127.0.0.1 is taken`)
      assert.include(err, "choose another port")
    }))

  it.live("says what is wrong with its store or its Redis, where, and what to do, and ends with 1", () =>
    Effect.gen(function*() {
      const directory = yield* temporaryDirectory
      const notes = join(directory, "notes.txt")
      writeFileSync(notes, "This is no database, and it is longer than the header of one. ".repeat(20))
      const cases: ReadonlyArray<readonly [ReadonlyArray<string>, ReadonlyArray<string>]> = [
        [["--store", directory], [`cannot use the store ${directory}`, "directory", "choose another file", "--store"]],
        [["--store", notes], [`cannot use the store ${notes}`, "not a database", "choose another file", "--store"]],
        [["--store", "/proc/gateway.db"], ["cannot use the store /proc/gateway.db", "may write", "--store"]],
        [
          ["--store", ":memory:", "--redis", "redis://user:secret@127.0.0.1:1"],
          ["cannot use Redis at 127.0.0.1:1", "ECONNREFUSED", "listens there", "--redis"]
        ],
        [
          ["--store", ":memory:", "--host", "192.0.2.1", "--token", "t"],
          ["cannot listen on 192.0.2.1", "EADDRNOTAVAIL", "choose an address of this machine", "--host"]
        ]
      ]
      for (const [args, words] of cases) {
        const { code, err, out } = yield* ran("local", "--json", "--port", "0", ...args)
        assert.deepStrictEqual([code, out], [1, ""])
        for (const word of words) assert.include(err, word)
        assert.notInclude(err, "secret")
      }
      assert.include(readFileSync(notes, "utf8"), "This is no database")
    }))

  it.live("knows its version", () =>
    Effect.gen(function*() {
      const { out } = yield* ran("--version")
      assert.include(out, require("../package.json").version)
    }))
})
