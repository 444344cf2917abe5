/**
 * What holds for every wire format: the framing of an event stream means nothing, and no body makes up an answer.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as FastCheck from "fast-check"
import * as GatewayModel from "../../src/model/GatewayModel.ts"
import * as eventFrames from "../support/eventFrames.ts"
import {
  comparable,
  fixture,
  generateOf,
  type ModelLayer,
  type Outcome,
  sse,
  streamOf,
  summary
} from "../support/parts.ts"
import * as StubTransport from "../support/StubTransport.ts"

const modelOf = (options: GatewayModel.Options): ModelLayer => (stub) => GatewayModel.layer(stub, options)

interface Format {
  readonly name: string
  readonly layer: ModelLayer
  readonly folder: string
  /** Streams of events, one with text first. */
  readonly streams: ReadonlyArray<string>
  readonly whole: string
}

const formats: ReadonlyArray<Format> = [
  {
    name: "Workers AI, native",
    layer: modelOf({ model: "@cf/meta/llama-3.1-8b-instruct" }),
    folder: "workers-ai",
    streams: ["native-text.sse", "native-tool-incremental.sse"],
    whole: "native-text.json"
  },
  {
    name: "Workers AI, OpenAI-like",
    layer: modelOf({ model: "@cf/openai/gpt-oss-20b" }),
    folder: "workers-ai",
    streams: ["chat-text.sse", "chat-tools.sse", "chat-reasoning.sse"],
    whole: "chat-text.json"
  },
  {
    name: "OpenAI chat completions",
    layer: modelOf({ provider: "openai", model: "gpt-4o-mini" }),
    folder: "openai-chat",
    streams: ["text.sse", "tools.sse", "refusal.sse"],
    whole: "text.json"
  },
  {
    name: "OpenAI Responses",
    layer: modelOf({ provider: "openai", model: "gpt-5", api: "responses" }),
    folder: "openai-responses",
    streams: ["text.sse", "reasoning-tools.sse", "refusal.sse"],
    whole: "text.json"
  },
  {
    name: "Anthropic Messages",
    layer: modelOf({ provider: "anthropic", model: "claude-sonnet-4-5", parameters: { maxTokens: 99 } }),
    folder: "anthropic",
    streams: ["text.sse", "tools.sse", "thinking.sse"],
    whole: "text.json"
  },
  {
    name: "Google generateContent",
    layer: modelOf({ provider: "google-ai-studio", model: "gemini-2.5-flash" }),
    folder: "google",
    streams: ["text.sse", "tools.sse", "thoughts.sse"],
    whole: "text.json"
  },
  {
    name: "Cohere Chat",
    layer: modelOf({ provider: "cohere", model: "command-a-03-2025" }),
    folder: "cohere",
    streams: ["text.sse", "tools.sse", "thinking-citations.sse"],
    whole: "text.json"
  }
]

const bedrock = modelOf({ provider: "aws-bedrock", model: "us.amazon.nova-lite-v1:0" })

/** Ways to write the same events: what an event stream may have between and around them. */
const framings: { readonly [name: string]: (stream: string) => string } = {
  "lines that end with CRLF": (stream) => stream.replaceAll("\n", "\r\n"),
  "lines that end with CR": (stream) => stream.replaceAll("\n", "\r"),
  "a byte order mark": (stream) => `\uFEFF${stream}`,
  "comments": (stream) => `: ok\n\n${stream.replaceAll("\n\n", "\n: ping\n\n: keep-alive\n\n")}`,
  "retry and id lines": (stream) => `retry: 3000\n\n${stream.replaceAll("\ndata:", "\nid: 1\ndata:")}retry: 1\n\n`,
  "no space after the colon": (stream) => stream.replaceAll(/^(data|event): /gm, "$1:"),
  "no final newline": (stream) => stream.trimEnd(),
  "unknown fields": (stream) => stream.replaceAll("\ndata:", "\nx-unknown: 1\ndata:")
}

const textOf = ({ parts }: Outcome) => parts.map((part) => part.type === "text-delta" ? part.delta : "").join("")

