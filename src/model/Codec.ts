/**
 * The one seam between models and wire formats.
 *
 * A codec is a record of functions: it builds the step of a request and reads the answer, whole or event by event. It
 * knows neither the transport nor Effect's streams; what it reads it tells a {@link PartWriter}, which keeps the
 * parts well formed.
 *
 * @since 0.1.0
 */
import type * as Result from "effect/Result"
import type * as AiError from "effect/unstable/ai/AiError"
import type * as LanguageModel from "effect/unstable/ai/LanguageModel"
import type { Step } from "../client/Transport.ts"
import type { JsonRecord } from "./Json.ts"
import type { Parameters } from "./Parameters.ts"
import type { PartWriter } from "./PartWriter.ts"

/**
 * What one request is made of.
 *
 * @category models
 * @since 0.1.0
 */
export interface Request {
  /** The gateway's slug of the provider. */
  readonly provider: string
  readonly model: string
  /** Checked, and merged: those set around the call over those of the model. */
  readonly parameters: Parameters
  /** What only this provider has, under the provider's own names; it goes into the body last. */
  readonly providerOptions: JsonRecord
  /** Prompt, tools, tool choice and response format. */
  readonly options: LanguageModel.ProviderOptions
  /** The answer is wanted as a stream. */
  readonly stream: boolean
}

/**
 * What a reader works with; made anew for each run.
 *
 * @category models
 * @since 0.1.0
 */
export interface ReadContext {
  readonly request: Request
  readonly writer: PartWriter
  /** The reason for an error that the provider reports inside an answer of status 200. */
  readonly reasonOf: (body: JsonRecord) => AiError.AiErrorReason
  /** The reason for a body that ended too early. */
  readonly cut: (description: string) => AiError.AiErrorReason
}

/**
 * Reads one answer; a failure goes to the writer.
 *
 * @category models
 * @since 0.1.0
 */
export interface Reader {
  /** One server-sent event; `event` is "" when it had no name. */
  readonly event: (data: string, event: string) => void
  /** The whole answer as JSON, also when a stream was asked for and the model did not stream. */
  readonly body: (json: unknown) => void
  /** Starts to read a stream that is one JSON array, piece by piece; a reader without this gets such a body whole. */
  readonly array?: (() => { readonly push: (text: string) => void; readonly end: () => void }) | undefined
  /** Starts to read a stream of binary frames: a body whose first byte is 0, as no text's is. */
  readonly frames?: (() => { readonly push: (bytes: Uint8Array) => void; readonly end: () => void }) | undefined
  /** A line of an event stream that is no field of one: some gateways and providers write a bare JSON error there. */
  readonly stray?: ((line: string) => void) | undefined
  /** The stream's body is over: decides whether the answer is whole or was cut. */
  readonly end: () => void
}

/**
 * @category models
 * @since 0.1.0
 */
export interface Codec {
  /**
   * Provider, endpoint, headers and body of a request, or why the provider has no such request. The provider's key is
   * not the codec's affair: {@link LanguageModel} adds its header.
   */
  readonly step: (request: Request) => Result.Result<Step, AiError.AiErrorReason>
  /** Starts to read one answer. */
  readonly reader: (context: ReadContext) => Reader
  /** Makes the JSON schema of structured output, and the codec that decodes what comes back. */
  readonly codecTransformer: LanguageModel.CodecTransformer
}
