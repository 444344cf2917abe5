/**
 * A refusal as OpenAI writes it. Source: the wire reference, section 10.1; OpenAI's error codes.
 *
 * @since 0.1.0
 */
import * as Reply from "./Reply.ts"

/**
 * @category constructors
 * @since 0.1.0
 */
export const make = (
  message: string,
  options: {
    readonly status?: number | undefined
    readonly param?: string | undefined
    readonly code?: string | undefined
  } = {}
): Reply.Reply => {
  const { code = null, param = null, status = 400 } = options
  return Reply.json({ error: { message, type: "invalid_request_error", param, code } }, status)
}

/**
 * A required field that is not there.
 *
 * @category constructors
 * @since 0.1.0
 */
export const missing = (param: string): Reply.Reply =>
  make(`Missing required parameter: '${param}'.`, { param, code: "missing_required_parameter" })

/**
 * A field with a value that it cannot have.
 *
 * @category constructors
 * @since 0.1.0
 */
export const invalid = (param: string, expected: string, got: unknown): Reply.Reply => {
  const shown = JSON.stringify(got) ?? "nothing"
  const value = shown.length > 60 ? `${shown.slice(0, 60)}...` : shown
  return make(`Invalid value for '${param}': expected ${expected}, but got ${value}.`, { param, code: "invalid_value" })
}
