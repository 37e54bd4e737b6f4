import { z } from "zod";
import type { Device } from "../kernels/device/device.ts";
import { type GramSource, QuantizedGrams, statsGrams } from "./calibration/gram_source.ts";
import { quantizeSite, type SiteRecipe } from "./calibration/quantize_site.ts";
import { sampleWindows } from "./calibration/sample_windows.ts";
import { openStats, type Stats } from "./calibration/stats.ts";
import { siteName } from "./calibration/layer_watch.ts";
import { type Checkpoint, openCheckpoint } from "./formats/checkpoint.ts";
import { writeCheckpointTexts } from "./formats/checkpoint_texts.ts";
import { createCheckpointWriter } from "./formats/checkpoint_writer.ts";
import { bytesOf } from "./formats/half.ts";
import type { NamedValues } from "./formats/safetensors_file.ts";
import type { TensorSpecification } from "./formats/safetensors_header.ts";
import { defineStage } from "./kinds.ts";
import type { LayerSite } from "./models/decoder.ts";
import { findFamily } from "./models/find_family.ts";
import { lengthenLineage } from "./models/lineage.ts";
import {
  type ModelRecord,
  readModelRecord,
  refuseQuantized,
  writeModelRecord,
} from "./models/model_record.ts";
import { projection, PROJECTION_SITES } from "./models/projections.ts";
import { rowPieces } from "./models/rewrite.ts";
import { checkScheme, schemeFor } from "./quant/linear_schemes.ts";
import { packedParts } from "./quant/packed.ts";
import { roundingMethod } from "./quant/quantize_weight.ts";
import { rangeSearch } from "./quant/range_search.ts";
import { groupColumns, type LinearScheme, weightScheme } from "./quant/schemes.ts";
import { checkGroup } from "./quant/weight_grid.ts";

const params = z.strictObject({
  method: roundingMethod.default("gptq").describe(
    "Round to nearest, or let later columns make up for the errors of earlier ones.",
  ),
  weights: weightScheme.prefault({}),
  uneven_group: z.enum(["refuse", "shrink"]).default("refuse").describe(
    "Where the group does not divide a weight's columns: refuse, or take the largest that does.",
  ),
  activations: z.enum(["none", "dynamic", "static"]).default("none").describe(
    "8-bit inputs of linears with a scale a token, or under the range calibration saw.",
  ),
  gptq: z.strictObject({
    damping: z.number().positive().default(0.01),
    block: z.int().positive().default(128),
    tries: z.int().positive().default(250),
    activation_order: z.boolean().default(true),
  }).prefault({}),
  ratio: z.number().positive().default(1).describe("Factor on all ranges, without a search."),
  range: rangeSearch.optional().describe("Search the ranges of groups."),
  range_skips: z.array(projection).default([]).describe("Linears whose ranges are not searched."),
  inputs: z.enum(["original", "quantized"]).default("original").describe(
    "What GPTQ sees: activations of the full-precision model, or of the layers quantized so far.",
  ),
  windows: z.int().positive().default(128).describe("Samples, for quantized inputs."),
  context: z.int().min(2).default(512).describe("Tokens a sample, for quantized inputs."),
  skips: z.array(projection).default([]).describe("Linears that stay in full precision."),
});

type Params = z.infer<typeof params>;

/** The linears of a site that are quantized. */
interface SitePlan {
  readonly layer: number;
  readonly site: LayerSite;
  readonly recipe: SiteRecipe;
}

