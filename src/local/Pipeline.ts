/**
 * The way of a request through a gateway: its steps are tried in order, the first success answers, each is logged.
 *
 * What happens in one step is in `Attempt`.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Crypto from "effect/Crypto"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import * as Access from "./Access.ts"
import * as Answer from "./Answer.ts"
import * as Attempt from "./Attempt.ts"
import type { CacheStore } from "./CacheStore.ts"
import * as Unified from "./compat/Unified.ts"
import * as Envelope from "./Envelope.ts"
import * as Gateway from "./Gateway.ts"
import type { GatewayRequest, Step } from "./GatewayRequest.ts"
import { GatewayStore } from "./GatewayStore.ts"
import type { LogStore } from "./LogStore.ts"
import type { Metrics } from "./Metrics.ts"
import type { ObjectStore } from "./ObjectStore.ts"
import type { PolicyStore } from "./policies/PolicyStore.ts"
import type { RateLimitStore } from "./RateLimitStore.ts"
import * as RequestOptions from "./RequestOptions.ts"
import type { RouteStore } from "./RouteStore.ts"
import type { Sealing } from "./Sealing.ts"
import type * as Settlement from "./Settlement.ts"
import { Site } from "./Site.ts"
import * as turn from "./turn.ts"
import type { UpstreamClient } from "./UpstreamClient.ts"
import * as WorkersAi from "./WorkersAi.ts"

/**
 * @category services
 * @since 0.1.0
 */
export class Pipeline extends Context.Service<Pipeline, {
  /**
   * The gateway of this id, when the caller may use it; the first authenticated caller creates `default`.
   *
   * Fails with 2001 or 2009.
   */
  readonly admit: (options: {
    readonly account: string
    readonly gateway: string
    readonly authenticated: boolean
  }) => Effect.Effect<Gateway.Gateway, Envelope.AiGatewayError>
  /**
   * The answer, with the gateway's headers on it. What it leaves to do is done when the scope closes, and the answer sent;
   * where several processes are one gateway it is done before.
   */
  readonly send: (request: GatewayRequest) => Effect.Effect<Answer.Answer, never, Scope.Scope>
  /** Runs a model of Workers AI outside any gateway: nothing is logged. */
  readonly runModel: (run: Omit<WorkersAi.Run, "requestId" | "pause">) => Effect.Effect<Answer.Answer>
}>()("effect-ai-gateway/local/Pipeline") {}

/**
 * @category layers
 * @since 0.1.0
 */
export const layer: Layer.Layer<
  Pipeline,
  never,
  | Site
  | GatewayStore
  | LogStore
  | CacheStore
  | RateLimitStore
  | ObjectStore
  | PolicyStore
  | RouteStore
  | Sealing
  | Crypto.Crypto
  | UpstreamClient
  | Metrics
> = Layer.effect(
  Pipeline,
  Effect.gen(function*() {
    const site = yield* Site
    const gateways = yield* GatewayStore
    const stores = yield* Effect.context<ObjectStore | RouteStore | Sealing | RateLimitStore>()
    const crypto = yield* Crypto.Crypto
    const newId = Effect.orDie(crypto.randomUUIDv7)
    const attempt = yield* Attempt.make

    const ask = Effect.fnUntraced(
      function*(request: GatewayRequest, index: number, ids: Settlement.Ids, counted: Attempt.Counted) {
        const given = request.steps[index] ?? request.steps[0]
        // SDKs with one key send the gateway's token where the provider's key goes; it must not travel on.
        const step: Step = { ...given, headers: Access.withoutToken(given.headers, site.isToken) }
        if (step.provider !== "compat") return yield* attempt(request, step, index, ids, counted)
        const metadata = RequestOptions.over(RequestOptions.fromHeaders(step.headers), request.options).metadata ?? {}
        let isFinal = false
        let asked = 0
        return yield* Unified.serve({
          gateway: request.gateway.id,
          step,
          metadata,
          ask: Effect.fnUntraced(function*(unified) {
            const log = asked++ === 0 ? ids.log : yield* newId
            const result = yield* attempt(request, unified, index, { ...ids, log }, counted)
            // The next model of a route meets what this one has spent.
            yield* result.settled
            isFinal = result.isFinal
            return result.answer
          })
        }).pipe(
          Effect.map(({ answer }) => ({ answer, isFinal, settled: Effect.void })),
          Effect.provideContext(stores),
          // What no provider was asked, or no model of a route has answered, has a log entry of its own.
          Effect.catch((error) =>
            Effect.flatMap(
              asked === 0 ? Effect.succeed(ids.log) : newId,
              (log) => attempt(request, { ...step, provider: "unknown" }, index, { ...ids, log }, counted, error)
            )
          )
        )
      }
    )

    return Pipeline.of({
      admit: Effect.fnUntraced(function*({ account, authenticated, gateway }) {
        if (account !== site.accountId) return yield* Effect.fail(Envelope.gatewayMissing())
        const found = yield* gateways.get(gateway)
        if (Option.isNone(found)) {
          if (gateway !== "default" || !authenticated) return yield* Effect.fail(Envelope.gatewayMissing())
          yield* gateways.create(gateway, Gateway.defaultSettings)
          return yield* Effect.flatMap(
            gateways.get(gateway),
            Option.match({
              onNone: () => Effect.fail(Envelope.gatewayMissing()),
              onSome: Effect.succeed
            })
          )
        }
        if (Gateway.authenticated(found.value) && !authenticated) return yield* Effect.fail(Envelope.unauthorized())
        return found.value
      }),
      send: Effect.fnUntraced(function*(request) {
        const first = yield* newId
        const event = request.options.eventId ??
          RequestOptions.eventIdOf(request.steps[0].headers) ?? first
        const counted: Attempt.Counted = { request: false }
        for (let index = 0;; index++) {
          const log = index === 0 ? first : yield* newId
          const { answer, isFinal, settled } = yield* ask(request, index, { log, request: first, event }, counted)
          if (isFinal || Answer.isSuccess(answer) || index >= request.steps.length - 1) {
            if (site.isShared) yield* settled
            else yield* Scope.addFinalizer(yield* Effect.scope, Effect.andThen(turn.afterwards, settled))
            return answer
          }
          yield* settled
          // The refusal is read to its end, so that its log entry is whole and its connection free; one without an end is cut.
          yield* Effect.ignore(Effect.timeout(Answer.drain(answer), "5 seconds"))
        }
      }),
      runModel: Effect.fnUntraced(function*(run) {
        return yield* WorkersAi.run({ ...run, requestId: yield* newId, pause: site.pause })
      })
    })
  })
)
