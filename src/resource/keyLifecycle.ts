/**
 * How a declared provider key becomes one that the gateway sends: a secret in its store, and a config that names it.
 *
 * Cloudflare wants the secret in the gateway's store, with the scope `ai_gateway`, called
 * `{gateway}_{provider}_{alias}`, and has no update of a config (the wire reference, 3.3 and 7.6). A new key is
 * written into the secret, so that no request finds none.
 *
 * @since 0.1.0
 */
import * as api from "@distilled.cloud/cloudflare/ai-gateway"
import * as secrets from "@distilled.cloud/cloudflare/secrets-store"
import { AdoptPolicy, Unowned } from "alchemy/AdoptPolicy"
import { CloudflareEnvironment } from "alchemy/Cloudflare"
import { isResolved } from "alchemy/Diff"
import type * as Provider from "alchemy/Provider"
import { UserFacingError } from "alchemy/UserFacingError"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import { ManagementError } from "./ManagementError.ts"
import type { DeclaredKey, ProviderKey, ProviderKeyAttributes } from "./ProviderKey.ts"
import { reveal } from "./sealed.ts"
import * as SecretDigest from "./secretDigest.ts"
import { timely } from "./timely.ts"

/**
 * The gateway cannot keep keys.
 *
 * @category errors
 * @since 0.1.0
 */
export class GatewayWithoutStore
  extends Schema.TaggedError<GatewayWithoutStore>("effect-ai-gateway/GatewayWithoutStore")("GatewayWithoutStore", {
    gatewayId: Schema.String
  })
{
  readonly [UserFacingError] = true as const
  override get message(): string {
    return `The gateway "${this.gatewayId}" has no Secrets Store to keep provider keys in: set its storeId, for ` +
      "example to that of Cloudflare.SecretsStore.Store."
  }
}

/**
 * The secret that a key would be written to is there, and this stack did not make it.
 *
 * @category errors
 * @since 0.1.0
 */
export class SecretTaken extends Schema.TaggedError<SecretTaken>("effect-ai-gateway/SecretTaken")("SecretTaken", {
  secret: Schema.String
}) {
  readonly [UserFacingError] = true as const
  override get message(): string {
    return `The Secrets Store has a secret "${this.secret}" already, and this stack did not make it. Deploy with --adopt ` +
      "to take it over, or choose another alias."
  }
}

