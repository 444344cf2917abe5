/**
 * What a deployed gateway looks like to the rest of a stack, and how it is read from and written to the API.
 *
 * @since 0.1.0
 */
import type * as api from "@distilled.cloud/cloudflare/ai-gateway"
import type { SettingValue } from "./Props.ts"
import { type SettingName, settings } from "./settings.ts"

/**
 * The attributes of a deployed gateway; each is an `Output` in a stack. Intervals are in seconds, `null` is off.
 *
 * @category models
 * @since 0.1.0
 */
export interface AiGatewayAttributes {
  readonly gatewayId: string
  /** 32 hexadecimal digits. */
  readonly accountId: string
  readonly cacheTtl: number | null
  readonly cacheInvalidateOnUpdate: boolean
  readonly rateLimitingInterval: number | null
  readonly rateLimitingLimit: number | null
  readonly rateLimitingTechnique: "fixed" | "sliding"
  readonly collectLogs: boolean
  readonly logManagement: number
  readonly logManagementStrategy: "STOP_INSERTING" | "DELETE_OLDEST"
  readonly authentication: boolean
  /** ISO date-time. */
  readonly createdAt: string
  /** Base URL of the local gateway that holds it; `undefined` on Cloudflare. */
  readonly endpoint: string | undefined
}

/**
 * Reads a gateway as the API answers it: what it leaves out has its default, and 0 is off where 0 means off.
 *
 * @category conversions
 * @since 0.1.0
 */
export const fromApi = (
  gateway: api.GetAiGatewayResponse | api.CreateAiGatewayResponse | api.UpdateAiGatewayResponse | ListedGateway,
  where: { readonly accountId: string; readonly endpoint: string | undefined }
): AiGatewayAttributes => {
  const read = Object.fromEntries(
    Object.entries(settings).map(([name, setting]) => {
      const value = gateway[name as SettingName] ?? setting.serverDefault // `entries` forgets the table's keys
      return [name, value === 0 && "zeroIsOff" in setting && setting.zeroIsOff ? null : value]
    })
  ) as Pick<AiGatewayAttributes, SettingName> // the table has the API's types
  return {
    gatewayId: gateway.id,
    accountId: where.accountId,
    ...read,
    createdAt: gateway.createdAt,
    endpoint: where.endpoint
  }
}

type ListedGateway = NonNullable<api.ListAiGatewaysResponse["result"]>[number]

/**
 * Writes settings as the API takes them.
 *
 * @category conversions
 * @since 0.1.0
 */
export const toRequest = (target: { readonly [K in SettingName]: SettingValue }): RequestFields =>
  target as RequestFields // the table has the API's types, and its names are those of the generated client

type RequestFields =
  & Pick<
    api.CreateAiGatewayRequest,
    "cacheTtl" | "cacheInvalidateOnUpdate" | "rateLimitingInterval" | "rateLimitingLimit" | "collectLogs"
  >
  & Pick<
    Required<api.CreateAiGatewayRequest>,
    "rateLimitingTechnique" | "logManagement" | "logManagementStrategy" | "authentication"
  >
