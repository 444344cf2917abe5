/**
 * Stores on a real Redis, on the test's own clock: one server for a test file, and an account for each use.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Scope from "effect/Scope"
import { randomBytes } from "node:crypto"
import { afterAll, beforeAll } from "vitest"
import * as RedisConnection from "../../src/local/RedisConnection.ts"
import { isMissing, type Redis, redis } from "../support/redis.ts"

const scope = Scope.makeUnsafe()
let server: Redis | undefined

if (!isMissing) {
  beforeAll(async () => {
    server = await Effect.runPromise(Scope.provide(redis(), scope))
  })
  afterAll(() => Effect.runPromise(Scope.close(scope, Exit.void)))
}

export const target = () => {
  const target = RedisConnection.target(server?.url ?? "")
  if (target === undefined) throw new Error("there is no Redis")
  return target
}

export const newAccount = () => randomBytes(16).toString("hex")

export const connection = <A>(
  layer: (account: string) => Layer.Layer<A, never, RedisConnection.RedisConnection>
): Layer.Layer<A> =>
  Layer.unwrap(Effect.sync(() =>
    layer(newAccount()).pipe(
      Layer.provide(RedisConnection.layer(target(), { time: "clock", consequence: "the test fails" })),
      Layer.orDie
    )
  ))
