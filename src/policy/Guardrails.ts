/**
 * Looks at prompts before they are sent and at answers before they are given: blocks, flags or ignores what is found.
 *
 * A prompt that is blocked makes no request. An answer is checked whole before its first part is given, or in windows as it
 * comes; the parameters of tools are checked before their handlers run. A check that fails blocks, unless asked otherwise.
 *
 * **Example** (Words that must not go out, and Llama Guard for both sides)
 *
 * ```ts
 * import * as Effect from "effect/Effect"
 * import * as LanguageModel from "effect/unstable/ai/LanguageModel"
 * import type { AiGatewayClient } from "effect-ai-gateway"
 * import * as Guardrails from "effect-ai-gateway/Guardrails"
 *
 * export const answer = <R>(client: AiGatewayClient<R>, prompt: string) =>
 *   LanguageModel.generateText({ prompt }).pipe(
 *     Effect.provide(
 *       client.model({ model: "@cf/meta/llama-3.1-8b-instruct" }).pipe(
 *         Guardrails.layer({
 *           checks: [
 *             Guardrails.rules({ internal: ["project nightingale", /\bAKIA[0-9A-Z]{16}\b/] }),
 *             Guardrails.llamaGuard(client.model({ model: "@cf/meta/llama-guard-3-8b" }))
 *           ],
 *           answer: { specializedAdvice: "Flag" }
 *         })
 *       )
 *     )
 *   )
 * ```
 *
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import { dual } from "effect/Function"
import type * as Layer from "effect/Layer"
import * as Result from "effect/Result"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type * as AiError from "effect/unstable/ai/AiError"
import type * as LanguageModel from "effect/unstable/ai/LanguageModel"
import * as Prompt from "effect/unstable/ai/Prompt"
import * as askedModels from "../model/askedModels.ts"
import {
  aroundModel,
  type CallOptions,
  type Calls,
  fromCalls,
  type Handlers,
  mapHandlers,
  type Watch
} from "./aroundModel.ts"
import * as CallTexts from "./callTexts.ts"
import { invalidOption } from "./finalErrors.ts"
import type { Any, Check, Input } from "./guardChecks.ts"
import { type Action, blocked, type Finding, ModerationFailed, report } from "./guardFindings.ts"
import { checkedStream, type Look, type Windows } from "./guardStream.ts"
import { stampPart, stampResponse } from "./stampFinish.ts"
import { withhold } from "./withheld.ts"

export {
  type Any,
  type Check,
  check,
  type Hazard,
  type Input,
  llamaGuard,
  rules,
  UnreadableVerdict
} from "./guardChecks.ts"
export {
  type Action,
  failureOf,
  type Finding,
  findingsOf,
  flaggedIn,
  ModerationFailed,
  type Report
} from "./guardFindings.ts"
import { layerAround, refusing } from "./policyLayer.ts"
export type { Windows } from "./guardStream.ts"

/**
 * One action for everything, or one for each category; categories that are left out are blocked.
 *
 * @category models
 * @since 0.1.0
 */
export type Actions<Category extends string> = Action | { readonly [K in Category]?: Action | undefined }

/**
 * What is checked, and what happens then.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options<Checks extends ReadonlyArray<Any>> {
  /** At least one; they run side by side. */
  readonly checks: Checks
  /** What is done with findings in prompts; `Ignore` as a whole checks none. `Block` by default. */
  readonly prompt?: Actions<CategoryOf<Checks[number]>> | undefined
  /** What is done with findings in answers; `Ignore` as a whole checks none. `Block` by default. */
  readonly answer?: Actions<CategoryOf<Checks[number]>> | undefined
  /**
   * `buffer`, the default: a stream gives nothing before its whole answer is checked. With windows it is checked as it comes,
   * and once more whole before its finish part; what was given before a finding is not taken back.
   */
  readonly stream?: "buffer" | Windows | undefined
  /**
   * What happens when a check fails: `Block` fails the call with {@link ModerationFailed}, `Flag` logs the failure and notes
   * it on the answer, `Ignore` logs it. `Block` by default.
   */
  readonly onFailure?: Action | undefined
}

