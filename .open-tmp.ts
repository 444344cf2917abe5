import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Database from "./src/local/Database.ts"
const at = Number(process.argv[3])
while (Date.now() < at);
const t0 = Date.now()
const exit = await Effect.runPromiseExit(Effect.scoped(Layer.build(Database.layer(process.argv[2]!))))
console.log(Date.now() - t0, exit._tag === "Success" ? "ok" : String(exit.cause))
