/**
 * Splits `<think>...</think>` at the start of an answer's text into reasoning and text, delta by delta.
 *
 * Open reasoning models write their thoughts into the text where the host does not take them apart: Workers AI, Groq's
 * raw format, Fireworks, Hugging Face, Perplexity's reasoning models and most hosts of one's own. What is certainly text
 * goes on at once; only what may still become a tag is held.
 *
 * Source: wire reference, sections 10.6 and 10.8; catalogue of edge cases, RSN-10, RSN-13 and RSN-16.
 *
 * @since 0.1.0
 */

/**
 * Where text and reasoning go: a part writer, for instance.
 *
 * @category models
 * @since 0.1.0
 */
export interface Sink {
  readonly text: (delta: string) => void
  readonly reasoning: (delta: string) => void
}

/**
 * How an answer's text is read: `none` passes all through; `tags` looks for the opening tag at the start; `inside` is for
 * models whose prompt has already opened the tag, so that their text starts with thoughts.
 *
 * @category models
 * @since 0.1.0
 */
export type Mode = "none" | "tags" | "inside"

/**
 * The state of one run; never share it between two answers.
 *
 * @category models
 * @since 0.1.0
 */
export interface ThinkTags {
  /** The next piece of the answer's text. */
  readonly text: (delta: string) => void
  /** Something else comes that is no text: what is held cannot become a tag any more. */
  readonly interrupt: () => void
  /** The text is over; of a tag that was not closed all is reasoning. */
  readonly end: () => void
}

/**
 * @category constructors
 * @since 0.1.0
 */
export const make = (sink: Sink, mode: Mode): ThinkTags => {
  let state: "start" | "opened" | "reasoning" | "closed" | "text" = mode === "none"
    ? "text"
    : mode === "inside"
    ? "opened"
    : "start"
  let held = ""

  const emit = (to: keyof Sink, text: string): void => {
    if (text !== "") sink[to](text)
  }

  /** Blanks alone, or blanks and the beginning of the opening tag, are held; anything else is text for good. */
  const start = (delta: string): void => {
    held += delta
    const at = firstInk(held)
    if (at <= mostBlanks) {
      if (held.startsWith(opening, at)) {
        const rest = held.slice(at + opening.length)
        state = "opened"
        held = ""
        return read(rest)
      }
      if (opening.startsWith(held.slice(at))) return
    }
    release()
  }

  const reasoning = (delta: string): void => {
    const piece = held + delta
    const at = piece.indexOf(closing)
    if (at === -1) {
      const end = piece.length - heldLength(piece)
      held = piece.slice(end)
      return emit("reasoning", piece.slice(0, end))
    }
    held = ""
    state = "closed"
    emit("reasoning", piece.slice(0, at))
    read(piece.slice(at + closing.length))
  }

  /** Blanks beside a tag belong to the tag; what follows them is read in the next state. */
  const skipBlanks = (delta: string, next: "reasoning" | "text"): void => {
    const at = firstInk(delta)
    if (at === delta.length) return
    state = next
    read(at === 0 ? delta : delta.slice(at))
  }

  const read = (delta: string): void => {
    if (delta === "") return
    switch (state) {
      case "text":
        return sink.text(delta)
      case "start":
        return start(delta)
      case "opened":
        return skipBlanks(delta, "reasoning")
      case "reasoning":
        return reasoning(delta)
      case "closed":
        return skipBlanks(delta, "text")
    }
  }

  const release = (): void => {
    const rest = held
    held = ""
    if (state === "start") {
      state = "text"
      emit("text", rest)
    } else {
      emit("reasoning", rest)
    }
  }

  return { text: read, interrupt: release, end: release }
}

const opening = "<think>"
const closing = "</think>"

/** More blanks than any model writes before its thoughts; without a limit each delta would look at all of them again. */
const mostBlanks = 32

/** Index of the first character that is no white space; the length when there is none. */
const firstInk = (text: string): number => text.length - text.trimStart().length

/** How many characters at the end may be the beginning of the closing tag. */
const heldLength = (text: string): number => {
  for (let length = Math.min(closing.length - 1, text.length); length > 0; length--) {
    if (closing.startsWith(text.slice(-length))) return length
  }
  return 0
}
