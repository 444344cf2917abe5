import { Credentials } from "@distilled.cloud/cloudflare/Credentials"
import { assert } from "@effect/vitest"
import * as Alchemy from "alchemy"
import { CloudflareEnvironment, Providers as CloudflareProviders } from "alchemy/Cloudflare"
import { AccountApiToken } from "alchemy/Cloudflare/ApiToken"
import * as Provider from "alchemy/Provider"
import { RuntimeContext } from "alchemy/RuntimeContext"
import { Self } from "alchemy/Self"
import * as Test from "alchemy/Test/Vitest"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Scope from "effect/Scope"
import * as LanguageModel from "effect/unstable/ai/LanguageModel"
import * as FetchHttpClient from "effect/unstable/http/FetchHttpClient"
import * as diagnostics from "node:diagnostics_channel"
import { afterAll, beforeAll, describe } from "vitest"
import { AiGateway } from "../../src/AiGateway.ts"
import { AiGatewayBindingHttp, layer } from "../../src/AiGatewayBindingHttp.ts"
import * as LocalGateway from "../../src/local/LocalGateway.ts"
import { gatewayProviders } from "../../src/providers.ts"
import { withoutAccount } from "../../src/resource/account.ts"
import { awake } from "../support/awake.ts"
import Host, { Gateway as HostGateway } from "../support/httpWorker.ts"

const Gateway = AiGateway("Gateway", { authentication: true })

/** Without a look at the environment, in which there may be an account. */
const providers = Layer.provideMerge(gatewayProviders(), withoutAccount())

/** An Action's Init runs once per definition, so every stack gets its own. */
const ask = (binding = AiGatewayBindingHttp) =>
  Alchemy.Action(
    "Ask",
    Effect.gen(function*() {
      const client = yield* AiGateway.bind(Gateway)
      const model = client.model({ model: "@cf/meta/llama-3.1-8b-instruct" })
      return Effect.fn(function*({ prompt }: { readonly prompt: string }) {
        const { text } = yield* LanguageModel.generateText({ prompt }).pipe(Effect.provide(model), Effect.orDie)
        const url = yield* Effect.orDie(client.getUrl("openai"))
        const headers = Redacted.value(yield* Effect.orDie(client.getHeaders()))
        return { text, url, id: yield* client.id, headers: Object.keys(headers) }
      })
    }).pipe(Effect.provide(binding))
  )

const stackOf = (prompt: string, binding = AiGatewayBindingHttp) =>
  Effect.gen(function*() {
    yield* Gateway
    return yield* ask(binding)({ prompt })
  })

/** Where this process sends requests to. */
const origins = new Set<string>()
const record = (message: unknown) => {
  if (typeof message === "object" && message !== null && "request" in message) {
    const { request } = message
    if (typeof request === "object" && request !== null && "origin" in request) origins.add(String(request.origin))
  }
}
beforeAll(() => diagnostics.subscribe("undici:request:create", record))
afterAll(() => void diagnostics.unsubscribe("undici:request:create", record))

const onlyHere = () => {
  assert.isAbove(origins.size, 0)
  for (const origin of origins) assert.strictEqual(new URL(origin).hostname, "127.0.0.1", origin)
}

