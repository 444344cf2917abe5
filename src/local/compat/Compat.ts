/**
 * The unified endpoint, `/compat/chat/completions`: OpenAI's chat for every provider.
 *
 * Anthropic and Google AI Studio are translated, there and back, whole and streamed. The others speak OpenAI's format
 * themselves, Workers AI included: only the model's prefix is taken off. Vertex AI, Bedrock and Azure OpenAI need more than
 * a model's name to be reached and are refused. Source: the wire reference, sections 1.5, 3.5, 9.2 and 10.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Stream from "effect/Stream"
import * as EventScanner from "../../model/EventScanner.ts"
import { isRecord, type JsonRecord, parse, record } from "../../model/Json.ts"
import * as Utf8 from "../../model/Utf8.ts"
import * as Answer from "../Answer.ts"
import { AiGatewayError, noProviderAnswer } from "../Envelope.ts"
import * as AnthropicAnswer from "./AnthropicAnswer.ts"
import * as AnthropicRequest from "./AnthropicRequest.ts"
import { type ChatReader, errorOf } from "./ChatReader.ts"
import * as ChatRequest from "./ChatRequest.ts"
import * as ChatWriter from "./ChatWriter.ts"
import * as GoogleAnswer from "./GoogleAnswer.ts"
import * as GoogleRequest from "./GoogleRequest.ts"

/**
 * A request as its provider takes it, and how to read what comes back.
 *
 * @category models
 * @since 0.1.0
 */
export interface Translation {
  readonly provider: string
  /** The provider's own id of the model. */
  readonly model: string
  /** Below the slug, without a leading slash. */
  readonly path: string
  /** With its question mark, or empty. */
  readonly query: string
  /** What the wire asks for beside the provider's key. */
  readonly headers: { readonly [name: string]: string }
  readonly body: JsonRecord
  readonly reading: Reading
}

/**
 * @category models
 * @since 0.1.0
 */
export interface Reading {
  readonly format: "openai" | "workers-ai" | "anthropic" | "google"
  readonly model: string
  readonly stream: boolean
  readonly includeUsage: boolean
  /** The tool whose input is the answer's text. */
  readonly objectTool: string | undefined
}

/**
 * The request for a provider. Fails with 2019 for a body that cannot be translated, with 2008 for a provider that cannot
 * be reached this way.
 *
 * @category conversions
 * @since 0.1.0
 */
export const toProvider = (
  body: unknown,
  target: { readonly provider: string; readonly model: string }
): Result.Result<Translation, AiGatewayError> =>
  Result.gen(function*() {
    const { model, provider } = target
    const given = record(body)
    const reading = {
      model,
      stream: given["stream"] === true,
      includeUsage: record(given["stream_options"])["include_usage"] === true,
      objectTool: undefined
    }
    const headers = { "content-type": "application/json" }
    if (provider === "anthropic") {
      const request = yield* ChatRequest.decode(given)
      return {
        ...target,
        path: "v1/messages",
        query: "",
        headers: { ...headers, "anthropic-version": "2023-06-01" },
        body: yield* AnthropicRequest.encode(request, model),
        reading: {
          ...reading,
          format: "anthropic",
          objectTool: AnthropicRequest.givesObject(request, model) ? AnthropicRequest.objectTool : undefined
        }
      }
    }
    if (provider === "google-ai-studio") {
      const request = yield* ChatRequest.decode(given)
      const name = (model.includes("/") ? model : `models/${model}`).split("/").map(encodeURIComponent).join("/")
      return {
        ...target,
        path: `v1beta/${name}:${request.stream ? "streamGenerateContent" : "generateContent"}`,
        query: request.stream ? "?alt=sse" : "",
        headers,
        body: yield* GoogleRequest.encode(request, model),
        reading: { ...reading, format: "google" }
      }
    }
    const path = Object.hasOwn(paths, provider)
      ? paths[provider]
      : provider.startsWith("custom-")
      ? "v1/chat/completions"
      : undefined
    if (path === undefined) {
      return yield* Result.fail(
        new AiGatewayError({
          status: 400,
          code: 2008,
          description:
            `Invalid provider: the local gateway cannot reach ${provider} through compat; use /${provider}/...`
        })
      )
    }
    return {
      ...target,
      path,
      query: "",
      headers,
      body: { ...given, model },
      reading: { ...reading, format: provider === "workers-ai" ? "workers-ai" : "openai" }
    }
  })

/** The chat endpoints of those that speak OpenAI's format. */
const paths: { readonly [provider: string]: string } = {
  baseten: "v1/chat/completions",
  cerebras: "chat/completions",
  cohere: "compatibility/v1/chat/completions",
  deepseek: "chat/completions",
  fireworks: "chat/completions",
  grok: "v1/chat/completions",
  groq: "chat/completions",
  mistral: "v1/chat/completions",
  openai: "chat/completions",
  openrouter: "v1/chat/completions",
  parallel: "chat/completions",
  "perplexity-ai": "chat/completions",
  "workers-ai": "v1/chat/completions"
}

/**
 * The provider's answer as OpenAI's: its status, a completion or chunks, or OpenAI's error object.
 *
 * A stream is translated as it comes; one that is cut stays cut, without `[DONE]`. `id` stands in for ids that the provider
 * does not give. Fails with 2002 for a success that cannot be read.
 *
 * @category conversions
 * @since 0.1.0
 */
