/**
 * Numbers and times as people read them.
 *
 * @since 0.1.0
 */

const whole = new Intl.NumberFormat("en")
const compact = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 })
const clock = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" })
const day = new Intl.DateTimeFormat("en-GB", { day: "2-digit", month: "short" })
const full = new Intl.DateTimeFormat("en-GB", { dateStyle: "medium", timeStyle: "long" })

/** @since 0.1.0 */
export const integer = (n: number): string => n < 100_000 ? whole.format(n) : compact.format(n)

/** What nobody counted is no zero. @since 0.1.0 */
export const tokens = (n: number | null): string => n === null ? "–" : integer(n)

/** US dollars, with as many digits as a small amount needs. @since 0.1.0 */
export const dollars = (n: number | null): string => {
  if (n === null) return "–"
  if (n === 0) return "$0"
  if (n < 0.000001) return "<$0.000001"
  if (n < 1) return `$${n.toFixed(Math.min(6, 2 - Math.floor(Math.log10(n)))).replace(/0+$/, "")}`
  return `$${n < 1000 ? n.toFixed(2) : integer(Math.round(n))}`
}

/** @since 0.1.0 */
export const millis = (n: number | null): string =>
  n === null ?
    "–" :
    n < 1000 ?
    `${Math.round(n)} ms` :
    n < 60_000 ?
    `${(n / 1000).toFixed(2)} s` :
    `${(n / 60_000).toFixed(1)} min`

/** @since 0.1.0 */
export const percent = (part: number, of: number): string => of === 0 ? "–" : `${Math.round(part / of * 1000) / 10} %`

/** @since 0.1.0 */
export const bytes = (n: number): string =>
  n < 1000 ? `${n} B` : n < 1_000_000 ? `${(n / 1000).toFixed(1)} kB` : `${(n / 1_000_000).toFixed(1)} MB`

/** The time of today, the day too when it was another. @since 0.1.0 */
export const time = (at: number): string =>
  new Date(at).toDateString() === new Date().toDateString()
    ? clock.format(at)
    : `${day.format(at)} ${clock.format(at)}`

/** @since 0.1.0 */
export const moment = (at: number): string => full.format(at)
