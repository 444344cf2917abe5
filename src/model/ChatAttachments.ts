/**
 * What providers put beside the text of a chat answer: citations, thoughts' signatures, images and audio.
 *
 * Sources: wire reference, section 10.8 (Perplexity's and xAI's `citations`); OpenAI's reference (`annotations`, `audio`);
 * OpenRouter's (`reasoning_details`, `images`, `cost`).
 *
 * @since 0.1.0
 */
import * as Encoding from "effect/Encoding"
import * as Result from "effect/Result"
import type * as Schema from "effect/Schema"
import type { ReadContext } from "./Codec.ts"
import { isRecord, type JsonRecord, record, text } from "./Json.ts"

declare module "effect/unstable/ai/Response" {
  interface ReasoningPartMetadata {
    readonly openrouter?: { readonly reasoningDetails: ReadonlyArray<Schema.Json> } | null
  }
  interface ReasoningEndPartMetadata {
    readonly openrouter?: { readonly reasoningDetails: ReadonlyArray<Schema.Json> } | null
  }
  interface ToolCallPartMetadata {
    readonly compat?: { readonly extraContent: Schema.Json } | null
  }
  interface FinishPartMetadata {
    /** Credits that the answer has cost. */
    readonly openrouter?: { readonly cost: number } | null
  }
}

/**
 * The state of one run.
 *
 * @category models
 * @since 0.1.0
 */
export interface ChatAttachments {
  /** What stands on the chunk itself. */
  readonly chunk: (chunk: JsonRecord) => void
  /** What has to be known before a delta's text and calls are written. */
  readonly before: (delta: JsonRecord) => void
  /** What comes after them. */
  readonly after: (delta: JsonRecord) => void
  /** The answer is whole: writes what was gathered, sources in the order in which they came. */
  readonly end: () => void
}

/**
 * @category constructors
 * @since 0.1.0
 */
export const make = ({ request, writer }: ReadContext): ChatAttachments => {
  /** Titles by address: Perplexity says all citations again in each chunk, first bare and then with titles. */
  const sources = new Map<string, string>()
  const details: Array<{ [name: string]: unknown }> = []
  const audio: Array<string> = []

  const source = (url: unknown, title: unknown): void => {
    // Effect decodes addresses, so what is none would fail the answer.
    if (typeof url !== "string" || !URL.canParse(url)) return
    const given = text(title)
    if (given !== undefined || !sources.has(url)) sources.set(url, given ?? url)
  }

  const endThought = (): void => {
    // Copied out of JSON, so it is JSON.
    const reasoningDetails = details.splice(0) as unknown as ReadonlyArray<Schema.Json>
    writer.endReasoning({ openrouter: { reasoningDetails } })
  }

  return {
    chunk(chunk) {
      const { citations, search_results: results } = chunk
      if (Array.isArray(citations)) citations.forEach((url) => source(url, undefined))
      if (Array.isArray(results)) results.filter(isRecord).forEach(({ title, url }) => source(url, title))
      const cost = record(chunk["usage"])["cost"]
      if (typeof cost === "number" && Number.isFinite(cost)) writer.addFinishMetadata({ openrouter: { cost } })
    },
    before(delta) {
      const given = delta["reasoning_details"]
      const isSaid = text(delta["reasoning"]) !== undefined || text(delta["reasoning_content"]) !== undefined
      if (Array.isArray(given)) {
        for (const detail of given.filter(isRecord)) {
          addDetail(details, detail)
          const thought = isSaid ? undefined : text(detail["text"]) ?? text(detail["summary"])
          if (thought !== undefined) writer.reasoning(thought)
        }
      }
      if (details.length > 0 && !isSaid && writer.isReasoning && goesOn(delta)) endThought()
    },
    after(delta) {
      const { annotations, audio: spoken, images } = delta
      if (Array.isArray(annotations)) {
        for (const annotation of annotations.filter(isRecord)) {
          const citation = record(annotation["url_citation"])
          source(citation["url"], citation["title"])
        }
      }
      if (Array.isArray(images)) {
        for (const image of images.filter(isRecord)) {
          const url = text(record(image["image_url"])["url"]) ?? ""
          const [, mediaType, data] = dataUrl.exec(url) ?? []
          if (mediaType !== undefined && data !== undefined) writer.part({ type: "file", mediaType, data })
          else source(url, "image")
        }
      }
      if (isRecord(spoken)) {
        writer.text(text(spoken["transcript"]) ?? "")
        const data = text(spoken["data"])
        if (data !== undefined) audio.push(data)
      }
    },
    end() {
      if (details.length > 0) {
        // Signatures may come after the text; a block of their own carries them into the next prompt.
        if (!writer.isReasoning) writer.startReasoning()
        endThought()
      }
      if (audio.length > 0) {
        const format = text(record(request.providerOptions["audio"])["format"]) ?? "wav"
        writer.part({ type: "file", mediaType: `audio/${format}`, data: joinBase64(audio) })
      }
      let count = 0
      for (const [url, title] of sources) {
        writer.part({ type: "source", sourceType: "url", id: `source-${count++}`, url, title })
      }
    }
  }
}

/** Whether a delta has anything that ends a thought. */
const goesOn = (delta: JsonRecord): boolean =>
  saying.some((name) => {
    const value = delta[name]
    return Array.isArray(value) ? value.length > 0 : (value ?? "") !== ""
  })

const saying = ["content", "refusal", "tool_calls", "function_call", "images", "audio"]

/** Fragments of one detail have the same type and index; its texts go on, its other fields are said once. */
const addDetail = (details: Array<{ [name: string]: unknown }>, detail: JsonRecord): void => {
  const last = details.at(-1)
  if (last === undefined || last["type"] !== detail["type"] || last["index"] !== detail["index"]) {
    details.push({ ...detail })
    return
  }
  for (const [name, value] of Object.entries(detail)) {
    // An assignment to this name would set the prototype.
    if (name === "__proto__") continue
    const before = last[name]
    const isText = (name === "text" || name === "summary" || name === "data") && typeof before === "string"
    if (isText && typeof value === "string") last[name] = before + value
    else if (value !== null && value !== undefined) last[name] = value
  }
}

const dataUrl = /^data:([^;,]+);base64,(.*)$/s

/** Each piece is padded for itself, so the bytes are joined; what is not base64 is left for Effect to refuse. */
const joinBase64 = (pieces: ReadonlyArray<string>): string => {
  const chunks = Result.all(pieces.map((piece) => Encoding.decodeBase64(piece)))
  if (pieces.length === 1 || Result.isFailure(chunks)) return pieces.join("")
  const bytes = new Uint8Array(chunks.success.reduce((length, chunk) => length + chunk.length, 0))
  let at = 0
  for (const chunk of chunks.success) {
    bytes.set(chunk, at)
    at += chunk.length
  }
  return Encoding.encodeBase64(bytes)
}
