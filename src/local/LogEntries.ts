/**
 * What the log says of a request, beside what it was asked and answered.
 *
 * @since 0.1.0
 */
import * as Access from "./Access.ts"
import * as Costs from "./Costs.ts"
import * as Guardrails from "./guardrails/Guardrails.ts"
import type { LogEntry, Metadata } from "./LogStore.ts"

/**
 * The entry of a guardrail's evaluation, which is a request of its own on Cloudflare (the wire reference, 5.4).
 *
 * @category constructors
 * @since 0.1.0
 */
export const ofEvaluation = (
  evaluation: Guardrails.Evaluation,
  of: {
    readonly id: string
    readonly gateway: string
    /** Milliseconds since the epoch. */
    readonly createdAt: number
    readonly metadata: Metadata | undefined
    readonly step: number
    readonly eventId: string
    readonly userAgent: string | undefined
    /** Of the evaluation's record, in characters. */
    readonly size: number
  }
): LogEntry => ({
  id: of.id,
  gateway: of.gateway,
  createdAt: of.createdAt,
  provider: "workers-ai",
  model: Guardrails.scanner,
  path: `guardrails/${evaluation.phase}`,
  duration: 0,
  requestType: "Guardrails",
  requestContentType: null,
  responseContentType: "application/json",
  statusCode: evaluation.error?.status ?? 200,
  success: evaluation.error === undefined,
  cached: false,
  tokensIn: 0,
  tokensOut: 0,
  ...Costs.free,
  metadata: of.metadata ?? null,
  step: of.step,
  eventId: of.eventId,
  userAgent: of.userAgent ?? null,
  requestSize: 0,
  responseSize: of.size,
  feedback: null,
  score: null
})

/**
 * Takes the secrets of a request's headers out of what is stored, also where a provider echoes them.
 *
 * @category constructors
 * @since 0.1.0
 */
export const scrubber = (...all: ReadonlyArray<{ readonly [name: string]: string | undefined }>) => {
  const secrets = new Set<string>()
  for (const headers of new Set(all)) {
    for (const name of Access.secretHeaders) {
      const secret = Access.credential(headers[name])?.replace(/^(token|key)\s+/i, "")
      if (secret !== undefined && secret.length >= 8) secrets.add(secret)
    }
  }
  return (text: string) => {
    let clean = text
    for (const secret of secrets) clean = clean.replaceAll(secret, "[redacted]")
    return clean
  }
}
