import type { Passage, Plot, Table } from "../description.ts";
import { escapeMarkup } from "../words.ts";
import { linesPlot } from "./chart/lines.ts";
import { scatterPlot } from "./chart/scatter.ts";
import { linesHtml, pageHtml, tableHtml } from "./html.ts";

/** A plot that was drawn. */
interface Drawing {
  /** The plot's name. */
  readonly name: string;
  readonly svg: string;
}

/** How wide plots are drawn for phones, where text of others would be too small. */
export const NARROW_PLOT = 358;

/** Draws plots, as wide as a usual page unless said; those without any point are left out. */
export async function drawPlots(
  plots: readonly Plot[],
  width: { readonly width?: number } = {},
): Promise<readonly Drawing[]> {
  const drawings: Drawing[] = [];
  for (const { name, form, panels } of plots) {
    const shown = panels.filter(({ series }) => series.some(({ points }) => points.length > 0));
    if (shown.length === 0) continue;
    const draw = form === "lines" ? linesPlot : scatterPlot;
    drawings.push({ name, svg: await draw(name, { panels: shown, ...width }) });
  }
  return drawings;
}

/** Passages as Markdown; the first one's title is that of the whole, and `lead` is its gist. */
export function markdownText(
  passages: readonly Passage[],
  lead: readonly string[] = [],
): string {
  const blocks = passages.flatMap(({ title, lines = [], table, notes = [] }, at) => [
    `${at === 0 ? "#" : "##"} ${title}`,
    ...at === 0 ? lead : [],
    ...lines,
    ...table ? [markdownTable(table)] : [],
    ...notes.length > 0 ? [notes.map((note) => `- ${escapeMarkdown(note)}`).join("\n")] : [],
  ]);
  return `${blocks.join("\n\n")}\n`;
}

/** Passages with drawings below them as one HTML page. */
export function documentPage(
  passages: readonly Passage[],
  { lead = [], drawings, narrow }: {
    /** The gist of it, before all else. */
    readonly lead?: readonly string[];
    readonly drawings: readonly Drawing[];
    /** The same for phones. */
    readonly narrow: readonly Drawing[];
  },
): string {
  const body = [
    ...passages.flatMap(({ title, lines = [], table, notes = [] }, at) => [
      at === 0 ? `<h1>${escapeMarkup(title)}</h1>` : `<h2>${escapeMarkup(title)}</h2>`,
      ...at === 0 ? lead.map((line) => `<p class="lead">${escapeMarkup(line)}</p>`) : [],
      ...lines.map((line) => `<p>${escapeMarkup(line)}</p>`),
      ...table ? [tableHtml(table, { stacks: true })] : [],
      ...notes.length > 0 ? [linesHtml(notes)] : [],
    ]),
    ...drawings.map(({ svg }) => `<div class="roomy">${svg}</div>`),
    ...narrow.map(({ svg }) => `<div class="narrow">${svg}</div>`),
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

/**
 * The style of a document's page: light or dark; cells wrap where a table would be wider than the page,
 * and on a small screen each row is a list of its own.
 */
const DOCUMENT_STYLE = `
:root { color-scheme: light dark; --ink: #24292f; --quiet: #57606a; --ground: #ffffff;
  --line: #d0d7de; }
@media screen and (prefers-color-scheme: dark) {
  :root { --ink: #d0d7de; --quiet: #9aa4af; --ground: #16181c; --line: #3b4048; }
}
body { margin: 2rem auto; max-width: 70rem; padding: 0 1rem; color: var(--ink);
  background: var(--ground); font: 1rem/1.5 system-ui, sans-serif; }
h1 { font-size: 1.5rem; }
h2 { font-size: 1.2rem; margin-top: 2.5rem; }
.lead { font-size: 1.15rem; }
.wide { overflow-x: auto; margin: 1.5rem 0; }
table { border-collapse: collapse; font-size: 0.92rem; }
th, td { padding: 0.35rem 0.9rem 0.35rem 0; border-bottom: 1px solid var(--line);
  text-align: left; vertical-align: baseline; }
thead th { color: var(--quiet); vertical-align: bottom; }
.number { text-align: right; font-variant-numeric: tabular-nums; }
svg { display: block; max-width: 100%; height: auto; }
.narrow { display: none; }
@media screen and (max-width: 44rem) {
  .roomy { display: none; }
  .narrow { display: block; }
}
@media screen and (max-width: 60rem) {
  thead { display: none; }
  table, tbody, tr { display: block; }
  tr { padding: 0.5rem 0; border-bottom: 1px solid var(--line); }
  td { display: flex; justify-content: space-between; gap: 1rem; padding: 0.1rem 0; border: 0;
    max-width: 28rem; }
  td::before { content: attr(data-column); color: var(--quiet); text-align: left; }
  td:first-child { font-weight: 600; }
  td:first-child::before { content: none; }
  td:empty { display: none; }
}
`;
