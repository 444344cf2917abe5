/**
 * The shapes in which Cloudflare wraps answers and errors.
 *
 * Four envelopes share one server: `errors` (plural) of the v4 API, `error` (singular, an array) of the gateway's
 * data plane, `error` as an object of its policies, and `internalCode` with `description` of Workers AI behind the binding. Source: the wire reference,
 * section 3.4.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"
import * as HttpServerResponse from "effect/unstable/http/HttpServerResponse"

/**
 * One entry of the v4 envelope's `errors` or `messages`.
 *
 * @category models
 * @since 0.1.0
 */
export interface Notice {
  readonly code: number
  readonly message: string
  /** Where in the request, outermost first: `["body", "cache_ttl"]`. */
  readonly path?: ReadonlyArray<string | number> | undefined
}

/**
 * Position of a page in a list, in the v4 envelope's `result_info`.
 *
 * @category models
 * @since 0.1.0
 */
export interface ResultInfo {
  readonly page: number
  readonly per_page: number
  readonly count: number
  readonly total_count: number
}

/**
 * A request that the v4 API refuses.
 *
 * @category errors
 * @since 0.1.0
 */
export class ApiError extends Schema.TaggedError<ApiError>("effect-ai-gateway/local/ApiError")("ApiError", {
  status: Schema.Number,
  errors: Schema.Array(Schema.Struct({
    code: Schema.Number,
    message: Schema.String,
    path: Schema.optional(Schema.Array(Schema.Union([Schema.String, Schema.Number])))
  }))
}) {
  override get message(): string {
    return this.errors.map((_) => `${_.code}: ${_.message}`).join("; ")
  }
}

/**
 * A request that the gateway itself refuses or cannot serve, before any provider answered.
 *
 * @category errors
 * @since 0.1.0
 */
export class AiGatewayError extends Schema.TaggedError<AiGatewayError>("effect-ai-gateway/local/AiGatewayError")(
  "AiGatewayError",
  { status: Schema.Number, code: Schema.Number, description: Schema.String }
) {
  override get message(): string {
    return `${this.code}: ${this.description}`
  }
}

/**
 * A request that a policy of the gateway refuses.
 *
 * @category errors
 * @since 0.1.0
 */
export class PolicyRefusal extends Schema.TaggedError<PolicyRefusal>("effect-ai-gateway/local/PolicyRefusal")(
  "PolicyRefusal",
  {
    status: Schema.Number,
    error: Schema.Struct({
      message: Schema.String,
      /** Which is used up, what was spent and what may be, in US dollars. */
      bucket: Schema.optionalKey(Schema.String),
      spent: Schema.optionalKey(Schema.Number),
      limit: Schema.optionalKey(Schema.Number)
    })
  }
) {
  override get message(): string {
    return this.error.message
  }
}

/**
 * A request that Workers AI refuses.
 *
 * @category errors
 * @since 0.1.0
 */
export class ModelError extends Schema.TaggedError<ModelError>("effect-ai-gateway/local/ModelError")("ModelError", {
  status: Schema.Number,
  code: Schema.Number,
  /** Cloudflare's name of the error class, such as `InvalidInput`. */
  name_: Schema.String,
  description: Schema.String
}) {
  override get message(): string {
    return `${this.code}: ${this.description}`
  }
}

/**
 * An error of the v4 API with one entry.
 *
 * @category constructors
 * @since 0.1.0
 */
export const apiError = (
  status: number,
  code: number,
  message: string,
  path?: ReadonlyArray<string | number>
): ApiError => new ApiError({ status, errors: [{ code, message, ...(path === undefined ? {} : { path }) }] })

/**
 * The gateway of this id does not exist on this account (HTTP 400, code 2001, not 404).
 *
 * @category constructors
 * @since 0.1.0
 */
export const gatewayMissing = (): AiGatewayError =>
  new AiGatewayError({
    status: 400,
    code: 2001,
    description: "Please configure AI Gateway in the Cloudflare dashboard"
  })

/**
 * The gateway requires authentication and the token is missing or wrong (HTTP 401, code 2009).
 *
 * @category constructors
 * @since 0.1.0
 */
