import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as LanguageModel from "effect/unstable/ai/LanguageModel"
import * as Tool from "effect/unstable/ai/Tool"
import * as Toolkit from "effect/unstable/ai/Toolkit"
import * as FastCheck from "fast-check"
import * as Compat from "../../../src/local/compat/Compat.ts"
import * as ModelString from "../../../src/local/compat/ModelString.ts"
import * as GatewayModel from "../../../src/model/GatewayModel.ts"
import * as StubTransport from "../../support/StubTransport.ts"

const claude = { provider: "anthropic", model: "claude-sonnet-4-5" }
const gemini = { provider: "google-ai-studio", model: "gemini-2.5-flash" }

const translate = (body: unknown, target: { readonly provider: string; readonly model: string }) =>
  Result.getOrThrow(Compat.toProvider(body, target))

// The tests look into bodies at will; typing each would say it twice.
// oxlint-disable-next-line typescript/no-explicit-any
const bodyOf = (body: unknown, target: { readonly provider: string; readonly model: string }): any =>
  translate(body, target).body

const problem = (body: unknown, target = claude) => {
  const result = Compat.toProvider(body, target)
  return Result.isFailure(result) ? `${result.failure.status} ${result.failure.message}` : "none"
}

const user = (content: unknown) => ({ messages: [{ role: "user", content }] })

const png = "iVBORw0KGgo="

const tools = [{
  type: "function",
  function: {
    name: "get_weather",
    description: "The weather of a city",
    parameters: { type: "object", properties: { city: { type: "string" } }, required: ["city"] }
  }
}]

const talk = {
  messages: [
    { role: "system", content: "Be brief." },
    { role: "user", content: "Weather in Oslo and Rome?" },
    {
      role: "assistant",
      content: null,
      tool_calls: [
        { id: "call_1", type: "function", function: { name: "get_weather", arguments: "{\"city\":\"Oslo\"}" } },
        { id: "call_2", type: "function", function: { name: "get_weather", arguments: "" } }
      ]
    },
    { role: "tool", tool_call_id: "call_1", content: "{\"celsius\":3}" },
    { role: "tool", tool_call_id: "call_2", content: "warm" },
    { role: "user", content: "And?" }
  ],
  tools
}

describe("the name of a model", () => {
  const parsed = (model: unknown) => {
    const result = ModelString.parse(model)
    return Result.isSuccess(result) ? result.success : result.failure.code
  }

  it("is a provider and its own id of the model, which may have slashes", () => {
    assert.deepStrictEqual(parsed("workers-ai/@cf/meta/llama"), {
      type: "model",
      provider: "workers-ai",
      model: "@cf/meta/llama"
    })
    assert.deepStrictEqual(parsed("perplexity/sonar"), { type: "model", provider: "perplexity-ai", model: "sonar" })
    assert.deepStrictEqual(parsed("custom-mine/m"), { type: "model", provider: "custom-mine", model: "m" })
    assert.deepStrictEqual(parsed("dynamic/support"), { type: "route", route: "support" })
  })

  it("COMPAT-06: is refused with 2019 without a prefix, and with 2008 with one that is no provider", () => {
    for (const model of ["gpt-4o", "", "/x", "openai/", undefined, 7, null]) assert.strictEqual(parsed(model), 2019)
    for (const model of ["nope/x", "custom-/x", "__proto__/x", "dynamics/x"]) assert.strictEqual(parsed(model), 2008)
  })
})

