import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Queue from "effect/Queue"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { TestClock } from "effect/testing"
import { createServer, type IncomingHttpHeaders, type ServerResponse } from "node:http"
import * as Net from "node:net"
import * as AiGatewayClient from "../../src/AiGatewayClient.ts"
import * as LocalAi from "../../src/client/LocalAi.ts"
import { LocalGateway } from "../../src/local/index.ts"
import * as RunBuffers from "../../src/local/RunBuffers.ts"
import { type Resumed, resumed } from "../support/resumed.ts"
import * as workerd from "../support/workerd.ts"
import { call, create, type Gateway, manage } from "./talk.ts"

const event = (name: string | number) => `data: ${name}\n\n`
const events = (count: number, from = 0) => Array.from({ length: count - from }, (_, i) => event(from + i)).join("")

const utf8 = new TextEncoder()
const textOf = (body: RunBuffers.Body) =>
  Effect.map(Stream.runCollect(body), (reads) => Buffer.concat(reads).toString())

/** A provider's stream that brings what the test offers, and knows whether it is still read. */
const source = Effect.gen(function*() {
  const queue = yield* Queue.unbounded<Uint8Array, unknown>()
  const state: { exit: Exit.Exit<unknown, unknown> | undefined } = { exit: undefined }
  return {
    state,
    say: (text: string) => Queue.offer(queue, utf8.encode(text)),
    end: Queue.end(queue as Queue.Queue<Uint8Array, unknown>),
    cut: Queue.fail(queue, "reset"),
    body: Stream.fromQueue(queue).pipe(Stream.onExit((exit) => Effect.sync(() => state.exit = exit)))
  }
})

const using = <A, E>(
  use: (runs: RunBuffers.RunBuffers["Service"]) => Effect.Effect<A, E, Scope.Scope>,
  bounds?: RunBuffers.Bounds
) => Effect.flatMap(RunBuffers.RunBuffers, use).pipe(Effect.scoped, Effect.provide(RunBuffers.layer(bounds)))

const resume = (runs: RunBuffers.RunBuffers["Service"], key: string, from: number) =>
  Effect.flatMap(
    runs.resume(key, from),
    Option.match({
      onNone: () => Effect.succeed("gone"),
      onSome: textOf
    })
  )

