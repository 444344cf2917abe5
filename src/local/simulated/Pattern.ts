/**
 * A string that matches a regular expression, best effort: the first alternative, the fewest repetitions.
 *
 * @since 0.1.0
 */

/**
 * Makes a string from a pattern's source; `extra` repetitions are added where the pattern sets no upper bound.
 *
 * Look-arounds, back references and Unicode properties are skipped, so the caller checks the result.
 *
 * @category constructors
 * @since 0.1.0
 */
export const example = (source: string, extra = 0): string => {
  const state: State = { source, at: 0, extra }
  let out = ""
  // A stray closing bracket ends an alternation early; what follows still belongs to the pattern.
  while (state.at < source.length) {
    out += alternation(state)
    state.at++
  }
  return out
}

interface State {
  readonly source: string
  readonly extra: number
  at: number
}

const alternation = (state: State): string => {
  const first = sequence(state)
  while (state.source[state.at] === "|") {
    state.at++
    sequence(state)
  }
  return first
}

const sequence = (state: State): string => {
  let out = ""
  while (state.at < state.source.length && !"|)".includes(char(state))) {
    const piece = atom(state)
    out += piece.repeat(quantifier(state))
  }
  return out
}

const quantifier = (state: State): number => {
  const braces = /^\{(\d+)(,(\d*))?\}/.exec(state.source.slice(state.at))
  let times = 1
  if (braces !== null) {
    state.at += braces[0].length
    const least = Number(braces[1])
    const most = braces[2] === undefined ? least : braces[3] === "" ? Infinity : Number(braces[3])
    times = Math.min(least + state.extra, most)
  } else if (state.source[state.at] === "*") {
    state.at++
    times = state.extra
  } else if (state.source[state.at] === "+") {
    state.at++
    times = 1 + state.extra
  } else if (state.source[state.at] === "?") {
    state.at++
    times = Math.min(state.extra, 1)
  } else return 1
  if (state.source[state.at] === "?") state.at++
  return times
}

const atom = (state: State): string => {
  const c = char(state)
  state.at++
  switch (c) {
    case "(":
      return group(state)
    case "[":
      return characterClass(state)
    case "\\":
      return escape(state, false)[0] ?? ""
    case ".":
      return "a"
    case "^":
    case "$":
      return ""
    default:
      return c
  }
}

const group = (state: State): string => {
  const rest = state.source.slice(state.at)
  const opening = /^\?(?:[:]|<[A-Za-z_]\w*>|<?[=!])/.exec(rest)
  if (opening !== null) state.at += opening[0].length
  const inner = alternation(state)
  state.at++
  return opening !== null && /[=!]$/.test(opening[0]) ? "" : inner
}

/** What an escape stands for, likeliest first; empty for one that takes no character. */
const escape = (state: State, inClass: boolean): ReadonlyArray<string> => {
  const c = char(state)
  state.at++
  switch (c) {
    case "d":
      return digits
    case "w":
      return [...letters, ...digits, "_"]
    case "s":
      return [" "]
    case "D":
    case "S":
      return letters
    case "W":
      return ["-", " "]
    case "n":
      return ["\n"]
    case "t":
      return ["\t"]
    case "r":
      return ["\r"]
    case "b":
    case "B":
      return inClass ? ["\b"] : []
    case "p":
    case "P":
      state.at += /^\{[^}]*\}/.exec(state.source.slice(state.at))?.[0].length ?? 0
      return letters
    case "u":
    case "x": {
      const hex = /^(?:\{([0-9a-fA-F]+)\}|([0-9a-fA-F]{4}|[0-9a-fA-F]{2}))/.exec(state.source.slice(state.at))
      if (hex === null) return [c]
      state.at += hex[0].length
      return [String.fromCodePoint(Number.parseInt(hex[1] ?? hex[2] ?? "61", 16))]
    }
    default:
      return /\d/.test(c) ? [] : [c]
  }
}

const characterClass = (state: State): string => {
  const negated = state.source[state.at] === "^"
  if (negated) state.at++
  const members: Array<string> = []
  while (state.at < state.source.length && char(state) !== "]") {
    const from = member(state)
    if (from.length === 1 && state.source[state.at] === "-" && state.source[state.at + 1] !== "]") {
      state.at++
      const to = member(state)
      members.push(...range(from[0] ?? "", to[0] ?? ""))
    } else members.push(...from)
  }
  state.at++
  if (!negated) return members.find((_) => /[a-z]/.test(_)) ?? members[0] ?? ""
  return [...letters, ...digits, "-", "_", " ", "."].find((_) => !members.includes(_)) ?? ""
}

const member = (state: State): ReadonlyArray<string> => {
  const c = char(state)
  state.at++
  return c === "\\" ? escape(state, true) : [c]
}

const range = (from: string, to: string): ReadonlyArray<string> => {
  const start = from.codePointAt(0) ?? 0
  const end = Math.min(to.codePointAt(0) ?? 0, start + 512)
  return Array.from({ length: Math.max(0, end - start + 1) }, (_, i) => String.fromCodePoint(start + i))
}

const char = (state: State): string => state.source[state.at] ?? ""

const letters = [..."abcdefghijklmnopqrstuvwxyz", ..."ABCDEFGHIJKLMNOPQRSTUVWXYZ"]
const digits = [..."0123456789"]
