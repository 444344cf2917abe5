/**
 * One step of a request through a gateway: from the cache, or past limits and inspection to its provider; then counted,
 * priced and logged.
 *
 * Order of processing: the wire reference, section 12.1, whose letters are at their places here.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Crypto from "effect/Crypto"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import * as Answer from "./Answer.ts"
import * as bodyTee from "./bodyTee.ts"
import * as Cache from "./Cache.ts"
import { CacheStore } from "./CacheStore.ts"
import type * as ChatWriter from "./compat/ChatWriter.ts"
import * as Compat from "./compat/Compat.ts"
import type * as Unified from "./compat/Unified.ts"
import * as Costs from "./Costs.ts"
import * as Credentials from "./Credentials.ts"
import * as CustomUpstream from "./CustomUpstream.ts"
import * as Destination from "./Destination.ts"
import * as Envelope from "./Envelope.ts"
import * as Faults from "./Faults.ts"
import * as Gateway from "./Gateway.ts"
import type { GatewayRequest, Step } from "./GatewayRequest.ts"
import * as Guardrails from "./guardrails/Guardrails.ts"
import * as Inspection from "./Inspection.ts"
import * as LogEntries from "./LogEntries.ts"
import { type LogEntry, LogStore } from "./LogStore.ts"
import { Metrics } from "./Metrics.ts"
import type { ObjectStore } from "./ObjectStore.ts"
import * as Policies from "./policies/Policies.ts"
import { PolicyStore } from "./policies/PolicyStore.ts"
import * as Providers from "./Providers.ts"
import * as RateLimits from "./RateLimits.ts"
import { RateLimitStore } from "./RateLimitStore.ts"
import * as Recording from "./Recording.ts"
import * as RequestLog from "./RequestLog.ts"
import * as RequestOptions from "./RequestOptions.ts"
import * as Retries from "./Retries.ts"
import type { RouteStore } from "./RouteStore.ts"
import type { Sealing } from "./Sealing.ts"
import * as SimulatedProviders from "./SimulatedProviders.ts"
import { Site } from "./Site.ts"
import * as SpanExports from "./SpanExports.ts"
import * as SpendLimits from "./SpendLimits.ts"
import * as TokenUsage from "./TokenUsage.ts"
import * as Upstream from "./Upstream.ts"
import { UpstreamClient } from "./UpstreamClient.ts"
import * as WorkersAi from "./WorkersAi.ts"

/** Larger bodies are not stored (the wire reference, 6.1). */
const storedLimit = 10 * 1024 * 1024

