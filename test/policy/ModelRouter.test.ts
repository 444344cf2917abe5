import { assert, describe, it } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import * as AiError from "effect/unstable/ai/AiError"
import * as LanguageModel from "effect/unstable/ai/LanguageModel"
import type * as Response from "effect/unstable/ai/Response"
import * as Tool from "effect/unstable/ai/Tool"
import * as Toolkit from "effect/unstable/ai/Toolkit"
import * as fc from "fast-check"
import * as RequestOptions from "../../src/client/RequestOptions.ts"
import * as Fallback from "../../src/policy/Fallback.ts"
import * as ModelRouter from "../../src/policy/ModelRouter.ts"
import * as Retry from "../../src/policy/Retry.ts"
import * as Weights from "../../src/policy/weighted.ts"
import { collect, fixture, layer as stubLayer, summary } from "../support/parts.ts"
import * as StubTransport from "../support/StubTransport.ts"

/** A model that says a text, and counts how often it was built, asked and closed. */
const says = (text: string) => {
  const seen = { built: 0, asked: 0, closed: 0 }
  const finish: Response.PartEncoded & Response.StreamPartEncoded = {
    type: "finish",
    reason: "stop",
    usage: { inputTokens: {}, outputTokens: {} },
    metadata: { kept: { by: text } }
  }
  const layer = Layer.effect(
    LanguageModel.LanguageModel,
    Effect.gen(function*() {
      seen.built++
      yield* Effect.addFinalizer(() => Effect.sync(() => seen.closed++))
      return yield* LanguageModel.make({
        generateText: (options) =>
          Effect.sync(() => {
            seen.asked++
            const said = options.responseFormat.type === "json" ? JSON.stringify({ said: text }) : text
            return [{ type: "text", text: said }, finish] satisfies Array<Response.PartEncoded>
          }),
        streamText: () =>
          Stream.suspend(() => {
            seen.asked++
            return Stream.fromIterable<Response.StreamPartEncoded>([
              { type: "text-start", id: "1" },
              { type: "text-delta", id: "1", delta: text },
              { type: "text-end", id: "1" },
              finish
            ])
          })
      })
    })
  )
  return { layer, seen }
}

const textOf = (name: string, router: ModelRouter.ModelRouter<never>) =>
  LanguageModel.generateText({ prompt: "hi" }).pipe(
    ModelRouter.withModel(name),
    Effect.provide(router.layer),
    Effect.map((response) => response.text)
  )

const [a, b, c] = [says("a").layer, says("b").layer, says("c").layer]

