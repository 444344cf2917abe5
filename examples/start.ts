/**
 * `npm start`: deploys this repository's stack on this machine, asks the Worker one question, and shows the answer as
 * it arrives. `--once` stops after the answer.
 *
 * It runs `alchemy dev`, so the Worker runs in real workerd and the gateway in a local one; nothing leaves the machine.
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as NodeServices from "@effect/platform-node/NodeServices"
import { ResponseInfo, Sse } from "effect-ai-gateway"
import * as Console from "effect/Console"
import * as Data from "effect/Data"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Layer from "effect/Layer"
import * as Path from "effect/Path"
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import * as FetchHttpClient from "effect/unstable/http/FetchHttpClient"
import * as HttpClient from "effect/unstable/http/HttpClient"
import * as HttpClientRequest from "effect/unstable/http/HttpClientRequest"
import * as HttpClientResponse from "effect/unstable/http/HttpClientResponse"
import * as ChildProcess from "effect/unstable/process/ChildProcess"

class StartError extends Data.TaggedError("StartError")<{
  readonly message: string
  readonly cause?: unknown
}> {}

const prompt = "What does an AI gateway do for a Worker?"
const stage = process.env["ALCHEMY_STAGE"] ?? "local"
const patience = Duration.minutes(3)

const Outputs = Schema.fromJsonString(Schema.Struct({
  url: Schema.String,
  gatewayId: Schema.String,
  gatewayUrl: Schema.String
}))

/** Starts `alchemy dev`, shows its progress, and waits until everything is deployed. */
const deploy = Effect.gen(function*() {
  const path = yield* Path.Path
  const root = yield* path.fromFileUrl(new URL("..", import.meta.url))
  const cli = path.join(root, "node_modules", "alchemy", "bin", "cli.js")
  const child = yield* ChildProcess.make(process.execPath, [cli, "dev", "--no-input", "--stage", stage], {
    cwd: root,
    env: { DO_NOT_TRACK: "1" },
    extendEnv: true,
    stdin: "ignore",
    killSignal: "SIGINT",
    forceKillAfter: "10 seconds"
  })

  const deployed = yield* Deferred.make<void, StartError>()
  const lines: Array<string> = []
  const failed = (what: string) =>
    Effect.suspend(() =>
      Deferred.fail(
        deployed,
        new StartError({ message: `${what} What alchemy dev said:\n\n${lines.slice(-20).join("\n")}` })
      )
    )
  yield* child.all.pipe(
    Stream.decodeText,
    Stream.splitLines,
    Stream.runForEach((raw) => {
      const line = raw.replace(/^\[[\d:.]+\] (INFO|WARN) \(#\d+\): /, "")
      // Without an account Alchemy reads one that does not exist, and says that it reads one.
      if (line.trim() === "" || line.startsWith("Cloudflare: using environment variables")) return Effect.void
      // Frames of a stack say nothing to whoever reads this.
      if (!/^\s+at /.test(line)) lines.push(line)
      // Outputs are shown at the end, in our own words.
      const said = /^[{} ]/.test(line) ? Effect.void : Console.log(`  ${line}`)
      if (/\b(ERROR|FATAL)\b/.test(raw) || /\bfailed\b/i.test(line)) {
        // The reason follows in the next lines.
        return Effect.andThen(
          said,
          Effect.forkDetach(Effect.delay(failed("The stack could not be deployed."), "1 second"))
        )
      }
      return line.startsWith("Done:") ? Effect.andThen(said, Deferred.succeed(deployed, undefined)) : said
    }),
    Effect.andThen(failed("alchemy dev stopped before everything was deployed.")),
    Effect.ignore,
    Effect.forkScoped
  )
  yield* Deferred.await(deployed).pipe(Effect.timeoutOrElse({
    duration: patience,
    orElse: () =>
      Effect.fail(
        new StartError({ message: `Nothing was deployed within ${Duration.format(patience)}:\n\n${lines.join("\n")}` })
      )
  }))

  const fs = yield* FileSystem.FileSystem
  const file = path.join(root, ".alchemy", "state", "effect-ai-gateway", stage, "__stack_output__.json")
  return yield* fs.readFileString(file).pipe(
    Effect.flatMap(Schema.decodeUnknownEffect(Outputs)),
    Effect.mapError((cause) => new StartError({ message: `The stack's outputs cannot be read from ${file}`, cause }))
  )
})

/** The Worker is bundled after it is deployed; until then its port refuses connections. */
const untilReady = (url: string) =>
  HttpClient.get(url).pipe(
    Effect.flatMap(HttpClientResponse.filterStatusOk),
    Effect.flatMap((response) => response.text),
    Effect.retry(Schedule.spaced("250 millis")),
    Effect.timeoutOrElse({
      duration: patience,
      orElse: () => Effect.fail(new StartError({ message: `The Worker at ${url} does not answer` }))
    })
  )

const write = (text: string) => Effect.sync(() => process.stdout.write(text))

/** Asks the Worker, and prints every piece of the answer when it comes. */
const ask = (url: string) =>
  HttpClientRequest.get(`${url}/stream`, { urlParams: { prompt } }).pipe(
    HttpClient.execute,
    Effect.flatMap(HttpClientResponse.filterStatusOk),
    Effect.map((response) => response.stream),
    Stream.unwrap,
    Sse.decode,
    Stream.tap((part) => part.type === "text-delta" ? write(part.delta) : Effect.void),
    Stream.runCollect,
    Effect.map(ResponseInfo.of),
    Effect.mapError((cause) =>
      new StartError({ message: `The Worker at ${url} did not answer: ${cause.message}`, cause })
    )
  )

const main = Effect.gen(function*() {
  yield* Console.log("effect-ai-gateway: deploying alchemy.run.ts on this machine\n")
  const outputs = yield* deploy
  const url = outputs.url.replace(/\/$/, "")
  yield* untilReady(url)

  yield* Console.log(`\n> ${prompt}\n`)
  const { logId } = yield* ask(url)

  yield* Console.log(`

  Gateway   ${outputs.gatewayId} at ${outputs.gatewayUrl} (models are simulated there), log entry ${logId}
  Worker    ${url} (open it in a browser), declared in alchemy.run.ts and examples/worker

  curl -N '${url}/stream?prompt=Hello'
  curl '${url}/generate?prompt=Hello'
`)
  if (process.argv.includes("--once")) return
  yield* Console.log("Ctrl+C stops everything.")
  return yield* Effect.never
}).pipe(
  Effect.scoped,
  Effect.tapError((error) => Console.error(`\n${error.message}\n`)),
  Effect.provide(Layer.mergeAll(NodeServices.layer, FetchHttpClient.layer))
)

NodeRuntime.runMain(main, { disableErrorReporting: true })
