import { assert, describe, it } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Stream from "effect/Stream"
import { TestClock } from "effect/testing"
import * as fc from "fast-check"
import { LocalGateway } from "../../src/local/index.ts"
import * as SimulatedProviders from "../../src/local/SimulatedProviders.ts"
import * as TokenUsage from "../../src/local/TokenUsage.ts"
import { aig, bearer, call, create, data, events, type Gateway, manage } from "./talk.ts"

interface Ask {
  readonly provider?: string
  readonly method?: string
  readonly headers?: { readonly [name: string]: string }
}

// The tests assert on what comes; typing every answer would say it twice.
// oxlint-disable-next-line typescript/no-explicit-any
type Json = any

const ask = (path: string, body: unknown, { headers = {}, method = "POST", provider = "openai" }: Ask = {}) =>
  Effect.gen(function*() {
    const [plain = "", query] = path.split("?")
    const answer = yield* SimulatedProviders.run({
      provider,
      method,
      path: plain,
      query: query === undefined ? "" : `?${query}`,
      headers: { "anthropic-version": "2023-06-01", ...headers },
      body: new TextEncoder().encode(typeof body === "string" ? body : JSON.stringify(body))
    }, { face: "rest", requestId: "r", pause: Duration.zero })
    const bytes = answer.body instanceof Uint8Array
      ? answer.body
      : Buffer.concat(yield* Effect.orDie(Stream.runCollect(answer.body)))
    const text = new TextDecoder().decode(bytes)
    let json: Json
    try {
      json = JSON.parse(text)
    } catch {
      json = undefined
    }
    return { status: answer.status, headers: answer.headers, text, json }
  })

const anthropic = { provider: "anthropic" }
const google = { provider: "google-ai-studio" }

/** The data of each event, and what its name says beside it. */
const named = (text: string): ReadonlyArray<readonly [string, Json]> =>
  text.split("\n\n").filter((_) => _ !== "").map((event) => {
    const [first = "", second = ""] = event.split("\n")
    return [first.replace("event: ", ""), JSON.parse(second.replace("data: ", ""))]
  })

const bareEvents = (text: string): ReadonlyArray<Json> =>
  text.split(/\r?\n\r?\n/).filter((_) => _.startsWith("data: {")).map((_) => JSON.parse(_.slice(6)))

const tool = { name: "get_weather", description: "Gets the weather of a city" }
const parameters = { type: "object", properties: { city: { type: "string" } }, required: ["city"] }
const weather = "What is the weather in Oslo?"

/** One question on each wire: how it is asked, and the text of its whole answer and of its stream. */
const wires: {
  readonly [name: string]: {
    readonly whole: (prompt: string) => ReturnType<typeof ask>
    readonly stream: (prompt: string) => ReturnType<typeof ask>
    readonly textOf: (json: Json) => string
    readonly streamed: (text: string) => string
  }
} = {
  "openai chat": {
    whole: (content) => ask("chat/completions", { model: "m", messages: [{ role: "user", content }] }),
    stream: (content) =>
      ask("v1/chat/completions", {
        model: "m",
        stream: true,
        messages: [{ role: "user", content }],
        stream_options: { include_usage: true }
      }),
    textOf: (json) => json.choices[0].message.content,
    streamed: (text) => bareEvents(text).map((_) => _.choices[0]?.delta.content ?? "").join("")
  },
  "mistral chat": {
    whole: (content) =>
      ask("v1/chat/completions", { model: "m", messages: [{ role: "user", content }] }, { provider: "mistral" }),
    stream: (content) =>
      ask(
        "v1/chat/completions",
        { model: "m", stream: true, messages: [{ role: "user", content }] },
        { provider: "mistral" }
      ),
    textOf: (json) => json.choices[0].message.content,
    streamed: (text) => bareEvents(text).map((_) => _.choices[0].delta.content ?? "").join("")
  },
  "openai responses": {
    whole: (input) => ask("responses", { model: "m", input }),
    stream: (input) => ask("v1/responses", { model: "m", input, stream: true }),
    textOf: (json) => json.output[0].content[0].text,
    streamed: (text) =>
      named(text).map(([name, data]) => name === "response.output_text.delta" ? data.delta : "").join("")
  },
  anthropic: {
    whole: (content) =>
      ask("v1/messages", { model: "m", max_tokens: 4096, messages: [{ role: "user", content }] }, anthropic),
    stream: (content) =>
      ask(
        "v1/messages",
        { model: "m", max_tokens: 4096, stream: true, messages: [{ role: "user", content }] },
        anthropic
      ),
    textOf: (json) => json.content[0].text,
    streamed: (text) => named(text).map(([, data]) => data.delta?.text ?? "").join("")
  },
  "google events": {
    whole: (text) => ask("v1/models/m:generateContent", { contents: [{ parts: [{ text }] }] }, google),
    stream: (text) => ask("v1/models/m:streamGenerateContent?alt=sse", { contents: [{ parts: [{ text }] }] }, google),
    textOf: (json) => json.candidates[0].content.parts[0].text,
    streamed: (text) => bareEvents(text).map((_) => _.candidates[0].content.parts[0].text).join("")
  },
  "google list": {
    whole: (text) => ask("v1beta/models/m:generateContent", { contents: [{ parts: [{ text }] }] }, google),
    stream: (text) => ask("v1beta/models/m:streamGenerateContent", { contents: [{ parts: [{ text }] }] }, google),
    textOf: (json) => json.candidates[0].content.parts[0].text,
    streamed: (text) => (JSON.parse(text) as Array<Json>).map((_) => _.candidates[0].content.parts[0].text).join("")
  }
}

