/**
 * Recognises the events of a stream that differ from an earlier one in their text only, without parsing them.
 *
 * A stream of deltas repeats the same JSON around a few new characters, and parsing it is the largest cost that is ours.
 * When an event starts and ends exactly like one that was parsed, and what is between is a JSON string without quotes
 * and escapes, then it is that JSON with another text: there is nothing to guess.
 *
 * @since 0.1.0
 */

/**
 * The state of one run; never share it between two streams.
 *
 * @category models
 * @since 0.1.0
 */
export interface TextTemplate {
  /** The text of an event like the one learned; `undefined` when it has to be parsed. */
  readonly match: (data: string) => string | undefined
  /** Whether it is worth looking for a template in the event that was just parsed. */
  readonly learning: boolean
  /** Takes an event that said nothing but `text`, under the JSON key `key`. */
  readonly learn: (data: string, key: string, text: string) => void
}

/**
 * @category constructors
 * @since 0.1.0
 */
export const make = (): TextTemplate => {
  let before = ""
  let after = ""
  let misses = 0

  return {
    match(data) {
      if (before === "") return undefined
      const start = before.length
      const end = data.length - after.length
      // Slices that are compared: engines do that by the word, and `startsWith` by the character.
      if (end >= start && data.slice(0, start) === before && data.slice(end) === after) {
        const text = data.slice(start, end)
        if (isPlain(text)) {
          misses = 0
          return text
        }
      }
      return undefined
    },
    get learning() {
      return misses < patience
    },
    learn(data, key, text) {
      // An escape is no sign of a stream whose events all differ.
      if (!isPlain(text)) return
      misses++
      const opening = `"${key}":"`
      const at = data.indexOf(opening)
      if (at === -1 || data.indexOf(opening, at + 1) !== -1) return
      const start = at + opening.length
      if (!data.startsWith(text, start) || data.charCodeAt(start + text.length) !== quote) return
      before = data.slice(0, start)
      after = data.slice(start + text.length)
    }
  }
}

/** Streams whose events all differ, by a padding key for instance, are soon left alone. */
const patience = 8

const quote = 34

const backslash = 92

/**
 * Not one of the three ways in which a JSON string is not its own text, or not one string: quotes, escapes, and control
 * characters, which may not stand there, so that such an event is left to the parser, which refuses it.
 */
const isPlain = (text: string): boolean => {
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i)
    if (code === quote || code === backslash || code < 32) return false
  }
  return true
}
