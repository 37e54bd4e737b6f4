import { linesPlot } from "../../pipeline/tell/chart/lines.ts";
import { type MeasuredModel, ratesOf } from "./results.ts";

/** Tokens a second against the batch, a line for each model, as SVG; undefined without any batch. */
export async function throughputPlot(
  models: readonly MeasuredModel[],
): Promise<string | undefined> {
  if (models.every(({ batches }) => batches.length === 0)) return undefined;
  const lines = models.map(({ batches }) =>
    batches.map((measured) => [measured.batch, ratesOf(measured).throughput] as const)
  );
  return await linesPlot("throughput", {
    panels: [{ name: "Tokens/s", lines }],
    names: models.map(({ label }) => label),
    across: "Batch",
  });
}
