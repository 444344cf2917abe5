/**
 * Text to server-sent events, in time linear in the text whatever the reads are.
 *
 * @since 0.1.0
 */

/**
 * The state of one run; never share it between two streams.
 *
 * @category models
 * @since 0.1.0
 */
export interface EventScanner {
  /** Reads on; calls back once for each event that is now complete. */
  readonly push: (text: string) => void
  /** The text is over: a last event that lacks its empty line is complete too. */
  readonly end: () => void
}

/**
 * Starts a scanner.
 *
 * Lines end with LF, CRLF or CR; `data:` may lack its space; several data lines join with LF; comments, `id:`,
 * `retry:` and unknown fields are skipped. Each character is looked at once: the unfinished line is kept in
 * pieces that are joined when its end has come. `onStray` sees the skipped lines.
 *
 * Source: HTML standard, "Parsing an event stream"; section 10.0 of the wire reference for the tolerance.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (
  onEvent: (data: string, event: string) => void,
  onStray?: ((line: string) => void) | undefined
): EventScanner => {
  let pieces: Array<string> = []
  let afterCr = false
  let event = ""
  let data: string | undefined
  let lines: Array<string> | undefined

  const addData = (value: string): void => {
    if (data === undefined) data = value
    else if (lines === undefined) lines = [data, value]
    else lines.push(value)
  }

  const dispatch = (): void => {
    if (data !== undefined) {
      const whole = lines === undefined ? data : lines.join("\n")
      const name = event
      data = undefined
      lines = undefined
      event = ""
      onEvent(whole, name)
    } else {
      event = ""
    }
  }

  /** The line is `text[start, end)`. */
  const line = (text: string, start: number, end: number): void => {
    if (start === end) return dispatch()
    if (text.startsWith("data:", start)) {
      // A colon that is followed by a line end finds no space here, only the line end.
      addData(text.slice(text.charCodeAt(start + 5) === space ? start + 6 : start + 5, end))
    } else if (text.startsWith("event:", start)) {
      event = text.slice(text.charCodeAt(start + 6) === space ? start + 7 : start + 6, end)
    } else if (end - start === 4 && text.startsWith("data", start)) {
      addData("")
    } else if (onStray !== undefined) onStray(text.slice(start, end))
  }

  const endLine = (text: string, start: number, end: number): void => {
    if (pieces.length === 0) return line(text, start, end)
    pieces.push(text.slice(start, end))
    const whole = pieces.join("")
    pieces = []
    line(whole, 0, whole.length)
  }

  return {
    push(text) {
      if (text === "") return
      let start = 0
      if (afterCr) {
        afterCr = false
        if (text.charCodeAt(0) === lineFeed) start = 1
      }
      let lf = text.indexOf("\n", start)
      let cr = text.indexOf("\r", start)
      while (lf !== -1 || cr !== -1) {
        if (cr === -1 || (lf !== -1 && lf < cr)) {
          endLine(text, start, lf)
          start = lf + 1
        } else {
          endLine(text, start, cr)
          start = cr + 1
          if (start === text.length) afterCr = true
          else if (text.charCodeAt(start) === lineFeed) start++
          cr = text.indexOf("\r", start)
        }
        if (lf !== -1 && lf < start) lf = text.indexOf("\n", start)
      }
      if (start < text.length) pieces.push(start === 0 ? text : text.slice(start))
    },
    end() {
      if (pieces.length > 0) endLine("", 0, 0)
      dispatch()
    }
  }
}

const lineFeed = 10
const space = 32
