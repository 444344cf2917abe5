/** A page that streams an answer into view, with nothing but the browser's own EventSource. */
export const page = `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>effect-ai-gateway</title>
<style>
  body { font: 1rem/1.5 system-ui, sans-serif; max-width: 40rem; margin: 3rem auto; padding: 0 1rem }
  form { display: flex; gap: .5rem }
  input { flex: 1; font: inherit; padding: .5rem }
  button { font: inherit; padding: .5rem 1rem }
  output { display: block; min-height: 3rem; margin: 1.5rem 0; white-space: pre-wrap }
  small { color: #666 }
</style>
<h1>effect-ai-gateway</h1>
<form>
  <input name="prompt" aria-label="Prompt" value="Say hello to Effect in one sentence." autofocus>
  <button>Ask</button>
</form>
<output aria-live="polite"></output>
<small></small>
<script>
  const answer = document.querySelector("output")
  const note = document.querySelector("small")
  let source
  document.querySelector("form").onsubmit = (event) => {
    event.preventDefault()
    source?.close()
    answer.textContent = ""
    note.textContent = "asking..."
    source = new EventSource("/stream?" + new URLSearchParams(new FormData(event.target)))
    source.addEventListener("text-delta", ({ data }) => { answer.textContent += JSON.parse(data).delta })
    source.addEventListener("finish", ({ data }) => {
      source.close()
      const { metadata, usage } = JSON.parse(data)
      note.textContent = usage.outputTokens.total + " tokens, log entry " + metadata.aiGateway?.logId
    })
    source.addEventListener("error", ({ data }) => {
      source.close()
      note.textContent = data ? "failed: " + JSON.parse(data).error.message : "the connection was cut"
    })
  }
</script>
</html>
`
