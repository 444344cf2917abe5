/**
 * Calls of the Responses API's built-in tools as calls of tools that were made with `Tool.providerDefined`.
 *
 * A tool's `providerName` is the wire's type of the tool (`web_search`, `web_search_preview`, `file_search`, ...). What
 * its call holds is under the wire's names: parameters and result are fields of the item, as in the table below. A tool
 * that failed on the provider's side is a result too, for it says so itself (`status`, `error`); tools without a schema
 * of failures could not carry anything else.
 *
 * Sources: wire reference, section 10.2 (hosted tools); OpenAI's API reference, the output items of a response.
 *
 * @since 0.1.0
 */
import type * as Schema from "effect/Schema"
import * as AiError from "effect/unstable/ai/AiError"
import * as Tool from "effect/unstable/ai/Tool"
import { type JsonRecord, record, text } from "./Json.ts"

/**
 * What an item says of a built-in tool.
 *
 * @category models
 * @since 0.1.0
 */
export interface BuiltInCall {
  /** The tool's own name, or the wire's type when no such tool was offered. */
  readonly name: string
  /** The id under which a result is sent back, where the tool is run here. */
  readonly callId: string | undefined
  readonly params: JsonRecord
  /** The provider has run the tool, and this is what came out. */
  readonly isResolved: boolean
  readonly result: unknown
  /** An image that was made; base64. */
  readonly file: { readonly mediaType: string; readonly data: string } | undefined
  /** The item, to be sent again with the next request; not that of an image, whose file part stands for it. */
  readonly item: { readonly [name: string]: Schema.Json } | undefined
}

/**
 * Reads an item; `undefined` when it is no call.
 *
 * @category readers
 * @since 0.1.0
 */
export const read = (
  item: JsonRecord,
  tools: ReadonlyArray<Tool.Any>
): BuiltInCall | AiError.ToolConfigurationError | undefined => {
  const type = text(item["type"]) ?? ""
  if (type === "mcp_approval_request") {
    const toolName = nameOf("mcp", item, tools) ?? "mcp"
    const description = "it waits for an approval that cannot be given here; set `require_approval` to \"never\""
    return new AiError.ToolConfigurationError({ toolName, description })
  }
  const callId = text(item["call_id"])
  const row = Object.hasOwn(rows, type) ? rows[type] : undefined
  if (row === undefined) {
    // Nobody but the caller can answer what has the id of a call.
    return callId === undefined || !type.endsWith("_call")
      ? undefined
      : { name: type, callId, params: {}, isResolved: false, result: undefined, file: undefined, item: undefined }
  }
  const isImage = type === "image_generation_call"
  const image = isImage ? text(item["result"]) : undefined
  return {
    name: nameOf(row.tool, item, tools) ?? type,
    callId: row.result === undefined ? callId : undefined,
    params: pick(item, row.params),
    isResolved: row.result !== undefined,
    result: pick(item, row.result ?? []),
    file: image === undefined
      ? undefined
      : { mediaType: `image/${text(item["output_format"]) ?? "png"}`, data: image },
    // It came out of JSON.parse, which makes nothing but JSON.
    item: isImage ? undefined : item as { readonly [name: string]: Schema.Json }
  }
}

interface Row {
  /** How the types of the tool start. */
  readonly tool: string
  readonly params: ReadonlyArray<string>
  /** Absent where the tool is run here. */
  readonly result?: ReadonlyArray<string>
}

const rows: { readonly [type: string]: Row } = {
  web_search_call: { tool: "web_search", params: ["action"], result: ["status", "action"] },
  file_search_call: { tool: "file_search", params: ["queries"], result: ["status", "results"] },
  code_interpreter_call: {
    tool: "code_interpreter",
    params: ["code", "container_id"],
    result: ["status", "outputs"]
  },
  image_generation_call: {
    tool: "image_generation",
    params: [],
    result: ["status", "revised_prompt", "output_format", "size", "quality", "background"]
  },
  mcp_call: { tool: "mcp", params: ["server_label", "name", "arguments"], result: ["status", "output", "error"] },
  computer_call: { tool: "computer", params: ["action", "actions", "pending_safety_checks"] },
  shell_call: { tool: "shell", params: ["action"] },
  apply_patch_call: { tool: "apply_patch", params: ["operation"] },
  custom_tool_call: { tool: "custom", params: ["input"] }
}

const pick = (item: JsonRecord, names: ReadonlyArray<string>): JsonRecord => {
  const picked: { [name: string]: unknown } = {}
  for (const name of names) {
    if (item[name] !== undefined) picked[name] = item[name]
  }
  return picked
}

/** Of several MCP servers and custom tools the item names its own. */
const nameOf = (type: string, item: JsonRecord, tools: ReadonlyArray<Tool.Any>): string | undefined =>
  tools.find((tool) => {
    if (!Tool.isProviderDefined(tool) || !tool.providerName.startsWith(type)) return false
    const key = type === "mcp" ? "server_label" : type === "custom" ? "name" : undefined
    return key === undefined || record(tool.args)[key] === item[key]
  })?.name
