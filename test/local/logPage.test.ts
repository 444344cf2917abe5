import { assert, describe, it, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Redacted from "effect/Redacted"
import * as Scope from "effect/Scope"
import { createHash } from "node:crypto"
import { LocalGateway } from "../../src/local/index.ts"
import * as LogPage from "../../src/local/LogPage.ts"
import type * as wire from "../../src/local/page/wire.ts"
import { bearer, call, create, data, type Gateway, manage } from "./talk.ts"

const model = "@cf/meta/llama-3.1-8b-instruct"

const ask = (
  gateway: Gateway,
  id: string,
  prompt: string,
  { headers = {}, model: asked = model }: { readonly headers?: Record<string, string>; readonly model?: string } = {}
) => data(gateway, `${id}/workers-ai/${asked}`, { body: { prompt }, headers })

/** There is no upstream for OpenAI here. */
const fail = (gateway: Gateway, id: string) =>
  data(gateway, `${id}/openai/chat/completions`, { body: { model: "gpt-4o", messages: [] } })

const read = <A>(gateway: Gateway, path: string, headers: Record<string, string> = {}): Effect.Effect<A> =>
  Effect.map(call(`${gateway.url}/page/${path}`, { headers }), ({ json, status, text }) => {
    assert.strictEqual(status, 200, text)
    return json
  })

/** The live feed's text as it comes, until it ends. */
const listen = (gateway: Gateway, query = "") =>
  Effect.promise(async (signal) => {
    const response = await fetch(`${gateway.url}/page/live${query}`, { signal })
    assert.strictEqual(response.headers.get("content-type"), "text/event-stream")
    const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader()
    let text = ""
    return {
      until: (wanted: string) =>
        Effect.promise(async () => {
          while (!text.includes(wanted)) {
            const { done, value } = await reader.read()
            if (done) throw new Error(`ended before ${wanted}: ${text}`)
            text += value
          }
          return text
        }),
      ended: Effect.promise(async () => {
        while (!(await reader.read()).done) continue
      }),
      cancel: Effect.promise(() => reader.cancel())
    }
  })

layer(LocalGateway.layerTest, { excludeTestServices: true })("the log page", (it) => {
  it.effect("is HTML for browsers and the text of before for everything else", () =>
    Effect.gen(function*() {
      const gateway = yield* LocalGateway.LocalGateway
      const page = yield* call(`${gateway.url}/`, {
        headers: { accept: "text/html,application/xhtml+xml,*/*;q=0.8" }
      })
      assert.strictEqual(page.headers["content-type"], "text/html; charset=utf-8")
      assert.include(page.text, "<title>AI Gateway log</title>")
      for (const accept of ["*/*", "application/json", "text/htmlx"]) {
        const { headers, text } = yield* call(`${gateway.url}/`, { headers: { accept } })
        assert.match(headers["content-type"] ?? "", /^text\/plain/)
        assert.include(text, "management API (Authorization: Bearer <token>)")
      }
    }))

  it.effect("SEC-09: has a policy that lets no script in but its own, and no other page around it", () =>
    Effect.gen(function*() {
      const gateway = yield* LocalGateway.LocalGateway
      const { headers, text } = yield* call(`${gateway.url}/?model=x`, { headers: { accept: "text/html" } })
      const importMap = /<script type="importmap">(.*?)<\/script>/.exec(text)?.[1] ?? ""
      const hash = createHash("sha256").update(importMap).digest("base64")
      const policy = headers["content-security-policy"]?.split("; ") ?? []
      for (
        const directive of [
          "default-src 'none'",
          `script-src 'self' 'sha256-${hash}'`,
          "style-src 'self'",
          "connect-src 'self'",
          "img-src data:",
          "base-uri 'none'",
          "form-action 'none'",
          "frame-ancestors 'none'",
          "require-trusted-types-for 'script'"
        ]
      ) assert.include(policy, directive)
      assert.strictEqual(headers["x-content-type-options"], "nosniff")
      assert.strictEqual(headers["referrer-policy"], "no-referrer")
      assert.isUndefined(headers["access-control-allow-origin"])
    }))

  it.effect("loads from a fixed list of files, and every import in them is on it", () =>
    Effect.gen(function*() {
      const gateway = yield* LocalGateway.LocalGateway
      const files = LogPage.files()
      const paths = new Set<string>(files.map(({ path }) => path))
      for (const { contentType, path } of files) {
        const { headers, status, text } = yield* call(`${gateway.url}${path}`)
        assert.strictEqual(status, 200, path)
        assert.strictEqual(headers["content-type"], contentType)
        assert.strictEqual(headers["x-content-type-options"], "nosniff")
        assert.isDefined(headers["cache-control"])
        for (const [, from = ""] of text.matchAll(/(?:from|import)\s*"([^"]+)"/g)) {
          const resolved = from === "lit-html"
            ? "/page/files/lit-html/lit-html.js"
            : from.startsWith("lit-html/")
            ? `/page/files/${from}`
            : new URL(from, `http://x${path}`).pathname
          assert.isTrue(paths.has(resolved), `${path} imports ${from}`)
        }
      }
      for (
        const name of ["wire.ts", "style.ts", "../LogStore.ts", "..%2fLogStore.ts", "%2e%2e/cli.ts", "/etc/passwd"]
      ) {
        assert.strictEqual((yield* call(`${gateway.url}/page/files/${name}`)).status, 404, name)
      }
    }))

  it("is less than 60 KB in all, uncompressed", () => {
    const size = LogPage.files().reduce(
      (sum, { text }) => sum + Buffer.byteLength(text),
      Buffer.byteLength(LogPage.html)
    )
    assert.isBelow(size, 60_000)
  })

  it.effect("refuses a query it does not understand with one clear error", () =>
    Effect.gen(function*() {
      const gateway = yield* LocalGateway.LocalGateway
      for (
        const [path, message] of [
          ["logs?status=999", "query.status: expected success, failure, or a status from 100 to 599"],
          ["logs?cached=maybe", "query.cached: expected true or false"],
          ["logs?before=-1", "query.before: expected an integer from 0 to 9007199254740991"],
          ["logs?modle=x", "query.modle: expected only gateway, provider, model, status, cached, key, value, before"],
          ["logs?model=a&model=b", "query.model: expected once only"],
          ["totals?period=week", "query.period: expected one of hour, 15m, day, all"],
          ["live?after=x", "query.after: expected an integer from 0 to 9007199254740991"],
          ["gateways?id=1", "query.id: expected no parameter"]
        ] as const
      ) {
        const { json, status } = yield* call(`${gateway.url}/page/${path}`)
        assert.strictEqual(status, 400, path)
        assert.deepStrictEqual(json.errors.map((_: { message: string }) => _.message), [message])
      }
      const missing = yield* call(`${gateway.url}/page/log?gateway=none&id=none`)
      assert.strictEqual(missing.status, 404)
    }))

  it.effect("lists by filter, tells one request with its bodies and steps, and counts both", () =>
    Effect.gen(function*() {
      const gateway = yield* LocalGateway.LocalGateway
      yield* create(gateway, "page-list", { cache_ttl: 300 })
      yield* ask(gateway, "page-list", "one", { headers: { "cf-aig-metadata": JSON.stringify({ user: "u-1" }) } })
      yield* ask(gateway, "page-list", "one")
      yield* fail(gateway, "page-list")
      const list = (query: string) => read<wire.Logs>(gateway, `logs?gateway=page-list${query}`)
      const all = yield* list("")
      assert.lengthOf(all.entries, 3)
      assert.isFalse(all.more)
      assert.deepStrictEqual(all.entries.map(({ cached, success }) => [cached, success]), [
        [false, false],
        [true, true],
        [false, true]
      ])
      const first = all.entries[2]!
      for (
        const [query, n] of [
          ["&status=failure", 1],
          ["&status=success", 2],
          ["&status=200", 2],
          ["&cached=true", 1],
          ["&provider=workers-ai", 2],
          ["&provider=openai", 1],
          ["&provider=open", 0],
          [`&model=${encodeURIComponent(model)}`, 2],
          ["&key=user", 1],
          ["&key=user&value=u-1", 1],
          ["&value=u-2", 0],
          [`&before=${first.place}`, 0]
        ] as const
      ) assert.lengthOf((yield* list(query)).entries, n, query)

      const log = yield* read<wire.Log>(gateway, `log?gateway=page-list&id=${first.id}`)
      assert.strictEqual(log.entry.id, first.id)
      assert.deepStrictEqual(log.entry.metadata, { user: "u-1" })
      assert.deepStrictEqual(JSON.parse(log.bodies?.request.text ?? ""), { prompt: "one" })
      assert.deepStrictEqual(log.steps.map(({ id }) => id), [first.id])

      for (const period of ["15m", "hour", "day", "all"]) {
        const { percentilesOf, whole } = yield* read<wire.Totals>(gateway, `totals?gateway=page-list&period=${period}`)
        assert.deepInclude(whole, { requests: 3, failures: 1, cached: 1, tokensIn: first.tokensIn ?? 0 })
        assert.strictEqual(percentilesOf, 3)
      }
      const names = yield* read<wire.Names>(gateway, "names?gateway=page-list")
      assert.deepStrictEqual(names, { providers: ["openai", "workers-ai"], models: [model, "gpt-4o"] })
      assert.deepInclude(yield* read<ReadonlyArray<wire.Gateway>>(gateway, "gateways"), {
        id: "page-list",
        notices: []
      })
    }))

  it.effect("says what a gateway's settings ask for that is not done here", () =>
    Effect.gen(function*() {
      const gateway = yield* LocalGateway.LocalGateway
      yield* create(gateway, "page-notices", {
        guardrails: { prompt: { S1: "FLAG" }, response: {} },
        logpush: true
      })
      const gateways = yield* read<ReadonlyArray<wire.Gateway>>(gateway, "gateways")
      const notices = gateways.find(({ id }) => id === "page-notices")?.notices.join("\n") ?? ""
      assert.include(notices, "logpush is stored but not enforced")
      assert.include(notices, "not by Llama Guard")
    }))

  it.effect("shows all steps of an event together", () =>
    Effect.gen(function*() {
      const gateway = yield* LocalGateway.LocalGateway
      yield* create(gateway, "page-steps")
      yield* data(gateway, "page-steps", {
        body: [
          { provider: "openai", endpoint: "chat/completions", headers: {}, query: { model: "gpt-4o", messages: [] } },
          { provider: "workers-ai", endpoint: model, headers: {}, query: { prompt: "hello" } }
        ]
      })
      const { entries } = yield* read<wire.Logs>(gateway, "logs?gateway=page-steps")
      assert.lengthOf(entries, 2)
      const { steps } = yield* read<wire.Log>(gateway, `log?gateway=page-steps&id=${entries[0]!.id}`)
      assert.deepStrictEqual(steps.map(({ step, success }) => [step, success]), [[0, false], [1, true]])
    }))

  it.effect("SEC-09: hostile text comes as data, never as markup", () =>
    Effect.gen(function*() {
      const gateway = yield* LocalGateway.LocalGateway
      yield* create(gateway, "page-hostile")
      const hostile = "<img src=x onerror=alert(1)></script><script>alert(2)</script>"
      yield* ask(gateway, "page-hostile", hostile, {
        model: encodeURIComponent(hostile),
        headers: { "cf-aig-metadata": JSON.stringify({ [hostile]: hostile }) }
      })
      const { headers, json } = yield* call(`${gateway.url}/page/logs?gateway=page-hostile`)
      assert.strictEqual(headers["content-type"], "application/json")
      assert.strictEqual(headers["x-content-type-options"], "nosniff")
      assert.strictEqual(headers["cache-control"], "no-store")
      assert.deepStrictEqual(json.entries[0].metadata, { [hostile]: hostile })
      const page = yield* call(`${gateway.url}/?model=${encodeURIComponent(hostile)}`, {
        headers: { accept: "text/html" }
      })
      assert.strictEqual(page.text, LogPage.html)
    }))

  it.effect("tells new entries as they come, those that match and no others, and stays quiet about its own", () =>
    Effect.gen(function*() {
      const gateway = yield* LocalGateway.LocalGateway
      yield* create(gateway, "page-live")
      const all = yield* listen(gateway, "?gateway=page-live")
      const failures = yield* listen(gateway, "?gateway=page-live&status=failure")
      yield* all.until(": open")
      yield* failures.until(": open")
      yield* ask(gateway, "page-live", "first")
      yield* all.until("\"statusCode\":200")
      yield* fail(gateway, "page-live")
      const text = yield* failures.until("\"success\":false")
      assert.notInclude(text, "\"success\":true")
      // A comment now and then shows both ends that the other is there.
      yield* all.until(": still here")
      yield* Effect.all([all.cancel, failures.cancel])
      const { text: metrics } = yield* call(`${gateway.url}/metrics`)
      assert.include(metrics, "ai_gateway_requests_in_flight 0")
    }))

  it.effect("opens so many feeds and no more, and takes new ones when old ones are gone", () =>
    Effect.gen(function*() {
      const gateway = yield* LocalGateway.LocalGateway
      const feeds = yield* Effect.forEach(Array.from({ length: 32 }), () => listen(gateway))
      yield* Effect.forEach(feeds, ({ until }) => until(": open"))
      const refused = yield* call(`${gateway.url}/page/live`)
      assert.strictEqual(refused.status, 503)
      assert.include(refused.json.errors[0].message, "32 log pages are open already")
      yield* Effect.forEach(feeds, ({ cancel }) => cancel)
      yield* Effect.sleep("500 millis")
      const again = yield* listen(gateway)
      yield* again.until(": open")
      yield* again.cancel
    }))

  it.effect("refuses other sites' pages, as all of the gateway does", () =>
    Effect.gen(function*() {
      const gateway = yield* LocalGateway.LocalGateway
      for (const path of ["logs", "live", "totals"]) {
        const { status } = yield* call(`${gateway.url}/page/${path}`, { headers: { origin: "https://evil.example" } })
        assert.strictEqual(status, 403, path)
      }
    }))
})

