/**
 * The run APIs of Cloudflare's v4 API, below `/ai`: Workers AI, and OpenAI's and Anthropic's endpoints for every provider.
 *
 * A model is `@cf/...`, `author/model`, or `dynamic/{route}` where there is chat. Models of Workers AI run outside any
 * gateway unless `cf-aig-gateway-id` names one; the others go through `default` then. The token never travels on, so
 * providers are reached with stored keys or without one; whole answers of theirs say which, in `gatewayMetadata`. Source: the
 * wire reference, sections 1.6, 1.7 and 9.2.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import type * as Layer from "effect/Layer"
import * as HttpRouter from "effect/unstable/http/HttpRouter"
import { isRecord, type JsonRecord } from "../model/Json.ts"
import * as Access from "./Access.ts"
import * as Envelope from "./Envelope.ts"
import * as Faces from "./Faces.ts"
import type * as Gateway from "./Gateway.ts"
import type { Step } from "./GatewayRequest.ts"
import * as KeySource from "./KeySource.ts"
import type { ObjectStore } from "./ObjectStore.ts"
import { Pipeline } from "./Pipeline.ts"
import * as RequestBody from "./RequestBody.ts"
import * as RequestOptions from "./RequestOptions.ts"
import * as RunPath from "./RunPath.ts"
import { Site } from "./Site.ts"
import * as V4 from "./V4.ts"
import * as WorkersAi from "./WorkersAi.ts"

/**
 * The routes below `/ai`.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer: Layer.Layer<never, never, HttpRouter.HttpRouter | Site | Pipeline | ObjectStore> = HttpRouter.use(
  Effect.fnUntraced(function*(router) {
    const site = yield* Site
    const objects = yield* Effect.context<ObjectStore>()
    const pipeline = yield* Pipeline
    const route = V4.routes(router, site)

    const ask = ({ request }: V4.Call, gateway: Gateway.Gateway, step: Step) =>
      pipeline.send({
        gateway,
        steps: [step],
        options: RequestOptions.fromHeaders(request.headers),
        type: "REST API",
        face: "rest",
        userAgent: request.headers["user-agent"]
      })

    const admit = (gateway: string) => pipeline.admit({ account: site.accountId, gateway, authenticated: true })

    /** To a provider other than Workers AI, whose answers say whose key it was. */
    const send = Effect.fnUntraced(function*(call: V4.Call, target: Step, provider: string, isRun: boolean) {
      const gateway = yield* admit(gatewayOf(call) ?? "default")
      const answer = yield* ask(call, gateway, target)
      const headers = Access.withoutToken(target.headers, site.isToken)
      const keySource = yield* Effect.provideContext(
        // Of a route only its answer says whom it asked.
        KeySource.of(gateway, answer.headers["cf-aig-provider"] ?? provider, { headers, query: target.query }),
        objects
      )
      const given = isRun ? yield* KeySource.orRefusal(answer, keySource) : answer
      return Faces.respond(call.request, KeySource.tell(given, keySource))
    })

    const gatewayOf = ({ request }: V4.Call): string | undefined =>
      request.headers["cf-aig-gateway-id"] === "" ? undefined : request.headers["cf-aig-gateway-id"]

    /** `path` is what is below `workers-ai`. */
    const runModel = (call: V4.Call, path: string, bytes: Uint8Array): V4.Reply => {
      const gateway = gatewayOf(call)
      return Effect.map(
        gateway === undefined
          ? pipeline.runModel({ ...WorkersAi.atPath(path), body: bytes, face: "rest" })
          : Effect.flatMap(
            admit(gateway),
            (admitted) =>
              ask(call, admitted, {
                provider: "workers-ai",
                method: "POST",
                path,
                query: "",
                headers: call.request.headers,
                body: bytes
              })
          ),
        (answer) => Faces.respond(call.request, answer)
      )
    }

    const readBody = Effect.fnUntraced(function*(call: V4.Call, models: string) {
      const bytes = yield* RequestBody.read(call.request, site.bodyLimit)
      const body = yield* Effect.try({
        try: (): unknown => JSON.parse(new TextDecoder().decode(bytes)),
        catch: () => Envelope.apiError(400, 7000, "the request body is not valid JSON", ["body"])
      })
      const model = isRecord(body) ? body["model"] : undefined
      if (!isRecord(body) || typeof model !== "string" || model === "") {
        return yield* Effect.fail(Envelope.apiError(400, 7000, `'model' must be ${models}`, ["body", "model"]))
      }
      return { body, bytes, model }
    })

    const face = (path: string, endpoint: Endpoint) =>
      route("POST", path, (call) =>
        Effect.gen(function*() {
          const { body, bytes, model } = yield* readBody(call, "@cf/author/model, author/model or dynamic/{route}")
          if (/^(workers-ai\/)?@/.test(model) && endpoint.workersAi) {
            return yield* runModel(call, call.path.slice(1).join("/"), bytes)
          }
          const target = targetOf(endpoint, model)
          if (target === undefined) return yield* Effect.fail(unknownModel(endpoint, model))
          const step: Step = {
            provider: target.provider,
            method: "POST",
            path: target.path,
            query: "",
            headers: { ...target.headers, ...call.request.headers, "content-type": "application/json" },
            body: new TextEncoder().encode(JSON.stringify({ ...body, model: target.model } satisfies JsonRecord))
          }
          return yield* send(call, step, providerOf(target), false)
        }))

    /** The model's own format, and its provider's: the run path of the binding with the model in the body. */
    const runNamed = (call: V4.Call): V4.Reply =>
      Effect.gen(function*() {
        const { body, model } = yield* readBody(call, "@cf/author/model or author/model")
        const { input } = body
        if (!isRecord(input)) {
          return yield* Effect.fail(
            Envelope.apiError(400, 7000, "'input' must be an object: what the model takes", ["body", "input"])
          )
        }
        const id = model.replace(/^workers-ai\/(?=@)/, "")
        if (id.startsWith("@")) {
          return yield* runModel(call, `run/${id}`, new TextEncoder().encode(JSON.stringify(input)))
        }
        const step = RunPath.stepOf(model, input, call.request.headers)
        if (step === undefined) {
          const known = ["@cf/...", ...RunPath.authors().map((author) => `${author}/...`)].join(", ")
          return yield* Effect.fail(
            Envelope.apiError(
              404,
              7003,
              `Could not route to the model ${model.slice(0, 100)}: the local gateway runs ${known}`,
              ["body", "model"]
            )
          )
        }
        return yield* send(call, step, step.provider, true)
      })

    // The router's name for both `/ai/run` and what is below it.
    yield* route("POST", "/ai/run/*", (call) =>
      call.path.slice(2).every((segment) => segment === "")
        ? runNamed(call)
        : Effect.flatMap(
          RequestBody.read(call.request, site.bodyLimit),
          (bytes) => runModel(call, call.path.slice(1).join("/"), bytes)
        ))
    yield* face("/ai/v1/chat/completions", chat)
    yield* face("/ai/v1/embeddings", embeddings)
    yield* face("/ai/v1/responses", responses)
    yield* face("/ai/v1/messages", messages)
    // Anthropic's SDK adds a `v1` to the base URL that Cloudflare's pages give it.
    yield* face("/ai/v1/v1/messages", messages)
  })
)

