/**
 * What looks at the text of prompts and answers: words and patterns, a model such as Llama Guard, or a function.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import type * as AiError from "effect/unstable/ai/AiError"
import * as LanguageModel from "effect/unstable/ai/LanguageModel"
import * as OwnContext from "./ownContext.ts"

/**
 * What a check is given to look at.
 *
 * @category models
 * @since 0.1.0
 */
export interface Input {
  readonly phase: "prompt" | "answer"
  /** What is checked. */
  readonly text: string
  /** What was asked, also where the answer is checked. */
  readonly prompt: string
}

/**
 * Finds categories in a text; `make` is run once, when the layer is built.
 *
 * @category models
 * @since 0.1.0
 */
export interface Check<out Category extends string, out E = never, out R = never> {
  readonly name: string
  readonly make: Effect.Effect<
    (input: Input) => Effect.Effect<ReadonlyArray<Category>, unknown>,
    E,
    R
  >
}

/**
 * Any check.
 *
 * @category models
 * @since 0.1.0
 */
export type Any = Check<string, unknown, unknown>

/**
 * A verdict of a moderation model that says neither that the text is safe nor that it is not.
 *
 * @category errors
 * @since 0.1.0
 */
export class UnreadableVerdict extends Data.TaggedError("UnreadableVerdict")<{
  readonly verdict: string
}> {
  override get message(): string {
    return `The verdict says neither "safe" nor "unsafe": ${JSON.stringify(this.verdict.slice(0, 200))}`
  }
}

/**
 * A check that is a function: gives the categories that it finds.
 *
 * @category constructors
 * @since 0.1.0
 */
export const check = <const Category extends string, R = never>(
  name: string,
  find: (input: Input) => Effect.Effect<ReadonlyArray<Category>, unknown, R>
): Check<Category, never, Exclude<R, Scope.Scope>> => ({
  name,
  make: Effect.map(
    Effect.context<Exclude<R, Scope.Scope>>(),
    (context) => (input) => OwnContext.run(Effect.suspend(() => find(input)), context)
  )
})

/**
 * Words and regular expressions for each category.
 *
 * Words match as whole words, also several with spaces between; case, width, line breaks and characters without width do not
 * count. Regular expressions are asked of the text as it is, and of the text without such differences of width.
 *
 * @category constructors
 * @since 0.1.0
 */
export const rules = <const Category extends string>(
  categories: { readonly [K in Category]: ReadonlyArray<string | RegExp> },
  options: { readonly name?: string | undefined } = {}
): Check<Category> => {
  // Object.entries forgets which names there are.
  const all = (Object.entries(categories) as Array<[Category, ReadonlyArray<string | RegExp>]>).map((
    [category, rules]
  ) => ({
    category,
    words: rules.filter((rule) => typeof rule === "string").map(wordPattern).filter((word) => word !== undefined),
    // What finds all matches keeps its place from one text to the next.
    patterns: rules.filter((rule) => typeof rule !== "string").map((rule) =>
      new RegExp(rule.source, rule.flags.replace(/[gy]/g, ""))
    )
  }))
  return {
    name: options.name ?? "rules",
    make: Effect.succeed(({ text }) =>
      Effect.sync(() => {
        const plain = text.normalize("NFKC").replace(withoutWidth, "")
        return all.filter(({ patterns, words }) =>
          words.some((word) => word.test(plain)) ||
          patterns.some((pattern) => pattern.test(text) || pattern.test(plain))
        ).map(({ category }) => category)
      })
    )
  }
}

/**
 * The hazard categories of Llama Guard 3; `other` for those that it names and that are none of these.
 *
 * Source: the model card of Llama Guard 3 8B, S1 to S14.
 *
 * @category models
 * @since 0.1.0
 */
export type Hazard = (typeof hazards)[keyof typeof hazards] | "other"

/**
 * A check by Llama Guard 3, such as Workers AI's `@cf/meta/llama-guard-3-8b`, or by a model that answers as it does.
 *
 * Of an answer it sees the prompt too. Each check is a request of the model.
 *
 * @category constructors
 * @since 0.1.0
 */
