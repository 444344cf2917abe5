/**
 * Gateways that are declared with the local gateway itself, and made at its start where they do not exist yet.
 *
 * For processes that keep nothing, such as several with `:memory:` on one Redis. What exists stays as it is: whoever changed
 * a gateway since would lose the change at each restart otherwise.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import { settings } from "../resource/settings.ts"
import type * as shape from "../resource/shape.ts"
import * as Gateway from "./Gateway.ts"
import { GatewayStore } from "./GatewayStore.ts"

/**
 * A gateway as the management API's create takes it; here every setting may be left out.
 *
 * @category models
 * @since 0.1.0
 */
export interface Seed {
  /** 1 to 64 characters of a-z, 0-9, _ and -. */
  readonly id: string
  /** By the names of the API, such as `cache_ttl`. */
  readonly [wire: string]: unknown
}

/**
 * A checked seed.
 *
 * @category models
 * @since 0.1.0
 */
export interface Decoded {
  readonly id: string
  readonly settings: Gateway.Settings
}

/**
 * Checks them as the management API does, and lists every problem with its path.
 *
 * @category decoding
 * @since 0.1.0
 */
export const decode = (
  seeds: ReadonlyArray<unknown>
): Result.Result<ReadonlyArray<Decoded>, ReadonlyArray<shape.Problem>> => {
  const problems: Array<shape.Problem> = []
  const decoded: Array<Decoded> = []
  for (const [i, seed] of seeds.entries()) {
    const result = Gateway.decode(typeof seed === "object" && seed !== null ? { ...defaults, ...seed } : seed)
    if (Result.isFailure(result)) {
      for (const { message, path = [] } of result.failure) {
        // The API says where in the body; here it is said where in the list.
        problems.push({ path: [i, ...path.slice(1)], message: message.slice(path.join(".").length + 2) })
      }
      continue
    }
    if (decoded.some(({ id }) => id === result.success.id)) {
      problems.push({ path: [i, "id"], message: `${JSON.stringify(result.success.id)} is in the list twice` })
    }
    decoded.push(result.success)
  }
  return problems.length === 0 ? Result.succeed(decoded) : Result.fail(problems)
}

/**
 * Makes those that do not exist.
 *
 * @category constructors
 * @since 0.1.0
 */
export const plant = (seeds: ReadonlyArray<Decoded>): Effect.Effect<void, never, GatewayStore> =>
  Effect.flatMap(
    GatewayStore,
    (gateways) => Effect.forEach(seeds, ({ id, settings }) => gateways.create(id, settings), { discard: true })
  )

/** The settings without which the API refuses a create. */
const defaults: Gateway.Settings = Object.fromEntries(
  Object.values(settings).flatMap((setting) => setting.required ? [[setting.wire, setting.serverDefault]] : [])
)