describe("the log page of a gateway", () => {
  it.live("that others can reach gives data for the token only, and the files to all", () =>
    Effect.gen(function*() {
      const gateway = yield* LocalGateway.make({ host: "0.0.0.0", token: Redacted.make("page-token-1") })
      for (const path of ["logs", "log?gateway=a&id=b", "totals", "names", "gateways", "live"]) {
        const none = yield* call(`${gateway.url}/page/${path}`)
        assert.deepStrictEqual([none.status, none.json.errors[0].code], [400, 9106], path)
        const wrong = yield* call(`${gateway.url}/page/${path}`, { headers: { authorization: "Bearer no" } })
        assert.deepStrictEqual([wrong.status, wrong.json.errors[0].code], [403, 9109], path)
      }
      assert.deepStrictEqual(yield* read(gateway, "gateways", bearer(gateway)), [])
      assert.strictEqual((yield* call(`${gateway.url}/`, { headers: { accept: "text/html" } })).status, 200)
      assert.strictEqual((yield* call(`${gateway.url}/page/files/style.css`)).status, 200)
    }).pipe(Effect.scoped))

  it.live("that stops ends the live feed at once, and whole", () =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      const gateway = yield* LocalGateway.make().pipe(Scope.provide(scope))
      yield* manage(gateway, "", { method: "GET" })
      const feed = yield* listen(gateway)
      yield* feed.until(": open")
      const started = performance.now()
      yield* Scope.close(scope, Exit.void)
      yield* feed.ended
      // Shorter than the wait for requests that are still being answered.
      assert.isBelow(performance.now() - started, 290)
    }))
})
