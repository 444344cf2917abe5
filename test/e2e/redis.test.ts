/**
 * `effect-ai-gateway local --redis`: several processes on one Redis, as one gateway.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { type ChildProcess, spawn } from "node:child_process"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { required } from "../local/talk.ts"
import { freePort, isMissing, redis } from "../support/redis.ts"

const node = fileURLToPath(new URL("../../node_modules/.bin/node", import.meta.url))
const cli = fileURLToPath(new URL("../../src/cli.ts", import.meta.url))
const authorization = "Bearer t-1"

interface Running {
  readonly child: ChildProcess
  readonly management: string
  readonly dataPlane: string
}

const run = (args: ReadonlyArray<string>) =>
  spawn(node, ["--conditions", "effect-ai-gateway-source", cli, "local", "--port", "0", ...args])

const start = (store: string, url: string) =>
  Effect.acquireRelease(
    Effect.promise(() =>
      new Promise<Running>((resolve, reject) => {
        const child = run(["--json", "--store", store, "--token", "t-1", "--redis", url])
        let err = ""
        for (const stream of [child.stdout, child.stderr]) stream.on("data", (part) => err += part)
        child.on("close", (code, signal) => reject(new Error(`ended early (${code ?? signal}): ${err}`)))
        child.stdout.once("data", (line) => {
          const { accountId, url } = JSON.parse(String(line))
          resolve({
            child,
            management: `${url}/client/v4/accounts/${accountId}/ai-gateway/gateways`,
            dataPlane: `${url}/v1/${accountId}`
          })
        })
      })
    ),
    ({ child }) => Effect.sync(() => void child.kill("SIGKILL"))
  )

const send = (method: string, url: string, body: unknown) =>
  fetch(url, {
    method,
    headers: { authorization, "cf-aig-authorization": authorization, "content-type": "application/json" },
    body: JSON.stringify(body)
  })

const create = async (at: Running, id: string, settings: object) =>
  assert.strictEqual((await send("POST", at.management, { ...required, ...settings, id })).status, 200)

const ask = async ({ dataPlane }: Running, gateway: string, prompt: string) => {
  const response = await send("POST", `${dataPlane}/${gateway}/workers-ai/@cf/meta/llama-3.1-8b-instruct`, { prompt })
  return { status: response.status, cache: response.headers.get("cf-aig-cache-status"), text: await response.text() }
}

const directory = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "redis-e2e-"))),
  (directory) => Effect.sync(() => rmSync(directory, { recursive: true, force: true }))
)

interface Counts {
  [status: number]: number
}

/** `each` requests to every process, from eight clients of each, and how often each status was answered. */
const load = async (
  processes: ReadonlyArray<Running>,
  gateway: string,
  each: number,
  counts: Counts = {}
): Promise<Counts> => {
  await Promise.all(processes.flatMap((process, p) =>
    Array.from({ length: 8 }, async (_, client) => {
      for (let n = client; n < each; n += 8) {
        const { status } = await ask(process, gateway, `${p} ${n}`)
        counts[status] = (counts[status] ?? 0) + 1
      }
    })
  ))
  return counts
}

const minutes = 60_000