describe("ModelRouter", () => {
  describe("patterns", () => {
    it.effect("are tried in order, and the first that matches is taken", () =>
      Effect.gen(function*() {
        const router = ModelRouter.make({
          routes: [{ pattern: "gpt-4o-mini", to: a }, { pattern: "gpt-*", to: b }, { pattern: "*", to: c }]
        })
        assert.strictEqual(yield* textOf("gpt-4o-mini", router), "a")
        assert.strictEqual(yield* textOf("gpt-4o", router), "b")
        assert.strictEqual(yield* textOf("claude", router), "c")
      }))

    const match = (pattern: ModelRouter.Pattern, name: string) =>
      ModelRouter.make({ routes: [{ pattern, to: a }] }).resolve(name).pipe(
        Effect.as(true),
        Effect.catchTag("NoRoute", () => Effect.succeed(false))
      )

    it.effect("are names and globs in any case, as a whole", () =>
      Effect.gen(function*() {
        for (
          const [pattern, name, expected] of [
            ["gpt-*", "GPT-4o", true],
            ["GPT-*", "gpt-4o", true],
            ["gpt-*", "my-gpt-4o", false],
            ["gpt-*", "gpt-", true],
            ["@cf/*", "@cf/meta/llama", true],
            ["@cf/*/llama", "@cf/meta/llama", true],
            ["*llama*70b*", "@cf/meta/llama-3.3-70b-fast", true],
            ["*70b*llama*", "@cf/meta/llama-3.3-70b-fast", false],
            ["a*a", "a", false],
            ["a*b*b", "ab", false],
            ["gpt-4.1", "gpt-4x1", false],
            ["gpt-4+", "gpt-44", false],
            ["GPT-4", "gpt-4", true],
            ["gpt-4", "gpt-4o", false],
            ["*", "", true]
          ] as const
        ) assert.strictEqual(yield* match(pattern, name), expected, `${pattern} ${name}`)
      }))

    it("are globs that match what a regular expression of the same meaning does", () => {
      const letters = fc.string({ unit: fc.constantFrom("a", "b", "*"), maxLength: 6 }).filter((glob) => glob !== "")
      fc.assert(fc.property(letters, fc.string({ unit: fc.constantFrom("a", "b"), maxLength: 8 }), (glob, name) => {
        const expected = new RegExp(`^${glob.replaceAll("*", ".*")}$`).test(name)
        assert.strictEqual(Effect.runSync(match(glob, name)), expected)
      }))
    })

    it.effect("are globs that no name makes slow", () =>
      Effect.gen(function*() {
        assert.isFalse(yield* match(`${"*a".repeat(200)}b`, "a".repeat(20_000)))
      }), 2000)

    it.effect("are regular expressions without a state, whatever their flags", () =>
      Effect.gen(function*() {
        for (const pattern of [/gpt-/g, /gpt-/y, /gpt-/gy]) {
          const router = ModelRouter.make({ routes: [{ pattern, to: a }], fallback: b })
          for (let i = 0; i < 4; i++) assert.strictEqual(yield* textOf("gpt-4o", router), "a")
          assert.strictEqual(pattern.lastIndex, 0)
          pattern.lastIndex = 3
          assert.strictEqual(yield* textOf("gpt-4o", router), "a")
          assert.strictEqual(pattern.lastIndex, 3)
        }
        assert.isFalse(yield* match(/^gpt-/, "GPT-4o"))
        assert.isTrue(yield* match(/4o/, "gpt-4o"))
      }))

    it.effect("are functions of the name, the prompt and the metadata", () =>
      Effect.gen(function*() {
        const router = ModelRouter.make({
          routes: [
            { pattern: ({ metadata }) => metadata["plan"] === "free", to: a },
            { pattern: ({ prompt }) => JSON.stringify(prompt.content).includes("translate"), to: b }
          ],
          fallback: c
        })
        const call = (prompt: string) => LanguageModel.generateText({ prompt }).pipe(Effect.provide(router.layer))
        assert.strictEqual(
          (yield* call("hi").pipe(RequestOptions.withOptions({ metadata: { plan: "free" } }))).text,
          "a"
        )
        assert.strictEqual((yield* call("please translate")).text, "b")
        assert.strictEqual((yield* call("hi")).text, "c")
        assert.strictEqual((yield* router.resolve("x", { metadata: { plan: "free" } })).route, "route 1")
      }))
  })

  describe("resolve", () => {
    const router = ModelRouter.make({
      routes: [
        { name: "openai", pattern: "gpt-*", to: { provider: "openai" } },
        { pattern: "openai/*", to: { provider: "openai" } },
        { pattern: "fast", to: { model: "groq/llama-3.3-70b-versatile" } },
        { pattern: /^exp$/, to: ModelRouter.weighted([{ weight: 1, model: a }, { weight: 1, model: { model: "m" } }]) }
      ],
      toModel: () => a
    })

    it.effect("names the route and its models", () =>
      Effect.gen(function*() {
        assert.deepStrictEqual(yield* router.resolve("gpt-5"), {
          route: "openai",
          models: ["openai/gpt-5"]
        })
        assert.deepStrictEqual(yield* router.resolve("openai/gpt-5"), {
          route: "openai/*",
          models: ["openai/gpt-5"]
        })
        assert.deepStrictEqual(yield* router.resolve("fast"), {
          route: "fast",
          models: ["groq/llama-3.3-70b-versatile"]
        })
        assert.deepStrictEqual(yield* router.resolve("exp"), { route: "/^exp$/", models: [undefined, "m"] })
      }))

    it.effect("fails with the routes that there are", () =>
      Effect.gen(function*() {
        const error = yield* Effect.flip(router.resolve("claude"))
        assert.instanceOf(error, ModelRouter.NoRoute)
        assert.deepStrictEqual(error.routes, ["openai", "openai/*", "fast", "/^exp$/"])
        assert.match(error.message, /No route for "claude"; there are routes for openai, openai\/\*, fast/)
      }))
  })

  describe("a call", () => {
    const router = ModelRouter.make({ routes: [{ pattern: "a", to: a }, { pattern: "b", to: b }] })

    it.effect("without a route fails before any request, for every method, with the routes that there are", () =>
      Effect.gen(function*() {
        const { layer, seen } = says("x")
        const router = ModelRouter.make({ routes: [{ pattern: "x", to: layer }] })
        const errors = yield* Effect.all([
          Effect.flip(LanguageModel.generateText({ prompt: "hi" })),
          Effect.flip(LanguageModel.generateObject({ prompt: "hi", schema: Schema.Struct({ said: Schema.String }) })),
          Effect.flip(Stream.runDrain(LanguageModel.streamText({ prompt: "hi" })))
        ]).pipe(ModelRouter.withModel("nope"), Effect.provide(router.layer))
        assert.deepStrictEqual(seen, { built: 0, asked: 0, closed: 0 })
        for (const error of errors) {
          assert.isTrue(AiError.isAiError(error) && error.reason._tag === "InvalidRequestError")
          const noRoute = ModelRouter.noRouteOf(error)
          assert.deepStrictEqual([noRoute?.name, noRoute?.routes], ["nope", ["x"]])
        }
        assert.isUndefined(ModelRouter.noRouteOf(new Error("other")))
      }))

    it.effect("says in its finish part which route it took, beside what is there", () =>
      Effect.gen(function*() {
        const expected = { name: "a", route: "a", variant: null }
        const object = LanguageModel.generateObject({ prompt: "hi", schema: Schema.Struct({ said: Schema.String }) })
        const [text, made, parts] = yield* Effect.all([
          LanguageModel.generateText({ prompt: "hi" }),
          object,
          Stream.runCollect(LanguageModel.streamText({ prompt: "hi" }))
        ]).pipe(ModelRouter.withModel("a"), Effect.provide(router.layer))
        assert.deepStrictEqual(ModelRouter.routed(text), expected)
        assert.deepStrictEqual(ModelRouter.routed(made), expected)
        assert.deepStrictEqual(made.value, { said: "a" })
        assert.deepStrictEqual(ModelRouter.routed(parts), expected)
        assert.deepStrictEqual(parts.at(-1)?.metadata, { kept: { by: "a" }, modelRouter: expected })
        assert.isUndefined(ModelRouter.routed([]))
      }))

    it.effect("takes the innermost name, and streams take the name around them", () =>
      Effect.gen(function*() {
        const text = LanguageModel.generateText({ prompt: "hi" }).pipe(
          Effect.map((response) => response.text),
          ModelRouter.withModel("b"),
          ModelRouter.withModel("a"),
          Effect.provide(router.layer)
        )
        assert.strictEqual(yield* text, "b")
        const streamed = ModelRouter.withModel(LanguageModel.streamText({ prompt: "hi" }), "b").pipe(
          Stream.provide(router.layer)
        )
        const outcome = yield* collect(streamed)
        assert.deepStrictEqual(summary(outcome), ["text(b)", "finish(stop)"])
      }))

    it.effect("of router.model has its name, whatever the context says", () =>
      Effect.gen(function*() {
        const call = LanguageModel.generateText({ prompt: "hi" }).pipe(ModelRouter.withModel("b"))
        assert.strictEqual((yield* Effect.provide(call, router.model("a"))).text, "a")
      }))

    it.effect("without a name takes the fallback", () =>
      Effect.gen(function*() {
        const router = ModelRouter.make({ routes: [{ pattern: "a", to: a }], fallback: c })
        const response = yield* LanguageModel.generateText({ prompt: "hi" }).pipe(Effect.provide(router.layer))
        assert.deepStrictEqual(ModelRouter.routed(response), { name: null, route: "fallback", variant: null })
      }))

    it.effect("runs its tools", () =>
      Effect.gen(function*() {
        const body = JSON.stringify({
          response: null,
          tool_calls: [{ name: "get_weather", arguments: { city: "Oslo" } }]
        })
        const router = ModelRouter.make({ routes: [], fallback: stubLayer(StubTransport.make({ body })) })
        const kit = Toolkit.make(Tool.make("get_weather", {
          parameters: Schema.Struct({ city: Schema.String }),
          success: Schema.String
        }))
        const response = yield* LanguageModel.generateText({ prompt: "hi", toolkit: kit }).pipe(
          Effect.provide([router.layer, kit.toLayer({ get_weather: ({ city }) => Effect.succeed(`cold in ${city}`) })])
        )
        assert.deepStrictEqual(response.toolResults.map(({ result }) => result), ["cold in Oslo"])
        assert.strictEqual(ModelRouter.routed(response)?.route, "fallback")
      }))

    it.effect("that is cut fails with its parts, and is not made whole", () =>
      Effect.gen(function*() {
        const body = StubTransport.split(fixture("chat-text.sse").slice(0, 200), 200)
        const router = ModelRouter.make({ routes: [], fallback: stubLayer(StubTransport.make({ body, end: "reset" })) })
        const outcome = yield* collect(LanguageModel.streamText({ prompt: "hi" })).pipe(Effect.provide(router.layer))
        assert.strictEqual(outcome.failure?._tag, "NetworkError")
        assert.isUndefined(ModelRouter.routed(outcome.parts))
      }))

    it.effect("that is interrupted cancels the upstream read", () =>
      Effect.gen(function*() {
        const settle = Effect.promise(async () => {
          for (let turn = 0; turn < 50; turn++) await new Promise((resolve) => setImmediate(resolve))
        })
        const stub = StubTransport.make({ body: fixture("chat-text.sse").slice(0, 200), end: "hang" })
        const router = ModelRouter.make({ routes: [], fallback: stubLayer(stub) })
        const fiber = yield* LanguageModel.streamText({ prompt: "hi" }).pipe(
          Stream.runDrain,
          Effect.provide(router.layer),
          Effect.forkChild
        )
        while (stub.reads === 0) yield* settle
        yield* Fiber.interrupt(fiber)
        assert.isTrue(stub.cancelled)
      }))
  })

  describe("models", () => {
    it.effect("are built once each, when they are first asked, and closed with the layer", () =>
      Effect.gen(function*() {
        const [one, two] = [says("one"), says("two")]
        const router = ModelRouter.make({
          routes: [{ pattern: "one", to: one.layer }, { pattern: "uno", to: one.layer }, {
            pattern: "two",
            to: two.layer
          }]
        })
        yield* Effect.gen(function*() {
          const call = LanguageModel.generateText({ prompt: "hi" })
          assert.strictEqual(one.seen.built, 0)
          yield* Effect.all(Array.from({ length: 5 }, () => ModelRouter.withModel(call, "one")), {
            concurrency: "unbounded"
          })
          yield* ModelRouter.withModel(call, "uno")
          assert.deepStrictEqual(one.seen, { built: 1, asked: 6, closed: 0 })
        }).pipe(Effect.provide(router.layer))
        assert.deepStrictEqual(one.seen, { built: 1, asked: 6, closed: 1 })
        assert.strictEqual(two.seen.built, 0)
      }))

    it.effect("of names are made by toModel, once for each name", () =>
      Effect.gen(function*() {
        const made: Array<string> = []
        const router = ModelRouter.make({
          routes: [{ pattern: "gpt-*", to: { provider: "openai" } }, { pattern: "fast", to: { model: "groq/llama" } }],
          // As it was asked for.
          fallback: {},
          toModel: (name) => {
            made.push(name)
            return says(name).layer
          }
        })
        const call = LanguageModel.generateText({ prompt: "hi" })
        const texts = yield* Effect.forEach(
          ["gpt-5", "gpt-4o", "gpt-5", "fast", "fast", "@cf/meta/llama"],
          (name) => Effect.map(ModelRouter.withModel(call, name), (response) => response.text)
        ).pipe(Effect.provide(router.layer))
        assert.deepStrictEqual(
          texts,
          ["openai/gpt-5", "openai/gpt-4o", "openai/gpt-5", "groq/llama", "groq/llama", "@cf/meta/llama"]
        )
        assert.deepStrictEqual(made, ["openai/gpt-5", "openai/gpt-4o", "groq/llama", "@cf/meta/llama"])
      }))

    it.effect("of more names than anybody uses are not kept, and closed after their call", () =>
      Effect.gen(function*() {
        const { layer, seen } = says("x")
        const router = ModelRouter.make({ routes: [], fallback: { provider: "openai" }, toModel: () => layer })
        const ask = (name: string, streams: boolean) =>
          ModelRouter.withModel(
            streams
              ? Stream.runDrain(LanguageModel.streamText({ prompt: "hi" }))
              : Effect.asVoid(LanguageModel.generateText({ prompt: "hi" })),
            name
          )
        yield* Effect.gen(function*() {
          for (let i = 0; i < 120; i++) yield* ask(`model-${i}`, i % 2 === 0)
          assert.deepStrictEqual(seen, { built: 120, asked: 120, closed: 20 })
          yield* ask("model-0", false)
          assert.strictEqual(seen.built, 120)
        }).pipe(Effect.provide(router.layer))
        assert.strictEqual(seen.closed, 120)
      }))

    it.effect("get what they need from the router's layer", () =>
      Effect.gen(function*() {
        class Text extends Context.Service<Text, string>()("test/Text") {}
        const needing = Layer.unwrap(Effect.map(Text, (text) => says(text).layer))
        const router = ModelRouter.make({
          routes: [{ pattern: "w", to: ModelRouter.weighted([{ weight: 1, model: needing }]) }],
          fallback: a
        })
        // The type says so, too.
        const layer: Layer.Layer<LanguageModel.LanguageModel, never, Text> = router.layer
        const response = yield* LanguageModel.generateText({ prompt: "hi" }).pipe(
          ModelRouter.withModel("w"),
          Effect.provide(Layer.provide(layer, Layer.succeed(Text, "given")))
        )
        assert.strictEqual(response.text, "given")
      }))
  })

  describe("weighted", () => {
    const experiment = (weights: ReadonlyArray<number>, options?: Parameters<typeof ModelRouter.weighted>[1]) =>
      ModelRouter.make({
        routes: [{
          name: "exp",
          pattern: "*",
          to: ModelRouter.weighted(
            weights.map((weight, index) => ({ name: `v${index}`, weight, model: [a, b, c][index] ?? a })),
            options
          )
        }]
      })
    const variants = (
      router: ModelRouter.ModelRouter<never>,
      users: ReadonlyArray<string | undefined>
    ) =>
      Effect.forEach(users, (user) =>
        Effect.map(
          LanguageModel.generateText({ prompt: "hi" }).pipe(
            RequestOptions.withOptions(user === undefined ? {} : { metadata: { user } })
          ),
          (response) => ModelRouter.routed(response)?.variant
        )).pipe(Effect.provide(router.layer))

    it.effect("gives the same key the same variant, and says which", () =>
      Effect.gen(function*() {
        const router = experiment([1, 1, 2], { key: "user" })
        const users = Array.from({ length: 40 }, (_, i) => `user-${i}`)
        const first = yield* variants(router, users)
        assert.deepStrictEqual(yield* variants(experiment([1, 1, 2], { key: "user" }), users), first)
        assert.deepStrictEqual(new Set(first), new Set(["v0", "v1", "v2"]))
        const byFunction = experiment([1, 1, 2], { key: ({ metadata }) => String(metadata["user"]) })
        assert.deepStrictEqual(yield* variants(byFunction, users), first)
        const other = experiment([1, 1, 2], { key: "user", name: "other experiment" })
        assert.notDeepEqual(yield* variants(other, users), first)
      }))

    it("gives each variant its share of the keys", () => {
      const weights = fc.array(fc.integer({ min: 1, max: 20 }), { minLength: 2, maxLength: 4 })
      fc.assert(
        fc.property(weights, fc.constantFrom("user-", "", "4f1c-"), (weights, prefix) => {
          const keys = 4000
          const choices = weights.map((weight) => ({ weight, model: undefined }))
          const counts = weights.map(() => 0)
          for (let i = 0; i < keys; i++) {
            const request = { name: "", prompt: undefined as never, metadata: { user: `${prefix}${i}` } }
            const index = Effect.runSync(Weights.choose({ _tag: "Weighted", choices, key: "user" }, "exp", request))
            counts[index] = (counts[index] ?? 0) + 1
          }
          const sum = weights.reduce((sum, weight) => sum + weight, 0)
          // Five times the spread that even chances have.
          counts.forEach((count, index) => {
            const share = (weights[index] ?? 0) / sum
            assert.approximately(count / keys, share, 5 * Math.sqrt(share * (1 - share) / keys))
          })
        }),
        { numRuns: 25, seed: 7 }
      )
    })

    it("keeps everybody where they are: the hash is part of the contract", () => {
      assert.deepStrictEqual(
        ["", "exp\nuser-1", "exp\nuser-2", "exp\nüñ"].map((text) => Math.floor(Weights.shareOf(text) * 2 ** 32)),
        [2872998923, 1646297037, 3359370371, 2786040851]
      )
    })

    it.effect("is random without a key, also for requests that do not have it", () =>
      Effect.gen(function*() {
        for (const router of [experiment([1, 3]), experiment([1, 3], { key: "user" })]) {
          const seen = yield* variants(router, Array.from({ length: 400 }, () => undefined))
          assert.approximately(seen.filter((variant) => variant === "v0").length, 100, 50)
        }
      }))

    it.effect("names variants without a name by their place", () =>
      Effect.gen(function*() {
        const router = ModelRouter.make({ routes: [], fallback: ModelRouter.weighted([{ weight: 1, model: a }]) })
        assert.deepStrictEqual(yield* variants(router, ["u"]), ["variant 1"])
      }))
  })

  describe("options out of their range", () => {
    const cases: ReadonlyArray<readonly [string, Parameters<typeof ModelRouter.make>[0], RegExp]> = [
      ["routes", { routes: [] }, /at least one route/],
      ["routes[1].pattern", { routes: [{ pattern: "a", to: a }, { pattern: "", to: a }] }, /It is ""/],
      ["routes[0].pattern", { routes: [{ pattern: "  ", to: a }] }, /It is "\s+"/],
      ["routes[0].to.choices", { routes: [{ pattern: "a", to: ModelRouter.weighted([]) }] }, /at least one model/],
      ...[0, -1, NaN, Infinity].map((weight) =>
        [
          "fallback.choices[1].weight",
          { routes: [], fallback: ModelRouter.weighted([{ weight: 1, model: a }, { weight, model: b }]) },
          new RegExp(`It is ${weight}`)
        ] as const
      ),
      ["fallback.key", { routes: [], fallback: ModelRouter.weighted([{ weight: 1, model: a }], { key: "" }) }, /key/],
      ["toModel", { routes: [{ pattern: "a", to: { provider: "openai" } }] }, /routes\[0\]\.to is a name/],
      ["fallback", { routes: [], fallback: { provider: "" }, toModel: () => a }, /provider and model are not empty/]
    ]
    for (const [parameter, options, message] of cases) {
      it.effect(`fail every call with the name of the option: ${parameter} ${message.source}`, () =>
        Effect.gen(function*() {
          const router = ModelRouter.make(options) as ModelRouter.ModelRouter<never>
          const call = LanguageModel.generateText({ prompt: "hi" })
          const errors = [
            yield* Effect.flip(router.resolve("a")),
            yield* Effect.flip(Effect.provide(call, router.model("a"))),
            // Nothing may go on after it.
            yield* call.pipe(
              Effect.provide(Retry.layer(router.layer, { attempts: 2, while: () => true })),
              Fallback.withPlan(Fallback.plan([router.layer, b])),
              Effect.flip
            )
          ]
          for (const error of errors) {
            if (!AiError.isAiError(error) || error.reason._tag !== "InvalidRequestError") {
              return assert.fail(String(error))
            }
            assert.strictEqual(error.reason.parameter, parameter)
            assert.match(error.message, message)
          }
        }))
    }
  })

  it.effect("composes with retry and fallback, inside and around them", () =>
    Effect.gen(function*() {
      const failed: StubTransport.Answer = { status: 503, body: "{}" }
      const flaky = () => StubTransport.make((_, call) => call === 0 ? failed : { body: fixture("native-text.json") })
      const inner = ModelRouter.make({
        routes: [{ pattern: "m", to: Retry.layer(stubLayer(flaky()), { baseDelay: 0 }) }]
      })
      const outer = ModelRouter.make({ routes: [{ pattern: "m", to: stubLayer(flaky()) }] })
      const planned = Fallback.layer(Fallback.plan([
        { name: "router", model: ModelRouter.make({ routes: [{ pattern: "other", to: a }] }).layer },
        { name: "b", model: b }
      ]))
      const call = LanguageModel.generateText({ prompt: "hi" }).pipe(ModelRouter.withModel("m"))
      const run = (layer: Layer.Layer<LanguageModel.LanguageModel>) => Effect.exit(Effect.provide(call, layer))
      for (const layer of [inner.layer, Retry.layer(outer.layer, { baseDelay: 0, jitter: false })]) {
        const fiber = yield* Effect.forkChild(run(layer))
        const exit = yield* Fiber.join(fiber)
        assert.isTrue(Exit.isSuccess(exit) && exit.value.text === "Hello")
        assert.strictEqual(Exit.isSuccess(exit) ? ModelRouter.routed(exit.value)?.route : undefined, "m")
      }
      const exit = yield* run(planned)
      assert.isTrue(Exit.isSuccess(exit) && exit.value.text === "b")
    }))
})
