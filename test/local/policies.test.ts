import { assert, describe, it, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import { TestClock } from "effect/testing"
import * as fc from "fast-check"
import { LocalGateway } from "../../src/local/index.ts"
import type { Metadata } from "../../src/local/LogStore.ts"
import * as Condition from "../../src/local/policies/Condition.ts"
import * as Policies from "../../src/local/policies/Policies.ts"
import * as Policy from "../../src/local/policies/Policy.ts"
import { PolicyStore } from "../../src/local/policies/PolicyStore.ts"
import * as RateLimitStore from "../../src/local/RateLimitStore.ts"
import { type Ask, chat, run } from "./pipeline.ts"
import { create, data, type Gateway, manage } from "./talk.ts"
import { temporaryFile } from "./temporaryFile.ts"

const native = "@cf/meta/llama-3.1-8b-instruct"

const policy = (more: object = {}) => ({
  name: "all",
  actor: "{metadata.user}",
  resource: "*",
  action: { type: "no-limit" },
  ...more
})
const limit = (amount: number, period = "daily") => ({ type: "limit", amount, period, technique: "named-interval" })
const block = { type: "block" }
const by = (metadata: object, dollars = 0, more: Ask = {}): Ask => ({
  ...more,
  headers: {
    "cf-aig-metadata": JSON.stringify(metadata),
    "cf-aig-custom-cost": JSON.stringify({ total_cost: dollars })
  }
})
const claude: Ask = { provider: "anthropic", path: "v1/messages", body: { model: "claude-sonnet-4-5" } }

/** A gateway with committed policies. */
const withPolicies = <A, E>(
  policies: ReadonlyArray<object>,
  use: Parameters<typeof run<A, E>>[2],
  settings: object = {}
) =>
  run({ ...settings }, chat, (gateway) =>
    Effect.gen(function*() {
      for (const one of policies) yield* gateway.policies.create("gw", { ...one }, true)
      return yield* use(gateway)
    }))

const statuses = (
  ask: (ask: Ask) => Effect.Effect<{ readonly status: number }>,
  asks: ReadonlyArray<Ask>
) => Effect.map(Effect.forEach(asks, ask), (replies) => replies.map(({ status }) => status))

describe("policies", () => {
  it.effect("POL-01: refuse with 403 what none of them applies to, once there is one", () =>
    withPolicies([], ({ ask, calls, logs, policies }) =>
      Effect.gen(function*() {
        assert.strictEqual((yield* ask()).status, 200)
        const { id } = yield* policies.create("gw", policy({ resource: { model: "openai/gpt-4o*" } }), true)
        const refused = yield* ask()
        assert.deepStrictEqual([refused.status, JSON.parse(refused.text)], [403, {
          success: false,
          error: { message: "Access denied by policy" }
        }])
        assert.strictEqual(refused.headers["content-type"], "application/json")
        assert.deepStrictEqual(yield* statuses(ask, [by({ user: "a" }), by({ user: "a" }, 0, claude)]), [200, 403])
        assert.strictEqual(calls(), 2)
        assert.deepInclude((yield* logs)[0], { statusCode: 403, success: false, cost: 0 })
        yield* policies.remove("gw", id)
        assert.strictEqual((yield* ask()).status, 200)
      })))

  it.effect("POL-01: refuse with 429 once a bucket has reached its cap, each actor's its own", () =>
    withPolicies([policy({ action: limit(1) })], ({ ask, calls }) =>
      Effect.gen(function*() {
        assert.deepStrictEqual(yield* statuses(ask, [by({ user: "a" }, 0.7), by({ user: "a" }, 0.7)]), [200, 200])
        const refused = yield* ask(by({ user: "a" }, 0.7))
        assert.deepStrictEqual([refused.status, JSON.parse(refused.text)], [429, {
          success: false,
          error: { message: "Spending limit exceeded", bucket: "a:*", spent: 1.4, limit: 1 }
        }])
        assert.strictEqual((yield* ask(by({ user: "b" }, 0.7))).status, 200)
        assert.strictEqual(calls(), 3)
      })))

  it.effect("POL-01: block before anything else is asked, and with except all but what they name", () =>
    Effect.gen(function*() {
      const [free, bad] = [by({ user: "a" }), by({ user: "a", role: "guest" })]
      yield* withPolicies(
        [policy(), policy({ condition: "metadata.role == 'guest'", action: block })],
        ({ ask }) => Effect.map(statuses(ask, [free, bad]), (found) => assert.deepStrictEqual(found, [200, 403]))
      )
      const except = policy({ resource: { provider: "anthropic" }, action: { type: "block", except: true } })
      const other = by({ user: "a" }, 0, claude)
      yield* withPolicies(
        [policy(), except],
        ({ ask }) => Effect.map(statuses(ask, [free, other]), (found) => assert.deepStrictEqual(found, [403, 200]))
      )
      // An exception lets nothing through by itself.
      yield* withPolicies(
        [except],
        ({ ask }) => Effect.map(statuses(ask, [free, other]), (found) => assert.deepStrictEqual(found, [403, 403]))
      )
    }))

  it.effect("POL-01: take the highest of several caps for one period, every bucket's cap, and none where there is no limit", () =>
    Effect.gen(function*() {
      const paid = by({ user: "a", team: "t" }, 1)
      const check = (policies: ReadonlyArray<object>, expected: ReadonlyArray<number>) =>
        withPolicies(policies, ({ ask }) =>
          Effect.map(
            statuses(ask, expected.map(() => paid)),
            (found) => assert.deepStrictEqual(found, expected, JSON.stringify(policies))
          ))
      yield* check([policy({ action: limit(1) }), policy({ action: limit(2) })], [200, 200, 429])
      yield* check([policy({ action: limit(3) }), policy({ action: limit(1, "monthly") })], [200, 429])
      yield* check([policy({ action: limit(3) }), policy({ actor: "{metadata.team}", action: limit(2) })], [
        200,
        200,
        429
      ])
      yield* check([policy({ action: limit(1) }), policy()], [200, 200, 200])
      // Another bucket's freedom is not this one's.
      yield* check([policy({ action: limit(1) }), policy({ actor: "{metadata.team}" })], [200, 429])
    }))

  for (
    const [period, start, before, after] of [
      ["hourly", "2026-03-01T10:30:00Z", "29 minutes", "1 minute"],
      ["daily", "2026-03-01T00:00:00Z", "1439 minutes", "1 minute"],
      // A Sunday: the week ends with it.
      ["weekly", "2026-03-01T12:00:00Z", "719 minutes", "1 minute"],
      ["monthly", "2026-02-01T00:00:00Z", "671 hours", "1 hour"]
    ] as const
  ) {
    it.effect(`POL-01: begin ${period} limits anew with the calendar in UTC`, () =>
      Effect.gen(function*() {
        yield* TestClock.setTime(Date.parse(start))
        yield* withPolicies([policy({ action: limit(1, period) })], ({ ask }) =>
          Effect.gen(function*() {
            const paid = by({ user: "a" }, 1)
            assert.deepStrictEqual(yield* statuses(ask, [paid, paid]), [200, 429])
            yield* TestClock.adjust(before)
            assert.strictEqual((yield* ask(paid)).status, 429)
            yield* TestClock.adjust(after)
            assert.deepStrictEqual(yield* statuses(ask, [paid, paid]), [200, 429])
          }))
      }))
  }

  it.effect("POL-01: hold where their condition does, and not where it needs what a request lacks or compares what it cannot", () =>
    withPolicies(
      [policy({ actor: "all", condition: "metadata.level > 2 && !('banned' in metadata)" })],
      ({ ask }) =>
        Effect.gen(function*() {
          assert.deepStrictEqual(
            yield* statuses(ask, [
              by({ level: 3 }),
              by({ level: 2 }),
              by({ level: 3, banned: true }),
              by({ level: "3" }),
              by({}),
              {},
              // Nested values make the whole metadata void.
              by({ level: 3, more: { a: 1 } }),
              by({ level: 3, long: "x".repeat(1100) })
            ]),
            [200, 403, 403, 403, 403, 403, 403, 403]
          )
        })
    ))

  it.effect("POL-01: never apply to a request where they need who Cloudflare Access says it is", () =>
    Effect.gen(function*() {
      for (
        const needs of [
          { actor: "{cf.user.email}" },
          { actor: "{cf.user.id}" },
          { condition: "cf.user.email.endsWith('@example.com')" },
          { condition: "'eng' in cf.user.groups" },
          { condition: "cf.custom.team == 'a' || cf.country == 'NZ'" }
        ]
      ) {
        const metadata = by({ user: "a", "cf.user.email": "a@example.com", cf: "x" })
        const found = yield* withPolicies([policy(needs)], ({ ask }) => ask(metadata))
        assert.strictEqual(found.status, 403, JSON.stringify(needs))
      }
    }))

  it.effect("POL-01: leave hits of the cache alone", () =>
    withPolicies([policy({ action: limit(1) })], ({ ask }) =>
      Effect.gen(function*() {
        const paid = by({ user: "a" }, 5)
        assert.strictEqual((yield* ask(paid)).status, 200)
        assert.strictEqual((yield* ask({ ...paid, body: { model: "gpt-4o-mini", n: 1 } })).status, 429)
        assert.strictEqual((yield* ask(paid)).headers["cf-aig-cache-status"], "HIT")
        assert.strictEqual((yield* ask()).headers["cf-aig-cache-status"], "HIT", "which no policy applies to")
      }), { cache_ttl: 300 }))

  it.effect("POL-01: send a universal request on to a step that they allow, and leave one that is refused anyway alone", () =>
    withPolicies([policy({ resource: { provider: "anthropic" } })], ({ ask, askAll }) =>
      Effect.gen(function*() {
        const { headers = {} } = by({ user: "a" })
        const answer = yield* askAll([{}, claude], headers)
        assert.deepStrictEqual([answer.status, answer.headers["cf-aig-step"]], [200, "1"])
        assert.strictEqual((yield* ask({ provider: "compat", path: "chat/completions", body: {} })).status, 400)
      })))

  it.effect("POL-01: come before spend limits and after the gateway's rate limit", () =>
    withPolicies([policy()], ({ ask }) =>
      Effect.gen(function*() {
        assert.deepStrictEqual(yield* statuses(ask, [by({ user: "a" }, 1), {}, {}]), [200, 403, 429])
      }), {
      rate_limiting_limit: 2,
      rate_limiting_interval: 60,
      rate_limiting_technique: "fixed",
      spend_limits: { enabled: true, rules: [{ id: "a", limitType: "cost", limit: 1, window: 60, technique: "fixed" }] }
    }))

  it.effect("POL-01: let requests pass that they cannot judge, and warn", () =>
    Effect.gen(function*() {
      const lines: Array<string> = []
      const listening = Logger.layer([Logger.make(({ cause, message }) => void lines.push(`${message} ${cause}`))])
      yield* withPolicies([policy({ condition: "of another version (" })], ({ ask }) =>
        Effect.map(ask(), ({ status }) => assert.strictEqual(status, 200))).pipe(Effect.provide(listening))
      assert.match(lines.join(), /Gateway gw: a request passed although.*cannot be applied: body.condition/s)

      const broken = RateLimitStore.RateLimitStore.of({
        take: () =>
          Effect.succeed(true),
        add: () => Effect.void,
        total: () => Effect.die(new Error("the disk is full")),
        clear: () => Effect.void
      })
      const made = Result.getOrThrow(Policy.decode(policy({ action: limit(1) })))
      const store = Layer.mock(PolicyStore, { enforced: () => Effect.succeed([made]) })
      const target = { provider: "openai", model: "gpt", metadata: { user: "a" } }
      const passed = yield* Effect.flatMap(PolicyStore, (policies) => Policies.check(policies, broken, "gw", target))
        .pipe(
          Effect.provide([store, listening])
        )
      assert.deepStrictEqual(passed, [])
      assert.match(lines.join(), /the disk is full/)
    }))

  it.effect("POL-01: book what streams cost when they have ended", () =>
    run({}, (n) =>
      new Response(
        `data: ${JSON.stringify({ id: n, model: "gpt-4o-mini", choices: [] })}\n\ndata: [DONE]\n\n`,
        { headers: { "content-type": "text/event-stream" } }
      ), ({ ask, open, policies }) =>
      Effect.gen(function*() {
        yield* policies.create("gw", policy({ action: limit(1) }), true)
        const paid = by({ user: "a" }, 1, { body: { model: "gpt-4o-mini", stream: true } })
        yield* open(paid)
        assert.deepStrictEqual(yield* statuses(ask, [paid, paid]), [200, 429])
      })))
})

const api = (gateway: Gateway, id: string) => (path: string, init: { method?: string; body?: unknown } = {}) =>
  manage(gateway, `/${id}/policies${path}`, init)

layer(LocalGateway.layerTest, { excludeTestServices: true })("policies over the API", (it) => {
  it.effect("POL-01: are drafts until they are committed, and drafts of a committed one leave it in force", () =>
    Effect.gen(function*() {
      const gateway = yield* LocalGateway.LocalGateway
      yield* create(gateway, "drafts")
      const at = api(gateway, "drafts")
      const ask = Effect.map(
        data(gateway, `drafts/workers-ai/${native}`, { body: { prompt: "hi" } }),
        ({ status }) => status
      )
      const made = (yield* at("", { body: policy() })).json
      assert.deepInclude(made.result, { ...policy(), committed: false })
      assert.match(made.result.id, /^[0-9a-f]{32}$/)
      assert.isBelow(Math.abs(made.result.created_at - Date.now() / 1000), 60)
      assert.deepStrictEqual((yield* at("")).json.result, [])
      assert.deepStrictEqual((yield* at("?includeStaging=true")).json.result, [made.result])
      assert.deepStrictEqual((yield* at(`/${made.result.id}`)).json.result, made.result)
      assert.strictEqual(yield* ask, 200)

      const { committed, failed, policies } = (yield* at("/commit", { method: "POST" })).json.result
      assert.deepStrictEqual([committed, failed, policies.length, policies[0].committed], [1, 0, 1, true])
      assert.strictEqual(yield* ask, 403)

      // What the API answers is taken back.
      const draft = { ...policies[0], actor: "anybody", action: { type: "limit", amount: 5, period: "weekly" } }
      const put = (yield* at(`/${made.result.id}`, { method: "PUT", body: draft })).json.result
      assert.deepInclude(put, { actor: "anybody", action: limit(5, "weekly"), committed: false })
      assert.deepStrictEqual((yield* at("")).json.result.map((_: { actor: string }) => _.actor), ["{metadata.user}"])
      assert.strictEqual((yield* at(`/${made.result.id}`)).json.result.committed, true)
      assert.strictEqual((yield* at(`/${made.result.id}?includeStaging=true`)).json.result.actor, "anybody")
      assert.strictEqual(yield* ask, 403)
      yield* at(`/${made.result.id}?commit=true`, { method: "PUT", body: draft })
      assert.strictEqual(yield* ask, 200)
      assert.strictEqual((yield* at("/commit", { method: "POST" })).json.result.committed, 0)

      yield* at("?commit=true", { body: policy({ action: block, actor: "anybody" }) })
      assert.strictEqual(yield* ask, 403)
      const [, blocking] = (yield* at("")).json.result
      assert.strictEqual((yield* at(`/${blocking.id}`, { method: "DELETE" })).json.result.id, blocking.id)
      assert.strictEqual(yield* ask, 200)
      for (const method of ["GET", "DELETE"]) {
        const { json, status } = yield* at(`/${blocking.id}`, { method })
        assert.deepStrictEqual([status, json.errors[0].code], [404, 7002])
      }
      assert.strictEqual((yield* at(`/${blocking.id}`, { method: "PUT", body: policy() })).status, 404)
      assert.strictEqual((yield* api(gateway, "nowhere")("")).status, 404)
    }))

  it.effect("POL-01: are refused with every problem and its place", () =>
    Effect.gen(function*() {
      const gateway = yield* LocalGateway.LocalGateway
      yield* create(gateway, "strict")
      const at = api(gateway, "strict")
      const problems = (body: unknown) =>
        Effect.map(at("", { body }), ({ json, status }) => {
          assert.strictEqual(status, 400)
          return json.errors.map((_: { message: string; path: ReadonlyArray<string> }) => {
            assert.isTrue(_.message.startsWith(_.path.join(".")))
            return _.message
          })
        })
      assert.deepStrictEqual(
        yield* problems({
          name: "",
          actor: "{cf.user.name}",
          resource: { models: ["a"], provider: [] },
          condition: "metadata.a == ",
          action: { type: "limit", amount: 0, period: "yearly" },
          more: 1
        }),
        [
          "body.name: expected a text of 1 to 256 characters",
          "body.more: is not a field of this object",
          "body.actor: {cf.user.name} is not known: use {cf.user.id}, {cf.user.email} or {metadata.<key>}",
          "body.resource.provider: expected a list of at least 1",
          "body.resource.models: is not a field of this object",
          "body.action.amount: expected a number of US dollars above 0",
          "body.action.period: expected one of hourly, daily, weekly, monthly",
          "body.condition: Unexpected token: EOF (at character 15)"
        ]
      )
      assert.deepStrictEqual(yield* problems({}), [
        "body.name: is required",
        "body.actor: is required",
        "body.resource: is required",
        "body.action: is required"
      ])
      assert.deepStrictEqual(yield* problems([]), ["body: expected a JSON object"])
      for (
        const [more, expected] of [
          [{ actor: "{metadata.a" }, "body.actor: expected a } for every {"],
          [{ resource: {} }, "body.resource: expected model or provider in it"],
          [{ resource: "gpt" }, "body.resource: expected \"*\", or an object with model, provider or both"],
          [{ action: { type: "no-limit", amount: 1 } }, "body.action.amount: is not a field of this object"],
          [{ condition: "user.id == 1" }, "body.condition: Unknown variable: user (at character 1)"],
          [
            { condition: "size(metadata)" },
            "body.condition: expected an expression that is true or false, and not of type int"
          ]
        ] as const
      ) assert.deepStrictEqual(yield* problems(policy(more)), [expected])
      assert.strictEqual((yield* at("?commit=maybe", { body: policy() })).status, 400)
      assert.deepStrictEqual((yield* at("?includeStaging=true")).json.result, [])
    }))

  it.effect("POL-01: say in a simulation what would become of a request, with an identity", () =>
    Effect.gen(function*() {
      const gateway = yield* LocalGateway.LocalGateway
      yield* create(gateway, "simulated")
      const at = api(gateway, "simulated")
      const simulate = (body: object, query = "") =>
        Effect.map(
          at(`/simulate${query}`, { body: { provider: "openai", model: "gpt-4o", ...body } }),
          (_) => _.json.result ?? _.json.errors
        )
      assert.deepInclude((yield* simulate({})).enforcement, { allowed: true })
      yield* at("?commit=true", {
        body: policy({
          name: "engineers",
          actor: "{cf.user.email}",
          condition: "'eng' in cf.user.groups && cf.custom.levels.exists(l, l == 'high') && cf.country == 'NZ'",
          action: limit(10, "monthly")
        })
      })
      const identity = {
        email: "a@example.com",
        groups: ["eng"],
        custom: { levels: ["low", "high"] },
        country: "NZ",
        metadata: { a: 1 }
      }
      const bucket = "a@example.com:*"
      assert.deepStrictEqual(yield* simulate({ identity, bucketUsage: { [bucket]: 9 } }), {
        evaluation: {
          decision: "allow",
          buckets: [{
            bucket,
            actor: "a@example.com",
            resource: "*",
            noLimit: false,
            limits: [{ amount: 10, period: "monthly", policyName: "engineers" }]
          }]
        },
        enforcement: { allowed: true, reason: "Within every limit" },
        policiesEvaluated: 1
      })
      assert.deepStrictEqual((yield* simulate({ identity, bucketUsage: { [bucket]: 10 } })).enforcement, {
        allowed: false,
        reason: "Spending limit exceeded",
        bucket,
        spent: 10,
        limit: 10,
        policyName: "engineers"
      })
      assert.strictEqual((yield* simulate({ identity: { ...identity, groups: [] } })).evaluation.decision, "no-match")
      yield* at("", { body: policy({ name: "none", actor: "all", action: block }) })
      assert.strictEqual((yield* simulate({ identity })).enforcement.allowed, true)
      assert.deepInclude((yield* simulate({ identity }, "?includeStaging=true")).enforcement, {
        allowed: false,
        policyName: "none"
      })
      assert.deepStrictEqual(
        (yield* simulate({ identity: { name: "a" }, model: 1, bucketUsage: { a: -1 } })).map(
          (_: { path: ReadonlyArray<string> }) => _.path.join(".")
        ),
        ["body.model", "body.bucketUsage", "body.identity.name"]
      )
    }))

  it.effect("POL-01: send a dynamic route on to the fallback of a model that they refuse", () =>
    Effect.gen(function*() {
      const gateway = yield* LocalGateway.LocalGateway
      yield* create(gateway, "routed")
      const model = (id: string, fallback: string, name: string) => ({
        id,
        type: "model",
        properties: { provider: "workers-ai", model: name, timeout: 1000, retries: 0 },
        outputs: { success: { elementId: "end" }, fallback: { elementId: fallback } }
      })
      yield* manage(gateway, "/routed/routes", {
        body: {
          name: "support",
          elements: [
            { id: "start", type: "start", outputs: { next: { elementId: "large" } } },
            model("large", "small", "@cf/meta/llama-3.3-70b-instruct-fp8-fast"),
            model("small", "end", native),
            { id: "end", type: "end", outputs: {} }
          ]
        }
      })
      const ask = data(gateway, "routed/compat/chat/completions", {
        body: { model: "dynamic/support", messages: [{ role: "user", content: "hi" }] }
      })
      assert.include((yield* ask).headers["cf-aig-model"], "70b")
      yield* api(gateway, "routed")("?commit=true", {
        body: policy({ actor: "all", resource: { model: "@cf/meta/*-8b-*" } })
      })
      const { headers, status } = yield* ask
      assert.deepStrictEqual([status, headers["cf-aig-model"]], [200, native])
    }))

  it.effect("POL-01: go with their gateway, and are at most a hundred", () =>
    Effect.gen(function*() {
      const gateway = yield* LocalGateway.LocalGateway
      yield* create(gateway, "gone")
      const at = api(gateway, "gone")
      yield* Effect.forEach(
        Array.from({ length: 100 }),
        () => at("?commit=true", { body: policy() }),
        { concurrency: 10 }
      )
      assert.strictEqual((yield* at("?commit=true", { body: policy() })).status, 400)
      assert.strictEqual((yield* at("")).json.result.length, 100)
      yield* manage(gateway, "/gone", { method: "DELETE" })
      yield* create(gateway, "gone")
      assert.deepStrictEqual((yield* at("?includeStaging=true")).json.result, [])
      assert.strictEqual((yield* data(gateway, `gone/workers-ai/${native}`, { body: { prompt: "hi" } })).status, 200)
    }))
})

it.live("POL-01: hold within a second in every process on one file, and after a restart", () =>
  Effect.gen(function*() {
    const options = { pause: 0, store: yield* temporaryFile }
    const ask = (gateway: Gateway) =>
      Effect.map(data(gateway, `shared/workers-ai/${native}`, { body: { prompt: "hi" } }), ({ status }) => status)
    yield* Effect.scoped(Effect.gen(function*() {
      const [one, two] = yield* Effect.all([LocalGateway.make(options), LocalGateway.make(options)])
      yield* create(one, "shared")
      assert.strictEqual(yield* ask(two), 200)
      yield* api(one, "shared")("?commit=true", { body: policy() })
      assert.strictEqual(yield* ask(one), 403)
      yield* Effect.sleep("1100 millis")
      assert.strictEqual(yield* ask(two), 403)
    }))
    assert.strictEqual(yield* Effect.scoped(Effect.flatMap(LocalGateway.make(options), ask)), 403)
  }))

const holds = (source: string, metadata: Metadata = {}, identity: Condition.Identity = {}) =>
  Result.map(Condition.compile(source), (condition) => condition(Condition.facts(identity, metadata)))

const problem = (source: string) => Option.getOrThrow(Result.getFailure(Condition.compile(source)))

describe("the condition of a policy", () => {
  it("is CEL over what is known of a request", () => {
    const metadata = { env: "prod", n: 3, on: true, "my-key": "x", __proto__x: 1 }
    for (
      const [source, expected] of [
        ["metadata.env == \"prod\"", true],
        ["metadata[\"my-key\"] == 'x' && metadata.on", true],
        ["metadata.n in [1, 2, 3]", true],
        ["metadata.n >= 2.5 ? metadata.env.startsWith('p') : false", true],
        ["has(metadata.env) && !has(metadata.none)", true],
        ["has(metadata.constructor) || 'toString' in metadata", false],
        ["metadata.none == 1 || metadata.on", true],
        ["metadata.env.split('o').exists(part, part == 'pr')", true],
        ["metadata.env.matches('^p.*d$')", true],
        ["metadata.env.matches('PROD')", false],
        ["metadata.env.matches('(?i)PROD') && metadata.env.matches('')", true],
        ["['prod'].exists(x, x.matches(\"^p\") && metadata.env.matches('d$'))", true],
        ["cf.user.groups.exists(g, g == 'eng') && cf.user.id == 'u'", true],
        ["metadata.n", false]
      ] as const
    ) {
      const identity = { groups: ["eng"], id: "u" }
      assert.deepStrictEqual(holds(source, metadata, identity), Result.succeed(expected), source)
    }
  })

  it("is refused where it says what is not known here, naming the place", () => {
    assert.strictEqual(problem("metadata.a == 1 &&"), "Unexpected token: EOF (at character 19)")
    assert.match(problem("metadata.a == timestamp('x')"), /timestamp\(\) is not known: .*\(at character 15\)/)
    assert.match(problem("cel.bind(a, 1, a == 1)"), /not known/)
    assert.match(problem("type(1) == int"), /not known/)
    assert.match(problem("metadata.a.matches(metadata.b)"), /matches takes a pattern in quotes/)
    assert.match(problem("metadata.a.matches('(')"), /a \( without its \)/)
    assert.match(problem("metadata.a.matches('(a)\\\\1')"), /a pattern without \\1/)
  })

  it("cannot hang the gateway", () => {
    const hundred = `[${Array.from({ length: 100 }, (_, i) => i).join()}]`
    const nested = (depth: number): string =>
      depth === 0 ? "false" : `${hundred}.exists(x${depth}, ${nested(depth - 1)})`
    for (
      const source of [
        nested(3),
        `[[1]]${".map(l, l + l)".repeat(30)}.size() == 1`,
        `["a"]${".map(s, s + s)".repeat(30)} == ["a"]`,
        "(".repeat(5000),
        "!".repeat(4000) + "true",
        `${"metadata.a + ".repeat(150)}"a" == "b"`,
        `(${"metadata.a + ".repeat(70)}"a").contains(${"metadata.a + ".repeat(70)}"b")`,
        `metadata.a.split("").exists(x, metadata.a.split("").exists(y, x == y))`,
        "metadata.a == 'a' || ".repeat(400) + "false",
        "x".repeat(5000)
      ]
    ) assert.isTrue(Result.isFailure(Condition.compile(source)), source.slice(0, 80))
    const long = "a".repeat(1000)
    for (
      const source of [
        nested(1),
        "metadata.a.matches('^(a+)+$') && metadata.a.matches('(a|aa)+b')",
        "metadata.a.matches('(a?){40}b') || metadata.a.matches('(.*a){20}z')",
        "metadata.a.split('').exists(x, x == 'b')",
        `metadata.a.contains("${"a".repeat(900)}b")`,
        `${"metadata.none == 'a' || ".repeat(60)}false`,
        `${"(metadata.none == 'a' || ".repeat(20)}false${")".repeat(20)}`
      ]
    ) {
      const condition = Result.getOrThrow(Condition.compile(source))
      const facts = Condition.facts({}, { a: long })
      const started = performance.now()
      condition(facts)
      assert.isBelow(performance.now() - started, 1000, source.slice(0, 80))
    }
  })
})

describe("the resource of a policy", () => {
  /** What `*` means, said as plainly as can be. */
  const reference = (pattern: string, name: string): boolean =>
    pattern === ""
      ? name === ""
      : pattern[0] === "*"
      ? reference(pattern.slice(1), name) || (name !== "" && name[0] !== "/" && reference(pattern, name.slice(1)))
      : name !== "" && pattern[0] === name[0] && reference(pattern.slice(1), name.slice(1))

  it("fits a model as its plain definition does", () => {
    const text = (characters: string) =>
      fc.array(fc.constantFrom(...characters), { maxLength: 10 }).map((_) => _.join(""))
    fc.assert(
      fc.property(
        text("ab/*"),
        text("ab/"),
        (pattern, name) => Policy.fits(pattern, name) === reference(pattern, name)
      ),
      { numRuns: 20_000 }
    )
    assert.isTrue(Policy.fits("openai/gpt-*-mini", "openai/gpt-4o-mini"))
    assert.isFalse(Policy.fits("openai/*", "openai/a/b"))
  })

  it("knows a model by its own name, its author's and its provider's", () => {
    const covers = (resource: unknown, provider: string, model: string) =>
      Result.getOrThrow(Policy.decode(policy({ resource }))).covers(provider, model)
    assert.isTrue(covers({ model: "gpt-4*" }, "openai", "gpt-4o"))
    assert.isTrue(covers({ model: ["x", "google/gemini-*"] }, "google-ai-studio", "gemini-2.5-pro"))
    assert.isTrue(covers({ model: "@cf/meta/*" }, "workers-ai", native))
    assert.isTrue(covers({ provider: ["a", "openai"] }, "openai", "any"))
    assert.isFalse(covers({ model: "*", provider: "a" }, "openai", "any"))
    assert.isFalse(covers({ model: "@cf/*" }, "workers-ai", native))
  })
})

describe("the period of a limit", () => {
  it("is around its moment, begins and ends with the calendar, and has one counter in every store", () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...Policy.periods),
        fc.integer({ min: 0, max: Date.UTC(2100, 0) }),
        fc.double({ min: 0, max: 1, noNaN: true, maxExcluded: true }),
        (period, now, share) => {
          const { end, start } = Policies.periodAt(period, now)
          const other = Math.max(0, Math.min(end - 1, Math.floor(start + share * (end - start))))
          const [a, b] = [now, other].map((at) => Policies.counterOf("gw", { actor: "a", resource: "*" }, period, at))
          assert.isTrue(start <= now && now < end)
          assert.deepStrictEqual(a, b)
          assert.strictEqual(Math.floor(now / (a?.window ?? 1)), Math.floor(other / (b?.window ?? 1)))
          assert.strictEqual(new Date(start).toISOString().slice(14), "00:00.000Z")
          if (period === "weekly") assert.strictEqual(new Date(start).getUTCDay(), 1)
          if (period === "monthly") assert.strictEqual(new Date(start).getUTCDate(), 1)
          const after = Policies.counterOf("gw", { actor: "a", resource: "*" }, period, end)
          assert.notStrictEqual(after.name, a?.name)
        }
      ),
      { numRuns: 5000 }
    )
  })
})
