/** A chat that shows each answer as it comes; a POST has no EventSource, so the events are read from its body. */
export const page = `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Chat</title>
<style>
  body { font: 1rem/1.5 system-ui, sans-serif; max-width: 42rem; margin: 2rem auto; padding: 0 1rem }
  form { display: flex; gap: .5rem; flex-wrap: wrap }
  textarea { flex: 1 1 100%; font: inherit; padding: .5rem; box-sizing: border-box }
  select { flex: 1 } select, button { font: inherit; padding: .4rem .8rem }
  article { margin: 1rem 0; white-space: pre-wrap } article.question { font-weight: 600 }
  small { display: block; color: #595959; font-weight: 400 } small.failed { color: #a40000 }
</style>
<h1>Chat</h1>
<main aria-live="polite"></main>
<form>
  <textarea name="prompt" aria-label="Question" rows="3" required maxlength="4000" autofocus></textarea>
  <select name="model" aria-label="Model">
    <option value="">Claude, else GPT-4o</option>
    <option>openai/gpt-4o-mini</option>
    <option>@cf/meta/llama-3.1-8b-instruct</option>
  </select>
  <button>Ask</button>
</form>
<script type="module">
  const form = document.querySelector("form")
  const add = (kind, text = "") => {
    const article = document.querySelector("main").appendChild(document.createElement("article"))
    article.className = kind
    const said = article.appendChild(document.createElement("span"))
    said.textContent = text
    return { said, note: article.appendChild(document.createElement("small")) }
  }
  async function* events(body) {
    let rest = ""
    for await (const text of body.pipeThrough(new TextDecoderStream())) {
      const blocks = (rest + text).split("\\n\\n")
      rest = blocks.pop()
      for (const block of blocks) {
        const data = /^data: ?(.*)$/m.exec(block)?.[1]
        if (data?.startsWith("{")) yield JSON.parse(data)
      }
    }
  }
  const ask = async (prompt, model) => {
    const { note, said } = add("answer")
    const fail = (why) => { note.textContent = why; note.className = "failed" }
    try {
      const response = await fetch("/chat", {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify({ prompt, stream: true, ...(model ? { model } : {}) })
      })
      if (!response.ok) return fail(response.status === 429
        ? "Too many questions; the next one in " + response.headers.get("retry-after") + " seconds"
        : (await response.json()).error)
      let isWhole = false
      for await (const part of events(response.body)) {
        if (part.type === "text-delta") said.textContent += part.delta
        else if (part.type === "error") return fail(part.error.message)
        else if (part.type === "finish") {
          isWhole = true
          const { aiGateway, responseCache } = part.metadata
          note.textContent = aiGateway?.provider + "/" + aiGateway?.model + ", " + part.usage.outputTokens.total +
            " tokens" + (responseCache?.cached ? ", from the cache" : "")
        }
      }
      if (!isWhole) fail("The answer was cut")
    } catch (error) {
      fail(String(error))
    }
  }
  form.onsubmit = async (event) => {
    event.preventDefault()
    const { model, prompt } = Object.fromEntries(new FormData(form))
    form.prompt.value = ""
    form.querySelector("button").disabled = true
    add("question", prompt)
    await ask(prompt, model)
    form.querySelector("button").disabled = false
    form.prompt.focus()
  }
  form.prompt.onkeydown = (event) => {
    if (event.key === "Enter" && !event.shiftKey) { event.preventDefault(); form.requestSubmit() }
  }
</script>
</html>
`
