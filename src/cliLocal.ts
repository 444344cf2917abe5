/**
 * The command `effect-ai-gateway local`: runs the local gateway until it is told to stop.
 *
 * @since 0.1.0
 */
import * as Console from "effect/Console"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as Command from "effect/unstable/cli/Command"
import { setFlagsFromString } from "node:v8"
import { userError, wrong } from "./cliError.ts"
import * as cliFlags from "./cliFlags.ts"
import * as cliSettings from "./cliSettings.ts"
import * as LocalGateway from "./local/LocalGateway.ts"
import type { Reason } from "./local/LocalGatewayError.ts"
import * as RedisConnection from "./local/RedisConnection.ts"

/**
 * @category commands
 * @since 0.1.0
 */
export const command = Command.make("local", cliFlags.flags, ({ json, ...given }) =>
  Effect.gen(function*() {
    if (json !== undefined && typeof json.value !== "boolean") {
      return yield* wrong(json.from, String(json.value), "true or false")
    }
    yield* Effect.sync(keepRequestsYoung)
    const resolved = yield* cliSettings.resolve(given)
    const options = optionsOf(resolved.settings)
    yield* impatience(options.shutdownTimeout)
    const gateway = yield* LocalGateway.make(options).pipe(
      Effect.catchTag("LocalGatewayError", ({ reason }) => failed(reason, resolved))
    )
    // Whoever gave the token has it; a log that keeps this output must not.
    const token = options.token === undefined ? Redacted.value(gateway.token) : undefined
    yield* Console.log(json?.value === true ? readyLine(gateway, token) : welcome(gateway, options, token, resolved))
    return yield* Effect.never
  }).pipe(Effect.scoped)).pipe(
    Command.withDescription(
      "Run an AI Gateway on this machine: management API, data plane and AI binding on one port. A flag counts before " +
        "the variable in brackets, and both before the file of --config"
    )
  )

/**
 * V8 moves the objects of code whose objects lived long to where they are collected rarely. Here that are those of requests,
 * for a moment of load, and each holds a whole request from then on: half of all collecting was for that.
 */
const keepRequestsYoung = () => setFlagsFromString("--no-allocation-site-pretenuring")

/** The first signal, which ends the command, waits for open answers; the second does not. */
const impatience = (patience: Duration.Duration) =>
  Effect.acquireRelease(
    Effect.sync(() => {
      let first: NodeJS.Timeout | undefined
      const onSignal = (signal: "SIGINT" | "SIGTERM") => {
        if (first !== undefined) process.exit(signal === "SIGINT" ? 130 : 143)
        first = setTimeout(
          () =>
            process.stderr.write(
              `Waiting up to ${Duration.format(patience)} for answers that are open; a second signal ends at once\n`
            ),
          300
        ).unref()
      }
      process.on("SIGINT", onSignal).on("SIGTERM", onSignal)
      return onSignal
    }),
    (onSignal) => Effect.sync(() => process.off("SIGINT", onSignal).off("SIGTERM", onSignal))
  )

const mebibyte = 1024 * 1024

const optionsOf = (settings: cliSettings.Settings) => ({
  ...settings,
  port: settings.port ?? 8787,
  store: settings.store ?? ".alchemy/local/ai-gateway.db",
  token: settings.token === undefined ? undefined : Redacted.make(settings.token, { label: "token" }),
  redis: settings.redis === undefined ? undefined : Redacted.make(settings.redis, { label: "redis" }),
  cacheLimit: settings.cacheLimit === undefined ? undefined : settings.cacheLimit * mebibyte,
  bodyLimit: settings.bodyLimit === undefined ? undefined : settings.bodyLimit * mebibyte,
  clientTimeout: settings.clientTimeout === undefined ? undefined : cliSettings.toDuration(settings.clientTimeout),
  shutdownTimeout: cliSettings.toDuration(settings.shutdownTimeout ?? 10)
} satisfies LocalGateway.Options)

type Options = ReturnType<typeof optionsOf>

type Gateway = LocalGateway.LocalGateway["Service"]

const readyLine = ({ accountId, url }: Gateway, token: string | undefined) =>
  JSON.stringify({ ready: true, url, accountId, token })

/** Redis' URL may have a password in it; its address has none. */
const placesOf = ({ redis, store }: Options) =>
  redis === undefined
    ? store
    : `${store}\n  redis    ${RedisConnection.target(Redacted.value(redis))?.address}, cache and limits`

const welcome = (
  { accountId, url }: Gateway,
  options: Options,
  token: string | undefined,
  { from }: cliSettings.Resolved
) => {
  const bearer = (header: string) => token === undefined ? `"${header}: Bearer $TOKEN"` : `'${header}: Bearer ${token}'`
  return `The local AI gateway is ready. ${
    options.offline === true
      ? "It is offline: answers are simulated, but for the servers that you named."
      : "Requests with a provider's key go to the provider; the others, and Workers AI, are simulated."
  }

  url      ${url}
  account  ${accountId}
  token    ${token ?? `as ${from("token")} says`}
  store    ${placesOf(options)}

  log page        ${url}/
  management API  ${url}/client/v4/accounts/${accountId}/ai-gateway/gateways
  data plane      ${url}/v1/${accountId}/{gateway}/{provider}/...
  AI binding      ${url}/workers-binding/...  (also for the Host workers-binding.ai)

Create a gateway, then ask (paste this into another terminal):

curl -s ${url}/client/v4/accounts/${accountId}/ai-gateway/gateways \\
  -H ${bearer("Authorization")} -H 'Content-Type: application/json' \\
  -d '{"id":"demo","cache_ttl":0,"cache_invalidate_on_update":false,"collect_logs":true,"rate_limiting_interval":0,"rate_limiting_limit":0,"authentication":true}'; echo
curl -sN ${url}/v1/${accountId}/demo/workers-ai/@cf/meta/llama-3.1-8b-instruct \\
  -H ${bearer("cf-aig-authorization")} -H 'Content-Type: application/json' \\
  -d '{"prompt":"Why is the sky blue?","stream":true}'

Stop it with Ctrl+C.`
}

/** What failed with its default has no other name than the flag's. */
const optionOfFailure = {
  StoreUnavailable: "store",
  RedisUnavailable: "redis",
  PortInUse: "port",
  AddressUnavailable: "host",
  InvalidGateways: "gateways"
} as const satisfies { readonly [Tag in Exclude<Reason["_tag"], "InvalidOption">]: string }

const failed = (reason: Reason, { from, settings }: cliSettings.Resolved) => {
  const nameOf = (option: string) => {
    const root = option.replace(/[.[].*$/, "")
    return root in settings ? from(option) : `--${root}`
  }
  if (reason._tag !== "InvalidOption") {
    return userError(`${reason.message} (${nameOf(optionOfFailure[reason._tag])})`)
  }
  const provider = /^upstreams\.(.*)$/.exec(reason.option)?.[1]
  const name = nameOf(reason.option)
  // A flag and a variable have the provider in their value, a file has it in its key.
  return provider === undefined || name.startsWith("upstreams.")
    ? wrong(name, reason.value, reason.expected)
    : wrong(name, `${provider}=${reason.value}`, reason.expected)
}
