/**
 * Policies of a gateway over the management API: drafts, commits and simulations.
 *
 * A policy is a draft until it is committed; a draft of a committed policy leaves what is committed in force. Lists show what
 * is committed, with `includeStaging=true` the drafts in their place; one policy is shown as committed where it can be. What
 * the body of a simulation's `identity` holds is not published: here it is `id`, `email`, `groups`, `custom`, `country` and
 * `metadata`, and `bucketUsage` is what was spent by a bucket's name, in each of its periods. Source: the wire reference, 5.3.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import type * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import * as HttpRouter from "effect/unstable/http/HttpRouter"
import { isRecord, type JsonRecord } from "../model/Json.ts"
import * as Envelope from "./Envelope.ts"
import * as Faces from "./Faces.ts"
import * as Fields from "./Fields.ts"
import { invalidInput } from "./Gateway.ts"
import { existing, make } from "./GatewayRoutes.ts"
import { GatewayStore } from "./GatewayStore.ts"
import * as Paging from "./Paging.ts"
import * as Condition from "./policies/Condition.ts"
import * as Policies from "./policies/Policies.ts"
import * as Policy from "./policies/Policy.ts"
import { PolicyStore, type StoredPolicy } from "./policies/PolicyStore.ts"
import * as RequestOptions from "./RequestOptions.ts"
import { Site } from "./Site.ts"
import * as V4 from "./V4.ts"

/**
 * @category layers
 * @since 0.1.0
 */
export const layer: Layer.Layer<never, never, HttpRouter.HttpRouter | Site | GatewayStore | PolicyStore> = HttpRouter
  .use(Effect.fnUntraced(function*(router) {
    const site = yield* Site
    const policies = yield* PolicyStore
    const ofGateway = make(V4.routes(router, site), yield* GatewayStore)
    const staging = (params: URLSearchParams) =>
      Effect.map(Paging.flag(params, "includeStaging"), (included) => included === true)
    const commits = (params: URLSearchParams) => Effect.map(Paging.flag(params, "commit"), (commit) => commit === true)
    const json = ({ request }: V4.Call) => Faces.readJson(request, site.bodyLimit)

    yield* ofGateway("GET", "/policies", ({ params }, gateway) =>
      Effect.gen(function*() {
        const withDrafts = yield* staging(params)
        const found = (yield* policies.list(gateway.id)).flatMap((policy) => shown(policy, withDrafts) ?? [])
        return Envelope.ok(found, {
          resultInfo: { page: 1, per_page: limit, count: found.length, total_count: found.length }
        })
      }))
    yield* ofGateway("POST", "/policies", (call, gateway) =>
      Effect.gen(function*() {
        const commit = yield* commits(call.params)
        const body = yield* valid(yield* json(call))
        if ((yield* policies.list(gateway.id)).length >= limit) {
          return yield* Effect.fail(Envelope.apiError(400, invalidInput, `A gateway has at most ${limit} policies`))
        }
        return Envelope.ok(described(yield* policies.create(gateway.id, body, commit), true))
      }))
    yield* ofGateway("POST", "/policies/commit", (_, gateway) =>
      Effect.gen(function*() {
        const committed: Array<JsonRecord> = []
        const errors: Array<JsonRecord> = []
        for (const { draft, id } of yield* policies.list(gateway.id)) {
          if (draft === undefined) continue
          // A draft may be of a version of this gateway that took what this one does not.
          const decoded = Policy.decode(draft)
          if (Result.isFailure(decoded)) {
            errors.push({ id, message: decoded.failure.map(({ message }) => message).join("; ") })
            continue
          }
          const done = yield* policies.replace(gateway.id, id, draft, true)
          if (Option.isSome(done)) committed.push(described(done.value, false))
        }
        return Envelope.ok({
          committed: committed.length,
          failed: errors.length,
          policies: committed,
          ...(errors.length === 0 ? {} : { errors })
        })
      }))
    yield* ofGateway("POST", "/policies/simulate", (call, gateway) =>
      Effect.gen(function*() {
        const withDrafts = yield* staging(call.params)
        const given = yield* simulationOf(yield* json(call))
        const bodies = (yield* policies.list(gateway.id))
          .map(({ committed, draft }) => withDrafts ? draft ?? committed : committed)
          .filter((body) => body !== undefined)
        const applied = yield* Effect.forEach(bodies, usable)
        return Envelope.ok(yield* simulate(applied, given))
      }))
    yield* ofGateway("GET", "/policies/:id", ({ params, path }, gateway) =>
      Effect.gen(function*() {
        const withDrafts = yield* staging(params)
        const found = yield* existing(policies.get(gateway.id, path[4] ?? ""), "Policy")
        return Envelope.ok(described(found, withDrafts))
      }))
    yield* ofGateway("PUT", "/policies/:id", (call, gateway) =>
      Effect.gen(function*() {
        const commit = yield* commits(call.params)
        const body = yield* valid(yield* json(call))
        const replaced = policies.replace(gateway.id, call.path[4] ?? "", body, commit)
        return Envelope.ok(described(yield* existing(replaced, "Policy"), true))
      }))
    yield* ofGateway("DELETE", "/policies/:id", ({ path }, gateway) =>
      Effect.map(
        existing(policies.remove(gateway.id, path[4] ?? ""), "Policy"),
        (removed) => Envelope.ok(described(removed, false))
      ))
  }))

