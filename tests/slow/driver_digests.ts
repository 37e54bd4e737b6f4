/**
 * Prints what stages and exact kernels make on every device and driver of this machine, as digests: a
 * line each, a column a device. What is made of weights, tokens and given statistics by integers and
 * correctly rounded arithmetic must be the same everywhere; what rests on sums of floats or on roots
 * and exponentials differs by driver, and is marked so.
 *
 *     deno run -A tests/slow/driver_digests.ts ["NAME=FILE"...]
 *
 * A file has what another machine said: the output of `deno run -A tests/slow/driver_digests.ts gpu` there.
 *
 * @module
 */
import { createHash } from "node:crypto";
import { Cpu } from "../../kernels/device/cpu/cpu.ts";
import type { Device, Tensor } from "../../kernels/device/device.ts";
import { Gpu } from "../../kernels/device/gpu.ts";
import type { AnyKernel } from "../../kernels/device/kernel.ts";
import { ReferenceDevice } from "../../kernels/device/reference.ts";
import { elements } from "../../kernels/device/tensor.ts";
import * as kernels from "../../kernels/mod.ts";
import { calibrate } from "../../stages/calibrate.ts";
import { calibrate_kv } from "../../stages/calibrate_kv.ts";
import { evaluate } from "../../stages/evaluate.ts";
import { quantize } from "../../stages/quantize.ts";
import { reorder } from "../../stages/reorder.ts";
import { readEvaluation } from "../../stages/report/evaluation.ts";
import { rotate } from "../../stages/rotate.ts";
import { smooth } from "../../stages/smooth.ts";
import { tokenize } from "../../stages/tokenize.ts";
import { casesOf, hostsOf, type LabelledCase, toleranceOf } from "../support/kernel_cases.ts";
import { findSwiftShader, swiftShaderEnvironment } from "../support/second_driver.ts";
import { StageChain } from "../support/stage_chain.ts";

const DEVICES: Readonly<Record<string, () => Promise<Device>>> = {
  reference: () => Promise.resolve(new ReferenceDevice()),
  cpu: () => Cpu.open(),
  gpu: () => Gpu.open(),
};
const SCHEME = {
  weights: { bits: 4, zero: "post_scale", group: 128, levels: 2 },
  uneven_group: "shrink",
  activations: "dynamic",
} as const;
const MOST_VALUES = 2 ** 17;

if (import.meta.main) {
  const [kind = ""] = Deno.args;
  const open = DEVICES[kind];
  if (open) await printAll(await open());
  else await compareAll(Deno.args);
}

/** Runs a process for every device and prints what they, and files by name, say side by side. */
async function compareAll(named: readonly string[]): Promise<void> {
  const place = await findSwiftShader();
  const columns: [name: string, kind: string, env: Record<string, string>][] = [
    ["reference", "reference", {}],
    ["cpu", "cpu", {}],
    ["gpu", "gpu", {}],
  ];
  if (place) columns.push(["SwiftShader", "gpu", swiftShaderEnvironment(place)]);
  const texts: [name: string, text: string][] = [];
  for (const [name, kind, env] of columns) {
    const args = ["run", "-A", import.meta.filename!, kind];
    const child = new Deno.Command(Deno.execPath(), { args, env, stderr: "inherit" });
    texts.push([name, new TextDecoder().decode((await child.output()).stdout)]);
  }
  for (const one of named) {
    const [name = "", file = ""] = one.split("=");
    texts.push([name, await Deno.readTextFile(file)]);
  }
  const rows = new Map<string, string[]>();
  for (const [at, [, text]] of texts.entries()) {
    for (const line of text.trim().split("\n")) {
      const [name = "", digest = ""] = line.split("\t");
      rows.set(name, Object.assign(rows.get(name) ?? [], { [at]: digest }));
    }
  }
  say(["", ...texts.map(([name]) => name), ""]);
  for (const [name, digests] of rows) {
    const filled = texts.map((_, at) => digests[at] ?? "-");
    const known = new Set(digests.filter((digest) => digest !== undefined));
    say([name, ...filled, name === "device" || known.size === 1 ? "" : "differs"]);
  }
}

