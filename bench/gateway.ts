/**
 * The local gateway as a proxy, beside Portkey's gateway and a bare `node:http` proxy, in front of one upstream on this
 * machine: JSON answers, cache hits, the first byte of streams, and 1,000 streams at once.
 *
 * `npm run build && node bench/gateway.ts [seconds] [rounds]`; subjects are interleaved, medians and ratios of one run are printed. Needs
 * `wrk` (Debian's package); Portkey's gateway is installed into `bench/peers` at the first run.
 *
 * Ours has all on: authentication, a cache that is looked up and written to (each request is another one), a rate limit, a
 * spend limit, and a log entry with both texts in a SQLite file for every request. Portkey's has nothing on: its package
 * for Node logs nothing, and its `simple` cache is not connected there (its answers say `DISABLED`).
 */
import { execFile, execFileSync, spawn } from "node:child_process"
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { Agent, createServer, get, request, type RequestOptions } from "node:http"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { promisify } from "node:util"

const root = fileURLToPath(new URL("..", import.meta.url))
const peers = join(root, "bench/peers")
const portkey = join(peers, "node_modules/@portkey-ai/gateway/build/start-server.js")
const account = "0".repeat(32)
const token = "bench"
const run = promisify(execFile)

const answer = JSON.stringify({
  id: "chatcmpl-1",
  object: "chat.completion",
  created: 1,
  model: "gpt-4o-mini",
  choices: [{ index: 0, message: { role: "assistant", content: "word ".repeat(150) }, finish_reason: "stop" }],
  usage: { prompt_tokens: 20, completion_tokens: 150, total_tokens: 170 }
})

const event = (content: string) =>
  `data: ${
    JSON.stringify({ id: "1", object: "chat.completion.chunk", choices: [{ index: 0, delta: { content } }] })
  }\n\n`

/** Streams have 200 events, each a millisecond after the one before; `hold` in the prompt keeps them open until `/go`. */
const upstream = () => {
  const held = new Set<() => void>()
  const server = createServer((request, response) => {
    if (request.url === "/go") {
      for (const finish of held) finish()
      held.clear()
      return void response.end()
    }
    if (request.url === "/held") return void response.end(String(held.size))
    let body = ""
    request.on("data", (chunk) => (body += String(chunk)))
    request.on("end", () => {
      if (!body.includes("\"stream\":true")) {
        return void response.writeHead(200, { "content-type": "application/json" }).end(answer)
      }
      response.writeHead(200, { "content-type": "text/event-stream" })
      response.write(event(`${Date.now()}`))
      const finish = () => {
        let n = 1
        const next = () => {
          if (n++ >= 200) return void response.end("data: [DONE]\n\n")
          response.write(event(`word${n} `))
          setTimeout(next, 1)
        }
        next()
      }
      if (body.includes("hold")) held.add(finish)
      else finish()
    })
  })
  server.listen(0, "127.0.0.1", () => tell(server.address()))
}

/** What a proxy costs that does nothing but pass on; on `/cached` it answers from memory. */
const bare = (port: number) => {
  const agent = new Agent({ keepAlive: true, maxSockets: 1024 })
  const server = createServer((incoming, outgoing) => {
    if (incoming.url === "/cached") {
      incoming.resume()
      return void incoming.on("end", () => outgoing.writeHead(200, { "content-type": "application/json" }).end(answer))
    }
    const { headers, method, url } = incoming
    incoming.pipe(
      request({ agent, host: "127.0.0.1", port, path: url, method, headers } as RequestOptions, (response) => {
        outgoing.writeHead(response.statusCode ?? 502, response.headers)
        response.pipe(outgoing)
      })
    )
  })
  server.listen(0, "127.0.0.1", () => tell(server.address()))
}

const tell = (address: unknown) =>
  process.send?.(typeof address === "object" && address !== null && "port" in address ? address.port : undefined)

const children: Array<ReturnType<typeof spawn>> = []

