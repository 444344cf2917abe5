import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import * as cliFlags from "../src/cliFlags.ts"
import { call } from "./local/talk.ts"
import { temporaryDirectory } from "./local/temporaryFile.ts"
import { gatewayIn, ranIn, runningIn } from "./support/cli.ts"

const fileOf = (content: unknown) =>
  Effect.map(temporaryDirectory, (directory) => {
    const file = join(directory, "gateway.json")
    writeFileSync(file, typeof content === "string" ? content : JSON.stringify(content))
    return file
  })

const chat = (url: string, account: string, token: string, path: string) =>
  call(`${url}/v1/${account}/${path}/chat/completions`, {
    headers: { "cf-aig-authorization": `Bearer ${token}`, authorization: "Bearer sk-leads-nowhere" },
    body: { model: "m", messages: [{ role: "user", content: "hi" }] }
  })

const accounts = { flag: "f".repeat(32), variable: "e".repeat(32), file: "a".repeat(32) }

describe("settings of effect-ai-gateway local", () => {
  it.live("come from a flag, else from the environment, else from the file", () =>
    Effect.gen(function*() {
      const file = yield* fileOf({
        port: 0,
        store: ":memory:",
        accountId: accounts.file,
        token: "of-the-file",
        offline: true
      })
      const account = (env: { readonly [name: string]: string }, ...args: ReadonlyArray<string>) =>
        Effect.scoped(Effect.map(gatewayIn(env, ...args), ({ ready }) => ready.accountId))
      const env = { AI_GATEWAY_CONFIG: file, AI_GATEWAY_ACCOUNT: accounts.variable }
      assert.strictEqual(yield* account(env, "--account", accounts.flag), accounts.flag)
      assert.strictEqual(yield* account(env), accounts.variable)
      assert.strictEqual(yield* account({ ...env, AI_GATEWAY_ACCOUNT: "" }), accounts.file)
      assert.strictEqual(yield* account({}, "--config", file), accounts.file)
      // A switch can be turned off where the file turns it on.
      const ups = yield* fileOf({ upstreams: { openai: "http://127.0.0.1:9", groq: "simulated" }, offline: true })
      const common = ["--config", ups, "--port", "0", "--store", ":memory:", "--token", "t"] as const
      const { ready: { accountId, url } } = yield* gatewayIn(
        { AI_GATEWAY_UPSTREAM: "groq=simulated, openai=simulated" },
        ...common
      )
      for (const provider of ["openai", "groq"]) {
        const { headers, status } = yield* chat(url, accountId, "t", `default/${provider}`)
        assert.deepStrictEqual([status, headers["x-simulated"]], [200, "true"], provider)
      }
      const offline = yield* ranIn({}, "local", ...common, "--upstream", "openai=live")
      assert.include(offline.err, "--upstream is \"openai=live\", expected a URL or simulated")
      const off = yield* gatewayIn({ AI_GATEWAY_OFFLINE: "no" }, ...common, "--upstream", "openai=live")
      assert.strictEqual(off.ready.ready, true)
    }))

  it.live("in a file make gateways that do not exist, and leave alone those that do", () =>
    Effect.gen(function*() {
      const directory = yield* temporaryDirectory
      const file = join(directory, "gateway.json")
      const write = (cache_ttl: number) =>
        writeFileSync(
          file,
          JSON.stringify({
            port: 0,
            store: join(directory, "gateway.db"),
            token: "t",
            gateways: [{ id: "demo", cache_ttl }, { id: "open", authentication: false, rate_limiting_limit: null }]
          })
        )
      const started = Effect.scoped(Effect.gen(function*() {
        const { child, ended, ready: { accountId, url } } = yield* gatewayIn({}, "--config", file)
        const answer = yield* call(`${url}/client/v4/accounts/${accountId}/ai-gateway/gateways?order_by=id`, {
          headers: { authorization: "Bearer t" }
        })
        assert.strictEqual((yield* chat(url, accountId, "", "open/openai")).headers["cf-aig-step"], "0")
        child.kill("SIGTERM")
        yield* Effect.promise(() => ended)
        return Object.fromEntries(
          answer.json.result.map((_: { id: string; cache_ttl: number; collect_logs: boolean }) => [
            _.id,
            [_.cache_ttl, _.collect_logs]
          ])
        )
      }))
      write(300)
      assert.deepStrictEqual(yield* started, { demo: [300, true], open: [0, true] })
      write(600)
      assert.deepStrictEqual(yield* started, { demo: [300, true], open: [0, true] })
    }))

  it.live("that are wrong are named all at once, each where it was written, and no secret is among them", () =>
    Effect.gen(function*() {
      const file = yield* fileOf({
        port: "http",
        prot: 1,
        token: { its: "secret-of-the-file" },
        redis: 123456789,
        cacheLimit: -1,
        clientTimeout: "soon",
        upstreams: { openai: 5 },
        offline: "yes",
        gateways: [{ id: "Demo", cache_ttl: 5 }, { id: "ok" }, { id: "ok" }],
        guardrails: { violent: {} },
        dlpProfiles: { x: { uses: ["nobody"] } }
      })
      const { code, err, out } = yield* ranIn(
        { AI_GATEWAY_ALLOW_PRIVATE_UPSTREAMS: "maybe", AI_GATEWAY_TOKEN: "secret-of-the-environment" },
        "local",
        "--json",
        "--config",
        file,
        "--port",
        "1x",
        "--body-limit",
        "0"
      )
      assert.deepStrictEqual([code, out], [1, ""])
      for (
        const line of [
          "16 settings are wrong:",
          "--port is \"1x\", expected a whole number from 0 to 65535",
          "--body-limit is 0, expected a whole number from 1 to 2048 MiB",
          "AI_GATEWAY_ALLOW_PRIVATE_UPSTREAMS is \"maybe\", expected true or false",
          `port in ${file} is "http", expected a whole number from 0 to 65535`,
          `prot in ${file} is no setting, expected one of host, port, `,
          `token in ${file} is an object, expected a text that is not empty`,
          `redis in ${file} is <redacted>, expected a URL`,
          `cacheLimit in ${file} is -1, expected a whole number from 0 to 999999 MiB`,
          `clientTimeout in ${file} is "soon", expected 1 to 86400 seconds`,
          `upstreams.openai in ${file} is 5, expected a URL, live or simulated`,
          `offline in ${file} is "yes", expected true or false`,
          `gateways[0].cache_ttl in ${file}: expected a whole number from 60 to `,
          `gateways[0].id in ${file}: expected 1 to 64 characters`,
          `gateways[2].id in ${file}: "ok" is in the list twice`,
          `guardrails.violent in ${file} `,
          `dlpProfiles.x.uses[0] in ${file} is "nobody", expected a profile out of`
        ]
      ) assert.include(err, line)
      assert.notInclude(err, "secret-of")
      assert.notInclude(err, "123456789")
    }))

  it.live("that only the gateway can judge are named by flag, variable or place in the file, too", () =>
    Effect.gen(function*() {
      const file = yield* fileOf({ host: "0.0.0.0", upstreams: { openai: "soon" }, redis: "secret://a:b@c" })
      const cases: ReadonlyArray<readonly [{ readonly [name: string]: string }, ReadonlyArray<string>, string]> = [
        [{}, ["--config", file], `host in ${file} is "0.0.0.0", expected a loopback address, or an explicit token`],
        [{ AI_GATEWAY_HOST: "0.0.0.0" }, [], "AI_GATEWAY_HOST is \"0.0.0.0\", expected a loopback address"],
        [{}, ["--config", file, "--host", "::1"], `redis in ${file} is "<redacted>", expected redis://HOST`],
        [
          { AI_GATEWAY_REDIS: "redis://127.0.0.1:1" },
          ["--config", file, "--host", "::1"],
          `upstreams.openai in ${file} is "soon", expected an http:// or https:// URL`
        ],
        [{ AI_GATEWAY_UPSTREAM: "openai=later" }, [], "AI_GATEWAY_UPSTREAM is \"openai=later\", expected an http"],
        [{ AI_GATEWAY_STORE: "/dev/null/x.db" }, [], "(AI_GATEWAY_STORE)"],
        [{ AI_GATEWAY_JSON: "maybe" }, [], "AI_GATEWAY_JSON is \"maybe\", expected true or false"]
      ]
      const results = yield* Effect.forEach(cases, ([env, args]) => ranIn(env, "local", ...args), { concurrency: 2 })
      results.forEach(({ code, err }, i) => {
        assert.strictEqual(code, 1)
        assert.include(err, String(cases[i]?.[2]))
        assert.notInclude(err, "a:b@c")
      })
    }))

  it.live("in a file that is missing, no JSON or no object say which file, and what to do", () =>
    Effect.gen(function*() {
      const broken = yield* fileOf("{\"token\":\"secret-of-the-file\" x}")
      const list = yield* fileOf([])
      const cases: ReadonlyArray<readonly [string, ReadonlyArray<string>]> = [
        ["/nowhere.json", ["cannot read /nowhere.json", "NotFound", "leave out --config"]],
        [broken, [broken, "cannot be read as JSON at position", "write an object"]],
        [list, [list, "is not an object", "write one such as"]]
      ]
      for (const [file, words] of cases) {
        const { code, err } = yield* ranIn({}, "local", "--config", file)
        assert.strictEqual(code, 1)
        for (const word of words) assert.include(err, word)
        assert.notInclude(err, "secret-of-the-file")
      }
    }))

  it.live("say in the welcome where the token is; the README and the help have all of them, with variables and a file that works", () =>
    Effect.gen(function*() {
      const env = { AI_GATEWAY_TOKEN: "secret-of-the-environment", AI_GATEWAY_PORT: "0", AI_GATEWAY_STORE: ":memory:" }
      const { line } = yield* runningIn(env, "local")
      const text = yield* Effect.promise(() => line)
      assert.include(text, "as AI_GATEWAY_TOKEN says")
      assert.notInclude(text, "secret-of-the-environment")
      const { out } = yield* ranIn({}, "local", "--help")
      const readme = readFileSync(new URL("../README.md", import.meta.url), "utf8")
      const names = [...out.matchAll(/^ +--([a-z-]+) .*\[(AI_GATEWAY_\w+)\]$/gm)]
      assert.lengthOf(names, Object.keys(cliFlags.flags).length)
      const [, example = ""] = /^```json\n(\{\n {2}"port"[^]*?)^```/m.exec(readme) ?? []
      const shown = yield* gatewayIn({}, "--config", yield* fileOf(example), "--port", "0", "--store", ":memory:")
      assert.strictEqual(shown.ready.ready, true)
      for (const [, flag = "", variable] of names) {
        assert.strictEqual(variable, cliFlags.variableOf(flag))
        assert.include(readme, `\`--${flag}`)
      }
    }))
})
