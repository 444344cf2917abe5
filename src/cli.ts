#!/usr/bin/env node
/**
 * The command `effect-ai-gateway`: runs the local gateway until it is told to stop, or prints a gateway as code.
 *
 * @since 0.1.0
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as NodeServices from "@effect/platform-node/NodeServices"
import * as Cause from "effect/Cause"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as Runtime from "effect/Runtime"
import * as Schema from "effect/Schema"
import * as Command from "effect/unstable/cli/Command"
import { createRequire } from "node:module"
import { command as importCommand } from "./cliImport.ts"
import { command as localCommand } from "./cliLocal.ts"
import { oneLine } from "./resource/readGateway.ts"

const root = Command.make("effect-ai-gateway").pipe(
  Command.withDescription("An Effect-native Cloudflare AI Gateway"),
  Command.withSubcommands([localCommand, importCommand])
)

const version = Schema.decodeUnknownSync(Schema.Struct({ version: Schema.String }))(
  createRequire(import.meta.url)("../package.json")
).version

root.pipe(
  Command.run({ version }),
  // Failures that are foreseen are said where they come from; a mistake of this program must not end it in silence.
  Effect.tapCause((cause) =>
    Cause.hasDies(cause)
      ? Console.error(`Something went wrong here: ${oneLine(String(Cause.squash(cause)))}`)
      : Effect.void
  ),
  // Standard output belongs to the answer of the command; what happens meanwhile goes to the other stream.
  Effect.provide(Layer.mergeAll(NodeServices.layer, Logger.layer([Logger.withConsoleError(Logger.formatLogFmt)]))),
  NodeRuntime.runMain({
    disableErrorReporting: true,
    // A gateway that was told to stop has done its work.
    teardown: (exit, onExit) =>
      Exit.isFailure(exit) && Cause.hasInterruptsOnly(exit.cause) ? onExit(0) : Runtime.defaultTeardown(exit, onExit)
  })
)