/**
 * The categories that a check finds.
 *
 * @category models
 * @since 0.1.0
 */
export type CategoryOf<C> = C extends Check<infer Category, infer _E, infer _R> ? Category : never

/**
 * What building a check can fail with.
 *
 * @category models
 * @since 0.1.0
 */
export type ErrorOf<C> = C extends Check<infer _Category, infer E, infer _R> ? E : never

/**
 * What a check needs.
 *
 * @category models
 * @since 0.1.0
 */
export type RequirementsOf<C> = C extends Check<infer _Category, infer _E, infer R> ? Exclude<R, Scope.Scope> : never

/**
 * A language model whose prompts and answers are checked.
 *
 * What is blocked is an `AiError` with a `ContentPolicyError` and {@link findingsOf} it. No retry goes on after it; after a
 * prompt that is blocked no fallback either. An option out of its range fails each call with an `InvalidRequestError`.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer: {
  <const Checks extends ReadonlyArray<Any>>(options: Options<Checks>): <E, R>(
    model: Layer.Layer<LanguageModel.LanguageModel, E, R>
  ) => Layer.Layer<LanguageModel.LanguageModel, E | ErrorOf<Checks[number]>, R | RequirementsOf<Checks[number]>>
  <E, R, const Checks extends ReadonlyArray<Any>>(
    model: Layer.Layer<LanguageModel.LanguageModel, E, R>,
    options: Options<Checks>
  ): Layer.Layer<LanguageModel.LanguageModel, E | ErrorOf<Checks[number]>, R | RequirementsOf<Checks[number]>>
} = dual(2, <E, R, Checks extends ReadonlyArray<Any>>(
  model: Layer.Layer<LanguageModel.LanguageModel, E, R>,
  options: Options<Checks>
) =>
  layerAround(model, (model) =>
    Effect.gen(function*() {
      const problem = problemOf(options)
      if (problem !== undefined) return aroundModel(model, refusing(problem))
      // What the checks fail with and need is what their types say.
      const makes = options.checks as ReadonlyArray<
        Check<string, ErrorOf<Checks[number]>, RequirementsOf<Checks[number]> | Scope.Scope>
      >
      const checks = yield* Effect.forEach(makes, ({ make, name }) => Effect.map(make, (find) => ({ name, find })))
      // The methods' types follow from the options of each call, which only go through here.
      const calls = model as unknown as Calls<never>
      return askedModels.mark(guarded(calls, { ...options, checks }), askedModels.of(model))
    })))

interface Settings extends Omit<Options<ReadonlyArray<Any>>, "checks"> {
  readonly checks: ReadonlyArray<{
    readonly name: string
    readonly find: (input: Input) => Effect.Effect<ReadonlyArray<string>, unknown>
  }>
}

type Method = Watch["method"]

const problemOf = (options: Options<ReadonlyArray<Any>>): AiError.AiError | undefined => {
  const method = "Guardrails.layer"
  if (options.checks.length === 0) {
    return invalidOption({ method, parameter: "checks", accepted: "a list of at least one check", value: [] })
  }
  if (typeof options.stream !== "object") return undefined
  const { overlap, window } = options.stream
  if (!Number.isSafeInteger(window) || window < 1) {
    return invalidOption({ method, parameter: "stream.window", accepted: "an integer of at least 1", value: window })
  }
  if (!Number.isSafeInteger(overlap) || overlap < 0) {
    return invalidOption({ method, parameter: "stream.overlap", accepted: "an integer of at least 0", value: overlap })
  }
  return undefined
}

/** Not by `aroundModel`, which lets a policy see no toolkit: the parameters of tools are checked before handlers start. */
const guarded = (calls: Calls<never>, settings: Settings): LanguageModel.LanguageModel => {
  const call = <A extends LanguageModel.GenerateTextResponse<{}>>(
    method: Method,
    options: CallOptions,
    run: (options: CallOptions) => Effect.Effect<A, unknown>
  ): Effect.Effect<A, unknown> =>
    Effect.gen(function*() {
      const { checked, look, prompt } = lookOf(method, options, settings)
      const flagged = yield* look("prompt", prompt)
      const response = yield* run(checked)
      const reader = CallTexts.answerReader()
      for (const part of response.content) reader.add(part)
      const object = method === "generateObject" ? CallTexts.ofJson(response.text) : ""
      const found = yield* Effect.mapError(
        look("answer", [reader.whole(), object].filter((text) => text !== "").join("\n")),
        (error) => withhold(error, response.content)
      )
      const all = [...flagged, ...found]
      return all.length === 0 ? response : stampResponse(response, report(all))
    })

  return fromCalls({
    generateText: (options) => call("generateText", options, calls.generateText),
    generateObject: (options) => call("generateObject", options, calls.generateObject),
    streamText: (options) =>
      Stream.unwrap(Effect.gen(function*() {
        const { checked, look, prompt } = lookOf("streamText", options, settings)
        const flagged = yield* look("prompt", prompt)
        const stream = calls.streamText(checked)
        return settings.answer === "Ignore"
          ? Stream.map(stream, (part) => stampPart(part, report(flagged)))
          : checkedStream(stream, look, flagged, typeof settings.stream === "object" ? settings.stream : undefined)
      }))
  })
}

