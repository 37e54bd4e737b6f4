import type { Section, Table } from "../description.ts";
import { escapeMarkup } from "../words.ts";

/** Letters from which a cell may wrap; it keeps some width for them. */
const LONG = 24;
/** What is longer is a text, and names no row. */
const LONGEST_NAME = 80;

/** A page that asks no other host for anything. */
export function pageHtml(
  { title, style, head = [], body }: {
    readonly title: string;
    readonly style: string;
    /** More elements of its head. */
    readonly head?: readonly string[];
    readonly body: string;
  },
): string {
  return `${
    [
      "<!doctype html>",
      '<html lang="en">',
      "<head>",
      '<meta charset="utf-8">',
      '<meta name="viewport" content="width=device-width, initial-scale=1">',
      ...head,
      `<title>${escapeMarkup(title)}</title>`,
      `<style>${style}</style>`,
      "</head>",
      "<body>",
      body,
      "</body>",
      "</html>",
    ].join("\n")
  }\n`;
}

/** Something wide in a box that scrolls so that the page does not; one with a label, by keyboard too. */
export function wide(html: string, label?: string): string {
  if (label === undefined) return `<div class="wide">${html}</div>`;
  return `<div class="wide" role="region" tabindex="0" aria-label="${
    escapeMarkup(label)
  }">\n${html}\n</div>`;
}

/**
 * A table. `foot` is a last row of sums; where it `stacks`, cells have the names of their columns, for
 * styles that show a row as a list.
 *
 * In one with a label the first column names the rows, unless it has long texts; one without stands alone on a plain page.
 */
export function tableHtml(
  { columns, rows }: Table,
  { label, foot, stacks = false }: {
    readonly label?: string;
    readonly foot?: readonly string[];
    readonly stacks?: boolean;
  } = {},
): string {
  const labelled = label !== undefined;
  const cells = (row: readonly string[], head: boolean) =>
    columns.map(({ number, heading }, index) => {
      const text = row[index] ?? "";
      const long = labelled && text.length > LONG;
      const names = labelled && index === 0 && text.length <= LONGEST_NAME;
      const tag = head || names ? "th" : "td";
      const scope = head && labelled ? ' scope="col"' : names ? ' scope="row"' : "";
      const look = number ? ' class="number"' : long ? ' class="long"' : "";
      const column = stacks && !head ? ` data-column="${escapeMarkup(heading)}"` : "";
      const shown = stacks && number ? unbroken(text) : text;
      return `<${tag}${scope}${look}${column}>${escapeMarkup(shown)}</${tag}>`;
    }).join("");
  const line = (row: readonly string[]) => `<tr>${cells(row, false)}</tr>`;
  const head = `<tr>${cells(columns.map(({ heading }) => heading), true)}</tr>`;
  const table = [
    "<table>",
    `<thead>${head}</thead>`,
    `<tbody>\n${rows.map(line).join("\n")}\n</tbody>`,
    ...foot ? [`<tfoot>${line(foot)}</tfoot>`] : [],
    "</table>",
  ].join("\n");
  return wide(table, label);
}

/** A number whose sign and unit stay on its line, such as `2.02 ± 0.20` and `97 %`. */
function unbroken(text: string): string {
  return text.replaceAll("± ", "±\u00a0").replaceAll(" %", "\u00a0%");
}

/** Names and values. */
export function factsHtml(facts: readonly (readonly [string, string])[]): string {
  const rows = facts.map(([name, value]) =>
    `<div><dt>${escapeMarkup(name)}</dt><dd>${escapeMarkup(value)}</dd></div>`
  );
  return facts.length === 0 ? "" : `<dl>\n${rows.join("\n")}\n</dl>`;
}

/** Sentences, one below the other. */
export function linesHtml(lines: readonly string[]): string {
  if (lines.length === 0) return "";
  return `<ul>\n${lines.map((line) => `<li>${escapeMarkup(line)}</li>`).join("\n")}\n</ul>`;
}

/** A picture that others drew: as an image, in which nothing can be run or fetched. */
function pictureHtml(
  { title, svg }: { readonly title: string; readonly svg: string },
): string {
  const source = `data:image/svg+xml,${encodeURIComponent(svg)}`;
  return `<figure>${
    wide(`<img class="picture" alt="${escapeMarkup(title)}" src="${source}">`, title)
  }<figcaption>${escapeMarkup(title)}</figcaption></figure>`;
}

/** The texts and tables of a section, without its charts. */
export function sectionHtml(
  { title, facts = [], lines = [], table, notes = [], pictures = [] }: Section,
): string {
  return [
    factsHtml(facts),
    linesHtml(lines),
    ...table ? [tableHtml(table, { label: title })] : [],
    linesHtml(notes),
    ...pictures.map(pictureHtml),
  ].filter((html) => html !== "").join("\n");
}
