/**
 * Writes what a policy has to say of an answer into the metadata of its finish part.
 *
 * @since 0.1.0
 */
import * as LanguageModel from "effect/unstable/ai/LanguageModel"
import type * as Response from "effect/unstable/ai/Response"

/**
 * The part, and if it is the finish part with the metadata.
 *
 * @category combinators
 * @since 0.1.0
 */
export const stampPart = <A>(part: A, metadata: () => Response.FinishPartMetadata): A => {
  if (typeof part !== "object" || part === null || !("type" in part) || part.type !== "finish") return part
  // Only parts are given here, and one of this type is a finish part.
  const finish = part as A & Response.FinishPart
  return { ...finish, metadata: { ...finish.metadata, ...metadata() } }
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
