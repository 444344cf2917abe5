/**
 * Places on disk, gone with the test.
 */
import * as Effect from "effect/Effect"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"

export const temporaryDirectory = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "ai-gateway-"))),
  (folder) => Effect.sync(() => rmSync(folder, { recursive: true }))
)

/** For a database. */
export const temporaryFile = Effect.map(temporaryDirectory, (folder) => join(folder, "gateway.db"))
