import type { Device } from "../../kernels/device/device.ts";
import { millions } from "../../pipeline/words.ts";
import type { Model } from "../models/model.ts";
import type { Baseline } from "./baseline.ts";
import { measureSpeed } from "./device_speed.ts";
import { evaluationPeaks } from "./evaluation_memory.ts";

/** What an evaluation will take. */
export interface Estimate extends Readonly<Record<string, number | boolean>> {
  readonly parameters: number;
  readonly deviceBytes: number;
  readonly hostBytes: number;
  readonly tokens: number;
  readonly seconds: number;
  /** Whether all weights stay on the device. */
  readonly resident: boolean;
}

/** Estimates an evaluation of `windows` windows from sizes and a short measurement of the device. */
export async function estimateWork(
  device: Device,
  model: Model,
  { context, windows, memoryBytes, baseline }: {
    readonly context: number;
    readonly windows: number;
    readonly memoryBytes: number;
    readonly baseline: Baseline | undefined;
  },
): Promise<Estimate> {
  const { hidden = 0, vocabulary = 0 } = baseline?.config ?? {};
  const tokens = windows * context;
  const operations = tokens * (operationsPerToken(model, context) + 2 * hidden * vocabulary);
  const { resident } = model;
  const headers = { model, baseline: baseline?.files };
  const { limits } = device;
  const peaks = await evaluationPeaks(headers, { memoryBytes, context, windows, limits });
  return {
    parameters: model.sizes.parameters,
    deviceBytes: peaks.deviceBytes,
    hostBytes: peaks.hostBytes,
    tokens,
    seconds: operations / await measureSpeed(device),
    resident,
  };
}

/** An estimate for people. */
export function estimateWords(estimate: Estimate, device: Device): string {
  const { parameters, deviceBytes, hostBytes, tokens, seconds, resident } = estimate;
  return `${millions(parameters)} M parameters, ${millions(deviceBytes, 0)} MB on the device (${
    resident ? "all weights" : "a layer at a time"
  }) and about ${millions(hostBytes, 0)} MB on the host, ${tokens} tokens, about ${
    seconds.toFixed(0)
  } s on ${device.name}`;
}

function operationsPerToken({ sizes, config }: Model, context: number): number {
  const linear = sizes.parameters - (config.tied ? 0 : config.vocabulary * config.hidden);
  // Half of all pairs of positions are seen, each for a score and for a value.
  return 2 * linear + 2 * config.layers * config.heads * config.headSize * context;
}
