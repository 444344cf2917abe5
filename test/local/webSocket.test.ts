import * as NodeSocket from "@effect/platform-node/NodeSocket"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Queue from "effect/Queue"
import * as Redacted from "effect/Redacted"
import * as Schedule from "effect/Schedule"
import * as Scope from "effect/Scope"
import * as Tracer from "effect/Tracer"
import { createServer, type IncomingMessage, request as httpRequest, type ServerResponse } from "node:http"
import { connect } from "node:net"
import { inspect } from "node:util"
import { LocalGateway } from "../../src/local/index.ts"
import { aig, create, data, type Gateway, manage } from "./talk.ts"

const native = "@cf/meta/llama-3.1-8b-instruct"

// Frames are asserted on; typing each would say it twice.
// oxlint-disable-next-line typescript/no-explicit-any
type Frame = any

interface Talk {
  readonly socket: NodeSocket.NodeWS.WebSocket
  readonly send: (frame: unknown) => void
  readonly next: Effect.Effect<Frame>
  /** Code of the close. */
  readonly closed: Effect.Effect<number>
}

const wsUrl = (gateway: Gateway, path: string) => `${gateway.url.replace("http", "ws")}/v1/${gateway.accountId}/${path}`

/** Opens a socket; fails with what the `ws` package says about a handshake that was refused. */
const open = (
  gateway: Gateway,
  path: string,
  options: { readonly protocols?: ReadonlyArray<string>; readonly headers?: Record<string, string> } = {}
): Effect.Effect<Talk, { readonly status: number; readonly body: Frame }, Scope.Scope> =>
  Effect.gen(function*() {
    const frames = yield* Queue.unbounded<Frame>()
    const codes = yield* Queue.unbounded<number>()
    const socket = yield* Effect.acquireRelease(
      Effect.callback<NodeSocket.NodeWS.WebSocket, { readonly status: number; readonly body: Frame }>((resume) => {
        const ws = new NodeSocket.NodeWS.WebSocket(wsUrl(gateway, path), [...options.protocols ?? []], {
          headers: options.headers ?? {}
        })
        ws.on("message", (message) => Queue.offerUnsafe(frames, JSON.parse(String(message))))
        ws.on("open", () => resume(Effect.succeed(ws)))
        ws.on("close", (code) => Queue.offerUnsafe(codes, code))
        ws.on("error", () => {})
        ws.on("unexpected-response", (_, response) => {
          const chunks: Array<Buffer> = []
          response.on("data", (chunk: Buffer) => chunks.push(chunk))
          response.on("end", () => {
            const text = Buffer.concat(chunks).toString()
            resume(Effect.fail({ status: response.statusCode ?? 0, body: JSON.parse(text) }))
            ws.terminate()
          })
        })
      }),
      (ws) => Effect.sync(() => ws.terminate())
    )
    return {
      socket,
      send: (frame) => socket.send(typeof frame === "string" ? frame : JSON.stringify(frame)),
      next: Queue.take(frames),
      closed: Queue.take(codes)
    }
  })

const universal = (request: unknown) => ({ type: "universal.create", request })

const setup = (
  settings: { readonly [wire: string]: unknown } = {}
): Effect.Effect<Gateway, unknown, Scope.Scope> =>
  Effect.gen(function*() {
    const gateway = yield* LocalGateway.make({ pause: 0 })
    yield* create(gateway, "ws", settings)
    return gateway
  })

/** A gateway whose `openai` is a stub on this machine. */
const withProvider = (
  handler: (request: IncomingMessage, response: ServerResponse) => void
): Effect.Effect<Gateway, unknown, Scope.Scope> =>
  Effect.gen(function*() {
    const server = createServer(handler)
    const port = yield* Effect.acquireRelease(
      Effect.callback<number>((resume) => {
        server.listen(0, "127.0.0.1", () => {
          const address = server.address()
          resume(Effect.succeed(typeof address === "object" && address !== null ? address.port : 0))
        })
      }),
      () =>
        Effect.sync(() => {
          server.closeAllConnections()
          server.close()
        })
    )
    const gateway = yield* LocalGateway.make({ pause: 0, upstreams: { openai: `http://127.0.0.1:${port}` } })
    yield* create(gateway, "ws")
    return gateway
  })

const eventually = <A>(check: Effect.Effect<A>, holds: (a: A) => boolean): Effect.Effect<void, unknown> =>
  check.pipe(
    Effect.flatMap((a) => holds(a) ? Effect.void : Effect.fail(a)),
    Effect.retry(Schedule.spaced("20 millis").pipe(Schedule.upTo({ duration: "5 seconds" })))
  )

