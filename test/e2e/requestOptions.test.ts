/**
 * The exact wire of every request option, over each transport, as a proxy before the gateway records it.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as FetchHttpClient from "effect/unstable/http/FetchHttpClient"
import * as Socket from "effect/unstable/socket/Socket"
import * as AiGatewayClient from "../../src/AiGatewayClient.ts"
import * as AiGatewayHttp from "../../src/AiGatewayHttp.ts"
import * as AiGatewayWebSocket from "../../src/AiGatewayWebSocket.ts"
import * as LocalAi from "../../src/client/LocalAi.ts"
import * as LocalGateway from "../../src/local/LocalGateway.ts"
import { exerciseOptions } from "../support/exerciseOptions.ts"
import { wires } from "../support/optionWires.ts"
import * as wireTap from "../support/wireTap.ts"
import * as workerd from "../support/workerd.ts"

const tapped = Effect.gen(function*() {
  const gateway = yield* LocalGateway.make({
    pause: 0,
    // Nothing listens there.
    upstreams: { openai: "http://127.0.0.1:9/v1" }
  })
  yield* workerd.declare(gateway, "contract")
  return { gateway, tap: yield* wireTap.make(gateway.url) }
})

type Report = Effect.Success<ReturnType<typeof exerciseOptions>>

/** What the caller asked for, whoever carries it. */
const asked = (headers: { readonly [name: string]: string }) =>
  Object.fromEntries(
    Object.entries(headers).filter(([name]) => /^(cf-aig-|x-)/.test(name) && name !== "cf-aig-authorization")
  )

const deprecated = /^(cf-cache-ttl|cf-skip-cache)$/

const check = (report: Report, recorded: ReadonlyArray<wireTap.Recorded>, isBinding: boolean) => {
  const names = Object.keys(wires)
  assert.deepStrictEqual(report.map(({ name }) => name), names)
  assert.strictEqual(recorded.length, names.length * 2)
  for (const [index, name] of names.entries()) {
    const [, headers, gateway] = wires[name]!
    const [workersAi, openai] = recorded.slice(index * 2, index * 2 + 2)
    if (isBinding) {
      const { options } = JSON.parse(workersAi!.body) as { options: { gateway: object } }
      assert.deepStrictEqual(options.gateway, { ...gateway as object, id: "contract" }, name)
      assert.deepStrictEqual(asked(workersAi!.headers), gateway === undefined ? headers : {}, name)
    } else {
      assert.deepStrictEqual(asked(workersAi!.headers), headers, name)
    }
    if (isBinding && name === "headers") {
      // Of the universal endpoint only a step's own reach its provider.
      const [step] = JSON.parse(openai!.body) as [{ headers: { [name: string]: string } }]
      assert.deepStrictEqual(asked(step.headers), headers)
    } else {
      assert.deepStrictEqual(asked(openai!.headers), headers, name)
    }
    for (const { headers } of [workersAi!, openai!]) {
      assert.isEmpty(Object.keys(headers).filter((header) => deprecated.test(header)))
    }
    assert.strictEqual(
      report[index]!.eventId === "event-1",
      name === "eventId",
      "the gateway answers with the caller's id"
    )
    assert.strictEqual(report[index]!.logId === null, name === "collectLog", "the gateway obeys")
    // Without a key stored here there is none of that alias; else it is the provider that is not there.
    assert.strictEqual(report[index]!.code, name === "byokAlias" || name === "noWholesale" ? 2040 : 2005, name)
  }
}

describe("each request option makes the same wire", () => {
  it.live("over HTTP", () =>
    Effect.gen(function*() {
      const { gateway: { accountId, token }, tap } = yield* tapped
      const client = yield* AiGatewayHttp.make({ accountId, gatewayId: "contract", token, baseUrl: tap.url })
      check(yield* exerciseOptions(client), tap.recorded, false)
    }).pipe(Effect.provide(FetchHttpClient.layer)))

  it.live("over a WebSocket, as the headers of the frame's request", () =>
    Effect.gen(function*() {
      const { gateway: { accountId, token, url: baseUrl } } = yield* tapped
      const frames: Array<wireTap.Recorded> = []
      const recording = Layer.succeed(Socket.WebSocketConstructor, (url, protocols) => {
        const socket = new WebSocket(url, protocols as Array<string>) // as the client gives them
        const send = socket.send.bind(socket)
        socket.send = (frame) => {
          const { request } = JSON.parse(String(frame)) as {
            request: { headers: Record<string, string>; eventId: string }
          }
          const { eventId, headers } = request
          // Every frame has an id of its own, in the place of the header.
          const caller = eventId === "event-1" ? { "cf-aig-event-id": eventId } : {}
          frames.push({ method: "", path: "", body: "", headers: { ...headers, ...caller } })
          send(String(frame))
        }
        return socket as unknown as Socket.WebSocketLike // as Effect's own constructor does
      })
      const client = yield* AiGatewayWebSocket.make({ accountId, gatewayId: "contract", token, baseUrl }).pipe(
        Effect.provide(recording)
      )
      check(yield* exerciseOptions(client), frames, false)
    }).pipe(Effect.provide(FetchHttpClient.layer)))

  it.live("over the genuine env.AI of workerd", () =>
    Effect.gen(function*() {
      const { gateway, tap } = yield* tapped
      const url = yield* workerd.start("exerciseWorker.ts", { ...gateway, url: tap.url })
      check(yield* workerd.ask<Report>(url, "/?options"), tap.recorded, true)
    }), 30_000)

  it.live("over the stand-in of `alchemy dev` and `wrangler dev`", () =>
    Effect.gen(function*() {
      const { tap } = yield* tapped
      check(
        yield* exerciseOptions(AiGatewayClient.fromBinding(LocalAi.make(tap.url), "contract")),
        tap.recorded,
        true
      )
    }))
})
