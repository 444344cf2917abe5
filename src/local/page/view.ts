/**
 * The whole page, out of what it knows.
 *
 * @since 0.1.0
 */
import { html, nothing, type TemplateResult } from "lit-html"
import { live } from "lit-html/directives/live.js"
import * as address from "./address.ts"
import { cards } from "./charts.ts"
import * as detail from "./detail.ts"
import { table } from "./list.ts"
import type * as wire from "./wire.ts"

/**
 * What the page knows.
 *
 * @category models
 * @since 0.1.0
 */
export interface State {
  readonly at: address.Address
  readonly rows: ReadonlyArray<wire.Row> | undefined
  readonly more: boolean
  /** Those that came while the page was open. */
  readonly fresh: ReadonlySet<string>
  readonly totals: wire.Totals | undefined
  readonly names: wire.Names
  readonly gateways: ReadonlyArray<wire.Gateway>
  readonly log: wire.Log | undefined
  readonly logError: string | undefined
  readonly error: string | undefined
  readonly tokenProblem: string | undefined
  readonly feed: "live" | "lost" | "paused" | "older"
  /** For those who hear the page. */
  readonly said: string
}

/**
 * What the page can be told.
 *
 * @category models
 * @since 0.1.0
 */
export interface Actions {
  readonly go: (to: Partial<address.Address>) => void
  /** As above, a moment later: somebody types. */
  readonly type: (to: Partial<address.Address>) => void
  readonly pause: () => void
  readonly token: (token: string) => void
}

/**
 * @category templates
 * @since 0.1.0
 */
export const page = (state: State, actions: Actions): TemplateResult => {
  if (state.tokenProblem !== undefined) return tokenForm(state.tokenProblem, actions)
  const { at } = state
  return html`
    <header class="top">
      <h1><span class="mark" aria-hidden="true"></span>AI Gateway <span class="soft">log of this machine</span></h1>
      <p class="simulated">Answers of the built-in model are simulated (header <code>x-simulated</code>).</p>
      <p class=${`feed ${state.feed}`}><span class="dot" aria-hidden="true"></span>${feedNames[state.feed]}</p>
      ${
    state.feed === "older"
      ? nothing
      : html`<button type="button" class="quiet" @click=${actions.pause}>${
        state.feed === "paused" ? "Resume" : "Pause"
      }</button>`
  }
    </header>
    ${notices(state)}
    <main>
      <section aria-labelledby="totals-title">
        <div class="line">
          <h2 id="totals-title">Totals</h2>
          <div class="periods" role="group" aria-label="Time of the totals">${
    address.periods.map(([period, name]) =>
      html`<button type="button" aria-pressed=${at.period === period ? "true" : "false"} @click=${() =>
        actions.go({ period })}>${name}</button>`
    )
  }</div>
        </div>
        <div class="cards">${state.totals === undefined ? nothing : cards(state.totals)}</div>
      </section>
      ${filters(state, actions)}
      <section aria-labelledby="list-title">
        <h2 id="list-title" class="hidden">Requests</h2>
        ${state.error === undefined ? nothing : html`<p class="problem" role="alert">${state.error}</p>`}
        ${list(state, actions)}
      </section>
    </main>
    <p class="hidden" role="status" aria-live="polite">${state.said}</p>
    ${
    at.open === undefined
      ? nothing
      : detail.panel({ log: state.log, error: state.logError }, at, () => actions.go({ open: undefined }))
  }`
}

const feedNames: { readonly [feed in State["feed"]]: string } = {
  live: "Live",
  lost: "Connecting…",
  paused: "Paused",
  older: "Older entries"
}

const list = ({ at, fresh, more, rows }: State, actions: Actions): TemplateResult => {
  if (rows === undefined) return html`<p class="empty">Loading…</p>`
  const last = rows.at(-1)
  return html`${
    rows.length > 0
      ? table(rows, at, fresh, ({ gateway, id }) => actions.go({ open: { gateway, id } }))
      : Object.keys(at.filters).length > 0
      ? html`<p class="empty">No request matches these filters.</p>`
      : html`<p class="empty">No request yet. This page shows each one as it comes.</p>`
  }
    <nav class="pages" aria-label="Pages of the log">
      ${at.before === undefined ? nothing : html`<a href=${address.write({ ...at, before: undefined })}>Newest</a>`}
      ${
    !more || last === undefined
      ? nothing
      : html`<a href=${address.write({ ...at, before: String(last.place) })}>Older</a>`
  }
    </nav>`
}

