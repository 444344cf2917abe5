/**
 * Effect's `Crypto` on Node, with ids that are made by Node's own generator: every request needs some.
 *
 * @since 0.1.0
 */
import * as NodeCrypto from "@effect/platform-node-shared/NodeCrypto"
import * as Crypto from "effect/Crypto"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { randomUUID } from "node:crypto"

/**
 * The context's, so that tests own the ids; in place of Effect's own for Node one that has the randomness of many ids
 * drawn at once.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make: Effect.Effect<Crypto.Crypto> = Effect.map(
  Effect.serviceOption(Crypto.Crypto),
  Option.match({ onNone: () => pooled, onSome: (given) => given === NodeCrypto.make ? pooled : given })
)

const pooled: Crypto.Crypto = {
  ...NodeCrypto.make,
  randomUUIDv4: Effect.sync(() => randomUUID()),
  randomUUIDv7: Effect.clockWith((clock) => Effect.succeed(v7(clock.currentTimeMillisUnsafe(), randomUUID())))
}

/** Time and version stand where those of the random id did (RFC 9562, 5.7); the variant is the same. */
const v7 = (millis: number, random: string): string => {
  const time = Math.min(Math.max(0, Math.trunc(millis)), 2 ** 48 - 1).toString(16).padStart(12, "0")
  return `${time.slice(0, 8)}-${time.slice(8)}-7${random.slice(15)}`
}
