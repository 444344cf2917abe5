/**
 * The flags of `effect-ai-gateway local`, and the variables of the environment that stand in for them.
 *
 * A value stays as it was given, with the name of the flag or the variable, so that what is wrong with it can be said there.
 *
 * @since 0.1.0
 */
import * as Config from "effect/Config"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Flag from "effect/unstable/cli/Flag"

/**
 * A value as it was given, and the flag or the variable that gave it.
 *
 * @category models
 * @since 0.1.0
 */
export interface Given {
  readonly from: string
  readonly value: unknown
}

const text = (raw: string) => raw

const opened = (raw: string | Redacted.Redacted<string>) => Redacted.isRedacted(raw) ? Redacted.value(raw) : raw

/** What is no number stays the text that it is, for the schema to refuse. */
const number = (raw: string) => /^\d{1,9}$/.test(raw) ? Number(raw) : raw

const boolean = (raw: string | boolean) =>
  typeof raw === "boolean" ? raw : /^(true|1|yes|on)$/i.test(raw) ? true : /^(false|0|no|off)$/i.test(raw) ? false : raw

const byProvider = (raw: string | ReadonlyArray<string>): unknown => {
  const pairs = typeof raw === "string" ? raw.split(",").map((_) => _.trim()).filter((_) => _ !== "") : raw
  return pairs.find((pair) => pair.indexOf("=") < 1) ??
    Object.fromEntries(pairs.map((pair) => {
      const at = pair.indexOf("=")
      return [pair.slice(0, at), pair.slice(at + 1)]
    }))
}

/**
 * Name of the variable that stands in for a flag.
 *
 * @category getters
 * @since 0.1.0
 */
export const variableOf = (flag: string): string => `AI_GATEWAY_${flag.replaceAll("-", "_").toUpperCase()}`

const given = <A>(
  name: string,
  flag: Flag.Flag<A>,
  read: (raw: A | string) => unknown,
  description: string,
  metavar?: string
): Flag.Flag<Given | undefined> => {
  const variable = variableOf(name)
  return flag.pipe(
    Flag.withDescription(`${description} [${variable}]`),
    (self) => metavar === undefined ? self : Flag.withMetavar(self, metavar),
    Flag.map((raw): Given | undefined => ({ from: `--${name}`, value: read(raw) })),
    Flag.withFallbackConfig(
      // A variable that is empty says nothing.
      Config.map(
        Config.String(variable),
        (raw): Given | undefined => raw === "" ? undefined : { from: variable, value: read(raw) }
      )
    ),
    Flag.optional,
    Flag.map(Option.getOrUndefined)
  )
}

const textFlag = (name: string, description: string, metavar: string) =>
  given(name, Flag.String(name), text, description, metavar)

const numberFlag = (name: string, description: string, metavar: string) =>
  given(name, Flag.String(name), number, description, metavar)

const switchFlag = (name: string, description: string) => given(name, Flag.Boolean(name), boolean, description)

/**
 * One flag for each setting that is not for the file alone, `--config` and `--json`; their descriptions name the variables.
 *
 * @category flags
 * @since 0.1.0
 */
export const flags = {
  config: textFlag(
    "config",
    "JSON file of settings that neither flags nor variables give, by the flags' names in camel case, as accountId and " +
      "upstreams those of --account and --upstream; besides them guardrails, dlpProfiles and gateways",
    "FILE"
  ),
  port: numberFlag("port", "Port to listen on, 0 to 65535, 8787 by default; 0 takes any free one", "PORT"),
  host: textFlag(
    "host",
    "Address to listen on, 127.0.0.1 by default; any but a loopback address needs --token",
    "HOST"
  ),
  store: textFlag(
    "store",
    "SQLite file of gateways and logs, .alchemy/local/ai-gateway.db by default, or :memory:",
    "FILE|:memory:"
  ),
  accountId: textFlag("account", "Account id, 32 hexadecimal digits, 32 zeros by default", "ID"),
  token: given(
    "token",
    Flag.Redacted("token"),
    opened,
    "Token of the management API and of authenticated gateways; random at each start by default"
  ),
  cacheLimit: numberFlag(
    "cache-limit",
    "Size of all cached answers in MiB, 256 by default; the oldest that were not used lately make room",
    "MIB"
  ),
  bodyLimit: numberFlag("body-limit", "Largest request body in MiB, 100 by default", "MIB"),
  clientTimeout: numberFlag(
    "client-timeout",
    "Most time that a client may take to send a request, as seconds or with a unit, \"5 minutes\" by default",
    "TIME"
  ),
  shutdownTimeout: numberFlag(
    "shutdown-timeout",
    "Most time that open answers have when the gateway is told to stop, 10 seconds by default; a second signal ends at once",
    "TIME"
  ),
  redis: given(
    "redis",
    Flag.Redacted("redis"),
    opened,
    "Redis for cache and limits, redis://HOST:PORT or rediss://..., so that several processes are one gateway",
    "URL"
  ),
  upstreams: given(
    "upstream",
    Flag.atLeast(Flag.String("upstream"), 1),
    byProvider,
    "Where a provider's requests go: a base URL such as openai=http://127.0.0.1:11434/v1, its own server, or the " +
      "simulated model; by default its own server when there is a key, else the simulated model; repeatable, with " +
      "commas in the variable",
    "PROVIDER=URL|live|simulated"
  ),
  offline: switchFlag(
    "offline",
    "Ask no provider's own server, key or not; base URLs of --upstream and custom providers stay"
  ),
  record: textFlag("record", "Write each real answer to a file in DIR, without keys", "DIR"),
  replay: textFlag("replay", "Answer from the files that --record wrote, and ask no provider", "DIR"),
  allowPrivateUpstreams: switchFlag(
    "allow-private-upstreams",
    "Let custom providers be at loopback, private and link-local addresses, and on plain HTTP"
  ),
  json: switchFlag("json", "Print one line of JSON when the gateway is ready, and nothing else, on standard output")
}