export const llamaGuard = <E, R>(
  model: Layer.Layer<LanguageModel.LanguageModel, E, R>,
  options: { readonly name?: string | undefined } = {}
): Check<Hazard, E, R | Scope.Scope> => ({
  name: options.name ?? "llama-guard",
  make: Effect.gen(function*() {
    const own = yield* Effect.context<never>()
    const guard = Context.get(yield* Layer.build(model), LanguageModel.LanguageModel)
    return (input) => OwnContext.run(ask(guard, input), own)
  })
})

const ask = (
  model: LanguageModel.LanguageModel,
  { phase, prompt, text }: Input
): Effect.Effect<ReadonlyArray<Hazard>, AiError.AiError | UnreadableVerdict> =>
  Effect.flatMap(
    model.generateText({
      prompt: phase === "prompt"
        ? [{ role: "user", content: text }]
        // The last message is the one that is judged.
        : [{ role: "user", content: prompt === "" ? "(nothing)" : prompt }, { role: "assistant", content: text }]
    }),
    ({ text }) => {
      const found = verdict(text)
      return found === undefined ? Effect.fail(new UnreadableVerdict({ verdict: text })) : Effect.succeed(found)
    }
  )

/** `safe`, or `unsafe` and a line of codes; or with JSON mode `{"safe": false, "categories": ["S2"]}`. */
const verdict = (text: string): ReadonlyArray<Hazard> | undefined => {
  const json = /^\s*\{[^]*\}\s*$/.test(text) ? parsed(text) : undefined
  if (typeof json === "object" && json !== null && "safe" in json) {
    if (json.safe === true) return []
    if (json.safe !== false) return undefined
    return named("categories" in json && Array.isArray(json.categories) ? json.categories.map(String) : [])
  }
  const [, word, codes = ""] = /^\s*(safe|unsafe)\b([^]*)$/i.exec(text) ?? []
  if (word === undefined) return undefined
  return word.toLowerCase() === "safe" ? [] : named(codes.split(/[\s,]+/).filter((code) => code !== ""))
}

const named = (codes: ReadonlyArray<string>): ReadonlyArray<Hazard> =>
  codes.length === 0
    ? ["other"]
    : [
      ...new Set(codes.map((code): Hazard => {
        const known = code.toUpperCase()
        // The name of a property that an object has from elsewhere is no code.
        return Object.hasOwn(hazards, known) ? hazards[known as keyof typeof hazards] : "other"
      }))
    ]

const parsed = (json: string): unknown => {
  try {
    return JSON.parse(json)
  } catch {
    // It is not JSON then, and is read as words.
    return undefined
  }
}

/** The first thirteen are called as in the gateway's own guardrails. */
const hazards = {
  S1: "violentCrimes",
  S2: "nonViolentCrimes",
  S3: "sexCrimes",
  S4: "childExploitation",
  S5: "defamation",
  S6: "specializedAdvice",
  S7: "privacy",
  S8: "intellectualProperty",
  S9: "indiscriminateWeapons",
  S10: "hate",
  S11: "selfHarm",
  S12: "sexualContent",
  S13: "elections",
  S14: "codeInterpreterAbuse"
} as const

const withoutWidth = /[\u00ad\u200b-\u200d\u2060\ufeff]/g

/** A word has an edge only where its script has spaces between words. */
const hasEdge = (character: string | undefined): boolean =>
  character !== undefined && /[\p{L}\p{N}]/u.test(character) &&
  !/[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Thai}\p{Script=Lao}\p{Script=Khmer}\p{Script=Myanmar}]/u
    .test(character)

const wordPattern = (word: string): RegExp | undefined => {
  const plain = word.normalize("NFKC").replace(withoutWidth, "").trim()
  if (plain === "") return undefined
  const source = plain.split(/\s+/).map((part) => part.replace(/[\\^$.*+?()[\]{}|/-]/g, "\\$&")).join("\\s+")
  const characters = [...plain]
  return new RegExp(
    `${hasEdge(characters[0]) ? "(?<![\\p{L}\\p{N}])" : ""}${source}${
      hasEdge(characters.at(-1)) ? "(?![\\p{L}\\p{N}])" : ""
    }`,
    "iu"
  )
}