export const unauthorized = (): AiGatewayError =>
  new AiGatewayError({ status: 401, code: 2009, description: "Unauthorized" })

/**
 * No provider has this slug (HTTP 400, code 2008).
 *
 * @category constructors
 * @since 0.1.0
 */
export const invalidProvider = (): AiGatewayError =>
  new AiGatewayError({ status: 400, code: 2008, description: "Invalid provider" })

/**
 * The provider could not be reached (HTTP 400, code 2005).
 *
 * @category constructors
 * @since 0.1.0
 */
export const noProviderAnswer = (detail: string): AiGatewayError =>
  new AiGatewayError({ status: 400, code: 2005, description: `Failed to get response from provider: ${detail}` })

/**
 * The path has a segment `.` or `..`, which no URL keeps (HTTP 400; the code is ours).
 *
 * @category constructors
 * @since 0.1.0
 */
export const dotSegment = (): AiGatewayError =>
  new AiGatewayError({
    status: 400,
    code: 7000,
    description: "The path below the provider must not have '.' or '..' as a segment, escaped or not"
  })

/**
 * A JSON answer whose content type is exactly `application/json`: workerd's binding compares the whole value.
 *
 * @category constructors
 * @since 0.1.0
 */
export const json = (
  body: unknown,
  options?: { readonly status?: number; readonly headers?: { readonly [name: string]: string } }
): HttpServerResponse.HttpServerResponse =>
  HttpServerResponse.text(JSON.stringify(body), {
    status: options?.status ?? 200,
    contentType: "application/json",
    ...(options?.headers === undefined ? {} : { headers: options.headers })
  })

/**
 * A success in the v4 envelope.
 *
 * @category constructors
 * @since 0.1.0
 */
export const ok = (
  result: unknown,
  more?: { readonly resultInfo?: ResultInfo | undefined; readonly messages?: ReadonlyArray<Notice> | undefined }
): HttpServerResponse.HttpServerResponse =>
  json({
    success: true,
    errors: [],
    messages: more?.messages ?? [],
    result,
    ...(more?.resultInfo === undefined ? {} : { result_info: more.resultInfo })
  })

/**
 * A failure in the v4 envelope.
 *
 * @category constructors
 * @since 0.1.0
 */
export const fromApiError = (error: ApiError): HttpServerResponse.HttpServerResponse =>
  json({ success: false, errors: error.errors, messages: [], result: null }, { status: error.status })

/**
 * The body of a failure in the gateway's envelope.
 *
 * `description` repeats the message because workerd's binding builds what it throws from `description`.
 *
 * @category constructors
 * @since 0.1.0
 */
export const gatewayBody = (error: AiGatewayError): unknown => ({
  success: false,
  result: [],
  messages: [],
  error: [{ code: error.code, message: error.description }],
  name: "AiGatewayError",
  httpCode: error.status,
  internalCode: error.code,
  message: error.description,
  description: error.description
})

/**
 * The body of what a policy refuses: without a code, and `error` is an object.
 *
 * @category constructors
 * @since 0.1.0
 */
export const policyBody = ({ error }: PolicyRefusal): unknown => ({ success: false, error })

/**
 * A failure in the gateway's envelope.
 *
 * @category constructors
 * @since 0.1.0
 */
export const fromAiGatewayError = (
  error: AiGatewayError,
  headers?: { readonly [name: string]: string }
): HttpServerResponse.HttpServerResponse =>
  json(gatewayBody(error), { status: error.status, ...(headers === undefined ? {} : { headers }) })

/**
 * The body of a Workers AI failure: the v4 envelope over REST, `internalCode` behind the binding.
 *
 * @category constructors
 * @since 0.1.0
 */
export const modelErrorBody = (error: ModelError, face: "rest" | "binding"): unknown =>
  face === "rest"
    ? {
      success: false,
      errors: [{ code: error.code, message: `AiError: ${error.name_}: ${error.description}` }],
      messages: [],
      result: {}
    }
    : {
      internalCode: error.code,
      message: `${error.name_}: ${error.description}`,
      name: error.name_,
      description: error.description,
      httpCode: error.status
    }
