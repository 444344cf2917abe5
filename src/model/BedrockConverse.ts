/**
 * The wire of Amazon Bedrock's Converse API: `bedrock-runtime/{region}/model/{id}/converse`, answered whole, and
 * `/converse-stream`, answered in binary frames.
 *
 * | parameter | on the wire |
 * |---|---|
 * | `maxTokens`, `temperature`, `topP` | `inferenceConfig.maxTokens`, `.temperature`, `.topP` |
 * | `stop` | `inferenceConfig.stopSequences` |
 * | `topK`, `seed`, `frequencyPenalty`, `presencePenalty`, `reasoningEffort` | none: an `InvalidRequestError` |
 *
 * What only some models have, such as `top_k` or thinking, goes under the model's own names into the provider's option
 * `additionalModelRequestFields`.
 *
 * An object (`generateObject`) is asked for as the input of a tool that the model is made to call, which comes back as
 * text: an output format is known to some of Bedrock's models only, a forced tool to Claude and Nova alike. Claude
 * refuses a forced tool while it thinks, so not both in one call.
 *
 * Requests carry an API key of Bedrock's, or none, and then the gateway signs with its stored keys; a signature of the
 * caller's own (SigV4) is not made here.
 *
 * Sources: wire reference, sections 9.2 and 10.5; Amazon's reference of `Converse` and `ConverseStream`.
 *
 * @since 0.1.0
 */
import * as Result from "effect/Result"
import * as AiError from "effect/unstable/ai/AiError"
import { toCodecAnthropic } from "effect/unstable/ai/AnthropicStructuredOutput"
import type * as LanguageModel from "effect/unstable/ai/LanguageModel"
import * as Tool from "effect/unstable/ai/Tool"
import * as BedrockPrompt from "./BedrockPrompt.ts"
import * as BedrockReader from "./BedrockReader.ts"
import * as ChatTools from "./ChatTools.ts"
import type { Codec, Request } from "./Codec.ts"
import { type JsonRecord, record } from "./Json.ts"
import type { Parameters } from "./Parameters.ts"

/**
 * What only Bedrock has, under its own names.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options {
  /** What only this model has, under the model's own names: `{ top_k: 40 }`, `{ thinking: {...} }`. */
  readonly additionalModelRequestFields?: JsonRecord | undefined
  /** JSON pointers to fields of the model's own answer; they come in the finish part's metadata. */
  readonly additionalModelResponseFieldPaths?: ReadonlyArray<string> | undefined
  readonly guardrailConfig?:
    | {
      readonly guardrailIdentifier: string
      readonly guardrailVersion: string
      readonly trace?: "enabled" | "disabled" | "enabled_full" | undefined
      /** Of streams: whether text is held back until it is checked. */
      readonly streamProcessingMode?: "sync" | "async" | undefined
    }
    | undefined
  readonly performanceConfig?: { readonly latency: "standard" | "optimized" } | undefined
  readonly serviceTier?: { readonly type: "priority" | "default" | "flex" | "reserved" } | undefined
  /** Texts for the filters of Bedrock's invocation log. */
  readonly requestMetadata?: { readonly [name: string]: string } | undefined
}

/**
 * Schema and codec of structured output: Effect's own for Anthropic's subset of JSON schema, which Nova understands too.
 *
 * @category codecs
 * @since 0.1.0
 */
export const codecTransformer: LanguageModel.CodecTransformer = toCodecAnthropic

/**
 * The codec for one AWS region.
 *
 * @category codecs
 * @since 0.1.0
 */
export const codec = (region = "us-east-1"): Codec => ({
  codecTransformer,
  step(request) {
    const { model, provider, stream } = request
    const problems: Array<AiError.AiErrorReason> = []
    if (!/^[a-z]{2,}(-[a-z]+)+-\d+$/.test(region)) {
      problems.push(
        new AiError.InvalidRequestError({
          parameter: "region",
          constraint: "must be a region of AWS such as us-east-1",
          description: `It is ${JSON.stringify(region)}`
        })
      )
    }
    const query = body(request, problems)
    const problem = problems[0]
    return problem === undefined
      ? Result.succeed({
        provider,
        endpoint: `bedrock-runtime/${region}/model/${encodeURIComponent(model)}/converse${stream ? "-stream" : ""}`,
        query,
        model
      })
      : Result.fail(problem)
  },
  reader: BedrockReader.make
})

