#!/usr/bin/env node
/**
 * The command `effect-ai-gateway`: runs the local gateway until it is told to stop, or prints a gateway as code.
 *
 * @since 0.1.0
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as NodeServices from "@effect/platform-node/NodeServices"
import * as Cause from "effect/Cause"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Runtime from "effect/Runtime"
import * as Schema from "effect/Schema"
import * as Command from "effect/unstable/cli/Command"
import * as Flag from "effect/unstable/cli/Flag"
import { createRequire } from "node:module"
import { userError, wrong } from "./cliError.ts"
import { command as importCommand } from "./cliImport.ts"
import * as LocalGateway from "./local/LocalGateway.ts"
import type { Reason } from "./local/LocalGatewayError.ts"
import * as RedisConnection from "./local/RedisConnection.ts"
import { oneLine } from "./resource/readGateway.ts"

const flags = {
  // A string, so that one error names the range whatever is wrong with the value.
  port: Flag.String("port").pipe(
    Flag.withMetavar("PORT"),
    Flag.withDefault("8787"),
    Flag.withDescription("Port to listen on, 0 to 65535; 0 takes any free one")
  ),
  host: Flag.String("host").pipe(
    Flag.withDefault("127.0.0.1"),
    Flag.withDescription("Address to listen on; any but a loopback address needs --token")
  ),
  store: Flag.String("store").pipe(
    Flag.withMetavar("FILE|:memory:"),
    Flag.withDefault(".alchemy/local/ai-gateway.db"),
    Flag.withDescription("SQLite file of gateways and logs, or :memory:")
  ),
  account: Flag.String("account").pipe(
    Flag.withDefault("0".repeat(32)),
    Flag.withDescription("Account id, 32 hexadecimal digits")
  ),
  token: Flag.Redacted("token").pipe(
    Flag.optional,
    Flag.withDescription("Token of the management API and of authenticated gateways; random at each start by default")
  ),
  cacheLimit: Flag.String("cache-limit").pipe(
    Flag.withMetavar("MIB"),
    Flag.withDefault("256"),
    Flag.withDescription("Size of all cached answers in MiB; the least recently used make room")
  ),
  redis: Flag.Redacted("redis").pipe(
    Flag.withMetavar("URL"),
    Flag.optional,
    Flag.withDescription(
      "Redis for cache and limits, redis://HOST:PORT or rediss://..., so that several processes are one gateway"
    )
  ),
  upstream: Flag.String("upstream").pipe(
    Flag.withMetavar("PROVIDER=URL|live|simulated"),
    Flag.atLeast(0),
    Flag.withDescription(
      "Where a provider's requests go: a base URL such as openai=http://127.0.0.1:11434/v1, its own server, or the " +
        "simulated model; by default its own server when there is a key, else the simulated model; repeatable"
    )
  ),
  offline: Flag.Boolean("offline").pipe(
    Flag.withDefault(false),
    Flag.withDescription("Ask no provider's own server, key or not; base URLs of --upstream and custom providers stay")
  ),
  record: Flag.String("record").pipe(
    Flag.withMetavar("DIR"),
    Flag.optional,
    Flag.withDescription("Write each real answer to a file in DIR, without keys")
  ),
  replay: Flag.String("replay").pipe(
    Flag.withMetavar("DIR"),
    Flag.optional,
    Flag.withDescription("Answer from the files that --record wrote, and ask no provider")
  ),
  allowPrivateUpstreams: Flag.Boolean("allow-private-upstreams").pipe(
    Flag.withDefault(false),
    Flag.withDescription("Let custom providers be at loopback, private and link-local addresses, and on plain HTTP")
  ),
  json: Flag.Boolean("json").pipe(
    Flag.withDefault(false),
    Flag.withDescription("Print one line of JSON when the gateway is ready, and nothing else, on standard output")
  )
}

const local = Command.make("local", flags, (options) =>
  Effect.gen(function*() {
    if (!/^\d{1,5}$/.test(options.port)) return yield* wrong("--port", options.port, "an integer from 0 to 65535")
    if (!/^\d{1,6}$/.test(options.cacheLimit)) {
      return yield* wrong("--cache-limit", options.cacheLimit, "an integer from 0 to 999999")
    }
    const upstreams: { [provider: string]: string } = {}
    for (const upstream of options.upstream) {
      const at = upstream.indexOf("=")
      if (at < 1) {
        return yield* wrong(
          "--upstream",
          upstream,
          "PROVIDER=URL, PROVIDER=live or PROVIDER=simulated, such as openai=http://127.0.0.1:11434/v1"
        )
      }
      upstreams[upstream.slice(0, at)] = upstream.slice(at + 1)
    }
    const gateway = yield* LocalGateway.make({
      host: options.host,
      port: Number(options.port),
      store: options.store,
      accountId: options.account,
      token: Option.getOrUndefined(options.token),
      cacheLimit: Number(options.cacheLimit) * 1024 * 1024,
      redis: Option.getOrUndefined(options.redis),
      record: Option.getOrUndefined(options.record),
      replay: Option.getOrUndefined(options.replay),
      allowPrivateUpstreams: options.allowPrivateUpstreams,
      offline: options.offline,
      upstreams
    }).pipe(Effect.catchTag("LocalGatewayError", ({ reason }) => failed(reason)))
    // Whoever gave the token has it; a log that keeps this output must not.
    const token = Option.isSome(options.token) ? undefined : Redacted.value(gateway.token)
    yield* Console.log(options.json ? readyLine(gateway, token) : welcome(gateway, options, token))
    return yield* Effect.never
  }).pipe(Effect.scoped)).pipe(
    Command.withDescription("Run an AI Gateway on this machine: management API, data plane and AI binding on one port")
  )

const root = Command.make("effect-ai-gateway").pipe(
  Command.withDescription("An Effect-native Cloudflare AI Gateway"),
  Command.withSubcommands([local, importCommand])
)

type Gateway = LocalGateway.LocalGateway["Service"]

const readyLine = ({ accountId, url }: Gateway, token: string | undefined) =>
  JSON.stringify({ ready: true, url, accountId, token })

/** Redis' URL may have a password in it; its address has none. */
const placesOf = (options: { readonly store: string; readonly redis: Option.Option<Redacted.Redacted<string>> }) =>
  Option.match(options.redis, {
    onNone: () => options.store,
    onSome: (url) =>
      `${options.store}\n  redis    ${RedisConnection.target(Redacted.value(url))?.address}, cache and limits`
  })

