import * as NodeCrypto from "@effect/platform-node/NodeCrypto"
import { assert, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type * as Answer from "../../../src/local/Answer.ts"
import * as Compat from "../../../src/local/compat/Compat.ts"
import * as Unified from "../../../src/local/compat/Unified.ts"
import * as Database from "../../../src/local/Database.ts"
import { type AiGatewayError, noProviderAnswer } from "../../../src/local/Envelope.ts"
import type { Step } from "../../../src/local/GatewayRequest.ts"
import * as RateLimitStore from "../../../src/local/RateLimitStore.ts"
import * as DynamicRoutes from "../../../src/local/routes/DynamicRoutes.ts"
import * as RouteStore from "../../../src/local/RouteStore.ts"
import { decode } from "../../../src/resource/routeElements.ts"
import { fixture } from "../../support/parts.ts"

const stores = Layer.mergeAll(
  RouteStore.layer("acct").pipe(Layer.provide(Database.layer(Database.memory))),
  RateLimitStore.layerMemory
).pipe(Layer.provide(NodeCrypto.layer), Layer.orDie)

const stepOf = (body: unknown, more: Partial<Step> = {}): Step => ({
  provider: "compat",
  method: "POST",
  path: "chat/completions",
  query: "",
  headers: { "content-type": "application/json", authorization: "Bearer pk", "anthropic-version": "x" },
  body: new TextEncoder().encode(typeof body === "string" ? body : JSON.stringify(body)),
  ...more
})

const messages = [{ role: "user", content: "hi" }]

const json = (body: string, status = 200): Answer.Answer => ({
  status,
  headers: { "content-type": "application/json" },
  body: new TextEncoder().encode(body)
})

/** Providers that answer in their own formats; what each was sent is noted. */
const providers = (script: { readonly [provider: string]: Effect.Effect<Answer.Answer, AiGatewayError> } = {}) => {
  const sent: Array<Unified.UnifiedStep> = []
  const answers: { readonly [provider: string]: Effect.Effect<Answer.Answer, AiGatewayError> } = {
    anthropic: Effect.succeed(json(fixture("text.json", "anthropic"))),
    "google-ai-studio": Effect.succeed(json(fixture("text.json", "google"))),
    openai: Effect.succeed(json(fixture("text.json", "openai-chat"))),
    ...script
  }
  const ask = (step: Unified.UnifiedStep) =>
    Effect.suspend(() => {
      sent.push(step)
      return Effect.flatMap(
        answers[step.provider] ?? Effect.fail(noProviderAnswer("no such provider")),
        (answer) => Compat.answer(step.reading, answer, { id: "id-1" })
      )
    })
  return { sent, ask }
}

const serve = (step: Step, ask: ReturnType<typeof providers>["ask"], gateway = "gw") =>
  Unified.serve({ gateway, step, metadata: { plan: "paid" }, ask })

const read = (answer: Answer.Answer) =>
  JSON.parse(answer.body instanceof Uint8Array ? new TextDecoder().decode(answer.body) : "null")

const model = (id: string, provider: string, fallback = "end") => ({
  id,
  type: "model",
  properties: { provider, model: `${id}-model`, timeout: 1000, retries: 0 },
  outputs: { success: { elementId: "end" }, fallback: { elementId: fallback } }
})

const graph = (...nodes: ReadonlyArray<{ readonly id: string }>) => {
  const { elements, problems } = decode([
    { id: "start", type: "start", outputs: { next: { elementId: nodes[0]?.id } } },
    ...nodes,
    { id: "end", type: "end", outputs: {} }
  ])
  assert.deepStrictEqual(problems, [])
  return elements
}

layer(stores)("the unified endpoint", (it) => {
  it.effect("COMPAT-01, COMPAT-02, COMPAT-03: answers as OpenAI whatever provider the model names", () =>
    Effect.gen(function*() {
      const names = { "anthropic/claude-x": "v1/messages", "openai/gpt-x": "chat/completions" }
      for (
        const [name, path] of Object.entries({ ...names, "google-ai-studio/g": "v1beta/models/g:generateContent" })
      ) {
        const { ask, sent } = providers()
        const { answer, model, provider } = yield* serve(stepOf({ model: name, messages }), ask)
        assert.strictEqual(read(answer).object, "chat.completion")
        assert.strictEqual(`${provider}/${model}`, name)
        assert.deepInclude(sent[0], { provider, path, asked: "model" })
        assert.strictEqual(sent[0]?.headers["authorization"], "Bearer pk")
      }
    }))

  it.effect("what the wire asks for wins over what the client sent", () =>
    Effect.gen(function*() {
      const { ask, sent } = providers()
      yield* serve(stepOf({ model: "anthropic/claude-x", messages }), ask)
      assert.strictEqual(sent[0]?.headers["anthropic-version"], "2023-06-01")
    }))

  it.effect("COMPAT-06: refuses what it cannot understand before any provider is asked", () =>
    Effect.gen(function*() {
      const wrong: ReadonlyArray<readonly [Step, number]> = [
        [stepOf("{"), 2019],
        [stepOf("[]"), 2019],
        [stepOf({ messages }), 2019],
        [stepOf({ model: "gpt-x", messages }), 2019],
        [stepOf({ model: "nope/x", messages }), 2008],
        [stepOf({ model: "anthropic/x" }), 2019],
        [stepOf({ model: "openai/x", messages }, { path: "models" }), 2008],
        [stepOf({ model: "openai/x", messages }, { method: "GET" }), 2019]
      ]
      for (const [step, code] of wrong) {
        const { ask, sent } = providers()
        assert.deepInclude(yield* Effect.flip(serve(step, ask)), { status: 400, code })
        assert.lengthOf(sent, 0)
      }
    }))

  it.effect("ROUTE-05: a route that the gateway has not is a 404 with 7003", () =>
    Effect.gen(function*() {
      const routes = yield* RouteStore.RouteStore
      yield* routes.create("other", "support", graph(model("a", "openai")))
      const { ask } = providers()
      const error = yield* Effect.flip(serve(stepOf({ model: "dynamic/support", messages }), ask, "none"))
      assert.deepInclude(error, { status: 404, code: 7003 })
      assert.include(error.description, "dynamic/support")
    }))

  it.effect("ROUTE-02: a route falls back across formats, and says who answered", () =>
    Effect.gen(function*() {
      const routes = yield* RouteStore.RouteStore
      yield* routes.create("gw", "across", graph(model("a", "anthropic", "b"), model("b", "google-ai-studio")))
      const broken = Effect.succeed(json(fixture("error-body.json", "anthropic"), 529))
      const { ask, sent } = providers({ anthropic: broken })
      const { answer, model: answered, provider } = yield* serve(stepOf({ model: "dynamic/across", messages }), ask)
      assert.deepStrictEqual([provider, answered], ["google-ai-studio", "b-model"])
      assert.deepInclude(answer.headers, { "cf-aig-provider": "google-ai-studio", "cf-aig-model": "b-model" })
      assert.strictEqual(read(answer).object, "chat.completion")
      assert.deepStrictEqual(sent.map(({ asked, provider }) => [asked, provider]), [
        ["route", "anthropic"],
        ["route", "google-ai-studio"]
      ])
    }))

  it.effect("ROUTE-02: an answer that cannot be read counts as a failure of its model", () =>
    Effect.gen(function*() {
      const routes = yield* RouteStore.RouteStore
      yield* routes.create("gw", "unread", graph(model("a", "anthropic", "b"), model("b", "openai")))
      const { ask } = providers({ anthropic: Effect.succeed(json("{}")) })
      assert.strictEqual((yield* serve(stepOf({ model: "dynamic/unread", messages }), ask)).provider, "openai")
    }))

  it.effect("ROUTE-06: a new version serves once it is deployed", () =>
    Effect.gen(function*() {
      const routes = yield* RouteStore.RouteStore
      const route = Option.getOrThrow(yield* routes.create("gw", "versions", graph(model("a", "openai"))))
      const version = yield* routes.addVersion(route, graph(model("b", "openai")))
      const served = () =>
        Effect.map(serve(stepOf({ model: "dynamic/versions", messages }), providers().ask), ({ model }) => model)
      assert.strictEqual(yield* served(), "a-model")
      yield* routes.deploy(route, version)
      assert.strictEqual(yield* served(), "b-model")
    }))

  it.effect("conditions see the metadata, the headers and the body of the request", () =>
    Effect.gen(function*() {
      const routes = yield* RouteStore.RouteStore
      yield* routes.create(
        "gw",
        "sees",
        graph(
          {
            id: "if",
            type: "conditional",
            properties: {
              conditions: { "metadata.plan": "paid", "headers.x-team": "core", "body.temperature": { $lt: 1 } }
            },
            outputs: { true: { elementId: "a" }, false: { elementId: "b" } }
          } as { readonly id: string },
          model("a", "openai"),
          model("b", "openai")
        )
      )
      const body = { model: "dynamic/sees", messages, temperature: 0.5 }
      const seen = yield* serve(stepOf(body, { headers: { "x-team": "core" } }), providers().ask)
      assert.strictEqual(seen.model, "a-model")
      assert.strictEqual((yield* serve(stepOf(body, { headers: {} }), providers().ask)).model, "b-model")
    }))

  it.effect("a route is found by its gateway and its name", () =>
    Effect.gen(function*() {
      const routes = yield* RouteStore.RouteStore
      const made = Option.getOrThrow(yield* routes.create("gw-find", "x", graph(model("a", "openai"))))
      const found = yield* DynamicRoutes.find("gw-find", "x")
      assert.deepStrictEqual(found, { id: made.id, gateway: "gw-find", name: "x", elements: made.version.elements })
    }))
})
