/**
 * Reads OpenAI's `choices`, whole (`message`) or in a stream (`delta`), and the token usage that goes with them.
 *
 * @since 0.1.0
 */
import type * as Response from "effect/unstable/ai/Response"
import { count, isRecord, type JsonRecord, record, text } from "./Json.ts"
import type { PartWriter } from "./PartWriter.ts"
import * as ToolCalls from "./ToolCalls.ts"

/**
 * The choice to read: the one of index 0, for of several answers Effect has room for one.
 *
 * @category accessors
 * @since 0.1.0
 */
export const first = (choices: ReadonlyArray<unknown>): JsonRecord | undefined => {
  const choice = choices[0]
  if (isRecord(choice) && (choice["index"] === undefined || choice["index"] === 0)) return choice
  return choices.find((other): other is JsonRecord => isRecord(other) && other["index"] === 0)
}

/**
 * Writes a delta or a message; says whether it held text, which Workers AI may repeat elsewhere in the chunk.
 *
 * @category readers
 * @since 0.1.0
 */
export const readDelta = (delta: JsonRecord, writer: PartWriter): boolean => {
  const reasoning = text(delta["reasoning_content"]) ?? text(delta["reasoning"])
  if (reasoning !== undefined) writer.reasoning(reasoning)
  const content = delta["content"]
  const hasText = typeof content === "string" ? content !== "" : Array.isArray(content)
  if (typeof content === "string") writer.text(content)
  else if (Array.isArray(content)) content.forEach((part) => readContentPart(part, writer))
  const refusal = text(delta["refusal"])
  if (refusal !== undefined) writer.text(refusal)
  if (Array.isArray(delta["tool_calls"])) readToolCalls(delta["tool_calls"], writer)
  return hasText
}

/**
 * The text of a chunk that says nothing else: one choice, a delta with `content`, all other facts absent or `null`.
 *
 * @category accessors
 * @since 0.1.0
 */
export const textAlone = (chunk: JsonRecord): string | undefined => {
  const choices = chunk["choices"]
  const choice = Array.isArray(choices) && choices.length === 1 ? first(choices) : undefined
  const delta = record(choice?.["delta"])
  const content = text(delta["content"])
  if (content === undefined || (choice?.["finish_reason"] ?? "") !== "") return undefined
  for (const name in delta) {
    if (name !== "content" && name !== "role" && (delta[name] ?? "") !== "") return undefined
  }
  return telling.every((name) => (chunk[name] ?? "") === "") ? content : undefined
}

/** The facts of a chunk, beside its choices. */
const telling = ["response", "result", "tool_calls", "usage", "finish_reason", "error", "errors", "success", "ok"]

/**
 * @category readers
 * @since 0.1.0
 */
export const readToolCalls = (calls: ReadonlyArray<unknown>, writer: PartWriter): void => {
  for (const call of calls) {
    const fragment = ToolCalls.fragment(call)
    if (fragment !== undefined) writer.toolCall(fragment)
  }
}

/**
 * @category readers
 * @since 0.1.0
 */
export const readUsage = (usage: unknown, writer: PartWriter): void => {
  if (!isRecord(usage)) return
  const prompt = record(usage["prompt_tokens_details"])
  writer.addUsage({
    input: count(usage["prompt_tokens"]),
    cacheRead: count(prompt["cached_tokens"]),
    output: count(usage["completion_tokens"]),
    reasoning: count(record(usage["completion_tokens_details"])["reasoning_tokens"])
  })
}

/**
 * Effect's finish reason; a word that nobody knows is "other", for it did finish.
 *
 * @category accessors
 * @since 0.1.0
 */
export const finishReason = (reason: string): Response.FinishReason =>
  Object.hasOwn(finishReasons, reason) ? finishReasons[reason] ?? "other" : "other"

const finishReasons: { readonly [reason: string]: Response.FinishReason } = {
  stop: "stop",
  eos: "stop",
  end_turn: "stop",
  length: "length",
  max_tokens: "length",
  model_length: "length",
  tool_calls: "tool-calls",
  function_call: "tool-calls",
  content_filter: "content-filter",
  error: "error",
  unknown: "unknown"
}

/** Mistral's reasoning models send `content` as a list of parts. */
const readContentPart = (part: unknown, writer: PartWriter): void => {
  if (!isRecord(part)) return
  const content = text(part["text"])
  if (content !== undefined) return writer.text(content)
  const thinking = part["thinking"]
  if (typeof thinking === "string") writer.reasoning(thinking)
  else if (Array.isArray(thinking)) thinking.forEach((inner) => writer.reasoning(text(record(inner)["text"]) ?? ""))
}
