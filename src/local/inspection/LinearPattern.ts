/**
 * A small regular expression engine whose time grows with the text's length only, whatever the pattern.
 *
 * The rules of guardrails and DLP are written by users and run on what strangers send; JavaScript's own engine may take
 * hours for a short text. This one knows no back references and no look-around, which is why it never has to go back.
 *
 * @since 0.1.0
 */
import * as Result from "effect/Result"

/**
 * Whether a text has a match anywhere.
 *
 * @category models
 * @since 0.1.0
 */
export type Pattern = (text: string) => boolean

/**
 * @category models
 * @since 0.1.0
 */
export interface Options {
  /** False by default. */
  readonly caseSensitive?: boolean | undefined
  /** Whether the pattern may match the empty text, which every text has; false by default. */
  readonly mayBeEmpty?: boolean | undefined
  /** How many characters the pattern may come to when its repetitions are written out, 2000 by default. */
  readonly limit?: number | undefined
}

/**
 * Compiles a pattern's source; the failure says what is not understood.
 *
 * Known: literals, `.`, classes, `\d \w \s \b` and their opposites, `^ $`, groups, `|`, `* + ? {n,m}`.
 *
 * @category constructors
 * @since 0.1.0
 */
export const compile = (
  source: string,
  { caseSensitive = false, limit = 2000, mayBeEmpty = false }: Options = {}
): Result.Result<Pattern, string> => {
  if (source.length > 1000) return Result.fail("a pattern of at most 1000 characters")
  const state: Parser = { source, caseSensitive, at: 0, depth: 0, problem: undefined }
  const tree = alternation(state)
  if (state.problem === undefined && state.at < source.length) problem(state, "a ) without its (")
  if (state.problem !== undefined) return Result.fail(state.problem)
  if (size(tree) > limit) return Result.fail(`a pattern whose repetitions count up to at most ${limit} characters`)
  if (!mayBeEmpty && nullable(tree)) return Result.fail("a pattern that does not match the empty text")
  return Result.succeed(matcher(tree, caseSensitive))
}

type Test = (code: number) => boolean

type Tree =
  | { readonly tag: "chars"; readonly test: Test }
  | { readonly tag: "assert"; readonly kind: "^" | "$" | "b" | "B" }
  | { readonly tag: "sequence" | "either"; readonly of: ReadonlyArray<Tree> }
  | { readonly tag: "repeat"; readonly of: Tree; readonly least: number; readonly most: number }

interface Parser {
  readonly source: string
  readonly caseSensitive: boolean
  at: number
  depth: number
  problem: string | undefined
}

const problem = (state: Parser, found: string): Tree => {
  state.problem ??= `a pattern without ${found} (at character ${state.at + 1})`
  state.at = state.source.length
  return { tag: "sequence", of: [] }
}

const alternation = (state: Parser): Tree => {
  const of = [sequence(state)]
  while (state.source[state.at] === "|") {
    state.at++
    of.push(sequence(state))
  }
  return of.length === 1 && of[0] !== undefined ? of[0] : { tag: "either", of }
}

const sequence = (state: Parser): Tree => {
  const of: Array<Tree> = []
  while (state.at < state.source.length && !"|)".includes(state.source.charAt(state.at))) {
    of.push(repeated(state, atom(state)))
  }
  return { tag: "sequence", of }
}

const repeated = (state: Parser, of: Tree): Tree => {
  const found = /^(?:\*|\+|\?|\{(\d{1,4})(,(\d{0,4}))?\})\??/.exec(state.source.slice(state.at))
  if (found === null) return of
  if (of.tag === "assert") return problem(state, "a repeated anchor")
  state.at += found[0].length
  const least = found[1] === undefined ? (found[0].startsWith("+") ? 1 : 0) : Number(found[1])
  const most = found[1] === undefined
    ? (found[0].startsWith("?") ? 1 : Infinity)
    : found[2] === undefined
    ? least
    : found[3] === ""
    ? Infinity
    : Number(found[3])
  if (most < least) return problem(state, "a range that ends before it starts")
  if (/^[*+?]/.test(state.source.slice(state.at))) return problem(state, "two quantifiers in a row")
  return { tag: "repeat", of, least, most }
}

