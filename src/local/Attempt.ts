/**
 * One step of a request through a gateway: from the cache, or past limits and inspection to its provider; then counted,
 * priced and logged.
 *
 * Order of processing: the wire reference, section 12.1, whose letters are at their places here.
 *
 * @since 0.1.0
 */
import type * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Crypto from "effect/Crypto"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import * as Answer from "./Answer.ts"
import * as bodyTee from "./bodyTee.ts"
import * as Cache from "./Cache.ts"
import { CacheStore } from "./CacheStore.ts"
import * as Compat from "./compat/Compat.ts"
import type * as Unified from "./compat/Unified.ts"
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
import { LogStore } from "./LogStore.ts"
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
import * as Settlement from "./Settlement.ts"
import * as SimulatedProviders from "./SimulatedProviders.ts"
import { Site } from "./Site.ts"
import * as SpendLimits from "./SpendLimits.ts"
import * as Upstream from "./Upstream.ts"
import { UpstreamClient } from "./UpstreamClient.ts"
import * as WorkersAi from "./WorkersAi.ts"

/**
 * A function that does one step; its answer has the gateway's headers, and says whether another step would be in vain.
 *
 * What is left to do for an answer that is there as a whole is `settled`, for its caller to run; a stream does it at its
 * end. Nothing of it fails the request: what goes wrong is said in the gateway's log.
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
  const crypto = yield* Crypto.Crypto
  const inspection = yield* Inspection.Current
  const recording = yield* Recording.Current
  const faults = yield* Faults.Current
  const requests = yield* RequestLog.Current
  const settle = yield* Settlement.make
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

  const report = Effect.fnUntraced(function*(doing: Doing, evaluation: Guardrails.Evaluation) {
    const { clock, ids, index, options, request } = doing
    const { gateway } = request
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

  const destinationOf = ({ unified, upstream }: Doing, sent: Step, hasKey: boolean) =>
    Destination.of(sent, { site, hasKey, custom: upstream, isUnified: unified !== undefined })

  const provide = Effect.fnUntraced(function*(doing: Doing) {
    const { budgets, counted, credentials, denied, ids, index, options, request, step, target, unified, upstream } =
      doing
    const { gateway } = request
    // b
    if (!counted.request) {
      // The limit is the gateway's, so another step would be refused as well.
      yield* Effect.tapError(RateLimits.count(limits, gateway), () => Effect.sync(() => void (doing.isFinal = true)))
    }
    counted.request = true
    // c: a request that is refused anyway is no policy's matter
    if (denied === undefined) doing.buckets = yield* Policies.check(policies, limits, gateway.id, target)
    yield* SpendLimits.check(limits, budgets, target)
    // d: what DLP and guardrails say about the prompt
    if (denied !== undefined) return yield* Effect.fail(denied)
    // e
    const resolved = Credentials.ofRequest(credentials) ??
      (yield* Effect.provideContext(Credentials.resolve(credentials), stores))
    const headers = upstream === undefined ? resolved.headers : { ...upstream.headers, ...resolved.headers }
    doing.headersSent = headers
    const to = destinationOf(doing, { ...step, headers }, resolved.source !== "none")
    doing.isSimulated = to._tag === "Simulated"
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
        surface: credentials.face === "run" ? "run" : "provider",
        report: (evaluation) => report(doing, evaluation)
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
    return yield* Compat.answer(unified.reading, given, { id: ids.log, onUsage: (usage) => void (doing.heard = usage) })
  })

  /** `refused`: the answer of a step for which there is no provider to ask. */
  return Effect.fnUntraced(function*(
    request: GatewayRequest,
    step: Step | Unified.UnifiedStep,
    index: number,
    ids: Settlement.Ids,
    counted: Counted,
    refused?: Envelope.AiGatewayError
  ) {
    const { gateway } = request
    const unified = "reading" in step ? step : undefined
    const options = RequestOptions.over(RequestOptions.fromHeaders(step.headers), request.options)
    const clock = yield* Clock.Clock
    const sent = decoder.decode(step.body)
    const json = parse(sent)
    const model = modelOf(step, json)
    const target = { provider: step.provider, model, metadata: options.metadata }
    const isRun = request.type === "Workers AI Binding" || request.type === "REST API"
    const custom = step.provider.startsWith("custom-")
      ? yield* Effect.result(
        Effect.provideContext(CustomUpstream.find(step.provider, site.allowPrivateUpstreams), stores)
      )
      : undefined
    const doing: Doing = {
      request,
      step,
      unified,
      index,
      ids,
      counted,
      options,
      clock,
      started: clock.currentTimeMillisUnsafe(),
      sent,
      target,
      budgets: SpendLimits.budgets(gateway, target),
      upstream: custom === undefined || Result.isFailure(custom) ? undefined : custom.success,
      denied: custom !== undefined && Result.isFailure(custom) ? custom.failure : refused,
      credentials: { ...step, gateway, face: isRun ? "run" : unified === undefined ? "provider" : "compat" },
      headersSent: step.headers,
      heard: undefined,
      buckets: [],
      isFinal: false,
      isSimulated: false
    }

    // a
    // What a provider has answered that is off now stays where it is.
    const planned = doing.denied !== undefined ? undefined : Cache.plan(
      gateway,
      options.cache ?? {},
      // The unified endpoint's answer is in another format than the provider's own, and a custom provider may move.
      { ...step, provider: `${unified === undefined ? "" : "compat/"}${step.provider}${doing.upstream?.base ?? ""}` },
      { model, json, face: request.face }
    )
    const plan = yield* Cache.versioned(cache, planned, gateway)
    const found = Option.getOrUndefined(yield* Cache.find(cache, plan))
    // A simulated answer gives way once the provider itself can be asked.
    const isStale = found?.headers["x-simulated"] === "true" && destinationOf(
          doing,
          step,
          yield* Effect.provideContext(Credentials.exist(doing.credentials), stores)
        )._tag !== "Simulated"
    const hit = isStale ? undefined : found
    const answer = hit ?? (yield* Effect.catch(
      provide(doing),
      (error) =>
        Effect.succeed(
          Answer.json(
            error.status,
            error._tag === "PolicyRefusal" ? Envelope.policyBody(error) : Envelope.gatewayBody(error)
          )
        )
    ))

    const collects = options.collectLog ?? Gateway.collectsLogs(gateway)
    const answered: Settlement.Answered = {
      answer,
      plan,
      entry: hit === undefined ? Cache.entryOf(answer, plan, doing.isSimulated) : undefined,
      isHit: hit !== undefined,
      collects
    }
    const headers = {
      ...answer.headers,
      ...(collects ? { "cf-aig-log-id": ids.log } : {}),
      "cf-aig-request-id": ids.request,
      "cf-aig-event-id": ids.event,
      "cf-aig-step": String(index),
      ...(plan === undefined ? {} : { "cf-aig-cache-status": hit === undefined ? "MISS" : "HIT" })
    }
    const { isFinal } = doing
    if (answer.body instanceof Uint8Array) {
      const settled = settle(doing, answered, answer.body, answer.body.length, true)
      return { answer: { ...answer, headers }, isFinal, settled: Effect.catchCause(settled, unsettled) }
    }
    const body = bodyTee.tee(
      answer.body,
      answered.entry === undefined ? Settlement.storedLimit : Cache.sizeLimit,
      bodyTee.lengthOf(answer),
      (body, size, complete) => Effect.catchCause(settle(doing, answered, body, size, complete), unsettled)
    )
    return { answer: { ...answer, headers, body }, isFinal, settled: Effect.void }
  })
})

const unsettled = (cause: Cause.Cause<never>) =>
  Effect.logError("The local gateway could not keep, count or log a request that it answered", cause)

/** What is known of a step while it is done. */
interface Doing extends Settlement.Done {
  readonly counted: Counted
  readonly upstream: CustomUpstream.CustomUpstream | undefined
  readonly denied: Envelope.AiGatewayError | undefined
  readonly credentials: Parameters<typeof Credentials.resolve>[0]
  /** Whether another step would be in vain. */
  isFinal: boolean
  isSimulated: boolean
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
