/**
 * The local gateway on a Redis that is not there, goes away, falls silent and comes back.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Logger from "effect/Logger"
import * as Redacted from "effect/Redacted"
import { execFileSync } from "node:child_process"
import { fileURLToPath } from "node:url"
import { LocalGateway } from "../../src/local/index.ts"
import { freePort, isMissing, redis } from "../support/redis.ts"
import { create, data, type Gateway, manage } from "./talk.ts"

const make = (options: LocalGateway.Options) => LocalGateway.make({ pause: 0, ...options })

const ask = (gateway: Gateway, id: string, prompt: string) =>
  data(gateway, `${id}/workers-ai/@cf/meta/llama-3.1-8b-instruct`, { body: { prompt } })

const cacheOf = (reply: { readonly headers: { readonly [name: string]: string } }) =>
  reply.headers["cf-aig-cache-status"]

const limited = { rate_limiting_limit: 1000, rate_limiting_interval: 3600, rate_limiting_technique: "sliding" }
const budgeted = { spend_limits: { enabled: true, rules: [{ limitType: "cost", limit: 100, window: 3600 }] } }

/** For as long as it takes to connect again, and no longer. */
const until = <E>(holds: Effect.Effect<boolean, E>) =>
  Effect.gen(function*() {
    for (let i = 0; i < 100; i++) {
      if (yield* holds) return
      yield* Effect.sleep("50 millis")
    }
    assert.fail("it did not come back")
  })

const unchecked = [503, "The limits of this gateway cannot be checked now: its Redis is out of reach"]

describe("the option redis", () => {
  it.effect("takes no other URL, and does not say the one it was given", () =>
    Effect.gen(function*() {
      for (const redis of ["localhost:6379", "http://:s3cret@h", Redacted.make("redis://:s3cret@")]) {
        const error = yield* Effect.flip(Effect.scoped(make({ redis })))
        assert.include(error.message, "redis is \"<redacted>\", expected redis://HOST")
        assert.notMatch(`${error.message} ${JSON.stringify(error)}`, /s3cret/)
      }
    }))

  it.live("names the Redis that cannot be reached", () =>
    Effect.gen(function*() {
      const address = `127.0.0.1:${yield* freePort}`
      const error = yield* Effect.flip(Effect.scoped(make({ redis: `redis://us:s3cret@${address}` })))
      assert.strictEqual(error.reason._tag, "RedisUnavailable")
      assert.include(error.message, `did not start: cannot use Redis at ${address} (connect ECONNREFUSED`)
      assert.notMatch(`${error.message} ${JSON.stringify(error)}`, /s3cret/)
    }))

  it("is all that loads the client of Redis", () => {
    const script = `
      import { createRequire } from "node:module"
      import * as Effect from "effect/Effect"
      import { LocalGateway } from ${
      JSON.stringify(fileURLToPath(new URL("../../src/local/index.ts", import.meta.url)))
    }
      await Effect.runPromise(Effect.scoped(LocalGateway.make()))
      const loaded = Object.keys(createRequire(import.meta.url).cache)
      console.log(loaded.filter((file) => /node_modules\\/@?redis\\//.test(file)).length)`
    assert.strictEqual(
      execFileSync(process.execPath, ["--input-type=module-typescript", "-e", script]).toString(),
      "0\n"
    )
  })
})

