/**
 * Answers in the form in which a cache keeps them: the encoded parts, with the time and the version of the form.
 *
 * @since 0.1.0
 */
import * as Arr from "effect/Array"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as LanguageModel from "effect/unstable/ai/LanguageModel"
import * as Response from "effect/unstable/ai/Response"
import type * as Tool from "effect/unstable/ai/Tool"
import * as Toolkit from "effect/unstable/ai/Toolkit"
import type { Watch } from "./aroundModel.ts"
import type { Tools } from "./cacheKey.ts"
import { finishOf, type Parts } from "./stampFinish.ts"

/**
 * What the finish part of an answer from a cache says.
 *
 * A type and not an interface, because only a type is the JSON that the metadata of parts has to be.
 *
 * @category models
 * @since 0.1.0
 */
export type Cached = {
  readonly cached: true
  /** How old the answer is, in seconds. */
  readonly age: number
}

declare module "effect/unstable/ai/Response" {
  interface FinishPartMetadata {
    /** Of an answer that came from `ResponseCache`; nothing was paid for it. */
    readonly responseCache?: Cached | null
  }
}

const version = "effect-ai-gateway/ResponseCache/1"

/**
 * An answer as it is stored.
 *
 * @category schemas
 * @since 0.1.0
 */
export const Entry = Schema.Struct({
  version: Schema.Literal(version),
  /** When the model gave the answer, in milliseconds since 1970. */
  at: Schema.Finite,
  /** The encoded parts, grouped as they came; those of a whole answer are one group. */
  parts: Schema.Array(Schema.NonEmptyArray(Schema.Unknown)),
  /** The encoded value of `generateObject`. */
  value: Schema.optionalKey(Schema.Unknown)
})

/**
 * @category models
 * @since 0.1.0
 */
export type Entry = typeof Entry.Type

/**
 * The entry, if it is one of this version.
 *
 * @category constructors
 * @since 0.1.0
 */
export const read = Schema.decodeUnknownOption(Entry)

/**
 * What an answer has to be decoded with.
 *
 * @category models
 * @since 0.1.0
 */
export interface Form {
  readonly tools: Tools
  readonly runsTools: boolean
  readonly schema: Schema.Constraint | undefined
}

/**
 * The form of the answers to a call.
 *
 * @category constructors
 * @since 0.1.0
 */
export const formOf = ({ options }: Watch, tools: Tools): Form => ({
  tools,
  runsTools: options.disableToolCallResolution !== true,
  schema: options.schema
})

/**
 * Whether an answer can be given again: it is whole, no failure, and nothing was done for it but asking the model.
 *
 * @category guards
 * @since 0.1.0
 */
export const isKept = (parts: ReadonlyArray<Response.AnyPart>, { runsTools }: Form): boolean => {
  let isWhole = false
  for (const part of parts) {
    switch (part.type) {
      case "error":
      case "tool-approval-request":
        return false
      case "tool-call":
        // Its handler has run, or was to run.
        if (runsTools && !part.providerExecuted) return false
        break
      case "tool-result":
        // Also where calls are not resolved: an approved call of an earlier turn has run.
        if (!part.providerExecuted) return false
        break
      case "finish":
        if (!kept.has(part.reason) || part.metadata.aiGateway?.partial === true) return false
        isWhole = true
    }
  }
  return isWhole
}

/** All others say that something has gone wrong, that the turn goes on at the provider, or nothing. */
const kept: ReadonlySet<Response.FinishReason> = new Set(["stop", "length", "tool-calls"])

/**
 * The entry of an answer.
 *
 * @category encoding
 * @since 0.1.0
 */
export const encode = (
  answer: { readonly parts: ReadonlyArray<ReadonlyArray<unknown>>; readonly value?: unknown; readonly at: number },
  form: Form,
  isStream: boolean
): Effect.Effect<Entry, Schema.SchemaError> =>
  Effect.gen(function*() {
    const parts = yield* Schema.encodeUnknownEffect(partsOf(form, isStream))(answer.parts)
    const entry: Entry = { version, at: answer.at, parts }
    if (form.schema === undefined) return entry
    const value = yield* Schema.encodeUnknownEffect(valueOf(form.schema))(answer.value)
    return { ...entry, value }
  })

