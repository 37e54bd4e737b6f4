import type { Chart, Figure, Section } from "../../pipeline/description.ts";
import { millions } from "../../pipeline/words.ts";
import type { ModelFacts } from "../models/model_facts.ts";

/** Figures of a model's size. */
export function sizeFigures({ bitsPerWeight, bytes, kvBytesPerToken }: ModelFacts): Figure[] {
  const axis = "size";
  return [
    { name: "Bits per weight", value: bitsPerWeight, text: bitsPerWeight.toFixed(2), axis },
    { name: "Weights, MB", value: bytes / 1e6, text: millions(bytes) },
    { name: "KV, bytes per token", value: kvBytesPerToken, text: `${kvBytesPerToken}`, axis },
  ];
}

/** What quantization cost in every layer, as the model records it. */
export function errorCharts({ layers, kvErrors }: ModelFacts): Section[] {
  const chart = (title: string, points: readonly (readonly [number, number])[]): Chart[] =>
    points.length === 0 ? [] : [{
      title,
      across: "Layer",
      up: "Relative squared error",
      series: [{ name: "", points }],
    }];
  const charts = [
    ...chart("Error of the linears' outputs", layers.map(({ layer, error }) => [layer, error])),
    ...chart(
      "Error of attention by the KV cache",
      kvErrors.map((error, layer) => [layer, error] as const),
    ),
  ];
  return charts.length > 0 ? [{ title: "What quantization cost", charts }] : [];
}
