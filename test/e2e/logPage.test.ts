import { assert, beforeAll, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import { type Browser, chromium, type Page } from "playwright-core"
import { LocalGateway } from "../../src/local/index.ts"
import { create, data, type Gateway, manage } from "../local/talk.ts"
import { find } from "../support/programs.ts"

const executablePath = find("chromium")
const model = "@cf/meta/llama-3.1-8b-instruct"

const ask = (gateway: Gateway, prompt: string, metadata: { readonly [key: string]: unknown } = {}, asked = model) =>
  data(gateway, `shop/workers-ai/${asked}`, {
    body: { prompt },
    headers: { "cf-aig-metadata": JSON.stringify(metadata) }
  })

const fail = (gateway: Gateway) =>
  data(gateway, "shop/openai/chat/completions", { body: { model: "gpt-4o", messages: [] } })

describe.skipIf(executablePath === undefined)("the log page in a browser", () => {
  let browser: Browser
  beforeAll(async () => {
    browser = await chromium.launch({
      ...(executablePath === undefined ? {} : { executablePath }),
      args: [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync"
      ]
    })
    return () => browser.close()
  })

  /** A gateway, and a page on it that must ask nobody else, fail at nothing, and run no foreign script. */
  const opened = (
    use: (page: Page, gateway: Gateway) => Effect.Effect<void, unknown, Scope.Scope>,
    options: {
      readonly path?: (gateway: Gateway) => Effect.Effect<string>
      readonly gateway?: LocalGateway.Options
      readonly colorScheme?: "dark" | "light"
      readonly allowed?: RegExp
    } = {}
  ) =>
    Effect.gen(function*() {
      const gateway = yield* LocalGateway.make(options.gateway ?? { pause: 0 })
      yield* create(gateway, "shop", { cache_ttl: 300 })
      const path = options.path === undefined ? "/" : yield* options.path(gateway)
      const page = yield* Effect.acquireRelease(
        Effect.promise(() => browser.newPage({ colorScheme: options.colorScheme ?? "light" })),
        (page) => Effect.promise(() => page.close())
      )
      const problems: Array<string> = []
      page.on("console", (message) => {
        if (message.type() === "error" || message.type() === "warning") problems.push(message.text())
      })
      page.on("pageerror", (error) => problems.push(String(error)))
      page.on("dialog", (dialog) => {
        problems.push(`dialog ${dialog.message()}`)
        void dialog.dismiss()
      })
      page.on("request", (request) => {
        if (!/^(data|blob):/.test(request.url()) && new URL(request.url()).origin !== gateway.url) {
          problems.push(`asked ${request.url()}`)
        }
      })
      yield* Effect.promise(() => page.goto(`${gateway.url}${path}`))
      yield* use(page, gateway)
      assert.deepStrictEqual(problems.filter((problem) => options.allowed?.test(problem) !== true), [])
    }).pipe(Effect.scoped)

  const when = <A>(f: () => Promise<A>) => Effect.promise(f)
  const rows = (page: Page) => page.getByRole("table").locator("tbody tr")
  const filter = (page: Page, name: string) => page.getByRole("search").getByLabel(name)
  const live = (page: Page) => when(() => page.locator(".feed.live").waitFor())
  const countIs = (page: Page, n: number) =>
    when(() => page.waitForFunction((n) => document.querySelectorAll("tbody tr").length === n, n))

  it.live("shows a request that comes after it was opened, without a reload, and counts it", () =>
    opened((page, gateway) =>
      Effect.gen(function*() {
        yield* live(page)
        assert.isTrue(yield* when(() => page.getByText("No request yet.").isVisible()))
        yield* when(() => page.evaluate(() => Object.assign(globalThis, { isSame: true })))
        yield* ask(gateway, "Why is the sky blue?")
        yield* countIs(page, 1)
        const row = yield* when(() => rows(page).first().innerText())
        for (const text of ["200", "shop", "workers-ai", model]) assert.include(row, text)
        const requests = page.getByRole("group", { name: "Requests", exact: true }).locator(".value")
        yield* when(() => page.waitForFunction(() => document.querySelector(".card .value")?.textContent === "1"))
        yield* ask(gateway, "Why is the sky blue?")
        yield* fail(gateway)
        yield* countIs(page, 3)
        yield* when(() => page.waitForFunction(() => document.querySelector(".card .value")?.textContent === "3"))
        assert.strictEqual(yield* when(() => requests.innerText()), "3")
        const card = (name: string) => when(() => page.getByRole("group", { name, exact: true }).innerText())
        assert.include(yield* card("Requests"), "1 failed")
        assert.include(yield* card("Cache rate"), "33.3 %")
        assert.include(yield* card("Latency"), "p95")
        assert.isTrue(yield* when(() => page.evaluate(() => "isSame" in globalThis)))
        // What came is said, too, to those who hear the page.
        yield* when(() =>
          page.waitForFunction(() => /new request/.test(document.querySelector("[role=status]")?.textContent ?? ""))
        )
      })
    ))

  it.live("narrows the list by filters, which are in the address, and another tab shows the same from it", () =>
    opened((page, gateway) =>
      Effect.gen(function*() {
        yield* ask(gateway, "one", { user: "u-1" })
        yield* ask(gateway, "two", { user: "u-2" })
        yield* ask(gateway, "two", { user: "u-2" })
        yield* fail(gateway)
        yield* countIs(page, 4)
        yield* when(() => filter(page, "Status").selectOption("failure"))
        yield* countIs(page, 1)
        assert.include(page.url(), "?status=failure")
        yield* when(() => filter(page, "Status").selectOption(""))
        yield* when(() => filter(page, "Cache").selectOption("true"))
        yield* countIs(page, 1)
        yield* when(() => page.getByRole("button", { name: "Clear" }).click())
        yield* countIs(page, 4)
        yield* when(() => filter(page, "Metadata key").fill("user"))
        yield* when(() => page.waitForFunction(() => location.search === "?key=user"))
        yield* when(() => filter(page, "Metadata value").fill("u-2"))
        yield* countIs(page, 2)
        yield* when(() => page.getByRole("button", { name: "15 min" }).click())
        const address = new URL(page.url())
        assert.strictEqual(address.search, "?key=user&value=u-2&period=15m")
        // Newcomers are filtered as well.
        yield* ask(gateway, "three", { user: "u-1" })
        yield* ask(gateway, "four", { user: "u-2" })
        yield* countIs(page, 3)
        const other = yield* when(() => browser.newPage())
        yield* when(() => other.goto(address.href))
        yield* countIs(other, 3)
        assert.strictEqual(yield* when(() => filter(other, "Metadata value").inputValue()), "u-2")
        assert.strictEqual(
          yield* when(() => other.getByRole("button", { name: "15 min" }).getAttribute("aria-pressed")),
          "true"
        )
        yield* when(() => filter(other, "Model").selectOption(model))
        yield* when(() => filter(other, "Provider").selectOption("workers-ai"))
        yield* when(() => filter(other, "Gateway").selectOption("shop"))
        yield* countIs(other, 3)
        yield* when(() => other.goBack())
        yield* when(() => other.goBack())
        assert.notInclude(other.url(), "provider")
        yield* when(() => other.close())
      })
    ))

  it.live("keyboard alone reaches a row, opens it, reads prompt and answer, and comes back to it", () =>
    opened((page, gateway) =>
      Effect.gen(function*() {
        yield* ask(gateway, "an older question")
        yield* ask(gateway, "Where do rivers end?", { user: "u-7" })
        yield* countIs(page, 2)
        const focused = () =>
          page.evaluate(() => document.activeElement?.closest<HTMLTableRowElement>("tbody tr")?.rowIndex ?? 0)
        let presses = 0
        while ((yield* when(focused)) !== 1) {
          assert.isBelow(presses++, 30, "Tab reaches the first row")
          yield* when(() => page.keyboard.press("Tab"))
        }
        yield* when(() => page.keyboard.press("ArrowDown"))
        assert.strictEqual(yield* when(focused), 2)
        yield* when(() => page.keyboard.press("ArrowUp"))
        yield* when(() => page.keyboard.press("Enter"))
        const panel = page.getByRole("region", { name: "Request", exact: true })
        yield* when(() => panel.getByText("Facts").waitFor())
        assert.match(page.url(), /#\/log\/shop\/[0-9a-f-]{36}$/)
        assert.strictEqual(yield* when(() => page.evaluate(() => document.activeElement?.id)), "detail-title")
        assert.include(
          yield* when(() => panel.getByRole("group", { name: "Prompt" }).innerText()),
          "Where do rivers end?"
        )
        const answer = yield* when(() => panel.getByRole("group", { name: "Answer" }).innerText())
        assert.match(answer, /^assistant\s+\(simulated answer .*Where do rivers end\?/)
        const text = yield* when(() => panel.innerText())
        for (const fact of ["Tokens in", "Cost", "Latency", "user", "u-7", "Request type", "Feedback", "Event id"]) {
          assert.include(text, fact)
        }
        yield* when(() => page.reload())
        yield* when(() => panel.getByText("Where do rivers end?").first().waitFor())
        yield* when(() => page.keyboard.press("Escape"))
        yield* when(() => panel.waitFor({ state: "detached" }))
        assert.strictEqual(yield* when(focused), 1)
        assert.notInclude(page.url(), "#")
      })
    ))

  it.live("shows the steps of one event together, each a link", () =>
    opened((page, gateway) =>
      Effect.gen(function*() {
        yield* data(gateway, "shop", {
          body: [
            { provider: "openai", endpoint: "chat/completions", headers: {}, query: { model: "gpt-4o", messages: [] } },
            { provider: "workers-ai", endpoint: model, headers: {}, query: { prompt: "hello" } }
          ]
        })
        yield* countIs(page, 2)
        yield* when(() => rows(page).first().click())
        const steps = page.getByRole("list", { name: "Steps of this event" }).getByRole("listitem")
        yield* when(() => steps.first().waitFor())
        assert.strictEqual(yield* when(() => steps.count()), 2)
        yield* when(() => steps.first().getByRole("link").click())
        yield* when(() => page.locator(".panel .headline").getByText("gpt-4o").waitFor())
      })
    ))

  it.live("pages to older entries by an address of its own, while new ones come", () =>
    opened((page, gateway) =>
      Effect.gen(function*() {
        for (let i = 0; i < 60; i++) yield* ask(gateway, `question ${i}`)
        yield* when(() => page.reload())
        yield* countIs(page, 50)
        yield* when(() => page.getByRole("link", { name: "Older" }).click())
        yield* countIs(page, 10)
        assert.match(page.url(), /\?before=\d+$/)
        yield* ask(gateway, "one more")
        yield* when(() => page.getByRole("link", { name: "Newest" }).click())
        yield* live(page)
        yield* countIs(page, 50)
        yield* ask(gateway, "and another")
        yield* countIs(page, 51)
      })
    ))

  it.live("SEC-09: shows hostile markup as text, wherever it is, and runs nothing of it", () => {
    const hostile = "<img src=x onerror=\"alert(1)\"></textarea><script>alert(2)</script>"
    return opened((page, gateway) =>
      Effect.gen(function*() {
        yield* live(page)
        yield* ask(gateway, hostile, { [hostile]: hostile, link: "javascript:alert(3)" }, encodeURIComponent(hostile))
        yield* countIs(page, 1)
        assert.include(yield* when(() => rows(page).first().innerText()), hostile)
        yield* when(() => rows(page).first().click())
        const panel = page.getByRole("region", { name: "Request", exact: true })
        yield* when(() => panel.getByText("Facts").waitFor())
        assert.include(yield* when(() => panel.getByRole("group", { name: "Prompt" }).innerText()), hostile)
        yield* when(() => panel.getByRole("link", { name: hostile }).click())
        yield* when(() => page.waitForFunction(() => location.search.includes("key=")))
        yield* countIs(page, 1)
        assert.strictEqual(yield* when(() => filter(page, "Metadata key").inputValue()), hostile)
        assert.strictEqual(yield* when(() => page.locator("img, #page script, iframe, object").count()), 0)
        // The policy holds even against the page's own mistakes.
        const isRefused = yield* when(() =>
          page.evaluate(() => {
            try {
              document.body.insertAdjacentHTML("beforeend", "<b>x</b>")
              return false
            } catch {
              return true
            }
          })
        )
        assert.isTrue(isRefused)
      }), { allowed: /TrustedHTML/ })
  })

  it.live("has names for its table, its filters, its charts and its detail", () =>
    opened((page, gateway) =>
      Effect.gen(function*() {
        yield* ask(gateway, "hello")
        yield* countIs(page, 1)
        yield* when(() => rows(page).first().getByRole("link").click())
        yield* when(() => page.getByText("Facts").waitFor())
        yield* when(() => page.waitForFunction(() => document.querySelector(".card .value")?.textContent === "1"))
        const snapshot = yield* when(() => page.locator("body").ariaSnapshot())
        for (
          const wanted of [
            /heading "AI Gateway log of this machine" \[level=1\]/,
            /region "Totals"/,
            /group "Time of the totals"/,
            /img "Requests over time: at most 1 in one of 30 parts"/,
            /img "Latency over time, p50 and p95/,
            /search "Filters"/,
            /combobox "Gateway"/,
            /combobox "Provider"/,
            /combobox "Model"/,
            /combobox "Status"/,
            /combobox "Cache"/,
            /searchbox "Metadata key"/,
            /searchbox "Metadata value"/,
            /table "Requests, newest first/,
            /columnheader "Tokens in"/,
            /navigation "Pages of the log"/,
            /status/,
            /region "Request"/,
            /group "Prompt"/,
            /group "Answer"/,
            /button "Close Esc"/
          ]
        ) assert.match(snapshot, wanted)
        const unnamed = yield* when(() =>
          page.evaluate(() =>
            [...document.querySelectorAll("button, a, input, select")].filter((element) =>
              (element.textContent ?? "").trim() === "" && element.closest("label") === null &&
              !element.hasAttribute("aria-label")
            ).length
          )
        )
        assert.strictEqual(unnamed, 0)
      })
    ))

  for (const colorScheme of ["light", "dark"] as const) {
    it.live(`has enough contrast in the ${colorScheme}`, () =>
      opened((page, gateway) =>
        Effect.gen(function*() {
          yield* ask(gateway, "hello")
          yield* ask(gateway, "hello")
          yield* fail(gateway)
          yield* countIs(page, 3)
          yield* when(() => rows(page).first().click())
          yield* when(() => page.getByText("Facts").waitFor())
          const worst = yield* when(() => page.evaluate(contrasts))
          assert.deepStrictEqual(worst.filter(({ ratio }) => ratio < 4.5), [])
          assert.isAbove(worst.length, 20)
          const ground = yield* when(() => page.evaluate(() => getComputedStyle(document.body).backgroundColor))
          const [red = 0] = (ground.match(/\d+/g) ?? []).map(Number)
          assert.strictEqual(red < 128, colorScheme === "dark", ground)
        }), { colorScheme }))
  }

  it.live("asks for the token when others can reach the gateway, and keeps it for the tab alone", () =>
    opened((page, gateway) =>
      Effect.gen(function*() {
        const token = page.getByLabel("Token")
        yield* when(() => token.waitFor())
        assert.isTrue(yield* when(() => page.getByText("it asks for its token").isVisible()))
        yield* when(() => token.fill("wrong"))
        yield* when(() => page.keyboard.press("Enter"))
        yield* when(() => page.getByText("This is not the gateway's token.").waitFor())
        yield* when(() => token.fill("the-right-token"))
        yield* when(() => page.getByRole("button", { name: "Open the log" }).click())
        yield* live(page)
        yield* ask(gateway, "hello")
        yield* countIs(page, 1)
        yield* when(() => page.reload())
        yield* countIs(page, 1)
        assert.notInclude(page.url(), "token")
        assert.strictEqual(yield* when(() => page.evaluate(() => localStorage.length + document.cookie.length)), 0)
      }), {
      gateway: { host: "0.0.0.0", token: Redacted.make("the-right-token"), pause: 0 },
      // The browser itself says that the gateway refused.
      allowed: /Failed to load resource: the server responded with a status of 40[03]/
    }))

  it.live("connects again by itself, and pauses when told", () =>
    opened((page, gateway) =>
      Effect.gen(function*() {
        yield* live(page)
        yield* when(() => page.getByRole("button", { name: "Pause" }).click())
        yield* ask(gateway, "unseen")
        yield* Effect.sleep("700 millis")
        yield* countIs(page, 0)
        yield* when(() => page.getByRole("button", { name: "Resume" }).click())
        yield* countIs(page, 1)
        yield* live(page)
        // What is removed elsewhere is not here when it is opened.
        yield* manage(gateway, "/shop/logs", { method: "DELETE" })
        yield* when(() => rows(page).first().click())
        yield* when(() => page.getByRole("alert").getByText("Log not found").waitFor())
      }), { allowed: /status of 404/ }))
})

/** The contrast of every visible text with what is behind it. */
const contrasts = () => {
  const parse = (colour: string) => (colour.match(/[\d.]+/g) ?? []).map(Number)
  const luminance = ([r = 0, g = 0, b = 0]: ReadonlyArray<number>) => {
    const [x = 0, y = 0, z = 0] = [r, g, b].map((c) =>
      c / 255 <= 0.03928 ? c / 255 / 12.92 : ((c / 255 + 0.055) / 1.055) ** 2.4
    )
    return 0.2126 * x + 0.7152 * y + 0.0722 * z
  }
  const behind = (element: Element | null): ReadonlyArray<number> => {
    if (element === null) return [255, 255, 255]
    const colour = parse(getComputedStyle(element).backgroundColor)
    return colour.length === 4 && colour[3] === 0 ? behind(element.parentElement) : colour
  }
  const found: Array<{ text: string; ratio: number }> = []
  for (const element of document.querySelectorAll("body *")) {
    const own = [...element.childNodes].filter((node) => node.nodeType === 3).map((node) => node.textContent).join("")
      .trim()
    if (own === "" || element.closest("svg, noscript, option, button:disabled, .hidden") !== null) continue
    const [a, b] = [luminance(parse(getComputedStyle(element).color)), luminance(behind(element))]
    found.push({ text: own, ratio: (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05) })
  }
  return found
}
