import { z } from "zod";
import { forecastCompare } from "./forecast/compare.ts";
import { defineStage } from "./kinds.ts";
import { readEvaluation } from "./report/evaluation.ts";
import { page } from "./report/page.ts";
import { layersPlot, perplexityPlot } from "./report/plots.ts";
import { compareEvaluations } from "./report/rows.ts";
import { markdown, rowWords } from "./report/table.ts";

const params = z.strictObject({
  title: z.string().default("Comparison").describe("Heading of the report."),
  labels: z.array(z.string().min(1)).optional().describe(
    "Names of the reports in their order; the models' schemes, in a sweep the steps' names, unless said.",
  ),
  plot: z.boolean().default(true).describe("Draw plots and a page that holds them."),
});

/** Puts evaluations of several models side by side. */
export const compare = defineStage({
  about: "Compares evaluations in one table, with plots of quality against size.",
  version: 1,
  params,
  inputs: { reports: "report[]" },
  output: "report",
  labels: { labels: "reports" },
  example: { title: "Quantized models" },
  forecast: forecastCompare,
  async run(job, { reports }, { title, labels, plot }) {
    const evaluations = await Promise.all(reports.map(({ path }) => readEvaluation(path)));
    const comparison = compareEvaluations(evaluations, { title, labels });
    const { rows } = comparison;
    const write = (name: string, text: string) => Deno.writeTextFile(`${job.out}/${name}`, text);
    await write("report.json", `${JSON.stringify(comparison, undefined, 2)}\n`);
    await write("report.md", markdown(comparison));
    if (plot) {
      const plots = { "perplexity.svg": await perplexityPlot(rows), ...await layers(rows) };
      for (const [name, svg] of Object.entries(plots)) await write(name, svg);
      await write("report.html", page(comparison, Object.values(plots)));
    }
    for (const row of rows) job.note(rowWords(row), { ...row }, "result");
    job.note(`table in ${plot ? "report.html and " : ""}report.md`);
  },
});

async function layers(rows: Parameters<typeof layersPlot>[0]): Promise<Record<string, string>> {
  const svg = await layersPlot(rows);
  return svg === undefined ? {} : { "layers.svg": svg };
}
