import { assert, describe, it } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as fc from "fast-check"
import * as Props from "../../src/resource/Props.ts"
import { settings } from "../../src/resource/settings.ts"

const decode = (props: unknown) => Props.decode("Gateway", props)
const problems = (props: unknown) =>
  decode(props).pipe(
    Effect.flip,
    Effect.map((error) => Object.fromEntries(error.problems.map(({ message, path }) => [path, message])))
  )

describe("AiGatewayProps", () => {
  it.effect("takes every prop of the seed", () =>
    Effect.gen(function*() {
      const declared = yield* decode({
        id: "prod-gateway",
        cacheTtl: 300,
        cacheInvalidateOnUpdate: true,
        rateLimitingInterval: 60,
        rateLimitingLimit: 100,
        rateLimitingTechnique: "sliding",
        collectLogs: true,
        logManagement: 100_000,
        logManagementStrategy: "DELETE_OLDEST",
        authentication: true
      })
      assert.strictEqual(declared.id, "prod-gateway")
      assert.deepStrictEqual(Object.keys(declared.settings).sort(), Object.keys(settings).sort())
    }))

  it.effect("takes no props at all", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* decode(undefined), { id: undefined, settings: {} })
      assert.deepStrictEqual(yield* decode({ cacheTtl: undefined }), { id: undefined, settings: {} })
    }))

  it.effect("reads a number as seconds, a text and a Duration as what they say", () =>
    Effect.gen(function*() {
      for (const cacheTtl of [300, "5 minutes", Duration.minutes(5)]) {
        assert.deepStrictEqual((yield* decode({ cacheTtl })).settings, { cacheTtl: 300 })
      }
      assert.deepStrictEqual((yield* decode({ cacheTtl: null })).settings, { cacheTtl: null })
    }))

  it.effect("lists every problem at once, with its path, its range and its value", () =>
    Effect.gen(function*() {
      const found = yield* problems({
        id: "Not An Id",
        cacheTtl: 30,
        rateLimitingLimit: 1.5,
        rateLimitingTechnique: "leaky",
        collectLogs: "yes",
        logManagement: 1,
        authentication: 1,
        nope: true
      })
      assert.deepStrictEqual(Object.keys(found).sort(), [
        "authentication",
        "cacheTtl",
        "collectLogs",
        "id",
        "logManagement",
        "nope",
        "rateLimitingInterval",
        "rateLimitingLimit",
        "rateLimitingTechnique"
      ])
      assert.include(found["cacheTtl"], "from 60 to 2678400 seconds")
      assert.include(found["cacheTtl"], "got 30")
      assert.include(found["rateLimitingTechnique"], `one of "fixed", "sliding", got "leaky"`)
      assert.include(found["nope"], "no such setting")
      assert.include(found["rateLimitingInterval"], "rateLimitingLimit is set")
    }))

  it.effect("refuses lengths of time that are no whole seconds", () =>
    Effect.gen(function*() {
      for (const cacheTtl of ["90500 millis", "soon", "Infinity", Number.NaN, "100 days", {}, true]) {
        assert.include((yield* problems({ cacheTtl }))["cacheTtl"], "whole number")
      }
    }))

  it.effect("refuses what is no declaration", () =>
    Effect.gen(function*() {
      for (const props of [5, "gateway", [], true]) {
        assert.isNotEmpty(Object.keys(yield* problems(props)))
      }
    }))

  it.effect("never crashes, whatever it is given", () =>
    Effect.promise(() =>
      fc.assert(fc.asyncProperty(
        fc.oneof(
          fc.anything({ withBigInt: true, withDate: true, withNullPrototype: true }),
          fc.dictionary(fc.constantFrom("id", ...Object.keys(settings)), fc.anything({ withBigInt: true }))
        ),
        (props) =>
          Effect.runPromise(
            decode(props).pipe(Effect.match({
              onFailure: (error) => error.problems.length > 0,
              onSuccess: () => true
            }))
          )
      ))
    ))
})