/** Each of them is evaluated for every request. */
const limit = 100

/** What clients send back that is the server's. */
const responseOnly = new Set(["id", "created_at", "updated_at", "committed"])

const valid = (given: unknown): Effect.Effect<JsonRecord, Envelope.ApiError> => {
  const body: unknown = isRecord(given)
    ? Object.fromEntries(Object.entries(given).filter(([name]) => !responseOnly.has(name)))
    : given
  const decoded = Policy.decode(body)
  return Result.isSuccess(decoded) && isRecord(body)
    ? Effect.succeed(withTechnique(body))
    : refused(Result.isFailure(decoded) ? decoded.failure : [])
}

const refused = (errors: ReadonlyArray<Envelope.Notice>) => Effect.fail(new Envelope.ApiError({ status: 400, errors }))

/** The only one there is. */
const withTechnique = (body: JsonRecord): JsonRecord =>
  isRecord(body["action"]) && body["action"]["type"] === "limit"
    ? { ...body, action: { ...body["action"], technique: "named-interval" } }
    : body

/** The draft where it is wanted or there is nothing else. */
const described = (policy: StoredPolicy, withDraft: boolean): JsonRecord => {
  const { committed, createdAt, draft, id, modifiedAt } = policy
  const isDraft = draft !== undefined && (withDraft || committed === undefined)
  return {
    ...(isDraft ? draft : committed),
    id,
    committed: !isDraft,
    created_at: Math.floor(createdAt / 1000),
    updated_at: Math.floor(modifiedAt / 1000)
  }
}

const shown = (policy: StoredPolicy, withDrafts: boolean): JsonRecord | undefined =>
  withDrafts || policy.committed !== undefined ? described(policy, withDrafts) : undefined

const usable = (body: JsonRecord): Effect.Effect<Policy.Policy, Envelope.ApiError> => {
  const decoded = Policy.decode(body)
  if (Result.isSuccess(decoded)) return Effect.succeed(decoded.success)
  const problem = decoded.failure.map(({ message }) => message).join("; ")
  return Effect.fail(Envelope.apiError(400, invalidInput, `The policy ${String(body["name"])} is unusable: ${problem}`))
}

interface Simulation {
  readonly facts: Condition.Facts
  readonly provider: string
  readonly model: string
  readonly usage: JsonRecord
}

const short: Fields.Field["check"] = (u) =>
  typeof u === "string" && u !== "" && u.length <= 256 ? undefined : "a text of 1 to 256 characters"

