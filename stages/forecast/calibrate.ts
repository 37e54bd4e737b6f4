import type { Forecast } from "../../pipeline/stage.ts";
import type { SafetensorsDType } from "../formats/safetensors/header.ts";
import type { LayerOutline } from "../models/family.ts";
import { architectureOf } from "../models/architecture.ts";
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
  const { layers } = architectureOf(model.config);
  const facts: StatsOutline = {
    windows,
    context,
    rows: Math.min(rows, windows * context),
    attentionWindows: Math.min(windows, attention_windows),
    gram,
  };
  const streams = streamsPeaks(model, { windows, context, memoryBytes });
  const grams = gram ? layers[0]!.sites.map(({ channels }) => 4 * channels ** 2) : [];
  const [embedded = [], layer = []] = streams.phases;
  const files = layers.map((layer) => safetensorsBytes(layerStatistics(layer, facts)));
  const layerBytes = files.reduce((a, b) => Math.max(a, b));
  const record = { version: 1, model: SOME_DIGEST, tokens: SOME_DIGEST, ...facts };
  const diskBytes = sumOf(files) + jsonBytes(record);
  return {
    deviceBytes: heldBytes([embedded, [...layer, ...grams, ...watched(layers[0]!, facts)]]),
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
function watched({ sites, taps }: LayerOutline, facts: StatsOutline): number[] {
  const { windows, context, rows, attentionWindows } = facts;
  const attention = Object.values(taps);
  const magnitudes = [...sites, ...attention].map(({ channels }) => 3 * 4 * channels);
  const kept = Array.from(
    { length: Math.min(rows, windows) },
    () => sites.map(({ channels }) => 4 * Math.ceil(rows / windows) * channels),
  ).flat();
  const whole = Array.from(
    { length: attentionWindows },
    () => attention.map(({ channels }) => 4 * context * channels),
  ).flat();
  return [...magnitudes, ...kept, ...whole];
}

/** The tensors of a layer's file. */
function layerStatistics({ sites, taps }: LayerOutline, facts: StatsOutline) {
  const { context, rows, attentionWindows, gram } = facts;
  const tensors: { name: string; dtype: SafetensorsDType; shape: number[] }[] = [];
  const add = (name: string, ...shape: number[]) => tensors.push({ name, dtype: "F32", shape });
  const attention = Object.values(taps);
  for (const { name, channels } of [...sites, ...attention]) {
    for (const what of ["absmax", "absmean", "rms"]) add(`${name}.${what}`, channels);
  }
  for (const { name, channels } of sites) {
    if (gram) add(`${name}.gram`, channels, channels);
    if (rows > 0) add(`${name}.rows`, rows, channels);
  }
  for (const { name, channels } of attention) {
    for (let window = 0; window < attentionWindows; window++) {
      add(`${name}.${window}`, context, channels);
    }
  }
  return tensors;
}
