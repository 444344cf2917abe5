/**
 * Sends requests to providers and gives their answers back as they come, over Undici's `dispatch`.
 *
 * Under every request of the gateway, so it makes no streams, signals or spans for an answer that is there at once.
 *
 * @since 0.1.0
 */
import Undici, { type Agent, type Dispatcher } from "@effect/platform-node/Undici"
import * as Arr from "effect/Array"
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Pull from "effect/Pull"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type * as Answer from "./Answer.ts"
import * as PublicAddress from "./PublicAddress.ts"

/**
 * @category models
 * @since 0.1.0
 */
export interface UpstreamRequest {
  readonly url: string
  readonly method: string
  readonly headers: { readonly [name: string]: string }
  readonly body: Uint8Array
}

/**
 * No answer came, or it broke off: `cause` is what the connection said.
 *
 * @category errors
 * @since 0.1.0
 */
export class UpstreamFailure extends Data.TaggedError("UpstreamFailure")<{
  readonly cause: unknown
  /** The system's code, such as `ECONNREFUSED`. */
  readonly code: string | undefined
}> {}

/**
 * Redirects are answers. Interruption, of this or of the body's stream, closes the connection.
 *
 * @category services
 * @since 0.1.0
 */
export class UpstreamClient extends Context.Service<UpstreamClient, {
  readonly send: (request: UpstreamRequest) => Effect.Effect<Answer.Answer, UpstreamFailure>
  /** Connects to public addresses only: see `PublicAddress`. */
  readonly sendPublic: (request: UpstreamRequest) => Effect.Effect<Answer.Answer, UpstreamFailure>
}>()("effect-ai-gateway/local/UpstreamClient") {}

/**
 * Clients with their own connections, which are closed with the scope.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer: Layer.Layer<UpstreamClient> = Layer.effect(
  UpstreamClient,
  Effect.gen(function*() {
    const [anywhere, publicOnly] = [yield* agent({ publicOnly: false }), yield* agent({ publicOnly: true })]
    return {
      send: (request) => send(anywhere, request),
      sendPublic: (request) => send(publicOnly, request)
    }
  })
)

/**
 * Connections that are closed with the scope; with `publicOnly`, to public addresses only.
 *
 * @category constructors
 * @since 0.1.0
 */
export const agent = (options: { readonly publicOnly: boolean }): Effect.Effect<Agent, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.sync(() => new Undici.Agent(options.publicOnly ? { connect: { lookup: PublicAddress.lookup } } : {})),
    (agent) => Effect.promise(() => agent.destroy())
  )

const send = (agent: Agent, request: UpstreamRequest): Effect.Effect<Answer.Answer, UpstreamFailure> =>
  Effect.callback((resume) => {
    const url = new URL(request.url)
    const exchange = new Exchange(resume)
    try {
      agent.dispatch({
        origin: url.origin,
        path: url.pathname + url.search,
        // Undici's type names the common ones; whether there is such a method is for the provider to say.
        method: request.method as Dispatcher.HttpMethod,
        headers: request.headers,
        body: request.body.length === 0 ? null : request.body,
        // Timeouts are the gateway's.
        headersTimeout: 0,
        bodyTimeout: 0
      }, exchange)
    } catch (cause) {
      exchange.onResponseError(undefined, cause)
    }
    return Effect.sync(() => exchange.abort())
  })

/** Beyond so many bytes that nobody has taken the provider has to wait. */
const highWater = 64 * 1024

/** One request with its answer: takes what the connection gives, and gives it to one reader. */
class Exchange implements Dispatcher.DispatchHandler {
  readonly resume: (answer: Effect.Effect<Answer.Answer, UpstreamFailure>) => void
  controller: Dispatcher.DispatchController | undefined
  chunks: Array<Uint8Array> = []
  size = 0
  end: Effect.Effect<never, UpstreamFailure | Cause.Done> | undefined
  isAborted = false
  wake: (() => void) | undefined

  constructor(resume: Exchange["resume"]) {
    this.resume = resume
  }

  onRequestStart(controller: Dispatcher.DispatchController) {
    this.controller = controller
    if (this.isAborted) controller.abort(aborted())
  }

  onResponseStart(
    _: Dispatcher.DispatchController,
    status: number,
    given: { readonly [name: string]: string | ReadonlyArray<string> | undefined }
  ) {
    // Informational answers come before the one that counts.
    if (status < 200) return
    const headers: { [name: string]: string } = {}
    for (const name in given) {
      const value = given[name]
      if (value !== undefined) headers[name] = typeof value === "string" ? value : value.join(", ")
    }
    const isEvents = headers["content-type"]?.startsWith("text/event-stream") === true
    // A short body mostly comes in the same read as its headers.
    queueMicrotask(() => {
      if (this.end === done && !isEvents) {
        const [first = empty, ...more] = this.chunks
        return this.resume(
          Effect.succeed({ status, headers, body: more.length === 0 ? first : Buffer.concat(this.chunks) })
        )
      }
      this.resume(Effect.succeed({ status, headers, body: this.stream() }))
    })
  }

  onResponseData(controller: Dispatcher.DispatchController, chunk: Uint8Array) {
    this.chunks.push(chunk)
    this.size += chunk.length
    if (this.size > highWater) controller.pause()
    this.wake?.()
  }

  onResponseEnd() {
    this.end = done
    this.wake?.()
  }

  onResponseError(_: unknown, cause: unknown) {
    const code = cause instanceof Error && "code" in cause ? String(cause.code) : undefined
    const failure = Effect.fail(new UpstreamFailure({ cause, code }))
    this.end = failure
    // Nothing happens here once the answer has begun.
    this.resume(failure)
    this.wake?.()
  }

  abort() {
    if (this.isAborted || this.end !== undefined) return
    this.isAborted = true
    this.controller?.abort(aborted())
  }

  stream(): Stream.Stream<Uint8Array, UpstreamFailure> {
    const taken: Pull.Pull<Arr.NonEmptyReadonlyArray<Uint8Array>, UpstreamFailure> = Effect.suspend(() => {
      const [first, ...more] = this.chunks
      if (first === undefined) return this.end ?? Effect.flatMap(this.more, () => taken)
      this.chunks = []
      this.size = 0
      if (this.controller?.paused === true) this.controller.resume()
      return Effect.succeed(Arr.make(first, ...more))
    })
    // Whoever reads holds this, and this connection does not.
    forgotten.register(taken, new WeakRef(this))
    return Stream.ensuring(Stream.fromPull(Effect.succeed(taken)), Effect.sync(() => this.abort()))
  }

  readonly more = Effect.callback<void>((resume) => {
    // Something may have come since the reader looked: its fiber is not alone.
    if (this.chunks.length > 0 || this.end !== undefined) return resume(Effect.void)
    this.wake = () => {
      this.wake = undefined
      resume(Effect.void)
    }
  })
}

const empty = new Uint8Array()

const done = Cause.done()

const aborted = () => new Error("The gateway does not need the answer any more")

/** An answer that nobody reads would hold its connection. */
const forgotten = new FinalizationRegistry<WeakRef<Exchange>>((exchange) => exchange.deref()?.abort())
