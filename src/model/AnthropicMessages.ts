/**
 * The wire of Anthropic's Messages API: `POST v1/messages`, answered whole or as typed events.
 *
 * Parameters and options: {@link AnthropicParameters}; prompt: {@link AnthropicPrompt}; tools: {@link AnthropicToolUse} and, ready-made, {@link AnthropicTools}.
 * An object is asked for in the model's output format, or, of models that have none, as the input of a tool that they are
 * made to call; both come back as text.
 *
 * Sources: wire reference, sections 9.1, 9.2, 10.0 and 10.3; the request and event types of Anthropic's TypeScript SDK,
 * which are made from the API's own description.
 *
 * @since 0.1.0
 */
import * as Result from "effect/Result"
import type * as Schema from "effect/Schema"
import * as AiError from "effect/unstable/ai/AiError"
import { toCodecAnthropic } from "effect/unstable/ai/AnthropicStructuredOutput"
import type * as LanguageModel from "effect/unstable/ai/LanguageModel"
import * as AnthropicParameters from "./AnthropicParameters.ts"
import * as AnthropicPrompt from "./AnthropicPrompt.ts"
import * as AnthropicReader from "./AnthropicReader.ts"
import * as AnthropicToolUse from "./AnthropicToolUse.ts"
import type { Codec, Request } from "./Codec.ts"
import { type JsonRecord, record } from "./Json.ts"

export type { Options } from "./AnthropicParameters.ts"

/**
 * Schema and codec of structured output: Effect's own for Anthropic's subset of JSON schema. It checks what the subset
 * cannot say when the answer is decoded.
 *
 * @category codecs
 * @since 0.1.0
 */
export const codecTransformer: LanguageModel.CodecTransformer = toCodecAnthropic

/**
 * @category codecs
 * @since 0.1.0
 */
export const codec: Codec = {
  codecTransformer,
  step(request) {
    const problems: Array<AiError.AiErrorReason> = []
    const betas = AnthropicParameters.betas(request.providerOptions)
    const query = body(request, problems)
    AnthropicParameters.checkThinking(query, betas, problems)
    const problem = problems[0]
    return problem === undefined
      ? Result.succeed({
        provider: request.provider,
        endpoint: "v1/messages",
        headers: { "anthropic-version": "2023-06-01", ...(betas === "" ? {} : { "anthropic-beta": betas }) },
        query,
        model: request.model
      })
      : Result.fail(problem)
  },
  reader: AnthropicReader.make
}

const body = (request: Request, problems: Array<AiError.AiErrorReason>): JsonRecord => {
  const { model, options, parameters, providerOptions, stream } = request
  const names = AnthropicToolUse.names(options.tools)
  const schema = jsonSchema(request, problems)
  const { output_config: given, ...fields } = AnthropicParameters.fields(model, parameters, providerOptions, problems)
  const outputConfig = {
    ...(schema === undefined || AnthropicToolUse.givesObject(request)
      ? {}
      : { format: { type: "json_schema", schema } }),
    ...record(given)
  }
  return {
    model,
    ...AnthropicPrompt.conversation(options.prompt, names.wire, problems),
    ...toolFields(request, names, schema, problems),
    ...(stream ? { stream: true } : {}),
    ...fields,
    ...(Object.keys(outputConfig).length === 0 ? {} : { output_config: outputConfig })
  }
}

const toolFields = (
  request: Request,
  names: AnthropicToolUse.Names,
  schema: JsonRecord | undefined,
  problems: Array<AiError.AiErrorReason>
): JsonRecord => {
  const { options: { toolChoice, tools: offered }, providerOptions } = request
  const tools = AnthropicToolUse.wireTools(offered, problems)
  const parallel = providerOptions["disableParallelToolUse"] !== true
  if (schema === undefined || !AnthropicToolUse.givesObject(request)) {
    return tools.length === 0
      ? {}
      : { tools, tool_choice: AnthropicToolUse.toolChoice(toolChoice, names.wire, parallel) }
  }
  if (schema["type"] !== "object") {
    problems.push(
      new AiError.UnsupportedSchemaError({ description: `${request.model} gives objects only, not ${schema["type"]}` })
    )
  }
  const objectTool = { name: AnthropicToolUse.objectTool, description: "Gives the answer.", input_schema: schema }
  return {
    tools: [...tools, objectTool],
    // Beside other tools the model may call those first.
    tool_choice: tools.length === 0 || toolChoice === "none"
      ? { type: "tool", name: AnthropicToolUse.objectTool, disable_parallel_tool_use: true }
      : AnthropicToolUse.toolChoice("required", names.wire, parallel)
  }
}

const jsonSchemas = new WeakMap<Schema.Top, JsonRecord>()

const jsonSchema = (
  { options: { responseFormat } }: Request,
  problems: Array<AiError.AiErrorReason>
): JsonRecord | undefined => {
  if (responseFormat.type !== "json") return undefined
  const { schema } = responseFormat
  const known = jsonSchemas.get(schema)
  if (known !== undefined) return known
  try {
    const made = codecTransformer(schema).jsonSchema
    jsonSchemas.set(schema, made)
    return made
  } catch (error) {
    problems.push(
      new AiError.UnsupportedSchemaError({ description: error instanceof Error ? error.message : String(error) })
    )
    return undefined
  }
}
