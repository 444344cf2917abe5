/**
 * The non-realtime WebSocket API at `/v1/{account}/{gateway}`: many requests over one socket, told apart by event ids.
 *
 * Every request goes the way of an HTTP request, admission included, so that a change of the gateway's settings holds
 * for sockets that are open. The frames are in `webSocketFrames.ts`. Source: the wire reference, sections 1.9 and 3.1.
 *
 * @since 0.1.0
 */
import * as NodeHttpServerRequest from "@effect/platform-node/NodeHttpServerRequest"
import * as Arr from "effect/Array"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as FiberSet from "effect/FiberSet"
import * as Queue from "effect/Queue"
import * as Stream from "effect/Stream"
import type * as HttpServerRequest from "effect/unstable/http/HttpServerRequest"
import * as HttpServerResponse from "effect/unstable/http/HttpServerResponse"
import type * as Socket from "effect/unstable/socket/Socket"
import type * as Net from "node:net"
import * as EventScanner from "../model/EventScanner.ts"
import * as Access from "./Access.ts"
import * as Answer from "./Answer.ts"
import * as Envelope from "./Envelope.ts"
import type { Pipeline } from "./Pipeline.ts"
import * as RequestOptions from "./RequestOptions.ts"
import { Stopping } from "./Stopping.ts"
import * as Frames from "./webSocketFrames.ts"

/**
 * Requests that one socket may have open at once; more are refused with status 429.
 *
 * @category constants
 * @since 0.1.0
 */
export const maxInFlight = 1024

/**
 * Whether a request asks for a WebSocket.
 *
 * @category predicates
 * @since 0.1.0
 */
export const isUpgrade = (request: HttpServerRequest.HttpServerRequest): boolean =>
  request.headers["upgrade"]?.toLowerCase() === "websocket"

/**
 * The gateway's token in the subprotocol `cf-aig-authorization.{token}`, the way of callers that cannot set headers.
 *
 * @category getters
 * @since 0.1.0
 */
export const tokenOf = (request: HttpServerRequest.HttpServerRequest): string | undefined =>
  Access.credential(
    protocolsOf(request.headers["sec-websocket-protocol"]).find(isCredential)?.slice(credentialPrefix.length)
  )

/**
 * The subprotocol that the handshake echoes: RFC 6455 wants one of those that were offered.
 *
 * @category getters
 * @since 0.1.0
 */
export const chooseProtocol = (offered: ReadonlySet<string>): string | false => {
  const all = [...offered]
  return all.find(isCredential) ?? all[0] ?? false
}

/**
 * Where a socket's requests go, and with which rights.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options {
  readonly pipeline: Pipeline["Service"]
  readonly account: string
  readonly gateway: string
  readonly authenticated: boolean
  /** Of the handshake: its `cf-aig-*` options hold for every request that does not bring its own. */
  readonly headers: { readonly [name: string]: string | undefined }
  /** Largest frame and largest whole answer, in bytes. */
  readonly limit: number
}

/**
 * Takes over the connection and serves it until either side closes it; that interrupts what is still being answered.
 *
 * @category constructors
 * @since 0.1.0
 */
export const serve = (
  request: HttpServerRequest.HttpServerRequest,
  options: Options
): Effect.Effect<HttpServerResponse.HttpServerResponse, Envelope.AiGatewayError> =>
  Effect.gen(function*() {
    const problem = handshakeProblem(request)
    if (problem !== undefined) return yield* Effect.fail(badHandshake(problem))
    const socket = yield* Effect.mapError(
      request.upgrade,
      () => badHandshake("the header Connection does not say Upgrade")
    )
    yield* Effect.catchTag(
      Effect.scoped(converse(socket, NodeHttpServerRequest.toIncomingMessage(request).socket, options)),
      "SocketError",
      // Whatever ended the socket, its client is gone.
      () => Effect.void
    )
    // Nobody reads it: the connection has spoken WebSocket.
    return HttpServerResponse.empty()
  })

