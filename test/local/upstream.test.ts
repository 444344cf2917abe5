import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { createServer, type IncomingMessage, request as httpRequest, type ServerResponse } from "node:http"
import { LocalGateway } from "../../src/local/index.ts"
import { aig, call, create, data, type Gateway, manage } from "./talk.ts"

interface Seen {
  readonly method: string
  readonly url: string
  readonly headers: IncomingMessage["headers"]
  readonly body: Buffer
}

/** A gateway whose `openai` is a stub on this machine. */
const withUpstream = (
  handler: (request: Seen, response: ServerResponse) => void,
  base = ""
): Effect.Effect<{ readonly gateway: Gateway; readonly seen: ReadonlyArray<Seen> }, unknown, Scope.Scope> =>
  Effect.gen(function*() {
    const seen: Array<Seen> = []
    const server = createServer((request, response) => {
      const chunks: Array<Buffer> = []
      request.on("data", (chunk: Buffer) => chunks.push(chunk))
      request.on("end", () => {
        const one = {
          method: request.method ?? "",
          url: request.url ?? "",
          headers: request.headers,
          body: Buffer.concat(chunks)
        }
        seen.push(one)
        handler(one, response)
      })
    })
    const port = yield* Effect.acquireRelease(
      Effect.callback<number>((resume) => {
        server.listen(0, "127.0.0.1", () => {
          const address = server.address()
          resume(Effect.succeed(typeof address === "object" && address !== null ? address.port : 0))
        })
      }),
      () =>
        Effect.sync(() => {
          server.closeAllConnections()
          server.close()
        })
    )
    const gateway = yield* LocalGateway.make({ upstreams: { openai: `http://127.0.0.1:${port}${base}` }, pause: 0 })
    yield* create(gateway, "up", { authentication: true })
    return { gateway, seen }
  })

