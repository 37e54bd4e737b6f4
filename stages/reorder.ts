import { z } from "zod";
import type { Device } from "../kernels/device/device.ts";
import type { Journal } from "../pipeline/stage.ts";
import { percent } from "../pipeline/words.ts";
import { openStats, type Stats } from "./calibration/stats.ts";
import { forecastReorder } from "./forecast/reorder.ts";
import type { Checkpoint } from "./formats/checkpoint.ts";
import { defineStage } from "./kinds.ts";
import type { DecoderConfig } from "./models/config.ts";
import type { Architecture, LayerOutline } from "./models/family.ts";
import { type LayerSite, type LinearOutline, roleOf } from "./models/site.ts";
import { openModel } from "./models/architecture.ts";
import type { ChannelChange } from "./models/lineage.ts";
import { refuseChannels, rewriteChannels } from "./channels/rewrite_channels.ts";
import { type ChannelEdit, permuteAxis } from "./channels/edits.ts";
import {
  channelOrder,
  firstSmallest,
  identityOrder,
  kvOrder,
  metricKind,
  metricOf,
  orderIndex,
  type Ordering,
  ORDERINGS,
  orderMetric,
} from "./channels/order.ts";
import { spanOf } from "./channels/spans.ts";
import { groupColumns, weightScheme } from "./quant/schemes.ts";
import { outputErrors } from "./channels/search_error.ts";
import { checkGroup } from "./quant/weight_grid.ts";
import { linearPieces, weightSpans } from "./channels/weight_pieces.ts";

const place = z.enum(["residual", "out_proj", "down_proj"]);

const params = z.strictObject({
  sites: z.array(place).min(1).default(["down_proj"]).describe(
    "Channels to order: of the residual stream in the whole model, of the heads before out_proj, of the MLP before down_proj.",
  ),
  strategy: z.enum(["manual", "grid"]).default("manual").describe(
    "One order from metric and index, or the one of least output error among all.",
  ),
  metric: orderMetric.default("inputs_abs_max").describe(
    "What channels are ordered by, ascending.",
  ),
  index: orderIndex.default("sequential").describe(
    "Whether neighbours in the order share a group, or are dealt out over the groups.",
  ),
  weights: weightScheme.prefault({}).describe(
    "How weights are quantized: the groups of transpose, and the errors of grid.",
  ),
  quantize_inputs: z.boolean().default(true).describe(
    "Whether grid takes inputs as 8-bit codes with a scale a token.",
  ),
});

type Params = z.infer<typeof params>;
type Place = z.infer<typeof place>;

/** What was chosen at one place, as `reorder.json` lists it. */
interface Choice {
  readonly place: Place;
  /** Absent for the residual stream, which all layers share. */
  readonly layer?: number;
  readonly ordering: Ordering | "as before";
  /** Squared output error over the kept activations in the old and the new order, if searched. */
  readonly error?: { readonly before: number; readonly after: number };
}

/** What the work on one model shares; `edits` and `changes` grow. */
interface Work {
  readonly checkpoint: Checkpoint;
  readonly architecture: Architecture;
  readonly stats: Stats;
  readonly params: Params;
  readonly signal: AbortSignal;
  readonly journal: Journal;
  device(): Promise<Device>;
  readonly edits: Map<string, ChannelEdit>;
  readonly changes: Map<string, ChannelChange>;
}

