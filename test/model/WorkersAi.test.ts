import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { finishOf, fixture, generateOf, sse, streamOf, summary } from "../support/parts.ts"

const delta = (delta: unknown, finish_reason: string | null = null) => ({
  choices: [{ index: 0, delta, finish_reason }]
})
const call = (fragment: unknown) => delta({ tool_calls: [fragment] })
const done = "[DONE]"

interface Case {
  readonly claim: string
  readonly body: string
  readonly withTools?: boolean
  readonly parts: ReadonlyArray<string>
}

// Numbers in brackets are of the catalogue of edge cases the fixtures' README names.
const streams: ReadonlyArray<Case> = [
  {
    claim: "native text, with null, numbers and padding",
    body: fixture("native-text.sse"),
    parts: ["text(Hello, 世界 🌍42)", "finish(stop)"]
  },
  {
    claim: "byte order mark, comments, retry and CRLF",
    body: fixture("native-text-crlf.sse"),
    parts: ["text(Hello)", "finish(stop)"]
  },
  { claim: "OpenAI-like text", body: fixture("chat-text.sse"), parts: ["text(Hello)", "finish(stop)"] },
  {
    claim: "reasoning before text (RSN-01)",
    body: fixture("chat-reasoning.sse"),
    parts: ["reasoning(Okay,)", "text(A cow)", "finish(length)"]
  },
  {
    claim: "reasoning and text in one chunk (RSN-07)",
    body: sse(delta({ reasoning: "a", content: "x" }), delta({}, "stop"), done),
    parts: ["reasoning(a)", "text(x)", "finish(stop)"]
  },
  { claim: "mirrored text once (TXT-04)", body: fixture("chat-mirrored.sse"), parts: ["text(Hi!)", "finish(stop)"] },
  {
    claim: "an object as native response",
    body: sse({ response: { a: 1 } }, done),
    parts: ["text({\"a\":1})", "finish(stop)"]
  },
  {
    claim: "content as a list of parts (TXT-07)",
    body: sse(
      delta({ content: [{ type: "thinking", thinking: [{ type: "text", text: "hm" }] }] }),
      delta({ content: [{ type: "text", text: "Hi" }] }),
      delta({ content: "!" }, "stop")
    ),
    parts: ["reasoning(hm)", "text(Hi!)", "finish(stop)"]
  },
  {
    claim: "the choice of index 0 only",
    body: sse(
      { choices: [{ index: 1, delta: { content: "Z" } }, { index: 0, delta: { content: "A" } }] },
      { choices: [{ index: 1, delta: { content: "Z" } }] },
      delta({}, "stop")
    ),
    parts: ["text(A)", "finish(stop)"]
  },
  {
    claim: "content null, empty and missing (TXT-01)",
    body: sse(
      delta({ role: "assistant", content: null }),
      delta({ content: "" }),
      delta({ content: "A" }),
      { choices: [{ index: 0, finish_reason: "stop" }] },
      done
    ),
    parts: ["text(A)", "finish(stop)"]
  },
  {
    claim: "a finish reason without [DONE] (END-01)",
    body: sse(delta({ content: "Hi" }), delta({}, "stop")),
    parts: ["text(Hi)", "finish(stop)"]
  },
  {
    claim: "an unterminated last event (SSE-19)",
    body: sse(delta({ content: "Hi" })) + `data: ${JSON.stringify(delta({ content: "!" }, "stop"))}`,
    parts: ["text(Hi!)", "finish(stop)"]
  },
  { claim: "[DONE] alone (END-04)", body: sse(done), parts: ["ERROR(InvalidOutputError)"] },
  { claim: "empty text that is meant", body: sse({ response: "" }, done), parts: ["finish(stop)"] },
  {
    claim: "events that say nothing",
    body: sse({ foo: 1 }, null, 7, [], done),
    parts: ["ERROR(InvalidOutputError)"]
  },
  { claim: "an empty body (END-07)", body: "", parts: ["ERROR(NetworkError)"] },
  {
    claim: "a cut without finish reason",
    body: sse({ response: "Hi" }),
    parts: ["text(Hi)...", "ERROR(NetworkError)"]
  },
  {
    claim: "an event that is no JSON",
    body: sse({ response: "Hi" }, "{oops", { response: "!" }, done),
    parts: ["text(Hi)...", "ERROR(InvalidOutputError)"]
  },
  {
    claim: "an HTML page",
    body: "<!doctype html><title>502</title>",
    parts: ["ERROR(InvalidOutputError)"]
  },
  { claim: "JSON instead of a stream", body: fixture("native-text.json"), parts: ["text(Hello)", "finish(stop)"] },
  {
    claim: "JSON with a tool call instead of a stream (END-25)",
    body: fixture("chat-tool.json"),
    withTools: true,
    parts: [
      "params(call_1, get_weather, {\"city\":\"Oslo\"})",
      "call(call_1, get_weather, {\"city\":\"Oslo\"})",
      "finish(tool-calls)"
    ]
  },
  {
    claim: "an error event (END-10)",
    body: fixture("error-event.sse"),
    parts: ["text(par)...", "ERROR(InternalProviderError)"]
  },
  {
    claim: "an error beside a finish reason (END-13)",
    body: sse(delta({ content: "par" }), { ...delta({}, "error"), error: { code: 502, message: "gone" } }),
    parts: ["text(par)...", "ERROR(InternalProviderError)"]
  },
  {
    claim: "a rate limit inside a 200",
    body: sse({ error: { type: "rate_limit_exceeded", message: "slow down" } }),
    parts: ["ERROR(RateLimitError)"]
  },
  {
    claim: "a v4 envelope that failed inside a 200",
    body: fixture("envelope-failure.json"),
    parts: ["ERROR(RateLimitError)"]
  },
  {
    claim: "native tool calls in fragments with a null chunk (TOOL-07)",
    body: fixture("native-tool-incremental.sse"),
    withTools: true,
    parts: [
      "params(chatcmpl-tool-1, get_weather, {\"city\": \"Oslo\"})",
      "call(chatcmpl-tool-1, get_weather, {\"city\":\"Oslo\"})",
      "finish(tool-calls)"
    ]
  },
  {
    claim: "legacy calls without ids (TOOL-13)",
    body: fixture("native-tool-legacy.sse"),
    withTools: true,
    parts: [
      "params(*, get_weather, {\"city\":\"Oslo\"})",
      "call(*, get_weather, {\"city\":\"Oslo\"})",
      "params(*, get_weather, {\"city\":\"Rome\"})",
      "call(*, get_weather, {\"city\":\"Rome\"})",
      "finish(tool-calls)"
    ]
  },
  {
    claim: "two calls one after the other, and \"stop\"",
    body: fixture("chat-tools.sse"),
    withTools: true,
    parts: [
      "params(call_1, get_weather, {\"city\":\"Oslo\"})",
      "call(call_1, get_weather, {\"city\":\"Oslo\"})",
      "params(call_2, get_weather, {\"city\":\"Rome\"})",
      "call(call_2, get_weather, {\"city\":\"Rome\"})",
      "finish(tool-calls)"
    ]
  },
  {
    claim: "cumulative arguments (TOOL-04)",
    body: fixture("chat-tool-cumulative.sse"),
    withTools: true,
    parts: [
      "params(call_1, get_weather, {\"city\":\"Paris\"})",
      "call(call_1, get_weather, {\"city\":\"Paris\"})",
      "finish(tool-calls)"
    ]
  },
  {
    claim: "arguments of two calls in turns (TOOL-11)",
    body: sse(
      call({ index: 0, id: "a", function: { name: "f", arguments: "{\"x\":" } }),
      call({ index: 1, id: "b", function: { name: "g", arguments: "{\"y\":" } }),
      call({ index: 0, function: { arguments: "1}" } }),
      call({ index: 1, function: { arguments: "2}" } }),
      delta({}, "tool_calls"),
      done
    ),
    withTools: true,
    parts: [
      "params(a, f, {\"x\":1})",
      "params(b, g, {\"y\":2})",
      "call(a, f, {\"x\":1})",
      "call(b, g, {\"y\":2})",
      "finish(tool-calls)"
    ]
  },
  {
    claim: "two calls in one chunk (TOOL-10)",
    body: sse(
      delta({
        tool_calls: [
          { index: 0, id: "call_1", function: { name: "f", arguments: "{}" } },
          { index: 1, id: "call_2", function: { name: "g", arguments: "{\"y\":2}" } }
        ]
      }),
      delta({}, "tool_calls"),
      done
    ),
    withTools: true,
    parts: [
      "params(call_1, f, {})",
      "call(call_1, f, {})",
      "params(call_2, g, {\"y\":2})",
      "call(call_2, g, {\"y\":2})",
      "finish(tool-calls)"
    ]
  },
  {
    claim: "the same id in repeated frames as one call (TOOL-16)",
    body: sse(
      { response: "", tool_calls: [{ id: "call_X", name: "f", arguments: { a: 1 } }] },
      { response: "", tool_calls: [{ id: "call_X", name: "f", arguments: { a: 1 } }] },
      done
    ),
    withTools: true,
    parts: ["params(call_X, f, {\"a\":1})", "call(call_X, f, {\"a\":1})", "finish(tool-calls)"]
  },
  {
    claim: "an index that is used again under a new id (TOOL-23)",
    body: sse(
      call({ index: 0, id: "a", function: { name: "f", arguments: "{\"x\":1}" } }),
      call({ index: 0, id: "b", function: { name: "g", arguments: "{\"y\":2}" } }),
      delta({}, "tool_calls")
    ),
    withTools: true,
    parts: [
      "params(a, f, {\"x\":1})",
      "call(a, f, {\"x\":1})",
      "params(b, g, {\"y\":2})",
      "call(b, g, {\"y\":2})",
      "finish(tool-calls)"
    ]
  },
  {
    claim: "a name that comes late (TOOL-27)",
    body: sse(
      call({ index: 0, id: "a", function: { arguments: "{\"x\":" } }),
      call({ index: 0, function: { name: "f", arguments: "1}" } }),
      delta({}, "tool_calls")
    ),
    withTools: true,
    parts: ["params(a, f, {\"x\":1})", "call(a, f, {\"x\":1})", "finish(tool-calls)"]
  },
  {
    claim: "name and id on every fragment (TOOL-28)",
    body: sse(
      call({ index: 0, id: "c", function: { name: "f", arguments: "{\"a\":" } }),
      call({ index: 0, id: "c", function: { name: "f", arguments: "1}" } }),
      delta({}, "tool_calls")
    ),
    withTools: true,
    parts: ["params(c, f, {\"a\":1})", "call(c, f, {\"a\":1})", "finish(tool-calls)"]
  },
  {
    claim: "no argument text as no arguments (TOOL-25)",
    body: sse(call({ index: 0, id: "c", function: { name: "f", arguments: "" } }), delta({}, "tool_calls")),
    withTools: true,
    parts: ["params(c, f, )", "call(c, f, {})", "finish(tool-calls)"]
  },
  {
    claim: "text after a tool as a new block (TOOL-31)",
    body: sse(
      delta({ content: "A" }),
      call({ index: 0, id: "c", function: { name: "f", arguments: "{}" } }),
      delta({ content: "B" }),
      delta({}, "tool_calls"),
      done
    ),
    withTools: true,
    parts: ["text(A)", "params(c, f, {})", "call(c, f, {})", "text(B)", "finish(tool-calls)"]
  },
  {
    claim: "text as it comes although tools are offered (TXT-10)",
    body: sse({ response: "Hel" }, { response: "lo" }, done),
    withTools: true,
    parts: ["text(Hello)", "finish(stop)"]
  },
  {
    claim: "calls as JSON in native text (TOOL-19)",
    body: sse(
      { response: "[{\"name\":\"f\",\"parameters\":{\"a\":1}}," },
      { response: "{\"function\":{\"name\":\"g\",\"arguments\":\"{\\\"b\\\":2}\"}}]" },
      done
    ),
    withTools: true,
    parts: [
      "params(*, f, {\"a\":1})",
      "call(*, f, {\"a\":1})",
      "params(*, g, {\"b\":2})",
      "call(*, g, {\"b\":2})",
      "finish(tool-calls)"
    ]
  },
  {
    claim: "JSON that names no tool as text (TOOL-20)",
    body: sse({ response: "{\"name\":\"Bob\"," }, { response: "\"parameters\":{\"age\":3}}" }, done),
    withTools: true,
    parts: ["text({\"name\":\"Bob\",\"parameters\":{\"age\":3}})", "finish(stop)"]
  },
  {
    claim: "a call in native text that was cut as text",
    body: sse({ response: "{\"name\":\"f\",\"parameters\":{\"a\":1}}" }),
    withTools: true,
    parts: ["text({\"name\":\"f\",\"parameters\":{\"a\":1}})...", "ERROR(NetworkError)"]
  },
  {
    claim: "a call in native text that is also in its own field, once",
    body: sse({
      response: "{\"name\":\"f\",\"parameters\":{\"a\":1}}",
      tool_calls: [{ name: "f", arguments: { a: 1 } }]
    }, done),
    withTools: true,
    parts: ["params(*, f, {\"a\":1})", "call(*, f, {\"a\":1})", "finish(tool-calls)"]
  },
  {
    claim: "malformed arguments as a failure, never as {} (TOOL-26)",
    body: sse(call({ index: 0, id: "c", function: { name: "f", arguments: "{broken" } }), delta({}, "tool_calls")),
    withTools: true,
    parts: ["params(c, f, {broken)...", "ERROR(ToolParameterValidationError)"]
  },
  {
    claim: "arguments that reach for a prototype as a failure",
    body: sse(
      call({ index: 0, id: "c", function: { name: "f", arguments: "{\"__proto__\":{\"admin\":true}}" } }),
      delta({}, "tool_calls")
    ),
    withTools: true,
    parts: ["params(c, f, {\"__proto__\":{\"admin\":true}})...", "ERROR(ToolParameterValidationError)"]
  },
  {
    claim: "arguments cut by the token limit as no call",
    body: sse(call({ index: 0, id: "c", function: { name: "f", arguments: "{\"a\":" } }), delta({}, "length"), done),
    withTools: true,
    parts: ["params(c, f, {\"a\":)", "finish(length)"]
  },
  {
    claim: "a cut inside arguments as a failure without a call (END-28)",
    body: sse(call({ index: 0, id: "c", function: { name: "f", arguments: "{\"a\":" } })),
    withTools: true,
    parts: ["params(c, f, {\"a\":)...", "ERROR(NetworkError)"]
  },
  {
    claim: "arguments that go on after their end as a failure",
    body: sse(
      { tool_calls: [{ id: "a", name: "f", arguments: { a: 1 } }] },
      { tool_calls: [{ id: "a", name: "f", arguments: { b: 2 } }] },
      done
    ),
    withTools: true,
    parts: ["params(a, f, {\"a\":1})...", "ERROR(InvalidOutputError)"]
  },
  {
    claim: "a call without a name as a failure",
    body: sse(call({ index: 0, id: "c", function: { arguments: "{}" } }), delta({}, "tool_calls")),
    withTools: true,
    parts: ["ERROR(InvalidOutputError)"]
  },
  {
    claim: "a call of a tool that does not exist as a failure",
    body: sse(call({ index: 0, id: "c", function: { name: "nope", arguments: "{}" } }), delta({}, "tool_calls")),
    withTools: true,
    parts: ["ERROR(ToolNotFoundError)"]
  },
  {
    claim: "a call although no tools were offered as a failure",
    body: fixture("chat-tools.sse"),
    parts: ["ERROR(ToolNotFoundError)"]
  }
]

