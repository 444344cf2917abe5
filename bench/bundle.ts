/**
 * Bundles a Worker of `bench/workers` exactly as Alchemy does, and looks at what its entry loads at start.
 */
import cloudflareRolldown from "@alchemy.run/cloudflare-runtime/rolldown"
import * as NodePath from "@effect/platform-node/NodePath"
import * as Bundle from "alchemy/Bundle"
import * as Effect from "effect/Effect"
import * as path from "node:path"
import * as zlib from "node:zlib"
import type { OutputBundle, OutputChunk } from "rolldown"

export interface Closure {
  /** Bytes of minified JavaScript that the entry reaches by static imports. */
  readonly size: number
  readonly gzip: number
  /** The same with what our code reaches by dynamic imports; Alchemy's own are in every Worker. */
  readonly reachable: { readonly gzip: number }
  /** Bytes, gzipped, that our dynamic imports add to what is there when they are made. */
  readonly later: ReadonlyArray<{ readonly name: string; readonly gzip: number }>
  /** Source files with code in it, relative to the repository. */
  readonly modules: ReadonlyArray<string>
  /** What it imports from the runtime: `node:...`, `cloudflare:...`. */
  readonly imports: ReadonlyArray<string>
}

const root = path.resolve(import.meta.dirname, "..")

/** The entry that Alchemy puts before a Worker that is an Effect; it may load all of another module. */
const entry = (also: string | undefined) => (worker: string) => `
${also === undefined ? "" : `import * as also from ${JSON.stringify(also)}\nglobalThis.also = { ...also }`}
import { WorkerEntrypoint } from "cloudflare:workers"
import { makeWorkerBridge } from "alchemy/Cloudflare/Bridge"
import entrypoint from ${JSON.stringify(worker)}
export default makeWorkerBridge(WorkerEntrypoint, { entrypoint, stack: { name: "bench", stage: "bench" } })
`

/** The Worker's files as Alchemy uploads them. */
export const build = Effect.fn(function*(worker: string, also?: string) {
  const virtualEntry = yield* Bundle.virtualEntryPlugin
  let output: OutputBundle = {}
  yield* Bundle.build({
    input: path.join(import.meta.dirname, "workers", worker),
    cwd: root,
    plugins: [
      cloudflareRolldown({ compatibilityDate: "2026-08-31", compatibilityFlags: [] }),
      virtualEntry(entry(also)),
      { name: "capture", generateBundle: (_, files) => void (output = files) }
    ],
    external: ["lightningcss", "fsevents"],
    checks: { unresolvedImport: false, ineffectiveDynamicImport: false }
  }, {
    format: "esm",
    minify: true,
    keepNames: true,
    strictExecutionOrder: true,
    dir: path.join(root, ".alchemy", "bundles", `${path.parse(worker).name}${path.basename(also ?? "")}`)
  })
  return output
}, Effect.provide(NodePath.layer))

export const bundle = (worker: string, also?: string) => Effect.map(build(worker, also), closure)

const closure = (output: OutputBundle): Closure => {
  const chunks = new Map(
    Object.values(output).flatMap((file) => file.type === "chunk" ? [[file.fileName, file] as const] : [])
  )
  const reach = (start: ReadonlyArray<OutputChunk>, follow: (chunk: OutputChunk) => ReadonlyArray<string>) => {
    const reached = new Set(start)
    for (const chunk of reached) {
      for (const name of follow(chunk)) {
        const next = chunks.get(name)
        if (next !== undefined) reached.add(next)
      }
    }
    return [...reached]
  }
  const gzip = (reached: ReadonlyArray<OutputChunk>) => zlib.gzipSync(codeOf(reached), { level: 9 }).length
  const isOurs = (chunk: OutputChunk) => chunk.moduleIds.some((id) => path.relative(root, id).startsWith("lib/"))

  const loaded = reach([...chunks.values()].filter((chunk) => chunk.isEntry), (chunk) => chunk.imports)
  const later = [...chunks.values()].filter((chunk) => chunk.isDynamicEntry && isOurs(chunk))
  // Each model comes through this one, which then loads the codec.
  const models = reach([...loaded, ...later.filter((chunk) => chunk.name === "GatewayModel")], (chunk) => chunk.imports)
  const added = (before: ReadonlyArray<OutputChunk>, more: ReadonlyArray<OutputChunk>) =>
    gzip(reach([...before, ...more], (chunk) => chunk.imports)) - gzip(before)
  const codecs = later.filter((chunk) => codecNames.has(chunk.name))
  return {
    size: Buffer.byteLength(codeOf(loaded)),
    gzip: gzip(loaded),
    later: [
      ...later.filter((chunk) => !codecs.includes(chunk)).map((chunk) => ({
        name: chunk.name,
        gzip: added(loaded, [chunk])
      })),
      ...codecs.map((chunk) => ({ name: chunk.name, gzip: added(models, [chunk]) })),
      { name: "all codecs", gzip: added(models, codecs) }
    ],
    reachable: { gzip: gzip(reach([...loaded, ...later], (chunk) => chunk.imports)) },
    modules: loaded.flatMap((chunk) =>
      Object.entries(chunk.modules).flatMap(([id, module]) =>
        module.renderedLength > 0 ? [path.relative(root, id)] : []
      )
    ),
    imports: [...new Set(loaded.flatMap((chunk) => chunk.imports.filter((name) => !chunks.has(name))))].sort()
  }
}

const codeOf = (chunks: ReadonlyArray<OutputChunk>) => chunks.map((chunk) => chunk.code).join("\n")

/** Modules that hold a wire format of language models. */
const codecNames = new Set([
  "WorkersAi",
  "OpenAiChat",
  "dialects",
  "OpenAiResponses",
  "AnthropicMessages",
  "GoogleGenerateContent",
  "CohereChat",
  "BedrockConverse"
])