describe("WebSocket API: handshake", () => {
  it.live("WS-04: takes the token by header, with and without Bearer, and refuses others with 401 and 2009", () =>
    Effect.gen(function*() {
      const gateway = yield* setup({ authentication: true })
      const token = Redacted.value(gateway.token)
      for (const headers of [aig(gateway), { "cf-aig-authorization": token }]) {
        const { next, send } = yield* open(gateway, "ws/", { headers })
        send(universal({ provider: "workers-ai", endpoint: native, query: { prompt: "hi" } }))
        assert.strictEqual((yield* next).type, "universal.created")
      }
      for (const options of [{}, { headers: { "cf-aig-authorization": "wrong" } }]) {
        const refused = yield* Effect.flip(open(gateway, "ws/", options))
        assert.strictEqual(refused.status, 401)
        assert.deepStrictEqual(refused.body.error, [{ code: 2009, message: "Unauthorized" }])
      }
    }).pipe(Effect.scoped))

  it.live("WS-04: takes the token by subprotocol and echoes that one of those that were offered", () =>
    Effect.gen(function*() {
      const gateway = yield* setup({ authentication: true })
      const own = `cf-aig-authorization.${Redacted.value(gateway.token)}`
      const { next, send, socket } = yield* open(gateway, "ws", { protocols: ["other", own] })
      assert.strictEqual(socket.protocol, own)
      send(universal({ provider: "workers-ai", endpoint: native, query: { prompt: "hi" } }))
      assert.strictEqual((yield* next).type, "universal.created")
      const refused = yield* Effect.flip(open(gateway, "ws", { protocols: ["cf-aig-authorization.wrong"] }))
      assert.strictEqual(refused.body.error[0].code, 2009)
    }).pipe(Effect.scoped))

  it.live("refuses gateways that do not exist, and the realtime API, before the handshake", () =>
    Effect.gen(function*() {
      const gateway = yield* setup()
      const missing = yield* Effect.flip(open(gateway, "absent/"))
      assert.deepStrictEqual([missing.status, missing.body.error[0].code], [400, 2001])
      const realtime = yield* Effect.flip(open(gateway, "ws/openai?model=gpt-4o-realtime-preview"))
      assert.strictEqual(realtime.status, 501)
      assert.include(realtime.body.message, "no realtime WebSocket API")
    }).pipe(Effect.scoped))

  it.live("refuses a web page of another origin", () =>
    Effect.gen(function*() {
      const gateway = yield* setup()
      const refused = yield* Effect.flip(open(gateway, "ws/", { headers: { origin: "https://evil.example" } }))
      assert.strictEqual(refused.status, 403)
    }).pipe(Effect.scoped))

  it.live("shows the token in no span", () =>
    Effect.gen(function*() {
      const spans: Array<Tracer.NativeSpan> = []
      const tracer = Tracer.make({
        span: (options) => {
          const span = new Tracer.NativeSpan(options)
          spans.push(span)
          return span
        }
      })
      const gateway = yield* Effect.withTracer(setup({ authentication: true }), tracer)
      const token = Redacted.value(gateway.token)
      const talk = yield* open(gateway, "ws/", { protocols: [`cf-aig-authorization.${token}`], headers: aig(gateway) })
      talk.send(universal({ provider: "workers-ai", endpoint: native, query: { prompt: "hi" } }))
      yield* talk.next
      talk.socket.close()
      const show = () => inspect(spans.map(({ attributes, events }) => ({ attributes, events })), { depth: 9 })
      yield* eventually(Effect.sync(show), (shown) => shown.includes("sec-websocket-protocol"))
      assert.notInclude(show(), token)
    }).pipe(Effect.scoped))

  it.live("answers a handshake that is none, and stops at once although one was tried", () =>
    Effect.gen(function*() {
      const status = yield* Effect.scoped(Effect.gen(function*() {
        const gateway = yield* setup()
        return yield* Effect.callback<ReadonlyArray<unknown>>((resume) => {
          const request = httpRequest(`${gateway.url}/v1/${gateway.accountId}/ws/`, {
            headers: { connection: "Upgrade", upgrade: "websocket", "sec-websocket-version": "13" }
          })
          request.on("response", (response) => {
            const chunks: Array<Buffer> = []
            response.on("data", (chunk: Buffer) => chunks.push(chunk))
            response.on("end", () =>
              resume(Effect.succeed([response.statusCode, JSON.parse(Buffer.concat(chunks).toString()).message])))
          })
          request.end()
        })
      })).pipe(Effect.timeout("3 seconds"))
      assert.deepStrictEqual(status, [
        400,
        "No WebSocket handshake: the header Sec-WebSocket-Key is missing or no key"
      ])
    }))

  it.live("answers requests that merely offer another protocol as ordinary ones", () =>
    Effect.gen(function*() {
      const gateway = yield* setup()
      const port = Number(new URL(gateway.url).port)
      const text = yield* Effect.callback<string>((resume) => {
        const body = JSON.stringify({ prompt: "hi" })
        const socket = connect(port, "127.0.0.1")
        let read = ""
        socket.on("data", (chunk) => {
          read += String(chunk)
        })
        socket.on("close", () => resume(Effect.succeed(read)))
        socket.write(
          `POST /v1/${gateway.accountId}/ws/workers-ai/${native} HTTP/1.1\r\nhost: 127.0.0.1:${port}\r\n` +
            `connection: Upgrade, HTTP2-Settings, close\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABkAAQCAAAAAAIAAAAA\r\n` +
            `content-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n${body}`
        )
        return Effect.sync(() => socket.destroy())
      }).pipe(Effect.timeout("3 seconds"))
      assert.match(text, /^HTTP\/1\.1 200 /)
    }).pipe(Effect.scoped))
})

