import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as fc from "fast-check"
import { readdirSync } from "node:fs"
import * as Destination from "../../src/local/Destination.ts"
import { LocalGateway } from "../../src/local/index.ts"
import * as Providers from "../../src/local/Providers.ts"
import * as SimulatedProviders from "../../src/local/SimulatedProviders.ts"
import { type Ask, chat, run } from "./pipeline.ts"
import { create, data, manage } from "./talk.ts"
import { temporaryDirectory } from "./temporaryFile.ts"

const decide = (options: {
  readonly provider: string
  readonly path?: string
  readonly query?: string
  readonly headers?: { readonly [name: string]: string }
  readonly key?: boolean
  readonly upstream?: string
  readonly offline?: boolean
  readonly custom?: string
}) => {
  const {
    custom,
    headers = {},
    key = false,
    offline = false,
    path = "chat/completions",
    provider,
    query = "",
    upstream
  } = options
  return Destination.of({ provider, method: "POST", path, query, headers, body: new Uint8Array() }, {
    site: { offline, upstreams: new Map(upstream === undefined ? [] : [[provider, upstream]]) },
    hasKey: key,
    custom: custom === undefined ? undefined : { base: custom, headers: {} },
    isUnified: false
  })
}

/** Its URL, `simulated`, or `nowhere`. */
const shown = (destination: Destination.Destination) =>
  destination._tag === "Upstream" ? destination.url : destination._tag.toLowerCase()

const real = "https://api.openai.com/v1/chat/completions"
const mine = "http://127.0.0.1:11434/v1"

