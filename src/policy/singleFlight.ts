/**
 * One run for all who want the same at the same time: the first runs, the others wait for what it brings.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"

/**
 * The part that a caller has.
 *
 * @category models
 * @since 0.1.0
 */
export type Part<A> =
  /** It runs, and says what the run brought. Without that, another takes over when it has left. */
  | { readonly role: "leader"; readonly land: (landing: Landing<A>) => void }
  /** It takes what the leader brought. */
  | { readonly role: "follower"; readonly value: A }
  /** It runs for itself. */
  | { readonly role: "alone" }

/**
 * What a run brought: something for all, or nothing that another could use.
 *
 * @category models
 * @since 0.1.0
 */
export type Landing<A> = { readonly shared: true; readonly value: A } | { readonly shared: false }

/**
 * @category models
 * @since 0.1.0
 */
export interface Flights<A> {
  /**
   * Takes part in the run of this key. Nothing can be interrupted but the wait, so that no leader is lost; `leave` is to be
   * run when the caller is done, however it ended.
   */
  readonly join: (
    key: string,
    wait: Duration.Duration,
    restore: <B, E, R>(effect: Effect.Effect<B, E, R>) => Effect.Effect<B, E, R>
  ) => Effect.Effect<{ readonly part: Part<A>; readonly leave: Effect.Effect<void> }>
}

/**
 * No run yet.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = <A>(): Flights<A> => {
  const flights = new Map<string, Flight<A>>()

  const lead = (key: string) => {
    const flight = takeOff<A>()
    flights.set(key, flight)
    return {
      part: {
        role: "leader" as const,
        land: (landing: Landing<A>) => flight.land(landing)
      },
      leave: Effect.sync(() => {
        flights.delete(key)
        flight.land("left")
      })
    }
  }

  return {
    join: (key, wait, restore) => {
      const before = (deadline: number): ReturnType<Flights<A>["join"]> =>
        Effect.suspend(() => {
          const flight = flights.get(key)
          if (flight === undefined) return Effect.succeed(lead(key))
          return Effect.flatMap(Clock.currentTimeMillis, (now) =>
            Effect.flatMap(
              restore(Effect.timeoutOption(Effect.promise(() => flight.landed), Math.max(0, deadline - now))),
              (landing) => {
                if (Option.isNone(landing)) return alone
                if (landing.value === "left") return before(deadline)
                if (!landing.value.shared) return alone
                return Effect.succeed({
                  part: { role: "follower" as const, value: landing.value.value },
                  leave: Effect.void
                })
              }
            ))
        })
      return Duration.isZero(wait)
        ? alone
        : Effect.flatMap(Clock.currentTimeMillis, (now) => before(now + Duration.toMillis(wait)))
    }
  }
}

interface Flight<A> {
  /** A promise and nothing of Effect: a Worker goes on after it in the request that waits, not in the one that landed. */
  readonly landed: Promise<Landing<A> | "left">
  /** The first landing counts. */
  readonly land: (landing: Landing<A> | "left") => void
}

const takeOff = <A>(): Flight<A> => {
  let land: Flight<A>["land"] = () => {}
  const landed = new Promise<Landing<A> | "left">((resolve) => {
    land = resolve
  })
  return { landed, land }
}

const alone = Effect.succeed({ part: { role: "alone" as const }, leave: Effect.void })
