/**
 * Sends a span for each answered request to the OpenTelemetry receivers of its gateway (its setting `otel`).
 *
 * A span has the attributes that Cloudflare documents: `gen_ai.request.model`, `gen_ai.model.provider`,
 * `gen_ai.usage.input_tokens`, `.output_tokens` and `.cost`, `gen_ai.prompt_json`, `gen_ai.completion_json`, and the
 * request's metadata but for keys that begin with `gen_ai.`. Source: the wire reference, sections 2.1, 6.5 and 6.8. The
 * span's name and status, and that texts are left out where the log has none, are not documented and ours.
 *
 * @since 0.1.0
 */
import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Encoding from "effect/Encoding"
import * as Layer from "effect/Layer"
import * as RcMap from "effect/RcMap"
import * as Redacted from "effect/Redacted"
import * as HttpClient from "effect/unstable/http/HttpClient"
import * as OtlpExporter from "effect/unstable/observability/OtlpExporter"
import * as OtlpResource from "effect/unstable/observability/OtlpResource"
import * as OtlpSerialization from "effect/unstable/observability/OtlpSerialization"
import type { TraceData } from "effect/unstable/observability/OtlpTracer"
import * as Access from "./Access.ts"
import type { Gateway } from "./Gateway.ts"
import type { Bodies, LogEntry } from "./LogStore.ts"
import { ObjectStore } from "./ObjectStore.ts"
import type { RequestOptions } from "./RequestOptions.ts"
import { Sealing } from "./Sealing.ts"
import { isRecord, list } from "./simulated/JsonSchema.ts"
import * as UpstreamClient from "./UpstreamClient.ts"

/**
 * One request that has been answered.
 *
 * @category models
 * @since 0.1.0
 */
export interface Answered {
  readonly gateway: Gateway
  readonly entry: LogEntry
  /** Null when they are not to be kept. */
  readonly bodies: Bodies | null
  /** Of the step: where the span belongs. */
  readonly options: RequestOptions
}

/**
 * Where spans go; nowhere by default.
 *
 * @category services
 * @since 0.1.0
 */
export const Current = Context.Reference<{ readonly push: (answered: Answered) => Effect.Effect<void> }>(
  "effect-ai-gateway/local/SpanExports",
  { defaultValue: () => ({ push: () => Effect.void }) }
)

/**
 * Sends spans in batches, a second at the latest after they were made, and when the layer ends.
 *
 * A receiver that refuses or is gone is said in the log, gets each batch four times, then nothing for a minute.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (options: { readonly allowPrivate: boolean }): Layer.Layer<
  never,
  never,
  ObjectStore | Sealing
> =>
  Layer.effect(
    Current,
    Effect.gen(function*() {
      const client = yield* clientOf(false)
      const publicClient = options.allowPrivate
        ? client
        : yield* clientOf(true)
      const secrets = yield* Effect.context<ObjectStore | Sealing>()
      const flusher = yield* Layer.build(OtlpExporter.layerFlusher)
      const serializations = {
        json: Context.get(yield* Layer.build(OtlpSerialization.layerJson), OtlpSerialization.OtlpSerialization),
        protobuf: Context.get(yield* Layer.build(OtlpSerialization.layerProtobuf), OtlpSerialization.OtlpSerialization)
      }
      // The key is all that an exporter is made of, so that changed settings make another one.
      const exporters = yield* RcMap.make({
        idleTimeToLive: "1 minute",
        lookup: (key: string) => {
          const { contentType, headers, url }: Receiver = JSON.parse(key)
          const reached = isHere(url) ? client : publicClient
          return OtlpExporter.make({
            url,
            headers,
            label: "effect-ai-gateway",
            exportInterval: Duration.seconds(1),
            maxBatchSize: 100,
            shutdownTimeout: Duration.seconds(2),
            body: (spans) => [
              serializations[contentType].traces({
                resourceSpans: [{ resource, scopeSpans: [{ scope: { name: "effect-ai-gateway" }, spans }] }]
              }),
              Effect.void
            ]
          }).pipe(Effect.provideService(HttpClient.HttpClient, watched(reached, url)), Effect.provideContext(flusher))
        }
      })
      const send = Effect.fnUntraced(
        function*(answered: Answered, receivers: ReadonlyArray<{ readonly [name: string]: unknown }>) {
          const span = spanOf(answered)
          for (const wire of receivers) {
            const receiver = yield* Effect.provideContext(receiverOf(answered.gateway, wire), secrets)
            const exporter = yield* RcMap.get(exporters, JSON.stringify(receiver))
            exporter.push(span)
          }
        },
        Effect.scoped
      )
      return {
        push: (answered) => {
          const receivers = list(answered.gateway.settings["otel"]).filter(isRecord)
          return receivers.length === 0 ? Effect.void : send(answered, receivers)
        }
      }
    })
  )

type Span = TraceData["resourceSpans"][number]["scopeSpans"][number]["spans"][number]

interface Receiver {
  readonly url: string
  readonly contentType: "json" | "protobuf"
  readonly headers: { readonly [name: string]: string }
}

/** `authorization` is the name or the id of a secret in the gateway's store. */
const receiverOf = Effect.fnUntraced(function*(gateway: Gateway, wire: { readonly [name: string]: unknown }) {
  const headers: { [name: string]: string } = {}
  if (isRecord(wire["headers"])) {
    for (const [name, value] of Object.entries(wire["headers"])) headers[name] = String(value)
  }
  const url = String(wire["url"])
  const reference = wire["authorization"]
  if (typeof reference === "string") {
    const store = gateway.settings["store_id"]
    const objects = yield* ObjectStore
    const all = typeof store === "string" ? yield* objects.list("secret", store) : []
    const sealed = all.find(({ id, name }) => id === reference || name === reference)?.fields["sealed"]
    if (typeof sealed === "string") {
      headers["authorization"] = Redacted.value(yield* (yield* Sealing).open(sealed))
    } else {
      yield* Effect.logWarning(
        `The gateway ${gateway.id} has no secret in its store for the authorization of its otel exporter at ${
          new URL(url).host
        }: spans go there without it`
      )
    }
  }
  return { url, contentType: wire["content_type"] === "protobuf" ? "protobuf" : "json", headers } satisfies Receiver
})