describe("streams that are kept", () => {
  it.effect("pass on all that comes, and replay it from any event", () =>
    using((runs) =>
      Effect.gen(function*() {
        const provider = yield* source
        const body = yield* runs.keep("a", provider.body)
        // In reads that have nothing to do with the events.
        yield* provider.say("data: 0\r\n\r")
        yield* provider.say("\ndata: 1\n\nda")
        yield* provider.say("ta: 2\n\ndata: last")
        yield* provider.end
        assert.strictEqual(yield* textOf(body), "data: 0\r\n\r\ndata: 1\n\ndata: 2\n\ndata: last")
        assert.strictEqual(yield* resume(runs, "a", 0), "data: 0\r\n\r\ndata: 1\n\ndata: 2\n\ndata: last")
        assert.strictEqual(yield* resume(runs, "a", 2), "data: 2\n\ndata: last")
        assert.strictEqual(yield* resume(runs, "a", 4), "")
        assert.strictEqual(yield* resume(runs, "b", 0), "gone")
      })
    ))

  it.effect("are read on when their client is gone, and followed to their end by those that come back", () =>
    using((runs) =>
      Effect.gen(function*() {
        const provider = yield* source
        const body = yield* runs.keep("a", provider.body)
        yield* provider.say(event(0))
        yield* Stream.runDrain(Stream.take(body, 1))
        yield* provider.say(event(1))
        const reader = yield* Effect.forkChild(resume(runs, "a", 1))
        yield* provider.say(event(2))
        yield* TestClock.adjust("1 second")
        yield* provider.say(event(3))
        yield* provider.end
        assert.strictEqual(yield* Fiber.join(reader), events(4, 1))
        assert.isTrue(provider.state.exit !== undefined && Exit.isSuccess(provider.state.exit))
      })
    ))

  it.effect("bring what there is before they fail as the provider's did, without the half event", () =>
    using((runs) =>
      Effect.gen(function*() {
        const provider = yield* source
        const body = yield* runs.keep("a", provider.body)
        yield* provider.say(`${event(0)}data: ha`)
        yield* provider.cut
        const got: Array<string> = []
        const failure = yield* Effect.flip(
          Stream.runForEach(body, (read) => Effect.sync(() => got.push(new TextDecoder().decode(read))))
        )
        assert.deepStrictEqual(got, [event(0)])
        assert.strictEqual(failure, "reset")
      })
    ))

  it.effect("are gone five and a half minutes after their last reader left, and with them the provider's", () =>
    using((runs) =>
      Effect.gen(function*() {
        const provider = yield* source
        const body = yield* runs.keep("a", provider.body)
        const reader = yield* Effect.forkChild(Stream.runDrain(body))
        yield* provider.say(event(0))
        yield* TestClock.adjust("1 hour")
        assert.isUndefined(provider.state.exit, "a reader keeps it")
        yield* Fiber.interrupt(reader)
        yield* TestClock.adjust("329 seconds")
        const back = yield* Effect.forkChild(resume(runs, "a", 0))
        yield* TestClock.adjust("2 seconds")
        assert.isUndefined(provider.state.exit, "the reader is back")
        yield* Fiber.interrupt(back)
        yield* TestClock.adjust("329 seconds")
        assert.isUndefined(provider.state.exit)
        yield* Option.match(yield* runs.resume("a", 0), {
          onNone: () => Effect.void,
          onSome: (body) => Stream.runDrain(Stream.take(body, 1))
        })
        yield* TestClock.adjust("329 seconds")
        assert.isUndefined(provider.state.exit, "one was here in the meantime")
        yield* TestClock.adjust("2 seconds")
        assert.isTrue(provider.state.exit !== undefined && Exit.isFailure(provider.state.exit))
        assert.strictEqual(yield* resume(runs, "a", 0), "gone")
      })
    ))

  it.effect("let their oldest events go, and never one that a reader still has to get", () =>
    using(
      (runs) =>
        Effect.gen(function*() {
          let made = 0
          const body = yield* runs.keep(
            "a",
            Stream.fromIterable(Array.from({ length: 1000 }, (_, i) => utf8.encode(event(i)))).pipe(
              Stream.rechunk(1),
              Stream.tap(() => Effect.sync(() => made++))
            )
          )
          const got: Array<string> = []
          yield* Stream.runForEach(body, (read) =>
            Effect.gen(function*() {
              got.push(new TextDecoder().decode(read))
              // The provider runs ahead of a slow reader by what is kept and no more.
              assert.isAtMost(made - got.length, 25)
              yield* Effect.yieldNow
            }))
          assert.strictEqual(got.join(""), events(1000))
          assert.strictEqual(yield* resume(runs, "a", 0), "gone")
          assert.strictEqual(yield* resume(runs, "a", 995), events(1000, 995))
        }),
      { bytes: 100 }
    ))

  it.effect("do not make the provider wait when nobody reads them", () =>
    using(
      (runs) =>
        Effect.gen(function*() {
          const provider = yield* source
          const body = yield* runs.keep("a", provider.body)
          yield* provider.say(event(0))
          yield* Stream.runDrain(Stream.take(body, 1))
          for (let i = 1; i < 100; i++) yield* provider.say(event(i))
          yield* provider.end
          yield* TestClock.adjust("1 second")
          assert.isTrue(provider.state.exit !== undefined && Exit.isSuccess(provider.state.exit))
          assert.strictEqual(yield* resume(runs, "a", 1), "gone")
          assert.strictEqual(yield* resume(runs, "a", 98), events(100, 98))
        }),
      { bytes: 100 }
    ))

  it.effect("give way when there are too many, the oldest first, and are read to their end by those who do", () =>
    using(
      (runs) =>
        Effect.gen(function*() {
          const [left, read, third, fourth] = yield* Effect.all([source, source, source, source])
          yield* runs.keep("left", left.body)
          const reader = yield* Effect.forkChild(textOf(yield* runs.keep("read", read.body)))
          yield* read.say(event(0))
          yield* TestClock.adjust("1 second")
          yield* runs.keep("third", third.body)
          assert.isTrue(left.state.exit !== undefined, "nobody can ever read it")
          yield* runs.keep("fourth", fourth.body)
          assert.strictEqual(yield* resume(runs, "left", 0), "gone")
          assert.strictEqual(yield* resume(runs, "read", 0), "gone")
          yield* read.say(event(1))
          yield* read.end
          assert.strictEqual(yield* Fiber.join(reader), events(2))
        }),
      { runs: 2 }
    ))

  it.effect("stop with the gateway", () =>
    Effect.gen(function*() {
      const provider = yield* source
      yield* using((runs) => Effect.andThen(runs.keep("a", provider.body), TestClock.adjust("1 second")))
      assert.isTrue(provider.state.exit !== undefined && Exit.isFailure(provider.state.exit))
    }))
})

