/**
 * What a user declares of a gateway, and the one Schema that checks it before any call is made.
 *
 * @since 0.1.0
 */
import { UserFacingError } from "alchemy/UserFacingError"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Formatter from "effect/Formatter"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as SchemaGetter from "effect/SchemaGetter"
import * as SchemaIssue from "effect/SchemaIssue"
import { idPattern, type Setting, type SettingName, settings } from "./settings.ts"

/**
 * A length of time in whole seconds: a number of seconds, a text such as `"5 minutes"`, or a `Duration`.
 *
 * @category models
 * @since 0.1.0
 */
export type Seconds = number | Duration.Duration | Extract<Duration.Input, string>

/**
 * The settings of a gateway; one left out keeps what the gateway has, or Cloudflare's default when it is created.
 *
 * Ranges and defaults: Cloudflare's API reference of AI Gateway, "create a gateway".
 *
 * @category models
 * @since 0.1.0
 */
export interface AiGatewayProps {
  /**
   * The gateway's id: 1 to 64 of `a-z`, `0-9`, `_`, `-`. A change replaces the gateway.
   *
   * Default: a name made of the stack, the stage and the resource's own id.
   */
  readonly id?: string | undefined
  /** How long answers are served from the cache: 60 seconds to 31 days, or `null` for no cache (the default). */
  readonly cacheTtl?: Seconds | null | undefined
  /** Whether a change of the gateway empties its cache. Default `false`. */
  readonly cacheInvalidateOnUpdate?: boolean | undefined
  /** The window of the rate limit, at least one second, or `null` for no limit (the default). */
  readonly rateLimitingInterval?: Seconds | null | undefined
  /** How many requests a window takes, at least 1, or `null` for no limit (the default). */
  readonly rateLimitingLimit?: number | null | undefined
  /** Whether windows are aligned to the clock or slide. Default `"fixed"`. */
  readonly rateLimitingTechnique?: "fixed" | "sliding" | undefined
  /** Whether requests are logged. Default `true`. */
  readonly collectLogs?: boolean | undefined
  /** How many log entries are kept: 10,000 to 10,000,000 (the default). */
  readonly logManagement?: number | undefined
  /** What happens to a new entry when the log is full. Default `"DELETE_OLDEST"`. */
  readonly logManagementStrategy?: "STOP_INSERTING" | "DELETE_OLDEST" | undefined
  /** Whether every request must carry a token of the gateway. Default `false`. */
  readonly authentication?: boolean | undefined
}

/**
 * A setting's value as the management API has it; `null` is off.
 *
 * @category models
 * @since 0.1.0
 */
export type SettingValue = string | number | boolean | null

/**
 * Checked props: only what was declared, in the API's units.
 *
 * @category models
 * @since 0.1.0
 */
export interface Declaration {
  readonly id: string | undefined
  readonly settings: { readonly [K in SettingName]?: SettingValue }
}

/**
 * One thing that is wrong with a declaration.
 *
 * @category errors
 * @since 0.1.0
 */
export const Problem = Schema.Struct({
  /** The prop. */
  path: Schema.String,
  /** What is wrong with it, what it may be, and what it is. */
  message: Schema.String
})

/**
 * The props of a gateway are wrong; lists every problem, and no request was made.
 *
 * @category errors
 * @since 0.1.0
 */
export class InvalidProps extends Schema.TaggedError<InvalidProps>("effect-ai-gateway/InvalidProps")("InvalidProps", {
  /** The logical id of the resource. */
  resource: Schema.String,
  problems: Schema.Array(Problem)
}) {
  // Alchemy's CLI prints the message of such an error as it is, without a stack.
  readonly [UserFacingError] = true as const
  override get message(): string {
    const lines = this.problems.map(({ message, path }) => `  - ${path}: ${message}`)
    return `The props of AiGateway("${this.resource}") are wrong:\n${lines.join("\n")}`
  }
}

/**
 * Checks the props of one gateway and turns them into the API's units.
 *
 * @category decoding
 * @since 0.1.0
 */
export const decode = (resource: string, props: unknown): Effect.Effect<Declaration, InvalidProps> =>
  Effect.flatMap(
    Effect.result(decodeUnknown(props ?? {}, { errors: "all", onExcessProperty: "error" })),
    (result) => {
      const problems = [
        ...(Result.isFailure(result) ? problemsOf(result.failure.issue) : []),
        ...contradictions(props)
      ]
      if (Result.isFailure(result) || problems.length > 0) {
        return Effect.fail(new InvalidProps({ resource, problems }))
      }
      const { id, ...declared } = Object.fromEntries(
        Object.entries(result.success).filter(([, value]) => value !== undefined)
      ) as Declaration["settings"] & { readonly id?: string } // `check` lets only these types through
      return Effect.succeed({ id, settings: declared })
    }
  )

