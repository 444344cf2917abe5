/**
 * A policy that is told what each call took: its tokens, its cost, and whether that is counted or only estimated.
 *
 * The finish part says what an answer took. Where none came - the stream was cut or left, a tool's handler failed - the answer
 * took what came of it, estimated from its text, and the prompt. What the provider never answered took nothing.
 *
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as AiError from "effect/unstable/ai/AiError"
import type * as LanguageModel from "effect/unstable/ai/LanguageModel"
import * as Response from "effect/unstable/ai/Response"
import type { MetadataValue } from "../client/GatewayLog.ts"
import * as RequestOptions from "../client/RequestOptions.ts"
import * as askedModels from "../model/askedModels.ts"
import * as Parameters from "../model/Parameters.ts"
import { costOf, type Named, type Price, priceOf, type Pricing, problemOf, type Tokens } from "../model/pricing.ts"
import * as Answered from "./answered.ts"
import type { CallOptions, Policy, Watch } from "./aroundModel.ts"
import * as tokenEstimate from "./tokenEstimate.ts"
import { partsOf } from "./withheld.ts"

/**
 * What is known of a call before it is made.
 *
 * @category models
 * @since 0.1.0
 */
export interface Call {
  readonly method: Watch["method"]
  readonly options: CallOptions
  /** The `RequestOptions` metadata around the call. */
  readonly metadata: { readonly [key: string]: MetadataValue | undefined }
  /** The models that the call may go to; none where that is not known. */
  readonly models: ReadonlyArray<Named>
  /** The limit that `Parameters` around the call have. */
  readonly maxTokens: number | undefined
  /** The prompt's tokens, estimated. */
  readonly promptTokens: () => number
  /** The price of a model; the call's own `customCost` is that of every model. */
  readonly priceOf: (model: Named) => Price | undefined
}

/**
 * What a call took.
 *
 * @category models
 * @since 0.1.0
 */
export interface Bill {
  readonly provider: string | undefined
  readonly model: string | undefined
  readonly tokens: Tokens
  /** Nano-dollars; undefined when nobody knows the price. */
  readonly cost: number | undefined
  /** A cache answered: it took nothing. */
  readonly cached: boolean
  /** Tokens and cost are estimates. */
  readonly estimated: boolean
  /** False when nothing came. */
  readonly answered: boolean
}

/**
 * What stands around a call: `open` before it, `settle` once when it has ended, however it did.
 *
 * `open` runs where it cannot be interrupted, but for what it restores.
 *
 * @category models
 * @since 0.1.0
 */
export interface Meter<A> {
  readonly open: (call: Call, restore: Restore) => Effect.Effect<A, AiError.AiError>
  readonly settle: (opened: A, bill: Bill, call: Call) => Effect.Effect<void>
}

/**
 * As `Effect.uninterruptibleMask` gives it.
 *
 * @category models
 * @since 0.1.0
 */
export type Restore = <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>

/**
 * @category models
 * @since 0.1.0
 */
export interface Settings {
  readonly pricing: Pricing
  /** What the models are called where neither the service nor the answer says it. */
  readonly models: ReadonlyArray<Named>
  readonly countTokens: tokenEstimate.CountTokens
}

/**
 * The policy around a model.
 *
 * @category constructors
 * @since 0.1.0
 */
