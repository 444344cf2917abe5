/**
 * What our gateway, model and stream encoding add to a Worker, beside Alchemy's built-in ones: `npm run bench:size`.
 *
 * Counted is what the entry loads at start (its static closure). Our models and transports are loaded when they are
 * first used; the last column has them, too, and the second table says what each adds when it is. The third says what the
 * policies add to a Worker that imports them.
 */
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import { bundle } from "./bundle.ts"

/** The subpaths that are in nobody's bundle who does not import them. */
const policies = [
  "ModelAllowlist",
  "ModelRouter",
  "Retry",
  "Fallback",
  "RateLimit",
  "Cost",
  "prices",
  "Budget",
  "BudgetStore",
  "ResponseCache",
  "DurableObjectStorage",
  "WorkersKv",
  "CacheApi",
  "Hooks",
  "Tokens",
  "Guardrails"
]

const main = Effect.gen(function*() {
  const hello = yield* bundle("hello.ts")
  const peer = yield* bundle("alchemy.ts")
  const ours = yield* bundle("ours.ts")
  const columns = ["minified", "gzip", "share, gzip", "share with what is loaded later"]
  const widths = columns.map((column) => Math.max(column.length, 7) + 3)
  yield* Console.log("worker".padEnd(22) + columns.map((column, i) => column.padStart(widths[i] ?? 0)).join(""))
  for (
    const [name, { gzip, reachable, size }] of [
      ["hello world", hello],
      ["Alchemy's AI.Gateway", peer],
      ["effect-ai-gateway", ours]
    ] as const
  ) {
    const numbers = [size, gzip, gzip - hello.gzip, reachable.gzip - hello.reachable.gzip]
    yield* Console.log(
      name.padEnd(22) +
        numbers.map((n, i) => n.toLocaleString("en").padStart(widths[i] ?? 0)).join("")
    )
  }
  const ratio = (ours.gzip - hello.gzip) / (peer.gzip - hello.gzip)
  yield* Console.log(`\nour share is ${ratio.toFixed(2)} of Alchemy's\n\nloaded on first use        gzip`)
  for (const { gzip, name } of ours.later) {
    yield* Console.log(name.padEnd(22) + gzip.toLocaleString("en").padStart(9))
  }
  yield* Console.log(
    `\nadded when imported     gzip, all that the module exports; a Worker without the import has nothing of it`
  )
  for (const name of policies) {
    const { gzip } = yield* bundle("ours.ts", `effect-ai-gateway/${name}`)
    yield* Console.log(name.padEnd(22) + (gzip - ours.gzip).toLocaleString("en").padStart(9))
  }
})

await Effect.runPromise(main)
