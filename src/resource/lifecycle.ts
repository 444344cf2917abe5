/**
 * How a declaration becomes a gateway: the one lifecycle, live on Cloudflare and locally on the local gateway.
 *
 * It talks to the management API through Alchemy's generated client; which account and which server that is, the
 * ambient `Credentials` and `CloudflareEnvironment` say.
 *
 * @since 0.1.0
 */
import * as api from "@distilled.cloud/cloudflare/ai-gateway"
import { Unowned } from "alchemy/AdoptPolicy"
import { CloudflareEnvironment } from "alchemy/Cloudflare"
import { isResolved } from "alchemy/Diff"
import { createPhysicalName } from "alchemy/PhysicalName"
import type * as Provider from "alchemy/Provider"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import type { AiGateway } from "../AiGateway.ts"
import type { AiGatewayAttributes } from "./Attributes.ts"
import { fromApi, toRequest } from "./Attributes.ts"
import * as Props from "./Props.ts"
import { type SettingName, settings } from "./settings.ts"

/**
 * Where the lifecycle runs.
 *
 * @category models
 * @since 0.1.0
 */
export interface LifecycleOptions {
  /** Base URL of the local gateway, given out as the `endpoint` attribute; `undefined` on Cloudflare. */
  readonly endpoint: string | undefined
  /** Whether a gateway that exists but that no state knows is taken over without being asked to. */
  readonly adopt: boolean
}

/**
 * The provider of the `AiGateway` resource.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = ({ adopt, endpoint }: LifecycleOptions) => {
  const get = Effect.fnUntraced(function*(accountId: string, gatewayId: string) {
    const gateway = yield* api.getAiGateway({ accountId, id: gatewayId }).pipe(
      Effect.catchTag("GatewayNotFound", () => Effect.succeed(undefined))
    )
    return gateway === undefined ? undefined : fromApi(gateway, { accountId, endpoint })
  })

  return {
    stables: ["gatewayId", "accountId", "createdAt"],

    diff: Effect.fn("AiGateway.diff")(function*({ id, news, olds, output }) {
      if (!isResolved(news)) return undefined
      const declared = yield* Props.decode(id, news)
      if (output === undefined) return undefined
      const { accountId } = yield* yield* CloudflareEnvironment
      // A generated id belongs to the engine: it stays, even if the generator would name it differently today.
      if (output.accountId !== accountId || (declared.id !== undefined && declared.id !== output.gatewayId)) {
        return { action: "replace" }
      }
      const target = targetOf(declared, yield* Props.decode(id, olds), output)
      return changes(target, output).length > 0 || output.endpoint !== endpoint
        ? { action: "update" }
        : { action: "noop" }
    }),

    read: Effect.fn("AiGateway.read")(function*({ id, olds, output }) {
      if (output !== undefined) return yield* get(output.accountId, output.gatewayId)
      const declared = yield* Props.decode(id, olds)
      const { accountId } = yield* yield* CloudflareEnvironment
      const found = yield* get(accountId, yield* gatewayIdOf(id, declared))
      // A gateway has no tags that could tell who made it: one that this state does not know is somebody else's.
      return found === undefined || adopt ? found : Unowned(found)
    }),

    reconcile: Effect.fn("AiGateway.reconcile")(function*({ id, news, olds, output }) {
      const declared = yield* Props.decode(id, news)
      const environment = yield* yield* CloudflareEnvironment
      const accountId = output?.accountId ?? environment.accountId
      const gatewayId = output?.gatewayId ?? (yield* gatewayIdOf(id, declared))
      const observed = (yield* get(accountId, gatewayId)) ??
        (yield* api.createAiGateway({
          accountId,
          id: gatewayId,
          ...toRequest(targetOf(declared, undefined, undefined))
        }).pipe(
          Effect.map((gateway) => fromApi(gateway, { accountId, endpoint })),
          // A create that answered 504 has often taken effect, and another run of this deploy may have been first.
          Effect.catchTag("GatewayAlreadyExists", () =>
            Effect.map(
              api.getAiGateway({ accountId, id: gatewayId }),
              (gateway) => fromApi(gateway, { accountId, endpoint })
            ))
        ))
      const target = targetOf(declared, olds === undefined ? undefined : yield* Props.decode(id, olds), observed)
      if (changes(target, observed).length === 0) return observed
      // PUT replaces the whole gateway, so everything that is not declared goes back as it was read.
      const current = yield* api.getAiGateway({ accountId, id: gatewayId })
      const updated = yield* api.updateAiGateway({
        accountId,
        id: gatewayId,
        ...undeclared(current),
        ...toRequest(target)
      })
      return fromApi(updated, { accountId, endpoint })
    }),

    delete: Effect.fn("AiGateway.delete")(function*({ output }) {
      yield* api.deleteAiGateway({ accountId: output.accountId, id: output.gatewayId }).pipe(
        Effect.catchTag("GatewayNotFound", () => Effect.void)
      )
    }),

    list: Effect.fn("AiGateway.list")(function*() {
      const { accountId } = yield* yield* CloudflareEnvironment
      const pages = yield* Stream.runCollect(api.listAiGateways.pages({ accountId }))
      return pages.flatMap((page) => (page.result ?? []).map((gateway) => fromApi(gateway, { accountId, endpoint })))
    })
  } satisfies Provider.ProviderServiceInput<
    AiGateway,
    unknown,
    unknown,
    unknown,
    unknown,
    unknown,
    unknown,
    unknown,
    unknown
  >
}

const gatewayIdOf = (id: string, declared: Props.Declaration) =>
  declared.id === undefined
    ? createPhysicalName({ id, maxLength: 64, lowercase: true })
    : Effect.succeed(declared.id)

const names = Object.keys(settings) as ReadonlyArray<SettingName> // `keys` forgets the table's own keys

const defaultOf = (name: SettingName): Props.SettingValue => {
  const setting = settings[name]
  return "zeroIsOff" in setting && setting.zeroIsOff ? null : setting.serverDefault
}

/**
 * What every setting is to be: as declared; else, when it was declared before or the gateway is new, the default; else
 * as the gateway has it.
 */
const targetOf = (
  declared: Props.Declaration,
  before: Props.Declaration | undefined,
  observed: AiGatewayAttributes | undefined
): { readonly [K in SettingName]: Props.SettingValue } =>
  Object.fromEntries(names.map((name) => [
    name,
    declared.settings[name] !== undefined
      ? declared.settings[name]
      : observed === undefined || before?.settings[name] !== undefined
      ? defaultOf(name)
      : observed[name]
  ])) as { readonly [K in SettingName]: Props.SettingValue } // one entry per name

const changes = (target: { readonly [K in SettingName]: Props.SettingValue }, observed: AiGatewayAttributes) =>
  names.filter((name) => target[name] !== observed[name])

/** The fields of a gateway that no prop declares, in the form that an update takes. */
const undeclared = (gateway: api.GetAiGatewayResponse) => {
  const { createdAt: _, id: __, isDefault: ___, modifiedAt: ____, ...fields } = gateway
  // The same fields as the request has, which takes an absent one where the answer says null.
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== null)) as Partial<
    api.UpdateAiGatewayRequest
  >
}
