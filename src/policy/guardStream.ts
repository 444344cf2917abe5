/**
 * A stream whose parts are held back until what they say is checked.
 *
 * @since 0.1.0
 */
import * as Arr from "effect/Array"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Pull from "effect/Pull"
import * as Stream from "effect/Stream"
import type * as AiError from "effect/unstable/ai/AiError"
import * as CallTexts from "./callTexts.ts"
import { type Finding, report } from "./guardFindings.ts"
import { isLeading } from "./leadingParts.ts"
import { isFinish, stampPart } from "./stampFinish.ts"
import { withhold } from "./withheld.ts"

/**
 * How streams are checked in windows.
 *
 * @category models
 * @since 0.1.0
 */
export interface Windows {
  /** Parts are given when so many characters more have been checked, at a word's end: an integer of at least 1. */
  readonly window: number
  /** So many characters before them are checked again with them: an integer of at least 0. */
  readonly overlap: number
}

/**
 * Looks at a text, and gives what is flagged.
 *
 * @category models
 * @since 0.1.0
 */
export type Look = (phase: "prompt" | "answer", text: string) => Effect.Effect<ReadonlyArray<Finding>, AiError.AiError>

/**
 * The stream, each part held back until what it says is checked; without windows until the whole answer is.
 *
 * @category combinators
 * @since 0.1.0
 */
export const checkedStream = (
  stream: Stream.Stream<unknown, unknown>,
  look: Look,
  before: ReadonlyArray<Finding>,
  { overlap, window }: Windows = { window: Number.POSITIVE_INFINITY, overlap: 0 }
): Stream.Stream<unknown, unknown> =>
  Stream.transformPull(stream, (pull) =>
    Effect.sync(() => {
      const reader = CallTexts.answerReader()
      const flagged: Array<Finding> = [...before]
      let held: Array<unknown> = []
      /** What is checked and given, as far back as the overlap, and what is not checked yet. */
      let past = ""
      let fresh = ""
      let hasEnded = false

      const check = (text: string) =>
        Effect.map(look("answer", text), (found) => {
          for (const finding of found) {
            const { category, check, phase } = finding
            const isKnown = flagged.some((known) =>
              known.phase === phase && known.check === check && known.category === category
            )
            if (!isKnown) flagged.push(finding)
          }
        })
      const release = (out: Array<unknown>) => {
        out.push(...held)
        held = []
        past = lastWords(past + fresh, overlap)
        fresh = ""
      }
      const take = Effect.fnUntraced(function*(part: unknown, out: Array<unknown>) {
        const added = CallTexts.addedBy(part)
        const isFull = fresh.length >= window && !reader.isInCall() && held.length > 0
        // A window that ends inside a word would find words in it that are none; scripts without spaces have no other place.
        if (isFull && (fresh.length >= 2 * window || !endsInWord.test(fresh) || !beginsInWord.test(added))) {
          yield* check(past + fresh)
          release(out)
        }
        held.push(part)
        fresh += reader.add(part)
        if (window < Number.POSITIVE_INFINITY && isToolCall(part) && !reader.isInCall()) {
          // What comes next is the handler's result, and may take its time.
          yield* check(past + fresh)
          release(out)
        }
        if (!isFinish(part)) return
        yield* check(reader.whole())
        held = held.map((part) => stampPart(part, report(flagged)))
        release(out)
      })
      return Effect.suspend((): Pull.Pull<Arr.NonEmptyReadonlyArray<unknown>, unknown, void> => {
        if (hasEnded) return Cause.done()
        const out: Array<unknown> = []
        return Effect.gen(function*() {
          while (!Arr.isArrayNonEmpty(out)) {
            const parts = yield* Pull.catchDone(pull, () => Effect.succeed(undefined))
            if (parts !== undefined) {
              for (const part of parts) yield* take(part, out)
              continue
            }
            hasEnded = true
            if (held.length > 0) yield* check(reader.whole())
            release(out)
            if (!Arr.isArrayNonEmpty(out)) return yield* Cause.done()
          }
          return out
        }).pipe(
          Effect.mapError((error) => {
            const kept = [...out, ...held]
            return Cause.isDone(error) || kept.every(isLeading) ? error : withhold(error, kept)
          })
        )
      })
    }))

/** As many characters from the end, and the rest of the word that they begin in. */
const lastWords = (text: string, count: number): string => {
  if (count === 0) return ""
  const start = Math.max(0, text.length - count)
  const word = /[\p{L}\p{N}_]*$/u.exec(text.slice(Math.max(0, start - 100), start))
  return text.slice(start - (word?.[0].length ?? 0))
}

const beginsInWord = /^[\p{L}\p{N}_]/u
const endsInWord = /[\p{L}\p{N}_]$/u

const isToolCall = (part: unknown): boolean =>
  typeof part === "object" && part !== null && "type" in part && part.type === "tool-call"
