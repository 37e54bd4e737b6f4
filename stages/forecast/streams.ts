import {
  layerTensors,
  type ModelHeaders,
  weightTensors,
  workTensors,
} from "../models/device_tensors.ts";
import { architectureOf } from "../models/architecture.ts";
import { sumOf } from "../models/peaks.ts";
import type { ModelOutline } from "./outlines.ts";

/** Windows that go through a model together, a layer at a time. */
export interface StreamsOutline {
  readonly windows: number;
  readonly context: number;
  /** Memory for all that a stage keeps. */
  readonly memoryBytes: number;
}

/** What streams of windows take beside what watches them. */
export interface StreamsPeaks {
  /** Tensors on the device together: at the embeddings, and in a layer. */
  readonly phases: readonly (readonly number[])[];
  /** Bytes on the way to the device at once. */
  readonly staged: number;
  /** Bytes in the journal, and in files of streams that do not fit. */
  readonly workBytes: number;
}

/** The streams of a quarter of the memory stay on the device; the journal has two layers of all. */
export function streamsPeaks(
  model: ModelOutline,
  { windows, context, memoryBytes }: StreamsOutline,
): StreamsPeaks {
  const architecture = architectureOf(model.config);
  const headers: ModelHeaders = { ...model, architecture };
  const stream = 4 * context * architecture.config.hidden;
  const most = Math.floor(0.25 * memoryBytes / (2 * stream)) - 1;
  const held = Math.max(0, Math.min(windows, most));
  const table = weightTensors(model, architecture.embeddings);
  const layer = layerTensors(headers, 0);
  return {
    phases: [
      [...table, ...Array<number>(Math.min(windows, held + 1)).fill(stream)],
      [
        ...layer,
        ...Array<number>(2 * held + 1).fill(stream),
        ...workTensors(headers, 0, context),
      ],
    ],
    staged: Math.max(sumOf(table), sumOf(layer)),
    workBytes: (2 * windows + (windows - held)) * stream,
  };
}
