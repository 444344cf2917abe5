/**
 * How many tokens a prompt has, before it is sent: an estimate, Effect's `Tokenizer` over it, and whether the prompt fits
 * into a model's context.
 *
 * Without a vocabulary, so small enough for a Worker. On the texts of `test/fixtures/tokens/check` no kind of text is off
 * by more than a tenth; `docs/Tokens.md` says what was measured, and what could not be.
 *
 * **Example** (The newest turns that fit, for a model with a small context)
 *
 * ```ts
 * import * as Effect from "effect/Effect"
 * import * as LanguageModel from "effect/unstable/ai/LanguageModel"
 * import type * as Prompt from "effect/unstable/ai/Prompt"
 * import * as Tokenizer from "effect/unstable/ai/Tokenizer"
 * import * as Tokens from "effect-ai-gateway/Tokens"
 *
 * const model = "@cf/meta/llama-3.3-70b-instruct-fp8-fast"
 *
 * export const answer = Effect.fn(function*(conversation: Prompt.Prompt) {
 *   const { fits, tokens } = yield* Tokens.fits(model, conversation, { reserve: 2000 })
 *   yield* Effect.logDebug(`about ${tokens} tokens`)
 *   const tokenizer = yield* Tokenizer.Tokenizer
 *   const prompt = fits ? conversation : yield* tokenizer.truncate(conversation, 20_000)
 *   return yield* LanguageModel.generateText({ prompt })
 * }, Effect.provide(Tokens.layer({ model })))
 * ```
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import type * as AiError from "effect/unstable/ai/AiError"
import * as Prompt from "effect/unstable/ai/Prompt"
import * as Tokenizer from "effect/unstable/ai/Tokenizer"
import * as Tool from "effect/unstable/ai/Tool"
import { contextWindows } from "../model/contextWindows.ts"
import { slugOf } from "../model/Providers.ts"
import { tokensOf } from "./fileTokens.ts"
import { invalidOption } from "./finalErrors.ts"
import * as textTokens from "./textTokens.ts"
import type { Family } from "./textTokens.ts"
import { shown } from "./tokenEstimate.ts"

export type { Family } from "./textTokens.ts"

/**
 * @category models
 * @since 0.1.0
 */
export interface Options {
  /** The model that is asked; its name tells the family. */
  readonly model?: string | undefined
  /** Whose tokenizer is estimated; the model's, or `openai`. */
  readonly family?: Family | undefined
  /** Counts a text, in place of the estimate: a tokenizer with its vocabulary, where there is room for one. */
  readonly count?: ((text: string) => number) | undefined
  /** Counts a file, in place of the rules; undefined leaves it to them. */
  readonly countFile?: ((file: Prompt.FilePart) => number | undefined) | undefined
  /** The tools that the model is told of. */
  readonly toolkit?: { readonly tools: { readonly [name: string]: Tool.Any } } | undefined
}

/**
 * The tokens of a prompt, by what they are for.
 *
 * @category models
 * @since 0.1.0
 */
export interface Estimate {
  readonly total: number
  /** Texts, thoughts, calls of tools and their results, and what stands around each message. */
  readonly messages: number
  readonly files: number
  /** What the model is told of the tools. */
  readonly tools: number
  /** Media types of files that nobody can count without reading them; they are not in the total. */
  readonly uncounted: ReadonlyArray<string>
}

/**
 * A model's context.
 *
 * @category models
 * @since 0.1.0
 */
export interface ContextWindow {
  /** For prompt and answer together; Google's for the prompt alone. */
  readonly window: number
  /** The longest answer, where it is known. */
  readonly output: number | undefined
  /** The page that it is of, and how recent our copy of it is. */
  readonly source: string
  readonly date: string
}

/**
 * @category models
 * @since 0.1.0
 */
export interface FitOptions extends Omit<Options, "model"> {
  /** Tokens that are kept free for the answer; 1024 by default. */
  readonly reserve?: number | undefined
  /** How much more than estimated the prompt may have, as a share from 0 to 1; 0.1 by default. */
  readonly margin?: number | undefined
  /** The context in tokens, for models that are not in the table, or that somebody has limited. */
  readonly window?: number | undefined
}

/**
 * Whether a prompt fits, and in what.
 *
 * @category models
 * @since 0.1.0
 */
export interface Fit {
  readonly fits: boolean
  /** The estimate, without the margin. */
  readonly tokens: number
  readonly window: number
  /** What is left of the context, with margin and reserve taken off; less than 0 when it does not fit. */
  readonly left: number
}

/**
 * The context of a model is not in the table: give `window`.
 *
 * @category errors
 * @since 0.1.0
 */
