/**
 * Conditions of policies: a CEL expression over who asks and what they say about the request.
 *
 * `cf.user.id`, `cf.user.email`, `cf.user.groups`, `cf.custom.<claim>` and `cf.country` are what Cloudflare Access and
 * Cloudflare's network know. Nothing on this machine knows them, so requests have none of them and a policy that needs one
 * does not apply; only the simulation of the API is given some. `metadata.<key>` is the request's. What a request does not
 * have is an error in CEL, as is comparing a number with a text, and a condition with an error does not hold: whether it is
 * open to a request must not be for that request to decide. Numbers of the metadata are CEL's `double`.
 *
 * A condition cannot hold the gateway up: see `conditionCost`. Regular expressions run in linear time. They may begin with
 * `(?i)`, and else count case as CEL's do. Source: the wire reference, section 5.3.
 *
 * @since 0.1.0
 */
import { Environment, EvaluationError, ParseError } from "@marcbachmann/cel-js"
import type { ASTNode } from "@marcbachmann/cel-js"
import * as Result from "effect/Result"
import type { JsonRecord } from "../../model/Json.ts"
import * as LinearPattern from "../inspection/LinearPattern.ts"
import type { Metadata } from "../LogStore.ts"
import * as conditionCost from "./conditionCost.ts"

/**
 * Who asks, as Cloudflare Access would say it.
 *
 * @category models
 * @since 0.1.0
 */
export interface Identity {
  readonly id?: string | undefined
  readonly email?: string | undefined
  readonly groups?: ReadonlyArray<string> | undefined
  /** Texts, numbers, true or false, or lists of texts. */
  readonly custom?: JsonRecord | undefined
  readonly country?: string | undefined
}

/**
 * What conditions and actors look at.
 *
 * @category models
 * @since 0.1.0
 */
export interface Facts {
  readonly identity: Identity
  readonly metadata: Metadata
  /** The same for CEL, made once for all policies of a request. */
  readonly variables: { readonly [name: string]: ReadonlyMap<string, unknown> }
}

/**
 * Whether a condition holds.
 *
 * @category models
 * @since 0.1.0
 */
export type Condition = (facts: Facts) => boolean

/**
 * The facts of a request. Metadata of more than 1024 characters is as good as none, as is nested metadata.
 *
 * @category constructors
 * @since 0.1.0
 */
export const facts = (identity: Identity, metadata: Metadata | undefined): Facts => {
  const given = metadata !== undefined && sizeOf(metadata) <= metadataLimit ? metadata : {}
  const { country, custom = {}, email, groups, id } = identity
  // Maps have no keys but their own, whatever a caller names one.
  const present = (entries: ReadonlyArray<readonly [string, unknown]>) =>
    new Map(entries.filter(([, value]) => value !== undefined))
  return {
    identity,
    metadata: given,
    variables: {
      cf: present([
        ["user", present([["id", id], ["email", email], ["groups", groups]])],
        ["custom", present(Object.entries(custom))],
        ["country", country]
      ]),
      metadata: present(Object.entries(given))
    }
  }
}

/**
 * Compiles an expression; the failure says what is wrong and where.
 *
 * @category constructors
 * @since 0.1.0
 */
export const compile = (source: string): Result.Result<Condition, string> => {
  if (source.length > sourceLimit) return Result.fail(`expected at most ${sourceLimit} characters`)
  const patterns = new Map<string, LinearPattern.Pattern>()
  const environment = conditions.clone().registerFunction(
    `string.${linear}(string): bool`,
    (text: string, pattern: string) => patterns.get(pattern)?.(text) === true
  )
  const parsed = Result.try({
    try: () => environment.parse(source),
    catch: (error) => error instanceof ParseError ? place(error.summary, error.range?.start ?? 0) : String(error)
  })
  if (Result.isFailure(parsed)) return Result.fail(parsed.failure)
  const run = parsed.success
  const checked = conditions.check(source)
  if (checked.error !== undefined) return Result.fail(place(checked.error.summary, checked.error.range?.start ?? 0))
  if (checked.type !== "bool" && checked.type !== "dyn") {
    return Result.fail(`expected an expression that is true or false, and not of type ${checked.type}`)
  }
  const refused = conditionCost.refusal(run.ast, sizes, costLimit, (pattern) => {
    const folds = pattern.startsWith("(?i)")
    const compiled = LinearPattern.compile(folds ? pattern.slice(4) : pattern, {
      caseSensitive: !folds,
      mayBeEmpty: true,
      limit: 200
    })
    if (Result.isFailure(compiled)) return compiled.failure
    patterns.set(pattern, compiled.success)
    return undefined
  })
  if (refused !== undefined) return Result.fail(place(refused.problem, refused.at))
  rename(run.ast)
  return Result.succeed(({ variables }) =>
    Result.getOrElse(
      Result.try({
        try: () => run({ ...variables }) === true,
        catch: (error) => {
          // Anything else is not about the request, but a failure of the evaluator.
          if (!(error instanceof EvaluationError)) throw error
          return false
        }
      }),
      (held) => held
    )
  )
}

const sourceLimit = 2048
const metadataLimit = 1024
/** About a tenth of a second. */
const costLimit = 100_000_000

const sizeOf = (metadata: Metadata) =>
  Object.entries(metadata).reduce((size, [key, value]) => size + key.length + String(value).length, 0)

/** A text of a claim, or a list of them: the simulation takes no larger ones. */
const claim: conditionCost.Size = { text: 256, items: 64, each: { text: 256, items: 0, each: undefined } }

const sizes = {
  cf: { text: 0, items: 3, each: { ...claim, each: claim } },
  metadata: { text: 0, items: 5, each: { text: metadataLimit, items: 0, each: undefined } }
}

const conditions = new Environment({
  homogeneousAggregateLiterals: false,
  limits: { maxAstNodes: 500, maxDepth: 32, maxListElements: 100, maxMapEntries: 100, maxCallArguments: 8 }
})
  .registerVariable("cf", "map")
  .registerVariable("metadata", "map")

/** The library's own `matches` is JavaScript's regular expressions, some of which never end; it cannot be replaced. */
const linear = "matchesInLinearTime"

const rename = (node: ASTNode): void => {
  if (node.op === "rcall" && node.args[0] === "matches") node.args[0] = linear
  for (const inner of nodesOf(node.args)) rename(inner)
}

const nodesOf = (args: unknown): ReadonlyArray<ASTNode> =>
  Array.isArray(args) ? args.flatMap(nodesOf) : isNode(args) ? [args] : []

const isNode = (u: unknown): u is ASTNode => typeof u === "object" && u !== null && "op" in u

const place = (problem: string, at: number) => `${problem} (at character ${at + 1})`
