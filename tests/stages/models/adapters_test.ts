import { deepStrictEqual, ok, rejects, strictEqual } from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { Cpu } from "../../../kernels/device/cpu/cpu.ts";
import type { Device } from "../../../kernels/device/device.ts";
import { exportModel } from "../../../stages/export.ts";
import { type GenerationEvent, GREEDY } from "../../../stages/engine/engine.ts";
import { EngineLoop } from "../../../stages/engine/engine_loop.ts";
import { EngineMemory } from "../../../stages/engine/engine_memory.ts";
import { planMemory, plannedBytes } from "../../../stages/engine/engine_sizes.ts";
import { readPeftAdapter } from "../../../stages/formats/peft.ts";
import { Model } from "../../../stages/models/model.ts";
import type { Artifact } from "../../../pipeline/artifact.ts";
import { calibrate_kv, quantize, reorder, rotate, smooth } from "../../../stages/mod.ts";
import { StageChain } from "../../support/stage_chain.ts";
import { mergeChange } from "../../support/merged_change.ts";

const FOLDER = fileURLToPath(new URL("../../testdata/lora", import.meta.url));
const CASES = ["llama_attention", "llama_all", "qwen_mlp"];

/** What PEFT computed for an adapter; `tests/oracle/lora.py` wrote it. */
interface Oracle {
  readonly family: string;
  readonly ids: readonly number[];
  /** Of each id behind the first. */
  readonly logprobs: readonly number[];
  /** The likeliest id behind them. */
  readonly next: number;
}

async function oracleOf(name: string): Promise<Oracle> {
  return JSON.parse(await Deno.readTextFile(`${FOLDER}/${name}/oracle.json`));
}

function adapter(name: string) {
  return { name, path: `${FOLDER}/${name}` };
}

/** Scores of a prompt and the tokens behind it, for requests that run together. */
async function answersOf(
  device: Device,
  model: Model,
  requests: readonly { readonly ids: readonly number[]; readonly adapter?: number }[],
  { scored = true } = {},
): Promise<
  readonly { readonly logprobs: readonly number[]; readonly tokens: readonly number[] }[]
> {
  const memory = new EngineMemory(device.limits, model);
  const wishes = { context: 128, sequences: 4, stepTokens: 32 };
  const plan = await planMemory(memory, { memoryBytes: 1e8, wishes });
  await model.loadWhole();
  using loop = new EngineLoop(device, model, plan.sizes);
  requests.forEach(({ ids: prompt, adapter }, id) => {
    const asked = { prompt, maxTokens: 6, stopTokens: [], sampling: GREEDY };
    loop.add(id, {
      ...asked,
      ...adapter !== undefined && { adapter },
      ...scored && { promptLogprobs: 1 },
    });
  });
  const events = requests.map((): GenerationEvent[] => []);
  while (!loop.idle) for (const [id, event] of await loop.step()) events[id]!.push(event);
  return events.map((all) => ({
    logprobs: all.flatMap((event) =>
      event.type === "prompt" ? (event.scores ?? []).map(({ logprob }) => logprob!) : []
    ),
    tokens: all.flatMap((event) => event.type === "token" ? [event.token] : []),
  }));
}

function furthest(one: readonly number[], other: readonly number[]): number {
  strictEqual(one.length, other.length);
  return one.reduce((most, value, at) => Math.max(most, Math.abs(value - other[at]!)), 0);
}

for (const name of CASES) {
  Deno.test(`${name} on a model in full precision is what PEFT computes`, async () => {
    const { family, ids, logprobs, next } = await oracleOf(name);
    const device = await Cpu.open();
    await using chain = await StageChain.open(device);
    const adapters = [adapter(name)];
    using model = await Model.open(chain.family(family).path, device, {
      weightBytes: Infinity,
      adapters,
    });
    const [own, plain] = await answersOf(device, model, [{ ids, adapter: 1 }, { ids }]);
    // Keys and values lie in half precision.
    ok(furthest(own!.logprobs, logprobs) < 0.02, `${own!.logprobs} of ${logprobs}`);
    strictEqual(own!.tokens[0], next);
    ok(furthest(plain!.logprobs, logprobs) > 0.5, "the adapter changes next to nothing");
  });
}

