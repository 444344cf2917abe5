/**
 * The totals of a time, each with a small chart: bars from the oldest part to the newest.
 *
 * @since 0.1.0
 */
import { html, svg, type TemplateResult } from "lit-html"
import * as format from "./format.ts"
import type * as wire from "./wire.ts"

type Part = wire.Totals["parts"][number]

/** A bar of a chart: its layers from the ground up, each with its class and its amount. */
interface Series {
  readonly className: string
  readonly of: (part: Part) => number
}

/**
 * @category templates
 * @since 0.1.0
 */
export const cards = (totals: wire.Totals): TemplateResult => {
  const { whole } = totals
  const newest = totals.percentilesOf < whole.requests ? ` of the newest ${format.integer(totals.percentilesOf)}` : ""
  return html`
    ${
    card(
      "Requests",
      format.integer(whole.requests),
      whole.failures === 0 ?
        "no failures" :
        html`<span class="bad">${format.integer(whole.failures)} failed</span> · ${
          format.percent(whole.failures, whole.requests)
        }`,
      chart(totals, "Requests over time", [
        { className: "bar-bad", of: (part) => part.failures },
        {
          className: "bar",
          of: (part) => part.requests - part.failures
        }
      ], format.integer)
    )
  }
    ${
    card(
      "Tokens",
      format.integer(whole.tokensIn + whole.tokensOut),
      html`<span class="key key-bar"></span>${format.integer(whole.tokensIn)} in
        <span class="key key-second"></span>${format.integer(whole.tokensOut)} out`,
      chart(totals, "Tokens over time", [
        { className: "bar", of: (part) => part.tokensIn },
        { className: "bar-second", of: (part) => part.tokensOut }
      ], format.integer)
    )
  }
    ${
    card(
      "Cost",
      format.dollars(whole.cost),
      whole.requests === 0 ? "estimated" : `≈ ${format.dollars(whole.cost / whole.requests)} per request`,
      chart(totals, "Cost over time", [{ className: "bar", of: (part) => part.cost }], format.dollars)
    )
  }
    ${
    card(
      "Cache rate",
      format.percent(whole.cached, whole.requests),
      `${format.integer(whole.cached)} of ${format.integer(whole.requests)} from the cache`,
      chart(
        totals,
        "Cache rate over time",
        [{ className: "bar-good", of: (part) => part.requests === 0 ? 0 : part.cached / part.requests }],
        (rate) => format.percent(rate, 1),
        1
      )
    )
  }
    ${
    card(
      "Latency",
      format.millis(whole.p50),
      html`<span class="key key-bar"></span>p50${newest} <span class="key key-second"></span>p95 <strong>${
        format.millis(whole.p95)
      }</strong>`,
      chart(totals, "Latency over time, p50 and p95", [
        { className: "bar", of: (part) => part.p50 ?? 0 },
        { className: "bar-second", of: (part) => (part.p95 ?? 0) - (part.p50 ?? 0) }
      ], format.millis)
    )
  }
  `
}

const card = (
  label: string,
  value: string,
  more: string | TemplateResult,
  chart: TemplateResult
): TemplateResult =>
  html`<div class="card" role="group" aria-label=${label}>
    <h3>${label}</h3>
    <p class="value">${value}</p>
    <p class="more">${more}</p>
    ${chart}
  </div>`

const height = 40
const step = 10

const chart = (
  { parts }: wire.Totals,
  name: string,
  series: ReadonlyArray<Series>,
  show: (amount: number) => string,
  maximum?: number
): TemplateResult => {
  const amount = (part: Part) => series.reduce((sum, { of }) => sum + of(part), 0)
  const greatest = parts.reduce((most, part) => Math.max(most, amount(part)), 0)
  const top = maximum ?? greatest
  const width = parts.length * step
  return html`<svg
    role="img"
    aria-label=${`${name}: at most ${show(greatest)} in one of ${parts.length} parts`}
    viewBox=${`0 0 ${Math.max(width, step)} ${height}`}
    preserveAspectRatio="none"
  >
    <line class="ground" x1="0" x2=${width} y1=${height - 0.5} y2=${height - 0.5}></line>
    ${
    parts.map((part, i) => {
      let ground = height
      return svg`<g><title>${`${format.time(part.from)}: ${show(amount(part))}`}</title>
        <rect class="column" x=${i * step} y="0" width=${step} height=${height}></rect>${
        series.map(({ className, of }) => {
          // A little of something is still seen.
          const tall = of(part) <= 0 || top === 0 ? 0 : Math.max(1.5, of(part) / top * (height - 2))
          ground -= tall
          return svg`<rect class=${className} x=${i * step + 1.5} y=${ground} width=${step - 3} height=${tall}></rect>`
        })
      }</g>`
    })
  }
  </svg>`
}
