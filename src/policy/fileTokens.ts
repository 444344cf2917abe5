/**
 * How many tokens the files of a prompt have: images by their size in pixels, documents by their pages, texts by what is
 * in them.
 *
 * Sources: OpenAI's guide "Images and vision" (85 tokens, and 170 for each tile of 512 pixels), Anthropic's guide "Vision"
 * (width times height by 750, at most 1,568 pixels long) and "PDF support" (1,500 to 3,000 a page), Google's guide
 * "Understand and count tokens" (258 for each tile of 768 pixels, and for each page). Anthropic's numbers are quoted as they
 * are known, and were not looked up again.
 *
 * @since 0.1.0
 */
import * as Encoding from "effect/Encoding"
import * as Result from "effect/Result"
import type * as Prompt from "effect/unstable/ai/Prompt"
import type { Family } from "./textTokens.ts"

/**
 * Width and height in pixels.
 *
 * @category models
 * @since 0.1.0
 */
export interface Size {
  readonly width: number
  readonly height: number
}

/**
 * The tokens of a file; undefined for what nobody can say without reading it all, such as sound and film.
 *
 * @category combinators
 * @since 0.1.0
 */
export const tokensOf = (
  { data, mediaType }: Prompt.FilePart,
  family: Family,
  count: (text: string) => number
): number | undefined => {
  if (mediaType.startsWith("image/")) {
    // An image at an address may have any size; most are larger than this before they are scaled down.
    return imageTokens(family, sizeOf(bytesOf(data, headBytes)) ?? { width: 1024, height: 1024 })
  }
  const isText = /^text\/|[/+](json|xml|yaml)$/.test(mediaType)
  if (!isText && mediaType !== "application/pdf") return undefined
  const bytes = bytesOf(data)
  if (bytes === undefined) return undefined
  if (isText) return count(new TextDecoder().decode(bytes))
  const pages = new TextDecoder("latin1").decode(bytes).match(/\/Type\s*\/Page(?!s)/g)?.length ?? 1
  return pages * (family === "gemini" ? 258 : 2250)
}

/**
 * The tokens of an image of a size. Llama's images are counted as OpenAI's, for want of a rule.
 *
 * @category combinators
 * @since 0.1.0
 */
export const imageTokens = (family: Family, { height, width }: Size): number => {
  if (family === "anthropic") {
    const scale = Math.min(1, 1568 / Math.max(width, height))
    return Math.min(1600, Math.ceil(width * scale * height * scale / 750))
  }
  if (family === "gemini") {
    return width <= 384 && height <= 384 ? 258 : 258 * Math.ceil(width / 768) * Math.ceil(height / 768)
  }
  const fitted = Math.min(1, 2048 / Math.max(width, height))
  const scale = fitted * Math.min(1, 768 / (Math.min(width, height) * fitted))
  return 85 + 170 * Math.ceil(Math.round(width * scale) / 512) * Math.ceil(Math.round(height * scale) / 512)
}

/**
 * The size of a PNG, JPEG, GIF or WebP, from its first bytes.
 *
 * @category accessors
 * @since 0.1.0
 */
export const sizeOf = (bytes: Uint8Array | undefined): Size | undefined => {
  if (bytes === undefined || bytes.length < 30) return undefined
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const size = (width: number, height: number) => width > 0 && height > 0 ? { width, height } : undefined
  if (view.getUint32(0) === 0x89504e47) return size(view.getUint32(16), view.getUint32(20))
  if (view.getUint32(0) === 0x47494638) return size(view.getUint16(6, true), view.getUint16(8, true))
  if (view.getUint16(0) === 0xffd8) return jpegSize(view, size)
  if (view.getUint32(0) !== 0x52494646 || view.getUint32(8) !== 0x57454250) return undefined
  switch (view.getUint32(12)) {
    case 0x56503820: // lossy
      return size(view.getUint16(26, true) & 0x3fff, view.getUint16(28, true) & 0x3fff)
    case 0x5650384c: { // lossless
      const bits = view.getUint32(21, true)
      return size((bits & 0x3fff) + 1, (bits >>> 14 & 0x3fff) + 1)
    }
    case 0x56503858: // extended
      return size((view.getUint32(24, true) & 0xffffff) + 1, (view.getUint32(26, true) >>> 8) + 1)
    default:
      return undefined
  }
}

/** Goes from segment to segment, to the one that a frame starts with. */
const jpegSize = (view: DataView, size: (width: number, height: number) => Size | undefined): Size | undefined => {
  let at = 2
  while (at + 9 <= view.byteLength && view.getUint8(at) === 0xff) {
    const marker = view.getUint8(at + 1)
    const isFrame = marker >= 0xc0 && marker <= 0xcf && marker !== 0xc4 && marker !== 0xc8 && marker !== 0xcc
    if (isFrame) return size(view.getUint16(at + 7), view.getUint16(at + 5))
    at += 2 + view.getUint16(at + 2)
  }
  return undefined
}

/** A photo's own thumbnail and data may stand before its size. */
const headBytes = 96 * 1024

/** The bytes of a file, or its first; undefined for what is elsewhere. */
const bytesOf = (data: Prompt.FilePart["data"], most?: number): Uint8Array | undefined => {
  if (data instanceof Uint8Array) return data
  const text = String(data)
  const base64 = /^data:[^,]*;base64,/.exec(text)
  if (data instanceof URL && base64 === null) return undefined
  const encoded = base64 === null ? text : text.slice(base64[0].length)
  // Whole groups of four characters, each of which is three bytes.
  return Result.getOrUndefined(Encoding.decodeBase64(most === undefined ? encoded : encoded.slice(0, most / 3 * 4)))
}
