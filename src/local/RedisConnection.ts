/**
 * A connection to Redis that runs scripts, and says at once when Redis is out of reach.
 *
 * Everything is a Lua script: one round trip, and no other process in between. Scripts take their time from Redis itself,
 * so machines whose clocks differ count in the same windows.
 *
 * A connection that is lost is made again, for as long as it takes. Meanwhile nothing is queued, and no command waits longer
 * than its time: where Redis is connected and silent, as a stopped process or a cut cable is, the first commands wait for it,
 * those after them fail at once, and after some seconds of silence the connection is made anew.
 *
 * The package `redis` is used without `NodeRedis` around it: that takes text only where answers are bytes, its release waits
 * for replies that may never come, and it logs every try to connect again.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import { createHash } from "node:crypto"
import { RedisUnavailable } from "./LocalGatewayError.ts"

/**
 * Where Redis is, out of a URL.
 *
 * @category models
 * @since 0.1.0
 */
export interface Target {
  /** Host and port, to be shown. */
  readonly address: string
  readonly host: string
  readonly port: number
  readonly tls: boolean
  readonly username: string | undefined
  readonly password: Redacted.Redacted<string> | undefined
  readonly database: number
}

/**
 * Lua that finds the time as `now`, in milliseconds, and its own arguments from `ARGV[2]` on.
 *
 * @category models
 * @since 0.1.0
 */
export interface Script {
  readonly lua: string
  readonly sha: string
}

/**
 * What a script answers: texts come as bytes.
 *
 * @category models
 * @since 0.1.0
 */
export type Reply = Buffer | number | null | ReadonlyArray<Reply>

/**
 * @category models
 * @since 0.1.0
 */
export interface Options {
  /** `clock` counts by Effect's clock, which tests own; `redis`, the default, by the clock that all processes share. */
  readonly time?: "redis" | "clock" | undefined
  /** What a warning says beside the reason. */
  readonly consequence: string
}

/**
 * @category services
 * @since 0.1.0
 */
export class RedisConnection extends Context.Service<RedisConnection, {
  /** `patience` for a reply, two seconds by default. The first failure and one in half a minute is logged. */
  readonly run: (script: Script, options: {
    readonly keys: ReadonlyArray<string>
    readonly args: ReadonlyArray<string | Uint8Array>
    readonly patience?: Duration.Input
  }) => Effect.Effect<Reply, RedisUnavailable>
}>()("effect-ai-gateway/local/RedisConnection") {}

/**
 * Forms of the URL, for those who gave another.
 *
 * @category constants
 * @since 0.1.0
 */
export const forms = "redis://HOST, redis://HOST:PORT/DATABASE or redis://USER:PASSWORD@HOST:PORT, or rediss:// for TLS"

/**
 * Reads `redis[s]://[[user][:password]@]host[:port][/database]`; undefined for what is no such URL.
 *
 * @category decoding
 * @since 0.1.0
 */
export const target = (url: string): Target | undefined => {
  const parsed = URL.canParse(url) ? new URL(url) : undefined
  if (parsed === undefined || !/^rediss?:$/.test(parsed.protocol)) return undefined
  const { hostname, password, pathname, port, username } = parsed
  const isWhole = hostname !== "" && port !== "0" && parsed.search === "" && parsed.hash === "" &&
    /^\/?\d{0,9}$/.test(pathname)
  const user = unescaped(username)
  const secret = unescaped(password)
  if (!isWhole || user === undefined || secret === undefined) return undefined
  return {
    address: `${hostname}:${port || 6379}`,
    host: hostname.replace(/^\[(.*)\]$/, "$1"),
    port: Number(port || 6379),
    tls: parsed.protocol === "rediss:",
    username: user || undefined,
    password: secret === "" ? undefined : Redacted.make(secret, { label: "redis password" }),
    database: Number(pathname.slice(1) || 0)
  }
}

/**
 * @category constructors
 * @since 0.1.0
 */
export const script = (lua: string): Script => {
  const whole = `${readTime}${lua}`
  return { lua: whole, sha: createHash("sha1").update(whole).digest("hex") }
}