/** Turns the weights of a model's layers into codes. */
export const quantize = defineStage({
  about: "Quantizes the linears of every layer by rounding to nearest or GPTQ, into packed codes.",
  version: 1,
  params,
  inputs: { model: "model", stats: "stats?", tokens: "tokens?" },
  output: "model",
  example: { method: "rtn" },
  async run(job, { model: artifact, stats: statistics, tokens }, params) {
    const before = await readModelRecord(artifact.path);
    refuseQuantized(before, "quantize");
    using checkpoint = await openCheckpoint(artifact.path);
    using stats = statistics && await openStats(statistics, artifact);
    const plans = await planSites(checkpoint, params, stats);
    for (const text of loudWords(plans, params)) job.note(text);
    const record = recordOf(before, params, plans);
    const device = await job.tools.device();
    await using grams = await openGrams({ params, stats, tokens, artifact, plans }, {
      device,
      memoryBytes: 0.25 * job.tools.memoryBytes,
    });
    const specifications = specify(checkpoint, plans);
    using writer = await createCheckpointWriter(job.out, specifications);
    let facts: ModelRecord["measured"]["linears"] = {};
    let layer = -1;
    let made = new Map<string, NamedValues>();
    const layers = Math.max(...plans.map((plan) => plan.layer)) + 1;
    for (const { name } of specifications) {
      const at = layerOf(name);
      if (at !== undefined && at !== layer && at < layers) {
        job.signal.throwIfAborted();
        job.progress(at, layers, `layer ${at + 1} of ${layers}`);
        const here = plans.filter((plan) => plan.layer === at);
        await grams?.begin(at, job.signal);
        ({ made, facts } = await quantizeLayer(device, checkpoint, { here, grams, facts }));
        await grams?.end(made, record);
        layer = at;
      }
      const values = made.get(name);
      if (values) await writer.write(name, bytesOf(values.values));
      else await copyTensor(checkpoint, name, writer);
    }
    await writer.close();
    await writeCheckpointTexts(checkpoint, job.out);
    const lineage = await lengthenLineage({ ...artifact, record: before }, job.out, new Map());
    await writeModelRecord(job.out, {
      ...record,
      lineage,
      measured: { ...record.measured, linears: facts },
    });
    job.progress(layers, layers);
    for (const text of outcomeWords(facts)) job.note(text);
  },
});

/** The sites of all layers with what is to be quantized there; throws for what cannot be done. */
async function planSites(
  checkpoint: Checkpoint,
  params: Params,
  stats: Stats | undefined,
): Promise<readonly SitePlan[]> {
  checkScheme(params.weights, params.activations);
  const plans: SitePlan[] = [];
  const family = findFamily(checkpoint.config);
  for (const { name: full, role, linears } of family.sites(family.config(checkpoint.config))) {
    const skipped = params.skips.some((skip) => PROJECTION_SITES[skip] === role);
    if (role === "head" || skipped) continue;
    const layer = Number(/^layers\.(\d+)\./.exec(full)![1]);
    const inputs = await inputsOf(params, stats, { layer, site: role });
    const schemes = linears.map((weight) => {
      const columns = checkpoint.tensors.get(weight)!.shape[1]!;
      const weights = schemeFor(params.weights, columns, params.uneven_group);
      checkGroup(weight, weights, columns);
      return { name: weight.replace(/\.weight$/, ""), scheme: { weights, ...inputs } };
    });
    const searched = params.range &&
      !params.range_skips.some((skip) => PROJECTION_SITES[skip] === role);
    const { damping, block, tries, activation_order: activationOrder } = params.gptq;
    plans.push({
      layer,
      site: role,
      recipe: {
        linears: schemes,
        range: searched ? params.range! : params.ratio,
        gptq: params.method === "gptq" ? { damping, block, tries, activationOrder } : undefined,
      },
    });
  }
  if (plans.length > 0) return plans;
  throw new TypeError(
    "Cannot quantize the model: every linear is among skips, expected some to be left",
  );
}

async function inputsOf(
  { activations }: Params,
  stats: Stats | undefined,
  { layer, site }: { readonly layer: number; readonly site: LayerSite },
): Promise<Pick<LinearScheme, "inputs">> {
  if (activations === "none") return {};
  if (activations === "dynamic") return { inputs: { bits: 8, range: "dynamic" } };
  if (!stats) {
    throw new TypeError(
      "Cannot quantize activations to static ranges: there are no stats, expected those of a calibrate step; feed stats or set activations to dynamic",
    );
  }
  const sizes = await stats.magnitude(layer, siteName(layer, site), "absmax");
  return { inputs: { bits: 8, range: sizes.reduce((a, b) => Math.max(a, b)) } };
}

/** Opens what gives the Gram matrices, where they are needed or at hand. */
async function openGrams(
  { params, stats, tokens, artifact, plans }: {
    readonly params: Params;
    readonly stats: Stats | undefined;
    readonly tokens: { readonly path: string } | undefined;
    readonly artifact: { readonly path: string };
    readonly plans: readonly SitePlan[];
  },
  { device, memoryBytes }: { readonly device: Device; readonly memoryBytes: number },
): Promise<GramSource | undefined> {
  const { inputs, method, range, windows, context } = params;
  if (inputs === "quantized") {
    if (!tokens) {
      throw new TypeError(
        "Cannot quantize from inputs of quantized layers: there are no tokens to run, expected them; feed tokens or set inputs to original",
      );
    }
    const samples = await sampleWindows(tokens.path, { windows, context });
    const sites = [...new Set(plans.map(({ site }) => site))];
    const { path } = artifact;
    return await QuantizedGrams.open(device, { path, windows: samples, memoryBytes, sites });
  }
  if (stats?.record.gram) return statsGrams(stats);
  const need = method === "gptq"
    ? "by GPTQ"
    : range && range.objective !== "tensor"
    ? `with ranges searched by ${range.objective}`
    : undefined;
  if (need === undefined) return undefined;
  throw new TypeError(
    `Cannot quantize ${need}: there ${
      stats ? "is no Gram matrix in the stats" : "are no stats"
    }, expected those of a calibrate step with gram: true`,
  );
}

