/**
 * Stores on a real Redis, on the test's own clock: one server for a test file, and an account for each use.
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { randomBytes } from "node:crypto"
import * as RedisConnection from "../../src/local/RedisConnection.ts"
import { redisOfFile } from "../support/redisOfFile.ts"

const url = redisOfFile()

export const target = () => {
  const target = RedisConnection.target(url())
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
