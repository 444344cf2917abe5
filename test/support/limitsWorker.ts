/**
 * The Worker in which limits and budgets are kept by the real things: a Durable Object and a rate limiting binding.
 */
import { DurableObject } from "cloudflare:workers"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as ManagedRuntime from "effect/ManagedRuntime"
import * as LanguageModel from "effect/unstable/ai/LanguageModel"
import * as KeyValueStore from "effect/unstable/persistence/KeyValueStore"
import * as Budget from "../../src/policy/Budget.ts"
import * as BudgetStore from "../../src/policy/BudgetStore.ts"
import * as RateLimit from "../../src/policy/RateLimit.ts"
import * as DurableObjectStorage from "../../src/store/DurableObjectStorage.ts"
import * as FakeModel from "../policy/fakeModel.ts"

interface Env {
  readonly LIMITS: DurableObjectNamespace
  readonly LIMITER: RateLimit.Binding
}

const allowed = (limit: number) =>
  RateLimit.check({ key: "user", limit, window: "1 minute" }).pipe(
    Effect.as(true),
    Effect.catchTag("RateLimited", () => Effect.succeed(false))
  )

/** How many of twenty calls at once may go on. */
const twenty = <R>(call: Effect.Effect<boolean, unknown, R>) =>
  Effect.map(
    Effect.all(Array.from({ length: 20 }, () => call), { concurrency: "unbounded" }),
    (all) => all.filter((isAllowed) => isAllowed).length
  )

export class Limits extends DurableObject {
  readonly #runtime = ManagedRuntime.make(
    Layer.merge(RateLimit.layerKeyValueStore(), BudgetStore.layerKeyValueStore()).pipe(
      Layer.provideMerge(DurableObjectStorage.layer(this.ctx.storage))
    )
  )

  override async fetch(request: Request): Promise<Response> {
    await this.ctx.storage.put("other", "kept")
    switch (new URL(request.url).pathname) {
      case "/rate":
        return Response.json(await this.#runtime.runPromise(twenty(allowed(7))))
      case "/budget":
        return Response.json(await this.#runtime.runPromise(twenty(spend)))
      default:
        return Response.json(await this.#runtime.runPromise(exerciseStore))
    }
  }
}

/** A call that costs a dollar, of a budget of five. */
const model = Budget.layer(
  FakeModel.fakeModel(
    Effect.succeed({ text: "hi", usage: FakeModel.usage({ total: 1_000_000, uncached: 1_000_000 }, { total: 0 }) })
  ),
  {
    budgets: [{ name: "all", limit: 5, window: "1 day" }],
    pricing: { "test/model": { input: 1, output: 1 } },
    model: "test/model",
    estimate: () => 1
  }
)

const spend = LanguageModel.generateText({ prompt: "hi" }).pipe(
  Effect.as(true),
  Effect.catchIf((error) => Budget.exceededOf(error) !== undefined, () => Effect.succeed(false)),
  Effect.provide(model)
)

const exerciseStore = Effect.gen(function*() {
  const store = yield* KeyValueStore.KeyValueStore
  yield* store.set("a", "1")
  yield* store.set("b", "2")
  const values = [yield* store.get("a"), yield* store.get("none")]
  const size = yield* store.size
  yield* store.remove("a")
  const left = [yield* store.get("a"), yield* store.get("b")]
  yield* store.clear
  return {
    values: values.map((value) => value ?? null),
    size,
    left: left.map((value) => value ?? null),
    cleared: yield* store.size
  }
})

export default {
  async fetch(request: Request, { LIMITER, LIMITS }: Env): Promise<Response> {
    const { pathname } = new URL(request.url)
    if (pathname === "/binding") {
      return Response.json(await Effect.runPromise(Effect.provide(twenty(allowed(7)), RateLimit.layerBinding(LIMITER))))
    }
    return LIMITS.get(LIMITS.idFromName("one")).fetch(request.url)
  }
}
