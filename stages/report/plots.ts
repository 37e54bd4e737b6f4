import { linesPlot } from "../../pipeline/tell/chart/lines.ts";
import { scatterPlot } from "../../pipeline/tell/chart/scatter.ts";
import type { Row } from "./rows.ts";

/** Perplexity against bits per weight and, below, against bytes of KV cache, as SVG. */
export async function perplexityPlot(rows: readonly Row[]): Promise<string> {
  return await scatterPlot("perplexity", {
    y: { name: "Perplexity", values: rows.map(({ perplexity }) => perplexity) },
    x: [
      { name: "Bits per weight", values: rows.map(({ bitsPerWeight }) => bitsPerWeight) },
      {
        name: "KV cache, bytes per token",
        values: rows.map(({ kvBytesPerToken }) => kvBytesPerToken),
      },
    ],
    labels: rows.map(({ label }) => label),
  });
}

/** What quantization cost in every layer by method, as SVG; undefined where no model records it. */
export async function layersPlot(rows: readonly Row[]): Promise<string | undefined> {
  const panels = [
    {
      name: "Linears' relative squared error",
      lines: rows.map(({ layers }) => layers.map(({ layer, error }) => [layer, error] as const)),
    },
    {
      name: "KV cache's relative squared error",
      lines: rows.map(({ kvErrors }) => kvErrors.map((error, layer) => [layer, error] as const)),
    },
  ].filter(({ lines }) => lines.some((line) => line.length > 0));
  if (panels.length === 0) return undefined;
  const names = rows.map(({ label }) => label);
  return await linesPlot("layers", { panels, names, across: "Layer" });
}