describe.skipIf(isMissing)("a local gateway whose Redis goes away", () => {
  it.live(
    "caches nothing, refuses what a limit applies to, serves the rest, changes nothing by half, and recovers by itself",
    () => {
      const said: Array<string> = []
      return Effect.gen(function*() {
        const server = yield* redis()
        const gateway = yield* make({ redis: server.url })
        const cached = { cache_ttl: 300, cache_invalidate_on_update: true }
        yield* create(gateway, "cached", cached)
        yield* create(gateway, "limited", limited)
        yield* create(gateway, "budgeted", budgeted)
        yield* create(gateway, "plain")
        yield* ask(gateway, "cached", "a")
        assert.strictEqual(cacheOf(yield* ask(gateway, "cached", "a")), "HIT")
        assert.strictEqual((yield* ask(gateway, "limited", "a")).status, 200)

        // In the middle of many requests, none of which hangs or is let through unchecked.
        const statuses = new Set<number>()
        const state = { isOver: false }
        const load = yield* Effect.forkChild(
          Effect.forEach(Array.from({ length: 8 }), (_, n) =>
            Effect.gen(function*() {
              for (let i = 0; !state.isOver; i++) {
                const [took, { status }] = yield* Effect.timed(ask(gateway, "limited", `${n} ${i}`))
                statuses.add(status)
                assert.isBelow(Duration.toMillis(took), 8000)
              }
            }), { concurrency: 8, discard: true })
        )
        yield* until(Effect.sync(() => statuses.has(200)))
        yield* server.kill
        yield* until(Effect.sync(() => statuses.has(503)))
        state.isOver = true
        yield* Fiber.join(load)
        assert.deepStrictEqual([...statuses].sort(), [200, 503])

        const refused = yield* ask(gateway, "limited", "b")
        assert.deepStrictEqual([refused.status, refused.json.error[0].message], unchecked)
        assert.strictEqual((yield* ask(gateway, "budgeted", "b")).status, 503)
        assert.strictEqual((yield* ask(gateway, "plain", "b")).status, 200)
        for (let i = 0; i < 2; i++) {
          const { headers, status } = yield* ask(gateway, "cached", "a")
          assert.deepStrictEqual([status, cacheOf({ headers })], [200, "MISS"])
        }
        const [log] = (yield* manage(gateway, "/limited/logs")).json.result
        assert.deepInclude(log, { status_code: 503, success: false, cost: 0 })

        const { id: _, ...settings } = (yield* manage(gateway, "/cached")).json.result
        const changed = yield* manage(gateway, "/cached", { method: "PUT", body: { ...settings, cache_ttl: 600 } })
        assert.strictEqual(changed.status, 500)
        assert.strictEqual((yield* manage(gateway, "/cached")).json.result.cache_ttl, 300)
        assert.strictEqual((yield* manage(gateway, "/limited", { method: "DELETE" })).status, 500)
        assert.strictEqual((yield* manage(gateway, "/limited")).status, 200, "it can be asked for again")

        yield* server.start
        yield* until(Effect.map(ask(gateway, "limited", "c"), ({ status }) => status === 200))
        yield* until(Effect.map(ask(gateway, "cached", "a"), (reply) => cacheOf(reply) === "HIT"))
        const again = yield* manage(gateway, "/cached", { method: "PUT", body: { ...settings, cache_ttl: 600 } })
        assert.strictEqual(again.status, 200)
        assert.strictEqual(cacheOf(yield* ask(gateway, "cached", "a")), "MISS")
        assert.strictEqual((yield* manage(gateway, "/limited", { method: "DELETE" })).status, 200)

        const address = `Redis at 127.0.0.1:${server.port}`
        const warnings = said.filter((line) => line.startsWith(`${address} is out of reach`))
        assert.strictEqual(warnings.length, 2, said.join("\n"))
        assert.strictEqual(said.filter((line) => line === `${address} answers again`).length, 2)
      }).pipe(
        Effect.scoped,
        Effect.provide(Logger.layer([Logger.make(({ message }) => void said.push(String(message)))]))
      )
    }
  )

  it.live("ends a streamed answer whose cost it cannot book", () => {
    const said: Array<string> = []
    return Effect.gen(function*() {
      const server = yield* redis()
      const gateway = yield* make({ redis: server.url, pause: "30 millis" })
      yield* create(gateway, "budgeted", budgeted)
      const response = yield* Effect.promise(() =>
        fetch(`${gateway.url}/v1/${gateway.accountId}/budgeted/workers-ai/@cf/meta/llama-3.1-8b-instruct`, {
          method: "POST",
          body: JSON.stringify({ prompt: "a", stream: true })
        })
      )
      assert.strictEqual(response.status, 200)
      yield* server.kill
      const text = yield* Effect.promise(() => response.text())
      assert.isTrue(text.trimEnd().endsWith("[DONE]"))
      assert.isTrue(
        said.some((line) => /^[\d.e-]+ of "\["spend".* in budgeted is not booked: /.test(line)),
        said.join("\n")
      )
    }).pipe(
      Effect.scoped,
      Effect.provide(Logger.layer([Logger.make(({ message }) => void said.push(String(message)))]))
    )
  })

  it.live(
    "waits two seconds for one that is silent, then not at all, and goes on when it speaks or is connected to again",
    () =>
      Effect.gen(function*() {
        const server = yield* redis()
        const gateway = yield* make({ redis: server.url })
        yield* create(gateway, "limited", limited)
        yield* ask(gateway, "limited", "a")
        for (const silence of ["1 second", "6 seconds"] as const) {
          yield* server.freeze
          const [first, refused] = yield* Effect.timed(ask(gateway, "limited", "b"))
          assert.deepStrictEqual([refused.status, refused.json.error[0].message], unchecked)
          assert.isAtLeast(Duration.toMillis(first), 1500)
          const [second, after] = yield* Effect.timed(
            Effect.forEach(Array.from({ length: 50 }), (_, i) => ask(gateway, "limited", `${i}`), { concurrency: 10 })
          )
          assert.isTrue(after.every(({ status }) => status === 503))
          // Ten seconds if each of them waited.
          assert.isBelow(Duration.toMillis(second), 6000)
          yield* Effect.sleep(silence)
          yield* server.thaw
          yield* until(Effect.map(ask(gateway, "limited", "c"), ({ status }) => status === 200))
        }
      }).pipe(Effect.scoped)
  )

  it.live("stops at once, with Redis gone, silent or there", () =>
    Effect.gen(function*() {
      const server = yield* redis()
      for (const leave of [server.freeze, server.kill, Effect.void]) {
        yield* server.kill
        yield* server.start
        const told = yield* Effect.scoped(Effect.gen(function*() {
          const gateway = yield* make({ redis: server.url })
          yield* create(gateway, "limited", limited)
          yield* leave
          yield* Effect.forkScoped(ask(gateway, "limited", "a"))
          yield* Effect.sleep("100 millis")
          return yield* Clock.currentTimeMillis
        }))
        assert.isBelow((yield* Clock.currentTimeMillis) - told, 4000)
      }
    }))
})

describe.skipIf(isMissing)("two local gateways with stores of their own on one Redis", () => {
  it.live("CACHE-02, CACHE-15, RATE-01, SPEND-01: one caches, forgets, limits and spends for both", () =>
    Effect.gen(function*() {
      const server = yield* redis()
      const both = [yield* make({ redis: server.url }), yield* make({ redis: Redacted.make(server.url) })] as const
      const [a, b] = both
      const on = (id: string, settings: object) =>
        Effect.forEach(both, (gateway) => create(gateway, id, { ...settings }))

      yield* on("cached", { cache_ttl: 300, cache_invalidate_on_update: true })
      const first = yield* ask(a, "cached", "x")
      const second = yield* ask(b, "cached", "x")
      assert.deepStrictEqual([cacheOf(first), cacheOf(second), second.text], ["MISS", "HIT", first.text])
      const { id: _, ...settings } = (yield* manage(a, "/cached")).json.result
      yield* manage(a, "/cached", { method: "PUT", body: settings })
      assert.strictEqual(cacheOf(yield* ask(b, "cached", "x")), "MISS", "an update of one is one for both")
      assert.strictEqual(cacheOf(yield* ask(a, "cached", "x")), "HIT", "and they share again")

      yield* on("limited", { ...limited, rate_limiting_limit: 2 })
      const statuses = yield* Effect.forEach([a, b, a, b], (gateway, n) => ask(gateway, "limited", `${n}`))
      assert.deepStrictEqual(statuses.map(({ status }) => status), [200, 200, 429, 429])

      yield* on("budgeted", {
        spend_limits: { enabled: true, rules: [{ limitType: "cost", limit: 1e-9, window: 3600 }] }
      })
      assert.strictEqual((yield* ask(a, "budgeted", "x")).status, 200)
      const over = yield* ask(b, "budgeted", "y")
      assert.deepStrictEqual([over.status, over.json.error[0].code], [429, 2041])

      yield* manage(b, "/limited", { method: "DELETE" })
      assert.strictEqual((yield* ask(a, "limited", "z")).status, 200, "the counters went with the gateway")
    }).pipe(Effect.scoped))
})
