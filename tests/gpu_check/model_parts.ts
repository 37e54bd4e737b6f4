import { createRequire } from "node:module";
import type { Gpu } from "../../kernels/device/gpu.ts";
import { PRECISIONS } from "../../stages/benchmark/precisions.ts";
import { randomModel, writeRandomModel } from "../../stages/benchmark/random_model.ts";
import { SHAPES } from "../../stages/benchmark/shapes.ts";
import { runRound } from "../../stages/benchmark/throughput.ts";
import { calibrate } from "../../stages/calibrate.ts";
import { calibrate_kv } from "../../stages/calibrate_kv.ts";
import { evaluate } from "../../stages/evaluate.ts";
import { bytesOf } from "../../stages/formats/half.ts";
import { Model } from "../../stages/models/model.ts";
import { quantize } from "../../stages/quantize.ts";
import { readEvaluation } from "../../stages/report/evaluation.ts";
import { GOLDEN } from "../support/golden_text.ts";
import { StageChain } from "../support/stage_chain.ts";
import { type Part, Skipped } from "./findings.ts";
import { type Rounds, timeShape } from "./random_weights.ts";

/** The parts about whole models; a driver made of software has a small one to run. */
export function modelParts(
  gpu: Gpu,
  { software }: { readonly software: boolean },
): { readonly embedded: Part; readonly shapes: Part[] } {
  const names = software ? ["smollm2-135m"] as const : ["llama-2-7b", "llama-3-8b"] as const;
  return {
    embedded: embedded(gpu),
    shapes: [...names.map((name) => shape(gpu, name)), llamaCpp()],
  };
}

/** The embedded model in half precision, whose scores PyTorch says, and as QoQ beside the CPU engine. */
function embedded(gpu: Gpu): Part {
  return {
    title: "The embedded model",
    async run(tell) {
      await using host = await StageChain.open();
      await using card = await StageChain.open(borrowed(gpu));
      const source = host.embedded();
      const path = await host.directory();
      await Deno.writeFile(`${path}/tokens.u32`, bytesOf(Uint32Array.from(GOLDEN.ids)));
      const tokens = { kind: "tokens", key: path, digest: path, path, scores: {} } as const;
      const wanted = GOLDEN.logLikelihoods;
      const pytorch = Math.exp(-wanted.reduce((a, b) => a + b, 0) / wanted.length);
      const whole = { context: GOLDEN.ids.length, windows: 1 };
      const perplexity = async (chain: StageChain, model: typeof source) => {
        const made = await chain.run(evaluate, { model, tokens }, whole);
        return (await readEvaluation(made.path)).scores.perplexity;
      };
      const row = (precision: string, got: number, expected: number, within: number) =>
        tell({
          precision,
          perplexity: got.toFixed(5),
          expected: expected.toFixed(5),
          within,
        }, Math.abs(got / expected - 1) <= within);
      row("half precision, by PyTorch", await perplexity(card, source), pytorch, 0.002);
      const few = { windows: 2, context: 32 };
      const stats = await host.run(calibrate, { model: source, tokens }, few);
      const weights = { bits: 4, zero: "post_scale", group: 128, levels: 2 };
      const params = { method: "gptq", weights, uneven_group: "shrink", activations: "dynamic" };
      const w4a8 = await host.run(quantize, { model: source, stats }, params);
      const kv = { bits: 4, zero: "post_scale", group: "head" };
      const qoq = await host.run(calibrate_kv, { model: w4a8, stats }, kv) as typeof source;
      row(
        "W4A8KV4, by the CPU engine",
        await perplexity(card, qoq),
        await perplexity(host, qoq),
        0.01,
      );
    },
  };
}

/** Prefill and decode of a large shape with random weights. */
function shape(gpu: Gpu, name: keyof typeof SHAPES): Part {
  return {
    title: `${name}, random weights, W4A8KV4`,
    run: (tell, _late, left) =>
      timeShape(SHAPES[name].num_hidden_layers as number, {
        tell,
        left,
        open: (count) => openRounds(gpu, { ...SHAPES[name], num_hidden_layers: count }, left),
      }),
  };
}

/** A model of random weights, whose rounds end when no time is left. */
async function openRounds(
  gpu: Gpu,
  json: Readonly<Record<string, unknown>>,
  left: () => number,
): Promise<Rounds> {
  await using stack = new AsyncDisposableStack();
  const out = await Deno.makeTempDir();
  stack.defer(() => Deno.remove(out, { recursive: true }));
  stack.defer(() => gpu.trim());
  const signal = () => AbortSignal.timeout(Math.max(1, Math.ceil(1000 * left())));
  const wishes = { seed: 1, signal: signal(), progress() {} };
  await writeRandomModel(out, randomModel(json, PRECISIONS.w4a8kv4), wishes);
  const model = stack.use(await Model.open(out, gpu, { weightBytes: Infinity }));
  const owned = stack.move();
  return {
    async run({ prompt, output }) {
      const context = prompt + output;
      const sizes = {
        pages: Math.ceil(context / 64),
        context,
        step: { tokens: prompt, sequences: 1, ahead: 8 },
        queue: { requests: 1, tokens: context },
      };
      const work = { batch: 1, prompt, output, seed: 1, sizes, signal: signal() };
      const { seconds, prefillSeconds, earlyTokens } = await runRound(gpu, model, work);
      return { prefill: prefillSeconds, step: (seconds - prefillSeconds) / (output - earlyTokens) };
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

/** llama.cpp beside it, where somebody has installed its binding. */
function llamaCpp(): Part {
  return {
    title: "llama.cpp",
    run(tell) {
      const found = (() => {
        try {
          return createRequire(`${Deno.cwd()}/`).resolve("node-llama-cpp");
        } catch {
          throw new Skipped(
            "node-llama-cpp is not installed; with it, tests/bench/llama.mjs times a GGUF file",
          );
        }
      })();
      tell({ found, next: "node tests/bench/llama.mjs MODEL.gguf" });
      return Promise.resolve();
    },
  };
}

/** The same device, which outlives a chain that is given it. */
function borrowed(gpu: Gpu): Gpu {
  return new Proxy(gpu, {
    get(target, key) {
      if (key === Symbol.asyncDispose) return () => Promise.resolve();
      const value = Reflect.get(target, key, target);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
}
