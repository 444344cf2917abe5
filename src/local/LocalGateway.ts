/**
 * Cloudflare's AI Gateway on one machine: management API, data plane and AI binding on one port, with a simulated
 * model behind them, no account and no keys.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Crypto from "effect/Crypto"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Encoding from "effect/Encoding"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import { isIP } from "node:net"
import * as Access from "./Access.ts"
import * as CacheDatabase from "./CacheDatabase.ts"
import * as CacheStore from "./CacheStore.ts"
import * as Database from "./Database.ts"
import type * as Profiles from "./dlp/Profiles.ts"
import * as GatewayStore from "./GatewayStore.ts"
import type * as Rules from "./guardrails/Rules.ts"
import * as Inspection from "./Inspection.ts"
import * as Invalidation from "./Invalidation.ts"
import { InvalidGateways, InvalidOption, LocalGatewayError, type Reason } from "./LocalGatewayError.ts"
import * as LogStore from "./LogStore.ts"
import * as LogWriter from "./LogWriter.ts"
import * as Metrics from "./Metrics.ts"
import * as NodeCrypto from "./NodeCrypto.ts"
import * as Notices from "./Notices.ts"
import * as ObjectStore from "./ObjectStore.ts"
import * as Pipeline from "./Pipeline.ts"
import * as PolicyStore from "./policies/PolicyStore.ts"
import * as Providers from "./Providers.ts"
import * as RateLimitStore from "./RateLimitStore.ts"
import * as Recording from "./Recording.ts"
import * as RedisCacheStore from "./RedisCacheStore.ts"
import * as RedisConnection from "./RedisConnection.ts"
import * as RedisRateLimitStore from "./RedisRateLimitStore.ts"
import * as RouteStore from "./RouteStore.ts"
import * as Sealing from "./Sealing.ts"
import * as Seeds from "./Seeds.ts"
import * as Server from "./Server.ts"
import * as SimulatedProviders from "./SimulatedProviders.ts"
import { Site } from "./Site.ts"
import * as SpanExports from "./SpanExports.ts"
import * as TestMode from "./TestMode.ts"
import * as UpstreamClient from "./UpstreamClient.ts"
import * as WorkerScripts from "./WorkerScripts.ts"
import * as WriterThread from "./WriterThread.ts"

export { LocalGatewayError } from "./LocalGatewayError.ts"
export { TestMode } from "./TestMode.ts"

/**
 * How a local gateway runs; everything has a default.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options {
  /** Address or name to listen on, `127.0.0.1` by default. Beyond loopback `token` must be given. */
  readonly host?: string | undefined
  /** 0, the default, takes any free port. */
  readonly port?: number | undefined
  /** A SQLite file, created with its folder when missing, or `:memory:`, the default. */
  readonly store?: string | undefined
  /** 32 hexadecimal digits, 32 zeros by default. */
  readonly accountId?: string | undefined
  /** Opens the management API and authenticated gateways; random at each start by default. */
  readonly token?: Redacted.Redacted<string> | undefined
  /**
   * Where each provider's requests go, by slug: a base URL (`{ openai: "http://127.0.0.1:11434/v1" }`), `simulated`, or
   * `live` for the provider's own server. By default requests with a key, their own or a stored one, go to the provider's own
   * server, and those without a key to the simulated model.
   */
  readonly upstreams?: { readonly [provider: string]: string } | undefined
  /** Asks no provider's own server, key or not; servers in `upstreams` and custom providers it does. False by default. */
  readonly offline?: boolean | undefined
  /** Lets custom providers be on loopback, private and link-local addresses, and on plain HTTP; false by default. */
  readonly allowPrivateUpstreams?: boolean | undefined
  /** Largest request body in bytes, 100 MiB by default. */
  readonly bodyLimit?: number | undefined
  /** Most time that a client may take to send a request, 5 minutes by default; a tenth of it is for the headers. */
  readonly clientTimeout?: Duration.Input | undefined
  /** How long a gateway that stops waits for the answers that are open, 300 milliseconds by default. */
  readonly shutdownTimeout?: Duration.Input | undefined
  /** Most bytes of cached answers, 256 MiB by default; the oldest that were not used lately give way. */
  readonly cacheLimit?: number | undefined
  /**
   * `redis://` or `rediss://` URL of the Redis in which cached answers and the counters of limits are, in place of the
   * store: several processes on it are one gateway. `cacheLimit` is then for all of an account together.
   */
  readonly redis?: Redacted.Redacted<string> | string | undefined
  /** Directory into which the answers of real providers are written; not together with `replay`. */
  readonly record?: string | undefined
  /** Directory of such answers, which are given in place of the providers'. */
  readonly replay?: string | (Recording.ReplayOptions & { readonly directory: string }) | undefined
  /** Words and patterns by category, in place of the short lists that come with the gateway. */
  readonly guardrails?: Rules.Options | undefined
  /** Profiles that gateways' DLP settings may name besides the built-in ones. */
  readonly dlpProfiles?: Profiles.Options | undefined
  /** Gateways that are made at the start where they do not exist, with the settings that the management API takes. */
  readonly gateways?: ReadonlyArray<Seeds.Seed> | undefined
  /** Between two words of a simulated stream, 20 milliseconds by default. */
  readonly pause?: Duration.Input | undefined
}

