/**
 * Effect's tools in the form of Anthropic's Messages API.
 *
 * A provider-defined tool's id is `anthropic.` and the type on the wire, such as `anthropic.web_search_20250305`; its
 * arguments are sent as they are, under the API's own names. Ready-made ones: {@link AnthropicTools}.
 *
 * Sources: wire reference, sections 9.4 and 10.3; the tool types of Anthropic's TypeScript SDK.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Schema from "effect/Schema"
import * as AiError from "effect/unstable/ai/AiError"
import type * as LanguageModel from "effect/unstable/ai/LanguageModel"
import * as Tool from "effect/unstable/ai/Tool"
import type { CacheControl } from "./AnthropicMetadata.ts"
import * as AnthropicParameters from "./AnthropicParameters.ts"
import type { Request } from "./Codec.ts"
import { type JsonRecord, record } from "./Json.ts"

/**
 * Caches the request up to and with a function tool: `tool.annotate(AnthropicTools.Cache, { type: "ephemeral" })`. Tools come
 * first in the cached text, so a mark on the last tool caches them all.
 *
 * @category annotations
 * @since 0.1.0
 */
export const Cache = Context.Reference<CacheControl | undefined>("effect-ai-gateway/AnthropicToolUse/Cache", {
  defaultValue: () => undefined
})

/**
 * Tools as the request has them. A tool is made once: a toolkit's tools live as long as the program.
 *
 * A function tool's schema is the plain one, not that of structured output: Effect decodes what comes back with the tool's
 * own schema, in which what is optional may be absent but not `null`.
 *
 * @category constructors
 * @since 0.1.0
 */
export const wireTools = (
  tools: ReadonlyArray<Tool.Any>,
  problems: Array<AiError.AiErrorReason>
): ReadonlyArray<JsonRecord> =>
  tools.map((tool) => {
    const known = cache.get(tool)
    if (known !== undefined) return known
    const made = wireTool(tool)
    if (AiError.isAiErrorReason(made)) {
      problems.push(made)
      return {}
    }
    cache.set(tool, made)
    return made
  })

/**
 * `oneOf` needs no name on the wire: the tools are already the ones it allows.
 *
 * @category constructors
 * @since 0.1.0
 */
export const toolChoice = (
  choice: LanguageModel.ProviderOptions["toolChoice"],
  wireName: (tool: string) => string,
  parallel: boolean
): JsonRecord => {
  if (choice === "none") return { type: "none" }
  const limit = parallel ? {} : { disable_parallel_tool_use: true }
  if (typeof choice !== "string" && "tool" in choice) return { type: "tool", name: wireName(choice.tool), ...limit }
  const mode = typeof choice === "string" ? choice : choice.mode ?? "auto"
  return { type: mode === "required" ? "any" : "auto", ...limit }
}

/**
 * The provider's names of the tools that it defines, both ways.
 *
 * @category models
 * @since 0.1.0
 */
export interface Names {
  readonly wire: (tool: string) => string
  /** The toolkit's name for the name on the wire. */
  readonly custom: (name: string) => string
}

/**
 * @category constructors
 * @since 0.1.0
 */
export const names = (tools: ReadonlyArray<Tool.Any>): Names => {
  if (!tools.some(Tool.isProviderDefined)) return same
  const mapper = new Tool.NameMapper(tools)
  return {
    wire: (tool) => mapper.getProviderName(tool),
    // What runs inside the container of code execution has names of its own.
    custom: (name) => mapper.getCustomName(/^(bash|text_editor)_code_execution$/.test(name) ? "code_execution" : name)
  }
}

/**
 * The tool whose input is the object that was asked for, of models that have no output format.
 *
 * @category constants
 * @since 0.1.0
 */
export const objectTool = "structured_output"

/**
 * Whether the answer is the input of {@link objectTool}.
 *
 * @category guards
 * @since 0.1.0
 */
export const givesObject = ({ model, options, providerOptions }: Request): boolean =>
  options.responseFormat.type === "json" &&
  (providerOptions["structuredOutput"] ?? AnthropicParameters.family(model).structuredOutput) === "tool"

const identity = (name: string): string => name
const same: Names = { wire: identity, custom: identity }

const cache = new WeakMap<Tool.Any, JsonRecord>()

/** The API is strict with schemas only that name all properties of their objects. */
const closedObjects: LanguageModel.CodecTransformer = (codec) => {
  const { definitions, schema } = Schema.toJsonSchemaDocument(codec, { onExcessProperty: "error" })
  return { codec, jsonSchema: Object.keys(definitions).length === 0 ? schema : { ...schema, $defs: definitions } }
}

const wireTool = (tool: Tool.Any): JsonRecord | AiError.AiErrorReason => {
  const mark = Context.get(tool.annotations, Cache)
  const marked = mark === undefined ? {} : { cache_control: mark }
  if (Tool.isProviderDefined(tool)) {
    const [provider, type] = tool.id.split(".", 2)
    if (provider !== "anthropic" || type === undefined) {
      return new AiError.ToolConfigurationError({
        toolName: tool.name,
        description: `it is defined by ${provider}, and Anthropic has no such tool; define it with Tool.make`
      })
    }
    // The mode of failures is for Effect's handlers.
    const { failureMode: _, ...args } = record(tool.args)
    return { type, name: tool.providerName, ...args, ...marked }
  }
  try {
    const description = Tool.getDescription(tool)
    const strict = Tool.getStrictMode(tool) === true
    const schema = Tool.getJsonSchema(tool, strict ? { transformer: closedObjects } : {})
    return {
      name: tool.name,
      ...(description === undefined ? {} : { description }),
      // The API insists on the type; the schema of an empty struct is that of anything but null.
      input_schema: "not" in schema ? { type: "object" } : { type: "object", ...schema },
      ...(strict ? { strict: true } : {}),
      ...marked
    }
  } catch (error) {
    return new AiError.UnsupportedSchemaError({
      description: `tool ${tool.name}: ${error instanceof Error ? error.message : String(error)}`
    })
  }
}
