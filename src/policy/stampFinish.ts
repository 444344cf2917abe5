/**
 * Writes what a policy has to say of an answer into the metadata of its finish part, and finds it there.
 *
 * @since 0.1.0
 */
import * as LanguageModel from "effect/unstable/ai/LanguageModel"
import type * as Response from "effect/unstable/ai/Response"

/**
 * A `generateText` / `generateObject` response, a list of parts, or one part.
 *
 * @category models
 * @since 0.1.0
 */
export type Parts =
  | { readonly content: ReadonlyArray<Response.AnyPart> }
  | ReadonlyArray<Response.AnyPart>
  | Response.AnyPart

/**
 * The finish part; undefined where there is none yet.
 *
 * @category getters
 * @since 0.1.0
 */
export const finishOf = (response: Parts): Response.FinishPart | undefined => {
  const parts: ReadonlyArray<Response.AnyPart> = "content" in response
    ? response.content
    : Array.isArray(response)
    ? response
    // A list that may be read-only is not taken out of the type by Array.isArray.
    : [response as Response.AnyPart]
  return parts.findLast((part) => part.type === "finish")
}

/**
 * @category guards
 * @since 0.1.0
 */
export const isFinish = (part: unknown): part is Response.FinishPart =>
  typeof part === "object" && part !== null && "type" in part && part.type === "finish"

/**
 * The part, and if it is the finish part with the metadata.
 *
 * @category combinators
 * @since 0.1.0
 */
export const stampPart = <A>(part: A, metadata: () => Response.FinishPartMetadata): A => {
  if (!isFinish(part)) return part
  return { ...part, metadata: { ...part.metadata, ...metadata() } }
}

/**
 * A whole answer with the metadata in its finish part.
 *
 * @category combinators
 * @since 0.1.0
 */
export const stampResponse = <A extends LanguageModel.GenerateTextResponse<{}>>(
  response: A,
  metadata: () => Response.FinishPartMetadata
): A => {
  const content = response.content.map((part) => stampPart(part, metadata))
  const stamped = response instanceof LanguageModel.GenerateObjectResponse
    ? new LanguageModel.GenerateObjectResponse(response.value, content)
    : new LanguageModel.GenerateTextResponse(content)
  // A response is one of these two.
  return stamped as LanguageModel.GenerateTextResponse<{}> as A
}
