import type { Gpu } from "../../kernels/device/gpu.ts";
import { PRECISIONS } from "../../stages/benchmark/precisions.ts";
import {
  type RandomModel,
  randomModel,
  writeRandomModel,
} from "../../stages/benchmark/random_model.ts";
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
import { rooflineSeconds } from "../../stages/models/counted_work.ts";
import { workOf } from "../bench/roofline.ts";
import type { Card, Ceilings } from "./card.ts";
import type { Part } from "./findings.ts";
import { llamaCpp } from "./llama_cpp.ts";
import { type Rounds, type RoundSize, timeShape } from "./random_weights.ts";

/** The parts about whole models; a driver made of software has a small one to run. */
export function modelParts(
  card: Card,
  { modules }: { readonly modules: string },
): { readonly embedded: Part; readonly shapes: Part[]; readonly llama: Part } {
  const names = card.software ? ["smollm2-135m"] as const : ["llama-2-7b", "llama-3-8b"] as const;
  return {
    embedded: embedded(card),
    shapes: names.map((name) => shape(card, name)),
    llama: llamaCpp(names[0], { modules, software: card.software }),
  };
}

/** The embedded model in half precision, whose scores PyTorch says, and as QoQ beside the CPU engine. */
function embedded(card: Card): Part {
  return {
    title: "The embedded model",
    async run({ tell, at, late, leave, signal }) {
      await using host = await StageChain.open();
      await using device = await StageChain.open(borrowed(card.gpu));
      const source = host.embedded();
      const path = await host.directory();
      await Deno.writeFile(`${path}/tokens.u32`, bytesOf(Uint32Array.from(GOLDEN.ids)));
      const tokens = { kind: "tokens", key: path, digest: path, path, scores: {} } as const;
      const wanted = GOLDEN.logLikelihoods;
      const pytorch = Math.exp(-wanted.reduce((a, b) => a + b, 0) / wanted.length);
      const whole = { context: GOLDEN.ids.length, windows: 1 };
      const run = (chain: StageChain, ...[stage, inputs, params]: Parameters<StageChain["run"]>) =>
        chain.run(stage, inputs, params, { signal: signal() });
      const perplexity = async (chain: StageChain, model: typeof source) => {
        const made = await run(chain, evaluate, { model, tokens }, whole);
        return (await readEvaluation(made.path)).scores.perplexity;
      };
      const row = (precision: string, got: number, expected: number, within: number) =>
        tell({
          precision,
          perplexity: got.toFixed(5),
          expected: expected.toFixed(5),
          within,
        }, Math.abs(got / expected - 1) <= within);
      const precisions: Readonly<Record<string, () => Promise<void>>> = {
        async "half precision"() {
          row("half precision, by PyTorch", await perplexity(device, source), pytorch, 0.002);
        },
        async W4A8KV4() {
          const few = { windows: 2, context: 32 };
          const stats = await run(host, calibrate, { model: source, tokens }, few);
          const weights = { bits: 4, zero: "post_scale", group: 128, levels: 2 };
          const params = {
            method: "gptq",
            weights,
            uneven_group: "shrink",
            activations: "dynamic",
          };
          const w4a8 = await run(host, quantize, { model: source, stats }, params);
          const kv = { bits: 4, zero: "post_scale", group: "head" };
          const qoq = await run(host, calibrate_kv, { model: w4a8, stats }, kv) as typeof source;
          const expected = await perplexity(host, qoq);
          row("W4A8KV4, by the CPU engine", await perplexity(device, qoq), expected, 0.01);
        },
      };
      for (const [precision, make] of Object.entries(precisions)) {
        if (late()) {
          leave(precision);
          continue;
        }
        at(precision);
        try {
          await make();
        } catch (error) {
          if (!late()) throw error;
          leave(precision);
        }
      }
    },
  };
}

/** Prefill and decode of a large shape with random weights, beside what the card's ceilings allow. */
function shape(card: Card, name: keyof typeof SHAPES): Part {
  const precision = PRECISIONS.w4a8kv4;
  const json = (layers: number) => ({ ...SHAPES[name], num_hidden_layers: layers });
  return {
    title: `${name}, random weights, W4A8KV4`,
    run: (making) =>
      timeShape({
        layers: SHAPES[name].num_hidden_layers as number,
        open: (count) => openRounds(card.gpu, randomModel(json(count), precision), making.signal),
        renew: () => card.renew(),
        ...card.ceilings && { least: leastOf(card.ceilings, (count) => json(count)) },
      }, making),
  };

  /** Seconds of the launches of a prompt, and of a step, at which memory or arithmetic ends. */
  function leastOf(ceilings: Ceilings, json: (layers: number) => Record<string, unknown>) {
    return async (count: number, { prompt, output, batch }: RoundSize) => {
      const seconds = async (step: Parameters<typeof workOf>[3]) =>
        rooflineSeconds(await workOf(json(count), precision, card.gpu.limits, step), ceilings);
      const keys = prompt + Math.ceil(output / 2);
      return {
        prefill: batch * await seconds({ queries: prompt, keys: prompt, batch: 1 }),
        step: await seconds({ queries: 1, keys, batch }),
      };
    };
  }
}

/** A model of random weights, whose rounds end when no time is left. */
async function openRounds(
  gpu: Gpu,
  random: RandomModel,
  signal: () => AbortSignal,
): Promise<Rounds> {
  await using stack = new AsyncDisposableStack();
  const out = await Deno.makeTempDir();
  stack.defer(() => Deno.remove(out, { recursive: true }));
  stack.defer(() => gpu.trim());
  await writeRandomModel(out, random, { seed: 1, signal: signal() });
  const model = stack.use(await Model.open(out, gpu, { weightBytes: Infinity }));
  const owned = stack.move();
  return {
    async run({ prompt, output, batch }) {
      const context = prompt + output;
      const sizes = {
        pages: batch * Math.ceil(context / 64),
        context,
        step: { tokens: Math.max(prompt, batch), sequences: batch, ahead: 8 },
        queue: { requests: batch, tokens: batch * context },
      };
      const work = { batch, prompt, output, seed: 1, sizes, signal: signal() };
      const { seconds, prefillSeconds, earlyTokens } = await runRound(gpu, model, work);
      const steps = (batch * output - earlyTokens) / batch;
      return { prefill: prefillSeconds, step: (seconds - prefillSeconds) / steps };
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
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
