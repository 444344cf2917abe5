/**
 * Values that a prompt itself offers for the properties of a schema: "the weather in Oslo" has a city.
 *
 * This is what makes simulated tool calls and objects look sensible. Plain pattern matching, no understanding.
 *
 * @since 0.1.0
 */
import { list } from "./JsonSchema.ts"
import type { Suggest } from "./SchemaValue.ts"

/**
 * Suggests values found in the prompt; a value goes to the first property that takes it and to no other.
 *
 * @category constructors
 * @since 0.1.0
 */
export const suggestFrom = (prompt: string): Suggest => {
  const found = scan(prompt)
  const assigned = new Map<string, ReadonlyArray<unknown>>()
  const taken = new Set<unknown>()
  const free = <A>(values: ReadonlyArray<A>) => values.filter((_) => !taken.has(_))
  return (name, schema) => {
    const known = assigned.get(name)
    if (known !== undefined) return known
    const candidates = candidatesFor(name, schema, prompt, found, free)
    if (candidates[0] !== undefined) taken.add(candidates[0])
    assigned.set(name, candidates)
    return candidates
  }
}

interface Found {
  readonly quoted: ReadonlyArray<string>
  readonly names: ReadonlyArray<string>
  readonly numbers: ReadonlyArray<number>
  readonly emails: ReadonlyArray<string>
  readonly urls: ReadonlyArray<string>
  readonly dates: ReadonlyArray<string>
}

const wholePrompt = /^(query|question|prompt|text|message|input|content|search|request|q)$/i
const prose = /summary|answer|reason|descri|explan|title|response|note|comment|joke|story|poem|analysis/i

const candidatesFor = (
  name: string,
  schema: { readonly [keyword: string]: unknown },
  prompt: string,
  found: Found,
  free: <A>(values: ReadonlyArray<A>) => ReadonlyArray<A>
): ReadonlyArray<unknown> => {
  const lower = prompt.toLowerCase()
  const mentioned = list(schema["enum"]).filter((_) => typeof _ === "string" && lower.includes(_.toLowerCase()))
  if (mentioned.length > 0) return mentioned
  const type = schema["type"]
  if (type === "number" || type === "integer") {
    const said = labelled(name, prompt)
    const number = said === undefined ? NaN : Number(said)
    return [...(Number.isFinite(number) ? [number] : []), ...free(found.numbers)]
  }
  if (type !== "string") return []
  if (schema["format"] === "email") return free(found.emails)
  if (schema["format"] === "uri" || schema["format"] === "url") return free(found.urls)
  if (schema["format"] === "date") return free(found.dates)
  if (schema["format"] !== undefined) return []
  const said = labelled(name, prompt)
  if (said !== undefined) return [said]
  if (wholePrompt.test(name)) return [...free(found.quoted), prompt]
  if (prose.test(name)) return []
  return [
    ...free(found.quoted),
    ...(/email/i.test(name) ? free(found.emails) : []),
    ...(/ur[il]|link/i.test(name) ? free(found.urls) : []),
    ...free(found.names)
  ]
}

/** "city: Oslo", "city is Oslo", "city = Oslo", "city Oslo". */
const labelled = (name: string, prompt: string): string | undefined => {
  const label = name.replace(/[^A-Za-z0-9_ ]/g, "").replaceAll("_", "[_ ]")
  if (label.length < 3) return undefined
  const match = new RegExp(`\\b${label}\\b\\s*(?::|=|\\bis\\b)\\s*["'\`]?([\\p{L}\\p{N}_.@+-]+)`, "iu").exec(prompt)
  return match?.[1]?.replace(/[.,;:!?]+$/, "")
}

const scan = (prompt: string): Found => {
  const all = (pattern: RegExp, group = 0) => [...prompt.matchAll(pattern)].map((_) => _[group] ?? "")
  const unique = <A>(values: ReadonlyArray<A>) => [...new Set(values)]
  // A capitalised word that starts a sentence is a name only when it is not an ordinary first word.
  const capitalised = /(^|[.!?]\s+)?\b(\p{Lu}[\p{L}'-]+(?:\s+\p{Lu}[\p{L}'-]+)*)/gu
  const names = [...prompt.matchAll(capitalised)].flatMap((match) => {
    const words = (match[2] ?? "").split(/\s+/)
    const starts = match[1] !== undefined || match.index === 0
    const kept = starts && firstWords.has((words[0] ?? "").toLowerCase()) ? words.slice(1) : words
    return kept.length === 0 ? [] : [kept.join(" ")]
  })
  const placed = all(
    /\b(?:in|for|at|to|from|of|named|called)\s+(?:the\s+)?(\p{Lu}[\p{L}'-]+(?:\s+\p{Lu}[\p{L}'-]+)*)/gu,
    1
  )
  return {
    quoted: unique(all(/["“`]([^"”`]{1,200})["”`]/g, 1)),
    names: unique([...placed, ...names]),
    numbers: unique(all(/(?<![\w.])-?\d+(?:\.\d+)?(?![\w]|\.\d)/g).map(Number)),
    emails: unique(all(/[\w.+-]+@[\w-]+(?:\.[\w-]+)+/g)),
    urls: unique(all(/https?:\/\/[^\s"'<>)]+/g)),
    dates: unique(all(/\b\d{4}-\d{2}-\d{2}\b/g))
  }
}

const firstWords = new Set(
  ("a an the what which who whom whose where when why how is are was were do does did can could will would should may " +
    "please tell give show find get call use look search make write create add send roll book say list explain " +
    "describe extract generate return i we you it this that there here if and or but my your also then let hello hi " +
    "check compare calculate compute convert translate summarize plan")
    .split(" ")
)
