/**
 * The providers that the built-in model stands in for, each by its own wire.
 *
 * An answer has the header `x-simulated: true` and, but for the times in it, is always the same for the same request.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { createHash } from "node:crypto"
import type * as Answer from "./Answer.ts"
import type { Step } from "./GatewayRequest.ts"
import * as AnthropicMessages from "./simulated/AnthropicMessages.ts"
import * as GoogleGenerate from "./simulated/GoogleGenerate.ts"
import * as OpenAi from "./simulated/OpenAi.ts"
import * as Reply from "./simulated/Reply.ts"
import * as WorkersAi from "./WorkersAi.ts"

/**
 * Their slugs.
 *
 * @category data
 * @since 0.1.0
 */
export const slugs: ReadonlySet<string> = new Set([
  "anthropic",
  "google-ai-studio",
  "google-vertex-ai",
  "workers-ai",
  ...Object.keys(OpenAi.speakers)
])

/**
 * The answer to a step; a refusal of the simulated provider is an answer, too.
 *
 * @category constructors
 * @since 0.1.0
 */
export const run = (
  step: Step,
  options: { readonly face: "rest" | "binding"; readonly requestId: string; readonly pause: Duration.Duration }
): Effect.Effect<Answer.Answer> => {
  if (step.provider === "workers-ai") {
    return WorkersAi.run({ ...WorkersAi.atPath(step.path), ...options, body: step.body })
  }
  return Effect.map(Clock.currentTimeMillis, (now) => {
    const id = idOf(step)
    const reply = replyTo({
      ...step,
      path: decoded(step.path),
      params: new URLSearchParams(step.query),
      id,
      now: Math.floor(now / 1000)
    })
    const named = step.provider === "anthropic" ? "request-id" : "x-request-id"
    return Reply.toAnswer(reply, options.pause, { "x-simulated": "true", [named]: `req_${id}` })
  })
}

const replyTo = (call: Reply.Call): Reply.Reply => {
  const { path, provider } = call
  if (provider === "anthropic") return AnthropicMessages.reply(call)
  // xAI takes Anthropic's messages, too.
  if (provider === "grok" && path === "v1/messages") return AnthropicMessages.reply(call)
  const speaker = Object.hasOwn(OpenAi.speakers, provider) ? OpenAi.speakers[provider] : undefined
  const isGoogle = provider.startsWith("google-")
  return speaker === undefined || (isGoogle && !speaker.prefix.test(path))
    ? GoogleGenerate.reply(call)
    : OpenAi.reply(call, speaker)
}

const idOf = (step: Step): string => {
  const digest = createHash("sha256")
  digest.update(JSON.stringify([step.provider, step.path, step.query]))
  digest.update(step.body)
  return digest.digest("hex").slice(0, 24)
}

const decoded = (path: string): string => {
  const plain = path.replace(/^\/+|\/+$/g, "")
  try {
    return decodeURIComponent(plain)
  } catch {
    return plain
  }
}
