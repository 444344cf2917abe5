/**
 * Runs a model over a stub and says in short what came out.
 */
import { assert } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import * as AiError from "effect/unstable/ai/AiError"
import * as LanguageModel from "effect/unstable/ai/LanguageModel"
import type * as Response from "effect/unstable/ai/Response"
import * as Tool from "effect/unstable/ai/Tool"
import * as Toolkit from "effect/unstable/ai/Toolkit"
import { readFileSync } from "node:fs"
import * as GatewayModel from "../../src/model/GatewayModel.ts"
import type { Parameters } from "../../src/model/Parameters.ts"
import * as StubTransport from "./StubTransport.ts"

export const fixture = (name: string, folder = "workers-ai"): string =>
  readFileSync(new URL(`../fixtures/${folder}/${name}`, import.meta.url), "utf8")

/** One data line per event, JSON or text. */
export const sse = (...events: ReadonlyArray<unknown>): string =>
  events.map((event) => `data: ${typeof event === "string" ? event : JSON.stringify(event)}\n\n`).join("")

export const model = "@cf/meta/llama-3.1-8b-instruct"

export const layer = (stub: StubTransport.StubTransport, parameters?: Parameters) =>
  GatewayModel.layer(stub, { model, parameters })

/** Tools whose calls are not resolved: what the codec gave is what comes out. */
export const tools = Toolkit.make(
  Tool.make("get_weather", {
    description: "The weather of a city",
    parameters: Schema.Struct({ city: Schema.String }),
    success: Schema.Struct({ celsius: Schema.Number })
  }),
  Tool.dynamic("f", { description: "Anything", parameters: { type: "object" } }),
  Tool.dynamic("g", { description: "Anything", parameters: { type: "object" } })
)

export interface Outcome {
  readonly parts: ReadonlyArray<Response.AnyPart>
  /** The reason's tag when the stream failed. */
  readonly failure: AiError.AiErrorReason | undefined
}

/** What two runs on the same answer have to share; ids that are made at random differ from run to run. */
export const comparable = ({ failure, parts }: Outcome): string =>
  JSON.stringify([parts, failure?._tag]).replaceAll(/id_\w+-/g, "*")

/** All parts until the end or the failure; defects are thrown. */
export const collect = <E, R>(stream: Stream.Stream<Response.AnyPart, E, R>): Effect.Effect<Outcome, never, R> =>
  Effect.gen(function*() {
    const parts: Array<Response.AnyPart> = []
    const exit = yield* Effect.exit(Stream.runForEach(stream, (part) => Effect.sync(() => parts.push(part))))
    return { parts, failure: failureOf(exit) }
  })

export const failureOf = (exit: Exit.Exit<unknown, unknown>): AiError.AiErrorReason | undefined => {
  if (Exit.isSuccess(exit)) return undefined
  const error = Option.getOrUndefined(Cause.findErrorOption(exit.cause))
  if (!AiError.isAiError(error)) throw Cause.squash(exit.cause)
  return error.reason
}

export const streamOf = (
  body: StubTransport.Answer["body"],
  options?: {
    readonly withTools?: boolean | undefined
    readonly end?: StubTransport.Answer["end"]
    readonly layer?: ModelLayer | undefined
  }
): Effect.Effect<Outcome> => {
  const stub = StubTransport.make({ body, end: options?.end })
  const stream: Stream.Stream<Response.AnyPart, AiError.AiError, LanguageModel.LanguageModel> = options?.withTools
    ? Stream.unwrap(Effect.map(
      handled,
      (toolkit) => LanguageModel.streamText({ prompt: "hi", toolkit, disableToolCallResolution: true })
    ))
    : LanguageModel.streamText({ prompt: "hi" })
  return collect(stream).pipe(Effect.provide((options?.layer ?? layer)(stub)))
}

/** The model under test; Workers AI when a test names none. */
export type ModelLayer = (stub: StubTransport.StubTransport) => Layer.Layer<LanguageModel.LanguageModel>

const handled = tools.pipe(
  Effect.provide(tools.toLayer({
    get_weather: () => Effect.succeed({ celsius: 1 }),
    f: () => Effect.succeed(null),
    g: () => Effect.succeed(null)
  }))
)

