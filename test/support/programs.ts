/**
 * Programs of the machine that some tests need: with one of them missing those tests are left out, and it is said.
 */
import { accessSync, constants } from "node:fs"
import { delimiter, join } from "node:path"

interface Program {
  readonly name: string
  readonly needs: string
}

const programs = {
  redis: { name: "redis-server", needs: "the tests of several gateways on one Redis" },
  chromium: { name: "chromium", needs: "the tests of pages in a browser" }
} satisfies { readonly [key: string]: Program }

/** Where a program is, or undefined on a machine without it. */
export const find = (program: keyof typeof programs): string | undefined =>
  String(process.env["PATH"]).split(delimiter)
    .map((directory) => join(directory, programs[program].name))
    .find((file) => {
      try {
        accessSync(file, constants.X_OK)
        return true
      } catch {
        return false
      }
    })

/** A line for each program that is missing. */
export const missing = (): ReadonlyArray<string> =>
  (["redis", "chromium"] as const)
    .filter((program) => find(program) === undefined)
    .map((program) => `Left out: ${programs[program].needs}, because ${programs[program].name} is not on this machine.`)
