import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/testing/TestClock"
import type * as AiError from "effect/unstable/ai/AiError"
import * as LanguageModel from "effect/unstable/ai/LanguageModel"
import type * as Prompt from "effect/unstable/ai/Prompt"
import type * as Response from "effect/unstable/ai/Response"
import * as Tool from "effect/unstable/ai/Tool"
import * as Toolkit from "effect/unstable/ai/Toolkit"
import * as Persistence from "effect/unstable/persistence/Persistence"
import * as RequestOptions from "../../src/client/RequestOptions.ts"
import * as ResponseInfo from "../../src/client/ResponseInfo.ts"
import * as Parameters from "../../src/model/Parameters.ts"
import * as ResponseCache from "../../src/policy/ResponseCache.ts"
import * as Retry from "../../src/policy/Retry.ts"
import { fixture, layer as gatewayModel } from "../support/parts.ts"
import * as Scripted from "../support/scripted.ts"
import { pass, settle } from "../support/settle.ts"
import * as StubTransport from "../support/StubTransport.ts"

const options: ResponseCache.Options = { name: "m", ttl: "1 minute" }

/** The model with the cache, once for all that is inside. */
const within = (
  model: Scripted.Scripted | Layer.Layer<LanguageModel.LanguageModel>,
  more: Partial<ResponseCache.Options> = {},
  store: Layer.Layer<Persistence.BackingPersistence> = Persistence.layerBackingMemory
) => ResponseCache.layer("layer" in model ? model.layer : model, { ...options, ...more }).pipe(Layer.provide(store))

const ask = (prompt: Prompt.RawInput = "hi") => LanguageModel.generateText({ prompt })
const textOf = (prompt?: Prompt.RawInput) => Effect.map(ask(prompt), ({ text }) => text)
const streamed = (prompt: Prompt.RawInput = "hi") => LanguageModel.streamText({ prompt })

/** The parts in the groups in which they came. */
const groupsOf = <A, E, R>(stream: Stream.Stream<A, E, R>) =>
  Effect.gen(function*() {
    const groups: Array<ReadonlyArray<A>> = []
    yield* Stream.runForEachArray(stream, (parts) => Effect.sync(() => groups.push(parts)))
    return groups
  })

/** A memory store of which a test knows and changes what is in it. */
const tampered = (change: (value: object) => object) => {
  const written: Array<{ readonly key: string; readonly value: object; readonly ttl: unknown }> = []
  const layer = Layer.effect(
    Persistence.BackingPersistence,
    Effect.map(Persistence.BackingPersistence, (backing) =>
      Persistence.BackingPersistence.of({
        make: (storeId) =>
          Effect.map(backing.make(storeId), (store) => ({
            ...store,
            set: (key, value, ttl) => {
              written.push({ key, value, ttl })
              return store.set(key, change(JSON.parse(JSON.stringify(value))), ttl)
            }
          }))
      }))
  ).pipe(Layer.provide(Persistence.layerBackingMemory))
  return { written, layer }
}

/** A store of which some operations are as given. */
const storeWith = (operations: Partial<Persistence.BackingPersistenceStore>) =>
  Layer.effect(
    Persistence.BackingPersistence,
    Effect.map(Persistence.BackingPersistence, (backing) =>
      Persistence.BackingPersistence.of({
        make: (storeId) => Effect.map(backing.make(storeId), (store) => ({ ...store, ...operations }))
      }))
  ).pipe(Layer.provide(Persistence.layerBackingMemory))

/** What is logged as a warning. */
const warnings = () => {
  const said: Array<string> = []
  const layer = Logger.layer([Logger.make(({ logLevel, message }) => {
    if (logLevel === "Warn") said.push(String(Array.isArray(message) ? message[0] : message))
  })])
  return { said, layer }
}

const GetWeather = Tool.make("get_weather", {
  description: "The weather of a city",
  parameters: Schema.Struct({ city: Schema.String, days: Schema.FiniteFromString }),
  success: Schema.Struct({ celsius: Schema.Finite })
})
const kit = Toolkit.make(GetWeather)
const handled = () => {
  const cities: Array<string> = []
  return {
    cities,
    layer: kit.toLayer({
      get_weather: ({ city }) =>
        Effect.sync(() => {
          cities.push(city)
          return { celsius: 21 }
        })
    })
  }
}
const toolCall: Response.ToolCallPartEncoded = {
  type: "tool-call",
  id: "c1",
  name: "get_weather",
  params: { city: "Oslo", days: "2" }
}

