/**
 * What parts say under the key `openai`: in an answer as metadata, in a prompt as options, so that an item of an answer
 * finds its way into the next request.
 *
 * @since 0.1.0
 */
import type * as Schema from "effect/Schema"

/**
 * What a text part says of its item.
 *
 * @category models
 * @since 0.1.0
 */
export type TextInfo = {
  readonly itemId?: string
  /** `commentary` or `final_answer`, of models that tell them apart. */
  readonly phase?: string
  /** The text says why the model does not answer. */
  readonly refusal?: boolean
}

/**
 * What a reasoning part says of its item; several parts can be of one item.
 *
 * @category models
 * @since 0.1.0
 */
export type ReasoningInfo = {
  readonly itemId?: string
  /** Present where `include` had `reasoning.encrypted_content`: the reasoning itself, for a provider that stores nothing. */
  readonly encryptedContent?: string
  /** A summary of the reasoning, or the reasoning's own text, which open-weight models give. */
  readonly form?: "summary" | "content"
}

/**
 * What a tool call says of its item.
 *
 * @category models
 * @since 0.1.0
 */
export type ToolCallInfo = {
  readonly itemId?: string
  /** The item as it came, where it was the call of a built-in tool. */
  readonly item?: { readonly [name: string]: Schema.Json }
}

/**
 * What a file part says: of an answer its item, of a prompt how closely an image is looked at.
 *
 * @category models
 * @since 0.1.0
 */
export type FileInfo = {
  readonly itemId?: string
  readonly imageDetail?: "low" | "high" | "auto"
}

/**
 * Where in the provider's files or in the text a source is.
 *
 * @category models
 * @since 0.1.0
 */
export type SourceInfo = {
  readonly fileId?: string
  readonly containerId?: string
  /** Characters of the text block that the source stands behind. */
  readonly startIndex?: number
  readonly endIndex?: number
}

/**
 * @category models
 * @since 0.1.0
 */
export type FinishInfo = {
  /** The tier that served the request; it decides the price. */
  readonly serviceTier?: string
}

declare module "effect/unstable/ai/Prompt" {
  interface TextPartOptions {
    readonly openai?: TextInfo | null
  }
  interface ReasoningPartOptions {
    readonly openai?: ReasoningInfo | null
  }
  interface ToolCallPartOptions {
    readonly openai?: ToolCallInfo | null
  }
  interface FilePartOptions {
    readonly openai?: FileInfo | null
  }
}

declare module "effect/unstable/ai/Response" {
  interface TextPartMetadata {
    readonly openai?: TextInfo | null
  }
  interface TextStartPartMetadata {
    readonly openai?: TextInfo | null
  }
  interface ReasoningPartMetadata {
    readonly openai?: ReasoningInfo | null
  }
  interface ReasoningStartPartMetadata {
    readonly openai?: ReasoningInfo | null
  }
  interface ReasoningEndPartMetadata {
    readonly openai?: ReasoningInfo | null
  }
  interface ToolCallPartMetadata {
    readonly openai?: ToolCallInfo | null
  }
  interface FilePartMetadata {
    readonly openai?: FileInfo | null
  }
  interface DocumentSourcePartMetadata {
    readonly openai?: SourceInfo | null
  }
  interface UrlSourcePartMetadata {
    readonly openai?: SourceInfo | null
  }
  interface FinishPartMetadata {
    readonly openai?: FinishInfo | null
  }
}
