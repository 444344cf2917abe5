import { assert, describe, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Stream from "effect/Stream"
import * as LanguageModel from "effect/unstable/ai/LanguageModel"
import * as FastCheck from "fast-check"
import { everyCut } from "../support/everyCut.ts"
import { collect, comparable, fixture, layer, sse, streamOf, summary } from "../support/parts.ts"
import * as StubTransport from "../support/StubTransport.ts"

const recordings = [
  { name: "native-text.sse", withTools: false },
  { name: "native-text-crlf.sse", withTools: false },
  { name: "native-tool-incremental.sse", withTools: true },
  { name: "native-tool-legacy.sse", withTools: true },
  { name: "chat-text.sse", withTools: false },
  { name: "chat-reasoning.sse", withTools: false },
  { name: "chat-tools.sse", withTools: true },
  { name: "chat-tool-cumulative.sse", withTools: true },
  { name: "chat-mirrored.sse", withTools: false },
  { name: "error-event.sse", withTools: false }
]

/** What makes an answer whole, or a failure of another kind. */
const ended = /\[DONE\]|"finish_reason":"|"error":/

describe("PartStream", () => {
  for (const { name, withTools } of recordings) {
    everyCut(name, fixture(name), {
      stream: (reads) => streamOf(reads, { withTools }),
      isWhole: (said) => ended.test(said)
    })
  }

  it.effect("gives the same parts of all recordings in any split", () =>
    Effect.gen(function*() {
      for (const { name, withTools } of recordings) {
        const bytes = new TextEncoder().encode(fixture(name))
        const expected = comparable(yield* streamOf([bytes], { withTools }))
        const splits = FastCheck.sample(
          FastCheck.array(FastCheck.nat(bytes.length), { maxLength: 30 }),
          { numRuns: 30, seed: 7 }
        )
        for (const split of splits) {
          const at = [0, ...split.sort((a, b) => a - b), bytes.length]
          const reads = at.slice(1).map((end, i) => bytes.subarray(at[i], end))
          assert.strictEqual(comparable(yield* streamOf(reads, { withTools })), expected)
        }
      }
    }), 60_000)

  it.effect("never hangs, dies or succeeds with text on arbitrary bytes", () =>
    Effect.gen(function*() {
      const samples = FastCheck.sample(
        FastCheck.array(
          FastCheck.oneof(
            FastCheck.string({ maxLength: 20 }),
            FastCheck.json().map((json) => `data: ${json}\n\n`),
            FastCheck.constantFrom("\n", "\r\n", "data: ", "{", "event: x\n", "data: {}\n\n")
          ),
          { maxLength: 8 }
        ),
        { numRuns: 300, seed: 11 }
      )
      for (const sample of samples) {
        const outcome = yield* streamOf(sample.join(""))
        summary(outcome)
        assert.isDefined(outcome.failure, sample.join(""))
      }
    }))

  it.effect("writes well-formed parts whatever chunks come in whatever order", () =>
    Effect.gen(function*() {
      const { constant, constantFrom, option, record, nat, array, oneof } = FastCheck
      const maybe = <A>(values: FastCheck.Arbitrary<A>) => option(values, { nil: undefined, freq: 2 })
      const args = constantFrom<unknown>("", "{}", "{\"a\":1}", "{\"a\":", "1}", "2", "}", "x", null, { a: 1 }, {
        b: 2
      })
      const call = record({
        index: maybe(nat(1)),
        id: maybe(constantFrom<unknown>("a", "b", null, "")),
        name: maybe(constantFrom<unknown>("f", "g", null)),
        arguments: maybe(args),
        function: maybe(record({ name: maybe(constantFrom("f", "g", "nope")), arguments: maybe(args) }))
      })
      const delta = record({
        content: maybe(constantFrom<unknown>("A", "", null, [{ type: "text", text: "B" }])),
        reasoning_content: maybe(constantFrom<unknown>("R", "", null)),
        tool_calls: maybe(array(call, { maxLength: 2 }))
      })
      const chunk = oneof(
        record({
          choices: maybe(array(record({ delta, finish_reason: maybe(constantFrom("stop", "length", null)) }), {
            maxLength: 1
          })),
          response: maybe(constantFrom<unknown>("N", "", null, 1, "{\"name\":\"f\",\"arguments\":{}}")),
          tool_calls: maybe(array(call, { maxLength: 2 })),
          usage: maybe(constantFrom<unknown>(null, {}, { prompt_tokens: 1 }))
        }),
        record({ choices: constant([{ index: 0, delta: { content: "C" }, finish_reason: null }]) })
      )
      const samples = FastCheck.sample(array(chunk, { maxLength: 6 }), { numRuns: 1500, seed: 23 })
      for (const chunks of samples) {
        const text = sse(...chunks, "[DONE]")
        const whole = yield* streamOf(text, { withTools: true })
        summary(whole)
        const ids = whole.parts.flatMap((part) => part.type === "tool-call" ? [part.id] : [])
        assert.strictEqual(new Set(ids).size, ids.length, text)
        const split = yield* streamOf(StubTransport.split(text, 40), { withTools: true })
        assert.strictEqual(comparable(split), comparable(whole), text)
      }
    }), 60_000)

  it.effect("makes one array of parts of each read", () =>
    Effect.gen(function*() {
      const sizes: Array<number> = []
      const reads = [
        sse({ response: "a" }, { response: "b" }),
        sse({ response: "" }),
        ": nothing\n\n",
        sse({ response: "c" }, "[DONE]")
      ]
      yield* LanguageModel.streamText({ prompt: "hi" }).pipe(
        Stream.runForEachArray((parts) => Effect.sync(() => sizes.push(parts.length))),
        Effect.provide(
          layer(StubTransport.make({ body: reads.map((read) => new TextEncoder().encode(read)) }))
        )
      )
      assert.deepStrictEqual(sizes, [3, 3])
    }))

  it.effect("gives what was read before a failure", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(summary(yield* streamOf(fixture("error-event.sse"))), [
        "text(par)...",
        "ERROR(InternalProviderError)"
      ])
      assert.deepStrictEqual(summary(yield* streamOf(sse({ response: "par" }), { end: "reset" })), [
        "text(par)...",
        "ERROR(NetworkError)"
      ])
    }))

  it.effect("stops reading after the terminal event", () =>
    Effect.gen(function*() {
      const stub = StubTransport.make({
        body: [sse({ response: "A" }, "[DONE]", { response: "B" }), sse({ response: "C" })].map((read) =>
          new TextEncoder().encode(read)
        ),
        end: "hang"
      })
      const outcome = yield* collect(LanguageModel.streamText({ prompt: "hi" })).pipe(Effect.provide(layer(stub)))
      assert.deepStrictEqual(summary(outcome), ["text(A)", "finish(stop)"])
      assert.strictEqual(stub.reads, 1)
      assert.isTrue(stub.cancelled)
    }))

  it.effect("works as often as it is run", () =>
    Effect.gen(function*() {
      const stub = StubTransport.make({ body: StubTransport.split(fixture("chat-text.sse"), 7) })
      const stream = LanguageModel.streamText({ prompt: "hi" })
      const both = Effect.all([collect(stream), collect(stream)], { concurrency: 2 })
      const [first, second] = yield* both.pipe(Effect.provide(layer(stub)))
      assert.deepStrictEqual(first, second)
      assert.deepStrictEqual(summary(first), ["text(Hello)", "finish(stop)"])
      assert.strictEqual(stub.sent.length, 2)
    }))

  it.effect("cancels the read when the consumer stops early", () =>
    Effect.gen(function*() {
      const stub = StubTransport.make({ body: [new TextEncoder().encode(sse({ response: "A" }))], end: "hang" })
      const parts = yield* LanguageModel.streamText({ prompt: "hi" }).pipe(
        Stream.take(1),
        Stream.runCollect,
        Effect.provide(layer(stub))
      )
      assert.strictEqual(parts.length, 1)
      assert.isTrue(stub.cancelled)
    }))

  it.live("cancels the read when the fiber is interrupted", () =>
    Effect.gen(function*() {
      const stub = StubTransport.make({ body: [new TextEncoder().encode(sse({ response: "A" }))], end: "hang" })
      const first = yield* Deferred.make<void>()
      const fiber = yield* LanguageModel.streamText({ prompt: "hi" }).pipe(
        Stream.runForEach(() => Deferred.succeed(first, undefined)),
        Effect.provide(layer(stub)),
        Effect.forkChild
      )
      yield* Deferred.await(first)
      yield* Fiber.interrupt(fiber)
      assert.isTrue(stub.cancelled)
    }))

  it.live("lets a slow consumer hold the producer back", () =>
    Effect.gen(function*() {
      const reads = Array.from({ length: 100 }, () => new TextEncoder().encode(sse({ response: "a" })))
      const stub = StubTransport.make({ body: reads })
      let seen = 0
      yield* LanguageModel.streamText({ prompt: "hi" }).pipe(
        Stream.take(10),
        // Time enough for the producer to run ahead, if it could.
        Stream.runForEach(() =>
          Effect.map(Effect.sleep("1 millis"), () => {
            seen++
            assert.isAtMost(stub.reads, seen + 1)
          })
        ),
        Effect.provide(layer(stub))
      )
      assert.strictEqual(seen, 10)
    }))
})