/** The stages of QoQ, as its recipe has them, with groups that fit into so few channels. */
async function qoq(chain: StageChain, model: Artifact, weights: object): Promise<Artifact> {
  const rotated = await chain.run(rotate, { model }, { transforms: ["out_proj"] });
  const stats = await chain.calibrate(rotated, { gram: true, attention_windows: 2 });
  const ordered = await chain.run(reorder, { model: rotated, stats }, { sites: ["down_proj"] });
  const smoothed = await chain.run(smooth, { model: ordered, stats }, {
    projections: { sites: ["down_proj"], alpha: 0.3, beta: 0.7 },
    attention: { alpha: 0.5, beta: 0 },
  });
  const packed = await chain.run(quantize, { model: smoothed, stats }, {
    method: "gptq",
    uneven_group: "shrink",
    weights,
    activations: "dynamic",
  });
  return await chain.run(calibrate_kv, { model: packed, stats }, { bits: 4, group: "head" });
}

Deno.test("adapters on QoQ's codes are what PEFT computes but for what the codes cost", async () => {
  const device = await Cpu.open();
  await using chain = await StageChain.open(device);
  for (const name of CASES) {
    const { family, ids, logprobs } = await oracleOf(name);
    const source = chain.family(family);
    const own = async (path: string, adapted: boolean) => {
      using model = await Model.open(path, device, {
        weightBytes: Infinity,
        adapters: [adapter(name)],
      });
      const [answer] = await answersOf(device, model, [{ ids, ...adapted && { adapter: 1 } }]);
      return answer!.logprobs;
    };
    for (
      const weights of [{ bits: 4, group: 32, zero: "post_scale", levels: 2 }, {
        bits: 8,
        zero: "none",
        group: "row",
      }]
    ) {
      const { path } = await qoq(chain, source, weights);
      // What codes of weights, inputs, keys and values cost the model itself.
      const cost = meanDistance(await own(path, false), await own(source.path, false));
      const error = meanDistance(await own(path, true), logprobs);
      const away = meanDistance(await own(path, false), logprobs);
      ok(error < 2 * cost, `${name}: ${error} away from PEFT, where codes alone cost ${cost}`);
      ok(error < away / 2, `${name}: ${error} away from PEFT, ${away} without the adapter`);
    }
  }
});

for (const weights of [{ bits: 4, group: 32 }, { bits: 8, zero: "none", group: "row" }]) {
  for (const activations of [undefined, "dynamic"]) {
    const words = `W${weights.bits}A${activations ? 8 : 16}`;
    if (weights.bits === 4 && activations) continue;
    Deno.test(`an adapter on ${words} is what merging it in float32 makes of the codes' values`, async () => {
      const { family, ids } = await oracleOf("llama_all");
      const device = await Cpu.open();
      await using chain = await StageChain.open(device);
      const source = chain.family(family);
      const rounding = { method: "rtn", weights, uneven_group: "shrink" };
      const how = { ...rounding, ...activations && { activations } };
      const packed = await chain.run(quantize, { model: source }, how);
      // The oracle: values of the codes with the product of the factors added, in full precision.
      const plain = activations ? await chain.run(quantize, { model: source }, rounding) : packed;
      const exported = await chain.run(exportModel, { model: plain, reports: [] }, {
        format: "huggingface",
        dtype: "float32",
      });
      const changes = await readPeftAdapter(`${FOLDER}/llama_all`);
      const merged = await chain.edited({ ...exported, kind: "model" }, (tensor, values) => {
        const change = changes.get(tensor.replace(/\.weight$/, ""));
        if (change) mergeChange(values, change);
      });
      using model = await Model.open(packed.path, device, {
        weightBytes: Infinity,
        adapters: [adapter("llama_all")],
      });
      using whole = await Model.open(merged.path, device, { weightBytes: Infinity });
      const [own] = await answersOf(device, model, [{ ids, adapter: 1 }]);
      const [expected] = await answersOf(device, whole, [{ ids }]);
      // Activations in 8 bits cost what they cost any linear.
      const most = activations ? 0.3 : 0.001;
      ok(furthest(own!.logprobs, expected!.logprobs) < most, `${own!.logprobs}`);
      if (!activations) deepStrictEqual(own!.tokens, expected!.tokens);
    });
  }
}

