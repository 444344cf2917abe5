/**
 * Whatever comes in is answered, by no failure of the gateway's own, and the gateway goes on.
 */
import * as NodeSocket from "@effect/platform-node/NodeSocket"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as fc from "fast-check"
import * as http from "node:http"
import { connect } from "node:net"
import { setFlagsFromString } from "node:v8"
import { runInNewContext } from "node:vm"
import * as LocalGateway from "../../src/local/LocalGateway.ts"
import { aig, create, data } from "./talk.ts"

interface Sent {
  readonly method: string
  readonly path: string
  readonly headers: { readonly [name: string]: string }
  readonly body: string
}

/** As it is: unlike `fetch`, this leaves odd paths alone. */
const send = (url: string, { body, headers, method, path }: Sent) =>
  new Promise<{ readonly status: number; readonly text: string }>((resolve, reject) => {
    const { hostname, port } = new URL(url)
    const length = { "content-length": String(Buffer.byteLength(body)) }
    const request = http.request({ hostname, port, method, path, headers: { ...headers, ...length } }, (response) => {
      let text = ""
      response.setEncoding("utf8").on("data", (part) => text += part)
      response.on("end", () => resolve({ status: response.statusCode!, text }))
      response.on("error", reject)
    })
    request.on("error", reject)
    request.end(body)
  })

const start = Effect.gen(function*() {
  const gateway = yield* LocalGateway.make({ pause: 0, bodyLimit: 4096 })
  yield* create(gateway, "fuzz", {
    cache_ttl: 60,
    guardrails: { prompt: { S1: "BLOCK" }, response: { S1: "FLAG" } },
    spend_limits: { enabled: true, rules: [] }
  })
  return gateway
})

const check = (gateway: LocalGateway.LocalGateway["Service"], sent: fc.Arbitrary<Sent>, runs: number) =>
  Effect.promise(() =>
    fc.assert(
      fc.asyncProperty(sent, async (request) => {
        const { status, text } = await send(gateway.url, request)
        assert.isBelow(status, 500, text)
      }),
      { numRuns: runs }
    )
  )

/** By another gateway: a request may have deleted this one. */
const stillWorks = Effect.fnUntraced(function*(gateway: LocalGateway.LocalGateway["Service"]) {
  const { status } = yield* data(gateway, "default/workers-ai/@cf/meta/llama-3.1-8b-instruct", {
    headers: aig(gateway),
    body: { prompt: "hi" }
  })
  assert.strictEqual(status, 200)
})

