import { assert, describe, it } from "@effect/vitest"
import * as Config from "effect/Config"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as EmbeddingModel from "effect/unstable/ai/EmbeddingModel"
import type { Step } from "../../src/client/Transport.ts"
import * as GatewayEmbeddingModel from "../../src/model/EmbeddingModel.ts"
import * as StubTransport from "../support/StubTransport.ts"

const query = (step: Step) => step.query as { readonly [name: string]: unknown }
const vectorOf = (text: unknown) => [String(text).length, 1, 2]

/** Answers as each provider does, from the texts in the request. */
const answers = {
  "workers-ai": (step: Step) => {
    const texts = query(step)["text"] as ReadonlyArray<string>
    return { result: { shape: [texts.length, 3], data: texts.map(vectorOf) }, success: true, errors: [], messages: [] }
  },
  openai: (step: Step) => {
    const texts = query(step)["input"] as ReadonlyArray<string>
    const data = texts.map((text, index) => ({ object: "embedding", index, embedding: vectorOf(text) }))
    // Nothing promises the order: the index does.
    return { data: data.toReversed(), usage: { prompt_tokens: texts.length, total_tokens: texts.length } }
  },
  google: (step: Step) => ({
    embeddings: (query(step)["requests"] as ReadonlyArray<{ content: { parts: [{ text: string }] } }>)
      .map(({ content }) => ({ values: vectorOf(content.parts[0].text) }))
  }),
  cohere: (step: Step) => ({
    embeddings: { float: (query(step)["texts"] as ReadonlyArray<string>).map(vectorOf) },
    meta: { billed_units: { input_tokens: 7 } }
  })
}

const embed = (
  answer: (step: Step) => unknown,
  options: GatewayEmbeddingModel.Options,
  inputs: ReadonlyArray<string> = ["a", "bb"]
) => {
  const stub = StubTransport.make((step) => ({
    body: JSON.stringify(answer(step)),
    headers: { "content-type": "application/json" }
  }))
  return {
    stub,
    result: Effect.flatMap(EmbeddingModel.EmbeddingModel, (model) => model.embedMany(inputs)).pipe(
      Effect.provide(GatewayEmbeddingModel.layer(stub, options))
    )
  }
}

