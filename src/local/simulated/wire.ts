/**
 * How the simulated model's answers travel: Workers AI's native shape and OpenAI's chat completions, whole or as
 * server-sent events. Source: the wire reference, sections 1.7, 10.1 and 10.6.
 *
 * @since 0.1.0
 */
import type { Answer } from "./SimulatedModel.ts"

/**
 * Facts about one answer that its shapes carry.
 *
 * @category models
 * @since 0.1.0
 */
export interface Facts {
  readonly id: string
  readonly model: string
  /** Seconds since the epoch. */
  readonly created: number
}

/**
 * The native shape: `{ response, tool_calls?, usage }`.
 *
 * @category encoding
 * @since 0.1.0
 */
export const native = (answer: Answer): unknown => ({
  // JSON mode answers the value itself, as Cloudflare does.
  response: answer.value ?? answer.text,
  ...(answer.calls.length === 0 ? {} : { tool_calls: answer.calls }),
  ...(answer.finishReason === "length" ? { finish_reason: "length" } : {}),
  usage: answer.usage
})

/**
 * The native shape as events: text in `response`, finished tool calls in one chunk, usage last.
 *
 * @category encoding
 * @since 0.1.0
 */
export const nativeEvents = (answer: Answer): ReadonlyArray<string> => [
  ...pieces(answer.text).map((response, i) => event({ response, p: padding(i) })),
  ...(answer.calls.length === 0 ? [] : [event({ response: "", tool_calls: answer.calls })]),
  event({
    response: "",
    ...(answer.finishReason === "length" ? { finish_reason: "length" } : {}),
    usage: answer.usage
  }),
  done
]

/**
 * OpenAI's chat completion.
 *
 * @category encoding
 * @since 0.1.0
 */
export const openAi = (answer: Answer, facts: Facts): unknown => ({
  id: `chatcmpl-${facts.id}`,
  object: "chat.completion",
  created: facts.created,
  model: facts.model,
  choices: [{
    index: 0,
    message: {
      role: "assistant",
      content: answer.calls.length === 0 ? answer.text : null,
      ...(answer.calls.length === 0 ? {} : {
        tool_calls: answer.calls.map((call, i) => ({
          id: callId(facts, i),
          type: "function",
          function: { name: call.name, arguments: JSON.stringify(call.arguments) }
        }))
      })
    },
    logprobs: null,
    finish_reason: answer.finishReason
  }],
  usage: answer.usage
})

/**
 * OpenAI's chat completion as events: tool calls in fragments, usage in a last chunk without choices.
 *
 * @category encoding
 * @since 0.1.0
 */
export const openAiEvents = (answer: Answer, facts: Facts, includeUsage: boolean): ReadonlyArray<string> => {
  const chunk = (choices: ReadonlyArray<unknown>, usage: unknown) =>
    event({
      id: `chatcmpl-${facts.id}`,
      object: "chat.completion.chunk",
      created: facts.created,
      model: facts.model,
      choices,
      ...(includeUsage ? { usage } : {})
    })
  const delta = (delta: unknown, finishReason: string | null = null) =>
    chunk([{ index: 0, delta, logprobs: null, finish_reason: finishReason }], null)
  return [
    delta({ role: "assistant", content: answer.calls.length === 0 ? "" : null }),
    ...pieces(answer.text).map((content) => delta({ content })),
    ...answer.calls.flatMap((call, index) => [
      delta({
        tool_calls: [{
          index,
          id: callId(facts, index),
          type: "function",
          function: { name: call.name, arguments: "" }
        }]
      }),
      ...fragments(JSON.stringify(call.arguments)).map((text) =>
        delta({ tool_calls: [{ index, function: { arguments: text } }] })
      )
    ]),
    delta({}, answer.finishReason),
    ...(includeUsage ? [chunk([], answer.usage)] : []),
    done
  ]
}

const event = (data: unknown) => `data: ${JSON.stringify(data)}\n\n`

const done = "data: [DONE]\n\n"

const callId = (facts: Facts, index: number) => `call_${facts.id.replaceAll("-", "").slice(-12)}_${index}`

/** A word at a time, each with the space before it. */
const pieces = (text: string): ReadonlyArray<string> => text.match(/\s*\S+|\s+$/g) ?? []

const fragments = (text: string): ReadonlyArray<string> => text.match(/[^]{1,12}/gu) ?? []

/** Cloudflare pads events so that their sizes tell nothing; clients must not mind. */
const padding = (i: number) => "abcdefghijklmnop".slice(0, 1 + (i * 7) % 16)
