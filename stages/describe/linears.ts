import type { Chart, Section } from "../../pipeline/description.ts";
import { inputWords, type LinearFacts, type ModelRecord } from "../models/model_record.ts";
import { codedHead } from "../models/packed_head.ts";
import type { Architecture } from "../models/family.ts";
import type { LayerLinear } from "../models/site.ts";
import type { LinearScheme } from "../quant/schemes.ts";
import type { FoundTensor } from "../formats/safetensors/found_files.ts";
import { groupLayers, layerRanges } from "./architecture.ts";
import type { KvScheme } from "../../kernels/codes/kv_scheme.ts";
import { shortNumber } from "../../pipeline/words.ts";

/** A linear with what is known of it. */
interface Linear {
  readonly layer: number;
  readonly scheme: LinearScheme | undefined;
  readonly facts: LinearFacts | undefined;
  /** Element type of a weight that is not quantized. */
  readonly dtype: string;
}

/** How each linear's weight and input are held: a row for each role and scheme, and one for a head in codes. */
export function linearsSection(
  architecture: Architecture,
  { record, tensors }: {
    readonly record: ModelRecord;
    readonly tensors: ReadonlyMap<string, FoundTensor>;
  },
): Section {
  const roles = Map.groupBy(architecture.linears, ({ role }) => role);
  const rows = [...roles.values()].flatMap((all) => {
    const linears = all.map(({ layer, name, weight }): Linear => ({
      layer,
      scheme: record.linears[name],
      facts: record.measured.linears[name],
      dtype: tensors.get(weight)?.dtype ?? "",
    }));
    const groups = Map.groupBy(linears, ({ scheme, dtype }) => JSON.stringify([scheme, dtype]));
    return [...groups.values()].map((some) => [labelOf(all), ...cells(some)]);
  });
  const head = codedHead({ architecture, record });
  if (head) {
    const { linear: { name }, scheme } = head;
    const facts = record.measured.linears[name];
    rows.push([name, "", ...codedCells(scheme, facts ? [facts] : [])]);
  }
  return {
    title: "Linears",
    table: { columns: columns(), rows },
    charts: roleChart([...roles.values()], record),
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
  return [layers, ...codedCells(scheme, linears.flatMap(({ facts }) => facts ?? []))];
}

/** What is said of linears in codes behind where they are. */
function codedCells({ weights, inputs }: LinearScheme, facts: readonly LinearFacts[]): string[] {
  const { bits, group, zero, levels } = weights;
  const methods = [
    ...new Set(
      facts.map(({ method, fallback, tokens }) => {
        if (fallback === undefined) return method;
        // Each expert saw another count.
        return `${method} (${tokens === undefined ? fallback : "its expert saw too few tokens"})`;
      }),
    ),
  ];
  return [
    String(bits),
    typeof group === "number" ? String(group) : `per ${group}`,
    zero.replace("_", "-"),
    String(levels),
    inputWords(inputs),
    methods.join(", "),
    mean(facts.map(({ weightError }) => weightError)),
    mean(facts.flatMap(({ outputError }) => outputError ?? [])),
  ];
}

function mean(values: readonly number[]): string {
  if (values.length === 0) return "";
  return (values.reduce((sum, value) => sum + value, 0) / values.length).toExponential(2);
}

/** What quantizing each role of linear cost, by layer; the mean where a layer has several, as experts. */
function roleChart(
  roles: readonly (readonly LayerLinear[])[],
  { measured }: ModelRecord,
): Chart[] {
  const series = roles.map((linears) => {
    const layers = Map.groupBy(linears, ({ layer }) => layer);
    const points = [...layers].flatMap(([layer, some]) => {
      const facts = some.flatMap(({ name }) => measured.linears[name] ?? []);
      const errors = facts.map(({ outputError, weightError }) => outputError ?? weightError);
      return errors.length === 0
        ? []
        : [[layer, errors.reduce((sum, error) => sum + error, 0) / errors.length] as const];
    });
    return { name: labelOf(linears), points };
  }).filter(({ points }) => points.length > 0);
  if (series.length === 0) return [];
  const title = "Relative squared error of each linear";
  return [{ title, across: "Layer", up: "Relative squared error", series, form: "grid" }];
}

/** What linears of one role are called, such as `q_proj`. */
function labelOf([first]: readonly LayerLinear[]): string {
  return first!.module.split(".").at(-1)!;
}

/** How keys and values of each layer are held in the cache. */
export function kvSection({ kv }: ModelRecord): Section {
  const title = "KV cache";
  if (kv.length === 0) return { title, facts: [["all layers", "16 bits, not quantized"]] };
  const words = kv.map(
    ({ key, value, rotatedKeys, keyCenter, keysBeforeRope, keyCompensation, sinks }) => {
      const more = [
        ...keyCenter ? [", centered"] : [],
        ...rotatedKeys ? [", rotated"] : [],
        ...keysBeforeRope ? [", before their rotary positions"] : [],
        ...keyCompensation === undefined ? [] : [", compensated"],
      ].join("");
      const first = sinks === undefined
        ? ""
        : `; the first ${sinks === 1 ? "token" : `${sinks} tokens`} of a sequence 16 bits`;
      return `keys ${schemeWords(key)}${more}; values ${schemeWords(value)}${first}`;
    },
  );
  const facts = groupLayers(words).map(({ words, layers }) => [`layers ${layers}`, words] as const);
  return { title, facts };
}

function schemeWords({ bits, zero, group, range, clip, fit }: KvScheme): string {
  if (bits === 16) return "16 bits";
  return [
    `${bits} bits ${zero.replace("_", "-")}`,
    `groups of ${group}`,
    ...range === undefined ? [] : [`range ${shortNumber(range, 4)}`],
    ...clip === undefined || clip === 1 ? [] : [`clip ${clip}`],
    ...fit ? ["fitted ranges"] : [],
  ].join(", ");
}