describe("upstreams", () => {
  it.live("PROV-01, PROV-02, PROV-03, PROV-09: passes method, path, query, headers and bytes on, without the gateway's own", () =>
    Effect.gen(function*() {
      const { gateway, seen } = yield* withUpstream((request, response) => {
        response.writeHead(201, {
          "content-type": "application/octet-stream",
          "x-own": "yes",
          connection: "x-hop",
          "x-hop": "1"
        })
        response.end(request.body)
      })
      const bytes = Uint8Array.from({ length: 2048 }, (_, i) => i % 256)
      const path = "up/openai/files%2Fa//b?x=1&y=%20z"
      const response = yield* Effect.promise(async () => {
        const answer = await fetch(`${gateway.url}/v1/${gateway.accountId}/${path}`, {
          method: "PUT",
          headers: { ...aig(gateway), authorization: "Bearer provider-key", "x-custom": "c", "cf-aig-metadata": "{}" },
          // Node's fetch takes bytes; the types of Workers' do not say so.
          body: bytes as BodyInit
        })
        return { status: answer.status, headers: answer.headers, bytes: new Uint8Array(await answer.arrayBuffer()) }
      })
      assert.strictEqual(response.status, 201)
      assert.deepStrictEqual(response.bytes, bytes)
      assert.strictEqual(response.headers.get("content-type"), "application/octet-stream")
      assert.strictEqual(response.headers.get("x-own"), "yes")
      const [request] = seen
      assert.strictEqual(request?.method, "PUT")
      assert.strictEqual(request?.url, "/files%2Fa//b?x=1&y=%20z")
      assert.strictEqual(request?.headers["authorization"], "Bearer provider-key")
      assert.strictEqual(request?.headers["x-custom"], "c")
      assert.match(request?.headers.host ?? "", /^127\.0\.0\.1:\d+$/)
      assert.deepStrictEqual(Object.keys(request?.headers ?? {}).filter((_) => /^cf-|traceparent|^b3$/.test(_)), [])
    }))

  it.live("PROV-02, PROV-09: odd JSON and bytes that are no text arrive identical, both ways", () =>
    Effect.gen(function*() {
      const { gateway, seen } = yield* withUpstream((request, response) => {
        response.writeHead(200, { "content-type": request.headers["content-type"] ?? "" }).end(request.body)
      })
      const encoder = new TextEncoder()
      const bodies: ReadonlyArray<readonly [type: string, body: Uint8Array]> = [
        ["application/json", encoder.encode(" {\"a\" :1.0,\"a\":2,\"n\":12345678901234567890,\n\t\"e\":1E400}\r\n")],
        ["application/json", encoder.encode("{\"s\":\"\\u00e9\\ud800\\/\",\"model\":\"m\"} ")],
        ["application/json", encoder.encode("not JSON {")],
        ["application/json", Uint8Array.of(0xef, 0xbb, 0xbf, 0x7b, 0x7d)],
        ["application/octet-stream", Uint8Array.from({ length: 1024 }, (_, i) => i % 256)],
        ["multipart/form-data; boundary=x", encoder.encode("--x\r\n\r\n\0\r\n--x--")],
        ["audio/mpeg", Uint8Array.of(0xff, 0xfb, 0x90, 0x00)]
      ]
      for (const [type, body] of bodies) {
        const answer = yield* Effect.promise(async () => {
          const response = await fetch(`${gateway.url}/v1/${gateway.accountId}/up/openai/x`, {
            method: "POST",
            headers: { ...aig(gateway), "content-type": type },
            // Node's fetch takes bytes; the types of Workers' do not say so.
            body: body as BodyInit
          })
          return new Uint8Array(await response.arrayBuffer())
        })
        assert.deepStrictEqual(new Uint8Array(seen.at(-1)?.body ?? []), body)
        assert.deepStrictEqual(answer, body)
      }
    }))

  it.live("PROV-04: the gateway's own and the connection's headers stay here, and the Host is the provider's", () =>
    Effect.gen(function*() {
      const { gateway, seen } = yield* withUpstream((_, response) =>
        response.writeHead(200, { connection: "x-named, close", "x-named": "1", "keep-alive": "timeout=9" }).end("{}")
      )
      const { hostname, port } = new URL(gateway.url)
      const sent = {
        host: `${hostname}:${port}`,
        ...aig(gateway),
        "cf-aig-metadata": "{}",
        "cf-aig-anything": "1",
        connection: "keep-alive, X-Secret",
        "x-secret": "1",
        "keep-alive": "timeout=5",
        "proxy-authorization": "Basic eA==",
        "proxy-connection": "keep-alive",
        te: "trailers",
        trailer: "x-t",
        "x-kept": "yes"
      }
      const headers = yield* Effect.callback<IncomingMessage["headers"]>((resume) => {
        const path = `/v1/${gateway.accountId}/up/openai/x`
        httpRequest({ hostname, port, path, method: "POST", headers: sent }, (response) => {
          response.resume().on("end", () => resume(Effect.succeed(response.headers)))
        }).end("{}")
      })
      const got = seen[0]?.headers ?? {}
      assert.deepStrictEqual(
        Object.keys(got).sort(),
        ["accept-encoding", "connection", "content-length", "host", "x-kept"]
      )
      assert.strictEqual(got.connection, "keep-alive", "of the connection to the provider")
      assert.notStrictEqual(got.host, sent.host)
      assert.notProperty(headers, "x-named")
      assert.notStrictEqual(headers["keep-alive"], "timeout=9")
    }))

  it.live("PROV-13: content types come through unchanged, in both directions", () =>
    Effect.gen(function*() {
      const { gateway, seen } = yield* withUpstream((request, response) =>
        response.writeHead(200, { "content-type": String(request.headers["x-answer"]) }).end("data: {}\n\n")
      )
      for (
        const type of [
          "application/json",
          "application/json; charset=UTF-8",
          "application/JSON;Charset=\"utf-8\"",
          "text/event-stream",
          "text/event-stream; charset=utf-8",
          "application/vnd.amazon.eventstream",
          "audio/mpeg",
          "text/plain",
          "multipart/form-data; boundary=----a"
        ]
      ) {
        const { headers } = yield* data(gateway, "up/openai/x", {
          headers: { ...aig(gateway), "content-type": type, "x-answer": type },
          body: "x"
        })
        assert.deepStrictEqual([seen.at(-1)?.headers["content-type"], headers["content-type"]], [type, type])
      }
    }))

  it.live("UNIV-02, UNIV-03: a step that fails, with 5xx or with 4xx, falls through to the next", () =>
    Effect.gen(function*() {
      const { gateway, seen } = yield* withUpstream((request, response) =>
        response.writeHead(Number(request.url.slice(1)), { "content-type": "application/json" }).end("{}")
      )
      const step = (status: number) => ({ provider: "openai", endpoint: String(status), query: {} })
      for (const status of [400, 401, 403, 404, 422, 429, 500, 503]) {
        const answer = yield* data(gateway, "up", { headers: aig(gateway), body: [step(status), step(200), step(201)] })
        assert.deepStrictEqual([answer.status, answer.headers["cf-aig-step"]], [200, "1"], String(status))
        assert.deepStrictEqual(seen.slice(-2).map((_) => _.url), [`/${status}`, "/200"])
      }
    }))

  it.live("LOG-01: a call's entry has provider, model, tokens, cost, status, duration, step, path, time and user agent", () =>
    Effect.gen(function*() {
      const { gateway } = yield* withUpstream((_, response) =>
        response.writeHead(200, { "content-type": "application/json" }).end(
          JSON.stringify({ model: "gpt-4o-mini", usage: { prompt_tokens: 1000, completion_tokens: 100 } })
        )
      )
      const before = Date.now()
      const { headers } = yield* data(gateway, "up/openai/chat/completions", {
        headers: { ...aig(gateway), "user-agent": "tests/1" },
        body: { model: "gpt-4o-mini", messages: [] }
      })
      const log = (yield* manage(gateway, `/up/logs/${headers["cf-aig-log-id"]}`)).json.result
      assert.deepInclude(log, {
        id: headers["cf-aig-log-id"],
        provider: "openai",
        model: "gpt-4o-mini",
        tokens_in: 1000,
        tokens_out: 100,
        status_code: 200,
        success: true,
        cached: false,
        step: 0,
        path: "chat/completions",
        user_agent: "tests/1"
      })
      assert.isAbove(log.cost, 0)
      assert.isAtLeast(log.duration, 0)
      assert.isAtLeast(Date.parse(log.created_at), before - 1)
      assert.isAtMost(Date.parse(log.created_at), Date.now())
    }))

  it.live("a token in the provider's slot opens the gateway and stays here", () =>
    Effect.gen(function*() {
      const { gateway, seen } = yield* withUpstream((_, response) => response.end("{}"), "/v1")
      const token = aig(gateway)["cf-aig-authorization"]
      const { status } = yield* data(gateway, "up/openai/v1/models", { headers: { authorization: token } })
      assert.strictEqual(status, 200)
      assert.notProperty(seen[0]?.headers, "authorization")
      assert.strictEqual(seen[0]?.url, "/v1/models")
      yield* data(gateway, "up/openai/models", { headers: aig(gateway) })
      assert.strictEqual(seen[1]?.url, "/v1/models")
    }))

  it.live("the token stays here also where it comes twice, in a step, or to the REST API", () =>
    Effect.gen(function*() {
      const { gateway, seen } = yield* withUpstream((_, response) => response.end("{}"))
      const token = aig(gateway)["cf-aig-authorization"]
      const bare = token.replace("Bearer ", "")
      yield* data(gateway, "up/openai/x", {
        headers: { ...aig(gateway), authorization: token, "x-api-key": bare },
        body: {}
      })
      yield* data(gateway, "up", {
        headers: aig(gateway),
        body: [{ provider: "openai", endpoint: "x", headers: { Authorization: token, "api-key": bare }, query: {} }]
      })
      yield* data(gateway, "up", {
        headers: aig(gateway),
        body: [{ provider: "openai", endpoint: "x", authorization: token, query: {} }]
      })
      yield* call(`${gateway.url}/client/v4/accounts/${gateway.accountId}/ai/v1/responses`, {
        headers: { authorization: token, "x-api-key": bare, "cf-aig-gateway-id": "up" },
        body: { model: "openai/gpt-5", input: "hi" }
      })
      assert.lengthOf(seen, 4)
      for (const { body, headers } of seen) assert.notInclude(JSON.stringify(headers) + String(body), bare)
    }))

  it.live("PROV-05, PROV-08: errors and redirects come back as they are", () =>
    Effect.gen(function*() {
      const { gateway, seen } = yield* withUpstream((request, response) => {
        if (request.url === "/moved") response.writeHead(302, { location: "/elsewhere" }).end()
        else {response.writeHead(429, { "content-type": "application/json", "retry-after": "7" }).end(
            `{"error":{"message":"slow"}}`
          )}
      })
      const limited = yield* data(gateway, "up/openai/x", { headers: aig(gateway), body: {} })
      assert.strictEqual(limited.status, 429)
      assert.strictEqual(limited.headers["retry-after"], "7")
      assert.deepStrictEqual(limited.json, { error: { message: "slow" } })
      const moved = yield* data(gateway, "up/openai/moved", { headers: aig(gateway) })
      assert.strictEqual(moved.status, 302)
      assert.strictEqual(seen.length, 2)
      const [last, first] = (yield* manage(gateway, "/up/logs")).json.result
      assert.deepStrictEqual([first.status_code, first.success], [429, false])
      assert.strictEqual(last.status_code, 302)
    }))

  it.live("PROV-07: an upstream that is not there is 400 and 2005, and falls through in the universal endpoint", () =>
    Effect.gen(function*() {
      const gateway = yield* LocalGateway.make({ upstreams: { openai: "http://127.0.0.1:9/v1" }, pause: 0 })
      yield* create(gateway, "up")
      const { json, status } = yield* data(gateway, "up/openai/chat/completions?key=hidden", { body: {} })
      assert.strictEqual(status, 400)
      assert.strictEqual(json.error[0].code, 2005)
      assert.include(json.message, "http://127.0.0.1:9")
      assert.notInclude(json.message, "hidden")
      const step = { provider: "workers-ai", endpoint: "@cf/meta/llama-3.1-8b-instruct", query: { prompt: "hi" } }
      const fallen = yield* data(gateway, "up", { body: [{ provider: "openai", endpoint: "x", query: {} }, step] })
      assert.strictEqual(fallen.headers["cf-aig-step"], "1")
    }))

  it.live("PROV-11: the first chunk arrives before the upstream has made the last", () =>
    Effect.gen(function*() {
      let finish = () => {}
      const { gateway } = yield* withUpstream((_, response) => {
        response.writeHead(200, { "content-type": "text/event-stream" })
        response.write("data: {\"n\":1}\n\n")
        finish = () =>
          response.end("data: {\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":4}}\n\ndata: [DONE]\n\n")
      })
      const text = yield* Effect.promise(async () => {
        const response = await fetch(`${gateway.url}/v1/${gateway.accountId}/up/openai/chat/completions`, {
          method: "POST",
          headers: aig(gateway),
          body: "{}"
        })
        const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader()
        const first = await reader?.read()
        finish()
        let rest = first?.value ?? ""
        for (let part = await reader?.read(); part?.done === false; part = await reader?.read()) rest += part.value
        return [first?.value, rest]
      })
      assert.strictEqual(text[0], "data: {\"n\":1}\n\n")
      assert.isTrue(text[1]?.endsWith("data: [DONE]\n\n"))
      const [log] = (yield* manage(gateway, "/up/logs")).json.result
      assert.deepStrictEqual([log.tokens_in, log.tokens_out, log.success], [3, 4, true])
    }))

  it.live("PROV-12: a client that goes away closes the provider's connection", () =>
    Effect.gen(function*() {
      let closed: (at: number) => void = () => {}
      const gone = new Promise<number>((resolve) => closed = resolve)
      const { gateway } = yield* withUpstream((_, response) => {
        response.writeHead(200, { "content-type": "text/event-stream" })
        response.write("data: 1\n\n")
        response.on("close", () => closed(1))
      })
      const controller = new AbortController()
      yield* Effect.promise(async () => {
        const response = await fetch(`${gateway.url}/v1/${gateway.accountId}/up/openai/x`, {
          method: "POST",
          headers: aig(gateway),
          body: "{}",
          signal: controller.signal
        })
        await response.body?.getReader().read()
        controller.abort()
      })
      assert.strictEqual(yield* Effect.timeout(Effect.promise(() => gone), "3 seconds"), 1)
    }))

  it.live("a stream that the provider cuts is cut for the client too", () =>
    Effect.gen(function*() {
      const { gateway } = yield* withUpstream((_, response) => {
        response.writeHead(200, { "content-type": "text/event-stream" })
        response.write("data: 1\n\n")
        setTimeout(() => response.destroy(), 20)
      })
      const outcome = yield* Effect.promise(() =>
        fetch(`${gateway.url}/v1/${gateway.accountId}/up/openai/x`, {
          method: "POST",
          headers: aig(gateway),
          body: "{}"
        })
          .then((_) => _.text()).then(() => "whole", () => "cut")
      )
      assert.strictEqual(outcome, "cut")
      assert.strictEqual((yield* manage(gateway, "/up/logs")).json.result[0].success, false)
    }))

  it.live("SEC-07: keys are not in the log, not even when the provider echoes them", () =>
    Effect.gen(function*() {
      const { gateway } = yield* withUpstream((request, response) =>
        response.end(JSON.stringify({ echo: request.headers["authorization"] }))
      )
      const { headers } = yield* data(gateway, "up/openai/x?key=query-secret", {
        headers: { ...aig(gateway), authorization: "Bearer sk-very-secret" },
        body: { note: "sk-very-secret" }
      })
      const path = `/up/logs/${headers["cf-aig-log-id"]}`
      const all = [
        yield* manage(gateway, path),
        yield* manage(gateway, `${path}/request`),
        yield* manage(gateway, `${path}/response`)
      ]
        .map((_) => _.text).join()
      assert.include(all, "[redacted]")
      for (const secret of ["sk-very-secret", "query-secret", aig(gateway)["cf-aig-authorization"].slice(7)]) {
        assert.notInclude(all, secret)
      }
      assert.strictEqual((yield* call(`${gateway.url}/health`)).status, 200)
    }))
})