/**
 * A function that does one step; its answer has the gateway's headers, and says whether another step would be in vain.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = Effect.gen(function*() {
  const site = yield* Site
  const logs = yield* LogStore
  const cache = yield* CacheStore
  const limits = yield* RateLimitStore
  const policies = yield* PolicyStore
  const stores = yield* Effect.context<ObjectStore | RouteStore | Sealing | RateLimitStore>()
  const client = yield* UpstreamClient
  const sendCustom = site.allowPrivateUpstreams ? client.send : client.sendPublic
  const metrics = yield* Metrics
  const crypto = yield* Crypto.Crypto
  const inspection = yield* Inspection.Current
  const recording = yield* Recording.Current
  const faults = yield* Faults.Current
  const requests = yield* RequestLog.Current
  const spans = yield* SpanExports.Current
  const newId = Effect.orDie(crypto.randomUUIDv7)

  const dispatch = (
    step: Step,
    destination: Destination.Destination,
    face: "rest" | "binding",
    requestId: string,
    retries: Retries.Retries & { readonly isLastStep: boolean },
    gateway: string,
    fault: string | undefined
  ): Effect.Effect<Answer.Answer, Envelope.AiGatewayError> => {
    const ask = (): Effect.Effect<Answer.Answer, Envelope.AiGatewayError> => {
      switch (destination._tag) {
        case "Simulated":
          return SimulatedProviders.run(step, { face, requestId, pause: site.pause })
        case "Upstream": {
          const { headers, isCustom, url } = destination
          return Upstream.send(isCustom ? sendCustom : client.send, { ...step, headers, url })
        }
        case "Nowhere":
          return Effect.fail(Envelope.noProviderAnswer(destination.problem))
      }
    }
    // Recordings are of real answers, and stand in for all but Workers AI.
    const isRecorded = destination._tag !== "Simulated" || (recording.standsIn && step.provider !== "workers-ai")
    const once = isRecorded ? recording.around(step, ask()) : ask()
    return Retries.run(Effect.andThen(requests.add(gateway, step), faults.around(fault, once)), {
      ...retries,
      // What is not there now is not there later either.
      attempts: destination._tag === "Nowhere" && !recording.standsIn ? 1 : retries.attempts,
      name: step.provider
    })
  }

  /** `refused`: the answer of a step for which there is no provider to ask. */
  return Effect.fnUntraced(function*(
    request: GatewayRequest,
    step: Step | Unified.UnifiedStep,
    index: number,
    ids: Ids,
    counted: Counted,
    refused?: Envelope.AiGatewayError
  ) {
    const { gateway } = request
    const unified = "reading" in step ? step : undefined
    let headersSent = step.headers
    let heard: ChatWriter.Usage | undefined
    const options = RequestOptions.over(RequestOptions.fromHeaders(step.headers), request.options)
    const clock = yield* Clock.Clock
    const started = clock.currentTimeMillisUnsafe()
    const sent = decoder.decode(step.body)
    const json = parse(sent)
    const model = modelOf(step, json)
    const target = { provider: step.provider, model, metadata: options.metadata }
    const budgets = SpendLimits.budgets(gateway, target)
    const isRun = request.type === "Workers AI Binding" || request.type === "REST API"
    const custom = step.provider.startsWith("custom-")
      ? yield* Effect.result(
        Effect.provideContext(CustomUpstream.find(step.provider, site.allowPrivateUpstreams), stores)
      )
      : undefined
    const upstream = custom === undefined || Result.isFailure(custom) ? undefined : custom.success
    const denied = custom !== undefined && Result.isFailure(custom) ? custom.failure : refused

    // a
    // What a provider has answered that is off now stays where it is.
    const planned = denied !== undefined ? undefined : Cache.plan(
      gateway,
      options.cache ?? {},
      // The unified endpoint's answer is in another format than the provider's own, and a custom provider may move.
      { ...step, provider: `${unified === undefined ? "" : "compat/"}${step.provider}${upstream?.base ?? ""}` },
      { model, json, face: request.face }
    )
    const plan = yield* Cache.versioned(cache, planned, gateway)
    const found = Option.getOrUndefined(yield* Cache.find(cache, plan))
    const credentials: Parameters<typeof Credentials.resolve>[0] = {
      ...step,
      gateway,
      face: isRun ? "run" : unified === undefined ? "provider" : "compat"
    }
    const destination = (sent: Step, hasKey: boolean) =>
      Destination.of(sent, { site, hasKey, custom: upstream, isUnified: unified !== undefined })
    // A simulated answer gives way once the provider itself can be asked.
    const isStale = found?.headers["x-simulated"] === "true" && destination(
          step,
          yield* Effect.provideContext(Credentials.exist(credentials), stores)
        )._tag !== "Simulated"
    const hit = isStale ? undefined : found

    // Made for each request, so these are no `Effect.fn`s, whose making costs more than their running.
    const report = (evaluation: Guardrails.Evaluation) =>
      Effect.gen(function*() {
        if (!(options.collectLog ?? Gateway.collectsLogs(gateway))) return
        const record = Guardrails.record(evaluation)
        yield* logs.append(
          LogEntries.ofEvaluation(evaluation, {
            id: yield* newId,
            gateway: gateway.id,
            createdAt: clock.currentTimeMillisUnsafe(),
            metadata: options.metadata,
            step: index,
            eventId: ids.event,
            userAgent: request.userAgent,
            size: record.length
          }),
          { request: "", response: record },
          Gateway.logCap(gateway)
        )
      })

    let isFinal = false
    let isSimulated = false
    let buckets: ReadonlyArray<Policies.Bucket> = []
    const provide = Effect.gen(function*() {
      // b
      if (!counted.request) {
        // The limit is the gateway's, so another step would be refused as well.
        yield* Effect.tapError(RateLimits.count(limits, gateway), () => Effect.sync(() => void (isFinal = true)))
      }
      counted.request = true
      // c: a request that is refused anyway is no policy's matter
      if (denied === undefined) buckets = yield* Policies.check(policies, limits, gateway.id, target)
      yield* SpendLimits.check(limits, budgets, target)
      // d: what DLP and guardrails say about the prompt
      if (denied !== undefined) return yield* Effect.fail(denied)
      // e
      const resolved = Credentials.ofRequest(credentials) ??
        (yield* Effect.provideContext(Credentials.resolve(credentials), stores))
      const headers = { ...upstream?.headers, ...resolved.headers }
      headersSent = headers
      const to = destination({ ...step, headers }, resolved.source !== "none")
      isSimulated = to._tag === "Simulated"
      // f, g; then h: what guardrails and DLP say about the answer
      // A route has retries and timeouts of its own.
      const retries = unified?.asked === "route"
        ? Retries.make({}, {})
        : Retries.make(options.retries ?? {}, gateway.settings)
      const isLastStep = index >= request.steps.length - 1
      const given = yield* inspection.around(
        {
          settings: gateway.settings,
          step,
          surface: isRun ? "run" : "provider",
          report
        },
        dispatch(
          { ...step, headers },
          to,
          request.face,
          ids.log,
          { ...retries, isLastStep },
          gateway.id,
          options.fault
        )
      )
      if (unified === undefined) return given
      return yield* Compat.answer(unified.reading, given, { id: ids.log, onUsage: (usage) => void (heard = usage) })
    })
    const answer = hit ?? (yield* Effect.catch(
      provide,
      (error) =>
        Effect.succeed(
          Answer.json(
            error.status,
            error._tag === "PolicyRefusal" ? Envelope.policyBody(error) : Envelope.gatewayBody(error)
          )
        )
    ))

    const collects = options.collectLog ?? Gateway.collectsLogs(gateway)
    const entry = hit === undefined ? Cache.entryOf(answer, plan, isSimulated) : undefined
    const contentType = answer.headers["content-type"] ?? null
    const finish = (body: Uint8Array, size: number, complete: boolean) =>
      Effect.gen(function*() {
        // i
        if (entry !== undefined && plan !== undefined && complete && size > 0 && size <= Cache.sizeLimit) {
          yield* cache.put(plan.key, { ...entry, body }, plan.ttl)
        }
        const received = decoder.decode(body)
        const usage = hit !== undefined
          ? undefined
          : heard === undefined
          ? TokenUsage.read(contentType, received)
          : usageOf(heard)
        const cost = usage !== undefined && isSuccess(answer)
          ? Costs.of({ provider: step.provider, model, usage, custom: options.customCost })
          : Costs.free
        yield* SpendLimits.book(limits, budgets, cost.cost)
        yield* Policies.book(limits, gateway.id, buckets, cost.cost)
        if (unified !== undefined) yield* unified.charge(cost.cost ?? 0)
        const now = clock.currentTimeMillisUnsafe()
        const success = complete && isSuccess(answer)
        // A cached answer took none.
        const tokensIn = usage === undefined ? 0 : usage.tokensIn
        const tokensOut = usage === undefined ? 0 : usage.tokensOut
        metrics.observe({
          provider: step.provider,
          model,
          status: answer.status,
          success,
          cached: hit !== undefined,
          tokensIn,
          tokensOut,
          cost: cost.cost,
          duration: now - started
        })
        const log: LogEntry = {
          id: ids.log,
          gateway: gateway.id,
          createdAt: started,
          provider: step.provider,
          model,
          path: step.path,
          duration: now - started,
          requestType: request.type,
          requestContentType: step.headers["content-type"] ?? null,
          responseContentType: contentType,
          statusCode: answer.status,
          success,
          cached: hit !== undefined,
          tokensIn,
          tokensOut,
          ...cost,
          metadata: options.metadata ?? null,
          step: index,
          eventId: ids.event,
          userAgent: request.userAgent ?? null,
          requestSize: step.body.length,
          responseSize: size,
          feedback: null,
          score: null
        }
        const scrub = LogEntries.scrubber({ ...step.headers, ...headersSent })
        const stored = collects && options.collectLogPayload !== false && step.body.length <= storedLimit &&
          size <= storedLimit
        const bodies = stored
          ? { request: scrub(sent), response: scrub(received) }
          : null
        if (collects) yield* logs.append(log, bodies, Gateway.logCap(gateway))
        yield* spans.push({ gateway, entry: log, bodies, options })
      })
    const headers = {
      ...answer.headers,
      ...(collects ? { "cf-aig-log-id": ids.log } : {}),
      "cf-aig-request-id": ids.request,
      "cf-aig-event-id": ids.event,
      "cf-aig-step": String(index),
      ...(plan === undefined ? {} : { "cf-aig-cache-status": hit === undefined ? "MISS" : "HIT" })
    }
    if (answer.body instanceof Uint8Array) {
      yield* finish(answer.body, answer.body.length, true)
      return { answer: { ...answer, headers }, isFinal }
    }
    const body = bodyTee.tee(
      answer.body,
      entry === undefined ? storedLimit : Cache.sizeLimit,
      bodyTee.lengthOf(answer),
      finish
    )
    return { answer: { ...answer, headers, body }, isFinal }
  })
})

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
 * A request counts once for the rate limit, however many steps it takes.
 *
 * @category models
 * @since 0.1.0
 */
export interface Counted {
  request: boolean
}

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

/**
 * @category predicates
 * @since 0.1.0
 */
export const isSuccess = (answer: Answer.Answer) => answer.status >= 200 && answer.status < 300

const modelOf = (step: Step, json: unknown): string => {
  const named = step.provider === "workers-ai" ? WorkersAi.atPath(step.path).model : undefined
  return named ?? Providers.modelOf(step.path, json)
}

const parse = (text: string): unknown => {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
