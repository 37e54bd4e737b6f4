import { schemeFor } from "../quant/schemes.ts";
import { checkGroup, type Matrix } from "../quant/weight_grid.ts";
import { attentionOptions } from "../models/attend.ts";
import type { LayerOutline } from "../models/family.ts";
import { turnedChannels } from "../models/rope.ts";
import { type LayerSite, type Projection, readersOf, type Tap } from "../models/site.ts";
import type { ChannelWork } from "./channel_work.ts";
import { channelSpread, type PlacedSpread } from "./channel_spread.ts";
import { outputErrors } from "./search_error.ts";
import {
  exponentCandidates,
  type Exponents,
  familyOf,
  lastSmallest,
  manualExponents,
  smoothingScale,
} from "./smoothing.ts";
import { attentionErrors } from "./smoothing_attention.ts";
import {
  type AttentionSmoothing,
  type ProjectionSmoothing,
  type Smoothing,
  spanPairs,
} from "./smoothing_params.ts";
import {
  MAGNITUDES,
  shareKvHeads,
  shareRotaryPairs,
  type SpanKind,
  spanOf,
  spreadKvHeads,
  takeKvHeads,
} from "./spans.ts";
import { linearPieces, weightPieces, weightSpans } from "./weight_pieces.ts";

/** One scale that may be chosen, with what it was made of. */
interface Candidate extends Exponents {
  readonly spans: readonly [SpanKind, SpanKind];
  readonly scale: Float32Array<ArrayBuffer>;
}

/** What was chosen at one place, as `smooth.json` lists it. */
export interface SmoothChoice extends Exponents {
  readonly layer: number;
  readonly place: Projection | "attention";
  readonly spans: readonly [SpanKind, SpanKind];
  /** Squared output error over the kept activations without and with the scale, if searched. */
  readonly error?: { readonly before: number; readonly after: number };
  /** The magnitudes of the inputs' or the keys' channels; not of an expert's inputs, of which there are many. */
  readonly spread?: PlacedSpread;
}

/** Scales channels at every place of a layer that is asked for. */
export async function smoothLayer(
  work: ChannelWork,
  layer: LayerOutline,
  { projections, attention }: {
    readonly projections?: ProjectionSmoothing | undefined;
    readonly attention?: AttentionSmoothing | undefined;
  },
): Promise<SmoothChoice[]> {
  const choices: SmoothChoice[] = [];
  if (attention) choices.push(await smoothAttention(work, layer, attention));
  for (const sites of Map.groupBy(layer.sites, ({ fedBy }) => fedBy.weight).values()) {
    const asked = sites.find(({ projection }) => projections?.sites.includes(projection));
    if (!projections || !asked) continue;
    choices.push(await smoothProjection(work, { asked, sites }, layer.taps.values, projections));
  }
  return choices;
}

/**
 * Scales the input channels of the linears at a site, and at those that are fed by the same norm; the
 * scale goes into what feeds them.
 */
async function smoothProjection(
  work: ChannelWork,
  { asked: site, sites }: { readonly asked: LayerSite; readonly sites: readonly LayerSite[] },
  values: Tap,
  params: ProjectionSmoothing,
): Promise<SmoothChoice> {
  const { edits, source: { checkpoint, architecture: { config }, stats, signal, device } } = work;
  const { layer, projection: place } = site;
  const linears = sites.flatMap(({ linears }) => linears);
  const weights = linears.map(({ weight }) => weight);
  const columns = await weightSpans(checkpoint, weights, edits);
  const attends = site.role === "attention.out";
  const share = (span: Float32Array, kind: SpanKind) =>
    attends ? shareKvHeads(span, config, kind) : span;
  const candidates = await candidatesOf(params, async ([inputKind, weightKind]) => [
    share(await stats.magnitude(layer, site.name, MAGNITUDES[inputKind]), inputKind),
    share(spanOf(columns, weightKind), weightKind),
  ]);
  let errors = new Float64Array(candidates.length);
  const inputs = params.strategy === "grid" ? await stats.rows(layer, site.name) : undefined;
  // Candidates begin with what leaves channels as they are: so they stay in an expert nobody went to.
  let best = 0;
  if (inputs && inputs.rows > 0) {
    const [first = ""] = weights;
    const scheme = schemeFor(params.weights, site.channels, params.uneven_group);
    checkGroup(first, scheme, site.channels);
    errors = await outputErrors(await device(), {
      inputs,
      weights: linearPieces(checkpoint, weights, edits),
      maps: candidates,
      precision: { weights: scheme, quantizeInputs: params.quantize_inputs },
      signal,
    });
    best = lastSmallest(errors);
  }
  const { scale } = candidates[best]!;
  for (const { weight } of sites.flatMap(readersOf)) work.scaleInputs(weight, scale);
  const feeding = attends ? takeKvHeads(scale, config) : scale;
  work.scaleOutputs(site.fedBy, feeding.map((factor) => 1 / factor));
  for (const { name } of sites) work.change(name, { scale });
  if (attends) work.change(values.name, { scale: feeding });
  const choice = choiceOf({ layer, place }, candidates, params, { errors, best });
  if (site.expert !== undefined) return choice;
  const magnitudes = await stats.magnitude(layer, site.name, "absmax");
  return { ...choice, spread: { layer, place, ...channelSpread(magnitudes, scale) } };
}

