import { assert, describe, it } from "@effect/vitest"
import * as Config from "effect/Config"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as Stream from "effect/Stream"
import * as LanguageModel from "effect/unstable/ai/LanguageModel"
import { inspect } from "node:util"
import type { Step } from "../../src/client/Transport.ts"
import * as GatewayModel from "../../src/model/GatewayModel.ts"
import * as Parameters from "../../src/model/Parameters.ts"
import * as Providers from "../../src/model/Providers.ts"
import * as StubTransport from "../support/StubTransport.ts"

const key = "sk-very-secret-0123456789"
const apiKey = Redacted.make(key)

/** What a model sends for one short prompt; the answer does not matter. */
const sent = (options: GatewayModel.Options): Effect.Effect<Step> =>
  Effect.gen(function*() {
    const stub = StubTransport.make({ body: "{}", status: 500 })
    yield* Effect.flip(
      LanguageModel.generateText({ prompt: "hi" }).pipe(Effect.provide(GatewayModel.layer(stub, options)))
    )
    assert.strictEqual(stub.sent.length, 1)
    return stub.sent[0]!
  }).pipe(Effect.orDie)

const refused = (options: GatewayModel.Options) =>
  Effect.gen(function*() {
    const stub = StubTransport.make({ body: "{}" })
    const model = GatewayModel.layer(stub, options)
    const error = yield* Effect.flip(LanguageModel.generateText({ prompt: "hi" }).pipe(Effect.provide(model)))
    const streamed = yield* Effect.flip(
      LanguageModel.streamText({ prompt: "hi" }).pipe(Stream.provide(model), Stream.runDrain)
    )
    assert.isEmpty(stub.sent, "nothing was sent")
    assert.strictEqual(error.reason._tag, streamed.reason._tag)
    return `${error.reason._tag}: ${error.message}`
  })