interface Seen {
  readonly url: string
  readonly headers: IncomingHttpHeaders
  readonly body: string
}

const listen = (server: Net.Server) =>
  Effect.callback<number>((resume) => {
    server.listen(0, "127.0.0.1", () => {
      const address = server.address()
      resume(Effect.succeed(typeof address === "object" && address !== null ? address.port : 0))
    })
  })

const slugs = ["openai", "anthropic", "grok", "groq", "deepseek", "google-ai-studio"]

/** A gateway whose providers are one server on this machine. */
const withProviders = (handler: (request: Seen, response: ServerResponse) => void) =>
  Effect.gen(function*() {
    const seen: Array<Seen> = []
    const server = createServer((request, response) => {
      let body = ""
      request.setEncoding("utf8").on("data", (text: string) => body += text)
      request.on("end", () => {
        const one = { url: request.url ?? "", headers: request.headers, body }
        seen.push(one)
        handler(one, response)
      })
    })
    const port = yield* Effect.acquireRelease(listen(server), () =>
      Effect.sync(() => {
        server.closeAllConnections()
        server.close()
      }))
    const upstreams = Object.fromEntries(slugs.map((slug) => [slug, `http://127.0.0.1:${port}/${slug}`]))
    const gateway = yield* LocalGateway.make({ upstreams, pause: 0 })
    yield* create(gateway, "resume")
    return { gateway, seen }
  })

const run = (
  gateway: Gateway,
  model: string,
  inputs: unknown,
  options: { headers?: Record<string, string>; path?: string; gateway?: unknown } = {}
) =>
  call(`${gateway.url}/workers-binding${options.path ?? "/ai-gateway/run"}?version=3`, {
    headers: { "cf-consn-model-id": model, ...options.headers },
    body: { inputs, options: { gateway: options.gateway ?? { id: "resume" } } }
  })

const at = (gateway: Gateway, runId: string, from: number | string, id = "resume") =>
  `${gateway.url}/workers-binding/ai-gateway/gateways/${id}/run/${runId}/resume?from=${from}`

const until = (holds: () => boolean) =>
  Effect.timeout(
    Effect.promise(async () => {
      while (!holds()) await new Promise((resolve) => setTimeout(resolve, 5))
    }),
    "5 seconds"
  )

const streaming = (text: string) => (_: Seen, response: ServerResponse) => {
  response.writeHead(200, { "content-type": "text/event-stream; charset=utf-8" }).end(text)
}

