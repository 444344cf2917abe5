/**
 * What the owner of a gateway must know about its settings on this machine: those that are stored without effect here,
 * and rules that there are none for.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Gateway from "./Gateway.ts"
import { GatewayStore } from "./GatewayStore.ts"
import * as Inspection from "./Inspection.ts"

/**
 * A sentence for each.
 *
 * @category getters
 * @since 0.1.0
 */
export const of = (settings: Gateway.Settings): Effect.Effect<ReadonlyArray<string>> =>
  Effect.map(
    Inspection.Current,
    (inspection) => [...Gateway.notEnforced(settings), ...inspection.notices(settings)]
  )

/**
 * Says them for the gateways that are there when the local gateway starts.
 *
 * @category constructors
 * @since 0.1.0
 */
export const log: Effect.Effect<void, never, GatewayStore> = Effect.gen(function*() {
  const gateways = yield* GatewayStore
  for (let page = 1;; page++) {
    const { gateways: found } = yield* gateways.list({ page, perPage, orderBy: "id", direction: "asc" })
    for (const { id, settings } of found) {
      for (const notice of yield* of(settings)) yield* Effect.logWarning(`Gateway ${id}: ${notice}`)
    }
    if (found.length < perPage) return
  }
})

const perPage = 100