/** Says what a device makes: exact cases kernel by kernel, then stages. */
async function printAll(device: Device): Promise<void> {
  line("device", device.name.slice(0, 16));
  for (const [name, kernel] of Object.entries<AnyKernel>(kernels)) {
    const exact = casesOf(name, kernel).filter((one) =>
      toleranceOf(one) === 0 && !one.timedOnly &&
      Object.values(one.inputs).every(({ shape }) => elements(shape) <= MOST_VALUES)
    );
    if (exact.length > 0) line(`${name}, exact cases`, await kernelDigest(device, kernel, exact));
  }
  await using host = await StageChain.open();
  await using chain = await StageChain.open(device);
  const source = host.embedded();
  const text = await host.run(tokenize, { model: source }, { text: "stories:test", bytes: 4000 });
  const few = { windows: 2, context: 32 };
  const show = async (name: string, made: Promise<{ readonly path: string }>) =>
    line(name, await directoryDigest((await made).path));
  await show("tokenize", chain.run(tokenize, { model: source }, { text: "stories:test" }));
  const rotated = await host.run(rotate, { model: source }, { transforms: ["out_proj"] });
  await show("rotate", chain.run(rotate, { model: source }, { transforms: ["out_proj"] }));
  // Statistics of one device for all.
  const stats = await host.run(calibrate, { model: rotated, tokens: text }, few);
  const given = { model: rotated, stats };
  const order = { sites: ["down_proj"], metric: "inputs_abs_max", index: "sequential" };
  await show("reorder, given statistics", chain.run(reorder, given, order));
  const strength = { projections: { sites: ["down_proj"], alpha: 0.3, beta: 0.7 } };
  await show("smooth, given statistics", chain.run(smooth, given, strength));
  const rtn = { ...SCHEME, method: "rtn" };
  await show("quantize rtn", chain.run(quantize, { model: rotated }, rtn));
  const w4a8 = await host.run(quantize, { model: rotated }, rtn);
  const kv = { bits: 4, zero: "post_scale", group: "head" };
  // Sums of floats in double precision, one by one, take hours.
  if (device instanceof ReferenceDevice) return;
  await show("calibrate_kv, floats", chain.run(calibrate_kv, { model: w4a8, stats }, kv));
  await show("calibrate, floats", chain.run(calibrate, { model: rotated, tokens: text }, few));
  await show("quantize gptq, floats", chain.run(quantize, given, { ...SCHEME, method: "gptq" }));
  const report = await chain.run(evaluate, { model: w4a8, tokens: text }, few);
  // A report names its model's directory too.
  const { scores, windowMeans } = await readEvaluation(report.path);
  const told = createHash("sha256").update(JSON.stringify([scores, windowMeans]));
  line("evaluate, floats", told.digest("hex").slice(0, 16));
}

async function kernelDigest(
  device: Device,
  kernel: AnyKernel,
  cases: readonly LabelledCase[],
): Promise<string> {
  const hash = createHash("sha256");
  for (const one of cases) {
    using stack = new DisposableStack();
    const inputs: Record<string, Tensor> = Object.fromEntries(
      Object.entries(hostsOf(one)).map(([key, host]) => [key, stack.use(device.upload(host))]),
    );
    const outputs: Record<string, Tensor> = device.run(kernel, inputs, one.options);
    for (const output of Object.values(outputs)) stack.use(output);
    const changed = (kernel.mutates ?? []).flatMap((key: string) => inputs[key] ?? []);
    for (const tensor of [...Object.values(outputs), ...changed]) {
      const { data } = await device.read(tensor);
      hash.update(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
    }
  }
  return hash.digest("hex").slice(0, 16);
}

/** The digest of an artifact but for its record, which names the directories of this process. */
async function directoryDigest(directory: string): Promise<string> {
  const hash = createHash("sha256");
  const all = [...Deno.readDirSync(directory)].map(({ name }) => name).sort();
  const names = all.filter((name) => name !== "model.json" && name !== "stats.json");
  for (const name of names) hash.update(name).update(await Deno.readFile(`${directory}/${name}`));
  return hash.digest("hex").slice(0, 16);
}

function line(name: string, digest: string): void {
  Deno.stdout.writeSync(new TextEncoder().encode(`${name}\t${digest}\n`));
}

function say(cells: readonly string[]): void {
  const row = cells.map((cell, at) => cell.padEnd(at === 0 ? 28 : 18)).join("").trimEnd();
  Deno.stdout.writeSync(new TextEncoder().encode(`${row}\n`));
}
