/**
 * The official SDKs, unmodified, with the local gateway and nothing behind it: the simulated model answers on every
 * provider's wire. The gateway is offline, so that the keys that the SDKs insist on lead nowhere.
 */
import { createOpenAICompatible } from "@ai-sdk/openai-compatible"
import Anthropic, {
  BadRequestError as AnthropicBadRequest,
  NotFoundError as AnthropicNotFound
} from "@anthropic-ai/sdk"
import { assert, describe, it } from "@effect/vitest"
import { ApiError, FunctionCallingConfigMode, GoogleGenAI, Type } from "@google/genai"
import { generateText, jsonSchema, streamText, tool } from "ai"
import { createAiGateway } from "ai-gateway-provider"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import OpenAI, { BadRequestError, NotFoundError } from "openai"
import * as LocalGateway from "../../src/local/LocalGateway.ts"
import { manage } from "../local/talk.ts"

const key = "sk-leads-nowhere-0123456789"

const start = Effect.gen(function*() {
  const gateway = yield* LocalGateway.make({ pause: 0, offline: true })
  const token = Redacted.value(gateway.token)
  return {
    gateway,
    base: `${gateway.url}/v1/${gateway.accountId}/default`,
    headers: { "cf-aig-authorization": `Bearer ${token}` },
    newest: Effect.map(
      manage(gateway, "/default/logs?order_by=created_at&order_by_direction=desc"),
      ({ json }) => json.result[0]
    )
  }
})

const question = "What is the weather in Oslo?"
const parameters = {
  type: "object",
  properties: { city: { type: "string" } },
  required: ["city"],
  additionalProperties: false
} as const
const description = "Gets the weather of a city"

/** Of dollars per million tokens, without the noise of binary fractions. */
const usd = (millionths: number) => Number((millionths / 1e6).toPrecision(12))

const failure = (ask: () => Promise<unknown>) =>
  Effect.flip(Effect.tryPromise({ try: ask, catch: (error: unknown) => error }))

