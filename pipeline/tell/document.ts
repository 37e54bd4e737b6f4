import type { Passage, Plot, Table } from "../description.ts";
import { escapeMarkup } from "../words.ts";
import { linesPlot } from "./chart/lines.ts";
import { scatterPlot } from "./chart/scatter.ts";
import { linesHtml, pageHtml, tableHtml, wide } from "./html.ts";
import { DOCUMENT_STYLE } from "./document/style.ts";

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
