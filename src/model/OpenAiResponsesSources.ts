/**
 * Annotations of a text of the Responses API as source parts: what the model cites from the web and from files.
 *
 * Sources: wire reference, section 10.2; OpenAI's API reference, annotations of `output_text` (`url_citation`,
 * `file_citation`, `container_file_citation`, `file_path`).
 *
 * @since 0.1.0
 */
import type * as Response from "effect/unstable/ai/Response"
import { count, type JsonRecord, record, text } from "./Json.ts"
import type { SourceInfo } from "./OpenAiResponsesMetadata.ts"

/**
 * @category models
 * @since 0.1.0
 */
export type Source = Response.UrlSourcePartEncoded | Response.DocumentSourcePartEncoded

/**
 * `undefined` when the annotation names neither an address nor a file.
 *
 * @category constructors
 * @since 0.1.0
 */
export const toSource = (u: unknown, id: string): Source | undefined => {
  const annotation = record(u)
  const url = text(annotation["url"])
  // A source part holds a `URL`; what is none cannot be one.
  if (url !== undefined && URL.canParse(url)) {
    return {
      type: "source",
      sourceType: "url",
      id,
      url,
      title: text(annotation["title"]) ?? url,
      metadata: { openai: infoOf(annotation) }
    }
  }
  const fileId = text(annotation["file_id"])
  if (fileId === undefined) return undefined
  const fileName = text(annotation["filename"])
  return {
    type: "source",
    sourceType: "document",
    id,
    // The wire does not say.
    mediaType: "application/octet-stream",
    title: fileName ?? fileId,
    ...(fileName === undefined ? {} : { fileName }),
    metadata: { openai: infoOf(annotation) }
  }
}

const infoOf = (annotation: JsonRecord): SourceInfo => {
  const fileId = text(annotation["file_id"])
  const containerId = text(annotation["container_id"])
  const startIndex = count(annotation["start_index"])
  const endIndex = count(annotation["end_index"])
  return {
    ...(fileId === undefined ? {} : { fileId }),
    ...(containerId === undefined ? {} : { containerId }),
    ...(startIndex === undefined ? {} : { startIndex }),
    ...(endIndex === undefined ? {} : { endIndex })
  }
}
