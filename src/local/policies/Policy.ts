/**
 * A policy as the API takes it, and as it is applied to requests.
 *
 * `actor` is a text with `{cf.user.id}`, `{cf.user.email}` and `{metadata.<key>}` in it; where a request lacks one of them
 * the policy does not apply. `resource` is `*` or names models and providers, both of which must fit where both are given; in
 * a model `*` stands for any characters but `/`. Models are known under their own name, after their author and after their
 * provider: `gpt-4o`, `openai/gpt-4o`, `azure-openai/gpt-4o`. Source: the wire reference, section 5.3.
 *
 * @since 0.1.0
 */
import * as Result from "effect/Result"
import { isRecord, type JsonRecord } from "../../model/Json.ts"
import type { Notice } from "../Envelope.ts"
import * as Fields from "../Fields.ts"
import { namesOf } from "../SpendLimits.ts"
import * as Condition from "./Condition.ts"

/**
 * The calendar's hour, day, week (from Monday) or month, in UTC.
 *
 * @category models
 * @since 0.1.0
 */
export type Period = typeof periods[number]

/**
 * @category models
 * @since 0.1.0
 */
export type Action =
  | { readonly type: "no-limit" }
  /** `except`: all is blocked that the resource does not name. */
  | { readonly type: "block"; readonly except: boolean }
  /** US dollars. */
  | { readonly type: "limit"; readonly amount: number; readonly period: Period }

/**
 * A policy that can be applied.
 *
 * @category models
 * @since 0.1.0
 */
export interface Policy {
  readonly name: string
  /** Who asks, with all placeholders filled in; undefined where the request lacks one. */
  readonly actor: (facts: Condition.Facts) => string | undefined
  /** The resource in words; two that say the same are the same. */
  readonly resource: string
  readonly covers: (provider: string, model: string) => boolean
  readonly holds: Condition.Condition
  readonly action: Action
}

/**
 * @category constants
 * @since 0.1.0
 */
export const periods = ["hourly", "daily", "weekly", "monthly"] as const

/**
 * Makes a policy of a body; the failure lists every problem, each with its path.
 *
 * @category decoding
 * @since 0.1.0
 */
export const decode = (body: unknown): Result.Result<Policy, ReadonlyArray<Notice>> => {
  const problems = [...Fields.problems(body, fields, ["body"])]
  const given: JsonRecord = isRecord(body) ? body : {}
  const { action, actor, condition, name, resource } = given
  const parts = typeof actor === "string" ? template(actor) : Result.fail("expected a text")
  if (typeof actor === "string" && Result.isFailure(parts)) {
    problems.push(Fields.notice(["body", "actor"], parts.failure))
  }
  if (isRecord(resource)) {
    problems.push(...Fields.problems(resource, resourceFields, ["body", "resource"]))
    if (Object.keys(resource).length === 0) {
      problems.push(Fields.notice(["body", "resource"], "expected model or provider in it"))
    }
  }
  if (isRecord(action)) {
    problems.push(...Fields.problems(action, actionFields(action["type"]), ["body", "action"]))
  }
  const holds = typeof condition === "string" ? Condition.compile(condition) : Result.succeed(() => true)
  if (Result.isFailure(holds)) problems.push(Fields.notice(["body", "condition"], holds.failure))
  if (problems.length > 0 || Result.isFailure(parts) || Result.isFailure(holds)) return Result.fail(problems)
  return Result.succeed({
    name: String(name),
    actor: (facts) => fill(parts.success, facts),
    resource: describe(resource),
    covers: covering(resource),
    holds: holds.success,
    action: actionOf(action)
  })
}

/**
 * Whether a model's name fits a pattern, in which `*` stands for any characters but `/`.
 *
 * @category predicates
 * @since 0.1.0
 */
export const fits = (pattern: string, name: string): boolean => {
  const patterns = pattern.split("/")
  const names = name.split("/")
  return patterns.length === names.length && patterns.every((part, i) => fitsPart(part.split("*"), names[i] ?? ""))
}

const text = (limit: number): Fields.Field["check"] => (u) =>
  typeof u === "string" && u !== "" && u.length <= limit ? undefined : `a text of 1 to ${limit} characters`

/** One, or a list of them. */
const texts: Fields.Field["check"] = (u) => {
  if (!Array.isArray(u)) {
    return text(256)(u) === undefined
      ? undefined
      : "a text of 1 to 256 characters, or a list of such"
  }
  return u.length > 100 ? "a list of at most 100" : Fields.list(text(256), 1)(u)
}

