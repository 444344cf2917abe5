/**
 * Puts the tool calls of one answer together from the fragments in which providers send them.
 *
 * Known shapes: one call per index with its arguments in increments (OpenAI); the same, with the whole text so far in
 * each fragment; whole calls with object arguments, without id and index (Workers AI, legacy); an index that is used
 * again under a new id; a name that comes after the first arguments.
 *
 * @since 0.1.0
 */
import * as AiError from "effect/unstable/ai/AiError"
import type * as Response from "effect/unstable/ai/Response"
import * as Tool from "effect/unstable/ai/Tool"
import { isRecord, type JsonRecord, parse as parseJson, text } from "./Json.ts"

/**
 * What one fragment says; nothing in it is certain to be there.
 *
 * @category models
 * @since 0.1.0
 */
export interface Fragment {
  readonly index: number | undefined
  readonly id: string | undefined
  readonly name: string | undefined
  /** A piece of JSON text, or the arguments themselves. */
  readonly arguments: string | JsonRecord | undefined
  /** The text is a piece and never all of it so far, which a piece of nested JSON can look like. */
  readonly incremental?: boolean | undefined
  /** The provider runs the tool itself; its result is a part of the answer. */
  readonly providerExecuted?: boolean | undefined
  /** Goes onto the tool call part, and from there into the next prompt: signatures, for instance. */
  readonly metadata?: Response.ProviderMetadata | undefined
}

/**
 * A call under construction.
 *
 * @category models
 * @since 0.1.0
 */
export interface Call {
  /** The provider's id, or one of ours when it gave none or one that another call has. */
  readonly id: string
  /** The id as it came. */
  readonly wireId: string | undefined
  name: string | undefined
  /** The JSON text so far. */
  arguments: string
  /** The part of `arguments` that no part has carried yet. */
  unwritten: string
  /** The arguments came as an object, so nothing of them is missing. */
  whole: boolean
  providerExecuted: boolean
  metadata: Response.ProviderMetadata | undefined
  started: boolean
  ended: boolean
}

/**
 * @category models
 * @since 0.1.0
 */
export interface ToolCalls {
  /** The call of the newest fragment. */
  readonly last: Call | undefined
  readonly size: number
  /** The calls that have not ended, in the order of their first fragments. */
  readonly open: () => ReadonlyArray<Call>
  /** The call that the fragment belongs to, brought up to date; `undefined` when it belongs to none. */
  readonly add: (fragment: Fragment) => Call | AiError.InvalidOutputError | undefined
}

/**
 * @category constructors
 * @since 0.1.0
 */
export const make = (idPrefix: string): ToolCalls => {
  const calls: Array<Call> = []
  const byIndex = new Map<number, Call>()
  const byId = new Map<string, Call>()
  let last: Call | undefined

  const find = (fragment: Fragment): Call | undefined => {
    if (fragment.index !== undefined) {
      const call = byIndex.get(fragment.index)
      return call !== undefined && continues(call, fragment) ? call : undefined
    }
    if (fragment.id !== undefined) return byId.get(fragment.id)
    if (fragment.name === undefined || last === undefined) return last
    const open = !last.ended && !last.whole && typeof fragment.arguments === "string"
    return open && (last.name === undefined || (last.name === fragment.name && parseComplete(last) === undefined))
      ? last
      : undefined
  }

  return {
    get last() {
      return last
    },
    get size() {
      return calls.length
    },
    open: () => calls.filter((call) => !call.ended),
    add(fragment) {
      let call = find(fragment)
      if (call === undefined) {
        if (isNothing(fragment)) return undefined
        const isNew = fragment.id !== undefined && !byId.has(fragment.id)
        call = {
          id: isNew ? fragment.id : `${idPrefix}${calls.length}`,
          wireId: fragment.id,
          name: undefined,
          arguments: "",
          unwritten: "",
          whole: false,
          providerExecuted: false,
          metadata: undefined,
          started: false,
          ended: false
        }
        calls.push(call)
        if (fragment.index !== undefined) byIndex.set(fragment.index, call)
        if (isNew) byId.set(fragment.id, call)
      }
      last = call
      call.name ??= fragment.name
      if (fragment.providerExecuted === true) call.providerExecuted = true
      if (fragment.metadata !== undefined) call.metadata = { ...call.metadata, ...fragment.metadata }
      return addArguments(call, fragment)
    }
  }
}

