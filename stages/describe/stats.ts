import type { DescribeOptions, Description, Series } from "../../pipeline/description.ts";
import type { StatsRecord } from "../calibration/stats.ts";
import { openSafetensors } from "../formats/safetensors/file.ts";

/** Where the model's first token stood, in words. */
const FIRST = {
  window: ", the model's first one before each",
  text: ", the model's first one before the text",
} as const;

/** Describes what calibration saw. */
export async function describeStats(
  directory: string,
  { signal }: DescribeOptions,
): Promise<Description> {
  const record: StatsRecord = JSON.parse(await Deno.readTextFile(`${directory}/stats.json`));
  const names = await Array.fromAsync(Deno.readDir(directory), ({ name }) => name);
  const files = names.filter((name) => /^layer-\d+\.safetensors$/.test(name)).sort();
  const warnings: string[] = [];
  const largest = new Map<string, [number, number][]>();
  for (const [layer, file] of files.entries()) {
    signal?.throwIfAborted();
    try {
      for (const [tap, most] of await largestMagnitudes(`${directory}/${file}`)) {
        largest.set(tap, [...largest.get(tap) ?? [], [layer, most]]);
      }
    } catch (error) {
      warnings.push((error as Error).message);
    }
  }
  const series = [...largest].map(([name, points]): Series => ({ name, points }));
  const { windows, context, rows, attentionWindows, gram, model, tokens, bos } = record;
  return {
    title: `statistics of ${files.length} layers over ${windows * context} tokens`,
    sections: [
      {
        title: "Statistics",
        facts: [
          ["layers", String(files.length)],
          ["samples", `${windows} of ${context} tokens${bos ? FIRST[bos] : ""}`],
          ["activations kept", `${rows} of every site`],
          ["attention kept", `${attentionWindows} samples of queries, keys and values`],
          ["Gram matrices", gram ? "of every site" : "none, so that GPTQ cannot use them"],
          ["of model", model],
          ["over tokens", tokens],
        ],
      },
      ...series.length === 0 ? [] : [{
        title: "Outliers",
        charts: [{
          title: "Largest magnitude of activations",
          across: "Layer",
          up: "Magnitude",
          series,
        }],
      }],
    ],
    warnings,
  };
}

/** The largest magnitude at each tap of a layer, by the tap's name without the layer; that of all experts. */
async function largestMagnitudes(path: string): Promise<ReadonlyMap<string, number>> {
  using file = await openSafetensors(path);
  const found = new Map<string, number>();
  for (const name of file.tensors.keys()) {
    const [, tap, expert = ""] = /^layers\.\d+\.(.+?)(\.expert_\d+)?\.absmax$/.exec(name) ?? [];
    if (tap === undefined) continue;
    const place = expert ? `${tap} of experts` : tap;
    const values = await file.read(name);
    let most = found.get(place) ?? 0;
    for (const value of values) most = Math.max(most, value);
    found.set(place, most);
  }
  return found;
}
