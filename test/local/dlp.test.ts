import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import * as ResponseInfo from "../../src/client/ResponseInfo.ts"
import * as Answer from "../../src/local/Answer.ts"
import * as detectors from "../../src/local/dlp/detectors.ts"
import * as Dlp from "../../src/local/dlp/Dlp.ts"
import * as Profiles from "../../src/local/dlp/Profiles.ts"
import { noProviderAnswer } from "../../src/local/Envelope.ts"
import * as Inspection from "../../src/local/Inspection.ts"

const bytes = (u: unknown) => new TextEncoder().encode(typeof u === "string" ? u : JSON.stringify(u))

const card = "4111 1111 1111 1111"

const stepOf = (content: unknown, path = "chat/completions") => ({
  provider: "openai",
  path,
  headers: { "content-type": "application/json" },
  body: bytes({ messages: [{ role: "user", content }] })
})

const said = (content: string) => Answer.json(200, { choices: [{ message: { role: "assistant", content } }] })

const run = (
  dlp: unknown,
  asked: unknown,
  answer: Answer.Answer,
  dlpProfiles: Profiles.Options = {},
  surface: "provider" | "run" = "provider"
) =>
  Effect.gen(function*() {
    const inspect = yield* Inspection.make({ dlpProfiles })
    let sent = 0
    const given = yield* inspect.around(
      { settings: { dlp }, step: stepOf(asked), surface, report: () => Effect.void },
      Effect.sync(() => {
        sent++
        return answer
      })
    )
    const text = given.body instanceof Uint8Array
      ? new TextDecoder().decode(given.body)
      : Buffer.concat(yield* Stream.runCollect(given.body)).toString()
    return { answer: given, text, sent, header: given.headers["cf-aig-dlp"] }
  })

const rule = (action: "FLAG" | "BLOCK", ...profiles: ReadonlyArray<string>) => ({ enabled: true, action, profiles })

const policy = (
  id: string,
  check: ReadonlyArray<string>,
  action: "FLAG" | "BLOCK",
  ...profiles: ReadonlyArray<string>
) => ({ id, enabled: true, action, check, profiles })

