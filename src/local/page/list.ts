/**
 * The table of entries, newest first.
 *
 * @since 0.1.0
 */
import { html, nothing, type TemplateResult } from "lit-html"
import { repeat } from "lit-html/directives/repeat.js"
import * as address from "./address.ts"
import * as format from "./format.ts"
import type * as wire from "./wire.ts"

/**
 * @category templates
 * @since 0.1.0
 */
export const table = (
  rows: ReadonlyArray<wire.Row>,
  at: address.Address,
  fresh: ReadonlySet<string>,
  open: (entry: wire.Entry) => void
): TemplateResult =>
  html`<div class="scroll" tabindex="-1">
    <table @keydown=${move}>
      <caption class="hidden">Requests, newest first. Each time is a link to the request; arrow keys move between them.</caption>
      <thead>
        <tr>
          <th scope="col">Time</th>
          <th scope="col">Status</th>
          <th scope="col">Gateway</th>
          <th scope="col">Provider</th>
          <th scope="col">Model</th>
          <th scope="col" class="number">Tokens in</th>
          <th scope="col" class="number">Tokens out</th>
          <th scope="col" class="number">Cost</th>
          <th scope="col" class="number">Latency</th>
          <th scope="col">Cache, step</th>
        </tr>
      </thead>
      <tbody>
        ${repeat(rows, ({ id }) => id, (entry) => row(entry, at, fresh.has(entry.id), open))}
      </tbody>
    </table>
  </div>`

/**
 * The state of an entry in words and colour.
 *
 * @category templates
 * @since 0.1.0
 */
export const status = ({ statusCode, success }: wire.Entry): TemplateResult =>
  html`<span class=${
    success ? "status ok" : "status bad"
  }><span class="dot" aria-hidden="true"></span>${statusCode}<span
    class="hidden"
  > ${success ? "success" : "failure"}</span>${
    !success && statusCode >= 200 && statusCode < 300 ? html` <span class="badge">cut</span>` : nothing
  }</span>`

/**
 * Whether the cache answered, which step it was, and what was thought of it.
 *
 * @category templates
 * @since 0.1.0
 */
export const badges = ({ cached, feedback, step }: wire.Entry): TemplateResult =>
  html`${cached ? html`<span class="badge good">HIT</span>` : nothing}${
    step > 0 ? html`<span class="badge warm">step ${step}</span>` : nothing
  }${feedback === 1 ? thumb("up", "+1", "good") : feedback === -1 ? thumb("down", "−1", "warm") : nothing}`

const thumb = (name: string, sign: string, colour: string) =>
  html`<span class=${`badge ${colour}`} role="img" aria-label=${`feedback: thumbs ${name}`}>${sign}</span>`

const row = (entry: wire.Row, at: address.Address, isFresh: boolean, open: (entry: wire.Entry) => void) => {
  const isOpen = at.open?.id === entry.id
  return html`<tr
    class=${`${isOpen ? "open" : ""} ${isFresh ? "fresh" : ""}`}
    @click=${(event: Event) => {
    // A link does it by itself, and a text that was marked stays.
    if (
      event.target instanceof Element && event.target.closest("a") === null && getSelection()?.isCollapsed !== false
    ) {
      open(entry)
    }
  }}
  >
    <td>
      <a
        data-id=${entry.id}
        aria-current=${isOpen ? "true" : nothing}
        href=${address.write({ ...at, open: { gateway: entry.gateway, id: entry.id } })}
        title=${format.moment(entry.createdAt)}
      ><time datetime=${new Date(entry.createdAt).toISOString()}>${format.time(entry.createdAt)}</time></a>
    </td>
    <td>${status(entry)}</td>
    <td class="soft">${entry.gateway}</td>
    <td>${entry.provider}</td>
    <td class="model" title=${entry.model}>${entry.model}</td>
    <td class="number">${format.tokens(entry.tokensIn)}</td>
    <td class="number">${format.tokens(entry.tokensOut)}</td>
    <td class="number">${format.dollars(entry.cost)}</td>
    <td class="number">${format.millis(entry.duration)}</td>
    <td>${badges(entry)}</td>
  </tr>`
}

const move = (event: KeyboardEvent) => {
  const step = event.key === "ArrowDown" ? 1 : event.key === "ArrowUp" ? -1 : 0
  const table = event.currentTarget
  if (step === 0 || !(table instanceof HTMLTableElement)) return
  const links = [...table.querySelectorAll<HTMLElement>("tbody a")]
  const next = links[links.findIndex((link) => link === document.activeElement) + step]
  if (next === undefined) return
  event.preventDefault()
  next.focus()
}
