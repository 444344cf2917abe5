import { assert, describe, it } from "@effect/vitest"
import { readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { rows } from "./rows.ts"

const root = join(import.meta.dirname, "..")

/** Names of tests that begin with ids, such as `PROV-01, PROV-02: ...`. */
const named = readdirSync(root, { recursive: true, encoding: "utf8" })
  .filter((file) => file.endsWith(".test.ts"))
  .flatMap((file) => {
    const source = readFileSync(join(root, file), "utf8")
    const names = source.matchAll(/\b(?:it|test)\b[.\w]*(?:\([^()]*\))?\(\s*["'`]([A-Z]+-?\d+(?:, [A-Z]+-?\d+)*): /g)
    return [...names].flatMap(([, ids = ""]) => ids.split(", ").map((id) => ({ file, id })))
  })

describe("the rows of what the local gateway promises", () => {
  it("are each named by a test", () => {
    const all = new Set(named.map(({ id }) => id))
    assert.deepStrictEqual(Object.keys(rows).filter((id) => !all.has(id)), [])
  })

  it("are all that tests name, so that no name points nowhere", () => {
    const families = new Set(Object.keys(rows).map((id) => id.split("-")[0]))
    // Of the wire reference's caching and limiting rules, beyond the rows.
    const more = new Set(["CACHE-09", "RATE-03", "RATE-05"])
    const unknown = named.filter(({ id }) =>
      families.has(id.split("-")[0]) && !Object.hasOwn(rows, id) && !more.has(id)
    )
    assert.deepStrictEqual(unknown, [])
  })
})