interface LayerWork {
  readonly here: readonly SitePlan[];
  readonly grams: GramSource | undefined;
  readonly facts: ModelRecord["measured"]["linears"];
}

async function quantizeLayer(
  device: Device,
  checkpoint: Checkpoint,
  { here, grams, facts: before }: LayerWork,
) {
  const made = new Map<string, NamedValues>();
  let facts = before;
  for (const { site, recipe } of here) {
    const found = await quantizeSite(device, checkpoint, recipe, await grams?.gram(site));
    for (const [name, values] of found.tensors) made.set(name, values);
    facts = { ...facts, ...found.facts };
  }
  return { made, facts };
}

function recordOf(
  before: ModelRecord,
  params: Params,
  plans: readonly SitePlan[],
): ModelRecord {
  const linears = plans.flatMap(({ recipe }) =>
    recipe.linears.map(({ name, scheme }) => [name, scheme] as const)
  );
  return {
    ...before,
    history: [...before.history, { stage: "quantize", params }],
    linears: Object.fromEntries(linears),
  };
}

/** All tensors of the quantized model, layer after layer. */
function specify(checkpoint: Checkpoint, plans: readonly SitePlan[]): TensorSpecification[] {
  const schemes = new Map(
    plans.flatMap(({ recipe }) => recipe.linears.map(({ name, scheme }) => [name, scheme])),
  );
  const family = findFamily(checkpoint.config);
  const names = [...family.tensors(family.config(checkpoint.config)).keys()];
  return names.flatMap((name): TensorSpecification[] => {
    const { dtype, shape } = checkpoint.tensors.get(name)!;
    const linear = name.replace(/\.weight$/, "");
    const scheme = schemes.get(linear)?.weights;
    if (!scheme) return [{ name, dtype: dtype as TensorSpecification["dtype"], shape }];
    const [rows = 0, columns = 0] = shape;
    const groups = columns / groupColumns(scheme, columns);
    return packedParts(scheme, { rows, columns, groups })
      .map(({ part, dtype, shape }) => ({ name: `${linear}.${part}`, dtype, shape }));
  });
}

async function copyTensor(
  checkpoint: Checkpoint,
  name: string,
  writer: { write(name: string, bytes: Uint8Array): Promise<void> },
): Promise<void> {
  for (const rows of rowPieces(checkpoint.tensors.get(name)!.shape)) {
    await writer.write(name, await checkpoint.readRaw(name, rows));
  }
}

function layerOf(name: string): number | undefined {
  const layer = /^model\.layers\.(\d+)\./.exec(name)?.[1];
  return layer === undefined ? undefined : Number(layer);
}

/** What the user should know before: groups that had to be made smaller. */
function loudWords(plans: readonly SitePlan[], { weights }: Params): string[] {
  const all = plans.flatMap(({ recipe }) => recipe.linears);
  const smaller = all.filter(({ scheme }) => scheme.weights.group !== weights.group);
  const groups = [...new Set(smaller.map(({ scheme }) => scheme.weights.group))];
  if (groups.length === 0) return [];
  return [
    `groups of ${weights.group} do not divide the columns of ${smaller.length} of ${all.length} linears, which get groups of ${
      groups.join(" or ")
    }`,
  ];
}

/** What the user should know after: errors, and layers where GPTQ was not possible. */
function outcomeWords(facts: ModelRecord["measured"]["linears"]): string[] {
  const all = Object.entries(facts);
  const mean = (values: readonly number[]) => values.reduce((a, b) => a + b, 0) / values.length;
  const outputs = all.flatMap(([, { outputError }]) => outputError ?? []);
  const errors = outputs.length > 0 ? outputs : all.map(([, { weightError }]) => weightError);
  const words = [
    `${all.length} linears, mean relative squared error of their ${
      outputs.length > 0 ? "outputs" : "weights"
    } ${mean(errors).toExponential(2)}`,
  ];
  for (const [name, { fallback }] of all) {
    if (fallback) words.push(`"${name}" was rounded to nearest: ${fallback}`);
  }
  return words;
}
