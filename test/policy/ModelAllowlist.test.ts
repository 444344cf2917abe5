import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as fc from "fast-check"
import { fileURLToPath } from "node:url"
import { rolldown } from "rolldown"
import * as ModelName from "../../src/model/ModelName.ts"
import * as Providers from "../../src/model/Providers.ts"
import * as ModelAllowlist from "../../src/policy/ModelAllowlist.ts"

const allowlist = ModelAllowlist.make({
  openai: ["gpt-4o-mini", { prefix: "gpt-5" }],
  "workers-ai": [{ prefix: "@cf/meta/" }],
  google: ["gemini-2.5-flash"],
  compat: ["dynamic/support"],
  anthropic: []
})

describe("ModelAllowlist", () => {
  it("allows exact names and prefixes of their provider alone", () => {
    assert.isTrue(allowlist.isAllowed("openai", "gpt-4o-mini"))
    assert.isTrue(allowlist.isAllowed("openai", "gpt-5"))
    assert.isTrue(allowlist.isAllowed("openai", "gpt-5.1-codex"))
    assert.isTrue(allowlist.isAllowed("workers-ai", "@cf/meta/llama-3.1-8b-instruct"))
    for (
      const [provider, model] of [
        ["openai", "gpt-4o-mini-2024"],
        ["openai", "GPT-5"],
        ["openai", "xgpt-5"],
        ["openai", ""],
        ["groq", "gpt-5"],
        ["workers-ai", "@cf/qwen/qwq-32b"],
        ["OpenAI", "gpt-5"],
        ["", "gpt-5"]
      ] as const
    ) assert.isFalse(allowlist.isAllowed(provider, model), `${provider} ${model}`)
  })

  it("allows nothing of an unknown provider, an empty list, or an empty list of rules", () => {
    assert.isFalse(allowlist.isAllowed("mistral", "mistral-large"))
    assert.isFalse(allowlist.isAllowed("anthropic", "claude-sonnet-4-6"))
    assert.isFalse(ModelAllowlist.make({}).isAllowedModel("openai/gpt-5"))
  })

  it("never matches an empty prefix, an empty name, or a rule that is none", () => {
    const list = ModelAllowlist.make({
      openai: [{ prefix: "" }, ""],
      // As JSON that nobody checked.
      groq: [null, 1, {}, { prefix: 1 }] as unknown as ReadonlyArray<string>,
      mistral: "mistral-large" as unknown as ReadonlyArray<string>
    })
    for (const name of ["openai/gpt-5", "openai/", "groq/null", "groq/1", "mistral/m", "mistral/mistral-large"]) {
      assert.isFalse(list.isAllowedModel(name), name)
    }
    assert.deepStrictEqual(list.families, [])
  })

  it("allows no key of an object's prototype", () => {
    for (const key of ["constructor", "__proto__", "toString", "hasOwnProperty", "prototype"]) {
      assert.isFalse(allowlist.isAllowed(key, "name"), key)
      assert.isFalse(allowlist.isAllowed(key, "length"), key)
      assert.isFalse(allowlist.isAllowed("openai", key), key)
      assert.isFalse(allowlist.isAllowedModel(`${key}/${key}`), key)
    }
  })

  it("lets through a prefix only what ids consist of", () => {
    for (
      const model of [
        "gpt-5/../../v1/files",
        "gpt-5/..",
        "gpt-5/./a",
        "gpt-5?x=1",
        "gpt-5#a",
        "gpt-5%2e%2e",
        "gpt-5\\..",
        "gpt-5\n",
        "gpt-5 ",
        "gpt-5//a",
        "gpt-5/",
        "gpt-5é"
      ]
    ) assert.isFalse(allowlist.isAllowed("openai", model), JSON.stringify(model))
    const fineTuned = ModelAllowlist.make({ openai: [{ prefix: "ft:" }] })
    assert.isTrue(fineTuned.isAllowedModel("openai/ft:gpt-4o-mini-2024-07-18:acme::BcD3f"))
  })

  it("reads one name as client.model does", () => {
    assert.isTrue(allowlist.isAllowedModel("openai/gpt-4o-mini"))
    assert.isTrue(allowlist.isAllowedModel("@cf/meta/llama-3.1-8b-instruct"))
    assert.isTrue(allowlist.isAllowedModel("dynamic/support"))
    assert.isFalse(allowlist.isAllowedModel("dynamic/other"))
    assert.isTrue(allowlist.isAllowedModel("google-ai-studio/gemini-2.5-flash"))
    assert.isTrue(allowlist.isAllowedModel("gemini/gemini-2.5-flash"))
    for (const name of ["gpt-4o-mini", "/gpt-4o-mini", "openai/", "openai", "", "@cf/meta"]) {
      assert.isFalse(allowlist.isAllowedModel(name), name)
    }
  })

  it("knows every alias of the providers", () => {
    for (const [slug, provider] of Object.entries<Providers.Provider>(Providers.providers)) {
      const list = ModelAllowlist.make({ [slug]: ["m"] })
      for (const alias of provider.aliases ?? []) {
        assert.isTrue(list.isAllowedModel(`${alias}/m`), alias)
        assert.isTrue(ModelAllowlist.make({ [alias]: ["m"] }).isAllowed(slug, "m"), alias)
      }
    }
  })

  it("agrees with ModelName on every name that it allows", () => {
    const segment = fc.stringMatching(/^[\w.:@-]{1,8}$/)
    const name = fc.oneof(
      fc.tuple(fc.constantFrom(...Providers.slugs, "google", "xai", "custom-a"), segment).map((_) => _.join("/")),
      segment.map((_) => `@cf/meta/${_}`),
      fc.string()
    )
    fc.assert(fc.property(name, (name) => {
      const resolved = ModelName.resolve({ model: name })
      if (Result.isFailure(resolved)) return
      const { model, provider } = resolved.success
      const list = ModelAllowlist.make({ [provider]: [model] })
      assert.isTrue(list.isAllowedModel(name))
      assert.isTrue(list.isAllowed(provider, model))
      assert.isFalse(ModelAllowlist.make({ [provider]: [`${model}x`] }).isAllowedModel(name))
    }))
  })

  describe("decode", () => {
    const decode = Schema.decodeUnknownEffect(ModelAllowlist.decode(allowlist))

    it.effect("gives an allowed name as it came", () =>
      Effect.gen(function*() {
        assert.strictEqual(yield* decode("openai/gpt-5-mini"), "openai/gpt-5-mini")
      }))

    it.effect("names the allowed families in its error, whatever came", () =>
      Effect.gen(function*() {
        for (const input of ["openai/gpt-4", null, undefined, 1, {}, ["openai/gpt-5"], "__proto__"]) {
          const error = yield* Effect.flip(decode(input))
          for (const family of ["openai/gpt-4o-mini", "openai/gpt-5*", "@cf/meta/*", "dynamic/support"]) {
            assert.include(error.message, family)
          }
          assert.include(error.message, "google-ai-studio/gemini-2.5-flash")
        }
      }))

    it.effect("says of an empty list that it allows nothing", () =>
      Effect.gen(function*() {
        const empty = ModelAllowlist.decode(ModelAllowlist.make({}))
        assert.include(
          (yield* Effect.flip(Schema.decodeUnknownEffect(empty)("a/b"))).message,
          "none of which is allowed"
        )
      }))
  })

  it("costs a bundle nothing but itself", async () => {
    const file = fileURLToPath(new URL("../../src/policy/ModelAllowlist.ts", import.meta.url))
    const entry = "\0entry"
    const bundle = await rolldown({
      input: entry,
      plugins: [{
        name: "entry",
        resolveId: (id) => id === entry ? id : null,
        load: (id) =>
          id === entry
            ? `import * as ModelAllowlist from ${JSON.stringify(file)}
               export default (name) => ModelAllowlist.make({ openai: ["gpt-5"] }).isAllowedModel(name)`
            : null
      }]
    })
    const { output: [chunk] } = await bundle.generate({ minify: true })
    const modules = Object.entries(chunk.modules).flatMap(([id, { renderedLength }]) => renderedLength > 0 ? [id] : [])
    assert.deepStrictEqual(modules, [file, entry])
    assert.deepStrictEqual(chunk.imports, [])
    assert.isBelow(Buffer.byteLength(chunk.code), 2048)
  })
})
