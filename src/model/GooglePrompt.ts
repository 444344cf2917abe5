/**
 * Effect's prompt in the form of Google's `generateContent`.
 *
 * - All system messages become the one `systemInstruction`, in their order: the wire has no other place for them.
 * - Messages of users and results of tools have the role `user`, those of assistants `model`; neighbours of one role are
 *   one content. Results that stand inside an assistant message follow it.
 * - The result of a tool is `{ output: result }`, a failed one `{ error: result }`: Google reads those two keys and would
 *   misread a result that happens to have one of them.
 * - A thought signature and Google's own id of a call go back where they came from, `options.google` of the part. Calls
 *   that Google gave no id are sent without one, as are their results. Calls of another model's turn, after a fallback
 *   for instance, get the signature that Google has for them where the model insists on one.
 * - File names are not sent: the wire knows them beside server-side tools only.
 *
 * Sources: wire reference, section 10.4; `Content`, `Part` and `FunctionResponse` of
 * `@google/genai@2.32.0`.
 *
 * @since 0.1.0
 */
import * as Encoding from "effect/Encoding"
import * as AiError from "effect/unstable/ai/AiError"
import type * as Prompt from "effect/unstable/ai/Prompt"
import type { PartOptions } from "./GoogleMetadata.ts"
import { type JsonRecord, record, text } from "./Json.ts"

/**
 * @category models
 * @since 0.1.0
 */
export interface Content {
  readonly role: "user" | "model"
  readonly parts: Array<JsonRecord>
}

/**
 * The conversation as the request has it.
 *
 * @category models
 * @since 0.1.0
 */
export interface Conversation {
  readonly systemInstruction?: { readonly parts: ReadonlyArray<JsonRecord> }
  readonly contents: ReadonlyArray<Content>
}

/**
 * The contents of a prompt; what the wire cannot carry is pushed onto `problems`, never left out in silence.
 *
 * @category constructors
 * @since 0.1.0
 */
export const conversation = (
  prompt: Prompt.Prompt,
  options: {
    /** The model refuses calls that lack a signature: Gemini 3 and newer. */
    readonly needsSignatures: boolean
  },
  problems: Array<AiError.AiErrorReason>
): Conversation => {
  const system: Array<JsonRecord> = []
  const contents: Array<Content> = []
  /** Ids of calls, to those that Google gave them. */
  const wireIds = new Map<string, string>()
  /** Ids of calls, to their place among all calls. */
  const places = new Map<string, number>()
  const placeOf = (result: Prompt.ToolResultPart): number => places.get(result.id) ?? places.size

  /** In the order of the calls: where Google gave no ids, name and place are all that a result has to find its call. */
  const pushResults = (results: ReadonlyArray<Prompt.ToolResultPart>): void => {
    for (const result of results.toSorted((a, b) => placeOf(a) - placeOf(b))) push("user", toolResult(result))
  }

  const push = (role: Content["role"], part: JsonRecord): void => {
    const last = contents.at(-1)
    if (last?.role === role) last.parts.push(part)
    else contents.push({ role, parts: [part] })
  }

  const pushText = (role: Content["role"], part: Prompt.TextPart | Prompt.ReasoningPart): void => {
    const signed = marks(part)
    // Google refuses text that is empty, unless it carries a signature.
    if (part.text === "" && signed["thoughtSignature"] === undefined) return
    push(role, { text: part.text, ...(part.type === "reasoning" ? { thought: true } : {}), ...signed })
  }

  const toolResult = (part: Prompt.ToolResultPart): JsonRecord => {
    const id = wireIds.get(part.id)
    return {
      functionResponse: {
        ...(id === undefined ? {} : { id }),
        name: part.name,
        response: part.isFailure ? { error: part.result ?? null } : { output: part.result ?? null }
      }
    }
  }

  const assistant = (message: Prompt.AssistantMessage): void => {
    const results: Array<Prompt.ToolResultPart> = []
    // Of parallel calls only the first is signed; none is when another model made them.
    let isForeign = options.needsSignatures &&
      !message.content.some((part) => part.type === "tool-call" && marks(part)["thoughtSignature"] !== undefined)
    for (const part of message.content) {
      switch (part.type) {
        case "text":
        case "reasoning":
          pushText("model", part)
          break
        case "file":
          push("model", file(part))
          break
        case "tool-call": {
          const id = text(record(part.options.google)["id"])
          if (part.providerExecuted) {
            push("model", codePart(part, "executableCode", { ...record(part.params), ...(id && { id }) }, problems))
            break
          }
          if (id !== undefined) wireIds.set(part.id, id)
          places.set(part.id, places.size)
          push("model", {
            functionCall: { ...(id && { id }), name: part.name, args: part.params ?? {} },
            ...(isForeign ? { thoughtSignature: foreignSignature } : {}),
            ...marks(part)
          })
          isForeign = false
          break
        }
        case "tool-result": {
          if (part.providerExecuted) {
            push("model", codePart(part, "codeExecutionResult", record(part.result), problems))
          } else results.push(part)
        }
      }
    }
    pushResults(results)
  }

  /** Results that came in messages of their own, one after the other. */
  let results: Array<Prompt.ToolResultPart> = []
  for (const message of prompt.content) {
    if (message.role !== "tool") {
      pushResults(results)
      results = []
    }
    switch (message.role) {
      case "system":
        if (message.content !== "") system.push({ text: message.content })
        break
      case "user":
        for (const part of message.content) {
          if (part.type === "text") pushText("user", part)
          else push("user", file(part))
        }
        break
      case "assistant":
        assistant(message)
        break
      case "tool":
        // Approvals are Effect's affair: it runs or refuses the call before the prompt comes here.
        for (const part of message.content) {
          if (part.type === "tool-result") results.push(part)
        }
    }
  }
  pushResults(results)
  if (contents.length === 0) {
    problems.push(
      new AiError.InvalidRequestError({
        parameter: "prompt",
        constraint: "must hold more than system messages",
        description: "Google answers messages of a user only"
      })
    )
  }
  return { ...(system.length === 0 ? {} : { systemInstruction: { parts: system } }), contents }
}

