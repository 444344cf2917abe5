/**
 * What an answer depends on, as the key under which a cache keeps it.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import type * as Schema from "effect/Schema"
import * as SchemaAST from "effect/SchemaAST"
import * as Prompt from "effect/unstable/ai/Prompt"
import * as Tool from "effect/unstable/ai/Tool"
import * as Parameters from "../model/Parameters.ts"
import type { Watch } from "./aroundModel.ts"
import * as RoutedName from "./routedName.ts"
import { NotHashable, stableHash } from "./stableHash.ts"

/**
 * The tools of a call, by their names.
 *
 * @category models
 * @since 0.1.0
 */
export type Tools = { readonly [name: string]: Tool.Any }

/**
 * The key of a call: a SHA-256 in hexadecimal digits.
 *
 * Fails where a part of the call has no text that stands for it alone, such as a prompt that is none, or a schema without a
 * JSON schema.
 *
 * @category constructors
 * @since 0.1.0
 */
export const cacheKey = (call: {
  /** What model this is. */
  readonly name: string
  readonly watch: Watch
  readonly tools: Tools
  /** What else the answer depends on. */
  readonly extra: ReadonlyArray<unknown>
}): Effect.Effect<string, NotHashable> =>
  Effect.gen(function*() {
    const parameters = yield* Parameters.Current
    // The cache may stand around a router, and names lead to different models.
    const routed = yield* RoutedName.Current
    const providerOptions = yield* Parameters.CurrentProviderOptions
    const asked = yield* Effect.try({
      try: () => askedOf(call.watch, call.tools),
      catch: (cause) => new NotHashable({ cause })
    })
    return yield* stableHash({
      ...asked,
      name: call.name,
      routed: routed ?? null,
      extra: call.extra,
      parameters,
      providerOptions
    })
  })

const askedOf = ({ method, options }: Watch, tools: Tools) => ({
  method,
  prompt: Prompt.make(options.prompt ?? []).content,
  tools: Object.values(tools).map(describeTool),
  // A model without tools is asked for none, whatever the choice.
  toolChoice: Object.keys(tools).length === 0 ? "none" : options.toolChoice ?? "auto",
  // With tools that are run, an answer that calls one is another than without.
  runsTools: options.disableToolCallResolution !== true,
  object: options.schema === undefined ? undefined : {
    name: options.objectName ?? SchemaAST.resolveIdentifier(options.schema.ast),
    schema: describeSchema(options.schema)
  }
})

/** Tools and schemas are made once and asked with often, and JSON schemas are slow to make. */
const described = new WeakMap<object, unknown>()

const once = <A extends object>(describe: (of: A) => unknown) => (of: A): unknown => {
  if (!described.has(of)) described.set(of, describe(of))
  return described.get(of)
}

const describeTool = once((tool: Tool.Any) => ({
  name: tool.name,
  description: Tool.getDescription(tool),
  strict: Tool.getStrictMode(tool),
  parameters: Tool.getJsonSchema(tool),
  provided: Tool.isProviderDefined(tool) ? { id: tool.id, args: tool.args } : undefined
}))

const describeSchema = once((schema: Schema.Constraint) => Tool.getJsonSchemaFromSchema(schema))