export class UnknownModel extends Schema.TaggedError<UnknownModel>("effect-ai-gateway/Tokens/UnknownModel")(
  "UnknownModel",
  { model: Schema.String }
) {
  override get message(): string {
    return `The context of ${JSON.stringify(this.model)} is not known; give it as the option window`
  }
}

/**
 * The family of a model, by its name; `openai` for names that say nothing.
 *
 * @category accessors
 * @since 0.1.0
 */
export const familyOf = (model: string): Family =>
  /claude/i.test(model)
    ? "anthropic"
    : /gemini|gemma/i.test(model)
    ? "gemini"
    : /llama/i.test(model)
    ? "llama"
    : "openai"

/**
 * The tokens of a text.
 *
 * @category combinators
 * @since 0.1.0
 */
export const ofText = (text: string, options: Options = {}): number => Math.round(counterOf(options).text(text))

/**
 * The tokens of a prompt, with its tools and files.
 *
 * @category combinators
 * @since 0.1.0
 */
export const estimate = (prompt: Prompt.RawInput, options: Options = {}): Estimate => {
  const counter = counterOf(options)
  const all = Prompt.make(prompt).content.map((message) => ofMessage(message, counter))
  const frame = all.length === 0 ? 0 : around[counter.family].answer
  const messages = Math.round(frame + sum(all.map(({ text }) => text)))
  const files = Math.round(sum(all.map(({ files }) => files)))
  const tools = Math.round(ofTools(Object.values(options.toolkit?.tools ?? {}), counter))
  return { total: messages + files + tools, messages, files, tools, uncounted: all.flatMap((_) => _.uncounted) }
}

/**
 * The context of a model: `gpt-4o`, `gpt-4o-2024-08-06`, `openai/gpt-4o`, `@cf/...`; none if it is not in the table.
 *
 * @category accessors
 * @since 0.1.0
 */
export const contextWindow = (model: string): Option.Option<ContextWindow> => {
  const slash = model.startsWith("@") ? -1 : model.indexOf("/")
  const provider = slash === -1 ? undefined : slugOf(model.slice(0, slash))
  const id = model.slice(slash + 1)
  const lists = slash === -1
    ? Object.values(contextWindows)
    : provider !== undefined && Object.hasOwn(contextWindows, provider)
    ? [contextWindows[provider]!] // by the line above
    : []
  // A dated version has the context of its model.
  for (const name of [id, id.replace(/-(\d{4}-\d{2}-\d{2}|\d{8}|latest)$/, "")]) {
    for (const { date, models, source } of lists) {
      const [window, output] = Object.hasOwn(models, name) ? models[name] ?? [] : []
      if (window !== undefined) return Option.some({ window, output, source, date })
    }
  }
  return Option.none()
}

/**
 * Whether a prompt fits into a model's context, with room for its answer.
 *
 * @category combinators
 * @since 0.1.0
 */
export const fits = (
  model: string,
  prompt: Prompt.RawInput,
  options: FitOptions = {}
): Effect.Effect<Fit, UnknownModel | AiError.AiError> =>
  Effect.suspend((): Effect.Effect<Fit, UnknownModel | AiError.AiError> => {
    const { margin = 0.1, reserve = 1024 } = options
    const invalid = (parameter: string, accepted: string, value: unknown) =>
      Effect.fail(invalidOption({ method: "Tokens.fits", parameter, accepted, value }))
    if (!isCount(reserve)) return invalid("reserve", "an integer of at least 0", reserve)
    if (!(margin >= 0 && margin <= 1)) return invalid("margin", "a number from 0 to 1", margin)
    if (options.window !== undefined && !isCount(options.window)) {
      return invalid("window", "an integer of at least 0", options.window)
    }
    const window = options.window ?? Option.getOrUndefined(contextWindow(model))?.window
    if (window === undefined) return Effect.fail(new UnknownModel({ model }))
    const tokens = estimate(prompt, { ...options, model }).total
    const left = window - reserve - Math.ceil(tokens * (1 + margin))
    return Effect.succeed({ fits: left >= 0, tokens, window, left })
  })

/**
 * The newest turns of a prompt that have at most so many tokens, and all its system messages.
 *
 * A turn is a message of the user with all that came after it, so that no result of a tool is without its call. Where the
 * system messages and the newest turn are too long, it fails: a prompt without a question is none.
 *
 * @category combinators
 * @since 0.1.0
 */