describe("the run path", () => {
  it.live("BIND-03: takes models of the catalog to their provider, in its own format", () =>
    Effect.gen(function*() {
      const { gateway, seen } = yield* withProviders((_, response) => response.end("{}"))
      const said = { messages: [{ role: "user", content: "hi" }] }
      const google = { contents: [{ parts: [{ text: "hi" }] }] }
      const cases: ReadonlyArray<[string, object, string, object]> = [
        ["openai/gpt-4o-mini", said, "/openai/chat/completions", { ...said, model: "gpt-4o-mini" }],
        ["anthropic/claude-haiku-4.5", said, "/anthropic/v1/messages", { ...said, model: "claude-haiku-4-5" }],
        ["xai/grok-4.3", said, "/grok/v1/chat/completions", { ...said, model: "grok-4.3" }],
        ["groq/openai/gpt-oss-20b", said, "/groq/chat/completions", { ...said, model: "openai/gpt-oss-20b" }],
        ["deepseek/deepseek-chat", said, "/deepseek/chat/completions", { ...said, model: "deepseek-chat" }],
        ["google/gemini-2.5-flash", said, "/google-ai-studio/v1beta/openai/chat/completions", {
          ...said,
          model: "gemini-2.5-flash"
        }],
        [
          "google/gemini-2.5-flash",
          google,
          "/google-ai-studio/v1beta/models/gemini-2.5-flash:generateContent",
          google
        ],
        [
          "google/gemini-2.5-flash",
          { ...google, stream: true },
          "/google-ai-studio/v1beta/models/gemini-2.5-flash:streamGenerateContent?alt=sse",
          google
        ]
      ]
      for (const [model, inputs, url, body] of cases) {
        seen.length = 0
        const { status } = yield* run(gateway, model, inputs, { headers: { "x-own": "1", "cf-aig-zdr": "true" } })
        assert.strictEqual(status, 200)
        assert.strictEqual(seen[0]?.url, url)
        assert.deepStrictEqual(JSON.parse(seen[0]?.body ?? ""), body)
        assert.strictEqual(seen[0]?.headers["x-own"], "1")
        assert.strictEqual(
          seen[0]?.headers["anthropic-version"],
          model.startsWith("anthropic/") ? "2023-06-01" : undefined
        )
        assert.deepStrictEqual(Object.keys(seen[0]?.headers ?? {}).filter((name) => name.startsWith("cf-")), [])
      }
    }))

  it.live("BIND-04: answers exactly application/json, with the log's id, and logs a run of the binding", () =>
    Effect.gen(function*() {
      const { gateway } = yield* withProviders((_, response) => {
        response.writeHead(200, { "content-type": "application/json; charset=utf-8" })
        response.end("{\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":4}}")
      })
      const { headers } = yield* run(gateway, "openai/gpt-4o-mini", { messages: [] })
      assert.strictEqual(headers["content-type"], "application/json")
      assert.notProperty(headers, "cf-aig-run-id")
      const log = (yield* manage(gateway, `/resume/logs/${headers["cf-aig-log-id"]}`)).json.result
      assert.deepStrictEqual(
        [log.provider, log.model, log.request_type, log.tokens_in, log.tokens_out, log.success],
        ["openai", "gpt-4o-mini", "Workers AI Binding", 3, 4, true]
      )
    }))

  it.live("takes a run without a gateway through the gateway default", () =>
    Effect.gen(function*() {
      const { gateway } = yield* withProviders((_, response) => response.end("{}"))
      yield* run(gateway, "openai/gpt-4o-mini", { messages: [] }, { path: "/run", gateway: {} })
      assert.strictEqual((yield* manage(gateway, "/default/logs")).json.result.length, 1)
    }))

  it.live("says 2005 of a provider that is not there, and passes a provider's own refusal on", () =>
    Effect.gen(function*() {
      const bare = yield* LocalGateway.make({ pause: 0, upstreams: { openai: "http://127.0.0.1:9/v1" } })
      yield* create(bare, "resume")
      const missing = yield* run(bare, "openai/gpt-4o-mini", { messages: [], stream: true })
      assert.deepStrictEqual([missing.status, missing.json.internalCode], [400, 2005])
      assert.include(missing.json.description, "http://127.0.0.1:9 is not reachable")
      const { gateway } = yield* withProviders((_, response) => {
        response.writeHead(401, { "content-type": "application/json" }).end("{\"error\":{\"message\":\"no key\"}}")
      })
      const refused = yield* run(gateway, "openai/gpt-4o-mini", { messages: [], stream: true })
      assert.deepStrictEqual([refused.status, refused.json], [401, { error: { message: "no key" } }])
      assert.notProperty(refused.headers, "cf-aig-run-id")
    }))

  it.live("has no run id for Workers AI's own models", () =>
    Effect.gen(function*() {
      const { gateway } = yield* withProviders((_, response) => response.end("{}"))
      const { headers } = yield* run(gateway, "@cf/meta/llama-3.1-8b-instruct", { prompt: "hi", stream: true })
      assert.strictEqual(headers["content-type"], "text/event-stream")
      assert.notProperty(headers, "cf-aig-run-id")
    }))

  it.live("BIND-12: replays whole events from any index, and says when there is nothing to replay", () =>
    Effect.gen(function*() {
      const crlf = "data: 0\r\n\r\ndata: 1\r\n\r\ndata: [DONE]\r\n\r\n"
      for (const text of [`${events(5)}data: [DONE]\n\n`, crlf]) {
        const { gateway } = yield* withProviders(streaming(text))
        const answer = yield* run(gateway, "openai/gpt-4o-mini", { messages: [], stream: true })
        assert.strictEqual(answer.text, text)
        const runId = answer.headers["cf-aig-run-id"] ?? ""
        assert.isNotEmpty(runId)
        assert.strictEqual((yield* call(at(gateway, runId, 0))).text, text)
        const second = yield* call(at(gateway, runId, 2))
        assert.strictEqual(second.headers["content-type"], "text/event-stream")
        assert.strictEqual(second.text, text.split(/(?<=\r?\n\r?\n)/).slice(2).join(""))
        for (const url of [at(gateway, "none", 0), at(gateway, runId, 0, "other")]) {
          const gone = yield* call(url)
          assert.deepStrictEqual([gone.status, gone.json], [404, { error: "Request not found" }])
        }
        for (const from of ["-1", "x", "1.5"]) assert.strictEqual((yield* call(at(gateway, runId, from))).status, 400)
      }
    }))

  it.live("reads on when the client hangs up, and logs the whole answer", () =>
    Effect.gen(function*() {
      let finish = () => {}
      const { gateway } = yield* withProviders((_, response) => {
        response.writeHead(200, { "content-type": "text/event-stream" })
        response.write(event(0))
        finish = () => response.end(event(1) + "data: {\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":4}}\n\n")
      })
      const runId = yield* Effect.promise(async () => {
        const controller = new AbortController()
        const response = await fetch(`${gateway.url}/workers-binding/ai-gateway/run?version=3`, {
          method: "POST",
          headers: { "cf-consn-model-id": "openai/m", "content-type": "application/json" },
          body: JSON.stringify({ inputs: { stream: true }, options: { gateway: { id: "resume" } } }),
          signal: controller.signal
        })
        await response.body?.getReader().read()
        controller.abort()
        return response.headers.get("cf-aig-run-id") ?? ""
      })
      yield* Effect.sleep("50 millis")
      const following = yield* Effect.forkChild(call(at(gateway, runId, 1)))
      yield* Effect.sleep("50 millis")
      finish()
      assert.isTrue((yield* Fiber.join(following)).text.startsWith(event(1)))
      const [log] = (yield* manage(gateway, "/resume/logs")).json.result
      assert.deepStrictEqual([log.success, log.tokens_out], [true, 4])
    }))

  it.live("lets go of the provider when the gateway stops", () =>
    Effect.gen(function*() {
      let closed = false
      const scope = yield* Scope.make()
      const { gateway } = yield* withProviders((_, response) => {
        response.writeHead(200, { "content-type": "text/event-stream" })
        response.write(event(0))
        response.on("close", () => closed = true)
      }).pipe(Scope.provide(scope))
      yield* Effect.promise(async () => {
        const response = await fetch(`${gateway.url}/workers-binding/ai-gateway/run?version=3`, {
          method: "POST",
          headers: { "cf-consn-model-id": "openai/m", "content-type": "application/json" },
          body: JSON.stringify({ inputs: { stream: true }, options: { gateway: { id: "resume" } } })
        })
        await response.body?.cancel()
      })
      assert.isFalse(closed)
      yield* Effect.timeout(Scope.close(scope, Exit.void), "3 seconds")
      yield* until(() => closed)
    }))
})

