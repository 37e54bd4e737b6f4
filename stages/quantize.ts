import type { Device } from "../kernels/device/device.ts";
import {
  type GramSource,
  QuantizedGrams,
  type QuantizedGramsOptions,
  statsGrams,
} from "./calibration/gram_source.ts";
import {
  planSites,
  quantizedTensors,
  type QuantizeParams,
  quantizeParams,
  type SitePlan,
} from "./quantize/plan.ts";
import { quantizeSite } from "./quantize/site.ts";
import { meanError, outcome, warnings } from "./quantize/words.ts";
import { sampleWindows } from "./calibration/sample_windows.ts";
import { openStats, type Stats } from "./calibration/stats.ts";
import { forecastQuantize } from "./forecast/quantize.ts";
import type { Checkpoint } from "./formats/checkpoint.ts";
import { writeCheckpointTexts } from "./formats/checkpoint_texts.ts";
import { createCheckpointWriter } from "./formats/checkpoint_writer.ts";
import { bytesOf } from "./formats/half.ts";
import type { NamedValues } from "./formats/safetensors/file.ts";
import { defineStage } from "./kinds.ts";
import { openModel } from "./models/architecture.ts";
import type { Architecture } from "./models/family.ts";
import { lengthenLineage } from "./models/lineage.ts";
import { type ModelRecord, refuseQuantized, writeModelRecord } from "./models/model_record.ts";
import { rowPieces } from "./models/rewrite.ts";

/** Turns the weights of a model's layers into codes. */
export const quantize = defineStage({
  about: "Quantizes the linears of every layer by rounding to nearest or GPTQ, into packed codes.",
  version: 1,
  params: quantizeParams,
  inputs: { model: "model", stats: "stats?", tokens: "tokens?" },
  output: "model",
  example: { method: "rtn" },
  forecast: forecastQuantize,
  async run(job, { model: artifact, stats: statistics, tokens }, params) {
    using files = await openModel(artifact.path);
    const { checkpoint, record: before, architecture } = files;
    refuseQuantized(before, "quantize");
    using stats = statistics && await openStats(statistics, artifact);
    const plans = await planSites(architecture, params, stats);
    for (const text of warnings(plans, params, stats)) {
      job.note(text, undefined, "warning");
    }
    const record = recordOf(before, params, plans);
    const device = await job.tools.device();
    const entry = (at: number) => `layer-${at}`;
    await using grams = await openGrams({
      params,
      stats,
      tokens,
      artifact,
      plans,
      record,
      architecture,
    }, {
      device,
      memoryBytes: 0.25 * job.tools.memoryBytes,
      directory: `${job.out}/streams`,
      journal: job.journal,
      made: async (at) =>
        (await job.journal.recall<QuantizedLayer>(entry(at), () => lost(at))).made,
    });
    const specifications = quantizedTensors(files, plans);
    using writer = await createCheckpointWriter(job.out, specifications);
    let facts: ModelRecord["measured"]["linears"] = {};
    let layer = -1;
    let made: QuantizedLayer["made"] = new Map();
    const layers = Math.max(...plans.map((plan) => plan.layer)) + 1;
    for (const { name, layer: at } of specifications) {
      if (at !== undefined && at !== layer && at < layers) {
        job.signal.throwIfAborted();
        const found = await job.journal.recall(entry(at), async () => {
          job.progress(at, layers, `layer ${at + 1} of ${layers}`);
          const here = plans.filter((plan) => plan.layer === at);
          await grams?.begin(at, job.signal);
          const found = await quantizeLayer(device, checkpoint, here, grams);
          await grams?.end(found.made);
          return found;
        });
        made = found.made;
        facts = { ...facts, ...found.facts };
        if (found.made.size > 0) {
          const { of, error } = meanError(found.facts);
          const text = `layer ${at + 1}: mean error of ${of} ${error.toExponential(2)}`;
          job.note(text, { layer: at, error }, "detail");
        }
        layer = at;
      }
      const values = made.get(name);
      if (values) await writer.write(name, bytesOf(values.values));
      else await copyTensor(checkpoint, name, writer);
    }
    await writer.close();
    await writeCheckpointTexts(checkpoint, job.out);
    const lineage = await lengthenLineage({ ...artifact, record: before }, job.out, new Map());
    await writeModelRecord(job.out, {
      ...record,
      lineage,
      measured: { ...record.measured, linears: facts },
    });
    job.progress(layers, layers);
    for (const text of outcome(facts)) job.note(text, undefined, "result");
  },
});

