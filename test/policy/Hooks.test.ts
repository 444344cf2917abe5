import { assert, describe, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/testing/TestClock"
import * as AiError from "effect/unstable/ai/AiError"
import * as LanguageModel from "effect/unstable/ai/LanguageModel"
import type * as Prompt from "effect/unstable/ai/Prompt"
import type * as Response from "effect/unstable/ai/Response"
import * as Tool from "effect/unstable/ai/Tool"
import * as Toolkit from "effect/unstable/ai/Toolkit"
import * as HttpClient from "effect/unstable/http/HttpClient"
import * as HttpClientResponse from "effect/unstable/http/HttpClientResponse"
import * as Otlp from "effect/unstable/observability/Otlp"
import * as FastCheck from "fast-check"
import * as ResponseInfo from "../../src/client/ResponseInfo.ts"
import { isFinal } from "../../src/policy/finalErrors.ts"
import * as Hooks from "../../src/policy/Hooks.ts"
import * as Retry from "../../src/policy/Retry.ts"
import { fixture, layer as gatewayLayer } from "../support/parts.ts"
import * as StubTransport from "../support/StubTransport.ts"

const finish: Response.FinishPartEncoded = {
  type: "finish",
  reason: "stop",
  usage: { inputTokens: { total: 7 }, outputTokens: { total: 3 } },
  response: undefined,
  metadata: {
    aiGateway: { ...ResponseInfo.empty, logId: "log-1", cacheStatus: "HIT", provider: "workers-ai", model: "llama" }
  }
}
const content: ReadonlyArray<Response.StreamPartEncoded> = [
  { type: "text-start", id: "1" },
  { type: "text-delta", id: "1", delta: "a secret" },
  { type: "text-delta", id: "1", delta: " answer" },
  { type: "text-end", id: "1" }
]
const whole = [...content, finish]
/** A new one where it may be retried: that an error is final is known of the error itself. */
const makeFailure = () =>
  AiError.make({
    module: "Test",
    method: "test",
    reason: new AiError.StructuredOutputError({ description: "not a secret answer", responseText: "a secret answer" })
  })
const failure = makeFailure()

interface Behaviour {
  readonly generate?: Effect.Effect<Array<Response.PartEncoded>, AiError.AiError>
  readonly stream?: Stream.Stream<Response.StreamPartEncoded, AiError.AiError>
}
const modelOf = ({ generate, stream }: Behaviour = {}) =>
  Layer.effect(
    LanguageModel.LanguageModel,
    LanguageModel.make({
      generateText: () => generate ?? Effect.succeed([{ type: "text", text: "a secret answer" }, finish]),
      streamText: () => stream ?? Stream.fromIterable(whole)
    })
  )

/** Hooks that write down their name and what they were told. */
const recorder = () => {
  const told: Array<readonly [name: Hooks.HookName, event: Hooks.RequestEvent]> = []
  const write = (name: Hooks.HookName) => (event: Hooks.RequestEvent) =>
    Effect.sync(() => void told.push([name, event]))
  const hooks = {
    onRequest: write("onRequest"),
    onPart: write("onPart"),
    onResponse: write("onResponse"),
    onError: write("onError"),
    onInterrupt: write("onInterrupt")
  } satisfies Hooks.Options
  const eventOf = <Name extends keyof typeof hooks>(name: Name) => {
    const event = told.find(([hook]) => hook === name)?.[1]
    assert.isDefined(event, `${name} ran`)
    // Each hook is given its own event.
    return event as Parameters<NonNullable<Hooks.Options[Name]>>[0]
  }
  return { told, hooks, names: () => told.map(([name]) => name), eventOf }
}

const generate = LanguageModel.generateText({ prompt: "a secret prompt" })
const streamed = LanguageModel.streamText({ prompt: "a secret prompt" })

const settle = Effect.promise(async () => {
  for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve))
})

