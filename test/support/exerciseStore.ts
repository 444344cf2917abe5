/**
 * What a store of answers has to do, as one program for every place in which a store runs.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Stream from "effect/Stream"
import * as LanguageModel from "effect/unstable/ai/LanguageModel"
import * as Persistence from "effect/unstable/persistence/Persistence"
import * as ResponseCache from "../../src/policy/ResponseCache.ts"
import * as Scripted from "./scripted.ts"

const short = Duration.millis(300)
const past = Effect.sleep("400 millis")

/** Keys as they come, not only those of the cache: KV takes at most 512 bytes. */
const keys = ["a", "a/b?c=d&e#f", "ä ö:%20", "k".repeat(600), `${"k".repeat(600)}2`] as const

export const exerciseStore = (storeId: string) =>
  Effect.gen(function*() {
    const persistence = yield* Persistence.BackingPersistence
    const store = yield* persistence.make(storeId)
    const other = yield* persistence.make(`${storeId}-2`)

    const missing = yield* store.get("a")
    yield* Effect.forEach(keys, (key, index) => store.set(key, { index }, undefined), { discard: true })
    const values = yield* Effect.forEach(keys, (key) => store.get(key))
    yield* store.set("a", { again: true }, Duration.minutes(1))
    const many = yield* store.getMany(["a", "none", "ä ö:%20"])
    const elsewhere = yield* other.get("a")
    yield* store.remove("a")
    const removed = yield* store.get("a")

    yield* store.setMany([["s1", { s: 1 }, short], ["s2", { s: 2 }, Duration.minutes(2)], ["s3", { s: 3 }, undefined]])
    const before = yield* store.getMany(["s1", "s2", "s3"])
    yield* past
    const after = yield* store.getMany(["s1", "s2", "s3"])

    yield* other.set("kept", { kept: true }, undefined)
    // Not every store can be cleared, and then it says so.
    const cleared = yield* Effect.match(store.clear, {
      onSuccess: () => true,
      onFailure: (error) => error.message
    })
    const left = [yield* store.get("s3"), yield* other.get("kept")]

    const found = { missing, values, many, elsewhere, removed, before, after, cleared, left }
    return asJson({ ...found, answers: yield* answers(storeId) })
  }).pipe(Effect.scoped)

/** As it comes from a Worker: what is not there is null. */
const asJson = <A>(report: A): A =>
  JSON.parse(JSON.stringify(report, (_, value: unknown) => value === undefined ? null : value))

/** The cache over the store, each time built anew, as in another process. */
const answers = (storeId: string) =>
  Effect.gen(function*() {
    const model = Scripted.make()
    const store = Layer.succeedContext(yield* Effect.context<Persistence.BackingPersistence>())
    const cached = (ttl: Duration.Input) =>
      ResponseCache.layer(model.layer, { name: "m", ttl, storeId: `${storeId}-answers` }).pipe(Layer.provide(store))
    const text = (prompt: string) =>
      Effect.map(
        LanguageModel.generateText({ prompt }),
        (response) => [response.text, ResponseCache.of(response)?.cached]
      )
    const streamed = Effect.gen(function*() {
      const groups: Array<number> = []
      const parts: Array<string> = []
      yield* Stream.runForEachArray(LanguageModel.streamText({ prompt: "stream" }), (group) =>
        Effect.sync(() => {
          groups.push(group.length)
          for (const part of group) parts.push(part.type === "text-delta" ? part.delta : part.type)
        }))
      return { groups, parts }
    })
    return {
      first: yield* Effect.provide(text("hi"), cached("1 minute")),
      second: yield* Effect.provide(text("hi"), cached("1 minute")),
      stream: yield* Effect.provide(streamed, cached("1 minute")),
      replayed: yield* Effect.provide(streamed, cached("1 minute")),
      brief: yield* Effect.provide(text("brief"), cached(short)),
      tooOld: yield* Effect.andThen(past, Effect.provide(text("brief"), cached(short))),
      calls: model.calls
    }
  })

export type Report = Effect.Success<ReturnType<typeof exerciseStore>>