/**
 * The provider of the `ProviderKey` resource.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = ({ adopt }: { readonly adopt: boolean }) => {
  const configOf = (accountId: string, gatewayId: string, { alias, provider }: Named) =>
    api.listProviderConfigs.items({ accountId, gatewayId, perPage: 50 }).pipe(
      Stream.filter((config) => config.alias === alias && config.providerSlug === provider),
      Stream.runHead,
      Effect.map(Option.getOrUndefined)
    )

  const removeConfig = (accountId: string, gatewayId: string, id: string) =>
    api.deleteProviderConfig({ accountId, gatewayId, id }).pipe(
      Effect.catchTag("ProviderConfigNotFound", () => Effect.void)
    )

  const secretOf = (accountId: string, storeId: string, name: string) =>
    secrets.listStoreSecrets.items({ accountId, storeId, perPage: 100 }).pipe(
      Stream.filter((secret) => secret.name === name),
      Stream.runHead,
      Effect.map(Option.getOrUndefined),
      Effect.catchTag("StoreNotFound", () => Effect.undefined)
    )

  const storeOf = Effect.fnUntraced(function*(accountId: string, gatewayId: string) {
    const { storeId } = yield* api.getAiGateway({ accountId, id: gatewayId }).pipe(soon)
    return storeId === undefined || storeId === null || storeId === ""
      ? yield* new GatewayWithoutStore({ gatewayId })
      : storeId
  })

  /** Writes the key into the store, unless it is there already. */
  const keep = Effect.fnUntraced(function*(
    where: { readonly accountId: string; readonly storeId: string },
    name: string,
    { comment, isSame, mayTake, value }: Kept
  ) {
    const known = yield* secretOf(where.accountId, where.storeId, name)
    if (known !== undefined && !mayTake && known.comment !== comment) return yield* new SecretTaken({ secret: name })
    // Without the key, the one that is there is the best there is; the next deploy, which has the key, compares.
    if (known !== undefined && (isSame || value === undefined)) return known.id
    if (value === undefined) {
      return yield* new ManagementError({
        operation: `write the secret "${name}"`,
        reason: "SecretUnknown",
        messages: []
      })
    }
    if (known !== undefined) {
      // Others may use the same secret for more.
      const scopes = known.scopes?.includes(scope) === true ? undefined : [...known.scopes ?? [], scope]
      yield* secrets.patchStoreSecret({
        ...where,
        secretId: known.id,
        value,
        ...(scopes === undefined ? {} : { scopes })
      }).pipe(Effect.mapError(withoutKey(name, value)))
      return known.id
    }
    const created = yield* secrets.createStoreSecret({
      ...where,
      body: [{ name, scopes: [scope], value, comment }]
    }).pipe(
      Effect.map(({ result }) => result[0]),
      // A create that was repeated had taken effect.
      Effect.catchTag("SecretNameAlreadyExists", () => secretOf(where.accountId, where.storeId, name)),
      Effect.mapError(withoutKey(name, value))
    )
    return created?.id ?? (yield* Effect.die(new Error(`The Secrets Store has no secret ${name} after its creation`)))
  })

  const forget = (where: { readonly accountId: string; readonly storeId: string; readonly secretId: string }) =>
    secrets.deleteStoreSecret(where).pipe(
      Effect.catchTags({
        SecretNotFound: () => Effect.void,
        StoreNotFound: () => Effect.void,
        NotFound: () => Effect.void
      })
    )

  return {
    stables: ["accountId", "gatewayId", "provider", "alias"],

    diff: Effect.fn("ProviderKey.diff")(function*({ news, output }) {
      if (!isResolved(news) || output === undefined) return undefined
      const { accountId } = yield* yield* CloudflareEnvironment
      if (
        output.accountId !== accountId || output.gatewayId !== news.gatewayId || output.provider !== news.provider ||
        output.alias !== news.alias
      ) return { action: "replace" }
      const sameStore = news.storeId === undefined || news.storeId === null || news.storeId === output.storeId
      return sameStore && sameLimits(news, output) && (yield* digestOf(news, output.digest)).same
        ? { action: "noop" }
        : { action: "update" }
    }),

    read: Effect.fn("ProviderKey.read")(function*({ olds, output }) {
      const { accountId } = yield* yield* CloudflareEnvironment
      const where = output ?? { ...olds, accountId }
      const config = yield* configOf(where.accountId, where.gatewayId, where)
      if (config === undefined) return undefined
      const found = {
        ...limits(config),
        configId: config.id,
        secretId: config.secretId,
        storeId: output?.storeId ?? (yield* storeOf(where.accountId, where.gatewayId)),
        accountId: where.accountId,
        gatewayId: where.gatewayId,
        provider: where.provider,
        alias: where.alias,
        // Nobody can read a key, so that of somebody else counts as another one.
        digest: output?.digest ?? unknownDigest
      }
      return output !== undefined || adopt ? found : Unowned(found)
    }, timely),

    reconcile: Effect.fn("ProviderKey.reconcile")(function*({ instanceId, news, output }) {
      const environment = yield* yield* CloudflareEnvironment
      const accountId = output?.accountId ?? environment.accountId
      const { alias, gatewayId, provider } = news
      const storeId = yield* storeOf(accountId, gatewayId)
      // That the gateway is replaced was not known when this was planned, or it has another store now.
      const moved = output !== undefined && (output.gatewayId !== gatewayId || output.storeId !== storeId)
      const { digest, same, value } = yield* digestOf(news, output?.digest)
      const secretId = yield* keep(
        { accountId, storeId },
        `${gatewayId}_${provider}_${alias}`,
        {
          value,
          isSame: same && !moved,
          mayTake: adopt || (output !== undefined && !moved) ||
            Option.getOrElse(yield* Effect.serviceOption(AdoptPolicy), () => false),
          comment: `effect-ai-gateway ${instanceId}`
        }
      )
      const create = Effect.gen(function*() {
        const known = yield* configOf(accountId, gatewayId, news)
        if (known !== undefined) {
          if (known.secretId === secretId && sameLimits(news, limits(known))) return known
          yield* removeConfig(accountId, gatewayId, known.id)
        }
        return yield* api.createProviderConfig({
          accountId,
          gatewayId,
          alias,
          providerSlug: provider,
          secretId,
          defaultConfig: news.isDefault,
          ...(news.rateLimit === null ? {} : { rateLimit: news.rateLimit, rateLimitPeriod: news.rateLimitPeriod })
        })
      })
      const config = yield* create.pipe(
        // A new secret takes a while to be seen, and so does a config that another run made.
        Effect.retry({
          while: (error) =>
            error._tag === "ProviderConfigSecretNotFound" || error._tag === "ProviderConfigAlreadyExists",
          schedule: Schedule.spaced("2 seconds"),
          times: 15
        })
      )
      if (moved) {
        if (output.gatewayId !== gatewayId) yield* removeConfig(output.accountId, output.gatewayId, output.configId)
        yield* forget(output)
      }
      return {
        ...limits(config),
        configId: config.id,
        secretId,
        storeId,
        accountId,
        gatewayId,
        provider,
        alias,
        digest
      }
    }, timely),

    delete: Effect.fn("ProviderKey.delete")(function*({ output }) {
      const { accountId, configId, gatewayId, secretId, storeId } = output
      yield* removeConfig(accountId, gatewayId, configId)
      yield* forget({ accountId, storeId, secretId })
    }, timely),

    list: Effect.fn("ProviderKey.list")(function*() {
      const { accountId } = yield* yield* CloudflareEnvironment
      return yield* api.listAiGateways.items({ accountId }).pipe(
        Stream.flatMap((gateway) =>
          api.listProviderConfigs.items({ accountId, gatewayId: gateway.id, perPage: 50 }).pipe(
            Stream.map((config): ProviderKeyAttributes => ({
              ...limits(config),
              configId: config.id,
              secretId: config.secretId,
              storeId: gateway.storeId ?? "",
              accountId,
              gatewayId: gateway.id,
              provider: config.providerSlug,
              alias: config.alias,
              digest: unknownDigest
            }))
          )
        ),
        Stream.runCollect
      )
    }, timely)
  } satisfies Provider.ProviderServiceInput<
    ProviderKey,
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

