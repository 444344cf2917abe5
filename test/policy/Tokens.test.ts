import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as AiError from "effect/unstable/ai/AiError"
import * as Prompt from "effect/unstable/ai/Prompt"
import * as Tokenizer from "effect/unstable/ai/Tokenizer"
import * as Tool from "effect/unstable/ai/Tool"
import * as Toolkit from "effect/unstable/ai/Toolkit"
import * as fc from "fast-check"
import * as o200k from "gpt-tokenizer/encoding/o200k_base"
import { readdirSync, readFileSync } from "node:fs"
import { contextWindows } from "../../src/model/contextWindows.ts"
import * as fileTokens from "../../src/policy/fileTokens.ts"
import * as Tokens from "../../src/policy/Tokens.ts"

const folder = new URL("../fixtures/tokens/", import.meta.url)
const textOf = (set: string, kind: string) => readFileSync(new URL(`${set}/${kind}.txt`, folder), "utf8")
type Counts = { readonly [kind: string]: { readonly [Family in Tokens.Family]: number } }
const reference: { readonly calibrate: Counts; readonly check: Counts } = JSON.parse(
  readFileSync(new URL("reference.json", folder), "utf8")
)
const families = ["openai", "anthropic", "gemini", "llama"] as const
const kinds = ["chinese", "code", "english", "german", "japanese", "json", "lists", "markdown"]

const tools = Toolkit.make(Tool.make("get_weather", {
  description: "The weather of a city, now and for the days that are asked for",
  parameters: Schema.Struct({ city: Schema.String, days: Schema.Int, unit: Schema.Literals(["celsius", "fahrenheit"]) })
}))

const png = (width: number, height: number) => {
  const bytes = new Uint8Array(64)
  const view = new DataView(bytes.buffer)
  view.setUint32(0, 0x89504e47)
  view.setUint32(16, width)
  view.setUint32(20, height)
  return bytes
}
const file = (mediaType: string, data: string | Uint8Array | URL) =>
  Prompt.make([{ role: "user", content: [{ type: "file", mediaType, data }] }])
const filesOf = (family: Tokens.Family, mediaType: string, data: string | Uint8Array | URL) =>
  Tokens.estimate(file(mediaType, data), { family }).files