export const generateOf = (
  body: string,
  options?: { readonly withTools?: boolean | undefined; readonly layer?: ModelLayer | undefined }
): Effect.Effect<Outcome> => {
  const stub = StubTransport.make({ body, headers: { "content-type": "application/json" } })
  const generated: Effect.Effect<
    { readonly content: ReadonlyArray<Response.AnyPart> },
    AiError.AiError,
    LanguageModel.LanguageModel
  > = options?.withTools
    ? Effect.flatMap(
      handled,
      (toolkit) => LanguageModel.generateText({ prompt: "hi", toolkit, disableToolCallResolution: true })
    )
    : LanguageModel.generateText({ prompt: "hi" })
  return generated.pipe(
    Effect.exit,
    Effect.map((exit) => ({
      parts: Exit.isSuccess(exit) ? exit.value.content : [],
      failure: failureOf(exit)
    })),
    Effect.provide((options?.layer ?? layer)(stub))
  )
}

/**
 * Blocks in short: `text(Hello)`, `reasoning(..)`, `params(id, name, {..})`, `call(id, name, {..})`, `finish(stop)`, and
 * `ERROR(tag)` for a failure. Also asserts that the parts are well formed. Generated ids are written as `*`.
 */
export const summary = (outcome: Outcome): ReadonlyArray<string> => {
  const blocks: Array<string> = []
  const open = new Map<string, { kind: string; at: number; delta: string; name: string }>()
  const ended = new Set<string>()
  const shown = (id: string) => id.startsWith("id_") ? "*" : id
  let finished = false
  for (const part of outcome.parts) {
    assert.isFalse(finished, `a part after finish: ${part.type}`)
    switch (part.type) {
      case "text-start":
      case "reasoning-start":
      case "tool-params-start":
        assert.isFalse(open.has(part.id) || ended.has(part.id), `started twice: ${part.id}`)
        open.set(part.id, {
          kind: part.type.slice(0, -6),
          at: blocks.push("?") - 1,
          delta: "",
          name: "name" in part ? part.name : ""
        })
        break
      case "text-delta":
      case "reasoning-delta":
      case "tool-params-delta": {
        const block = open.get(part.id)
        assert.strictEqual(block?.kind, part.type.slice(0, -6), `a delta outside its block: ${part.id}`)
        assert.notStrictEqual(part.delta, "")
        if (block !== undefined) block.delta += part.delta
        break
      }
      case "text-end":
      case "reasoning-end":
      case "tool-params-end": {
        const block = open.get(part.id)
        assert.strictEqual(block?.kind, part.type.slice(0, -4), `an end without a start: ${part.id}`)
        open.delete(part.id)
        ended.add(part.id)
        if (block !== undefined) blocks[block.at] = shownBlock(block, shown(part.id))
        break
      }
      case "text":
      case "reasoning":
        blocks.push(`${part.type}(${part.text})`)
        break
      case "tool-call":
        assert.isFalse(open.has(part.id), `a call before the end of its parameters: ${part.id}`)
        blocks.push(`call(${shown(part.id)}, ${part.name}, ${JSON.stringify(part.params)})`)
        break
      case "finish":
        finished = true
        assert.strictEqual(open.size, 0, "a block is open at the finish")
        blocks.push(`finish(${part.reason})`)
        break
      default:
        blocks.push(part.type)
    }
  }
  for (const [id, block] of open) blocks[block.at] = `${shownBlock(block, shown(id))}...`
  assert.strictEqual(finished, outcome.failure === undefined, "a success has a finish part, a failure has none")
  return outcome.failure === undefined ? blocks : [...blocks, `ERROR(${outcome.failure._tag})`]
}

const shownBlock = (block: { kind: string; delta: string; name: string }, id: string) =>
  block.kind === "tool-params" ? `params(${id}, ${block.name}, ${block.delta})` : `${block.kind}(${block.delta})`

export const finishOf = (outcome: Outcome): Response.FinishPart => {
  const last = outcome.parts.at(-1)
  if (last?.type !== "finish") throw new Error(`the last part is ${last?.type}, not finish`)
  return last
}