const forked = (what: string, ...args: ReadonlyArray<string>) =>
  new Promise<number>((resolve) => {
    const child = spawn(process.execPath, [fileURLToPath(import.meta.url), what, ...args], {
      stdio: ["ignore", "inherit", "inherit", "ipc"]
    })
    children.push(child)
    child.once("message", (port) => resolve(Number(port)))
  })

/** What it asks, and how: a URL below which the chat endpoint is, and headers. */
interface Subject {
  readonly url: string
  readonly headers: { readonly [name: string]: string }
  readonly pid?: number | undefined
}

const startOurs = async (port: number, folder: string): Promise<{ readonly base: string; readonly pid: number }> => {
  const child = spawn(process.execPath, [
    // As it is installed: Node's stripping of types alone takes tens of megabytes.
    join(root, "lib/cli.js"),
    "local",
    "--json",
    "--port=0",
    `--store=${join(folder, `${children.length}.db`)}`,
    `--token=${token}`,
    `--upstream=openai=http://127.0.0.1:${port}/v1`
  ], { stdio: ["ignore", "pipe", "inherit"] })
  children.push(child)
  const line = await new Promise<string>((resolve) => child.stdout.once("data", (data) => resolve(String(data))))
  const { url }: { readonly url: string } = JSON.parse(line)
  const made = await fetch(`${url}/client/v4/accounts/${account}/ai-gateway/gateways`, {
    method: "POST",
    headers: { authorization: `Bearer ${token}` },
    body: JSON.stringify({
      id: "bench",
      authentication: true,
      cache_ttl: 3600,
      cache_invalidate_on_update: false,
      collect_logs: true,
      rate_limiting_interval: 60,
      rate_limiting_limit: 1_000_000_000,
      rate_limiting_technique: "sliding",
      spend_limits: {
        enabled: true,
        rules: [{ id: "all", limit: 50_000, limitType: "cost", technique: "sliding", window: 86_400 }]
      }
    })
  })
  if (!made.ok) throw new Error(await made.text())
  return { base: `${url}/v1/${account}/bench/openai`, pid: child.pid ?? 0 }
}

const startPortkey = async (port: number): Promise<number> => {
  if (!existsSync(portkey)) {
    execFileSync("npm", ["ci", "--ignore-scripts", "--prefix", peers], { stdio: "inherit" })
  }
  const taken = createServer().listen(0, "127.0.0.1")
  await new Promise((resolve) => taken.once("listening", resolve))
  const address = taken.address()
  const free = typeof address === "object" && address !== null ? address.port : port
  await new Promise((resolve) => taken.close(resolve))
  children.push(spawn(process.execPath, [portkey, `--port=${free}`, "--headless"], { stdio: "ignore", cwd: peers }))
  for (let i = 0; i < 100; i++) {
    if (await fetch(`http://127.0.0.1:${free}/`).then(() => true, () => false)) return free
    await new Promise((resolve) => setTimeout(resolve, 100))
  }
  throw new Error("Portkey's gateway did not start")
}

interface Load {
  readonly rate: number
  /** Milliseconds. */
  readonly p50: number
  readonly p99: number
}

/** `unique`: each request asks something else. */
const load = async (
  subject: Subject,
  options: { readonly connections: number; readonly seconds: number; readonly unique: boolean; readonly folder: string }
): Promise<Load> => {
  const script = join(options.folder, "load.lua")
  const headers = Object.entries({ "content-type": "application/json", ...subject.headers })
    .map(([name, value]) => `wrk.headers[${JSON.stringify(name)}] = ${JSON.stringify(value)}`)
  const prompt = options.unique ? `" .. n .. " ${Date.now()}` : "the same"
  writeFileSync(
    script,
    `wrk.method = "POST"\n${headers.join("\n")}\nlocal n = 0\nlocal pad = string.rep("context ", 100)\n` +
      `function request()\n  n = n + 1\n  return wrk.format(nil, nil, nil, '{"model":"gpt-4o-mini","messages":[` +
      `{"role":"user","content":"' .. pad .. '${prompt.replaceAll("\"", "'")}"}]}')\nend\n` +
      "function done(summary, latency)\n  io.write(string.format('RESULT %d %d %d %d %d\\n', summary.requests, " +
      "summary.duration, latency:percentile(50), latency:percentile(99), summary.errors.status + " +
      "summary.errors.connect + summary.errors.read + summary.errors.timeout))\nend\n"
  )
  const { stdout } = await run("wrk", [
    "-t1",
    `-c${options.connections}`,
    `-d${options.seconds}s`,
    "-s",
    script,
    subject.url
  ])
  const [requests = 0, micros = 0, p50 = 0, p99 = 0, errors = 0] = (/RESULT (.*)/.exec(stdout)?.[1] ?? "").split(" ")
    .map(Number)
  if (requests === 0 || errors > 0) throw new Error(`${subject.url}: ${errors} of ${requests} failed\n${stdout}`)
  return { rate: requests / (micros / 1e6), p50: p50 / 1000, p99: p99 / 1000 }
}