describe("DLP", () => {
  it.effect("DLP-01: blocks a request with 2029 and the findings in cf-aig-dlp, before the provider is asked", () =>
    Effect.gen(function*() {
      const dlp = { enabled: true, policies: [policy("p1", ["REQUEST"], "BLOCK", "credit-cards")] }
      const { answer, header, sent, text } = yield* run(dlp, `my card is ${card}`, said("ok"))
      assert.deepStrictEqual([answer.status, sent], [424, 0])
      const body = JSON.parse(text)
      assert.deepStrictEqual(
        [body.name, body.internalCode, body.error],
        ["AiGatewayError", 2029, [{ code: 2029, message: "Request content blocked due to DLP policy violations" }]]
      )
      assert.strictEqual(
        header,
        "{\"findings\":[{\"profile\":{\"context\":{},\"entry_ids\":[\"credit-card\"],\"profile_id\":\"credit-cards\"}," +
          "\"policy_ids\":[\"p1\"],\"check\":\"REQUEST\"}],\"action\":\"BLOCK\"}"
      )
      assert.notInclude(text + header, "4111")
    }))

  it.effect("DLP-01: blocks an answer with 2030, and nothing of it passes", () =>
    Effect.gen(function*() {
      const dlp = { enabled: true, policies: [policy("p1", ["RESPONSE"], "BLOCK", "emails")] }
      const { answer, header, sent, text } = yield* run(dlp, "hi", said("write to ann@example.com"))
      assert.deepStrictEqual([answer.status, sent, JSON.parse(text).internalCode], [424, 1, 2030])
      assert.notInclude(text + header, "ann@")
      assert.include(header, "\"check\":\"RESPONSE\"")
    }))

  it.effect("flags with the header only, on the request and on the answer, in one rule's shape", () =>
    Effect.gen(function*() {
      const answered = said("write to ann@example.com")
      const { answer, header, text } = yield* run(rule("FLAG", "emails", "us-ssn"), "I am 123-45-6789", answered)
      assert.deepStrictEqual([answer.status, text], [200, new TextDecoder().decode(bytes(JSON.parse(text)))])
      assert.deepStrictEqual(ResponseInfo.fromHeaders(answer.headers).dlp, {
        action: "FLAG",
        findings: [
          { profileId: "us-ssn", entryIds: ["us-ssn"], policyIds: [], check: "REQUEST" },
          { profileId: "emails", entryIds: ["email"], policyIds: [], check: "RESPONSE" }
        ]
      })
      assert.isTrue(/^[\x20-\x7e]+$/.test(header ?? ""))
    }))

  it.effect("names all policies that a profile's finding belongs to, and blocks when one of them does", () =>
    Effect.gen(function*() {
      const dlp = {
        enabled: true,
        policies: [
          policy("flag", ["REQUEST"], "FLAG", "emails", "ibans"),
          policy("block", ["REQUEST", "RESPONSE"], "BLOCK", "emails"),
          { ...policy("off", ["REQUEST"], "BLOCK", "emails"), enabled: false },
          policy("other", ["RESPONSE"], "BLOCK", "emails")
        ]
      }
      const { answer } = yield* run(dlp, "ann@example.com", said("ok"))
      assert.deepStrictEqual(ResponseInfo.fromHeaders(answer.headers).dlp, {
        action: "BLOCK",
        findings: [{ profileId: "emails", entryIds: ["email"], policyIds: ["flag", "block"], check: "REQUEST" }]
      })
    }))

  it.effect("does nothing when it is off, or finds nothing", () =>
    Effect.gen(function*() {
      const answered = said("ok")
      for (
        const dlp of [
          { ...rule("BLOCK", "credit-cards"), enabled: false },
          { enabled: false, policies: [] },
          { enabled: false, policies: [policy("p", ["REQUEST"], "BLOCK", "credit-cards")] },
          rule("BLOCK", "emails"),
          rule("BLOCK", "no-such-profile")
        ]
      ) {
        const { answer } = yield* run(dlp, `my card is ${card}`, answered)
        assert.deepStrictEqual(answer, answered)
      }
    }))

  it.effect("looks into system prompts, tools, their arguments and numbers", () =>
    Effect.gen(function*() {
      const inspect = yield* Inspection.make()
      const bodies = [
        { messages: [{ role: "system", content: card }] },
        { tools: [{ function: { name: "pay", description: card } }], messages: [] },
        { messages: [{ role: "assistant", tool_calls: [{ function: { arguments: "{\"n\":4111111111111111}" } }] }] },
        { contents: [{ parts: [{ functionCall: { args: { number: 4111111111111111 } } }] }] }
      ]
      for (const body of bodies) {
        const answer = yield* inspect.around({
          settings: { dlp: rule("BLOCK", "credit-cards") },
          step: { ...stepOf(""), body: bytes(body) },
          surface: "provider",
          report: () => Effect.void
        }, Effect.succeed(said("ok")))
        assert.strictEqual(answer.status, 424, JSON.stringify(body))
      }
    }))

  it.effect("holds a stream back on every API, since the header comes before the body, and finds what comes in pieces", () =>
    Effect.gen(function*() {
      const text = ["4111 11", "11 1111", " 1111"].map((content) =>
        `data: ${JSON.stringify({ choices: [{ index: 0, delta: { content } }] })}\n\n`
      )
      const streamed: Answer.Answer = {
        status: 200,
        headers: { "content-type": "text/event-stream" },
        body: Stream.fromArray(text).pipe(Stream.encodeText)
      }
      for (const surface of ["provider", "run"] as const) {
        const flagged = yield* run(rule("FLAG", "credit-cards"), "hi", streamed, {}, surface)
        assert.deepStrictEqual([flagged.text, flagged.answer.headers["content-type"]], [
          text.join(""),
          "text/event-stream"
        ])
        assert.include(flagged.header, "\"action\":\"FLAG\"")
        const blocked = yield* run(rule("BLOCK", "credit-cards"), "hi", streamed, {}, surface)
        assert.strictEqual(JSON.parse(blocked.text).internalCode, 2030)
      }
    }))

  it.effect("lets no answer pass that a blocking policy cannot look at, but pictures and sounds", () =>
    Effect.gen(function*() {
      const of = (type: string): Answer.Answer => ({
        status: 200,
        headers: { "content-type": type },
        body: bytes("\u0000x")
      })
      const type = "application/vnd.amazon.eventstream"
      const blocked = yield* run(rule("BLOCK", "emails"), "hi", of(type))
      assert.strictEqual(JSON.parse(blocked.text).internalCode, 2030)
      assert.strictEqual((yield* run(rule("FLAG", "emails"), "hi", of(type))).answer.status, 200)
      assert.strictEqual((yield* run(rule("BLOCK", "emails"), "hi", of("image/png"))).answer.status, 200)
    }))

  it.effect("keeps the header on the failure of a provider", () =>
    Effect.gen(function*() {
      const inspect = yield* Inspection.make()
      const answer = yield* inspect.around({
        settings: { dlp: rule("FLAG", "credit-cards") },
        step: stepOf(card),
        surface: "provider",
        report: () => Effect.void
      }, Effect.fail(noProviderAnswer("gone")))
      assert.strictEqual(answer.status, 400)
      assert.include(answer.headers["cf-aig-dlp"], "credit-cards")
    }))

  it.effect("knows profiles of one's own, by patterns and by built-in profiles", () =>
    Effect.gen(function*() {
      const own = { "1f2e-ü": { uses: ["emails"], patterns: { badge: "\\bEMP-\\d{6}\\b" } } }
      const { answer, header } = yield* run(rule("BLOCK", "1f2e-ü"), "I am emp-123456, a@b.io", said("ok"), own)
      assert.deepStrictEqual(ResponseInfo.fromHeaders(answer.headers).dlp?.findings, [
        { profileId: "1f2e-ü", entryIds: ["email", "badge"], policyIds: [], check: "REQUEST" }
      ])
      assert.isTrue(/^[\x20-\x7e]+$/.test(header ?? ""))
    }))

  it.effect("refuses a profile that makes no sense, with the option's name", () =>
    Effect.gen(function*() {
      const option = (options: Profiles.Options) => Effect.map(Effect.flip(Profiles.make(options)), (_) => _.option)
      assert.strictEqual(yield* option({ a: { patterns: { e: "(x" } } }), "dlpProfiles.a.patterns.e")
      assert.strictEqual(yield* option({ a: { uses: ["cards"] } }), "dlpProfiles.a.uses[0]")
      assert.strictEqual(yield* option({ a: {} }), "dlpProfiles.a")
      // As a file may have them.
      assert.strictEqual(yield* option(JSON.parse("{\"a\":{\"uses\":\"emails\"}}")), "dlpProfiles.a.uses")
      assert.strictEqual(yield* option(JSON.parse("{\"a\":{\"patterns\":{\"x\":1}}}")), "dlpProfiles.a.patterns")
    }))

  it("says which profiles of a gateway it does not have", () => {
    const dlp = {
      enabled: true,
      policies: [policy("p", ["REQUEST"], "FLAG", "emails", "uuid-1"), policy("q", ["REQUEST"], "FLAG", "uuid-1")]
    }
    assert.deepStrictEqual(Profiles.unknown(Profiles.builtIn, { dlp }), ["uuid-1"])
    assert.deepStrictEqual(Profiles.unknown(Profiles.builtIn, { dlp: rule("FLAG", "x") }), ["x"])
    assert.deepStrictEqual(Profiles.unknown(Profiles.builtIn, {}), [])
  })

  it.effect("tells who sets such a profile", () =>
    Effect.gen(function*() {
      const { notices } = yield* Inspection.make({ dlpProfiles: { mine: { uses: ["emails"] } } })
      assert.deepStrictEqual(notices({ dlp: rule("FLAG", "mine", "emails") }), [])
      assert.include(notices({ dlp: rule("FLAG", "mine", "uuid-1") }).join(), "find nothing: uuid-1")
    }))

  it("merges the findings of both ways", () => {
    const one = {
      findings: [{ profile: "a", entries: ["e"], policies: [], check: "REQUEST" }],
      action: "FLAG"
    } as const
    const two = {
      findings: [{ profile: "b", entries: ["e"], policies: [], check: "RESPONSE" }],
      action: "BLOCK"
    } as const
    assert.deepStrictEqual(Dlp.merge(one, two), { findings: [...one.findings, ...two.findings], action: "BLOCK" })
    assert.strictEqual(Dlp.merge(undefined, undefined), undefined)
  })
})

