import { z } from "zod";
import { openStats, type Stats } from "./calibration/stats.ts";
import { forecastSmooth } from "./forecast/smooth.ts";
import type { Checkpoint } from "./formats/checkpoint.ts";
import { openCheckpoint } from "./formats/open_checkpoint.ts";
import { defineStage, type Tools } from "./kinds.ts";
import type { DecoderConfig, Site } from "./models/family.ts";
import { findFamily } from "./models/families/find_family.ts";
import { attentionTap, type ChannelChange } from "./models/lineage.ts";
import { readModelRecord } from "./models/model_record.ts";
import { linearName } from "./models/names.ts";
import { type Projection, PROJECTION_SITES } from "./models/projections.ts";
import { refuseChannels, rewriteChannels, siteOf } from "./channels/rewrite_channels.ts";
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
  readonly sites: readonly Site[];
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
    const record = await readModelRecord(model.path);
    const places = projections?.sites ?? [];
    refuseChannels(
      record,
      "smooth",
      new Map(places.map((place) => [place, PROJECTION_SITES[place]])),
    );
    using checkpoint = await openCheckpoint(model.path);
    const family = findFamily(checkpoint.config);
    const config = family.config(checkpoint.config);
    using stats = await openStats(artifact, model);
    if (attention?.strategy === "grid" && stats.record.attentionWindows === 0) {
      throw new RangeError(
        "Cannot search attention scales: the stats hold no attention windows, expected one or more; set attention_windows on the calibrate step, or strategy: manual here",
      );
    }
    const work: Work = {
      checkpoint,
      config,
      sites: family.sites(config),
      stats,
      tools: job.tools,
      signal: job.signal,
      edits: new Map(),
      changes: new Map(),
    };
    const total = config.layers + checkpoint.tensors.size;
    const choices: Choice[] = [];
    for (let layer = 0; layer < config.layers; layer++) {
      job.signal.throwIfAborted();
      // What a layer changes lies within it, so that it is found from nothing but the layer.
      const found = await job.journal.recall(`layer-${layer}`, async () => {
        const part: Work = { ...work, edits: new Map(), changes: new Map() };
        const choices = await smoothLayer(part, layer, { projections, attention });
        job.progress(layer + 1, total, `layer ${layer + 1} of ${config.layers}`);
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
      progress: (done, _, note) => job.progress(config.layers + done, total, note),
    });
    await Deno.writeTextFile(`${job.out}/smooth.json`, JSON.stringify({ choices }, undefined, 2));
    for (const place of ["attention", ...Object.keys(PROJECTION_SITES)]) {
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
  layer: number,
  { projections, attention }: z.infer<typeof params>,
): Promise<Choice[]> {
  const choices: Choice[] = [];
  if (attention) choices.push(await smoothAttention(work, layer, attention));
  for (const place of Object.keys(PROJECTION_SITES) as Projection[]) {
    if (!projections?.sites.includes(place)) continue;
    choices.push(await smoothProjection(work, layer, place, projections));
  }
  return choices;
}

/** Scales the input channels of the linears at one site; the scale goes into what feeds it. */
async function smoothProjection(
  work: Work,
  layer: number,
  place: Projection,
  params: ProjectionSmoothing,
): Promise<Choice> {
  const { checkpoint, config, stats, edits, signal } = work;
  const role = PROJECTION_SITES[place];
  const site = siteOf(work.sites, layer, role);
  const columns = await weightSpans(checkpoint, site.linears, edits);
  const share = (span: Float32Array, kind: SpanKind) =>
    role === "attention.out" ? shareKvHeads(span, config, kind) : span;
  const candidates = await candidatesOf(params, async ([inputKind, weightKind]) => [
    share(await stats.magnitude(layer, site.name, magnitude(inputKind)), inputKind),
    share(spanOf(columns, weightKind), weightKind),
  ]);
  let errors = new Float64Array(candidates.length);
  if (params.strategy === "grid") {
    const [first = ""] = site.linears;
    const weights = schemeFor(params.weights, channelsOf(work, first), params.uneven_group);
    checkGroup(first, weights, channelsOf(work, first));
    errors = await outputErrors(await work.tools.device(), {
      inputs: await stats.rows(layer, site.name),
      weights: linearPieces(checkpoint, site.linears, edits),
      maps: candidates,
      precision: { weights, quantizeInputs: params.quantize_inputs },
      signal,
    });
  }
  const best = lastSmallest(errors);
  const { scale } = candidates[best]!;
  for (const name of site.linears) scaleColumns(work, name, scale);
  const feeding = role === "attention.out" ? takeKvHeads(scale, config) : scale;
  scaleRows(work, site.fedBy, feeding.map((factor) => 1 / factor));
  record(work, site.name, scale);
  if (role === "attention.out") record(work, attentionTap(layer, "values"), feeding);
  return choiceOf({ layer, place }, candidates, params, { errors, best });
}

/** Divides keys and multiplies queries by one scale, which goes into their projections. */
async function smoothAttention(
  work: Work,
  layer: number,
  params: AttentionSmoothing,
): Promise<Choice> {
  const { checkpoint, config, stats, signal } = work;
  const tap = (name: "queries" | "keys") => attentionTap(layer, name);
  const spanAt = (name: "queries" | "keys", kind: SpanKind) =>
    stats.magnitude(layer, tap(name), magnitude(kind));
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
        queries: await stats.window(layer, "queries", window),
        keys: await stats.window(layer, "keys", window),
        values: await stats.window(layer, "values", window),
      })),
    );
    const output: Matrix[] = await Array.fromAsync(
      weightPieces(checkpoint, `${linearName(layer, "o")}.weight`),
    );
    const scales = candidates.map(({ scale }) => scale);
    const keep = config.windows[layer];
    const parts = { windows, layout: config, keep, output, keys: params.kv, scales, signal };
    errors = await attentionErrors(await work.tools.device(), parts);
  }
  const best = lastSmallest(errors);
  const { scale } = candidates[best]!;
  const kvScale = takeKvHeads(scale, config);
  scaleRows(work, `${linearName(layer, "q")}.weight`, scale);
  scaleRows(work, `${linearName(layer, "k")}.weight`, kvScale.map((factor) => 1 / factor));
  record(work, tap("queries"), scale.map((factor) => 1 / factor));
  record(work, tap("keys"), kvScale);
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

function channelsOf({ checkpoint }: Work, name: string): number {
  return checkpoint.tensors.get(name)!.shape[1]!;
}

/** Multiplies outputs of a linear or a norm, and its bias. */
function scaleRows({ checkpoint, edits }: Work, name: string, factor: Float32Array): void {
  const bias = name.replace(/\.weight$/, ".bias");
  for (const each of checkpoint.tensors.has(bias) ? [name, bias] : [name]) {
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
  return `${place}: output error is ${(100 * share).toFixed(1)}% of that without scales` +
    (kept > 0 ? `; ${kept} of ${choices.length} layers keep theirs` : "");
}
