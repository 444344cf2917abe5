import { assert } from "@effect/vitest"
import * as Test from "alchemy/Test/Vitest"
import { Sse } from "effect-ai-gateway"
import { providers } from "effect-ai-gateway/providers"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import * as HttpBody from "effect/unstable/http/HttpBody"
import * as HttpClient from "effect/unstable/http/HttpClient"
import * as HttpClientResponse from "effect/unstable/http/HttpClientResponse"
import * as fs from "node:fs"
import * as path from "node:path"
import { chromium } from "playwright-core"
import { describe } from "vitest"
import stack from "../../examples/full/alchemy.run.ts"
import { awake } from "../support/awake.ts"
import { find } from "../support/programs.ts"

const { afterAll, beforeAll, deploy, destroy, test } = Test.make({ providers: providers(), dev: true })
const executablePath = find("chromium")

const outputs = beforeAll(deploy(stack).pipe(Effect.tap(({ url }) => awake(url))))
afterAll(destroy(stack), { timeout: 60_000 })

const chat = (body: unknown, user = "198.51.100.1") =>
  Effect.flatMap(outputs, ({ url }) =>
    HttpClient.post(new URL("/chat", url), {
      headers: { "cf-connecting-ip": user },
      body: HttpBody.jsonUnsafe(body)
    }))

const Answer = Schema.Struct({
  text: Schema.String,
  model: Schema.String,
  cached: Schema.Boolean,
  usage: Schema.Struct({ input: Schema.Number, output: Schema.Number })
})
const answerOf = HttpClientResponse.schemaBodyJson(Answer)
const Costs = Schema.Struct({ cost: Schema.Number, requests: Schema.Number, remaining: Schema.Number })

describe("examples/full on workerd, under alchemy dev, without an account", () => {
  test(
    "has one Worker of under 150 lines",
    Effect.sync(() => {
      const worker = fs.readFileSync(path.resolve(import.meta.dirname, "../../examples/full/Chat.ts"), "utf8")
      assert.isBelow(worker.trimEnd().split("\n").length, 150)
    })
  )

  test(
    "answers with the first of two models, and the same question from Workers KV, for nothing",
    Effect.gen(function*() {
      const first = yield* chat({ prompt: "Who answers this?" })
      assert.strictEqual(first.status, 200)
      assert.strictEqual(first.headers["ratelimit-limit"], "50")
      const answer = yield* answerOf(first)
      assert.include(answer.text, "Who answers this?")
      assert.deepInclude(answer, { model: "anthropic/claude-sonnet-4-6", cached: false })
      assert.isAbove(answer.usage.output, 0)
      const again = yield* answerOf(yield* chat({ prompt: "Who answers this?" }))
      assert.deepInclude(again, { text: answer.text, cached: true })

      const { url } = yield* outputs
      const costs = yield* HttpClient.get(new URL("/costs", url), { headers: { "cf-connecting-ip": "198.51.100.1" } })
        .pipe(
          Effect.flatMap(HttpClientResponse.schemaBodyJson(Costs))
        )
      assert.isAbove(costs.cost, 0)
      assert.strictEqual(costs.requests, 1)
      assert.closeTo(costs.remaining, 0.5 - costs.cost, 1e-9)
    })
  )

  test(
    "asks another model where the list allows it, and says what it allows where not",
    Effect.gen(function*() {
      const mini = yield* answerOf(yield* chat({ prompt: "Hello", model: "openai/gpt-4o-mini" }))
      assert.strictEqual(mini.model, "openai/gpt-4o-mini")
      // Not the answer of another model to the same prompt.
      const llama = yield* answerOf(yield* chat({ prompt: "Hello", model: "@cf/meta/llama-3.1-8b-instruct" }))
      assert.deepInclude(llama, { model: "workers-ai/@cf/meta/llama-3.1-8b-instruct", cached: false })
      const refused = yield* chat({ prompt: "Hello", model: "openai/o1-pro" })
      assert.strictEqual(refused.status, 400)
      assert.include(yield* refused.text, "anthropic/claude-*")
      assert.strictEqual((yield* chat({ prompt: "" })).status, 400)
      const { url } = yield* outputs
      const noJson = yield* HttpClient.post(new URL("/chat", url), { body: HttpBody.text("{", "application/json") })
      assert.strictEqual(noJson.status, 400)
    })
  )

  test(
    "streams, and streams the same parts out of the cache",
    Effect.gen(function*() {
      const read = Effect.gen(function*() {
        const response = yield* chat({ prompt: "Tell me a story", stream: true })
        assert.include(response.headers["content-type"], "text/event-stream")
        const parts = yield* Stream.runCollect(Sse.decode(response.stream))
        const finish = parts.at(-1)
        return {
          text: parts.map((part) => part.type === "text-delta" ? part.delta : "").join(""),
          cached: finish?.type === "finish" ? finish.metadata.responseCache?.cached : "no finish part"
        }
      })
      const first = yield* read
      assert.include(first.text, "Tell me a story")
      assert.isUndefined(first.cached)
      assert.deepStrictEqual(yield* read, { text: first.text, cached: true })
    })
  )

  test(
    "lets each user ask fifty times an hour",
    Effect.gen(function*() {
      const statuses: Array<number> = []
      for (let i = 0; i < 50; i++) statuses.push((yield* chat({}, "198.51.100.2")).status)
      assert.deepStrictEqual([...new Set(statuses)], [400])
      const refused = yield* chat({ prompt: "One more" }, "198.51.100.2")
      assert.strictEqual(refused.status, 429)
      assert.match(refused.headers["retry-after"] ?? "", /^[1-9]\d*$/)
      assert.strictEqual((yield* chat({ prompt: "Others may" }, "198.51.100.3")).status, 200)
    })
  )

  test.skipIf(executablePath === undefined)(
    "has a page in which the answer arrives, and a refusal can be read",
    Effect.gen(function*() {
      const { url } = yield* outputs
      const browser = yield* Effect.acquireRelease(
        Effect.promise(() =>
          chromium.launch({ executablePath: executablePath!, args: ["--headless", "--no-sandbox"] })
        ),
        (browser) => Effect.promise(() => browser.close())
      )
      yield* Effect.promise(async () => {
        const page = await browser.newPage()
        const problems: Array<string> = []
        page.on("pageerror", (error) => problems.push(String(error)))
        await page.goto(String(url))
        const ask = async (question: string) => {
          await page.getByLabel("Question").fill(question)
          await page.getByLabel("Question").press("Enter")
          await page.getByRole("button", { name: "Ask" }).and(page.locator(":enabled")).waitFor()
          return (await page.getByRole("article").allInnerTexts()).slice(-2)
        }
        const [question, answer] = await ask("What do you see, <b>browser</b>?")
        assert.strictEqual(question, "What do you see, <b>browser</b>?")
        assert.include(answer, "<b>browser</b>")
        assert.match(answer ?? "", /anthropic\/claude-sonnet-4-6, \d+ tokens$/)
        const [, again] = await ask("What do you see, <b>browser</b>?")
        assert.match(again ?? "", /tokens, from the cache$/)
        await page.getByLabel("Model").selectOption("openai/gpt-4o-mini")
        assert.match((await ask("And you?"))[1] ?? "", /openai\/gpt-4o-mini, \d+ tokens$/)
        await page.route("**/chat", (route) => route.fulfill({ status: 429, headers: { "retry-after": "17" } }))
        assert.include((await ask("Too many?"))[1], "the next one in 17 seconds")
        assert.deepStrictEqual(problems, [])
      })
    }).pipe(Effect.scoped)
  )
})