/** What the linears of a layer became. */
interface QuantizedLayer {
  readonly made: ReadonlyMap<string, NamedValues>;
  readonly facts: ModelRecord["measured"]["linears"];
}

/** Opens what gives the Gram matrices, where they are needed or at hand. */
async function openGrams(
  { params, stats, tokens, artifact, plans, record, architecture }: {
    readonly params: QuantizeParams;
    readonly stats: Stats | undefined;
    readonly tokens: { readonly path: string } | undefined;
    readonly artifact: { readonly path: string };
    readonly plans: readonly SitePlan[];
    readonly record: ModelRecord;
    readonly architecture: Architecture;
  },
  { device, ...means }:
    & Pick<QuantizedGramsOptions, "memoryBytes" | "directory" | "journal" | "made">
    & {
      readonly device: Device;
    },
): Promise<GramSource | undefined> {
  const { inputs, method, range, windows, context } = params;
  if (inputs === "quantized") {
    if (!tokens) {
      throw new TypeError(
        "Cannot quantize from inputs of quantized layers: there are no tokens to run, expected them; feed tokens or set inputs to original",
      );
    }
    const samples = await sampleWindows(tokens.path, { windows, context });
    const sites = [...new Set(plans.map(({ site }) => site))];
    const { path } = artifact;
    return await QuantizedGrams.open(device, { ...means, path, record, windows: samples, sites });
  }
  if (stats?.record.gram) return statsGrams(stats, architecture);
  const need = method === "gptq"
    ? "by GPTQ"
    : range && range.objective !== "tensor"
    ? `with ranges searched by ${range.objective}`
    : undefined;
  if (need === undefined) return undefined;
  throw new TypeError(
    `Cannot quantize ${need}: there ${
      stats ? "is no Gram matrix in the stats" : "are no stats"
    }, expected those of a calibrate step with gram: true`,
  );
}

async function quantizeLayer(
  device: Device,
  checkpoint: Checkpoint,
  here: readonly SitePlan[],
  grams: GramSource | undefined,
): Promise<QuantizedLayer> {
  const made = new Map<string, NamedValues>();
  let facts: QuantizedLayer["facts"] = {};
  for (const { site, method } of here) {
    const found = await quantizeSite(device, checkpoint, method, await grams?.gram(site));
    for (const [name, values] of found.tensors) made.set(name, values);
    facts = { ...facts, ...found.facts };
  }
  return { made, facts };
}

function lost(layer: number): Promise<never> {
  return Promise.reject(
    new Error(
      `Cannot go on behind layer ${
        layer + 1
      }: the journal has lost its codes, expected them; run again`,
    ),
  );
}

function recordOf(
  before: ModelRecord,
  params: QuantizeParams,
  plans: readonly SitePlan[],
): ModelRecord {
  const linears = plans.flatMap(({ method }) =>
    method.linears.map(({ linear, scheme }) => [linear.name, scheme] as const)
  );
  return {
    ...before,
    history: [...before.history, { stage: "quantize", params }],
    linears: Object.fromEntries(linears),
  };
}

async function copyTensor(
  checkpoint: Checkpoint,
  name: string,
  writer: { write(name: string, bytes: Uint8Array): Promise<void> },
): Promise<void> {
  for (const rows of rowPieces(checkpoint.tensors.get(name)!.shape)) {
    await writer.write(name, await checkpoint.readRaw(name, rows));
  }
}