export const metered = <S>(model: LanguageModel.LanguageModel, given: Settings, meter: Meter<S>): Policy => {
  const models = given.models.length > 0 ? given.models : askedModels.of(model)
  const settings = { ...given, models, countTokens: counted(given.countTokens) }
  const callOf = (watch: Watch) =>
    Effect.contextWith((context: Context.Context<never>) => Effect.succeed(makeCall(watch, settings, context)))
  /** The answer is there, whatever becomes of its bill. */
  const settle = (opened: S, seen: Seen, call: Call) =>
    Effect.sync(() => billOf(seen, call, settings.countTokens)).pipe(
      Effect.catchDefect((defect) =>
        Effect.as(
          Effect.logWarning("countTokens failed, and tokens are estimated without it", defect),
          billOf(
            seen,
            { ...call, promptTokens: promptTokensOf(call.options, tokenEstimate.ofText) },
            tokenEstimate.ofText
          )
        )
      ),
      Effect.flatMap((bill) => meter.settle(opened, bill, call)),
      Effect.catchCause((cause) => Effect.logWarning("What a call took is not recorded", cause))
    )
  return {
    effect: (effect, watch) =>
      Effect.uninterruptibleMask(Effect.fnUntraced(function*(restore) {
        const call = yield* callOf(watch)
        const opened = yield* meter.open(call, restore)
        const exit = yield* Effect.exit(restore(effect))
        const seen = makeSeen()
        if (exit._tag === "Success") see(seen, exit.value.content)
        else noteFailure(seen, exit.cause, watch)
        yield* settle(opened, seen, call)
        return yield* exit
      })),
    stream: <A, E, R>(stream: Stream.Stream<A, E, R>, watch: Watch): Stream.Stream<A, E | AiError.AiError, R> =>
      Stream.transformPullBracket(
        stream,
        (pull, _, scope) =>
          Effect.uninterruptibleMask(Effect.fnUntraced(function*(restore) {
            const call = yield* callOf(watch)
            const opened = yield* meter.open(call, restore)
            const seen = makeSeen()
            // Closed when the stream ends, fails, is interrupted or is left in the middle, and before it is tried again.
            yield* Scope.addFinalizer(scope, Effect.suspend(() => settle(opened, seen, call)))
            return Effect.onExit(pull, (exit) =>
              Effect.sync(() => {
                if (exit._tag === "Success") see(seen, exit.value)
                else noteFailure(seen, exit.cause, watch)
              }))
          }))
      )
  }
}

interface Seen extends Answered.Answered {
  /** What came as text, for an estimate. */
  readonly texts: Array<string>
  /** Tool calls whose parameters came as deltas. */
  readonly streamed: Set<string>
  images: number
  /** Something of an answer: content, or what only comes with it. */
  hasContent: boolean
  /** Of a failed answer, as far as it says. */
  usage: { readonly promptTokens?: number | undefined; readonly completionTokens?: number | undefined } | undefined
}

const makeSeen = (): Seen => ({
  ...Answered.make(),
  texts: [],
  streamed: new Set(),
  images: 0,
  hasContent: false,
  usage: undefined
})

const makeCall = (watch: Watch, settings: Settings, context: Context.Context<never>): Call => {
  const { countTokens, models, pricing } = settings
  const { customCost, metadata = {} } = Context.get(context, RequestOptions.Current)
  const custom = customCost === undefined ? undefined : customPrice(customCost)
  return {
    method: watch.method,
    options: watch.options,
    metadata,
    models,
    maxTokens: Context.get(context, Parameters.Current).maxTokens,
    promptTokens: promptTokensOf(watch.options, countTokens),
    priceOf: (model) => custom ?? priceOf(pricing, model)
  }
}

const promptTokensOf = (options: CallOptions, countTokens: tokenEstimate.CountTokens) => {
  let tokens: number | undefined
  return () => tokens ??= tokenEstimate.ofCall(options, countTokens)
}

/** What is no number of tokens would make sums of money that are none. */
const counted = (countTokens: tokenEstimate.CountTokens): tokenEstimate.CountTokens => (text) => {
  const tokens = countTokens(text)
  if (isCount(tokens)) return tokens
  throw new Error(`countTokens gave ${tokens}, which is no number of tokens`)
}

const isCount = (tokens: number | undefined): tokens is number =>
  tokens !== undefined && tokens >= 0 && Number.isFinite(tokens)

/** The caller's own price of this call; undefined for one that is no amount, which the gateway's client refuses. */
const customPrice = (custom: RequestOptions.CustomCost): Price | undefined => {
  const perMillion = (perToken: number | undefined) => perToken === undefined ? undefined : perToken * 1e6
  const price: Price = "totalCost" in custom
    ? { input: 0, output: 0, request: custom.totalCost }
    : {
      input: custom.perTokenIn * 1e6,
      output: custom.perTokenOut * 1e6,
      cacheRead: perMillion(custom.perCacheReadToken),
      cacheWrite: perMillion(custom.perCacheWriteToken)
    }
  return problemOf({ price }) === undefined ? price : undefined
}