const resource = OtlpResource.make({ serviceName: "ai-gateway" })

const spanOf = ({ bodies, entry, options }: Answered): Span => {
  const attributes = new Map<string, unknown>([
    ["gen_ai.request.model", entry.model],
    ["gen_ai.model.provider", entry.provider]
  ])
  const known = (name: string, value: unknown) => value !== null && attributes.set(name, value)
  known("gen_ai.usage.input_tokens", entry.tokensIn)
  known("gen_ai.usage.output_tokens", entry.tokensOut)
  known("gen_ai.usage.cost", entry.cost)
  known("gen_ai.prompt_json", bodies?.request ?? null)
  known("gen_ai.completion_json", bodies?.response ?? null)
  for (const [name, value] of Object.entries(entry.metadata ?? {})) {
    if (!name.startsWith("gen_ai.")) attributes.set(name, value)
  }
  return {
    traceId: hex(options.traceId, 32) ?? Encoding.randomHex(32),
    spanId: Encoding.randomHex(16),
    parentSpanId: hex(options.parentSpanId, 16),
    name: entry.model === "" ? entry.provider : `${entry.provider} ${entry.model}`,
    kind: 3,
    startTimeUnixNano: nanoseconds(entry.createdAt),
    endTimeUnixNano: nanoseconds(entry.createdAt + entry.duration),
    attributes: OtlpResource.entriesToAttributes(attributes),
    droppedAttributesCount: 0,
    events: [],
    droppedEventsCount: 0,
    status: entry.success ? { code: 1 } : { code: 2, message: `HTTP ${entry.statusCode}` },
    links: [],
    droppedLinksCount: 0
  }
}

/** All zeros are no id (W3C trace context). */
const hex = (text: string | undefined, length: number): string | undefined => {
  const id = text?.trim().toLowerCase() ?? ""
  return id.length === length && /^[0-9a-f]+$/.test(id) && !/^0+$/.test(id) ? id : undefined
}

const nanoseconds = (milliseconds: number): string => `${milliseconds}000000`

const isHere = (url: string): boolean => Access.isLoopback(new URL(url).hostname)

const clientOf = (publicOnly: boolean) =>
  Effect.flatMap(
    UpstreamClient.agent({ publicOnly }),
    (agent) => Effect.provideService(NodeHttpClient.makeUndici, NodeHttpClient.Dispatcher, agent)
  )

/** The exporter itself says nothing. Scheme and host only: the path may hold a key. */
const watched = (client: HttpClient.HttpClient, url: string) => {
  const { origin } = new URL(url)
  return HttpClient.tap(
    HttpClient.tapError(
      client,
      (error) => Effect.logWarning(`Spans for ${origin} could not be sent: ${error.reason._tag}`)
    ),
    ({ status }) =>
      status >= 400 ? Effect.logWarning(`Spans for ${origin} were refused with HTTP ${status}`) : Effect.void
  )
}
