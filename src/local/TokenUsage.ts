/**
 * How many tokens an answer says it took, in any provider's way of saying so, whole or streamed.
 *
 * Source: the wire reference, section 10.
 *
 * @since 0.1.0
 */

/**
 * As the provider says it.
 *
 * @category models
 * @since 0.1.0
 */
export interface TokenUsage {
  readonly tokensIn: number | null
  readonly tokensOut: number | null
}

/**
 * With what matters for the price: each input token is counted in one of the three kinds.
 *
 * @category models
 * @since 0.1.0
 */
export interface Usage extends TokenUsage {
  readonly uncachedIn: number
  readonly cacheRead: number
  readonly cacheWrite: number
  /** With the thoughts that Google counts apart from the answer. */
  readonly billedOut: number | null
}

/**
 * Reads the counts of a body: of its JSON, or of the last events of its stream that have any.
 *
 * @category decoding
 * @since 0.1.0
 */
export const read = (contentType: string | null, body: string): Usage => {
  if (contentType?.startsWith("text/event-stream") !== true) return toUsage(fromJson(parse(body)))
  const counts: Counts = {}
  for (const line of body.split("\n")) {
    // Most events of a stream say nothing about usage; parsing them all would be most of a log entry's cost.
    if (!line.startsWith("data:") || !line.toLowerCase().includes("usage")) continue
    // Anthropic counts the input at the start and the output at the end.
    Object.assign(counts, fromJson(parse(line.slice(5))))
  }
  return toUsage(counts)
}

type Kind = "in" | "out" | "thoughts" | "includedRead" | "extraRead" | "extraWrite"

type Counts = { [K in Kind]?: number }

const fromJson = (json: unknown): Counts => {
  // Google's streams are lists where no events were asked for.
  if (Array.isArray(json)) return Object.assign({}, ...json.map(fromJson))
  if (!isRecord(json)) return {}
  for (const holder of [json, json["result"], json["response"], json["message"]]) {
    if (!isRecord(holder)) continue
    const usage = [holder["usage"], holder["usageMetadata"]].find(isRecord)
    if (usage !== undefined) return countsOf(usage)
  }
  return {}
}

const countsOf = (usage: { readonly [key: string]: unknown }): Counts => {
  const details = [usage["prompt_tokens_details"], usage["input_tokens_details"]].find(isRecord) ?? {}
  const counts: Counts = {}
  count(counts, "in", usage, ["prompt_tokens", "input_tokens", "inputTokens", "promptTokenCount"])
  count(counts, "out", usage, ["completion_tokens", "output_tokens", "outputTokens", "candidatesTokenCount"])
  count(counts, "thoughts", usage, ["thoughtsTokenCount"])
  // OpenAI, Google and DeepSeek count cached tokens as input, too; Anthropic and Bedrock count them beside it.
  count(counts, "includedRead", usage, ["cachedContentTokenCount", "prompt_cache_hit_tokens"])
  count(counts, "includedRead", details, ["cached_tokens"])
  count(counts, "extraRead", usage, ["cache_read_input_tokens", "cacheReadInputTokens"])
  count(counts, "extraWrite", usage, ["cache_creation_input_tokens", "cacheWriteInputTokens"])
  return counts
}

/** Leaves the counts alone that are not in the answer: an event may tell only some. */
const count = (
  counts: Counts,
  kind: Kind,
  usage: { readonly [key: string]: unknown },
  names: ReadonlyArray<string>
): void => {
  for (const name of names) {
    const value = usage[name]
    if (typeof value === "number" && Number.isFinite(value)) return void (counts[kind] = Math.round(value))
  }
}

const toUsage = (counts: Counts): Usage => {
  const included = Math.min(counts.includedRead ?? 0, counts.in ?? 0)
  return {
    tokensIn: counts.in ?? null,
    tokensOut: counts.out ?? null,
    uncachedIn: (counts.in ?? 0) - included,
    cacheRead: included + (counts.extraRead ?? 0),
    cacheWrite: counts.extraWrite ?? 0,
    billedOut: counts.out === undefined ? null : counts.out + (counts.thoughts ?? 0)
  }
}

const parse = (text: string): unknown => {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

const isRecord = (u: unknown): u is { readonly [key: string]: unknown } =>
  typeof u === "object" && u !== null && !Array.isArray(u)
