/**
 * The settings of `effect-ai-gateway local`, and where each comes from: a flag, else the environment, else a file.
 *
 * One schema checks every value, wherever it comes from; what is wrong is said, all at once, of the place where it was
 * written. Values of `token` and `redis` are in no message.
 *
 * @since 0.1.0
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as SchemaIssue from "effect/SchemaIssue"
import type * as CliError from "effect/unstable/cli/CliError"
import { userError } from "./cliError.ts"
import type * as cliFlags from "./cliFlags.ts"
import * as Profiles from "./local/dlp/Profiles.ts"
import * as Rules from "./local/guardrails/Rules.ts"
import * as Seeds from "./local/Seeds.ts"
import * as shape from "./resource/shape.ts"

const value = <A>(expected: string, is: (u: unknown) => u is A) => Schema.declare(is, { message: expected })

const setting = <A>(expected: string, is: (u: unknown) => u is A) => Schema.optionalKey(value(expected, is))

const isText = (u: unknown): u is string => typeof u === "string" && u !== ""

const wholeNumber = (least: number, most: number, unit = "") =>
  setting(
    `a whole number from ${least} to ${most}${unit}`,
    (u): u is number => typeof u === "number" && Number.isInteger(u) && u >= least && u <= most
  )

const onOff = setting("true or false", (u): u is boolean => typeof u === "boolean")

const time = (least: number) =>
  setting(
    `${least} to 86400 seconds, as a number of them or with a unit such as "5 minutes"`,
    (u): u is number | string => {
      const seconds = typeof u === "number" ? u : typeof u === "string" ? secondsOf(u) : NaN
      return seconds >= least && seconds <= 86_400
    }
  )

const upstreams = "PROVIDER=URL, PROVIDER=live or PROVIDER=simulated, such as openai=http://127.0.0.1:11434/v1; in a " +
  "file an object such as {\"openai\":\"http://127.0.0.1:11434/v1\"}"

// What is inside is checked where it is used, and by `inner`.
const guardrails = value("an object of rules by category", (u): u is Rules.Options => shape.isRecord(u))

const dlpProfiles = value("an object of profiles by id", (u): u is Profiles.Options => shape.isRecord(u))

const gateways = value("a list of gateways", (u): u is ReadonlyArray<Seeds.Seed> => Array.isArray(u))

/** The file; flags and variables fill in the same fields, those of the last group excepted. */
const Settings = Schema.Struct({
  host: setting("an IP address or a host name", isText),
  port: wholeNumber(0, 65_535),
  store: setting("a file, or :memory:", isText),
  accountId: setting("32 hexadecimal digits", (u): u is string => isText(u) && /^[0-9a-f]{32}$/.test(u)),
  token: setting("a text that is not empty", isText),
  cacheLimit: wholeNumber(0, 999_999, " MiB"),
  bodyLimit: wholeNumber(1, 2048, " MiB"),
  clientTimeout: time(1),
  shutdownTimeout: time(0),
  redis: setting("a URL, redis://HOST:PORT or rediss://...", isText),
  upstreams: Schema.optionalKey(
    Schema.Record(Schema.String, value("a URL, live or simulated", isText)).annotate({
      message: upstreams
    })
  ),
  offline: onOff,
  record: setting("a directory", isText),
  replay: setting("a directory", isText),
  allowPrivateUpstreams: onOff,
  guardrails: Schema.optionalKey(guardrails),
  dlpProfiles: Schema.optionalKey(dlpProfiles),
  gateways: Schema.optionalKey(gateways)
})

/**
 * What was set, `cacheLimit` and `bodyLimit` in MiB; what was not is absent.
 *
 * @category models
 * @since 0.1.0
 */
export type Settings = typeof Settings.Type

/**
 * @category models
 * @since 0.1.0
 */
export interface Resolved {
  readonly settings: Settings
  /** Flag, variable or place in the file of an option, named as the errors of `LocalGateway` do. */
  readonly from: (option: string) => string
}

/**
 * Puts a time into the form that options take.
 *
 * @category conversions
 * @since 0.1.0
 */
export const toDuration = (time: number | string): Duration.Duration =>
  Duration.seconds(typeof time === "number" ? time : secondsOf(time))

/**
 * Reads the file, checks everything, and takes each setting, whole, from the first of flag, variable and file that has it.
 *
 * @category constructors
 * @since 0.1.0
 */
