import { z } from "zod";
import { percent } from "../pipeline/words.ts";
import { openStats, type Stats } from "./calibration/stats.ts";
import { forecastSmooth } from "./forecast/smooth.ts";
import type { Checkpoint } from "./formats/checkpoint.ts";
import { defineStage, type Tools } from "./kinds.ts";
import type { DecoderConfig } from "./models/config.ts";
import type { LayerOutline } from "./models/family.ts";
import {
  type Feeder,
  type LayerSite,
  type Projection,
  projection,
  type Tap,
} from "./models/site.ts";
import { openModel } from "./models/architecture.ts";
import type { ChannelChange } from "./models/lineage.ts";
import { refuseChannels, rewriteChannels } from "./channels/rewrite_channels.ts";
import { type ChannelEdit, scaleAxis } from "./channels/edits.ts";
import {
  shareKvHeads,
  shareRotaryPairs,
  type SpanKind,
  spanOf,
  spreadKvHeads,
  takeKvHeads,
} from "./channels/spans.ts";
import { schemeFor } from "./quant/linear_schemes.ts";
import { outputErrors } from "./channels/search_error.ts";
import { lastSmallest, smoothingScale } from "./channels/smoothing.ts";
import { attentionErrors } from "./channels/smoothing_attention.ts";
import { familyOf, manualExponents } from "./channels/exponent_signs.ts";
import { exponentCandidates, type Exponents } from "./channels/smoothing_candidates.ts";
import {
  type AttentionSmoothing,
  attentionSmoothing,
  type ProjectionSmoothing,
  projectionSmoothing,
  type Smoothing,
  spanPairs,
} from "./channels/smoothing_params.ts";
import { checkGroup, type Matrix } from "./quant/weight_grid.ts";
import { linearPieces, weightPieces, weightSpans } from "./channels/weight_pieces.ts";

const params = z.strictObject({
  projections: projectionSmoothing.optional().describe(
    "Moves magnitude from the inputs of linears to their weights.",
  ),
  attention: attentionSmoothing.optional().describe(
    "Moves magnitude from keys to queries, for a quantized KV cache.",
  ),
}).refine(({ projections, attention }) => projections || attention, {
  error: "expected projections, attention or both",
});

/** One scale that may be chosen, with what it was made of. */
interface Candidate extends Exponents {
  readonly spans: readonly [SpanKind, SpanKind];
  readonly scale: Float32Array<ArrayBuffer>;
}

/** What was chosen at one place, as `smooth.json` lists it. */
interface Choice extends Exponents {
  readonly layer: number;
  readonly place: Projection | "attention";
  readonly spans: readonly [SpanKind, SpanKind];
  /** Squared output error over the kept activations without and with the scale, if searched. */
  readonly error?: { readonly before: number; readonly after: number };
}

/** What the work on one model shares; `edits` and `changes` grow. */
interface Work {
  readonly checkpoint: Checkpoint;
  readonly config: DecoderConfig;
  readonly stats: Stats;
  readonly tools: Tools;
  readonly signal: AbortSignal;
  readonly edits: Map<string, ChannelEdit>;
  readonly changes: Map<string, ChannelChange>;
}

