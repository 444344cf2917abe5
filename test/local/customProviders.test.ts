import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { lookup } from "node:dns"
import { createServer, type IncomingHttpHeaders } from "node:http"
import { LocalGateway } from "../../src/local/index.ts"
import * as PublicAddress from "../../src/local/PublicAddress.ts"
import { bearer, call, create, data, type Gateway, manage } from "./talk.ts"

interface Seen {
  readonly url: string
  readonly headers: IncomingHttpHeaders
  readonly body: string
}

/** A server that speaks OpenAI's chat, below whatever path; `moved` sends elsewhere. */
const server = Effect.gen(function*() {
  const seen: Array<Seen> = []
  const node = createServer((request, response) => {
    let body = ""
    request.on("data", (chunk) => (body += String(chunk)))
    request.on("end", () => {
      seen.push({ url: request.url ?? "", headers: request.headers, body })
      if (request.url?.endsWith("/moved") === true) {
        response.writeHead(302, { location: "/elsewhere" }).end()
        return
      }
      response.writeHead(200, { "content-type": "application/json" })
      response.end(JSON.stringify({
        object: "chat.completion",
        choices: [{ index: 0, finish_reason: "stop", message: { role: "assistant", content: "hi" } }],
        usage: { prompt_tokens: 2, completion_tokens: 1 }
      }))
    })
  })
  const port = yield* Effect.acquireRelease(
    Effect.callback<number>((resume) => {
      node.listen(0, "127.0.0.1", () => {
        const address = node.address()
        resume(Effect.succeed(typeof address === "object" && address !== null ? address.port : 0))
      })
    }),
    () => Effect.sync(() => node.close())
  )
  return { seen, port }
})

const custom = (gateway: Gateway, body: { readonly [name: string]: unknown }, id = "", method = "POST") =>
  call(`${gateway.url}/client/v4/accounts/${gateway.accountId}/ai-gateway/custom-providers${id}`, {
    method,
    body,
    headers: bearer(gateway)
  })

const start = (allowPrivateUpstreams: boolean) =>
  Effect.gen(function*() {
    const { port, seen } = yield* server
    const gateway = yield* LocalGateway.make({ allowPrivateUpstreams, pause: 0 })
    yield* create(gateway, "gw")
    const add = (slug: string, base_url: string, more = {}) =>
      custom(gateway, { name: slug, slug, base_url, enable: true, ...more })
    return { gateway, seen, port, add }
  })

const said = { messages: [{ role: "user", content: "hi" }] }

