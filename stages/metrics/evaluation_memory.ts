import {
  layerTensors,
  type ModelHeaders,
  weightTensors,
  workTensors,
} from "../models/device_tensors.ts";
import type { DecoderConfig } from "../models/config.ts";
import { LARGE_BYTES } from "../../kernels/device/memory.ts";
import { heldBytes, hostPeak, sumOf } from "../models/peaks.ts";
import { columnsAtOnce, LOGIT_BYTES } from "./windows.ts";

/** How a model is evaluated. */
export interface EvaluationWork {
  readonly context: number;
  /** Windows whose activations are kept at once. */
  readonly group: number;
  /** Whether all weights stay on the device. */
  readonly resident: boolean;
  /** What it is compared with: the head of another model. */
  readonly baseline:
    | { readonly config: DecoderConfig; readonly headBytes: number }
    | undefined;
}

/** Bytes of weights that may stay on the device, of the memory there is for data. */
export function weightBudget(memoryBytes: number, headBytes: number): number {
  return 0.6 * memoryBytes - headBytes;
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
  return Math.max(1, Math.min(windows, Math.floor(0.25 * memoryBytes / streamBytes)));
}

/** Peak bytes of an evaluation. */
export function evaluationPeaks(
  model: ModelHeaders,
  { context, group, resident, baseline }: EvaluationWork,
): { readonly deviceBytes: number; readonly hostBytes: number } {
  const { config, embeddings, head: { linears: [output] } } = model.architecture;
  const layers = Array.from({ length: config.layers }, (_, layer) => layerTensors(model, layer));
  const largest = layers.reduce((a, b) => sumOf(b) > sumOf(a) ? b : a);
  const table = weightTensors(model, embeddings);
  const head = config.tied ? table : weightTensors(model, output.weight);
  const all = [...table, ...config.tied ? [] : head, ...layers.flat()];
  const hidden = 4 * context * config.hidden;
  const streams = Array<number>(2 * group).fill(hidden);
  const other = baseline ? [baseline.headBytes, 4 * context * baseline.config.hidden] : [];
  const deviceBytes = heldBytes([
    [...resident ? all : table, ...streams],
    [...resident ? all : largest, ...streams, hidden, ...workTensors(model, 0, context)],
    [...resident ? all : head, ...streams, hidden, ...other, ...logits(config, context, baseline)],
  ]);
  // The first use of a weight on the device is all that ends the driver's copy of it.
  const staged = Math.max(sumOf(largest), sumOf(table), sumOf(head) + (baseline?.headBytes ?? 0));
  const arrays = [...largest, ...table, ...head].reduce((a, b) => Math.max(a, b));
  return { deviceBytes, hostBytes: hostPeak({ arrays, staged }) };
}

/**
 * Logits come a piece after another, and the last piece may be smaller. Blocks of large ones are
 * taken again at once, those of small ones when all launches are submitted.
 */
function logits(
  { vocabulary }: DecoderConfig,
  context: number,
  baseline: EvaluationWork["baseline"],
): number[] {
  const columns = columnsAtOnce(baseline ? LOGIT_BYTES / 2 : LOGIT_BYTES, context);
  const pieces = Array.from(
    { length: Math.ceil(vocabulary / columns) },
    (_, i) => 4 * context * Math.min(columns, vocabulary - i * columns),
  );
  const [first = 0] = pieces;
  const held = first < LARGE_BYTES ? pieces : [...new Set(pieces)];
  return baseline ? [...held, ...held] : held;
}
