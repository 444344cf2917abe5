import * as Effect from "effect/Effect"
import * as AiGatewayClient from "../../src/AiGatewayClient.ts"
import { exercise } from "./exercise.ts"

export default {
  async fetch(_: Request, env: { readonly AI: Ai }): Promise<Response> {
    return Response.json(await Effect.runPromise(exercise((id) => AiGatewayClient.fromBinding(env.AI, id))))
  }
}