describe("where a step goes", () => {
  const table: ReadonlyArray<readonly [Parameters<typeof decide>[0], string]> = [
    [{ provider: "openai" }, "simulated"],
    [{ provider: "openai", key: true }, real],
    [{ provider: "openai", offline: true }, "simulated"],
    [{ provider: "openai", key: true, offline: true }, "simulated"],
    [{ provider: "openai", upstream: mine }, `${mine}/chat/completions`],
    [{ provider: "openai", upstream: mine, key: true }, `${mine}/chat/completions`],
    [{ provider: "openai", upstream: mine, offline: true }, `${mine}/chat/completions`],
    [{ provider: "openai", upstream: "simulated", key: true }, "simulated"],
    [{ provider: "openai", upstream: "live" }, real],
    [{ provider: "openai", upstream: "live", key: true }, real],
    [{ provider: "deepgram" }, "nowhere"],
    [{ provider: "deepgram", path: "v1/listen", key: true }, "https://api.deepgram.com/v1/listen"],
    [{ provider: "deepgram", key: true, offline: true }, "nowhere"],
    [{ provider: "workers-ai", key: true }, "simulated"],
    [{ provider: "custom-me", custom: "https://me.test/v1", offline: true }, "https://me.test/v1/chat/completions"]
  ]
  for (const [given, expected] of table) {
    it(`${JSON.stringify(given)} -> ${expected}`, () => assert.strictEqual(shown(decide(given)), expected))
  }

  it("SEC-04: a path never leaves the base of a named, live or custom server, however its dots are written", () => {
    const segment = fc.oneof(
      fc.constantFrom(
        "..",
        ".",
        "%2e%2e",
        "%2E.",
        ".%2e",
        "%2e",
        ".\t.",
        "..\\",
        "\\..",
        "%252e%252e",
        "...",
        "",
        "v1"
      ),
      fc.string()
    )
    let sent = 0
    fc.assert(
      fc.property(fc.array(segment, { minLength: 1, maxLength: 5 }), (segments) => {
        const path = segments.join("/").replace(/[?#].*$/s, "")
        const cases: ReadonlyArray<readonly [Parameters<typeof decide>[0], base: string]> = [
          [{ provider: "openai", upstream: "http://127.0.0.1:1/api/x" }, "http://127.0.0.1:1/api/x"],
          [{ provider: "groq", key: true }, "https://api.groq.com/openai/v1"],
          [{ provider: "custom-me", custom: "https://me.test/a/b" }, "https://me.test/a/b"]
        ]
        for (const [given, base] of cases) {
          const destination = decide({ ...given, path })
          if (destination._tag !== "Upstream") {
            assert.include(destination._tag === "Nowhere" ? destination.problem : "", "base URL")
            continue
          }
          sent++
          // As the client that sends it reads it.
          const { href } = new URL(destination.url)
          assert.isTrue(href === base || href.startsWith(`${base}/`), `${JSON.stringify(path)} -> ${href}`)
        }
      }),
      { numRuns: 2000 }
    )
    assert.isAbove(sent, 500, "most paths are fine")
  })

  it("PROV-14: knows the own server of each of the 24 slugs, and never says v1 twice", () => {
    const urls: ReadonlyArray<readonly [provider: string, path: string, url: string]> = [
      // The slug table of the wire reference (9.2).
      ["openai", "chat/completions", "https://api.openai.com/v1/chat/completions"],
      ["openai", "v1/responses", "https://api.openai.com/v1/responses"],
      ["anthropic", "v1/messages", "https://api.anthropic.com/v1/messages"],
      [
        "google-ai-studio",
        "v1beta/models/g:generateContent",
        "https://generativelanguage.googleapis.com/v1beta/models/g:generateContent"
      ],
      ["grok", "v1/chat/completions", "https://api.x.ai/v1/chat/completions"],
      ["groq", "chat/completions", "https://api.groq.com/openai/v1/chat/completions"],
      ["deepseek", "chat/completions", "https://api.deepseek.com/chat/completions"],
      ["mistral", "v1/chat/completions", "https://api.mistral.ai/v1/chat/completions"],
      ["cerebras", "chat/completions", "https://api.cerebras.ai/v1/chat/completions"],
      ["cerebras", "v1/chat/completions", "https://api.cerebras.ai/v1/chat/completions"],
      ["openrouter", "v1/chat/completions", "https://openrouter.ai/api/v1/chat/completions"],
      ["fireworks", "chat/completions", "https://api.fireworks.ai/inference/v1/chat/completions"],
      ["openrouter", "chat/completions", "https://openrouter.ai/api/v1/chat/completions"],
      ["perplexity-ai", "chat/completions", "https://api.perplexity.ai/chat/completions"],
      ["cohere", "v1/chat", "https://api.cohere.com/v1/chat"],
      ["parallel", "v1beta/search", "https://api.parallel.ai/v1beta/search"],
      ["fal", "fal-ai/flux/dev", "https://fal.run/fal-ai/flux/dev"],
      ["ideogram", "v1/ideogram-v3/generate", "https://api.ideogram.ai/v1/ideogram-v3/generate"],
      ["cartesia", "tts/bytes", "https://api.cartesia.ai/tts/bytes"],
      ["deepgram", "v1/listen", "https://api.deepgram.com/v1/listen"],
      ["elevenlabs", "v1/text-to-speech/v", "https://api.elevenlabs.io/v1/text-to-speech/v"],
      ["replicate", "v1/predictions", "https://api.replicate.com/v1/predictions"],
      ["grok", "chat/completions", "https://api.x.ai/v1/chat/completions"],
      [
        "aws-bedrock",
        "bedrock-mantle/us-east-1/anthropic/v1/messages",
        "https://bedrock-mantle.us-east-1.api.aws/anthropic/v1/messages"
      ],
      ["cohere", "v2/chat", "https://api.cohere.com/v2/chat"],
      ["replicate", "predictions", "https://api.replicate.com/v1/predictions"],
      ["huggingface", "a/b", "https://api-inference.huggingface.co/models/a/b"],
      ["baseten", "v1/chat/completions", "https://inference.baseten.co/v1/chat/completions"],
      ["baseten", "model/abc", "https://model-abc.api.baseten.co/production/predict"],
      [
        "azure-openai",
        "my-res/my-dep/chat/completions",
        "https://my-res.openai.azure.com/openai/deployments/my-dep/chat/completions"
      ],
      [
        "aws-bedrock",
        "bedrock-runtime/us-east-1/model/m%3A0/converse",
        "https://bedrock-runtime.us-east-1.amazonaws.com/model/m%3A0/converse"
      ],
      [
        "google-vertex-ai",
        "v1/projects/p/locations/europe-west1/publishers/google/models/g:generateContent",
        "https://europe-west1-aiplatform.googleapis.com/v1/projects/p/locations/europe-west1/publishers/google/models/g:generateContent"
      ],
      [
        "google-vertex-ai",
        "v1/projects/p/locations/global/publishers/google/models/g:generateContent",
        "https://aiplatform.googleapis.com/v1/projects/p/locations/global/publishers/google/models/g:generateContent"
      ]
    ]
    for (const [provider, path, url] of urls) {
      assert.strictEqual(shown(decide({ provider, path, query: "?a=1", key: true })), `${url}?a=1`)
    }
    const named = new Set(urls.map(([provider]) => provider))
    assert.strictEqual(named.size, 24)
    // Workers AI is the gateway's own.
    assert.deepStrictEqual([...Providers.slugs].filter((slug) => !named.has(slug)), ["workers-ai"])
  })

  it("lets no path choose a host of another's, and says how the path has to be", () => {
    const paths = [
      ["azure-openai", "evil.test%2F/d/chat/completions"],
      ["azure-openai", "user@evil.test/d/chat/completions"],
      ["azure-openai", "chat/completions"],
      ["aws-bedrock", "bedrock-runtime/us-east-1.evil.test/model/m/converse"],
      ["aws-bedrock", "model/m/converse"],
      ["google-vertex-ai", "v1/projects/p/locations/evil.test#/publishers/google/models/g:generateContent"]
    ] as const
    for (const [provider, path] of paths) {
      const made = decide({ provider, path, key: true })
      assert.strictEqual(made._tag, "Nowhere", path)
      if (made._tag === "Nowhere") assert.match(made.problem, /as .+\{.+\}.+ does/)
    }
    for (
      const target of ["https://evil.test/fal.run", "http://queue.fal.run/x", "https://queue.fal.run.evil.test/x", "x"]
    ) {
      assert.strictEqual(
        decide({ provider: "fal", key: true, headers: { "x-fal-target-url": target } })._tag,
        "Nowhere"
      )
    }
    const queue = "https://queue.fal.run/fal-ai/flux/dev"
    assert.strictEqual(shown(decide({ provider: "fal", key: true, headers: { "x-fal-target-url": queue } })), queue)
  })

  it("puts a bearer for Bedrock Mantle where Mantle looks for it, as Cloudflare does", () => {
    const made = decide({
      provider: "aws-bedrock",
      path: "bedrock-mantle/us-east-1/anthropic/v1/messages",
      headers: { authorization: "Bearer k" },
      key: true
    })
    assert.strictEqual(shown(made), "https://bedrock-mantle.us-east-1.api.aws/anthropic/v1/messages")
    assert.deepStrictEqual(made._tag === "Upstream" ? made.headers : {}, { "x-api-key": "k" })
  })

  it("says what to do where there is nowhere to go", () => {
    const online = decide({ provider: "deepgram" })
    assert.include(
      online._tag === "Nowhere" ? online.problem : "",
      "send a key, or start it with --upstream deepgram=http://"
    )
    const offline = decide({ provider: "deepgram", key: true, offline: true })
    assert.include(offline._tag === "Nowhere" ? offline.problem : "", "this local gateway is offline")
  })
})

describe("a request with a key", () => {
  const ask: Ask = { provider: "groq", body: { model: "llama", messages: [{ role: "user", content: "hi" }] } }

  it.live("goes to the provider's own server, one without to the simulated model", () => {
    const urls: Array<string> = []
    return run({}, (n, url) => {
      urls.push(url)
      return chat(n)
    }, (gateway) =>
      Effect.gen(function*() {
        const simulated = yield* gateway.ask(ask)
        assert.strictEqual(simulated.headers["x-simulated"], "true")
        assert.isEmpty(urls)
        const headers = { authorization: "Bearer gsk-1" }
        const answered = yield* gateway.ask({ ...ask, headers })
        assert.notProperty(answered.headers, "x-simulated")
        yield* gateway.ask({
          provider: "mistral",
          path: "v1/chat/completions",
          headers,
          body: ask.body
        })
        assert.deepStrictEqual(urls, [
          "https://api.groq.com/openai/v1/chat/completions",
          "https://api.mistral.ai/v1/chat/completions"
        ])
      }))
  })

  it.live("also with a stored key, and then a simulated answer in the cache gives way", () => {
    const urls: Array<string> = []
    return run({ cache_ttl: 300, store_id: "5".repeat(32) }, (n, url) => {
      urls.push(url)
      return chat(n)
    }, (gateway) =>
      Effect.gen(function*() {
        const first = yield* gateway.ask(ask)
        const second = yield* gateway.ask(ask)
        assert.deepStrictEqual(
          [first, second].map(({ headers }) => [headers["x-simulated"], headers["cf-aig-cache-status"]]),
          [["true", "MISS"], ["true", "HIT"]]
        )
        assert.strictEqual(second.text, first.text)
        yield* gateway.storeKey("groq", "gsk-stored")
        const third = yield* gateway.ask(ask)
        const fourth = yield* gateway.ask(ask)
        assert.deepStrictEqual(
          [third, fourth].map(({ headers }) => [headers["x-simulated"], headers["cf-aig-cache-status"]]),
          [[undefined, "MISS"], [undefined, "HIT"]]
        )
        assert.deepStrictEqual(urls, ["https://api.groq.com/openai/v1/chat/completions"])
      }))
  })
})

it.live("an answer that another local gateway simulated stays in the cache of the one that asked it", () =>
  run(
    { cache_ttl: 300 },
    (n) => new Response(chat(n).body, { headers: { "content-type": "application/json", "x-simulated": "true" } }),
    (gateway) =>
      Effect.gen(function*() {
        yield* gateway.ask()
        assert.strictEqual((yield* gateway.ask()).headers["cf-aig-cache-status"], "HIT")
        assert.strictEqual(gateway.calls(), 1)
      })
  ))

describe("simulated providers of a gateway", () => {
  const body = { model: "gpt-4o-mini", messages: [{ role: "user", content: "say hello" }] }

  it.live("are not recorded", () =>
    Effect.gen(function*() {
      const directory = yield* temporaryDirectory
      const gateway = yield* LocalGateway.make({ pause: 0, record: directory })
      yield* create(gateway, "rec")
      const answer = yield* data(gateway, "rec/openai/chat/completions", { body })
      assert.deepStrictEqual([answer.status, answer.headers["x-simulated"]], [200, "true"])
      assert.deepStrictEqual(readdirSync(directory), [])
    }))

  it.live("stand in under layerTestWith although there is a key, and cannot be told to be live there", () =>
    Effect.gen(function*() {
      const gateway = yield* LocalGateway.LocalGateway
      yield* create(gateway, "off")
      const headers = { authorization: "Bearer sk-real-0123456789" }
      const answer = yield* data(gateway, "off/openai/chat/completions", { headers, body })
      assert.strictEqual(answer.headers["x-simulated"], "true")
      const nowhere = yield* data(gateway, "off/deepgram/v1/listen", { headers, body })
      assert.strictEqual(nowhere.json.error[0].code, 2005)
      assert.include(nowhere.json.message, "offline")
      const [log] =
        (yield* manage(gateway, "/off/logs?order_by=created_at&order_by_direction=asc&per_page=1")).json.result
      assert.deepInclude(log, { provider: "openai", model: "gpt-4o-mini", status_code: 200 })
      assert.isAbove(log.tokens_out, 0)
      assert.isAbove(log.cost, 0)
      const refused = yield* Effect.flip(
        Effect.scoped(LocalGateway.make({ offline: true, upstreams: { openai: "live" } }))
      )
      assert.include(refused.message, "this gateway is offline")
    }).pipe(Effect.provide(LocalGateway.layerTestWith({ offline: undefined }))))

  it.live("are what --upstream says of those that can be simulated, and Workers AI is nothing else", () =>
    Effect.gen(function*() {
      const option = (upstreams: { readonly [provider: string]: string }) =>
        Effect.map(Effect.exit(Effect.scoped(LocalGateway.make({ upstreams }))), (_) => _._tag)
      assert.strictEqual(yield* option({ openai: "simulated", "workers-ai": "simulated", groq: "live" }), "Success")
      assert.strictEqual(yield* option({ deepgram: "simulated" }), "Failure")
      assert.strictEqual(yield* option({ "workers-ai": "http://127.0.0.1:1" }), "Failure")
      assert.strictEqual(yield* option({ "workers-ai": "live" }), "Failure")
      assert.isTrue(SimulatedProviders.slugs.has("anthropic") && !SimulatedProviders.slugs.has("deepgram"))
    }))
})
