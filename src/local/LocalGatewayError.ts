/**
 * Why a local gateway does not start: which, where, and what to do.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"
import { formatPath } from "../resource/shape.ts"

/**
 * An option has a value that cannot work.
 *
 * @category errors
 * @since 0.1.0
 */
export class InvalidOption extends Schema.TaggedError<InvalidOption>("effect-ai-gateway/local/InvalidOption")(
  "InvalidOption",
  {
    /** Name of the option, such as `port` or `upstreams.openai`. */
    option: Schema.String,
    value: Schema.String,
    /** What the option takes. */
    expected: Schema.String
  }
) {
  override get message(): string {
    return `${this.option} is ${JSON.stringify(this.value)}, expected ${this.expected}`
  }
}

/**
 * Gateways that are to be made at the start have settings that the management API would refuse.
 *
 * @category errors
 * @since 0.1.0
 */
export class InvalidGateways extends Schema.TaggedError<InvalidGateways>("effect-ai-gateway/local/InvalidGateways")(
  "InvalidGateways",
  {
    /** All of them, each with its path below `gateways`. */
    problems: Schema.Array(Schema.Struct({
      path: Schema.Array(Schema.Union([Schema.String, Schema.Number])),
      message: Schema.String
    }))
  }
) {
  override get message(): string {
    return this.problems.map(({ message, path }) => `${formatPath(["gateways", ...path])}: ${message}`).join("; ")
  }
}

/**
 * Another process listens on the port already.
 *
 * @category errors
 * @since 0.1.0
 */
export class PortInUse extends Schema.TaggedError<PortInUse>("effect-ai-gateway/local/PortInUse")("PortInUse", {
  host: Schema.String,
  port: Schema.Number
}) {
  override get message(): string {
    return `port ${this.port} of ${this.host} is taken: stop the process that listens there, or choose another port` +
      " (0 takes any free one)"
  }
}

/**
 * The address cannot be listened on: unknown host, no such interface, a port that needs more rights.
 *
 * @category errors
 * @since 0.1.0
 */
export class AddressUnavailable
  extends Schema.TaggedError<AddressUnavailable>("effect-ai-gateway/local/AddressUnavailable")("AddressUnavailable", {
    host: Schema.String,
    port: Schema.Number,
    cause: Schema.Defect()
  })
{
  override get message(): string {
    const why = this.cause instanceof Error ? this.cause.message : String(this.cause)
    return `cannot listen on ${this.host} port ${this.port} (${why}): choose an address of this machine, such as 127.0.0.1`
  }
}

/**
 * The store's file cannot be opened, read or written.
 *
 * @category errors
 * @since 0.1.0
 */
export class StoreUnavailable
  extends Schema.TaggedError<StoreUnavailable>("effect-ai-gateway/local/StoreUnavailable")("StoreUnavailable", {
    /** The file, or `:memory:`. */
    store: Schema.String,
    cause: Schema.Defect()
  })
{
  override get message(): string {
    const why = this.cause instanceof Error ? this.cause.message : String(this.cause)
    return `cannot use the store ${this.store} (${why}): check that it is a SQLite file that this user may write,` +
      " or choose another file, or :memory:"
  }
}

/**
 * Redis cannot be reached, refuses, or does not answer.
 *
 * @category errors
 * @since 0.1.0
 */
export class RedisUnavailable
  extends Schema.TaggedError<RedisUnavailable>("effect-ai-gateway/local/RedisUnavailable")("RedisUnavailable", {
    /** Host and port, never a password. */
    address: Schema.String,
    cause: Schema.Defect()
  })
{
  /** What the network or Redis said. */
  get why(): string {
    return said(this.cause)
  }
  override get message(): string {
    return `cannot use Redis at ${this.address} (${this.why}): check that a Redis server, 5 or newer, listens there and` +
      " takes this user, password and database"
  }
}

/**
 * @category errors
 * @since 0.1.0
 */
export const Reason = Schema.Union([
  InvalidOption,
  InvalidGateways,
  PortInUse,
  AddressUnavailable,
  StoreUnavailable,
  RedisUnavailable
])

/**
 * @category errors
 * @since 0.1.0
 */
export type Reason = typeof Reason.Type

/**
 * A local gateway that did not start; `reason` says why and what to do.
 *
 * @category errors
 * @since 0.1.0
 */
export class LocalGatewayError extends Schema.TaggedError<LocalGatewayError>("effect-ai-gateway/LocalGatewayError")(
  "LocalGatewayError",
  { reason: Reason }
) {
  override get message(): string {
    return `The local gateway did not start: ${this.reason.message}`
  }
}

/** A name with several addresses fails with an error of all of them that says nothing itself. */
const said = (cause: unknown): string =>
  cause instanceof AggregateError && cause.errors.length > 0
    ? said(cause.errors[0])
    : cause instanceof Error && "originalError" in cause
    ? said(cause.originalError)
    : cause instanceof Error
    ? cause.message
    : String(cause)