/**
 * A connection for as long as the layer lives; fails within seconds where Redis cannot be used.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (target: Target, options: Options): Layer.Layer<RedisConnection, RedisUnavailable> =>
  Layer.effect(RedisConnection, make(target, options))

const make = (
  target: Target,
  { consequence, time = "redis" }: Options
): Effect.Effect<RedisConnection["Service"], RedisUnavailable, Scope.Scope> =>
  Effect.gen(function*() {
    const { address } = target
    const unavailable = (cause: unknown) => new RedisUnavailable({ address, cause })
    // Only who uses Redis loads its client.
    const { createClient, ErrorReply, RESP_TYPES } = yield* Effect.promise(() => import("redis"))
    const texts = { [RESP_TYPES.BLOB_STRING]: Buffer, [RESP_TYPES.SIMPLE_STRING]: Buffer }
    let isStarted = false
    /** Connected, but a reply did not come in time. */
    let isSilent = false

    const client = yield* Effect.acquireRelease(
      Effect.sync(() =>
        createClient({
          RESP: 2,
          ...(target.username === undefined ? {} : { username: target.username }),
          ...(target.password === undefined ? {} : { password: Redacted.value(target.password) }),
          database: target.database,
          // Queued, commands would pile up while Redis is away, and be done when nobody waits for them any more.
          disableOfflineQueue: true,
          commandsQueueMaxLength: 10_000,
          // Ours ends also for a command that was sent.
          commandOptions: { timeout: 0 },
          // The next ping comes after the reply to the last one, so a silent Redis makes a silent socket, which is closed.
          pingInterval: 1000,
          socket: {
            host: target.host,
            port: target.port,
            connectTimeout: 3000,
            socketTimeout: 4000,
            reconnectStrategy: (tries, cause) => isStarted ? Math.min(50 * 2 ** tries, 1000) : cause,
            ...(target.tls ? { tls: true } : {})
          }
        })
      ),
      (client) =>
        isSilent || !client.isReady
          ? Effect.sync(() => client.destroy())
          : Effect.promise(() => client.close()).pipe(
            Effect.timeoutOrElse({ duration: "1 second", orElse: () => Effect.sync(() => client.destroy()) })
          )
    )
    // Without a listener it would end the process; those who run commands are told what is wrong.
    client.on("error", () => {})
    client.on("ready", () => {
      isSilent = false
    })
    yield* Effect.tryPromise({ try: () => client.connect(), catch: unavailable }).pipe(
      Effect.timeoutOrElse({
        duration: "5 seconds",
        orElse: () => {
          isSilent = true
          return Effect.fail(unavailable(new Error("no answer within 5 seconds")))
        }
      })
    )
    isStarted = true

    const send = (args: ReadonlyArray<string | Buffer>, patience: Duration.Input) =>
      Effect.tryPromise({
        try: (): Promise<Reply> => {
          const reply = client.sendCommand<Reply>(args, { typeMapping: texts })
          const speaks = () => {
            isSilent = false
          }
          reply.then(speaks, (cause) => cause instanceof ErrorReply ? speaks() : undefined)
          return reply
        },
        catch: unavailable
      }).pipe(
        Effect.timeoutOrElse({
          duration: patience,
          orElse: () => {
            isSilent = true
            return Effect.fail(unavailable(silence))
          }
        })
      )

    const ask = Effect.fnUntraced(function*(
      { lua, sha }: Script,
      keys: ReadonlyArray<string>,
      given: ReadonlyArray<string | Uint8Array>,
      patience: Duration.Input
    ) {
      if (isSilent) return yield* Effect.fail(unavailable(silence))
      const now = time === "redis" ? "" : String(yield* Clock.currentTimeMillis)
      const args = [
        String(keys.length),
        ...keys,
        now,
        ...given.map((arg) => typeof arg === "string" ? arg : Buffer.from(arg.buffer, arg.byteOffset, arg.byteLength))
      ]
      return yield* Effect.catchIf(
        send(["EVALSHA", sha, ...args], patience),
        ({ cause }) => cause instanceof ErrorReply && cause.message.startsWith("NOSCRIPT"),
        () => send(["EVAL", lua, ...args], patience)
      )
    })

    let warned: number | undefined
    const warn = Effect.fnUntraced(function*({ why }: RedisUnavailable) {
      const now = yield* Clock.currentTimeMillis
      if (warned !== undefined && now - warned < warnEvery) return
      warned = now
      yield* Effect.logWarning(`Redis at ${address} is out of reach (${why}): ${consequence}`)
    })
    const calm = Effect.suspend(() => {
      if (warned === undefined) return Effect.void
      warned = undefined
      return Effect.logInfo(`Redis at ${address} answers again`)
    })

    // A server that only reads, that wants a password, or that is too old is found out now.
    yield* ask(probe, [`ai-gateway:probe`], [], "3 seconds")
    return RedisConnection.of({
      run: (script, { args, keys, patience = "2 seconds" }) =>
        ask(script, keys, args, patience).pipe(Effect.tapError(warn), Effect.tap(calm))
    })
  })

const readTime = `local now = tonumber(ARGV[1])
if not now then
  local time = redis.call('TIME')
  now = time[1] * 1000 + math.floor(time[2] / 1000)
end
`

const probe = script(`return redis.call('SET', KEYS[1], now, 'PX', 1000)`)

const silence = new Error("no answer")

/** Milliseconds. */
const warnEvery = 30_000

const unescaped = (text: string): string | undefined => {
  try {
    return decodeURIComponent(text)
  } catch {
    return undefined
  }
}
