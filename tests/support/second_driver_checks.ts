import { strict as assert } from "node:assert";
import { createHash } from "node:crypto";
import { Buffer } from "node:buffer";
import { Cpu } from "../../kernels/device/cpu/cpu.ts";
import type { Device } from "../../kernels/device/device.ts";
import type { AnyKernel } from "../../kernels/device/kernel.ts";
import { elements } from "../../kernels/device/tensor.ts";
import * as kernels from "../../kernels/mod.ts";
import { calibrate } from "../../stages/calibrate.ts";
import { calibrate_kv } from "../../stages/calibrate_kv.ts";
import { evaluate } from "../../stages/evaluate.ts";
import { type GenerationEvent, GREEDY } from "../../stages/engine/engine.ts";
import { EngineLoop } from "../../stages/engine/engine_loop.ts";
import { Model } from "../../stages/models/model.ts";
import { quantize } from "../../stages/quantize.ts";
import { readEvaluation } from "../../stages/report/evaluation.ts";
import { tokenize } from "../../stages/tokenize.ts";
import { compare } from "./case_check.ts";
import { checkChoices } from "./choice_check.ts";
import { guardedGpu } from "./guarded_pool.ts";
import { casesOf, expectations, type LabelledCase, toleranceOf } from "./kernel_cases.ts";
import { sharedAdapter, sharedGpu } from "./shared_gpu.ts";
import { StageChain } from "./stage_chain.ts";
import { assertWithin } from "./tolerance.ts";

/*
 * What is checked on a second driver, in a process whose environment names it: `deno test -A` with
 * this file.
 */

/** Values of a case beyond which its kernel's smaller ones do. */
const MOST_VALUES = 2 ** 16;

const QOQ = {
  weights: { bits: 4, zero: "post_scale", group: 128, levels: 2 },
  uneven_group: "shrink",
  activations: "dynamic",
} as const;

Deno.test("kernels agree with their references on a second driver, all exact cases bit by bit", async () => {
  await using gpu = await guardedGpu({ adapter: await sharedAdapter() });
  assert.ok(gpu.device.name.includes(Deno.env.get("QUATTUOR_SECOND_DRIVER")!), gpu.device.name);
  let exact = 0;
  for (const [name, kernel] of Object.entries<AnyKernel>(kernels)) {
    const expectation = expectations(kernel);
    const small = casesOf(name, kernel).filter(isSmall);
    // Of what is not exact one case that is not the smallest: on such drivers compiling takes longest.
    const some = small.filter((one, index) => toleranceOf(one) === 0 || index === 1);
    for (const one of some) {
      const expected = expectation(one);
      const made = await compare(gpu, kernel, one, expected);
      if (toleranceOf(one) > 0) continue;
      exact++;
      for (const [output, { data }] of Object.entries(made)) {
        const wanted = expected.outputs[output]!.data;
        assert.ok(bytesOf(data).equals(bytesOf(wanted)), `${one.label} ${output} has other bits`);
      }
    }
  }
  assert.ok(exact > 40, `${exact} exact cases`);
});

Deno.test("plans that a device may choose between make the same bits on a second driver", async () => {
  const counted = await checkChoices({ subgroups: true, slices: false }, { most: 4 });
  assert.deepEqual(counted, {
    "attentionPaged split": 4,
    "matmulCodes subgroup": 4,
    "matmulInt8 quads_subgroup": 4,
    "matmulInt8 subgroup": 4,
  });
  const shares = { rowSubgroups: true, keySubgroups: true, slices: false };
  const shared = await checkChoices(shares, { most: 2, usual: { slices: false } });
  const shaders = [...new Set(Object.keys(shared).map((name) => name.split(" ")[1]))];
  assert.deepEqual(shaders.sort(), ["split_subgroup", "subgroup"]);
  assert.ok(Object.keys(shared).length >= 9, JSON.stringify(shared));
});

Deno.test("QoQ of the embedded model on a second driver, and its engine", async () => {
  await using cpu = await StageChain.open();
  const source = cpu.embedded();
  const text = await cpu.run(tokenize, { model: source }, { text: "stories:test", bytes: 2000 });
  const few = { windows: 1, context: 32 };
  const stats = await cpu.run(calibrate, { model: source, tokens: text }, few);
  const w4a8 = await cpu.run(quantize, { model: source, stats }, { ...QOQ, method: "gptq" });
  const model = await cpu.run(calibrate_kv, { model: w4a8, stats }, { bits: 4, group: "head" });
  const rtn = { ...QOQ, method: "rtn" };
  const device = await sharedGpu();
  await using gpu = await StageChain.open(device);
  // Rounding to nearest looks at weights alone.
  assert.equal(
    await digestOf((await gpu.run(quantize, { model: source }, rtn)).path),
    await digestOf((await cpu.run(quantize, { model: source }, rtn)).path),
  );
  const scored = [];
  for (const chain of [gpu, cpu]) {
    const { path } = await chain.run(evaluate, { model, tokens: text }, few);
    scored.push((await readEvaluation(path)).scores.perplexity);
  }
  assert.ok(Math.abs(scored[0]! / scored[1]! - 1) < 0.01, `perplexities are ${scored.join()}`);
  const generated = await firstTokens(device, model.path);
  await using engine = await Cpu.open();
  const expected = await firstTokens(engine, model.path);
  generated.forEach(({ token, logprob }, i) => {
    assert.equal(token, expected[i]!.token);
    assertWithin(logprob!, expected[i]!.logprob!, 0.02);
  });
});

function isSmall({ cost, timedOnly, inputs }: LabelledCase): boolean {
  const values = Object.values(inputs).map(({ shape }) => elements(shape));
  return !cost && !timedOnly && Math.max(...values) <= MOST_VALUES;
}

/** The first tokens of two requests in one batch, which an engine generates from a model. */
async function firstTokens(device: Device, path: string) {
  using model = await Model.open(path, device, { weightBytes: Infinity });
  using loop = new EngineLoop(device, model, {
    pages: 8,
    context: 64,
    step: { tokens: 64, sequences: 2 },
    queue: { requests: 4, tokens: 200 },
  });
  [7, 30].forEach((length, id) => {
    const prompt = Array.from({ length }, (_, i) => (i * 37 + length) % 256);
    loop.add(id, { prompt, maxTokens: 2, sampling: GREEDY, stopTokens: [], logprobs: 0 });
  });
  const events: { readonly id: number; readonly event: GenerationEvent }[] = [];
  while (!loop.idle) events.push(...(await loop.step()).map(([id, event]) => ({ id, event })));
  return [0, 1].flatMap((id) =>
    events.flatMap((one) => one.id === id && one.event.type === "token" ? [one.event] : [])
  );
}

async function digestOf(directory: string): Promise<string> {
  const hash = createHash("sha256");
  const names = [...Deno.readDirSync(directory)].map(({ name }) => name).sort();
  for (const name of names) hash.update(name).update(await Deno.readFile(`${directory}/${name}`));
  return hash.digest("hex");
}

function bytesOf({ buffer, byteOffset, byteLength }: ArrayBufferView): Buffer {
  return Buffer.from(buffer as ArrayBuffer, byteOffset, byteLength);
}
