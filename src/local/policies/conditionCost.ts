/**
 * How long a condition may take at most, found out before it ever runs.
 *
 * CEL ends always, but macros inside each other, texts that grow by `+` and regular expressions may make that late; the
 * library bounds the size of an expression only. So each part of one gets an upper bound of its time and of the size of its
 * value, from what a request may bring (see `Condition`). Functions are those of the table here and no others.
 *
 * @since 0.1.0
 */
import type { ASTNode } from "@marcbachmann/cel-js"

/**
 * The most that a value may be: a text of so many characters, or so many items.
 *
 * @category models
 * @since 0.1.0
 */
export interface Size {
  readonly text: number
  readonly items: number
  /** Of each item, or of each key and value. */
  readonly each: Size | undefined
}

/**
 * A part of a condition that is refused.
 *
 * @category models
 * @since 0.1.0
 */
export interface Refusal {
  readonly problem: string
  /** Index into the source. */
  readonly at: number
}

/**
 * What is wrong with an expression that takes longer than `limit` nanoseconds on a slow machine, or uses what is not known
 * here. `onMatches` gets each pattern, and says what is wrong with it.
 *
 * @category getters
 * @since 0.1.0
 */
export const refusal = (
  expression: ASTNode,
  variables: { readonly [name: string]: Size },
  limit: number,
  onMatches: (pattern: string) => string | undefined
): Refusal | undefined => {
  const walk: Walk = { found: undefined, onMatches }
  const { cost } = bound(walk, expression, new Map(Object.entries(variables)))
  return walk.found ?? (cost <= limit
    ? undefined
    : { problem: "may take too long: use fewer macros inside each other, or shorter lists", at: 0 })
}

interface Walk {
  found: Refusal | undefined
  readonly onMatches: (pattern: string) => string | undefined
}

type Scope = ReadonlyMap<string, Size>

interface Bound {
  /** Nanoseconds. */
  readonly cost: number
  readonly size: Size
}

const scalar: Size = { text: 32, items: 0, each: undefined }

/** Of any step, of an error that is thrown and caught, of a character or item, of a character by a pattern. */
const step = 500
const caught = 20_000
const touched = 20
const matched = 4000

const textOf = (text: number): Size => ({ text, items: 0, each: undefined })

const total = ({ each, items, text }: Size): number => 1 + text + items * (each === undefined ? 1 : total(each))

const larger = (a: Size | undefined, b: Size | undefined): Size | undefined =>
  a === undefined || b === undefined
    ? a ?? b
    : { text: Math.max(a.text, b.text), items: Math.max(a.items, b.items), each: larger(a.each, b.each) }

const largest = (sizes: ReadonlyArray<Size>): Size => sizes.reduce((a, b) => larger(a, b) ?? scalar, scalar)

const refuse = (walk: Walk, node: ASTNode, problem: string): Bound => {
  walk.found ??= { problem, at: node.start }
  return { cost: 0, size: scalar }
}

const sum = (bounds: ReadonlyArray<Bound>): number => bounds.reduce((cost, bound) => cost + bound.cost, step)

const bound = (walk: Walk, node: ASTNode, scope: Scope): Bound => {
  const of = (inner: ASTNode) => bound(walk, inner, scope)
  switch (node.op) {
    case "value": {
      const length = typeof node.args === "string" || node.args instanceof Uint8Array ? node.args.length : 0
      return { cost: step, size: textOf(Math.max(length, scalar.text)) }
    }
    case "id": {
      const size = scope.get(node.args)
      return size === undefined
        ? refuse(walk, node, `${node.args} is not known: use ${known}`)
        : { cost: step, size }
    }
    case ".":
    case "[]": {
      const from = of(node.args[0])
      const index = typeof node.args[1] === "string" ? step : of(node.args[1]).cost
      return { cost: step + from.cost + index, size: from.size.each ?? scalar }
    }
    case "list": {
      const items = node.args.map(of)
      return {
        cost: sum(items),
        size: { text: 0, items: items.length, each: largest(items.map(({ size }) => size)) }
      }
    }
    case "map": {
      const parts = node.args.flat().map(of)
      return {
        cost: sum(parts),
        size: { text: 0, items: node.args.length, each: largest(parts.map(({ size }) => size)) }
      }
    }
    case "?:": {
      const parts = node.args.map(of)
      return { cost: sum(parts), size: largest(parts.slice(1).map(({ size }) => size)) }
    }
    case "||":
    case "&&":
      return { cost: caught + sum(node.args.map(of)), size: scalar }
    case "!_":
    case "-_":
      return { cost: step + of(node.args).cost, size: scalar }
    case "+": {
      const [a, b] = [of(node.args[0]), of(node.args[1])]
      return {
        cost: sum([a, b]) + touched * (total(a.size) + total(b.size)),
        size: {
          text: a.size.text + b.size.text,
          items: a.size.items + b.size.items,
          each: larger(a.size.each, b.size.each)
        }
      }
    }
    case "call":
      return call(walk, node, node.args[0], node.args[1], scope)
    case "rcall": {
      const [name, receiver, args] = node.args
      const macro = macros[name]
      return macro === undefined
        ? method(walk, node, name, of(receiver), args, scope)
        : comprehension(walk, macro, of(receiver), args, scope)
    }
    case ".?":
    case "[?]":
      return refuse(walk, node, "optional values are not known here")
    default: {
      const parts = node.args.map(of)
      return {
        cost: sum(parts) + parts.reduce((cost, { size }) => cost + touched * total(size), 0),
        size: scalar
      }
    }
  }
}

