import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import { TestClock } from "effect/testing"
import * as Cache from "../../src/local/Cache.ts"
import * as RequestOptions from "../../src/local/RequestOptions.ts"
import { chat, run } from "./pipeline.ts"
import { temporaryFile } from "./temporaryFile.ts"

const cut = () =>
  new ReadableStream({
    pull: (controller) => {
      controller.enqueue(new Uint8Array(3))
      controller.error(new Error("cut"))
    }
  })

const on = { cache_ttl: 60 }
const status = (reply: { readonly headers: { readonly [name: string]: string } }) =>
  reply.headers["cf-aig-cache-status"]

describe("the cache", () => {
  it.effect("CACHE-01: is off by default: two calls, and no header about it", () =>
    run({}, chat, ({ ask, calls }) =>
      Effect.gen(function*() {
        yield* ask()
        assert.isUndefined(status(yield* ask()))
        assert.strictEqual(calls(), 2)
      })))

  it.effect("CACHE-02, G8: answers the second time from what it has, byte for byte and with its type", () =>
    run(
      on,
      (n) =>
        new Response(`{ "n":${n},\t"ü": 1.0 }`, { headers: { "content-type": "application/json; charset=utf-8" } }),
      ({ ask, calls }) =>
        Effect.gen(function*() {
          const first = yield* ask()
          const second = yield* ask()
          assert.deepStrictEqual([status(first), status(second), calls()], ["MISS", "HIT", 1])
          assert.strictEqual(second.text, `{ "n":1,\t"ü": 1.0 }`)
          assert.strictEqual(second.headers["content-type"], "application/json; charset=utf-8")
          for (const id of ["cf-aig-log-id", "cf-aig-request-id", "cf-aig-event-id"]) {
            assert.notStrictEqual(second.headers[id], first.headers[id], id)
          }
        })
    ))

  it.effect("CACHE-02: forgets an answer when its time is up", () =>
    run(on, chat, ({ ask }) =>
      Effect.gen(function*() {
        yield* ask()
        yield* TestClock.adjust("59999 millis")
        assert.strictEqual(status(yield* ask()), "HIT")
        yield* TestClock.adjust("1 millis")
        assert.strictEqual(status(yield* ask()), "MISS")
      })))

  it.effect("CACHE-03, G9: is not turned on by a lifetime alone", () =>
    run({}, chat, ({ ask, calls }) =>
      Effect.gen(function*() {
        const headers = { "cf-aig-cache-ttl": "60" }
        yield* ask({ headers })
        assert.isUndefined(status(yield* ask({ headers })))
        assert.strictEqual(calls(), 2)
      })))

  it.effect("CACHE-04: takes a lifetime out of its range as the end of the range, and 0 as off", () =>
    run({ cache_ttl: 3600 }, chat, ({ ask }) =>
      Effect.gen(function*() {
        const short = { headers: { "cf-aig-cache-ttl": "1" }, body: { model: "short" } }
        const long = { headers: { "cf-aig-cache-ttl": "999999999" }, body: { model: "long" } }
        yield* ask(short)
        yield* ask(long)
        yield* TestClock.adjust("59 seconds")
        assert.strictEqual(status(yield* ask(short)), "HIT")
        yield* TestClock.adjust("1 seconds")
        assert.strictEqual(status(yield* ask(short)), "MISS")
        yield* TestClock.adjust("2678339 seconds")
        assert.strictEqual(status(yield* ask(long)), "HIT")
        yield* TestClock.adjust("1 seconds")
        assert.strictEqual(status(yield* ask(long)), "MISS")
        assert.isUndefined(status(yield* ask({ headers: { "cf-aig-cache-ttl": "0" } })))
      })))

  it.effect("CACHE-05, G13: is neither read nor written where a request skips it", () =>
    run(on, chat, ({ ask, calls }) =>
      Effect.gen(function*() {
        const skip = { headers: { "cf-aig-skip-cache": "true" } }
        yield* ask(skip)
        assert.strictEqual(status(yield* ask()), "MISS")
        const skipped = yield* ask(skip)
        assert.deepStrictEqual([status(skipped), calls()], ["MISS", 3])
        assert.strictEqual(JSON.parse((yield* ask()).text).id, "chat-2")
      })))

  it.effect("CACHE-06: tells bodies, endpoints and queries apart", () =>
    run(on, chat, ({ ask }) =>
      Effect.gen(function*() {
        yield* ask()
        for (const other of [{ body: { model: "gpt-4o-mini" } }, { path: "responses" }, { query: "?v=2" }]) {
          assert.strictEqual(status(yield* ask(other)), "MISS")
        }
      })))

  it.effect("CACHE-07, CACHE-08, G10: works by a key of the caller's, for five minutes where the gateway has no lifetime", () =>
    run({}, chat, ({ ask }) =>
      Effect.gen(function*() {
        const keyed = (n: number) => ask({ headers: { "cf-aig-cache-key": "k" }, body: { model: "m", n } })
        assert.strictEqual(status(yield* keyed(1)), "MISS")
        yield* TestClock.adjust("299 seconds")
        assert.strictEqual(status(yield* keyed(2)), "HIT")
        yield* TestClock.adjust("1 seconds")
        assert.strictEqual(status(yield* keyed(3)), "MISS")
        assert.isUndefined(status(yield* ask({ body: { model: "m", n: 1 } })))
      })))

  it.effect("CACHE-09, G12: gives nobody the answer of another's key, not even by a key of the caller's", () =>
    run(on, chat, ({ ask }) =>
      Effect.gen(function*() {
        const own: Record<string, string> = { "cf-aig-cache-key": "k" }
        for (const more of [{}, own]) {
          for (const name of ["authorization", "x-api-key", "x-goog-api-key", "api-key"]) {
            yield* ask({ headers: { ...more, [name]: "a" } })
            assert.strictEqual(status(yield* ask({ headers: { ...more, [name]: "b" } })), "MISS", name)
            assert.strictEqual(status(yield* ask({ headers: { ...more, [name]: "a" } })), "HIT", name)
          }
          yield* ask({ headers: more, query: "?key=a" })
          assert.strictEqual(status(yield* ask({ headers: more, query: "?key=b" })), "MISS")
        }
      })))

  it.effect("CACHE-11: keeps no failure", () =>
    run(
      on,
      (n) => n === 1 ? Response.json({ error: {} }, { status: 500 }) : chat(n),
      ({ ask, calls }) =>
        Effect.gen(function*() {
          assert.strictEqual((yield* ask()).status, 500)
          const second = yield* ask()
          assert.deepStrictEqual([second.status, status(second), calls()], [200, "MISS", 2])
        })
    ))

  it.effect("has kept an answer of a known length before its last byte is passed on", () =>
    run(
      on,
      () => new Response("whole", { headers: { "content-type": "text/plain", "content-length": "5" } }),
      ({ ask, open }) =>
        Effect.gen(function*() {
          const { body } = yield* open()
          assert.isFalse(body instanceof Uint8Array)
          if (body instanceof Uint8Array) return
          const seen: Array<string | undefined> = []
          yield* Effect.orDie(Stream.runForEach(body, () => Effect.map(ask(), (_) => seen.push(status(_)))))
          assert.deepStrictEqual(seen, ["HIT"])
        })
    ))

  it.effect("keeps nothing of an answer that was cut", () =>
    run(
      on,
      (n) => n > 1 ? chat(n) : new Response(cut(), { headers: { "content-type": "text/plain" } }),
      ({ ask, open }) =>
        Effect.gen(function*() {
          const { body } = yield* open()
          if (!(body instanceof Uint8Array)) yield* Effect.flip(Stream.runDrain(body))
          assert.strictEqual(status(yield* ask()), "MISS")
        })
    ))

  it.effect("keeps no stream and nothing but text and images", () =>
    Effect.gen(function*() {
      const body = { model: "m", stream: true }
      yield* run(on, chat, ({ ask, calls }) =>
        Effect.gen(function*() {
          yield* ask({ body })
          assert.deepStrictEqual([status(yield* ask({ body })), calls()], ["MISS", 2])
        }))
      for (const [type, expected] of [["text/event-stream", 2], ["audio/mpeg", 2], ["image/png", 1]] as const) {
        yield* run(
          on,
          () => new Response("data", { headers: { "content-type": type } }),
          ({ ask, calls }) =>
            Effect.map(Effect.andThen(ask(), ask()), () => assert.strictEqual(calls(), expected, type))
        )
      }
    }))

  it.effect("CACHE-12: honours the names of before", () =>
    run({ cache_ttl: 3600 }, chat, ({ ask }) =>
      Effect.gen(function*() {
        yield* ask({ headers: { "cf-cache-ttl": "60" } })
        assert.strictEqual(status(yield* ask({ headers: { "cf-skip-cache": "true" } })), "MISS")
        assert.strictEqual(status(yield* ask()), "HIT")
        yield* TestClock.adjust("60 seconds")
        assert.strictEqual(status(yield* ask()), "MISS")
      })))

  it.effect("CACHE-13, G11: does not look at metadata", () =>
    run(on, chat, ({ ask }) =>
      Effect.gen(function*() {
        yield* ask({ headers: { "cf-aig-metadata": `{"user":1}` } })
        assert.strictEqual(status(yield* ask({ headers: { "cf-aig-metadata": `{"user":2}` } })), "HIT")
      })))

  it.effect("CACHE-14: logs a hit as cached, for nothing", () =>
    run(on, chat, ({ ask, logs }) =>
      Effect.gen(function*() {
        yield* ask()
        yield* ask({ headers: { "cf-aig-custom-cost": `{"total_cost":1}` } })
        const [hit, miss] = yield* logs
        assert.deepInclude(hit, { cached: true, cost: 0, tokensIn: 0, tokensOut: 0, success: true, customCost: false })
        assert.deepInclude(miss, { cached: false, tokensIn: 9, tokensOut: 3 })
      })))

  it.effect("CACHE-15: forgets what it has when the gateway is updated, where that is its setting", () =>
    Effect.gen(function*() {
      for (const cache_invalidate_on_update of [true, false]) {
        const settings = { ...on, cache_invalidate_on_update }
        yield* run(settings, chat, ({ ask, update }) =>
          Effect.gen(function*() {
            yield* ask()
            yield* TestClock.adjust("1 second")
            yield* update(settings)
            assert.strictEqual(status(yield* ask()), cache_invalidate_on_update ? "MISS" : "HIT")
          }))
      }
    }))

  it.effect("CACHE-15: does not keep what was asked before an update and answered after it", () =>
    run({ ...on, cache_invalidate_on_update: true }, chat, ({ ask, open, update }) =>
      Effect.gen(function*() {
        const { body } = yield* open()
        yield* TestClock.adjust("1 second")
        yield* update({ ...on, cache_invalidate_on_update: true })
        if (!(body instanceof Uint8Array)) yield* Effect.orDie(Stream.runDrain(body))
        assert.strictEqual(status(yield* ask()), "MISS")
        assert.strictEqual(status(yield* ask()), "HIT")
      })))

  it.effect("CACHE-15: does not remember again when the setting is turned off later", () =>
    run(on, chat, ({ ask, update }) =>
      Effect.gen(function*() {
        yield* ask()
        yield* update({ ...on, cache_invalidate_on_update: true })
        yield* update(on)
        assert.strictEqual(status(yield* ask()), "MISS")
      })))

  it.effect("forgets what it has when the gateway is deleted", () =>
    run(on, chat, ({ ask, create, remove }) =>
      Effect.gen(function*() {
        yield* ask()
        yield* remove
        yield* create(on)
        assert.strictEqual(status(yield* ask()), "MISS")
      })))

  it.effect("CACHE-16: keeps no answer and takes no request over 25 MB", () =>
    Effect.gen(function*() {
      const big = "x".repeat(Cache.sizeLimit + 1)
      const type = { headers: { "content-type": "text/plain" } }
      yield* run(on, () => new Response(big, type), ({ ask, calls }) =>
        Effect.gen(function*() {
          yield* ask()
          assert.strictEqual((yield* ask()).text.length, big.length)
          assert.strictEqual(calls(), 2)
        }))
      yield* run(on, chat, ({ ask, calls }) =>
        Effect.gen(function*() {
          yield* ask({ body: big })
          assert.deepStrictEqual([status(yield* ask({ body: big })), calls()], ["MISS", 2])
        }))
    }))

  it.effect("UNIV-07: follows each step's own options before the request's", () =>
    run(
      on,
      (n, url) => url.includes("openai") ? Response.json({}, { status: 500 }) : chat(n),
      ({ askAll, calls }) =>
        Effect.gen(function*() {
          const steps = [{ headers: { "cf-aig-cache-ttl": "0" } }, { provider: "anthropic" }]
          const headers = { "cf-aig-cache-key": "k", "cf-aig-cache-ttl": "3600" }
          yield* askAll(steps, headers)
          const second = yield* askAll(steps, headers)
          assert.deepStrictEqual([second.headers["cf-aig-step"], status(second), calls()], ["1", "HIT", 3])
        })
    ))

  it.effect("CACHE-10: is each gateway's own", () =>
    Effect.gen(function*() {
      const database = yield* temporaryFile
      const first = (gateway: string) => run(on, chat, ({ ask }) => Effect.map(ask(), status), { database, gateway })
      assert.deepStrictEqual([yield* first("a"), yield* first("b"), yield* first("a")], ["MISS", "MISS", "HIT"])
    }))

  it("reads the binding's options, and leaves out what is none", () => {
    assert.deepStrictEqual(
      RequestOptions.fromBinding({ cacheTtl: 60, skipCache: false, cacheKey: "k" }).cache,
      { ttl: 60, skip: false, key: "k" }
    )
    const none = { ttl: undefined, skip: undefined, key: undefined }
    assert.deepStrictEqual(RequestOptions.fromBinding({ cacheTtl: 1.5, skipCache: "?", cacheKey: 1 }).cache, none)
    assert.deepStrictEqual(RequestOptions.fromHeaders({ "cf-aig-cache-ttl": "-1", "cf-aig-cache-key": "" }).cache, none)
  })
})
