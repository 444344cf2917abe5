/**
 * Where a step goes: to a server that was named, to the provider's own, or to the simulated model.
 *
 * What `--upstream` says of a provider counts first: a URL, `simulated`, or `live`. Where nothing was said, a request with a
 * key, its own or a stored one, goes to the provider's own server, and one without a key to the simulated model. An offline
 * gateway asks no provider's own server, key or not; servers that were named and custom providers it does ask.
 *
 * @since 0.1.0
 */
import * as CustomUpstream from "./CustomUpstream.ts"
import type { Step } from "./GatewayRequest.ts"
import * as Providers from "./Providers.ts"
import * as SimulatedProviders from "./SimulatedProviders.ts"
import type { Site } from "./Site.ts"

/**
 * @category models
 * @since 0.1.0
 */
export type Destination =
  | {
    readonly _tag: "Upstream"
    readonly url: string
    /** Names in lower case. */
    readonly headers: Step["headers"]
    /** Of a custom provider, which may be on public addresses only. */
    readonly isCustom: boolean
  }
  | { readonly _tag: "Simulated" }
  /** There is none; says what to do about it. */
  | { readonly _tag: "Nowhere"; readonly problem: string }

/**
 * Decides it for a step whose credentials are resolved.
 *
 * @category constructors
 * @since 0.1.0
 */
export const of = (
  step: Step,
  options: {
    readonly site: Pick<Site["Service"], "upstreams" | "offline">
    readonly hasKey: boolean
    readonly custom: CustomUpstream.CustomUpstream | undefined
    /** The path is then ours, so a `v1` may be left out where the base has it; a client's path is its own. */
    readonly isUnified: boolean
  }
): Destination => {
  const { custom, hasKey, isUnified, site } = options
  const { headers, path, provider, query } = step
  // Faces refuse such paths already; a model's name can be part of a path, too.
  if (Providers.hasDotSegment(path)) {
    return { _tag: "Nowhere", problem: "the path has '.' or '..' as a segment and could leave the provider's base URL" }
  }
  if (custom !== undefined) {
    const join = isUnified ? Providers.join : CustomUpstream.join
    return { _tag: "Upstream", url: join(custom.base, path, query), headers, isCustom: true }
  }
  const upstream = site.upstreams.get(provider)
  if (upstream !== undefined && upstream !== "simulated" && upstream !== "live") {
    return { _tag: "Upstream", url: Providers.join(upstream, path, query), headers, isCustom: false }
  }
  if (upstream === "live" || (upstream === undefined && hasKey && !site.offline && provider !== "workers-ai")) {
    return live(step)
  }
  if (SimulatedProviders.slugs.has(provider)) return { _tag: "Simulated" }
  const why = site.offline
    ? "this local gateway is offline"
    : `there is no key for ${provider}, in the request or stored`
  return nowhere(
    provider,
    `${why}, and its simulated model does not speak ${provider}'s API; ${
      site.offline ? "" : "send a key, or "
    }start it with`
  )
}

const live = (step: Step): Destination => {
  const { headers, path, provider, query } = step
  const target = headers["x-fal-target-url"]
  if (provider === "fal" && target !== undefined) {
    // Another host would get the key.
    return isFal(target)
      ? { _tag: "Upstream", url: target, headers, isCustom: false }
      : { _tag: "Nowhere", problem: "x-fal-target-url must be an https:// URL of fal.run" }
  }
  const found = Providers.live(provider, path)
  if (found === undefined) {
    const form = Providers.pathForms[provider]
    return nowhere(
      provider,
      `the path does not say which of ${provider}'s servers to ask${
        form === undefined ? "" : `, as ${form} does`
      }; write it so, or start this local gateway with`
    )
  }
  const url = Providers.join(found.base, found.path, query)
  return { _tag: "Upstream", url, headers: forHost(url, headers), isCustom: false }
}

const nowhere = (provider: string, problem: string): Destination => ({
  _tag: "Nowhere",
  problem: `${problem} --upstream ${provider}=http://..., the base URL of a server that speaks ${provider}'s API`
})

const isFal = (target: string): boolean => {
  const url = URL.canParse(target) ? new URL(target) : undefined
  return url?.protocol === "https:" && /(^|\.)fal\.run$/.test(url.hostname) && url.username === "" && url.port === ""
}

/** Bedrock Mantle takes keys where Anthropic does, and the gateway's callers send them as bearers. */
const forHost = (url: string, headers: Step["headers"]): Step["headers"] => {
  const bearer = /^bearer\s+(.+)$/i.exec(headers["authorization"] ?? "")?.[1]
  if (bearer === undefined || !url.startsWith("https://bedrock-mantle.")) return headers
  const { authorization: _, ...rest } = headers
  return { ...rest, "x-api-key": bearer }
}