/** Opens a stream; tells when its first byte came, and when it is over. */
const stream = ({ headers, url }: Subject, prompt: string, agent: Agent) => {
  let onFirst: (milliseconds: number) => void = () => undefined
  const first = new Promise<number>((resolve) => (onFirst = resolve))
  const whole = new Promise<number>((resolve, reject) => {
    const started = performance.now()
    let bytes = 0
    const asked = request(url, { method: "POST", agent, headers: { "content-type": "application/json", ...headers } })
    asked.on("error", reject)
    asked.on("response", (response) => {
      response.on("data", (chunk: Buffer) => {
        if (bytes === 0) onFirst(performance.now() - started)
        bytes += chunk.length
      })
      response.on("error", reject)
      response.on("end", () => resolve(bytes))
    })
    asked.end(`{"model":"gpt-4o-mini","stream":true,"messages":[{"role":"user","content":"${prompt}"}]}`)
  })
  return { first, whole }
}

const median = (values: ReadonlyArray<number>) => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0

/** In MB: now, or the most that it ever was. */
const memoryOf = (pid: number, field: "VmRSS" | "VmHWM" = "VmRSS") => {
  const status = readFileSync(`/proc/${pid}/status`, "utf8")
  return (Number(new RegExp(`${field}:\\s+(\\d+)`).exec(status)?.[1] ?? 0) / 1024).toFixed(0)
}

const text = (url: string) =>
  new Promise<string>((resolve) =>
    get(url, (response) => {
      let body = ""
      response.on("data", (chunk) => (body += String(chunk)))
      response.on("end", () => resolve(body))
    })
  )

