import type { Chart, Section } from "../../pipeline/description.ts";
import { inputWords, type LinearFacts, type ModelRecord } from "../models/model_record.ts";
import { linearName, LINEARS } from "../models/names.ts";
import type { LinearScheme } from "../quant/schemes.ts";
import type { FoundTensor } from "../formats/safetensors/found_files.ts";
import { layerRanges } from "./layer_ranges.ts";

/** A linear with what is known of it. */
interface Linear {
  readonly layer: number;
  readonly scheme: LinearScheme | undefined;
  readonly facts: LinearFacts | undefined;
  /** Element type of a weight that is not quantized. */
  readonly dtype: string;
}

/** How each linear's weight and input are held: a row for each role and scheme. */
export function linearsSection(
  layers: number,
  { record, tensors }: {
    readonly record: ModelRecord;
    readonly tensors: ReadonlyMap<string, FoundTensor>;
  },
): Section {
  const rows = LINEARS.flatMap((role) => {
    const linears = Array.from({ length: layers }, (_, layer): Linear => {
      const name = linearName(layer, role);
      return {
        layer,
        scheme: record.linears[name],
        facts: record.measured.linears[name],
        dtype: tensors.get(`${name}.weight`)?.dtype ?? "",
      };
    });
    const groups = Map.groupBy(linears, ({ scheme, dtype }) => JSON.stringify([scheme, dtype]));
    return [...groups.values()].map((some) => [`${role}_proj`, ...cells(some)]);
  });
  return {
    title: "Linears",
    table: { columns: columns(), rows },
    charts: roleChart(layers, record),
  };
}

function columns() {
  return [
    { heading: "linear" },
    { heading: "layers" },
    { heading: "bits", number: true },
    { heading: "group" },
    { heading: "zero" },
    { heading: "levels" },
    { heading: "inputs" },
    { heading: "method" },
    { heading: "weight error", number: true },
    { heading: "output error", number: true },
  ];
}

function cells(linears: readonly Linear[]): string[] {
  const layers = layerRanges(linears.map(({ layer }) => layer));
  const { scheme, dtype } = linears[0]!;
  if (scheme === undefined) return [layers, dtype || "missing", "", "", "", "A16", "", "", ""];
  const { bits, group, zero, levels } = scheme.weights;
  const facts = linears.flatMap(({ facts }) => facts ?? []);
  const methods = [
    ...new Set(
      facts.map(({ method, fallback }) =>
        fallback === undefined ? method : `${method} (${fallback})`
      ),
    ),
  ];
  return [
    layers,
    String(bits),
    typeof group === "number" ? String(group) : `per ${group}`,
    zero.replace("_", "-"),
    String(levels),
    inputWords(scheme.inputs),
    methods.join(", "),
    mean(facts.map(({ weightError }) => weightError)),
    mean(facts.flatMap(({ outputError }) => outputError ?? [])),
  ];
}

function mean(values: readonly number[]): string {
  if (values.length === 0) return "";
  return (values.reduce((sum, value) => sum + value, 0) / values.length).toExponential(2);
}

/** What quantizing each role of linear cost, by layer. */
function roleChart(layers: number, { measured }: ModelRecord): Chart[] {
  const series = LINEARS.map((role) => ({
    name: `${role}_proj`,
    points: Array.from({ length: layers }, (_, layer) => layer).flatMap((layer) => {
      const facts = measured.linears[linearName(layer, role)];
      return facts ? [[layer, facts.outputError ?? facts.weightError] as const] : [];
    }),
  })).filter(({ points }) => points.length > 0);
  if (series.length === 0) return [];
  const title = "Relative squared error of each linear";
  return [{ title, across: "Layer", up: "Relative squared error", series }];
}