const converse = Effect.fnUntraced(function*(socket: Socket.Socket, connection: Net.Socket, options: Options) {
  // The WebSocket server never answers for a connection that is gone already.
  if (!connection.readable || !connection.writable) return
  // Runs after the closing frame is sent: a client that does not answer it must not keep the gateway from stopping.
  yield* Effect.addFinalizer(() => hangUp(connection))
  const { pull } = yield* socket.reader
  const { writeAll } = yield* socket.writer
  const requests = yield* FiberSet.make<void, never>()
  const queue = yield* Queue.bounded<Arr.NonEmptyReadonlyArray<string>, Cause.Done>(16)
  // While the client does not read, each request waits with what it read last.
  const writing = yield* Queue.take(queue).pipe(
    Effect.flatMap(writeAll),
    Effect.andThen(isWritable(connection)),
    Effect.forever,
    Effect.ignore,
    Effect.forkScoped
  )
  const send: Send = (frames) => Effect.asVoid(Queue.offer(queue, frames))

  const listen = Effect.flatMap(
    pull,
    (frames) =>
      Effect.forEach(
        frames,
        (data) =>
          Effect.flatMap(FiberSet.size(requests), (open) =>
            FiberSet.run(requests, open >= maxInFlight ? refuse(data, options, send) : respond(data, options, send))),
        {
          discard: true
        }
      )
  )
  // A gateway that stops hears no more requests, and answers those that it has.
  const finish = Effect.gen(function*() {
    yield* FiberSet.awaitEmpty(requests)
    yield* Queue.end(queue)
    yield* Fiber.await(writing)
  })
  yield* Effect.raceFirst(Effect.forever(listen), yield* Stopping)
  yield* finish
})

type Send = (frames: Arr.NonEmptyReadonlyArray<string>) => Effect.Effect<void>

const respond = (data: string | Uint8Array, options: Options, send: Send): Effect.Effect<void> => {
  let metadata: Partial<Frames.Metadata> = {}
  return Effect.gen(function*() {
    const { eventId, step } = yield* Frames.decode(data, options.limit)
    if (eventId !== undefined) metadata = { eventId }
    const gateway = yield* options.pipeline.admit(options)
    const answer = yield* options.pipeline.send({
      gateway,
      steps: [step],
      options: {
        ...RequestOptions.fromHeaders(options.headers),
        ...(eventId === undefined ? {} : { eventId })
      },
      type: "WebSockets",
      face: "rest",
      userAgent: options.headers["user-agent"]
    })
    metadata = Frames.metadataOf(answer.headers)
    yield* carry(answer, Frames.metadataOf(answer.headers), options.limit, send)
  }).pipe(
    Effect.scoped,
    Effect.catchTag(
      "WrongFrame",
      ({ eventId, reason }) => send([Frames.failed(eventId === null ? {} : { eventId }, reason)])
    ),
    Effect.catchTag("AiGatewayError", (error) => send([Frames.failed(metadata, error)])),
    Effect.catchCause((cause) =>
      Cause.hasInterruptsOnly(cause) ? Effect.failCause(cause) : Effect.andThen(
        Effect.logError("The local gateway failed", cause),
        send([Frames.failed(
          metadata,
          new Envelope.AiGatewayError({
            status: 500,
            code: 10013,
            description: "The local gateway failed; its output says why"
          })
        )])
      )
    )
  )
}

const refuse = (data: string | Uint8Array, options: Options, send: Send): Effect.Effect<void> =>
  Frames.decode(data, options.limit).pipe(
    Effect.flatMap(({ eventId }) =>
      send([Frames.failed(
        eventId === undefined ? {} : { eventId },
        new Envelope.AiGatewayError({
          status: 429,
          code: 2003,
          description: `Rate limited: ${maxInFlight} requests of this socket are open`
        })
      )])
    ),
    Effect.catchTag(
      "WrongFrame",
      ({ eventId, reason }) => send([Frames.failed(eventId === null ? {} : { eventId }, reason)])
    )
  )

/** Sends an answer in its frames. */
const carry = (
  answer: Answer.Answer,
  metadata: Frames.Metadata,
  limit: number,
  send: Send
): Effect.Effect<void, Envelope.AiGatewayError> =>
  Effect.gen(function*() {
    const isSuccess = Answer.isSuccess(answer)
    if (isSuccess && metadata.contentType?.toLowerCase().startsWith("text/event-stream") === true) {
      yield* send([Frames.created(metadata)])
      yield* events(answer.body, (data) => Frames.streamed(metadata, data), send)
      return yield* send([Frames.done(metadata)])
    }
    const body = yield* whole(answer.body, limit)
    if (!isSuccess) return yield* send([Frames.refused(metadata, answer, new TextDecoder().decode(body))])
    const response = Frames.wholeResponse(metadata.contentType, body)
    if (response === undefined) {
      return yield* new Envelope.AiGatewayError({
        status: 400,
        code: 7000,
        description: `The answer is ${metadata.contentType}, which the WebSocket API cannot carry; use HTTP for it`
      })
    }
    yield* send([Frames.created(metadata, response)])
  })

