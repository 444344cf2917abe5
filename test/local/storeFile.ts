/**
 * A store in a file, as the processes that have it open see it.
 */
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as CacheDatabase from "../../src/local/CacheDatabase.ts"
import * as Database from "../../src/local/Database.ts"
import * as WriterThread from "../../src/local/WriterThread.ts"
import { temporaryFile } from "./temporaryFile.ts"

/** The thread of a store in a file, whose tables are there. */
export const threadOf = (file: string) =>
  Layer.provideMerge(WriterThread.layer(file), CacheDatabase.layer(file)).pipe(
    Layer.provide(Database.layer(file))
  )

/** A service of a store in a file, as one process has it, and as two have it on one file. */
export const onFile = <I, Store>(service: Context.Service<I, Store>, layerOf: (file: string) => Layer.Layer<I>) => {
  const use = <A, E>(file: string, f: (store: Store) => Effect.Effect<A, E>) =>
    Effect.flatMap(service, f).pipe(Effect.provide(layerOf(file), { local: true }))
  const useTwo = <A, E>(f: (one: Store, other: Store, file: string) => Effect.Effect<A, E>) =>
    Effect.flatMap(temporaryFile, (file) => use(file, (one) => use(file, (other) => f(one, other, file))))
  return { use, useTwo }
}