describe("what goes to providers", () => {
  it("COMPAT-01: what speaks OpenAI's format gets the body as it came, without the prefix", () => {
    const body = { model: "groq/llama", messages: [], n: 3, unknown: { a: 1 }, stream: true }
    const { body: sent, path, reading } = translate(body, { provider: "groq", model: "llama" })
    assert.deepStrictEqual(sent, { ...body, model: "llama" })
    assert.strictEqual(path, "chat/completions")
    assert.deepInclude(reading, { format: "openai", stream: true })
    const paths = { "workers-ai": "v1/chat/completions", mistral: "v1/chat/completions", openai: "chat/completions" }
    for (const [provider, path] of Object.entries(paths)) {
      assert.strictEqual(translate(body, { provider, model: "m" }).path, path)
    }
  })

  it("CUST-02: a custom provider gets OpenAI's format", () => {
    assert.strictEqual(translate(user("hi"), { provider: "custom-mine", model: "m" }).path, "v1/chat/completions")
  })

  it("what cannot be reached by a model's name is refused with 2008", () => {
    for (const provider of ["google-vertex-ai", "aws-bedrock", "azure-openai", "elevenlabs"]) {
      assert.include(problem(user("hi"), { provider, model: "m" }), "400 2008: Invalid provider")
    }
  })

  it("COMPAT-02: a conversation with tools is one of Anthropic's", () => {
    const { body, headers, path } = translate(talk, claude)
    assert.strictEqual(path, "v1/messages")
    assert.strictEqual(headers["anthropic-version"], "2023-06-01")
    assert.deepStrictEqual(body, {
      model: "claude-sonnet-4-5",
      system: [{ type: "text", text: "Be brief." }],
      messages: [
        { role: "user", content: [{ type: "text", text: "Weather in Oslo and Rome?" }] },
        {
          role: "assistant",
          content: [
            { type: "tool_use", id: "call_1", name: "get_weather", input: { city: "Oslo" } },
            { type: "tool_use", id: "call_2", name: "get_weather", input: {} }
          ]
        },
        {
          role: "user",
          content: [
            { type: "tool_result", tool_use_id: "call_1", content: [{ type: "text", text: "{\"celsius\":3}" }] },
            { type: "tool_result", tool_use_id: "call_2", content: [{ type: "text", text: "warm" }] },
            { type: "text", text: "And?" }
          ]
        }
      ],
      tools: [{
        name: "get_weather",
        description: "The weather of a city",
        input_schema: tools[0]?.function.parameters
      }],
      max_tokens: 64_000
    })
  })

  it("COMPAT-03: a conversation with tools is one of Google's", () => {
    const { body, path, query } = translate({ ...talk, stream: true }, gemini)
    assert.strictEqual(`${path}${query}`, "v1beta/models/gemini-2.5-flash:streamGenerateContent?alt=sse")
    assert.deepStrictEqual(body, {
      systemInstruction: { parts: [{ text: "Be brief." }] },
      contents: [
        { role: "user", parts: [{ text: "Weather in Oslo and Rome?" }] },
        {
          role: "model",
          parts: [
            { functionCall: { id: "call_1", name: "get_weather", args: { city: "Oslo" } } },
            { functionCall: { id: "call_2", name: "get_weather", args: {} } }
          ]
        },
        {
          role: "user",
          parts: [
            { functionResponse: { id: "call_1", name: "get_weather", response: { output: { celsius: 3 } } } },
            { functionResponse: { id: "call_2", name: "get_weather", response: { output: "warm" } } },
            { text: "And?" }
          ]
        }
      ],
      tools: [{
        functionDeclarations: [{
          name: "get_weather",
          description: "The weather of a city",
          parametersJsonSchema: tools[0]?.function.parameters
        }]
      }]
    })
  })

  it("COMPAT-05: the choice of tools is the provider's own", () => {
    const choices: ReadonlyArray<readonly [unknown, unknown, unknown]> = [
      ["none", { type: "none" }, { mode: "NONE" }],
      ["required", { type: "any" }, { mode: "ANY" }],
      [{ type: "function", function: { name: "get_weather" } }, { type: "tool", name: "get_weather" }, {
        mode: "ANY",
        allowedFunctionNames: ["get_weather"]
      }]
    ]
    for (const [tool_choice, anthropic, google] of choices) {
      assert.deepStrictEqual(bodyOf({ ...talk, tool_choice }, claude).tool_choice, anthropic)
      assert.deepStrictEqual(bodyOf({ ...talk, tool_choice }, gemini).toolConfig.functionCallingConfig, google)
    }
    assert.deepStrictEqual(bodyOf({ ...talk, parallel_tool_calls: false }, claude).tool_choice, {
      type: "auto",
      disable_parallel_tool_use: true
    })
  })

  it("COMPAT-07: images go as data or by their address", () => {
    const body = user([
      { type: "text", text: "What is it?" },
      { type: "image_url", image_url: { url: `data:image/png;base64,${png}` } },
      { type: "image_url", image_url: { url: "https://example.com/a.png?x=1" } }
    ])
    assert.deepStrictEqual(bodyOf(body, claude).messages[0].content.slice(1), [
      { type: "image", source: { type: "base64", media_type: "image/png", data: png } },
      { type: "image", source: { type: "url", url: "https://example.com/a.png?x=1" } }
    ])
    assert.deepStrictEqual(bodyOf(body, gemini).contents[0].parts.slice(1), [
      { inlineData: { mimeType: "image/png", data: png } },
      { fileData: { mimeType: "image/png", fileUri: "https://example.com/a.png?x=1" } }
    ])
  })

  it("files and sound go where the provider takes them", () => {
    const file = user([{ type: "file", file: { filename: "a.pdf", file_data: `data:application/pdf;base64,${png}` } }])
    assert.deepStrictEqual(bodyOf(file, claude).messages[0].content, [
      { type: "document", source: { type: "base64", media_type: "application/pdf", data: png }, title: "a.pdf" }
    ])
    const sound = user([{ type: "input_audio", input_audio: { data: png, format: "mp3" } }])
    assert.deepStrictEqual(bodyOf(sound, gemini).contents[0].parts, [{
      inlineData: { mimeType: "audio/mp3", data: png }
    }])
    assert.include(
      problem(sound),
      "2019: Chat completion bad format: anthropic takes images, PDF and text, not audio/mp3"
    )
  })

  it("COMPAT-07: a schema is the model's output format, or the input of a tool where it has none", () => {
    const schema = { type: "object", properties: { age: { type: "integer", minimum: 1 } }, required: ["age"] }
    const body = { ...user("hi"), response_format: { type: "json_schema", json_schema: { name: "x", schema } } }
    assert.deepStrictEqual(bodyOf(body, claude).output_config, {
      format: {
        type: "json_schema",
        schema: {
          type: "object",
          properties: { age: { type: "integer", description: "{minimum: 1}" } },
          required: ["age"],
          additionalProperties: false
        }
      }
    })
    const old = translate(body, { ...claude, model: "claude-3-5-haiku-latest" })
    assert.deepInclude(old.body, {
      tools: [{ name: "structured_output", description: "Gives the answer.", input_schema: schema }],
      tool_choice: { type: "tool", name: "structured_output", disable_parallel_tool_use: true }
    })
    assert.strictEqual(old.reading.objectTool, "structured_output")
    assert.deepInclude(bodyOf(body, gemini).generationConfig, {
      responseMimeType: "application/json",
      responseJsonSchema: schema
    })
    const any = { ...user("hi"), response_format: { type: "json_object" } }
    assert.deepStrictEqual(bodyOf(any, gemini).generationConfig, { responseMimeType: "application/json" })
    assert.include(bodyOf(any, claude).system[0].text, "JSON object")
  })

  it("parameters have the provider's names, and null is none", () => {
    const body = {
      ...user("hi"),
      max_tokens: null,
      max_completion_tokens: 50,
      temperature: 1.6,
      top_p: 0.5,
      stop: "END",
      seed: 7,
      user: "u1",
      presence_penalty: 0.1
    }
    assert.deepInclude(bodyOf(body, claude), {
      max_tokens: 50,
      temperature: 1,
      top_p: 0.5,
      stop_sequences: ["END"],
      metadata: { user_id: "u1" }
    })
    assert.notProperty(bodyOf(body, claude), "seed")
    assert.deepStrictEqual(bodyOf(body, gemini).generationConfig, {
      maxOutputTokens: 50,
      temperature: 1.6,
      topP: 0.5,
      seed: 7,
      presencePenalty: 0.1,
      stopSequences: ["END"]
    })
  })

  it("Anthropic's required limit is all that the model can write", () => {
    assert.strictEqual(bodyOf(user("hi"), { ...claude, model: "claude-3-haiku-20240307" }).max_tokens, 4096)
  })

  it("an effort is thinking, where thoughts need not come back and the API allows it", () => {
    const body = { ...user("hi"), reasoning_effort: "medium", temperature: 0.3, max_tokens: 4000 }
    assert.deepInclude(bodyOf(body, claude), { thinking: { type: "enabled", budget_tokens: 2000 } })
    assert.notProperty(bodyOf(body, claude), "temperature")
    const afterTool = { ...talk, messages: talk.messages.slice(0, -1), reasoning_effort: "medium" }
    assert.notProperty(bodyOf(afterTool, claude), "thinking")
    assert.notProperty(bodyOf({ ...talk, tool_choice: "required", reasoning_effort: "high" }, claude), "thinking")
    assert.notProperty(bodyOf({ ...body, max_tokens: 500 }, claude), "thinking")
    assert.deepStrictEqual(bodyOf(body, gemini).generationConfig.thinkingConfig, {
      includeThoughts: true,
      thinkingBudget: 8192
    })
    assert.deepStrictEqual(bodyOf(body, { ...gemini, model: "gemini-3-pro" }).generationConfig.thinkingConfig, {
      includeThoughts: true,
      thinkingLevel: "MEDIUM"
    })
  })

  it("a signature of Google's goes back, and an id that was made up does not", () => {
    const call = {
      id: "call_gw_x_0",
      type: "function",
      function: { name: "f", arguments: "{}" },
      extra_content: { google: { thought_signature: "c2ln" } }
    }
    const body = {
      messages: [
        { role: "user", content: "hi" },
        { role: "assistant", tool_calls: [call] },
        { role: "tool", tool_call_id: "call_gw_x_0", content: "1" }
      ]
    }
    const { contents } = bodyOf(body, { ...gemini, model: "gemini-3-pro" })
    assert.deepStrictEqual(contents[1].parts, [{ functionCall: { name: "f", args: {} }, thoughtSignature: "c2ln" }])
    assert.deepStrictEqual(contents[2].parts, [{ functionResponse: { name: "f", response: { output: 1 } } }])
    const foreign = bodyOf(talk, { ...gemini, model: "gemini-3-pro" }).contents[1].parts
    assert.strictEqual(foreign[0].thoughtSignature, "skip_thought_signature_validator")
    assert.notProperty(foreign[1], "thoughtSignature")
  })

  it("marks for Anthropic's cache go along", () => {
    const cache_control = { type: "ephemeral" }
    const { messages } = bodyOf(user([{ type: "text", text: "long", cache_control }]), claude)
    assert.deepStrictEqual(messages[0].content, [{ type: "text", text: "long", cache_control }])
  })
})

