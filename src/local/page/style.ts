/**
 * How the log page looks, in the light and in the dark.
 *
 * @since 0.1.0
 */

/**
 * @category constants
 * @since 0.1.0
 */
export const css = `
:root {
  color-scheme: light dark;
  --ground: #f6f7f9; --paper: #fff; --raised: #f1f3f6; --line: #e1e4ea; --ink: #16181d; --soft: #5a6270;
  --accent: #4338ca; --accent-soft: #eceafd; --second: #b4aef5; --good: #0b7a4b; --good-soft: #dff5ea;
  --bad: #b3261e; --bad-soft: #fdeae8; --warm: #8a5300; --warm-soft: #fdf0d9; --shadow: 0 1px 2px #10182814;
}
@media (prefers-color-scheme: dark) {
  :root {
    --ground: #0e1014; --paper: #16191f; --raised: #1e222a; --line: #2b303a; --ink: #e9ebf0; --soft: #a0a8b6;
    --accent: #a5a0ff; --accent-soft: #25234a; --second: #5650a8; --good: #5fd3a0; --good-soft: #12352a;
    --bad: #ff8f86; --bad-soft: #3f1c1b; --warm: #f2be6b; --warm-soft: #3a2a10; --shadow: none;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0; background: var(--ground); color: var(--ink);
  font: 14px/1.45 system-ui, -apple-system, "Segoe UI", Roboto, "Liberation Sans", sans-serif;
}
h1, h2, h3, p, dl, dd, ol, ul { margin: 0; padding: 0; }
h1 { font-size: 17px; display: flex; align-items: center; gap: 9px; }
h1 .soft { font-weight: 400; }
h2 { font-size: 15px; }
a { color: var(--accent); text-decoration: none; }
a:hover { text-decoration: underline; }
:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; border-radius: 4px; }
code, pre, kbd { font-family: ui-monospace, "SF Mono", Menlo, Consolas, "Liberation Mono", monospace; font-size: 12.5px; }
.soft { color: var(--soft); }
.bad { color: var(--bad); }
.hidden { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }
button, select, input {
  font: inherit; color: inherit; background: var(--paper); border: 1px solid var(--line); border-radius: 7px; padding: 5px 10px;
}
button { cursor: pointer; }
button:hover:not(:disabled) { background: var(--raised); }
button:disabled { opacity: .5; cursor: default; }
kbd { border: 1px solid var(--line); border-radius: 4px; padding: 0 4px; color: var(--soft); margin-left: 4px; }

.top {
  display: flex; align-items: center; gap: 16px; flex-wrap: wrap; padding: 12px 24px; background: var(--paper);
  border-bottom: 1px solid var(--line);
}
.mark { width: 18px; height: 18px; border-radius: 5px; background: linear-gradient(135deg, #4338ca, #818cf8); }
.simulated { color: var(--soft); margin-left: auto; font-size: 13px; }
.feed {
  display: inline-flex; align-items: center; gap: 7px; padding: 3px 11px; border-radius: 99px; font-weight: 600; font-size: 13px;
  background: var(--raised); color: var(--soft);
}
.feed.live { background: var(--good-soft); color: var(--good); }
.feed.lost { background: var(--warm-soft); color: var(--warm); }
.dot { width: 7px; height: 7px; border-radius: 50%; background: currentColor; flex: none; }
.feed.live .dot { animation: pulse 2s infinite; }
@keyframes pulse { 50% { opacity: .35; } }

main { max-width: 1600px; margin: 0 auto; padding: 18px 24px 48px; display: grid; gap: 18px; }
main > * { min-width: 0; }
.line { display: flex; align-items: center; justify-content: space-between; margin-bottom: 10px; }
.periods { display: inline-flex; border: 1px solid var(--line); border-radius: 8px; overflow: hidden; background: var(--paper); }
.periods button { border: 0; border-radius: 0; padding: 5px 13px; color: var(--soft); }
.periods button:focus-visible { outline-offset: -2px; }
.periods button + button { border-left: 1px solid var(--line); }
.periods button[aria-pressed="true"] { background: var(--accent-soft); color: var(--accent); font-weight: 600; }
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(200px, 1fr)); gap: 12px; min-height: 152px; }
.card {
  background: var(--paper); border: 1px solid var(--line); border-radius: 11px; padding: 12px 14px 10px; box-shadow: var(--shadow);
  display: flex; flex-direction: column;
}
.card h3 { font-size: 13px; font-weight: 500; color: var(--soft); }
.card .value { font-size: 25px; font-weight: 650; letter-spacing: -.02em; font-variant-numeric: tabular-nums; line-height: 1.25; }
.card .more { color: var(--soft); font-size: 12.5px; margin-bottom: 8px; }
.card .more strong { color: var(--ink); }
.card svg { width: 100%; height: 46px; display: block; margin-top: auto; }
.bar { fill: var(--accent); } .bar-second { fill: var(--second); } .bar-bad { fill: var(--bad); } .bar-good { fill: var(--good); }
.column { fill: transparent; } g:hover .column { fill: var(--raised); } .ground { stroke: var(--line); stroke-width: 1; }
.key { display: inline-block; width: 8px; height: 8px; border-radius: 2px; margin-right: 5px; }
.key-bar { background: var(--accent); } .key-second { background: var(--second); margin-left: 8px; }

.filters {
  display: grid; grid-template-columns: repeat(7, minmax(0, 1fr)) auto; gap: 10px; align-items: end; background: var(--paper);
  border: 1px solid var(--line); border-radius: 11px; padding: 12px 14px; box-shadow: var(--shadow);
}
.filters label { display: grid; gap: 3px; font-size: 12.5px; color: var(--soft); }
.filters select, .filters input { width: 100%; color: var(--ink); font-size: 14px; height: 32px; padding: 4px 8px; }
.filters button { height: 32px; }
@media (max-width: 1000px) { .filters { grid-template-columns: repeat(auto-fit, minmax(150px, 1fr)); } }

.scroll { overflow-x: auto; background: var(--paper); border: 1px solid var(--line); border-radius: 11px; box-shadow: var(--shadow); }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th {
  text-align: left; font-weight: 500; font-size: 12.5px; color: var(--soft); padding: 9px 12px; background: var(--raised);
  border-bottom: 1px solid var(--line); white-space: nowrap;
}
td { padding: 7px 12px; border-bottom: 1px solid var(--line); white-space: nowrap; }
th:first-child, td:first-child { padding-left: 16px; }
tbody tr:last-child td { border-bottom: 0; }
tbody tr { cursor: pointer; }
tbody tr:hover td { background: var(--raised); }
tbody tr.open td { background: var(--accent-soft); }
tbody tr.fresh td { animation: arrive 1.6s ease-out; }
@keyframes arrive { from { background: var(--accent-soft); } }
.number { text-align: right; }
.model { max-width: 320px; overflow: hidden; text-overflow: ellipsis; }
.status { display: inline-flex; align-items: center; gap: 7px; font-weight: 600; }
.status.ok { color: var(--good); }
.status.bad { color: var(--bad); }
.badge {
  display: inline-block; padding: 0 7px; margin-right: 5px; border-radius: 5px; font-size: 12px; font-weight: 600; background: var(--raised);
}
.badge.good { background: var(--good-soft); color: var(--good); }
.badge.warm { background: var(--warm-soft); color: var(--warm); }
.empty { padding: 48px 16px; text-align: center; color: var(--soft); background: var(--paper); border: 1px dashed var(--line); border-radius: 11px; }
.pages { display: flex; gap: 14px; justify-content: center; padding: 14px; }
.problem { background: var(--bad-soft); color: var(--bad); padding: 9px 14px; border-radius: 8px; margin-bottom: 10px; }
.notices { margin: 18px 24px 0; padding: 12px 16px; border-radius: 11px; background: var(--warm-soft); color: var(--warm); }
.notices dl > div { display: flex; gap: 12px; margin-top: 6px; } .notices dt { font-weight: 600; } .notices ul { padding-left: 18px; }

.panel {
  position: fixed; inset: 0 0 0 auto; width: min(680px, 100%); overflow-y: auto; background: var(--paper); padding: 0 24px 40px;
  border-left: 1px solid var(--line); box-shadow: -18px 0 48px #0000002e;
}
.panel > header {
  position: sticky; top: 0; display: flex; align-items: center; justify-content: space-between; padding: 14px 0; background: var(--paper);
  z-index: 1;
}
.panel h3 { font-size: 13px; margin: 22px 0 8px; color: var(--soft); font-weight: 600; }
.headline { display: flex; align-items: center; gap: 10px; flex-wrap: wrap; overflow-wrap: anywhere; }
.headline strong { font-size: 15px; }
.figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(110px, 1fr)); gap: 8px; margin-top: 14px; }
.figures > div { background: var(--raised); border-radius: 9px; padding: 8px 11px; }
.figures dt { color: var(--soft); font-size: 12.5px; } .figures dd { font-weight: 600; font-variant-numeric: tabular-nums; }
.facts { display: grid; gap: 5px; }
.facts > div { display: grid; grid-template-columns: 130px minmax(0, 1fr); gap: 12px; }
.facts dt { color: var(--soft); overflow-wrap: anywhere; } .facts dd { overflow-wrap: anywhere; }
.talk { display: grid; gap: 8px; }
.message { border: 1px solid var(--line); border-radius: 10px; padding: 8px 12px; }
.message.assistant { background: var(--accent-soft); border-color: transparent; }
.message.other { background: var(--raised); border-color: transparent; }
.role { color: var(--soft); font-size: 12px; }
.text { white-space: pre-wrap; overflow-wrap: anywhere; }
details summary { cursor: pointer; color: var(--soft); font-size: 13px; }
pre {
  margin: 8px 0 0; padding: 12px; background: var(--raised); border-radius: 9px; max-height: 340px; overflow: auto; white-space: pre-wrap;
  overflow-wrap: anywhere;
}
.steps { list-style: none; display: grid; gap: 6px; }
.steps li { display: flex; gap: 10px; flex-wrap: wrap; align-items: center; }
.steps a[aria-current] { font-weight: 700; color: var(--ink); }

.token { min-height: 90vh; place-items: center; }
.token form {
  display: grid; gap: 14px; width: min(400px, 100%); background: var(--paper); border: 1px solid var(--line); border-radius: 14px;
  padding: 26px; box-shadow: var(--shadow);
}
.token label { display: grid; gap: 4px; } .token button { background: #4338ca; border-color: #4338ca; color: #fff; padding: 8px; font-weight: 600; }
.token button:hover { background: #3730a3; }
@media (prefers-reduced-motion: reduce) { *, *::before, *::after { animation: none !important; transition: none !important; } }
@media (max-width: 700px) { main { padding: 14px 12px 40px; } .top { padding: 10px 12px; } .simulated { margin-left: 0; } .panel { padding: 0 14px 32px; } }
`
