/**
 * What the log page reads, below `/page`: entries, one entry, totals, names, gateways, and new entries as they come.
 *
 * Nothing here writes. Beyond loopback all of it needs the gateway's token.
 *
 * @since 0.1.0
 */
import * as NodeHttpServerRequest from "@effect/platform-node/NodeHttpServerRequest"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as PubSub from "effect/PubSub"
import * as Stream from "effect/Stream"
import * as HttpRouter from "effect/unstable/http/HttpRouter"
import type * as HttpServerRequest from "effect/unstable/http/HttpServerRequest"
import * as HttpServerResponse from "effect/unstable/http/HttpServerResponse"
import * as Access from "./Access.ts"
import * as Envelope from "./Envelope.ts"
import * as Faces from "./Faces.ts"
import { GatewayStore } from "./GatewayStore.ts"
import type * as LogQueries from "./LogQueries.ts"
import { LogStore } from "./LogStore.ts"
import * as Notices from "./Notices.ts"
import type * as wire from "./page/wire.ts"
import * as Paging from "./Paging.ts"
import { Site } from "./Site.ts"
import * as V4 from "./V4.ts"

/**
 * How the page's data is served.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options {
  /** Ends the open feeds when it succeeds. */
  readonly stopping: Effect.Effect<void>
}

/**
 * The routes below `/page`, the files of the page excepted.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (
  { stopping }: Options
): Layer.Layer<never, never, HttpRouter.HttpRouter | Site | GatewayStore | LogStore> =>
  HttpRouter.use(Effect.fnUntraced(function*(router) {
    const site = yield* Site
    const gateways = yield* GatewayStore
    const logs = yield* LogStore

    const route = (
      path: `/page/${string}`,
      allowed: ReadonlyArray<string>,
      handler: (
        params: URLSearchParams,
        request: HttpServerRequest.HttpServerRequest
      ) => Effect.Effect<HttpServerResponse.HttpServerResponse, Envelope.ApiError>
    ) =>
      router.add("GET", path, (request) =>
        Effect.gen(function*() {
          if (!Access.isLoopback(site.host)) yield* V4.authorized(site, request)
          const params = new URLSearchParams(Faces.target(request.url).query)
          yield* known(params, allowed)
          return HttpServerResponse.setHeaders(yield* handler(params, request), headers)
        }).pipe(Effect.catch((error) => Effect.succeed(Faces.failure(error)))))

    const logsSince = (query: LogQueries.Query, after: number) =>
      Effect.map(logs.newest(query, { after, limit: pageSize }), (found): wire.Arrival => ({
        entries: found.map(toRow),
        newest: found[0]?.place ?? after,
        skipped: found.length === pageSize
      }))

    yield* route("/page/logs", [...filters, "before"], (params) =>
      Effect.gen(function*() {
        const query = yield* decodeQuery(params)
        const before = yield* Paging.integer(params, "before", 0, Number.MAX_SAFE_INTEGER)
        const found = yield* logs.newest(query, { before, limit: pageSize + 1 })
        const [last] = yield* logs.newest({}, { limit: 1 })
        return Envelope.json(
          {
            entries: found.slice(0, pageSize).map(toRow),
            more: found.length > pageSize,
            newest: last?.place ?? 0
          } satisfies wire.Logs
        )
      }))

    yield* route("/page/log", ["gateway", "id"], (params) =>
      Effect.gen(function*() {
        const gateway = params.get("gateway") ?? ""
        const id = params.get("id") ?? ""
        const entry = Option.getOrUndefined(yield* logs.get(gateway, id))
        if (entry === undefined) {
          return yield* Effect.fail(Envelope.apiError(404, 7002, "Log not found: it may have made room for newer ones"))
        }
        const bodies = Option.getOrUndefined(yield* logs.bodies(gateway, id))
        return Envelope.json(
          {
            entry,
            bodies: bodies === undefined ? null : { request: head(bodies.request), response: head(bodies.response) },
            steps: yield* logs.steps(gateway, entry.eventId)
          } satisfies wire.Log
        )
      }))

    yield* route("/page/totals", [...filters, "period"], (params) =>
      Effect.gen(function*() {
        const query = yield* decodeQuery(params)
        const period = yield* Paging.choice(params, "period", ["hour", "15m", "day", "all"])
        // The entry of this millisecond is in it.
        const to = (yield* Clock.currentTimeMillis) + 1
        const { millis, parts } = periods[period]
        return Envelope.json(
          (yield* logs.totals(query, {
            from: millis === undefined ? undefined : to - millis,
            to,
            parts
          })) satisfies wire.Totals
        )
      }))

    yield* route(
      "/page/names",
      ["gateway"],
      (params) =>
        Effect.map(logs.names(params.get("gateway") || undefined), (names) => Envelope.json(names satisfies wire.Names))
    )

    yield* route("/page/gateways", [], () =>
      Effect.gen(function*() {
        const found = yield* gateways.list({ page: 1, perPage: 1000, orderBy: "id", direction: "asc" })
        const shown: ReadonlyArray<wire.Gateway> = yield* Effect.forEach(
          found.gateways,
          ({ id, settings }) => Effect.map(Notices.of(settings), (notices) => ({ id, notices }))
        )
        return Envelope.json(shown)
      }))

    let open = 0
    yield* route("/page/live", [...filters, "after"], (params, request) =>
      Effect.gen(function*() {
        const query = yield* decodeQuery(params)
        const after = yield* Paging.integer(params, "after", 0, Number.MAX_SAFE_INTEGER)
        if (open >= feedLimit) {
          return yield* Effect.fail(
            Envelope.apiError(503, 7004, `${feedLimit} log pages are open already: close one, or reload this one later`)
          )
        }
        const last = after === undefined ? (yield* logs.newest({}, { limit: 1 }))[0]?.place ?? 0 : after
        const arrivals = Stream.unwrap(Effect.gen(function*() {
          yield* Effect.acquireRelease(Effect.sync(() => open++), () => Effect.sync(() => open--))
          NodeHttpServerRequest.toServerResponse(request).flushHeaders()
          const appended = yield* logs.subscribe
          // Each turn asks for what came since the last: however much it is, and however slow the reader, one answer of
          // one page is all that is ever held.
          const turn = Effect.fnUntraced(function*(after: number) {
            const arrival = yield* logsSince(query, after)
            if (arrival.entries.length > 0) return [`data: ${JSON.stringify(arrival)}\n\n`, arrival.newest] as const
            const isHeard = yield* PubSub.take(appended).pipe(
              Effect.as(true),
              // Other processes may write to the same file.
              Effect.timeoutOrElse({ duration: "2 seconds", orElse: () => Effect.succeed(false) })
            )
            return [isHeard ? "" : ": still here\n\n", after] as const
          })
          return Stream.succeed(": open\n\n").pipe(
            Stream.concat(Stream.unfold(last, (after) => Effect.delay(turn(after), "200 millis"))),
            Stream.filter((text) => text !== ""),
            Stream.interruptWhen(stopping),
            Stream.encodeText
          )
        }))
        return HttpServerResponse.stream(arrivals, { contentType: "text/event-stream" })
      }))
  }))

const toRow = ({ entry, place }: LogQueries.Placed): wire.Row => ({ ...entry, place })

/** Entries of one answer. */
const pageSize = 50

