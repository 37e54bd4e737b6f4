import type { Device } from "../../kernels/device/device.ts";
import { openGrams } from "../quantize/grams.ts";
import type { GramSource, QuantizedGramsOptions } from "../quantize/quantized_grams.ts";
import { HEAD_VALUES, type HeadPlan, planHead, quantizeHead } from "../quantize/head.ts";
import { type LayerTensor, planSites, quantizedTensors, type SitePlan } from "../quantize/plan.ts";
import type { QuantizeParams } from "../quantize/params.ts";
import { quantizedPieces, VALUE_BYTES, valuesAtOnce } from "../quantize/pieces.ts";
import { quantizeSite } from "../quantize/site.ts";
import { headOutcome, meanError, outcome, warnings } from "../quantize/words.ts";
import { sampleWindows } from "../calibration/sample_windows.ts";
import { headerStats, openStats } from "../calibration/stats.ts";
import { headerFiles, type ModelOutline, plannedTensors } from "../facts.ts";
import { duration, ofAllLayers } from "../duration.ts";
import { modelBytes, parsedBytes, tensorsBytes } from "../sizes.ts";
import { type Checkpoint, writeCheckpointTexts } from "../formats/checkpoint.ts";
import { createCheckpointWriter } from "../formats/checkpoint_writer.ts";
import { bytesOf } from "../formats/half.ts";
import { release } from "../../kernels/device/release.ts";
import type { NamedValues } from "../formats/safetensors/file.ts";
import { openModel, untied } from "../models/architecture.ts";
import type { ModelFiles } from "../models/family.ts";
import { addChannelStep } from "../models/lineage.ts";
import { keptStreams } from "../models/memory_shares.ts";
import {
  type LinearFacts,
  type ModelRecord,
  refuseQuantized,
  writeModelRecord,
} from "../models/model_record.ts";
import {
  countPeaks,
  type DevicePeaks,
  emptyWindows,
  FOREVER,
  hostPeak,
  layersThatDiffer,
} from "../models/peaks.ts";
import { CountingKeeper, FileKeeper } from "../models/stream_entries.ts";
import { checkTokenRows } from "../models/token_rows.ts";
import { rowPieces } from "../formats/rows.ts";
import type { WorkOf } from "../kinds.ts";
import type { QuantizeDeclaration } from "../quantize.ts";

