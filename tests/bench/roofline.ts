/**
 * Says on paper what a card would need: for each kernel the bytes, operations and launches of one
 * decode step and of one chunk of a prompt, of models in each precision, and the tokens a second at
 * which memory or arithmetic ends. The engine's own steps are planned on a device that counts, over
 * shapes alone; no card is asked.
 *
 * `deno task bench kernels --roofline [--keys 1024] [--batch 1] [--chunk 1024] [--limits usual]
 * [--bandwidth GB/s --integer TOP/s --float TFLOP/s]`
 *
 * @module
 */
import { parseArgs } from "node:util";
import { CountingDevice } from "../../kernels/device/counting.ts";
import type { Inputs, Tensor, TensorSpec } from "../../kernels/device/device.ts";
import type { Kernel } from "../../kernels/device/kernel.ts";
import { type Limits, PROMISED_LIMITS, USUAL_LIMITS } from "../../kernels/device/limits.ts";
import { byteLength, elements } from "../../kernels/device/tensor.ts";
import * as kernels from "../../kernels/mod.ts";
import { type Precision, PRECISIONS } from "../../stages/benchmark/precisions.ts";
import { randomFiles, randomModel } from "../../stages/benchmark/random_model.ts";
import { SHAPES } from "../../stages/benchmark/shapes.ts";
import { GREEDY } from "../../stages/engine/engine.ts";
import { PagedModel } from "../../stages/engine/paged_model.ts";
import { newSequence } from "../../stages/engine/sequence.ts";
import { INTEGER } from "../gpu_check/kernel_parts.ts";
import { Model } from "../../stages/models/model.ts";
import { headersOf } from "../../stages/models/peaks.ts";

const PAGE_TOKENS = 64;

/** Qwen1.5-72B as its config.json says. */
const QWEN = {
  architectures: ["Qwen2ForCausalLM"],
  model_type: "qwen2",
  hidden_act: "silu",
  rms_norm_eps: 1e-6,
  rope_theta: 1_000_000,
  tie_word_embeddings: false,
  hidden_size: 8192,
  intermediate_size: 24576,
  num_hidden_layers: 80,
  num_attention_heads: 64,
  num_key_value_heads: 64,
  vocab_size: 152064,
  max_position_embeddings: 32768,
};

/** The models, with batch and tokens a second of QServe's table (arXiv 2405.04532, 1,024 in, 512 out). */
const MODELS = {
  "llama-2-7b": {
    json: SHAPES["llama-2-7b"],
    qserve: { A100: { batch: 190, rate: 2908 }, L40S: { batch: 128, rate: 2394 } },
  },
  "llama-3-8b": {
    json: SHAPES["llama-3-8b"],
    qserve: { A100: { batch: 256, rate: 3005 }, L40S: { batch: 128, rate: 3656 } },
  },
  "qwen1.5-72b": {
    json: QWEN,
    qserve: { A100: { batch: 32, rate: 340 }, L40S: { batch: 4, rate: 59 } },
  },
} as const;

/** What a card gives at most. */
export interface Card {
  readonly name: string;
  /** GB/s of memory. */
  readonly bandwidth: number;
  /** 10^12 operations a second of dot4I8Packed, which is what WebGPU has: not of tensor cores. */
  readonly integer: number;
  /** 10^12 operations a second in f32. */
  readonly float: number;
}

/** Bandwidth and f32 of NVIDIA's data sheets; integers: multiprocessors x 64 lanes x 8 x boost clock. */
const CARDS: readonly Card[] = [
  { name: "A100", bandwidth: 2039, integer: 78, float: 19.5 },
  { name: "L40S", bandwidth: 864, integer: 183, float: 91.6 },
  { name: "H100", bandwidth: 3350, integer: 134, float: 67 },
];

/** What launches of a kernel come to. */
export interface KernelWork {
  readonly kernel: string;
  launches: number;
  bytes: number;
  operations: number;
  /** Operations of its largest launch, which a card has to end before its system takes it for hung. */
  largest: number;
}