describe("what is wrong with a body is said with its place, under 2019", () => {
  const wrongs: { readonly [name: string]: readonly [body: unknown, says: string] } = {
    "no messages": [{}, "'messages' must be a list of messages that is not empty, got nothing"],
    "no object": [7, "'messages' must be a list of messages that is not empty"],
    "only a system message": [{ messages: [{ role: "system", content: "x" }] }, "must hold a message of the user"],
    "an unknown role": [{ messages: [{ role: "god" }] }, "'messages[0].role' must be system, developer, user"],
    "a part of an unknown type": [user([{ type: "video" }]), "'messages[0].content[0].type' must be text, image_url"],
    "an image without address": [
      user([{ type: "image_url", image_url: {} }]),
      "'messages[0].content[0].image_url.url'"
    ],
    "a file of this machine": [
      user([{ type: "image_url", image_url: { url: "file:///etc/passwd" } }]),
      "'messages[0].content[0].image_url.url' must be an address"
    ],
    "a result of no call": [
      { messages: [{ role: "tool", tool_call_id: "c", content: "x" }] },
      "'messages[0].tool_call_id' must be the id of a call in a message before it, got \"c\""
    ],
    "arguments that are no JSON": [
      { messages: [{ role: "assistant", tool_calls: [{ id: "c", function: { name: "f", arguments: "{" } }] }] },
      "'messages[0].tool_calls[0].function.arguments' must be a JSON object"
    ],
    "a temperature": [{ ...user("hi"), temperature: 3 }, "'temperature' must be a number from 0 to 2, got 3"],
    "several answers": [{ ...user("hi"), n: 2 }, "'n' must be 1"],
    "a tool without name": [{ ...user("hi"), tools: [{ type: "function" }] }, "'tools[0]' must be of type function"],
    "a choice that is not offered": [
      { ...user("hi"), tools, tool_choice: { type: "function", function: { name: "nope" } } },
      "'tool_choice' must be auto"
    ],
    "a format": [{ ...user("hi"), response_format: { type: "xml" } }, "'response_format' must be of type text"]
  }
  for (const [name, [body, says]] of Object.entries(wrongs)) {
    it(name, () => {
      for (const target of [claude, gemini]) {
        assert.include(problem(body, target), "400 2019: Chat completion bad format: ")
        assert.include(problem(body, target), says)
      }
    })
  }

  it("arbitrary JSON is translated or refused, and never throws", () => {
    FastCheck.assert(
      FastCheck.property(
        FastCheck.jsonValue(),
        FastCheck.jsonValue(),
        FastCheck.jsonValue(),
        (content, call, extra) => {
          const messages = [
            { role: "user", content },
            { role: "assistant", content: extra, tool_calls: [call] },
            content
          ]
          for (const target of [claude, gemini]) {
            for (
              const body of [content, { messages }, { ...user("hi"), tools: content, tool_choice: call, stop: extra }]
            ) {
              const result = Compat.toProvider(body, target)
              if (Result.isFailure(result)) assert.strictEqual(result.failure.code, 2019)
            }
          }
        }
      ),
      { numRuns: 300 }
    )
  })
})

