/**
 * What is left to do when a step has its answer: to keep it, to book what it cost, to measure and to log it.
 *
 * It is the last letter, i, of the order of processing (the wire reference, section 12.1).
 *
 * @since 0.1.0
 */
import type * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Answer from "./Answer.ts"
import * as Cache from "./Cache.ts"
import { CacheStore, type Entry } from "./CacheStore.ts"
import type * as ChatWriter from "./compat/ChatWriter.ts"
import type * as Unified from "./compat/Unified.ts"
import * as Costs from "./Costs.ts"
import * as Gateway from "./Gateway.ts"
import type { GatewayRequest, Step } from "./GatewayRequest.ts"
import * as LogEntries from "./LogEntries.ts"
import { type LogEntry, LogStore } from "./LogStore.ts"
import { Metrics } from "./Metrics.ts"
import * as Policies from "./policies/Policies.ts"
import { RateLimitStore } from "./RateLimitStore.ts"
import type * as RequestOptions from "./RequestOptions.ts"
import * as SpanExports from "./SpanExports.ts"
import * as SpendLimits from "./SpendLimits.ts"
import * as TokenUsage from "./TokenUsage.ts"

/**
 * Larger bodies are not stored (the wire reference, 6.1).
 *
 * @category constants
 * @since 0.1.0
 */
export const storedLimit = 10 * 1024 * 1024

/**
 * The ids of a step's answer.
 *
 * @category models
 * @since 0.1.0
 */
export interface Ids {
  /** Of this step's log entry. */
  readonly log: string
  readonly request: string
  readonly event: string
}

/**
 * A step that was done; some of it is found out while it is.
 *
 * @category models
 * @since 0.1.0
 */
export interface Done {
  readonly request: GatewayRequest
  readonly step: Step
  /** The same step, of the unified endpoint. */
  readonly unified: Unified.UnifiedStep | undefined
  readonly index: number
  readonly ids: Ids
  readonly options: RequestOptions.RequestOptions
  readonly clock: Clock.Clock
  readonly started: number
  /** The request's body as text. */
  readonly sent: string
  readonly target: SpendLimits.Target
  readonly budgets: ReadonlyArray<SpendLimits.Budget>
  /** With the provider's key in them. */
  headersSent: Step["headers"]
  /** What the translation of an answer has read of its usage. */
  heard: ChatWriter.Usage | undefined
  buckets: ReadonlyArray<Policies.Bucket>
}

/**
 * Its answer, and what becomes of it.
 *
 * @category models
 * @since 0.1.0
 */
export interface Answered {
  readonly answer: Answer.Answer
  readonly plan: Cache.Plan | undefined
  /** What is to be kept; undefined where nothing is. */
  readonly entry: Omit<Entry, "body"> | undefined
  readonly isHit: boolean
  readonly collects: boolean
}

/**
 * A function that settles a step with its body, or as much of it as there is: `size` bytes came in all.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = Effect.gen(function*() {
  const cache = yield* CacheStore
  const limits = yield* RateLimitStore
  const logs = yield* LogStore
  const metrics = yield* Metrics
  const spans = yield* SpanExports.Current

  // Made once, and not for each step: making a generator costs more than running it.
  return Effect.fnUntraced(
    function*(done: Done, answered: Answered, body: Uint8Array, size: number, complete: boolean) {
      const { budgets, buckets, heard, ids, options, request, sent, started, step, target, unified } = done
      const { answer, collects, entry, isHit, plan } = answered
      const { gateway } = request
      if (entry !== undefined && plan !== undefined && complete && size > 0 && size <= Cache.sizeLimit) {
        yield* cache.put(plan.key, { ...entry, body }, plan.ttl)
      }
      const contentType = answer.headers["content-type"] ?? null
      const received = decoder.decode(body)
      const usage = isHit
        ? undefined
        : heard === undefined
        ? TokenUsage.read(contentType, received)
        : usageOf(heard)
      const isSuccess = Answer.isSuccess(answer)
      const cost = usage !== undefined && isSuccess
        ? Costs.of({ provider: step.provider, model: target.model, usage, custom: options.customCost })
        : Costs.free
      yield* SpendLimits.book(limits, budgets, cost.cost)
      yield* Policies.book(limits, gateway.id, buckets, cost.cost)
      if (unified !== undefined) yield* unified.charge(cost.cost ?? 0)
      const duration = done.clock.currentTimeMillisUnsafe() - started
      const success = complete && isSuccess
      // A cached answer took none.
      const tokensIn = usage === undefined ? 0 : usage.tokensIn
      const tokensOut = usage === undefined ? 0 : usage.tokensOut
      metrics.observe({
        provider: step.provider,
        model: target.model,
        status: answer.status,
        success,
        cached: isHit,
        tokensIn,
        tokensOut,
        cost: cost.cost,
        duration
      })
      const log: LogEntry = {
        id: ids.log,
        gateway: gateway.id,
        createdAt: started,
        provider: step.provider,
        model: target.model,
        path: step.path,
        duration,
        requestType: request.type,
        requestContentType: step.headers["content-type"] ?? null,
        responseContentType: contentType,
        statusCode: answer.status,
        success,
        cached: isHit,
        tokensIn,
        tokensOut,
        ...cost,
        metadata: options.metadata ?? null,
        step: done.index,
        eventId: ids.event,
        userAgent: request.userAgent ?? null,
        requestSize: step.body.length,
        responseSize: size,
        feedback: null,
        score: null
      }
      const isStored = collects && options.collectLogPayload !== false && step.body.length <= storedLimit &&
        size <= storedLimit
      const scrub = LogEntries.scrubber(step.headers, done.headersSent)
      const bodies = isStored ? { request: scrub(sent), response: scrub(received) } : null
      if (collects) yield* logs.append(log, bodies, Gateway.logCap(gateway))
      yield* spans.push({ gateway, entry: log, bodies, options })
    }
  )
})

/** It keeps nothing between two texts. */
const decoder = new TextDecoder()

const usageOf = (
  { cacheRead = 0, cacheWrite = 0, input, output }: ChatWriter.Usage
): TokenUsage.Usage => ({
  tokensIn: input ?? null,
  tokensOut: output ?? null,
  uncachedIn: (input ?? 0) - cacheRead - cacheWrite,
  cacheRead,
  cacheWrite,
  billedOut: output ?? null
})