describe("openai", () => {
  const model = "gpt-4o-mini"
  const messages = [{ role: "user" as const, content: "say hello" }]
  const connect = Effect.map(start, (started) => ({
    ...started,
    openai: new OpenAI({
      apiKey: key,
      baseURL: `${started.base}/openai`,
      defaultHeaders: started.headers,
      maxRetries: 0
    })
  }))

  it.live("chats, whole and streamed, with the same text, and the log knows tokens and cost", () =>
    Effect.gen(function*() {
      const { newest, openai } = yield* connect
      const { data, response } = yield* Effect.promise(() =>
        openai.chat.completions.create({ model, messages }).withResponse()
      )
      assert.strictEqual(response.headers.get("x-simulated"), "true")
      const said = data.choices[0]?.message.content ?? ""
      assert.include(said, "say hello")
      assert.deepInclude(yield* newest, {
        provider: "openai",
        model,
        tokens_in: data.usage?.prompt_tokens,
        tokens_out: data.usage?.completion_tokens,
        cost: usd((data.usage?.prompt_tokens ?? 0) * 0.15 + (data.usage?.completion_tokens ?? 0) * 0.6)
      })
      const streamed = yield* Effect.promise(() =>
        openai.chat.completions.stream({ model, messages, stream_options: { include_usage: true } })
          .finalChatCompletion()
      )
      assert.strictEqual(streamed.choices[0]?.message.content, said)
      assert.deepStrictEqual(streamed.usage, data.usage)
    }).pipe(Effect.scoped))

  it.live("calls a tool, and says what came of it", () =>
    Effect.gen(function*() {
      const { openai } = yield* connect
      const tools = [{ type: "function" as const, function: { name: "get_weather", description, parameters } }]
      const asked = [{ role: "user" as const, content: question }]
      const first = yield* Effect.promise(() =>
        openai.chat.completions.stream({ model, messages: asked, tools }).finalChatCompletion()
      )
      assert.strictEqual(first.choices[0]?.finish_reason, "tool_calls")
      const [call] = first.choices[0]?.message.tool_calls ?? []
      assert.deepInclude(call?.type === "function" ? call.function : {}, {
        name: "get_weather",
        arguments: "{\"city\":\"Oslo\"}"
      })
      const second = yield* Effect.promise(() =>
        openai.chat.completions.create({
          model,
          tools,
          messages: [
            ...asked,
            first.choices[0]!.message,
            { role: "tool", tool_call_id: call!.id, content: "sunny" }
          ]
        })
      )
      assert.include(second.choices[0]?.message.content, "get_weather answered sunny")
    }).pipe(Effect.scoped))

  it.live("parses an object by its schema", () =>
    Effect.gen(function*() {
      const { openai } = yield* connect
      const answer = yield* Effect.promise(() =>
        openai.chat.completions.parse({
          model,
          messages: [{ role: "user", content: "a trip to Oslo for 3 days" }],
          response_format: {
            type: "json_schema",
            json_schema: {
              name: "trip",
              strict: true,
              schema: {
                ...parameters,
                properties: { city: { type: "string" }, days: { type: "integer" } },
                required: ["city", "days"]
              }
            }
          }
        })
      )
      assert.deepStrictEqual(answer.choices[0]?.message.parsed as unknown, { city: "Oslo", days: 3 })
    }).pipe(Effect.scoped))

  it.live("responds, whole and streamed, with a function's two turns", () =>
    Effect.gen(function*() {
      const { newest, openai } = yield* connect
      const whole = yield* Effect.promise(() => openai.responses.create({ model: "gpt-5", input: "say hello" }))
      assert.include(whole.output_text, "say hello")
      assert.strictEqual(whole.status, "completed")
      assert.deepInclude(yield* newest, {
        tokens_in: whole.usage?.input_tokens,
        tokens_out: whole.usage?.output_tokens
      })
      const stream = openai.responses.stream({ model: "gpt-5", input: "say hello" })
      const numbers: Array<number> = []
      stream.on("event", (event) => numbers.push(event.sequence_number))
      const streamed = yield* Effect.promise(() => stream.finalResponse())
      assert.strictEqual(streamed.output_text, whole.output_text)
      assert.deepStrictEqual(numbers, numbers.map((_, i) => i))

      const tools = [{ type: "function" as const, name: "get_weather", description, parameters, strict: true }]
      const input = [{ role: "user" as const, content: question }]
      const called = yield* Effect.promise(() =>
        openai.responses.stream({ model: "gpt-5", input, tools }).finalResponse()
      )
      const [call] = called.output
      assert.isTrue(call?.type === "function_call" && call.arguments === "{\"city\":\"Oslo\"}")
      const second = yield* Effect.promise(() =>
        openai.responses.create({
          model: "gpt-5",
          tools,
          input: [
            ...input,
            ...called.output as Array<OpenAI.Responses.ResponseInputItem>, // the SDK adds fields of its own
            {
              type: "function_call_output",
              call_id: call?.type === "function_call" ? call.call_id : "",
              output: "sunny"
            }
          ]
        })
      )
      assert.include(second.output_text, "get_weather answered sunny")
    }).pipe(Effect.scoped))

  it.live("embeds, in base64 as the SDK asks for it, and lists models", () =>
    Effect.gen(function*() {
      const { openai } = yield* connect
      const ask = (encoding?: "float") =>
        Effect.promise(() =>
          openai.embeddings.create({
            model: "text-embedding-3-small",
            input: ["one fish", "two fish"],
            dimensions: 64,
            ...(encoding === undefined ? {} : { encoding_format: encoding })
          })
        )
      const packed = yield* ask()
      const plain = yield* ask("float")
      assert.deepStrictEqual(packed.data, plain.data)
      assert.deepStrictEqual(plain.data.map(({ embedding }) => embedding.length), [64, 64])
      const ids = yield* Effect.promise(async () => {
        const ids: Array<string> = []
        for await (const { id } of openai.models.list()) ids.push(id)
        return ids
      })
      assert.include(ids, model)
    }).pipe(Effect.scoped))

  it.live("raises the SDK's own errors", () =>
    Effect.gen(function*() {
      const { openai } = yield* connect
      const bad = yield* failure(() => openai.chat.completions.create({ model, messages: [] }))
      assert.instanceOf(bad, BadRequestError)
      assert.strictEqual(bad instanceof BadRequestError ? bad.param : "", "messages")
      const unknown = yield* failure(() => openai.images.generate({ prompt: "a cat" }))
      assert.instanceOf(unknown, NotFoundError)
      assert.include(String(unknown), "chat/completions, responses, embeddings, models")
    }).pipe(Effect.scoped))
})

