/**
 * Asks the page's server, with the token when one was given; live entries come over a streamed answer, since an
 * EventSource could not send it.
 *
 * @since 0.1.0
 */
import type * as wire from "./wire.ts"

/**
 * The gateway wants its token, or another one.
 *
 * @category errors
 * @since 0.1.0
 */
export class TokenNeeded extends Error {
  readonly isWrong: boolean
  constructor(isWrong: boolean) {
    super(
      isWrong ? "This is not the gateway's token." : "This gateway is reachable by others, so it asks for its token."
    )
    this.isWrong = isWrong
  }
}

/** The answers, by path. */
interface Answers {
  readonly logs: wire.Logs
  readonly log: wire.Log
  readonly totals: wire.Totals
  readonly names: wire.Names
  readonly gateways: ReadonlyArray<wire.Gateway>
}

type Params = { readonly [name: string]: string | undefined }

const tokenKey = "ai-gateway-token"

/**
 * Keeps the token as long as this tab lives.
 *
 * @category setters
 * @since 0.1.0
 */
export const setToken = (token: string): void => sessionStorage.setItem(tokenKey, token)

/**
 * Asks once; fails with what the gateway says is wrong.
 *
 * @category requests
 * @since 0.1.0
 */
export const get = async <Path extends keyof Answers>(
  path: Path,
  params: Params,
  signal?: AbortSignal
): Promise<Answers[Path]> => {
  const response = await send(path, params, signal)
  // Our own server answered, from the same package.
  return await response.json() as Answers[Path]
}

/**
 * Tells new entries as they come, until the signal; connects again when the connection is lost.
 *
 * @category requests
 * @since 0.1.0
 */
export const live = async (
  params: Params,
  after: number,
  on: { readonly arrival: (arrival: wire.Arrival) => void; readonly connected: (is: boolean) => void },
  signal: AbortSignal
): Promise<void> => {
  let last = after
  let pause = 500
  while (!signal.aborted) {
    try {
      const response = await send("live", { ...params, after: String(last) }, signal)
      on.connected(true)
      pause = 500
      await events(response, (data) => {
        // As above.
        const arrival = JSON.parse(data) as wire.Arrival
        last = arrival.newest
        on.arrival(arrival)
      })
    } catch (error) {
      if (error instanceof TokenNeeded) throw error
    }
    if (signal.aborted) return
    on.connected(false)
    await new Promise((resolve) => setTimeout(resolve, pause))
    pause = Math.min(pause * 2, 10_000)
  }
}

const send = async (path: string, params: Params, signal: AbortSignal | undefined): Promise<Response> => {
  const query = new URLSearchParams()
  for (const [name, value] of Object.entries(params)) if (value !== undefined) query.set(name, value)
  const token = sessionStorage.getItem(tokenKey)
  const response = await fetch(`/page/${path}?${query}`, {
    headers: token === null ? {} : { authorization: `Bearer ${token}` },
    cache: "no-store",
    ...(signal === undefined ? {} : { signal })
  })
  if (response.ok) return response
  // The envelope of the v4 API, unless something between us and the gateway answered.
  const body = await response.json().catch(() => ({})) as {
    readonly errors?: ReadonlyArray<{ readonly code: number; readonly message: string }>
  }
  const error = body.errors?.[0]
  if (error?.code === 9106 || error?.code === 9109) throw new TokenNeeded(error.code === 9109)
  throw new Error(error?.message ?? `The gateway answered with status ${response.status}.`)
}

const events = async (response: Response, on: (data: string) => void): Promise<void> => {
  if (response.body === null) return
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader()
  let text = ""
  for (;;) {
    const { done, value } = await reader.read()
    if (done) return
    text += value
    const frames = text.split("\n\n")
    text = frames.pop() ?? ""
    for (const frame of frames) if (frame.startsWith("data: ")) on(frame.slice("data: ".length))
  }
}
