import { assert, describe, it } from "@effect/vitest"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as fc from "fast-check"
import { satisfies } from "../../src/local/simulated/JsonSchema.ts"
import * as Pattern from "../../src/local/simulated/Pattern.ts"
import * as SchemaValue from "../../src/local/simulated/SchemaValue.ts"
import * as SimulatedModel from "../../src/local/simulated/SimulatedModel.ts"

const ask = (body: unknown, model = "@cf/meta/llama-3.1-8b-instruct") =>
  SimulatedModel.answer(model, Result.getOrThrow(SimulatedModel.decode(body)))

const user = (content: string) => ({ role: "user", content })

const tool = (
  name: string,
  description: string,
  properties: object,
  required: ReadonlyArray<string> = Object.keys(properties)
) => ({
  type: "function",
  function: { name, description, parameters: { type: "object", properties, required, additionalProperties: false } }
})

const weather = tool("get_weather", "Get the weather of a city", {
  city: { type: "string" },
  days: { type: "integer", minimum: 1 }
}, ["city"])
const dice = tool("roll_dice", "Roll some dice", { sides: { type: "integer", minimum: 2, maximum: 100 } })

describe("simulated model", () => {
  it("answers with a label and the question, the same each time", () => {
    const answer = ask({ prompt: "Why is the sky blue?" })
    assert.include(answer.text, "(simulated answer of @cf/meta/llama-3.1-8b-instruct)")
    assert.include(answer.text, "Why is the sky blue?")
    assert.deepStrictEqual(ask({ prompt: "Why is the sky blue?" }), answer)
    assert.strictEqual(answer.finishReason, "stop")
    assert.strictEqual(answer.usage.completion_tokens, SimulatedModel.estimate(answer.text))
  })

  it("stops at max_tokens with finish reason length", () => {
    const answer = ask({ messages: [user("hi")], max_tokens: 5 })
    assert.strictEqual(answer.finishReason, "length")
    assert.strictEqual(answer.usage.completion_tokens, 5)
  })

  it("calls the tool that the prompt asks for, with what the prompt says", () => {
    const { calls, finishReason } = ask({
      messages: [user("What is the weather in Oslo for 3 days?")],
      tools: [weather, dice]
    })
    assert.deepStrictEqual(calls, [{ name: "get_weather", arguments: { city: "Oslo", days: 3 } }])
    assert.strictEqual(finishReason, "tool_calls")
  })

  it("calls several tools in parallel, or one when parallel calls are off", () => {
    const body = { messages: [user("Roll dice with 20 sides and tell the weather in Paris")], tools: [weather, dice] }
    assert.deepStrictEqual(ask(body).calls.map((_) => _.name), ["get_weather", "roll_dice"])
    assert.strictEqual(ask({ ...body, parallel_tool_calls: false }).calls.length, 1)
  })

  it("calls no tool that nobody asked for, unless it must", () => {
    const body = { messages: [user("Tell me a joke")], tools: [weather, dice] }
    assert.deepStrictEqual(ask(body).calls, [])
    assert.strictEqual(ask({ ...body, tool_choice: "required" }).calls.length, 1)
    assert.strictEqual(
      ask({ ...body, tool_choice: { type: "function", function: { name: "roll_dice" } } }).calls[0]?.name,
      "roll_dice"
    )
    assert.deepStrictEqual(
      ask({ messages: [user("What is the weather in Oslo?")], tools: [weather], tool_choice: "none" }).calls,
      []
    )
  })

  it("quotes the results of tools once they are there", () => {
    const answer = ask({
      messages: [
        user("What is the weather in Oslo?"),
        {
          role: "assistant",
          content: "",
          tool_calls: [{ id: "c1", type: "function", function: { name: "get_weather", arguments: "{}" } }]
        },
        { role: "tool", tool_call_id: "c1", content: "{\"celsius\":21}" }
      ],
      tools: [weather]
    })
    assert.deepStrictEqual(answer.calls, [])
    assert.include(answer.text, "get_weather answered {\"celsius\":21}")
  })

  it("follows a schema, bare or in OpenAI's wrapper, with what the prompt says", () => {
    const schema = {
      type: "object",
      properties: { name: { type: "string" }, age: { type: "integer" }, mood: { enum: ["happy", "sad"] } },
      required: ["name", "age", "mood"]
    }
    const messages = [user("Extract: Ada is 36 years old and sad")]
    const expected = { name: "Ada", age: 36, mood: "sad" }
    for (const json_schema of [schema, { name: "person", strict: true, schema }]) {
      const answer = ask({ messages, response_format: { type: "json_schema", json_schema } })
      assert.deepStrictEqual(answer.value, expected)
      assert.deepStrictEqual(JSON.parse(answer.text), expected)
    }
  })

  it("says what is wrong with a request", () => {
    for (const body of [undefined, 3, {}, { messages: [] }, { messages: "x" }, { prompt: "x", max_tokens: 0 }]) {
      assert.isTrue(Result.isFailure(SimulatedModel.decode(body)), JSON.stringify(body))
    }
  })

  it("embeds the same text to the same unit vector, and near texts nearer than others", () => {
    const [a, b, c] = ["the cat sat on the mat", "a cat sat on a mat", "stock prices fell sharply"]
      .map((text) => SimulatedModel.embed(text, 768))
    const dot = (x: ReadonlyArray<number> = [], y: ReadonlyArray<number> = []) =>
      x.reduce((sum, _, i) => sum + _ * (y[i] ?? 0), 0)
    assert.closeTo(dot(a, a), 1, 1e-3)
    assert.isAbove(dot(a, b), dot(a, c))
  })
})

