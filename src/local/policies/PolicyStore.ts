/**
 * The policies of gateways: drafts, what is committed, and the committed ones ready to be applied.
 *
 * A request must not pay for policies that are not there, so they are kept in memory. A change over this process's API
 * counts at once, one by another process on the same file within a second; Cloudflare takes up to 15 minutes.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Crypto from "effect/Crypto"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { isRecord, type JsonRecord } from "../../model/Json.ts"
import { ObjectStore, type StoredObject } from "../ObjectStore.ts"
import * as Policy from "./Policy.ts"

/**
 * A policy as it was given, at most one version of it committed and at most one not yet.
 *
 * @category models
 * @since 0.1.0
 */
export interface StoredPolicy {
  readonly id: string
  readonly committed: JsonRecord | undefined
  readonly draft: JsonRecord | undefined
  /** Milliseconds since the epoch. */
  readonly createdAt: number
  readonly modifiedAt: number
}

/**
 * A committed policy that cannot be applied, such as one that another version of this gateway has stored.
 *
 * @category errors
 * @since 0.1.0
 */
export class PolicyUnusable extends Schema.TaggedError<PolicyUnusable>("effect-ai-gateway/local/PolicyUnusable")(
  "PolicyUnusable",
  { gateway: Schema.String, policy: Schema.String, problem: Schema.String }
) {
  override get message(): string {
    return `Policy ${this.policy} of gateway ${this.gateway} cannot be applied: ${this.problem}`
  }
}

/**
 * @category services
 * @since 0.1.0
 */
export class PolicyStore extends Context.Service<PolicyStore, {
  /** The oldest first. */
  readonly list: (gateway: string) => Effect.Effect<ReadonlyArray<StoredPolicy>>
  readonly get: (gateway: string, id: string) => Effect.Effect<Option.Option<StoredPolicy>>
  readonly create: (gateway: string, body: JsonRecord, commit: boolean) => Effect.Effect<StoredPolicy>
  /** A draft leaves what is committed as it is. None when there is no such policy. */
  readonly replace: (
    gateway: string,
    id: string,
    body: JsonRecord,
    commit: boolean
  ) => Effect.Effect<Option.Option<StoredPolicy>>
  readonly remove: (gateway: string, id: string) => Effect.Effect<Option.Option<StoredPolicy>>
  readonly clear: (gateway: string) => Effect.Effect<void>
  /** What is committed, as requests meet it. */
  readonly enforced: (gateway: string) => Effect.Effect<ReadonlyArray<Policy.Policy>, PolicyUnusable>
}>()("effect-ai-gateway/local/PolicyStore") {}

/**
 * @category layers
 * @since 0.1.0
 */
export const layer: Layer.Layer<PolicyStore, never, ObjectStore | Crypto.Crypto> = Layer.effect(
  PolicyStore,
  Effect.gen(function*() {
    const objects = yield* ObjectStore
    const crypto = yield* Crypto.Crypto
    const known = new Map<string, Known>()
    let changes = 0
    const changed = <A>(gateway: string, change: Effect.Effect<A>) =>
      Effect.ensuring(
        change,
        Effect.sync(() => {
          changes++
          known.delete(gateway)
        })
      )

    const read = Effect.fnUntraced(function*(gateway: string, now: number) {
      const before = changes
      const found = yield* objects.list("policy", gateway)
      const policies = Result.all(
        found.map(fromObject).flatMap(({ committed, id }) =>
          committed === undefined ? [] : [applicable(gateway, id, committed)]
        )
      )
      // What was read before a change is as old as it.
      if (before === changes) known.set(gateway, { policies, until: now + 1000 })
      return yield* Effect.fromResult(policies)
    })

    return PolicyStore.of({
      list: (gateway) => Effect.map(objects.list("policy", gateway), (found) => found.map(fromObject)),
      get: (gateway, id) => Effect.map(objects.get("policy", gateway, id), Option.map(fromObject)),
      create: Effect.fnUntraced(function*(gateway, body, commit) {
        // Two policies may have the same name, two objects may not.
        const unique = yield* Effect.orDie(crypto.randomUUIDv4)
        const fields = commit ? { committed: body } : { draft: body }
        const created = yield* changed(gateway, objects.create("policy", gateway, unique, fields))
        return fromObject(Option.getOrThrow(created))
      }),
      replace: Effect.fnUntraced(function*(gateway, id, body, commit) {
        const before = yield* objects.get("policy", gateway, id)
        if (Option.isNone(before)) return Option.none()
        const { committed } = fromObject(before.value)
        const fields = commit ? { committed: body } : { ...(committed === undefined ? {} : { committed }), draft: body }
        return Option.map(yield* changed(gateway, objects.replace("policy", gateway, id, fields)), fromObject)
      }),
      remove: (gateway, id) =>
        Effect.map(changed(gateway, objects.remove("policy", gateway, id)), Option.map(fromObject)),
      clear: (gateway) => changed(gateway, objects.clear("policy", gateway)),
      enforced: (gateway) =>
        Effect.flatMap(Clock.currentTimeMillis, (now) => {
          const remembered = known.get(gateway)
          return remembered !== undefined && now < remembered.until
            ? Effect.fromResult(remembered.policies)
            : read(gateway, now)
        })
    })
  })
)

interface Known {
  readonly policies: Result.Result<ReadonlyArray<Policy.Policy>, PolicyUnusable>
  readonly until: number
}

const fromObject = ({ createdAt, fields: { committed, draft }, id, modifiedAt }: StoredObject): StoredPolicy => ({
  id,
  committed: isRecord(committed) ? committed : undefined,
  draft: isRecord(draft) ? draft : undefined,
  createdAt,
  modifiedAt
})

const applicable = (gateway: string, policy: string, body: JsonRecord) =>
  Result.mapError(
    Policy.decode(body),
    (problems) => new PolicyUnusable({ gateway, policy, problem: problems.map(({ message }) => message).join("; ") })
  )