/** Each feed asks the store again and again. */
const feedLimit = 32

/** Of each body; the management API has the rest. */
const headLength = 256 * 1024

const head = (text: string): wire.Body => ({ text: text.slice(0, headLength), length: text.length })

const headers = { "cache-control": "no-store", "x-content-type-options": "nosniff", "referrer-policy": "no-referrer" }

const minute = 60_000

const periods = {
  "15m": { millis: 15 * minute, parts: 30 },
  hour: { millis: 60 * minute, parts: 30 },
  day: { millis: 24 * 60 * minute, parts: 48 },
  all: { millis: undefined, parts: 40 }
} as const

const filters = ["gateway", "provider", "model", "status", "cached", "key", "value"]

const known = (params: URLSearchParams, allowed: ReadonlyArray<string>): Effect.Effect<void, Envelope.ApiError> => {
  const names = [...params.keys()]
  const wrong = names.find((name, i) => !allowed.includes(name) || names.indexOf(name) !== i)
  return wrong === undefined ? Effect.void : Effect.fail(Envelope.apiError(
    400,
    7000,
    allowed.includes(wrong)
      ? `query.${wrong}: expected once only`
      : `query.${wrong}: expected ${allowed.length === 0 ? "no parameter" : `only ${allowed.join(", ")}`}`,
    ["query", wrong]
  ))
}

const decodeQuery = (params: URLSearchParams): Effect.Effect<LogQueries.Query, Envelope.ApiError> =>
  Effect.gen(function*() {
    const text = (name: string) => params.get(name) || undefined
    const status = text("status")
    if (status !== undefined && status !== "success" && status !== "failure" && !/^[1-5]\d\d$/.test(status)) {
      return yield* Effect.fail(
        Envelope.apiError(400, 7000, "query.status: expected success, failure, or a status from 100 to 599", [
          "query",
          "status"
        ])
      )
    }
    return {
      gateway: text("gateway"),
      provider: text("provider"),
      model: text("model"),
      status: status === "success" || status === "failure" || status === undefined ? status : Number(status),
      cached: text("cached") === undefined ? undefined : yield* Paging.flag(params, "cached"),
      label: { key: text("key"), value: text("value") }
    }
  })
