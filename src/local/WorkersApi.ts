/**
 * The part of Cloudflare's Workers API that Alchemy needs to deploy a Worker where there is no account.
 *
 * An upload is checked and recorded without its code; nothing here serves it, which is what `alchemy dev` is for.
 * Source: Cloudflare's API reference of Workers scripts, as far as Alchemy 2.0.0-beta.79 calls it.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import type * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as HttpRouter from "effect/unstable/http/HttpRouter"
import type * as HttpServerRequest from "effect/unstable/http/HttpServerRequest"
import * as Envelope from "./Envelope.ts"
import * as RequestBody from "./RequestBody.ts"
import { isRecord } from "./simulated/JsonSchema.ts"
import { Site } from "./Site.ts"
import * as V4 from "./V4.ts"
import { type WorkerScript, WorkerScripts } from "./WorkerScripts.ts"

/** Stands in a Worker's URL where an account's name would be, so that nobody takes it for one that answers. */
const subdomain = "no-account"

/**
 * The routes below `/client/v4/accounts/{account}/workers`.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer: Layer.Layer<never, never, HttpRouter.HttpRouter | Site | WorkerScripts> = HttpRouter.use(
  Effect.fnUntraced(function*(router) {
    const site = yield* Site
    const scripts = yield* WorkerScripts
    const route = V4.routes(router, site)

    const existing = (name: string | undefined) =>
      Effect.flatMap(
        scripts.get(name ?? ""),
        Option.match({
          onNone: () => Effect.fail(Envelope.apiError(404, 10007, "This Worker does not exist on your account.")),
          onSome: Effect.succeed
        })
      )
    const ofScript = (
      method: "GET" | "PUT" | "POST",
      path: string,
      answer: (script: WorkerScript) => unknown
    ) =>
      route(
        method,
        `/workers/scripts/:name${path}`,
        (call) => Effect.map(existing(call.path[2]), (script) => Envelope.ok(answer(script)))
      )

    yield* route("PUT", "/workers/scripts/:name", ({ path, request }) =>
      Effect.gen(function*() {
        const settings = yield* readSettings(request, site.bodyLimit)
        return Envelope.ok(describe(yield* scripts.put(path[2] ?? "", settings)))
      }))
    yield* route("DELETE", "/workers/scripts/:name", ({ path }) =>
      Effect.gen(function*() {
        const { name } = yield* existing(path[2])
        yield* scripts.remove(name)
        return Envelope.ok(null)
      }))
    yield* route("GET", "/workers/scripts", () => Effect.map(scripts.list, (all) => Envelope.ok(all.map(describe))))

    yield* ofScript("GET", "/settings", ({ settings }) => settings)
    for (const method of ["GET", "POST"] as const) {
      yield* ofScript(method, "/subdomain", () => ({ enabled: true, previews_enabled: true }))
    }
    for (const method of ["GET", "PUT"] as const) {
      yield* ofScript(method, "/schedules", () => ({ schedules: [] }))
    }
    yield* route("GET", "/workers/subdomain", () => Effect.succeed(Envelope.ok({ subdomain })))
    yield* route("GET", "/workers/domains", () => Effect.succeed(Envelope.ok([])))
  })
)

const describe = ({ createdAt, modifiedAt, name, tag }: WorkerScript) => ({
  id: name,
  tag,
  etag: `${tag}-${modifiedAt}`,
  created_on: new Date(createdAt).toISOString(),
  modified_on: new Date(modifiedAt).toISOString(),
  startup_time_ms: 0,
  has_assets: false,
  has_modules: true
})

/** The upload's `metadata` part; its modules are left behind. */
const readSettings = (request: HttpServerRequest.HttpServerRequest, limit: number) =>
  Effect.gen(function*() {
    const bytes = yield* RequestBody.read(request, limit)
    const metadata = yield* Effect.tryPromise({
      try: async (): Promise<unknown> => {
        const form = await new Response(new Uint8Array(bytes), {
          headers: { "content-type": request.headers["content-type"] ?? "" }
        }).formData()
        const part = form.get("metadata")
        return JSON.parse(part === null || typeof part === "string" ? part ?? "" : await part.text())
      },
      catch: () => Envelope.apiError(400, 10021, "the upload has no metadata part that is JSON", ["body", "metadata"])
    })
    if (!isRecord(metadata)) {
      return yield* Effect.fail(
        Envelope.apiError(400, 10021, "the upload's metadata is no object", ["body", "metadata"])
      )
    }
    const { bindings } = metadata
    return Array.isArray(bindings) ? { ...metadata, bindings: bindings.map(withoutSecret) } : metadata
  })

/** The API never gives a secret back, so there is no reason to keep one. */
const withoutSecret = (binding: unknown): unknown =>
  isRecord(binding) && typeof binding["type"] === "string" && binding["type"].startsWith("secret_")
    ? { type: binding["type"], name: binding["name"] }
    : binding