interface Kept {
  readonly value: string | undefined
  /** Whether the secret has this value already. */
  readonly isSame: boolean
  /** Whether a secret of somebody else is taken over. */
  readonly mayTake: boolean
  /** Tells that this very resource made a secret, also when its create failed later. */
  readonly comment: string
}

const scope = "ai_gateway"

/** A gateway that was made a moment ago is not seen everywhere at once. */
const soon = <A, E extends { readonly _tag: string }, R>(self: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.retry(self, {
    while: (error) => error._tag === "GatewayNotFound",
    schedule: Schedule.spaced("1 second"),
    times: 5
  })

/** The API may repeat what it was sent. */
const withoutKey =
  (name: string, key: string) =>
  <E extends { readonly message: string; readonly code?: unknown }>(error: E): E | ManagementError =>
    JSON.stringify([error.message, error]).includes(JSON.stringify(key).slice(1, -1))
      ? new ManagementError({
        operation: `write the secret "${name}"`,
        reason: "Unknown",
        messages: [{
          code: typeof error.code === "number" ? error.code : 0,
          message: error.message.replaceAll(key, "<redacted>")
        }]
      })
      : error

type Named = Pick<DeclaredKey, "alias" | "provider">

type Limits = Pick<DeclaredKey, "isDefault" | "rateLimit" | "rateLimitPeriod">

const limits = (config: {
  readonly defaultConfig: unknown
  readonly rateLimit?: number | null
  readonly rateLimitPeriod?: number | null
}): Limits => ({
  // Cloudflare answers 0 and 1.
  isDefault: Boolean(config.defaultConfig),
  rateLimit: config.rateLimit ?? null,
  rateLimitPeriod: config.rateLimitPeriod ?? 60
})

/** A period means nothing without a limit. */
const sameLimits = (a: Limits, b: Limits): boolean =>
  a.isDefault === b.isDefault && a.rateLimit === b.rateLimit &&
  (a.rateLimit === null || a.rateLimitPeriod === b.rateLimitPeriod)

/** What a state gives back has no key: only a deploy has it, and `alchemy drift --repair` must do without. */
const digestOf = Effect.fnUntraced(function*(
  { key }: DeclaredKey,
  before: SecretDigest.SecretDigests | undefined
) {
  const value = yield* reveal(key)
  const known = before === undefined || before.key === "" ? undefined : before
  if (value === undefined) return { value, digest: known ?? unknownDigest, same: known !== undefined }
  const digest = yield* SecretDigest.make({ key: value }, known)
  return { value, digest, same: known !== undefined && known.digests["key"] === digest.digests["key"] }
})

/** Of a key that nobody knows: any key is another one. */
const unknownDigest: SecretDigest.SecretDigests = { key: "", digests: {} }
