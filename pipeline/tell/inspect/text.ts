import type { Chart, Description, Section, Table } from "../../description.ts";
import { COLORS, painter, type Screen } from "../terminal/screen.ts";
import { fittingTable } from "../terminal/columns.ts";
import { wrapText } from "../terminal/text_width.ts";
import { plainText, shortNumber } from "../../words.ts";

/** Heights of a bar, from the least to the most. */
const BARS = "▁▂▃▄▅▆▇█";

/** What a section stands in by. */
const INDENT = "  ";

/** A description for a reader of a terminal, within its columns. */
export function descriptionText(
  { title, sections, warnings }: Description,
  screen: Screen,
): string {
  const paint = painter(screen);
  const width = screen.columns > 0 ? Math.max(1, screen.columns - INDENT.length) : Infinity;
  const lines = [
    plainText(title),
    ...warnings.map((text) => `${paint("warning", COLORS.failed)} ${plainText(text)}`),
    ...sections.flatMap((section) => [
      "",
      paint(plainText(section.title), COLORS.hit),
      ...linesOf(section, width).map((line) => `${INDENT}${line}`),
    ]),
  ];
  return `${lines.join("\n")}\n`;
}

function linesOf(
  { facts = [], lines = [], table, notes = [], charts = [], pictures = [] }: Section,
  columns: number,
): string[] {
  const width = Math.max(0, ...facts.map(([name]) => name.length));
  return [
    ...facts.flatMap(([name, value]) =>
      wrapText(plainText(value), columns - width - 2).map((line, at) =>
        `${(at === 0 ? name : "").padEnd(width)}  ${line}`.trimEnd()
      )
    ),
    ...lines.map(plainText),
    ...table ? tableLines(table, columns) : [],
    ...notes.flatMap((note) => wrapText(plainText(note), columns)),
    ...charts.flatMap(chartLines),
    ...pictures.map(({ title }) => `picture: ${plainText(title)}`),
  ];
}

function tableLines({ columns, rows }: Table, width: number): string[] {
  return fittingTable({ columns, rows: rows.map((row) => row.map(plainText)) }, width);
}

/** A chart as a row of bars a series: from its least to its most, by powers of ten where they differ. */
function chartLines({ title, across, series }: Chart): string[] {
  const all = series.flatMap(({ points }) => points.map(([, value]) => value));
  const [low, high] = [Math.min(...all), Math.max(...all)];
  const scale = low > 0 && high > 10 * low ? Math.log10 : (value: number) => value;
  const [from, to] = [scale(low), scale(high)];
  const bar = (value: number) => {
    const share = to > from ? (scale(value) - from) / (to - from) : 0;
    return BARS[Math.min(BARS.length - 1, Math.floor(share * BARS.length))] ?? "";
  };
  const width = Math.max(0, ...series.map(({ name }) => name.length));
  return [
    `${title}, by ${across.toLowerCase()}`,
    ...series.filter(({ points }) => points.length > 0).map(({ name, points }) => {
      const values = points.map(([, value]) => value);
      const ends = [Math.min(...values), Math.max(...values)].map((value) => shortNumber(value, 3));
      return `${name.padEnd(width)} ${values.map(bar).join("")} ${ends.join(" to ")}`.trim();
    }),
  ];
}