describe("@anthropic-ai/sdk", () => {
  const body = {
    model: "claude-sonnet-4-5",
    max_tokens: 200,
    messages: [{ role: "user" as const, content: "say hello" }]
  }
  const connect = Effect.map(start, (started) => ({
    ...started,
    anthropic: new Anthropic({
      apiKey: key,
      baseURL: `${started.base}/anthropic`,
      defaultHeaders: started.headers,
      maxRetries: 0
    })
  }))
  const textOf = ({ content }: Anthropic.Message) => content.map((_) => _.type === "text" ? _.text : "").join("")

  it.live("answers messages, whole and through the stream helper, and counts tokens", () =>
    Effect.gen(function*() {
      const { anthropic, newest } = yield* connect
      const whole = yield* Effect.promise(() => anthropic.messages.create(body))
      assert.include(textOf(whole), "say hello")
      const { input_tokens: tokensIn, output_tokens: tokensOut } = whole.usage
      assert.deepInclude(yield* newest, {
        provider: "anthropic",
        tokens_in: tokensIn,
        tokens_out: tokensOut,
        cost: usd(tokensIn * 3 + tokensOut * 15)
      })
      const deltas: Array<string> = []
      const streamed = yield* Effect.promise(() =>
        anthropic.messages.stream(body).on("text", (delta) => deltas.push(delta)).finalMessage()
      )
      assert.strictEqual(textOf(streamed), textOf(whole))
      assert.isAbove(deltas.length, 5)
      assert.strictEqual(streamed.stop_reason, "end_turn")
      assert.strictEqual(streamed.usage.output_tokens, tokensOut)
      assert.deepInclude(yield* newest, { tokens_in: tokensIn, tokens_out: tokensOut })
      const { max_tokens: _, ...counted } = body
      const count = yield* Effect.promise(() => anthropic.messages.countTokens(counted))
      assert.strictEqual(count.input_tokens, tokensIn)
      const models = yield* Effect.promise(() => anthropic.models.list({ limit: 3 }))
      assert.isTrue(models.data.length === 3 && models.hasNextPage())
    }).pipe(Effect.scoped))

  it.live("uses a tool, and says what came of it", () =>
    Effect.gen(function*() {
      const { anthropic } = yield* connect
      const tools = [{ name: "get_weather", description, input_schema: { ...parameters, required: ["city"] } }]
      const asked = { role: "user" as const, content: question }
      const first = yield* Effect.promise(() =>
        anthropic.messages.stream({ ...body, tools, messages: [asked] }).finalMessage()
      )
      assert.strictEqual(first.stop_reason, "tool_use")
      const [use] = first.content
      assert.isTrue(use?.type === "tool_use")
      if (use?.type !== "tool_use") return
      assert.deepStrictEqual([use.name, use.input], ["get_weather", { city: "Oslo" }])
      const second = yield* Effect.promise(() =>
        anthropic.messages.create({
          ...body,
          tools,
          messages: [
            asked,
            { role: "assistant", content: first.content },
            { role: "user", content: [{ type: "tool_result", tool_use_id: use.id, content: "sunny" }] }
          ]
        })
      )
      assert.include(textOf(second), "get_weather answered sunny")
    }).pipe(Effect.scoped))

  it.live("follows a schema, looks past images, and raises the SDK's own errors", () =>
    Effect.gen(function*() {
      const { anthropic } = yield* connect
      const object = yield* Effect.promise(() =>
        anthropic.messages.create({
          ...body,
          system: "Be brief.",
          messages: [{
            role: "user",
            content: [
              { type: "image", source: { type: "base64", media_type: "image/png", data: "iVBORw0KGgo=" } },
              { type: "text", text: "Is this in Oslo?" }
            ]
          }],
          output_config: { format: { type: "json_schema", schema: parameters } }
        })
      )
      assert.deepStrictEqual(JSON.parse(textOf(object)), { city: "Oslo" })
      const bad = yield* failure(() => anthropic.messages.create({ ...body, messages: [] }))
      assert.instanceOf(bad, AnthropicBadRequest)
      assert.include(String(bad), "at least one message is required")
      const unknown = yield* failure(() => anthropic.messages.batches.list())
      assert.instanceOf(unknown, AnthropicNotFound)
    }).pipe(Effect.scoped))
})