const lookOf = (method: Method, options: CallOptions, settings: Settings) => {
  const messages = Prompt.make(options.prompt ?? [])
  const prompt = CallTexts.ofPrompt(messages)
  const look: Look = Effect.fnUntraced(function*(phase, text) {
    const actions = settings[phase] ?? "Block"
    if (actions === "Ignore" || text.trim() === "") return []
    const looks = yield* Effect.forEach(
      settings.checks,
      ({ find, name }) =>
        Effect.suspend(() => find({ phase, text, prompt })).pipe(
          Effect.map((categories) => Result.succeed({ name, categories })),
          Effect.catchCause((failure) =>
            Cause.hasInterruptsOnly(failure)
              ? Effect.interrupt
              : Effect.succeed(Result.fail(new ModerationFailed({ method, phase, check: name, failure })))
          )
        ),
      { concurrency: "unbounded" }
    )

    const findings: Array<Finding> = []
    const failures: Array<ModerationFailed> = []
    const add = (check: string, category: string, action: Action) => {
      if (action !== "Ignore" && !findings.some((known) => known.check === check && known.category === category)) {
        findings.push({ phase, check, category, action })
      }
    }
    for (const look of looks) {
      if (Result.isSuccess(look)) {
        const { categories, name } = look.success
        for (const category of categories) add(name, category, actionOf(actions, category))
      } else {
        failures.push(look.failure)
        if (settings.onFailure === "Flag") add(look.failure.check, "unavailable", "Flag")
      }
    }
    if (findings.some(({ action }) => action === "Block")) return yield* Effect.fail(blocked(method, phase, findings))
    for (const failure of failures) {
      if ((settings.onFailure ?? "Block") === "Block") return yield* Effect.fail(failure)
      yield* Effect.logWarning(`${failure.message}. The call goes on`, failure.failure)
    }
    return findings
  })
  return { look, prompt, checked: withChecks({ ...options, prompt: messages }, look) }
}

const actionOf = (actions: Exclude<Actions<string>, "Ignore">, category: string): Action =>
  typeof actions === "string" ? actions : Object.hasOwn(actions, category) ? actions[category] ?? "Block" : "Block"

const withChecks = (options: CallOptions, look: Look): CallOptions => {
  const { toolkit } = options
  if (toolkit === undefined || options.disableToolCallResolution === true) return options
  const checked = (handlers: Handlers): Handlers => ({
    ...handlers,
    handle: (name, params, toolCallId, options) =>
      Effect.andThen(
        // The answer is there, though nobody sees it as a whole here.
        Effect.mapError(look("answer", CallTexts.ofValue(params)), (error) => withhold(error, [])),
        handlers.handle(name, params, toolCallId, options)
      )
  })
  return { ...options, toolkit: mapHandlers(toolkit, checked) }
}
