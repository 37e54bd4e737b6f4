import type { Device } from "../../kernels/device/device.ts";
import type { DecoderConfig } from "../models/config.ts";
import type { ModelFiles } from "../models/family.ts";
import { streamShare, weightShare } from "../models/memory_shares.ts";
import type { KernelWork } from "../models/counted_work.ts";
import { Model } from "../models/model.ts";
import {
  countPeaks,
  firstLayers,
  FOREVER,
  headersOf,
  hostPeak,
  layersThatDiffer,
} from "../models/peaks.ts";
import { CountingKeeper } from "../models/stream_entries.ts";
import { Baseline } from "./baseline.ts";
import { measureSpeed } from "./device_speed.ts";
import { scoreWindow } from "./perplexity.ts";
import { windowStates } from "./windows.ts";

/** Bytes of weights that may stay on the device, beside those of a baseline's head. */
export function weightBudget(memoryBytes: number, headBytes: number): number {
  return weightShare(memoryBytes) - headBytes;
}

/** Windows to take through each layer together: one where no layer has to be read twice. */
export function windowsAtOnce(
  { config, resident }: { readonly config: DecoderConfig; readonly resident: boolean },
  { memoryBytes, context, windows }: {
    readonly memoryBytes: number;
    readonly context: number;
    readonly windows: number;
  },
): number {
  if (resident) return 1;
  const streamBytes = 2 * 4 * context * config.hidden;
  return Math.max(1, Math.min(windows, Math.floor(streamShare(memoryBytes) / streamBytes)));
}

/** What is evaluated; of the files nothing but headers is looked at. */
export interface Evaluated {
  readonly model: ModelFiles;
  /** What it is compared with. */
  readonly baseline: ModelFiles | undefined;
}

/** Peak bytes of an evaluation, and those of the journal's streams: it is run on headers. */
export async function evaluationPeaks(
  { model: files, baseline: other }: Evaluated,
  { memoryBytes, context, windows, limits, behind }: {
    readonly memoryBytes: number;
    readonly context: number;
    readonly windows: number;
    /** Those of the device, if they are known. */
    readonly limits: unknown;
    /** What is done on the device behind the windows, with the same model. */
    behind?(device: Device, model: Model): Promise<void>;
  },
): Promise<{
  readonly deviceBytes: number;
  readonly hostBytes: number;
  readonly streamBytes: number;
  /** What is launched for all windows: as counted, and how many times as much. */
  readonly shares: readonly { readonly work: readonly KernelWork[]; readonly times: number }[];
}> {
  const journal = new CountingKeeper();
  const [passed, scored]: [KernelWork[], KernelWork[]] = [[], []];
  let [counted, layers] = [0, 1];
  const peaks = await countPeaks(limits, async (open) => {
    const device = await open();
    using baseline = other && Baseline.ofHeaders(headersOf(other), context);
    const weightBytes = weightBudget(memoryBytes, baseline?.headBytes ?? 0);
    const headers = headersOf(files);
    using whole = Model.of(device, headers, { weightBytes });
    // Where layers come and go, those that are alike come and go alike; streams are kept behind two.
    const few = firstLayers(headers, layersThatDiffer(headers).length + 1);
    using model = whole.resident ? whole : Model.of(device, few, { weightBytes });
    baseline?.assertComparable(model.config);
    const group = windowsAtOnce(model, { memoryBytes, context, windows });
    await measureSpeed(device);
    layers = whole.resident ? 1 : whole.config.layers / few.architecture.layers.length;
    device.taken();
    // Behind the first group nothing is new.
    const tokens = new Uint32Array(Math.min(windows, group + 1) * context);
    const options = { context, group, journal, signal: FOREVER, progress() {} };
    for await (const state of windowStates(device, model, tokens, options)) {
      passed.push(...device.taken());
      await (baseline?.compare(device, model, state) ?? scoreWindow(device, model, state));
      scored.push(...device.taken());
      counted++;
    }
    await behind?.(device, whole);
  });
  const { deviceBytes } = peaks;
  const times = windows / Math.max(1, counted);
  return {
    deviceBytes,
    hostBytes: hostPeak(0, peaks),
    streamBytes: journal.bytes,
    shares: [{ work: passed, times: times * layers }, { work: scored, times }],
  };
}