interface Target {
  readonly provider: string
  readonly model: string
  /** Below the provider's slug. */
  readonly path: string
  readonly headers?: { readonly [name: string]: string }
}

interface Endpoint {
  readonly name: string
  /** Whether the simulated model of Workers AI speaks it. */
  readonly workersAi: boolean
  readonly authors: { readonly [author: string]: (model: string) => Target }
}

const at = (provider: string, path: string) => (model: string): Target => ({ provider, path, model })

/** OpenAI's chat, which the unified endpoint translates. */
const unified = (provider: string) => (model: string): Target => ({
  provider: "compat",
  path: "chat/completions",
  model: `${provider}/${model}`
})

/** The catalog writes versions with dots, Anthropic with dashes: claude-haiku-4.5 is claude-haiku-4-5. */
const dashed = (target: (model: string) => Target) => (model: string): Target => target(model.replaceAll(".", "-"))

const chat: Endpoint = {
  name: "chat completions",
  workersAi: true,
  authors: {
    anthropic: dashed(unified("anthropic")),
    deepseek: unified("deepseek"),
    dynamic: unified("dynamic"),
    google: unified("google-ai-studio"),
    "google-ai-studio": unified("google-ai-studio"),
    grok: unified("grok"),
    groq: unified("groq"),
    openai: unified("openai"),
    xai: unified("grok")
  }
}

const embeddings: Endpoint = {
  name: "embeddings",
  workersAi: true,
  authors: {
    google: at("google-ai-studio", "v1beta/openai/embeddings"),
    "google-ai-studio": at("google-ai-studio", "v1beta/openai/embeddings"),
    openai: at("openai", "embeddings")
  }
}

const responses: Endpoint = {
  name: "responses",
  workersAi: false,
  authors: {
    grok: at("grok", "v1/responses"),
    groq: at("groq", "responses"),
    openai: at("openai", "responses"),
    xai: at("grok", "v1/responses")
  }
}

const messages: Endpoint = {
  name: "messages",
  workersAi: false,
  authors: {
    anthropic: dashed((model) => ({
      provider: "anthropic",
      path: "v1/messages",
      model,
      headers: { "anthropic-version": "2023-06-01" }
    }))
  }
}

/** Of a model that goes to the unified endpoint, which has the provider before it. */
const providerOf = ({ model, provider }: Target): string =>
  provider === "compat" ? model.slice(0, model.indexOf("/")) : provider

const targetOf = ({ authors }: Endpoint, model: string): Target | undefined => {
  const slash = model.indexOf("/")
  const author = model.slice(0, slash)
  const name = model.slice(slash + 1)
  return slash === -1 || name === "" || !Object.hasOwn(authors, author) ? undefined : authors[author]?.(name)
}

const unknownModel = ({ authors, name, workersAi }: Endpoint, model: string) =>
  Envelope.apiError(
    404,
    7003,
    `Could not route to the model ${model.slice(0, 100)}: the local gateway's ${name} take ${
      [...(workersAi ? ["@cf/..."] : []), ...Object.keys(authors).map((author) => `${author}/...`)].join(", ")
    }`,
    ["body", "model"]
  )