/** What Google documents for calls that one of its models did not make: "Thought signatures", transferred history. */
const foreignSignature = "skip_thought_signature_validator"

/** Signature and thought flag of a part, as the wire has them. */
const marks = (part: { readonly options: { readonly google?: PartOptions | null } }): JsonRecord => {
  const given = record(part.options.google)
  const thoughtSignature = text(given["thoughtSignature"])
  return {
    ...(given["thought"] === true ? { thought: true } : {}),
    ...(thoughtSignature === undefined ? {} : { thoughtSignature })
  }
}

const file = (part: Prompt.FilePart): JsonRecord => {
  const data = part.data instanceof URL ? part.data.href : part.data
  const signed = marks(part)
  if (typeof data !== "string") {
    return { inlineData: { mimeType: part.mediaType, data: Encoding.encodeBase64(data) }, ...signed }
  }
  const inline = /^data:[^,]*;base64,/.exec(data)
  if (inline !== null) {
    return { inlineData: { mimeType: part.mediaType, data: data.slice(inline[0].length) }, ...signed }
  }
  // Base64 has no colon; gs:, https: and the URIs of the Files API have.
  return /^[a-z][a-z0-9+.-]*:/i.test(data)
    ? { fileData: { mimeType: part.mediaType, fileUri: data }, ...signed }
    : { inlineData: { mimeType: part.mediaType, data }, ...signed }
}

/** Of the tools that providers run themselves, the wire carries Google's code execution. */
const codePart = (
  part: Prompt.ToolCallPart | Prompt.ToolResultPart,
  key: "executableCode" | "codeExecutionResult",
  value: JsonRecord,
  problems: Array<AiError.AiErrorReason>
): JsonRecord => {
  if (text(value[key === "executableCode" ? "language" : "outcome"]) === undefined) {
    problems.push(
      new AiError.InvalidRequestError({
        parameter: "prompt",
        constraint: "may hold no other tools that a provider ran than Google's code execution",
        description: `It has a part of ${part.name}`
      })
    )
  }
  return { [key]: value, ...marks(part) }
}
