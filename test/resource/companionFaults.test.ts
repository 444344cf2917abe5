/**
 * What goes wrong between a deploy and the API of routes and provider keys: nothing twice, nothing half done.
 */
import { assert } from "@effect/vitest"
import * as Cloudflare from "alchemy/Cloudflare"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Redacted from "effect/Redacted"
import { describe } from "vitest"
import { AiGateway } from "../../src/AiGateway.ts"
import * as Route from "../../src/Route.ts"
import { manage } from "../local/talk.ts"
import * as apiProxy from "./apiProxy.ts"

const { gateway, proxy, test } = await apiProxy.stacks(3)
const { failure } = apiProxy
const secret = "sk-of-the-companion-faults-1b7d"

const stackOf = (gatewayId: string, timeout: Route.Time | undefined, key?: string) =>
  Effect.gen(function*() {
    const store = yield* Cloudflare.SecretsStore.Store("Store")
    const gateway = yield* AiGateway("Gateway", { id: gatewayId, storeId: store.storeId })
    if (timeout !== undefined) {
      yield* AiGateway.DynamicRoute("Route", {
        gateway,
        name: "support",
        route: Route.start(Route.model({ provider: "openai", model: "gpt-4o", timeout }))
      })
    }
    if (key !== undefined) {
      yield* AiGateway.ProviderKey("Key", { gateway, provider: "openai", key: Redacted.make(key) })
    }
  })

/** Past the proxy. The tests assert on what comes; typing every answer would say it twice. */
const routesOf = (id: string) => Effect.map(manage(gateway, `/${id}/routes`), (_) => _.json.data.routes)
const configsOf = (id: string) => Effect.map(manage(gateway, `/${id}/provider_configs`), (_) => _.json.result)

describe("routes and provider keys on a bad day", () => {
  for (
    const [what, fault] of [
      ["answered 504 although it took effect", { after: failure(504, 0, "gateway timeout") }],
      ["cut off after it took effect", "cut after"],
      ["never answered although it took effect", "silent after"],
      ["cut off before it took effect", "cut before"],
      ["refused for too many requests", { instead: failure(429, 971, "too many requests", { "retry-after": "1" }) }],
      ["answered 500", { instead: failure(500, 7000, "internal error") }]
    ] as const
  ) {
    test.provider(`a create of a route that is ${what} makes one route`, (stack) =>
      Effect.gen(function*() {
        const id = `create-${what.replaceAll(" ", "-").slice(0, 40)}`
        yield* stack.deploy(stackOf(id, undefined))
        proxy.break("POST", fault)
        yield* stack.deploy(stackOf(id, "10 seconds"))
        assert.lengthOf(yield* routesOf(id), 1)
        yield* stack.destroy()
      }))

    test.provider(`a new version that is ${what} is made and deployed once`, (stack) =>
      Effect.gen(function*() {
        const id = `version-${what.replaceAll(" ", "-").slice(0, 40)}`
        yield* stack.deploy(stackOf(id, "10 seconds"))
        proxy.break("POST", fault)
        yield* stack.deploy(stackOf(id, "20 seconds"))
        const [route] = yield* routesOf(id)
        const { versions } = (yield* manage(gateway, `/${id}/routes/${route.id}/versions`)).json.data
        assert.deepStrictEqual(
          versions.map((_: { active: string; data: ReadonlyArray<{ properties?: { timeout: number } }> }) => [
            _.active,
            _.data[1]?.properties?.timeout
          ]),
          [["true", 20_000], ["false", 10_000]]
        )
        yield* stack.destroy()
      }))

    test.provider(`a key whose first write is ${what} is there once`, (stack) =>
      Effect.gen(function*() {
        const id = `key-${what.replaceAll(" ", "-").slice(0, 40)}`
        yield* stack.deploy(stackOf(id, undefined))
        proxy.break("POST", fault, fault)
        yield* stack.deploy(stackOf(id, undefined, secret))
        assert.lengthOf(yield* configsOf(id), 1)
        yield* stack.destroy()
        assert.deepStrictEqual(yield* configsOf(id), [])
      }))
  }

  test.provider("a secret that is not seen at once is waited for", (stack) =>
    Effect.gen(function*() {
      yield* stack.deploy(stackOf("slow-secret", undefined))
      // The first POST writes the secret.
      proxy.break("POST", { first: () => Promise.resolve() }, {
        instead: failure(400, 7001, "The secret slow-secret_openai_default was not found")
      })
      yield* stack.deploy(stackOf("slow-secret", undefined, secret))
      assert.lengthOf(yield* configsOf("slow-secret"), 1)
      yield* stack.destroy()
    }), { timeout: 30_000 })

  test.provider("a deploy that fails between version and deployment is resumed by the next one", (stack) =>
    Effect.gen(function*() {
      yield* stack.deploy(stackOf("half", "10 seconds"))
      proxy.break("POST", { first: () => Promise.resolve() }, { instead: failure(403, 9109, "Invalid access token") })
      assert.isTrue(Exit.isFailure(yield* Effect.exit(stack.deploy(stackOf("half", "20 seconds")))))
      const [route] = yield* routesOf("half")
      const versions = Effect.map(
        manage(gateway, `/half/routes/${route.id}/versions`),
        (_) => _.json.data.versions.map((_: { active: string }) => _.active)
      )
      assert.deepStrictEqual(yield* versions, ["false", "true"])
      yield* stack.deploy(stackOf("half", "20 seconds"))
      assert.deepStrictEqual(yield* versions, ["true", "false"])
      yield* stack.destroy()
    }))

  test.provider("no error has the key in it", (stack) =>
    Effect.gen(function*() {
      yield* stack.deploy(stackOf("told", undefined))
      proxy.break("POST", { instead: failure(400, 1001, "invalid_json_body") })
      const exit = yield* Effect.exit(stack.deploy(stackOf("told", undefined, secret)))
      assert.isTrue(Exit.isFailure(exit))
      assert.notInclude(`${String(exit)}${JSON.stringify(exit)}`, secret)
      yield* stack.destroy()
    }))
})
