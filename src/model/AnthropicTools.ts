/**
 * The tools that Anthropic defines: those it runs itself, and those that a toolkit's handlers run for it.
 *
 * Results of tools that the provider runs keep the API's form. What they say is not fixed, so these tools take any JSON; a
 * tool made with `Tool.providerDefined` can say more. To go back in the next prompt the results need no schema.
 *
 * **Example** (An answer that may search the web, at most three times)
 *
 * ```ts
 * import * as Effect from "effect/Effect"
 * import * as LanguageModel from "effect/unstable/ai/LanguageModel"
 * import * as Toolkit from "effect/unstable/ai/Toolkit"
 * import type { AiGatewayClient } from "effect-ai-gateway"
 * import * as AnthropicTools from "effect-ai-gateway/AnthropicTools"
 *
 * const toolkit = Toolkit.make(AnthropicTools.webSearch({ max_uses: 3 }))
 *
 * export const news = <R>(client: AiGatewayClient<R>) =>
 *   LanguageModel.generateText({ prompt: "What happened in Oslo today?", toolkit }).pipe(
 *     Effect.provide(client.model({ provider: "anthropic", model: "claude-sonnet-4-6" }))
 *   )
 * ```
 *
 * Sources: wire reference, sections 9.4 and 10.3; the tool types of Anthropic's TypeScript SDK.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"
import * as Tool from "effect/unstable/ai/Tool"

export { Cache } from "./AnthropicToolUse.ts"

const common = {
  /** As `Cache`: `annotate` would take the type of a provider-defined tool away. */
  cache_control: Schema.optionalKey(Schema.Struct({
    type: Schema.Literal("ephemeral"),
    ttl: Schema.optionalKey(Schema.Literals(["5m", "1h"]))
  }))
}

const domains = {
  ...common,
  /** Most uses in one answer. */
  max_uses: Schema.optionalKey(Schema.Int),
  /** Only these, or all but the blocked ones; not both. */
  allowed_domains: Schema.optionalKey(Schema.Array(Schema.String)),
  blocked_domains: Schema.optionalKey(Schema.Array(Schema.String))
}

const anything = { parameters: Schema.Unknown, success: Schema.Unknown, failure: Schema.Unknown }

/**
 * Searches the web; the provider runs it, and what the answer cites comes as source parts.
 *
 * @category tools
 * @since 0.1.0
 */
export const webSearch = Tool.providerDefined({
  id: "anthropic.web_search_20250305",
  customName: "AnthropicWebSearch",
  providerName: "web_search",
  args: Schema.Struct({
    ...domains,
    user_location: Schema.optionalKey(Schema.Struct({
      type: Schema.Literal("approximate"),
      city: Schema.optionalKey(Schema.String),
      region: Schema.optionalKey(Schema.String),
      country: Schema.optionalKey(Schema.String),
      timezone: Schema.optionalKey(Schema.String)
    }))
  }),
  ...anything
})

/**
 * Reads pages and PDFs by their URL; the provider runs it. Needs the beta `web-fetch-2025-09-10`.
 *
 * @category tools
 * @since 0.1.0
 */
export const webFetch = Tool.providerDefined({
  id: "anthropic.web_fetch_20250910",
  customName: "AnthropicWebFetch",
  providerName: "web_fetch",
  args: Schema.Struct({
    ...domains,
    citations: Schema.optionalKey(Schema.Struct({ enabled: Schema.Boolean })),
    max_content_tokens: Schema.optionalKey(Schema.Int)
  }),
  ...anything
})

/**
 * Runs Bash and edits files in a container of the provider. Needs the beta `code-execution-2025-08-25`.
 *
 * @category tools
 * @since 0.1.0
 */
export const codeExecution = Tool.providerDefined({
  id: "anthropic.code_execution_20250825",
  customName: "AnthropicCodeExecution",
  providerName: "code_execution",
  args: Schema.Struct(common),
  ...anything
})

/**
 * A Bash session; the toolkit's own handler runs the commands.
 *
 * @category tools
 * @since 0.1.0
 */
export const bash = Tool.providerDefined({
  id: "anthropic.bash_20250124",
  customName: "AnthropicBash",
  providerName: "bash",
  args: Schema.Struct(common),
  requiresHandler: true,
  parameters: Schema.Struct({
    command: Schema.optionalKey(Schema.String),
    restart: Schema.optionalKey(Schema.Boolean)
  }),
  success: Schema.String,
  failure: Schema.String
})

/**
 * Views and edits text files; the toolkit's own handler does it.
 *
 * @category tools
 * @since 0.1.0
 */
export const textEditor = Tool.providerDefined({
  id: "anthropic.text_editor_20250728",
  customName: "AnthropicTextEditor",
  providerName: "str_replace_based_edit_tool",
  args: Schema.Struct({ ...common, max_characters: Schema.optionalKey(Schema.Int) }),
  requiresHandler: true,
  parameters: Schema.Struct({
    command: Schema.Literals(["view", "create", "str_replace", "insert"]),
    path: Schema.String,
    file_text: Schema.optionalKey(Schema.String),
    insert_line: Schema.optionalKey(Schema.Int),
    insert_text: Schema.optionalKey(Schema.String),
    old_str: Schema.optionalKey(Schema.String),
    new_str: Schema.optionalKey(Schema.String),
    view_range: Schema.optionalKey(Schema.Tuple([Schema.Int, Schema.Int]))
  }),
  success: Schema.String,
  failure: Schema.String
})
