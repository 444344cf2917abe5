/**
 * How the simulated model's answers travel in Workers AI's native shape, whole or as server-sent events. Source: the wire
 * reference, sections 1.7 and 10.6.
 *
 * @since 0.1.0
 */
import * as Reply from "./Reply.ts"
import type { Answer } from "./SimulatedModel.ts"

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
  ...Reply.words(answer.text).map((response, i) => Reply.event({ response, p: padding(i) })),
  ...(answer.calls.length === 0 ? [] : [Reply.event({ response: "", tool_calls: answer.calls })]),
  Reply.event({
    response: "",
    ...(answer.finishReason === "length" ? { finish_reason: "length" } : {}),
    usage: answer.usage
  }),
  done
]

const done = "data: [DONE]\n\n"

/** Cloudflare pads events so that their sizes tell nothing; clients must not mind. */
const padding = (i: number) => "abcdefghijklmnop".slice(0, 1 + (i * 7) % 16)
