/**
 * A gateway that is told to stop while clients are connected.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Redacted from "effect/Redacted"
import * as Scope from "effect/Scope"
import { Agent, createServer, get, type ServerResponse } from "node:http"
import { LocalGateway } from "../../src/local/index.ts"
import { portOf } from "../support/cli.ts"
import { type Gateway, manage } from "./talk.ts"
import { temporaryFile } from "./temporaryFile.ts"

const event = (text: string) => `data: ${JSON.stringify({ text })}\n\n`

/** A provider that streams one event, and more when it is told to. */
const provider = Effect.gen(function*() {
  const open: Array<ServerResponse> = []
  const server = createServer((request, response) => {
    request.resume()
    response.writeHead(200, { "content-type": "text/event-stream" })
    response.write(event("first"))
    open.push(response)
  })
  yield* Effect.addFinalizer(() => Effect.sync(() => server.closeAllConnections()))
  const port = yield* portOf(server)
  return { open, upstreams: { openai: `http://127.0.0.1:${port}` } }
})

/** A gateway in a scope that the test closes. */
const start = (options: LocalGateway.Options) =>
  Effect.gen(function*() {
    const scope = yield* Scope.make()
    const gateway = yield* LocalGateway.make({
      gateways: [{ id: "gw" }],
      token: Redacted.make("t"),
      ...options
    }).pipe(Scope.provide(scope))
    yield* Effect.addFinalizer(() => Scope.close(scope, Exit.void))
    return {
      gateway,
      stop: Effect.map(Effect.timed(Scope.close(scope, Exit.void)), ([took]) => Duration.toMillis(took))
    }
  })

/** A stream whose first event has come. */
const streaming = (gateway: Gateway) =>
  Effect.promise(async () => {
    const response = await fetch(`${gateway.url}/v1/${gateway.accountId}/gw/openai/chat/completions`, {
      method: "POST",
      body: JSON.stringify({ model: "m", stream: true })
    })
    const reader = response.body!.getReader()
    const first = await reader.read()
    return {
      first: new TextDecoder().decode(first.value),
      rest: async () => {
        let text = ""
        for (let read = await reader.read(); !read.done; read = await reader.read()) {
          text += new TextDecoder().decode(read.value)
        }
        return text
      }
    }
  })

const logsOf = (store: string) =>
  Effect.scoped(Effect.gen(function*() {
    const gateway = yield* LocalGateway.make({ store })
    const { result } = (yield* manage(gateway, "/gw/logs")).json
    return result
  }))

describe("a gateway that is told to stop", () => {
  it.live("finishes an open stream, logs it, and takes no connection meanwhile", () =>
    Effect.gen(function*() {
      const { open, upstreams } = yield* provider
      const store = yield* temporaryFile
      const { gateway, stop } = yield* start({ upstreams, store, shutdownTimeout: "20 seconds" })
      const { first, rest } = yield* streaming(gateway)
      const stopping = yield* Effect.forkChild(stop)
      const reading = rest()
      yield* Effect.sleep("600 millis")
      const refused = yield* Effect.promise(() =>
        fetch(`${gateway.url}/health`).then(() => undefined, (error: Error) => error.cause)
      )
      assert.include(String(refused), "ECONNREFUSED")
      open[0]?.end(event("last"))
      assert.deepStrictEqual([first, yield* Effect.promise(() => reading)], [event("first"), event("last")])
      // The client keeps the connection for its next request, which nobody waits for.
      assert.isBelow(yield* Fiber.join(stopping), 3000)
      const [log, ...more] = yield* logsOf(store)
      assert.lengthOf(more, 0)
      assert.deepInclude(log, { success: true, status_code: 200, provider: "openai" })
    }))

  it.live("cuts a stream that does not end when its time is up, and logs it as cut", () =>
    Effect.gen(function*() {
      const { open, upstreams } = yield* provider
      const store = yield* temporaryFile
      const { gateway, stop } = yield* start({ upstreams, store, shutdownTimeout: "500 millis" })
      const { rest } = yield* streaming(gateway)
      const reading = rest().then(() => "whole", () => "cut")
      const took = yield* stop
      assert.strictEqual(yield* Effect.promise(() => reading), "cut")
      assert.isAtLeast(took, 450)
      assert.lengthOf(open, 1)
      const [log] = yield* logsOf(store)
      assert.deepInclude(log, { success: false, provider: "openai" })
    }))

  it.live("does not wait for idle connections, log pages and idle WebSockets", () =>
    Effect.gen(function*() {
      const { gateway, stop } = yield* start({ shutdownTimeout: "20 seconds" })
      const agent = new Agent({ keepAlive: true, maxSockets: 1 })
      yield* Effect.callback<void>((resume) => {
        get(`${gateway.url}/health`, { agent }, (response) => {
          response.resume().on("end", () => resume(Effect.void))
        })
      })
      const feed = yield* Effect.promise(() => fetch(`${gateway.url}/page/live`))
      assert.strictEqual(feed.status, 200)
      const socket = yield* socketOf(gateway)
      const took = yield* stop
      assert.isBelow(took, 3000)
      agent.destroy()
      yield* Effect.promise(() => feed.text())
      yield* Effect.promise(() => socket.closed)
    }))

  it.live("finishes the answers of a WebSocket, and then closes it", () =>
    Effect.gen(function*() {
      const { open, upstreams } = yield* provider
      const { gateway, stop } = yield* start({ upstreams, shutdownTimeout: "20 seconds" })
      const { closed, frames, socket } = yield* socketOf(gateway)
      socket.send(JSON.stringify({
        type: "universal.create",
        request: { provider: "openai", endpoint: "chat/completions", headers: {}, query: { stream: true } }
      }))
      while (!frames.some((_) => _.includes("first"))) yield* Effect.sleep("10 millis")
      const stopping = yield* Effect.forkChild(stop)
      yield* Effect.sleep("400 millis")
      open[0]?.end(event("last"))
      yield* Effect.promise(() => closed)
      const took = yield* Fiber.join(stopping)
      assert.isBelow(took, 5000)
      assert.deepStrictEqual(frames.map((_) => JSON.parse(_).type), [
        "universal.created",
        "universal.stream",
        "universal.stream",
        "universal.done"
      ])
    }))
})

const socketOf = (gateway: Gateway) =>
  Effect.promise(async () => {
    const socket = new WebSocket(`${gateway.url.replace("http", "ws")}/v1/${gateway.accountId}/gw`, [
      "cf-aig-authorization.t"
    ])
    const frames: Array<string> = []
    socket.addEventListener("message", ({ data }) => void frames.push(String(data)))
    const closed = new Promise<void>((resolve) => socket.addEventListener("close", () => resolve()))
    await new Promise<void>((resolve) => socket.addEventListener("open", () => resolve()))
    return { socket, frames, closed }
  })
