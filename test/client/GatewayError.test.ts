import { assert, describe, it } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as GatewayError from "../../src/client/GatewayError.ts"

const answer = (
  status: number,
  body: unknown,
  headers: { readonly [name: string]: string } = {}
) =>
  GatewayError.fromAnswer({
    method: "run",
    status,
    headers,
    body: typeof body === "string" ? body : JSON.stringify(body),
    now: Date.UTC(2026, 10, 20, 12)
  })

/** The gateway's envelope, wire reference 3.4 G. */
const envelope = (code: number, message: string) => ({
  success: false,
  result: [],
  messages: [],
  error: [{ code, message }],
  name: "AiGatewayError",
  httpCode: 400,
  internalCode: code,
  message
})

describe("GatewayError", () => {
  // Wire reference 3.5: code, status, what a caller can do.
  const table: ReadonlyArray<readonly [number, number, GatewayError.Reason["_tag"], boolean]> = [
    [2001, 400, "GatewayNotFound", false],
    [2003, 429, "RateLimited", true],
    [2005, 400, "UpstreamFailed", true],
    [2008, 400, "InvalidRequest", false],
    [2009, 401, "Unauthorized", false],
    [2016, 424, "ContentBlocked", false],
    [2017, 424, "ContentBlocked", false],
    [2017, 422, "ContentBlocked", false],
    [2018, 429, "RateLimited", true],
    [2019, 400, "InvalidRequest", false],
    [2021, 402, "QuotaExceeded", false],
    [2029, 400, "ContentBlocked", false],
    [2030, 400, "ContentBlocked", false],
    [2040, 400, "InvalidRequest", false],
    [2041, 429, "QuotaExceeded", false],
    [2049, 402, "QuotaExceeded", false],
    [3036, 429, "QuotaExceeded", false],
    [3040, 429, "RateLimited", true],
    [5007, 400, "InvalidRequest", false],
    [7002, 404, "LogNotFound", false],
    [7003, 404, "InvalidRequest", false],
    [10000, 401, "Unauthorized", false]
  ]
  for (const [code, status, reason, retryable] of table) {
    it(`maps ${status} with code ${code} to ${reason}`, () => {
      for (const body of [envelope(code, "said"), { success: false, errors: [{ code, message: "said" }] }]) {
        const error = answer(status, body)
        assert.strictEqual(error.reason._tag, reason)
        assert.strictEqual(error.code, code)
        assert.strictEqual(error.isRetryable, retryable)
        assert.include(error.message, "said")
        assert.include(error.message, String(code))
      }
    })
  }

  it("maps statuses without a code", () => {
    const tags = [400, 401, 402, 403, 404, 408, 413, 424, 429, 500, 503].map((status) => answer(status, "").reason._tag)
    assert.deepStrictEqual(tags, [
      "InvalidRequest",
      "Unauthorized",
      "QuotaExceeded",
      "Unauthorized",
      "InvalidRequest",
      "UpstreamFailed",
      "InvalidRequest",
      "ContentBlocked",
      "RateLimited",
      "UpstreamFailed",
      "UpstreamFailed"
    ])
  })

  it("reads a provider's own error", () => {
    const error = answer(401, {
      error: { message: "Incorrect API key", type: "invalid_request_error", code: "invalid" }
    })
    assert.strictEqual(error.reason._tag, "Unauthorized")
    assert.include(error.message, "Incorrect API key")
    assert.isUndefined(error.code)
  })

  it("reads Google's errors, also as a list, with the wait they ask for", () => {
    const google = {
      error: {
        code: 429,
        message: "Resource has been exhausted",
        status: "RESOURCE_EXHAUSTED",
        details: [
          { "@type": "type.googleapis.com/google.rpc.QuotaFailure" },
          { "@type": "type.googleapis.com/google.rpc.RetryInfo", retryDelay: "3.5s" }
        ]
      }
    }
    for (const body of [google, [google]]) {
      const error = answer(429, body)
      assert.strictEqual(error.reason._tag, "RateLimited")
      assert.include(error.message, "exhausted")
      assert.strictEqual(error.retryAfter === undefined ? 0 : Duration.toMillis(error.retryAfter), 3500)
    }
  })

  it("quotes the beginning of a body that is no JSON, and says so when there is none", () => {
    assert.include(answer(502, "<html><body>Bad gateway</body></html>").message, "<html><body>Bad gateway")
    assert.include(answer(502, "").message, "no body")
    assert.isBelow(answer(502, "x".repeat(100_000)).message.length, 400)
    assert.strictEqual(answer(502, "x".repeat(100_000)).reason.body?.length, GatewayError.maxBodyLength)
  })

  it("reads how long to wait from seconds, milliseconds and dates", () => {
    const wait = (headers: { readonly [name: string]: string }) => {
      const { retryAfter } = answer(429, "", headers)
      return retryAfter === undefined ? undefined : Duration.toMillis(retryAfter)
    }
    assert.strictEqual(wait({ "retry-after": "7" }), 7000)
    assert.strictEqual(wait({ "retry-after-ms": "1500", "retry-after": "7" }), 1500)
    assert.strictEqual(wait({ "retry-after": "Fri, 20 Nov 2026 12:00:30 GMT" }), 30_000)
    assert.strictEqual(wait({ "retry-after": "Fri, 20 Nov 2026 11:00:00 GMT" }), 0)
    assert.isUndefined(wait({ "retry-after": "soon" }))
    assert.isUndefined(wait({}))
  })

  it("keeps the gateway's facts about the answer", () => {
    const { info } = answer(424, envelope(2016, "blocked"), {
      "cf-aig-log-id": "log",
      "cf-aig-step": "1",
      "cf-aig-cache-status": "MISS"
    }).reason
    assert.deepStrictEqual([info.logId, info.step, info.cacheStatus], ["log", 1, "MISS"])
  })

  it.effect("is caught by its reason", () =>
    Effect.gen(function*() {
      const caught = yield* Effect.fail(answer(429, envelope(2003, "Rate limited"))).pipe(
        Effect.catchReason("GatewayError", "RateLimited", (reason) => Effect.succeed(reason.code))
      )
      assert.strictEqual(caught, 2003)
    }))
})
