/**
 * How many tokens a text has for a family of models, without their vocabularies.
 *
 * `tokenx` estimates for OpenAI's `o200k_base`. What other tokenizers do with a script, with digits and with line breaks
 * differs by factors that hold from text to text; they are fitted here, on the texts of `test/fixtures/tokens/calibrate`.
 *
 * @since 0.1.0
 */
import { estimateTokenCount } from "tokenx"

/**
 * Models that share a tokenizer, or have similar ones.
 *
 * @category models
 * @since 0.1.0
 */
export type Family = "openai" | "anthropic" | "gemini" | "llama"

/**
 * What counts in a text; by what `tokenx` makes of it, or in characters.
 *
 * @category models
 * @since 0.1.0
 */
export interface Features {
  readonly han: number
  readonly kana: number
  readonly hangul: number
  /** Words, signs and spaces of a text that is English, or code. */
  readonly plain: number
  /** Those of a text with German's letters, and of one with accents. */
  readonly umlaut: number
  readonly accent: number
  readonly cyrillic: number
  /** Characters of scripts of which `tokenx` knows nothing: Arabic, Hebrew, Devanagari, Thai, ... */
  readonly script: number
  readonly digits: number
  /** Line breaks with the spaces around them, after a word or digit, and after a sign, of which many are one token with it. */
  readonly linesAfterWord: number
  readonly linesAfterSign: number
}

/**
 * The estimate, before it is rounded.
 *
 * @category combinators
 * @since 0.1.0
 */
export const estimate = (text: string, family: Family): number => {
  if (text === "") return 0
  const features = featuresOf(text)
  const weights = weightsOf[family]
  let tokens = 0
  for (const name of names) tokens += features[name] * weights[name]
  return Math.max(1, tokens)
}

/**
 * Reads the features of a text.
 *
 * @category combinators
 * @since 0.1.0
 */
export const featuresOf = (text: string): Features => {
  const features = { han: 0, kana: 0, hangul: 0, plain: 0, umlaut: 0, accent: 0, cyrillic: 0, script: 0 }
  const words = text.replace(cjk, (run) => {
    features[
      /[\u3041-\u30ff]/.test(run)
        ? "kana"
        : /[\u1100-\u11ff\u3130-\u318f\ua960-\ud7ff]/.test(run)
        ? "hangul"
        : "han"
    ] += estimateTokenCount(run)
    return " "
  }).replace(unknownScript, (run) => {
    features.script += run.length
    return " "
  })
  features[languageOf(words)] += estimateTokenCount(words)
  const linesAfterWord = count(text, /[\p{L}\p{N}]\s*?\n\s*/gu)
  const linesAfterSign = count(text, /[^\p{L}\p{N}\s]\s*?\n\s*/gu)
  return { ...features, digits: count(text, /\d/g), linesAfterWord, linesAfterSign }
}

const cjk = /[\u1100-\u11ff\u2e80-\u9fff\ua960-\ua97f\uac00-\ud7ff\uff00-\uffef]+/g
const unknownScript = /[\u0530-\u10ff\u1200-\u1cff]+/g

const languageOf = (words: string): "plain" | "umlaut" | "accent" | "cyrillic" => {
  const letters = count(words, /[a-z\u00c0-\u024f]/gi)
  if (count(words, /[\u0370-\u052f]/g) > letters) return "cyrillic"
  const accents = count(words, /[\u00c0-\u024f]/g)
  // A name with an accent makes no text French.
  if (accents < 2 || accents < letters * 0.004) return "plain"
  return count(words, /[äöüß]/gi) * 2 > accents ? "umlaut" : "accent"
}

const count = (text: string, pattern: RegExp): number => {
  let found = 0
  for (const _ of text.matchAll(pattern)) found++
  return found
}

/**
 * Tokens for each unit of a feature: least squares of the relative error over the texts, whole and by paragraph, with a
 * slight pull to what `tokenx` says itself.
 */
const weightsOf: { readonly [Name in Family]: Features } = {
  openai: {
    han: 0.84,
    kana: 0.93,
    hangul: 1.05,
    plain: 1,
    umlaut: 0.94,
    accent: 1,
    cyrillic: 1.11,
    script: 0.38,
    digits: 0.28,
    linesAfterWord: -0.43,
    linesAfterSign: -1.06
  },
  anthropic: {
    han: 1.18,
    kana: 1.32,
    hangul: 1.97,
    plain: 1.02,
    umlaut: 1.44,
    accent: 1.42,
    cyrillic: 2.18,
    script: 1.28,
    digits: 0.15,
    linesAfterWord: 0.19,
    linesAfterSign: 0.03
  },
  gemini: {
    han: 0.7,
    kana: 0.64,
    hangul: 1.16,
    plain: 1,
    umlaut: 0.92,
    accent: 0.99,
    cyrillic: 1.05,
    script: 0.4,
    digits: 0.63,
    linesAfterWord: -0.12,
    linesAfterSign: 0.88
  },
  llama: {
    han: 0.9,
    kana: 0.86,
    hangul: 1.07,
    plain: 1,
    umlaut: 1.26,
    accent: 1.23,
    cyrillic: 1.28,
    script: 0.5,
    digits: 0.35,
    linesAfterWord: -0.49,
    linesAfterSign: -1.12
  }
}

const names = Object.keys(weightsOf.openai) as ReadonlyArray<keyof Features> // `keys` forgets the record's own keys
