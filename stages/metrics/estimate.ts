import type { Device } from "../../kernels/device/device.ts";
import { f16, f32 } from "../../kernels/device/tensor.ts";
import { matmul } from "../../kernels/mod.ts";
import { millions } from "../../pipeline/words.ts";
import type { DecoderConfig } from "../models/config.ts";
import type { Model } from "../models/model.ts";
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
  { context, windows, group, baseline }: {
    readonly context: number;
    readonly windows: number;
    /** Windows whose activations are kept at once. */
    readonly group: number;
    readonly baseline:
      | { readonly config: DecoderConfig; readonly headBytes: number }
      | undefined;
  },
): Promise<Estimate> {
  const { hidden = 0, vocabulary = 0 } = baseline?.config ?? {};
  const tokens = windows * context;
  const operations = tokens * (operationsPerToken(model, context) + 2 * hidden * vocabulary);
  const { architecture, record, resident, checkpoint: { tensors } } = model;
  return {
    parameters: model.sizes.parameters,
    ...evaluationPeaks({ architecture, record, tensors }, { context, group, resident, baseline }),
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

async function measureSpeed(device: Device): Promise<number> {
  const [rows, size] = [256, 512];
  using x = device.upload(f32([rows, size]));
  using weight = device.upload(f16([size, size]));
  using y = device.empty({ dtype: "f32", shape: [rows, size] });
  const once = async () => {
    const start = performance.now();
    device.run(matmul, { x, weight, y }, {});
    await device.read(x);
    return (performance.now() - start) / 1000;
  };
  await once();
  // The least of a few: whatever else the machine does only adds to it.
  const seconds = [await once(), await once(), await once()];
  return 2 * rows * size * size / Math.min(...seconds);
}
