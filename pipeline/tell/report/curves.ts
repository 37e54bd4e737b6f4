import { linesPlot } from "../chart/lines.ts";
import type { Chart, Series } from "../../description.ts";
import type { PagePart, StepReport } from "./gather.ts";
import { tableHtml } from "../html.ts";
import { escapeMarkup, shortNumber } from "../../words.ts";
import { plotHtml } from "./plot.ts";

/** Points that some steps share. */
interface Line {
  readonly names: string[];
  readonly points: Series["points"];
}

/**
 * Charts that several steps have, each drawn once with a line a step; undefined if there are none.
 *
 * Steps whose numbers are equal share a line: what is only copied keeps what was measured.
 */
export async function curvesPart(steps: readonly StepReport[]): Promise<PagePart | undefined> {
  const shared = new Map<string, { readonly chart: Chart; readonly lines: Line[] }>();
  for (const { name, description } of steps) {
    for (const chart of chartsOf(description?.sections ?? [])) {
      const points = singleSeries(chart);
      if (points === undefined) continue;
      const lines = shared.get(chart.title)?.lines ?? [];
      const same = lines.findIndex((line) =>
        JSON.stringify(line.points) === JSON.stringify(points)
      );
      const other = lines[same];
      if (other) other.names.push(name);
      else lines.push({ names: [name], points });
      shared.set(chart.title, { chart, lines });
    }
  }
  if (shared.size === 0) return undefined;
  const parts: string[] = [];
  for (const { chart, lines } of shared.values()) {
    const series = lines.map(({ names, points }) => ({ name: sharedName(names), points }));
    const drawn = await chartHtml({ ...chart, series }, `curve-${parts.length}`);
    parts.push(`<h3>${escapeMarkup(chart.title)}</h3>\n${drawn}`);
  }
  return { id: "curves", title: "Curves", html: parts.join("\n") };
}

/** The charts with several lines of their own, which are told with their step. */
export function ownCharts({ description }: StepReport): readonly Chart[] {
  return chartsOf(description?.sections ?? []).filter((chart) =>
    !singleSeries(chart) && (chart.form ?? "lines") === "lines"
  );
}

/** A chart as a plot, and its numbers as a table to open. */
export async function chartHtml(
  { title, across, up, series }: Chart,
  name: string,
): Promise<string> {
  const named = series.map(({ name, points }) => ({ name: name || title, points }));
  const plot = await plotHtml(name, {
    title: `${title}, by ${across.toLowerCase()}`,
    headed: true,
    draw: (name, width) => linesPlot(name, { panels: [{ across, up, series: named }], width }),
  });
  return `${plot}\n${numbersHtml({ title, across, series: named })}`;
}

/** The numbers of a chart as a table to open. */
export function numbersHtml(
  { title, across, series }: Pick<Chart, "title" | "across" | "series">,
  summary = "Numbers",
): string {
  const places = [...new Set(series.flatMap(({ points }) => points.map(([at]) => at)))]
    .sort((a, b) => a - b);
  const table = {
    columns: [
      { heading: across, number: true },
      ...series.map(({ name }) => ({ heading: name, number: true })),
    ],
    rows: places.map((place) => [
      String(place),
      ...series.map(({ points }) => {
        const value = points.find(([at]) => at === place)?.[1];
        return value === undefined ? "" : shortNumber(value, 4);
      }),
    ]),
  };
  return `<details><summary>${escapeMarkup(summary)}</summary>\n${
    tableHtml(table, { label: title })
  }\n</details>`;
}

/** What steps that share numbers are called together. */
export function sharedName([first = "", ...others]: readonly string[]): string {
  const rest = others.length > 1 ? [`${others.length} more`] : others;
  return [first, ...rest].join(rest === others ? ", " : " and ");
}

/** The charts of sections. */
export function chartsOf(
  sections: readonly { readonly charts?: readonly Chart[] }[],
): readonly Chart[] {
  return sections.flatMap(({ charts = [] }) => charts);
}

function singleSeries({ series }: Chart): Series["points"] | undefined {
  const [only, ...others] = series;
  return only?.name === "" && others.length === 0 ? only.points : undefined;
}
