import { pagesFor, tokensIn } from "../../kernels/codes/kv_page.ts";
import type { Device } from "../../kernels/device/device.ts";
import { elements } from "../../kernels/device/tensor.ts";
import { pagesOfLongest } from "../engine/kv_batch.ts";
import { kvSchemes, pageBytes, sinksOf } from "../engine/kv_pools.ts";
import { PagedModel } from "../engine/paged_model.ts";
import type { Checkpoint, RowRange } from "../formats/checkpoint.ts";
import { type SafetensorsDType, tensorBytes } from "../formats/safetensors/header.ts";
import type { ModelFiles } from "../models/family.ts";
import { rooflineSeconds } from "../models/counted_work.ts";
import { Model } from "../models/model.ts";
import { firstLayers, layersThatDiffer } from "../models/peaks.ts";
import { type Card, type EngineStep, stepChunks, stepWork } from "./step_work.ts";

/** Bytes of layers that no cache holds from one step to the next. */
const UNCACHED_BYTES = 2 ** 28;
/** The same of KV pages, and their share of the memory where that is less. */
const [PAGES_BYTES, PAGES_SHARE] = [2 ** 27, 1 / 8];
/** Steps are timed for so long, and so often at least. */
const SECONDS = 0.2;
const STEPS = 2;

/** Seconds that steps take, as a device was seen to work at them. */
export interface StepTimes {
  /** Of each step that was asked for. */
  readonly seconds: readonly number[];
  /** Whether steps of some layers were timed; else it is what no device can do better. */
  readonly timed: boolean;
}

/**
 * Predicts what steps of a model take: as many of its layers as no cache holds are run with made-up
 * weights, and the time is scaled by the roofline of the whole against that of these layers.
 *
 * Where they do not fit into `memoryBytes`, it is the roofline alone.
 */
export async function predictSteps(
  device: Device,
  files: ModelFiles,
  { steps, card, memoryBytes, signal }: {
    readonly steps: readonly EngineStep[];
    readonly card: Card;
    readonly memoryBytes: number;
    readonly signal: AbortSignal;
  },
): Promise<StepTimes> {
  const roofs = async (files: ModelFiles) => {
    const all = steps.map((step) => stepWork(files, device.limits, step));
    return (await Promise.all(all)).map((work) => rooflineSeconds(work, card));
  };
  const whole = await roofs(files);
  const part = uncachedLayers(files);
  const bytes = bytesOf(part);
  const pagesBytes = Math.min(PAGES_BYTES, PAGES_SHARE * memoryBytes);
  if (bytes > memoryBytes / 2) return { seconds: whole, timed: false };
  const roofsOfPart = part.architecture.layers.length === files.architecture.layers.length
    ? whole
    : await roofs(part);
  using model = Model.of(device, { ...part, checkpoint: madeUp(part.checkpoint) }, {
    weightBytes: Infinity,
  });
  await model.loadWhole();
  const seconds: number[] = [];
  for (const [at, step] of steps.entries()) {
    signal.throwIfAborted();
    const took = await timeStep(device, model, { step, pagesBytes });
    seconds.push(took * whole[at]! / roofsOfPart[at]!);
  }
  return { seconds, timed: true };
}

/** What the step in the middle of some takes, behind one that records them: rounds are told so, too. */
async function timeStep(
  device: Device,
  model: Model,
  { step, pagesBytes }: { readonly step: EngineStep; readonly pagesBytes: number },
): Promise<number> {
  const { config, record } = model;
  const each = pageBytes(config, kvSchemes(config, record));
  const sinks = sinksOf(record);
  const wanted = step.batch * pagesFor(step.keys, sinks);
  const pages = Math.max(1, Math.min(wanted, Math.floor(pagesBytes / each)));
  const context = Math.max(step.keys, tokensIn(pagesOfLongest(1, sinks), sinks));
  using paged = new PagedModel(device, model, { pages, context, rows: step.batch });
  const chunks = stepChunks(step, { pages, sinks });
  const took: number[] = [];
  await paged.step(chunks);
  const begin = performance.now();
  for (let count = 0; count < STEPS || performance.now() - begin < 1000 * SECONDS; count++) {
    const start = performance.now();
    await paged.step(chunks);
    took.push((performance.now() - start) / 1000);
  }
  return took.sort((a, b) => a - b)[Math.floor(took.length / 2)]!;
}

/** The same model with as many layers as no cache holds, or all. */
function uncachedLayers(files: ModelFiles): ModelFiles {
  const { layers } = files.architecture;
  let [count, bytes] = [0, 0];
  const least = layersThatDiffer(files).length;
  while (count < layers.length && (bytes < UNCACHED_BYTES || count < least)) {
    bytes += layerBytes(files, count++);
  }
  return count === layers.length ? files : firstLayers(files, count);
}

/** All that a model with these layers has, whatever tensors its checkpoint holds beside. */
function bytesOf(files: ModelFiles): number {
  const { architecture: { layers, embeddings, ownHead }, checkpoint: { tensors } } = files;
  const tables = [embeddings, ownHead].flatMap((name) => tensors.get(name) ?? []);
  const beside = tables.reduce((sum, tensor) => sum + bytesOfTensor(tensor), 0);
  return layers.reduce((sum, _, at) => sum + layerBytes(files, at), beside);
}

function layerBytes(
  { architecture: { layers }, checkpoint: { tensors } }: ModelFiles,
  at: number,
): number {
  const { tensors: own, linears } = layers[at]!;
  const names = [...own.keys(), ...linears.map(({ name }) => `${name}.`)];
  let bytes = 0;
  for (const [name, tensor] of tensors) {
    if (names.some((own) => name === own || (own.endsWith(".") && name.startsWith(own)))) {
      bytes += bytesOfTensor(tensor);
    }
  }
  return bytes;
}

function bytesOfTensor(
  { dtype, shape }: { readonly dtype: string; readonly shape: readonly number[] },
): number {
  return tensorBytes({ dtype: dtype as SafetensorsDType, shape });
}

/** A checkpoint whose values are made up, all of a tensor alike: time does not depend on them. */
function madeUp(headers: Checkpoint): Checkpoint {
  const count = (name: string, rows?: RowRange) => {
    const { shape } = headers.tensors.get(name)!;
    const all = elements(shape);
    return rows ? all / shape[0]! * (rows.end - rows.start) : all;
  };
  return {
    ...headers,
    read: (name, rows) => Promise.resolve(new Float32Array(count(name, rows)).fill(SMALL)),
    readRaw: (name, rows) => {
      const { dtype } = headers.tensors.get(name)!;
      const length = count(name, rows);
      const values = dtype === "F32"
        ? new Float32Array(length).fill(SMALL)
        : dtype === "F16"
        ? new Float16Array(length).fill(SMALL)
        : dtype === "U32"
        ? new Uint32Array(length).fill(0x11111111)
        : new Uint8Array(length).fill(1);
      return Promise.resolve(new Uint8Array(values.buffer));
    },
  };
}

/** Small enough that sums of many stay far from what half precision holds. */
const SMALL = 2 ** -7;
