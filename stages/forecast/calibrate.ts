import type { Forecast } from "../../pipeline/stage.ts";
import type { SafetensorsDType } from "../formats/safetensors/header.ts";
import { channelsOf, type LayerSite } from "../models/decoder.ts";
import type { DecoderConfig } from "../models/family.ts";
import { findFamily } from "../models/families/find_family.ts";
import { type AttentionTap, attentionTap } from "../models/lineage.ts";
import { heldBytes, hostPeak, sumOf } from "../models/peaks.ts";
import {
  jsonBytes,
  type ModelOutline,
  parsedBytes,
  safetensorsBytes,
  type StatsOutline,
  type TokensOutline,
} from "./outlines.ts";
import { SOME_DIGEST } from "./rewrite.ts";
import { streamsPeaks } from "./streams.ts";

const SITES: readonly LayerSite[] = ["attention.in", "attention.out", "mlp.in", "mlp.out"];

/** What watching a model takes: statistics of a layer on the device, streams of all windows. */
export function forecastCalibrate(
  { model }: { readonly model: ModelOutline; readonly tokens: TokensOutline },
  { windows, context, rows, gram, attention_windows }: {
    readonly windows: number;
    readonly context: number;
    readonly rows: number;
    readonly gram: boolean;
    readonly attention_windows: number;
  },
  { memoryBytes }: { readonly memoryBytes: number },
): Forecast {
  const config = findFamily(model.config).config(model.config);
  const facts: StatsOutline = {
    windows,
    context,
    rows: Math.min(rows, windows * context),
    attentionWindows: Math.min(windows, attention_windows),
    gram,
  };
  const streams = streamsPeaks(model, { windows, context, memoryBytes });
  const grams = gram ? SITES.map((site) => 4 * channelsOf(config, site) ** 2) : [];
  const [embedded = [], layer = []] = streams.phases;
  const files = Array.from(
    { length: config.layers },
    (_, at) => safetensorsBytes(layerStatistics(config, facts, at)),
  );
  const layerBytes = files.reduce((a, b) => Math.max(a, b));
  const record = { version: 1, model: SOME_DIGEST, tokens: SOME_DIGEST, ...facts };
  const diskBytes = sumOf(files) + jsonBytes(record);
  return {
    deviceBytes: heldBytes([embedded, [...layer, ...grams, ...watched(config, facts)]]),
    hostBytes: hostPeak({
      // A layer's values, and a matrix as it is read.
      arrays: layerBytes + grams.reduce((a, b) => Math.max(a, b), 0),
      staged: streams.staged + sumOf(new Set(grams)),
    }) + parsedBytes(model),
    diskBytes,
    // What the journal keeps of a layer is a link to its file.
    workBytes: streams.workBytes,
    facts,
  };
}

/** Bytes of what is kept of a layer on the device beside its Gram matrices. */
function watched(config: DecoderConfig, facts: StatsOutline): number[] {
  const { windows, context, rows, attentionWindows } = facts;
  const taps = [...SITES.map((site) => channelsOf(config, site)), ...attentionWidths(config)];
  const magnitudes = taps.map((channels) => 3 * 4 * channels);
  const kept = Array.from(
    { length: Math.min(rows, windows) },
    () => SITES.map((site) => 4 * Math.ceil(rows / windows) * channelsOf(config, site)),
  ).flat();
  const whole = Array.from(
    { length: attentionWindows },
    () => attentionWidths(config).map((width) => 4 * context * width),
  ).flat();
  return [...magnitudes, ...kept, ...whole];
}

function attentionWidths({ heads, kvHeads, headSize }: DecoderConfig): number[] {
  return [heads * headSize, kvHeads * headSize, kvHeads * headSize];
}

/** The tensors of a layer's file. */
function layerStatistics(config: DecoderConfig, facts: StatsOutline, layer: number) {
  const { context, rows, attentionWindows, gram } = facts;
  const tensors: { name: string; dtype: SafetensorsDType; shape: number[] }[] = [];
  const add = (name: string, ...shape: number[]) => tensors.push({ name, dtype: "F32", shape });
  const widths = attentionWidths(config);
  const taps = (["queries", "keys", "values"] satisfies AttentionTap[])
    .map((tap, i) => [attentionTap(layer, tap), widths[i] ?? 0] as const);
  const sites = SITES.map((site) => [`layers.${layer}.${site}`, channelsOf(config, site)] as const);
  for (const [tap, channels] of [...sites, ...taps]) {
    for (const what of ["absmax", "absmean", "rms"]) add(`${tap}.${what}`, channels);
  }
  for (const [site, channels] of sites) {
    if (gram) add(`${site}.gram`, channels, channels);
    if (rows > 0) add(`${site}.rows`, rows, channels);
  }
  for (const [tap, channels] of taps) {
    for (let window = 0; window < attentionWindows; window++) {
      add(`${tap}.${window}`, context, channels);
    }
  }
  return tensors;
}