/** Prints the tables. */
export async function printRoofline(args: readonly string[]): Promise<void> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      keys: { type: "string", default: "1024" },
      batch: { type: "string", default: "1" },
      chunk: { type: "string", default: "1024" },
      limits: { type: "string", default: "usual" },
      bandwidth: { type: "string" },
      integer: { type: "string" },
      float: { type: "string" },
    },
  });
  const [keys, batch, chunk] = [values.keys, values.batch, values.chunk].map(countOf);
  const limits = values.limits === "default" ? PROMISED_LIMITS : USUAL_LIMITS;
  const given = [values.bandwidth, values.integer, values.float];
  const cards = given.some((value) => value !== undefined)
    ? [cardOf(given.map((value) => countOf(value ?? "")))]
    : CARDS;
  for (const [model, { json, qserve }] of Object.entries(MODELS)) {
    for (const [name, precision] of Object.entries<Precision>(PRECISIONS)) {
      const step = await workOf(json, precision, limits, {
        queries: 1,
        keys: keys!,
        batch: batch!,
      });
      const part = { queries: chunk!, keys: chunk!, batch: 1 };
      const prompt = await workOf(json, precision, limits, part);
      say(`\n${model} ${name}`);
      table(`decode, ${batch} sequences of ${keys} keys`, step, cards, batch!);
      table(`a chunk of ${chunk} tokens`, prompt, cards, chunk!);
      if (!name.startsWith("w4a8")) continue;
      for (const card of cards) {
        // Of other cards QServe says nothing: the batch that fits into an A100.
        const theirs = card.name === "L40S" ? qserve.L40S : qserve.A100;
        const reported = card.name in qserve ? theirs.rate : "nothing";
        const mean = { queries: 1, keys: 1280, batch: theirs.batch };
        const each = secondsOf(await workOf(json, precision, limits, mean), card);
        const first = await workOf(json, precision, limits, {
          queries: 1024,
          keys: 1024,
          batch: 1,
        });
        const all = 512 * each + theirs.batch * secondsOf(first, card);
        say(
          `  1,024 in, 512 out, batch ${theirs.batch} on ${card.name}: at most ${
            (512 * theirs.batch / all).toFixed(0)
          } tokens/s here; QServe reports ${reported}`,
        );
      }
    }
  }
}

/** The work of one step of the engine, kernel by kernel. */
export async function workOf(
  json: Readonly<Record<string, unknown>>,
  precision: Precision,
  limits: Limits,
  { queries, keys, batch }: {
    readonly queries: number;
    readonly keys: number;
    readonly batch: number;
  },
): Promise<KernelWork[]> {
  const files = headersOf(randomFiles(randomModel(json, precision)));
  await using device = new Tally(limits, { keys, batch });
  using model = Model.of(device, files, { weightBytes: Infinity });
  await model.loadWhole();
  using paged = new PagedModel(device, model, { pages: 1, context: keys, rows: batch });
  const prompt = Array<number>(keys).fill(0);
  const chunks = Array.from({ length: batch }, () => {
    const ask = { prompt, maxTokens: 1, sampling: GREEDY, stopTokens: [] };
    const sequence = newSequence(0, ask);
    sequence.pages.push(...Array<number>(Math.ceil(keys / PAGE_TOKENS)).fill(0));
    return { sequence, start: keys - queries, count: queries, last: true, draft: [] };
  });
  device.work.clear();
  await paged.step(chunks);
  return [...device.work.values()];
}

/** Counts what is launched, by kernel. */
class Tally extends CountingDevice {
  readonly work = new Map<string, KernelWork>();
  readonly #step: { readonly keys: number; readonly batch: number };

  constructor(limits: Limits, step: { readonly keys: number; readonly batch: number }) {
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
  { keys, batch }: { readonly keys: number; readonly batch: number },
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
  { keys, batch }: { readonly keys: number; readonly batch: number },
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

/** Seconds at which memory or arithmetic of a card ends, kernel after kernel. */
export function secondsOf(work: readonly KernelWork[], card: Omit<Card, "name">): number {
  return work.reduce((sum, { kernel, bytes, operations }) => {
    const peak = INTEGER.has(kernel) ? card.integer : card.float;
    return sum + Math.max(bytes / card.bandwidth / 1e9, operations / peak / 1e12);
  }, 0);
}

function table(
  title: string,
  work: readonly KernelWork[],
  cards: readonly Card[],
  tokens: number,
): void {
  const sum = (of: (one: KernelWork) => number) => work.reduce((all, one) => all + of(one), 0);
  say(`  ${title}`);
  const cells = (one: KernelWork) => [
    `    ${one.kernel}`.padEnd(20),
    String(one.launches).padStart(9),
    (one.bytes / 1e6).toFixed(2).padStart(12),
    (one.operations / 1e9).toFixed(3).padStart(12),
    (one.largest / 1e9).toFixed(3).padStart(12),
  ];
  say(
    ["    kernel".padEnd(20), " launches", "          MB", "         GOP", "     largest"].join(""),
  );
  for (const one of work) say(cells(one).join(""));
  const all = {
    kernel: "all",
    launches: sum((one) => one.launches),
    bytes: sum((one) => one.bytes),
    operations: sum((one) => one.operations),
    largest: Math.max(...work.map((one) => one.largest)),
  };
  const rates = cards.map((card) =>
    `${card.name} ${(tokens / secondsOf(work, card)).toFixed(0)} tokens/s`
  );
  say(`${cells(all).join("")}   at most ${rates.join(", ")}`);
}

function cardOf([bandwidth = 0, integer = 0, float = 0]: readonly number[]): Card {
  return { name: "this card", bandwidth, integer, float };
}

function countOf(text: string): number {
  const value = Number(text);
  if (value > 0) return value;
  throw new RangeError(`Cannot count "${text}": expected a number above 0`);
}

function say(line: string): void {
  Deno.stdout.writeSync(new TextEncoder().encode(`${line}\n`));
}
