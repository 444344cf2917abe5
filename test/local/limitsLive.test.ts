import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { createServer, type ServerResponse } from "node:http"
import { LocalGateway } from "../../src/local/index.ts"
import { call, create, data, type Gateway, manage } from "./talk.ts"
import { temporaryFile } from "./temporaryFile.ts"

const native = "@cf/meta/llama-3.1-8b-instruct"

/** A provider of OpenAI's kind, and how often it was asked. */
const provider = (respond: (response: ServerResponse, n: number) => void) =>
  Effect.acquireRelease(
    Effect.callback<{ readonly url: string; readonly calls: () => number; readonly close: () => void }>((resume) => {
      let calls = 0
      const server = createServer((request, response) => {
        request.resume().on("end", () => respond(response, ++calls))
      })
      server.listen(0, "127.0.0.1", () => {
        const address = server.address()
        const port = typeof address === "object" && address !== null ? address.port : 0
        resume(Effect.succeed({
          url: `http://127.0.0.1:${port}`,
          calls: () => calls,
          close: () => {
            server.closeAllConnections()
            server.close()
          }
        }))
      })
    }),
    ({ close }) => Effect.sync(close)
  )

const withGateway = <A, E>(options: LocalGateway.Options, use: (gateway: Gateway) => Effect.Effect<A, E>) =>
  Effect.scoped(Effect.flatMap(LocalGateway.make({ pause: 0, ...options }), use))

const ask = (gateway: Gateway, id: string, content: string, headers: Record<string, string> = {}) =>
  data(gateway, `${id}/openai/chat/completions`, {
    headers,
    body: { model: "gpt-4o-mini", messages: [{ role: "user", content }] }
  })

const answer = JSON.stringify({ choices: [], usage: { prompt_tokens: 1_000_000, completion_tokens: 0 } })

describe("the local gateway over HTTP", () => {
  for (const [name, headers] of [["of a known length", true], ["in chunks", false]] as const) {
    it.live(`has cached and booked an answer ${name} when the client has it`, () =>
      Effect.gen(function*() {
        const upstream = yield* provider((response) => {
          response.writeHead(200, {
            "content-type": "application/json",
            ...(headers ? { "content-length": String(answer.length) } : {})
          })
          response.write(answer.slice(0, 10))
          setTimeout(() => response.end(answer.slice(10)), 5)
        })
        yield* withGateway({ upstreams: { openai: upstream.url } }, (gateway) =>
          Effect.gen(function*() {
            const spend_limits = { enabled: true, rules: [{ limitType: "cost", limit: 0.15, window: 3600 }] }
            yield* create(gateway, "gw", { cache_ttl: 60, spend_limits })
            for (let i = 0; i < 3; i++) {
              assert.strictEqual(
                (yield* ask(gateway, "gw", "a")).headers["cf-aig-cache-status"],
                i === 0 ? "MISS" : "HIT"
              )
            }
            const over = yield* ask(gateway, "gw", "b")
            assert.deepStrictEqual([over.status, over.json.error[0].code, upstream.calls()], [429, 2041, 1])
          }))
      }))
  }

  it.live("CACHE-02, RATE-01: keeps cache and limits across a restart", () =>
    Effect.gen(function*() {
      const upstream = yield* provider((response) => {
        response.writeHead(200, { "content-type": "application/json" })
        response.end(answer)
      })
      const options = { store: yield* temporaryFile, upstreams: { openai: upstream.url } }
      const first = yield* withGateway(options, (gateway) =>
        Effect.gen(function*() {
          yield* create(gateway, "gw", {
            cache_ttl: 3600,
            rate_limiting_limit: 1,
            rate_limiting_interval: 3600,
            rate_limiting_technique: "sliding"
          })
          return yield* ask(gateway, "gw", "a")
        }))
      yield* withGateway(options, (gateway) =>
        Effect.gen(function*() {
          const second = yield* ask(gateway, "gw", "a")
          assert.deepStrictEqual([second.headers["cf-aig-cache-status"], second.text], ["HIT", first.text])
          assert.strictEqual((yield* ask(gateway, "gw", "b")).status, 429)
        }))
    }))

  it.live("CACHE-15: forgets on an update over the management API, and its log says what was cached and what it cost", () =>
    withGateway({}, (gateway) =>
      Effect.gen(function*() {
        const settings = { cache_ttl: 300, cache_invalidate_on_update: true }
        const { json } = yield* create(gateway, "gw", settings)
        assert.deepStrictEqual(json.messages, [])
        const prompt = () => data(gateway, `gw/workers-ai/${native}`, { body: { prompt: "hi" } })
        yield* prompt()
        assert.strictEqual((yield* prompt()).headers["cf-aig-cache-status"], "HIT")
        const { id: _, ...kept } = (yield* manage(gateway, "/gw")).json.result
        yield* manage(gateway, "/gw", { method: "PUT", body: kept })
        assert.strictEqual((yield* prompt()).headers["cf-aig-cache-status"], "MISS")
        const logs = (yield* manage(gateway, "/gw/logs")).json.result
        assert.deepStrictEqual(logs.map((_: { cached: boolean }) => _.cached), [false, true, false])
        assert.strictEqual(logs[1].cost, 0)
        assert.isAbove(logs[0].cost, 0)
      })))

  it.live("RATE-01: takes the binding's options, and gives it an error that it can read", () =>
    withGateway({}, (gateway) =>
      Effect.gen(function*() {
        yield* create(gateway, "gw", { rate_limiting_limit: 1, rate_limiting_interval: 3600 })
        const run = (prompt: string, options: object) =>
          call(`${gateway.url}/workers-binding/ai-gateway/run?version=3`, {
            headers: { "cf-consn-model-id": native },
            body: { inputs: { prompt }, options: { gateway: { id: "gw", ...options } } }
          })
        yield* run("a", { cacheKey: "k", cacheTtl: 60 })
        assert.strictEqual((yield* run("b", { cacheKey: "k" })).headers["cf-aig-cache-status"], "HIT")
        const { json, status } = yield* run("c", {})
        assert.deepStrictEqual([status, json.internalCode, json.description], [429, 2003, "Rate limited"])
      })))

  it.live("gives the binding's answer to the binding, and the API's to the API", () =>
    withGateway({}, (gateway) =>
      Effect.gen(function*() {
        yield* create(gateway, "gw", { cache_ttl: 300 })
        const rest = () => data(gateway, `gw/workers-ai/run/${native}`, { body: { prompt: "hi" } })
        const binding = () =>
          call(`${gateway.url}/workers-binding/ai-gateway/run?version=3`, {
            headers: { "cf-consn-model-id": native },
            body: { inputs: { prompt: "hi" }, options: { gateway: { id: "gw" } } }
          })
        for (let i = 0; i < 2; i++) {
          assert.isString((yield* rest()).json.result.response)
          assert.isString((yield* binding()).json.response)
        }
      })))

  it.live("refuses a size of the cache that is none", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(withGateway({ cacheLimit: -1 }, () => Effect.void))
      assert.include(error.message, "cacheLimit is \"-1\", expected a number of bytes")
    }))
})
