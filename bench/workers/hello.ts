import * as Cloudflare from "alchemy/Cloudflare"
import * as Effect from "effect/Effect"
import * as HttpServerResponse from "effect/unstable/http/HttpServerResponse"

export default class Hello extends Cloudflare.Worker<Hello>()(
  "Hello",
  { main: import.meta.url },
  Effect.succeed({ fetch: Effect.succeed(HttpServerResponse.text("Hello")) })
) {}
