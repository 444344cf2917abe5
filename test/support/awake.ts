/**
 * The text at a deployed Worker's URL, once it answers: it is bundled after it is deployed, and its port refuses connections
 * until then.
 */
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import * as HttpClient from "effect/unstable/http/HttpClient"

export const awake = (url: unknown) =>
  HttpClient.get(String(url)).pipe(
    Effect.flatMap((response) => response.text),
    Effect.retry({ schedule: Schedule.spaced("250 millis"), times: 400 })
  )
