import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import { TestClock } from "effect/testing"
import * as FastCheck from "fast-check"
import type * as Answer from "../../../src/local/Answer.ts"
import type * as ChatWriter from "../../../src/local/compat/ChatWriter.ts"
import * as Compat from "../../../src/local/compat/Compat.ts"
import * as GatewayModel from "../../../src/model/GatewayModel.ts"
import {
  finishOf,
  fixture,
  generateOf,
  type ModelLayer,
  type Outcome,
  sse,
  streamOf,
  summary
} from "../../support/parts.ts"
import { split } from "../../support/StubTransport.ts"

const modelOf = (options: GatewayModel.Options): ModelLayer => (stub) => GatewayModel.layer(stub, options)

/** Reads OpenAI's chat format, as a client of the unified endpoint does. */
const unified = modelOf({ provider: "compat", model: "openai/gpt-4o-mini" })

const formats = {
  anthropic: {
    folder: "anthropic",
    layer: modelOf({ provider: "anthropic", model: "claude-sonnet-4-5", parameters: { maxTokens: 99 } }),
    streams: ["text.sse", "text-crlf.sse", "tools.sse", "thinking.sse"],
    failing: ["error.sse"],
    wholes: ["text.json", "tools.json"]
  },
  google: {
    folder: "google",
    layer: modelOf({ provider: "google-ai-studio", model: "gemini-2.5-flash" }),
    streams: [
      "text.sse",
      "text-framed.sse",
      "tools.sse",
      "tools-ids.sse",
      "thoughts.sse",
      "safety.sse",
      "search.sse",
      "image.sse"
    ],
    failing: ["error-event.sse", "error-bare.sse", "blocked.sse"],
    wholes: ["text.json", "tools.json"]
  }
} as const

const reading = (format: "anthropic" | "google", more: Partial<Compat.Reading> = {}): Compat.Reading => ({
  format,
  model: "m",
  stream: true,
  includeUsage: true,
  objectTool: undefined,
  ...more
})

const upstream = (body: Answer.Answer["body"], type = "text/event-stream", status = 200): Answer.Answer => ({
  status,
  headers: { "content-type": type, "content-length": "1", "request-id": "r1" },
  body
})

const textOf = ({ body }: Answer.Answer) =>
  body instanceof Uint8Array
    ? Effect.succeed(new TextDecoder().decode(body))
    : Effect.map(Stream.runCollect(body), (chunks) => Buffer.concat(chunks).toString("utf8"))

const bytes = (text: string) => new TextEncoder().encode(text)

const translated = (format: "anthropic" | "google", body: Answer.Answer["body"], more?: Partial<Compat.Reading>) =>
  Effect.flatMap(Compat.answer(reading(format, more), upstream(body), { id: "id-1" }), textOf)

