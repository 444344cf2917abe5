import { assert, describe, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import * as fc from "fast-check"
import * as webBody from "../../src/client/webBody.ts"

const utf8 = new TextEncoder()

type Wait = "none" | "microtasks" | "macrotask"

/** A body that makes one read whenever it is asked for one, and counts. */
const bodyOf = (
  reads: ReadonlyArray<string>,
  options: { readonly wait?: ReadonlyArray<Wait>; readonly error?: Error } = {}
) => {
  const seen = { pulled: 0, cancelled: false }
  const body = new ReadableStream<Uint8Array>({
    async pull(controller) {
      const at = seen.pulled++
      const wait = options.wait?.[at] ?? "none"
      if (wait === "microtasks") { for (let i = 0; i < 20; i++) await undefined }
      if (wait === "macrotask") await new Promise((resolve) => setTimeout(resolve, 0))
      const read = reads[at]
      if (read !== undefined) controller.enqueue(utf8.encode(read))
      else if (options.error !== undefined) controller.error(options.error)
      else controller.close()
    },
    cancel() {
      seen.cancelled = true
    }
  }, { highWaterMark: 0 })
  return { body, seen }
}

const chunksOf = (body: ReadableStream<Uint8Array>) =>
  webBody.stream(body, String).pipe(
    Stream.chunks,
    Stream.map((chunk) => chunk.map((read) => new TextDecoder().decode(read)))
  )

describe("a body's stream", () => {
  it.live("has the reads that can be had at once in one chunk", () =>
    Effect.gen(function*() {
      const chunks = yield* Stream.runCollect(chunksOf(bodyOf(["a", "b", "c"]).body))
      assert.deepStrictEqual(chunks, [["a", "b", "c"]])
    }))

  it.live("does not keep a read back for one that is still to come", () =>
    Effect.gen(function*() {
      const { body } = bodyOf(["a", "b", "c"], { wait: ["none", "macrotask", "none"] })
      const chunks = yield* Stream.runCollect(chunksOf(body))
      assert.deepStrictEqual(chunks, [["a"], ["b", "c"]])
    }))

  it.live("ends a chunk after eight reads", () =>
    Effect.gen(function*() {
      const chunks = yield* Stream.runCollect(chunksOf(bodyOf(Array.from("abcdefghij")).body))
      assert.deepStrictEqual(chunks.map((chunk) => chunk.join("")), ["abcdefgh", "ij"])
    }))

  it.live("gives what it read before a failure, then the failure", () =>
    Effect.gen(function*() {
      const chunks: Array<ReadonlyArray<string>> = []
      const exit = yield* chunksOf(bodyOf(["a", "b"], { error: new Error("reset") }).body).pipe(
        Stream.runForEach((chunk) => Effect.sync(() => void chunks.push(chunk))),
        Effect.exit
      )
      assert.deepStrictEqual([chunks, exit], [[["a", "b"]], Exit.fail("Error: reset")])
    }))

  it.live("lets a slow consumer hold the producer back", () =>
    Effect.gen(function*() {
      const { body, seen } = bodyOf(Array.from({ length: 1_000 }, () => "x"))
      yield* webBody.stream(body, String).pipe(
        Stream.take(20),
        // Time enough for the producer to run ahead, if it could.
        Stream.runForEach(() => Effect.sleep("2 millis"))
      )
      assert.isAtMost(seen.pulled, 20 + 8 + 1)
    }))

  it.live("cancels the body when it is interrupted, and when no more is wanted", () =>
    Effect.gen(function*() {
      const stuck = bodyOf(["a"], { wait: ["none", "macrotask"] })
      const started = yield* Deferred.make<void>()
      const fiber = yield* webBody.stream(stuck.body, String).pipe(
        Stream.runForEach(() => Effect.andThen(Deferred.succeed(started, undefined), Effect.never)),
        Effect.forkChild
      )
      yield* Deferred.await(started)
      yield* Fiber.interrupt(fiber)
      const enough = bodyOf(["a", "b"], { wait: ["none", "macrotask"] })
      yield* Stream.runDrain(Stream.take(webBody.stream(enough.body, String), 1))
      assert.deepStrictEqual([stuck.seen.cancelled, enough.seen.cancelled], [true, true])
    }))

  it.live("loses nothing when a pull is given up and made again", () =>
    Effect.gen(function*() {
      const { body } = bodyOf(["a", "b"], { wait: ["macrotask", "macrotask"] })
      const pull = yield* Stream.toPull(webBody.stream(body, String))
      const first = yield* Effect.raceFirst(pull, Effect.succeed("given up"))
      assert.strictEqual(first, "given up")
      yield* Effect.sleep("10 millis")
      const text = (chunk: ReadonlyArray<Uint8Array>) => chunk.map((read) => new TextDecoder().decode(read)).join("")
      assert.deepStrictEqual([text(yield* pull), text(yield* pull)], ["a", "b"])
    }).pipe(Effect.scoped))

  it.live("gives what came for a pull that was given up to the next one at once", () =>
    Effect.gen(function*() {
      for (let ticks = 0; ticks < 12; ticks++) {
        let enqueue = (_: string): void => {}
        const body = new ReadableStream<Uint8Array>({
          start(controller) {
            enqueue = (text) => controller.enqueue(utf8.encode(text))
          }
        })
        const pull = yield* Stream.toPull(webBody.stream(body, String))
        const given: Array<ReadonlyArray<Uint8Array>> = []
        const fiber = yield* Effect.forkChild(Effect.map(pull, (chunk) => given.push(chunk)))
        yield* Effect.sleep("1 millis")
        enqueue("a")
        yield* Effect.promise(async () => {
          for (let i = 0; i < ticks; i++) await undefined
          fiber.interruptUnsafe()
        })
        yield* Fiber.await(fiber)
        if (given.length > 0) continue
        const chunk = yield* Effect.timeoutOption(pull, "100 millis")
        assert.isTrue(Option.isSome(chunk), `given up after ${ticks} microtasks`)
      }
    }).pipe(Effect.scoped))

  it.live("has all reads in their order, whenever they come", () =>
    Effect.promise(() =>
      fc.assert(
        fc.asyncProperty(
          fc.array(fc.tuple(fc.string({ minLength: 1 }), fc.constantFrom<Wait>("none", "microtasks", "macrotask"))),
          async (reads) => {
            const { body } = bodyOf(reads.map(([read]) => read), { wait: reads.map(([, wait]) => wait) })
            const chunks = await Effect.runPromise(Stream.runCollect(chunksOf(body)))
            assert.deepStrictEqual(chunks.flat(), reads.map(([read]) => new TextDecoder().decode(utf8.encode(read))))
          }
        ),
        { numRuns: 50 }
      )
    ))
})

describe("a body's text", () => {
  it.live("is whole, with characters that were cut between reads", () =>
    Effect.gen(function*() {
      const bytes = utf8.encode("grün 🌱")
      const body = new ReadableStream<Uint8Array>({
        start(controller) {
          for (const byte of bytes) controller.enqueue(Uint8Array.of(byte))
          controller.close()
        }
      })
      assert.strictEqual(yield* webBody.text(body, String), "grün 🌱")
    }))

  it.live("fails with the body", () =>
    Effect.gen(function*() {
      const exit = yield* Effect.exit(webBody.text(bodyOf(["a"], { error: new Error("reset") }).body, String))
      assert.deepStrictEqual(exit, Exit.fail("Error: reset"))
    }))
})
