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
import { type Limits, PROMISED_LIMITS, USUAL_LIMITS } from "../../kernels/device/limits.ts";
import { type Precision, PRECISIONS } from "../../stages/benchmark/precisions.ts";
import { randomFiles, randomModel } from "../../stages/benchmark/random_model.ts";
import { SHAPES } from "../../stages/benchmark/shapes.ts";
import { type Card, type EngineStep, stepWork } from "../../stages/benchmark/step_work.ts";
import { type KernelWork, rooflineSeconds } from "../../stages/models/counted_work.ts";

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

/** Bandwidth and f32 of NVIDIA's data sheets; integers: multiprocessors x 64 lanes x 8 x boost clock. */
const CARDS: readonly Card[] = [
  { name: "A100", bandwidth: 2039, integer: 78, float: 19.5 },
  { name: "L40S", bandwidth: 864, integer: 183, float: 91.6 },
  { name: "H100", bandwidth: 3350, integer: 134, float: 67 },
];

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
        const each = rooflineSeconds(await workOf(json, precision, limits, mean), card);
        const first = await workOf(json, precision, limits, {
          queries: 1024,
          keys: 1024,
          batch: 1,
        });
        const all = 512 * each + theirs.batch * rooflineSeconds(first, card);
        say(
          `  1,024 in, 512 out, batch ${theirs.batch} on ${card.name}: at most ${
            (512 * theirs.batch / all).toFixed(0)
          } tokens/s here; QServe reports ${reported}`,
        );
      }
    }
  }
}

/** The work of one step of a model of these shapes in a precision. */
export async function workOf(
  json: Readonly<Record<string, unknown>>,
  precision: Precision,
  limits: Limits,
  step: EngineStep,
): Promise<readonly KernelWork[]> {
  return await stepWork(randomFiles(randomModel(json, precision)), limits, step);
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
    `${card.name} ${(tokens / rooflineSeconds(work, card)).toFixed(0)} tokens/s`
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
