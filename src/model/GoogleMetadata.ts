/**
 * What Google's models say beside the content: `metadata.google` of the answer's parts, and `options.google` of the
 * prompt's, where `Prompt.fromResponseParts` takes it.
 *
 * Both are type aliases and not interfaces, which Effect's metadata, being JSON, does not take.
 *
 * Sources: wire reference, section 10.4; `Part` and `Candidate` of `@google/genai@2.32.0`.
 *
 * @since 0.1.0
 */
import type * as Schema from "effect/Schema"

/**
 * What a part says to Google alone.
 *
 * @category models
 * @since 0.1.0
 */
export type PartOptions = {
  /** Encrypted thoughts of the model, base64; Gemini 3 refuses to go on with tool calls that lack theirs. */
  readonly thoughtSignature?: string | null
  /** Google's own id of a tool call. */
  readonly id?: string | null
  /** The part is a thought: drafts of generated images, for instance. */
  readonly thought?: boolean | null
}

/**
 * What Google says of an answer beside its content, as it came.
 *
 * @category models
 * @since 0.1.0
 */
export type FinishFacts = {
  /** Google's own word, such as `PROHIBITED_CONTENT`. */
  readonly finishReason?: Schema.Json
  readonly finishMessage?: Schema.Json
  /** Searches, sources, and which text each supports. */
  readonly groundingMetadata?: Schema.Json
  /** The pages that were read, and whether that went well. */
  readonly urlContextMetadata?: Schema.Json
  readonly citationMetadata?: Schema.Json
  readonly safetyRatings?: Schema.Json
}

declare module "effect/unstable/ai/Prompt" {
  interface TextPartOptions {
    readonly google?: PartOptions | null
  }
  interface ReasoningPartOptions {
    readonly google?: PartOptions | null
  }
  interface FilePartOptions {
    readonly google?: PartOptions | null
  }
  interface ToolCallPartOptions {
    readonly google?: PartOptions | null
  }
  interface ToolResultPartOptions {
    readonly google?: PartOptions | null
  }
}

declare module "effect/unstable/ai/Response" {
  interface TextPartMetadata {
    readonly google?: PartOptions | null
  }
  interface TextEndPartMetadata {
    readonly google?: PartOptions | null
  }
  interface ReasoningPartMetadata {
    readonly google?: PartOptions | null
  }
  interface ReasoningEndPartMetadata {
    readonly google?: PartOptions | null
  }
  interface FilePartMetadata {
    readonly google?: PartOptions | null
  }
  interface ToolCallPartMetadata {
    readonly google?: PartOptions | null
  }
  interface ToolResultPartMetadata {
    readonly google?: PartOptions | null
  }
  interface FinishPartMetadata {
    readonly google?: FinishFacts | null
  }
}

/**
 * The metadata of a part, `undefined` when there is none.
 *
 * @category constructors
 * @since 0.1.0
 */
export const marks = (
  thoughtSignature: string | undefined,
  id?: string | undefined,
  thought = false
): { readonly google: PartOptions } | undefined =>
  thoughtSignature === undefined && id === undefined && !thought ? undefined : {
    google: {
      ...(thoughtSignature === undefined ? {} : { thoughtSignature }),
      ...(id === undefined ? {} : { id }),
      ...(thought ? { thought } : {})
    }
  }