const filters = ({ at, gateways, names }: State, actions: Actions): TemplateResult => {
  const set = (name: address.Filter, value: string): Partial<address.Address> => {
    const { [name]: _, ...others } = at.filters
    return { before: undefined, filters: value === "" ? others : { ...others, [name]: value } }
  }
  const valueOf = (event: Event) =>
    event.target instanceof HTMLInputElement || event.target instanceof HTMLSelectElement ? event.target.value : ""
  const choice = (name: address.Filter, label: string, options: ReadonlyArray<readonly [string, string]>) => {
    const value = at.filters[name] ?? ""
    // An address may ask for what nobody has used yet.
    const all = value === "" || options.some(([option]) => option === value) ? options : [...options, [value, value]]
    return html`<label>${label}
      <select name=${name} .value=${live(value)} @change=${(event: Event) => actions.go(set(name, valueOf(event)))}>
        <option value="" ?selected=${value === ""}>Any</option>
        ${
      all.map(([option, text]) => html`<option value=${option ?? ""} ?selected=${option === value}>${text}</option>`)
    }
      </select>
    </label>`
  }
  const text = (name: address.Filter, label: string, hint: string, list?: string) =>
    html`<label>${label}
      <input
        name=${name}
        type="search"
        autocomplete="off"
        spellcheck="false"
        placeholder=${hint}
        list=${list ?? nothing}
        .value=${live(at.filters[name] ?? "")}
        @input=${(event: Event) => actions.type(set(name, valueOf(event).trim()))}
      >
    </label>`
  const same = (values: ReadonlyArray<string>) => values.map((value) => [value, value] as const)
  return html`<search aria-label="Filters" class="filters">
    ${choice("gateway", "Gateway", same(gateways.map(({ id }) => id)))}
    ${choice("provider", "Provider", same(names.providers))}
    ${choice("model", "Model", same(names.models))}
    ${choice("status", "Status", statuses)}
    ${choice("cached", "Cache", [["true", "From cache"], ["false", "Not from cache"]])}
    ${text("key", "Metadata key", "any key")}
    ${text("value", "Metadata value", "any value")}
    <button
      type="button"
      class="quiet"
      ?disabled=${Object.keys(at.filters).length === 0}
      @click=${() => actions.go({ filters: {}, before: undefined })}
    >Clear</button>
  </search>`
}

const statuses = [
  ["success", "Success"],
  ["failure", "Failure"],
  ...["200", "400", "401", "403", "404", "408", "413", "424", "429", "500", "502", "503"].map((code) =>
    [code, code] as const
  )
] as const

const notices = ({ at, gateways }: State): TemplateResult | typeof nothing => {
  const shown = gateways.filter(({ id, notices }) =>
    notices.length > 0 && (at.filters.gateway === undefined || at.filters.gateway === id)
  )
  return shown.length === 0 ? nothing : html`<section class="notices" aria-labelledby="notices-title">
    <h2 id="notices-title">Set, and not done here</h2>
    <dl>${
    shown.map(({ id, notices }) =>
      html`<div><dt>${id}</dt><dd><ul>${notices.map((notice) => html`<li>${notice}</li>`)}</ul></dd></div>`
    )
  }</dl>
  </section>`
}

const tokenForm = (problem: string, actions: Actions): TemplateResult =>
  html`<main class="token">
    <form
      @submit=${(event: SubmitEvent) => {
    event.preventDefault()
    const input = event.target instanceof HTMLFormElement ? event.target.querySelector("input") : null
    if (input !== null && input.value !== "") actions.token(input.value.trim())
  }}
    >
      <h1><span class="mark" aria-hidden="true"></span>AI Gateway</h1>
      <p id="token-problem" role="alert">${problem}</p>
      <label>Token <input type="password" autocomplete="off" required autofocus aria-describedby="token-problem"></label>
      <p class="soft">It is what <code>--token</code> said at the start, and is kept until this tab is closed.</p>
      <button type="submit">Open the log</button>
    </form>
  </main>`