const see = (seen: Seen, parts: ReadonlyArray<unknown>): void => {
  Answered.note(seen, parts)
  for (const part of parts) {
    if (!Response.isPart(part)) continue
    seen.hasContent = true
    switch (part.type) {
      case "text":
      case "reasoning":
        seen.texts.push(part.text)
        break
      case "text-delta":
      case "reasoning-delta":
      case "tool-params-delta":
        seen.texts.push(part.delta)
        if (part.type === "tool-params-delta") seen.streamed.add(part.id)
        break
      case "tool-call":
        seen.texts.push(part.name)
        // The deltas had them already.
        if (!seen.streamed.has(part.id)) seen.texts.push(tokenEstimate.shown(part.params))
        break
      case "file":
        if (part.mediaType.startsWith("image/")) seen.images++
    }
  }
}

/** What a failure says of the answer that it kept from the caller, and of who was asked. */
const noteFailure = (seen: Seen, cause: Cause.Cause<unknown>, watch: Watch): void => {
  // A handler of a tool runs when the answer is there; what handlers fail with is the caller's own.
  if (watch.hasActed) seen.hasContent = true
  const error = Option.getOrUndefined(Cause.findErrorOption(cause))
  const kept = partsOf(error)
  if (kept !== undefined) {
    seen.hasContent = true
    see(seen, kept)
  }
  if (!AiError.isAiError(error)) return
  const { reason } = error
  if (reason._tag === "StructuredOutputError") seen.texts.push(reason.responseText)
  if (reason._tag === "StructuredOutputError" || reason._tag === "InvalidOutputError") seen.usage ??= reason.usage
  const info = Answered.failureInfoOf(error)
  if (info !== undefined) {
    seen.provider ??= info.provider ?? undefined
    seen.model ??= info.model ?? undefined
    // The answer had begun.
    if (reason._tag === "NetworkError" && info.status === 200) seen.hasContent = true
  }
  if (reason._tag === "StructuredOutputError" || seen.usage !== undefined) seen.hasContent = true
}

const nothing: Tokens = { input: 0, cacheRead: 0, cacheWrite: 0, output: 0, reasoning: 0 }

const billOf = (seen: Seen, call: Call, countTokens: tokenEstimate.CountTokens): Bill => {
  const asked = call.models.length === 1 ? call.models[0] : undefined
  const model = seen.model ?? asked?.model
  const provider = seen.provider ?? asked?.provider
  const answered = seen.finish !== undefined || seen.hasContent
  const free = {
    provider,
    model,
    tokens: nothing,
    cost: 0,
    cached: answered && seen.cached,
    estimated: false,
    answered
  }
  if (!answered || seen.cached) return free
  const input = inputOf(seen)
  const output = outputOf(seen)
  const tokens = {
    ...nothing,
    ...(input ?? { input: call.promptTokens() }),
    ...(output ?? { output: countTokens(seen.texts.join("")) })
  }
  const price = call.priceOf({ provider, model: model ?? "" }) ??
    // Who answered is only what the provider calls itself; the one that was asked is known better.
    (seen.provider === undefined && asked !== undefined ? call.priceOf(asked) : undefined)
  return {
    ...free,
    tokens,
    cost: price === undefined ? undefined : costOf(price, tokens, seen.images),
    estimated: input === undefined || output === undefined
  }
}

const inputOf = ({ finish, usage }: Seen): Pick<Tokens, "cacheRead" | "cacheWrite" | "input"> | undefined => {
  const { cacheRead, cacheWrite, total, uncached } = known(
    finish?.usage.inputTokens ?? { total: usage?.promptTokens }
  )
  if ((uncached ?? total ?? cacheRead ?? cacheWrite) === undefined) return undefined
  const cached = { cacheRead: cacheRead ?? 0, cacheWrite: cacheWrite ?? 0 }
  // The total has the cached tokens, too.
  return { ...cached, input: uncached ?? Math.max(0, (total ?? 0) - cached.cacheRead - cached.cacheWrite) }
}

const outputOf = ({ finish, usage }: Seen): Pick<Tokens, "output" | "reasoning"> | undefined => {
  const { reasoning = 0, text, total } = known(finish?.usage.outputTokens ?? { total: usage?.completionTokens })
  if (total !== undefined) return { output: Math.max(0, total - reasoning), reasoning }
  return text === undefined && reasoning === 0 ? undefined : { output: text ?? 0, reasoning }
}

/** Differences of counts that do not fit each other come out negative; then the other counts say more. */
const known = (counts: { readonly [kind: string]: number | undefined }) =>
  Object.fromEntries(Object.entries(counts).filter(([, tokens]) => isCount(tokens)))