/** Scales channels so that quantization loses less, without changing what the model computes. */
export const smooth = defineStage({
  about: "Scales channels between activations and weights, or keys and queries, before quantizing.",
  version: 1,
  params,
  inputs: { model: "model", stats: "stats" },
  output: "model",
  example: { projections: { alpha: 0.5 } },
  forecast: forecastSmooth,
  async run(job, { model, stats: artifact }, { projections, attention }) {
    using files = await openModel(model.path);
    const { checkpoint, record, architecture: { config, layers } } = files;
    const places = projections?.sites ?? [];
    refuseChannels(record, "smooth", places);
    using stats = await openStats(artifact, model);
    if (attention?.strategy === "grid" && stats.record.attentionWindows === 0) {
      throw new RangeError(
        "Cannot search attention scales: the stats hold no attention windows, expected one or more; set attention_windows on the calibrate step, or strategy: manual here",
      );
    }
    const work: Work = {
      checkpoint,
      config,
      stats,
      tools: job.tools,
      signal: job.signal,
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
        const choices = await smoothLayer(part, outline, { projections, attention });
        job.progress(layer + 1, total, `layer ${layer + 1} of ${layers.length}`);
        return { choices, edits: part.edits, changes: part.changes };
      });
      choices.push(...found.choices);
      for (const [name, edit] of found.edits) work.edits.set(name, edit);
      for (const [tap, change] of found.changes) work.changes.set(tap, change);
    }
    await rewriteChannels(model, job.out, {
      ...work,
      stage: "smooth",
      params: { ...projections && { projections }, ...attention && { attention } },
      record,
      progress: (done, _, note) => job.progress(layers.length + done, total, note),
    });
    await Deno.writeTextFile(`${job.out}/smooth.json`, JSON.stringify({ choices }, undefined, 2));
    for (const place of ["attention", ...projection.options]) {
      const here = choices.filter((choice) => choice.place === place);
      if (here.length > 0) job.note(words(place, here), { place, choices: here });
    }
    const folded = places.filter((place) => place === "qkv_proj" || place === "up_proj");
    if (folded.length > 0 && record.history.some(({ stage }) => stage === "rotate")) {
      job.note(
        `${
          folded.join(" and ")
        } put scales into norm gains, which rotate had made 1; QServe's engine expects gains of 1`,
        undefined,
        "warning",
      );
    }
  },
});

/** Scales channels at every place of a layer that is asked for. */
async function smoothLayer(
  work: Work,
  layer: LayerOutline,
  { projections, attention }: z.infer<typeof params>,
): Promise<Choice[]> {
  const choices: Choice[] = [];
  if (attention) choices.push(await smoothAttention(work, layer, attention));
  for (const site of layer.sites) {
    if (!projections?.sites.includes(site.projection)) continue;
    choices.push(await smoothProjection(work, site, layer.taps.values, projections));
  }
  return choices;
}

/** Scales the input channels of the linears at one site; the scale goes into what feeds it. */
async function smoothProjection(
  work: Work,
  site: LayerSite,
  values: Tap,
  params: ProjectionSmoothing,
): Promise<Choice> {
  const { checkpoint, config, stats, edits, signal } = work;
  const { layer, linears, projection: place } = site;
  const weights = linears.map(({ weight }) => weight);
  const columns = await weightSpans(checkpoint, weights, edits);
  const attends = site.role === "attention.out";
  const share = (span: Float32Array, kind: SpanKind) =>
    attends ? shareKvHeads(span, config, kind) : span;
  const candidates = await candidatesOf(params, async ([inputKind, weightKind]) => [
    share(await stats.magnitude(layer, site.name, magnitude(inputKind)), inputKind),
    share(spanOf(columns, weightKind), weightKind),
  ]);
  let errors = new Float64Array(candidates.length);
  if (params.strategy === "grid") {
    const [first = ""] = weights;
    const scheme = schemeFor(params.weights, site.channels, params.uneven_group);
    checkGroup(first, scheme, site.channels);
    errors = await outputErrors(await work.tools.device(), {
      inputs: await stats.rows(layer, site.name),
      weights: linearPieces(checkpoint, weights, edits),
      maps: candidates,
      precision: { weights: scheme, quantizeInputs: params.quantize_inputs },
      signal,
    });
  }
  const best = lastSmallest(errors);
  const { scale } = candidates[best]!;
  for (const name of weights) scaleColumns(work, name, scale);
  const feeding = attends ? takeKvHeads(scale, config) : scale;
  scaleRows(work, site.fedBy, feeding.map((factor) => 1 / factor));
  record(work, site.name, scale);
  if (attends) record(work, values.name, feeding);
  return choiceOf({ layer, place }, candidates, params, { errors, best });
}