describe("WebSocket API: requests", () => {
  it.live("WS-01: answers a whole request with one created frame that has the provider's JSON", () =>
    Effect.gen(function*() {
      const gateway = yield* setup()
      const { next, send } = yield* open(gateway, "ws/")
      send(universal({
        eventId: "my-1",
        provider: "workers-ai",
        endpoint: native,
        headers: { "Content-Type": "application/json" },
        query: { prompt: "hi" }
      }))
      const frame = yield* next
      assert.deepStrictEqual(Object.keys(frame), ["type", "metadata", "response"])
      assert.strictEqual(frame.type, "universal.created")
      assert.deepInclude(frame.metadata, { eventId: "my-1", step: "0", contentType: "application/json" })
      assert.isString(frame.metadata.logId)
      assert.isString(frame.response.result.response)
      const { result } = (yield* manage(gateway, `/ws/logs/${frame.metadata.logId}`)).json
      assert.strictEqual(result.request_type, "WebSockets")
      assert.strictEqual(result.event_id, "my-1")
    }).pipe(Effect.scoped))

  it.live("WS-02: answers a streamed request with created, one frame per event in order, and done", () =>
    Effect.gen(function*() {
      const gateway = yield* setup()
      const query = { prompt: "a somewhat longer question than that", stream: true }
      const { text } = yield* data(gateway, `ws/workers-ai/${native}`, { body: query })
      const expected = text.split("\n\n").filter((_) => _.startsWith("data: {")).map((_) => JSON.parse(_.slice(6)))
      const { next, send } = yield* open(gateway, "ws/")
      send(universal({ eventId: "s", provider: "workers-ai", endpoint: native, query }))
      const created = yield* next
      assert.strictEqual(created.type, "universal.created")
      assert.notProperty(created, "response")
      assert.include(created.metadata.contentType, "text/event-stream")
      const responses: Array<unknown> = []
      for (;;) {
        const frame = yield* next
        if (frame.type === "universal.done") {
          assert.deepStrictEqual(frame.metadata, created.metadata)
          break
        }
        assert.deepStrictEqual([frame.type, frame.metadata], ["universal.stream", { eventId: "s" }])
        responses.push(frame.response)
      }
      assert.isAbove(responses.length, 2)
      assert.deepStrictEqual(responses, expected)
    }).pipe(Effect.scoped))

  it.live("WS-03: answers many at once: a fast one overtakes a slow one, each in its own order", () =>
    Effect.gen(function*() {
      const gateway = yield* withProvider((request, response) => {
        response.writeHead(200, { "content-type": "text/event-stream" })
        let n = 0
        const name = request.url ?? ""
        const timer = setInterval(() => {
          response.write(`data: ${JSON.stringify({ name, n: n++ })}\n\n`)
          if (n < 4) return
          clearInterval(timer)
          response.end("data: [DONE]\n\n")
        }, name === "/slow" ? 60 : 5)
      })
      const { next, send } = yield* open(gateway, "ws/")
      for (const eventId of ["slow", "fast"]) send(universal({ eventId, provider: "openai", endpoint: eventId }))
      const seen: Array<string> = []
      const counts: Record<string, Array<number>> = { slow: [], fast: [] }
      while (seen.length < 2) {
        const frame = yield* next
        if (frame.type === "universal.done") seen.push(frame.metadata.eventId)
        if (frame.type === "universal.stream") counts[frame.metadata.eventId]?.push(frame.response.n)
      }
      assert.deepStrictEqual(seen, ["fast", "slow"])
      assert.deepStrictEqual(counts, { slow: [0, 1, 2, 3], fast: [0, 1, 2, 3] })
    }).pipe(Effect.scoped))

  it.live("makes an event id where the caller gives none", () =>
    Effect.gen(function*() {
      const gateway = yield* setup()
      const { next, send } = yield* open(gateway, "ws/")
      send(universal({ provider: "workers-ai", endpoint: native, query: { prompt: "hi" } }))
      const { metadata } = yield* next
      assert.strictEqual(metadata.eventId, metadata.logId)
    }).pipe(Effect.scoped))

  it.live("honours the options in a request's headers, and those of the handshake where a request has none", () =>
    Effect.gen(function*() {
      const gateway = yield* setup()
      const { next, send } = yield* open(gateway, "ws/", { headers: { "cf-aig-metadata": "{\"from\":\"socket\"}" } })
      const metadataOf = (headers: Record<string, string>) =>
        Effect.gen(function*() {
          send(universal({ provider: "workers-ai", endpoint: native, headers, query: { prompt: "hi" } }))
          const { logId } = (yield* next).metadata
          return (yield* manage(gateway, `/ws/logs/${logId}`)).json.result.metadata
        })
      const own = yield* metadataOf({ "cf-aig-metadata": "{\"from\":\"request\"}" })
      const inherited = yield* metadataOf({})
      assert.deepStrictEqual([own, inherited].map((_) => typeof _ === "string" ? JSON.parse(_) : _), [
        { from: "request" },
        { from: "socket" }
      ])
    }).pipe(Effect.scoped))
})