const record: Fields.Field["check"] = (u) => isRecord(u) ? undefined : "an object"

const fields = {
  name: Fields.required(text(256)),
  actor: Fields.required(text(1024)),
  resource: Fields.required((u) =>
    u === "*" || isRecord(u) ? undefined : "\"*\", or an object with model, provider or both"
  ),
  condition: Fields.optional(text(2048)),
  action: Fields.required(record)
}

const resourceFields = { model: Fields.optional(texts), provider: Fields.optional(texts) }

const actionFields = (type: unknown): Fields.Fields => ({
  type: Fields.required(Fields.oneOf(["no-limit", "block", "limit"])),
  ...(type === "block" ? { except: Fields.optional(Fields.flag) } : {}),
  ...(type === "limit"
    ? {
      amount: Fields.required((u) =>
        typeof u === "number" && Number.isFinite(u) && u > 0 ? undefined : "a number of US dollars above 0"
      ),
      period: Fields.required(Fields.oneOf(periods)),
      technique: Fields.optional(Fields.oneOf(["named-interval"]))
    }
    : {})
})

const actionOf = (action: unknown): Action => {
  const { amount, except, period, type }: JsonRecord = isRecord(action) ? action : {}
  return type === "limit"
    ? { type, amount: Number(amount), period: periods.find((_) => _ === period) ?? "monthly" }
    : type === "block"
    ? { type, except: except === true }
    : { type: "no-limit" }
}

type Part = string | { readonly from: "id" | "email" } | { readonly key: string }

/** Texts and placeholders in their order. */
const template = (source: string): Result.Result<ReadonlyArray<Part>, string> => {
  const parts: Array<Part> = []
  // Every second piece was in braces.
  for (const [i, piece] of source.split(/\{([^{}]*)\}/).entries()) {
    if (i % 2 === 0) {
      if (/[{}]/.test(piece)) return Result.fail("expected a } for every {")
      parts.push(piece)
    } else if (piece === "cf.user.id") parts.push({ from: "id" })
    else if (piece === "cf.user.email") parts.push({ from: "email" })
    else if (/^metadata\../.test(piece)) parts.push({ key: piece.slice("metadata.".length) })
    else return Result.fail(`{${piece}} is not known: use {cf.user.id}, {cf.user.email} or {metadata.<key>}`)
  }
  return Result.succeed(parts)
}

const fill = (parts: ReadonlyArray<Part>, { identity, metadata }: Condition.Facts): string | undefined => {
  let filled = ""
  for (const part of parts) {
    const value = typeof part === "string"
      ? part
      : "from" in part
      ? identity[part.from]
      : Object.hasOwn(metadata, part.key)
      ? metadata[part.key]
      : undefined
    if (value === undefined) return undefined
    filled += String(value)
  }
  return filled
}

const listOf = (u: unknown): ReadonlyArray<string> | undefined =>
  u === undefined ? undefined : [...new Set(Array.isArray(u) ? u.map(String) : [String(u)])].sort()

const describe = (resource: unknown): string =>
  isRecord(resource)
    ? JSON.stringify({ model: listOf(resource["model"]), provider: listOf(resource["provider"]) })
    : "*"

const covering = (resource: unknown): Policy["covers"] => {
  if (!isRecord(resource)) return () => true
  const models = listOf(resource["model"])
  const providers = listOf(resource["provider"])
  return (provider, model) =>
    (providers === undefined || providers.includes(provider)) &&
    (models === undefined || namesOf(provider, model).some((name) => models.some((pattern) => fits(pattern, name))))
}

/** The pieces between wildcards, each as early as it goes: where one is possible at all, so is the rest. */
const fitsPart = (pieces: ReadonlyArray<string>, name: string): boolean => {
  const first = pieces[0] ?? ""
  const last = pieces.at(-1) ?? ""
  if (pieces.length === 1) return name === first
  if (name.length < first.length + last.length || !name.startsWith(first) || !name.endsWith(last)) return false
  const end = name.length - last.length
  let at = first.length
  for (const piece of pieces.slice(1, -1)) {
    const found = name.indexOf(piece, at)
    if (found === -1 || found + piece.length > end) return false
    at = found + piece.length
  }
  return true
}