const show = (u: unknown): string => Duration.isDuration(u) ? Duration.format(u) : Formatter.format(u)

type Checked = { readonly value: SettingValue } | { readonly problem: string }

const range = (setting: Setting & { readonly kind: "integer" | "seconds" }): string => {
  const unit = setting.kind === "seconds" ? " seconds" : ""
  const off = setting.zeroIsOff ? ", or null to turn it off" : ""
  return `a whole number from ${setting.minimum} to ${setting.maximum}${unit}${off}`
}

const toSeconds = (u: unknown): Option.Option<number> => {
  if (typeof u === "number") return Option.some(u)
  if (typeof u === "string") {
    return Option.map(Duration.fromInput(u as Duration.Input), Duration.toSeconds) // an unreadable text gives none
  }
  return Duration.isDuration(u) ? Option.some(Duration.toSeconds(u)) : Option.none()
}

const check = (setting: Setting, u: unknown): Checked => {
  switch (setting.kind) {
    case "boolean":
      return typeof u === "boolean" ? { value: u } : { problem: `expected true or false, got ${show(u)}` }
    case "string":
      return typeof u === "string" ? { value: u } : { problem: `expected a text, got ${show(u)}` }
    case "enum":
      return typeof u === "string" && setting.values.includes(u)
        ? { value: u }
        : { problem: `expected one of ${setting.values.map(show).join(", ")}, got ${show(u)}` }
    case "integer":
    case "seconds": {
      if (u === null && setting.zeroIsOff) return { value: null }
      const number = setting.kind === "seconds" ? toSeconds(u) : typeof u === "number" ? Option.some(u) : Option.none()
      return Option.isSome(number) && Number.isInteger(number.value) && number.value >= setting.minimum &&
          number.value <= setting.maximum
        ? { value: number.value }
        : {
          problem: `expected ${range(setting)}${
            setting.kind === "seconds" ? ", as a number of seconds or a duration such as \"5 minutes\"" : ""
          }, got ${show(u)}`
        }
    }
  }
}

const field = (test: (u: unknown) => Checked) =>
  Schema.optional(Schema.Unknown.pipe(Schema.decodeTo(Schema.Unknown, {
    decode: SchemaGetter.transformEffect((u: unknown) => {
      if (u === undefined) return Effect.succeed(u)
      const checked = test(u)
      return "problem" in checked
        ? Effect.fail(new SchemaIssue.InvalidValue({ message: checked.problem }))
        : Effect.succeed(checked.value)
    }),
    encode: SchemaGetter.passthrough()
  })))

const fields: { readonly [K in "id" | SettingName]: ReturnType<typeof field> } = Object.assign(
  {
    id: field((u) =>
      typeof u === "string" && idPattern.test(u)
        ? { value: u }
        : { problem: `expected 1 to 64 characters of a-z, 0-9, _ and -, got ${show(u)}` }
    )
  },
  // `fromEntries` forgets the keys that `entries` had.
  Object.fromEntries(Object.entries(settings).map(([name, setting]) => [name, field((u) => check(setting, u))])) as {
    readonly [K in SettingName]: ReturnType<typeof field>
  }
)

const Props = Schema.Struct(fields)

/** Settings that only make sense together; looked at even when single values are wrong, to report all at once. */
const contradictions = (props: unknown): ReadonlyArray<typeof Problem.Type> => {
  const on = (name: SettingName) =>
    typeof props === "object" && props !== null && Reflect.get(props, name) !== undefined &&
    Reflect.get(props, name) !== null
  const limited = on("rateLimitingLimit")
  if (limited === on("rateLimitingInterval")) return []
  const [missing, given] = limited
    ? ["rateLimitingInterval", "rateLimitingLimit"]
    : ["rateLimitingLimit", "rateLimitingInterval"]
  return [{ path: missing, message: `needed because ${given} is set: a rate limit has both, or neither` }]
}

const format = SchemaIssue.makeFormatterStandardSchemaV1()

const problemsOf = (issue: SchemaIssue.Issue): ReadonlyArray<typeof Problem.Type> =>
  format(issue).issues.map(({ message, path }) => ({
    path: (path ?? []).map((key) => String(typeof key === "object" ? key.key : key)).join(".") || "props",
    message: message === "Expected no excess property" ? "there is no such setting" : message
  }))

const decodeUnknown = Schema.decodeUnknownEffect(Props)
