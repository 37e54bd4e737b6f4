import type { Comparison } from "./rows.ts";
import { columnsOf, protocolWords } from "./table.ts";

const STYLE = `
:root { color-scheme: light dark; --ink: #24292f; --ground: #ffffff; --line: #d0d7de; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #d0d7de; --ground: #16181c; --line: #3b4048; }
}
body { margin: 2rem auto; max-width: 70rem; padding: 0 1rem; color: var(--ink);
  background: var(--ground); font: 1rem/1.5 system-ui, sans-serif; }
h1 { font-size: 1.5rem; }
.wide { overflow-x: auto; margin: 1.5rem 0; }
table { border-collapse: collapse; }
th, td { padding: 0.3rem 0.8rem; border-bottom: 1px solid var(--line); text-align: left; }
.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
svg { max-width: 100%; height: auto; }
`;

/** A comparison with its plots as one HTML page that asks no other host for anything. */
export function page(comparison: Comparison, plots: readonly string[]): string {
  const { title, protocol, rows } = comparison;
  const columns = columnsOf(rows);
  const cells = (tag: "th" | "td", texts: readonly string[]) =>
    columns.map(({ number }, index) =>
      `<${tag}${number ? ' class="number"' : ""}>${escape(texts[index] ?? "")}</${tag}>`
    ).join("");
  const head = cells("th", columns.map(({ heading }) => heading));
  const body = rows.map((row) => `<tr>${cells("td", columns.map(({ cell }) => cell(row)))}</tr>`);
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escape(title)}</title>
<style>${STYLE}</style>
</head>
<body>
<h1>${escape(title)}</h1>
<p>${escape(protocolWords(protocol))}</p>
<div class="wide"><table>
<thead><tr>${head}</tr></thead>
<tbody>
${body.join("\n")}
</tbody>
</table></div>
${plots.map((plot) => `<div class="wide">${plot}</div>`).join("\n")}
</body>
</html>
`;
}

function escape(text: string): string {
  const names: Readonly<Record<string, string>> = {
    "&": "&amp;",
    "<": "&lt;",
    ">": "&gt;",
    '"': "&quot;",
  };
  return text.replaceAll(/[&<>"]/g, (character) => names[character] ?? character);
}