const shorts: Fields.Field["check"] = (u) =>
  Array.isArray(u) && u.length <= 64 && u.every((_) => short(_) === undefined)
    ? undefined
    : "a list of at most 64 texts of 1 to 256 characters"

const each = (check: Fields.Field["check"], expected: string, most: number): Fields.Field["check"] => (u) =>
  isRecord(u) && Object.keys(u).length <= most && Object.values(u).every((_) => check(_) === undefined)
    ? undefined
    : expected

const claim: Fields.Field["check"] = (u) =>
  typeof u === "number" || typeof u === "boolean" || short(u) === undefined || shorts(u) === undefined
    ? undefined
    : "a claim"

const simulation = {
  identity: Fields.optional((u) => isRecord(u) ? undefined : "an object"),
  model: Fields.required(short),
  provider: Fields.required(short),
  bucketUsage: Fields.optional(
    each(
      (u) => typeof u === "number" && Number.isFinite(u) && u >= 0 ? undefined : "an amount",
      "an object of US dollars from 0 by the names of buckets",
      1000
    )
  )
}

const identity = {
  id: Fields.optional(short),
  email: Fields.optional(short),
  groups: Fields.optional(shorts),
  custom: Fields.optional(
    each(
      claim,
      "an object of at most 64 claims, each a number, true, false, a text of 1 to 256 characters or at most 64 of those",
      64
    )
  ),
  country: Fields.optional(short),
  metadata: Fields.optional((u) => isRecord(u) ? undefined : "an object")
}

const simulationOf = (body: unknown): Effect.Effect<Simulation, Envelope.ApiError> => {
  const problems = [...Fields.problems(body, simulation, ["body"])]
  const given: JsonRecord = isRecord(body) ? body : {}
  const who: JsonRecord = isRecord(given["identity"]) ? given["identity"] : {}
  problems.push(...Fields.problems(who, identity, ["body", "identity"]))
  if (problems.length > 0) return refused(problems)
  const text = (u: unknown) => typeof u === "string" ? u : undefined
  const { country, custom, email, groups, id, metadata } = who
  return Effect.succeed({
    facts: Condition.facts(
      {
        id: text(id),
        email: text(email),
        country: text(country),
        groups: Array.isArray(groups) ? groups.map(String) : undefined,
        custom: isRecord(custom) ? custom : undefined
      },
      RequestOptions.metadata(metadata)
    ),
    provider: String(given["provider"]),
    model: String(given["model"]),
    usage: isRecord(given["bucketUsage"]) ? given["bucketUsage"] : {}
  })
}

const simulate = (policies: ReadonlyArray<Policy.Policy>, { facts, model, provider, usage }: Simulation) =>
  Effect.gen(function*() {
    const decision = Policies.decide(policies, facts, { model, provider })
    const buckets = decision.type === "allow" ? decision.buckets : []
    const over = yield* Policies.excess(
      buckets,
      ({ name }) => Effect.succeed(Object.hasOwn(usage, name) ? Number(usage[name]) : 0)
    )
    const enforcement = decision.type === "block"
      ? { allowed: false, reason: "Access denied by policy", policyName: decision.policy }
      : decision.type === "no-match"
      ? { allowed: false, reason: "Access denied by policy: no policy applies" }
      : over !== undefined
      ? {
        allowed: false,
        reason: "Spending limit exceeded",
        bucket: over.bucket.name,
        spent: over.spent,
        limit: over.cap.amount,
        policyName: over.cap.policy
      }
      : { allowed: true, reason: policies.length === 0 ? "The gateway has no policies" : "Within every limit" }
    return {
      evaluation: {
        decision: decision.type,
        buckets: buckets.map(({ actor, caps, name, resource, unlimited }) => ({
          bucket: name,
          actor,
          resource,
          noLimit: unlimited,
          limits: caps.map(({ amount, period, policy }) => ({ amount, period, policyName: policy }))
        }))
      },
      enforcement,
      policiesEvaluated: policies.length
    }
  })