const welcome = (
  { accountId, url }: Gateway,
  options: Parameters<typeof placesOf>[0] & { readonly offline: boolean },
  token: string | undefined
) => {
  const bearer = (header: string) => token === undefined ? `"${header}: Bearer $TOKEN"` : `'${header}: Bearer ${token}'`
  return `The local AI gateway is ready. ${
    options.offline
      ? "It is offline: answers are simulated, but for the servers that you named."
      : "Requests with a provider's key go to the provider; the others, and Workers AI, are simulated."
  }

  url      ${url}
  account  ${accountId}
  token    ${token ?? "as --token says"}
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

const flagOf: { readonly [option: string]: string } = {
  host: "--host",
  port: "--port",
  store: "--store",
  accountId: "--account",
  token: "--token",
  redis: "--redis",
  record: "--record",
  replay: "--replay"
}

const flagOfFailure = {
  StoreUnavailable: "--store",
  RedisUnavailable: "--redis",
  PortInUse: "--port",
  AddressUnavailable: "--host"
} satisfies { readonly [Tag in Exclude<Reason["_tag"], "InvalidOption">]: string }

const failed = (reason: Reason) => {
  if (reason._tag !== "InvalidOption") {
    return userError(`${reason.message} (${flagOfFailure[reason._tag]})`)
  }
  const provider = /^upstreams\.(.*)$/.exec(reason.option)?.[1]
  return provider === undefined
    ? wrong(flagOf[reason.option] ?? reason.option, reason.value, reason.expected)
    : wrong("--upstream", `${provider}=${reason.value}`, reason.expected)
}

const version = Schema.decodeUnknownSync(Schema.Struct({ version: Schema.String }))(
  createRequire(import.meta.url)("../package.json")
).version

root.pipe(
  Command.run({ version }),
  // Failures that are foreseen are said where they come from; a mistake of this program must not end it in silence.
  Effect.tapCause((cause) =>
    Cause.hasDies(cause)
      ? Console.error(`Something went wrong here: ${oneLine(String(Cause.squash(cause)))}`)
      : Effect.void
  ),
  // Standard output belongs to the answer of the command; what happens meanwhile goes to the other stream.
  Effect.provide(Layer.mergeAll(NodeServices.layer, Logger.layer([Logger.withConsoleError(Logger.formatLogFmt)]))),
  NodeRuntime.runMain({
    disableErrorReporting: true,
    // A gateway that was told to stop has done its work.
    teardown: (exit, onExit) =>
      Exit.isFailure(exit) && Cause.hasInterruptsOnly(exit.cause) ? onExit(0) : Runtime.defaultTeardown(exit, onExit)
  })
)