Deno.test("each request of a batch goes through its own adapter, and gets the tokens that it gets alone", async () => {
  const { family, ids } = await oracleOf("llama_all");
  const device = await Cpu.open();
  await using chain = await StageChain.open(device);
  const weights = { bits: 8, zero: "none", group: "row" };
  const packed = await chain.run(quantize, { model: chain.family(family) }, {
    method: "rtn",
    weights,
    activations: "dynamic",
  });
  using model = await Model.open(packed.path, device, {
    weightBytes: Infinity,
    adapters: [adapter("llama_attention"), adapter("llama_all")],
  });
  // Prompts of more than a page, which alike ones share where their adapters are one.
  const prompt = Array.from({ length: 80 }, (_, at) => ids[at % ids.length]!);
  const requests = [{ ids: prompt }, { ids: prompt, adapter: 1 }, { ids: prompt, adapter: 2 }];
  const alone: (readonly number[])[] = [];
  for (const request of requests) {
    alone.push((await answersOf(device, model, [request], { scored: false }))[0]!.tokens);
  }
  strictEqual(new Set(alone.map(String)).size, 3, "adapters make no difference");
  const together = await answersOf(device, model, [...requests, requests[1]!], { scored: false });
  deepStrictEqual(together.map(({ tokens }) => tokens), [...alone, alone[1]]);
});

Deno.test("an engine's plan counts adapters: it holds no more than that", async () => {
  const { family, ids } = await oracleOf("llama_all");
  const device = await Cpu.open();
  await using chain = await StageChain.open(device);
  const { path } = chain.family(family);
  const weights = async (adapters: readonly ReturnType<typeof adapter>[]) => {
    using model = await Model.open(path, device, { weightBytes: Infinity, adapters });
    const memory = new EngineMemory(device.limits, model);
    const wishes = { context: 128, sequences: 4, stepTokens: 32 };
    return await planMemory(memory, { memoryBytes: 1e8, wishes });
  };
  const [plain, adapted] = [await weights([]), await weights([adapter("llama_all")])];
  ok(adapted.weightBytes > plain.weightBytes);
  ok(adapted.workspaceBytes >= plain.workspaceBytes);
  device.trim();
  using model = await Model.open(path, device, {
    weightBytes: Infinity,
    adapters: [adapter("llama_all")],
  });
  await answersOf(device, model, [{ ids, adapter: 1 }, { ids }]);
  ok(device.memory.peak <= plannedBytes(adapted), `${device.memory.peak}`);
});

Deno.test("what is not understood of an adapter is refused by its name", async () => {
  await using chain = await StageChain.open();
  const config = JSON.parse(
    await Deno.readTextFile(`${FOLDER}/llama_all/adapter_config.json`),
  );
  const refused = async (more: object, message: RegExp, weights = true) => {
    const path = await chain.directory();
    await Deno.writeTextFile(
      `${path}/adapter_config.json`,
      JSON.stringify({ ...config, ...more }),
    );
    const file = "adapter_model.safetensors";
    if (weights) await Deno.copyFile(`${FOLDER}/llama_all/${file}`, `${path}/${file}`);
    await rejects(readPeftAdapter(path), message);
  };
  await refused({ use_dora: true }, /Cannot take the adapter ".*": its use_dora is true, expected/);
  await refused({ bias: "all" }, /its bias is "all", expected "none"/);
  await refused({ peft_type: "IA3" }, /its peft_type is "IA3", expected "LORA"/);
  await refused({ modules_to_save: ["lm_head"] }, /its modules_to_save is \["lm_head"\]/);
  await refused({ init_lora_weights: "pissa" }, /its init_lora_weights is "pissa"/);
  await refused({ use_tomorrow: { a: 1 } }, /its use_tomorrow is .* expected nothing there/);
  await refused({ r: 16 }, /"model\..*" has rank 3 and 3, expected 16 of both/);
  await refused({ r: "many" }, /"r" of adapter_config.json is not so/);
  await refused({}, /it has no adapter_model.safetensors/, false);
  const device = await Cpu.open();
  try {
    const open = (path: string, name: string) =>
      Model.open(path, device, { weightBytes: Infinity, adapters: [adapter(name)] });
    const other = chain.family("llama_wide_heads").path;
    await rejects(
      open(other, "llama_all"),
      /Cannot put an adapter on "model\.layers\..*": it is of/,
    );
  } finally {
    await device[Symbol.asyncDispose]();
  }
});
function meanDistance(one: readonly number[], other: readonly number[]): number {
  strictEqual(one.length, other.length);
  return one.reduce((sum, value, at) => sum + Math.abs(value - other[at]!), 0) / one.length;
}