export const truncate = (
  input: Prompt.RawInput,
  tokens: number,
  options: Options = {}
): Effect.Effect<Prompt.Prompt, AiError.AiError> =>
  Effect.suspend(() => {
    const invalid = (accepted: string) =>
      Effect.fail(invalidOption({ method: "Tokens.truncate", parameter: "tokens", accepted, value: tokens }))
    if (!isCount(tokens)) return invalid("an integer of at least 0")
    const prompt = Prompt.make(input)
    const counter = counterOf(options)
    const counts = prompt.content.map((message) => {
      const { files, text } = ofMessage(message, counter)
      return files + text
    })
    const turns: Array<{ readonly start: number; tokens: number }> = []
    let used = ofTools(Object.values(options.toolkit?.tools ?? {}), counter)
    if (counts.length > 0) used += around[counter.family].answer
    for (const [index, { role }] of prompt.content.entries()) {
      const count = counts[index] ?? 0
      const turn = turns.at(-1)
      if (role === "system") used += count
      else if (role === "user" || turn === undefined) turns.push({ start: index, tokens: count })
      else turn.tokens += count
    }
    const needed = Math.round(used + (turns.at(-1)?.tokens ?? 0))
    if (needed > tokens) return invalid(`at least ${needed}, which the system messages and the newest turn have`)
    let start = prompt.content.length
    for (const turn of turns.toReversed()) {
      used += turn.tokens
      if (Math.round(used) > tokens) break
      start = turn.start
    }
    return Effect.succeed(
      Prompt.fromMessages(prompt.content.filter(({ role }, index) => role === "system" || index >= start))
    )
  })

/**
 * Effect's `Tokenizer` over the estimate. Its tokens are numbers that count and nothing more, since there is no vocabulary.
 *
 * @category constructors
 * @since 0.1.0
 */
export const tokenizer = (options: Options = {}): Tokenizer.Service =>
  Tokenizer.Tokenizer.of({
    tokenize: (input) => Effect.sync(() => Array.from({ length: estimate(input, options).total }, (_, index) => index)),
    truncate: (input, tokens) => truncate(input, tokens, options)
  })

/**
 * @category layers
 * @since 0.1.0
 */
export const layer = (options: Options = {}): Layer.Layer<Tokenizer.Tokenizer> =>
  Layer.sync(Tokenizer.Tokenizer, () => tokenizer(options))

/**
 * What stands around each message, and around the answer that is to come. OpenAI's by its cookbook, Llama 3's by its
 * prompt format; the others do not say theirs, which is counted as OpenAI's.
 */
const around: { readonly [Name in Family]: { readonly message: number; readonly answer: number } } = {
  openai: { message: 3, answer: 3 },
  anthropic: { message: 3, answer: 3 },
  gemini: { message: 3, answer: 3 },
  llama: { message: 5, answer: 5 }
}

/**
 * What Anthropic's models are told of tools at all: 159, 264 or 530 tokens for Claude 3 with `auto`, of which this is the
 * mean (Anthropic's page "Tool use pricing and tokens").
 */
const toolInstructions = 318

interface Counter {
  readonly family: Family
  readonly text: (text: string) => number
  readonly file: (file: Prompt.FilePart) => number | undefined
}

const counterOf = ({ count, countFile, family: given, model = "" }: Options): Counter => {
  const family = given ?? familyOf(model)
  const text = count ?? ((text: string) => textTokens.estimate(text, family))
  return { family, text, file: (file) => countFile?.(file) ?? tokensOf(file, family, text) }
}

const ofMessage = (message: Prompt.Message, counter: Counter) => {
  let text = around[counter.family].message
  let files = 0
  const uncounted: Array<string> = []
  if (message.role === "system") return { text: text + counter.text(message.content), files, uncounted }
  for (const part of message.content) {
    switch (part.type) {
      case "text":
      case "reasoning":
        text += counter.text(part.text)
        break
      case "tool-call":
        text += counter.text(part.name) + counter.text(shown(part.params))
        break
      case "tool-result":
        text += counter.text(part.name) + counter.text(shown(part.result))
        break
      case "file": {
        const tokens = counter.file(part)
        if (tokens === undefined) uncounted.push(part.mediaType)
        else files += tokens
      }
    }
  }
  return { text, files, uncounted }
}

const ofTools = (tools: ReadonlyArray<Tool.Any>, counter: Counter): number => {
  const told = tools.filter((tool) => !Tool.isProviderDefined(tool)).map((tool) =>
    counter.text(shown({
      name: tool.name,
      description: Tool.getDescription(tool),
      parameters: Tool.getJsonSchema(tool)
    }))
  )
  return told.length === 0 ? 0 : sum(told) + (counter.family === "anthropic" ? toolInstructions : 0)
}

const sum = (numbers: ReadonlyArray<number>): number => numbers.reduce((sum, number) => sum + number, 0)

const isCount = (value: number): boolean => Number.isInteger(value) && value >= 0