describe("ResponseCache", () => {
  describe("an answer that is kept", () => {
    it.effect("is given again, with its usage, as what it is: cached, and so many seconds old", () => {
      const model = Scripted.make()
      return Effect.gen(function*() {
        const first = yield* ask()
        yield* TestClock.adjust("2500 millis")
        const second = yield* ask()
        assert.strictEqual(model.calls, 1)
        assert.isUndefined(ResponseCache.of(first))
        assert.deepStrictEqual(ResponseCache.of(second), { cached: true, age: 2.5 })
        assert.strictEqual(second.usage.inputTokens.total, 3)
        const bare = (response: typeof first) =>
          response.content.map((part) => part.type === "finish" ? { ...part, metadata: {} } : part)
        assert.deepStrictEqual(bare(second), bare(first))
        assert.strictEqual(second.text, "answer 0")
      }).pipe(Effect.provide(within(model)))
    })

    it.effect("is asked for anew when it is as old as it may be, over the call's own time or the cache's", () => {
      const model = Scripted.make()
      return Effect.gen(function*() {
        yield* ask()
        yield* TestClock.adjust("59 seconds")
        assert.strictEqual(yield* textOf(), "answer 0")
        assert.strictEqual(yield* textOf().pipe(ResponseCache.withOptions({ ttl: "59 seconds" })), "answer 1")
        yield* TestClock.adjust("60 seconds")
        assert.strictEqual(yield* textOf(), "answer 2")
      }).pipe(Effect.provide(within(model)))
    })

    it.effect("has all that the gateway said of it", () => {
      const stub = StubTransport.make({
        body: fixture("native-text.json"),
        headers: { "cf-aig-log-id": "log-1", "content-type": "application/json" }
      })
      return Effect.gen(function*() {
        yield* ask()
        const second = yield* ask()
        assert.strictEqual(stub.sent.length, 1)
        assert.strictEqual(ResponseInfo.of(second).logId, "log-1")
        assert.strictEqual(second.text, "Hello")
        assert.strictEqual(ResponseCache.of(second)?.cached, true)
      }).pipe(Effect.provide(within(gatewayModel(stub))))
    })

    it.effect("is an object again, of its schema's own types", () => {
      class Person extends Schema.Class<Person>("Person")({
        name: Schema.String,
        born: Schema.DateFromString,
        nick: Schema.optionalKey(Schema.String)
      }) {}
      const json = "{\"name\":\"Ada\",\"born\":\"1815-12-10T00:00:00.000Z\"}"
      const model = Scripted.make({ text: () => Effect.succeed(Scripted.textParts(json)) })
      return Effect.gen(function*() {
        const object = LanguageModel.generateObject({ prompt: "who?", schema: Person })
        const first = yield* object
        const second = yield* object
        assert.strictEqual(model.calls, 1)
        assert.instanceOf(second.value, Person)
        assert.deepStrictEqual(second.value, first.value)
        assert.strictEqual(second.value.born.getUTCFullYear(), 1815)
        assert.deepStrictEqual(ResponseCache.of(second), { cached: true, age: 0 })
        yield* LanguageModel.generateObject({ prompt: "who?", schema: Person, objectName: "author" })
        yield* LanguageModel.generateObject({ prompt: "who?", schema: Schema.Struct({ name: Schema.String }) })
        assert.strictEqual(model.calls, 3)
      }).pipe(Effect.provide(within(model)))
    })

    it.effect("is replayed as a stream in its order and grouping, apart from the whole answer", () => {
      const model = Scripted.make()
      return Effect.gen(function*() {
        const first = yield* groupsOf(streamed())
        yield* TestClock.adjust("3 seconds")
        const second = yield* groupsOf(streamed())
        assert.strictEqual(model.calls, 1)
        assert.deepStrictEqual(first.map((group) => group.length), [3, 2, 2, 1])
        // The first part says it as well, for who does not read to the end.
        const stamped = { metadata: { responseCache: { cached: true, age: 3 } } }
        assert.deepStrictEqual<unknown>({ ...second[0]?.[0], metadata: {} }, first[0]?.[0])
        assert.deepStrictEqual<unknown>(
          [second[0]?.slice(1), ...second.slice(1, -1)],
          [first[0]?.slice(1), ...first.slice(1, -1)]
        )
        assert.deepInclude(second[0]?.[0], stamped)
        assert.deepStrictEqual(ResponseCache.of(second.flat()), { cached: true, age: 3 })
        assert.isUndefined(ResponseCache.of(first.flat()))
        assert.strictEqual(yield* textOf(), "answer 1")
      }).pipe(Effect.provide(within(model)))
    })

    it.effect("keeps files, sources and calls of the provider's own tools", () => {
      const Search = Tool.providerDefined({
        id: "test.search",
        customName: "Search",
        providerName: "search",
        parameters: Schema.Struct({ query: Schema.String }),
        success: Schema.Struct({ at: Schema.DateFromString })
      })(undefined)
      const model = Scripted.make({
        text: () =>
          Effect.succeed([
            { type: "file", mediaType: "image/png", data: "AAEC" },
            { type: "source", sourceType: "url", id: "s1", url: "https://effect.website/", title: "Effect" },
            { type: "tool-call", id: "c1", name: "Search", params: { query: "effect" }, providerExecuted: true },
            {
              type: "tool-result",
              id: "c1",
              name: "Search",
              isFailure: false,
              result: { at: "2026-01-01T00:00:00.000Z" },
              providerExecuted: true
            },
            ...Scripted.textParts("found")
          ])
      })
      return Effect.gen(function*() {
        const searching = LanguageModel.generateText({ prompt: "?", toolkit: Toolkit.make(Search) })
        const first = yield* searching
        const second = yield* searching
        assert.strictEqual(model.calls, 1)
        assert.deepStrictEqual(second.content.slice(0, -1), first.content.slice(0, -1))
        const result = second.toolResults[0]?.result
        assert.isTrue(result !== undefined && "at" in result && result.at instanceof Date)
      }).pipe(Effect.provide(within(model)))
    })

    it.effect("lasts as long in the store as it was asked to", () => {
      const store = tampered((value) => value)
      return Effect.gen(function*() {
        yield* ask("a")
        yield* ask("b").pipe(ResponseCache.withOptions({ ttl: "1 hour" }))
        yield* ask("c").pipe(ResponseCache.withOptions({ ttl: "Infinity" }))
        assert.deepStrictEqual(
          store.written.map(({ ttl }) => JSON.stringify(ttl)),
          ["60000", "3600000"].map((millis) => JSON.stringify({ _id: "Duration", _tag: "Millis", millis: +millis }))
            .concat([undefined as unknown as string])
        )
        for (const { key } of store.written) assert.match(key, /^[0-9a-f]{64}$/)
      }).pipe(Effect.provide(within(Scripted.make(), {}, store.layer)))
    })

    it.effect("is as old as it was in a cache further in", () => {
      const model = Scripted.make()
      const inner = within(model)
      return Effect.gen(function*() {
        const outer = yield* Layer.build(
          within(Layer.succeed(LanguageModel.LanguageModel, yield* LanguageModel.LanguageModel))
        )
        yield* ask()
        yield* TestClock.adjust("40 seconds")
        yield* Effect.provide(ask(), outer)
        yield* TestClock.adjust("15 seconds")
        assert.deepStrictEqual(ResponseCache.of(yield* Effect.provide(ask(), outer)), { cached: true, age: 55 })
        yield* TestClock.adjust("10 seconds")
        assert.isUndefined(ResponseCache.of(yield* Effect.provide(ask(), outer)))
      }).pipe(Effect.provide(inner), Effect.scoped)
    })
  })

  describe("the key", () => {
    const bytes = (...of: ReadonlyArray<number>) => new Uint8Array(of)
    const file = (data: string | Uint8Array | URL): Prompt.RawInput => [{
      role: "user",
      content: [{ type: "file", mediaType: "image/png", data }]
    }]
    const plain = LanguageModel.generateText({ prompt: "hi" })
    const Described = Toolkit.make(
      Tool.make("get_weather", { ...GetWeather, description: "Another", parameters: GetWeather.parametersSchema })
    )
    const Other = Toolkit.make(Tool.make("get_weather", {
      description: "The weather of a city",
      parameters: Schema.Struct({ city: Schema.Finite })
    }))
    const withTools = (toolkit: typeof kit, more: object = {}) =>
      LanguageModel.generateText({ prompt: "hi", toolkit, ...more })
    // What they do is not asked here.
    const anyKit = (toolkit: unknown) => toolkit as typeof kit
    const calls: {
      readonly [what: string]: Effect.Effect<
        unknown,
        AiError.AiError,
        LanguageModel.LanguageModel | Tool.HandlersFor<{ readonly get_weather: typeof GetWeather }>
      >
    } = {
      plain,
      "another prompt": ask("ho"),
      "a system message": ask([{ role: "system", content: "Be brief" }, { role: "user", content: "hi" }]),
      "options of a message": ask([{ role: "user", content: "hi", options: { openai: { detail: "low" } } }]),
      bytes: ask(file(bytes(1, 2, 3))),
      "other bytes": ask(file(bytes(1, 2, 4))),
      "a text in place of bytes": ask(file("AQID")),
      "a URL": ask(file(new URL("https://example.com/a.png"))),
      "a text in place of a URL": ask(file("https://example.com/a.png")),
      temperature: Parameters.withParameters(plain, { temperature: 0 }),
      "another temperature": Parameters.withParameters(plain, { temperature: 1 }),
      "options of a provider": Parameters.withProviderOptions(plain, { openai: { service_tier: "flex" } }),
      "an own key": ResponseCache.withOptions(plain, { key: { tenant: "a" } }),
      "another own key": ResponseCache.withOptions(plain, { key: { tenant: "b" } }),
      tools: withTools(kit),
      "tools that are not run": withTools(kit, { disableToolCallResolution: true }),
      "a tool choice": withTools(kit, { toolChoice: "required" }),
      "another choice": withTools(kit, { toolChoice: "none" }),
      "another description": withTools(anyKit(Described)),
      "other parameters of a tool": withTools(anyKit(Other)),
      stream: Stream.runDrain(streamed()),
      object: LanguageModel.generateObject({
        prompt: "hi",
        schema: Schema.Struct({ a: Schema.optionalKey(Schema.String) })
      })
    }

    it.effect("differs with everything that the answer depends on, and with nothing else", () => {
      const model = Scripted.make({ text: () => Effect.succeed(Scripted.textParts("{}")) })
      return Effect.gen(function*() {
        const names = Object.keys(calls)
        for (const [index, name] of names.entries()) {
          yield* calls[name]!
          assert.strictEqual(model.calls, index + 1, name)
        }
        for (const name of names) yield* calls[name]!
        assert.strictEqual(model.calls, names.length, "all of them are found again")
      }).pipe(Effect.provide([within(model), handled().layer]))
    })

    it.effect("is one for the same said in another way", () => {
      const model = Scripted.make()
      return Effect.gen(function*() {
        yield* ask("hi").pipe(
          Parameters.withParameters({ temperature: 0, seed: 7 }),
          Parameters.withProviderOptions({ openai: { a: 1, b: { c: [2], d: 3 } } })
        )
        yield* ask([{ role: "user", content: [{ type: "text", text: "hi" }] }]).pipe(
          Parameters.withParameters({ seed: 7, maxTokens: undefined, temperature: 0 }),
          Parameters.withProviderOptions({ openai: { b: { d: 3, c: [2] }, a: 1 } })
        )
        yield* ask(file(bytes(1, 2)))
        yield* ask(file(bytes(0, 1, 2).subarray(1)))
        assert.strictEqual(model.calls, 2)
      }).pipe(Effect.provide(within(model)))
    })

    it.effect("has the model's name, and what keyOf adds of the call's own context", () => {
      const model = Scripted.make()
      const store = Layer.succeedContext
      return Effect.gen(function*() {
        const shared = store(yield* Layer.build(Persistence.layerBackingMemory))
        const named = (name: string) => Layer.build(within(model, { name }, shared))
        const [a, again, b] = [yield* named("a"), yield* named("a"), yield* named("b")]
        yield* Effect.provide(ask(), a)
        yield* Effect.provide(ask(), again)
        assert.strictEqual(model.calls, 1)
        yield* Effect.provide(ask(), b)
        assert.strictEqual(model.calls, 2)

        const byUser = yield* Layer.build(within(model, {
          keyOf: () => Effect.map(RequestOptions.Current, ({ metadata }) => metadata)
        }))
        const of = (user: string) =>
          ask().pipe(RequestOptions.withOptions({ metadata: { user } }), Effect.provide(byUser))
        yield* Effect.forEach(["u1", "u2", "u1"], of)
        assert.strictEqual(model.calls, 4)
      }).pipe(Effect.scoped)
    })

    it.effect("is missing where a call cannot be told from others, which then goes to the model", () => {
      const model = Scripted.make()
      const { layer, said } = warnings()
      return Effect.gen(function*() {
        const odd = ResponseCache.withOptions(textOf(), { key: new Map([["tenant", "a"]]) })
        assert.deepStrictEqual([yield* odd, yield* odd], ["answer 0", "answer 1"])
        assert.deepStrictEqual(said, Array(2).fill("A call has no key, so its answer is not kept"))
      }).pipe(Effect.provide([within(model), layer]))
    })
  })

  describe("never keeps", () => {
    const once = (
      name: string,
      model: Scripted.Scripted,
      call: Effect.Effect<unknown, unknown, LanguageModel.LanguageModel>
    ) =>
      it.effect(name, () =>
        Effect.gen(function*() {
          yield* Effect.exit(call)
          yield* Effect.exit(call)
          assert.strictEqual(model.calls, 2)
        }).pipe(Effect.provide(within(model))))

    const texts: { readonly [name: string]: ReadonlyArray<Response.PartEncoded> } = {
      "an answer without its finish part": [{ type: "text", text: "half" }],
      "an answer that ended in an error": [{ type: "text", text: "half" }, Scripted.finish("error")],
      "an answer that was filtered": [{ type: "text", text: "half" }, Scripted.finish("content-filter")],
      "a turn that goes on at the provider": [{ type: "text", text: "half" }, Scripted.finish("pause")],
      "an answer whose end nobody knows": [{ type: "text", text: "half" }, Scripted.finish("unknown")],
      "an answer that is partial, as the caller accepts": [{
        ...Scripted.finish(),
        metadata: { aiGateway: { ...ResponseInfo.empty, partial: true } }
      }]
    }
    for (const [name, parts] of Object.entries(texts)) {
      const text = Scripted.make({ text: () => Effect.succeed([...parts]) })
      once(name, text, ask())
      const stream = Scripted.make({
        stream: () =>
          Stream.fromIterable<Response.StreamPartEncoded>(
            parts.flatMap((part): Array<Response.StreamPartEncoded> =>
              part.type === "text" ? [] : [part as Response.FinishPartEncoded]
            )
          )
      })
      once(`${name}, as a stream`, stream, Stream.runDrain(streamed()))
    }

    const failing = Scripted.make({ text: () => Effect.fail(Scripted.overloaded()) })
    once("a failure", failing, ask())

    const parts = Scripted.streamParts("half")
    const cut = Scripted.make({
      stream: () => Stream.concat(Stream.fromArrays(...parts), Stream.fail(Scripted.overloaded()))
    })
    once("a stream that was cut, even after its finish part", cut, Stream.runDrain(streamed()))
    const erroneous = Scripted.make({
      stream: () =>
        Stream.fromArrays<ReadonlyArray<ReadonlyArray<Response.StreamPartEncoded>>>([
          { type: "error", error: "no" },
          Scripted.finish()
        ])
    })
    once("a stream with an error part", erroneous, Stream.runDrain(streamed()))
    once("a stream that is not read to its end", Scripted.make(), Stream.runDrain(Stream.take(streamed(), 2)))

    it.effect("an answer that a tool's handler ran for, nor keeps the handler from running", () => {
      const { cities, layer } = handled()
      const model = Scripted.make({
        text: () => Effect.succeed([toolCall, Scripted.finish("tool-calls")]),
        stream: () => Stream.fromArrays([toolCall], [Scripted.finish("tool-calls")])
      })
      return Effect.gen(function*() {
        for (let call = 1; call <= 2; call++) {
          const { toolResults } = yield* LanguageModel.generateText({ prompt: "hi", toolkit: kit })
          assert.deepStrictEqual(toolResults[0]?.result, { celsius: 21 })
          yield* Stream.runDrain(LanguageModel.streamText({ prompt: "hi", toolkit: kit }))
          assert.strictEqual(cities.length, call * 2)
        }
        assert.strictEqual(model.calls, 4)
      }).pipe(Effect.provide([within(model), layer]))
    })

    it.effect("an answer to a prompt with an approval, whose handler runs before the model is asked", () => {
      const { cities, layer } = handled()
      const model = Scripted.make()
      const prompt: Prompt.RawInput = [
        { role: "user", content: "hi" },
        {
          role: "assistant",
          content: [toolCall, { type: "tool-approval-request", approvalId: "a1", toolCallId: "c1" }]
        },
        { role: "tool", content: [{ type: "tool-approval-response", approvalId: "a1", approved: true }] }
      ]
      return Effect.gen(function*() {
        for (const disableToolCallResolution of [true, true]) {
          yield* LanguageModel.generateText({ prompt, toolkit: kit, disableToolCallResolution })
        }
        assert.deepStrictEqual(cities, ["Oslo", "Oslo"])
        assert.strictEqual(model.calls, 2)
      }).pipe(Effect.provide([within(model), layer]))
    })

    it.effect("more than maxBytes, as an answer or as a stream", () => {
      const large = "é".repeat(600)
      const model = Scripted.make({
        text: () => Effect.succeed(Scripted.textParts(large)),
        stream: () => Stream.fromArrays(...Scripted.streamParts(large))
      })
      return Effect.gen(function*() {
        for (let call = 0; call < 2; call++) {
          yield* ask()
          yield* Stream.runDrain(streamed())
        }
        assert.strictEqual(model.calls, 4)
      }).pipe(Effect.provide(within(model, { maxBytes: 1100 })))
    })
  })

  it.effect("keeps calls of tools that it does not run, and gives them again encoded", () => {
    const { cities, layer } = handled()
    const model = Scripted.make({ text: () => Effect.succeed([toolCall, Scripted.finish("tool-calls")]) })
    return Effect.gen(function*() {
      const call = LanguageModel.generateText({ prompt: "hi", toolkit: kit, disableToolCallResolution: true })
      const [first, second] = [yield* call, yield* call]
      assert.strictEqual(model.calls, 1)
      assert.deepStrictEqual(second.toolCalls, first.toolCalls)
      assert.deepStrictEqual(second.toolCalls[0]?.params, { city: "Oslo", days: "2" })
      assert.deepStrictEqual(cities, [])
    }).pipe(Effect.provide([within(model), layer]))
  })

  it.effect("leaves a call alone that skips it, and takes its answer for no other", () => {
    const model = Scripted.make()
    return Effect.gen(function*() {
      assert.strictEqual(yield* ResponseCache.skip(textOf()), "answer 0")
      assert.strictEqual(yield* textOf(), "answer 1")
      assert.strictEqual(yield* ResponseCache.skip(textOf()), "answer 2")
      assert.strictEqual(yield* textOf(), "answer 1")
      yield* streamed().pipe(ResponseCache.skip, Stream.runDrain)
      yield* streamed().pipe(ResponseCache.skip, Stream.runDrain)
      assert.strictEqual(model.calls, 5)
    }).pipe(Effect.provide(within(model)))
  })

  describe("takes for missing", () => {
    const entries: { readonly [what: string]: (value: object) => object } = {
      "an entry of another version": (value) => ({ ...value, version: "effect-ai-gateway/ResponseCache/0" }),
      "an entry of somebody else": () => ({ hello: "world" }),
      "a list": () => [1, 2],
      "an entry without its time": (value) => ({ ...value, at: "yesterday" }),
      "parts that are none": (value) => ({ ...value, parts: [[{ type: "text" }]] }),
      "a group without parts": (value) => ({ ...value, parts: [[]] }),
      "parts of an unknown kind": (value) => ({ ...value, parts: [[{ type: "hologram", id: "h1" }]] })
    }
    for (const [what, change] of Object.entries(entries)) {
      it.effect(what, () => {
        const model = Scripted.make()
        const store = tampered(change)
        return Effect.gen(function*() {
          assert.deepStrictEqual([yield* textOf(), yield* textOf()], ["answer 0", "answer 1"])
          yield* Stream.runDrain(streamed())
          yield* Stream.runDrain(streamed())
          assert.strictEqual(model.calls, 4)
          assert.strictEqual(store.written.length, 4)
        }).pipe(Effect.provide(within(model, {}, store.layer)))
      })
    }
  })

  describe("a store", () => {
    const broken = new Persistence.PersistenceError({ message: "The store is down" })
    const twice = Effect.gen(function*() {
      const texts = [yield* textOf(), yield* textOf()]
      const parts = yield* Stream.runCollect(streamed())
      assert.strictEqual(parts.at(-1)?.type, "finish")
      return texts
    })

    const stores = {
      "that fails": [{ get: () => Effect.fail(broken), set: () => Effect.fail(broken) }, "could not be"],
      "that dies": [{ get: () => Effect.die("broken"), set: () => Effect.die("broken") }, "could not be"],
      "that is interrupted": [{ get: () => Effect.interrupt, set: () => Effect.interrupt }, "could not be"]
    } as const
    for (const [what, [operations, said]] of Object.entries(stores)) {
      it.effect(`${what} fails no call, and is logged`, () => {
        const model = Scripted.make()
        const log = warnings()
        return Effect.gen(function*() {
          assert.deepStrictEqual(yield* twice, ["answer 0", "answer 1"])
          assert.strictEqual(log.said.length, 6)
          for (const line of log.said) assert.include(line, said)
        }).pipe(Effect.provide([within(model, {}, storeWith(operations)), log.layer]))
      })
    }

    it.effect("that hangs holds a call up for no longer than storeTimeout", () => {
      const model = Scripted.make()
      const log = warnings()
      return Effect.gen(function*() {
        const fiber = yield* Effect.forkChild(twice)
        // Two operations of three calls.
        for (let step = 0; step < 6; step++) yield* pass(100)
        assert.deepStrictEqual(yield* Fiber.join(fiber), ["answer 0", "answer 1"])
        assert.strictEqual(log.said.filter((line) => line.includes("too slow")).length, 6)
      }).pipe(Effect.provide([
        within(model, { storeTimeout: "100 millis" }, storeWith({ get: () => Effect.never, set: () => Effect.never })),
        log.layer
      ]))
    })
  })

  describe("calls that ask the same at the same time", () => {
    const slow = () =>
      Scripted.make({
        text: (call) => Effect.delay(Effect.succeed(Scripted.textParts(`answer ${call}`)), "1 second"),
        stream: (call) =>
          Stream.fromArrays(...Scripted.streamParts(`answer ${call}`)).pipe(
            Stream.mapEffect((part) => Effect.delay(Effect.succeed(part), "100 millis"))
          )
      })
    const ten = <A, E, R>(call: Effect.Effect<A, E, R>) =>
      Effect.all(Array(10).fill(call) as Array<typeof call>, { concurrency: "unbounded" })

    it.effect("are one call, of which all but one are cached", () => {
      const model = slow()
      return Effect.gen(function*() {
        const fiber = yield* Effect.forkChild(ten(ask()))
        yield* pass(1000)
        const all = yield* Fiber.join(fiber)
        assert.strictEqual(model.calls, 1)
        assert.deepStrictEqual(new Set(all.map(({ text }) => text)), new Set(["answer 0"]))
        // Which of them asks is whose key is made first.
        const cached = all.map(ResponseCache.of).filter((_) => _ !== undefined)
        assert.deepStrictEqual(cached, Array.from({ length: 9 }, () => ({ cached: true, age: 0 })))
      }).pipe(Effect.provide(within(model)))
    })

    it.effect("are one stream, replayed to those who wait", () => {
      const model = slow()
      return Effect.gen(function*() {
        const fiber = yield* Effect.forkChild(ten(groupsOf(streamed())))
        for (let step = 0; step < 8; step++) yield* pass(100)
        const all = yield* Fiber.join(fiber)
        assert.strictEqual(model.calls, 1)
        for (const groups of all) assert.strictEqual(groups.flat().length, 8)
        assert.strictEqual(all.filter((groups) => ResponseCache.of(groups.flat()) !== undefined).length, 9)
      }).pipe(Effect.provide(within(model)))
    })

    it.effect("go on with another when the one that asked is interrupted, stops reading, or is cut", () => {
      const model = Scripted.make({
        text: (call) => Effect.delay(Effect.succeed(Scripted.textParts(`answer ${call}`)), "1 second"),
        stream: (call) =>
          Stream.fromArrays(...Scripted.streamParts(`answer ${call}`)).pipe(
            Stream.mapEffect((part) => Effect.delay(Effect.succeed(part), "100 millis")),
            Stream.concat(call === 2 ? Stream.fail(Scripted.overloaded()) : Stream.empty)
          )
      })
      return Effect.gen(function*() {
        const first = yield* Effect.forkChild(ask())
        yield* settle
        const others = yield* Effect.forkChild(ten(textOf()))
        yield* pass(500)
        yield* Fiber.interrupt(first)
        yield* pass(1000)
        assert.deepStrictEqual(yield* Fiber.join(others), Array(10).fill("answer 1"))
        assert.strictEqual(model.calls, 2)

        const cut = yield* Effect.forkChild(Effect.flip(Stream.runDrain(streamed())))
        yield* settle
        const stopping = yield* Effect.forkChild(Stream.runDrain(Stream.take(streamed(), 3)))
        yield* settle
        const streams = yield* Effect.forkChild(ten(Stream.runCollect(streamed())))
        for (let step = 0; step < 30; step++) yield* pass(100)
        assert.strictEqual((yield* Fiber.join(cut)).reason._tag, "InternalProviderError")
        yield* Fiber.join(stopping)
        for (const parts of yield* Fiber.join(streams)) assert.strictEqual(parts.length, 8)
        assert.strictEqual(model.calls, 5)
      }).pipe(Effect.provide(within(model)))
    })

    it.effect("share the failure of the one that asked, which the next call does not", () => {
      const model = Scripted.make({
        text: (call) =>
          Effect.andThen(
            Effect.sleep("1 second"),
            call === 0 ? Effect.fail(Scripted.overloaded()) : Effect.succeed(Scripted.textParts("ok"))
          )
      })
      return Effect.gen(function*() {
        const fiber = yield* Effect.forkChild(ten(Effect.flip(ask())))
        yield* pass(1000)
        assert.strictEqual(new Set((yield* Fiber.join(fiber)).map((error) => error.reason._tag)).size, 1)
        assert.strictEqual(model.calls, 1)
        const next = yield* Effect.forkChild(textOf())
        yield* pass(1000)
        assert.strictEqual(yield* Fiber.join(next), "ok")
      }).pipe(Effect.provide(within(model)))
    })

    it.effect("each ask for themselves when the answer is not one to share", () => {
      const { cities, layer } = handled()
      const model = Scripted.make({
        text: () => Effect.delay(Effect.succeed([toolCall, Scripted.finish("tool-calls")]), "1 second")
      })
      return Effect.gen(function*() {
        const fiber = yield* Effect.forkChild(ten(LanguageModel.generateText({ prompt: "hi", toolkit: kit })))
        yield* pass(1000)
        yield* pass(1000)
        yield* Fiber.join(fiber)
        assert.strictEqual(cities.length, 10)
      }).pipe(Effect.provide([within(model), layer]))
    })

    it.effect("wait no longer than `wait`, and not at all with 0", () => {
      const model = slow()
      return Effect.gen(function*() {
        const brief = yield* Layer.build(within(model, { wait: "200 millis" }))
        const never = yield* Layer.build(within(model, { wait: 0 }))
        const first = yield* Effect.forkChild(Effect.provide(ask(), brief))
        yield* settle
        const second = yield* Effect.forkChild(Effect.provide(ask(), brief))
        yield* pass(199)
        assert.strictEqual(model.calls, 1)
        yield* pass(1)
        assert.strictEqual(model.calls, 2)
        yield* pass(1000)
        yield* Fiber.join(first)
        yield* Fiber.join(second)
        const fiber = yield* Effect.forkChild(Effect.provide(ten(ask("never")), never))
        yield* pass(1000)
        yield* Fiber.join(fiber)
        assert.strictEqual(model.calls, 12)
        yield* Effect.provide(ask("never"), never)
        assert.strictEqual(model.calls, 12, "it is kept all the same")
      }).pipe(Effect.scoped)
    })

    it.effect("do not hang where a stream waits for itself", () => {
      const model = slow()
      return Effect.gen(function*() {
        const fiber = yield* Effect.forkChild(Stream.runCollect(Stream.zip(streamed(), streamed())))
        for (let step = 0; step < 30; step++) yield* pass(100)
        assert.strictEqual((yield* Fiber.join(fiber)).length, 8)
        assert.strictEqual(model.calls, 2)
      }).pipe(Effect.provide(within(model, { wait: "1 second" })))
    })
  })

  it.effect("stands in any order with other policies", () => {
    const flaky = () =>
      Scripted.make({
        text: (call) =>
          call === 0 ? Effect.fail(Scripted.overloaded()) : Effect.succeed(Scripted.textParts(`answer ${call}`))
      })
    const exact = { jitter: false, baseDelay: 0 }
    return Effect.gen(function*() {
      for (const order of ["inside", "outside"]) {
        const model = flaky()
        const layer = order === "inside"
          ? model.layer.pipe(Retry.layer(exact), ResponseCache.layer(options))
          : model.layer.pipe(ResponseCache.layer(options), Retry.layer(exact))
        yield* Effect.gen(function*() {
          assert.deepStrictEqual([yield* textOf(), yield* textOf()], ["answer 1", "answer 1"], order)
          assert.strictEqual(model.calls, 2, order)
        }).pipe(Effect.provide(Layer.provide(layer, Persistence.layerBackingMemory)))
      }
    })
  })

  it.effect("fails each call with an option out of its range, before any request", () => {
    const wrong: ReadonlyArray<readonly [string, Partial<ResponseCache.Options>]> = [
      ["name", { name: "" }],
      ["ttl", { ttl: 0 }],
      ["ttl", { ttl: "-1 seconds" }],
      ["maxBytes", { maxBytes: 0 }],
      ["maxBytes", { maxBytes: 1.5 }],
      ["wait", { wait: -1 }],
      ["wait", { wait: "Infinity" }],
      ["storeTimeout", { storeTimeout: 0 }],
      ["storeId", { storeId: "" }]
    ]
    return Effect.gen(function*() {
      for (const [parameter, more] of wrong) {
        const model = Scripted.make()
        for (const call of [ask(), Stream.runDrain(streamed())]) {
          const error = yield* Effect.flip(Effect.provide(call, within(model, more)))
          assert.strictEqual(error.reason._tag, "InvalidRequestError")
          if (error.reason._tag === "InvalidRequestError") assert.strictEqual(error.reason.parameter, parameter)
        }
        assert.strictEqual(model.calls, 0)
      }
      const model = Scripted.make()
      const error = yield* Effect.flip(ask().pipe(ResponseCache.withOptions({ ttl: 0 }), Effect.provide(within(model))))
      assert.include(error.message, "more than 0")
      assert.strictEqual(model.calls, 0)
    })
  })
})
