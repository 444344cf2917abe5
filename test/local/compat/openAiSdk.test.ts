/**
 * The genuine OpenAI SDK reads what the unified endpoint makes of Anthropic's and Google's answers.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import OpenAI, { APIError } from "openai"
import type * as Answer from "../../../src/local/Answer.ts"
import * as Compat from "../../../src/local/compat/Compat.ts"
import { fixture } from "../../support/parts.ts"
import { split } from "../../support/StubTransport.ts"

/** The SDK on a provider that answers with a fixture, through the translation of both directions. */
const sdk = (provider: string, file: string, status = 200) =>
  new OpenAI({
    apiKey: "pk",
    baseURL: "http://gateway.invalid/compat",
    maxRetries: 0,
    fetch: (_, init) =>
      Effect.runPromise(Effect.gen(function*() {
        const given = JSON.parse(String(init?.body))
        const { reading } = yield* Effect.fromResult(Compat.toProvider(given, { provider, model: "m" }))
        const upstream: Answer.Answer = {
          status,
          headers: { "content-type": file.endsWith(".sse") ? "text/event-stream" : "application/json" },
          body: Stream.fromIterable(split(fixture(file, provider === "anthropic" ? provider : "google"), 33))
        }
        const answer = yield* Compat.answer(reading, upstream, { id: "id-1" })
        const body = answer.body instanceof Uint8Array ? Stream.succeed(answer.body) : answer.body
        return new Response(yield* Stream.toReadableStreamEffect(body), { status, headers: answer.headers })
      }))
  })

const ask = { model: "x/m", messages: [{ role: "user" as const, content: "hi" }] }

describe("the OpenAI SDK", () => {
  for (const provider of ["anthropic", "google-ai-studio"]) {
    it.effect(`COMPAT-05: gathers the calls of a stream of ${provider}`, () =>
      Effect.promise(async () => {
        const stream = sdk(provider, "tools.sse").chat.completions.stream({
          ...ask,
          stream_options: { include_usage: true }
        })
        const completion = await stream.finalChatCompletion()
        const [choice] = completion.choices
        assert.strictEqual(choice?.finish_reason, "tool_calls")
        const calls = choice?.message.tool_calls ?? []
        assert.deepStrictEqual(
          calls.map((call) => call.type === "function" && JSON.parse(call.function.arguments)),
          provider === "anthropic" ? [{ city: "Oslo" }, { city: "Rome" }, {}] : [{ city: "Oslo" }, { city: "Rome" }]
        )
        assert.isAbove(completion.usage?.total_tokens ?? 0, 0)
      }))

    it.effect(`COMPAT-02, COMPAT-03: reads a whole answer of ${provider}`, () =>
      Effect.promise(async () => {
        const completion = await sdk(provider, "text.json").chat.completions.create(ask)
        assert.isNotEmpty(completion.choices[0]?.message.content)
        assert.strictEqual(completion.choices[0]?.finish_reason, "stop")
      }))
  }

  it.effect("throws an error with the provider's status and type", () =>
    Effect.promise(async () => {
      const error = await sdk("anthropic", "error-body.json", 529).chat.completions.create(ask).catch((_: unknown) => _)
      assert.instanceOf(error, APIError)
      if (error instanceof APIError) {
        assert.strictEqual(error.status, 529)
        assert.strictEqual(error.type, "overloaded_error")
        assert.include(error.message, "Overloaded")
      }
    }))

  it.effect("throws at an error in the middle of a stream", () =>
    Effect.promise(async () => {
      const stream = await sdk("google-ai-studio", "error-bare.sse").chat.completions.create({ ...ask, stream: true })
      const seen: Array<string> = []
      const error = await (async () => {
        for await (const chunk of stream) seen.push(chunk.choices[0]?.delta.content ?? "")
      })().catch((_: unknown) => _)
      assert.instanceOf(error, APIError)
      assert.strictEqual(seen.join(""), "par")
    }))
})
