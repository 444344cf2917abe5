/**
 * Claims about types, checked by `tsc`: what compiles, and what is refused.
 */
import * as Cloudflare from "alchemy/Cloudflare"
import type { RuntimeContext } from "alchemy/RuntimeContext"
import * as Context from "effect/Context"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import type * as Layer from "effect/Layer"
import * as Stream from "effect/Stream"
import * as LanguageModel from "effect/unstable/ai/LanguageModel"
import * as HttpServerResponse from "effect/unstable/http/HttpServerResponse"
import type * as Persistence from "effect/unstable/persistence/Persistence"
import { AiGateway, type AiGatewayBinding, AiGatewayBindingLive, type AiGatewayClient, Sse } from "../src/index.ts"
import * as Budget from "../src/policy/Budget.ts"
import type * as BudgetStore from "../src/policy/BudgetStore.ts"
import * as Cost from "../src/policy/Cost.ts"
import * as Fallback from "../src/policy/Fallback.ts"
import * as Guardrails from "../src/policy/Guardrails.ts"
import * as Hooks from "../src/policy/Hooks.ts"
import * as ModelRouter from "../src/policy/ModelRouter.ts"
import * as ResponseCache from "../src/policy/ResponseCache.ts"
import * as Retry from "../src/policy/Retry.ts"
import type { Providers } from "../src/providers.ts"

// One identifier: a type, a constructor, and what binds it.
export const gateway: Effect.Effect<AiGateway, never, Providers> = AiGateway("Gateway", {
  id: "prod-gateway",
  cacheTtl: 300,
  cacheInvalidateOnUpdate: true,
  rateLimitingInterval: 60,
  rateLimitingLimit: 100,
  rateLimitingTechnique: "sliding",
  collectLogs: true,
  logManagement: 100_000,
  logManagementStrategy: "DELETE_OLDEST",
  authentication: true
})
export const bound: Effect.Effect<
  AiGatewayClient<RuntimeContext>,
  never,
  AiGatewayBinding | Providers
> = AiGateway.bind(gateway)
export const referred = AiGateway.ref("Gateway")

// @ts-expect-error there is no such setting
AiGateway("Gateway", { cacheTtll: 300 })
// @ts-expect-error neither sliding nor fixed
AiGateway("Gateway", { rateLimitingTechnique: "leaky" })
// @ts-expect-error only a gateway can be bound
AiGateway.bind("Gateway")

const worker = Effect.gen(function*() {
  const aiGateway = yield* AiGateway.bind(gateway)
  const languageModel = aiGateway.model({
    model: "@cf/meta/llama-3.1-8b-instruct",
    parameters: { temperature: 0.7, maxTokens: 1024 }
  })
  const typed: Layer.Layer<LanguageModel.LanguageModel, never, RuntimeContext> = languageModel
  return {
    fetch: Effect.sync(() => {
      // What the seed promises: no requirement is left, so the response takes the stream as it is.
      const stream: Stream.Stream<Uint8Array> = LanguageModel.streamText({ prompt: "Hello" }).pipe(
        Stream.provide(typed),
        Sse.encode
      )
      return HttpServerResponse.stream(stream, { headers: Sse.headers })
    })
  }
})
export const provided = Cloudflare.Worker(
  "Api",
  { main: "./Api.ts" },
  worker.pipe(Effect.provide(AiGatewayBindingLive))
)
// @ts-expect-error AiGatewayBindingLive is not provided
export const forgotten = Cloudflare.Worker("Api", { main: "./Api.ts" }, worker)

// A requirement that is not Alchemy's phantom stays.
declare const needy: Stream.Stream<Sse.StreamPart, Error, RuntimeContext | LanguageModel.LanguageModel>
export const encoded: Stream.Stream<Uint8Array, never, LanguageModel.LanguageModel> = Sse.encode(needy)
// @ts-expect-error the model is missing
HttpServerResponse.stream(Sse.encode(needy))

// Around a model each policy asks for what it needs and for nothing else; the model's own requirements and errors stay.
type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends (<T>() => T extends B ? 1 : 2) ? true : false
type Needs<L, R, E = never> = L extends Layer.Layer<infer Out, infer E1, infer R1>
  ? [Same<Out, LanguageModel.LanguageModel>, Same<E1, E>, Same<R1, R>] extends [true, true, true] ? true : [E1, R1]
  : never
const is = <_ extends true>(): void => undefined

class Audit extends Context.Service<Audit, { readonly write: (line: string) => Effect.Effect<void> }>()("test/Audit") {}
class Broken extends Data.TaggedError("Broken") {}
declare const client: AiGatewayClient<RuntimeContext>
declare const guard: Layer.Layer<LanguageModel.LanguageModel, Broken, Audit>
const model = client.model({ provider: "openai", model: "gpt-5" })
const pricing = { "gpt-5": { input: 1, output: 1 } }
const budgets = [{ name: "all", limit: 1, window: "1 day" }] as const
const write = () => Effect.flatMap(Audit, ({ write }) => write("done"))

const retried = model.pipe(Retry.layer({ attempts: 2 }))
is<Needs<typeof retried, RuntimeContext>>()
const counted = model.pipe(Cost.layer({ pricing }))
is<Needs<typeof counted, Cost.Tracker | RuntimeContext>>()
const limited = model.pipe(Budget.layer({ pricing, budgets }))
is<Needs<typeof limited, BudgetStore.BudgetStore | RuntimeContext>>()
const cached = model.pipe(ResponseCache.layer({ name: "openai/gpt-5", ttl: "1 hour" }))
is<Needs<typeof cached, Persistence.BackingPersistence | RuntimeContext>>()
const hooked = model.pipe(Hooks.layer({ onResponse: write }))
is<Needs<typeof hooked, Audit | RuntimeContext>>()
const unhooked = model.pipe(Hooks.layer({}))
is<Needs<typeof unhooked, RuntimeContext>>()
const ruled = model.pipe(Guardrails.layer({ checks: [Guardrails.rules({ internal: ["nightingale"] })] }))
is<Needs<typeof ruled, RuntimeContext>>()
const guarded = model.pipe(Guardrails.layer({ checks: [Guardrails.llamaGuard(guard)], answer: { privacy: "Flag" } }))
is<Needs<typeof guarded, Audit | RuntimeContext, Broken>>()
const routed = ModelRouter.make({
  routes: [{ pattern: "gpt-*", to: { provider: "openai" } }, { pattern: "own", to: model }],
  toModel: (name) => client.model({ model: name })
}).layer
is<Needs<typeof routed, RuntimeContext>>()
const planned = Fallback.layer(Fallback.plan([counted, hooked]))
is<Needs<typeof planned, Audit | Cost.Tracker | RuntimeContext>>()
const all = guarded.pipe(
  Retry.layer(),
  Cost.layer({ pricing }),
  Budget.layer({ pricing, budgets }),
  Hooks.layer({ onError: write })
)
is<Needs<typeof all, Audit | BudgetStore.BudgetStore | Cost.Tracker | RuntimeContext, Broken>>()

// @ts-expect-error a category that no check finds
model.pipe(Guardrails.layer({ checks: [Guardrails.rules({ internal: ["nightingale"] })], answer: { privacy: "Flag" } }))
// @ts-expect-error costs are counted with prices
model.pipe(Cost.layer({}))
