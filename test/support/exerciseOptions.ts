/**
 * Every request option once, as the same program in Node and inside workerd: what leaves is for a tap to record.
 */
import * as Effect from "effect/Effect"
import type * as AiGatewayClient from "../../src/AiGatewayClient.ts"
import * as RequestOptions from "../../src/client/RequestOptions.ts"
import type { Step } from "../../src/client/Transport.ts"
import { only, wires } from "./optionWires.ts"

const workersAi: Step = { provider: "workers-ai", endpoint: "@cf/meta/llama-3.1-8b-instruct", query: { prompt: "hi" } }
const openai: Step = { provider: "openai", endpoint: "chat/completions", query: { model: "gpt-4o-mini", messages: [] } }

/** One request of Workers AI and one of another provider for each option, in the order of the table. */
export const exerciseOptions = (client: AiGatewayClient.AiGatewayClient) =>
  Effect.forEach(Object.entries(wires), ([name, [value]]) =>
    Effect.gen(function*() {
      const options = RequestOptions.withOptions(only(name, value))
      const answer = yield* client.run(workersAi).pipe(options)
      // The provider is not there; what leaves the client is what counts.
      const refused = yield* client.run(openai).pipe(options, Effect.flip)
      return { name, eventId: answer.info.eventId, logId: answer.info.logId, code: refused.code }
    }))