const atom = (state: Parser): Tree => {
  const c = state.source.charAt(state.at++)
  switch (c) {
    case "(":
      return group(state)
    case "[":
      return chars(characterClass(state))
    case ".":
      return chars((code) => code !== 10 && code !== 13)
    case "^":
    case "$":
      return { tag: "assert", kind: c }
    case "*":
    case "+":
    case "?":
      return problem(state, "a quantifier that follows nothing")
    case "\\": {
      const next = state.source.charAt(state.at)
      if (next === "b" || next === "B") {
        state.at++
        return { tag: "assert", kind: next }
      }
      return chars(escape(state))
    }
    default:
      return chars(is(state, c.charCodeAt(0)))
  }
}

const group = (state: Parser): Tree => {
  if (state.source.startsWith("?:", state.at)) state.at += 2
  else if (state.source[state.at] === "?") return problem(state, "look-around, named groups and flags")
  if (++state.depth > 50) return problem(state, "more than 50 groups inside each other")
  const inner = alternation(state)
  state.depth--
  if (state.source[state.at] !== ")") return problem(state, "a ( without its )")
  state.at++
  return inner
}

const characterClass = (state: Parser): Test => {
  const negated = state.source[state.at] === "^"
  if (negated) state.at++
  const tests: Array<Test> = []
  while (state.at < state.source.length && state.source[state.at] !== "]") {
    const from = state.source.charAt(state.at++)
    const low = from === "\\" ? undefined : from.charCodeAt(0)
    const test = low === undefined ? escape(state) : is(state, low)
    if (low !== undefined && state.source[state.at] === "-" && !["]", undefined].includes(state.source[state.at + 1])) {
      const high = state.source.charCodeAt(state.at + 1)
      state.at += 2
      if (high < low || high === 92) problem(state, "a range of characters that ends before it starts")
      tests.push(folded(state, (code) => code >= low && code <= high))
    } else tests.push(test)
  }
  if (state.source[state.at] !== "]") problem(state, "a [ without its ]")
  state.at++
  return (code) => tests.some((test) => test(code)) !== negated
}

const escape = (state: Parser): Test => {
  const c = state.source.charAt(state.at++)
  const named = escapes[c]
  if (named !== undefined) return named
  if (c === "x" || c === "u") {
    const hex = (c === "x" ? /^[0-9a-f]{2}/i : /^[0-9a-f]{4}/i).exec(state.source.slice(state.at))?.[0]
    if (hex === undefined) {
      problem(state, `\\${c} without its digits`)
      return never
    }
    state.at += hex.length
    return is(state, Number.parseInt(hex, 16))
  }
  if (/[0-9a-z]/i.test(c) || c === "") {
    problem(state, `\\${c}`)
    return never
  }
  return is(state, c.charCodeAt(0))
}

/** Where case does not count the text comes in lower case; a capital in the pattern has to meet it. */
const folded = ({ caseSensitive }: Parser, test: Test): Test =>
  caseSensitive ? test : (code) => test(code) || test(String.fromCharCode(code).toUpperCase().charCodeAt(0))
const is = (state: Parser, wanted: number): Test => folded(state, (code) => code === wanted)
const never: Test = () => false
const digit: Test = (code) => code >= 48 && code <= 57
const space: Test = (code) => (code >= 9 && code <= 13) || code === 32 || code === 160 || code === 0x202f
const word: Test = (code) =>
  digit(code) || (code >= 97 && code <= 122) || (code >= 65 && code <= 90) || code === 95 ||
  // Letters of other alphabets are parts of words too; JavaScript's own \b splits "Müller".
  (code >= 0xc0 && /[\p{L}\p{N}]/u.test(String.fromCharCode(code)))
const not = (test: Test): Test => (code) => !test(code)

const escapes: { readonly [name: string]: Test | undefined } = {
  d: digit,
  D: not(digit),
  w: word,
  W: not(word),
  s: space,
  S: not(space),
  n: (code) => code === 10,
  r: (code) => code === 13,
  t: (code) => code === 9
}

const chars = (test: Test): Tree => ({ tag: "chars", test })

const size = (tree: Tree): number => {
  switch (tree.tag) {
    case "chars":
    case "assert":
      return 1
    case "repeat":
      return Math.max(1, size(tree.of)) * (tree.most === Infinity ? tree.least + 1 : tree.most)
    default:
      return tree.of.reduce((sum, one) => sum + size(one), 1)
  }
}

