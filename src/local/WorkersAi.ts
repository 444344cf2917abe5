/**
 * Workers AI on this machine: runs a model id with inputs and answers as the real service does, by the simulated model.
 *
 * Over REST and the data plane native answers come in the v4 envelope; behind the binding they come bare.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Answer from "./Answer.ts"
import { ModelError, modelErrorBody } from "./Envelope.ts"
import { isRecord, list } from "./simulated/JsonSchema.ts"
import * as Models from "./simulated/models.ts"
import * as OpenAiChat from "./simulated/OpenAiChat.ts"
import * as Reply from "./simulated/Reply.ts"
import * as SimulatedModel from "./simulated/SimulatedModel.ts"
import * as WorkersAiNative from "./simulated/WorkersAiNative.ts"

/**
 * One run of one model.
 *
 * @category models
 * @since 0.1.0
 */
export interface Run {
  /** Undefined when the path names none: then the body's `model` counts. */
  readonly model: string | undefined
  /** `run`: the model's own shape; the others are OpenAI's endpoints. */
  readonly endpoint: "run" | "chat/completions" | "embeddings"
  readonly body: Uint8Array
  readonly face: "rest" | "binding"
  /** UUID of this request, answered as `cf-ai-req-id`. */
  readonly requestId: string
  readonly pause: Duration.Duration
}

/**
 * Runs the model; a refusal is an answer too, with the status and the envelope of the face.
 *
 * @category constructors
 * @since 0.1.0
 */
export const run = (options: Run): Effect.Effect<Answer.Answer> =>
  Effect.map(Clock.currentTimeMillis, (now) => {
    const headers = { "x-simulated": "true", "cf-ai-req-id": options.requestId }
    const answered = respond(options, Math.floor(now / 1000))
    return Result.match(answered, {
      onFailure: (error) => Answer.json(error.status, modelErrorBody(error, options.face), headers),
      onSuccess: (reply) => Reply.toAnswer(reply, options.pause, headers)
    })
  })

const respond = (options: Run, created: number): Result.Result<Reply.Reply, ModelError> =>
  Result.gen(function*() {
    const inputs = yield* parse(options.body)
    const named = options.model ?? (isRecord(inputs) ? inputs["model"] : undefined)
    if (typeof named !== "string" || named === "") {
      return yield* Result.fail(invalid(5004, "InvalidData", "'/model' is required"))
    }
    // OpenAI clients on the gateway may write the provider's slug before the model.
    const model = named.replace(/^workers-ai\//, "")
    const task = Models.lookup(model)
    const wrap = (result: unknown): Reply.Reply =>
      Reply.json(
        options.endpoint === "run" && options.face === "rest"
          ? { result, success: true, errors: [], messages: [] }
          : result
      )
    if (task.task === "unknown") {
      return yield* Result.fail(invalid(5007, "AiError", `No such model ${model} or task`))
    }
    if (task.task === "unsupported") {
      return yield* Result.fail(
        invalid(
          5007,
          "AiError",
          `The simulated model cannot stand in for ${model}: it answers text and embeddings only`
        )
      )
    }
    if (task.task === "embeddings") return wrap(yield* embeddings(inputs, task.dimensions, model, options.endpoint))
    if (options.endpoint === "embeddings") {
      return yield* Result.fail(invalid(5007, "AiError", `${model} does not answer embeddings`))
    }
    const request = yield* Result.mapError(
      SimulatedModel.decode(inputs),
      (problem) => invalid(5006, "InvalidInput", `Error: ${problem}`)
    )
    const answer = SimulatedModel.answer(model, request)
    const facts = { id: options.requestId, model, created }
    if (options.endpoint === "run" && task.shape === "native") {
      return request.stream
        ? stream(WorkersAiNative.nativeEvents(answer))
        : wrap(WorkersAiNative.native(answer))
    }
    const streamUsage = options.endpoint === "run" || request.includeUsage ? "asked" : "none"
    return request.stream
      ? stream(OpenAiChat.chunks(answer, facts, streamUsage))
      : wrap(OpenAiChat.completion(answer, facts))
  })

const embeddings = (
  inputs: unknown,
  dimensions: number,
  model: string,
  endpoint: Run["endpoint"]
): Result.Result<unknown, ModelError> => {
  const given = isRecord(inputs) ? inputs["text"] ?? inputs["input"] : undefined
  const texts = typeof given === "string" ? [given] : list(given)
  if (texts.length === 0 || !texts.every((_) => typeof _ === "string")) {
    return Result.fail(invalid(5006, "InvalidInput", "Error: required properties at '/' are 'text'"))
  }
  const data = texts.map((text) => SimulatedModel.embed(text, dimensions))
  if (endpoint === "run") return Result.succeed({ shape: [texts.length, dimensions], data, pooling: "cls" })
  const tokens = texts.reduce((sum, text) => sum + SimulatedModel.estimate(text), 0)
  return Result.succeed({
    object: "list",
    data: data.map((embedding, index) => ({ object: "embedding", embedding, index })),
    model,
    usage: { prompt_tokens: tokens, total_tokens: tokens }
  })
}

const stream = (pieces: ReadonlyArray<string>): Reply.Reply => ({ contentType: "text/event-stream", pieces })

const parse = (body: Uint8Array): Result.Result<unknown, ModelError> =>
  Result.try({
    try: (): unknown => JSON.parse(new TextDecoder().decode(body)),
    catch: () => invalid(5004, "InvalidData", "the request body is not valid JSON")
  })

const invalid = (code: number, name: string, description: string): ModelError =>
  new ModelError({ status: 400, code, name_: name, description })

/**
 * What a path below `workers-ai` asks for: `{model}`, `run/{model}`, `v1/chat/completions`, `v1/embeddings`.
 *
 * @category decoding
 * @since 0.1.0
 */
export const atPath = (path: string): Pick<Run, "model" | "endpoint"> => {
  const plain = decodePath(path).replace(/\/+$/, "")
  if (plain === "v1/chat/completions") return { model: undefined, endpoint: "chat/completions" }
  if (plain === "v1/embeddings") return { model: undefined, endpoint: "embeddings" }
  const model = plain.replace(/^run(\/|$)/, "")
  return { model: model === "" ? undefined : model, endpoint: "run" }
}

const decodePath = (path: string): string => {
  try {
    return decodeURIComponent(path)
  } catch {
    return path
  }
}