describe("every wire", () => {
  for (const [name, wire] of Object.entries(wires)) {
    it.effect(`of ${name} says in a stream what it says whole, whatever is asked, and counts the same`, () =>
      Effect.promise(() =>
        fc.assert(
          fc.asyncProperty(fc.string({ unit: "binary", minLength: 1, maxLength: 600 }), async (given) => {
            // Lone halves of characters do not survive UTF-8, so that no client can send them.
            const prompt = new TextDecoder().decode(new TextEncoder().encode(given))
            const [whole, stream] = await Effect.runPromise(Effect.all([wire.whole(prompt), wire.stream(prompt)]))
            assert.strictEqual(whole.status, 200)
            assert.strictEqual(stream.status, 200)
            const said = wire.textOf(whole.json)
            assert.include(said, "simulated answer of m")
            assert.strictEqual(wire.streamed(stream.text), said)
            const count = (answer: { readonly headers: { readonly [name: string]: string }; readonly text: string }) =>
              TokenUsage.read(answer.headers["content-type"] ?? null, answer.text)
            assert.deepStrictEqual(count(stream), count(whole))
            assert.isAbove(count(whole).tokensOut ?? 0, 0)
          }),
          { numRuns: 60 }
        )
      ))

    it.effect(`of ${name} says so in a header, and answers the same request with the same bytes`, () =>
      Effect.gen(function*() {
        for (const send of [wire.whole, wire.stream]) {
          const first = yield* send("again")
          assert.strictEqual(first.headers["x-simulated"], "true")
          assert.deepStrictEqual(yield* send("again"), first)
        }
        assert.notStrictEqual((yield* wire.whole("other")).text, (yield* wire.whole("again")).text)
      }))
  }

  it.effect("pauses between its events, and stops when nobody reads", () =>
    Effect.gen(function*() {
      const answer = yield* SimulatedProviders.run({
        provider: "openai",
        method: "POST",
        path: "chat/completions",
        query: "",
        headers: {},
        body: new TextEncoder().encode(
          JSON.stringify({ model: "m", stream: true, messages: [{ role: "user", content: "hi" }] })
        )
      }, { face: "rest", requestId: "r", pause: Duration.seconds(1) })
      let read = 0
      let ended = false
      const body = answer.body instanceof Uint8Array ? Stream.empty : answer.body
      const fiber = yield* Effect.forkChild(
        Stream.runForEach(body, () => Effect.sync(() => read++)).pipe(Effect.ensuring(Effect.sync(() => ended = true)))
      )
      yield* TestClock.adjust("0 seconds")
      assert.strictEqual(read, 1, "the first comes at once")
      yield* TestClock.adjust("3 seconds")
      assert.strictEqual(read, 4)
      yield* Fiber.interrupt(fiber)
      assert.isTrue(ended)
    }))
})

