import { assert, describe, it } from "@effect/vitest"
import { execFileSync } from "node:child_process"
import * as fs from "node:fs"
import * as path from "node:path"
import { afterAll } from "vitest"

const root = path.resolve(import.meta.dirname, "..")
// Inside the repository, so that the examples import the package by its own name.
const folder = path.join(root, "test", ".docs")

afterAll(() => fs.rmSync(folder, { recursive: true, force: true }))

const fences = (text: string) => [...text.matchAll(/^```ts\n(.*?)^```/gms)].map(([, code]) => code!)

const docstrings = (source: string) =>
  [...source.matchAll(/\/\*\*\n(.*?)\*\//gs)].map(([, comment]) => comment!.replace(/^ *\* ?/gm, "")).join("\n")

const sources = fs.readdirSync(path.join(root, "src"), { recursive: true, encoding: "utf8" })
  .filter((file) => file.endsWith(".ts"))

/** What the exports map gives out: the source file of every subpath. */
const publicModules = Object.entries<string | { readonly "effect-ai-gateway-source": string }>(
  JSON.parse(fs.readFileSync(path.join(root, "package.json"), "utf8")).exports
).flatMap(([subpath, target]) =>
  typeof target === "string" || subpath === "." ? [] : [target["effect-ai-gateway-source"].replace("./src/", "")]
)

describe("documentation", () => {
  it("has examples that compile, as a user would paste them", () => {
    fs.rmSync(folder, { recursive: true, force: true })
    const write = (file: string, code: string) => {
      fs.mkdirSync(path.dirname(path.join(folder, file)), { recursive: true })
      fs.writeFileSync(path.join(folder, file), code)
    }
    const readme = fences(fs.readFileSync(path.join(root, "README.md"), "utf8"))
    readme.forEach((code, i) => write(`readme/${/^\/\/ ([\w.]+\.ts)$/m.exec(code)?.[1] ?? `example-${i}.ts`}`, code))
    const pages = fs.readdirSync(path.join(root, "docs")).filter((file) => file.endsWith(".md"))
    for (const page of pages) {
      fences(fs.readFileSync(path.join(root, "docs", page), "utf8"))
        .forEach((code, i) => write(`docs/${page.replace(/\.md$/, "")}-${i}.ts`, code))
    }
    const documented = sources.flatMap((file) => {
      const examples = fences(docstrings(fs.readFileSync(path.join(root, "src", file), "utf8")))
      examples.forEach((code, i) => write(`${file.replace(/\.ts$/, "")}-${i}.ts`, code))
      return examples.length > 0 ? [file] : []
    })
    write(
      "tsconfig.json",
      JSON.stringify({
        extends: "../../tsconfig.json",
        compilerOptions: { noUnusedLocals: false },
        include: ["**/*.ts"]
      })
    )
    assert.isAtLeast(readme.length, 4)
    assert.isAtLeast(publicModules.length, 7)
    for (const file of publicModules) {
      assert.include(documented, file, "a public module without an example")
    }
    try {
      execFileSync(process.execPath, [path.join(root, "node_modules/typescript/bin/tsc"), "-p", folder], {
        encoding: "utf8",
        stdio: "pipe"
      })
    } catch (error) {
      assert.fail(String((error as { stdout?: unknown }).stdout))
    }
  })
})
