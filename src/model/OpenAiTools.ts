/**
 * The tools that OpenAI runs itself, for models with `api: "responses"`.
 *
 * What a call and its result hold is as in OpenAI's own items; what it says is not fixed, so these tools take any JSON. A tool
 * made with `Tool.providerDefined`, whose `providerName` is the wire's type of the tool, can say more.
 *
 * **Example** (An answer that may search the web)
 *
 * ```ts
 * import * as Effect from "effect/Effect"
 * import * as LanguageModel from "effect/unstable/ai/LanguageModel"
 * import * as Toolkit from "effect/unstable/ai/Toolkit"
 * import type { AiGatewayClient } from "effect-ai-gateway"
 * import * as OpenAiTools from "effect-ai-gateway/OpenAiTools"
 *
 * const toolkit = Toolkit.make(OpenAiTools.webSearch({ search_context_size: "low" }))
 *
 * export const news = <R>(client: AiGatewayClient<R>) =>
 *   LanguageModel.generateText({ prompt: "What happened in Oslo today?", toolkit }).pipe(
 *     Effect.provide(client.model({ provider: "openai", model: "gpt-5", api: "responses" }))
 *   )
 * ```
 *
 * Sources: wire reference, section 10.2 (hosted tools); OpenAI's API reference, the tools of a response.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"
import * as Tool from "effect/unstable/ai/Tool"

const anything = { parameters: Schema.Unknown, success: Schema.Unknown }

/**
 * Searches the web; what the answer cites comes as source parts.
 *
 * @category tools
 * @since 0.1.0
 */
export const webSearch = Tool.providerDefined({
  id: "openai.web_search",
  customName: "OpenAiWebSearch",
  providerName: "web_search",
  args: Schema.Struct({
    search_context_size: Schema.optionalKey(Schema.Literals(["low", "medium", "high"])),
    filters: Schema.optionalKey(Schema.Struct({ allowed_domains: Schema.Array(Schema.String) })),
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
 * Searches files that were put into vector stores.
 *
 * @category tools
 * @since 0.1.0
 */
export const fileSearch = Tool.providerDefined({
  id: "openai.file_search",
  customName: "OpenAiFileSearch",
  providerName: "file_search",
  args: Schema.Struct({
    vector_store_ids: Schema.Array(Schema.String),
    /** 1 to 50. */
    max_num_results: Schema.optionalKey(Schema.Int)
  }),
  ...anything
})

/**
 * Runs Python that the model writes, in a container of the provider.
 *
 * @category tools
 * @since 0.1.0
 */
export const codeInterpreter = Tool.providerDefined({
  id: "openai.code_interpreter",
  customName: "OpenAiCodeInterpreter",
  providerName: "code_interpreter",
  args: Schema.Struct({
    /** The id of a container, or one that is made for the answer. */
    container: Schema.Union([
      Schema.String,
      Schema.Struct({
        type: Schema.Literal("auto"),
        file_ids: Schema.optionalKey(Schema.Array(Schema.String))
      })
    ])
  }),
  ...anything
})

/**
 * Draws; the image comes as a file part of the answer.
 *
 * @category tools
 * @since 0.1.0
 */
export const imageGeneration = Tool.providerDefined({
  id: "openai.image_generation",
  customName: "OpenAiImageGeneration",
  providerName: "image_generation",
  args: Schema.Struct({
    size: Schema.optionalKey(Schema.Literals(["auto", "1024x1024", "1024x1536", "1536x1024"])),
    quality: Schema.optionalKey(Schema.Literals(["auto", "low", "medium", "high"])),
    background: Schema.optionalKey(Schema.Literals(["auto", "transparent", "opaque"])),
    output_format: Schema.optionalKey(Schema.Literals(["png", "webp", "jpeg"]))
  }),
  ...anything
})

/**
 * Calls the tools of a public MCP server; the provider does it, so an approval cannot be asked for on the way.
 *
 * A second server of one toolkit, and one that needs a token, take a tool of their own by `Tool.providerDefined`.
 *
 * @category tools
 * @since 0.1.0
 */
export const mcp = Tool.providerDefined({
  id: "openai.mcp",
  customName: "OpenAiMcp",
  providerName: "mcp",
  args: Schema.Struct({
    server_label: Schema.String,
    server_url: Schema.String,
    require_approval: Schema.Literal("never"),
    server_description: Schema.optionalKey(Schema.String),
    allowed_tools: Schema.optionalKey(Schema.Array(Schema.String))
  }),
  ...anything
})