describe("DLP detectors", () => {
  const finds = (detector: detectors.Detector, text: string) => [...detector.find(text)]
  const cases: ReadonlyArray<
    readonly [detectors.Detector, found: ReadonlyArray<string>, ignored: ReadonlyArray<string>]
  > = [
    [
      detectors.creditCard,
      ["4111111111111111", card, "5500-0000-0000-0004", "378282246310005", "6011111111111117", "2223003122003222"],
      ["4111111111111112", "1700000000000", "1234567890123", "41111111111111111111", "0000000000000000", "4111"]
    ],
    [
      detectors.email,
      ["ann@example.com", "a.b+c@mail.example.co.uk"],
      ["ann@localhost", "@example.com", "a@b", "name at example.com"]
    ],
    [
      detectors.iban,
      ["DE89370400440532013000", "GB29 NWBK 6016 1331 9268 19", "NL91ABNA0417164300", "de89 3704 0044 0532 0130 00"],
      ["DE89370400440532013001", "ZZ89370400440532013000", "DE8937040044053201300", "XDE89370400440532013000"]
    ],
    [
      detectors.phone,
      ["+49 30 1234567", "+14155552671", "(415) 555-2671", "415-555-2671", "1-415-555-2671"],
      ["12345678", "1700000000", "2026-11-21", "4155552671", "1.2.3.4"]
    ],
    [detectors.usSsn, ["123-45-6789"], [
      "000-45-6789",
      "666-45-6789",
      "900-45-6789",
      "123-00-6789",
      "123-45-0000",
      "1123-45-6789"
    ]]
  ]

  for (const [detector, found, ignored] of cases) {
    it(`find ${detector.id} and nothing like it`, () => {
      for (const one of found) {
        assert.deepStrictEqual(finds(detector, `it is ${one}, thanks`), [one])
        assert.deepStrictEqual(finds(detector, one), [one])
      }
      for (const one of ignored) assert.deepStrictEqual(finds(detector, `it is ${one}, thanks`), [], one)
    })
  }

  it("find a card among other groups of digits", () => {
    assert.deepStrictEqual(finds(detectors.creditCard, `12 ${card} 12/27 123, order 77-4111-1111-1111-1111`), [
      card,
      "4111-1111-1111-1111"
    ])
  })

  it("find an IBAN in groups with prose after it", () => {
    assert.deepStrictEqual(finds(detectors.iban, "pay DE89 3704 0044 0532 0130 00 now"), [
      "DE89 3704 0044 0532 0130 00"
    ])
  })

  it("find the keys of the common providers, each by one detector, and take them out", () => {
    const x = (n: number) => "aB3".repeat(n).slice(0, n)
    const keys = {
      "anthropic-key": `sk-ant-api03-${x(40)}`,
      "openrouter-key": `sk-or-v1-${x(40)}`,
      "openai-key": `sk-proj-${x(40)}`,
      "google-key": `AIza${x(35)}`,
      "groq-key": `gsk_${x(52)}`,
      "xai-key": `xai-${x(80)}`,
      "perplexity-key": `pplx-${x(48)}`,
      "huggingface-key": `hf_${x(34)}`,
      "replicate-key": `r8_${x(37)}`,
      "fireworks-key": `fw_${x(24)}`,
      "aws-key": "AKIAIOSFODNN7EXAMPLE",
      "github-key": `ghp_${x(36)}`,
      "gitlab-key": `glpat-${x(20)}`,
      "slack-key": `xoxb-${x(24)}`,
      "stripe-key": `sk_live_${x(24)}`,
      "private-key": "-----BEGIN RSA PRIVATE KEY-----"
    }
    for (const [id, key] of Object.entries(keys)) {
      const text = `key="${key}" and so on`
      assert.deepStrictEqual(detectors.apiKeys.filter((_) => finds(_, text).length > 0).map((_) => _.id), [id])
      assert.strictEqual(detectors.redactKeys(text), "key=\"[redacted]\" and so on")
    }
    assert.strictEqual(detectors.redactKeys("sk-short task-force risk-averse"), "sk-short task-force risk-averse")
  })

  it("take time in proportion to the text, whatever is in it", () => {
    const all = [
      detectors.creditCard,
      detectors.email,
      detectors.iban,
      detectors.phone,
      detectors.usSsn,
      ...detectors.apiKeys
    ]
    const pieces = [
      "1",
      "1 ",
      "1-",
      "a",
      "a.",
      "a@",
      "a@a.",
      "a-a@",
      "DE89",
      "DE89 ",
      "+1 ",
      "(111) ",
      "sk-",
      "sk-ant-a",
      "AIza",
      "-----BEGIN ",
      " "
    ]
    for (const detector of all) {
      for (const piece of pieces) {
        const text = piece.repeat(Math.ceil(300_000 / piece.length))
        const started = performance.now()
        finds(detector, text)
        const took = performance.now() - started
        assert.isBelow(took, 1000, `${detector.id} on ${JSON.stringify(piece)} took ${took} ms`)
      }
    }
  }, 60_000)
})
