/**
 * Times the engine's steps, model against model: tokens a second of prompts and answers, launches,
 * and how near the reading of the weights comes to what memory gives.
 *
 * `deno task bench engine [--batch 1,4,16] [--prompt 128] [--output 24] [--rounds 3] [--ahead 8]
 * [--kernels] [model ...]`; a model
 * is a directory. The first one is what the others are compared with; without any, the embedded model
 * in four precisions. `--kernels` waits behind every launch instead and says where the time is.
 *
 * @module
 */
import process from "node:process";
import { parseArgs } from "node:util";
import type {
  Device,
  HostTensor,
  Inputs,
  Limits,
  Recording,
  Tensor,
  TensorRef,
  TensorSpec,
} from "../../kernels/device/device.ts";
import type { Cpu } from "../../kernels/device/cpu/cpu.ts";
import type { Gpu } from "../../kernels/device/gpu.ts";
import { openTunedDevice } from "../../kernels/tuned_device.ts";
import type { AnyKernel, Kernel } from "../../kernels/device/kernel.ts";
import { f16, f32, u32 } from "../../kernels/device/tensor.ts";
import type { Artifact } from "../../pipeline/artifact.ts";
import { calibrate_kv } from "../../stages/calibrate_kv.ts";
import { GREEDY } from "../../stages/engine/engine.ts";
import { EngineLoop } from "../../stages/engine/engine_loop.ts";
import { EngineMemory } from "../../stages/engine/engine_memory.ts";
import { planMemory } from "../../stages/engine/engine_sizes.ts";
import { openModel } from "../../stages/models/architecture.ts";
import { codedHead } from "../../stages/models/packed_head.ts";
import type { LinearScheme } from "../../stages/quant/schemes.ts";
import { Model } from "../../stages/models/model.ts";
import { quantize } from "../../stages/quantize.ts";
import { randomTensor } from "../support/random.ts";
import { StageChain } from "../support/stage_chain.ts";
import { median } from "./median.ts";
import * as kernels from "../../kernels/mod.ts";

interface Shape {
  readonly batch: number;
  readonly prompt: number;
  readonly output: number;
  readonly ahead: number | undefined;
}

interface Measured {
  /** Seconds until every sequence has its first token, and their prompts' tokens. */
  readonly prefill: number;
  /** Seconds of a decode step, the median. */
  readonly step: number;
  /** Seconds of it in which the device was not waited for. */
  readonly host: number;
  /** Seconds of processors in a step, those of a software driver among them. */
  readonly cpu: number;
  readonly launches: number;
  readonly readbacks: number;
}

/** A device that counts what is done on it. */
class WatchedDevice implements Device {
  readonly limits: Limits;
  readonly name: string;
  launches = 0;
  readbacks = 0;
  /** Milliseconds in which it was waited for. */
  waited = 0;
  /** Launches and milliseconds by kernel and shape, where each is waited for. */
  readonly kernels: Map<string, { launches: number; ms: number }> | undefined;
  #recorded: string[] | undefined;
  #reading = 0;
  #readingSince = 0;
  readonly #gpu: Cpu | Gpu;
  readonly #fence: Tensor;
  /** A product of nothing, whose output the CPU engine can be waited for by. */
  readonly #last: { readonly x: Tensor; readonly weight: Tensor; readonly y: Tensor };

