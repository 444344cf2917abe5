/**
 * How many tokens an answer says it took, in any provider's way of saying so, whole or streamed.
 *
 * Source: the wire reference, section 10.
 *
 * @since 0.1.0
 */

/**
 * @category models
 * @since 0.1.0
 */
export interface TokenUsage {
  readonly tokensIn: number | null
  readonly tokensOut: number | null
}

/**
 * Reads the counts of a body: of its JSON, or of the last events of its stream that have any.
 *
 * @category decoding
 * @since 0.1.0
 */
export const read = (contentType: string | null, body: string): TokenUsage => {
  if (contentType?.startsWith("text/event-stream") !== true) return fromJson(parse(body))
  let usage: TokenUsage = none
  for (const line of body.split("\n")) {
    // Most events of a stream say nothing about usage; parsing them all would be most of a log entry's cost.
    if (!line.startsWith("data:") || !line.toLowerCase().includes("usage")) continue
    const seen = fromJson(parse(line.slice(5)))
    // Anthropic counts the input at the start and the output at the end.
    usage = { tokensIn: seen.tokensIn ?? usage.tokensIn, tokensOut: seen.tokensOut ?? usage.tokensOut }
  }
  return usage
}

const none: TokenUsage = { tokensIn: null, tokensOut: null }

const fromJson = (json: unknown): TokenUsage => {
  if (!isRecord(json)) return none
  for (const holder of [json, json["result"], json["response"], json["message"]]) {
    if (!isRecord(holder)) continue
    const usage = [holder["usage"], holder["usageMetadata"]].find(isRecord)
    if (usage === undefined) continue
    return {
      tokensIn: count(usage, ["prompt_tokens", "input_tokens", "inputTokens", "promptTokenCount"]),
      tokensOut: count(usage, ["completion_tokens", "output_tokens", "outputTokens", "candidatesTokenCount"])
    }
  }
  return none
}

const count = (usage: { readonly [key: string]: unknown }, names: ReadonlyArray<string>): number | null => {
  for (const name of names) {
    const value = usage[name]
    if (typeof value === "number" && Number.isFinite(value)) return Math.round(value)
  }
  return null
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
