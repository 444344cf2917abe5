/**
 * A JSON array that arrives piece by piece, to its elements, in time linear in the text whatever the pieces are.
 *
 * Google's `streamGenerateContent` without `alt=sse` answers one array whose elements come as the model writes them.
 *
 * Source: wire reference, section 10.4; RFC 8259 for strings and their escapes.
 *
 * @since 0.1.0
 */

/**
 * The state of one run; never share it between two streams.
 *
 * @category models
 * @since 0.1.0
 */
export interface JsonArrayStream {
  /** Reads on; calls back for each element when its last character has come. */
  readonly push: (text: string) => void
  /** The text is over: an element that is not complete is dropped, text after the array is handed over as it is. */
  readonly end: () => void
}

/**
 * Starts a splitter; the text begins with the array's bracket, or white space before it.
 *
 * Elements come as JSON text, unparsed; whether that is valid is for the parser to say. Each character is looked at
 * once: an unfinished element is kept in pieces that are joined when its end has come.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (onElement: (json: string) => void): JsonArrayStream => {
  let pieces: Array<string> = []
  /** 0 before the array and after it, 1 between elements. */
  let depth = 0
  let inElement = false
  let inString = false
  /** Inside a string, the text so far ended in an odd number of backslashes. */
  let escaped = false
  let over = false

  const emit = (text: string, start: number, end: number): void => {
    inElement = false
    const last = text.slice(start, end)
    if (pieces.length === 0) return onElement(last)
    pieces.push(last)
    const whole = pieces.join("")
    pieces = []
    onElement(whole)
  }

  /** The place behind the string's closing quote, or behind the text when that has not come. */
  const skipString = (text: string, from: number): number => {
    let at = from
    while (true) {
      const found = text.indexOf("\"", at)
      const end = found === -1 ? text.length : found
      let first = end
      while (first > at && text.charCodeAt(first - 1) === backslash) first--
      const odd = (end - first) % 2 === 1
      const isEscaped = first === from && escaped ? !odd : odd
      if (found === -1) {
        escaped = isEscaped
        return end
      }
      at = found + 1
      if (!isEscaped) {
        escaped = false
        inString = false
        return at
      }
      // The quote is used up, and so is what was carried into this text.
      if (first === from) escaped = false
    }
  }

  return {
    push(text) {
      if (over) {
        pieces.push(text)
        return
      }
      let start = 0
      let at = 0
      while (at < text.length) {
        if (inString) {
          at = skipString(text, at)
          continue
        }
        const code = text.charCodeAt(at)
        if (code === quote) {
          if (depth === 1 && !inElement) {
            inElement = true
            start = at
          }
          inString = true
          escaped = false
        } else if (code === openBrace || code === openBracket) {
          if (depth === 1 && !inElement) {
            inElement = true
            start = at
          }
          depth++
        } else if (code === closeBrace || code === closeBracket) {
          depth--
          if (depth === 1) emit(text, start, at + 1)
          else if (depth <= 0) {
            if (inElement) emit(text, start, at)
            over = true
            if (at + 1 < text.length) pieces.push(text.slice(at + 1))
            return
          }
        } else if (depth === 1) {
          if (code === comma) {
            if (inElement) emit(text, start, at)
          } else if (!inElement && code !== space && code !== lineFeed && code !== carriageReturn && code !== tab) {
            inElement = true
            start = at
          }
        }
        at++
      }
      if (inElement) pieces.push(start === 0 ? text : text.slice(start))
    },
    end() {
      if (!over) return
      const rest = pieces.join("").trim()
      pieces = []
      if (rest !== "") onElement(rest)
    }
  }
}

const tab = 9
const lineFeed = 10
const carriageReturn = 13
const space = 32
const quote = 34
const comma = 44
const openBracket = 91
const backslash = 92
const closeBracket = 93
const openBrace = 123
const closeBrace = 125
