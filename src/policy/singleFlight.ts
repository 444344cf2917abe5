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
  | {
    /** Others wait for a leader, and for one alone nobody does: it waited too long, or for what it cannot share. */
    readonly role: "leader" | "alone"
    /** Says what the run brought; the first time counts. A leader that leaves without has its place taken by another. */
    readonly land: (landing: Landing<A>) => void
    /** To be run when the caller is done, however that ended. */
    readonly leave: Effect.Effect<void>
  }
  /** It takes what the leader brought. */
  | { readonly role: "follower"; readonly value: A }

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
   * Takes part in the run of this key, waiting for no longer than `wait`. To be run where nothing can be interrupted, so
   * that each leader leaves; the wait is restored.
   */
  readonly join: (
    key: string,
    wait: Duration.Duration,
    restore: <B, E, R>(effect: Effect.Effect<B, E, R>) => Effect.Effect<B, E, R>
  ) => Effect.Effect<Part<A>>
}

/**
 * No run yet.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = <A>(): Flights<A> => {
  const flights = new Map<string, Flight<A>>()

  const lead = (key: string): Part<A> => {
    const flight = takeOff<A>()
    flights.set(key, flight)
    return {
      role: "leader",
      land: flight.land,
      leave: Effect.sync(() => {
        flights.delete(key)
        flight.land("left")
      })
    }
  }

  const join = (
    key: string,
    deadline: number,
    restore: Parameters<Flights<A>["join"]>[2]
  ): Effect.Effect<Part<A>> =>
    Effect.flatMap(Clock.currentTimeMillis, (now) => {
      const flight = flights.get(key)
      if (flight === undefined) return Effect.succeed(lead(key))
      const landed = Effect.timeoutOption(Effect.promise(() => flight.landed), Math.max(0, deadline - now))
      return Effect.flatMap(restore(landed), (landing): Effect.Effect<Part<A>> => {
        if (Option.isNone(landing)) return Effect.succeed(alone)
        if (landing.value === "left") return join(key, deadline, restore)
        return Effect.succeed(landing.value.shared ? { role: "follower", value: landing.value.value } : alone)
      })
    })

  return {
    join: (key, wait, restore) =>
      Duration.isZero(wait)
        ? Effect.succeed(alone)
        : Effect.flatMap(Clock.currentTimeMillis, (now) => join(key, now + Duration.toMillis(wait), restore))
  }
}

interface Flight<A> {
  /** A promise and nothing of Effect: a Worker goes on after it in the request that waits, not in the one that landed. */
  readonly landed: Promise<Landing<A> | "left">
  readonly land: (landing: Landing<A> | "left") => void
}

const takeOff = <A>(): Flight<A> => {
  let land: Flight<A>["land"] = () => {}
  const landed = new Promise<Landing<A> | "left">((resolve) => {
    land = resolve
  })
  return { landed, land }
}

const alone = { role: "alone" as const, land: () => {}, leave: Effect.void }