for (const apiVersion of ["v1", "v1beta"]) {
  describe(`@google/genai on ${apiVersion}`, () => {
    const model = "gemini-2.5-flash"
    const connect = Effect.map(start, (started) => ({
      ...started,
      google: new GoogleGenAI({
        apiKey: key,
        apiVersion,
        httpOptions: { baseUrl: `${started.base}/google-ai-studio`, headers: started.headers }
      })
    }))

    it.live("generates, whole and streamed, counts tokens, embeds and lists models", () =>
      Effect.gen(function*() {
        const { google, newest } = yield* connect
        const whole = yield* Effect.promise(() => google.models.generateContent({ model, contents: "say hello" }))
        assert.include(whole.text, "say hello")
        assert.deepInclude(yield* newest, {
          model,
          tokens_in: whole.usageMetadata?.promptTokenCount,
          tokens_out: whole.usageMetadata?.candidatesTokenCount
        })
        const deltas = yield* Effect.promise(async () => {
          const deltas: Array<string> = []
          for await (const chunk of await google.models.generateContentStream({ model, contents: "say hello" })) {
            deltas.push(chunk.text ?? "")
          }
          return deltas
        })
        assert.strictEqual(deltas.join(""), whole.text)
        assert.isAbove(deltas.length, 5)
        const count = yield* Effect.promise(() => google.models.countTokens({ model, contents: "say hello" }))
        assert.strictEqual(count.totalTokens, whole.usageMetadata?.promptTokenCount)
        const { embeddings } = yield* Effect.promise(() =>
          google.models.embedContent({
            model: "gemini-embedding-001",
            contents: ["one", "two"],
            config: { outputDimensionality: 32 }
          })
        )
        assert.deepStrictEqual(embeddings?.map((_) => _.values?.length), [32, 32])
        const pager = yield* Effect.promise(() => google.models.list())
        assert.include(pager.page.map((_) => _.name), `models/${model}`)
      }).pipe(Effect.scoped))

    it.live("calls a function, says what came of it, and follows both kinds of schema", () =>
      Effect.gen(function*() {
        const { google } = yield* connect
        const tools = [{
          functionDeclarations: [{ name: "get_weather", description, parametersJsonSchema: parameters }]
        }]
        const asked = { role: "user", parts: [{ text: question }] }
        const first = yield* Effect.promise(() =>
          google.models.generateContent({
            model,
            contents: [asked],
            config: { tools, toolConfig: { functionCallingConfig: { mode: FunctionCallingConfigMode.ANY } } }
          })
        )
        const [call] = first.functionCalls ?? []
        assert.deepInclude(call, { name: "get_weather", args: { city: "Oslo" } })
        const second = yield* Effect.promise(() =>
          google.models.generateContent({
            model,
            config: { tools },
            contents: [
              asked,
              first.candidates![0]!.content!,
              { role: "user", parts: [{ functionResponse: { name: "get_weather", response: { output: "sunny" } } }] }
            ]
          })
        )
        assert.include(second.text, "get_weather answered sunny")
        const trip = "a trip to Oslo for 3 days"
        const schemas = [
          {
            responseSchema: {
              type: Type.OBJECT,
              properties: { city: { type: Type.STRING }, days: { type: Type.INTEGER } },
              required: ["city", "days"]
            }
          },
          {
            responseJsonSchema: {
              type: "object",
              properties: { city: { type: "string" }, days: { type: "integer" } },
              required: ["city", "days"]
            }
          }
        ]
        for (const schema of schemas) {
          const object = yield* Effect.promise(() =>
            google.models.generateContent({
              model,
              contents: trip,
              config: { responseMimeType: "application/json", ...schema }
            })
          )
          assert.deepStrictEqual(JSON.parse(object.text ?? ""), { city: "Oslo", days: 3 })
        }
        const bad = yield* failure(() => google.models.generateContent({ model, contents: [] }))
        assert.isTrue(bad instanceof Error)
        const unknown = yield* failure(() => google.caches.list())
        assert.isTrue(unknown instanceof ApiError && unknown.status === 404)
      }).pipe(Effect.scoped))
  })
}

describe("ai with ai-gateway-provider", () => {
  it.live("asks, streams and runs a tool", () =>
    Effect.gen(function*() {
      const { gateway } = yield* start
      const openai = createOpenAICompatible({ name: "openai", baseURL: "https://api.openai.com/v1", apiKey: key })
      const aigateway = createAiGateway({
        // The binding's form, which names no address: the one that it asks is ours.
        binding: {
          run: (steps: unknown, options?: { readonly signal?: AbortSignal }) =>
            fetch(`${gateway.url}/v1/${gateway.accountId}/default`, {
              method: "POST",
              headers: {
                "content-type": "application/json",
                "cf-aig-authorization": `Bearer ${Redacted.value(gateway.token)}`
              },
              body: JSON.stringify(steps),
              ...(options?.signal === undefined ? {} : { signal: options.signal })
            })
        } as never // only `run` of a binding is used
      })
      const model = aigateway([openai("gpt-4o-mini")])
      const whole = yield* Effect.promise(() => generateText({ model, prompt: "say hello", maxRetries: 0 }))
      assert.include(whole.text, "say hello")
      const streamed = yield* Effect.promise(async () =>
        await streamText({ model, prompt: "say hello", maxRetries: 0 }).text
      )
      assert.strictEqual(streamed, whole.text)
      const called = yield* Effect.promise(() =>
        generateText({
          model,
          prompt: question,
          maxRetries: 0,
          tools: {
            weather: tool({
              description,
              inputSchema: jsonSchema<{ city: string }>(parameters),
              execute: ({ city }) => `sunny in ${city}`
            })
          }
        })
      )
      assert.deepStrictEqual(called.toolResults.map(({ output }) => output), ["sunny in Oslo"])
    }).pipe(Effect.scoped))
})