  constructor(gpu: Cpu | Gpu, { each }: { readonly each: boolean }) {
    this.#gpu = gpu;
    this.#fence = gpu.upload(u32([1]));
    this.#last = {
      x: gpu.upload(f32([1, 8])),
      weight: gpu.upload(f16([1, 8])),
      y: gpu.upload(f32([1, 1])),
    };
    this.limits = gpu.limits;
    this.name = gpu.name;
    this.kernels = each ? new Map() : undefined;
  }

  upload(host: HostTensor, label?: string): Tensor {
    return this.#gpu.upload(host, label);
  }

  empty(spec: TensorSpec, label?: string): Tensor {
    return this.#gpu.empty(spec, label);
  }

  run<In extends string, Out extends string, Options, Mut extends In, Opt extends In>(
    kernel: Kernel<In, Out, Options, Mut, Opt>,
    inputs: Inputs<In, Opt>,
    options: Options,
  ): Record<Out, Tensor> {
    this.launches++;
    if (!this.kernels) return this.#gpu.run(kernel, inputs, options);
    const key = `${nameOf(kernel)} ${shapesOf(inputs)}`;
    if (this.#recorded) {
      this.#recorded.push(key);
      return this.#gpu.run(kernel, inputs, options);
    }
    this.#idle();
    const start = performance.now();
    const outputs = this.#gpu.run(kernel, inputs, options);
    this.#idle();
    this.#count(key, performance.now() - start);
    return outputs;
  }

  write(tensor: TensorRef, host: HostTensor): void {
    this.#gpu.write(tensor, host);
  }

  async record(make: () => Promise<readonly Tensor[]>): Promise<Recording> {
    const before = this.launches;
    const keys: string[] = this.#recorded = [];
    const recording = await this.#gpu.record(make);
    this.#recorded = undefined;
    this.launches = before;
    return {
      outputs: recording.outputs,
      launches: recording.launches,
      replay: (part = {}) => {
        const { from = 0, to = recording.launches } = part;
        this.launches += to - from;
        if (!this.kernels) return recording.replay(part);
        this.#idle();
        let start = performance.now();
        recording.replay({
          ...part,
          after: (launch) => {
            this.#idle();
            this.#count(keys[launch]!, performance.now() - start);
            start = performance.now();
          },
        });
      },
      [Symbol.dispose]: () => recording[Symbol.dispose](),
    };
  }

  async read(tensor: TensorRef): Promise<HostTensor> {
    this.readbacks++;
    if (this.#reading++ === 0) this.#readingSince = performance.now();
    const host = await this.#gpu.read(tensor);
    // Several may be under way at once.
    if (--this.#reading === 0) this.waited += performance.now() - this.#readingSince;
    return host;
  }

  /** Makes sure that a read of this size blocks in the call, which `kernels` rests on. */
  async warm(): Promise<void> {
    await this.#gpu.read(this.#fence);
  }

  #count(key: string, ms: number): void {
    const before = this.kernels!.get(key) ?? { launches: 0, ms: 0 };
    this.kernels!.set(key, { launches: before.launches + 1, ms: before.ms + ms });
  }

  /**
   * Blocks until the device is idle: a fast readback does so before it returns, and the CPU engine
   * before it lets a tensor be written that a launch before uses.
   */
  #idle(): void {
    if (this.limits.adapter === "cpu") {
      this.#gpu.run(kernels.matmul, this.#last, {});
      this.#gpu.write(this.#last.y, f32([1, 1]));
    } else this.#gpu.read(this.#fence).catch(() => {});
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#fence[Symbol.dispose]();
    for (const tensor of Object.values(this.#last)) tensor[Symbol.dispose]();
    await this.#gpu[Symbol.asyncDispose]();
  }
}

if (import.meta.main) await benchEngine(Deno.args);

/** Measures what the arguments say and prints a table. */
export async function benchEngine(args: readonly string[]): Promise<void> {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      batch: { type: "string", default: "1,4,16" },
      prompt: { type: "string", default: "128" },
      output: { type: "string", default: "24" },
      ahead: { type: "string" },
      rounds: { type: "string", default: "3" },
      kernels: { type: "boolean", default: false },
    },
  });
  const shapes = values.batch.split(",").map((batch) => ({
    batch: Number(batch),
    prompt: Number(values.prompt),
    output: Number(values.output),
    ahead: values.ahead === undefined ? undefined : Number(values.ahead),
  }));
  await using chain = await StageChain.open();
  const models = positionals.length > 0
    ? await Promise.all(positionals.map(async (path) => [await wordsOf(path), path] as const))
    : await embedded(chain);
  const lines = values.kernels
    ? await profiles(models, shapes[0]!)
    : await comparison(models, shapes, Number(values.rounds));
  Deno.stdout.writeSync(new TextEncoder().encode(`${lines.join("\n")}\n`));
}

/** The embedded model in half precision and in three schemes. */
export async function embedded(chain: StageChain): Promise<(readonly [string, string])[]> {
  const model = chain.embedded();
  const stats = await chain.calibrate(model);
  const rtn = (weights: object, activations: "none" | "dynamic") =>
    chain.run(quantize, { model }, { method: "rtn", weights, activations });
  const cached = async (of: Artifact, params: object) =>
    (await chain.run(calibrate_kv, { model: of, stats }, params)).path;
  const w8 = await rtn({ bits: 8, zero: "none", group: "row" }, "dynamic");
  const w4 = await rtn({ bits: 4, zero: "post_scale", group: 64 }, "none");
  const qoq = await rtn({ bits: 4, zero: "post_scale", group: 64, levels: 2 }, "dynamic");
  return [
    ["f16", model.path],
    ["W8A8KV8", await cached(w8, { bits: 8, zero: "none" })],
    ["W4A16", w4.path],
    ["W4A8KV4", await cached(qoq, { bits: 4 })],
  ];
}

