import type { Section, Table } from "../../description.ts";

/** A part of the page under a heading of its own. */
export interface PagePart {
  /** Anchor of the heading. */
  readonly id: string;
  readonly title: string;
  readonly html: string;
}

/** Letters from which a cell may wrap; it keeps some width for them. */
const LONG = 24;

/** Text as it stands in HTML, in quotes too. */
export function escape(text: string): string {
  const names: Readonly<Record<string, string>> = {
    "&": "&amp;",
    "<": "&lt;",
    ">": "&gt;",
    '"': "&quot;",
    "'": "&#39;",
  };
  return text.replaceAll(/[&<>"']/g, (letter) => names[letter] ?? letter);
}

/** Something wide in a box of its own that scrolls, by keyboard too, so that the page does not. */
export function wide(html: string, label: string): string {
  return `<div class="wide" role="region" tabindex="0" aria-label="${
    escape(label)
  }">\n${html}\n</div>`;
}

/** A table; the first column names its rows. `foot` is a last row of sums. */
export function tableHtml(
  { columns, rows }: Table,
  { label, foot }: { readonly label: string; readonly foot?: readonly string[] },
): string {
  const cells = (row: readonly string[], head: boolean) =>
    columns.map(({ number }, index) => {
      const tag = head || index === 0 ? "th" : "td";
      const scope = head ? ' scope="col"' : index === 0 ? ' scope="row"' : "";
      const text = row[index] ?? "";
      const look = number ? ' class="number"' : text.length > LONG ? ' class="long"' : "";
      return `<${tag}${scope}${look}>${escape(text)}</${tag}>`;
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

/** Names and values. */
export function factsHtml(facts: readonly (readonly [string, string])[]): string {
  const rows = facts.map(([name, value]) =>
    `<div><dt>${escape(name)}</dt><dd>${escape(value)}</dd></div>`
  );
  return facts.length === 0 ? "" : `<dl>\n${rows.join("\n")}\n</dl>`;
}

/** Sentences, one below the other. */
function linesHtml(lines: readonly string[]): string {
  if (lines.length === 0) return "";
  return `<ul>\n${lines.map((line) => `<li>${escape(line)}</li>`).join("\n")}\n</ul>`;
}

/** A picture that others drew: as an image, in which nothing can be run or fetched. */
function pictureHtml(
  { title, svg }: { readonly title: string; readonly svg: string },
): string {
  const source = `data:image/svg+xml,${encodeURIComponent(svg)}`;
  return `<figure>${
    wide(`<img class="picture" alt="${escape(title)}" src="${source}">`, title)
  }<figcaption>${escape(title)}</figcaption></figure>`;
}

/** The texts and tables of a section, without its charts. */
export function sectionHtml(
  { title, facts = [], lines = [], table, pictures = [] }: Section,
): string {
  return [
    factsHtml(facts),
    linesHtml(lines),
    ...table ? [tableHtml(table, { label: title })] : [],
    ...pictures.map(pictureHtml),
  ].filter((html) => html !== "").join("\n");
}
