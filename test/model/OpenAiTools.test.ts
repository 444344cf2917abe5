import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as LanguageModel from "effect/unstable/ai/LanguageModel"
import * as Toolkit from "effect/unstable/ai/Toolkit"
import * as GatewayModel from "../../src/model/GatewayModel.ts"
import * as OpenAiTools from "../../src/model/OpenAiTools.ts"
import * as StubTransport from "../support/StubTransport.ts"

const toolkit = Toolkit.make(
  OpenAiTools.webSearch({ search_context_size: "low", filters: { allowed_domains: ["nrk.no"] } }),
  OpenAiTools.fileSearch({ vector_store_ids: ["vs_1"], max_num_results: 2 }),
  OpenAiTools.codeInterpreter({ container: { type: "auto" } }),
  OpenAiTools.imageGeneration({ size: "1024x1024" }),
  OpenAiTools.mcp({ server_label: "docs", server_url: "https://docs.example/mcp", require_approval: "never" })
)

const action = { type: "search", query: "Oslo" }

const output = [
  { id: "ws_1", type: "web_search_call", status: "completed", action },
  { id: "fs_1", type: "file_search_call", status: "completed", queries: ["Oslo"], results: [{ file_id: "f_1" }] },
  { id: "ci_1", type: "code_interpreter_call", status: "completed", code: "1", container_id: "c_1", outputs: [] },
  { id: "ig_1", type: "image_generation_call", status: "completed", result: "iVBORw0=", output_format: "png" },
  { id: "mc_1", type: "mcp_call", server_label: "docs", name: "find", arguments: "{}", output: "found" },
  { id: "msg_1", type: "message", content: [{ type: "output_text", text: "Rain.", annotations: [] }] }
]

const run = Effect.gen(function*() {
  const stub = StubTransport.make({
    body: JSON.stringify({ id: "resp_1", model: "gpt-5", status: "completed", output })
  })
  const model = GatewayModel.layer(stub, { provider: "openai", model: "gpt-5", api: "responses" })
  const response = yield* LanguageModel.generateText({ prompt: "hi", toolkit }).pipe(Effect.provide(model))
  return { response, query: stub.sent[0]?.query }
})

describe("OpenAI's own tools", () => {
  it.effect("are offered under the wire's types, with their settings", () =>
    Effect.gen(function*() {
      const { query } = yield* run
      assert.deepPropertyVal(query, "tools", [
        { type: "web_search", search_context_size: "low", filters: { allowed_domains: ["nrk.no"] } },
        { type: "file_search", vector_store_ids: ["vs_1"], max_num_results: 2 },
        { type: "code_interpreter", container: { type: "auto" } },
        { type: "image_generation", size: "1024x1024" },
        { type: "mcp", server_label: "docs", server_url: "https://docs.example/mcp", require_approval: "never" }
      ])
    }))

  it.effect("show as calls that the provider has run, each with its result", () =>
    Effect.gen(function*() {
      const { response } = yield* run
      assert.deepStrictEqual(
        response.toolCalls.map((call) => [call.name, call.providerExecuted]),
        Object.keys(toolkit.tools).map((name) => [name, true])
      )
      assert.deepStrictEqual(response.toolCalls[0]?.params, { action })
      assert.deepStrictEqual(response.toolResults.map((result) => [result.name, result.isFailure]), [
        ["OpenAiWebSearch", false],
        ["OpenAiFileSearch", false],
        ["OpenAiCodeInterpreter", false],
        ["OpenAiImageGeneration", false],
        ["OpenAiMcp", false]
      ])
      assert.deepStrictEqual(response.toolResults[0]?.result, { status: "completed", action })
      assert.strictEqual(response.text, "Rain.")
    }))
})
