/**
 * What messages and parts carry for Anthropic, under the key `anthropic`: options of prompts, metadata of answers.
 *
 * `Prompt.fromResponseParts` makes the options of the next prompt from the metadata of an answer, so that thinking,
 * citations and the blocks of the provider's own tools go back as they came.
 *
 * @since 0.1.0
 */
import type * as Schema from "effect/Schema"

// Type aliases where interfaces would do: only they fit the index signature of Effect's options.

/**
 * The end of what the API may cache and use again; a request may have four.
 *
 * @category models
 * @since 0.1.0
 */
export type CacheControl = {
  readonly type: "ephemeral"
  /** Five minutes by default. */
  readonly ttl?: "5m" | "1h"
}

/**
 * @category models
 * @since 0.1.0
 */
export type CacheOptions = {
  readonly cacheControl?: CacheControl | null
}

/**
 * @category models
 * @since 0.1.0
 */
export type FileOptions = CacheOptions & {
  /** Id of a file that was uploaded before; the part's `data` is then not read. */
  readonly fileId?: string | null
  /** The document's title; by default the part's `fileName`. */
  readonly documentTitle?: string | null
  /** What the model may know of the document but not cite. */
  readonly documentContext?: string | null
  /** Lets the answer cite the document: source parts. */
  readonly citations?: { readonly enabled: boolean } | null
}

/**
 * What the API needs back to go on with its own thoughts; one of the three.
 *
 * @category models
 * @since 0.1.0
 */
export type ReasoningOptions = {
  readonly signature?: string | null
  /** Thoughts that come encrypted only. */
  readonly redactedData?: string | null
  /** The summary that replaced the conversation before it (context management). */
  readonly compaction?: { readonly encryptedContent: string | null } | null
}

/**
 * @category models
 * @since 0.1.0
 */
export type ToolCallOptions = CacheOptions & {
  /** The block's type on the wire, for tools that the provider runs. */
  readonly type?: string | null
  /** The name on the wire where it is not the tool's: code execution has several. */
  readonly name?: string | null
  /** The server of a tool that the provider calls there. */
  readonly serverName?: string | null
  /** Which code called the tool, where it was not the model itself. */
  readonly caller?: Schema.Json
}

/**
 * @category models
 * @since 0.1.0
 */
export type ToolResultOptions = CacheOptions & {
  /** The block as it came, for tools that the provider runs: it goes back unchanged. */
  readonly block?: Schema.JsonObject | null
}

/**
 * @category models
 * @since 0.1.0
 */
export type TextOptions = CacheOptions & {
  /** What the text cites, as it came. */
  readonly citations?: ReadonlyArray<Schema.Json> | null
}

declare module "effect/unstable/ai/Prompt" {
  interface SystemMessageOptions {
    readonly anthropic?: CacheOptions | null
  }
  interface UserMessageOptions {
    readonly anthropic?: CacheOptions | null
  }
  interface AssistantMessageOptions {
    readonly anthropic?: CacheOptions | null
  }
  interface ToolMessageOptions {
    readonly anthropic?: CacheOptions | null
  }
  interface TextPartOptions {
    readonly anthropic?: TextOptions | null
  }
  interface FilePartOptions {
    readonly anthropic?: FileOptions | null
  }
  interface ReasoningPartOptions {
    readonly anthropic?: ReasoningOptions | null
  }
  interface ToolCallPartOptions {
    readonly anthropic?: ToolCallOptions | null
  }
  interface ToolResultPartOptions {
    readonly anthropic?: ToolResultOptions | null
  }
}

/**
 * What the finish part says beside reason and usage; absent where the answer did not say it.
 *
 * @category models
 * @since 0.1.0
 */
export type FinishMetadata = {
  /** The reason in the API's own word, such as `stop_sequence` or `refusal`. */
  readonly stopReason: string | null
  /** The text of `stop` that ended the answer. */
  readonly stopSequence: string | null
  /** Why the model refused, in the API's own form. */
  readonly stopDetails?: Schema.Json
  readonly serviceTier?: Schema.Json
  /** The container of code execution, with the id to use it again. */
  readonly container?: Schema.Json
  readonly contextManagement?: Schema.Json
  /** How often the provider's own tools ran, which is billed apart. */
  readonly serverToolUse?: Schema.Json
}

declare module "effect/unstable/ai/Response" {
  interface TextPartMetadata {
    readonly anthropic?: TextOptions | null
  }
  interface TextEndPartMetadata {
    readonly anthropic?: TextOptions | null
  }
  interface ReasoningPartMetadata {
    readonly anthropic?: ReasoningOptions | null
  }
  interface ReasoningStartPartMetadata {
    readonly anthropic?: ReasoningOptions | null
  }
  interface ReasoningEndPartMetadata {
    readonly anthropic?: ReasoningOptions | null
  }
  interface ToolCallPartMetadata {
    readonly anthropic?: ToolCallOptions | null
  }
  interface ToolResultPartMetadata {
    readonly anthropic?: ToolResultOptions | null
  }
  interface UrlSourcePartMetadata {
    /** The citation as it came: the cited text, and where it stands. */
    readonly anthropic?: { readonly citation: Schema.Json } | null
  }
  interface DocumentSourcePartMetadata {
    readonly anthropic?: { readonly citation: Schema.Json } | null
  }
  interface FinishPartMetadata {
    readonly anthropic?: FinishMetadata | null
  }
}
