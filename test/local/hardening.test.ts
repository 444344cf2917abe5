/**
 * What a client that means no good, or is merely broken, cannot do to the gateway.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as fc from "fast-check"
import { createServer } from "node:http"
import { connect } from "node:net"
import * as Access from "../../src/local/Access.ts"
import { LocalGateway } from "../../src/local/index.ts"
import * as Metrics from "../../src/local/Metrics.ts"
import { call, create, data, type Gateway } from "./talk.ts"

/** Writes bytes; the answer is what comes until the connection ends. */
const raw = (gateway: Gateway, ...pieces: ReadonlyArray<string>) =>
  Effect.promise(() =>
    new Promise<string>((resolve) => {
      const { hostname, port } = new URL(gateway.url)
      const socket = connect(Number(port), hostname, () => {
        for (const piece of pieces) socket.write(piece)
      })
      let text = ""
      socket.on("data", (data) => (text += data.toString("latin1")))
      socket.on("error", () => {})
      socket.on("close", () => resolve(text))
    })
  )

/** A gateway whose `openai` remembers the paths it was asked for. */
const withPaths = Effect.gen(function*() {
  const paths: Array<string> = []
  const server = createServer((request, response) => {
    paths.push(request.url ?? "")
    request.resume().on("end", () => response.end("{}"))
  })
  const port = yield* Effect.acquireRelease(
    Effect.callback<number>((resume) => {
      server.listen(0, "127.0.0.1", () => {
        const address = server.address()
        resume(Effect.succeed(typeof address === "object" && address !== null ? address.port : 0))
      })
    }),
    () => Effect.sync(() => void server.close())
  )
  const gateway = yield* LocalGateway.make({
    upstreams: { openai: `http://127.0.0.1:${port}/api/v9`, "google-ai-studio": `http://127.0.0.1:${port}/api/v9` }
  })
  yield* create(gateway, "gw")
  return { gateway, paths }
})

const get = (gateway: Gateway, path: string, host = new URL(gateway.url).host) =>
  raw(gateway, `GET ${path} HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`)

describe("the path of a request", () => {
  it.live("SEC-04: decides the route once, undecoded, and reaches the provider as it came, or is refused for its dots", () =>
    Effect.gen(function*() {
      const { gateway, paths } = yield* withPaths
      const base = `/v1/${gateway.accountId}/gw/openai`
      const segment = fc.constantFrom(
        "..",
        ".",
        "%2e%2e",
        "%2F",
        "%2f..%2fclient",
        "a%00b",
        "%5c",
        "v4",
        "x;y",
        "%25",
        ""
      )
      yield* Effect.promise(() =>
        fc.assert(
          fc.asyncProperty(fc.array(segment, { minLength: 1, maxLength: 6 }), async (segments) => {
            paths.length = 0
            const below = segments.join("/")
            const text = await Effect.runPromise(get(gateway, `${base}/${below}`))
            if (segments.some((segment) => ["..", ".", "%2e%2e"].includes(segment))) {
              assert.match(text, /^HTTP\/1.1 400 /)
              assert.include(text, "\"internalCode\":7000")
              assert.deepStrictEqual(paths, [])
            } else {
              assert.match(text, /^HTTP\/1.1 200 /)
              assert.strictEqual(paths[0], below === "" ? "/api/v9" : `/api/v9/${below}`)
            }
          }),
          { numRuns: 60 }
        )
      )
      for (
        const path of [
          `${base}/../../../../client/v4/accounts/${gateway.accountId}/ai-gateway/gateways`,
          `/v1/${gateway.accountId}%2fgw/openai/x`,
          `/v1%2f${gateway.accountId}/gw/openai/x`
        ]
      ) assert.notInclude(yield* get(gateway, path), "\"cache_ttl\"")
    }))

  it.live("SEC-04: has no dots as segments in the universal endpoint or by a model's name either", () =>
    Effect.gen(function*() {
      const { gateway, paths } = yield* withPaths
      for (const endpoint of ["../admin", "a/%2E%2e/%2e./b", "..\\admin", ".\t./admin", "x/..?y=1", "."]) {
        const { json, status } = yield* data(gateway, "gw", { body: [{ provider: "openai", endpoint, query: {} }] })
        assert.deepStrictEqual([status, json.internalCode], [400, 7000], endpoint)
        assert.include(json.description, "'endpoint' must not have '.' or '..' as a segment")
      }
      const named = yield* data(gateway, "gw/compat/chat/completions", {
        body: { model: "google-ai-studio/../../admin", messages: [{ role: "user", content: "hi" }] },
        headers: { authorization: "Bearer sk-leads-nowhere" }
      })
      assert.strictEqual(named.status, 400)
      assert.include(named.text, "leave the provider's base URL")
      assert.deepStrictEqual(paths, [])
      yield* data(gateway, "gw", {
        body: [{ provider: "openai", endpoint: "a..b/.well-known/...?x=../..", query: {} }]
      })
      assert.deepStrictEqual(paths, ["/api/v9/a..b/.well-known/...?x=../.."])
    }))

  it.live("SEC-04: is what counts, not the Host, nor a whole URL in its place", () =>
    Effect.gen(function*() {
      const { gateway, paths } = yield* withPaths
      const management = `/client/v4/accounts/${gateway.accountId}/ai-gateway/gateways`
      for (const host of ["127.0.0.1", "localhost", "workers-binding.ai"]) {
        assert.notInclude(yield* get(gateway, management, host), "HTTP/1.1 200")
      }
      const whole = yield* get(gateway, `http://evil.example${management}`)
      assert.notInclude(whole, "HTTP/1.1 200")
      assert.deepStrictEqual(paths, [])
    }))
})