/** Permutes channels so that those of one group are alike, without changing what the model computes. */
export const reorder = defineStage({
  about: "Orders channels by magnitude, so that those that share a scale are alike.",
  version: 1,
  params,
  inputs: { model: "model", stats: "stats" },
  output: "model",
  example: {},
  forecast: forecastReorder,
  async run(job, { model, stats: artifact }, params) {
    using files = await openModel(model.path);
    const { checkpoint, record, architecture } = files;
    const { layers } = architecture;
    refuseChannels(record, "reorder", params.sites.filter((place) => place === "down_proj"));
    using stats = await openStats(artifact, model);
    const work: Work = {
      checkpoint,
      architecture,
      stats,
      params,
      signal: job.signal,
      journal: job.journal,
      device: () => job.tools.device(),
      edits: new Map(),
      changes: new Map(),
    };
    const total = layers.length + checkpoint.tensors.size;
    const choices: Choice[] = [];
    for (const outline of layers) {
      const layer = outline.index;
      job.signal.throwIfAborted();
      // What a layer changes lies within it, so that it is found from nothing but the layer.
      const found = await job.journal.recall(`layer-${layer}`, async () => {
        const part: Work = { ...work, edits: new Map(), changes: new Map() };
        const choices: Choice[] = [];
        for (const each of ["out_proj", "down_proj"] as const) {
          if (params.sites.includes(each)) choices.push(await reorderInside(part, outline, each));
        }
        job.progress(layer + 1, total, `layer ${layer + 1} of ${layers.length}`);
        return { choices, edits: part.edits, changes: part.changes };
      });
      choices.push(...found.choices);
      for (const [name, edit] of found.edits) work.edits.set(name, edit);
      for (const [tap, change] of found.changes) work.changes.set(tap, change);
    }
    if (params.sites.includes("residual")) choices.push(await reorderResidual(work));
    await rewriteChannels(model, job.out, {
      ...work,
      stage: "reorder",
      record,
      progress: (done, _, note) => job.progress(layers.length + done, total, note),
    });
    await Deno.writeTextFile(`${job.out}/reorder.json`, JSON.stringify({ choices }, undefined, 2));
    for (const each of params.sites) {
      const here = choices.filter((choice) => choice.place === each);
      job.note(words(each, here), { place: each, choices: here });
    }
    const rotated = record.history.some(({ stage }) => stage === "rotate");
    const spread = params.sites.filter((each) => each !== "down_proj");
    if (rotated && spread.length > 0) {
      const places = spread.join(" and ");
      const text = `${places} had been rotated, which leaves little to gain from order`;
      job.note(text, undefined, "warning");
    }
  },
});

/** Orders the channels before out_proj or down_proj of one layer. */
async function reorderInside(
  work: Work,
  layer: LayerOutline,
  place: "out_proj" | "down_proj",
): Promise<Choice> {
  const { architecture: { config }, changes } = work;
  const site = layer.site(roleOf(place));
  const layout = place === "out_proj" ? config : undefined;
  const { order, ...choice } = await chooseOrder(work, [site], layout);
  for (const { weight } of site.linears) permuteColumns(work, weight, order);
  changes.set(site.name, { index: order });
  if (place === "out_proj") {
    const values = kvOrder(order, config);
    permuteRows(work, site.fedBy, values);
    changes.set(layer.taps.values.name, { index: values });
  } else {
    // What feeds down_proj is a product of all linears of the site before, channel by channel.
    for (const linear of layer.site("mlp.in").linears) permuteRows(work, linear, order);
  }
  return { place, layer: layer.index, ...choice };
}

/** Orders the channels of the residual stream everywhere in the model. */
async function reorderResidual(work: Work): Promise<Choice> {
  const { architecture: { embeddings, layers, sites }, changes } = work;
  const readers = layers.flatMap((layer) => layer.sites)
    .filter(({ residual }) => residual === "read");
  const { order, ...choice } = await chooseOrder(work, readers);
  permuteColumns(work, embeddings, order);
  for (const { name, residual, linears, fedBy } of sites) {
    for (const linear of linears) {
      if (residual === "written") permuteRows(work, linear, order);
      else if (linear.weight !== embeddings) permuteColumns(work, linear.weight, order);
    }
    if (residual === "written") continue;
    permuteRows(work, fedBy, order);
    changes.set(name, { index: order });
  }
  return { place: "residual", ...choice };
}

