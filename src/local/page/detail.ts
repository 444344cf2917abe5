/**
 * One request: what was asked and answered, and every fact of it.
 *
 * @since 0.1.0
 */
import { html, nothing, type TemplateResult } from "lit-html"
import * as address from "./address.ts"
import * as bodies from "./bodies.ts"
import * as format from "./format.ts"
import { badges, status } from "./list.ts"
import type * as wire from "./wire.ts"

/**
 * @category templates
 * @since 0.1.0
 */
export const panel = (
  shown: { readonly log: wire.Log | undefined; readonly error: string | undefined },
  at: address.Address,
  close: () => void
): TemplateResult =>
  html`<section class="panel" aria-labelledby="detail-title">
    <header>
      <h2 id="detail-title" tabindex="-1">Request</h2>
      <button type="button" class="quiet" @click=${close}>Close <kbd>Esc</kbd></button>
    </header>
    ${
    shown.error !== undefined
      ? html`<p class="problem" role="alert">${shown.error}</p>`
      : shown.log === undefined
      ? html`<p class="soft">Loading…</p>`
      : content(shown.log, at)
  }
  </section>`

const content = ({ bodies, entry, steps }: wire.Log, at: address.Address): TemplateResult =>
  html`
    <p class="headline">${status(entry)} <strong>${
    entry.model || "no model"
  }</strong> <span class="soft">${entry.provider}</span> ${badges(entry)}</p>
    <dl class="figures">
      ${figure("Tokens in", format.tokens(entry.tokensIn))}
      ${figure("Tokens out", format.tokens(entry.tokensOut))}
      ${figure("Cost", `${format.dollars(entry.cost)}${entry.customCost ? " (custom)" : ""}`)}
      ${figure("Latency", format.millis(entry.duration))}
      ${figure("Cache", entry.cached ? "HIT" : "no hit")}
    </dl>
    ${
    bodies === null
      ? html`<p class="soft">Prompt and answer were not kept: the request, its gateway, or their size said so.</p>`
      : html`${talk("Prompt", bodies.request, "prompt")}${talk("Answer", bodies.response, "answer")}`
  }
    ${
    steps.length < 2 ? nothing : html`<h3 id="steps-title">Steps of this event</h3>
      <ol class="steps" aria-labelledby="steps-title">${
      steps.map((step) =>
        html`<li><a
          href=${address.write({ ...at, open: { gateway: step.gateway, id: step.id } })}
          aria-current=${step.id === entry.id ? "true" : nothing}
        >step ${step.step}</a> ${status(step)} ${step.provider} <span class="soft">${step.model}</span> ${
          format.millis(step.duration)
        }</li>`
      )
    }</ol>`
  }
    ${
    entry.metadata === null || Object.keys(entry.metadata).length === 0 ? nothing : html`<h3>Metadata</h3>
      <dl class="facts">${
      Object.entries(entry.metadata).map(([key, value]) =>
        html`<div><dt>${key}</dt><dd><a href=${
          address.write({ ...at, before: undefined, filters: { ...at.filters, key, value: String(value) } })
        }>${String(value)}</a></dd></div>`
      )
    }</dl>`
  }
    <h3>Facts</h3>
    <dl class="facts">
      ${fact("Time", format.moment(entry.createdAt))}
      ${fact("Gateway", entry.gateway)}
      ${fact("Path", entry.path)}
      ${fact("Request type", entry.requestType)}
      ${fact("Request", `${entry.requestContentType ?? "no content type"}, ${format.bytes(entry.requestSize)}`)}
      ${fact("Response", `${entry.responseContentType ?? "no content type"}, ${format.bytes(entry.responseSize)}`)}
      ${fact("Step", String(entry.step))}
      ${fact("User agent", entry.userAgent ?? "–")}
      ${fact("Feedback", entry.feedback === 1 ? "thumbs up" : entry.feedback === -1 ? "thumbs down" : "none")}
      ${entry.score === null ? nothing : fact("Score", String(entry.score))}
      ${fact("Log id", entry.id)}
      ${fact("Event id", entry.eventId)}
    </dl>`

const figure = (name: string, value: string) => html`<div><dt>${name}</dt><dd>${value}</dd></div>`

const fact = figure

const talk = (title: string, body: wire.Body, which: "prompt" | "answer"): TemplateResult => {
  const messages = bodies[which](body.text)
  return html`<h3 id=${`${which}-title`}>${title}</h3>
    <div class="talk" role="group" aria-labelledby=${`${which}-title`}>
      ${
    messages.map(({ role, text }) =>
      html`<div class=${`message ${
        role === "user" || role === "assistant" ? role : "other"
      }`}><p class="role">${role}</p><div
        class="text"
      >${text}</div></div>`
    )
  }
      <details ?open=${messages.length === 0}>
        <summary>${body.length === 0 ? "Empty body" : "Body as it was sent"}</summary>
        <pre tabindex="0">${bodies.pretty(body.text)}</pre>
        ${
    body.text.length === body.length ?
      nothing :
      html`<p class="soft">The first ${format.bytes(body.text.length)} of ${
        format.bytes(body.length)
      }; the management API has the rest.</p>`
  }
      </details>
    </div>`
}