describe("OpenAI's chat", () => {
  const chat = (body: object, provider = "openai") =>
    ask("chat/completions", { model: "gpt-4o", messages: [{ role: "user", content: weather }], ...body }, { provider })
  const tools = [{ type: "function", function: { ...tool, parameters } }]

  it.effect("streams tool calls in fragments, and usage only where it is asked for", () =>
    Effect.gen(function*() {
      const { text } = yield* chat({ tools, stream: true })
      const chunks = bareEvents(text)
      const deltas = chunks.flatMap((_) => _.choices[0].delta.tool_calls ?? [])
      assert.deepStrictEqual(deltas[0].function, { name: "get_weather", arguments: "" })
      assert.isAbove(deltas.length, 2)
      assert.deepStrictEqual(JSON.parse(deltas.map((_: Json) => _.function.arguments).join("")), { city: "Oslo" })
      assert.strictEqual(chunks.at(-1).choices[0].finish_reason, "tool_calls")
      assert.isTrue(chunks.every((_) => !("usage" in _)))
      assert.isTrue(text.endsWith("data: [DONE]\n\n"))
      const asked = bareEvents((yield* chat({ stream: true, stream_options: { include_usage: true } })).text)
      assert.deepStrictEqual(asked.at(-1).choices, [])
      assert.isAbove(asked.at(-1).usage.completion_tokens, 0)
      assert.isTrue(asked.slice(0, -1).every((_) => _.usage === null))
    }))

  it.effect("obeys allowed tools, stop texts and the token limit", () =>
    Effect.gen(function*() {
      const dice = { type: "function", function: { name: "roll_dice", parameters: { type: "object" } } }
      const allowed = yield* chat({
        tools: [...tools, dice],
        tool_choice: {
          type: "allowed_tools",
          allowed_tools: { mode: "required", tools: [{ type: "function", function: { name: "roll_dice" } }] }
        }
      })
      assert.deepStrictEqual(
        allowed.json.choices[0].message.tool_calls.map((_: Json) => _.function.name),
        ["roll_dice"]
      )
      const stopped = yield* chat({ stop: ["You asked"] })
      assert.strictEqual(stopped.json.choices[0].message.content, "(simulated answer of gpt-4o) ")
      assert.strictEqual(stopped.json.choices[0].finish_reason, "stop")
      const cut = yield* chat({ max_completion_tokens: 3 })
      assert.strictEqual(cut.json.choices[0].finish_reason, "length")
      assert.strictEqual(cut.json.usage.completion_tokens, 3)
    }))

  it.effect("goes on after a result to the tool that must still be called, and then ends", () =>
    Effect.gen(function*() {
      const history = (names: ReadonlyArray<string>) => [
        { role: "user", content: weather },
        {
          role: "assistant",
          content: null,
          tool_calls: names.map((name) => ({ id: name, type: "function", function: { name, arguments: "{}" } }))
        },
        ...names.map((name) => ({ role: "tool", tool_call_id: name, content: "21" }))
      ]
      const answer = { type: "function", function: { name: "give_answer", parameters } }
      const both = { tools: [...tools, answer], tool_choice: "required" }
      const second = yield* chat({ ...both, messages: history(["get_weather"]) })
      assert.deepStrictEqual(second.json.choices[0].message.tool_calls.map((_: Json) => _.function.name), [
        "give_answer"
      ])
      const third = yield* chat({ ...both, messages: history(["get_weather", "give_answer"]) })
      assert.strictEqual(third.json.choices[0].finish_reason, "stop")
    }))

  it.effect("takes the schema out of the prompt where JSON is all that can be asked for", () =>
    Effect.gen(function*() {
      const { json } = yield* chat({
        response_format: { type: "json_object" },
        messages: [
          {
            role: "system",
            content: `Answer with JSON of this JSON schema:\n${JSON.stringify(parameters)} and no more.`
          },
          { role: "user", content: "We go to Oslo" }
        ]
      }, "deepseek")
      assert.deepStrictEqual(JSON.parse(json.choices[0].message.content), { city: "Oslo" })
    }))

  it.effect("refuses as OpenAI does, naming the field", () =>
    Effect.gen(function*() {
      const cases: ReadonlyArray<readonly [object | string, string | null, string]> = [
        ["{", null, "could not parse the JSON body"],
        [{ model: undefined }, null, "you must provide a model parameter"],
        [{ messages: undefined }, "messages", "Missing required parameter: 'messages'"],
        [{ messages: [] }, "messages", "a list of messages that is not empty"],
        [
          { messages: [{ role: "robot", content: "x" }] },
          "messages[0].role",
          "system, developer, user, assistant, tool"
        ],
        [{ messages: [{ role: "user", content: 7 }] }, "messages[0].content", "a text or a list of parts, but got 7"],
        [{ messages: [{ role: "tool", tool_call_id: "x", content: "" }] }, "messages[0].role", "preceeding message"],
        [{ tools: [{ type: "function", function: {} }] }, "tools[0].function.name", "Missing required"],
        [{ tools, tool_choice: { type: "function", function: { name: "nope" } } }, "tool_choice", "nope"],
        [{ n: 2 }, "n", "but got 2"],
        [{ max_tokens: 0 }, null, "positive integer"]
      ]
      for (const [body, param, message] of cases) {
        const { json, status } = yield* typeof body === "string" ? ask("chat/completions", body) : chat(body)
        assert.strictEqual(status, 400)
        assert.strictEqual(json.error.type, "invalid_request_error")
        assert.strictEqual(json.error.param, param)
        assert.include(json.error.message, message)
      }
      const unknown = yield* ask("images/generations", {})
      assert.strictEqual(unknown.status, 404)
      assert.include(unknown.json.error.message, "the simulated model answers chat/completions, responses")
      assert.strictEqual(unknown.headers["x-simulated"], "true")
    }))

  it.effect("is at the place where each provider has it", () =>
    Effect.gen(function*() {
      const body = { model: "m", messages: [{ role: "user", content: "hi" }] }
      const places: ReadonlyArray<readonly [provider: string, path: string]> = [
        ["groq", "chat/completions"],
        ["cohere", "compatibility/v1/chat/completions"],
        ["google-ai-studio", "v1beta/openai/chat/completions"],
        ["azure-openai", "res/dep/chat/completions"],
        ["huggingface", "org/model/v1/chat/completions"],
        ["perplexity-ai", "chat/completions"]
      ]
      for (const [provider, path] of places) {
        assert.strictEqual((yield* ask(path, body, { provider })).json?.object, "chat.completion", provider)
        const wrong = yield* ask(`x/y/z/${path}`, body, { provider })
        assert.strictEqual(wrong.status, 404, provider)
        assert.isString(wrong.json.error.message)
      }
      const { model: _, ...unnamed } = body
      assert.strictEqual(
        (yield* ask("res/dep/chat/completions", unnamed, { provider: "azure-openai" })).json.model,
        "dep"
      )
      const messages = { ...body, max_tokens: 100 }
      assert.strictEqual((yield* ask("v1/messages", messages, { provider: "grok" })).json.type, "message")
    }))

  it.effect("lists the models that have a price, and tells of one", () =>
    Effect.gen(function*() {
      const list = yield* ask("v1/models", "", { method: "GET" })
      assert.include(list.json.data.map((_: Json) => _.id), "gpt-4o")
      const one = yield* ask("models/gpt-4o", "", { method: "GET" })
      assert.deepInclude(one.json, { id: "gpt-4o", object: "model" })
    }))
})

