/**
 * The Worker in which the stores of Workers do their exercise, and in which requests of one isolate share a cache.
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as ManagedRuntime from "effect/ManagedRuntime"
import * as LanguageModel from "effect/unstable/ai/LanguageModel"
import * as Persistence from "effect/unstable/persistence/Persistence"
import * as ResponseCache from "../../src/policy/ResponseCache.ts"
import * as CacheApi from "../../src/store/CacheApi.ts"
import * as WorkersKv from "../../src/store/WorkersKv.ts"
import { exerciseStore } from "./exerciseStore.ts"
import * as Scripted from "./scripted.ts"

interface Env {
  readonly ANSWERS: KVNamespace
}

const storeOf = (name: string | null, { ANSWERS }: Env): Layer.Layer<Persistence.BackingPersistence> => {
  if (name === "kv") return WorkersKv.layer(ANSWERS)
  // As Alchemy gives it.
  if (name === "kv-effect") return WorkersKv.layer(Effect.sync(() => ANSWERS))
  return CacheApi.layer(name === "cache" ? {} : { name: "answers" })
}

/** One for all requests, as a program has it that does not build its services for each. */
const model = Scripted.make({
  text: (call) => Effect.delay(Effect.succeed(Scripted.textParts(`answer ${call}`)), "500 millis")
})
const runtime = ManagedRuntime.make(
  ResponseCache.layer(model.layer, { name: "m", ttl: "1 minute" }).pipe(Layer.provide(Persistence.layerBackingMemory))
)

export default {
  async fetch(request: Request, env: Env): Promise<Response> {
    const { pathname, searchParams } = new URL(request.url)
    if (pathname === "/shared") {
      const prompt = searchParams.get("prompt") ?? ""
      const response = await runtime.runPromise(LanguageModel.generateText({ prompt }))
      // What only this request may do, after what another has done.
      await env.ANSWERS.put(`after-${crypto.randomUUID()}`, "x")
      return Response.json({ text: response.text, cached: ResponseCache.of(response) ?? null, calls: model.calls })
    }
    const store = searchParams.get("store")
    return Response.json(
      await Effect.runPromise(Effect.provide(exerciseStore(`answers-${store}`), storeOf(store, env)))
    )
  }
}