/** What both formats can say: neither blocks' borders nor the ids that the gateway had to make up. */
const said = (outcome: Outcome): ReadonlyArray<string> => {
  const lines = summary(outcome)
    .filter((line) => !/^(params\(|response-metadata|reasoning\(\)|text\(\)|source)/.test(line))
    .map((line) => line.replace(/^call\((\*|call_gw_[\w-]+)/, "call(*").replace("finish(pause)", "finish(stop)"))
  return lines.reduce<Array<string>>((all, line) => {
    const last = all.at(-1)
    const kind = /^(text|reasoning)\(/.exec(line)?.[1]
    if (last !== undefined && kind !== undefined && last.startsWith(`${kind}(`)) {
      all[all.length - 1] = `${last.slice(0, -1)}${line.slice(kind.length + 1)}`
    } else all.push(line)
    return all
  }, [])
}

const sourcesOf = ({ parts }: Outcome) =>
  parts.flatMap((part) => part.type === "source" && part.sourceType === "url" ? [String(part.url)] : [])

describe("COMPAT-02, COMPAT-03, COMPAT-04, COMPAT-05: answers of Anthropic and Google", () => {
  for (const format of ["anthropic", "google"] as const) {
    const { failing, folder, layer, streams, wholes } = formats[format]
    for (const file of streams) {
      it.effect(`${format}/${file} says the same through the unified endpoint as from the provider`, () =>
        Effect.gen(function*() {
          const body = fixture(file, folder)
          const expected = yield* streamOf(body, { layer, withTools: true })
          const text = yield* translated(format, Stream.succeed(bytes(body)))
          assert.isTrue(text.endsWith("data: [DONE]\n\n"))
          const got = yield* streamOf(text, { layer: unified, withTools: true })
          const wanted = said(expected).map((line) =>
            // Google says STOP of calls, OpenAI "tool_calls".
            expected.parts.some(({ type }) => type === "tool-call")
              ? line.replace("finish(stop)", "finish(tool-calls)")
              : line
          )
          assert.deepStrictEqual(said(got), wanted)
          assert.deepStrictEqual(sourcesOf(got), sourcesOf(expected))
          const [ours, theirs] = [finishOf(got).usage, finishOf(expected).usage]
          assert.strictEqual(ours.inputTokens.total ?? 0, theirs.inputTokens.total ?? 0)
          assert.strictEqual(ours.outputTokens.total ?? 0, theirs.outputTokens.total ?? 0)
          assert.strictEqual(ours.inputTokens.cacheRead ?? 0, theirs.inputTokens.cacheRead ?? 0)
          assert.strictEqual(ours.inputTokens.cacheWrite ?? 0, theirs.inputTokens.cacheWrite ?? 0)
          assert.strictEqual(ours.outputTokens.reasoning ?? 0, theirs.outputTokens.reasoning ?? 0)
        }))

      it.live(`${format}/${file} gives the same chunks wherever the reads are cut`, () =>
        Effect.promise(() => {
          const whole = bytes(fixture(file, folder))
          const run = (reads: ReadonlyArray<Uint8Array>) =>
            Effect.runPromise(Effect.provide(translated(format, Stream.fromIterable(reads)), TestClock.layer()))
          return FastCheck.assert(
            FastCheck.asyncProperty(
              FastCheck.array(FastCheck.nat(whole.length), { maxLength: 40 }),
              async (cuts) => {
                const at = [0, ...cuts.sort((a, b) => a - b), whole.length]
                const reads = at.slice(1).map((to, index) => whole.subarray(at[index], to))
                assert.strictEqual(await run(reads), await run([whole]))
              }
            ),
            { numRuns: 60 }
          )
        }))

      it.effect(`${format}/${file} that is cut stays cut: neither [DONE] nor an error`, () =>
        Effect.gen(function*() {
          const whole = bytes(fixture(file, folder).trimEnd())
          const isWhole = format === "anthropic" ? /"stop_reason":"\w+[^]*\n\n/ : /"finishReason"[^]*?\n\r?\n/
          for (let at = 0; at < whole.length; at += 23) {
            const begun = new TextDecoder().decode(whole.subarray(0, at))
            if (isWhole.test(begun.replaceAll("\r", "")) || begun.endsWith("}")) continue
            const text = yield* translated(format, Stream.succeed(whole.subarray(0, at)))
            assert.notInclude(text, "[DONE]", begun.slice(-60))
            // A cut is no error that the provider would have said.
            assert.notInclude(text, "\"error\"", begun.slice(-60))
          }
        }))
    }

    for (const file of failing) {
      it.effect(`${format}/${file} fails through the unified endpoint as from the provider`, () =>
        Effect.gen(function*() {
          const body = fixture(file, folder)
          const expected = yield* streamOf(body, { layer })
          const text = yield* translated(format, Stream.fromIterable(split(`retry: 1000\n\n${body}`, 7)))
          assert.notInclude(text, "[DONE]")
          const got = yield* streamOf(text, { layer: unified })
          assert.deepStrictEqual(said(got), said(expected))
          assert.isDefined(got.failure)
        }))
    }

    for (const file of wholes) {
      it.effect(`${format}/${file} is a chat completion that says the same`, () =>
        Effect.gen(function*() {
          const body = fixture(file, folder)
          const expected = yield* generateOf(body, { layer, withTools: true })
          const answer = yield* Compat.answer(
            reading(format, { stream: false }),
            upstream(Stream.fromIterable(split(body, 10)), "application/json"),
            { id: "id-1" }
          )
          assert.strictEqual(answer.headers["content-type"], "application/json")
          assert.strictEqual(answer.headers["request-id"], "r1")
          assert.isUndefined(answer.headers["content-length"])
          const text = yield* textOf(answer)
          const got = yield* generateOf(text, { layer: unified, withTools: true })
          const isCall = expected.parts.some(({ type }) => type === "tool-call")
          const wanted = said(expected).map((_) => isCall ? _.replace("finish(stop)", "finish(tool-calls)") : _)
          assert.deepStrictEqual(said(got), wanted)
          const { choices, object, usage } = JSON.parse(text)
          assert.strictEqual(object, "chat.completion")
          assert.strictEqual(usage.total_tokens, usage.prompt_tokens + usage.completion_tokens)
          for (const call of choices[0].message.tool_calls ?? []) assert.isObject(JSON.parse(call.function.arguments))
        }))

      it.effect(`${format}/${file} comes as chunks where a stream was asked for and none came`, () =>
        Effect.gen(function*() {
          const body = upstream(bytes(fixture(file, folder)), "application/json")
          const answer = yield* Compat.answer(reading(format), body, { id: "id-1" })
          assert.strictEqual(answer.headers["content-type"], "text/event-stream")
          assert.isTrue((yield* textOf(answer)).endsWith("data: [DONE]\n\n"))
        }))
    }
  }

  it.effect("usage is in a chunk of its own, and only where it was asked for", () =>
    Effect.gen(function*() {
      const body = () => Stream.succeed(bytes(fixture("text.sse", "anthropic")))
      const chunksOf = (text: string) =>
        text.split("\n\n").filter((_) => _.startsWith("data: {")).map((_) => JSON.parse(_.slice(6)))
      const without = chunksOf(yield* translated("anthropic", body(), { includeUsage: false }))
      assert.isTrue(without.every((chunk) => !("usage" in chunk) && chunk.choices.length === 1))
      const chunks = chunksOf(yield* translated("anthropic", body()))
      assert.isTrue(chunks.slice(0, -1).every((chunk) => chunk.usage === null))
      assert.deepStrictEqual(chunks.at(-1).choices, [])
      assert.deepInclude(chunks.at(-1).usage, { prompt_tokens: 112, completion_tokens: 12, total_tokens: 124 })
      assert.deepStrictEqual(chunks.at(-2).choices[0].finish_reason, "stop")
      assert.strictEqual(chunks[0].choices[0].delta.role, "assistant")
    }))

  it.effect("the counts are heard also where the client did not ask for them", () =>
    Effect.gen(function*() {
      for (const [format, file, counts] of usages) {
        let heard: ChatWriter.Usage = {}
        const options = { id: "id-1", onUsage: (usage: ChatWriter.Usage) => void (heard = usage) }
        const body = upstream(Stream.succeed(bytes(fixture(file, format))))
        const answer = yield* Compat.answer(reading(format, { includeUsage: false }), body, options)
        assert.notInclude(yield* textOf(answer), "usage")
        assert.deepInclude(heard, counts)
      }
    }))

  it.effect("a signature of Google's comes back with the call in extra_content", () =>
    Effect.gen(function*() {
      const text = yield* translated("google", Stream.succeed(bytes(fixture("tools.sse", "google"))))
      assert.include(text, "\"extra_content\":{\"google\":{\"thought_signature\":\"b3Nsbw==\"}}")
    }))

  it.effect("the input of the tool that stands for an object is the text of the answer", () =>
    Effect.gen(function*() {
      const content = [{ type: "tool_use", id: "t", name: "structured_output", input: { a: 1 } }]
      const body = bytes(JSON.stringify({ type: "message", content, stop_reason: "tool_use", usage: {} }))
      const more = { stream: false, objectTool: "structured_output" }
      const answer = yield* Compat.answer(reading("anthropic", more), upstream(body, "application/json"), {
        id: "id-1"
      })
      const { choices } = JSON.parse(yield* textOf(answer))
      assert.deepInclude(choices[0], { finish_reason: "stop" })
      assert.strictEqual(choices[0].message.content, "{\"a\":1}")
    }))

  it.effect("a chunk goes out as soon as its event has come", () =>
    Effect.gen(function*() {
      const body = Stream.concat(
        Stream.succeed(bytes(sse({ candidates: [{ content: { parts: [{ text: "Hi" }] } }] }))),
        Stream.never
      )
      const { body: chunks } = yield* Compat.answer(reading("google"), upstream(body), { id: "id-1" })
      const first = yield* Stream.runCollect(Stream.take(chunks instanceof Uint8Array ? Stream.empty : chunks, 1))
      assert.include(Buffer.concat(first).toString(), "\"content\":\"Hi\"")
    }))

  it.effect("a connection that breaks breaks the translated stream, too", () =>
    Effect.gen(function*() {
      const body = Stream.concat(Stream.succeed(bytes(fixture("text.sse", "google"))), Stream.fail("ECONNRESET"))
      const failed = yield* Effect.flip(translated("google", body))
      assert.strictEqual(failed, "ECONNRESET")
    }))
})

const usages = [
  ["anthropic", "text.sse", { input: 112, output: 12, cacheRead: 90, cacheWrite: 5 }],
  ["google", "tools.sse", { input: 20, output: 23, reasoning: 9 }]
] as const

describe("errors", () => {
  const refusal = (format: Compat.Reading["format"], body: unknown, status: number) =>
    Effect.gen(function*() {
      const given = upstream(bytes(JSON.stringify(body)), "application/json", status)
      const answer = yield* Compat.answer({ ...reading("google"), format }, given, { id: "id-1" })
      return { status: answer.status, error: JSON.parse(yield* textOf(answer)).error }
    })

  it.effect("Anthropic's refusal keeps its status and its type in OpenAI's form", () =>
    Effect.gen(function*() {
      const body = JSON.parse(fixture("error-body.json", "anthropic"))
      assert.deepStrictEqual(yield* refusal("anthropic", body, 529), {
        status: 529,
        error: { message: "Overloaded", type: "overloaded_error", param: null, code: null }
      })
    }))

  it.effect("Google's refusal keeps its status, also out of a list", () =>
    Effect.gen(function*() {
      const { error, status } = yield* refusal("google", JSON.parse(fixture("error-array.json", "google")), 429)
      assert.strictEqual(status, 429)
      assert.deepInclude(error, { type: "RESOURCE_EXHAUSTED", code: 429 })
      assert.include(error.message, "Resource has been exhausted")
    }))

  it.effect("Google's word for a wrong key is the code", () =>
    Effect.gen(function*() {
      const details = [{ "@type": "type.googleapis.com/google.rpc.ErrorInfo", reason: "API_KEY_INVALID" }]
      const body = { error: { code: 400, message: "bad key", status: "INVALID_ARGUMENT", details } }
      assert.strictEqual((yield* refusal("google", body, 400)).error.code, "API_KEY_INVALID")
    }))

  it.effect("a refusal of Workers AI comes in OpenAI's form", () =>
    Effect.gen(function*() {
      const body = { success: false, errors: [{ code: 5007, message: "AiError: No such model" }], result: {} }
      const { error, status } = yield* refusal("workers-ai", body, 400)
      assert.strictEqual(status, 400)
      assert.deepInclude(error, { message: "AiError: No such model", code: 5007, type: "invalid_request_error" })
    }))

  it.effect("a refusal that is no JSON has a message all the same", () =>
    Effect.gen(function*() {
      const answer = yield* Compat.answer(reading("google"), upstream(bytes("<html>"), "text/html", 502), {
        id: "id-1"
      })
      assert.strictEqual(answer.status, 502)
      assert.include(yield* textOf(answer), "the provider answered 502")
    }))

  it.effect("a blocked prompt is a 400 with the code content_filter where it can be", () =>
    Effect.gen(function*() {
      const given = upstream(bytes(fixture("blocked.json", "google")), "application/json")
      const answer = yield* Compat.answer(reading("google", { stream: false }), given, { id: "id-1" })
      assert.strictEqual(answer.status, 400)
      assert.strictEqual(JSON.parse(yield* textOf(answer)).error.code, "content_filter")
    }))

  it.effect("a success that is no answer is 2002", () =>
    Effect.gen(function*() {
      for (const body of ["{}", "[]", "null", "<html>", "{\"content\":1}", ""]) {
        for (const format of ["anthropic", "google"] as const) {
          for (const stream of [true, false]) {
            const given = upstream(bytes(body), "application/json")
            const error = yield* Effect.flip(Compat.answer(reading(format, { stream }), given, { id: "id-1" }))
            assert.deepInclude(error, { status: 400, code: 2002 }, `${format} ${body}`)
          }
        }
      }
    }))

  it.live("arbitrary bytes neither crash nor end with [DONE]", () =>
    Effect.promise(() =>
      FastCheck.assert(
        FastCheck.asyncProperty(
          FastCheck.constantFrom("anthropic" as const, "google" as const),
          FastCheck.array(FastCheck.uint8Array({ maxLength: 40 })),
          async (format, reads) => {
            const text = await Effect.runPromise(translated(format, Stream.fromIterable(reads)))
            assert.notInclude(text, "[DONE]")
          }
        ),
        { numRuns: 200 }
      )
    ))

  it.effect("what speaks OpenAI's format passes through untouched", () =>
    Effect.gen(function*() {
      const given = upstream(bytes("{\"error\":1}"), "application/json", 418)
      assert.strictEqual(yield* Compat.answer({ ...reading("google"), format: "openai" }, given, { id: "id-1" }), given)
    }))
})
