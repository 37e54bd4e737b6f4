import type { Forecast } from "../../pipeline/stage.ts";
import {
  planSites,
  quantizedTensors,
  type QuantizeParams,
  type SitePlan,
} from "../quantize/plan.ts";
import { tensorBytes } from "../formats/safetensors/header.ts";
import { architectureOf } from "../models/architecture.ts";
import type { ModelRecord } from "../models/model_record.ts";
import { heldBytes, hostPeak, sumOf } from "../models/peaks.ts";
import { groupColumns } from "../quant/schemes.ts";
import {
  modelBytes,
  type ModelOutline,
  parsedBytes,
  plannedTensors,
  safetensorsBytes,
  type StatsOutline,
  type TokensOutline,
} from "./outlines.ts";
import { changedRecord, SOME_FIGURE } from "./rewrite.ts";
import { streamsPeaks } from "./streams.ts";

/** Most bytes of a weight that is rounded at once: what a launch sees of a tensor on a GPU. */
const MOST_BYTES = 2 ** 31;
/** Bytes on the host for each value of a weight: as read, in its domain, and its codes. */
const ROUNDED_BYTES = 12;
/** Where outputs are looked at, its errors as well. */
const WEIGHED_BYTES = 16;

/**
 * What quantizing takes: on the device the Gram matrix of a site as a form and as panels of its
 * factor, once more while ranges are searched, and a weight with its errors and codes.
 */
export async function forecastQuantize(
  { model, stats }: {
    readonly model: ModelOutline;
    readonly stats: StatsOutline | undefined;
    readonly tokens: TokensOutline | undefined;
  },
  params: QuantizeParams,
  { memoryBytes }: { readonly memoryBytes: number },
): Promise<Forecast> {
  const architecture = architectureOf(model.config);
  const { config, layers } = architecture;
  const magnitude = () => Promise.resolve(Float32Array.of(SOME_FIGURE));
  const plans = await planSites(architecture, params, stats && { magnitude });
  const specifications = quantizedTensors({ architecture, checkpoint: model }, plans);
  const quantized = params.inputs === "quantized";
  const withGrams = quantized || stats?.gram === true;
  const facts: ModelOutline = {
    ...model,
    tensors: plannedTensors(specifications),
    record: recordOf(model.record, params, { plans, withGrams }),
    lineageBytes: [...model.lineageBytes, safetensorsBytes([])],
  };
  const packed = sumOf(
    specifications.filter(({ name }) => !model.tensors.has(name)).map(tensorBytes),
  );
  const sites = [...new Map(plans.map((plan) => [plan.site, plan])).values()];
  const grams = sites.map(({ site }) => 4 * layers[0]!.site(site).channels ** 2);
  const { windows, context } = params;
  const streams = quantized ? streamsPeaks(model, { windows, context, memoryBytes }) : undefined;
  const held = streams ? [...streams.phases[1] ?? [], ...grams] : [];
  const works = sites.map((plan) => workOf(plan, { params, withGrams }));
  const arrays = Math.max(...works.map(({ arrays }) => arrays)) + 2 * packed / config.layers;
  const staged = works.flatMap(({ staged }) => staged ?? []);
  return {
    deviceBytes: heldBytes([
      ...streams?.phases ?? [],
      ...works.flatMap(({ phases }) => phases.map((phase) => [...held, ...phase])),
    ]),
    hostBytes: hostPeak({
      arrays,
      ...staged.length > 0 && { staged: Math.max(...staged) + (streams?.staged ?? 0) },
    }) + parsedBytes(model),
    diskBytes: modelBytes(facts),
    // The journal keeps the codes of every layer until the last one is there.
    workBytes: packed + (streams?.workBytes ?? 0),
    facts,
  };
}

/** Tensors on the device and arrays on the host while the largest linear of a site is quantized. */
function workOf(
  { method: { linears, range, gptq } }: SitePlan,
  { params, withGrams }: {
    readonly params: QuantizeParams;
    readonly withGrams: boolean;
  },
) {
  const shapes = linears.map(({ linear: { rows, columns }, scheme }) => {
    return { rows, columns, groups: columns / groupColumns(scheme.weights, columns) };
  });
  const { rows, columns, groups } = shapes.reduce((a, b) => b.rows > a.rows ? b : a);
  const weight = Math.min(MOST_BYTES, 4 * rows * columns);
  const grid = Array<number>(2).fill(Math.min(MOST_BYTES, 4 * rows * groups));
  const gram = withGrams ? [4 * columns * columns] : [];
  const panels = withGrams && gptq
    ? Array<number>(Math.ceil(columns / params.gptq.block)).fill(4 * columns * params.gptq.block)
    : [];
  const searches = typeof range !== "number";
  const second = searches && range.objective !== "tensor" ? gram : [];
  if (!withGrams && !searches) {
    return { phases: [], arrays: ROUNDED_BYTES * rows * columns, staged: undefined };
  }
  return {
    phases: [
      ...searches ? [[...gram, ...panels, ...second, weight, weight, weight, ...grid]] : [],
      [...gram, ...panels, weight, weight, ...gptq ? [weight, ...grid] : []],
    ],
    arrays: WEIGHED_BYTES * rows * columns + 2 * sumOf(gram),
    staged: sumOf(gram) + weight,
  };
}

/** The record with figures in the place of those that are not measured yet. */
function recordOf(
  before: ModelRecord,
  params: QuantizeParams,
  { plans, withGrams }: { readonly plans: readonly SitePlan[]; readonly withGrams: boolean },
): ModelRecord {
  const linears = plans.flatMap(({ method }) => method.linears);
  const factored = withGrams && params.method === "gptq";
  const facts = {
    method: factored ? "gptq" : "rtn",
    weightError: SOME_FIGURE,
    ...withGrams && { outputError: SOME_FIGURE },
    ...factored && { rtnRows: 10, damping: params.gptq.damping },
  } as const;
  return {
    ...changedRecord(before, "quantize", params),
    linears: Object.fromEntries(linears.map(({ linear, scheme }) => [linear.name, scheme])),
    measured: {
      ...before.measured,
      linears: Object.fromEntries(linears.map(({ linear }) => [linear.name, facts])),
    },
  };
}
