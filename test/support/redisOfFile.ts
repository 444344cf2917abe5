/**
 * One real Redis for all tests of a file; the URL is there once they run.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"
import { afterAll, beforeAll } from "vitest"
import { isMissing, type Redis, redis } from "./redis.ts"

export const redisOfFile = (): () => string => {
  const scope = Scope.makeUnsafe()
  let server: Redis | undefined
  if (!isMissing) {
    beforeAll(async () => {
      server = await Effect.runPromise(Scope.provide(redis(), scope))
    })
    afterAll(() => Effect.runPromise(Scope.close(scope, Exit.void)))
  }
  return () => {
    if (server === undefined) throw new Error("there is no Redis")
    return server.url
  }
}