describe("Hooks", () => {
  it.effect("tells of a request and its answer, with the gateway's facts, usage, duration and cost", () =>
    Effect.gen(function*() {
      const { eventOf, hooks, names, told } = recorder()
      const model = modelOf({
        generate: Effect.delay(Effect.succeed([{ type: "text", text: "a secret answer" }, finish]), "3 seconds")
      })
      const fiber = yield* generate.pipe(
        Effect.provide(Hooks.layer(model, {
          ...hooks,
          cost: ({ finish, model }) => model === "llama" ? (finish?.usage.outputTokens.total ?? 0) * 2 : undefined
        })),
        Effect.forkChild
      )
      yield* settle
      yield* TestClock.adjust("3 seconds")
      yield* Fiber.join(fiber)
      assert.deepStrictEqual(names(), ["onRequest", "onResponse"])
      const { id, usage, ...rest } = eventOf("onResponse")
      assert.strictEqual(id, told[0]?.[1].id)
      assert.strictEqual(usage?.inputTokens.total, 7)
      assert.deepStrictEqual(rest, {
        method: "generateText",
        duration: Duration.seconds(3),
        provider: "workers-ai",
        model: "llama",
        finishReason: "stop",
        logId: "log-1",
        cached: true,
        cost: 6
      })
    }))

  it.effect("works behind a gateway's model, for text, objects, tools and streams", () =>
    Effect.gen(function*() {
      const kit = Toolkit.make(Tool.make("get_weather", {
        parameters: Schema.Struct({ city: Schema.String }),
        success: Schema.Struct({ celsius: Schema.Number })
      }))
      const handlers = kit.toLayer({ get_weather: () => Effect.succeed({ celsius: 1 }) })
      const toolCall = JSON.stringify({
        response: null,
        tool_calls: [{ name: "get_weather", arguments: { city: "Oslo" } }]
      })
      const object = JSON.stringify({ response: { city: "Oslo" } })
      const cases = [
        ["generateText", fixture("native-text.json"), generate],
        ["generateText", toolCall, LanguageModel.generateText({ prompt: "hi", toolkit: kit })],
        [
          "generateObject",
          object,
          LanguageModel.generateObject({ prompt: "hi", schema: Schema.Struct({ city: Schema.String }) })
        ],
        ["streamText", fixture("chat-text.sse"), Stream.runDrain(streamed)]
      ] as const
      for (const [method, body, call] of cases) {
        const { eventOf, hooks, names } = recorder()
        const stub = StubTransport.make({ body, headers: { "cf-aig-log-id": "log-7" } })
        const run: Effect.Effect<unknown, unknown, LanguageModel.LanguageModel | Tool.HandlersFor<typeof kit.tools>> =
          call
        yield* run.pipe(Effect.provide([gatewayLayer(stub).pipe(Hooks.layer({ ...hooks, wait: true })), handlers]))
        assert.deepStrictEqual(names().filter((name) => name !== "onPart"), ["onRequest", "onResponse"], method)
        assert.strictEqual(eventOf("onResponse").method, method)
        assert.strictEqual(eventOf("onResponse").logId, "log-7")
        assert.strictEqual(eventOf("onResponse").provider, "workers-ai")
      }
    }))

  describe("runs exactly one of onResponse, onError and onInterrupt for each call", () => {
    type Ends = "onResponse" | "onError" | "onInterrupt"
    const cut = (parts: number) => Stream.concat(Stream.fromIterable(whole.slice(0, parts)), Stream.fail(failure))
    const effects: ReadonlyArray<readonly [string, Behaviour, Ends]> = [
      ["success", {}, "onResponse"],
      ["failure", { generate: Effect.fail(failure) }, "onError"],
      ["defect", { generate: Effect.die("boom") }, "onError"],
      ["interruption", { generate: Effect.never }, "onInterrupt"]
    ]
    const streams: ReadonlyArray<readonly [string, Behaviour, number | "interrupt" | undefined, Ends]> = [
      ["success", {}, undefined, "onResponse"],
      ["failure before the first part", { stream: cut(0) }, undefined, "onError"],
      ["a cut before the first content", { stream: cut(1) }, undefined, "onError"],
      ["a cut stream", { stream: cut(3) }, undefined, "onError"],
      ["a failure after the finish part", { stream: cut(5) }, undefined, "onError"],
      ["no finish part", { stream: Stream.fromIterable(content) }, undefined, "onError"],
      ["a defect", { stream: Stream.concat(Stream.fromIterable(content), Stream.die("boom")) }, undefined, "onError"],
      ["a consumer that leaves", {}, 2, "onInterrupt"],
      ["a consumer that leaves after the last part", {}, 5, "onResponse"],
      [
        "interruption",
        { stream: Stream.concat(Stream.fromIterable(content), Stream.never) },
        "interrupt",
        "onInterrupt"
      ],
      ["interruption before the first part", { stream: Stream.never }, "interrupt", "onInterrupt"]
    ]
    const call = FastCheck.oneof(
      FastCheck.constantFrom(...effects).map(([name, behaviour, ends]) => ({
        name: `generateText: ${name}`,
        ends,
        run: (hooks: Hooks.Options) =>
          Effect.raceFirst(
            Effect.exit(Effect.provide(generate, Hooks.layer(modelOf(behaviour), hooks))),
            name === "interruption" ? settle : Effect.never
          )
      })),
      FastCheck.record({
        of: FastCheck.constantFrom(...streams),
        size: FastCheck.integer({ min: 1, max: 6 })
      }).map(({ of: [name, behaviour, stop, ends], size }) => ({
        name: `streamText in arrays of ${size}: ${name}`,
        ends,
        run: (hooks: Hooks.Options) => {
          const rechunked = behaviour.stream ?? Stream.fromIterable(whole)
          const model = modelOf({ stream: stop === "interrupt" ? rechunked : Stream.rechunk(rechunked, size) })
          const stream = Stream.provide(streamed, Hooks.layer(model, hooks))
          return Effect.raceFirst(
            Effect.exit(Stream.runDrain(typeof stop === "number" ? Stream.take(stream, stop) : stream)),
            stop === "interrupt" ? settle : Effect.never
          )
        }
      }))
    )
    const modes = FastCheck.constantFrom<Hooks.Options>({}, { wait: true }, { failing: true }, { content: true })

    it.effect("under success, failure, interruption, cut streams, and consumers that leave", () =>
      Effect.promise(() =>
        FastCheck.assert(
          FastCheck.asyncProperty(FastCheck.array(call, { minLength: 1, maxLength: 6 }), modes, async (calls, mode) => {
            await Effect.runPromise(Effect.forEach(calls, ({ ends, name, run }) =>
              Effect.gen(function*() {
                const { hooks, names, told } = recorder()
                yield* run({ ...hooks, ...mode })
                const seen = names().filter((hook) => hook !== "onPart")
                // Rechunked, the finish part may come together with a part that a consumer stops at.
                const expected = name.includes("leaves") && seen[1] === "onResponse" ? "onResponse" : ends
                assert.deepStrictEqual(seen, ["onRequest", expected], `${name} ${JSON.stringify(mode)}`)
                assert.strictEqual(new Set(told.map(([, event]) => event.id)).size, 1)
              }), { concurrency: "unbounded", discard: true }))
          }),
          { numRuns: 150 }
        )
      ))

    it.effect("takes a consumer that leaves early for an interruption", () =>
      Effect.gen(function*() {
        const { hooks, names } = recorder()
        const model = modelOf({ stream: Stream.rechunk(Stream.fromIterable(whole), 1) })
        yield* streamed.pipe(Stream.take(2), Stream.runDrain, Effect.provide(Hooks.layer(model, hooks)))
        assert.deepStrictEqual(names(), ["onRequest", "onPart", "onPart", "onInterrupt"])
      }))

    it.effect("says what kind of failure it was", () =>
      Effect.gen(function*() {
        const limited = StubTransport.make({
          status: 429,
          headers: { "retry-after": "7", "cf-aig-log-id": "log-9" },
          body: "{\"error\":[{\"code\":2003,\"message\":\"Rate limited\"}]}"
        })
        const { eventOf, hooks } = recorder()
        yield* Effect.exit(Effect.provide(generate, Hooks.layer(gatewayLayer(limited), hooks)))
        const { code, isRetryable, logId, reason, status } = eventOf("onError")
        assert.deepStrictEqual({ code, isRetryable, logId, reason, status }, {
          code: 2003,
          isRetryable: true,
          logId: "log-9",
          reason: "RateLimitError",
          status: 429
        })
      }))
  })

  it.effect("sees each part of a stream, in order", () =>
    Effect.gen(function*() {
      const { hooks, told } = recorder()
      const parts = yield* streamed.pipe(
        Stream.runCollect,
        Effect.provide(Hooks.layer(modelOf(), { ...hooks, content: true }))
      )
      const seen = told.flatMap(([name, event]) => name === "onPart" ? [event as Hooks.PartEvent] : [])
      assert.deepStrictEqual(seen.map(({ part }) => part), parts)
      assert.deepStrictEqual(seen.map(({ index }) => index), [0, 1, 2, 3, 4])
      assert.deepStrictEqual(seen.map(({ type }) => type), whole.map(({ type }) => type))
    }))

  it.effect("shows no text of prompts, answers and errors, unless asked for", () =>
    Effect.gen(function*() {
      const calls = [
        Effect.provide(generate, Hooks.layer(modelOf(), recorder().hooks)),
        ...[
          (options: Hooks.Options) => Effect.provide(generate, Hooks.layer(modelOf(), options)),
          (options: Hooks.Options) =>
            Effect.provide(generate, Hooks.layer(modelOf({ generate: Effect.fail(failure) }), options)),
          (options: Hooks.Options) => Effect.provide(Stream.runDrain(streamed), Hooks.layer(modelOf(), options)),
          (options: Hooks.Options) =>
            Effect.provide(
              Stream.runDrain(streamed),
              Hooks.layer(
                modelOf({ stream: Stream.concat(Stream.fromIterable(content), Stream.fail(failure)) }),
                options
              )
            )
        ].map((run) =>
          Effect.gen(function*() {
            const redacted = recorder()
            yield* Effect.exit(run(redacted.hooks))
            assert.isAtLeast(redacted.told.length, 2)
            assert.notInclude(JSON.stringify(redacted.told), "secret")
            const open = recorder()
            yield* Effect.exit(run({ ...open.hooks, content: true }))
            const text = JSON.stringify(open.told)
            assert.include(text, "a secret prompt")
            assert.include(text, "a secret")
          })
        )
      ]
      yield* Effect.all(calls, { discard: true })
    }))

  it.effect("are told of a prompt that can be read only once, and leave it to the model", () =>
    Effect.gen(function*() {
      const stub = StubTransport.make({ body: fixture("native-text.json") })
      const messages = function*(): Generator<Prompt.MessageEncoded> {
        yield { role: "user", content: "a question" }
      }
      const { eventOf, hooks } = recorder()
      yield* Effect.provide(
        LanguageModel.generateText({ prompt: messages() }),
        Hooks.layer(gatewayLayer(stub), { ...hooks, content: true, wait: true })
      )
      assert.include(JSON.stringify(stub.sent), "a question")
      assert.include(JSON.stringify(eventOf("onRequest").prompt), "a question")
    }))

  it.effect("goes on without waiting for hooks, whatever they fail with", () =>
    Effect.gen(function*() {
      const gate = yield* Deferred.make<void>()
      const bad = [
        () => Effect.fail("no"),
        () => Effect.die("no"),
        () => Effect.interrupt,
        () => {
          throw new Error("no")
        }
      ]
      for (const hook of bad) {
        const options = { onRequest: hook, onPart: hook, onResponse: hook }
        for (const wait of [false, true]) {
          const model = Hooks.layer(modelOf(), { ...options, wait })
          assert.strictEqual((yield* Effect.provide(generate, model)).text, "a secret answer")
          assert.strictEqual((yield* Stream.runCollect(Stream.provide(streamed, model))).length, 5)
        }
      }
      const costless = yield* Effect.provide(
        generate,
        Hooks.layer(modelOf(), {
          wait: true,
          onResponse: () => Effect.void,
          cost: () => {
            throw new Error("no price")
          }
        })
      )
      assert.strictEqual(costless.text, "a secret answer")

      let isAnswered = false
      const slow = Hooks.layer(modelOf(), { onRequest: () => Deferred.await(gate) })
      const fiber = yield* Effect.forkChild(Effect.provide(
        Effect.gen(function*() {
          const response = yield* generate
          isAnswered = true
          yield* Deferred.succeed(gate, undefined)
          return response
        }),
        slow
      ))
      yield* Fiber.join(fiber)
      assert.isTrue(isAnswered)
    }))

  it.effect("makes the call wait where that is asked for", () =>
    Effect.gen(function*() {
      const times: Array<number> = []
      const mark = () => Effect.delay(Effect.map(Clock.currentTimeMillis, (now) => void times.push(now)), "1 second")
      const fiber = yield* Effect.forkChild(Effect.provide(
        Effect.andThen(generate, Clock.currentTimeMillis),
        Hooks.layer(modelOf(), { wait: true, onRequest: mark, onResponse: mark })
      ))
      yield* settle
      yield* TestClock.adjust("1 second")
      yield* settle
      assert.isUndefined(fiber.pollUnsafe())
      yield* TestClock.adjust("1 second")
      assert.strictEqual(yield* Fiber.join(fiber), 2000)
      assert.deepStrictEqual(times, [1000, 2000])
    }))

  describe("with failing: true", () => {
    const boom = new Error("boom")

    it.effect("fails the call, for good, with the hook's name and cause", () =>
      Effect.gen(function*() {
        let requests = 0
        const model = modelOf({
          generate: Effect.sync(() => {
            requests++
            return [{ type: "text", text: "x" }, finish]
          })
        })
        for (const hook of ["onRequest", "onResponse"] as const) {
          requests = 0
          const { hooks, names } = recorder()
          const error = yield* generate.pipe(
            Effect.flip,
            Effect.provide(
              Hooks.layer(model, { ...hooks, failing: true, [hook]: () => Effect.fail(boom) }).pipe(Retry.layer())
            )
          )
          assert.strictEqual(Hooks.failureOf(error)?.hook, hook)
          const cause = Hooks.failureOf(error)?.cause
          assert.strictEqual(cause && Option.getOrUndefined(Cause.findErrorOption(cause)), boom)
          assert.isTrue(isFinal(error))
          assert.strictEqual(requests, hook === "onRequest" ? 0 : 1, "a hook before the call keeps it from being made")
          assert.deepStrictEqual(names(), hook === "onRequest" ? ["onError"] : ["onRequest"])
        }
      }))

    it.effect("fails a stream at the part whose hook fails", () =>
      Effect.gen(function*() {
        const { hooks, names } = recorder()
        const seen: Array<string> = []
        const model = Hooks.layer(modelOf({ stream: Stream.rechunk(Stream.fromIterable(whole), 1) }), {
          ...hooks,
          failing: true,
          onPart: ({ index }) => index === 2 ? Effect.die(boom) : Effect.void
        })
        const error = yield* streamed.pipe(
          Stream.runForEach((part) => Effect.sync(() => seen.push(part.type))),
          Effect.flip,
          Effect.provide(model)
        )
        assert.strictEqual(Hooks.failureOf(error)?.hook, "onPart")
        assert.deepStrictEqual(seen, ["text-start", "text-delta"])
        assert.deepStrictEqual(names(), ["onRequest", "onError"])
      }))

    it.effect("keeps the call's own failure when the hook of a failure fails", () =>
      Effect.gen(function*() {
        const error = yield* generate.pipe(
          Effect.flip,
          Effect.provide(Hooks.layer(modelOf({ generate: Effect.fail(failure) }), {
            failing: true,
            onError: () => Effect.fail(boom)
          }))
        )
        assert.strictEqual(error, failure)
      }))
  })

  it.effect("keeps what waits within its capacity: parts are left out, calls that are reported stay whole", () =>
    Effect.gen(function*() {
      const gate = yield* Deferred.make<void>()
      const { hooks, names } = recorder()
      let pulled = 0
      const many = Stream.range(1, 500).pipe(
        Stream.map((i): Response.StreamPartEncoded => ({ type: "text-delta", id: "1", delta: `${i}` })),
        Stream.tap(() => Effect.sync(() => pulled++))
      )
      const model = modelOf({
        stream: Stream.fromIterable(content.slice(0, 1)).pipe(
          Stream.concat(many),
          Stream.concat(Stream.fromIterable([content[3]!, finish]))
        )
      })
      yield* Effect.provide(
        Effect.gen(function*() {
          yield* Stream.runDrain(streamed)
          yield* Stream.runDrain(streamed)
          assert.strictEqual(pulled, 1000, "slow hooks do not hold streams up")
          assert.deepStrictEqual(names(), [])
          yield* Deferred.succeed(gate, undefined)
        }),
        Hooks.layer(model, {
          ...hooks,
          onRequest: (event) => Effect.andThen(Deferred.await(gate), hooks.onRequest(event)),
          capacity: 20
        })
      )
      assert.deepStrictEqual(names().filter((name) => name !== "onPart"), ["onRequest", "onResponse"])
      assert.strictEqual(names().length, 21)
    }))

  it.effect("ends its hooks before the layer closes, and interrupts those that take longer than the grace", () =>
    Effect.gen(function*() {
      const done: Array<string> = []
      const run = (hook: Effect.Effect<unknown>) =>
        Effect.forkChild(
          Effect.provide(generate, Hooks.layer(modelOf(), { onResponse: () => hook, grace: "5 seconds" }))
        )
      const short = yield* run(Effect.delay(Effect.sync(() => done.push("short")), "2 seconds"))
      const long = yield* run(Effect.onInterrupt(Effect.never, () => Effect.sync(() => done.push("interrupted"))))
      yield* settle
      assert.isUndefined(short.pollUnsafe())
      yield* TestClock.adjust("2 seconds")
      yield* Fiber.join(short)
      assert.deepStrictEqual(done, ["short"])
      yield* TestClock.adjust("3 seconds")
      yield* Fiber.join(long)
      assert.deepStrictEqual(done, ["short", "interrupted"])
    }))

  it.effect("captures what hooks need when the layer is built, and nothing that is set around the call", () =>
    Effect.gen(function*() {
      class Sink extends Context.Service<Sink, { readonly name: string }>()("test/Sink") {}
      const Setting = Context.Reference<string>("test/Setting", { defaultValue: () => "none" })
      const seen: Array<string> = []
      const model = Hooks.layer(modelOf(), {
        onResponse: () =>
          Effect.gen(function*() {
            seen.push((yield* Sink).name, yield* Setting)
          })
      }).pipe(Layer.provide(Layer.succeed(Sink, { name: "built" })))
      yield* generate.pipe(Effect.provideService(Setting, "of the call"), Effect.provide(model))
      assert.deepStrictEqual(seen, ["built", "none"])
    }))

  it.effect("sees one call with retries inside, and each try with retries around", () =>
    Effect.gen(function*() {
      const flaky = () => {
        let tries = 0
        return modelOf({
          generate: Effect.suspend(() =>
            tries++ === 0
              ? Effect.fail(makeFailure())
              : Effect.succeed<Array<Response.PartEncoded>>([{ type: "text", text: "x" }, finish])
          )
        })
      }
      const retry = Retry.layer({ baseDelay: 0, jitter: false })
      const inside = recorder()
      yield* Effect.provide(generate, flaky().pipe(retry, Hooks.layer(inside.hooks)))
      assert.deepStrictEqual(inside.names(), ["onRequest", "onResponse"])
      const around = recorder()
      yield* Effect.provide(generate, flaky().pipe(Hooks.layer(around.hooks), retry))
      assert.deepStrictEqual(around.names(), ["onRequest", "onError", "onRequest", "onResponse"])
    }))

  it.effect("runs no more hooks at once than asked for", () =>
    Effect.gen(function*() {
      for (const concurrency of [1, 3]) {
        let [running, most] = [0, 0]
        const hook = () =>
          Effect.gen(function*() {
            most = Math.max(most, ++running)
            yield* settle
            running--
          })
        yield* Effect.provide(
          Effect.all(Array.from({ length: 6 }, () => generate), { concurrency: "unbounded" }),
          Hooks.layer(modelOf(), { onRequest: hook, concurrency })
        )
        assert.strictEqual(most, concurrency)
      }
    }))

  it.effect("gives a model that a hook asks nothing of the call, nor the call anything of the hook", () =>
    Effect.gen(function*() {
      let tries = 0
      const flaky = modelOf({
        generate: Effect.suspend(() =>
          tries++ === 0
            ? Effect.fail(makeFailure())
            : Effect.succeed<Array<Response.PartEncoded>>([{ type: "text", text: "x" }, finish])
        )
      })
      const asking = Stream.runDrain(streamed).pipe(Effect.provide(Retry.layer(modelOf())))
      const response = yield* generate.pipe(
        Retry.withRetry({ baseDelay: 0, jitter: false }),
        Effect.provide(Hooks.layer(flaky, { wait: true, onRequest: () => asking }))
      )
      assert.strictEqual(response.text, "x", "what the hook's model has given is not the call's content")
    }))

  it.live("writes logs with the trace of the call, through Effect's OTLP exporter", () =>
    Effect.gen(function*() {
      const exported: Array<readonly [path: string, body: string]> = []
      const client = HttpClient.make((request, url) =>
        Effect.sync(() => {
          const body = request.body._tag === "Uint8Array" ? new TextDecoder().decode(request.body.body) : ""
          exported.push([url.pathname, body])
          return HttpClientResponse.fromWeb(request, new globalThis.Response(null, { status: 200 }))
        })
      )
      yield* generate.pipe(
        Effect.withSpan("chat"),
        Effect.provide(Hooks.layer(modelOf(), {
          onResponse: ({ logId, model }) => Effect.annotateLogs(Effect.logInfo("answered"), { logId, model })
        })),
        Effect.provide(
          Otlp.layerJson({ baseUrl: "http://collector", resource: { serviceName: "chat" } }).pipe(
            Layer.provide(Layer.succeed(HttpClient.HttpClient, client))
          )
        )
      )
      const bodyOf = (path: string) => exported.filter(([to]) => to === path).map(([, body]) => body).join("")
      const trace = /"traceId":"(\w+)"/.exec(bodyOf("/v1/traces"))?.[1]
      assert.isDefined(trace)
      assert.include(bodyOf("/v1/logs"), trace)
      assert.include(bodyOf("/v1/logs"), "log-1")
      assert.notInclude(bodyOf("/v1/logs"), "secret")
    }))

  it.effect("passes interruption on", () =>
    Effect.gen(function*() {
      let isInterrupted = false
      const model = modelOf({
        generate: Effect.onInterrupt(Effect.never, () =>
          Effect.sync(() => {
            isInterrupted = true
          }))
      })
      const fiber = yield* Effect.forkChild(Effect.provide(generate, Hooks.layer(model, recorder().hooks)))
      yield* settle
      const exit = yield* Effect.andThen(Fiber.interrupt(fiber), Fiber.await(fiber))
      assert.isTrue(Exit.isFailure(exit) && Cause.hasInterruptsOnly(exit.cause))
      assert.isTrue(isInterrupted)
    }))

  it.effect("refuses options out of their range, before any request", () =>
    Effect.gen(function*() {
      for (const option of [{ capacity: 0 }, { concurrency: 1.5 }, { grace: -1 }]) {
        const stub = StubTransport.make({ body: fixture("native-text.json") })
        const error = yield* Effect.flip(Effect.provide(generate, Hooks.layer(gatewayLayer(stub), option)))
        assert(AiError.isAiError(error) && error.reason._tag === "InvalidRequestError")
        assert.strictEqual(error.reason.parameter, Object.keys(option)[0])
        assert.strictEqual(stub.sent.length, 0)
      }
    }))
})