/** Carries bytes to the gateway, and cuts each of its first connections after so many bytes of the answer. */
const cutting = (target: string, cuts: ReadonlyArray<number>) =>
  Effect.gen(function*() {
    const { hostname, port } = new URL(target)
    const state = { connections: 0, cut: 0 }
    const sockets = new Set<Net.Socket>()
    const server = Net.createServer((client) => {
      // Connections that are made for the sake of being there, and closed again, do not count.
      let cut: number | undefined
      let passed = 0
      const upstream = Net.connect(Number(port), hostname)
      for (const socket of [client, upstream]) {
        sockets.add(socket)
        socket.on("error", () => {})
        socket.on("close", () => {
          client.destroy()
          upstream.destroy()
        })
      }
      client.once("data", () => cut = cuts[state.connections++])
      client.on("data", (data) => upstream.write(data))
      upstream.on("data", (data) => {
        passed += data.length
        if (cut !== undefined && passed > cut) {
          state.cut++
          client.write(data.subarray(0, data.length - (passed - cut)), () => client.resetAndDestroy())
        } else client.write(data)
      })
    })
    const listening = yield* Effect.acquireRelease(listen(server), () =>
      Effect.sync(() => {
        for (const socket of sockets) socket.destroy()
        server.close()
      }))
    return { url: `http://127.0.0.1:${listening}`, state }
  })

