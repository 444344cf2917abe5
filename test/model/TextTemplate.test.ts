import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as FastCheck from "fast-check"
import * as TextTemplate from "../../src/model/TextTemplate.ts"
import { sse, streamOf, summary } from "../support/parts.ts"

const event = (content: string, rest: object = {}) =>
  JSON.stringify({ id: "c", choices: [{ index: 0, delta: { content }, finish_reason: null }], ...rest })

const learned = () => {
  const template = TextTemplate.make()
  template.learn(event("Hello"), "content", "Hello")
  return template
}

describe("TextTemplate", () => {
  it("reads the text of an event that differs in nothing else", () => {
    const template = learned()
    for (const text of ["a", " world", "世界 🌍", "x".repeat(1000), "{}", ""]) {
      assert.strictEqual(template.match(event(text)), text)
    }
  })

  it("leaves every other event to the parser", () => {
    const template = learned()
    assert.isUndefined(TextTemplate.make().match(event("a")))
    assert.isUndefined(template.match(event("a", { usage: { prompt_tokens: 1 } })))
    assert.isUndefined(template.match(event("a\"b")))
    assert.isUndefined(template.match(event("a\\b")))
    assert.isUndefined(template.match(event("a\nb")))
    assert.isUndefined(template.match(event("a").replace("a", "a\nb")))
    assert.isUndefined(template.match(event("a").replace("\"a\"", "\"a\",\"tool_calls\":\"b\"")))
    assert.isUndefined(template.match(event("a").slice(0, -1)))
    assert.isUndefined(template.match("[DONE]"))
  })

  it("learns nothing from an event in which the text's place is not certain", () => {
    const template = TextTemplate.make()
    template.learn("{\"content\":\"a\",\"x\":{\"content\":\"a\"}}", "content", "a")
    assert.isUndefined(template.match("{\"content\":\"a\",\"x\":{\"content\":\"a\"}}"))
  })

  it.effect("changes no text of a stream", () =>
    Effect.gen(function*() {
      const samples = FastCheck.sample(
        FastCheck.array(
          FastCheck.oneof(FastCheck.string(), FastCheck.constantFrom("a", "\"", "\\", "\"content\":\"")),
          {
            minLength: 1,
            maxLength: 30
          }
        ),
        { numRuns: 200, seed: 5 }
      )
      for (const texts of samples) {
        const outcome = yield* streamOf(sse(...texts.map((text) => event(text)), event("", { finish_reason: "stop" })))
        const text = texts.join("")
        assert.deepStrictEqual(summary(outcome), [...(text === "" ? [] : [`text(${text})`]), "finish(stop)"])
      }
    }))
})