/**
 * A running local gateway.
 *
 * @category services
 * @since 0.1.0
 */
export class LocalGateway extends Context.Service<LocalGateway, {
  /** `http://127.0.0.1:PORT`, without a trailing slash. */
  readonly url: string
  readonly accountId: string
  readonly token: Redacted.Redacted<string>
}>()("effect-ai-gateway/LocalGateway") {}

/**
 * Starts a gateway that stops when the scope closes; log entries are written before it does.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (
  options: Options = {}
): Effect.Effect<LocalGateway["Service"], LocalGatewayError, Scope.Scope> =>
  Effect.gen(function*() {
    const {
      accountId,
      bodyLimit,
      cacheLimit,
      clientTimeout,
      host,
      pause,
      port,
      redis,
      shutdownTimeout,
      store,
      upstreams
    } = yield* decode(
      options
    )
    if (options.record !== undefined && options.replay !== undefined) {
      return yield* refuse("record", options.record, "no record together with replay")
    }
    const recording = options.record !== undefined
      ? yield* Recording.record(options.record)
      : options.replay === undefined
      ? yield* Recording.Current
      : typeof options.replay === "string"
      ? yield* Recording.replay(options.replay)
      : yield* Recording.replay(options.replay.directory, options.replay)
    const inspection = yield* Inspection.make(options)
    const seeds = yield* Effect.mapError(
      Effect.fromResult(Seeds.decode(options.gateways ?? [])),
      (problems) => new InvalidGateways({ problems })
    )
    const crypto = yield* NodeCrypto.make
    const token = options.token ??
      Redacted.make(Encoding.encodeBase64Url(yield* Effect.orDie(crypto.randomBytes(24))), { label: "token" })

    const stores = yield* Layer.build(
      Layer.mergeAll(
        Invalidation.layer.pipe(
          Layer.provide(GatewayStore.layer(accountId)),
          Layer.provideMerge(behind(store, accountId, cacheLimit, redis))
        ),
        Layer.provideMerge(PolicyStore.layer, ObjectStore.layer(accountId)),
        RouteStore.layer(accountId),
        WorkerScripts.layer(accountId),
        Sealing.layer(store)
      ).pipe(
        // The database makes the store's folder, which the key of the secrets is in, too.
        Layer.provide(Database.layer(store)),
        Layer.provide(Layer.succeed(Crypto.Crypto, crypto))
      )
    )
    yield* Effect.provideContext(Seeds.plant(seeds), stores)
    const listening = yield* Server.listen(host, port, { client: clientTimeout, shutdown: shutdownTimeout })
    const site = Site.of({
      origin: `http://${reachable(host)}:${listening.port}`,
      host,
      accountId,
      isToken: Access.verifier(token),
      upstreams,
      offline: options.offline === true,
      isShared: redis !== undefined,
      allowPrivateUpstreams: options.allowPrivateUpstreams === true,
      bodyLimit,
      pause
    })
    const context = yield* Layer.build(
      Pipeline.layer.pipe(
        Layer.provide(SpanExports.layer({ allowPrivate: options.allowPrivateUpstreams === true })),
        Layer.provide(UpstreamClient.layer),
        Layer.provideMerge(Metrics.layer),
        Layer.provide(Layer.succeed(Crypto.Crypto, crypto)),
        Layer.provide(Layer.succeed(Recording.Current, recording)),
        Layer.provideMerge(Layer.succeed(Inspection.Current, inspection)),
        Layer.provideMerge(Layer.succeed(Site, site)),
        Layer.provideMerge(Layer.succeedContext(stores))
      )
    )
    yield* Effect.andThen(Server.serve(listening), Notices.log).pipe(Effect.provideContext(context))
    return LocalGateway.of({ url: site.origin, accountId, token })
  }).pipe(Effect.mapError((reason) => new LocalGatewayError({ reason })))

/**
 * A gateway for as long as the layer lives.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (options?: Options): Layer.Layer<LocalGateway, LocalGatewayError> =>
  Layer.effect(LocalGateway, make(options))

/**
 * A gateway for tests with options of its own, in test mode and offline unless they say otherwise: see {@link layerTest}.
 *
 * @category layers
 * @since 0.1.0
 */
