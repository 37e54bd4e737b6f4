import { escapeMarkup } from "../../words.ts";
import { histogramPlot } from "../chart/histogram.ts";
import { sectionHtml } from "../html.ts";
import { numbersHtml } from "./curves.ts";
import type { PagePart, StepReport } from "./gather.ts";
import { plotHtml } from "./plot.ts";

/** Histograms with the tables that belong to them, a picture for each step; undefined if there are none. */
export async function histogramsPart(steps: readonly StepReport[]): Promise<PagePart | undefined> {
  const parts: string[] = [];
  for (const { name, description } of steps) {
    for (const section of description?.sections ?? []) {
      const panels = (section.charts ?? []).filter(({ form }) => form === "bars");
      if (panels.length === 0) continue;
      const title = `${section.title} (${name})`;
      const plot = await plotHtml(`histogram-${parts.length}`, {
        title,
        headed: true,
        draw: (name, width) => histogramPlot(name, { panels, width }),
      });
      const numbers = panels.map((panel) =>
        numbersHtml({ ...panel, title: `${panel.title} (${name})` }, `Numbers of ${panel.title}`)
      );
      parts.push(
        [`<h3>${escapeMarkup(title)}</h3>`, sectionHtml({ ...section, title }), plot, ...numbers]
          .join("\n"),
      );
    }
  }
  if (parts.length === 0) return undefined;
  return { id: "histograms", title: "Histograms", html: parts.join("\n") };
}
