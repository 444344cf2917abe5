import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as LanguageModel from "effect/unstable/ai/LanguageModel"
import * as Prompt from "effect/unstable/ai/Prompt"
import * as Tool from "effect/unstable/ai/Tool"
import * as Toolkit from "effect/unstable/ai/Toolkit"
import * as GatewayModel from "../../src/model/GatewayModel.ts"
import * as StubTransport from "../support/StubTransport.ts"

const Book = Tool.make("book", {
  parameters: Schema.Struct({
    city: Schema.String,
    note: Schema.optional(Schema.String),
    day: Schema.optionalKey(Schema.Date),
    points: Schema.optionalKey(Schema.BigInt)
  }),
  success: Schema.String
})
const toolkit = Toolkit.make(Book, Tool.make("nothing", { success: Schema.String }))
const params = { city: "Oslo", note: null, day: "2026-11-20T00:00:00.000Z", points: "12" }
const text = JSON.stringify(params)

const call = (given: unknown) => ({ id: "c1", type: "function", function: { name: "book", arguments: given } })
const chat = { choices: [{ message: { tool_calls: [call(text)] }, finish_reason: "tool_calls" }] }

/** An answer with one call, as each provider writes it. */
const providers: { readonly [name: string]: readonly [GatewayModel.Options, answer: unknown] } = {
  "Workers AI": [{ model: "@cf/meta/llama-3.3-70b-instruct-fp8-fast" }, {
    response: "",
    tool_calls: [{ name: "book", arguments: params }]
  }],
  "OpenAI chat completions": [{ provider: "openai", model: "gpt-4o" }, chat],
  "a dialect of it": [{ provider: "mistral", model: "mistral-small" }, chat],
  "OpenAI Responses": [{ provider: "openai", model: "gpt-5", api: "responses" }, {
    status: "completed",
    output: [{ id: "f1", type: "function_call", call_id: "c1", name: "book", arguments: text }]
  }],
  Anthropic: [{ provider: "anthropic", model: "claude-sonnet-4-5", parameters: { maxTokens: 9 } }, {
    type: "message",
    role: "assistant",
    content: [{ type: "tool_use", id: "c1", name: "book", input: params }],
    stop_reason: "tool_use"
  }],
  Google: [{ provider: "google-ai-studio", model: "gemini-2.5-flash" }, {
    candidates: [{ content: { parts: [{ functionCall: { name: "book", args: params } }] }, finishReason: "STOP" }]
  }],
  Cohere: [{ provider: "cohere", model: "command-a-03-2025" }, {
    message: { role: "assistant", tool_calls: [call(text)] },
    finish_reason: "TOOL_CALL"
  }],
  Bedrock: [{ provider: "aws-bedrock", model: "us.amazon.nova-lite-v1:0" }, {
    output: {
      message: { role: "assistant", content: [{ toolUse: { toolUseId: "c1", name: "book", input: params } }] }
    },
    stopReason: "tool_use"
  }]
}

describe("arguments of tools", () => {
  for (const [name, [options, answer]] of Object.entries(providers)) {
    it.effect(`are read from ${name} as the schema that was sent says`, () =>
      Effect.gen(function*() {
        const seen: Array<typeof Book.parametersSchema.Type> = []
        const handlers = toolkit.toLayer({
          book: (given) => Effect.sync(() => (seen.push(given), "booked")),
          nothing: () => Effect.succeed("")
        })
        const stub = StubTransport.make({ body: JSON.stringify(answer) })
        yield* LanguageModel.generateText({ prompt: "hi", toolkit }).pipe(
          Effect.provide(GatewayModel.layer(stub, options)),
          Effect.provide(handlers)
        )
        assert.deepStrictEqual(seen.map(({ city, day, note, points }) => [city, note, day, points]), [
          ["Oslo", undefined, new Date("2026-11-20"), 12n]
        ])
      }))
  }

  it.effect("have a schema that names its properties, also when there are none, as OpenAI wants", () =>
    Effect.gen(function*() {
      const stub = StubTransport.make({ body: JSON.stringify({ choices: [{ message: { content: "Hi" } }] }) })
      yield* LanguageModel.generateText({ prompt: "hi", toolkit, disableToolCallResolution: true }).pipe(
        Effect.provide(GatewayModel.layer(stub, { provider: "openai", model: "gpt-4o" })),
        Effect.provide(toolkit.toLayer({ book: () => Effect.succeed(""), nothing: () => Effect.succeed("") }))
      )
      const { tools } = stub.sent[0]!.query as { readonly tools: ReadonlyArray<{ readonly function: unknown }> }
      assert.deepNestedPropertyVal(tools[1], "function.parameters.properties", {})
    }))

  it.effect("are answered to Google in the order of the calls, whichever result came first", () =>
    Effect.gen(function*() {
      const stub = StubTransport.make({
        body: JSON.stringify({ candidates: [{ content: { parts: [{ text: "Hi" }] }, finishReason: "STOP" }] })
      })
      const calls = ["Oslo", "Rome"].map((city) =>
        Prompt.makePart("tool-call", { id: city, name: "book", params: { city }, providerExecuted: false })
      )
      const results = ["Rome", "Oslo"].map((city) =>
        Prompt.makePart("tool-result", {
          id: city,
          name: "book",
          result: city,
          isFailure: false,
          providerExecuted: false
        })
      )
      for (const content of [[results], results.map((result) => [result])]) {
        const prompt = Prompt.make([
          { role: "user", content: "hi" },
          { role: "assistant", content: calls },
          ...content.map((parts) => ({ role: "tool" as const, content: parts }))
        ])
        yield* LanguageModel.generateText({ prompt }).pipe(
          Effect.provide(GatewayModel.layer(stub, { provider: "google-ai-studio", model: "gemini-2.5-flash" }))
        )
        assert.deepNestedPropertyVal(
          stub.sent.at(-1)?.query,
          "contents[2].parts",
          ["Oslo", "Rome"].map((output) => ({ functionResponse: { name: "book", response: { output } } }))
        )
      }
    }))
})