/**
 * Reads `{ index, id, function: { name, arguments } }` and the flat `{ name, arguments }`.
 *
 * @category constructors
 * @since 0.1.0
 */
export const fragment = (u: unknown): Fragment | undefined => {
  if (!isRecord(u)) return undefined
  const inner = isRecord(u["function"]) ? u["function"] : u
  const given = inner["arguments"] ?? (inner === u ? u["parameters"] : undefined)
  return {
    index: typeof u["index"] === "number" ? u["index"] : undefined,
    id: text(u["id"]),
    name: text(inner["name"]),
    arguments: typeof given === "string" || isRecord(given) ? given : undefined
  }
}

/**
 * The calls of a text that is nothing but the JSON of one call or of a list of calls, each with name and arguments.
 *
 * @category constructors
 * @since 0.1.0
 */
export const inText = (text: string): ReadonlyArray<Fragment> | undefined => {
  const json = parseJson(text)
  const calls: Array<Fragment> = []
  for (const item of Array.isArray(json) ? json : [json]) {
    const call = fragment(item)
    if (call?.name === undefined || call.arguments === undefined) return undefined
    calls.push(call)
  }
  return calls.length === 0 ? undefined : calls
}

/**
 * Neither id nor name nor arguments: such a fragment closes the call that is open, if that is complete.
 *
 * @category guards
 * @since 0.1.0
 */
export const isNothing = (fragment: Fragment): boolean =>
  fragment.id === undefined && fragment.name === undefined && !fragment.arguments

/**
 * The arguments, or `undefined` when their text is not JSON or tries to reach a prototype; no text means no arguments.
 *
 * @category accessors
 * @since 0.1.0
 */
export const parse = (call: Call): unknown => {
  if (call.arguments.trim() === "") return {}
  try {
    return Tool.unsafeSecureJsonParse(call.arguments)
  } catch {
    return undefined
  }
}

/**
 * The arguments when their text is that of a whole JSON object.
 *
 * @category accessors
 * @since 0.1.0
 */
export const parseComplete = (call: Call): unknown => call.arguments.trimEnd().endsWith("}") ? parse(call) : undefined

/** Whether a fragment with the index of `call` is more of it, or the first of another call. */
const continues = (call: Call, fragment: Fragment): boolean => {
  if (fragment.id !== undefined && call.wireId !== undefined) return fragment.id === call.wireId
  if (fragment.name === undefined || fragment.id !== undefined || !call.whole) return true
  return fragment.name === call.name && isRecord(fragment.arguments) &&
    JSON.stringify(fragment.arguments) === call.arguments
}

const addArguments = (
  call: Call,
  { arguments: given, incremental }: Fragment
): Call | AiError.InvalidOutputError => {
  if (given === undefined || given === "") return call
  const piece = typeof given === "string" ? given : JSON.stringify(given)
  const before = call.arguments
  // Increments, or all of the text so far again: an increment cannot start with a whole "{..." that is open.
  const more =
    !incremental && before !== "" && piece.length >= before.length && before.startsWith("{") && piece.startsWith(before)
      ? piece.slice(before.length)
      : piece
  if (typeof given !== "string") call.whole = true
  if (more === "" || (call.ended && more.trim() === "")) return call
  if (call.ended || (call.whole && before !== "")) {
    return new AiError.InvalidOutputError({
      description: `the arguments of tool call ${call.name ?? call.id} went on after they were complete`
    })
  }
  call.arguments = before + more
  call.unwritten += more
  return call
}
