import * as api from "@distilled.cloud/cloudflare/ai-gateway"
import { fromApiToken } from "@distilled.cloud/cloudflare/Credentials"
import { assert, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as FetchHttpClient from "effect/unstable/http/FetchHttpClient"
import { LocalGateway } from "../../src/local/index.ts"
import { create, manage } from "./talk.ts"

const elements = (model = "gpt-4o") => [
  { id: "s", type: "start", outputs: { next: { elementId: "m" } } },
  {
    id: "m",
    type: "model",
    properties: { provider: "openai", model, timeout: 60_000, retries: 4 },
    outputs: { success: { elementId: "e" }, fallback: { elementId: "e" } }
  },
  { id: "e", type: "end", outputs: {} }
]

const routeIn = (gateway: LocalGateway.LocalGateway["Service"], id: string, name = "support") =>
  Effect.gen(function*() {
    yield* create(gateway, id)
    return (yield* manage(gateway, `/${id}/routes`, { body: { name, elements: elements() } })).json.result
  })

layer(LocalGateway.layerTest, { excludeTestServices: true })("dynamic routes over the management API", (it) => {
  it.effect("a created route has its first version deployed, and `active` is a text", () =>
    Effect.gen(function*() {
      const gateway = yield* LocalGateway.LocalGateway
      const route = yield* routeIn(gateway, "routes-create")
      assert.deepInclude(route, { name: "support", gateway_id: "routes-create", elements: elements() })
      assert.strictEqual(route.version.active, "true")
      assert.strictEqual(route.deployment.version_id, route.version.version_id)
    }))

  it.effect("a route is read with its graph in version.data, and lists are under data, without graphs", () =>
    Effect.gen(function*() {
      const gateway = yield* LocalGateway.LocalGateway
      const { id } = yield* routeIn(gateway, "routes-read")
      const one = (yield* manage(gateway, `/routes-read/routes/${id}`)).json
      assert.isUndefined(one.result.elements)
      assert.deepStrictEqual(one.result.version.data, elements())
      const list = (yield* manage(gateway, "/routes-read/routes?per_page=5")).json
      assert.isUndefined(list.result)
      assert.deepInclude(list.data, { page: 1, per_page: 5 })
      assert.deepStrictEqual(list.data.routes.map((_: { id: string }) => _.id), [id])
      assert.isUndefined(list.data.routes[0].version.data)
      assert.deepStrictEqual((yield* manage(gateway, "/routes-read/routes?page=2")).json.data.routes, [])
    }))

  it.effect("ROUTE-06: a new version serves only once it is deployed", () =>
    Effect.gen(function*() {
      const gateway = yield* LocalGateway.LocalGateway
      const { id, version } = yield* routeIn(gateway, "routes-deploy")
      const at = `/routes-deploy/routes/${id}`
      const added = (yield* manage(gateway, `${at}/versions`, { body: { elements: elements("gpt-5") } })).json.result
      assert.deepInclude(added, { id, elements: elements("gpt-5") })
      assert.strictEqual((yield* manage(gateway, at)).json.result.version.version_id, version.version_id)
      const versions = (yield* manage(gateway, `${at}/versions`)).json.data.versions
      assert.deepStrictEqual(
        versions.map((_: { version_id: string; active: string }) => [_.version_id, _.active]),
        [[added.version_id, "false"], [version.version_id, "true"]]
      )
      const deployed = yield* manage(gateway, `${at}/deployments`, { body: { version_id: added.version_id } })
      assert.strictEqual(deployed.status, 200)
      const live = (yield* manage(gateway, at)).json.result
      assert.strictEqual(live.version.version_id, added.version_id)
      assert.deepStrictEqual(live.version.data, elements("gpt-5"))
      const one = (yield* manage(gateway, `${at}/versions/${version.version_id}`)).json.result
      assert.deepInclude(one, { active: "false", data: elements() })
      const { deployments } = (yield* manage(gateway, `${at}/deployments`)).json.data
      assert.deepStrictEqual(
        deployments.map((_: { version_id: string }) => _.version_id),
        [added.version_id, version.version_id]
      )
    }))

  it.effect("PATCH renames, and a name that is taken lets the database's complaint through", () =>
    Effect.gen(function*() {
      const gateway = yield* LocalGateway.LocalGateway
      const { id } = yield* routeIn(gateway, "routes-rename")
      yield* manage(gateway, "/routes-rename/routes", { body: { name: "other", elements: elements() } })
      const at = `/routes-rename/routes/${id}`
      const renamed = yield* manage(gateway, at, { method: "PATCH", body: { name: "help" } })
      assert.deepInclude(renamed.json.route, { id, name: "help" })
      const taken = yield* manage(gateway, at, { method: "PATCH", body: { name: "other" } })
      assert.strictEqual(taken.status, 500)
      assert.include(taken.json.errors[0].message, "UNIQUE constraint failed: routes.name")
      const unknown = yield* manage(gateway, at, { method: "PATCH", body: { name: "x", elements: elements() } })
      assert.deepStrictEqual(unknown.json.errors[0].path, ["body", "elements"])
    }))

  it.effect("7005 is a route that exists already, or that does not; 7002 a gateway that does not", () =>
    Effect.gen(function*() {
      const gateway = yield* LocalGateway.LocalGateway
      const { id } = yield* routeIn(gateway, "routes-codes")
      const again = yield* manage(gateway, "/routes-codes/routes", { body: { name: "support", elements: elements() } })
      assert.strictEqual(again.json.errors[0].code, 7005)
      assert.include(again.json.errors[0].message, "already exists")
      for (const path of ["none", "none/versions", "none/deployments", `${id}/versions/none`]) {
        const { json, status } = yield* manage(gateway, `/routes-codes/routes/${path}`)
        assert.deepStrictEqual([status, json.errors[0].code], [404, 7005], path)
        assert.include(json.errors[0].message, "not found")
      }
      const undeployed = yield* manage(gateway, `/routes-codes/routes/${id}/deployments`, {
        body: { version_id: "none" }
      })
      assert.strictEqual(undeployed.json.errors[0].code, 7005)
      assert.strictEqual((yield* manage(gateway, "/nowhere/routes")).json.errors[0].code, 7002)
      assert.strictEqual((yield* manage(gateway, `/routes-codes/routes/${id}`, { method: "DELETE" })).status, 200)
      assert.strictEqual((yield* manage(gateway, `/routes-codes/routes/${id}`)).status, 404)
    }))

  it.effect("routes outlive their gateway and come back with one of the same id", () =>
    Effect.gen(function*() {
      const gateway = yield* LocalGateway.LocalGateway
      const { id } = yield* routeIn(gateway, "routes-ghost")
      yield* manage(gateway, "/routes-ghost", { method: "DELETE" })
      assert.strictEqual((yield* manage(gateway, `/routes-ghost/routes/${id}`)).json.errors[0].code, 7002)
      yield* create(gateway, "routes-ghost")
      const back = (yield* manage(gateway, "/routes-ghost/routes")).json.data.routes
      assert.deepStrictEqual(back.map((_: { id: string }) => _.id), [id])
    }))

  it.effect("a wrong graph is refused with all that is wrong, each with its path", () =>
    Effect.gen(function*() {
      const gateway = yield* LocalGateway.LocalGateway
      yield* create(gateway, "routes-wrong")
      const wrong = [
        { id: "s", type: "start", outputs: { next: { elementId: "m" } } },
        {
          id: "m",
          type: "model",
          properties: { provider: "openai", model: "", timeout: "1s", retries: 9 },
          outputs: { success: {}, fallback: { elementId: "e" } }
        },
        { id: "x", type: "loop", outputs: {} }
      ]
      const { json, status } = yield* manage(gateway, "/routes-wrong/routes", {
        body: { name: "support", elements: wrong }
      })
      assert.strictEqual(status, 400)
      assert.sameDeepMembers(json.errors.map((_: { path: unknown }) => _.path), [
        ["body", "elements", 1, "properties", "model"],
        ["body", "elements", 1, "properties", "timeout"],
        ["body", "elements", 1, "properties", "retries"],
        ["body", "elements", 1, "outputs", "success"],
        ["body", "elements", 2]
      ])
      assert.deepStrictEqual((yield* manage(gateway, "/routes-wrong/routes")).json.data.routes, [])
    }))

  it.effect("Alchemy's client reads every answer", () =>
    Effect.gen(function*() {
      const gateway = yield* LocalGateway.LocalGateway
      yield* create(gateway, "routes-client")
      const where = { accountId: gateway.accountId, gatewayId: "routes-client" }
      const graph = elements() as unknown as api.CreateDynamicRoutingRequest["elements"]
      yield* Effect.gen(function*() {
        const { id, version } = yield* api.createDynamicRouting({ ...where, name: "support", elements: graph })
        assert.strictEqual((yield* api.getDynamicRouting({ ...where, id })).version.versionId, version.versionId)
        assert.lengthOf((yield* api.listDynamicRoutings(where)).data.routes, 1)
        const { versionId } = yield* api.createVersionDynamicRouting({ ...where, id, elements: graph })
        yield* api.createDeploymentDynamicRouting({ ...where, id, versionId })
        assert.lengthOf((yield* api.listVersionsDynamicRouting({ ...where, id })).data.versions, 2)
        assert.lengthOf((yield* api.listDeploymentsDynamicRouting({ ...where, id })).data.deployments, 2)
        assert.strictEqual((yield* api.getVersionDynamicRouting({ ...where, id, versionId })).active, "true")
        assert.strictEqual((yield* api.patchDynamicRouting({ ...where, id, name: "help" })).route.name, "help")
        assert.strictEqual((yield* api.deleteDynamicRouting({ ...where, id })).name, "help")
        const gone = yield* Effect.flip(api.getDynamicRouting({ ...where, id }))
        assert.strictEqual(gone._tag, "RouteNotFound")
      }).pipe(Effect.provide([
        fromApiToken({
          apiToken: Redacted.value(gateway.token),
          apiBaseUrl: `${gateway.url}/client/v4`
        }),
        FetchHttpClient.layer
      ]))
    }))
})