export const resolve = (
  { config, ...given }: { readonly [K in Exclude<keyof typeof cliFlags.flags, "json">]: cliFlags.Given | undefined }
): Effect.Effect<Resolved, CliError.UserError, FileSystem.FileSystem> =>
  Effect.gen(function*() {
    const file = config === undefined ? undefined : yield* read(String(config.value), config.from)
    const inFile = (path: ReadonlyArray<PropertyKey>) => `${shape.formatPath(path.map(toStep))} in ${file?.name}`
    const origins = new Map<string, string>()
    const values: { [key: string]: unknown } = {}
    for (const [key, one] of Object.entries(given)) {
      if (one === undefined) continue
      values[key] = one.value
      origins.set(key, one.from)
    }
    const ours = decode(values, ([key, ...rest]) => {
      const from = origins.get(String(key)) ?? String(key)
      return rest.length === 0 ? from : `${rest.map(String).join(".")} of ${from}`
    })
    const theirs = decode(file?.content ?? {}, inFile)
    const inside = yield* inner(file?.content ?? {})
    const problems = [
      ...ours.problems,
      ...theirs.problems,
      ...inside.map(({ path, problem }) => `${inFile(path)}${problem}`)
    ]
    if (problems.length > 0) {
      return yield* userError(
        problems.length === 1 ? problems.join("") : `${problems.length} settings are wrong:\n- ${problems.join("\n- ")}`
      )
    }
    return {
      settings: { ...theirs.settings, ...ours.settings },
      from: (option) => origins.get(option.replace(/[.[].*$/, "")) ?? (file === undefined ? option : inFile([option]))
    }
  })

const read = (name: string, from: string) =>
  Effect.gen(function*() {
    const files = yield* FileSystem.FileSystem
    const text = yield* Effect.catch(
      files.readFileString(name),
      (error) =>
        userError(
          `cannot read ${name}, the file of settings (${error.reason._tag}): check its path and its rights, or leave ` +
            `out ${from}`,
          error
        )
    )
    const content = yield* Effect.catch(
      Effect.try({ try: (): unknown => JSON.parse(text.replace(/^\uFEFF/, "")), catch: String }),
      // The rest of what the parser says quotes the file, which may have secrets in it.
      (said) =>
        userError(
          `${name}, the file of settings, cannot be read as JSON${
            / at position .*$/.exec(said)?.[0] ?? ""
          }: write an object such as {"port":8787}`
        )
    )
    return shape.isRecord(content)
      ? { name, content }
      : yield* userError(`${name}, the file of settings, is not an object: write one such as {"port":8787}`)
  })

const decode = (
  values: { readonly [key: string]: unknown },
  nameOf: (path: ReadonlyArray<PropertyKey>) => string
): { readonly settings: Settings; readonly problems: Array<string> } =>
  Result.match(Schema.decodeUnknownResult(Settings, { errors: "all", onExcessProperty: "error" })(values), {
    onSuccess: (settings) => ({ settings, problems: [] }),
    onFailure: ({ issue }) => ({
      settings: {},
      problems: format(issue).issues.map(({ message, path = [] }) => {
        const keys = path.map((step) => typeof step === "object" ? step.key : step)
        return `${nameOf(keys)} is ${message === unknown ? unknown : `${show(values, keys)}, expected ${message}`}`
      })
    })
  })

/** What is wrong inside of the settings that only a file has. */
const inner = (content: { readonly [key: string]: unknown }) =>
  Effect.gen(function*() {
    const seeds = Schema.decodeUnknownOption(gateways)(content["gateways"])
    const found = Option.match(seeds, { onNone: () => Result.succeed([]), onSome: Seeds.decode })
    const problems: Array<{ readonly path: shape.Path; readonly problem: string }> = Result.match(found, {
      onSuccess: () => [],
      onFailure: (problems) =>
        problems.map(({ message, path }) => ({ path: ["gateways", ...path], problem: `: ${message}` }))
    })
    const rules = Schema.decodeUnknownOption(guardrails)(content["guardrails"])
    const profiles = Schema.decodeUnknownOption(dlpProfiles)(content["dlpProfiles"])
    for (
      const check of [
        Effect.asVoid(Rules.make(Option.getOrUndefined(rules))),
        Effect.asVoid(Profiles.make(Option.getOrUndefined(profiles)))
      ]
    ) {
      const wrong = yield* Effect.result(check)
      if (Result.isFailure(wrong)) {
        const { expected, option, value } = wrong.failure
        problems.push({ path: [option], problem: ` is ${JSON.stringify(value)}, expected ${expected}` })
      }
    }
    return problems
  })

const unknown = `no setting, expected one of ${Object.keys(Settings.fields).join(", ")}`

const format = SchemaIssue.makeFormatterStandardSchemaV1({
  leafHook: (issue) => issue._tag === "UnexpectedKey" ? unknown : SchemaIssue.defaultLeafHook(issue)
})

const secrets: ReadonlySet<PropertyKey> = new Set(["token", "redis"])

/** Single values only: what holds others may hold a secret. */
const show = (values: { readonly [key: string]: unknown }, path: ReadonlyArray<PropertyKey>): string => {
  const value = path.reduce<unknown>((at, key) => shape.isRecord(at) ? at[String(key)] : undefined, values)
  if (Array.isArray(value)) return "a list"
  if (typeof value === "object" && value !== null) return "an object"
  return path[0] !== undefined && secrets.has(path[0]) ? "<redacted>" : JSON.stringify(value).slice(0, 100)
}

const toStep = (key: PropertyKey): string | number => typeof key === "number" ? key : String(key)

const secondsOf = (text: string): number => {
  // A text that is no duration gives none.
  const duration = Duration.fromInput((/^\d+$/.test(text) ? `${text} seconds` : text) as Duration.Input)
  return Option.getOrElse(Option.map(duration, Duration.toSeconds), () => NaN)
}
