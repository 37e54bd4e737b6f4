import type { Chart, Description, Section, Table } from "../../description.ts";
import { COLORS, painter, type Screen } from "../terminal/screen.ts";
import { formatTable } from "../terminal/columns.ts";
import { plainText, shortNumber } from "../../words.ts";

/** Heights of a bar, from the least to the most. */
const BARS = "▁▂▃▄▅▆▇█";

/** A description for a reader of a terminal. */
export function descriptionText(
  { title, sections, warnings }: Description,
  screen: Screen,
): string {
  const paint = painter(screen);
  const lines = [
    plainText(title),
    ...warnings.map((text) => `${paint("warning", COLORS.failed)} ${plainText(text)}`),
    ...sections.flatMap((section) => [
      "",
      paint(plainText(section.title), COLORS.hit),
      ...linesOf(section).map((line) => `  ${line}`),
    ]),
  ];
  return `${lines.join("\n")}\n`;
}

function linesOf(
  { facts = [], lines = [], table, notes = [], charts = [], pictures = [] }: Section,
): string[] {
  const width = Math.max(0, ...facts.map(([name]) => name.length));
  return [
    ...facts.map(([name, value]) => `${name.padEnd(width)}  ${plainText(value)}`.trimEnd()),
    ...lines.map(plainText),
    ...table ? tableLines(table) : [],
    ...notes.map(plainText),
    ...charts.flatMap(chartLines),
    ...pictures.map(({ title }) => `picture: ${plainText(title)}`),
  ];
}

function tableLines({ columns, rows }: Table): string[] {
  const headings = columns.map(({ heading }) => heading);
  return formatTable(headings, rows.map((row) => row.map(plainText))).split("\n");
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