const method = fc.constantFrom("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "HEAD")
const printable = fc.string({ maxLength: 40, unit: "grapheme-ascii" }).map((text) => text.replace(/[ \t]/g, ""))
const value = fc.oneof(
  fc.constantFrom("", "true", "0", "-1", "1e9", "NaN", "{}", "[]", "{\"a\":{}}", "null", "\"x\"", "9".repeat(400)),
  fc.string({ maxLength: 60, unit: "grapheme-ascii" }),
  fc.json({ maxDepth: 3 }).map((text) => text.replace(/[^\x20-\x7e]/g, "?"))
)
const headers = fc.dictionary(
  fc.constantFrom(
    "cf-aig-metadata",
    "cf-aig-cache-ttl",
    "cf-aig-cache-key",
    "cf-aig-skip-cache",
    "cf-aig-custom-cost",
    "cf-aig-event-id",
    "cf-aig-request-timeout",
    "cf-aig-max-attempts",
    "cf-aig-backoff",
    "cf-aig-byok-alias",
    "cf-aig-collect-log",
    "cf-aig-otel-trace-id",
    "cf-aig-gateway-id",
    "cf-aig-test-fault",
    "content-type",
    "content-encoding",
    "accept",
    "user-agent"
  ),
  value
)
/** JSON that looks like what providers take, here and there. */
const { json } = fc.letrec<{ json: unknown; known: unknown }>((tie) => ({
  known: fc.record({
    model: fc.oneof(fc.constantFrom("@cf/meta/llama-3.1-8b-instruct", "openai/gpt-4o", "dynamic/x", "/"), tie("json")),
    messages: fc.oneof(fc.array(fc.record({ role: printable, content: tie("json") }), { maxLength: 3 }), tie("json")),
    prompt: tie("json"),
    stream: fc.oneof(fc.boolean(), tie("json")),
    tools: tie("json"),
    response_format: tie("json"),
    max_tokens: tie("json"),
    input: tie("json"),
    contents: tie("json")
  }, { requiredKeys: [] }),
  json: fc.oneof({ maxDepth: 3 }, fc.jsonValue({ maxDepth: 2 }), tie("known"))
}))
/** What a model would answer, but for one field or none. */
const nearly = fc.record({
  field: fc.constantFrom(
    "model",
    "messages",
    "stream",
    "tools",
    "response_format",
    "max_tokens",
    "temperature",
    "none"
  ),
  value: json,
  content: fc.string({ maxLength: 40 }),
  stream: fc.boolean(),
  model: fc.constantFrom("@cf/meta/llama-3.1-8b-instruct", "workers-ai/@cf/meta/llama-3.1-8b-instruct")
}).map(({ content, field, model, stream, value }) => ({
  model,
  stream,
  max_tokens: 50,
  messages: [{ role: "user", content }],
  [field]: value
}))
const body = fc.oneof(
  { weight: 3, arbitrary: nearly.map((value) => JSON.stringify(value)) },
  json.map((value) => JSON.stringify(value)),
  fc.string({ maxLength: 100, unit: "binary" }),
  fc.constantFrom("", "{", "[".repeat(3000), "x".repeat(5000))
)

describe("any request", () => {
  it.live("to any path of any face has an answer that is no failure of the gateway", () =>
    Effect.gen(function*() {
      const gateway = yield* start
      const account = gateway.accountId
      const prefix = fc.constantFrom(
        "/",
        "/v1/",
        `/v1/${account}/fuzz/`,
        `/v1/${account}/fuzz/workers-ai/`,
        `/v1/${account}/fuzz/custom-x/`,
        `/client/v4/accounts/${account}/ai-gateway/`,
        `/client/v4/accounts/${account}/ai-gateway/gateways/fuzz/`,
        `/client/v4/accounts/${account}/ai/`,
        "/workers-binding/"
      )
      const rest = fc.oneof(
        printable.map((text) => text.replace(/#/g, "%")),
        fc.constantFrom(
          "%",
          "%00",
          "..%2f..",
          "//",
          "?",
          "?a[]=1&a=%ff",
          "logs?filters=[{",
          "logs?page=-1&per_page=1e9"
        )
      )
      const credentials = fc.constantFrom<{ readonly [name: string]: string }>({}, {
        authorization: `Bearer ${Redacted.value(gateway.token)}`,
        ...aig(gateway)
      })
      const sent = fc.record({ method, prefix, rest, headers, credentials, body }).map((_) => ({
        method: _.method,
        path: `${_.prefix}${_.rest}`,
        headers: { ..._.headers, ..._.credentials },
        body: _.body
      }))
      yield* check(gateway, sent, 600)
      yield* stillWorks(gateway)
    }).pipe(Effect.scoped), 60_000)

  it.live(
    "with any body to a known path has an answer that is no failure of the gateway",
    () =>
      Effect.gen(function*() {
        const gateway = yield* start
        const account = gateway.accountId
        const path = fc.constantFrom(
          `/v1/${account}/fuzz/workers-ai/@cf/meta/llama-3.1-8b-instruct`,
          `/v1/${account}/fuzz/workers-ai/v1/chat/completions`,
          `/v1/${account}/fuzz/compat/chat/completions`,
          `/v1/${account}/fuzz/openai/chat/completions`,
          `/client/v4/accounts/${account}/ai/run/@cf/meta/llama-3.1-8b-instruct`,
          `/client/v4/accounts/${account}/ai/v1/chat/completions`,
          `/client/v4/accounts/${account}/ai/v1/embeddings`,
          `/client/v4/accounts/${account}/ai/v1/messages`,
          `/client/v4/accounts/${account}/ai-gateway/gateways`,
          `/client/v4/accounts/${account}/ai-gateway/gateways/fuzz/routes`,
          `/client/v4/accounts/${account}/ai-gateway/gateways/fuzz/provider_configs`,
          `/client/v4/accounts/${account}/ai-gateway/custom-providers`
        )
        const credentials = { authorization: `Bearer ${Redacted.value(gateway.token)}`, ...aig(gateway) }
        const sent = fc.record({ path, headers, body }).map((_) => ({
          method: "POST",
          path: _.path,
          headers: { ..._.headers, ...credentials },
          body: _.body
        }))
        yield* check(gateway, sent, 600)
        yield* stillWorks(gateway)
      }).pipe(Effect.scoped),
    60_000
  )

  it.live(
    "with any steps to the universal endpoint has an answer that is no failure of the gateway",
    () =>
      Effect.gen(function*() {
        const gateway = yield* start
        const sound = nearly.map((query) => ({
          provider: "workers-ai",
          endpoint: "v1/chat/completions",
          headers: aig(gateway),
          query
        }))
        const step = fc.record({
          provider: fc.oneof(fc.constantFrom("workers-ai", "openai", "compat", "custom-x", "__proto__"), json),
          endpoint: fc.oneof(
            fc.constantFrom("@cf/meta/llama-3.1-8b-instruct", "chat/completions", "v1/chat/completions", "", "/"),
            json
          ),
          headers: fc.oneof(headers, json),
          query: fc.oneof(nearly, json),
          config: json,
          authorization: json
        }, { requiredKeys: [] })
        const sent = fc.oneof(
          json,
          fc.array(fc.oneof(sound, step, json), { maxLength: 4 }),
          fc.array(sound, { maxLength: 2 })
        ).map((steps) => ({
          method: "POST",
          path: `/v1/${gateway.accountId}/fuzz`,
          headers: { ...aig(gateway) },
          body: JSON.stringify(steps)
        }))
        yield* check(gateway, sent, 600)
        yield* stillWorks(gateway)
      }).pipe(Effect.scoped),
    60_000
  )
})

describe("any frame of a WebSocket", () => {
  /** Sends frames, then a sound one; the answer is all frames that came until that one's answer was whole. */
  const talk = (gateway: LocalGateway.LocalGateway["Service"], frames: ReadonlyArray<string | Uint8Array>) =>
    new Promise<ReadonlyArray<string>>((resolve, reject) => {
      const url = `${gateway.url.replace("http", "ws")}/v1/${gateway.accountId}/fuzz`
      const socket = new NodeSocket.NodeWS.WebSocket(url, { headers: aig(gateway) })
      const got: Array<string> = []
      socket.on("open", () => {
        for (const frame of frames) socket.send(frame)
        socket.send(JSON.stringify({
          type: "universal.create",
          request: {
            eventId: "sound",
            provider: "workers-ai",
            endpoint: "@cf/meta/llama-3.1-8b-instruct",
            query: { prompt: "hi" }
          }
        }))
      })
      socket.on("message", (data) => {
        got.push(String(data))
        if (String(data).includes("\"sound\"")) {
          resolve(got)
          socket.terminate()
        }
      })
      socket.on("error", reject)
      socket.on("close", (code) => reject(new Error(`closed with ${code} after ${got.join("\n")}`)))
    })

  it.live(
    "is answered by a frame that is no failure of the gateway, and the socket goes on",
    () =>
      Effect.gen(function*() {
        const gateway = yield* start
        const request = fc.record({
          eventId: fc.oneof(fc.constantFrom("", "e-1", "__proto__"), json),
          provider: fc.oneof(fc.constantFrom("workers-ai", "openai", "compat", "custom-x"), json),
          endpoint: fc.oneof(fc.constantFrom("@cf/meta/llama-3.1-8b-instruct", "v1/chat/completions", "/"), json),
          headers: fc.oneof(headers, json),
          query: fc.oneof(nearly, json)
        }, { requiredKeys: [] })
        const frame = fc.oneof(
          fc.record({ type: fc.oneof(fc.constant("universal.create"), json), request: fc.oneof(request, json) })
            .map((value) => JSON.stringify(value)),
          json.map((value) => JSON.stringify(value)),
          fc.string({ maxLength: 100, unit: "binary" }),
          fc.uint8Array({ maxLength: 100 }),
          fc.constantFrom("", "{", "[".repeat(3000), "x".repeat(5000))
        )
        yield* Effect.promise(() =>
          fc.assert(
            fc.asyncProperty(fc.array(frame, { maxLength: 8 }), async (frames) => {
              for (const text of await talk(gateway, frames)) {
                const { status, type } = JSON.parse(text)
                assert.match(type, /^universal\.(created|stream|done|error)$/, text)
                assert.isBelow(status ?? 0, 500, text)
              }
            }),
            { numRuns: 150 }
          )
        )
        yield* stillWorks(gateway)
      }).pipe(Effect.scoped),
    60_000
  )

  it.live("that breaks the protocol itself ends its own socket and nothing else", () =>
    Effect.gen(function*() {
      const gateway = yield* start
      const { hostname, port } = new URL(gateway.url)
      const handshake = `GET /v1/${gateway.accountId}/fuzz HTTP/1.1\r\nHost: ${hostname}:${port}\r\n` +
        "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n" +
        `Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\ncf-aig-authorization: ${aig(gateway)["cf-aig-authorization"]}` +
        "\r\n\r\n"
      yield* Effect.promise(() =>
        fc.assert(
          fc.asyncProperty(fc.uint8Array({ minLength: 1, maxLength: 200 }), (bytes) =>
            new Promise<void>((resolve) => {
              const socket = connect(Number(port), hostname, () => void socket.write(handshake))
              socket.once("data", () => {
                socket.end(bytes)
                setTimeout(() => socket.destroy(), 20)
              })
              socket.on("error", () => {})
              socket.on("close", () => resolve())
            })),
          { numRuns: 60 }
        )
      )
      yield* stillWorks(gateway)
    }).pipe(Effect.scoped), 60_000)
})

describe("many requests", () => {
  it.live("right and wrong ones leave no memory behind", () =>
    Effect.gen(function*() {
      setFlagsFromString("--expose-gc")
      const gc: () => void = runInNewContext("gc")
      const heap = () => {
        gc()
        return process.memoryUsage().heapUsed
      }
      const gateway = yield* start
      const account = gateway.accountId
      const wave = Effect.forEach(
        Array.from({ length: 500 }, (_, i) => i),
        (i) =>
          Effect.promise(() =>
            send(gateway.url, {
              method: "POST",
              path: i % 3 === 0
                ? `/v1/${account}/fuzz/nobody-${i}/x`
                : `/v1/${account}/fuzz/workers-ai/v1/chat/completions`,
              headers: { ...aig(gateway), "cf-aig-metadata": JSON.stringify({ n: i }) },
              body: i % 2 === 0
                ? "{"
                : JSON.stringify({
                  model: "@cf/meta/llama-3.1-8b-instruct",
                  stream: i % 5 === 0,
                  messages: [{ role: "user", content: `n ${i}` }]
                })
            })
          ),
        { concurrency: 20, discard: true }
      )
      yield* wave
      const before = heap()
      yield* Effect.repeat(wave, { times: 3 })
      assert.isBelow((heap() - before) / 1024 / 1024, 8, "MiB after 2,000 requests more")
    }).pipe(Effect.scoped), 60_000)
})