describe("WebSocket API: failures", () => {
  it.live("answers each wrong frame with an error frame, with its event id when it can be read, and goes on", () =>
    Effect.gen(function*() {
      const gateway = yield* setup()
      const { next, send } = yield* open(gateway, "ws/")
      const cases: ReadonlyArray<readonly [unknown, string | undefined, number, RegExp]> = [
        ["{", undefined, 7000, /not a JSON object/],
        [[], undefined, 7000, /not a JSON object/],
        [{ type: "universal.stop", request: { eventId: "t" } }, "t", 7000, /'type' is "universal\.stop"/],
        [{ type: "universal.create", request: [{}] }, undefined, 7000, /'request' must be an object/],
        [universal({ eventId: "a", endpoint: "x" }), "a", 7000, /request: 'provider' must be a string/],
        [universal({ eventId: "b", provider: "openai" }), "b", 7000, /request: 'endpoint' must be a string/],
        [universal({ eventId: "c", provider: "openai", endpoint: "x", headers: 1 }), "c", 7000, /request: 'headers'/],
        [universal({ eventId: 7, provider: "openai", endpoint: "x" }), undefined, 7000, /'request\.eventId'/],
        [universal({ eventId: "d", provider: "nope", endpoint: "x" }), "d", 2008, /Invalid provider/]
      ]
      for (const [frame, eventId, code, message] of cases) {
        send(frame)
        const answer = yield* next
        assert.strictEqual(answer.type, "universal.error")
        assert.strictEqual(answer.status, 400)
        assert.strictEqual(answer.metadata.eventId, eventId)
        assert.strictEqual(answer.error[0].code, code)
        assert.match(answer.error[0].message, message)
      }
      send(universal({ eventId: "ok", provider: "workers-ai", endpoint: native, query: { prompt: "hi" } }))
      assert.strictEqual((yield* next).type, "universal.created")
    }).pipe(Effect.scoped))

  it.live("answers a provider's refusal with its status, its body, and when to try again", () =>
    Effect.gen(function*() {
      const gateway = yield* withProvider((_, response) => {
        response.writeHead(429, { "content-type": "application/json", "retry-after": "7" })
        response.end(JSON.stringify({ error: { message: "slow down", code: "rate_limit" } }))
      })
      const { next, send } = yield* open(gateway, "ws/")
      send(universal({ eventId: "r", provider: "openai", endpoint: "chat/completions" }))
      const frame = yield* next
      assert.strictEqual(frame.type, "universal.error")
      assert.strictEqual(frame.metadata.eventId, "r")
      assert.isString(frame.metadata.logId)
      assert.strictEqual(frame.status, 429)
      assert.deepStrictEqual(frame.headers, { "retry-after": "7" })
      assert.deepStrictEqual(frame.response, { error: { message: "slow down", code: "rate_limit" } })
    }).pipe(Effect.scoped))

  it.live("ends a stream that the provider cut with an error frame, never with done", () =>
    Effect.gen(function*() {
      const gateway = yield* withProvider((_, response) => {
        response.writeHead(200, { "content-type": "text/event-stream" })
        response.write("data: {\"n\":0}\n\n")
        setTimeout(() => response.destroy(), 50)
      })
      const { next, send } = yield* open(gateway, "ws/")
      send(universal({ eventId: "cut", provider: "openai", endpoint: "x" }))
      assert.strictEqual((yield* next).type, "universal.created")
      assert.deepStrictEqual((yield* next).response, { n: 0 })
      const last = yield* next
      assert.strictEqual(last.type, "universal.error")
      assert.strictEqual(last.metadata.eventId, "cut")
      assert.deepStrictEqual(last.error[0].code, 2005)
    }).pipe(Effect.scoped))

  it.live("refuses an answer of bytes that JSON cannot carry", () =>
    Effect.gen(function*() {
      const gateway = yield* withProvider((_, response) => {
        response.writeHead(200, { "content-type": "audio/mpeg" })
        response.end(Buffer.from([0xff, 0xfb]))
      })
      const { next, send } = yield* open(gateway, "ws/")
      send(universal({ eventId: "b", provider: "openai", endpoint: "audio/speech" }))
      const frame = yield* next
      assert.strictEqual(frame.type, "universal.error")
      assert.include(frame.error[0].message, "audio/mpeg")
    }).pipe(Effect.scoped))
})