const main = async (seconds: number, rounds: number) => {
  const folder = mkdtempSync(join(tmpdir(), "bench-gateway-"))
  try {
    const port = await forked("upstream")
    const ours = await startOurs(port, folder)
    const portkeyPort = await startPortkey(port)
    const barePort = await forked("bare", String(port))
    const key = { authorization: "Bearer sk-bench-0123456789" }
    const chat = "/v1/chat/completions"
    const mine: Subject = {
      url: `${ours.base}/chat/completions`,
      headers: { ...key, "cf-aig-authorization": `Bearer ${token}` },
      pid: ours.pid
    }
    const theirs: Subject = {
      url: `http://127.0.0.1:${portkeyPort}${chat}`,
      headers: { ...key, "x-portkey-provider": "openai", "x-portkey-custom-host": `http://127.0.0.1:${port}/v1` }
    }
    const subjects: ReadonlyArray<readonly [string, Subject]> = [
      ["direct", { url: `http://127.0.0.1:${port}${chat}`, headers: key }],
      ["bare node:http", { url: `http://127.0.0.1:${barePort}${chat}`, headers: key }],
      ["ours, all on", mine],
      ["Portkey", theirs]
    ]
    const table = async (
      title: string,
      connections: number,
      unique: boolean,
      compared: ReadonlyArray<readonly [string, Subject]>
    ) => {
      const results = new Map<string, Array<Load>>(compared.map(([name]) => [name, []]))
      for (const [, subject] of compared) await load(subject, { connections, seconds: 1, unique, folder })
      for (let round = 0; round < rounds; round++) {
        for (const [name, subject] of compared) {
          results.get(name)?.push(await load(subject, { connections, seconds, unique, folder }))
        }
      }
      const of = (name: string, field: keyof Load) => median((results.get(name) ?? []).map((_) => _[field]))
      console.log(`\n${title}, ${connections} connection${connections === 1 ? "" : "s"}`)
      for (const [name] of compared) {
        console.log(
          `  ${name.padEnd(16)} ${of(name, "rate").toFixed(0).padStart(7)} requests/s` +
            `  ${(of(name, "rate") / of("Portkey", "rate")).toFixed(1).padStart(5)} x Portkey` +
            `  p50 ${of(name, "p50").toFixed(2).padStart(6)} ms  p99 ${of(name, "p99").toFixed(1).padStart(6)} ms`
        )
      }
      return of
    }

    for (const connections of [1, 16, 64]) {
      const of = await table("JSON", connections, true, subjects)
      if (connections > 1) continue
      const added = (name: string) => of(name, "p50") - of("direct", "p50")
      console.log(
        `  added median latency: ours ${added("ours, all on").toFixed(2)} ms, Portkey ${
          added("Portkey").toFixed(2)
        } ms: ` +
          `${(added("ours, all on") / added("Portkey")).toFixed(2)} of Portkey's`
      )
    }
    for (const connections of [1, 64]) {
      await table("Cache hits", connections, false, [
        ["bare, in memory", { url: `http://127.0.0.1:${barePort}/cached`, headers: {} }],
        ["ours, hits", mine],
        ["Portkey", {
          ...theirs,
          headers: { ...theirs.headers, "x-portkey-config": "{\"cache\":{\"mode\":\"simple\",\"max_age\":600}}" }
        }]
      ])
    }

    console.log("\nThe first byte of a stream, one at a time, medians")
    const agent = new Agent({ keepAlive: true, maxSockets: 2000 })
    const firsts = new Map<string, Array<number>>()
    for (let i = 0; i < 30 * rounds; i++) {
      for (const [name, subject] of subjects) {
        const { first, whole } = stream(subject, `stream ${i} ${Date.now()}`, agent)
        firsts.set(name, [...(firsts.get(name) ?? []), await first])
        await whole
      }
    }
    const direct = median(firsts.get("direct") ?? [])
    for (const [name, values] of firsts) {
      console.log(
        `  ${name.padEnd(16)} ${median(values).toFixed(2).padStart(7)} ms, ${
          (median(values) - direct).toFixed(2)
        } after the ` +
          "upstream's"
      )
    }

    const streams = 1000
    // In a gateway of its own: after the load above one has hundreds of megabytes of heap that V8 has not given back.
    const fresh = await startOurs(port, folder)
    const before = memoryOf(fresh.pid)
    const its = { ...mine, url: `${fresh.base}/chat/completions` }
    const open = Array.from({ length: streams }, (_, i) => stream(its, `hold ${i}`, agent))
    await Promise.all(open.map((_) => _.first))
    const held = Number(await text(`http://127.0.0.1:${port}/held`))
    const during = memoryOf(fresh.pid)
    await text(`http://127.0.0.1:${port}/go`)
    const bytes = await Promise.all(open.map((_) => _.whole))
    console.log(
      `\n${streams} streams at once through ours: ${held} open, resident memory ${before} MB before, ${during} MB with all ` +
        `open, ${memoryOf(fresh.pid, "VmHWM")} MB at most; ${
          new Set(bytes).size === 1 ? "all" : "NOT ALL"
        } of one length\n` +
        `After the load above the gateway that took it has ${memoryOf(ours.pid)} MB`
    )
    agent.destroy()
  } finally {
    for (const child of children) child.kill()
    rmSync(folder, { recursive: true, force: true })
  }
}

const [what, more] = process.argv.slice(2)
if (what === "upstream") upstream()
else if (what === "bare") bare(Number(more))
else await main(Number(what ?? 5), Number(more ?? 3))
