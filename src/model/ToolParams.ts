/**
 * A call's arguments, from the JSON that a tool's schema is sent as, in the tool's own encoding.
 *
 * On the wire a date is a text and an `undefined` a `null`, and the schema that is sent says so; Effect decodes calls with
 * the tool's schema itself. What does not fit stays as it is, for Effect to say what is wrong.
 *
 * @since 0.1.0
 */
import * as Exit from "effect/Exit"
import { identity } from "effect/Function"
import * as Schema from "effect/Schema"
import * as Tool from "effect/unstable/ai/Tool"

/**
 * Reads the arguments of one tool's calls.
 *
 * @category models
 * @since 0.1.0
 */
export type Reader = (params: unknown) => unknown

/**
 * The reader of a tool's arguments; made once for each tool.
 *
 * @category constructors
 * @since 0.1.0
 */
export const readerOf = (tool: Tool.Any): Reader => {
  const known = readers.get(tool)
  if (known !== undefined) return known
  const made = make(tool)
  readers.set(tool, made)
  return made
}

/**
 * Reads the arguments of any of the tools by their names.
 *
 * @category constructors
 * @since 0.1.0
 */
export const byName = (
  tools: ReadonlyArray<Tool.Any>,
  readerOf: (tool: Tool.Any) => Reader
): (name: string, params: unknown) => unknown => {
  const offered = new Map(tools.map((tool) => [tool.name, tool]))
  return (name, params) => {
    const tool = offered.get(name)
    return tool === undefined ? params : readerOf(tool)(params)
  }
}

const readers = new WeakMap<Tool.Any, Reader>()

const make = (tool: Tool.Any): Reader => {
  // A tool that was given by its JSON schema is sent with that, and what comes back fits it.
  if (Tool.isProviderDefined(tool) || (Tool.isDynamic(tool) && tool.jsonSchema !== undefined)) return identity
  // Tools forget what their schemas need; one that needs services fails here and leaves the arguments as they are.
  const schema: Schema.Constraint = tool.parametersSchema
  const plain = schema as Schema.ConstraintCodec<unknown, unknown>
  const fits = Schema.is(Schema.toEncoded(plain))
  const decode = Schema.decodeUnknownExit(Schema.toCodecJson(plain))
  const encode = Schema.encodeUnknownExit(plain)
  return (params) => {
    if (fits(params)) return params
    const decoded = decode(params)
    if (Exit.isFailure(decoded)) return params
    const encoded = encode(decoded.value)
    return Exit.isSuccess(encoded) ? encoded.value : params
  }
}