/** See `quantize`. */
export const quantizeWork: WorkOf<QuantizeDeclaration> = {
  async forecast({ model, stats: sizes, tokens }, params, { memoryBytes, limits, rates }) {
    refuseQuantized(model.record, "quantize");
    const files = headerFiles(model);
    const stats = sizes && headerStats(sizes, files.architecture);
    const planned = await outlined(files, params, stats);
    const { plans, record, config, specifications } = planned;
    const journal = new CountingKeeper();
    const streams = keptStreams(journal, { keeper: journal, memoryBytes });
    const windows = tokens && emptyWindows(params);
    const values = valuesAtOnce(memoryBytes);
    const options = { files, record, windows, streams, made: lost, values };
    const peaks = await countPeaks(limits, async (open) => {
      await quantizeFirst(await open(), { params, stats, plans }, options);
    });
    const facts = { ...model, config, tensors: plannedTensors(specifications), record };
    const packed = codedBytes(specifications, model.tensors);
    return {
      ...duration(rates, [ofAllLayers(files, peaks), ofHost(tensorsBytes(model.tensors.values()))]),
      deviceBytes: peaks.deviceBytes,
      hostBytes: hostBytes(planned, { values, packed, peaks }) + parsedBytes(model),
      diskBytes: modelBytes(facts),
      workBytes: packed + journal.bytes, // Of every layer until the last one is there.
      facts,
    };
  },
  async run(job, { model: artifact, stats: statistics, tokens }, params) {
    using files = await openModel(artifact.path);
    const { checkpoint, record: before, architecture } = files;
    refuseQuantized(before, "quantize");
    using stats = statistics && await openStats(statistics, artifact);
    const becomes = await outlined(files, params, stats);
    const { plans, head, record, specifications } = becomes;
    for (const text of warnings(plans, params, stats)) {
      job.note(text, undefined, "warning");
    }
    const device = await job.tools.device();
    const entry = (at: number) => `layer-${at}`;
    await using keeper = new FileKeeper(`${job.out}/streams`);
    const windows = tokens && params.inputs !== "original"
      ? await sampleWindows({ model: artifact.path, tokens: tokens.path }, params)
      : undefined;
    checkTokenRows(windows ?? [], architecture.config);
    using grams = openGrams(device, { params, stats, plans }, {
      files,
      record,
      windows,
      streams: keptStreams(job.journal, { keeper, memoryBytes: job.tools.memoryBytes }),
      made: async (at) =>
        (await job.journal.recall<QuantizedLayer>(entry(at), () => lost(at))).made,
    });
    const work = { checkpoint, plans, grams, values: valuesAtOnce(job.tools.memoryBytes) };
    using writer = await createCheckpointWriter(job.out, specifications);
    let facts: ModelRecord["measured"]["linears"] = {};
    let ofHead: LinearFacts | undefined;
    let layer = -1;
    let made: QuantizedLayer["made"] = new Map();
    const layers = Math.max(...plans.map((plan) => plan.layer)) + 1;
    const total = layers + (head ? 1 : 0);
    for (const { name, layer: at, head: isHead } of specifications) {
      if (head && isHead) {
        // All of its tensors at once: they follow each other.
        ofHead ??= await quantizeHead(checkpoint, head, {
          writer,
          signal: job.signal,
          progress: (done, rows) => job.progress(layers + done / rows, total, "head"),
        });
        continue;
      }
      if (at !== undefined && at !== layer && at < layers) {
        job.signal.throwIfAborted();
        const found = await job.journal.recall(entry(at), async () => {
          job.progress(at, total, `layer ${at} (${at + 1} of ${layers})`);
          return await quantizeLayer(device, { ...work, signal: job.signal }, at);
        });
        made = found.made;
        facts = { ...facts, ...found.facts };
        if (found.made.size > 0) {
          const { of, error } = meanError(found.facts);
          const text = `layer ${at}: mean error of ${of} ${error.toExponential(2)}`;
          job.note(text, { layer: at, error }, "detail");
        }
        layer = at;
      }
      const values = made.get(name);
      if (values) await writer.write(name, bytesOf(values.values));
      else await copyTensor(checkpoint, name, writer);
    }
    await writer.close();
    await writeCheckpointTexts({ ...checkpoint, config: becomes.config }, job.out);
    const activations = new Map();
    const added = await addChannelStep({ ...artifact, record: before }, job.out, { activations });
    await writeModelRecord(job.out, {
      ...record,
      ...added,
      measured: {
        ...record.measured,
        linears: { ...facts, ...head && ofHead && { [head.linear.name]: ofHead } },
      },
    });
    job.progress(total, total);
    for (const text of [...outcome(facts), ...headOutcome(ofHead)]) {
      job.note(text, undefined, "result");
    }
  },
};

/** Scales, orders, codes and their packing take the host as long as two rotations of what is read. */
function ofHost(read: number) {
  return { written: read, arithmetic: read };
}

/**
 * Bytes of arrays: of the largest piece of a weight at work; and of what is there all the while and given
 * back behind it, the Gram matrix of a site and that of shifts, with the codes of a layer as they are and
 * as the journal takes them.
 */
