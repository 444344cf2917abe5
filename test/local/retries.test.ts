import { assert, describe, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { TestClock } from "effect/testing"
import { createServer, request as httpRequest, type ServerResponse } from "node:http"
import type * as Answer from "../../src/local/Answer.ts"
import { type AiGatewayError, noProviderAnswer } from "../../src/local/Envelope.ts"
import { LocalGateway } from "../../src/local/index.ts"
import * as Retries from "../../src/local/Retries.ts"
import { call, create, data, type Gateway, manage } from "./talk.ts"

const native = "@cf/meta/llama-3.1-8b-instruct"

const once: Retries.Retries = { attempts: 1, delay: 0, backoff: "constant", timeout: undefined }

const answerOf = (status: number, body: Answer.Answer["body"] = new Uint8Array([1])): Answer.Answer => ({
  status,
  headers: {},
  body
})

type Attempt = Effect.Effect<Answer.Answer, AiGatewayError>

const unreachable: Attempt = Effect.fail(noProviderAnswer("not reachable"))

/** Runs attempts that go as `script` says; each is noted with its time. */
const scripted = (script: ReadonlyArray<Attempt>, retries: Partial<Retries.Retries>, isLastStep = true) => {
  const times: Array<number> = []
  let at = 0
  const attempt = Effect.clockWith((clock) => {
    times.push(clock.currentTimeMillisUnsafe())
    return script[Math.min(at++, script.length - 1)] ?? Effect.never
  })
  return { times, run: Retries.run(attempt, { ...once, ...retries, name: "openai", isLastStep }) }
}

/** The result, however long it takes. */
const atLast = <A, E>(run: Effect.Effect<A, E>) =>
  Effect.gen(function*() {
    const fiber = yield* Effect.forkChild(run)
    yield* TestClock.adjust("10 minutes")
    return yield* Fiber.join(fiber)
  })

describe("attempts", () => {
  it.effect("RETRY-01: one without a setting, whatever comes of it", () =>
    Effect.gen(function*() {
      const { run, times } = scripted([Effect.succeed(answerOf(503))], {})
      assert.strictEqual((yield* run).status, 503)
      assert.strictEqual(times.length, 1)
    }))

  it.effect("RETRY-02: as many as there may be, and the last answer is the result", () =>
    Effect.gen(function*() {
      for (const status of [408, 429, 500, 503, 529]) {
        const { run, times } = scripted([Effect.succeed(answerOf(status))], { attempts: 3 })
        assert.strictEqual((yield* atLast(run)).status, status)
        assert.strictEqual(times.length, 3)
      }
      const { run, times } = scripted([unreachable], { attempts: 4 })
      assert.strictEqual((yield* Effect.flip(atLast(run))).code, 2005)
      assert.strictEqual(times.length, 4)
    }))

  it.effect("end with the first answer that is no passing failure", () =>
    Effect.gen(function*() {
      for (const status of [200, 302, 400, 401, 404, 409, 422]) {
        const { run, times } = scripted([
          Effect.succeed(answerOf(500)),
          unreachable,
          Effect.succeed(answerOf(status))
        ], { attempts: 5 })
        assert.strictEqual((yield* atLast(run)).status, status)
        assert.strictEqual(times.length, 3)
      }
    }))

  it.effect("RETRY-07: wait d, d·n and d·2ⁿ⁻¹", () =>
    Effect.gen(function*() {
      const expected = {
        constant: [100, 100, 100, 100],
        linear: [100, 200, 300, 400],
        exponential: [100, 200, 400, 800]
      }
      for (const backoff of ["constant", "linear", "exponential"] as const) {
        const { run, times } = scripted([unreachable], { attempts: 5, delay: 100, backoff })
        yield* Effect.flip(atLast(run))
        assert.deepStrictEqual(times.slice(1).map((time, i) => time - times[i]!), expected[backoff])
      }
    }))

  it.effect("stop where the request is interrupted, in an attempt and in a wait", () =>
    Effect.gen(function*() {
      let interrupted = 0
      const { run, times } = scripted([
        unreachable,
        Effect.onInterrupt(Effect.never, () => Effect.sync(() => interrupted++))
      ], { attempts: 5, delay: 1000 })
      const waiting = yield* Effect.forkChild(run)
      yield* TestClock.adjust("500 millis")
      yield* Fiber.interrupt(waiting)
      assert.strictEqual(times.length, 1)
      const trying = yield* Effect.forkChild(run)
      yield* TestClock.adjust("1 second")
      yield* Fiber.interrupt(trying)
      yield* TestClock.adjust("1 hour")
      assert.deepStrictEqual([times.length, interrupted], [2, 1])
    }))

  it.effect("free the connection of an answer that is not wanted, also of one without an end", () =>
    Effect.gen(function*() {
      let open = 0
      // The connection is there with the answer; reading the body, to its end or not, closes it.
      const refusal = (rest: Stream.Stream<Uint8Array>) =>
        Effect.sync(() => {
          open++
          const body = Stream.concat(Stream.succeed(new Uint8Array(1)), rest)
          return answerOf(500, Stream.onExit(body, () => Effect.sync(() => open--)))
        })
      for (const rest of [Stream.empty, Stream.never]) {
        const { run } = scripted([
          refusal(rest),
          Effect.succeed(answerOf(200))
        ], { attempts: 2 })
        assert.strictEqual((yield* atLast(run)).status, 200)
        assert.strictEqual(open, 0)
      }
    }))
})

describe("the limit of an attempt", () => {
  it.effect("TIME-01: is an error where there is one attempt, and the attempt is interrupted", () =>
    Effect.gen(function*() {
      const interrupted = yield* Deferred.make<void>()
      const { run } = scripted([Effect.onInterrupt(Effect.never, () => Deferred.succeed(interrupted, undefined))], {
        timeout: 50
      })
      const error = yield* Effect.flip(atLast(run))
      assert.deepStrictEqual([error.status, error.code], [400, 2005])
      assert.include(error.description, "openai sent nothing within 50 ms")
      yield* Deferred.await(interrupted)
    }))

  it.effect("counts to the first byte of the body, not to the headers", () =>
    Effect.gen(function*() {
      let closed = 0
      const silent = Stream.unwrap(Effect.as(
        Effect.acquireRelease(Effect.void, () => Effect.sync(() => closed++)),
        Stream.never
      ))
      const { run } = scripted([Effect.succeed(answerOf(200, silent))], { timeout: 50 })
      assert.strictEqual((yield* Effect.flip(atLast(run))).code, 2005)
      assert.strictEqual(closed, 1)
    }))

  it.effect("TIME-02: never cuts a stream that has started, and passes on all of it", () =>
    Effect.gen(function*() {
      let closed = 0
      const slow = Stream.make(1, 2, 3).pipe(
        Stream.rechunk(1),
        Stream.mapEffect((n) => Effect.as(Effect.sleep(n === 1 ? 40 : 60_000), Uint8Array.of(n))),
        Stream.onExit(() => Effect.sync(() => closed++))
      )
      const { run } = scripted([Effect.succeed(answerOf(200, slow))], { timeout: 50 })
      const fiber = yield* Effect.forkChild(run)
      yield* TestClock.adjust("45 millis")
      const answer = yield* Fiber.join(fiber)
      assert.isFalse(answer.body instanceof Uint8Array)
      if (answer.body instanceof Uint8Array) return
      const all = yield* atLast(Stream.runCollect(answer.body))
      assert.deepStrictEqual(all.map((read) => read[0]), [1, 2, 3])
      assert.strictEqual(closed, 1)
    }))

  it.effect("closes the provider's stream when the reader of it leaves", () =>
    Effect.gen(function*() {
      let closed = 0
      const endless = Stream.forever(Stream.succeed(new Uint8Array(1))).pipe(
        Stream.onExit(() => Effect.sync(() => closed++))
      )
      const { run } = scripted([Effect.succeed(answerOf(200, endless))], { timeout: 50 })
      const { body } = yield* run
      assert.strictEqual(closed, 0)
      if (!(body instanceof Uint8Array)) yield* Stream.runDrain(Stream.take(body, 1))
      assert.strictEqual(closed, 1)
    }))

  it.effect("takes a body that is cut before its first byte for no answer, and an empty one for an answer", () =>
    Effect.gen(function*() {
      const cut = scripted([Effect.succeed(answerOf(200, Stream.fail("reset")))], { timeout: 50 })
      assert.strictEqual((yield* Effect.flip(cut.run)).code, 2005)
      const empty = scripted([Effect.succeed(answerOf(204, Stream.empty))], { timeout: 50 })
      assert.deepStrictEqual((yield* empty.run).body, new Uint8Array())
    }))

  it.effect("TIME-03: does not hold for the last retry of the last step", () =>
    Effect.gen(function*() {
      const slow: Attempt = Effect.as(Effect.sleep("1 minute"), answerOf(200))
      const last = scripted([slow], { attempts: 2, timeout: 50, delay: 10 })
      assert.strictEqual((yield* atLast(last.run)).status, 200)
      assert.deepStrictEqual(last.times, [0, 60])
    }))

  it.effect("holds for the last retry of a step that has another behind it", () =>
    Effect.gen(function*() {
      const { run, times } = scripted([Effect.never], { attempts: 2, timeout: 50 }, false)
      assert.strictEqual((yield* Effect.flip(atLast(run))).code, 2005)
      assert.deepStrictEqual(times, [0, 50])
    }))
})

describe("what asks for retries", () => {
  it("RETRY-03: at most five attempts and sixty seconds; what is no such value says nothing", () => {
    assert.deepStrictEqual(
      Retries.read({ requestTimeout: "250", maxAttempts: "9", retryDelay: 99_999, backoff: "linear" }),
      { requestTimeout: 250, maxAttempts: 5, retryDelay: 60_000, backoff: "linear" }
    )
    for (const wrong of ["", " ", "x", "-1", "1.5", "0x10", "NaN", "9".repeat(40), null, true, {}, -3, 0.5, Infinity]) {
      assert.deepStrictEqual(
        Retries.read({ requestTimeout: wrong, maxAttempts: wrong, retryDelay: wrong, backoff: wrong }),
        { requestTimeout: undefined, maxAttempts: undefined, retryDelay: undefined, backoff: undefined }
      )
    }
    assert.deepInclude(Retries.read({ requestTimeout: 0, maxAttempts: 0, retryDelay: 0, backoff: "none" }), {
      requestTimeout: undefined,
      maxAttempts: undefined,
      retryDelay: 0
    })
  })

  it("RETRY-04, RETRY-05: the gateway's settings hold where the request says nothing", () => {
    const settings = { retry_max_attempts: 3, retry_delay: 100, retry_backoff: "exponential" }
    assert.deepStrictEqual(Retries.make({}, settings), {
      attempts: 3,
      delay: 100,
      backoff: "exponential",
      timeout: undefined
    })
    assert.deepStrictEqual(Retries.make({ maxAttempts: 1, retryDelay: 0, requestTimeout: 7 }, settings), {
      attempts: 1,
      delay: 0,
      backoff: "exponential",
      timeout: 7
    })
    assert.deepStrictEqual(Retries.make({}, { retry_max_attempts: null }), once)
  })
})

/** A gateway whose `openai` answers on this machine, and what became of each of its requests. */
const withUpstream = (
  handler: (index: number, response: ServerResponse) => void
): Effect.Effect<
  { readonly gateway: Gateway; readonly seen: { count: number; closed: number } },
  unknown,
  Scope.Scope
> =>
  Effect.gen(function*() {
    const seen = { count: 0, closed: 0 }
    const server = createServer((request, response) => {
      request.resume()
      response.on("close", () => seen.closed++)
      request.on("end", () => handler(seen.count++, response))
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
    const gateway = yield* LocalGateway.make({ upstreams: { openai: `http://127.0.0.1:${port}/v1` }, pause: 0 })
    yield* create(gateway, "r")
    return { gateway, seen }
  })

const answering = (...statuses: ReadonlyArray<number>) => (index: number, response: ServerResponse) => {
  const status = statuses[Math.min(index, statuses.length - 1)] ?? 200
  response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify({ try: index + 1 }))
}

const until = (holds: () => boolean) =>
  Effect.timeout(
    Effect.promise(async () => {
      while (!holds()) await new Promise((resolve) => setTimeout(resolve, 5))
    }),
    "3 seconds"
  )

const openai = { provider: "openai", endpoint: "chat/completions", query: { model: "m" } }
const fallback = { provider: "workers-ai", endpoint: native, query: { prompt: "second" } }

describe("the gateway", () => {
  it.live("tries again as the headers say, and logs the request once", () =>
    Effect.gen(function*() {
      const { gateway, seen } = yield* withUpstream(answering(500, 429, 200))
      const headers = { "cf-aig-max-attempts": "3", "cf-aig-retry-delay": "20", "cf-aig-backoff": "exponential" }
      const { json, status } = yield* data(gateway, "r/openai/chat/completions", { headers, body: {} })
      assert.strictEqual(status, 200)
      assert.deepStrictEqual(json, { try: 3 })
      assert.strictEqual(seen.count, 3)
      const logs = (yield* manage(gateway, "/r/logs")).json.result
      assert.strictEqual(logs.length, 1)
      assert.deepStrictEqual([logs[0].status_code, logs[0].success], [200, true])
      assert.isAtLeast(logs[0].duration, 60)
    }))

  it.live("RETRY-04, RETRY-05: tries again as its settings say, unless the request says otherwise", () =>
    Effect.gen(function*() {
      const { gateway, seen } = yield* withUpstream(answering(503))
      yield* create(gateway, "set", { retry_max_attempts: 2, retry_delay: 1, retry_backoff: "constant" })
      assert.strictEqual((yield* data(gateway, "set/openai/x", { body: {} })).status, 503)
      assert.strictEqual(seen.count, 2)
      yield* data(gateway, "set/openai/x", { headers: { "cf-aig-max-attempts": "1" }, body: {} })
      assert.strictEqual(seen.count, 3)
      yield* data(gateway, "set/openai/x", { headers: { "cf-aig-max-attempts": "many" }, body: {} })
      assert.strictEqual(seen.count, 5, "what is no number says nothing")
    }))

  it.live("does not try again what has nowhere to go", () =>
    Effect.gen(function*() {
      const { gateway } = yield* withUpstream(answering(200))
      const headers = { "cf-aig-max-attempts": "5", "cf-aig-retry-delay": "60000" }
      const { json } = yield* Effect.timeout(
        data(gateway, "r/deepgram/v1/listen", { headers, body: {} }),
        "3 seconds"
      )
      assert.strictEqual(json.error[0].code, 2005)
    }))

  it.live("TIME-01: answers 2005 when the provider takes too long, and hangs up on it", () =>
    Effect.gen(function*() {
      const { gateway, seen } = yield* withUpstream(() => {})
      const headers = { "cf-aig-request-timeout": "60" }
      const { json, status } = yield* data(gateway, "r/openai/chat/completions", { headers, body: {} })
      assert.strictEqual(status, 400)
      assert.strictEqual(json.error[0].code, 2005)
      assert.include(json.message, "openai sent nothing within 60 ms")
      yield* until(() => seen.closed === 1)
      const [log] = (yield* manage(gateway, "/r/logs")).json.result
      assert.deepStrictEqual([log.status_code, log.success], [400, false])
    }))

  it.live("hangs up on a provider that sends headers and nothing else in time", () =>
    Effect.gen(function*() {
      const { gateway, seen } = yield* withUpstream((_, response) => {
        response.writeHead(200, { "content-type": "text/event-stream" }).flushHeaders()
      })
      const headers = { "cf-aig-request-timeout": "60" }
      const { json } = yield* data(gateway, "r/openai/chat/completions", { headers, body: {} })
      assert.strictEqual(json.error[0].code, 2005)
      yield* until(() => seen.closed === 1)
    }))

  it.live("TIME-02: passes on a stream that starts in time and takes its time then", () =>
    Effect.gen(function*() {
      const { gateway } = yield* withUpstream((_, response) => {
        response.writeHead(200, { "content-type": "text/event-stream" })
        response.write("data: 1\n\n")
        setTimeout(() => response.end("data: 2\n\n"), 250)
      })
      const headers = { "cf-aig-request-timeout": "100" }
      const { status, text } = yield* data(gateway, "r/openai/chat/completions", { headers, body: {} })
      assert.strictEqual(status, 200)
      assert.strictEqual(text, "data: 1\n\ndata: 2\n\n")
    }))

  it.live("UNIV-05, G15: goes on to the next step when a step takes too long, by its config and by its headers", () =>
    Effect.gen(function*() {
      const { gateway, seen } = yield* withUpstream(() => {})
      for (
        const more of [
          { config: { requestTimeout: 50 } },
          { headers: { "cf-aig-request-timeout": 50 } },
          // Where a step has both, its headers count.
          { config: { requestTimeout: 60_000 }, headers: { "cf-aig-request-timeout": "50" } }
        ]
      ) {
        const { headers, json } = yield* data(gateway, "r", {
          headers: { "cf-aig-request-timeout": "60000" },
          body: [{ ...openai, ...more }, fallback]
        })
        assert.strictEqual(headers["cf-aig-step"], "1")
        assert.include(json.result.response, "second")
      }
      yield* until(() => seen.closed === 3)
      const logs = (yield* manage(gateway, "/r/logs")).json.result
      assert.deepStrictEqual(
        logs.map((log: { step: number; success: boolean }) => [log.step, log.success]),
        [[1, true], [0, false], [1, true], [0, false], [1, true], [0, false]]
      )
    }))

  it.live("UNIV-06: uses up a step's retries before it goes on, and logs each step once", () =>
    Effect.gen(function*() {
      const { gateway, seen } = yield* withUpstream(answering(500))
      const config = { maxAttempts: 3, retryDelay: 1, backoff: "linear" }
      const { headers } = yield* data(gateway, "r", { body: [{ ...openai, config }, fallback] })
      assert.strictEqual(headers["cf-aig-step"], "1")
      assert.strictEqual(seen.count, 3)
      assert.strictEqual((yield* manage(gateway, "/r/logs")).json.result.length, 2)
    }))

  it.live("goes on to the next step behind a refusal that has no end", () =>
    Effect.gen(function*() {
      const { gateway, seen } = yield* withUpstream((_, response) => {
        response.writeHead(500)
        response.write("going on")
      })
      const { headers } = yield* data(gateway, "r", { body: [openai, fallback] })
      assert.strictEqual(headers["cf-aig-step"], "1")
      yield* until(() => seen.closed === 1)
    }), 15_000)

  it.live("takes the binding's options, in the request's body", () =>
    Effect.gen(function*() {
      const { gateway, seen } = yield* withUpstream(answering(500, 500, 200))
      const reply = yield* call(`${gateway.url}/workers-binding/ai-gateway/run?version=3`, {
        headers: { "cf-consn-model-id": "openai/m" },
        body: {
          inputs: { messages: [] },
          options: { gateway: { id: "r", retries: { maxAttempts: 3, retryDelayMs: 1, backoff: "constant" } } }
        }
      })
      assert.deepStrictEqual(reply.json, { try: 3 })
      assert.strictEqual(seen.count, 3)
    }))

  it.live("stops trying when the client goes away", () =>
    Effect.gen(function*() {
      const { gateway, seen } = yield* withUpstream(answering(503))
      const sent = httpRequest(`${gateway.url}/v1/${gateway.accountId}/r/openai/x`, {
        method: "POST",
        headers: { "cf-aig-max-attempts": "5", "cf-aig-retry-delay": "150" }
      })
      sent.on("error", () => {})
      sent.end("{}")
      yield* until(() => seen.count === 1)
      sent.destroy()
      yield* Effect.sleep("400 millis")
      assert.isAtMost(seen.count, 2)
    }))
})
