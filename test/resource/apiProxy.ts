/**
 * A proxy in front of the local gateway's management API that counts requests and makes them go wrong.
 */
import * as Test from "alchemy/Test/Vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Scope from "effect/Scope"
import { createServer, type IncomingMessage, type ServerResponse } from "node:http"
import type { AddressInfo } from "node:net"
import { afterAll, beforeEach } from "vitest"
import * as LocalGateway from "../../src/local/LocalGateway.ts"
import { gatewayProviders } from "../../src/providers.ts"
import { localCredentials, withoutAccount } from "../../src/resource/account.ts"
import { Patience } from "../../src/resource/gatewaysApi.ts"

export interface Call {
  readonly method: string
  readonly path: string
  readonly body: string
}

export interface Answer {
  readonly status: number
  readonly headers?: { readonly [name: string]: string }
  readonly body?: unknown
}

/** What happens with a request that a fault is meant for. */
export type Fault =
  /** Answered so, instead of being passed on. */
  | { readonly instead: Answer }
  /** Passed on, then answered so. */
  | { readonly after: Answer }
  /** The connection breaks before, or after the request was passed on. */
  | "cut before"
  | "cut after"
  /** Never answered; the request is passed on, or not. */
  | "silent before"
  | "silent after"
  /** Something else happens first, then the request is passed on. */
  | { readonly first: () => Promise<unknown> }

export interface ApiProxy {
  readonly url: string
  /** Every request since the last `reset`. */
  readonly calls: ReadonlyArray<Call>
  /** The next requests of this method that the API gets go wrong, one fault each. */
  readonly break: (method: string, ...faults: ReadonlyArray<Fault>) => void
  readonly reset: () => void
}

export const make = (target: string) =>
  Effect.acquireRelease(
    Effect.callback<ApiProxy & { readonly close: () => void }>((resume) => {
      const calls: Array<Call> = []
      const faults = new Map<string, Array<Fault>>()
      const server = createServer(async (request, response) => {
        const body = await text(request)
        const method = request.method ?? "GET"
        calls.push({ method, path: request.url ?? "", body })
        const fault = faults.get(method)?.shift()
        const forward = () =>
          fetch(`${target}${request.url}`, {
            method,
            headers: { authorization: String(request.headers.authorization), "content-type": "application/json" },
            ...(body === "" ? {} : { body })
          })
        if (fault === undefined) return pass(await forward(), response)
        switch (fault) {
          case "cut after":
          case "silent after":
            await forward()
        }
        if (fault === "cut before" || fault === "cut after") return request.socket.destroy()
        if (typeof fault === "string") return
        if ("instead" in fault) return answer(fault.instead, response)
        if ("first" in fault) {
          await fault.first()
          return pass(await forward(), response)
        }
        await forward()
        return answer(fault.after, response)
      })
      server.listen(0, "127.0.0.1", () => {
        const { port } = server.address() as AddressInfo // it listens on TCP
        resume(Effect.succeed({
          url: `http://127.0.0.1:${port}`,
          calls,
          break: (method, ...more) => void faults.set(method, [...faults.get(method) ?? [], ...more]),
          reset: () => {
            calls.length = 0
            faults.clear()
          },
          close: () => {
            server.closeAllConnections()
            server.close()
          }
        }))
      })
    }),
    (proxy) => Effect.sync(proxy.close)
  )

/** Stacks whose API is a local gateway behind a proxy, for all tests of a file. */
export const stacks = async (retries: number) => {
  const scope = Scope.makeUnsafe()
  afterAll(() => Effect.runPromise(Scope.close(scope, Exit.void)))
  const { gateway, proxy } = await Effect.runPromise(
    Scope.provide(
      Effect.gen(function*() {
        const gateway = yield* LocalGateway.make()
        return { gateway, proxy: yield* make(gateway.url) }
      }),
      scope
    )
  )
  beforeEach(proxy.reset)
  const { test } = Test.make({
    providers: Layer.mergeAll(
      Layer.provideMerge(
        gatewayProviders(),
        Layer.merge(withoutAccount(), localCredentials(Effect.succeed({ ...gateway, url: proxy.url })))
      ),
      Layer.succeed(Patience, { timeout: "300 millis", retries, delay: "10 millis", maxRetryAfter: "1 second" })
    ),
    dev: false
  })
  return { gateway, proxy, test }
}

/** An error in the v4 envelope. */
export const failure = (status: number, code: number, message: string, headers?: { readonly [name: string]: string }) =>
  ({
    status,
    ...(headers === undefined ? {} : { headers }),
    body: { success: false, errors: [{ code, message }], messages: [], result: null }
  }) satisfies Answer

const text = async (request: IncomingMessage) => {
  const chunks: Array<Buffer> = []
  for await (const chunk of request) chunks.push(chunk)
  return Buffer.concat(chunks).toString("utf8")
}

const pass = async (from: Response, to: ServerResponse) => {
  to.writeHead(from.status, { "content-type": "application/json" })
  to.end(await from.text())
}

const answer = ({ body, headers, status }: Answer, to: ServerResponse) => {
  to.writeHead(status, { "content-type": "application/json", ...headers })
  to.end(body === undefined ? "" : JSON.stringify(body))
}