describe("OpenAI's embeddings", () => {
  it.effect("are the same as numbers and in base64, for texts and tokens, of the asked length", () =>
    Effect.gen(function*() {
      const embed = (body: object) => ask("embeddings", { model: "text-embedding-3-small", ...body })
      const plain = yield* embed({ input: ["one", [1, 2, 3]], dimensions: 8 })
      const packed = yield* embed({ input: ["one", [1, 2, 3]], dimensions: 8, encoding_format: "base64" })
      assert.deepStrictEqual(plain.json.usage, { prompt_tokens: 4, total_tokens: 4 })
      const unpacked = packed.json.data.map((_: Json) => {
        const bytes = Buffer.from(_.embedding, "base64")
        return Array.from({ length: 8 }, (_, i) => bytes.readFloatLE(i * 4))
      })
      assert.deepStrictEqual(plain.json.data.map((_: Json) => _.embedding), unpacked)
      assert.strictEqual((yield* embed({ input: "x" })).json.data[0].embedding.length, 1536)
      const large = yield* embed({ model: "text-embedding-3-large", input: "x" })
      assert.strictEqual(large.json.data[0].embedding.length, 3072)
      for (
        const [body, param] of [
          [{}, "input"],
          [{ input: "" }, "input"],
          [{ input: ["a", 1] }, "input"],
          [{ input: Array.from({ length: 2049 }, () => "a") }, "input"],
          [{ input: "a", dimensions: 1537 }, "dimensions"],
          [{ input: "a", encoding_format: "hex" }, "encoding_format"]
        ] as const
      ) {
        const { json, status } = yield* embed(body)
        assert.deepStrictEqual([status, json.error.param], [400, param])
      }
    }))
})