const call = (walk: Walk, node: ASTNode, name: string, args: ReadonlyArray<ASTNode>, scope: Scope): Bound => {
  const given = args.map((arg) => bound(walk, arg, scope))
  const size = largest(given.map((arg) => arg.size))
  return functions.includes(name)
    ? { cost: sum(given) + touched * size.text, size: name === "dyn" ? size : textOf(size.text) }
    : refuse(walk, node, `${name}() is not known: use ${known}`)
}

const method = (
  walk: Walk,
  node: ASTNode,
  name: string,
  receiver: Bound,
  args: ReadonlyArray<ASTNode>,
  scope: Scope
): Bound => {
  const [first, ...rest] = args.map((arg) => bound(walk, arg, scope))
  const { each, items, text } = receiver.size
  const other = first?.size.text ?? 0
  const cost = sum([receiver, ...(first === undefined ? [] : [first]), ...rest])
  const given = (units: number, size: Size): Bound => ({ cost: cost + touched * units, size })
  switch (name) {
    case "size":
    case "startsWith":
    case "endsWith":
      return given(text + other, scalar)
    case "contains":
    case "indexOf":
    case "lastIndexOf":
      // In the worst case every character begins something like the other text.
      return { cost: cost + text * (other + 1), size: scalar }
    case "substring":
    case "trim":
      return given(text, textOf(text))
    case "lowerAscii":
    case "upperAscii":
      // The library's are not ASCII's alone: some letters become three.
      return given(text, textOf(text * 3))
    case "split":
      return { cost: cost + text * (other + touched), size: { text: 0, items: text + 1, each: textOf(text) } }
    case "join": {
      const joined = items * ((each?.text ?? 0) + other)
      return given(joined + items, textOf(joined))
    }
    case "matches": {
      const [pattern] = args
      if (pattern?.op !== "value" || typeof pattern.args !== "string") {
        return refuse(walk, pattern ?? node, "matches takes a pattern in quotes")
      }
      const problem = walk.onMatches(pattern.args)
      return problem === undefined
        ? { cost: cost + matched * text, size: scalar }
        : refuse(walk, pattern, `expected ${problem}`)
    }
    default:
      return refuse(walk, node, `${name}() is not known: use ${known}`)
  }
}

/** `list.exists(name, predicate)` and its like: what follows the name is run for every item, or every key of a map. */
const comprehension = (
  walk: Walk,
  macro: "test" | "map" | "filter",
  range: Bound,
  [name, ...bodies]: ReadonlyArray<ASTNode>,
  scope: Scope
): Bound => {
  const item = range.size.each ?? scalar
  // The library has refused a macro whose first argument is no name.
  const inner = new Map([...scope, [name?.op === "id" ? name.args : "", item]])
  const run = bodies.map((body) => bound(walk, body, inner))
  const each = macro === "filter" ? item : run.at(-1)?.size
  return {
    cost: step + range.cost + range.size.items * (caught + sum(run)),
    size: macro === "test" ? scalar : { text: 0, items: range.size.items, each }
  }
}

const macros: { readonly [name: string]: "test" | "map" | "filter" | undefined } = Object.assign(Object.create(null), {
  all: "test",
  exists: "test",
  exists_one: "test",
  map: "map",
  filter: "filter"
})

const functions = ["has", "size", "int", "uint", "double", "string", "bool", "dyn"]

const methods =
  "size, contains, startsWith, endsWith, matches, indexOf, lastIndexOf, substring, trim, lowerAscii, upperAscii, split, join"

const known =
  `cf.user.id, cf.user.email, cf.user.groups, cf.custom.<claim>, cf.country and metadata.<key>, the functions ${
    functions.join(", ")
  }, the methods ${methods}, and the macros ${Object.keys(macros).join(", ")}`