describe("WebSocket API: lifetime", () => {
  /** Streams as fast as it may and never ends. */
  const endless = (state: { written: number; closed: number }) => (_: IncomingMessage, response: ServerResponse) => {
    response.writeHead(200, { "content-type": "text/event-stream" })
    const write = (): void => {
      let more = true
      while (more && !response.destroyed) {
        state.written++
        more = response.write(`data: ${JSON.stringify({ text: "x".repeat(1000) })}\n\n`)
      }
      if (!response.destroyed) response.once("drain", write)
    }
    response.once("close", () => state.closed++)
    write()
  }

  it.live("closing the socket stops every request of it at its provider", () =>
    Effect.gen(function*() {
      const state = { written: 0, closed: 0 }
      const gateway = yield* withProvider(endless(state))
      const { next, send, socket } = yield* open(gateway, "ws/")
      for (const eventId of ["a", "b", "c"]) send(universal({ eventId, provider: "openai", endpoint: "x" }))
      for (let created = 0; created < 3;) if ((yield* next).type === "universal.created") created++
      socket.close()
      yield* eventually(Effect.sync(() => state.closed), (closed) => closed === 3)
    }).pipe(Effect.scoped))

  it.live("a client that does not read stops the provider's flow instead of filling the memory", () =>
    Effect.gen(function*() {
      const state = { written: 0, closed: 0 }
      const gateway = yield* withProvider(endless(state))
      const { next, send, socket } = yield* open(gateway, "ws/")
      send(universal({ eventId: "a", provider: "openai", endpoint: "x" }))
      yield* next
      socket.pause()
      yield* Effect.sleep("1 second")
      const before = state.written
      yield* Effect.sleep("500 millis")
      assert.strictEqual(state.written, before, "the provider waits")
      assert.isBelow(before, 40_000, "some 40 MB at most are under way in the system's buffers")
      socket.resume()
      yield* eventually(Effect.sync(() => state.written), (written) => written > before)
    }).pipe(Effect.scoped))

  it.live("a gateway that stops lets its sockets go within a second, also one that does not answer", () =>
    Effect.gen(function*() {
      const outer = yield* Effect.scope
      const state = { written: 0, closed: 0 }
      const talk = yield* Effect.gen(function*() {
        const gateway = yield* withProvider(endless(state))
        const talk = yield* Scope.provide(open(gateway, "ws/"), outer)
        talk.send(universal({ eventId: "a", provider: "openai", endpoint: "x" }))
        yield* talk.next
        talk.socket.pause()
        return talk
      }).pipe(Effect.scoped, Effect.timeout("2 seconds"))
      talk.socket.resume()
      assert.isNumber(yield* talk.closed)
    }).pipe(Effect.scoped))
})