describe("custom providers", () => {
  it.live("CUST-01: get the path and the query below their base URL as they came, and their own headers", () =>
    Effect.gen(function*() {
      const { add, gateway, port, seen } = yield* start(true)
      yield* add("mine", `http://127.0.0.1:${port}/base/v1/`, {
        headers: JSON.stringify({ "X-Tenant": "t1", authorization: "Bearer configured-0123456789" })
      })
      const answer = yield* data(gateway, "gw/custom-mine/v1/chat%2Fcompletions?a=%20b", { body: said })
      assert.strictEqual(answer.json.object, "chat.completion")
      assert.strictEqual(seen[0]?.url, "/base/v1/v1/chat%2Fcompletions?a=%20b")
      assert.deepInclude(seen[0]?.headers, { "x-tenant": "t1", authorization: "Bearer configured-0123456789" })
      yield* data(gateway, "gw/custom-mine/x", { body: said, headers: { authorization: "Bearer own" } })
      assert.deepInclude(seen[1]?.headers, { "x-tenant": "t1", authorization: "Bearer own" })
      const log = (yield* manage(gateway, `/gw/logs/${answer.headers["cf-aig-log-id"]}`)).json.result
      assert.deepInclude(log, { provider: "custom-mine", tokens_in: 2, tokens_out: 1, success: true })
    }))

  it.live("CUST-02: answer through the unified endpoint and the universal one by the model's name behind the slug", () =>
    Effect.gen(function*() {
      const { add, gateway, port, seen } = yield* start(true)
      yield* add("mine", `http://127.0.0.1:${port}/v1`)
      const body = { ...said, model: "custom-mine/org/model-1" }
      const unified = yield* data(gateway, "gw/compat/chat/completions", { body })
      assert.strictEqual(unified.json.choices[0].message.content, "hi")
      assert.strictEqual(seen[0]?.url, "/v1/chat/completions")
      assert.strictEqual(JSON.parse(seen[0]?.body ?? "").model, "org/model-1")
      const steps = [{ provider: "custom-mine", endpoint: "chat/completions", headers: {}, query: said }]
      const universal = yield* call(`${gateway.url}/v1/${gateway.accountId}/gw`, { body: steps })
      assert.strictEqual(universal.status, 200)
      assert.strictEqual(seen[1]?.url, "/v1/chat/completions")
    }))

  it.live("that have moved do not answer from the cache of where they were", () =>
    Effect.gen(function*() {
      const { add, gateway, port, seen } = yield* start(true)
      const { id } = (yield* add("mine", `http://127.0.0.1:${port}/old`)).json.result
      const ask = data(gateway, "gw/custom-mine/x", { body: said, headers: { "cf-aig-cache-key": "k" } })
      yield* ask
      assert.strictEqual((yield* ask).headers["cf-aig-cache-status"], "HIT")
      yield* custom(gateway, { base_url: `http://127.0.0.1:${port}/new` }, `/${id}`, "PATCH")
      assert.strictEqual((yield* ask).headers["cf-aig-cache-status"], "MISS")
      assert.deepStrictEqual(seen.map(({ url }) => url), ["/old/x", "/new/x"])
    }))

  it.live("CUST-01: are 2008 while they are unknown, not enabled or deleted, and the message says which", () =>
    Effect.gen(function*() {
      const { add, gateway, port, seen } = yield* start(true)
      const ask = Effect.map(
        data(gateway, "gw/custom-mine/x", { body: said, headers: { "cf-aig-cache-key": "k" } }),
        ({ json, status }) => [status, status === 200 ? "" : `${json.internalCode} ${json.description}`]
      )
      assert.deepStrictEqual(yield* ask, [400, "2008 Invalid provider: this account has no custom provider 'mine'"])
      const { id } = (yield* add("mine", `http://127.0.0.1:${port}`, { enable: false })).json.result
      const off = [400, "2008 Invalid provider: the custom provider 'mine' is not enabled; set its 'enable' to true"]
      assert.deepStrictEqual(yield* ask, off)
      yield* custom(gateway, { enable: true }, `/${id}`, "PATCH")
      assert.strictEqual((yield* ask)[0], 200)
      yield* custom(gateway, { enable: false }, `/${id}`, "PATCH")
      assert.deepStrictEqual(yield* ask, off, "also where an answer is in the cache")
      const compat = yield* data(gateway, "gw/compat/chat/completions", { body: { ...said, model: "custom-no/m" } })
      assert.deepStrictEqual([compat.status, compat.json.internalCode], [400, 2008])
      assert.lengthOf(seen, 1)
    }))

  it.live("SEC-03: are not reached on addresses that are not public, written so or resolved to", () =>
    Effect.gen(function*() {
      const { add, gateway, port, seen } = yield* start(false)
      const plain = yield* add("plain", `http://127.0.0.1:${port}`)
      assert.deepStrictEqual(plain.json.errors[0].path, ["body", "base_url"])
      const hosts = [
        "127.0.0.1",
        "localhost",
        "2130706433",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "169.254.169.254",
        "10.0.0.1"
      ]
      for (const [index, host] of hosts.entries()) {
        assert.strictEqual((yield* add(`p${index}`, `https://${host}:${port}`)).status, 200)
        const { json, status } = yield* data(gateway, `gw/custom-p${index}/x`, { body: said })
        assert.deepStrictEqual([status, json.internalCode], [400, 2008], `${host}: ${json.description}`)
        assert.include(json.description, "allowPrivateUpstreams")
      }
      assert.lengthOf(seen, 0)
    }))

  it.live("SEC-03: do not lead elsewhere by a redirect", () =>
    Effect.gen(function*() {
      const { add, gateway, port, seen } = yield* start(true)
      yield* add("mine", `http://127.0.0.1:${port}`)
      const { headers, status } = yield* data(gateway, "gw/custom-mine/moved", { body: said })
      assert.deepStrictEqual([status, headers["location"], seen.length], [302, "/elsewhere", 1])
    }))
})

describe("addresses", () => {
  it("are public only outside of loopback, private, link-local and reserved networks", () => {
    for (const address of ["1.1.1.1", "172.15.0.1", "172.32.0.1", "100.128.0.1", "2606:4700::1111", "2a00::1"]) {
      assert.isTrue(PublicAddress.isPublic(address), address)
    }
    const others = [
      "0.0.0.0",
      "10.1.2.3",
      "100.64.0.1",
      "127.9.9.9",
      "169.254.169.254",
      "172.16.0.1",
      "192.168.1.1",
      "224.0.0.1",
      "255.255.255.255",
      "::",
      "::1",
      "::ffff:8.8.8.8",
      "64:ff9b::a00:1",
      "2002:a00:1::",
      "fd00::1",
      "fe80::1",
      "ff02::1",
      "localhost"
    ]
    for (const address of others) assert.isFalse(PublicAddress.isPublic(address), address)
  })

  it.live("of a name are refused in the lookup of the connection itself", () =>
    Effect.gen(function*() {
      const plain = yield* Effect.promise(() =>
        new Promise<string>((resolve) => lookup("localhost", (_, address) => resolve(address)))
      )
      assert.isFalse(PublicAddress.isPublic(plain))
      const code = yield* Effect.promise(() =>
        new Promise<string | undefined>((resolve) =>
          PublicAddress.lookup("localhost", {}, (error) => resolve(error?.code))
        )
      )
      assert.strictEqual(code, PublicAddress.refusedCode)
    }))
})
