/**
 * OpenAI's embeddings by the simulated model: texts or tokens, as numbers or base64, of any length up to the model's own.
 *
 * Source: OpenAI's reference of embeddings.
 *
 * @since 0.1.0
 */
import * as Result from "effect/Result"
import { type JsonRecord, text } from "../../model/Json.ts"
import { list } from "./JsonSchema.ts"
import * as OpenAiError from "./OpenAiError.ts"
import * as Reply from "./Reply.ts"
import * as SimulatedModel from "./SimulatedModel.ts"

/**
 * @category constructors
 * @since 0.1.0
 */
export const reply = (body: JsonRecord, model: string): Result.Result<Reply.Reply, Reply.Reply> =>
  Result.gen(function*() {
    const inputs = yield* inputsOf(body["input"])
    const format = body["encoding_format"] ?? "float"
    if (format !== "float" && format !== "base64") {
      return yield* Result.fail(OpenAiError.invalid("encoding_format", "'float' or 'base64'", format))
    }
    const most = lengthOf(model)
    // Mistral has another name for it.
    const dimensions = body["dimensions"] ?? body["output_dimension"] ?? most
    if (typeof dimensions !== "number" || !Number.isInteger(dimensions) || dimensions < 1 || dimensions > most) {
      return yield* Result.fail(OpenAiError.invalid("dimensions", `an integer from 1 to ${most}`, dimensions))
    }
    const tokens = inputs.reduce((sum, input) => sum + input.tokens, 0)
    return Reply.json({
      object: "list",
      data: inputs.map((input, index) => {
        const vector = SimulatedModel.embed(input.text, dimensions)
        return { object: "embedding", index, embedding: format === "float" ? vector : base64(vector) }
      }),
      model,
      usage: { prompt_tokens: tokens, total_tokens: tokens }
    })
  })

interface Input {
  readonly text: string
  readonly tokens: number
}

const inputsOf = (given: unknown): Result.Result<ReadonlyArray<Input>, Reply.Reply> => {
  if (given === undefined) return Result.fail(OpenAiError.missing("input"))
  const all = typeof given === "string" || isTokens(given) ? [given] : list(given)
  const inputs = all.flatMap((one): ReadonlyArray<Input> => {
    const said = text(one)
    if (said !== undefined) return [{ text: said, tokens: SimulatedModel.estimate(said) }]
    return isTokens(one) ? [{ text: one.join(" "), tokens: one.length }] : []
  })
  return inputs.length === 0 || inputs.length !== all.length || inputs.length > 2048
    ? Result.fail(
      OpenAiError.invalid("input", "a text or tokens, or a list of 1 to 2048 of them, none of them empty", given)
    )
    : Result.succeed(inputs)
}

const isTokens = (u: unknown): u is ReadonlyArray<number> =>
  Array.isArray(u) && u.length > 0 && u.every((_) => Number.isInteger(_))

/** Of the models whose vectors have another length than most. */
const lengths: { readonly [model: string]: number } = {
  "text-embedding-3-large": 3072,
  "codestral-embed": 3072,
  "gemini-embedding-001": 3072,
  "mistral-embed": 1024
}

const lengthOf = (model: string) => Object.hasOwn(lengths, model) ? lengths[model] ?? 1536 : 1536

/** Little-endian floats of 32 bits. */
const base64 = (vector: ReadonlyArray<number>): string => {
  const bytes = Buffer.alloc(vector.length * 4)
  vector.forEach((value, at) => bytes.writeFloatLE(value, at * 4))
  return bytes.toString("base64")
}