const words = Array.from({ length: 40 }, (_, i) => `word-${i} `)

/** A provider that says a word every few milliseconds. */
const counting = (_: Seen, response: ServerResponse) => {
  response.writeHead(200, { "content-type": "text/event-stream" })
  const chunk = (delta: object, finish_reason: string | null) =>
    `data: ${JSON.stringify({ id: "c", model: "gpt-4o-mini", choices: [{ index: 0, delta, finish_reason }] })}\n\n`
  let i = 0
  const timer = setInterval(() => {
    const word = words[i++]
    if (word !== undefined) response.write(chunk({ content: word }, null))
    else {
      clearInterval(timer)
      response.end(`${chunk({}, "stop")}data: [DONE]\n\n`)
    }
  }, 5)
  response.on("close", () => clearInterval(timer))
}

const isWhole = (report: Resumed) => {
  assert.strictEqual(report.text, words.join(""))
  assert.strictEqual(report.finish, "finish")
  assert.isString(report.runId)
  assert.isString(report.logId)
}

describe("a stream over connections that are cut", () => {
  it.live("comes whole over the stand-in of alchemy dev", () =>
    Effect.gen(function*() {
      const { gateway, seen } = yield* withProviders(counting)
      const proxy = yield* cutting(gateway.url, [900, 1200, 2000])
      isWhole(yield* resumed(AiGatewayClient.fromBinding(LocalAi.make(proxy.url), "resume")))
      assert.strictEqual(proxy.state.cut, 3)
      assert.strictEqual(seen.length, 1, "the provider was asked once")
      const logs = (yield* manage(gateway, "/resume/logs")).json.result
      assert.deepStrictEqual([logs.length, logs[0].success], [1, true])
    }))

  it.live("comes whole over the genuine env.AI of workerd", () =>
    Effect.gen(function*() {
      const { gateway, seen } = yield* withProviders(counting)
      const proxy = yield* cutting(gateway.url, [900, 1200, 2000])
      const url = yield* workerd.start("resumeWorker.ts", { ...gateway, url: proxy.url })
      isWhole(yield* workerd.ask<Resumed>(url, "/"))
      assert.strictEqual(proxy.state.cut, 3)
      assert.strictEqual(seen.length, 1, "the provider was asked once")
    }), 60_000)
})