/** Random schemas of the supported vocabulary, none of which contradicts itself. */
const { schema: schemas } = fc.letrec<{ schema: object; leaf: object; node: object }>((tie) => ({
  leaf: fc.oneof(
    fc.constant({ type: "boolean" }),
    fc.constant({ type: "null" }),
    fc.tuple(fc.integer({ min: -50, max: 50 }), fc.nat(40)).map(([minimum, more]) => ({
      type: "integer",
      minimum,
      maximum: minimum + more
    })),
    fc.tuple(fc.integer({ min: -50, max: 50 }), fc.integer({ min: 1, max: 40 })).map(([low, more]) => ({
      type: "number",
      exclusiveMinimum: low,
      exclusiveMaximum: low + more / 4
    })),
    fc.integer({ min: 1, max: 9 }).map((_) => ({ type: "integer", multipleOf: _, minimum: 7 })),
    fc.tuple(fc.nat(30), fc.nat(30)).map(([minLength, more]) => ({
      type: "string",
      minLength,
      maxLength: minLength + more
    })),
    fc.constantFrom("date-time", "date", "email", "uuid", "uri").map((format) => ({ type: "string", format })),
    fc.constantFrom("^[A-Z]{2}-\\d{4}$", "^(foo|bar)+$", "\\w+@\\w+\\.com", "^[^a-z]+$", "^x{3,}y?$").map((
      pattern
    ) => ({ type: "string", pattern })),
    fc.array(fc.oneof(fc.string(), fc.integer(), fc.constant(null)), { minLength: 1, maxLength: 4 }).map((values) => ({
      enum: values
    })),
    fc.oneof(fc.string(), fc.integer(), fc.boolean()).map((value) => ({ const: value })),
    fc.constant({ $ref: "#/$defs/tree" })
  ),
  node: fc.oneof(
    fc.tuple(fc.dictionary(fc.string({ minLength: 1 }), tie("schema"), { maxKeys: 4 }), fc.boolean()).map((
      [properties, all]
    ) => ({
      type: "object",
      properties,
      required: all ? Object.keys(properties) : [],
      additionalProperties: false
    })),
    fc.tuple(tie("schema"), fc.nat(3)).map(([items, minItems]) => ({ type: "array", items, minItems })),
    fc.array(tie("schema"), { minLength: 1, maxLength: 3 }).map((anyOf) => ({ anyOf })),
    fc.array(tie("schema"), { minLength: 1, maxLength: 3 }).map((prefixItems) => ({
      type: "array",
      prefixItems,
      items: false,
      minItems: prefixItems.length
    })),
    fc.tuple(tie("leaf"), fc.string({ minLength: 1 })).map(([of, key]) => ({
      allOf: [{ type: "object", properties: { [key]: of }, required: [key] }, { type: "object", minProperties: 1 }]
    })),
    tie("schema").map((additionalProperties) => ({ type: "object", additionalProperties, minProperties: 1 }))
  ),
  schema: fc.oneof({ depthSize: "small", withCrossShrink: true }, tie("leaf"), tie("node"))
}))

