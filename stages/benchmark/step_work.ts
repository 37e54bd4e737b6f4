import { PAGE_TOKENS } from "../../kernels/codes/kv_page.ts";
import { CountingDevice } from "../../kernels/device/counting.ts";
import type { Inputs, Tensor, TensorSpec } from "../../kernels/device/device.ts";
import type { Kernel } from "../../kernels/device/kernel.ts";
import type { Limits } from "../../kernels/device/limits.ts";
import { byteLength, elements } from "../../kernels/device/tensor.ts";
import { INTEGER_PRODUCTS } from "../../kernels/integer_products.ts";
import * as kernels from "../../kernels/mod.ts";
import { GREEDY } from "../engine/engine.ts";
import { PagedModel } from "../engine/paged_model.ts";
import type { Chunk } from "../engine/scheduler.ts";
import { newSequence } from "../engine/sequence.ts";
import type { ModelFiles } from "../models/family.ts";
import { Model } from "../models/model.ts";
import { headersOf } from "../models/peaks.ts";

/** What a device gives at most. */
export interface Card {
  readonly name: string;
  /** GB/s of memory. */
  readonly bandwidth: number;
  /** 10^12 operations a second of dot4I8Packed, which is what WebGPU has: not of tensor cores. */
  readonly integer: number;
  /** 10^12 operations a second in f32. */
  readonly float: number;
}

/** What launches of a kernel come to. */
export interface KernelWork {
  readonly kernel: string;
  launches: number;
  bytes: number;
  operations: number;
  /** Operations of its largest launch, which a card has to end before its system takes it for hung. */
  largest: number;
}

/** A step of the engine. */
export interface EngineStep {
  /** Sequences that run in it. */
  readonly batch: number;
  /** Tokens of each that it takes on: one in decode, a chunk of a prompt in prefill. */
  readonly queries: number;
  /** Tokens of each that are there behind it. */
  readonly keys: number;
}

/** The work of one step of the engine, kernel by kernel, planned for a device with these limits. */
export async function stepWork(
  files: ModelFiles,
  limits: Limits,
  step: EngineStep,
): Promise<KernelWork[]> {
  await using device = new Tally(limits, step);
  using model = Model.of(device, headersOf(files), { weightBytes: Infinity });
  await model.loadWhole();
  using paged = new PagedModel(device, model, {
    pages: 1,
    context: step.keys,
    rows: step.batch,
  });
  device.work.clear();
  await paged.step(stepChunks(step, 1));
  return [...device.work.values()];
}

/** What the sequences of a step are given, in so many pages that they take in turns. */
export function stepChunks({ batch, queries, keys }: EngineStep, pages: number): Chunk[] {
  const prompt = Array<number>(keys).fill(0);
  const each = Math.ceil(keys / PAGE_TOKENS);
  return Array.from({ length: batch }, (_, at) => {
    const ask = { prompt, maxTokens: 1, sampling: GREEDY, stopTokens: [] };
    const sequence = newSequence(0, ask);
    sequence.pages.push(...Array.from({ length: each }, (_, page) => (at * each + page) % pages));
    return { sequence, start: keys - queries, count: queries, last: true, draft: [] };
  });
}

/** Counts what is launched, by kernel. */
class Tally extends CountingDevice {
  readonly work = new Map<string, KernelWork>();
  readonly #step: EngineStep;

  constructor(limits: Limits, step: EngineStep) {
    super(limits);
    this.#step = step;
  }

  override run<In extends string, Out extends string, Options, Mut extends In, Opt extends In>(
    kernel: Kernel<In, Out, Options, Mut, Opt>,
    inputs: Inputs<In, Opt>,
    options: Options,
  ): Record<Out, Tensor> {
    const name = NAMES.get(kernel) ?? "?";
    const made = super.run(kernel, inputs, options);
    const none = { kernel: name, launches: 0, bytes: 0, operations: 0, largest: 0 };
    const work = this.work.get(name) ?? none;
    this.work.set(name, work);
    const given = inputs as Readonly<Record<string, TensorSpec | undefined>>;
    work.launches++;
    work.bytes += bytesOf(name, given, made, this.#step);
    const operations = operationsOf(name, given, this.#step);
    work.operations += operations;
    work.largest = Math.max(work.largest, operations);
    return made;
  }
}

const NAMES = new Map<unknown, string>(
  Object.entries(kernels).map(([name, kernel]) => [kernel, name]),
);

/** Bytes that a launch must move at least: all it reads and writes once, of pools what it touches. */
function bytesOf(
  name: string,
  given: Readonly<Record<string, TensorSpec | undefined>>,
  made: Readonly<Record<string, TensorSpec>>,
  { keys, batch }: EngineStep,
): number {
  const written = Object.values(made).reduce((sum, spec) => sum + byteLength(spec), 0);
  const read = Object.entries(given).reduce((sum, [input, spec]) => {
    if (!spec) return sum;
    const whole = byteLength(spec);
    const page = whole / Math.max(1, spec.shape[0]!);
    // A product of some columns writes those; what lies beside them is of others.
    if (name.startsWith("matmul") && input === "y") {
      return sum + Math.min(whole, 4 * spec.shape[0]! * given.weight!.shape[0]!);
    }
    if (name === "attentionPaged" && (input === "k" || input === "v")) {
      return sum + page * batch * keys / PAGE_TOKENS;
    }
    if (name === "ropeAppend" && (input === "keys" || input === "values")) {
      return sum + page * given.slots!.shape[0]! / PAGE_TOKENS;
    }
    if (name === "embed" && input === "embeddings") return sum + page * given.tokens!.shape[0]!;
    if (name === "attentionTurned" && input === "angles") return sum + page * keys;
    if (name === "ropeAppend" && input === "angles") return sum + page * given.positions!.shape[0]!;
    return sum + whole;
  }, 0);
  return written + read;
}

/** Multiplications and additions of products; of attention those of keys in sight. */
function operationsOf(
  name: string,
  given: Readonly<Record<string, TensorSpec | undefined>>,
  { keys, batch }: EngineStep,
): number {
  if (name.startsWith("matmul")) {
    const [rows = 0] = given.x!.shape;
    // Bytes lie in words.
    const perWord = given.x!.dtype === "u32" ? 4 : 1;
    const inner = given.x!.shape[1]! * perWord;
    return 2 * rows * inner * given.weight!.shape[0]!;
  }
  if (name !== "attentionPaged") return elements(Object.values(given)[0]?.shape ?? []);
  const [rows = 0, heads = 0, size = 0] = given.q!.shape;
  const queries = rows / batch;
  return 4 * heads * size * batch * queries * (keys - (queries - 1) / 2);
}

/**
 * The least that some work can take on a device (the roofline model: Williams, Waterman and Patterson
 * 2009, doi 10.1145/1498765.1498785): of each kernel the longer of moving its bytes and of computing.
 */
export function rooflineSeconds(work: readonly KernelWork[], card: Omit<Card, "name">): number {
  return work.reduce((sum, { kernel, bytes, operations }) => {
    const peak = INTEGER_PRODUCTS.has(kernel) ? card.integer : card.float;
    return sum + Math.max(bytes / card.bandwidth / 1e9, operations / peak / 1e12);
  }, 0);
}
