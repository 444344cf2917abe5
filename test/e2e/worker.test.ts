import { assert } from "@effect/vitest"
import * as Test from "alchemy/Test/Vitest"
import { Sse } from "effect-ai-gateway"
import { providers } from "effect-ai-gateway/providers"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import * as HttpClient from "effect/unstable/http/HttpClient"
import * as HttpClientResponse from "effect/unstable/http/HttpClientResponse"
import { describe } from "vitest"
import stack from "../../alchemy.run.ts"
import { awake } from "../support/awake.ts"

const { afterAll, beforeAll, deploy, destroy, test } = Test.make({ providers: providers(), dev: true })

const outputs = beforeAll(deploy(stack).pipe(Effect.tap(({ url }) => awake(url))))
afterAll(destroy(stack), { timeout: 60_000 })

const get = (path: string) =>
  Effect.gen(function*() {
    const { url } = yield* outputs
    return yield* HttpClient.get(new URL(path, url))
  })

describe("examples/worker on workerd, under alchemy dev, without an account", () => {
  test(
    "generates text, with usage and the id of its log entry",
    Effect.gen(function*() {
      const response = yield* get("/generate?prompt=How%20are%20gateways%20made%3F")
      assert.strictEqual(response.status, 200)
      const answer = (yield* response.json) as Record<string, unknown>
      assert.include(answer["text"], "How are gateways made?")
      assert.isString(answer["logId"])
      const usage = answer["usage"] as Record<string, number>
      assert.isAbove(usage["inputTokens"]!, 0)
      assert.isAbove(usage["outputTokens"]!, 0)
    })
  )

  test(
    "streams an answer that decodes into the same parts",
    Effect.gen(function*() {
      const response = yield* get("/stream?prompt=Hello%20there")
      assert.include(response.headers["content-type"], "text/event-stream")
      assert.strictEqual(response.headers["x-accel-buffering"], "no")
      const reads: Array<number> = []
      const parts = yield* response.stream.pipe(
        Stream.tap(() => Effect.sync(() => reads.push(reads.length))),
        Sse.decode,
        Stream.runCollect
      )
      const text = parts.map((part) => part.type === "text-delta" ? part.delta : "").join("")
      assert.include(text, "Hello there")
      assert.isAbove(reads.length, 3, "the answer comes piece by piece")
      const last = parts.at(-1)
      assert.strictEqual(last?.type, "finish")
      if (last?.type === "finish") {
        assert.strictEqual(last.reason, "stop")
        assert.isString(last.metadata.aiGateway?.logId)
      }
    })
  )

  test(
    "serves a page, and says what else there is",
    Effect.gen(function*() {
      const page = yield* Effect.flatMap(get("/"), HttpClientResponse.filterStatusOk)
      assert.include(yield* page.text, "EventSource")
      assert.strictEqual((yield* get("/nope")).status, 404)
    })
  )

  test(
    "goes through the gateway that the stack declares, which has logged it",
    Effect.gen(function*() {
      const { gatewayId, gatewayUrl } = yield* outputs
      assert.strictEqual(gatewayId, "prod-gateway")
      const { logId } = (yield* Effect.flatMap(get("/generate?prompt=log"), (_) => _.json)) as { logId: string }
      const log = yield* HttpClient.get(
        `${gatewayUrl}/workers-binding/ai-gateway/gateways/${gatewayId}/logs/${logId}`
      ).pipe(Effect.flatMap(HttpClientResponse.filterStatusOk), Effect.flatMap((_) => _.json))
      assert.nestedPropertyVal(log, "result.provider", "workers-ai")
      assert.nestedPropertyVal(log, "result.status_code", 200)
    })
  )
})
