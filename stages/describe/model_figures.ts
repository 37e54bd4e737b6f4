import type { Chart, Figure, Section } from "../../pipeline/description.ts";
import { millions } from "../../pipeline/words.ts";
import type { ModelFacts } from "../models/model_facts.ts";
import type { ModelRecord } from "../models/model_record.ts";

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

/** What the network lost while the model's rotations were learned, step after step. */
export function learningCharts({ measured: { rotation: losses = [] } }: ModelRecord): Section[] {
  if (losses.length === 0) return [];
  const points = losses.map((loss, step) => [step + 1, loss] as const);
  const title = "Loss before each step";
  const chart = { title, across: "Step", up: "Loss", series: [{ name: "", points }] };
  return [{ title: "How rotations were learned", charts: [chart] }];
}

/** What was done to a model since it was loaded, as its record tells. */
export function historySection(
  { before = [], history, hadamard, orders, lineage }: ModelRecord,
): Section {
  const exported = before.length > 0
    ? [["before its export", before.map(({ stage }) => stage).join(", ")] as const]
    : [];
  return {
    title: "History",
    facts: history.length === 0 ? [...exported, ["changes", "none: as it was loaded"]] : [
      ...exported,
      ...history.map(({ stage, params }) => [stage, paramWords(params)] as const),
      ["online transforms", hadamard.length > 0 ? `Hadamard at ${hadamard.join(", ")}` : "none"],
      ...orders ? [["online orders", `${Object.keys(orders).length} sites`] as const] : [],
      [
        "statistics",
        lineage.length > 0
          ? `those of ${lineage.length} earlier forms are valid: ${
            lineage.map(({ from }) => from.slice(0, 12)).join(", ")
          }`
          : "only its own are valid",
      ],
    ],
  };
}

/** Parameters on one line: `alpha 0.3, weights.bits 4`. */
function paramWords(params: unknown): string {
  return words(params, "").join(", ") || "without parameters";
}

function words(value: unknown, name: string): string[] {
  if (value === undefined) return [];
  if (typeof value !== "object" || value === null) return [`${name} ${value}`];
  if (Array.isArray(value)) {
    const items = value.map((item) => typeof item === "object" ? JSON.stringify(item) : item);
    return [`${name} ${items.length > 0 ? items.join("+") : "none"}`];
  }
  return Object.entries(value).flatMap(([field, inner]) =>
    words(inner, name === "" ? field : `${name}.${field}`)
  );
}
