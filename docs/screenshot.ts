/**
 * Makes docs/log-page.png: the log page of a local gateway with an hour of varied requests, in Chromium.
 *
 *     node docs/screenshot.ts [FILE] [dark]
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { chromium } from "playwright-core"
import * as Database from "../src/local/Database.ts"
import { LocalGateway } from "../src/local/index.ts"
import * as LogStore from "../src/local/LogStore.ts"
import * as LogWriter from "../src/local/LogWriter.ts"
import { find } from "../test/support/programs.ts"

const [file = join(import.meta.dirname, "log-page.png"), scheme] = process.argv.slice(2)

/** The same picture each time, but for the clock. */
let seed = 7
const random = () => {
  seed = (seed * 1_103_515_245 + 12_345) % 2_147_483_648
  return seed / 2_147_483_648
}
const pick = <A>(values: ReadonlyArray<A>): A => values[Math.floor(random() * values.length)]!

const models = [
  ["workers-ai", "@cf/meta/llama-3.3-70b-instruct-fp8-fast", 900, 0.0000009],
  ["openai", "gpt-4o-mini", 700, 0.0000004],
  ["anthropic", "claude-sonnet-4-6", 1900, 0.000009],
  ["google-ai-studio", "gemini-2.5-flash", 600, 0.0000011],
  ["groq", "llama-3.3-70b-versatile", 260, 0.0000007]
] as const

const questions = [
  ["Summarize this ticket in one sentence.", "The customer was charged twice for order 1042 and asks for a refund."],
  ["Translate to French: where is my parcel?", "Où est mon colis ?"],
  ["Which category fits: billing, shipping, other?", "shipping"],
  ["Write a friendly reply to this review.", "Thank you for the kind words! We are glad that the shoes fit."]
] as const

const entry = (i: number, at: number): readonly [LogStore.LogEntry, LogStore.Bodies] => {
  const [provider, model, pace, price] = pick(models)
  const [question, answer] = pick(questions)
  const failed = random() < 0.05
  const cached = !failed && random() < 0.24
  const tokensIn = 40 + Math.floor(random() * 900)
  const tokensOut = 20 + Math.floor(random() * 500)
  const id = `01938f2a-${(0x1000 + i).toString(16)}-7c4e-9b1d-0242ac120002`
  return [{
    id,
    gateway: random() < 0.75 ? "prod-gateway" : "staging",
    createdAt: at,
    provider,
    model,
    path: provider === "workers-ai" ? model : "chat/completions",
    duration: cached ? 2 + random() * 6 : pace * (0.5 + random() ** 3 * 3),
    requestType: "Provider",
    requestContentType: "application/json",
    responseContentType: "application/json",
    statusCode: failed ? pick([429, 500, 424]) : 200,
    success: !failed,
    cached,
    tokensIn: cached || failed ? 0 : tokensIn,
    tokensOut: cached || failed ? 0 : tokensOut,
    cost: cached || failed ? 0 : (tokensIn + 3 * tokensOut) * price,
    customCost: false,
    metadata: { user: `u-${Math.floor(random() * 40)}`, plan: pick(["free", "pro"]) },
    step: random() < 0.06 ? 1 : 0,
    eventId: id,
    userAgent: "OpenAI/JS 7.55.0",
    requestSize: 420,
    responseSize: 910,
    feedback: random() < 0.08 ? pick([1, -1]) : null,
    score: null
  }, {
    request: JSON.stringify({ model, messages: [{ role: "user", content: question }] }),
    response: JSON.stringify(
      failed
        ? { error: { message: "The model is overloaded. Try again later." } }
        : { choices: [{ message: { role: "assistant", content: answer } }] }
    )
  }]
}

const take = Effect.gen(function*() {
  const store = yield* Effect.acquireRelease(
    Effect.sync(() => mkdtempSync(join(tmpdir(), "log-page-"))),
    (folder) => Effect.sync(() => rmSync(folder, { recursive: true }))
  ).pipe(Effect.map((folder) => join(folder, "gateway.db")))
  const now = Date.now()
  yield* Effect.gen(function*() {
    const logs = yield* LogStore.LogStore
    let at = now - 4_300_000
    for (let i = 0; at < now - 4000; i++) {
      at += Math.floor((1 + Math.sin(at / 400_000) / 1.6) * (2000 + random() * 8000))
      const [one, bodies] = entry(i, Math.min(at, now - 1000))
      yield* logs.append(one, bodies, { limit: 100_000, strategy: "DELETE_OLDEST" })
    }
  }).pipe(
    Effect.provide(
      Layer.provide(LogStore.layer("0".repeat(32)), LogWriter.layer(store)).pipe(Layer.provide(Database.layer(store)))
    )
  )
  const gateway = yield* LocalGateway.make({ store })
  const browser = yield* Effect.acquireRelease(
    Effect.promise(() =>
      chromium.launch({ executablePath: find("chromium")!, args: ["--no-sandbox", "--disable-gpu"] })
    ),
    (browser) => Effect.promise(() => browser.close())
  )
  yield* Effect.promise(async () => {
    const page = await browser.newPage({
      viewport: { width: 1240, height: 700 },
      colorScheme: scheme === "dark" ? "dark" : "light",
      reducedMotion: "reduce"
    })
    await page.goto(`${gateway.url}/`)
    await page.getByText("Live").waitFor()
    await page.locator(".card").first().waitFor()
    await page.waitForTimeout(300)
    await page.screenshot({ path: file })
    if (scheme !== undefined) {
      await page.locator("tbody a").nth(3).click()
      await page.getByText("Facts").waitFor()
      await page.screenshot({ path: file.replace(".png", "-detail.png") })
    }
  })
})

await Effect.runPromise(Effect.scoped(take))
