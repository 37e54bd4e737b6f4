import { openSafetensors, type SafetensorsFile } from "../formats/safetensors/file.ts";
import type { Architecture } from "../models/family.ts";
import { expertTap } from "../models/site.ts";
import { changesSince, type ChannelChange, type ChannelChanges } from "../models/lineage.ts";
import { readModelRecord } from "../models/model_record.ts";

/** What `stats.json` says of a stats artifact. */
export interface StatsRecord {
  readonly version: 1;
  /** Content digest of the model that was watched. */
  readonly model: string;
  /** Content digest of its tokens. */
  readonly tokens: string;
  /** Where the model's first token stood; nowhere unless said. */
  readonly bos?: "window" | "text";
  readonly windows: number;
  readonly context: number;
  /** Activations of every site that are kept, evenly spread over the tokens. */
  readonly rows: number;
  /** Windows of which queries, keys and values are kept whole. */
  readonly attentionWindows: number;
  readonly gram: boolean;
}

/** What a stats artifact holds, whatever it was taken of. */
export type StatsSizes = Omit<StatsRecord, "version" | "model" | "tokens" | "bos">;

/** Magnitudes of each channel over all calibration tokens. */
export type Magnitude = "absmax" | "absmean" | "rms";

/** Some values of an activation: f32 [rows, columns], row-major. */
export interface ActivationRows {
  readonly rows: number;
  readonly columns: number;
  readonly values: Float32Array<ArrayBuffer>;
}

/** What calibration saw, as the model it is opened for would show it. */
export interface Stats extends Disposable {
  readonly record: StatsSizes;
  /** A magnitude of every channel at a tap (a site, or one of attention's). */
  magnitude(layer: number, tap: string, what: Magnitude): Promise<Float32Array<ArrayBuffer>>;
  /**
   * Sum of x x^T over all tokens at a site, or those that go from there to one expert, f32 [channels,
   * channels].
   */
  gram(layer: number, site: string, expert?: number): Promise<Float32Array<ArrayBuffer>>;
  /** How many tokens went to an expert, by what is known of it. */
  tokens(layer: number, tap: string): Promise<number>;
  /** The kept activations of a site; of an expert that no token went to, none. */
  rows(layer: number, site: string): Promise<ActivationRows>;
  /** Queries, keys (both after rotary embedding) or values of a kept window, [context, channels]. */
  window(layer: number, tap: string, window: number): Promise<ActivationRows>;
}

/** Name of the file of a layer. */
export function layerFile(layer: number): string {
  return `layer-${String(layer).padStart(3, "0")}.safetensors`;
}

/**
 * Opens a stats artifact for a model: the one that was watched, or one that came from it by permuting
 * and scaling channels, which changes statistics in a known way.
 *
 * Throws a `TypeError` for any other model: its activations are not these.
 */
