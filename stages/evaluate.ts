import { z } from "zod";
import type { Device } from "../kernels/device/device.ts";
import { f16, f32 } from "../kernels/device/tensor.ts";
import { matmul } from "../kernels/mod.ts";
import { defineStage } from "./kinds.ts";
import { logLikelihoods, perplexity, PROTOCOL } from "./metrics/perplexity.ts";
import type { DecoderConfig } from "./models/family.ts";
import { Model } from "./models/model.ts";

/** A piece of a weight as it is read, and the driver's copy of it. */
const STAGING_BYTES = 2 ** 27;

const params = z.strictObject({
  context: z.int().min(2).default(512).describe("Tokens a window."),
  windows: z.union([z.int().positive(), z.literal("all")]).default("all").describe(
    "Windows to score from the start of the text.",
  ),
});

/** Measures how well a model foresees a text. */
export const evaluate = defineStage({
  about: "Perplexity of a model on tokens, by the protocol of GPTQ's evaluation.",
  version: 1,
  params,
  inputs: { model: "model", tokens: "tokens" },
  output: "report",
  example: { context: 64, windows: 2 },
  async run(job, { model: artifact, tokens: text }, { context, windows }) {
    const all = new Uint32Array((await Deno.readFile(`${text.path}/tokens.u32`)).buffer);
    const whole = Math.floor(all.length / context);
    const count = windows === "all" ? whole : windows;
    if (count === 0 || count > whole) {
      throw new RangeError(
        `Cannot evaluate ${count} windows of ${context} tokens: the text has ${all.length} tokens, expected at least ${
          Math.max(1, count) * context
        }; lower windows or context`,
      );
    }
    const device = await job.tools.device();
    const memory = job.tools.memoryBytes;
    using model = await Model.open(artifact.path, device, { weightBytes: 0.6 * memory });
    const stream = 2 * 4 * context * model.config.hidden;
    const group = model.resident
      ? 1
      : Math.max(1, Math.min(count, Math.floor(0.25 * memory / stream)));
    const operations = count * context * operationsPerToken(model, context);
    const perSecond = await measureSpeed(device);
    const estimate = {
      parameters: model.sizes.parameters,
      deviceBytes: model.deviceBytes + group * stream + workBytes(model.config, context),
      hostBytes: STAGING_BYTES,
      tokens: count * context,
      seconds: operations / perSecond,
      resident: model.resident,
    };
    job.note(
      `${(estimate.parameters / 1e6).toFixed(1)} M parameters, ${
        megabytes(estimate.deviceBytes)
      } on the device (${model.resident ? "all weights" : "a layer at a time"}) and about ${
        megabytes(estimate.hostBytes)
      } staging on the host, ${estimate.tokens} tokens, about ${
        estimate.seconds.toFixed(0)
      } s on ${device.name}`,
      estimate,
    );
    const scores: Float32Array[] = [];
    const progress = (done: number, total: number, note: string) => job.progress(done, total, note);
    const walk = { context, group, signal: job.signal, progress };
    const used = all.subarray(0, count * context);
    for await (const window of logLikelihoods(device, model, used, walk)) scores.push(window);
    const result = perplexity(scores);
    const report = {
      scores: { perplexity: result.perplexity },
      protocol: { id: PROTOCOL, context, windows: count },
      windowMeans: result.windowMeans,
    };
    await Deno.writeTextFile(`${job.out}/report.json`, JSON.stringify(report, undefined, 2));
    await Deno.writeFile(`${job.out}/log_likelihoods.f32`, concatenate(scores));
    return { scores: report.scores };
  },
});

function operationsPerToken({ sizes, config }: Model, context: number): number {
  const linear = sizes.parameters - (config.tied ? 0 : config.vocabulary * config.hidden);
  // Half of all pairs of positions are seen, each for a score and for a value.
  return 2 * linear + 2 * config.layers * config.heads * config.headSize * context;
}

/** Activations of one layer at work: normalized input, queries, keys, values, the MLP's, logits. */
function workBytes(config: DecoderConfig, context: number): number {
  const { hidden, heads, kvHeads, headSize, inner } = config;
  return 4 * context * (3 * hidden + 2 * heads * headSize + 2 * kvHeads * headSize + 3 * inner) +
    2 ** 25;
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
  return 2 * rows * size * size / await once();
}

function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(0)} MB`;
}

function concatenate(parts: readonly Float32Array[]): Uint8Array {
  const all = new Float32Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return new Uint8Array(all.buffer);
}