describe("EmbeddingModel", () => {
  const cases: ReadonlyArray<readonly [keyof typeof answers, GatewayEmbeddingModel.Options, string, unknown]> = [
    [
      "workers-ai",
      { model: "@cf/baai/bge-base-en-v1.5", dimensions: 3 },
      "workers-ai/@cf/baai/bge-base-en-v1.5",
      { text: ["a", "bb"] }
    ],
    [
      "openai",
      { provider: "openai", model: "text-embedding-3-small", dimensions: 3 },
      "openai/embeddings",
      { model: "text-embedding-3-small", input: ["a", "bb"], encoding_format: "float", dimensions: 3 }
    ],
    [
      "openai",
      { model: "mistral/codestral-embed", dimensions: 3 },
      "mistral/v1/embeddings",
      { model: "codestral-embed", input: ["a", "bb"], encoding_format: "float", output_dimension: 3 }
    ],
    [
      "openai",
      { provider: "openai", model: "text-embedding-ada-002", dimensions: 3 },
      "openai/embeddings",
      { model: "text-embedding-ada-002", input: ["a", "bb"], encoding_format: "float" }
    ],
    [
      "openai",
      { provider: "custom-mine", model: "e5", dimensions: 3, providerOptions: { user: "u" } },
      "custom-mine/v1/embeddings",
      { model: "e5", input: ["a", "bb"], encoding_format: "float", dimensions: 3, user: "u" }
    ],
    [
      "google",
      { model: "google-ai-studio/gemini-embedding-001", dimensions: 3 },
      "google-ai-studio/v1beta/models/gemini-embedding-001:batchEmbedContents",
      {
        requests: ["a", "bb"].map((text) => ({
          model: "models/gemini-embedding-001",
          content: { parts: [{ text }] },
          outputDimensionality: 3
        }))
      }
    ],
    [
      "cohere",
      { model: "cohere/embed-v4.0", dimensions: 3 },
      "cohere/v2/embed",
      {
        model: "embed-v4.0",
        texts: ["a", "bb"],
        input_type: "search_document",
        embedding_types: ["float"],
        output_dimension: 3
      }
    ]
  ]
  for (const [wire, options, path, body] of cases) {
    it.effect(`embeds with ${options.provider ?? ""} ${options.model}, in the order of the inputs`, () =>
      Effect.gen(function*() {
        const { result, stub } = embed(answers[wire], options)
        const response = yield* result
        assert.deepStrictEqual(response.embeddings.map(({ vector }) => vector), [[1, 1, 2], [2, 1, 2]])
        const [step] = stub.sent
        assert.strictEqual(`${step!.provider}/${step!.endpoint}`, path)
        assert.deepStrictEqual(step!.query, body)
      }))
  }

  it.effect("sends batches of the provider's size and adds up what they took", () =>
    Effect.gen(function*() {
      const inputs = Array.from({ length: 205 }, (_, i) => "x".repeat(i + 1))
      const { result, stub } = embed(answers.cohere, { model: "cohere/embed-v4.0", dimensions: 3 }, inputs)
      const { embeddings, usage } = yield* result
      assert.deepStrictEqual(embeddings.map(({ vector }) => vector[0]), inputs.map((text) => text.length))
      assert.deepStrictEqual(stub.sent.map((step) => (query(step)["texts"] as ReadonlyArray<string>).length), [
        96,
        96,
        13
      ])
      assert.strictEqual(usage.inputTokens, 21)
    }))

  it.effect("makes one request of concurrent single ones, and gives the declared dimensions", () =>
    Effect.gen(function*() {
      const stub = StubTransport.make((step) => ({ body: JSON.stringify(answers.openai(step)) }))
      const program = Effect.gen(function*() {
        const model = yield* EmbeddingModel.EmbeddingModel
        const found = yield* Effect.forEach(["a", "bb", "ccc"], model.embed, { concurrency: "unbounded" })
        return [found.map(({ vector }) => vector[0]), yield* EmbeddingModel.Dimensions]
      })
      const result = yield* program.pipe(
        Effect.provide(GatewayEmbeddingModel.layer(stub, { model: "openai/text-embedding-3-small", dimensions: 3 }))
      )
      assert.deepStrictEqual(result, [[1, 2, 3], 3])
      assert.strictEqual(stub.sent.length, 1)
    }))

  it.effect("takes a key as it is, from a Config or from an Effect, and puts it where the provider looks", () =>
    Effect.gen(function*() {
      const key = Redacted.make("sk-secret")
      const config = ConfigProvider.layer(ConfigProvider.fromUnknown({ KEY: "sk-secret" }))
      for (const apiKey of [key, Effect.succeed(key), Config.Redacted("KEY")]) {
        const { result, stub } = embed(answers.openai, { model: "openai/e", dimensions: 3, apiKey })
        yield* Effect.provide(result, config)
        const header = stub.sent[0]!.headers!["authorization"]
        assert.isTrue(Redacted.isRedacted(header) && Redacted.value(header) === "Bearer sk-secret")
      }
      const google = embed(answers.google, { model: "google/e", dimensions: 3, apiKey: key })
      yield* google.result
      assert.hasAllKeys(google.stub.sent[0]!.headers, ["x-goog-api-key"])
    }))

  it.effect("fails with what is wrong, never with fewer or other vectors", () =>
    Effect.gen(function*() {
      const options = { model: "openai/text-embedding-3-small", dimensions: 3 } as const
      const failure = (answer: unknown, given: GatewayEmbeddingModel.Options = options) =>
        Effect.map(Effect.flip(embed(() => answer, given).result), (error) => `${error.reason._tag}: ${error.message}`)
      const data = (...vectors: ReadonlyArray<unknown>) => ({
        data: vectors.map((embedding, index) => ({ index, embedding }))
      })
      assert.include(yield* failure(data([1, 2, 3])), "InvalidOutputError")
      assert.include(yield* failure(data([1, 2], [1, 2])), "2 dimensions")
      assert.include(yield* failure(data([1, 2, 3], [1, null, 3])), "no list of numbers")
      assert.include(yield* failure({}), "no embeddings")
      assert.include(yield* failure({ error: { message: "quota", code: "insufficient_quota" } }), "QuotaExhausted")
      assert.include(yield* failure({}, { model: "anthropic/x", dimensions: 3 }), "has no embeddings here")
      assert.include(yield* failure({}, { model: "opena/x", dimensions: 3 }), "near is openai")
      assert.include(yield* failure({}, { model: "openai/x", dimensions: 0 }), "dimensions")
      assert.include(
        yield* failure({}, { model: "openai/x", dimensions: 3, apiKey: Effect.fail("no vault") }),
        "AuthenticationError"
      )
    }))
})