/** The order of the channels that some sites share, by the parameters or by search. */
async function chooseOrder(
  work: Work,
  places: readonly LayerSite[],
  layout?: DecoderConfig,
): Promise<Omit<Choice, "place" | "layer"> & { readonly order: Uint32Array<ArrayBuffer> }> {
  const { strategy, metric, index, weights } = work.params;
  const orderings = strategy === "manual" ? [{ metric, index }] : ORDERINGS;
  const [{ channels, linears: [first] }] = places as [LayerSite];
  if (strategy === "grid" || index === "transpose") checkGroup(first!.weight, weights, channels);
  const groups = channels / groupColumns(weights, channels);
  if (strategy === "grid" && groups === 1) {
    return { ordering: "as before", order: identityOrder(channels) };
  }
  const metrics = await measure(work, places, orderings);
  const orders = orderings.map((ordering, i) =>
    channelOrder(metrics[i]!, ordering, { groups, layout })
  );
  if (strategy === "manual") return { ordering: orderings[0]!, order: orders[0]! };
  const candidates = [identityOrder(channels), ...orders];
  const errors = await errorsOf(work, places, candidates);
  const best = firstSmallest(errors);
  return {
    ordering: ORDERINGS[best - 1] ?? "as before",
    error: { before: errors[0]!, after: errors[best]! },
    order: candidates[best]!,
  };
}

/** The metric of each ordering, over all places: the largest of them, or their sum. */
async function measure(
  { stats, checkpoint, edits }: Work,
  places: readonly LayerSite[],
  orderings: readonly Ordering[],
): Promise<readonly Float32Array[]> {
  const sums: Float32Array[] = [];
  for (const { layer, name, linears } of places) {
    const weights = await weightSpans(checkpoint, linears.map(({ weight }) => weight), edits);
    for (const [i, { metric }] of orderings.entries()) {
      const kind = metricKind(metric);
      const tapped = ({ abs_max: "absmax", abs_mean: "absmean", rms: "rms" } as const)[kind];
      const inputs = await stats.magnitude(layer, name, tapped);
      const here = metricOf(metric, inputs, spanOf(weights, kind));
      const sum = sums[i];
      sums[i] = sum
        ? sum.map((value, c) => kind === "abs_max" ? Math.max(value, here[c]!) : value + here[c]!)
        : here;
    }
  }
  return sums;
}

/** Output errors of the linears at all places under each order, summed. */
async function errorsOf(
  { stats, checkpoint, params, signal, journal, device, edits }: Work,
  places: readonly LayerSite[],
  orders: readonly Uint32Array<ArrayBuffer>[],
): Promise<Float64Array> {
  const errors = new Float64Array(orders.length);
  for (const { layer, name, linears } of places) {
    signal.throwIfAborted();
    const entry = `errors-${name.replaceAll(".", "-")}`;
    const part = await journal.recall(entry, async () =>
      await outputErrors(await device(), {
        inputs: await stats.rows(layer, name),
        weights: linearPieces(checkpoint, linears.map(({ weight }) => weight), edits),
        maps: orders.map((index) => ({ index })),
        precision: { weights: params.weights, quantizeInputs: params.quantize_inputs },
        signal,
      }));
    part.forEach((error, i) => errors[i]! += error);
  }
  return errors;
}

/** Permutes the input channels of a weight. */
function permuteColumns({ edits }: Work, name: string, order: Uint32Array<ArrayBuffer>): void {
  edits.set(name, permuteAxis(edits.get(name), "columns", order));
}

/** Permutes the outputs of a linear, with its bias, or the gains of a norm. */
function permuteRows(
  { edits }: Work,
  { weight, bias }: Pick<LinearOutline, "weight" | "bias">,
  order: Uint32Array<ArrayBuffer>,
): void {
  for (const name of bias === undefined ? [weight] : [weight, bias]) {
    edits.set(name, permuteAxis(edits.get(name), "rows", order));
  }
}

function words(place: Place, choices: readonly Choice[]): string {
  const [first] = choices;
  if (first?.ordering === "as before" && !first.error) {
    return `${place}: left as it was, since whole rows of weights share a scale and no order is better`;
  }
  if (!first?.error) return `${place}: ordered by ${first && orderingWords(first.ordering)}`;
  const sum = (of: "before" | "after") =>
    choices.reduce((total, { error }) => total + error![of], 0);
  const kept = choices.filter(({ ordering }) => ordering === "as before").length;
  return `${place}: output error is ${
    percent(sum("after") / sum("before"), 1)
  }% of that in the old order` +
    (kept > 0 ? `; ${kept} of ${choices.length} stay as they were` : "");
}

function orderingWords(ordering: Choice["ordering"]): string {
  return typeof ordering === "string" ? ordering : `${ordering.metric}, ${ordering.index}`;
}
