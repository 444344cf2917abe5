/**
 * Alchemy's own group of local Cloudflare providers, for a dev sidecar without an account.
 *
 * The group reads an account from the environment although nothing local calls Cloudflare; this module names one that
 * does not exist, then passes the group on.
 *
 * @since 0.1.0
 */
import { moduleExtension } from "alchemy/Util/Node"
import { noAccount } from "./noAccount.ts"

for (const [name, value] of Object.entries(noAccount)) process.env[name] ??= value

const root = import.meta.resolve("alchemy")
const group = await import(new URL(`./Cloudflare/Local${moduleExtension(root)}`, root).href)

export default group.default