export const answer = (
  reading: Reading,
  upstream: Answer.Answer,
  options: {
    readonly id: string
    /** Gets the counts as they become known, also where the client did not ask for them. */
    readonly onUsage?: ((usage: ChatWriter.Usage) => void) | undefined
  }
): Effect.Effect<Answer.Answer, AiGatewayError> =>
  Effect.gen(function*() {
    const { id, onUsage } = options
    const isSuccess = Answer.isSuccess(upstream)
    if (reading.format === "openai" || (reading.format === "workers-ai" && isSuccess)) return upstream
    const { "content-encoding": _, "content-length": __, ...headers } = upstream.headers
    if (!isSuccess) {
      const error = errorOf(parse(yield* whole(upstream)), upstream.status)
      return Answer.json(upstream.status, ChatWriter.errorBody(error), headers)
    }
    const now = yield* Clock.currentTimeMillis
    const facts: ChatWriter.Facts = { ...reading, id, created: Math.floor(now / 1000), onUsage }
    const isStream = (upstream.headers["content-type"] ?? "").startsWith("text/event-stream")
    if (reading.stream && isStream) {
      return {
        status: upstream.status,
        headers: { ...headers, "content-type": "text/event-stream" },
        body: stream(reading, upstream.body, facts)
      }
    }
    const json = isStream ? undefined : parse(yield* whole(upstream))
    // Google's answer comes in a list where a stream was asked for in its other form.
    const bodies = (Array.isArray(json) ? json : [json]).filter(isRecord)
    const writer = ChatWriter.completion(facts)
    const chunks = ChatWriter.chunks(facts)
    // An answer that nobody could read as a whole makes no chunks either.
    for (const sink of reading.stream ? [writer, chunks] : [writer]) {
      const reader = readerOf(reading, sink, id)
      if (bodies.length === 1) bodies.forEach(reader.body)
      else {
        bodies.forEach(reader.event)
        reader.end()
      }
    }
    const result = writer.result()
    if (result === undefined) return yield* Effect.fail(unreadable)
    if (ChatWriter.isChatError(result)) return Answer.json(result.status, ChatWriter.errorBody(result), headers)
    if (!reading.stream) return Answer.json(upstream.status, result, headers)
    return {
      status: upstream.status,
      headers: { ...headers, "content-type": "text/event-stream" },
      body: new TextEncoder().encode(chunks.take())
    }
  })

const unreadable = new AiGatewayError({ status: 400, code: 2002, description: "Failed to parse model output" })

const readerOf = (reading: Reading, writer: ChatWriter.ChatWriter, id: string): ChatReader =>
  reading.format === "google" ? GoogleAnswer.make(writer, id) : AnthropicAnswer.make(writer, reading.objectTool)

const whole = ({ body }: Answer.Answer): Effect.Effect<string, AiGatewayError> => {
  if (body instanceof Uint8Array) return Effect.succeed(new TextDecoder().decode(body))
  const chunks: Array<Uint8Array> = []
  return Stream.runForEach(body, (chunk) => Effect.sync(() => chunks.push(chunk))).pipe(
    Effect.mapError(() => noProviderAnswer("the connection was cut in the middle of the answer")),
    Effect.map(() => new TextDecoder().decode(Buffer.concat(chunks)))
  )
}

const stream = (
  reading: Reading,
  body: Answer.Answer["body"],
  facts: ChatWriter.Facts
): Stream.Stream<Uint8Array, unknown> =>
  // The state belongs to one run.
  Stream.suspend(() => {
    const encoder = new TextEncoder()
    const decoder = Utf8.make()
    const writer = ChatWriter.chunks(facts)
    const reader = readerOf(reading, writer, facts.id)
    let stray = ""
    let isOver = false
    const scanner = EventScanner.make(
      (data) => {
        const json = parse(data)
        if (isRecord(json)) reader.event(json)
        // What is cut off in its last event was cut, and is no error of the provider's.
        else if (json === undefined && !isOver && !data.startsWith("[DONE]")) writer.fail(unreadableEvent)
      },
      // Google writes an error into a stream without the field's name, over several lines.
      (line) => {
        if (stray === "" ? /^\s*[{[]/.test(line) : stray.length < maxStray) stray += line
      }
    )
    const end = Stream.suspend(() => {
      isOver = true
      scanner.push(decoder.end())
      scanner.end()
      const error = parse(stray)
      const given = Array.isArray(error) ? error[0] : error
      if (isRecord(given) && isRecord(given["error"])) writer.fail(errorOf(given, 200))
      reader.end()
      return Stream.succeed(encoder.encode(writer.take()))
    })
    return (body instanceof Uint8Array ? Stream.succeed(body) : body).pipe(
      Stream.map((bytes) => {
        scanner.push(decoder.push(bytes))
        return encoder.encode(writer.take())
      }),
      // Of a body that fails there is no end.
      Stream.concat(end),
      Stream.filter((bytes) => bytes.length > 0)
    )
  })

const unreadableEvent: ChatWriter.ChatError = {
  status: 502,
  message: "Failed to parse model output",
  type: "server_error",
  code: 2002
}

/** More text than any error has, and little enough to keep. */
const maxStray = 65_536