describe("OpenAI's Responses", () => {
  const respond = (body: object) => ask("responses", { model: "gpt-5", input: weather, ...body })
  const tools = [{ type: "function", ...tool, parameters, strict: true }, { type: "web_search" }]

  it.effect("streams a message's events in order, each with its number, and the whole response at the end", () =>
    Effect.gen(function*() {
      const stream = named((yield* respond({ stream: true })).text)
      assert.deepStrictEqual(stream.map(([name]) => name).filter((name, i, all) => name !== all[i - 1]), [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
        "response.output_text.delta",
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.completed"
      ])
      assert.deepStrictEqual(stream.map(([, data]) => data.sequence_number), stream.map((_, i) => i))
      assert.isTrue(stream.every(([name, data]) => data.type === name))
      const whole = (yield* respond({})).json
      const last = stream.at(-1)?.[1].response
      assert.deepStrictEqual(last.output[0].content, whole.output[0].content)
      assert.deepStrictEqual(last.usage, whole.usage)
      assert.deepStrictEqual([stream[0]?.[1].response.status, stream[0]?.[1].response.output], ["in_progress", []])
    }))

  it.effect("streams a function's call, and answers what it gave", () =>
    Effect.gen(function*() {
      const stream = named((yield* respond({ tools, stream: true })).text)
      const fragments = stream.flatMap(([name, data]) =>
        name === "response.function_call_arguments.delta" ? [data.delta] : []
      )
      assert.isAbove(fragments.length, 1)
      const call = stream.at(-1)?.[1].response.output[0]
      assert.strictEqual(call.arguments, fragments.join(""))
      assert.deepInclude(call, { type: "function_call", name: "get_weather", status: "completed" })
      const input = [
        {
          role: "user",
          content: [{ type: "input_text", text: weather }, { type: "input_image", image_url: "data:," }]
        },
        { type: "reasoning", summary: [] },
        call,
        { type: "function_call_output", call_id: call.call_id, output: "21 degrees" }
      ]
      const { json } = yield* respond({ input, tools, instructions: "Be brief." })
      assert.include(json.output[0].content[0].text, "get_weather answered 21 degrees")
    }))

  it.effect("follows text.format, and says that it was cut", () =>
    Effect.gen(function*() {
      const format = { type: "json_schema", name: "place", strict: true, schema: parameters }
      const { json } = yield* respond({ text: { format } })
      assert.deepStrictEqual(JSON.parse(json.output[0].content[0].text), { city: "Oslo" })
      const cut = named((yield* respond({ max_output_tokens: 2, stream: true })).text).at(-1)
      assert.strictEqual(cut?.[0], "response.incomplete")
      assert.deepStrictEqual(cut?.[1].response.incomplete_details, { reason: "max_output_tokens" })
    }))

  it.effect("refuses as OpenAI does, naming the field", () =>
    Effect.gen(function*() {
      const cases: ReadonlyArray<readonly [object, string, string]> = [
        [{ input: undefined }, "input", "Missing required"],
        [{ input: [] }, "input", "not empty"],
        [{ input: [{ role: "robot", content: "" }] }, "input[0].role", "user, assistant, system, developer"],
        [{ input: [{ type: "function_call_output", call_id: "c1", output: "" }] }, "input", "call_id c1"],
        [{ previous_response_id: "resp_1" }, "previous_response_id", "'resp_1' not found"],
        [{ max_output_tokens: 0 }, "max_output_tokens", "a positive integer"],
        [{ tools, tool_choice: { type: "function", name: "nope" } }, "tool_choice", "nope"]
      ]
      for (const [body, param, message] of cases) {
        const { json, status } = yield* respond(body)
        assert.deepStrictEqual([status, json.error.param], [400, param])
        assert.include(json.error.message, message)
      }
    }))
})

