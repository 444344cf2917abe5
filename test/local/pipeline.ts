/**
 * The local gateway's pipeline with a provider made of functions, on the test's own clock.
 */
import * as NodeCrypto from "@effect/platform-node/NodeCrypto"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Function from "effect/Function"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Stream from "effect/Stream"
import type * as Answer from "../../src/local/Answer.ts"
import * as CacheDatabase from "../../src/local/CacheDatabase.ts"
import * as CacheStore from "../../src/local/CacheStore.ts"
import * as Database from "../../src/local/Database.ts"
import * as Gateway from "../../src/local/Gateway.ts"
import type { Step } from "../../src/local/GatewayRequest.ts"
import * as GatewayStore from "../../src/local/GatewayStore.ts"
import * as Invalidation from "../../src/local/Invalidation.ts"
import * as LogStore from "../../src/local/LogStore.ts"
import * as LogWriter from "../../src/local/LogWriter.ts"
import * as Metrics from "../../src/local/Metrics.ts"
import * as ObjectStore from "../../src/local/ObjectStore.ts"
import * as Pipeline from "../../src/local/Pipeline.ts"
import * as PolicyStore from "../../src/local/policies/PolicyStore.ts"
import * as RateLimitStore from "../../src/local/RateLimitStore.ts"
import * as RequestOptions from "../../src/local/RequestOptions.ts"
import * as RouteStore from "../../src/local/RouteStore.ts"
import * as Sealing from "../../src/local/Sealing.ts"
import * as SecretsApi from "../../src/local/SecretsApi.ts"
import { Site } from "../../src/local/Site.ts"
import { UpstreamClient, type UpstreamRequest } from "../../src/local/UpstreamClient.ts"
import * as WriterThread from "../../src/local/WriterThread.ts"

export const account = "0".repeat(32)

export interface Reply {
  readonly status: number
  readonly headers: { readonly [name: string]: string }
  readonly text: string
}

export interface Ask {
  readonly provider?: string
  readonly path?: string
  readonly query?: string
  readonly method?: string
  readonly headers?: { readonly [name: string]: string }
  readonly body?: unknown
}

/** What the provider answers to its nth request, counted from 1. */
export type Provider = (n: number, url: string) => Response

export const chat = (n: number, model = "gpt-4o-mini", usage: unknown = { prompt_tokens: 9, completion_tokens: 3 }) =>
  Response.json({ id: `chat-${n}`, model, choices: [], usage })

export const stores = (database: string) => {
  const thread = Layer.fresh(Layer.provideMerge(WriterThread.layer(database), CacheDatabase.layer(database)))
  const counters = database === Database.memory
    ? Layer.mergeAll(CacheStore.layerMemory({ limit: 1e6 }), RateLimitStore.layerMemory, LogWriter.layerMemory)
    : Layer.mergeAll(CacheStore.layer(account, { limit: 1e6 }), RateLimitStore.layer(account), LogWriter.layer).pipe(
      Layer.provide(thread)
    )
  return Layer.mergeAll(
    Layer.provideMerge(PolicyStore.layer, ObjectStore.layer(account)),
    RouteStore.layer(account),
    Sealing.layer(Database.memory),
    Layer.provideMerge(
      Layer.mergeAll(LogStore.layer(account), Invalidation.layer.pipe(Layer.provide(GatewayStore.layer(account)))),
      counters
    )
  ).pipe(Layer.provide(Layer.fresh(Database.layer(database))), Layer.provide(NodeCrypto.layer))
}

const site = Site.of({
  origin: "http://127.0.0.1:1",
  host: "127.0.0.1",
  accountId: account,
  isToken: () => false,
  upstreams: new Map(["openai", "anthropic", "google-ai-studio"].map((slug) => [slug, `http://${slug}.test`])),
  offline: false,
  isShared: false,
  allowPrivateUpstreams: false,
  bodyLimit: 1e6,
  pause: Duration.zero
})

