/**
 * The log page at `/`: its HTML, its style and its modules, from a fixed list of files; what it reads is below `/page`.
 *
 * The browser gets native modules: ours as TypeScript compiled them, or with their types stripped when the package runs
 * from its source, and lit-html's own files. Nothing of a request reaches the file system.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as HttpRouter from "effect/unstable/http/HttpRouter"
import type * as HttpServerRequest from "effect/unstable/http/HttpServerRequest"
import * as HttpServerResponse from "effect/unstable/http/HttpServerResponse"
import { createHash } from "node:crypto"
import { readFileSync } from "node:fs"
import { createRequire, stripTypeScriptTypes } from "node:module"
import { dirname, join } from "node:path"
import { fileURLToPath } from "node:url"
import type { GatewayStore } from "./GatewayStore.ts"
import type { LogStore } from "./LogStore.ts"
import { css } from "./page/style.ts"
import * as PageApi from "./PageApi.ts"
import type { Site } from "./Site.ts"

/**
 * The page, its files and its data.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (
  options: PageApi.Options & {
    /** What programs that want no HTML get at `/`. */
    readonly about: string
  }
): Layer.Layer<never, never, HttpRouter.HttpRouter | Site | GatewayStore | LogStore> =>
  Layer.merge(
    PageApi.layer(options),
    HttpRouter.use(Effect.fnUntraced(function*(router) {
      yield* router.add("GET", "/", (request) =>
        Effect.sync(() =>
          wantsHtml(request)
            ? respond(html, "text/html; charset=utf-8", { "content-security-policy": policy, vary: "accept" })
            : HttpServerResponse.text(options.about, { headers: { vary: "accept" } })
        ))
      // Read when the first browser comes: most gateways are never looked at.
      const texts = yield* Effect.cached(Effect.sync(() => new Map(files().map((file) => [file.path, file]))))
      yield* router.add("GET", `${root}/*`, (request) =>
        Effect.map(texts, (texts) => {
          const file = texts.get(request.url.split("?")[0] ?? "")
          return file === undefined
            ? HttpServerResponse.text("The log page has no such file", { status: 404 })
            : respond(file.text, file.contentType)
        }))
    }))
  )

/**
 * A file of the page.
 *
 * @category models
 * @since 0.1.0
 */
export interface File {
  readonly path: string
  readonly contentType: string
  readonly text: string
}

/**
 * Every file that the page loads, read once.
 *
 * @category getters
 * @since 0.1.0
 */
export const files = (): ReadonlyArray<File> => {
  const script = "text/javascript; charset=utf-8"
  const here = dirname(fileURLToPath(import.meta.url))
  const ours = modules.map((name): File => {
    const text = readFileSync(join(here, "page", `${name}${extension}`), "utf8")
    return {
      path: `${root}/${name}${extension}`,
      contentType: script,
      text: bare(isSource ? stripTypeScriptTypes(text) : text)
    }
  })
  // The main file is in `node/`, which is not for browsers; the others are beside that folder.
  const lit = join(dirname(createRequire(import.meta.url).resolve("lit-html/directives/repeat.js")), "..", "..")
  const theirs = litFiles.map((name): File => ({
    path: `${root}/lit-html/${name}`,
    contentType: script,
    text: bare(readFileSync(join(lit, name), "utf8"))
  }))
  return [{ path: `${root}/style.css`, contentType: "text/css; charset=utf-8", text: css }, ...ours, ...theirs]
}

const root = "/page/files"

const modules = ["main", "api", "address", "bodies", "charts", "detail", "format", "list", "view"]

const litFiles = ["lit-html.js", "directive.js", "directive-helpers.js", "directives/repeat.js", "directives/live.js"]

const isSource = import.meta.url.endsWith(".ts")

const extension = isSource ? ".ts" : ".js"

/** Without the documentation and the erased types' blanks, and without the name of a map, which is not served. */
const bare = (text: string) =>
  text.replace(/^\/\*\*(?! *\n \* @license)[^]*?\*\/\n|^\/\/# sourceMappingURL=.*$/gm, "").replace(/[ \t]+$/gm, "")
    .replace(/\n{2,}/g, "\n")

const importMap = JSON.stringify({
  imports: { "lit-html": `${root}/lit-html/lit-html.js`, "lit-html/": `${root}/lit-html/` }
})

const policy = [
  "default-src 'none'",
  `script-src 'self' 'sha256-${createHash("sha256").update(importMap).digest("base64")}'`,
  "style-src 'self'",
  "connect-src 'self'",
  "img-src data:",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
  // Text never becomes markup: only lit-html may make templates, out of those in our modules.
  "require-trusted-types-for 'script'",
  "trusted-types lit-html"
].join("; ")

const icon = "data:image/svg+xml," + encodeURIComponent(
  "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'><rect width='16' height='16' rx='4' fill='#4338ca'/>" +
    "<path d='M4 11V8M8 11V4M12 11V6' stroke='#fff' stroke-width='2' stroke-linecap='round'/></svg>"
)

/**
 * @category constants
 * @since 0.1.0
 */
export const html = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>AI Gateway log</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<link rel="icon" href="${icon}">
<link rel="stylesheet" href="${root}/style.css">
<script type="importmap">${importMap}</script>
<script type="module" src="${root}/main${extension}"></script>
</head>
<body>
<noscript>This page needs JavaScript. The same entries are at /client/v4/accounts/{account}/ai-gateway/gateways/{gateway}/logs.</noscript>
<div id="page"></div>
</body>
</html>
`

const wantsHtml = (request: HttpServerRequest.HttpServerRequest) =>
  /(^|,)\s*text\/html\s*(;|,|$)/i.test(request.headers["accept"] ?? "")

const respond = (text: string, contentType: string, headers: { readonly [name: string]: string } = {}) =>
  HttpServerResponse.text(text, {
    contentType,
    headers: {
      "cache-control": "no-cache",
      "x-content-type-options": "nosniff",
      "referrer-policy": "no-referrer",
      "cross-origin-resource-policy": "same-origin",
      ...headers
    }
  })