/** The precision of a model in the words of its record, or where it lies. */
async function wordsOf(path: string): Promise<string> {
  using files = await openModel(path);
  const { linears, kv: [kv] } = files.record;
  const words = (scheme: LinearScheme) => `W${scheme.weights.bits}A${scheme.inputs?.bits ?? 16}`;
  const [scheme] = Object.values(linears);
  const head = codedHead(files);
  const own = head ? `, head ${words(head.scheme)}` : "";
  return `${scheme ? words(scheme) : "f16"}${kv ? `KV${kv.key.bits}` : ""}${own}`;
}

/** A line for each model and batch; models take turns, so that another program's load meets all. */
async function comparison(
  models: readonly (readonly [name: string, path: string])[],
  shapes: readonly Shape[],
  rounds: number,
): Promise<string[]> {
  await using device = new WatchedDevice(await openTunedDevice(Deno.env.get("QUATTUOR_DEVICE")), {
    each: false,
  });
  using stack = new DisposableStack();
  const opened: (readonly [string, Model])[] = [];
  for (const [name, path] of models) {
    opened.push([name, stack.use(await Model.open(path, device, { weightBytes: Infinity }))]);
  }
  const bandwidth = await timeCopy(device);
  const lines = [
    `${device.name}; copying moves ${
      (bandwidth / 1e9).toFixed(1)
    } GB/s; best of ${rounds} rounds, of medians`,
    row([
      "model",
      "batch",
      "prompt tok/s",
      "ratio",
      "decode tok/s",
      "ratio",
      "ms/step",
      "cpu ms/step",
      "launches/step",
      "/token",
      "reads",
      "host us",
      "us/launch",
      "MB/step",
      "of floor",
    ]),
  ];
  for (const shape of shapes) {
    const best = new Map<string, Measured>();
    for (let round = 0; round <= rounds; round++) {
      for (const [name, model] of opened) {
        const measured = await measure(device, model, shape);
        // The first round compiles pipelines and fills pools.
        if (round > 0) best.set(name, better(best.get(name), measured));
      }
    }
    const first = best.get(opened[0]![0])!;
    for (const [name, model] of opened) {
      const { prefill, step, host, cpu, launches, readbacks } = best.get(name)!;
      const bytes = stepBytes(model);
      lines.push(row([
        name,
        `${shape.batch}`,
        (shape.batch * shape.prompt / prefill).toFixed(0),
        (first.prefill / prefill).toFixed(2),
        (shape.batch / step).toFixed(1),
        (first.step / step).toFixed(2),
        (1000 * step).toFixed(2),
        (1000 * cpu).toFixed(2),
        launches.toFixed(1),
        (launches / shape.batch).toFixed(1),
        readbacks.toFixed(2),
        (1e6 * host).toFixed(0),
        (1e6 * host / launches).toFixed(1),
        (bytes / 1e6).toFixed(1),
        `${(100 * bytes / bandwidth / step).toFixed(0)} %`,
      ]));
    }
  }
  return lines;
}

/** Where the time of decode steps is: a line for each kernel and shapes, for each model. */
async function profiles(
  models: readonly (readonly [name: string, path: string])[],
  shape: Shape,
): Promise<string[]> {
  const lines: string[] = [];
  for (const [name, path] of models) {
    await using device = new WatchedDevice(await openTunedDevice(Deno.env.get("QUATTUOR_DEVICE")), {
      each: true,
    });
    using model = await Model.open(path, device, { weightBytes: Infinity });
    await device.warm();
    await measure(device, model, shape);
    device.kernels!.clear();
    await measure(device, model, shape);
    const all = [...device.kernels!].sort(([, a], [, b]) => b.ms - a.ms);
    const sum = all.reduce((sum, [, { ms }]) => sum + ms, 0);
    lines.push(`${name}, batch ${shape.batch}: ${sum.toFixed(0)} ms in kernels, prompts included`);
    for (const [kernel, { launches, ms }] of all.slice(0, 24)) {
      lines.push(
        `  ${(100 * ms / sum).toFixed(1).padStart(5)} %  ${
          (1000 * ms / launches).toFixed(0).padStart(7)
        } us x ${String(launches).padEnd(6)} ${kernel}`,
      );
    }
  }
  return lines;
}

