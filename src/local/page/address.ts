/**
 * What the page shows, as its address says it: filters, time and place in the query, the open entry in the fragment.
 *
 * @since 0.1.0
 */

/**
 * @category models
 * @since 0.1.0
 */
export interface Address {
  /** The values of the filters that are set. */
  readonly filters: { readonly [name in Filter]?: string }
  readonly period: Period
  /** The place before which entries are shown; the newest when absent. */
  readonly before: string | undefined
  readonly open: { readonly gateway: string; readonly id: string } | undefined
}

/**
 * @category models
 * @since 0.1.0
 */
export type Filter = typeof filterNames[number]

/**
 * @category models
 * @since 0.1.0
 */
export type Period = typeof periods[number][0]

/**
 * @category constants
 * @since 0.1.0
 */
export const filterNames = ["gateway", "provider", "model", "status", "cached", "key", "value"] as const

/**
 * @category constants
 * @since 0.1.0
 */
export const periods = [["15m", "15 min"], ["hour", "Hour"], ["day", "Day"], ["all", "All"]] as const

/**
 * Reads the address of the page.
 *
 * @category decoding
 * @since 0.1.0
 */
export const read = ({ hash, search }: { readonly search: string; readonly hash: string }): Address => {
  const params = new URLSearchParams(search)
  const filters: { [name in Filter]?: string } = {}
  for (const name of filterNames) {
    const value = params.get(name)
    if (value) filters[name] = value
  }
  const [, gateway, id] = /^#\/log\/([^/]+)\/([^/]+)$/.exec(hash) ?? []
  return {
    filters,
    period: periods.find(([period]) => period === params.get("period"))?.[0] ?? "hour",
    before: params.get("before") ?? undefined,
    open: gateway === undefined || id === undefined ? undefined : { gateway: decode(gateway), id: decode(id) }
  }
}

/**
 * The address that shows this; what is default is left out.
 *
 * @category encoding
 * @since 0.1.0
 */
export const write = ({ before, filters, open, period }: Address): string => {
  const params = new URLSearchParams()
  for (const name of filterNames) if (filters[name]) params.set(name, filters[name])
  if (period !== "hour") params.set("period", period)
  if (before !== undefined) params.set("before", before)
  const query = params.toString()
  return `/${query === "" ? "" : `?${query}`}${
    open === undefined ? "" : `#/log/${encodeURIComponent(open.gateway)}/${encodeURIComponent(open.id)}`
  }`
}

const decode = (text: string): string => {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}
