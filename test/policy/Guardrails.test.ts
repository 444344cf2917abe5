import { assert, describe, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import * as AiError from "effect/unstable/ai/AiError"
import * as LanguageModel from "effect/unstable/ai/LanguageModel"
import type * as Prompt from "effect/unstable/ai/Prompt"
import type * as Response from "effect/unstable/ai/Response"
import * as Tool from "effect/unstable/ai/Tool"
import * as Toolkit from "effect/unstable/ai/Toolkit"
import * as FastCheck from "fast-check"
import * as RequestOptions from "../../src/client/RequestOptions.ts"
import * as Fallback from "../../src/policy/Fallback.ts"
import { isFinal } from "../../src/policy/finalErrors.ts"
import * as Guardrails from "../../src/policy/Guardrails.ts"
import * as Retry from "../../src/policy/Retry.ts"
import { layer as gatewayLayer } from "../support/parts.ts"
import * as StubTransport from "../support/StubTransport.ts"

const finish: Response.FinishPartEncoded = {
  type: "finish",
  reason: "stop",
  usage: { inputTokens: { total: 1 }, outputTokens: { total: 1 } },
  response: undefined
}
const deltas = (...texts: ReadonlyArray<string>): ReadonlyArray<Response.StreamPartEncoded> => [
  { type: "text-start", id: "1" },
  ...texts.map((delta): Response.StreamPartEncoded => ({ type: "text-delta", id: "1", delta })),
  { type: "text-end", id: "1" },
  finish
]
const cut = AiError.make({
  module: "Test",
  method: "test",
  reason: new AiError.InternalProviderError({ description: "cut" })
})

/** A model that says how often it was asked. */
const modelOf = (behaviour: {
  readonly text?: string
  readonly parts?: Array<Response.PartEncoded>
  readonly stream?: Stream.Stream<Response.StreamPartEncoded, AiError.AiError>
} = {}) => {
  const asked = { times: 0 }
  const layer = Layer.effect(
    LanguageModel.LanguageModel,
    LanguageModel.make({
      generateText: () =>
        Effect.sync(() => {
          asked.times++
          return [...behaviour.parts ?? [{ type: "text", text: behaviour.text ?? "hello" }], finish]
        }),
      streamText: () => {
        asked.times++
        return behaviour.stream ?? Stream.fromIterable(deltas(behaviour.text ?? "hello"))
      }
    })
  )
  return { asked, layer }
}

const bombs = Guardrails.rules({ weapons: ["bomb"] })
const generate = (prompt: Prompt.RawInput = "hi") => LanguageModel.generateText({ prompt })
const streamed = (prompt: Prompt.RawInput = "hi") => LanguageModel.streamText({ prompt })

/** What was given before the end, and the error. */
const seen = (stream: Stream.Stream<Response.AnyPart, AiError.AiError, LanguageModel.LanguageModel>) =>
  Effect.gen(function*() {
    const parts: Array<Response.AnyPart> = []
    const exit = yield* Effect.exit(Stream.runForEach(stream, (part) => Effect.sync(() => void parts.push(part))))
    const error = Exit.isFailure(exit) ? Option.getOrUndefined(Cause.findErrorOption(exit.cause)) : undefined
    const text = parts.map((part) => part.type === "text-delta" ? part.delta : "").join("")
    return { parts, error, text }
  })

const kit = Toolkit.make(Tool.make("send", {
  parameters: Schema.Struct({ to: Schema.String, body: Schema.Struct({ text: Schema.String }) }),
  success: Schema.String
}))
const handled = () => {
  const sent: Array<string> = []
  const handlers = kit.toLayer({
    send: ({ body }) =>
      Effect.sync(() => {
        sent.push(body.text)
        return "sent"
      })
  })
  return { sent, handlers }
}
const toolCall = (text: string): Response.ToolCallPartEncoded => ({
  type: "tool-call",
  id: "call-1",
  name: "send",
  params: { to: "ann", body: { text } }
})

describe("Guardrails", () => {
  describe("of a prompt", () => {
    const prompts: ReadonlyArray<readonly [string, Prompt.RawInput]> = [
      ["text", "How is a BOMB built?"],
      ["an earlier message", [
        { role: "user", content: "a bomb" },
        { role: "assistant", content: "no" },
        { role: "user", content: "please" }
      ]],
      ["a message of the model's that a client sent", [
        { role: "assistant", content: [{ type: "text", text: "a bomb" }] },
        { role: "user", content: "go on" }
      ]],
      ["a tool's result", [
        {
          role: "assistant",
          content: [{ type: "tool-call", id: "1", name: "read", params: {}, providerExecuted: false }]
        },
        {
          role: "tool",
          content: [{ type: "tool-result", id: "1", name: "read", isFailure: false, result: { lines: ["a bomb"] } }]
        }
      ]],
      ["a text file", [{
        role: "user",
        content: [{ type: "file", mediaType: "text/plain", data: Buffer.from("a bomb").toString("base64") }]
      }]],
      ["a text file of bytes", [{
        role: "user",
        content: [{ type: "file", mediaType: "application/json", data: new TextEncoder().encode("\"bomb\"") }]
      }]],
      ["a text file in a URL", [{
        role: "user",
        content: [{ type: "file", mediaType: "text/plain", data: new URL("data:text/plain,a%20bomb") }]
      }]]
    ]
    for (const [where, prompt] of prompts) {
      it.effect(`is blocked before any request: ${where}`, () =>
        Effect.gen(function*() {
          const { asked, layer } = modelOf()
          const model = Guardrails.layer(layer, { checks: [bombs] })
          const calls = [
            generate(prompt),
            LanguageModel.generateObject({ prompt, schema: Schema.Struct({ a: Schema.String }) }),
            Stream.runDrain(streamed(prompt))
          ]
          for (const call of calls) {
            const error = yield* Effect.flip(Effect.provide(call, model))
            assert(AiError.isAiError(error) && error.reason._tag === "ContentPolicyError")
            assert.deepStrictEqual(Guardrails.findingsOf(error), [
              { phase: "prompt", check: "rules", category: "weapons", action: "Block" }
            ])
            assert.isTrue(isFinal(error))
            assert.isFalse(error.isRetryable)
          }
          assert.strictEqual(asked.times, 0)
        }))
    }

    it.effect("goes through when nothing is found, and system messages are the program's own", () =>
      Effect.gen(function*() {
        const { asked, layer } = modelOf()
        const response = yield* Effect.provide(
          generate([
            { role: "system", content: "Never say how a bomb is built." },
            { role: "user", content: "bombastic bombs" }
          ]),
          Guardrails.layer(layer, { checks: [bombs] })
        )
        assert.strictEqual(response.text, "hello")
        assert.deepStrictEqual(Guardrails.flaggedIn(response), [])
        assert.strictEqual(asked.times, 1)
      }))

    it.effect("is read however deep a tool's result is nested, and whatever is in it", () =>
      Effect.gen(function*() {
        let result: unknown = ["a bomb"]
        for (let depth = 0; depth < 20_000; depth++) result = depth % 2 === 0 ? { inner: result } : [result]
        for (const value of [result, [new Date(Number.NaN), "a bomb"]]) {
          const error = yield* Effect.flip(Effect.provide(
            generate([{
              role: "tool",
              content: [{ type: "tool-result", id: "1", name: "look", isFailure: false, result: value }]
            }]),
            Guardrails.layer(modelOf().layer, { checks: [bombs] })
          ))
          assert.isDefined(Guardrails.findingsOf(error))
        }
      }))

    it.effect("reaches the model also where it can be read only once", () =>
      Effect.gen(function*() {
        const stub = StubTransport.make({ body: "{\"response\":\"hello\"}" })
        const messages = function*(): Generator<Prompt.MessageEncoded> {
          yield { role: "user", content: "a question" }
        }
        yield* Effect.provide(generate(messages()), Guardrails.layer(gatewayLayer(stub), { checks: [bombs] }))
        assert.include(JSON.stringify(stub.sent), "a question")
      }))

    it.effect("is not sent to another model when it is blocked", () =>
      Effect.gen(function*() {
        const [first, second] = [modelOf(), modelOf()]
        const plan = Fallback.plan([Guardrails.layer(first.layer, { checks: [bombs] }), second.layer])
        yield* Effect.flip(Effect.provide(generate("a bomb"), Fallback.layer(plan)))
        assert.deepStrictEqual([first.asked.times, second.asked.times], [0, 0])
      }))
  })

  describe("of an answer", () => {
    const answers: ReadonlyArray<readonly [string, Array<Response.PartEncoded>]> = [
      ["text", [{ type: "text", text: "a bomb" }]],
      ["text in two parts", [{ type: "text", text: "a bo" }, { type: "text", text: "mb" }]],
      ["reasoning", [{ type: "reasoning", text: "a bomb?" }, { type: "text", text: "no" }]]
    ]
    for (const [where, parts] of answers) {
      it.effect(`is blocked: ${where}`, () =>
        Effect.gen(function*() {
          const { layer } = modelOf({ parts })
          const error = yield* Effect.flip(Effect.provide(generate(), Guardrails.layer(layer, { checks: [bombs] })))
          assert.strictEqual(Guardrails.findingsOf(error)?.[0]?.phase, "answer")
        }))
    }

    it.effect("is blocked: an object, whatever escapes its JSON has", () =>
      Effect.gen(function*() {
        const { layer } = modelOf({ text: "{\"a\":\"\\u0062omb\"}" })
        const schema = Schema.Struct({ a: Schema.String })
        const error = yield* Effect.flip(Effect.provide(
          LanguageModel.generateObject({ prompt: "hi", schema }),
          Guardrails.layer(layer, { checks: [bombs] })
        ))
        assert.strictEqual(Guardrails.findingsOf(error)?.[0]?.category, "weapons")
      }))

    it.effect("may come from another model when it is blocked", () =>
      Effect.gen(function*() {
        const [first, second] = [modelOf({ text: "a bomb" }), modelOf({ text: "no" })]
        const plan = Fallback.plan([Guardrails.layer(first.layer, { checks: [bombs] }), second.layer])
        for (
          const call of [
            Effect.map(generate(), ({ text }) => text),
            Effect.map(Effect.map(seen(streamed()), ({ text }) => text), (text) => text)
          ]
        ) assert.strictEqual(yield* Effect.provide(call, Fallback.layer(plan)), "no")
      }))

    it.effect("is flagged on its finish part, together with what was flagged in the prompt", () =>
      Effect.gen(function*() {
        const { layer } = modelOf({ text: "a bomb and a gun" })
        const model = Guardrails.layer(layer, {
          checks: [bombs, Guardrails.rules({ guns: ["gun"], money: ["money"] }, { name: "more" })],
          prompt: "Flag",
          answer: { weapons: "Flag", guns: "Ignore" }
        })
        const findings: ReadonlyArray<Guardrails.Finding> = [
          { phase: "prompt", check: "more", category: "money", action: "Flag" },
          { phase: "answer", check: "rules", category: "weapons", action: "Flag" }
        ]
        const text = yield* Effect.provide(generate("money"), model)
        assert.deepStrictEqual(Guardrails.flaggedIn(text), findings)
        assert.strictEqual(text.text, "a bomb and a gun")
        const { parts } = yield* Effect.provide(seen(streamed("money")), model)
        assert.deepStrictEqual(Guardrails.flaggedIn(parts), findings)
        const objects = modelOf({ text: "{\"a\":\"bomb\"}" })
        const object = yield* Effect.provide(
          LanguageModel.generateObject({ prompt: "hi", schema: Schema.Struct({ a: Schema.String }) }),
          Guardrails.layer(objects.layer, { checks: [bombs], answer: "Flag" })
        )
        assert.deepStrictEqual(object.value, { a: "bomb" })
        assert.strictEqual(Guardrails.flaggedIn(object).length, 1)
      }))

    it.effect("blocks categories that are not named", () =>
      Effect.gen(function*() {
        const { layer } = modelOf({ text: "a bomb" })
        const found: ReadonlyArray<string> = ["constructor"]
        const model = Guardrails.layer(layer, {
          checks: [Guardrails.check("other", () => Effect.succeed(found)), bombs],
          prompt: "Ignore",
          answer: { weapons: "Ignore" }
        })
        const error = yield* Effect.flip(Effect.provide(generate(), model))
        assert.deepStrictEqual(Guardrails.findingsOf(error)?.map(({ category }) => category), ["constructor"])
      }))

    it.effect("is not looked at where its action is Ignore", () =>
      Effect.gen(function*() {
        const phases: Array<string> = []
        const check = Guardrails.check("all", ({ phase }) =>
          Effect.sync(() => {
            phases.push(phase)
            return ["any"]
          }))
        const { layer } = modelOf()
        const model = Guardrails.layer(layer, { checks: [check], prompt: "Flag", answer: "Ignore" })
        yield* Effect.provide(generate(), model)
        const { parts } = yield* Effect.provide(seen(streamed()), model)
        assert.deepStrictEqual(phases, ["prompt", "prompt"])
        assert.strictEqual(Guardrails.flaggedIn(parts).length, 1)
      }))
  })

  describe("of tools", () => {
    const withTools = LanguageModel.generateText({ prompt: "hi", toolkit: kit })
    const streamedWithTools = LanguageModel.streamText({ prompt: "hi", toolkit: kit })

    it.effect("keeps a handler from starting with parameters that are blocked", () =>
      Effect.gen(function*() {
        for (const stream of ["buffer", { window: 10, overlap: 10 }] as const) {
          const bad = modelOf({
            parts: [toolCall("a bomb")],
            stream: Stream.fromIterable([toolCall("a bomb"), { ...finish, reason: "tool-calls" }])
          })
          const { handlers, sent } = handled()
          const context = Layer.merge(Guardrails.layer(bad.layer, { checks: [bombs], stream }), handlers)
          const error = yield* Effect.flip(Effect.provide(withTools, context))
          assert.strictEqual(Guardrails.findingsOf(error)?.[0]?.category, "weapons")
          const outcome = yield* Effect.flip(Effect.provide(Stream.runCollect(streamedWithTools), context))
          assert.strictEqual(Guardrails.findingsOf(outcome)?.[0]?.category, "weapons")
          assert.deepStrictEqual(sent, [])
        }
      }))

    it.effect("lets others run", () =>
      Effect.gen(function*() {
        const { layer } = modelOf({
          parts: [toolCall("a balm")],
          stream: Stream.fromIterable([toolCall("a balm"), { ...finish, reason: "tool-calls" }])
        })
        const { handlers, sent } = handled()
        const context = Layer.merge(Guardrails.layer(layer, { checks: [bombs] }), handlers)
        const response = yield* Effect.provide(withTools, context)
        assert.strictEqual(response.toolResults[0]?.result, "sent")
        const parts = yield* Effect.provide(Stream.runCollect(streamedWithTools), context)
        assert.deepStrictEqual(parts.map(({ type }) => type), ["tool-call", "tool-result", "finish"])
        assert.deepStrictEqual(sent, ["a balm", "a balm"])
      }))

    it.effect("gives a call in windows before its handler has ended", () =>
      Effect.gen(function*() {
        const gate = yield* Deferred.make<void>()
        const { layer } = modelOf({
          stream: Stream.fromIterable([toolCall("a balm"), { ...finish, reason: "tool-calls" }])
        })
        const types: Array<string> = []
        yield* streamedWithTools.pipe(
          Stream.runForEach((part) =>
            Effect.suspend(() => {
              types.push(part.type)
              return part.type === "tool-call" ? Deferred.succeed(gate, undefined) : Effect.void
            })
          ),
          Effect.provide([
            Guardrails.layer(layer, { checks: [bombs], stream: { window: 100, overlap: 10 } }),
            kit.toLayer({ send: () => Effect.as(Deferred.await(gate), "sent") })
          ])
        )
        assert.deepStrictEqual(types, ["tool-call", "tool-result", "finish"])
      }))

    it.effect("checks parameters also where nobody resolves the call, and before their deltas are given", () =>
      Effect.gen(function*() {
        const json = JSON.stringify({ to: "ann", body: { text: "a \\u0062omb" } }).replace("\\\\", "\\")
        const stream = Stream.fromIterable<Response.StreamPartEncoded>([
          ...deltas("fine words that come before it").slice(0, 3),
          { type: "tool-params-start", id: "call-1", name: "send" },
          ...[...json].map((delta): Response.StreamPartEncoded => ({ type: "tool-params-delta", id: "call-1", delta })),
          { type: "tool-params-end", id: "call-1" },
          toolCall("a bomb"),
          finish
        ])
        const { handlers } = handled()
        const { parts } = yield* seen(
          LanguageModel.streamText({ prompt: "hi", toolkit: kit, disableToolCallResolution: true }) as never
        ).pipe(
          Effect.provide([
            Guardrails.layer(modelOf({ stream: Stream.rechunk(stream, 1) }).layer, {
              checks: [bombs],
              stream: { window: 5, overlap: 5 }
            }),
            handlers
          ])
        )
        assert.deepStrictEqual(parts.map(({ type }) => type), ["text-start", "text-delta"])
      }))
  })

  describe("of streams", () => {
    it.effect("gives nothing before the whole answer is checked", () =>
      Effect.gen(function*() {
        const bad = modelOf({ stream: Stream.fromIterable(deltas("fine ", "words ", "and a bo", "mb")) })
        const outcome = yield* Effect.provide(seen(streamed()), Guardrails.layer(bad.layer, { checks: [bombs] }))
        assert.deepStrictEqual(outcome.parts, [])
        assert.strictEqual(Guardrails.findingsOf(outcome.error)?.[0]?.category, "weapons")
        const good = modelOf({ stream: Stream.fromIterable(deltas("fine ", "words")) })
        const whole = yield* Effect.provide(seen(streamed()), Guardrails.layer(good.layer, { checks: [bombs] }))
        assert.deepStrictEqual(whole.parts.map(({ type }) => type), [
          "text-start",
          "text-delta",
          "text-delta",
          "text-end",
          "finish"
        ])
      }))

    it.effect("gives nothing of a stream that was cut, and keeps its error", () =>
      Effect.gen(function*() {
        const { asked, layer } = modelOf({
          stream: Stream.concat(Stream.fromIterable(deltas("fine").slice(0, 2)), Stream.fail(cut))
        })
        const model = Guardrails.layer(layer, { checks: [bombs] })
        const outcome = yield* Effect.provide(seen(streamed()), model)
        assert.deepStrictEqual([outcome.parts, outcome.error], [[], cut])
        yield* Effect.provide(
          seen(streamed()),
          model.pipe(Retry.layer({ baseDelay: 0, jitter: false }))
        )
        assert.strictEqual(asked.times, 4, "nothing was seen, so a retry around it may go on")
      }))

    it.effect("gives checked windows as they come, and fails at a finding across two of them", () =>
      Effect.gen(function*() {
        const gate = yield* Deferred.make<void>()
        const { layer } = modelOf({
          stream: Stream.concat(
            Stream.fromIterable(deltas("one two three ", "four five six ", "seven pipe").slice(0, 4)),
            Stream.concat(
              Stream.drain(Stream.fromEffect(Deferred.await(gate))),
              // As from a network each part comes by itself.
              Stream.rechunk(Stream.fromIterable(deltas(" bomb and more words ", "eight nine ten").slice(1)), 1)
            )
          )
        })
        const parts: Array<string> = []
        const fiber = yield* streamed().pipe(
          Stream.runForEach((part) => Effect.sync(() => void parts.push(part.type === "text-delta" ? part.delta : ""))),
          Effect.flip,
          Effect.provide(Guardrails.layer(layer, {
            checks: [Guardrails.rules({ weapons: ["pipe bomb"] })],
            stream: { window: 10, overlap: 10 }
          })),
          Effect.forkChild
        )
        yield* Effect.yieldNow
        for (let turn = 0; turn < 50; turn++) yield* Effect.yieldNow
        assert.strictEqual(parts.join(""), "one two three four five six ", "before the stream has ended")
        yield* Deferred.succeed(gate, undefined)
        const error = yield* Fiber.join(fiber)
        assert.strictEqual(Guardrails.findingsOf(error)?.[0]?.category, "weapons")
        assert.notInclude(parts.join(""), "bomb")
      }))

    it.effect("keeps the finish part of a stream whose finding is longer than the overlap", () =>
      Effect.gen(function*() {
        const { layer } = modelOf({
          stream: Stream.rechunk(Stream.fromIterable(deltas("a pipe ", "bomb ", "and ", "more")), 1)
        })
        const outcome = yield* Effect.provide(
          seen(streamed()),
          Guardrails.layer(layer, {
            checks: [Guardrails.rules({ weapons: ["pipe bomb"] })],
            stream: { window: 1, overlap: 0 }
          })
        )
        assert.strictEqual(Guardrails.findingsOf(outcome.error)?.[0]?.category, "weapons")
        assert.include(outcome.text, "bomb")
        assert.isFalse(outcome.parts.some(({ type }) => type === "finish"))
      }))

    it.effect("never ends a stream well that says what is blocked, and gives all others unchanged", () =>
      Effect.promise(() =>
        FastCheck.assert(
          FastCheck.asyncProperty(
            FastCheck.array(FastCheck.constantFrom("bomb", "bo", "mb", "a", " ", "long words ", "bombs"), {
              minLength: 1,
              maxLength: 40
            }),
            FastCheck.integer({ min: 1, max: 12 }),
            FastCheck.integer({ min: 0, max: 12 }),
            FastCheck.integer({ min: 1, max: 7 }),
            async (texts, window, overlap, size) => {
              const text = texts.join("")
              const isBad = /(?<![a-z])bomb(?![a-z])/.test(text)
              const { layer } = modelOf({ stream: Stream.rechunk(Stream.fromIterable(deltas(...texts)), size) })
              for (const stream of ["buffer", { window, overlap }] as const) {
                const outcome = await Effect.runPromise(
                  Effect.provide(seen(streamed()), Guardrails.layer(layer, { checks: [bombs], stream }))
                )
                if (isBad) {
                  assert.isDefined(Guardrails.findingsOf(outcome.error))
                  assert.isTrue(text.startsWith(outcome.text) && !outcome.parts.some(({ type }) => type === "finish"))
                  // The word itself is given only where the overlap is shorter than it.
                  if (stream === "buffer") assert.strictEqual(outcome.text, "")
                } else if (stream === "buffer" || window >= 40) {
                  assert.isUndefined(outcome.error)
                  assert.strictEqual(outcome.text, text)
                } else if (outcome.error === undefined) assert.strictEqual(outcome.text, text)
                else assert.isAbove(text.length, 2 * window, "only a word longer than two windows is taken apart")
              }
            }
          ),
          { numRuns: 200 }
        )
      ))
  })

  describe("when a check fails", () => {
    const boom = new Error("the moderator is down")
    const broken = Guardrails.check("broken", () => Effect.fail(boom))

    it.effect("fails the call by default, and keeps the cause", () =>
      Effect.gen(function*() {
        const { asked, layer } = modelOf()
        const error = yield* Effect.flip(Effect.provide(generate(), Guardrails.layer(layer, { checks: [broken] })))
        assert(error instanceof Guardrails.ModerationFailed)
        assert.strictEqual(Option.getOrUndefined(Cause.findErrorOption(error.failure)), boom)
        assert.deepStrictEqual([error.phase, error.check], ["prompt", "broken"])
        assert.match(error.message, /The check "broken" of the prompt failed: .*the moderator is down/)
        assert.strictEqual(asked.times, 0)
      }))

    it.effect("can be retried where the check's own error can", () =>
      Effect.gen(function*() {
        let looks = 0
        const limited = AiError.make({
          module: "Test",
          method: "guard",
          reason: new AiError.RateLimitError({})
        })
        const check = Guardrails.check("guard", () =>
          Effect.suspend(() => looks++ === 0 ? Effect.fail(limited) : Effect.succeed([])))
        const { layer } = modelOf()
        const model = Guardrails.layer(layer, { checks: [check] }).pipe(Retry.layer({ baseDelay: 0, jitter: false }))
        assert.strictEqual((yield* Effect.provide(generate(), model)).text, "hello")
      }))

    it.effect("lets the call through where that is asked for, with or without a note", () =>
      Effect.gen(function*() {
        const dying = Guardrails.check("dying", () => Effect.die(boom))
        const { layer } = modelOf()
        for (const onFailure of ["Flag", "Ignore"] as const) {
          const model = Guardrails.layer(layer, { checks: [broken, dying], onFailure })
          const response = yield* Effect.provide(generate(), model)
          assert.strictEqual(response.text, "hello")
          const notes = Guardrails.flaggedIn(response).map(({ category, check, phase }) => [phase, check, category])
          assert.deepStrictEqual(
            notes,
            onFailure === "Ignore" ? [] : [
              ["prompt", "broken", "unavailable"],
              ["prompt", "dying", "unavailable"],
              ["answer", "broken", "unavailable"],
              ["answer", "dying", "unavailable"]
            ]
          )
        }
      }))

    it.effect("still blocks what another check has found", () =>
      Effect.gen(function*() {
        const { layer } = modelOf()
        const model = Guardrails.layer(layer, { checks: [broken, bombs], onFailure: "Ignore" })
        assert.isDefined(Guardrails.findingsOf(yield* Effect.flip(Effect.provide(generate("a bomb"), model))))
      }))

    it.effect("ends with the call that is interrupted", () =>
      Effect.gen(function*() {
        let isInterrupted = false
        const slow = Guardrails.check("slow", () =>
          Effect.onInterrupt(Effect.never, () =>
            Effect.sync(() => {
              isInterrupted = true
            })))
        const { layer } = modelOf()
        const fiber = yield* Effect.forkChild(Effect.provide(
          generate(),
          Guardrails.layer(layer, { checks: [slow], onFailure: "Ignore" })
        ))
        for (let turn = 0; turn < 20; turn++) yield* Effect.yieldNow
        yield* Fiber.interrupt(fiber)
        assert.isTrue(isInterrupted)
      }))
  })

  describe("llamaGuard", () => {
    const verdicts = (...bodies: ReadonlyArray<unknown>) =>
      StubTransport.make((_, call) => ({
        body: JSON.stringify({ response: bodies[Math.min(call, bodies.length - 1)] })
      }))

    const cases: ReadonlyArray<readonly [string, unknown, ReadonlyArray<string> | "failure"]> = [
      ["safe", "safe", []],
      ["safe with space around", "\n\nsafe\n", []],
      ["unsafe with codes", "\n\nunsafe\nS2,S14", ["nonViolentCrimes", "codeInterpreterAbuse"]],
      ["unsafe without a code", "unsafe", ["other"]],
      ["a code that is not known", "unsafe\nS99", ["other"]],
      ["JSON mode, safe", { safe: true }, []],
      ["JSON mode, unsafe", { safe: false, categories: ["S10"] }, ["hate"]],
      ["something else", "I cannot help with that", "failure"],
      ["JSON without a verdict", { categories: [] }, "failure"]
    ]
    for (const [claim, body, expected] of cases) {
      it.effect(`reads a verdict: ${claim}`, () =>
        Effect.gen(function*() {
          const { layer } = modelOf()
          const error = yield* Effect.flip(Effect.provide(
            Effect.flip(generate()),
            Guardrails.layer(layer, { checks: [Guardrails.llamaGuard(gatewayLayer(verdicts(body)))] })
          )).pipe(Effect.option)
          const failed = yield* Effect.result(Effect.provide(
            generate(),
            Guardrails.layer(layer, { checks: [Guardrails.llamaGuard(gatewayLayer(verdicts(body)))] })
          ))
          if (expected === "failure") {
            assert(failed._tag === "Failure" && failed.failure instanceof Guardrails.ModerationFailed)
            assert.instanceOf(
              Option.getOrUndefined(Cause.findErrorOption(failed.failure.failure)),
              Guardrails.UnreadableVerdict
            )
          } else if (expected.length === 0) assert.isTrue(Option.isSome(error))
          else {
            assert(failed._tag === "Failure")
            assert.deepStrictEqual(Guardrails.findingsOf(failed.failure)?.map(({ category }) => category), expected)
          }
        }))
    }

    it.effect("asks with the prompt as the user, and with the answer after it as the assistant", () =>
      Effect.gen(function*() {
        const guard = verdicts("safe")
        const { layer } = modelOf({ text: "an answer" })
        yield* Effect.provide(
          generate("a question"),
          Guardrails.layer(layer, { checks: [Guardrails.llamaGuard(gatewayLayer(guard))] })
        )
        const bodies = guard.sent.map((step) => JSON.stringify(step))
        assert.strictEqual(bodies.length, 2)
        assert.match(bodies[0]!, /"messages":\[\{"role":"user","content":"a question"\}\]/)
        assert.match(
          bodies[1]!,
          /"messages":\[\{"role":"user","content":"a question"\},\{"role":"assistant","content":"an answer"\}\]/
        )
      }))

    const keyed = RequestOptions.withOptions({ cacheKey: "faq-1" })
    const builds = {
      "before the call": (model: Layer.Layer<LanguageModel.LanguageModel>) => Effect.provide(keyed(generate()), model),
      "in the call": (model: Layer.Layer<LanguageModel.LanguageModel>) => keyed(Effect.provide(generate(), model)),
      "by a plan, when it is first asked": (model: Layer.Layer<LanguageModel.LanguageModel>) =>
        Effect.provide(keyed(generate()), Fallback.layer(Fallback.plan([model])))
    }
    for (const [when, build] of Object.entries(builds)) {
      it.effect(`built ${when}, is asked without the request options of the call, whose cache key would answer for it`, () =>
        Effect.gen(function*() {
          const keys: Array<unknown> = []
          const noting = (stub: StubTransport.StubTransport): StubTransport.StubTransport => ({
            ...stub,
            send: (steps) =>
              Effect.flatMap(RequestOptions.Current, ({ cacheKey }) => {
                keys.push(cacheKey)
                return stub.send(steps)
              })
          })
          const main = StubTransport.make({ body: "{\"response\":\"hello\"}" })
          const model = Guardrails.layer(gatewayLayer(noting(main)), {
            checks: [Guardrails.llamaGuard(gatewayLayer(noting(verdicts("safe"))))]
          })
          yield* build(model)
          assert.deepStrictEqual(keys, [undefined, "faq-1", undefined])
        }))
    }

    it.effect("does not make a call final that has done nothing itself", () =>
      Effect.gen(function*() {
        const guard = Retry.layer(gatewayLayer(verdicts("safe")))
        const flaky = StubTransport.make((_, call) =>
          call === 0 ? { status: 503, body: "{}" } : { body: "{\"response\":\"hello\"}" }
        )
        const response = yield* Retry.withRetry(generate(), { baseDelay: 0, jitter: false }).pipe(
          Effect.provide(Guardrails.layer(gatewayLayer(flaky), { checks: [Guardrails.llamaGuard(guard)] }))
        )
        assert.strictEqual(response.text, "hello")
      }))
  })

  describe("rules", () => {
    const found = (rules: ReadonlyArray<string | RegExp>, prompt: string) =>
      Effect.provide(
        Effect.map(generate(prompt), (response) => Guardrails.flaggedIn(response).length > 0),
        Guardrails.layer(modelOf().layer, { checks: [Guardrails.rules({ it: rules })], prompt: "Flag" })
      )
    const cases: ReadonlyArray<readonly [string | RegExp, string, boolean]> = [
      ["bomb", "BOMB!", true],
      ["bomb", "bombard", false],
      ["bomb", "aerobomb", false],
      ["pipe bomb", "a pipe\n  bomb.", true],
      ["bomb", "b\u200bo\u00admb", true],
      ["bomb", "\uff42\uff4f\uff4d\uff42", true],
      ["c++", "I like C++.", true],
      ["a.b", "axb", false],
      ["爆弾", "この爆弾は", true],
      ["бомба", "Бомба!", true],
      ["бомба", "бомбам", false],
      ["", "anything", false],
      [/\b\d{4}-\d{4}\b/g, "1234-5678", true],
      [/secret$/i, "a SECRET", true]
    ]
    for (const [rule, text, expected] of cases) {
      it.effect(`${expected ? "finds" : "does not find"} ${String(rule)} in ${JSON.stringify(text)}`, () =>
        Effect.gen(function*() {
          assert.strictEqual(yield* found([rule], text), expected)
          assert.strictEqual(yield* found([rule], text), expected, "also the second time")
        }))
    }
  })

  it.effect("captures what checks need when the layer is built", () =>
    Effect.gen(function*() {
      class Words extends Context.Service<Words, { readonly bad: string }>()("test/Words") {}
      const check = Guardrails.check("service", ({ text }) =>
        Effect.map(Words, ({ bad }): ReadonlyArray<"bad"> => text.includes(bad) ? ["bad"] : []))
      const model = Guardrails.layer(modelOf().layer, {
        checks: [check, bombs],
        prompt: { bad: "Flag", weapons: "Block" }
      })
      const response = yield* Effect.provide(
        generate("xyz"),
        Layer.provide(model, Layer.succeed(Words, { bad: "xyz" }))
      )
      assert.strictEqual(Guardrails.flaggedIn(response)[0]?.category, "bad")
    }))

  it("knows at compile time which categories its checks find", () => {
    const options = { checks: [bombs, Guardrails.llamaGuard(modelOf().layer)] as const }
    Guardrails.layer(modelOf().layer, { ...options, answer: { weapons: "Flag", privacy: "Ignore" } })
    // @ts-expect-error no check finds it
    Guardrails.layer(modelOf().layer, { ...options, answer: { cookies: "Flag" } })
    // @ts-expect-error no action
    Guardrails.layer(modelOf().layer, { ...options, answer: "Allow" })
  })

  it.effect("refuses options out of their range, before any request", () =>
    Effect.gen(function*() {
      const options: ReadonlyArray<readonly [Guardrails.Options<ReadonlyArray<typeof bombs>>, string]> = [
        [{ checks: [] }, "checks"],
        [{ checks: [bombs], stream: { window: 0, overlap: 0 } }, "stream.window"],
        [{ checks: [bombs], stream: { window: 10, overlap: -1 } }, "stream.overlap"]
      ]
      for (const [option, parameter] of options) {
        const { asked, layer } = modelOf()
        const model = Guardrails.layer(layer, option)
        for (const call of [generate(), Stream.runDrain(streamed())]) {
          const error = yield* Effect.flip(Effect.provide(call, model))
          assert(AiError.isAiError(error) && error.reason._tag === "InvalidRequestError")
          assert.strictEqual(error.reason.parameter, parameter)
        }
        assert.strictEqual(asked.times, 0)
      }
    }))
})