const nullable = (tree: Tree): boolean => {
  switch (tree.tag) {
    case "chars":
      return false
    case "assert":
      return true
    case "repeat":
      return tree.least === 0 || nullable(tree.of)
    case "sequence":
      return tree.of.every(nullable)
    case "either":
      return tree.of.some(nullable)
  }
}

type Instruction =
  | { readonly tag: "chars"; readonly test: Test; readonly next: number }
  | { readonly tag: "assert"; readonly kind: "^" | "$" | "b" | "B"; readonly next: number }
  | { readonly tag: "split"; next: number; other: number }
  | { readonly tag: "match" }

const program = (tree: Tree): { readonly code: ReadonlyArray<Instruction>; readonly start: number } => {
  const code: Array<Instruction> = [{ tag: "match" }]
  const push = (instruction: Instruction) => code.push(instruction) - 1
  const emit = (tree: Tree, next: number): number => {
    switch (tree.tag) {
      case "chars":
      case "assert":
        return push({ ...tree, next })
      case "sequence":
        return tree.of.reduceRight((after, one) => emit(one, after), next)
      case "either":
        return tree.of.reduceRight((other, one, i) => {
          const start = emit(one, next)
          return i === tree.of.length - 1 ? start : push({ tag: "split", next: start, other })
        }, next)
      case "repeat": {
        let after = next
        if (tree.most === Infinity) {
          const loop: Instruction = { tag: "split", next, other: next }
          after = push(loop)
          loop.next = emit(tree.of, after)
        } else {
          for (let i = tree.least; i < tree.most; i++) {
            after = push({ tag: "split", next: emit(tree.of, after), other: next })
          }
        }
        for (let i = 0; i < tree.least; i++) after = emit(tree.of, after)
        return after
      }
    }
  }
  const start = emit(tree, 0)
  return { code, start }
}

/** One set of instructions, with where each character leads, found out once. */
interface Step {
  readonly at: ReadonlyArray<number>
  readonly before: Side
  readonly next: Array<Step | true | undefined>
}

type Side = "edge" | "word" | "other"

const matcher = (tree: Tree, caseSensitive: boolean): Pattern => {
  const { code, start } = program(tree)
  let steps = new Map<string, Step>()
  const stepOf = (at: ReadonlyArray<number>, before: Side): Step => {
    const key = `${before}${at.join()}`
    const known = steps.get(key)
    if (known !== undefined) return known
    // Memory has a bound too; what is forgotten is found out again.
    if (steps.size >= 1000) steps = new Map()
    const step: Step = { at, before, next: [] }
    steps.set(key, step)
    return step
  }
  /** Follows what takes no character; `true` when the pattern has matched. */
  const reach = (step: Step, after: Side): ReadonlySet<number> | true => {
    const seen = new Set<number>()
    const open = [...step.at, start]
    for (let at = open.pop(); at !== undefined; at = open.pop()) {
      if (seen.has(at)) continue
      seen.add(at)
      const instruction = code[at]
      if (instruction === undefined || instruction.tag === "chars") continue
      if (instruction.tag === "match") return true
      if (instruction.tag === "split") open.push(instruction.next, instruction.other)
      else if (holds(instruction.kind, step.before, after)) open.push(instruction.next)
    }
    return seen
  }
  const advance = (step: Step, char: number): Step | true => {
    const after = word(char) ? "word" : "other"
    const reached = reach(step, after)
    if (reached === true) return true
    const at: Array<number> = []
    for (const i of reached) {
      const instruction = code[i]
      if (instruction?.tag === "chars" && instruction.test(char) && !at.includes(instruction.next)) {
        at.push(instruction.next)
      }
    }
    return stepOf(at.sort((a, b) => a - b), after)
  }
  return (text) => {
    const read = caseSensitive ? text : text.toLowerCase()
    let step = stepOf([], "edge")
    for (let i = 0; i < read.length; i++) {
      const char = read.charCodeAt(i)
      let next = char < 128 ? step.next[char] : undefined
      if (next === undefined) {
        next = advance(step, char)
        if (char < 128) step.next[char] = next
      }
      if (next === true) return true
      step = next
    }
    return reach(step, "edge") === true
  }
}

const holds = (kind: "^" | "$" | "b" | "B", before: Side, after: Side): boolean => {
  switch (kind) {
    case "^":
      return before === "edge"
    case "$":
      return after === "edge"
    case "b":
      return (before === "word") !== (after === "word")
    case "B":
      return (before === "word") === (after === "word")
  }
}
