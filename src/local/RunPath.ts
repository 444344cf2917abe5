/**
 * The run path, of the binding and of the REST API, for dynamic routes and for models of other providers than Workers AI, by
 * the names of Cloudflare's catalog.
 *
 * A name is `author/model`. The request goes to the provider's own server, as it is configured here, in the provider's own
 * format; what comes back is the provider's own, too. Source: the wire reference, sections 1.6, 8.2, 8.6 and 9.2.
 *
 * @since 0.1.0
 */
import type * as Stream from "effect/Stream"
import type * as Answer from "./Answer.ts"
import type { Step } from "./GatewayRequest.ts"

/**
 * The step that a run of a catalog model is; undefined for every other model.
 *
 * @category constructors
 * @since 0.1.0
 */
export const stepOf = (
  model: string,
  inputs: { readonly [name: string]: unknown },
  headers: Step["headers"]
): Step | undefined => {
  const at = model.indexOf("/")
  const author = model.slice(0, at)
  const name = model.slice(at + 1)
  if (at === -1 || name === "" || !Object.hasOwn(routes, author)) return undefined
  const route = routes[author]?.(name, inputs)
  return route === undefined ? undefined : {
    provider: route.provider,
    method: "POST",
    path: route.path,
    query: route.query ?? "",
    headers: { ...route.headers, ...headers, "content-type": "application/json" },
    body: new TextEncoder().encode(JSON.stringify(route.body))
  }
}

/**
 * Whose models it runs; `dynamic` are the gateway's routes.
 *
 * @category getters
 * @since 0.1.0
 */
export const authors = (): ReadonlyArray<string> => Object.keys(routes)

/**
 * The answer as the binding can read it: it compares the content type with exactly `application/json`.
 *
 * @category conversions
 * @since 0.1.0
 */
export const forBinding = (answer: Answer.Answer): Answer.Answer =>
  answer.headers["content-type"]?.startsWith("application/json;") === true
    ? { ...answer, headers: { ...answer.headers, "content-type": "application/json" } }
    : answer

/**
 * Whether the answer is one that can be resumed: a stream of events, and no failure.
 *
 * @category predicates
 * @since 0.1.0
 */
export const isResumable = (
  answer: Answer.Answer
): answer is Answer.Answer & { readonly body: Stream.Stream<Uint8Array, unknown> } =>
  answer.status >= 200 && answer.status < 300 && !(answer.body instanceof Uint8Array) &&
  answer.headers["content-type"]?.startsWith("text/event-stream") === true

interface Route {
  readonly provider: string
  readonly path: string
  readonly query?: string
  readonly headers?: { readonly [name: string]: string }
  readonly body: { readonly [name: string]: unknown }
}

type Routing = (model: string, inputs: { readonly [name: string]: unknown }) => Route

const chat = (provider: string, path = "chat/completions"): Routing => (model, inputs) => ({
  provider,
  path,
  body: { ...inputs, model }
})

/** Routes of the gateway take OpenAI's chat, and answer it. */
const dynamic: Routing = (route, inputs) => ({
  provider: "compat",
  path: "chat/completions",
  body: { ...inputs, model: `dynamic/${route}` }
})

const routes: { readonly [author: string]: Routing } = {
  dynamic,
  openai: chat("openai"),
  xai: chat("grok", "v1/chat/completions"),
  groq: chat("groq"),
  deepseek: chat("deepseek"),
  anthropic: (model, inputs) => ({
    provider: "anthropic",
    path: "v1/messages",
    headers: { "anthropic-version": "2023-06-01" },
    // The catalog writes versions with dots, Anthropic with dashes: claude-haiku-4.5 is claude-haiku-4-5.
    body: { ...inputs, model: model.replaceAll(".", "-") }
  }),
  google: (model, inputs) => {
    // In OpenAI's format as well as in Google's own, which says in the path what the other says in the body.
    if (!("contents" in inputs)) return chat("google-ai-studio", "v1beta/openai/chat/completions")(model, inputs)
    const { stream, ...body } = inputs
    return {
      provider: "google-ai-studio",
      path: `v1beta/models/${encodeURIComponent(model)}:${
        stream === true ? "streamGenerateContent" : "generateContent"
      }`,
      query: stream === true ? "?alt=sse" : "",
      body
    }
  }
}
