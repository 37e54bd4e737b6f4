import type { Passage, Plot, Table } from "../description.ts";
import { escapeMarkup } from "../words.ts";
import { linesPlot } from "./chart/lines.ts";
import { scatterPlot } from "./chart/scatter.ts";
import { linesHtml, pageHtml, tableHtml, wide } from "./html.ts";

/** A plot that was drawn. */
interface Drawing {
  /** The plot's name. */
  readonly name: string;
  readonly svg: string;
}

/** Draws plots; those without any point are left out. */
export async function drawPlots(plots: readonly Plot[]): Promise<readonly Drawing[]> {
  const drawings: Drawing[] = [];
  for (const { name, form, panels } of plots) {
    const shown = panels.filter(({ series }) => series.some(({ points }) => points.length > 0));
    if (shown.length === 0) continue;
    const draw = form === "lines" ? linesPlot : scatterPlot;
    drawings.push({ name, svg: await draw(name, { panels: shown }) });
  }
  return drawings;
}

/** Passages as Markdown; the first one's title is that of the whole. */
export function markdownText(passages: readonly Passage[]): string {
  const blocks = passages.flatMap(({ title, lines = [], table, notes = [] }, at) => [
    `${at === 0 ? "#" : "##"} ${title}`,
    ...lines,
    ...table ? [markdownTable(table)] : [],
    ...notes.length > 0 ? [notes.map((note) => `- ${escapeMarkdown(note)}`).join("\n")] : [],
  ]);
  return `${blocks.join("\n\n")}\n`;
}

/** Passages with drawings below them as one HTML page. */
export function documentPage(
  passages: readonly Passage[],
  drawings: readonly Drawing[],
): string {
  const body = [
    ...passages.flatMap(({ title, lines = [], table, notes = [] }, at) => [
      at === 0 ? `<h1>${escapeMarkup(title)}</h1>` : `<h2>${escapeMarkup(title)}</h2>`,
      ...lines.map((line) => `<p>${escapeMarkup(line)}</p>`),
      ...table ? [tableHtml(table)] : [],
      ...notes.length > 0 ? [linesHtml(notes)] : [],
    ]),
    ...drawings.map(({ svg }) => wide(svg)),
  ].join("\n");
  return pageHtml({ title: passages[0]?.title ?? "", style: DOCUMENT_STYLE, body });
}

function markdownTable({ columns, rows }: Table): string {
  const line = (cells: readonly string[]) => `| ${cells.join(" | ")} |`;
  return [
    line(columns.map(({ heading }) => escapeMarkdown(heading))),
    line(columns.map(({ number }) => number ? "---:" : "---")),
    ...rows.map((row) => line(row.map(escapeMarkdown))),
  ].join("\n");
}

/** Text on one line of Markdown, in a table's cell too. */
function escapeMarkdown(text: string): string {
  return text.replaceAll(/\s+/g, " ").replaceAll(/[\\|<]/g, "\\$&");
}

/** The style of a document's page: light or dark, wide things scroll by themselves. */
const DOCUMENT_STYLE = `
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