describe("Anthropic's Messages", () => {
  const messages = (body: object, path = "v1/messages") =>
    ask(path, {
      model: "claude-sonnet-4-5",
      max_tokens: 500,
      messages: [{ role: "user", content: weather }],
      ...body
    }, anthropic)
  const tools = [{ ...tool, input_schema: parameters }, { type: "web_search_20250305", name: "web_search" }]

  it.effect("streams named events in their order, with the input counted first and the output last", () =>
    Effect.gen(function*() {
      const stream = named((yield* messages({ stream: true })).text)
      assert.deepStrictEqual(stream.map(([name]) => name).filter((name, i, all) => name !== all[i - 1]), [
        "message_start",
        "content_block_start",
        "ping",
        "content_block_delta",
        "content_block_stop",
        "message_delta",
        "message_stop"
      ])
      const whole = (yield* messages({})).json
      assert.strictEqual(stream[0]?.[1].message.usage.input_tokens, whole.usage.input_tokens)
      assert.deepStrictEqual(stream.at(-2)?.[1], {
        type: "message_delta",
        delta: { stop_reason: "end_turn", stop_sequence: null },
        usage: { output_tokens: whole.usage.output_tokens }
      })
    }))

  it.effect("streams a tool's input in fragments, and parallel uses as blocks of their own", () =>
    Effect.gen(function*() {
      const dice = { name: "roll_dice", input_schema: { type: "object", properties: { sides: { type: "integer" } } } }
      const both = { tools: [...tools, dice], messages: [{ role: "user", content: `${weather} And roll dice: 20` }] }
      const stream = named((yield* messages({ ...both, stream: true })).text)
      const starts = stream.flatMap(([name, data]) => name === "content_block_start" ? [data] : [])
      assert.deepStrictEqual(starts.map((_) => [_.index, _.content_block.name, _.content_block.input]), [
        [0, "get_weather", {}],
        [1, "roll_dice", {}]
      ])
      const inputs = [0, 1].map((index) =>
        JSON.parse(stream.map(([, data]) => data.index === index ? data.delta?.partial_json ?? "" : "").join(""))
      )
      const whole = (yield* messages(both)).json
      assert.deepStrictEqual(inputs, whole.content.map((_: Json) => _.input))
      assert.strictEqual(whole.stop_reason, "tool_use")
      const one = yield* messages({ ...both, tool_choice: { type: "auto", disable_parallel_tool_use: true } })
      assert.strictEqual(one.json.content.length, 1)
      const forced = yield* messages({ ...both, tool_choice: { type: "tool", name: "roll_dice" } })
      assert.deepStrictEqual(forced.json.content.map((_: Json) => _.name), ["roll_dice"])
    }))

  it.effect("counts tokens as a message does, and ends at a stop sequence", () =>
    Effect.gen(function*() {
      const system = [{ type: "text", text: "Be brief." }]
      const count = yield* messages({ system, tools, max_tokens: undefined }, "v1/messages/count_tokens")
      const whole = yield* messages({ system, tools })
      assert.deepStrictEqual(count.json, { input_tokens: whole.json.usage.input_tokens })
      const stopped = yield* messages({ stop_sequences: ["never said", "You asked"] })
      assert.deepInclude(stopped.json, { stop_reason: "stop_sequence", stop_sequence: "You asked" })
      assert.strictEqual((yield* messages({ max_tokens: 2 })).json.stop_reason, "max_tokens")
    }))

  it.effect("refuses as Anthropic does", () =>
    Effect.gen(function*() {
      const use = { role: "assistant", content: [{ type: "tool_use", id: "t1", name: "get_weather", input: {} }] }
      const cases: ReadonlyArray<readonly [object, string]> = [
        [{ model: undefined }, "model: Field required"],
        [{ max_tokens: undefined }, "max_tokens: Field required"],
        [{ max_tokens: -1 }, "max_tokens: Input should be a positive integer, got -1"],
        [{ messages: undefined }, "messages: Field required"],
        [{ messages: [] }, "at least one message is required"],
        [{ messages: [{ role: "system", content: "x" }] }, "messages.0.role"],
        [{ messages: [{ role: "user" }] }, "messages.0.content"],
        [{ messages: [use, { role: "user", content: "and?" }] }, "messages.0: `tool_use` ids were found without"],
        [
          { messages: [{ role: "user", content: [{ type: "tool_result", tool_use_id: "t9" }] }] },
          "unexpected `tool_use_id` found in `tool_result` blocks: t9"
        ],
        [{ tools, tool_choice: { type: "tool", name: "nope" } }, "Tool 'nope' not found"]
      ]
      for (const [body, message] of cases) {
        const { json, status } = yield* messages(body)
        assert.deepStrictEqual([status, json.type, json.error.type], [400, "error", "invalid_request_error"])
        assert.include(json.error.message, message)
        assert.match(json.request_id, /^req_/)
      }
      const bare = yield* ask("v1/messages", {}, { ...anthropic, headers: { "anthropic-version": "" } })
      assert.include(bare.json.error.message, "anthropic-version: header is required")
      assert.include((yield* ask("v1/messages", "{", anthropic)).json.error.message, "not valid JSON")
      const unknown = yield* ask("v1/complete", {}, anthropic)
      assert.deepStrictEqual([unknown.status, unknown.json.error.type], [404, "not_found_error"])
      assert.include(unknown.json.error.message, "v1/messages/count_tokens")
    }))
})

