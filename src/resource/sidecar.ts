/**
 * The provider group that Alchemy's dev sidecar imports for local gateways.
 *
 * @since 0.1.0
 */
import type { ProviderLayer } from "alchemy/Local/RpcServer"
import { localProvider } from "./local.ts"

export default localProvider() satisfies ProviderLayer