/** A gateway of these settings, and what there is to do with it. */
export const run = <A, E>(
  settings: Gateway.Settings,
  provider: Provider,
  use: (gateway: {
    readonly ask: (ask?: Ask) => Effect.Effect<Reply>
    /** The answer with its body still to be read; `onAnswer` is called when it is there. */
    readonly open: (ask?: Ask, onAnswer?: () => void) => Effect.Effect<Answer.Answer>
    /** To the universal endpoint. */
    readonly askAll: (steps: ReadonlyArray<Ask>, headers?: Ask["headers"]) => Effect.Effect<Reply>
    readonly update: (settings: Gateway.Settings) => Effect.Effect<void>
    readonly remove: Effect.Effect<void>
    readonly create: (settings: Gateway.Settings) => Effect.Effect<void>
    /** Stores a provider's key as the management API does; the gateway must have a `store_id`. */
    readonly storeKey: (provider: string, key: string) => Effect.Effect<void>
    /** Newest first. */
    readonly logs: Effect.Effect<ReadonlyArray<LogStore.LogEntry>>
    readonly calls: () => number
    readonly policies: PolicyStore.PolicyStore["Service"]
  }) => Effect.Effect<A, E>,
  options: {
    readonly database?: string
    readonly gateway?: string
    readonly isShared?: boolean
    /** Answers that are there in one piece, as short ones are; else they are streams. */
    readonly isWhole?: boolean
    /** Instead of what the log does with an entry. */
    readonly onAppend?: Effect.Effect<void>
  } = {}
) => {
  const id = options.gateway ?? "gw"
  let calls = 0
  const send = ({ url }: UpstreamRequest) =>
    Effect.promise(async (): Promise<Answer.Answer> => {
      const response = provider(++calls, url)
      return {
        status: response.status,
        headers: Object.fromEntries(response.headers),
        body: response.body === null || options.isWhole === true ? await response.bytes() : Stream.fromReadableStream({
          evaluate: () => response.body ?? new ReadableStream<Uint8Array>(),
          onError: (error) => error
        })
      }
    })
  return Effect.gen(function*() {
    const pipeline = yield* Pipeline.Pipeline
    const gateways = yield* GatewayStore.GatewayStore
    const logs = yield* LogStore.LogStore
    const objects = yield* ObjectStore.ObjectStore
    const sealing = yield* Sealing.Sealing
    const policies = yield* PolicyStore.PolicyStore
    const create = (settings: Gateway.Settings) =>
      Effect.asVoid(gateways.create(id, { ...Gateway.defaultSettings, authentication: false, ...settings }))
    const stepOf = (ask: Ask): Step => ({
      provider: ask.provider ?? "openai",
      method: ask.method ?? "POST",
      path: ask.path ?? "chat/completions",
      query: ask.query ?? "",
      headers: { "content-type": "application/json", ...ask.headers },
      body: new TextEncoder().encode(JSON.stringify(ask.body ?? { model: "gpt-4o-mini", messages: [] }))
    })
    const open = (steps: ReadonlyArray<Ask>, headers: Ask["headers"], onAnswer = () => {}) =>
      Effect.gen(function*() {
        const [first = {}, ...rest] = steps
        return yield* pipeline.send({
          gateway: yield* Effect.orDie(pipeline.admit({ account, gateway: id, authenticated: false })),
          steps: [stepOf(first), ...rest.map(stepOf)],
          options: RequestOptions.fromHeaders(headers ?? {}),
          type: "Provider",
          face: "rest",
          userAgent: undefined
        })
      }).pipe(Effect.tap(() => Effect.sync(onAnswer)), Effect.scoped)
    const send = Effect.fnUntraced(function*(steps: ReadonlyArray<Ask>, headers: Ask["headers"]) {
      const answer = yield* open(steps, headers)
      const body = answer.body instanceof Uint8Array
        ? answer.body
        : Buffer.concat(yield* Effect.orDie(Stream.runCollect(answer.body)))
      return { status: answer.status, headers: answer.headers, text: new TextDecoder().decode(body) }
    })
    yield* create(settings)
    return yield* use({
      ask: (ask = {}) => send([ask], ask.headers),
      open: (ask = {}, onAnswer) => open([ask], ask.headers, onAnswer),
      askAll: send,
      update: (settings) =>
        Effect.asVoid(gateways.replace(id, { ...Gateway.defaultSettings, authentication: false, ...settings })),
      remove: Effect.map(gateways.remove(id), Option.getOrThrow),
      create,
      storeKey: Effect.fnUntraced(function*(provider, key) {
        const store = String(settings["store_id"])
        const name = `${id}_${provider}_default`
        const added = yield* SecretsApi.add(objects, sealing, store, {
          name,
          value: Redacted.make(key),
          scopes: ["ai_gateway"]
        })
        const fields = { provider_slug: provider, alias: "default", secret_id: Option.getOrThrow(added).id }
        yield* objects.create("provider_config", id, `${provider}/default`, fields)
      }),
      logs: Effect.map(
        logs.list({ gateway: id, page: 1, perPage: 50, orderBy: "created_at", direction: "desc" }),
        (_) => _.entries
      ),
      calls: () => calls,
      policies
    })
  }).pipe(
    Effect.provide(
      Pipeline.layer.pipe(
        Layer.provide([
          NodeCrypto.layer,
          Layer.succeed(UpstreamClient, { send, sendPublic: send }),
          Metrics.layer,
          Layer.succeed(Site, { ...site, isShared: options.isShared === true })
        ]),
        Layer.provide(Layer.effect(
          LogStore.LogStore,
          Effect.map(
            LogStore.LogStore,
            (logs) => options.onAppend === undefined ? logs : { ...logs, append: Function.constant(options.onAppend) }
          )
        )),
        Layer.provideMerge(stores(options.database ?? Database.memory))
      ),
      { local: true }
    )
  )
}
