/**
 * Effect's tools, tool choice and schemas in the form of OpenAI's chat completions, which many providers share.
 *
 * Sources: wire reference, sections 1.7 and 10.1; OpenAI's reference of chat completions for strict tools.
 *
 * @since 0.1.0
 */
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as AiError from "effect/unstable/ai/AiError"
import * as LanguageModel from "effect/unstable/ai/LanguageModel"
import * as Tool from "effect/unstable/ai/Tool"
import * as ToolParams from "./ToolParams.ts"

/**
 * @category models
 * @since 0.1.0
 */
export interface FunctionTool {
  readonly type: "function"
  readonly function: {
    readonly name: string
    readonly description?: string
    readonly parameters: unknown
    readonly strict?: boolean
  }
}

/**
 * Schema and codec of structured output for providers that take any JSON schema.
 *
 * Optional keys stay optional and nothing is rewritten as for OpenAI's subset, whose required-but-nullable keys small
 * models fill with inventions. What comes back is JSON, so the codec is the schema's JSON codec (dates, big integers
 * and the like are texts there).
 *
 * @category codecs
 * @since 0.1.0
 */
export const jsonTransformer: LanguageModel.CodecTransformer = (schema) => {
  const codec = Schema.toCodecJson(schema)
  return { codec, jsonSchema: LanguageModel.defaultCodecTransformer(codec).jsonSchema }
}

/**
 * The JSON schema of structured output, made once for each schema; a schema that has none becomes a problem.
 *
 * @category constructors
 * @since 0.1.0
 */
export const jsonSchema = (
  schema: Schema.Top,
  transformer: LanguageModel.CodecTransformer,
  problems: Array<AiError.AiErrorReason>
): unknown => {
  const known = jsonSchemas.get(schema)
  if (known !== undefined && known.transformer === transformer) return known.json
  const json = attempt(() => transformer(schema).jsonSchema, problems)
  if (json !== undefined) jsonSchemas.set(schema, { transformer, json })
  return json
}

/**
 * Tools in function form. A tool's schema is made once: a toolkit's tools live as long as the program.
 *
 * With a transformer for strict schemas the annotation `Tool.Strict` goes onto the wire, and a strict tool's schema is
 * made with it; {@link strictParams} reads what comes back.
 *
 * @category constructors
 * @since 0.1.0
 */
export const functionTools = (
  tools: ReadonlyArray<Tool.Any>,
  transformer: LanguageModel.CodecTransformer,
  problems: Array<AiError.AiErrorReason>,
  strict?: LanguageModel.CodecTransformer
): ReadonlyArray<FunctionTool> => {
  const made: Array<FunctionTool> = []
  for (const tool of tools) {
    const known = functionToolCache.get(tool)
    if (known !== undefined && known.transformer === transformer && known.strict === strict) {
      made.push(known.tool)
      continue
    }
    const before = problems.length
    const functionTool = toFunctionTool(tool, transformer, problems, strict)
    made.push(functionTool)
    if (problems.length === before) functionToolCache.set(tool, { transformer, strict, tool: functionTool })
  }
  return made
}

/**
 * Brings the arguments of strict tools back into the tools' own encoding, as {@link ToolParams} does those of the others:
 * OpenAI's subset has no optional keys, tuples or records, and a call holds what stands for them.
 *
 * @category constructors
 * @since 0.1.0
 */
export const strictParams = (
  tools: ReadonlyArray<Tool.Any>,
  transformer: LanguageModel.CodecTransformer
): (name: string, params: unknown) => unknown =>
  ToolParams.byName(
    tools,
    (tool) => Tool.getStrictMode(tool) === true ? paramsReaderOf(tool, transformer) : ToolParams.readerOf(tool)
  )

/**
 * `oneOf` needs no name on the wire: the tools are already the ones it allows.
 *
 * @category constructors
 * @since 0.1.0
 */
export const toolChoice = (choice: LanguageModel.ProviderOptions["toolChoice"]) =>
  typeof choice === "string"
    ? choice
    : "tool" in choice
    ? { type: "function", function: { name: choice.tool } }
    : choice.mode ?? "auto"

const functionToolCache = new WeakMap<
  Tool.Any,
  {
    readonly transformer: LanguageModel.CodecTransformer
    readonly strict: LanguageModel.CodecTransformer | undefined
    readonly tool: FunctionTool
  }
>()

const jsonSchemas = new WeakMap<
  Schema.Top,
  { readonly transformer: LanguageModel.CodecTransformer; readonly json: unknown }
>()

/** Schemas say by throwing that they have no JSON schema. */
const attempt = <A>(make: () => A, problems: Array<AiError.AiErrorReason>): A | undefined => {
  try {
    return make()
  } catch (error) {
    problems.push(
      new AiError.UnsupportedSchemaError({ description: error instanceof Error ? error.message : String(error) })
    )
    return undefined
  }
}

const toFunctionTool = (
  tool: Tool.Any,
  transformer: LanguageModel.CodecTransformer,
  problems: Array<AiError.AiErrorReason>,
  strict: LanguageModel.CodecTransformer | undefined
): FunctionTool => {
  if (Tool.isProviderDefined(tool)) {
    problems.push(misconfigured(tool, "it is defined by a provider, and this model has no such tool; use Tool.make"))
  }
  const description = Tool.getDescription(tool)
  const isStrict = strict === undefined ? undefined : Tool.getStrictMode(tool)
  const made = isStrict === true && strict !== undefined ? strict : transformer
  const schema = attempt(() => Tool.getJsonSchema(tool, { transformer: made }), problems)
  // OpenAI refuses an object schema that names no properties.
  const parameters = schema?.type === "object" && schema.properties === undefined
    ? { ...schema, properties: {} }
    : schema
  return {
    type: "function",
    function: {
      name: tool.name,
      ...(description === undefined ? {} : { description }),
      parameters,
      ...(isStrict === undefined ? {} : { strict: isStrict })
    }
  }
}

const misconfigured = (tool: Tool.Any, description: string): AiError.ToolConfigurationError =>
  new AiError.ToolConfigurationError({ toolName: tool.name, description })

/** Made once for each strict tool; there is one transformer for strict tools only. */
const paramsReaders = new WeakMap<Tool.Any, ToolParams.Reader>()

const paramsReaderOf = (tool: Tool.Any, transformer: LanguageModel.CodecTransformer): ToolParams.Reader => {
  const known = paramsReaders.get(tool)
  if (known !== undefined) return known
  const made = paramsReader(tool, transformer)
  paramsReaders.set(tool, made)
  return made
}

const paramsReader = (tool: Tool.Any, transformer: LanguageModel.CodecTransformer): ToolParams.Reader => {
  // A tool that was given by its JSON schema is sent with that, and what comes back fits it.
  if (Tool.isDynamic(tool) && tool.jsonSchema !== undefined) return (params) => params
  // Tools do not say which services their schemas need; where some are needed, decoding fails and nothing is changed.
  const parameters: Schema.Constraint = tool.parametersSchema
  const plain = parameters as Schema.ConstraintCodec<unknown, unknown>
  const decode = Schema.decodeUnknownOption(transformer(plain).codec)
  const encode = Schema.encodeUnknownOption(plain)
  return (params) => Option.getOrElse(Option.flatMap(decode(params), (decoded) => encode(decoded)), () => params)
}