export const layerTestWith = (
  options: Options = {}
): Layer.Layer<LocalGateway | TestMode.TestMode, LocalGatewayError> =>
  Layer.effectContext(Effect.gen(function*() {
    const { context } = TestMode.make()
    const offline = options.offline ?? true
    const gateway = yield* Effect.provideContext(make({ pause: 0, ...options, offline }), context)
    return Context.add(context, LocalGateway, gateway)
  }))

/**
 * A gateway for tests: any free port, nothing on disk, no provider asked over the network, streams without pauses, and
 * `TestMode` with faults on demand and the requests that were sent.
 *
 * @category layers
 * @since 0.1.0
 */
export const layerTest: Layer.Layer<LocalGateway | TestMode.TestMode, LocalGatewayError> = layerTestWith()

/** Cache, limits and logs; of a store in memory they live and die with the process, and need no thread. */
const behind = (store: string, account: string, limit: number, redis: RedisConnection.Target | undefined) => {
  const isMemory = store === Database.memory
  const thread = Layer.provideMerge(WriterThread.layer(store), CacheDatabase.layer(store))
  const cacheAndLimits = redis !== undefined
    // A connection each: no limit waits behind a large answer.
    ? Layer.mergeAll(
      Layer.provide(
        RedisCacheStore.layer(account, { limit }),
        RedisConnection.layer(redis, { consequence: "nothing is cached meanwhile" })
      ),
      Layer.provide(
        RedisRateLimitStore.layer(account),
        RedisConnection.layer(redis, { consequence: "requests that a limit applies to are refused meanwhile" })
      )
    )
    : isMemory
    ? Layer.mergeAll(CacheStore.layerMemory({ limit }), RateLimitStore.layerMemory)
    : Layer.provide(Layer.mergeAll(CacheStore.layer(account, { limit }), RateLimitStore.layer(account)), thread)
  const writer = isMemory ? LogWriter.layerMemory : Layer.provide(LogWriter.layer, thread)
  return Layer.mergeAll(cacheAndLimits, Layer.provide(LogStore.layer(account), writer))
}

const decode = (options: Options): Effect.Effect<
  Required<
    Omit<
      Options,
      | "token"
      | "upstreams"
      | "offline"
      | "allowPrivateUpstreams"
      | "pause"
      | "record"
      | "replay"
      | "guardrails"
      | "dlpProfiles"
      | "redis"
      | "gateways"
    >
  > & {
    readonly host: string
    readonly port: number
    readonly store: string
    readonly accountId: string
    readonly bodyLimit: number
    readonly cacheLimit: number
    readonly redis: RedisConnection.Target | undefined
    readonly upstreams: ReadonlyMap<string, string>
    readonly pause: Duration.Duration
    readonly clientTimeout: Duration.Duration
    readonly shutdownTimeout: Duration.Duration
  },
  Reason