const wholes: ReadonlyArray<Case> = [
  { claim: "native text", body: fixture("native-text.json"), parts: ["text(Hello)", "finish(stop)"] },
  { claim: "the v4 envelope", body: fixture("envelope-text.json"), parts: ["text(Hello)", "finish(stop)"] },
  {
    claim: "an OpenAI-like answer",
    body: fixture("chat-text.json"),
    parts: ["reasoning(Greet.)", "text(Hello)", "finish(stop)"]
  },
  {
    claim: "an object as response",
    body: fixture("object.json"),
    parts: ["text({\"name\":\"Ada\",\"age\":36})", "finish(stop)"]
  },
  { claim: "a number as response", body: "{\"response\":7}", parts: ["text(7)", "finish(stop)"] },
  { claim: "empty text that is meant", body: "{\"response\":\"\"}", parts: ["finish(stop)"] },
  {
    claim: "a legacy tool call",
    body: fixture("native-tool.json"),
    withTools: true,
    parts: ["call(*, get_weather, {\"city\":\"Oslo\"})", "finish(tool-calls)"]
  },
  {
    claim: "an OpenAI-like tool call",
    body: fixture("chat-tool.json"),
    withTools: true,
    parts: ["call(call_1, get_weather, {\"city\":\"Oslo\"})", "finish(tool-calls)"]
  },
  {
    claim: "an empty result as a failure",
    body: "{\"result\":{},\"success\":true}",
    parts: ["ERROR(InvalidOutputError)"]
  },
  { claim: "null alone as a failure", body: "{\"response\":null}", parts: ["ERROR(InvalidOutputError)"] },
  { claim: "an empty body as a failure", body: "", parts: ["ERROR(InvalidOutputError)"] },
  { claim: "HTML as a failure", body: "<html>Bad gateway</html>", parts: ["ERROR(InvalidOutputError)"] },
  { claim: "JSON that is no answer as a failure", body: "[]", parts: ["ERROR(InvalidOutputError)"] },
  { claim: "success: false as a failure", body: fixture("envelope-failure.json"), parts: ["ERROR(RateLimitError)"] },
  {
    claim: "an error object as a failure",
    body: "{\"error\":{\"message\":\"no\"}}",
    parts: ["ERROR(InternalProviderError)"]
  },
  {
    claim: "malformed arguments as a failure",
    body: JSON.stringify({ tool_calls: [{ id: "c", function: { name: "f", arguments: "{broken" } }] }),
    withTools: true,
    parts: ["ERROR(ToolParameterValidationError)"]
  }
]