function hostBytes(
  { plans, head }: Planned,
  { values, packed, peaks }: {
    readonly values: number;
    readonly packed: number;
    readonly peaks: DevicePeaks;
  },
): number {
  const pieces = plans.flatMap(({ method }) =>
    method.linears.flatMap(({ linear, scheme }) =>
      quantizedPieces(linear, scheme.weights, method, values)
        .map(({ start, end }) => VALUE_BYTES * (end - start) * linear.columns)
    )
  );
  if (head) pieces.push(VALUE_BYTES * HEAD_VALUES + 4 * head.linear.rows);
  const grams = plans.map(({ site, method: { shift } }) =>
    (shift ? 2 : 1) * 4 * site.channels ** 2
  );
  const layers = new Set(plans.map(({ layer }) => layer));
  const largest = (bytes: readonly number[]) => bytes.reduce((a, b) => Math.max(a, b));
  return hostPeak(largest(pieces), peaks) + largest(grams) + 2 * packed / layers.size;
}

/** Bytes of the codes of layers, which were not there before. */
function codedBytes(
  specifications: readonly LayerTensor[],
  before: ModelOutline["tensors"],
): number {
  return tensorsBytes(specifications.filter(({ name, head }) => !head && !before.has(name)));
}

/** All that is to be quantized. */
interface Planned {
  readonly plans: readonly SitePlan[];
  readonly head: HeadPlan | undefined;
}

/** What a model becomes, and how. */
async function outlined(
  { checkpoint, record, architecture }: ModelFiles,
  params: QuantizeParams,
  stats: Parameters<typeof planSites>[2],
) {
  const plans = await planSites(architecture, params, stats);
  const head = planHead(architecture, params.head);
  const becomes = head ? untied(architecture) : architecture;
  return {
    plans,
    head,
    config: becomes.json,
    record: recordOf(record, params, { plans, head }),
    specifications: quantizedTensors({ checkpoint, architecture: becomes }, { plans, head }),
  };
}

/** Quantizes as many layers as differ in what they take. */
async function quantizeFirst(
  device: Device,
  asked: Parameters<typeof openGrams>[1],
  { values, ...options }: QuantizedGramsOptions & { readonly values: number },
): Promise<void> {
  using grams = openGrams(device, asked, options);
  const { plans } = asked;
  const work = { checkpoint: options.files.checkpoint, plans, grams, values, signal: FOREVER };
  for (const { index } of layersThatDiffer(options.files)) await quantizeLayer(device, work, index);
}

/** What the linears of a layer became. */
interface QuantizedLayer {
  readonly made: ReadonlyMap<string, NamedValues>;
  readonly facts: ModelRecord["measured"]["linears"];
}

/** Quantizes a layer; layers come in order. */
async function quantizeLayer(
  device: Device,
  { checkpoint, plans, grams, values, signal }: {
    readonly checkpoint: Checkpoint;
    readonly plans: readonly SitePlan[];
    readonly grams: GramSource | undefined;
    /** Of a weight, that are quantized at once. */
    readonly values: number;
    readonly signal: AbortSignal;
  },
  layer: number,
): Promise<QuantizedLayer> {
  const made = new Map<string, NamedValues>();
  const facts: Record<string, LinearFacts> = {};
  await grams?.begin(layer, signal);
  for (const plan of plans.filter((plan) => plan.layer === layer)) {
    signal.throwIfAborted();
    const known = await grams?.inputs(plan, made, signal);
    const found = await quantizeSite(device, checkpoint, plan.method, { known, values });
    for (const matrix of [known?.gram, known?.cross]) if (matrix) release(matrix);
    for (const [name, values] of found.tensors) made.set(name, values);
    Object.assign(facts, found.facts);
  }
  await grams?.end(made);
  return { made, facts };
}

function lost(layer: number): Promise<never> {
  return Promise.reject(
    new Error(
      `Cannot go on behind layer ${layer}: the journal has lost its codes, expected them; run again`,
    ),
  );
}

function recordOf(
  before: ModelRecord,
  params: QuantizeParams,
  { plans, head }: Planned,
): ModelRecord {
  const linears = [...plans.flatMap(({ method }) => method.linears), ...head ? [head] : []]
    .map(({ linear, scheme }) => [linear.name, scheme] as const);
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