describe("Google's content", () => {
  const contents = [{ role: "user", parts: [{ text: weather }] }]
  const generate = (body: object, action = "generateContent") =>
    ask(`v1beta/models/gemini-2.5-flash:${action}`, body, google)
  const declared = {
    function_declarations: [{ ...tool, parameters: { type: "OBJECT", properties: { city: { type: "STRING" } } } }]
  }

  it.effect("takes both spellings of its fields, Vertex AI's paths, and inline images", () =>
    Effect.gen(function*() {
      const snake = yield* generate({
        system_instruction: { parts: { text: "Be brief." } },
        contents: { parts: [{ inline_data: { mime_type: "image/png", data: "" } }, { text: weather }] },
        tools: [declared],
        tool_config: { function_calling_config: { mode: "ANY", allowed_function_names: ["get_weather"] } }
      })
      const { functionCall } = snake.json.candidates[0].content.parts[0]
      assert.deepInclude(functionCall, { name: "get_weather", args: { city: "Oslo" } })
      assert.strictEqual(snake.json.candidates[0].finishReason, "STOP")
      const vertex = yield* ask(
        "v1/projects/p/locations/global/publishers/google/models/gemini-2.5-flash:generateContent",
        { contents },
        { provider: "google-vertex-ai" }
      )
      assert.strictEqual(vertex.json.modelVersion, "gemini-2.5-flash")
      const none = yield* generate({
        contents,
        tools: [declared],
        toolConfig: { functionCallingConfig: { mode: "NONE" } }
      })
      assert.isString(none.json.candidates[0].content.parts[0].text)
    }))

  it.effect("follows its schemas, also those of an enumeration, and says that it was cut", () =>
    Effect.gen(function*() {
      const configured = (generationConfig: object) =>
        Effect.map(generate({ contents, generationConfig }), ({ json }) => json.candidates[0])
      const json = yield* configured({
        responseMimeType: "application/json",
        responseSchema: {
          type: "OBJECT",
          properties: {
            city: { type: "STRING", nullable: true },
            tags: { type: "ARRAY", items: { type: "STRING" }, minItems: "2" }
          },
          required: ["city", "tags"]
        }
      })
      const value = JSON.parse(json.content.parts[0].text)
      assert.strictEqual(value.city, "Oslo")
      assert.strictEqual(value.tags.length, 2)
      const one = yield* configured({
        responseMimeType: "text/x.enum",
        responseSchema: { type: "STRING", enum: ["Rome", "Oslo"] }
      })
      assert.strictEqual(one.content.parts[0].text, "Oslo")
      assert.strictEqual((yield* configured({ maxOutputTokens: 2 })).finishReason, "MAX_TOKENS")
    }))

  it.effect("embeds one and many, counts tokens of a whole request, and lists models", () =>
    Effect.gen(function*() {
      const content = { parts: [{ text: "one fish" }] }
      const one = yield* generate({ content, outputDimensionality: 16 }, "embedContent")
      const many = yield* generate(
        { requests: [{ content, output_dimensionality: 16 }, { content }] },
        "batchEmbedContents"
      )
      assert.strictEqual(one.json.embedding.values.length, 16)
      assert.deepStrictEqual(many.json.embeddings[0], one.json.embedding)
      assert.strictEqual(many.json.embeddings[1].values.length, 3072)
      const whole = yield* generate({ contents })
      const counted = yield* generate({ generateContentRequest: { contents } }, "countTokens")
      assert.strictEqual(counted.json.totalTokens, whole.json.usageMetadata.promptTokenCount)
      assert.strictEqual((yield* generate({ contents }, "countTokens")).json.totalTokens, counted.json.totalTokens)
      const list = yield* ask("v1/models", "", { ...google, method: "GET" })
      assert.include(list.json.models.map((_: Json) => _.name), "models/gemini-2.5-flash")
      const model = yield* ask("v1beta/models/gemini-2.5-flash", "", { ...google, method: "GET" })
      assert.include(model.json.supportedGenerationMethods, "generateContent")
    }))

  it.effect("refuses as Google does", () =>
    Effect.gen(function*() {
      const content = { parts: [{ text: "x" }] }
      const cases: ReadonlyArray<readonly [object | string, string, string]> = [
        ["{", "generateContent", "Invalid JSON payload received"],
        [{}, "generateContent", "contents is not specified"],
        [{ contents: [{ role: "robot", parts: [{ text: "x" }] }] }, "generateContent", "valid role: user, model"],
        [{ contents: [{ parts: [] }] }, "streamGenerateContent", "contents[0].parts"],
        [
          { contents, generationConfig: { maxOutputTokens: 0 } },
          "generateContent",
          "must be a positive integer, got 0"
        ],
        [{}, "embedContent", "EmbedContentRequest.content"],
        [{ content, outputDimensionality: 0 }, "embedContent", "from 1 to 3072, got 0"],
        [{ requests: [{}] }, "batchEmbedContents", "requests[0].content"],
        [{ requests: [] }, "batchEmbedContents", "must hold 1 to 100"],
        [{ requests: Array.from({ length: 101 }, () => ({ content })) }, "batchEmbedContents", "must hold 1 to 100"]
      ]
      for (const [body, action, message] of cases) {
        const { json, status } = yield* ask(`v1beta/models/m:${action}`, body, google)
        assert.deepStrictEqual([status, json.error.code, json.error.status], [400, 400, "INVALID_ARGUMENT"])
        assert.include(json.error.message, message)
      }
      const unknown = yield* ask("v1beta/models/m:predict", {}, google)
      assert.deepStrictEqual([unknown.status, unknown.json.error.status], [404, "NOT_FOUND"])
      assert.include(unknown.json.error.message, "generateContent, streamGenerateContent, countTokens, embedContent")
    }))
})

