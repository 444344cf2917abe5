import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { LocalGateway } from "../../src/local/index.ts"
import { manage } from "./talk.ts"

describe("gateways that a local gateway starts with", () => {
  it.live("are there when it is ready, with the defaults of what was left out", () =>
    Effect.gen(function*() {
      const gateway = yield* LocalGateway.make({ gateways: [{ id: "one", cache_ttl: 300 }, { id: "two" }] })
      const { result } = (yield* manage(gateway, "?order_by=id&order_by_direction=asc")).json
      assert.deepStrictEqual(
        result.map((
          _: { id: string; cache_ttl: number; collect_logs: boolean }
        ) => [_.id, _.cache_ttl, _.collect_logs]),
        [["one", 300, true], ["two", 0, true]]
      )
    }))

  it.live("are refused with everything that the management API would say of them", () =>
    Effect.gen(function*() {
      const { reason } = yield* Effect.flip(LocalGateway.make({
        gateways: [{ id: "One", cache_ttl: 5 }, { id: "two", nothing: 1 }]
      }))
      assert.deepStrictEqual(reason._tag === "InvalidGateways" ? reason.problems.map((_) => _.path) : reason, [
        [0, "id"],
        [0, "cache_ttl"],
        [1, "nothing"]
      ])
      assert.include(reason.message, "gateways[1].nothing: is not a setting of a gateway")
    }))
})
