/**
 * Which models may be asked for: exact names and prefixes, by provider. For names that come from outside, such as a
 * `?model=` parameter.
 *
 * What is not on the list is not allowed: an unknown provider, a provider with no rules, an empty prefix. A prefix lets
 * through only what a model's id consists of, so that no `..`, no query and no line break comes after it.
 *
 * **Example** (The model of a query parameter, or an error that names what is allowed)
 *
 * ```ts
 * import * as Schema from "effect/Schema"
 * import * as ModelAllowlist from "effect-ai-gateway/ModelAllowlist"
 *
 * const allowlist = ModelAllowlist.make({
 *   openai: ["gpt-4o-mini", { prefix: "gpt-5" }],
 *   "workers-ai": [{ prefix: "@cf/meta/" }]
 * })
 *
 * export const modelOf = (url: URL) =>
 *   Schema.decodeUnknownEffect(ModelAllowlist.decode(allowlist))(url.searchParams.get("model"))
 *
 * export const mini = allowlist.isAllowed("openai", "gpt-4o-mini") // true
 * export const other = allowlist.isAllowedModel("openai/gpt-4") // false
 * ```
 *
 * @since 0.1.0
 */
// Of all imports this one alone: a bundle that only asks whether a model is allowed has nothing but this file.
import * as Schema from "effect/Schema"

/**
 * A model's id, or all ids that begin so.
 *
 * @category models
 * @since 0.1.0
 */
export type Rule = string | { readonly prefix: string }

/**
 * The rules of each provider, by its slug or one of the aliases that `client.model` takes.
 *
 * @category models
 * @since 0.1.0
 */
export interface Rules {
  readonly [provider: string]: ReadonlyArray<Rule>
}

/**
 * @category models
 * @since 0.1.0
 */
export interface ModelAllowlist {
  /** Whether a provider's model is on the list. */
  readonly isAllowed: (provider: string, model: string) => boolean
  /** The same of one name, as `client.model` takes it: `provider/model`, `@cf/...` or `dynamic/route`. */
  readonly isAllowedModel: (name: string) => boolean
  /** What is on the list, as names to show: `openai/gpt-4o-mini`, `openai/gpt-5*`, `@cf/meta/*`. */
  readonly families: ReadonlyArray<string>
}

/**
 * The list of these rules. A rule that is neither a text nor a prefix, as a file of settings may have it, allows nothing.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (rules: Rules): ModelAllowlist => {
  // A map has no `constructor` and no `__proto__` that is not on the list.
  const allowed = new Map<string, { readonly models: Set<string>; readonly prefixes: Array<string> }>()
  const families: Array<string> = []
  for (const [name, list] of Object.entries(rules)) {
    const provider = slugOf(name)
    const own = allowed.get(provider) ?? { models: new Set(), prefixes: [] }
    allowed.set(provider, own)
    for (const rule of Array.isArray(list) ? list : []) {
      const text = typeof rule === "string" ? rule : prefixOf(rule)
      if (text === undefined || text === "") continue
      if (typeof rule === "string") own.models.add(text)
      else own.prefixes.push(text)
      families.push(shown(provider, text) + (typeof rule === "string" ? "" : "*"))
    }
  }
  const isAllowed = (provider: string, model: string): boolean => {
    const own = typeof provider === "string" && typeof model === "string" ? allowed.get(slugOf(provider)) : undefined
    return own !== undefined &&
      (own.models.has(model) || isId(model) && own.prefixes.some((prefix) => model.startsWith(prefix)))
  }
  return {
    isAllowed,
    isAllowedModel: (name) => {
      if (typeof name !== "string") return false
      if (name.startsWith("@")) return isAllowed("workers-ai", name)
      if (name.startsWith("dynamic/")) return isAllowed("compat", name)
      const slash = name.indexOf("/")
      return slash > 0 && isAllowed(name.slice(0, slash), name.slice(slash + 1))
    },
    families
  }
}

/**
 * A schema of the names on the list; its error names what is on it.
 *
 * Gives the name as it came, which `client.model({ model })` takes.
 *
 * @category schemas
 * @since 0.1.0
 */
export const decode = (allowlist: ModelAllowlist): Schema.Codec<string> =>
  Schema.declare((u): u is string => typeof u === "string" && allowlist.isAllowedModel(u), {
    expected: allowlist.families.length === 0
      ? "a model, none of which is allowed"
      : `a model of: ${allowlist.families.join(", ")}`
  })

/** Rules may come from a file of settings, whatever their type says. */
const prefixOf = (rule: unknown): string | undefined =>
  typeof rule === "object" && rule !== null && "prefix" in rule && typeof rule.prefix === "string"
    ? rule.prefix
    : undefined

/** What ids of models consist of; each segment has more than dots. */
const isId = (model: string): boolean =>
  /^[\w.:@+-]+(\/[\w.:@+-]+)*$/.test(model) && !model.split("/").some((segment) => /^\.+$/.test(segment))

const shown = (provider: string, model: string): string =>
  provider === "workers-ai" && model.startsWith("@") || provider === "compat" && model.startsWith("dynamic/")
    ? model
    : `${provider}/${model}`

const slugOf = (provider: string): string => aliases.get(provider) ?? provider

/** The aliases of `src/model/Providers.ts`, which would bring all of its table along. A test compares them. */
const aliases: ReadonlyMap<string, string> = new Map([
  ["google", "google-ai-studio"],
  ["gemini", "google-ai-studio"],
  ["google-vertex", "google-vertex-ai"],
  ["vertex", "google-vertex-ai"],
  ["vertex-ai", "google-vertex-ai"],
  ["xai", "grok"],
  ["x-ai", "grok"],
  ["perplexity", "perplexity-ai"],
  ["azure", "azure-openai"],
  ["bedrock", "aws-bedrock"],
  ["hugging-face", "huggingface"]
])
