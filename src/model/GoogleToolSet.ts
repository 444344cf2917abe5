/**
 * Effect's tools and tool choice in the form of Google's `generateContent`.
 *
 * Sources: wire reference, section 10.4; `Tool`, `FunctionDeclaration` and `ToolConfig` of `@google/genai@2.32.0`.
 *
 * @since 0.1.0
 */
import * as AiError from "effect/unstable/ai/AiError"
import type * as LanguageModel from "effect/unstable/ai/LanguageModel"
import * as Tool from "effect/unstable/ai/Tool"
import * as GoogleSchema from "./GoogleSchema.ts"
import { isRecord, type JsonRecord, record } from "./Json.ts"

/**
 * The request's `tools` and `toolConfig`.
 *
 * @category models
 * @since 0.1.0
 */
export interface ToolSet {
  readonly tools?: ReadonlyArray<JsonRecord>
  readonly toolConfig?: JsonRecord
}

/**
 * Functions as one `functionDeclarations`, and each tool that Google runs itself under its own key.
 *
 * `auto` is mode AUTO, `required` ANY, `none` NONE, one tool ANY with that name allowed, `oneOf` ANY or AUTO over the
 * tools that are left. Mode and names are of functions: Google cannot be made to use its own tools, so a choice that
 * requires one of them is a problem, and with `none` they are not sent.
 *
 * @category constructors
 * @since 0.1.0
 */
export const toolSet = (
  offered: ReadonlyArray<Tool.Any>,
  choice: LanguageModel.ProviderOptions["toolChoice"],
  problems: Array<AiError.AiErrorReason>
): ToolSet => {
  if (offered.length === 0) return {}
  const functions: Array<JsonRecord> = []
  const names: Array<string> = []
  const tools: Array<JsonRecord> = []
  for (const tool of offered) {
    if (!Tool.isProviderDefined(tool)) {
      functions.push(declaration(tool, problems))
      names.push(tool.name)
    } else if (choice !== "none") tools.push(providerTool(tool, problems))
  }
  if (functions.length > 0) tools.unshift({ functionDeclarations: functions })
  const wanted = typeof choice === "string"
    ? { required: choice === "required", names }
    : "tool" in choice
    ? { required: true, names: names.filter((name) => name === choice.tool) }
    : { required: choice.mode === "required", names }
  if (wanted.required && wanted.names.length === 0) {
    problems.push(
      new AiError.InvalidRequestError({
        parameter: "toolChoice",
        constraint: "can require functions only",
        description: "Google decides itself when to use the tools that it runs"
      })
    )
  }
  return {
    ...(tools.length === 0 ? {} : { tools }),
    ...(functions.length === 0 ? {} : {
      toolConfig: {
        functionCallingConfig: wanted.required
          ? { mode: "ANY", ...(choice === "required" ? {} : { allowedFunctionNames: wanted.names }) }
          : { mode: choice === "none" ? "NONE" : "AUTO" }
      }
    })
  }
}

const declarations = new WeakMap<Tool.Any, JsonRecord>()

/** A tool's schema is made once: a toolkit's tools live as long as the program. */
const declaration = (tool: Tool.Any, problems: Array<AiError.AiErrorReason>): JsonRecord => {
  const known = declarations.get(tool)
  if (known !== undefined) return known
  const description = Tool.getDescription(tool)
  let schema: JsonRecord
  try {
    schema = Tool.getJsonSchema(tool, { transformer: GoogleSchema.codecTransformer })
  } catch (error) {
    problems.push(
      new AiError.ToolConfigurationError({
        toolName: tool.name,
        description: error instanceof Error ? error.message : String(error)
      })
    )
    return {}
  }
  const made: JsonRecord = {
    name: tool.name,
    ...(description === undefined ? {} : { description }),
    // A function without parameters has no schema: an object without properties is refused by some models.
    ...(takesNothing(schema) ? {} : { parametersJsonSchema: schema })
  }
  declarations.set(tool, made)
  return made
}

const takesNothing = (schema: JsonRecord): boolean =>
  schema["type"] === "object" && schema["properties"] === undefined && schema["anyOf"] === undefined &&
  schema["oneOf"] === undefined && !isRecord(schema["additionalProperties"])

/** Under which key of `Tool` Google has its tools, by their names. */
const providerTools: { readonly [providerName: string]: string } = {
  code_execution: "codeExecution",
  enterprise_web_search: "enterpriseWebSearch",
  file_search: "fileSearch",
  google_maps: "googleMaps",
  google_search: "googleSearch",
  url_context: "urlContext"
}

const providerTool = (tool: Tool.AnyProviderDefined, problems: Array<AiError.AiErrorReason>): JsonRecord => {
  const key = tool.id.startsWith("google.") && Object.hasOwn(providerTools, tool.providerName)
    ? providerTools[tool.providerName]
    : undefined
  // Effect puts the mode of a tool that has a handler beside the tool's own arguments.
  const { failureMode: _, ...args } = record(tool.args)
  if (key !== undefined) return { [key]: args }
  problems.push(
    new AiError.ToolConfigurationError({
      toolName: tool.name,
      description: `Google has no tool ${tool.id}; it runs ${
        Object.keys(providerTools).map((name) => `google.${name}`).join(", ")
      }`
    })
  )
  return {}
}
