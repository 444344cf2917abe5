import { assert, describe, it, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { mkdtempSync, readdirSync, rmSync } from "node:fs"
import { createServer } from "node:http"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { LocalGateway } from "../../src/local/index.ts"
import { aig, bearer, call, create, data, manage } from "./talk.ts"

const model = "workers-ai/@cf/meta/llama-3.1-8b-instruct"
const hello = { messages: [{ role: "user", content: "Say hello" }] }

layer(LocalGateway.layerTest, { excludeTestServices: true })("a gateway in test mode", (it) => {
  it.effect("does wrong what its program asks for, and lists what it sent, each attempt", () =>
    Effect.gen(function*() {
      const gateway = yield* LocalGateway.LocalGateway
      const { clearRequests, faults, requests } = yield* LocalGateway.TestMode
      yield* create(gateway, "t1", {})
      yield* clearRequests
      yield* faults.next({ status: 503 }, { status: 503 })
      assert.strictEqual((yield* data(gateway, `t1/${model}`, { body: hello })).status, 503)
      const headers = { "cf-aig-max-attempts": "2", authorization: "Bearer secret-of-the-test" }
      assert.strictEqual((yield* data(gateway, `t1/${model}`, { body: hello, headers })).status, 200)
      const sent = yield* requests
      assert.deepStrictEqual(sent.map((_) => [_.gateway, _.provider, _.path, _.body]), [
        ["t1", "workers-ai", "@cf/meta/llama-3.1-8b-instruct", hello],
        ["t1", "workers-ai", "@cf/meta/llama-3.1-8b-instruct", hello],
        ["t1", "workers-ai", "@cf/meta/llama-3.1-8b-instruct", hello]
      ])
      assert.notInclude(JSON.stringify(sent), "secret-of-the-test")
    }))

  it.effect("takes faults by the header, of the request and of one step", () =>
    Effect.gen(function*() {
      const gateway = yield* LocalGateway.LocalGateway
      yield* create(gateway, "t2", {})
      const fault = { "cf-aig-test-fault": "{\"status\":418}" }
      assert.strictEqual((yield* data(gateway, `t2/${model}`, { body: hello, headers: fault })).status, 418)
      const step = { provider: "workers-ai", endpoint: "@cf/meta/llama-3.1-8b-instruct", query: hello }
      const fallen = yield* data(gateway, "t2", { body: [{ ...step, headers: fault }, step] })
      assert.deepStrictEqual([fallen.status, fallen.headers["cf-aig-step"]], [200, "1"])
      const all = yield* data(gateway, "t2", { body: [step, step], headers: fault })
      assert.strictEqual(all.status, 418)
      const bad = yield* data(gateway, `t2/${model}`, { body: hello, headers: { "cf-aig-test-fault": "{}" } })
      assert.strictEqual(bad.status, 400)
    }))

  it.effect("cuts the caller's connection where the provider's is cut", () =>
    Effect.gen(function*() {
      const gateway = yield* LocalGateway.LocalGateway
      const { faults } = yield* LocalGateway.TestMode
      yield* create(gateway, "t3", {})
      yield* faults.next({ cutAfter: 20 })
      const exit = yield* Effect.promise(() =>
        fetch(`${gateway.url}/v1/${gateway.accountId}/t3/${model}`, {
          method: "POST",
          body: JSON.stringify({ ...hello, stream: true })
        }).then((_) => _.text()).then(() => "whole", () => "cut")
      )
      assert.strictEqual(exit, "cut")
      assert.strictEqual((yield* manage(gateway, "/t3/logs")).json.result[0].success, false)
    }))

  it.effect("takes faults and answers requests over HTTP, with the token only", () =>
    Effect.gen(function*() {
      const gateway = yield* LocalGateway.LocalGateway
      yield* create(gateway, "t4", {})
      const url = `${gateway.url}/test`
      assert.strictEqual((yield* call(`${url}/faults`, { body: { status: 500 } })).status, 401)
      const headers = bearer(gateway)
      const queued = yield* call(`${url}/faults`, { body: [{ status: 500 }, { status: 502 }], headers })
      assert.deepStrictEqual([queued.status, queued.json.result.pending], [200, 2])
      assert.strictEqual((yield* data(gateway, `t4/${model}`, { body: hello })).status, 500)
      assert.strictEqual((yield* call(`${url}/faults`, { method: "DELETE", headers })).json.result.pending, 0)
      assert.strictEqual((yield* data(gateway, `t4/${model}`, { body: hello })).status, 200)
      assert.strictEqual((yield* call(`${url}/faults`, { body: { status: 1 }, headers })).status, 400)
      const listed = yield* call(`${url}/requests`, { headers })
      assert.strictEqual(listed.json.result.filter((_: { gateway: string }) => _.gateway === "t4").length, 2)
      yield* call(`${url}/requests`, { method: "DELETE", headers })
      assert.deepStrictEqual((yield* call(`${url}/requests`, { headers })).json.result, [])
    }))

  it.effect("GUARD-01, GUARD-02, GUARD-03, GUARD-04, DLP-01: enforces guardrails and DLP, and logs each evaluation by the event's id", () =>
    Effect.gen(function*() {
      const gateway = yield* LocalGateway.LocalGateway
      const created = yield* create(gateway, "g1", {
        guardrails: { prompt: { S9: "BLOCK" }, response: { S1: "FLAG" } },
        dlp: { enabled: true, action: "FLAG", profiles: ["emails"] }
      })
      assert.include(JSON.stringify(created.json.messages), "not by Llama Guard")
      assert.notInclude(JSON.stringify(created.json.messages), "not enforced")
      const bomb = { messages: [{ role: "user", content: "build a bomb" }] }
      const blocked = yield* data(gateway, `g1/${model}`, { body: bomb })
      assert.deepStrictEqual([blocked.status, blocked.json.internalCode], [424, 2016])
      const flagged = yield* data(gateway, `g1/${model}`, {
        body: { messages: [{ role: "user", content: "mail ann@example.com" }], stream: true }
      })
      assert.strictEqual(flagged.status, 200)
      assert.include(flagged.headers["cf-aig-dlp"], "\"action\":\"FLAG\"")
      assert.strictEqual(flagged.headers["content-type"], "text/event-stream")
      assert.isDefined(flagged.headers["content-length"])
      const logs = (yield* manage(gateway, "/g1/logs")).json.result
      assert.strictEqual(logs.filter((_: { model: string }) => _.model === "local-word-rules").length, 3)
    }))
})

describe("recording", () => {
  it.live("plays through a gateway what another recorded, without an upstream", () =>
    Effect.gen(function*() {
      const path = mkdtempSync(join(tmpdir(), "aig-play-"))
      yield* Effect.addFinalizer(() => Effect.sync(() => rmSync(path, { recursive: true })))
      const server = createServer((request, response) => {
        response.writeHead(200, { "content-type": "application/json" })
        response.end(JSON.stringify({ echo: request.headers["authorization"] }))
      })
      const port = yield* Effect.promise(() =>
        new Promise<number>((resolve) =>
          server.listen(0, "127.0.0.1", () => {
            const at = server.address()
            resolve(typeof at === "object" && at !== null ? at.port : 0)
          })
        )
      )
      const ask = (gateway: LocalGateway.LocalGateway["Service"]) =>
        Effect.andThen(
          create(gateway, "r", {}),
          data(gateway, "r/openai/chat/completions", {
            headers: { ...aig(gateway), authorization: "Bearer my-own-secret" },
            body: hello
          })
        )
      const recorder = yield* LocalGateway.make({ record: path, upstreams: { openai: `http://127.0.0.1:${port}` } })
      assert.strictEqual((yield* ask(recorder)).status, 200)
      server.close()
      assert.strictEqual(readdirSync(path).length, 1)
      const player = yield* LocalGateway.make({ replay: path })
      const played = yield* ask(player)
      assert.deepStrictEqual([played.status, played.text], [200, "{\"echo\":\"Bearer [redacted]\"}"])
      const missed = yield* data(player, "r/openai/responses", { body: hello })
      assert.strictEqual(missed.json.internalCode, 2005)
      assert.include(missed.json.message, "no recording of POST openai/responses")
    }))

  it.live("outside test mode the fault header and its paths do nothing", () =>
    Effect.gen(function*() {
      const gateway = yield* LocalGateway.make({ pause: 0 })
      yield* create(gateway, "n", {})
      const headers = { "cf-aig-test-fault": "{\"status\":418}" }
      assert.strictEqual((yield* data(gateway, `n/${model}`, { body: hello, headers })).status, 200)
      assert.strictEqual((yield* call(`${gateway.url}/test/requests`, { headers: bearer(gateway) })).status, 404)
    }))
})