for (const { folder, layer, name, streams, whole } of formats) {
  const options = { layer, withTools: true }
  describe(name, () => {
    it.effect("has the same parts however the events are framed and the bytes are cut", () =>
      Effect.gen(function*() {
        for (const file of streams) {
          const stream = `${fixture(file, folder).trimEnd()}\n\n`
          const expected = yield* streamOf(stream, options)
          assert.include(summary(expected).at(-1), "finish(", file)
          for (const [framing, write] of Object.entries(framings)) {
            const framed = write(stream)
            assert.notStrictEqual(framed, stream)
            for (const size of [1, 7, 4096]) {
              const outcome = yield* streamOf(StubTransport.split(framed, size), options)
              assert.strictEqual(comparable(outcome), comparable(expected), `${file}, ${framing}, by ${size}`)
            }
          }
        }
      }), 60_000)

    it.effect("reads an event of 1 MB", () =>
      Effect.gen(function*() {
        const stream = fixture(streams[0]!, folder)
        const first = (yield* streamOf(stream, { layer })).parts.find((part) => part.type === "text-delta")
        assert.isDefined(first)
        const long = "x".repeat(1 << 20)
        const at = stream.indexOf(JSON.stringify(first?.delta))
        const longer = stream.slice(0, at) + JSON.stringify(long) +
          stream.slice(at + JSON.stringify(first?.delta).length)
        const outcome = yield* streamOf(StubTransport.split(longer, 1024), { layer })
        summary(outcome)
        assert.isTrue(textOf(outcome).startsWith(long))
      }))

    it.effect("reads JSON where events were expected", () =>
      Effect.gen(function*() {
        const body = fixture(whole, folder)
        const [streamed, generated] = [yield* streamOf(body, options), yield* generateOf(body, options)]
        assert.isUndefined(streamed.failure)
        const text = generated.parts.map((part) => part.type === "text" ? part.text : "").join("")
        assert.isNotEmpty(text)
        assert.strictEqual(textOf(streamed), text)
      }))
  })
}

/** Bodies that are no answer, with what has to be quoted of them. */
const bodies: { readonly [name: string]: readonly [body: string, quoted?: string] } = {
  "nothing": [""],
  "white space": [" \n\n "],
  "an HTML page": ["<!DOCTYPE html><html><title>502 Bad Gateway</title></html>", "<!DOCTYPE html>"],
  "plain text": ["upstream connect error"],
  "an empty object": ["{}"],
  "an empty list": ["[]"],
  "null": ["null"],
  "broken JSON": ["{\"response\":\"Hel", "{\"response\""],
  "events of nothing": [sse({}, null, [], 7, "text")],
  "only the end": ["data: [DONE]\n\n"],
  "only comments": [": ping\n\n: ping\n\n"]
}

describe("no body makes up an answer", () => {
  for (const { layer, name } of [...formats, { name: "Bedrock Converse", layer: bedrock }]) {
    it.effect(`${name}: what is no answer is a failure, streamed and whole`, () =>
      Effect.gen(function*() {
        for (const [label, [body, quoted = ""]] of Object.entries(bodies)) {
          for (const outcome of [yield* streamOf(body, { layer }), yield* generateOf(body, { layer })]) {
            assert.isDefined(outcome.failure, label)
            assert.include(outcome.failure?.message, quoted, label)
            assert.deepStrictEqual(outcome.parts.filter((part) => part.type === "finish"), [], label)
          }
        }
      }))

    it.live(`${name}: arbitrary bytes neither crash, hang nor succeed`, () =>
      Effect.promise(() =>
        FastCheck.assert(
          FastCheck.asyncProperty(FastCheck.array(FastCheck.uint8Array({ maxLength: 40 })), async (reads) => {
            const outcome = await Effect.runPromise(streamOf(reads, { layer }))
            summary(outcome)
            assert.isDefined(outcome.failure)
          }),
          { numRuns: 100 }
        )
      ))
  }

  for (const { folder, layer, name, streams } of formats) {
    it.live(`${name}: a damaged stream has well-formed parts, or fails`, () =>
      Effect.promise(() => {
        const damaged = FastCheck.tuple(
          FastCheck.constantFrom(...streams),
          FastCheck.nat(),
          FastCheck.nat({ max: 60 }),
          FastCheck.uint8Array({ maxLength: 20 })
        )
        return FastCheck.assert(
          FastCheck.asyncProperty(damaged, async ([file, from, removed, added]) => {
            const bytes = new TextEncoder().encode(fixture(file, folder))
            const at = from % bytes.length
            const reads = [bytes.subarray(0, at), added, bytes.subarray(at + removed)]
            summary(await Effect.runPromise(streamOf(reads, { layer, withTools: true })))
          }),
          { numRuns: 200 }
        )
      }), 30_000)
  }

  it.live("Bedrock Converse: a damaged stream fails", () =>
    Effect.promise(() => {
      const bytes = eventFrames.concat(...eventFrames.recorded("text.jsonl"))
      return FastCheck.assert(
        FastCheck.asyncProperty(
          FastCheck.nat({ max: bytes.length - 1 }),
          FastCheck.integer({ min: 1, max: 255 }),
          async (at, flip) => {
            const damaged = Uint8Array.from(bytes)
            damaged[at] = damaged[at]! ^ flip
            const outcome = await Effect.runPromise(streamOf([damaged], { layer: bedrock }))
            summary(outcome)
            assert.isDefined(outcome.failure)
          }
        ),
        { numRuns: 200 }
      )
    }))
})