/**
 * The parts of an entry as the model gave them, the finish part and the first of a stream with its age: who leaves a stream
 * before its end is to know, too, that nothing was paid for it.
 *
 * @category decoding
 * @since 0.1.0
 */
export const decodeParts = (
  entry: Entry,
  form: Form,
  options: { readonly isStream: boolean; readonly now: number }
): Effect.Effect<ReadonlyArray<Arr.NonEmptyReadonlyArray<Response.AnyPart>>, Schema.SchemaError> =>
  Effect.map(
    Schema.decodeUnknownEffect(partsOf(form, options.isStream))(entry.parts),
    (groups) => groups.map((parts, group) => stamp(parts, options.isStream && group === 0, ageOf(entry, options.now)))
  )

/**
 * The whole answer of an entry: a `generateText` or `generateObject` response.
 *
 * @category decoding
 * @since 0.1.0
 */
export const decodeResponse = (
  entry: Entry,
  form: Form,
  now: number
): Effect.Effect<LanguageModel.GenerateTextResponse<{}>, Schema.SchemaError> =>
  Effect.gen(function*() {
    const groups = yield* decodeParts(entry, form, { isStream: false, now })
    // They were decoded as the parts of a whole answer.
    const content = groups.flat() as Array<Response.Part<{}>>
    if (form.schema === undefined) return new LanguageModel.GenerateTextResponse<{}>(content)
    const value = yield* Schema.decodeUnknownEffect(valueOf(form.schema))(entry.value)
    return new LanguageModel.GenerateObjectResponse<{}, unknown>(value, content)
  })

/**
 * Says how old an answer from the cache is; undefined if the model was asked for it, or if it has not ended yet.
 *
 * Takes a `generateText` / `generateObject` response, a list of parts, or a finish part itself. What shared the answer of a
 * call that was under way is from the cache, too: nothing was paid for it.
 *
 * @category accessors
 * @since 0.1.0
 */
export const of = (
  response: Parts
): Cached | undefined => finishOf(response)?.metadata.responseCache ?? undefined

/**
 * Seconds since the model gave the answer.
 *
 * @category accessors
 * @since 0.1.0
 */
export const ageOf = (entry: Entry, now: number): number => Math.max(0, now - entry.at) / 1000

const stamp = (
  parts: Arr.NonEmptyReadonlyArray<Response.AnyPart>,
  isFirst: boolean,
  age: number
): Arr.NonEmptyReadonlyArray<Response.AnyPart> =>
  Arr.map(parts, (part, index) => {
    if (part.type !== "finish" && !(isFirst && index === 0)) return part
    const responseCache: Cached = { cached: true, age }
    // All parts have metadata, and any part's may have those of a policy.
    return { ...part, metadata: { ...part.metadata, responseCache } } as Response.AnyPart
  })

/** Parts are encoded and decoded as `LanguageModel.make` does it. Services that a tool's schemas need are the caller's. */
const partsOf = (
  form: Form,
  isStream: boolean
): Schema.Codec<ReadonlyArray<Arr.NonEmptyReadonlyArray<Response.AnyPart>>, Entry["parts"]> => {
  const toolkit = Toolkit.make(...Object.values(form.tools).map((tool) => withParameters(tool, form.runsTools)))
  const part = isStream ? Response.StreamPart(toolkit) : Response.Part(toolkit)
  // The two kinds of parts differ only in which parts they have.
  return Schema.Array(Schema.NonEmptyArray(part as unknown as Schema.Codec<Response.AnyPart, unknown>))
}

/** Of calls that are resolved, the handler decodes the parameters. */
const withParameters = (tool: Tool.Any, runsTools: boolean): Tool.Any =>
  tool.setParameters(runsTools ? Schema.Unknown : Schema.toEncoded(tool.parametersSchema))

const valueOf = (schema: Schema.Constraint): Schema.Codec<unknown, unknown> =>
  Schema.toCodecJson(schema as Schema.Codec<unknown, unknown>)
