/**
 * Any number of callers that come, give up and stop reading, of a model that fails, is cut and forgets to end.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/testing/TestClock"
import type * as AiError from "effect/unstable/ai/AiError"
import * as LanguageModel from "effect/unstable/ai/LanguageModel"
import type * as Response from "effect/unstable/ai/Response"
import * as Persistence from "effect/unstable/persistence/Persistence"
import * as FastCheck from "fast-check"
import * as ResponseCache from "../../src/policy/ResponseCache.ts"
import * as Scripted from "../support/scripted.ts"
import { pass } from "../support/settle.ts"

/** `cut` is a failure after some parts, `unfinished` an answer without its finish part. */
type Outcome = "whole" | "failed" | "cut" | "unfinished"

interface Caller {
  /** All times are in tens of milliseconds. */
  readonly at: number
  readonly question: string
  readonly isStream: boolean
  /** When it gives up. */
  readonly patience: number | undefined
  /** How many parts of a stream it reads. */
  readonly reads: number | undefined
}

const caller: FastCheck.Arbitrary<Caller> = FastCheck.record({
  at: FastCheck.integer({ min: 0, max: 60 }),
  question: FastCheck.constantFrom("a", "b"),
  isStream: FastCheck.boolean(),
  patience: FastCheck.option(FastCheck.integer({ min: 1, max: 40 }), { nil: undefined }),
  reads: FastCheck.option(FastCheck.integer({ min: 1, max: 7 }), { nil: undefined })
})
const turn = FastCheck.tuple(
  FastCheck.constantFrom<Outcome>("whole", "whole", "failed", "cut", "unfinished"),
  FastCheck.integer({ min: 1, max: 12 })
)
const callers = FastCheck.array(caller, { minLength: 1, maxLength: 12 })
const script = FastCheck.array(turn, { minLength: 6, maxLength: 6 })

interface Given {
  readonly key: string
  readonly text: string
  readonly outcome: Outcome
  readonly delay: number
  state: "running" | "done" | "broken"
}

/** A model that goes by the script, and keeps the books. */
const bookkeeper = (script: ReadonlyArray<readonly [Outcome, number]>) => {
  const given = new Map<string, Given>()
  /** Answers that began while another of the same question was under way. */
  const together: Array<string> = []
  /** Questions of which somebody has a whole answer, and those that were asked again all the same. */
  const known = new Set<string>()
  const again: Array<string> = []
  const begin = (kind: string, call: number, { prompt }: LanguageModel.ProviderOptions): Given => {
    const key = `${kind} ${JSON.stringify(prompt.content)}`
    const [outcome, delay] = script[call % script.length]!
    if ([...given.values()].some((one) => one.key === key && one.state === "running")) together.push(key)
    if (known.has(key)) again.push(key)
    const begun: Given = { key, text: `${key} ${call}`, outcome, delay: delay * 10, state: "running" }
    given.set(begun.text, begun)
    return begun
  }
  const done = (begun: Given) =>
    Effect.sync(() => {
      begun.state = "done"
    })
  const end = (begun: Given) =>
    Effect.sync(() => {
      if (begun.state === "running") begun.state = "broken"
    })
  const model = Scripted.make({
    text: (call, options) => {
      const begun = begin("text", call, options)
      const answer: Effect.Effect<Array<Response.PartEncoded>, AiError.AiError> = begun.outcome === "whole"
        ? Effect.succeed(Scripted.textParts(begun.text))
        : begun.outcome === "unfinished"
        ? Effect.succeed([{ type: "text", text: begun.text }])
        : Effect.fail(Scripted.overloaded())
      return Effect.delay(answer, begun.delay).pipe(Effect.tap(done(begun)), Effect.ensuring(end(begun)))
    },
    stream: (call, options) => {
      const begun = begin("stream", call, options)
      const groups = Scripted.streamParts(begun.text)
      const sent = begun.outcome === "whole" ? groups : begun.outcome === "failed" ? [] : groups.slice(0, 3)
      const isBroken = begun.outcome === "failed" || begun.outcome === "cut"
      const rest: Effect.Effect<void, AiError.AiError> = isBroken ? Effect.fail(Scripted.overloaded()) : done(begun)
      return Stream.fromArrays(...sent).pipe(
        Stream.mapEffect((part) => Effect.delay(Effect.succeed(part), begun.delay)),
        Stream.concat(Stream.fromEffectDrain(rest)),
        Stream.ensuring(end(begun))
      )
    }
  })
  return { model, given, together, known, again }
}

interface Heard {
  readonly text: string
  readonly isCached: boolean
  readonly isWhole: boolean
}

const call = ({ isStream, question, reads }: Caller, hear: (heard: Heard) => void) => {
  const note = (text: string | undefined, parts: ReadonlyArray<Response.AnyPart>) => {
    const isWhole = parts.at(-1)?.type === "finish"
    if (text !== undefined) hear({ text, isCached: ResponseCache.of(parts) !== undefined, isWhole })
  }
  if (!isStream) {
    return Effect.map(LanguageModel.generateText({ prompt: question }), ({ content, text }) => note(text, content))
  }
  const stream = LanguageModel.streamText({ prompt: question })
  return Effect.map(
    Stream.runCollect(reads === undefined ? stream : Stream.take(stream, reads)),
    (parts) => note(parts.find((part) => part.type === "text-delta")?.delta, parts)
  )
}

const scenario = (callers: ReadonlyArray<Caller>, script: ReadonlyArray<readonly [Outcome, number]>) => {
  const { again, given, known, model, together } = bookkeeper(script)
  const layer = ResponseCache.layer(model.layer, { name: "m", ttl: "1 hour" }).pipe(
    Layer.provide(Persistence.layerBackingMemory)
  )
  return Effect.gen(function*() {
    const heard: Array<Heard> = []
    const fiber = yield* Effect.forkChild(Effect.forEach(callers, (caller) => {
      const called = call(caller, (one) => {
        heard.push(one)
        const key = given.get(one.text)?.key
        if (one.isWhole && key !== undefined) known.add(key)
      })
      return Effect.andThen(
        Effect.sleep(caller.at * 10),
        Effect.exit(caller.patience === undefined ? called : Effect.timeoutOption(called, caller.patience * 10))
      )
    }, { concurrency: "unbounded", discard: true }))
    while (fiber.pollUnsafe() === undefined) {
      assert.isBelow(yield* Clock.currentTimeMillis, 30_000, "somebody hangs")
      yield* pass(10)
    }

    // What nobody else can use, each asks for.
    if (!script.some(([outcome]) => outcome === "unfinished")) assert.deepStrictEqual(together, [])
    for (const { isCached, isWhole, text } of heard) {
      if (isCached) assert.deepInclude(given.get(text), { outcome: "whole", state: "done" })
      if (isWhole) assert.strictEqual(given.get(text)?.outcome, "whole")
    }
    assert.deepStrictEqual(again, [])
  }).pipe(Effect.provide(layer))
}

describe("ResponseCache, with any callers of any model", () => {
  it.live("asks once at any time, not at all while there is an answer, and gives only what was whole", () =>
    Effect.promise(() =>
      FastCheck.assert(
        FastCheck.asyncProperty(
          callers,
          script,
          (callers, script) => Effect.runPromise(Effect.provide(scenario(callers, script), TestClock.layer()))
        ),
        { numRuns: 100 }
      )
    ))
})