describe("a request that is no sound HTTP", () => {
  it.live("SEC-06: with two lengths is refused, and what follows in it is no request", () =>
    Effect.gen(function*() {
      const { gateway, paths } = yield* withPaths
      const head = `POST /v1/${gateway.accountId}/gw/openai/first HTTP/1.1\r\nHost: ${new URL(gateway.url).host}\r\n`
      const smuggled = `GET /v1/${gateway.accountId}/gw/openai/smuggled HTTP/1.1\r\nHost: x\r\n\r\n`
      for (
        const headers of [
          "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n",
          "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n",
          "Content-Length: 4\r\nContent-Length: 5\r\n",
          "Transfer-Encoding: xchunked\r\n",
          "Content-Length: +4\r\n"
        ]
      ) {
        const text = yield* raw(gateway, `${head}${headers}\r\n0\r\n\r\n${smuggled}`)
        assert.match(text, /^HTTP\/1.1 400 /)
        assert.strictEqual(text.split("HTTP/1.1 ").length, 2, "one answer")
      }
      assert.deepStrictEqual(paths, [])
    }))

  it.live("with headers beyond 64 KiB is refused with 431", () =>
    Effect.gen(function*() {
      const gateway = yield* LocalGateway.make()
      const text = yield* raw(gateway, `GET / HTTP/1.1\r\nHost: x\r\nx: ${"y".repeat(70_000)}\r\n\r\n`)
      assert.match(text, /^HTTP\/1.1 431 /)
    }))

  it.live("SEC-10: that comes too slowly is cut, in its headers and in its body", () =>
    Effect.gen(function*() {
      const gateway = yield* LocalGateway.make({ clientTimeout: "1 second" })
      const host = `Host: ${new URL(gateway.url).host}\r\n`
      assert.match(yield* raw(gateway, `POST /x HTTP/1.1\r\n${host}x: `), /^HTTP\/1.1 408 /)
      const slow = raw(gateway, `POST /v1/x/y/openai HTTP/1.1\r\n${host}Content-Length: 100\r\n\r\n`, "{")
      yield* slow.pipe(Effect.timeout("5 seconds"))
    }), 20_000)
})

describe("what grows with what clients send", () => {
  it.effect("SEC-11: the counts by model are bounded, whatever models are named", () =>
    Effect.sync(() => {
      const metrics = Metrics.make()
      for (let i = 0; i < 3 * Metrics.maxModels; i++) {
        metrics.observe({
          provider: "openai",
          model: `model-${i}`,
          status: 200 + (i % 300),
          success: true,
          cached: false,
          tokensIn: 1,
          tokensOut: 1,
          cost: 0,
          duration: 1
        })
      }
      const lines = metrics.render().split("\n").filter((line) => line.startsWith("ai_gateway_tokens_total"))
      assert.isAtMost(lines.length, 2 * (Metrics.maxModels + 1))
    }))
})

describe("the token", () => {
  it.effect("SEC-12: is the only text that passes", () =>
    Effect.sync(() => {
      const isToken = Access.verifier(Redacted.make("the-token-0123456789"))
      assert.isTrue(isToken("the-token-0123456789"))
      fc.assert(fc.property(
        fc.oneof(fc.string(), fc.nat(19).map((n) => "the-token-0123456789".slice(0, n))),
        (text) => !isToken(text)
      ))
      assert.isFalse(isToken(undefined))
      assert.isFalse(isToken("the-token-0123456789 "))
    }))

  it.live("is the only thing that opens the management API, also on loopback", () =>
    Effect.gen(function*() {
      const gateway = yield* LocalGateway.make()
      const answer = yield* call(`${gateway.url}/client/v4/accounts/${gateway.accountId}/ai-gateway/gateways`)
      assert.oneOf(answer.status, [400, 401, 403])
    }))
})
