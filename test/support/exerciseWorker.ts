/**
 * The Worker in which the client's contracts run: over the genuine `env.AI` of workerd.
 */
import * as Effect from "effect/Effect"
import * as AiGatewayClient from "../../src/AiGatewayClient.ts"
import { askProvider } from "./askProvider.ts"
import { exercise } from "./exercise.ts"

export default {
  async fetch(request: Request, env: { readonly AI: Ai }): Promise<Response> {
    const provider = new URL(request.url).searchParams.get("provider")
    return Response.json(
      provider === null
        ? await Effect.runPromise(exercise((id) => AiGatewayClient.fromBinding(env.AI, id)))
        : await Effect.runPromise(askProvider(AiGatewayClient.fromBinding(env.AI, "contract"), provider))
    )
  }
}
