/**
 * The account that nobody has, for parts of Alchemy that want to read one before anything is done.
 *
 * @since 0.1.0
 */

/** Also the default account of the local gateway. */
export const noAccountId = "0".repeat(32)

export const noAccount = { CLOUDFLARE_ACCOUNT_ID: noAccountId, CLOUDFLARE_API_TOKEN: "no-account" } as const