/** Sends each event as a frame, a read's frames at once. */
const events = (
  body: Answer.Answer["body"],
  encode: (data: string) => string | undefined,
  send: Send
): Effect.Effect<void, Envelope.AiGatewayError> => {
  const decoder = new TextDecoder()
  let frames: Array<string> = []
  const scanner = EventScanner.make((data) => {
    const frame = encode(data)
    if (frame !== undefined) frames.push(frame)
  })
  const flush = Effect.suspend(() => {
    const ready = frames
    frames = []
    return Arr.isArrayNonEmpty(ready) ? send(ready) : Effect.void
  })
  const bytes = body instanceof Uint8Array ? Stream.succeed(body) : Stream.mapError(body, cut)
  return Stream.runForEachArray(bytes, (reads) => {
    for (const read of reads) scanner.push(decoder.decode(read, { stream: true }))
    return flush
  }).pipe(
    Effect.andThen(Effect.suspend(() => {
      scanner.push(decoder.decode())
      scanner.end()
      return flush
    }))
  )
}

const whole = (body: Answer.Answer["body"], limit: number): Effect.Effect<Uint8Array, Envelope.AiGatewayError> =>
  body instanceof Uint8Array ? Effect.succeed(body) : Effect.suspend(() => {
    const chunks: Array<Uint8Array> = []
    let size = 0
    return Stream.runForEach(Stream.mapError(body, cut), (chunk) => {
      size += chunk.length
      if (size > limit) {
        return Effect.fail(Envelope.noProviderAnswer(`its answer has more than ${limit} bytes; use HTTP for it`))
      }
      chunks.push(chunk)
      return Effect.void
    }).pipe(Effect.map(() => Buffer.concat(chunks)))
  })

const cut = () => Envelope.noProviderAnswer("it cut the connection while it answered")

const credentialPrefix = "cf-aig-authorization."

const isCredential = (protocol: string) => protocol.startsWith(credentialPrefix)

const protocolsOf = (header: string | undefined): ReadonlyArray<string> =>
  header === undefined ? [] : header.split(",").map((_) => _.trim())

/** A handshake that the WebSocket server would refuse; it would not tell us, and this request would never end. */
const handshakeProblem = (request: HttpServerRequest.HttpServerRequest): string | undefined => {
  const { headers, method } = request
  if (method !== "GET") return `the method is ${method}, expected GET`
  if (!/^[+/0-9A-Za-z]{22}==$/.test(headers["sec-websocket-key"] ?? "")) {
    return "the header Sec-WebSocket-Key is missing or no key"
  }
  if (!/^(13|8)$/.test(headers["sec-websocket-version"] ?? "")) return "the header Sec-WebSocket-Version must be 13"
  const offered = headers["sec-websocket-protocol"]
  const protocols = protocolsOf(offered)
  return protocols.every((_) => /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/.test(_)) &&
      new Set(protocols).size === protocols.length
    ? undefined
    : "the header Sec-WebSocket-Protocol must list different tokens"
}

const badHandshake = (problem: string) =>
  new Envelope.AiGatewayError({ status: 400, code: 7000, description: `No WebSocket handshake: ${problem}` })

/** Waits until what was written has left for the client, or the client is gone. */
const isWritable = (connection: Net.Socket): Effect.Effect<void> =>
  Effect.callback<void>((resume) => {
    if (connection.destroyed || !connection.writableNeedDrain) return resume(Effect.void)
    const off = () => {
      connection.off("drain", done)
      connection.off("close", done)
    }
    const done = () => {
      off()
      resume(Effect.void)
    }
    connection.once("drain", done)
    connection.once("close", done)
    return Effect.sync(off)
  })

/** A timer of the system: the client's patience is real also where a test owns the clock. */
const hangUp = (connection: Net.Socket): Effect.Effect<void> =>
  Effect.callback<void>((resume) => {
    if (connection.destroyed) return resume(Effect.void)
    const timer = setTimeout(() => connection.destroy(), 200)
    connection.once("close", () => {
      clearTimeout(timer)
      resume(Effect.void)
    })
  })
