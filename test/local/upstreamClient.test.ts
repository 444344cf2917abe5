import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Schedule from "effect/Schedule"
import * as Stream from "effect/Stream"
import * as fc from "fast-check"
import { createServer, type ServerResponse } from "node:http"
import type * as Answer from "../../src/local/Answer.ts"
import { layer, UpstreamClient } from "../../src/local/UpstreamClient.ts"

/** A server, what is open at it, and a request to it. */
const withServer = (handler: (response: ServerResponse) => void) =>
  Effect.gen(function*() {
    const client = yield* UpstreamClient
    let open = 0
    const server = createServer((request, response) => {
      open++
      response.on("close", () => open--)
      request.resume().on("end", () => handler(response))
    })
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
    const send = client.send({
      url: `http://127.0.0.1:${port}/a?b=c`,
      method: "POST",
      headers: { "content-type": "application/json" },
      body: new TextEncoder().encode("{}")
    })
    const isClosed = Effect.suspend(() => open === 0 ? Effect.void : Effect.fail(open)).pipe(
      Effect.retry(Schedule.spaced("10 millis").pipe(Schedule.upTo({ duration: "3 seconds" })))
    )
    return { send, isClosed, port }
  })

const bytesOf = (body: Answer.Answer["body"]) =>
  body instanceof Uint8Array ? Effect.succeed(body) : Effect.map(Stream.runCollect(body), (_) => Buffer.concat(_))

describe("the client of upstreams", () => {
  it.live("gives bodies of any pieces and any length as they were, whole ones at once", () =>
    Effect.gen(function*() {
      let pieces: ReadonlyArray<Uint8Array> = []
      let pause = 0
      const { send } = yield* withServer(async (response) => {
        response.writeHead(200, { "content-type": "application/octet-stream" })
        for (const piece of pieces) {
          response.write(piece)
          if (pause > 0) await new Promise((resolve) => setTimeout(resolve, pause))
        }
        response.end()
      })
      const sizes = fc.array(fc.oneof(fc.nat(20), fc.nat(200_000)), { maxLength: 6 })
      yield* Effect.promise(() =>
        fc.assert(
          fc.asyncProperty(sizes, fc.nat(2), async (lengths, wait) => {
            pieces = lengths.map((length, i) => new Uint8Array(length).fill(i + 1)).filter((_) => _.length > 0)
            pause = wait
            const body = await Effect.runPromise(Effect.flatMap(send, (answer) => bytesOf(answer.body)))
            assert.isTrue(Buffer.concat(pieces).equals(body))
          }),
          { numRuns: 60 }
        )
      )
    }).pipe(Effect.provide(layer)))

  it.live("makes the server wait while nobody reads, and goes on when somebody does", () =>
    Effect.gen(function*() {
      const size = 32 * 1024 * 1024
      let written = 0
      const { send } = yield* withServer((response) => {
        const more = () => {
          while (written < size) {
            written += 65_536
            if (!response.write(new Uint8Array(65_536))) return void response.once("drain", more)
          }
          response.end()
        }
        more()
      })
      const { body } = yield* send
      yield* Effect.sleep("300 millis")
      assert.isBelow(written, size / 2)
      assert.strictEqual((yield* bytesOf(body)).length, size)
    }).pipe(Effect.provide(layer)))

  it.live("closes the connection of a request that is interrupted, before the answer and within it", () =>
    Effect.gen(function*() {
      for (const begins of [false, true]) {
        const { isClosed, send } = yield* withServer((response) => {
          if (begins) response.writeHead(200).write("first")
        })
        const fiber = yield* Effect.forkChild(Effect.flatMap(send, (answer) => bytesOf(answer.body)))
        yield* Effect.sleep("100 millis")
        yield* Fiber.interrupt(fiber)
        yield* isClosed
      }
    }).pipe(Effect.provide(layer)))

  it.live("fails with the system's code where nobody answers, and in the stream where the answer is cut", () =>
    Effect.gen(function*() {
      const client = yield* UpstreamClient
      const refused = { url: "http://127.0.0.1:9/", method: "GET", headers: {}, body: new Uint8Array() }
      assert.strictEqual((yield* Effect.flip(client.send(refused))).code, "ECONNREFUSED")
      const { send } = yield* withServer((response) => {
        response.writeHead(200, { "content-length": "100" }).write("half")
        setTimeout(() => response.destroy(), 50)
      })
      const { body } = yield* send
      const read: Array<Uint8Array> = []
      assert.isFalse(body instanceof Uint8Array)
      const exit = yield* body instanceof Uint8Array
        ? Effect.void
        : Effect.exit(Stream.runForEach(body, (chunk) => Effect.sync(() => void read.push(chunk))))
      assert.isTrue(Exit.isExit(exit) && Exit.isFailure(exit))
      assert.strictEqual(Buffer.concat(read).toString(), "half")
    }).pipe(Effect.provide(layer)))

  it.live("connects to public addresses only where it should", () =>
    Effect.gen(function*() {
      const client = yield* UpstreamClient
      const { port } = yield* withServer((response) => response.end("reached"))
      const request = { url: `http://localhost:${port}/`, method: "GET", headers: {}, body: new Uint8Array() }
      assert.strictEqual((yield* client.send(request)).status, 200)
      assert.strictEqual((yield* Effect.flip(client.sendPublic(request))).code, "ERR_PRIVATE_ADDRESS")
    }).pipe(Effect.provide(layer)))
})
