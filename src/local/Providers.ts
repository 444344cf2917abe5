/**
 * The providers whose slugs the gateway knows, where their own servers are, and how a path below a slug becomes a URL.
 *
 * Source: the wire reference, section 9.2; the host of Baseten's model APIs is of its own documentation.
 *
 * @since 0.1.0
 */

/**
 * Every slug of the data plane, `workers-ai` included.
 *
 * @category getters
 * @since 0.1.0
 */
export const slugs: ReadonlySet<string> = new Set([
  "anthropic",
  "aws-bedrock",
  "azure-openai",
  "baseten",
  "cartesia",
  "cerebras",
  "cohere",
  "deepgram",
  "deepseek",
  "elevenlabs",
  "fal",
  "fireworks",
  "google-ai-studio",
  "google-vertex-ai",
  "grok",
  "groq",
  "huggingface",
  "ideogram",
  "mistral",
  "openai",
  "openrouter",
  "parallel",
  "perplexity-ai",
  "replicate",
  "workers-ai"
])

/**
 * Whether requests may go to a provider of this name; of custom providers only their form is known here.
 *
 * @category predicates
 * @since 0.1.0
 */
export const isKnown = (provider: string): boolean => slugs.has(provider) || /^custom-./.test(provider)

/**
 * Where a request goes: the provider's base, then the path as it came, then the query as it came.
 *
 * Official material writes both `openai/chat/completions` and `openai/v1/chat/completions`; a leading `v1/` counts
 * once when the base ends with it. Bedrock's service and region stand for its host (`bedrock-runtime/us-east-1/model/...`),
 * and the base takes their place.
 *
 * @category constructors
 * @since 0.1.0
 */
export const join = (base: string, path: string, query: string): string => {
  const root = base.replace(/\/+$/, "")
  const tail = root.endsWith("/v1") && path.startsWith("v1/")
    ? path.slice(3)
    : path.replace(/^bedrock-runtime\/[^/]+\/(?=model\/)/, "")
  return `${root}${tail === "" ? "" : "/"}${tail}${query}`
}

/**
 * Whether a URL would take a segment of the path for `.` or `..`, and resolve it, instead of sending it as it came: then a
 * request could leave the base that it is joined to.
 *
 * As the URL standard reads it: dots may be escaped, a backslash separates, and tabs and line breaks count for nothing.
 *
 * @category predicates
 * @since 0.1.0
 */
export const hasDotSegment = (path: string): boolean =>
  /(^|[/\\])(\.|%2e){1,2}([/\\]|$)/i.test(path.replace(/[\t\r\n]/g, ""))

/**
 * The base URL of a provider's own server, and how its answer can be had there; undefined where the path does not say which
 * server that is.
 *
 * Azure's resource, Vertex AI's location, Bedrock's region and Baseten's model are in the path and stand for the host.
 *
 * @category getters
 * @since 0.1.0
 */
export const live = (provider: string, path: string): { readonly base: string; readonly path: string } | undefined => {
  const base = Object.hasOwn(bases, provider) ? bases[provider] : undefined
  if (base !== undefined) return { base, path }
  const found = Object.hasOwn(hosts, provider) ? hosts[provider]?.(path) : undefined
  return found === undefined ? undefined : { base: found[0], path: found[1] }
}

/**
 * How a path names its server, for the providers where the path has to.
 *
 * @category data
 * @since 0.1.0
 */
export const pathForms: { readonly [provider: string]: string } = {
  "aws-bedrock": "bedrock-runtime/{region}/model/... or bedrock-mantle/{region}/...",
  "azure-openai": "{resource}/{deployment}/chat/completions?api-version=...",
  baseten: "v1/chat/completions or model/{id}",
  "google-vertex-ai": "v1/projects/{project}/locations/{location}/..."
}

const bases: { readonly [provider: string]: string } = {
  anthropic: "https://api.anthropic.com",
  cartesia: "https://api.cartesia.ai",
  cerebras: "https://api.cerebras.ai/v1",
  cohere: "https://api.cohere.com",
  deepgram: "https://api.deepgram.com",
  deepseek: "https://api.deepseek.com",
  elevenlabs: "https://api.elevenlabs.io",
  fal: "https://fal.run",
  fireworks: "https://api.fireworks.ai/inference/v1",
  "google-ai-studio": "https://generativelanguage.googleapis.com",
  grok: "https://api.x.ai/v1",
  groq: "https://api.groq.com/openai/v1",
  huggingface: "https://api-inference.huggingface.co/models",
  ideogram: "https://api.ideogram.ai",
  mistral: "https://api.mistral.ai",
  openai: "https://api.openai.com/v1",
  openrouter: "https://openrouter.ai/api/v1",
  parallel: "https://api.parallel.ai",
  "perplexity-ai": "https://api.perplexity.ai",
  replicate: "https://api.replicate.com/v1"
}

/** What stands for a host is one label of a name: nothing in it may lead to another host. */
const hosts: { readonly [provider: string]: (path: string) => readonly [base: string, path: string] | undefined } = {
  "aws-bedrock": (path) => {
    const [, service, region, rest] = /^bedrock-(runtime|mantle)\/([a-z0-9-]{1,40})\/(.+)$/.exec(path) ?? []
    if (region === undefined || rest === undefined) return undefined
    const host = service === "mantle" ? `bedrock-mantle.${region}.api.aws` : `bedrock-runtime.${region}.amazonaws.com`
    return [`https://${host}`, rest]
  },
  "azure-openai": (path) => {
    const [, resource, deployment, rest] = /^([a-zA-Z0-9-]{1,63})\/([^/]+)\/(.+)$/.exec(path) ?? []
    return resource === undefined
      ? undefined
      : [`https://${resource}.openai.azure.com`, `openai/deployments/${deployment}/${rest}`]
  },
  baseten: (path) => {
    const [, model] = /^model\/([a-zA-Z0-9-]{1,50})$/.exec(path) ?? []
    return model === undefined
      ? ["https://inference.baseten.co", path]
      : [`https://model-${model}.api.baseten.co`, "production/predict"]
  },
  "google-vertex-ai": (path) => {
    const [, location] = /^v\d\w*\/projects\/[^/]+\/locations\/([a-z0-9-]{1,40})\//.exec(path) ?? []
    if (location === undefined) return undefined
    return [`https://${location === "global" ? "" : `${location}-`}aiplatform.googleapis.com`, path]
  }
}

/**
 * The model a request names, for the log: in Google's path, Bedrock's path, or the body's `model`.
 *
 * @category getters
 * @since 0.1.0
 */
export const modelOf = (path: string, body: unknown): string => {
  const named = /(?:^|\/)models?\/([^/:?]+)(?::|\/|$)/.exec(path)?.[1]
  if (named !== undefined) return named
  const model = typeof body === "object" && body !== null && "model" in body ? body.model : undefined
  return typeof model === "string" ? model : ""
}