describe("client.model", () => {
  const paths: ReadonlyArray<readonly [GatewayModel.Options, string]> = [
    [{ model: "@cf/meta/llama-3.1-8b-instruct" }, "workers-ai/@cf/meta/llama-3.1-8b-instruct"],
    [{ provider: "openai", model: "gpt-4o-mini", apiKey }, "openai/chat/completions"],
    [{ provider: "openai", api: "responses", model: "gpt-5", apiKey }, "openai/responses"],
    [{ provider: "anthropic", model: "claude-sonnet-4-6", apiKey }, "anthropic/v1/messages"],
    [
      { provider: "google-ai-studio", model: "gemini-2.5-flash", apiKey },
      "google-ai-studio/v1beta/models/gemini-2.5-flash:generateContent"
    ],
    [{ provider: "groq", model: "llama-3.3-70b-versatile", apiKey }, "groq/chat/completions"],
    [{ provider: "mistral", model: "mistral-large-latest", apiKey }, "mistral/v1/chat/completions"],
    [
      { provider: "azure-openai", model: "my-resource/my-deployment", apiKey },
      "azure-openai/my-resource/my-deployment/chat/completions?api-version=2024-10-21"
    ],
    [
      { provider: "aws-bedrock", model: "amazon.nova-lite-v1:0", region: "eu-central-1", apiKey },
      "aws-bedrock/bedrock-runtime/eu-central-1/model/amazon.nova-lite-v1%3A0/converse"
    ],
    [
      { model: "bedrock/amazon.nova-lite-v1:0" },
      "aws-bedrock/bedrock-runtime/us-east-1/model/amazon.nova-lite-v1%3A0/converse"
    ],
    [{ model: "anthropic/claude-sonnet-4-6", apiKey }, "anthropic/v1/messages"],
    [{ model: "dynamic/support" }, "compat/chat/completions"],
    [{ provider: "compat", model: "openai/gpt-4o", apiKey }, "compat/chat/completions"],
    [{ provider: "custom-mine", model: "llama" }, "custom-mine/v1/chat/completions"]
  ]
  for (const [options, path] of paths) {
    it.effect(`sends ${options.provider ?? ""} ${options.model} to ${path}`, () =>
      Effect.gen(function*() {
        const { endpoint, provider } = yield* sent(options)
        assert.strictEqual(`${provider}/${endpoint}`, path)
      }))
  }

  it.effect("puts each provider's key where the provider looks, and nowhere else", () =>
    Effect.gen(function*() {
      for (const slug of Providers.slugs) {
        if (slug === "google-vertex-ai") continue // needs its project and location, see the codec's tests
        const step = yield* sent({ provider: slug, model: "some/model", apiKey } as GatewayModel.Options)
        const { name, scheme } = Providers.providers[slug].key as Providers.KeyHeader
        const header = step.headers?.[name]
        assert.isTrue(
          Redacted.isRedacted(header) && Redacted.value(header) === (scheme === undefined ? key : `${scheme} ${key}`),
          slug
        )
        assert.notInclude(inspect(step, { depth: 10 }) + JSON.stringify(step), key)
      }
    }))

  it.effect("sends no key where the gateway has it", () =>
    Effect.gen(function*() {
      const step = yield* sent({ provider: "openai", model: "gpt-4o-mini" })
      assert.notProperty(step.headers ?? {}, "authorization")
    }))

  it.effect("takes a key from a Config or an Effect, for each request anew", () =>
    Effect.gen(function*() {
      let asked = 0
      const fresh = Effect.sync(() => Redacted.make(`key-${++asked}-0123456789`))
      yield* sent({ provider: "openai", model: "m", apiKey: fresh })
      const second = yield* sent({ provider: "openai", model: "m", apiKey: fresh })
      const header = second.headers?.["authorization"]
      assert.isTrue(Redacted.isRedacted(header) && Redacted.value(header) === "Bearer key-2-0123456789")

      const step = yield* sent({ provider: "anthropic", model: "m", apiKey: Config.Redacted("KEY") }).pipe(
        Effect.provide(ConfigProvider.layer(ConfigProvider.fromUnknown({ KEY: key })))
      )
      assert.property(step.headers, "x-api-key")
    }))

  it.effect("refuses a key that cannot be had, without saying what it is", () =>
    Effect.gen(function*() {
      const failing = yield* refused({
        provider: "openai",
        model: "m",
        apiKey: Effect.fail(new Error(`vault of ${key} is closed`))
      })
      assert.include(failing, "AuthenticationError")
      assert.notInclude(failing, key)
      assert.include(yield* refused({ provider: "openai", model: "m", apiKey: Redacted.make(" ") }), "empty")
      assert.include(
        yield* refused({ provider: "openai", model: "m", apiKey: Config.Redacted("NO_SUCH_KEY") }),
        "AuthenticationError"
      )
    }))

  it.effect("refuses a provider that does not exist before anything is sent, and names what is near", () =>
    Effect.gen(function*() {
      // @ts-expect-error there is no such provider
      const wrong: GatewayModel.Options = { provider: "antropic", model: "claude" }
      assert.include(yield* refused(wrong), "near is anthropic")
      assert.include(yield* refused({ model: "opnai/gpt-4o" }), "InvalidRequestError")
      assert.include(yield* refused({ model: "gpt-4o" }), "provider/model")
    }))

  it.effect("passes on what only one provider has, over everything else", () =>
    Effect.gen(function*() {
      const step = yield* sent({
        provider: "openai",
        model: "gpt-4o-mini",
        parameters: { temperature: 0.5 },
        providerOptions: { parallel_tool_calls: false, service_tier: "flex" }
      })
      assert.deepInclude(step.query, { temperature: 0.5, parallel_tool_calls: false, service_tier: "flex" })
    }))

  it.effect("refuses a parameter that the provider does not know", () =>
    Effect.gen(function*() {
      const said = yield* refused({ provider: "anthropic", model: "claude-sonnet-4-6", parameters: { seed: 7 } })
      assert.include(said, "InvalidRequestError")
      assert.include(said, "seed")
      const around = yield* Parameters.withParameters(
        refused({ provider: "anthropic", model: "claude-sonnet-4-6" }),
        { frequencyPenalty: 1 }
      )
      assert.include(around, "frequencyPenalty")
    }))
})
