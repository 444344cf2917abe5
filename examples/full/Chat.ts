import * as Cloudflare from "alchemy/Cloudflare"
import { AiGateway, AiGatewayBindingLive, RequestOptions, ResponseInfo, Retry, Sse } from "effect-ai-gateway"
import * as Budget from "effect-ai-gateway/Budget"
import * as BudgetStore from "effect-ai-gateway/BudgetStore"
import * as Cost from "effect-ai-gateway/Cost"
import * as Hooks from "effect-ai-gateway/Hooks"
import * as ModelAllowlist from "effect-ai-gateway/ModelAllowlist"
import * as ModelRouter from "effect-ai-gateway/ModelRouter"
import { bundled } from "effect-ai-gateway/prices"
import * as RateLimit from "effect-ai-gateway/RateLimit"
import * as ResponseCache from "effect-ai-gateway/ResponseCache"
import * as WorkersKv from "effect-ai-gateway/WorkersKv"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import * as LanguageModel from "effect/unstable/ai/LanguageModel"
import * as HttpServerRequest from "effect/unstable/http/HttpServerRequest"
import * as HttpServerResponse from "effect/unstable/http/HttpServerResponse"
import { Answers, Gateway } from "./Gateway.ts"
import { page } from "./page.ts"

const allowlist = ModelAllowlist.make({
  anthropic: [{ prefix: "claude-" }],
  openai: ["gpt-4o", "gpt-4o-mini"],
  "workers-ai": [{ prefix: "@cf/meta/" }]
})

const Question = Schema.Struct({
  prompt: Schema.String.check(Schema.isMinLength(1), Schema.isMaxLength(4000)),
  model: Schema.optional(ModelAllowlist.decode(allowlist)),
  stream: Schema.optional(Schema.Boolean)
})

const budget = { name: "user", key: "user", limit: 0.5, window: "1 day" } as const

export default class Chat extends Cloudflare.Worker<Chat>()(
  "Chat",
  { main: import.meta.url },
  Effect.gen(function*() {
    const aiGateway = yield* AiGateway.bind(Gateway)
    const answers = yield* Cloudflare.KV.ReadWriteNamespace(Answers)
    // They live as long as the isolate; Redis or a Durable Object would make them one for all isolates.
    const services = yield* Effect.context<RateLimit.RateLimitStore | BudgetStore.BudgetStore | Cost.Tracker>()

    const languageModel = ModelRouter.make({
      routes: [{
        pattern: "default",
        // The gateway asks them in turn and gives the first answer.
        to: aiGateway.model([
          { provider: "anthropic", model: "claude-sonnet-4-6" },
          { provider: "openai", model: "gpt-4o" }
        ])
      }],
      fallback: {},
      toModel: (model) => aiGateway.model({ model })
    }).layer.pipe(
      Retry.layer({ attempts: 3 }),
      Cost.layer({ pricing: bundled, keys: ["user"] }),
      Budget.layer({
        pricing: bundled,
        budgets: [budget],
        // Dollars that are set aside for a call until it is known what it did cost.
        estimate: () => 0.01
      }),
      ResponseCache.layer({ name: "chat", ttl: "1 hour" }),
      Hooks.layer({
        onResponse: ({ cached, duration, logId, model }) =>
          Effect.logInfo("answered", { model, duration, logId, cached }),
        onError: ({ reason }) => Effect.logError("failed", { reason })
      }),
      Layer.provide(WorkersKv.layer(answers.raw)),
      Layer.provide(Layer.succeedContext(services))
    )

    const chat = Effect.gen(function*() {
      const request = yield* HttpServerRequest.HttpServerRequest
      const { model = "default", prompt, stream } = yield* HttpServerRequest.schemaBodyJson(Question)
      const asked = { metadata: { user: userOf(request) } }
      if (stream === true) {
        const parts = LanguageModel.streamText({ prompt }).pipe(
          ModelRouter.withModel(model),
          RequestOptions.withOptions(asked),
          Stream.provide(languageModel),
          Sse.encode
        )
        return HttpServerResponse.stream(parts, { headers: Sse.headers })
      }
      const response = yield* LanguageModel.generateText({ prompt }).pipe(
        ModelRouter.withModel(model),
        RequestOptions.withOptions(asked),
        Effect.provide(languageModel)
      )
      const { logId, model: answered, provider } = ResponseInfo.of(response)
      return yield* HttpServerResponse.json({
        text: response.text,
        model: `${provider}/${answered}`,
        usage: { input: response.usage.inputTokens.total, output: response.usage.outputTokens.total },
        cached: ResponseCache.of(response)?.cached ?? false,
        logId
      })
    }).pipe(
      Effect.catchTags({
        HttpServerError: () => HttpServerResponse.json({ error: "The body is not JSON" }, { status: 400 }),
        SchemaError: (error) => HttpServerResponse.json({ error: error.message }, { status: 400 }),
        AiError: (error) => {
          const exceeded = Budget.exceededOf(error)
          return exceeded === undefined
            ? HttpServerResponse.json({ error: error.reason._tag, retryable: error.isRetryable }, { status: 502 })
            : HttpServerResponse.json({ error: exceeded.message }, { status: 402 })
        }
      }),
      RateLimit.withLimit({ limit: 50, window: "1 hour", key: userOf, headers: true })
    )

    /** What this user's questions have cost in this isolate, and what is left of the day's budget. */
    const costs = Effect.fn(function*(user: string) {
      const { byKey } = yield* Cost.totals
      const { remaining, resetsAt } = yield* Budget.balance(budget, user)
      return yield* HttpServerResponse.json({ ...byKey["user"]?.[user], remaining, resetsAt })
    })

    return {
      fetch: Effect.gen(function*() {
        const request = yield* HttpServerRequest.HttpServerRequest
        switch (`${request.method} ${request.url.split("?")[0]}`) {
          case "GET /":
            return HttpServerResponse.html(page)
          case "POST /chat":
            return yield* chat
          case "GET /costs":
            return yield* costs(userOf(request))
          default:
            return HttpServerResponse.text("There is GET /, POST /chat and GET /costs\n", { status: 404 })
        }
      }).pipe(Effect.provideContext(services), Effect.orDie)
    }
  }).pipe(Effect.provide(
    Layer.mergeAll(
      AiGatewayBindingLive,
      Cloudflare.KV.ReadWriteNamespaceBinding,
      RateLimit.layerMemory,
      BudgetStore.layerMemory,
      Cost.layerTracker
    )
  ))
) {}

const userOf = (request: HttpServerRequest.HttpServerRequest) => request.headers["cf-connecting-ip"] ?? "unknown"