/** Runs a batch from its prompts to its last tokens. */
async function measure(
  device: WatchedDevice,
  model: Model,
  { batch, prompt, output, ahead }: Shape,
): Promise<Measured> {
  const wishes = { context: prompt + output + 2, sequences: batch, ahead };
  const memory = new EngineMemory(device.limits, model);
  const { sizes } = await planMemory(memory, { memoryBytes: 2 ** 33, wishes });
  using loop = new EngineLoop(device, model, sizes);
  const { vocabulary } = model.config;
  for (let id = 0; id < batch; id++) {
    const tokens = Array.from(
      { length: prompt },
      (_, i) => (i * i * 7 + (i + 31 * id) * 13) % vocabulary,
    );
    loop.add(id, { prompt: tokens, maxTokens: output, sampling: GREEDY, stopTokens: [] });
  }
  const prefillStart = performance.now();
  const begun = new Set<number>();
  while (begun.size < batch) {
    for (const [id, { type }] of await loop.step()) if (type === "token") begun.add(id);
  }
  const prefill = (performance.now() - prefillStart) / 1000;
  const times: { readonly ms: number; readonly waited: number }[] = [];
  const before = { launches: device.launches, readbacks: device.readbacks };
  const cpuBefore = process.cpuUsage();
  let tokens = 0;
  while (!loop.idle) {
    const waited = device.waited;
    const start = performance.now();
    const events = await loop.step();
    const ms = performance.now() - start;
    const made = events.filter(([, { type }]) => type === "token").length;
    if (made === 0) continue;
    tokens += made;
    // A call may run several steps.
    const steps = made / batch;
    times.push({ ms: ms / steps, waited: (device.waited - waited) / steps });
  }
  const steps = tokens / batch;
  const { user, system } = process.cpuUsage(cpuBefore);
  return {
    prefill,
    step: median(times.map(({ ms }) => ms)) / 1000,
    host: median(times.map(({ ms, waited }) => ms - waited)) / 1000,
    cpu: (user + system) / 1e6 / steps,
    launches: (device.launches - before.launches) / steps,
    readbacks: (device.readbacks - before.readbacks) / steps,
  };
}

function better(a: Measured | undefined, b: Measured): Measured {
  if (!a) return b;
  return {
    ...b,
    prefill: Math.min(a.prefill, b.prefill),
    step: Math.min(a.step, b.step),
    host: Math.min(a.host, b.host),
    cpu: Math.min(a.cpu, b.cpu),
  };
}

/** Bytes of weights that a step reads at least: all but the embeddings, of which it takes rows. */
function stepBytes({ sizes, checkpoint, architecture, config }: Model): number {
  const table = checkpoint.tensors.get(architecture.embeddings)!;
  const [rows = 0, columns = 0] = table.shape;
  return sizes.bytes - (config.tied ? 0 : rows * columns * (table.dtype === "F32" ? 4 : 2));
}

/** Bytes a second that the device reads and writes where it only copies. */
async function timeCopy(device: Device): Promise<number> {
  const [rows, columns] = [8192, 1024];
  using tokens = device.upload(u32([rows], Array.from({ length: rows }, (_, i) => i)));
  using embeddings = device.upload(randomTensor({ dtype: "f32", shape: [rows, columns] }, "copy"));
  using y = device.empty({ dtype: "f32", shape: [rows, columns] });
  const times: number[] = [];
  for (let i = 0; i < 12; i++) {
    await device.read(tokens);
    const start = performance.now();
    device.run(kernels.embed, { tokens, embeddings, y }, {});
    await device.read(tokens);
    times.push((performance.now() - start) / 1000);
  }
  return 2 * 4 * rows * columns / Math.min(...times);
}

function nameOf(kernel: unknown): string {
  const found = Object.entries<AnyKernel>(kernels).find(([, other]) => other === kernel);
  return found?.[0] ?? "?";
}

function shapesOf(inputs: Readonly<Record<string, TensorSpec | undefined>>): string {
  return Object.values(inputs).slice(0, 4).map((spec) => `[${spec?.shape.join(",")}]`).join(" ");
}

/** A line of a table. */
function row(cells: readonly string[]): string {
  return cells.map((cell, i) => i === 0 ? cell.padEnd(24) : cell.padStart(i < 2 ? 5 : 14)).join("");
}