describe("Tokens", () => {
  describe("the corpus", () => {
    it("has the texts that the reference counts, and OpenAI's counts are those of o200k_base", () => {
      for (const set of ["calibrate", "check"] as const) {
        const files = readdirSync(new URL(set, folder)).map((name) => name.replace(".txt", ""))
        assert.deepStrictEqual(files.sort(), Object.keys(reference[set]).sort())
        for (const kind of files) {
          assert.strictEqual(o200k.encode(textOf(set, kind)).length, reference[set][kind]?.openai, kind)
        }
      }
      assert.deepStrictEqual(Object.keys(reference.check).sort(), kinds)
    })

    for (const family of families) {
      it(`is estimated within a tenth for ${family}, each kind of text and all together`, () => {
        let [estimated, counted] = [0, 0]
        for (const kind of kinds) {
          const tokens = Tokens.ofText(textOf("check", kind), { family })
          const real = reference.check[kind]?.[family] ?? 0
          assert.isAtMost(Math.abs(tokens / real - 1), 0.1, `${kind}: ${tokens} of ${real}`)
          estimated += tokens
          counted += real
        }
        assert.isAtMost(Math.abs(estimated / counted - 1), 0.03, `${estimated} of ${counted}`)
      })
    }
  })

  describe("a text", () => {
    it("of no characters has no tokens, and of any others at least one", () => {
      assert.strictEqual(Tokens.ofText(""), 0)
      fc.assert(fc.property(fc.string({ minLength: 1 }), fc.constantFrom(...families), (text, family) => {
        assert.isAtLeast(Tokens.ofText(text, { family }), 1)
      }))
    })

    it("of twenty Japanese characters has far more than five", () => {
      const text = "今日はとても天気がいいので散歩に行きます"
      assert.strictEqual(text.length, 20)
      assert.approximately(Tokens.ofText(text), o200k.encode(text).length, 3)
    })

    it("in a script without spaces is not taken for one long word", () => {
      const thai = textOf("calibrate", "thai")
      assert.approximately(Tokens.ofText(thai) / o200k.encode(thai).length, 1, 0.15)
    })

    it("is counted by another tokenizer, if one is given", () => {
      assert.strictEqual(Tokens.ofText("any text", { count: (text) => text.length }), 8)
    })

    it("takes a time that grows with its length only", () => {
      for (const piece of [" ", "\n", "a", ". ", "漢", ";\n  "]) Tokens.ofText(piece.repeat(200_000 / piece.length))
    }, 10_000)
  })

  it("finds the family of a model by its name", () => {
    for (
      const [model, family] of [
        ["gpt-4o", "openai"],
        ["anthropic/claude-sonnet-4-6", "anthropic"],
        ["google-ai-studio/gemini-2.5-flash", "gemini"],
        ["@cf/google/gemma-3-12b-it", "gemini"],
        ["@cf/meta/llama-3.1-8b-instruct", "llama"],
        ["mistral-large", "openai"]
      ] as const
    ) assert.strictEqual(Tokens.familyOf(model), family)
    const text = textOf("check", "japanese")
    assert.strictEqual(Tokens.ofText(text, { model: "claude-opus-5" }), Tokens.ofText(text, { family: "anthropic" }))
    assert.strictEqual(
      Tokens.ofText(text, { model: "claude-opus-5", family: "gemini" }),
      Tokens.ofText(text, { family: "gemini" })
    )
  })

  describe("a prompt", () => {
    it("has its texts, thoughts, calls and results, and three tokens around each message", () => {
      const count = (text: string) => text.length
      const prompt = Prompt.make([
        { role: "system", content: "12" },
        { role: "user", content: "123" },
        {
          role: "assistant",
          content: [
            { type: "reasoning", text: "1234" },
            { type: "tool-call", id: "c", name: "f", params: { a: 1 }, providerExecuted: false }
          ]
        },
        { role: "tool", content: [{ type: "tool-result", id: "c", name: "f", isFailure: false, result: "12345" }] }
      ])
      const { messages, total } = Tokens.estimate(prompt, { count })
      assert.strictEqual(messages, 2 + 3 + 4 + 1 + 7 + 1 + 5 + 4 * 3 + 3)
      assert.strictEqual(total, messages)
      assert.strictEqual(Tokens.estimate(prompt, { count, family: "llama" }).messages, messages + 4 * 2 + 2)
      assert.strictEqual(Tokens.estimate([]).total, 0)
    })

    it("counts nothing for values that have no JSON", () => {
      const call = (params: unknown) =>
        Tokens.estimate([{
          role: "assistant",
          content: [{ type: "tool-call", id: "c", name: "f", params, providerExecuted: false }]
        }]).total
      assert.strictEqual(call({ large: 1n }), call(""))
    })

    it("has its tools as the model is told of them", () => {
      const tool = tools.tools.get_weather
      const told = JSON.stringify({
        name: "get_weather",
        description: Tool.getDescription(tool),
        parameters: Tool.getJsonSchema(tool)
      })
      const { total, messages, tools: estimated } = Tokens.estimate("hi", { toolkit: tools })
      assert.approximately(estimated / o200k.encode(told).length, 1, 0.1)
      assert.strictEqual(total, messages + estimated)
      assert.strictEqual(Tokens.estimate("hi", { toolkit: tools, family: "anthropic", count: () => 10 }).tools, 328)
      assert.strictEqual(Tokens.estimate("hi", { toolkit: Toolkit.empty, family: "anthropic" }).tools, 0)
    })

    it("has images by their size, as the providers' rules say", () => {
      for (
        const [width, height, openai, anthropic, gemini] of [
          // The examples of OpenAI's guide: 1024 by 1024 is 765, 2048 by 4096 is 1105.
          [1024, 1024, 765, 1399, 1032],
          [2048, 4096, 1105, 1600, 4644],
          [300, 200, 255, 80, 258]
        ] as const
      ) {
        const image = png(width, height)
        assert.strictEqual(filesOf("openai", "image/png", image), openai)
        assert.strictEqual(filesOf("anthropic", "image/png", image), anthropic)
        assert.strictEqual(filesOf("gemini", "image/png", image), gemini)
        assert.strictEqual(filesOf("openai", "image/png", Buffer.from(image).toString("base64")), openai)
      }
      const data = new URL(`data:image/png;base64,${Buffer.from(png(300, 200)).toString("base64")}`)
      assert.strictEqual(filesOf("openai", "image/png", data), 255)
      assert.strictEqual(filesOf("openai", "image/png", new URL("https://example.com/a.png")), 765)
      assert.strictEqual(filesOf("openai", "image/png", "no base64!"), 765)
    })

    it("reads the size of every common format", () => {
      const head = (...bytes: ReadonlyArray<number>) => Uint8Array.from([...bytes, ...Array<number>(40).fill(0)])
      const text = (text: string) => Array.from(text, (letter) => letter.charCodeAt(0))
      assert.deepStrictEqual(fileTokens.sizeOf(png(640, 480)), { width: 640, height: 480 })
      assert.deepStrictEqual(fileTokens.sizeOf(head(...text("GIF89a"), 0x80, 2, 0xe0, 1)), { width: 640, height: 480 })
      const segment = [0xff, 0xe0, 0, 4, 1, 2]
      assert.deepStrictEqual(
        fileTokens.sizeOf(head(0xff, 0xd8, ...segment, 0xff, 0xc2, 0, 17, 8, 1, 0xe0, 2, 0x80)),
        { width: 640, height: 480 }
      )
      const riff = (kind: string) => [...text("RIFF"), 0, 0, 0, 0, ...text("WEBP"), ...text(kind), 0, 0, 0, 0]
      assert.deepStrictEqual(
        fileTokens.sizeOf(head(...riff("VP8 "), 0, 0, 0, 0x9d, 1, 0x2a, 0x80, 2, 0xe0, 1)),
        { width: 640, height: 480 }
      )
      assert.deepStrictEqual(
        fileTokens.sizeOf(head(...riff("VP8X"), 0, 0, 0, 0, 0x7f, 2, 0, 0xdf, 1, 0)),
        { width: 640, height: 480 }
      )
      const lossless = 639 | 479 << 14
      assert.deepStrictEqual(
        fileTokens.sizeOf(
          head(...riff("VP8L"), 0x2f, lossless & 255, lossless >> 8 & 255, lossless >> 16 & 255, lossless >>> 24)
        ),
        { width: 640, height: 480 }
      )
      fc.assert(fc.property(fc.uint8Array({ maxLength: 80 }), (bytes) => {
        for (const start of [[], [0xff, 0xd8], text("RIFF")]) fileTokens.sizeOf(Uint8Array.from([...start, ...bytes]))
      }))
    })

    it("has documents by their text or pages, and says what it cannot count", () => {
      const text = "A text of some words"
      const bytes = new TextEncoder().encode(text)
      assert.strictEqual(filesOf("openai", "text/plain", bytes), Tokens.ofText(text))
      assert.strictEqual(
        filesOf("openai", "application/json", Buffer.from("{\"a\":1}").toString("base64")),
        Tokens.ofText("{\"a\":1}")
      )
      const pdf = new TextEncoder().encode("%PDF /Type /Pages /Type /Page /Type/Page >>")
      assert.strictEqual(filesOf("gemini", "application/pdf", pdf), 516)
      assert.strictEqual(filesOf("anthropic", "application/pdf", pdf), 4500)
      for (
        const [mediaType, data] of [["audio/wav", bytes], ["text/plain", new URL("https://example.com/a")]] as const
      ) {
        const { files, uncounted } = Tokens.estimate(file(mediaType, data))
        assert.deepStrictEqual([files, uncounted], [0, [mediaType]])
      }
      const counted = Tokens.estimate(file("audio/wav", bytes), { countFile: () => 42 })
      assert.deepStrictEqual([counted.files, counted.uncounted], [42, []])
    })
  })

  describe("fits", () => {
    const words = (count: number) => "word ".repeat(count)

    it.effect("says what is left beside the reserve and the margin", () =>
      Effect.gen(function*() {
        const count = () => 994
        const fit = yield* Tokens.fits("gpt-4", "hi", { count, reserve: 1000 })
        assert.deepStrictEqual(fit, { fits: true, tokens: 1000, window: 8192, left: 8192 - 1000 - 1100 })
        const exact = yield* Tokens.fits("gpt-4", "hi", { count, reserve: 7192, margin: 0 })
        assert.deepStrictEqual([exact.fits, exact.left], [true, 0])
        const none = yield* Tokens.fits("gpt-4", "hi", { count, reserve: 7193, margin: 0 })
        assert.deepStrictEqual([none.fits, none.left], [false, -1])
        assert.isFalse((yield* Tokens.fits("gpt-4", words(7500))).fits)
        assert.isTrue((yield* Tokens.fits("gpt-4o", words(7500))).fits)
      }))

    it.effect("fails for a model that it does not know, unless it is told the context", () =>
      Effect.gen(function*() {
        const error = yield* Effect.flip(Tokens.fits("my-model", "hi"))
        assert.instanceOf(error, Tokens.UnknownModel)
        assert.include(error.message, "\"my-model\"")
        assert.isTrue((yield* Tokens.fits("my-model", "hi", { window: 2000 })).fits)
      }))

    it.effect("fails for options out of their range, with their names", () =>
      Effect.gen(function*() {
        for (
          const [parameter, options] of [
            ["reserve", { reserve: -1 }],
            ["reserve", { reserve: 1.5 }],
            ["margin", { margin: 2 }],
            ["margin", { margin: NaN }],
            ["window", { window: -5 }]
          ] as const
        ) {
          const error = yield* Effect.flip(Tokens.fits("gpt-4", "hi", options))
          if (!AiError.isAiError(error) || error.reason._tag !== "InvalidRequestError") {
            return assert.fail(String(error))
          }
          assert.strictEqual(error.reason.parameter, parameter)
        }
      }))

    it("finds the context of a model by every name that it has", () => {
      const windowOf = (model: string) => Option.getOrUndefined(Tokens.contextWindow(model))?.window
      assert.strictEqual(windowOf("gpt-4o"), 128_000)
      assert.strictEqual(windowOf("gpt-4o-2024-08-06"), 128_000)
      assert.strictEqual(windowOf("openai/gpt-4o"), 128_000)
      assert.strictEqual(windowOf("azure/gpt-4o"), 128_000)
      assert.strictEqual(windowOf("claude-haiku-4-5-20251001"), 200_000)
      assert.strictEqual(windowOf("gemini/gemini-2.5-flash"), 1_048_576)
      assert.strictEqual(windowOf("@cf/meta/llama-3.3-70b-instruct-fp8-fast"), 24_000)
      for (const name of ["groq/gpt-4o", "constructor", "openai/constructor", "openai/", "", "x/gpt-4o", "gpt-4o-x"]) {
        assert.isUndefined(windowOf(name), name)
      }
    })

    it("has a source and a date for every window", () => {
      for (const { date, models, source } of Object.values(contextWindows)) {
        assert.match(source, /^https:\/\//)
        assert.match(date, /^\d{4}-\d{2}(-\d{2})?$/)
        for (const [model, [window, output]] of Object.entries(models)) {
          assert.isTrue(Number.isInteger(window) && window >= 4096, model)
          assert.isTrue(output === undefined || Number.isInteger(output) && output < window, model)
        }
      }
    })
  })

  describe("the Tokenizer", () => {
    const count = (text: string) => text.length
    const truncate = (prompt: Prompt.RawInput, tokens: number) =>
      Tokenizer.Tokenizer.use((tokenizer) => tokenizer.truncate(prompt, tokens)).pipe(
        Effect.provide(Tokens.layer({ count }))
      )
    const texts = (prompt: Prompt.Prompt) =>
      prompt.content.map(({ content, role }) =>
        `${role}: ${
          typeof content === "string"
            ? content
            : content.map((part) => part.type === "text" ? part.text : part.type).join()
        }`
      )
    const conversation: ReadonlyArray<Prompt.MessageEncoded> = [
      { role: "system", content: "rules" },
      { role: "user", content: "one" },
      { role: "assistant", content: "first" },
      { role: "user", content: "two" },
      {
        role: "assistant",
        content: [{ type: "tool-call", id: "c", name: "f", params: {}, providerExecuted: false }]
      },
      { role: "tool", content: [{ type: "tool-result", id: "c", name: "f", isFailure: false, result: "ok" }] },
      { role: "assistant", content: "second" },
      { role: "user", content: "three" }
    ]

    it.effect("counts what the estimate does", () =>
      Effect.gen(function*() {
        const tokenizer = yield* Tokenizer.Tokenizer
        const prompt = textOf("check", "english")
        const tokens = yield* tokenizer.tokenize(prompt)
        assert.strictEqual(tokens.length, Tokens.estimate(prompt, { family: "llama" }).total)
      }).pipe(Effect.provide(Tokens.layer({ model: "@cf/meta/llama-3.1-8b-instruct" }))))

    it.effect("keeps the system messages and the newest turns, each as a whole", () =>
      Effect.gen(function*() {
        // The answer 3, the rules 8, the newest turn 8, the one before it 6 + 6 + 6 + 9, the oldest 6 + 8.
        for (
          const [tokens, kept] of [
            [60, [
              "user: one",
              "assistant: first",
              "user: two",
              "assistant: tool-call",
              "tool: tool-result",
              "assistant: second",
              "user: three"
            ]],
            [59, ["user: two", "assistant: tool-call", "tool: tool-result", "assistant: second", "user: three"]],
            [46, ["user: two", "assistant: tool-call", "tool: tool-result", "assistant: second", "user: three"]],
            [45, ["user: three"]],
            [19, ["user: three"]]
          ] as const
        ) {
          assert.deepStrictEqual(
            texts(yield* truncate(conversation, tokens)),
            ["system: rules", ...kept],
            String(tokens)
          )
        }
      }))

    it.effect("fails where the newest turn has no room, instead of a prompt without a question", () =>
      Effect.gen(function*() {
        for (const tokens of [18, 0, -1, 1.5]) {
          const error = yield* Effect.flip(truncate(conversation, tokens))
          assert.isTrue(error.reason._tag === "InvalidRequestError" && error.reason.parameter === "tokens")
          if (tokens === 18) assert.include(error.message, "at least 19")
        }
      }))

    it.effect("leaves a prompt that has no turns as it is", () =>
      Effect.gen(function*() {
        assert.deepStrictEqual(texts(yield* truncate([], 0)), [])
        assert.deepStrictEqual(texts(yield* truncate([{ role: "system", content: "rules" }], 11)), ["system: rules"])
      }))

    it.effect("never goes over the budget, and never parts a result from its call", () =>
      Effect.promise(() =>
        fc.assert(fc.asyncProperty(
          fc.array(fc.tuple(fc.string({ maxLength: 12 }), fc.boolean()), { minLength: 1, maxLength: 6 }),
          fc.nat(200),
          async (turns, tokens) => {
            const prompt = Prompt.make(turns.flatMap(([text, hasTool], index): ReadonlyArray<Prompt.MessageEncoded> => [
              { role: "user", content: text },
              ...(hasTool
                ? [
                  {
                    role: "assistant" as const,
                    content: [{
                      type: "tool-call" as const,
                      id: `${index}`,
                      name: "f",
                      params: text,
                      providerExecuted: false
                    }]
                  },
                  {
                    role: "tool" as const,
                    content: [{
                      type: "tool-result" as const,
                      id: `${index}`,
                      name: "f",
                      isFailure: false,
                      result: text
                    }]
                  }
                ]
                : [])
            ]))
            const kept = await Effect.runPromise(Effect.option(truncate(prompt, tokens)))
            if (Option.isNone(kept)) return
            assert.isAtMost(Tokens.estimate(kept.value, { count }).total, tokens)
            assert.strictEqual(kept.value.content[0]?.role, "user")
            assert.deepStrictEqual(kept.value.content, prompt.content.slice(-kept.value.content.length))
          }
        ))
      ))
  })
})