describe("an Action under alchemy dev", () => {
  const { test } = Test.make({ providers, dev: true, sidecar: false })

  test.provider("asks the local gateway, with no token and no call that leaves this machine", (stack) =>
    Effect.gen(function*() {
      origins.clear()
      const plan = yield* stack.plan(stackOf("Who plans?"))
      assert.deepStrictEqual(Object.keys(plan.resources), ["Gateway"])
      const answer = yield* stack.deploy(stackOf("Who acts?"))
      assert.include(answer.text, "Who acts?")
      assert.deepStrictEqual(answer.headers, [])
      assert.match(answer.url, /^http:\/\/127\.0\.0\.1:\d+\/v1\/0{32}\//)
      assert.isTrue(answer.url.endsWith(`/${answer.id}/openai`), answer.url)
      yield* stack.destroy()
      onlyHere()
    }))
})

describe("an Action without an account", () => {
  const { test } = Test.make({ providers, dev: false })

  test.provider("asks the gateway that is embedded in the deploy, with its token and none of its own", (stack) =>
    Effect.gen(function*() {
      origins.clear()
      const plan = yield* stack.plan(stackOf("Who plans?"))
      assert.deepStrictEqual(Object.keys(plan.resources), ["Gateway"])
      const answer = yield* stack.deploy(stackOf("Who deploys?"))
      assert.include(answer.text, "Who deploys?")
      assert.deepStrictEqual(answer.headers, ["cf-aig-authorization"])
      yield* stack.destroy()
      onlyHere()
    }))
})

const accountId = "a".repeat(32)
const minted = "token-that-was-minted-3b9d"
const scope = Scope.makeUnsafe()
/** Stands for Cloudflare: the management API, and by its token the gateway. */
const cloudflare = await Effect.runPromise(
  Scope.provide(LocalGateway.make({ accountId, token: Redacted.make(minted), pause: 0 }), scope)
)
afterAll(() => Effect.runPromise(Scope.close(scope, Exit.void)))

const sent: Array<{ readonly url: string; readonly headers: Headers }> = []
/** Cloudflare's addresses, without a network. */
const reroute = (input: RequestInfo | URL, init?: RequestInit) => {
  const url = String(input)
  sent.push({ url, headers: new Headers(init?.headers) })
  return fetch(url.replace("https://gateway.ai.cloudflare.com", cloudflare.url), init)
}

const account = Layer.mergeAll(
  Layer.succeed(
    Credentials,
    Effect.succeed({
      type: "apiToken" as const,
      apiToken: Redacted.make(minted),
      apiBaseUrl: `${cloudflare.url}/client/v4`
    })
  ),
  Layer.succeed(
    CloudflareEnvironment,
    Effect.succeed({
      type: "apiToken" as const,
      apiToken: Redacted.make("unused"),
      accountId,
      source: { type: "env" as const }
    })
  ),
  Layer.succeed(FetchHttpClient.Fetch, reroute)
)
const tokens = Layer.effect(CloudflareProviders, Provider.collection([AccountApiToken])).pipe(
  Layer.provide(Provider.succeed(AccountApiToken, {
    list: () => Effect.succeed([]),
    reconcile: ({ id }) =>
      Effect.succeed({
        tokenId: id,
        name: id,
        status: "active" as const,
        value: Redacted.make(minted),
        accountId
      }),
    delete: () => Effect.void
  }))
)
const onAccount = Layer.provideMerge(Layer.merge(gatewayProviders(), tokens), account)

describe("an Action on an account", () => {
  const { test } = Test.make({ providers: onAccount, dev: false })

  const policy = (group: string) => ({
    sid: group,
    data: {
      policies: [{
        effect: "allow",
        permissionGroups: [group],
        resources: { [`com.cloudflare.api.account.${accountId}`]: "*" }
      }]
    }
  })
  const bindingsOf = (plan: { readonly resources: { readonly [fqn: string]: unknown } }) => {
    const node = plan.resources["GatewayToken"]
    if (typeof node !== "object" || node === null || !("bindings" in node) || !Array.isArray(node.bindings)) {
      return assert.fail("no token is planned")
    }
    return node.bindings.map(({ data, sid }) => ({ sid, data }))
  }

  test.provider("has a token that may only ask", (stack) =>
    Effect.gen(function*() {
      const plan = yield* stack.plan(stackOf("?"))
      assert.deepStrictEqual(Object.keys(plan.resources).sort(), ["Gateway", "GatewayToken"])
      assert.deepStrictEqual(bindingsOf(plan), [policy("AI Gateway Run"), policy("Workers AI Read")])
    }))

  test.provider("has a token that may read or write logs when it is asked for", (stack) =>
    Effect.gen(function*() {
      const groups = (logs: "read" | "write") =>
        Effect.map(
          stack.plan(stackOf("?", layer({ logs }))),
          (plan) => bindingsOf(plan).map(({ sid }) => sid).sort()
        )
      assert.deepStrictEqual(yield* groups("read"), ["AI Gateway Read", "AI Gateway Run", "Workers AI Read"])
      assert.deepStrictEqual(yield* groups("write"), ["AI Gateway Run", "AI Gateway Write", "Workers AI Read"])
    }))

  test.provider("asks Cloudflare with the token that was minted", (stack) =>
    Effect.gen(function*() {
      sent.length = 0
      const answer = yield* stack.deploy(stackOf("Who pays?"))
      assert.include(answer.text, "Who pays?")
      assert.strictEqual(answer.url, `https://gateway.ai.cloudflare.com/v1/${accountId}/${answer.id}/openai`)
      assert.deepStrictEqual(answer.headers, ["cf-aig-authorization"])
      const request = sent.find(({ url }) => url.startsWith("https://gateway.ai.cloudflare.com"))
      assert.strictEqual(request?.headers.get("cf-aig-authorization"), `Bearer ${minted}`)
      yield* stack.destroy()
    }))
})

describe("a host on an account", () => {
  const { test } = Test.make({ providers: onAccount, dev: false })
  const host = { Type: "Host", LogicalId: "Function" }

  /** Binds the gateway in the host, which has `env`; the answer has the names of what was bound. */
  const bind = (env: { readonly [key: string]: unknown }) =>
    Effect.gen(function*() {
      const names: Array<string> = []
      const context: RuntimeContext["Service"] = {
        Type: "Host",
        id: "Function",
        env: {},
        set: (key) => Effect.sync(() => (names.push(key), key)),
        get: <T>(key: string) => Effect.succeed(env[key] as T | undefined) // as a host reads its environment
      }
      const client = yield* AiGateway.bind(Gateway).pipe(
        Effect.provide(AiGatewayBindingHttp),
        Effect.provideService(Self, host),
        Effect.provideService(RuntimeContext, context)
      )
      return { names, client }
    })

  /** As in the deployed host. */
  const deployed = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
    Effect.acquireUseRelease(
      Effect.sync(() => {
        globalThis.__ALCHEMY_RUNTIME__ = true
      }),
      () => effect,
      () =>
        Effect.sync(() => {
          globalThis.__ALCHEMY_RUNTIME__ = false
        })
    )

  test.provider("reads in its environment what the deploy bound there", (stack) =>
    Effect.gen(function*() {
      const plan = yield* stack.plan(Effect.gen(function*() {
        const { names } = yield* bind({})
        assert.includeMembers(names, ["Gateway_gatewayId", "Gateway_accountId", "FunctionToken_value"])
        const env = {
          Gateway_gatewayId: "gw",
          Gateway_accountId: accountId,
          FunctionToken_value: Redacted.make(minted)
        }
        const { client } = yield* deployed(bind(env))
        assert.strictEqual(
          yield* Effect.provide(client.getUrl("openai"), RuntimeContext.phantom),
          `https://gateway.ai.cloudflare.com/v1/${accountId}/gw/openai`
        )
        const headers = Redacted.value(yield* Effect.provide(client.getHeaders(), RuntimeContext.phantom))
        assert.deepStrictEqual(headers, { "cf-aig-authorization": `Bearer ${minted}` })
      }))
      assert.include(Object.keys(plan.resources), "FunctionToken")
    }))

  test.provider("says so when it was not deployed with the gateway", (stack) =>
    Effect.gen(function*() {
      yield* stack.plan(Effect.gen(function*() {
        const { client } = yield* deployed(bind({}))
        const exit = yield* Effect.exit(Effect.provide(client.getUrl(), RuntimeContext.phantom))
        assert.isTrue(Exit.isFailure(exit))
        if (Exit.isFailure(exit)) {
          assert.include(Cause.pretty(exit.cause), "There is no token for the gateway \"Gateway\" in this host")
        }
      }))
    }))
})

describe("a host with a runtime of its own", () => {
  const { afterAll, beforeAll, deploy, destroy, test } = Test.make({ providers, dev: true })
  const stack = Alchemy.Stack(
    "http-binding",
    { providers, state: Alchemy.localState() },
    Effect.gen(function*() {
      const gateway = yield* HostGateway
      const { url } = yield* Host
      return { url, id: gateway.gatewayId }
    })
  )
  const outputs = beforeAll(deploy(stack))
  afterAll(destroy(stack), { timeout: 60_000 })

  test(
    "asks the gateway that the deploy bound into it",
    Effect.gen(function*() {
      const { id, url } = yield* outputs
      const answer: unknown = JSON.parse(yield* awake(url))
      assert.nestedPropertyVal(answer, "id", id)
      assert.include(JSON.stringify(answer), "Who hosts?")
    })
  )
})

describe("AiGatewayBindingHttp", () => {
  const { test } = Test.make({ providers, dev: true, sidecar: false })

  /** An Action that takes `raw`, inside the host, if there is one. */
  const takeRaw = (host: Layer.Layer<never> | Layer.Layer<Self>) =>
    Alchemy.Action(
      "TakeRaw",
      Effect.gen(function*() {
        const { raw } = yield* AiGateway.bind(Gateway)
        return () => Effect.as(raw, {})
      }).pipe(Effect.provide(AiGatewayBindingHttp), Effect.provide(host))
    )({})

  const defectOf = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
    Effect.map(Effect.exit(effect), (exit) => Exit.isFailure(exit) ? Cause.pretty(exit.cause) : "nothing")

  test.provider("refuses a host elsewhere that is to reach a gateway on this machine", (stack) =>
    Effect.gen(function*() {
      const elsewhere = { Type: "Host", LogicalId: "Function", Mode: "live" }
      const defect = yield* defectOf(stack.plan(takeRaw(Layer.succeed(Self, elsewhere))))
      assert.include(defect, "The host \"Function\" runs elsewhere and cannot reach the gateway \"Gateway\"")
    }))

  test.provider("has no raw, and says where there is one", (stack) =>
    Effect.gen(function*() {
      const defect = yield* defectOf(stack.deploy(takeRaw(Layer.empty)))
      assert.include(defect, "AiGatewayBindingHttp has no raw: an ai binding exists in Workers only")
      yield* stack.destroy()
    }))
})