> =>
  Effect.gen(function*() {
    const host = options.host ?? "127.0.0.1"
    if (!isHost(host)) {
      return yield* refuse("host", host, "an IP address or a host name, without scheme and port")
    }
    if (options.token === undefined && !Access.isLoopback(host)) {
      return yield* refuse("host", host, "a loopback address, or an explicit token: others may reach any other address")
    }
    if (options.token !== undefined && Redacted.value(options.token).trim() === "") {
      return yield* refuse("token", "", "a token that is not empty")
    }
    const port = options.port ?? 0
    if (!Number.isInteger(port) || port < 0 || port > 65_535) {
      return yield* refuse("port", String(port), "an integer from 0 to 65535")
    }
    const accountId = options.accountId ?? "0".repeat(32)
    if (!/^[0-9a-f]{32}$/.test(accountId)) {
      return yield* refuse("accountId", accountId, "32 hexadecimal digits in lower case")
    }
    const store = options.store ?? Database.memory
    if (store === "") return yield* refuse("store", store, "a file, or :memory:")
    const bodyLimit = options.bodyLimit ?? 100 * 1024 * 1024
    if (!Number.isInteger(bodyLimit) || bodyLimit < 1) {
      return yield* refuse("bodyLimit", String(bodyLimit), "a positive number of bytes")
    }
    const cacheLimit = options.cacheLimit ?? 256 * 1024 * 1024
    if (!Number.isInteger(cacheLimit) || cacheLimit < 0) {
      return yield* refuse("cacheLimit", String(cacheLimit), "a number of bytes, or 0 for no cache")
    }
    const redis = options.redis === undefined
      ? undefined
      : RedisConnection.target(Redacted.isRedacted(options.redis) ? Redacted.value(options.redis) : options.redis)
    if (redis === undefined && options.redis !== undefined) {
      // Whatever it is, there may be a password in it.
      return yield* refuse("redis", "<redacted>", RedisConnection.forms)
    }
    const upstreams = new Map<string, string>()
    for (const [provider, url] of Object.entries(options.upstreams ?? {})) {
      const option = `upstreams.${provider}`
      if (!Providers.slugs.has(provider)) {
        return yield* refuse(option, url, `a provider out of ${[...Providers.slugs].join(", ")}`)
      }
      if (url === "simulated" || url === "live") {
        if (url === "simulated" && !SimulatedProviders.slugs.has(provider)) {
          const simulated = [...SimulatedProviders.slugs].join(", ")
          return yield* refuse(option, url, `a URL or live: the simulated model stands in for ${simulated}`)
        }
        if (url === "live" && options.offline === true) {
          return yield* refuse(option, url, "a URL or simulated: this gateway is offline")
        }
        if (url === "live" && provider === "workers-ai") return yield* refuse(option, url, workersAiOnly)
        upstreams.set(provider, url)
        continue
      }
      if (provider === "workers-ai") return yield* refuse(option, url, workersAiOnly)
      const parsed = URL.canParse(url) ? new URL(url) : undefined
      if (parsed === undefined || !/^https?:$/.test(parsed.protocol) || parsed.search !== "" || parsed.hash !== "") {
        return yield* refuse(option, url, "an http:// or https:// URL without query and fragment, simulated, or live")
      }
      upstreams.set(provider, url)
    }
    return {
      host,
      port,
      store,
      accountId,
      bodyLimit,
      cacheLimit,
      redis,
      upstreams,
      pause: yield* duration("pause", options.pause ?? "20 millis"),
      clientTimeout: yield* duration("clientTimeout", options.clientTimeout ?? "5 minutes"),
      shutdownTimeout: yield* duration("shutdownTimeout", options.shutdownTimeout ?? "300 millis")
    }
  })

/** Its answers have no server of their own that a URL could name: they have other shapes for REST and for the binding. */
const workersAiOnly = "simulated or another provider: Workers AI is always answered by the simulated model here"

const refuse = (option: string, value: string, expected: string) =>
  Effect.fail(new InvalidOption({ option, value, expected }))

const duration = (option: string, given: Duration.Input): Effect.Effect<Duration.Duration, InvalidOption> =>
  Option.match(Duration.fromInput(given), {
    onNone: () => refuse(option, JSON.stringify(given), "a duration, such as \"30 seconds\""),
    onSome: Effect.succeed
  })

const isHost = (host: string) =>
  isIP(host) !== 0 ||
  /^(?=.{1,253}$)[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?)*$/.test(host)

/** An address that listens for all is not one that can be called. */
const reachable = (host: string) =>
  host === "0.0.0.0" ? "127.0.0.1" : host === "::" ? "[::1]" : isIP(host) === 6 ? `[${host}]` : host
