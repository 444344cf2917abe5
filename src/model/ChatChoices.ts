/**
 * Reads OpenAI's `choices`, whole (`message`) or in a stream (`delta`), and the token usage that goes with them.
 *
 * @since 0.1.0
 */
import type * as Schema from "effect/Schema"
import type * as Response from "effect/unstable/ai/Response"
import { count, isRecord, type JsonRecord, record, text } from "./Json.ts"
import type { PartWriter } from "./PartWriter.ts"
import type { ThinkTags } from "./ThinkTags.ts"
import * as ToolCalls from "./ToolCalls.ts"

/**
 * The choice to read: the one of index 0, for of several answers Effect has room for one.
 *
 * @category accessors
 * @since 0.1.0
 */
export const first = (choices: ReadonlyArray<unknown>): JsonRecord | undefined => {
  const choice = choices[0]
  if (isRecord(choice) && (choice["index"] ?? 0) === 0) return choice
  return choices.find((other): other is JsonRecord => isRecord(other) && other["index"] === 0)
}

/**
 * Writes a delta or a message; says whether it held text, which Workers AI may repeat elsewhere in the chunk.
 *
 * Text goes through `tags`, so that thoughts in it are told apart. With `incremental` a tool call's arguments never come
 * all over again, as they do from Workers AI.
 *
 * @category readers
 * @since 0.1.0
 */
export const readDelta = (
  delta: JsonRecord,
  writer: PartWriter,
  tags: ThinkTags,
  incremental = false
): boolean => {
  const reasoning = text(delta["reasoning_content"]) ?? text(delta["reasoning"])
  if (reasoning !== undefined) writer.reasoning(reasoning)
  const content = delta["content"]
  const hasText = typeof content === "string" ? content !== "" : Array.isArray(content)
  if (typeof content === "string") readText(content, writer, tags)
  else if (Array.isArray(content)) content.forEach((part) => readContentPart(part, writer, tags))
  const refusal = text(delta["refusal"])
  if (refusal !== undefined) readText(refusal, writer, tags)
  if (Array.isArray(delta["tool_calls"]) && delta["tool_calls"].length > 0) {
    tags.interrupt()
    readToolCalls(delta["tool_calls"], writer, incremental)
  } else if (isRecord(delta["function_call"])) {
    tags.interrupt()
    // OpenAI's first form of tools: one call, without id.
    readToolCalls([{ index: 0, function: delta["function_call"] }], writer, incremental)
  }
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
export const readToolCalls = (
  calls: ReadonlyArray<unknown>,
  writer: PartWriter,
  incremental = false
): void => {
  for (const call of calls) {
    const fragment = ToolCalls.fragment(call)
    if (fragment === undefined) continue
    const extra = isRecord(call) ? call["extra_content"] : undefined
    if (!incremental && !extra) {
      writer.toolCall(fragment)
      continue
    }
    // It came out of JSON, so it is JSON.
    const metadata = extra ? { compat: { extraContent: extra as Schema.Json } } : undefined
    writer.toolCall({ ...fragment, incremental, metadata })
  }
}

/**
 * Token usage, in OpenAI's names and in those that some providers have for the same.
 *
 * xAI counts reasoning beside the answer's tokens and not among them; its total tells.
 *
 * @category readers
 * @since 0.1.0
 */
export const readUsage = (usage: unknown, writer: PartWriter): void => {
  if (!isRecord(usage)) return
  const prompt = record(usage["prompt_tokens_details"])
  const input = count(usage["prompt_tokens"])
  const output = count(usage["completion_tokens"])
  const reasoning = count(record(usage["completion_tokens_details"])["reasoning_tokens"]) ??
    count(usage["reasoning_tokens"])
  const isApart = input !== undefined && output !== undefined && reasoning !== undefined && reasoning > 0 &&
    usage["total_tokens"] === input + output + reasoning
  writer.addUsage({
    input,
    // The second is DeepSeek's.
    cacheRead: count(prompt["cached_tokens"]) ?? count(usage["prompt_cache_hit_tokens"]),
    // OpenRouter's.
    cacheWrite: count(prompt["cache_write_tokens"]),
    output: isApart ? output + reasoning : output,
    reasoning
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
  eos_token: "stop",
  stop_sequence: "stop",
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

const readText = (delta: string, writer: PartWriter, tags: ThinkTags): void => {
  // Empty text is text too: the answer was understood.
  writer.readable = true
  tags.text(delta)
}

/** Mistral's reasoning models send `content` as a list of parts. */
const readContentPart = (part: unknown, writer: PartWriter, tags: ThinkTags): void => {
  if (!isRecord(part)) return
  const content = text(part["text"]) ?? text(part["refusal"])
  if (content !== undefined) return readText(content, writer, tags)
  const thinking = part["thinking"]
  if (typeof thinking === "string") writer.reasoning(thinking)
  else if (Array.isArray(thinking)) thinking.forEach((inner) => writer.reasoning(text(record(inner)["text"]) ?? ""))
}
