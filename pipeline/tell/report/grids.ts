import type { Chart } from "../../description.ts";
import { escapeMarkup } from "../../words.ts";
import { gridPlot } from "../chart/grid.ts";
import { chartsOf, numbersHtml, sharedName } from "./curves.ts";
import type { PagePart, StepReport } from "./gather.ts";
import { plotHtml } from "./plot.ts";

/**
 * Heat maps: those of one title in one picture with one scale of colors; undefined if there are none.
 *
 * Steps whose numbers are equal share a map: what is only copied keeps what was measured.
 */
export async function gridsPart(steps: readonly StepReport[]): Promise<PagePart | undefined> {
  const shared = new Map<
    string,
    Map<string, { readonly chart: Chart; readonly names: string[] }>
  >();
  for (const { name, description } of steps) {
    for (const chart of chartsOf(description?.sections ?? [])) {
      if (chart.form !== "grid") continue;
      const maps = shared.get(chart.title) ?? new Map();
      shared.set(chart.title, maps);
      const numbers = JSON.stringify(chart.series);
      const same = maps.get(numbers);
      if (same) same.names.push(name);
      else maps.set(numbers, { chart, names: [name] });
    }
  }
  if (shared.size === 0) return undefined;
  const parts: string[] = [];
  for (const [title, maps] of shared) {
    const panels = [...maps.values()].map(({ chart: { across, series }, names }) => ({
      title: sharedName(names),
      across,
      series,
    }));
    const plot = await plotHtml(`grid-${parts.length}`, {
      title: `${title}, a map for ${panels.map(({ title }) => title).join("; ")}`,
      headed: true,
      draw: (name, width) => gridPlot(name, { panels, width }),
    });
    const numbers = panels.map((panel) =>
      numbersHtml({ ...panel, title: `${title}: ${panel.title}` }, `Numbers of ${panel.title}`)
    );
    parts.push([`<h3>${escapeMarkup(title)}</h3>`, plot, ...numbers].join("\n"));
  }
  return { id: "maps", title: "Heat maps", html: parts.join("\n") };
}
