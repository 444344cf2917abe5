import { assert, describe, it } from "@effect/vitest"
import * as Result from "effect/Result"
import * as ModelName from "../../src/model/ModelName.ts"

const resolved = (model: string, provider?: string) =>
  Result.match(ModelName.resolve({ model, provider }), {
    onFailure: (error) => error.message,
    onSuccess: ({ model, provider }) => `${provider}: ${model}`
  })

describe("the model's name", () => {
  it("is a Workers AI id, provider/model, a dynamic route, or provider and model", () => {
    assert.strictEqual(resolved("@cf/meta/llama-3.1-8b-instruct"), "workers-ai: @cf/meta/llama-3.1-8b-instruct")
    assert.strictEqual(resolved("workers-ai/@cf/meta/llama"), "workers-ai: @cf/meta/llama")
    assert.strictEqual(resolved("anthropic/claude-sonnet-4-6"), "anthropic: claude-sonnet-4-6")
    assert.strictEqual(resolved("openrouter/meta/llama-3"), "openrouter: meta/llama-3")
    assert.strictEqual(resolved("dynamic/support"), "compat: dynamic/support")
    assert.strictEqual(resolved("custom-mine/some/model"), "custom-mine: some/model")
    assert.strictEqual(resolved("gpt-4o-mini", "openai"), "openai: gpt-4o-mini")
    assert.strictEqual(resolved("openai/gpt-4o", "compat"), "compat: openai/gpt-4o")
    assert.strictEqual(resolved("meta/llama", "custom-mine"), "custom-mine: meta/llama")
  })

  it("knows the names that providers have elsewhere", () => {
    assert.strictEqual(resolved("xai/grok-4"), "grok: grok-4")
    assert.strictEqual(resolved("google/gemini-2.5-flash"), "google-ai-studio: gemini-2.5-flash")
    assert.strictEqual(resolved("sonar", "perplexity"), "perplexity-ai: sonar")
  })

  it("says what is near when the provider is unknown", () => {
    assert.include(resolved("gpt-4o", "opena"), "near is openai")
    assert.include(resolved("antropic/claude"), "near is anthropic")
    assert.include(resolved("x", "zzzzzzzzzzzzzz"), "must name one of workers-ai, openai")
    assert.notInclude(resolved("x", "zzzzzzzzzzzzzz"), "near is")
    assert.include(resolved("x", "constructor"), "no provider")
    assert.include(resolved("x", "custom-"), "no provider")
  })

  it("must be given", () => {
    for (const model of ["", " ", "gpt-4o", "/gpt", "openai/"]) assert.include(resolved(model), "model")
  })
})
