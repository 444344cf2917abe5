/**
 * The log page in the browser: keeps what it knows, asks for what its address says, and shows both.
 *
 * @since 0.1.0
 */
import { render } from "lit-html"
import * as address from "./address.ts"
import * as api from "./api.ts"
import * as view from "./view.ts"
import type * as wire from "./wire.ts"

/** Rows of the newest page; older ones are a page further. */
const rowLimit = 100

let state: view.State = {
  at: address.read(location),
  rows: undefined,
  more: false,
  fresh: new Set(),
  totals: undefined,
  names: { providers: [], models: [] },
  gateways: [],
  log: undefined,
  logError: undefined,
  error: undefined,
  tokenProblem: undefined,
  feed: "lost",
  said: ""
}

const root = document.getElementById("page")
let isDrawn = true
const update = (change: Partial<view.State>) => {
  state = { ...state, ...change }
  if (!isDrawn) return
  isDrawn = false
  queueMicrotask(() => {
    isDrawn = true
    if (root !== null) render(view.page(state, actions), root)
  })
}

/** What fails says so on the page; a question that was given up does not. */
const attempt = async (signal: AbortSignal, ask: () => Promise<void>, say: (message: string) => void) => {
  try {
    await ask()
  } catch (error) {
    if (signal.aborted) return
    if (error instanceof api.TokenNeeded) {
      reading.abort()
      update({ tokenProblem: error.message })
    } else say(error instanceof Error ? error.message : String(error))
  }
}

let reading = new AbortController()

/** The list and what follows it, from the beginning. */
const readAll = () => {
  reading.abort()
  reading = new AbortController()
  const { signal } = reading
  const { before, filters } = state.at
  update({ feed: before === undefined ? state.feed === "paused" ? "paused" : "lost" : "older", error: undefined })
  void attempt(signal, async () => {
    const logs = await api.get("logs", { ...filters, before }, signal)
    update({ rows: logs.entries, more: logs.more, fresh: new Set() })
    void readNames(signal)
    if (state.feed === "lost") {
      await api.live(filters, logs.newest, {
        arrival,
        connected: (is) => update({ feed: is ? "live" : "lost" })
      }, signal)
    }
  }, (error) => update({ error, rows: state.rows ?? [] }))
  readTotals()
}

const readNames = (signal: AbortSignal) =>
  attempt(signal, async () => {
    const [names, gateways] = await Promise.all([
      api.get("names", { gateway: state.at.filters.gateway }, signal),
      api.get("gateways", {}, signal)
    ])
    update({ names, gateways })
  }, () => undefined)

const arrival = ({ entries, skipped }: wire.Arrival) => {
  const ids = new Set(entries.map(({ id }) => id))
  const rows = skipped ? entries : [...entries, ...(state.rows ?? []).filter(({ id }) => !ids.has(id))]
  update({
    rows: rows.slice(0, rowLimit),
    more: state.more || skipped || rows.length > rowLimit,
    fresh: new Set([...ids, ...state.fresh].slice(0, rowLimit))
  })
  announce(entries.length)
  const isNew = (values: ReadonlyArray<string>, of: (entry: wire.Row) => string) =>
    entries.some((entry) => !values.includes(of(entry)))
  if (
    isNew(state.names.models, (_) => _.model) || isNew(state.names.providers, (_) => _.provider) ||
    isNew(state.gateways.map(({ id }) => id), (_) => _.gateway)
  ) void readNames(reading.signal)
  readTotals()
}

let unsaid = 0
/** Together, every few seconds: nobody can listen to each request. */
const announce = (count: number) => {
  if (unsaid === 0) {
    setTimeout(() => {
      update({ said: `${unsaid} new ${unsaid === 1 ? "request" : "requests"}` })
      unsaid = 0
    }, 2000)
  }
  unsaid += count
}

let totalsTimer: ReturnType<typeof setTimeout> | undefined
let totalsAt = 0
let totalsPause = 1000
let totalsOf = ""
/** At once when something else is asked, else with pauses that are long beside the work. */
const readTotals = () => {
  const of = JSON.stringify([state.at.filters, state.at.period])
  if (of === totalsOf && totalsTimer !== undefined) return
  clearTimeout(totalsTimer)
  const wait = of === totalsOf ? Math.max(0, totalsAt + totalsPause - performance.now()) : 0
  totalsOf = of
  totalsTimer = setTimeout(() => {
    const { signal } = reading
    const started = performance.now()
    void attempt(signal, async () => {
      const totals = await api.get("totals", { ...state.at.filters, period: state.at.period }, signal)
      if (of === totalsOf) update({ totals })
    }, () => undefined).finally(() => {
      if (of !== totalsOf) return
      totalsAt = performance.now()
      totalsPause = Math.max(1000, 20 * (totalsAt - started))
      totalsTimer = undefined
    })
  }, wait)
}

let looking = new AbortController()
const readLog = () => {
  looking.abort()
  looking = new AbortController()
  const { open } = state.at
  const { signal } = looking
  update({ log: undefined, logError: undefined })
  if (open === undefined) return
  queueMicrotask(() => document.getElementById("detail-title")?.focus())
  void attempt(signal, async () => {
    const log = await api.get("log", open, signal)
    update({ log })
  }, (logError) => update({ logError }))
}

/** Follows the address, wherever its change came from. */
const follow = () => {
  const before = state.at
  const at = address.read(location)
  update({ at })
  const differs = (of: (at: address.Address) => unknown) => JSON.stringify(of(before)) !== JSON.stringify(of(at))
  if (differs((_) => [_.filters, _.before])) readAll()
  else if (differs((_) => _.period)) readTotals()
  if (differs((_) => _.open)) {
    readLog()
    const id = before.open?.id
    if (at.open === undefined && id !== undefined) {
      queueMicrotask(() => document.querySelector<HTMLElement>(`a[data-id="${CSS.escape(id)}"]`)?.focus())
    }
  }
}

const go = (to: Partial<address.Address>, isNew = true) => {
  clearTimeout(typing)
  const url = address.write({ ...state.at, ...to })
  if (isNew) history.pushState(null, "", url)
  else history.replaceState(null, "", url)
  follow()
}

let typing: ReturnType<typeof setTimeout> | undefined

const actions: view.Actions = {
  go: (to) => go(to),
  type: (to) => {
    clearTimeout(typing)
    typing = setTimeout(() => go(to, false), 300)
  },
  pause: () => {
    const isPaused = state.feed === "paused"
    update({ feed: isPaused ? "lost" : "paused" })
    if (isPaused) return readAll()
    reading.abort()
    reading = new AbortController()
  },
  token: (token) => {
    api.setToken(token)
    update({ tokenProblem: undefined })
    readAll()
    if (state.at.open !== undefined) readLog()
  }
}

addEventListener("popstate", follow)
addEventListener("hashchange", follow)
addEventListener("keydown", (event) => {
  if (event.key === "Escape" && state.at.open !== undefined) go({ open: undefined })
})
// Links of the page change what it shows, and load nothing.
addEventListener("click", (event) => {
  const link = event.target instanceof Element ? event.target.closest("a") : null
  if (link === null || event.defaultPrevented || event.button !== 0) return
  if (event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return
  event.preventDefault()
  history.pushState(null, "", link.href)
  follow()
})
// The time goes on, also when nothing comes.
setInterval(() => {
  if (state.feed === "live") readTotals()
}, 10_000)

readAll()
if (state.at.open !== undefined) readLog()