/** Divides keys and multiplies queries by one scale, which goes into their projections. */
async function smoothAttention(
  work: Work,
  { index: layer, taps, linear }: LayerOutline,
  params: AttentionSmoothing,
): Promise<Choice> {
  const { checkpoint, config, stats, signal } = work;
  const spanAt = (name: "queries" | "keys", kind: SpanKind) =>
    stats.magnitude(layer, taps[name].name, magnitude(kind));
  const candidates = await candidatesOf(params, async ([keyKind, queryKind]) => {
    const keys = spreadKvHeads(await spanAt("keys", keyKind), config);
    const queries = shareKvHeads(await spanAt("queries", queryKind), config, queryKind);
    return [
      shareRotaryPairs(keys, config.headSize, keyKind),
      shareRotaryPairs(queries, config.headSize, queryKind),
    ];
  });
  let errors = new Float64Array(candidates.length);
  if (params.strategy === "grid") {
    const windows = await Promise.all(
      Array.from({ length: stats.record.attentionWindows }, async (_, window) => ({
        queries: await stats.window(layer, taps.queries.name, window),
        keys: await stats.window(layer, taps.keys.name, window),
        values: await stats.window(layer, taps.values.name, window),
      })),
    );
    const output: Matrix[] = await Array.fromAsync(
      weightPieces(checkpoint, linear("o").weight),
    );
    const scales = candidates.map(({ scale }) => scale);
    const keep = config.windows[layer];
    const parts = { windows, layout: config, keep, output, keys: params.kv, scales, signal };
    errors = await attentionErrors(await work.tools.device(), parts);
  }
  const best = lastSmallest(errors);
  const { scale } = candidates[best]!;
  const kvScale = takeKvHeads(scale, config);
  scaleRows(work, taps.queries.fedBy, scale);
  scaleRows(work, taps.keys.fedBy, kvScale.map((factor) => 1 / factor));
  record(work, taps.queries.name, scale.map((factor) => 1 / factor));
  record(work, taps.keys.name, kvScale);
  return choiceOf({ layer, place: "attention" }, candidates, params, { errors, best });
}

/** The scales to choose from: for every pair of spans, every pair of exponents. */
async function candidatesOf(
  params: Smoothing,
  spansOf: (
    kinds: readonly [SpanKind, SpanKind],
  ) => Promise<readonly [Float32Array, Float32Array]>,
): Promise<readonly Candidate[]> {
  const exponents = params.strategy === "manual"
    ? [manualExponents(params)]
    : exponentCandidates(params.candidates ?? familyOf(params), params.grids);
  const candidates: Candidate[] = [];
  for (const spans of spanPairs(params)) {
    const [inputs, weights] = await spansOf(spans);
    for (const pair of exponents) {
      candidates.push({ ...pair, spans, scale: smoothingScale(inputs, weights, pair) });
    }
  }
  return candidates;
}

function choiceOf(
  where: Pick<Choice, "layer" | "place">,
  candidates: readonly Candidate[],
  { strategy }: Smoothing,
  { errors, best }: { readonly errors: Float64Array; readonly best: number },
): Choice {
  const { spans, alpha, beta } = candidates[best]!;
  const error = { before: errors[0]!, after: errors[best]! };
  return { ...where, spans, alpha, beta, ...strategy === "grid" && { error } };
}

/** Multiplies outputs of a linear or a norm, and its bias. */
function scaleRows({ edits }: Work, { weight, bias }: Feeder, factor: Float32Array): void {
  for (const each of bias === undefined ? [weight] : [weight, bias]) {
    edits.set(each, scaleAxis(edits.get(each), "rows", Float64Array.from(factor)));
  }
}

function scaleColumns({ edits }: Work, name: string, factor: Float32Array): void {
  edits.set(name, scaleAxis(edits.get(name), "columns", Float64Array.from(factor)));
}

function record({ changes }: Work, tap: string, scale: Float32Array<ArrayBuffer>): void {
  changes.set(tap, { scale });
}

function magnitude(kind: SpanKind) {
  return ({ abs_max: "absmax", abs_mean: "absmean", rms: "rms" } as const)[kind];
}

function words(place: string, choices: readonly Choice[]): string {
  const [first] = choices;
  if (!first?.error) return `${place}: alpha ${first?.alpha}, beta ${first?.beta}`;
  const sum = (of: "before" | "after") =>
    choices.reduce((total, { error }) => total + error![of], 0);
  const share = sum("after") / sum("before");
  const kept = choices.filter(({ alpha, beta }) => alpha === 0 && beta === 0).length;
  return `${place}: output error is ${percent(share, 1)}% of that without scales` +
    (kept > 0 ? `; ${kept} of ${choices.length} layers keep theirs` : "");
}