/** Divides keys and multiplies queries by one scale, which goes into what makes them. */
async function smoothAttention(
  work: ChannelWork,
  { index: layer, taps, linear }: LayerOutline,
  params: AttentionSmoothing,
): Promise<SmoothChoice> {
  const { checkpoint, architecture: { config }, stats, signal, device } = work.source;
  const spanAt = (name: "queries" | "keys", kind: SpanKind) =>
    stats.magnitude(layer, taps[name].name, MAGNITUDES[kind]);
  // Behind a norm all heads have one gain, and so one scale, as if they shared a kv head.
  const sharing = config.queryKeyNorms === "shared" ? { ...config, kvHeads: 1 } : config;
  const { headSize, ropes, ropeOf, neighbours } = config;
  const turned = turnedChannels(ropes[ropeOf[layer]!]!);
  const share = (span: Float32Array, kind: SpanKind) =>
    shareRotaryPairs(shareKvHeads(span, sharing, kind), { headSize, turned, neighbours }, kind);
  const candidates = await candidatesOf(params, async ([keyKind, queryKind]) => [
    share(spreadKvHeads(await spanAt("keys", keyKind), config), keyKind),
    share(await spanAt("queries", queryKind), queryKind),
  ]);
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
    const options = attentionOptions(config, layer);
    const parts = { windows, layout: config, options, output, keys: params.kv, scales, signal };
    errors = await attentionErrors(await device(), parts);
  }
  const best = lastSmallest(errors);
  const { scale } = candidates[best]!;
  const kvScale = takeKvHeads(scale, config);
  scaleTap(work, taps.queries, scale);
  scaleTap(work, taps.keys, kvScale.map((factor) => 1 / factor));
  work.change(taps.queries.name, { scale: scale.map((factor) => 1 / factor) });
  work.change(taps.keys.name, { scale: kvScale });
  const magnitudes = await stats.magnitude(layer, taps.keys.name, "absmax");
  return {
    ...choiceOf({ layer, place: "attention" }, candidates, params, { errors, best }),
    spread: { layer, place: "keys", ...channelSpread(magnitudes, kvScale) },
  };
}

/** Multiplies what makes a tap, whose gains its heads may share. */
function scaleTap(work: ChannelWork, { fedBy }: Tap, factor: Float32Array): void {
  work.scaleOutputs(fedBy, factor.subarray(0, fedBy.channels));
}

/** The scales to choose from: for every pair of spans, every pair of exponents. */
async function candidatesOf(
  params: Smoothing,
  spansOf: (
    kinds: readonly [SpanKind, SpanKind],
  ) => Promise<readonly [Float32Array, Float32Array]>,
): Promise<readonly Candidate[]> {
  const exponents = exponentsOf(params);
  const candidates: Candidate[] = [];
  for (const spans of spanPairs(params)) {
    const [inputs, weights] = await spansOf(spans);
    for (const pair of exponents) {
      candidates.push({ ...pair, spans, scale: smoothingScale(inputs, weights, pair) });
    }
  }
  return candidates;
}

/** How many scales there are to choose from at one place. */
export function candidateCount(params: Smoothing): number {
  return spanPairs(params).length * exponentsOf(params).length;
}

function exponentsOf(params: Smoothing): readonly Exponents[] {
  return params.strategy === "manual"
    ? [manualExponents(params)]
    : exponentCandidates(params.candidates ?? familyOf(params), params.grids);
}

function choiceOf(
  where: Pick<SmoothChoice, "layer" | "place">,
  candidates: readonly Candidate[],
  { strategy }: Smoothing,
  { errors, best }: { readonly errors: Float64Array; readonly best: number },
): SmoothChoice {
  const { spans, alpha, beta } = candidates[best]!;
  const error = { before: errors[0]!, after: errors[best]! };
  return { ...where, spans, alpha, beta, ...strategy === "grid" && { error } };
}