describe("our own client", () => {
  const toolkit = Toolkit.make(
    Tool.make("get_weather", {
      description: "The weather of a city",
      parameters: Schema.Struct({ city: Schema.String }),
      success: Schema.Struct({ celsius: Schema.Number })
    })
  )
  const handlers = toolkit.toLayer({ get_weather: () => Effect.succeed({ celsius: 1 }) })

  const sentBy = (options: GatewayModel.Options) => {
    const stub = StubTransport.make({ body: "{}", headers: { "content-type": "application/json" } })
    return Effect.gen(function*() {
      yield* LanguageModel.generateText({
        toolkit: yield* toolkit,
        prompt: [
          { role: "system", content: "Be brief." },
          {
            role: "user",
            content: [{ type: "text", text: "hi" }, { type: "file", mediaType: "image/png", data: png }]
          },
          {
            role: "assistant",
            content: [{
              type: "tool-call",
              id: "c1",
              name: "get_weather",
              params: { city: "Oslo" },
              providerExecuted: false
            }]
          },
          {
            role: "tool",
            content: [{ type: "tool-result", id: "c1", name: "get_weather", result: { celsius: 1 }, isFailure: false }]
          },
          { role: "user", content: "and?" }
        ]
      })
    }).pipe(
      Effect.ignore,
      Effect.provide([
        GatewayModel.layer(stub, { ...options, parameters: { maxTokens: 99, temperature: 0.5, stop: ["E"] } }),
        handlers
      ]),
      Effect.map(() => stub.sent[0]?.query)
    )
  }

  for (const target of [claude, gemini]) {
    it.effect(`says to ${target.provider} through the unified endpoint what it says directly`, () =>
      Effect.gen(function*() {
        const direct = yield* sentBy({ provider: target.provider as "anthropic", model: target.model })
        const unified = yield* sentBy({ provider: "compat", model: `${target.provider}/${target.model}` })
        assert.deepStrictEqual(plain(bodyOf(unified, target)), plain(direct))
      }))
  }
})

/** Without what is worth nothing: words for the default, a text for a list with one. */
const plain = (u: unknown): unknown =>
  JSON.parse(
    JSON.stringify(u, (key, value: unknown) => {
      if (
        key === "tool_choice" || key === "toolConfig" || key === "strict" || key === "additionalProperties"
      ) return undefined
      if ((key === "content" || key === "system") && typeof value === "string") return [{ type: "text", text: value }]
      if (key === "functionResponse" || key === "functionCall") {
        return Object.fromEntries(Object.entries(Object(value)).filter(([name]) => name !== "id"))
      }
      return value
    })
  )