const tree = {
  type: "object",
  properties: { value: { type: "string" }, children: { type: "array", items: { $ref: "#/$defs/tree" } } },
  required: ["value", "children"]
}

describe("values of schemas", () => {
  it("always satisfy the schema", () => {
    fc.assert(
      fc.property(schemas, (schema) => {
        const root = { ...schema, $defs: { tree } }
        assert.isTrue(satisfies(root, SchemaValue.make(root), root), JSON.stringify(SchemaValue.make(root)))
      }),
      { numRuns: 400 }
    )
  })

  it("decode with the Effect schema that the JSON schema came from", () => {
    interface Category {
      readonly name: string
      readonly sub: ReadonlyArray<Category>
    }
    const Category = Schema.Struct({
      name: Schema.String,
      sub: Schema.Array(Schema.suspend((): Schema.Codec<Category> => Category))
    }).annotate({ identifier: "Category" })
    const all = [
      Schema.Struct({ a: Schema.String, b: Schema.optionalKey(Schema.Int), c: Schema.NullOr(Schema.Boolean) }),
      Schema.Union([
        Schema.Struct({ kind: Schema.Literal("x"), x: Schema.Finite }),
        Schema.Struct({ kind: Schema.Literal("y") })
      ]),
      Schema.Array(Schema.Literals(["red", "green"])).check(Schema.isMinLength(1)),
      Schema.Record(Schema.String, Schema.Int.check(Schema.isBetween({ minimum: 3, maximum: 5 }))),
      Schema.Tuple([Schema.String, Schema.Int]),
      Schema.String.check(Schema.isPattern(/^[a-f]{3}\d+$/), Schema.isMinLength(6)),
      Schema.Int.check(Schema.isMultipleOf(7), Schema.isGreaterThan(20)),
      Category
    ]
    for (const schema of all) {
      const { definitions, schema: root } = Schema.toJsonSchemaDocument(schema)
      const value = SchemaValue.make({ ...root, $defs: definitions })
      const decoded = Schema.decodeUnknownExit(schema as Schema.Codec<unknown>)(value)
      assert.strictEqual(decoded._tag, "Success", `${JSON.stringify(root)} ${JSON.stringify(value)}`)
    }
  })

  it("end, whatever a schema refers to", () => {
    const endless = {
      $ref: "#/$defs/a",
      $defs: {
        a: {
          anyOf: [{
            type: "object",
            properties: { l: { $ref: "#/$defs/a" }, r: { $ref: "#/$defs/a" } },
            required: ["l", "r"]
          }, { type: "number" }]
        }
      }
    }
    assert.isTrue(satisfies(endless, SchemaValue.make(endless), endless))
    assert.isDefined(SchemaValue.make({ $ref: "#" }))
    assert.isDefined(SchemaValue.make({ type: "object", properties: { a: { $ref: "#" } }, required: ["a"] }))
  })

  it("match patterns", () => {
    for (
      const source of [
        "^\\d{3}-\\d{4}$",
        "^[A-Z][a-z]+$",
        "^(?:a|b)c*$",
        "^\\p{L}+$",
        "[^\\s]{5,}",
        "^\\+?[1-9]\\d{1,14}$",
        "^#([0-9a-f]{6})$",
        "^v\\d+\\.\\d+\\.\\d+(-[a-z]+)?$"
      ]
    ) {
      assert.match(Pattern.example(source), new RegExp(source, "u"))
    }
  })
})