export async function openStats(
  stats: { readonly path: string },
  model: { readonly path: string; readonly digest: string },
): Promise<Stats> {
  const record: StatsRecord = JSON.parse(await Deno.readTextFile(`${stats.path}/stats.json`));
  const changes = await changesSince(record.model, {
    ...model,
    record: await readModelRecord(model.path),
  });
  if (changes === undefined) {
    throw new TypeError(
      `Cannot use the stats for this model: they were taken from model ${
        record.model.slice(0, 12)
      }, which is none of its earlier forms, expected stats of model ${
        model.digest.slice(0, 12)
      }; put a calibrate step before this one`,
    );
  }
  const files = new Map<number, SafetensorsFile>();
  const read = async (layer: number, name: string) => {
    let file = files.get(layer);
    if (!file) files.set(layer, file = await openSafetensors(`${stats.path}/${layerFile(layer)}`));
    return { values: await file.read(name) as Float32Array<ArrayBuffer>, file };
  };
  const rowsOf = async (layer: number, tap: string, name: string): Promise<ActivationRows> => {
    const { values, file } = await read(layer, name);
    const [rows = 0, columns = 0] = file.tensors.get(name)!.shape;
    for (let row = 0; row < rows; row++) {
      follow(values.subarray(row * columns, (row + 1) * columns), tap, changes);
    }
    return { rows, columns, values };
  };
  return {
    record,
    async magnitude(layer, tap, what) {
      const { values } = await read(layer, `${tap}.${what}`);
      follow(values, tap, changes);
      // Gains of norms, which are folded, may be negative.
      return values.map(Math.abs);
    },
    async gram(layer, site, expert) {
      if (!record.gram) {
        throw new TypeError(
          `Cannot use the stats of ${site}: they hold no Gram matrix, expected one; set gram: true on the calibrate step`,
        );
      }
      const seen = expert === undefined ? site : expertTap(site, expert);
      const { rows, columns, values } = await rowsOf(layer, site, `${seen}.gram`);
      transpose(values, rows);
      for (let row = 0; row < rows; row++) {
        follow(values.subarray(row * columns, (row + 1) * columns), site, changes);
      }
      return values;
    },
    async tokens(layer, tap) {
      return (await read(layer, `${tap}.tokens`)).values[0]!;
    },
    async rows(layer, site) {
      const { values, file } = await read(layer, `${site}.absmax`);
      if (file.tensors.has(`${site}.rows`)) return await rowsOf(layer, site, `${site}.rows`);
      return { rows: 0, columns: values.length, values: new Float32Array(0) };
    },
    async window(layer, tap, window) {
      if (window >= record.attentionWindows) {
        throw new RangeError(
          `Cannot use window ${window} of the stats: ${record.attentionWindows} are kept, expected more; raise attention_windows on the calibrate step`,
        );
      }
      return await rowsOf(layer, tap, `${tap}.${window}`);
    },
    [Symbol.dispose]() {
      for (const file of files.values()) file[Symbol.dispose]();
      files.clear();
    },
  };
}

/** Statistics of sizes alone: magnitudes are zeros, and all else has no values. */
export function headerStats(record: StatsSizes, { layers }: Architecture): Stats {
  const taps = layers.flatMap(({ sites, taps }) => [...sites, ...Object.values(taps)]);
  const widths = new Map(taps.map(({ name, channels }) => [name, channels]));
  const some = (rows: number, tap: string) =>
    Promise.resolve({ rows, columns: widths.get(tap) ?? 0, values: new Float32Array(0) });
  return {
    record,
    magnitude: (_layer, tap) => Promise.resolve(new Float32Array(widths.get(tap) ?? 0)),
    gram: () => Promise.resolve(new Float32Array(0)),
    // As many as are enough.
    tokens: () => Promise.resolve(Infinity),
    rows: (_layer, site) => some(record.rows, site),
    window: (_layer, tap) => some(record.context, tap),
    [Symbol.dispose]() {},
  };
}

/** Bytes of the kept inputs of the widest site. */
export function inputBytes({ rows }: StatsSizes, { layers }: Architecture): number {
  const sites = layers.slice(0, 1).flatMap(({ sites }) => sites);
  return sites.reduce((most, { channels }) => Math.max(most, 4 * rows * channels), 0);
}

/** Applies the changes of a tap's channels to one row, in place. */
function follow(row: Float32Array, tap: string, changes: readonly ChannelChanges[]): void {
  for (const step of changes) {
    const { index, scale }: ChannelChange = step.get(tap) ?? {};
    if (index) {
      const old = row.slice();
      for (let to = 0; to < index.length; to++) row[to] = old[index[to]!]!;
    }
    if (!scale) continue;
    for (let channel = 0; channel < scale.length; channel++) row[channel]! /= scale[channel]!;
  }
}

function transpose(values: Float32Array, size: number): void {
  for (let i = 0; i < size; i++) {
    for (let j = 0; j < i; j++) {
      const [a, b] = [i * size + j, j * size + i];
      const kept = values[a]!;
      values[a] = values[b]!;
      values[b] = kept;
    }
  }
}