describe("catalog models without a key", () => {
  const run = (gateway: Gateway, model: string, inputs: object) =>
    call(`${gateway.url}/workers-binding/ai-gateway/run?version=3`, {
      headers: { "cf-consn-model-id": model },
      body: { inputs, options: { gateway: { id: "default" } } }
    })
  const rest = (gateway: Gateway, path: string, body: object) =>
    call(`${gateway.url}/client/v4/accounts/${gateway.accountId}/ai/v1/${path}`, { headers: bearer(gateway), body })
  const messages = [{ role: "user", content: "say hello" }]

  it.live("BIND-03: are run by env.AI in each author's own shape, whole and streamed", () =>
    Effect.gen(function*() {
      const gateway = yield* LocalGateway.LocalGateway
      const openai = yield* run(gateway, "openai/gpt-4o", { messages })
      assert.include(openai.json.choices[0].message.content, "say hello")
      assert.strictEqual(openai.headers["x-simulated"], "true")
      const stream = yield* run(gateway, "openai/gpt-4o", { messages, stream: true })
      assert.isString(stream.headers["cf-aig-run-id"])
      assert.isAbove(events(stream.text).length, 5)
      const anthropic = yield* run(gateway, "anthropic/claude-sonnet-4.5", { messages, max_tokens: 100 })
      assert.strictEqual(anthropic.json.model, "claude-sonnet-4-5")
      const google = yield* run(gateway, "google/gemini-2.5-flash", { contents: [{ parts: [{ text: "say hello" }] }] })
      assert.include(google.json.candidates[0].content.parts[0].text, "say hello")
      const asOpenAi = yield* run(gateway, "google/gemini-2.5-flash", { messages })
      assert.include(asOpenAi.json.choices[0].message.content, "say hello")
    }).pipe(Effect.provide(LocalGateway.layerTest)))

  it.live("REST-03, REST-04, REST-05: answer the REST API's chat, messages, responses and embeddings", () =>
    Effect.gen(function*() {
      const gateway = yield* LocalGateway.LocalGateway
      for (const model of ["openai/gpt-4o", "anthropic/claude-sonnet-4.5", "google/gemini-2.5-flash", "xai/grok-4.3"]) {
        const chat = yield* rest(gateway, "chat/completions", { model, messages })
        assert.include(chat.json.choices[0].message.content, "say hello", model)
      }
      const message = yield* rest(gateway, "messages", {
        model: "anthropic/claude-sonnet-4.5",
        messages,
        max_tokens: 99
      })
      assert.include(message.json.content[0].text, "say hello")
      const response = yield* rest(gateway, "responses", { model: "openai/gpt-5", input: "say hello" })
      assert.strictEqual(response.json.object, "response")
      for (const model of ["openai/text-embedding-3-small", "google/gemini-embedding-001"]) {
        const embedded = yield* rest(gateway, "embeddings", { model, input: "hi", dimensions: 4 })
        assert.strictEqual(embedded.json.data[0].embedding.length, 4)
      }
      const logs = (yield* manage(gateway, "/default/logs")).json.result
      assert.isTrue(logs.every((_: Json) => _.success))
    }).pipe(Effect.provide(LocalGateway.layerTest)))

  it.live("UNIV-01, BYOK-05: stand in the universal endpoint too, and not where only own keys are allowed", () =>
    Effect.gen(function*() {
      const gateway = yield* LocalGateway.LocalGateway
      yield* create(gateway, "own")
      const steps = [{ provider: "openai", endpoint: "chat/completions", query: { model: "gpt-4o", messages } }]
      const answer = yield* data(gateway, "own", { headers: aig(gateway), body: steps })
      assert.deepStrictEqual([answer.status, answer.headers["cf-aig-step"]], [200, "0"])
      const refused = yield* data(gateway, "own/openai/chat/completions", {
        headers: { "cf-aig-no-wholesale": "true" },
        body: { model: "gpt-4o", messages }
      })
      assert.deepStrictEqual([refused.status, refused.json.error[0].code], [400, 2040])
    }).pipe(Effect.provide(LocalGateway.layerTest)))
})