const body = (request: Request, problems: Array<AiError.AiErrorReason>): JsonRecord => {
  const { options, parameters, providerOptions } = request
  const { calledTools, messages, system } = BedrockPrompt.conversation(options.prompt, problems)
  const inferenceConfig = wireParameters(parameters, problems)
  return {
    ...(system.length === 0 ? {} : { system }),
    messages,
    ...(Object.keys(inferenceConfig).length === 0 ? {} : { inferenceConfig }),
    ...toolConfig(request, calledTools, problems),
    ...providerOptions
  }
}

const wireNames: { readonly [Name in keyof Parameters]?: string } = {
  maxTokens: "maxTokens",
  temperature: "temperature",
  topP: "topP",
  stop: "stopSequences"
}

const wireParameters = (parameters: Parameters, problems: Array<AiError.AiErrorReason>): JsonRecord => {
  const wire: { [name: string]: unknown } = {}
  for (const [name, value] of Object.entries(parameters)) {
    if (value === undefined) continue
    // Object.entries forgets the keys' type.
    const wireName = wireNames[name as keyof Parameters]
    if (wireName !== undefined) wire[wireName] = value
    else {
      problems.push(
        new AiError.InvalidRequestError({
          parameter: name,
          constraint: "is not known to aws-bedrock",
          description: "Where the model has it, set it in `additionalModelRequestFields` among the provider's options"
        })
      )
    }
  }
  return wire
}

const toolConfig = (
  { model, options }: Request,
  calledTools: ReadonlySet<string>,
  problems: Array<AiError.AiErrorReason>
): JsonRecord => {
  const { responseFormat, toolChoice } = options
  const isOff = toolChoice === "none"
  const tools = options.tools.map((tool) => toolSpec(tool, problems))
  if (responseFormat.type === "json") {
    const schema = record(ChatTools.jsonSchema(responseFormat.schema, codecTransformer, problems))
    if (problems.length === 0 && schema["type"] !== "object") {
      const type = String(schema["type"])
      problems.push(new AiError.UnsupportedSchemaError({ description: `${model} gives objects only, not ${type}` }))
    }
    const { objectTool: name } = BedrockReader
    const spec = { toolSpec: { name, description: "Gives the answer.", inputSchema: { json: schema } } }
    // Beside other tools the model may call those first.
    const isOnly = tools.length === 0 || isOff
    return { toolConfig: { tools: [...tools, spec], toolChoice: isOnly ? { tool: { name } } : { any: {} } } }
  }
  // The API refuses calls and results in the messages where it gets no tools; it has no way to forbid the offered ones.
  if (tools.length === 0 || isOff) {
    if (calledTools.size === 0) return {}
    return { toolConfig: { tools: tools.length > 0 ? tools : Array.from(calledTools, formerTool) } }
  }
  return { toolConfig: { tools, toolChoice: wireChoice(toolChoice) } }
}

/** `oneOf` needs no name on the wire: the tools are already the ones it allows. */
const wireChoice = (choice: LanguageModel.ProviderOptions["toolChoice"]): JsonRecord => {
  if (typeof choice !== "string" && "tool" in choice) return { tool: { name: choice.tool } }
  return (typeof choice === "string" ? choice : choice.mode) === "required" ? { any: {} } : { auto: {} }
}

const formerTool = (name: string): JsonRecord => ({
  toolSpec: { name, inputSchema: { json: { type: "object" } } }
})

/** A tool is made once: a toolkit's tools live as long as the program. */
const toolSpecs = new WeakMap<Tool.Any, JsonRecord>()

const toolSpec = (tool: Tool.Any, problems: Array<AiError.AiErrorReason>): JsonRecord => {
  const known = toolSpecs.get(tool)
  if (known !== undefined) return known
  const made = makeToolSpec(tool)
  if (AiError.isAiErrorReason(made)) {
    problems.push(made)
    return {}
  }
  toolSpecs.set(tool, made)
  return made
}

const makeToolSpec = (tool: Tool.Any): JsonRecord | AiError.AiErrorReason => {
  if (Tool.isProviderDefined(tool)) {
    return new AiError.ToolConfigurationError({
      toolName: tool.name,
      description: "it is defined by a provider, and Bedrock has no such tool; use Tool.make"
    })
  }
  try {
    const description = Tool.getDescription(tool)
    const schema = Tool.getJsonSchema(tool)
    return {
      toolSpec: {
        name: tool.name,
        ...(description === undefined ? {} : { description }),
        // The API insists on the type; the schema of an empty struct is that of anything but null.
        inputSchema: { json: "not" in schema ? { type: "object" } : { type: "object", ...schema } }
      }
    }
  } catch (error) {
    return new AiError.UnsupportedSchemaError({
      description: `tool ${tool.name}: ${error instanceof Error ? error.message : String(error)}`
    })
  }
}