const finishReasons: ReadonlyArray<readonly [raw: string, finish: string]> = [
  ["stop", "finish(stop)"],
  ["eos", "finish(stop)"],
  ["length", "finish(length)"],
  ["max_tokens", "finish(length)"],
  ["model_length", "finish(length)"],
  ["tool_calls", "finish(tool-calls)"],
  ["function_call", "finish(tool-calls)"],
  ["content_filter", "finish(content-filter)"],
  ["unknown", "finish(unknown)"],
  ["weird_value", "finish(other)"],
  ["constructor", "finish(other)"],
  ["", "finish(stop)"],
  ["error", "ERROR(InternalProviderError)"]
]

describe("WorkersAi", () => {
  for (const { body, claim, parts, withTools } of streams) {
    it.effect(`streams ${claim}`, () =>
      Effect.gen(function*() {
        assert.deepStrictEqual(summary(yield* streamOf(body, { withTools })), parts)
      }))
  }

  for (const { body, claim, parts, withTools } of wholes) {
    it.effect(`reads ${claim}`, () =>
      Effect.gen(function*() {
        assert.deepStrictEqual(summary(yield* generateOf(body, { withTools })), parts)
      }))
  }

  for (const [raw, finish] of finishReasons) {
    it.effect(`ends "${raw}" with ${finish}`, () =>
      Effect.gen(function*() {
        const outcome = yield* streamOf(sse(delta({ content: "A" }), delta({}, raw), done))
        assert.strictEqual(summary(outcome).at(-1), finish)
      }))
  }

  it.effect("takes the last finish reason, and no null for one", () =>
    Effect.gen(function*() {
      const last = yield* streamOf(sse(delta({ content: "A" }, "stop"), delta({}, "length"), delta({}, null)))
      assert.strictEqual(finishOf(last).reason, "length")
      const native = yield* streamOf(sse({ response: "A" }, { finish_reason: "length" }))
      assert.strictEqual(finishOf(native).reason, "length")
    }))

  it.effect("counts cached and reasoning tokens", () =>
    Effect.gen(function*() {
      const { usage } = finishOf(yield* streamOf(fixture("chat-text.sse")))
      assert.deepStrictEqual({ ...usage.inputTokens }, {
        uncached: 20,
        total: 100,
        cacheRead: 80,
        cacheWrite: undefined
      })
      assert.deepStrictEqual({ ...usage.outputTokens }, { total: 5, text: 2, reasoning: 3 })
      const whole = finishOf(yield* generateOf(fixture("chat-text.json")))
      assert.deepStrictEqual(whole.usage, usage)
    }))

  it.effect("keeps usage when a terminator says zero, and knows none when none came", () =>
    Effect.gen(function*() {
      const kept = finishOf(yield* streamOf(fixture("native-text.sse")))
      assert.strictEqual(kept.usage.inputTokens.total, 9)
      assert.strictEqual(kept.usage.outputTokens.total, 2)
      const none = finishOf(yield* streamOf(sse({ response: "A" }, done)))
      assert.isUndefined(none.usage.inputTokens.total)
      assert.isUndefined(none.usage.outputTokens.total)
    }))

  it.effect("survives counts that are no integers (USE-10)", () =>
    Effect.gen(function*() {
      const usage = { prompt_tokens: 7, completion_tokens: 2.5 }
      const finish = finishOf(yield* streamOf(sse({ ...delta({ content: "A" }, "stop"), usage })))
      assert.strictEqual(finish.usage.inputTokens.total, 7)
      assert.isUndefined(finish.usage.outputTokens.total)
    }))

  it.effect("names what was missing, and quotes what came instead", () =>
    Effect.gen(function*() {
      const empty = (yield* generateOf("{\"result\":{},\"success\":true}")).failure
      assert.include(empty?.message, "`response`")
      const html = (yield* generateOf("<html>Bad gateway</html>")).failure
      assert.include(html?.message, "<html>Bad gateway")
    }))

  it.effect("stays linear in the number of tool calls", () =>
    Effect.gen(function*() {
      const calls = Array.from(
        { length: 4000 },
        (_, index) => call({ index, id: `c${index}`, function: { name: "f", arguments: "{\"a\":1}" } })
      )
      const outcome = yield* streamOf(sse(...calls, delta({}, "tool_calls"), done), { withTools: true })
      assert.strictEqual(outcome.parts.filter((part) => part.type === "tool-call").length, 4000)
    }))
})