describe.skipIf(isMissing)("several processes on one Redis", () => {
  for (const shared of [true, false]) {
    it.live(
      `RATE-01, RATE-02, CACHE-02, SPEND-01: are one gateway (${shared ? "one store" : "a store each"})`,
      () =>
        Effect.gen(function*() {
          const server = yield* redis()
          const file = join(yield* directory, "gateway.db")
          const [a, b] = yield* Effect.all([
            start(shared ? file : ":memory:", server.url),
            start(shared ? file : ":memory:", server.url)
          ], { concurrency: 2 })
          const declare = async (id: string, settings: object) => {
            for (const process of shared ? [a] : [a, b]) await create(process, id, settings)
          }
          yield* Effect.promise(async () => {
            for (const technique of ["fixed", "sliding"]) {
              const id = `limited-${technique}`
              await declare(id, {
                rate_limiting_limit: 50,
                // So long that no window of the clock ends meanwhile, but once in eleven days.
                rate_limiting_interval: 1_000_000,
                rate_limiting_technique: technique
              })
              assert.deepStrictEqual(await load([a, b], id, 60), { 200: 50, 429: 70 })
            }

            await declare("cached", { cache_ttl: 3600, cache_invalidate_on_update: true })
            const miss = await ask(a, "cached", "keep me")
            assert.deepStrictEqual(await ask(b, "cached", "keep me"), { ...miss, cache: "HIT" })
            await send("PUT", `${b.management}/cached`, {
              ...required,
              cache_ttl: 7200,
              cache_invalidate_on_update: true
            })
            assert.strictEqual((await ask(a, "cached", "keep me")).cache, "MISS")
            assert.strictEqual((await ask(b, "cached", "keep me")).cache, "HIT")

            await declare("budgeted", {
              spend_limits: { enabled: true, rules: [{ limitType: "cost", limit: 1e-9, window: 3600 }] }
            })
            assert.strictEqual((await ask(a, "budgeted", "one")).status, 200)
            const over = await ask(b, "budgeted", "two")
            assert.deepStrictEqual([over.status, JSON.parse(over.text).error[0].code], [429, 2041])
          })
        }).pipe(Effect.scoped),
      minutes
    )
  }

  it.live(
    "honour what is changed at another, and go on when another is killed",
    () =>
      Effect.gen(function*() {
        const server = yield* redis()
        const file = join(yield* directory, "gateway.db")
        const a = yield* start(file, server.url)
        const b = yield* start(file, server.url)
        const limit = (n: number) => ({
          ...required,
          rate_limiting_limit: n,
          rate_limiting_interval: 3600,
          rate_limiting_technique: "sliding"
        })
        yield* Effect.promise(async () => {
          await create(a, "gw", limit(1))
          assert.strictEqual((await ask(a, "gw", "a")).status, 200)
          assert.strictEqual((await ask(b, "gw", "a")).status, 429)
          assert.strictEqual((await send("PUT", `${b.management}/gw`, limit(1000))).status, 200)
          // A process looks for changed settings again after a moment; what it refuses meanwhile does not count.
          const changed = Date.now()
          while ((await ask(a, "gw", "a")).status === 429) assert.isBelow(Date.now() - changed, 2000)

          const counts: Counts = {}
          const seen = async (prompt: string) => {
            const { status } = await ask(b, "gw", prompt)
            counts[status] = (counts[status] ?? 0) + 1
            return status
          }
          const killed = load([a], "gw", 100_000, counts).catch(() => undefined)
          for (let n = 0; n < 20; n++) await seen(`b ${n}`)
          a.child.kill("SIGKILL")
          await killed
          while (await seen("c") === 200);
          assert.deepStrictEqual(Object.keys(counts), ["200", "429"])
          // Two before. Of the eight that were being answered when it was killed, nobody knows.
          assert.isAtMost(counts[200] ?? 0, 998)
          assert.isAtLeast(counts[200] ?? 0, 990)
          assert.strictEqual((await send("DELETE", `${b.management}/gw`, {})).status, 200)
          await create(b, "gw", limit(7))
          assert.deepStrictEqual(await load([b], "gw", 20), { 200: 7, 429: 13 })
        })
      }).pipe(Effect.scoped),
    minutes
  )

  it.live(
    "say at their start which Redis they use, and no password",
    () =>
      Effect.gen(function*() {
        const { port } = yield* redis(["--requirepass", "s3cret-7"])
        const welcome = yield* Effect.acquireUseRelease(
          Effect.sync(() => run(["--store", ":memory:", "--redis", `redis://:s3cret-7@127.0.0.1:${port}/1`])),
          (child) =>
            Effect.promise(() =>
              new Promise<string>((resolve) => child.stdout.once("data", (part) => resolve(String(part))))
            ),
          (child) => Effect.sync(() => child.kill("SIGKILL"))
        )
        assert.include(welcome, `redis    127.0.0.1:${port}, cache and limits\n`)
        assert.notInclude(welcome, "s3cret")
      }).pipe(Effect.scoped),
    minutes
  )
})

describe("a process that cannot use its Redis", () => {
  const ended = (url: string) =>
    Effect.promise(() =>
      new Promise<{ readonly code: number | null; readonly said: string }>((resolve) => {
        const child = run(["--store", ":memory:", "--redis", url])
        let said = ""
        for (const stream of [child.stdout, child.stderr]) stream.on("data", (part) => said += part)
        child.on("close", (code) => resolve({ code, said }))
      })
    )

  it.live("ends with one line that says where, why and what to do", () =>
    Effect.gen(function*() {
      const port = yield* freePort
      const { code, said } = yield* ended(`redis://us:s3cret-7@127.0.0.1:${port}`)
      assert.strictEqual(code, 1)
      assert.match(
        said,
        new RegExp(
          `cannot use Redis at 127.0.0.1:${port} \\(connect ECONNREFUSED .*\\): check that .* \\(--redis\\)\\n$`
        )
      )
      assert.notInclude(said, "s3cret")
    }), minutes)

  it.live("names the flag and the forms that it takes, and no password", () =>
    Effect.gen(function*() {
      const { code, said } = yield* ended("http://us:s3cret-7@127.0.0.1")
      assert.strictEqual(code, 1)
      assert.include(said, "--redis is \"<redacted>\", expected redis://HOST")
      assert.notInclude(said, "s3cret")
    }), minutes)
})
