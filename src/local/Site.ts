/**
 * Facts of the running gateway that its faces share.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"

/**
 * @category services
 * @since 0.1.0
 */
export class Site extends Context.Service<Site, {
  /** `http://host:port`, without a trailing slash. */
  readonly origin: string
  /** What the gateway listens on. */
  readonly host: string
  readonly accountId: string
  readonly isToken: (candidate: string | undefined) => boolean
  /** Base URL by provider slug; `simulated` and `live` stand for themselves. */
  readonly upstreams: ReadonlyMap<string, string>
  /** Whether no provider's own server is asked. */
  readonly offline: boolean
  /** Whether custom providers may be on loopback, private and link-local addresses, and on plain HTTP. */
  readonly allowPrivateUpstreams: boolean
  /** Largest request body, in bytes. */
  readonly bodyLimit: number
  /** Whether other processes answer for this gateway, too: a request's traces have to be there when it is answered. */
  readonly isShared: boolean
  /** Between two events of a simulated stream. */
  readonly pause: Duration.Duration
}>()("effect-ai-gateway/local/Site") {}
