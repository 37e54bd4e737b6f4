import { openAdapter } from "./adapter.ts";
import type {
  AdapterClass,
  Device,
  HostTensor,
  Inputs,
  Limits,
  Recording,
  Tensor,
  TensorRef,
  TensorSpec,
} from "./device.ts";
import type { AnyKernel, Kernel, Plan } from "./kernel.ts";
import { GpuTensor } from "./gpu_tensor.ts";
import { type Block, LARGE_BYTES, Pool } from "./memory.ts";
import { SLOT, writeParams } from "./params.ts";
import { type Pipeline, Pipelines } from "./pipelines.ts";
import { Readback } from "./readback.ts";
import { GpuRecording, type ReadyLaunch, Recorder, Scratch } from "./recording.ts";
import { byteLength, describe, hostTensor } from "./tensor.ts";

/** How to open a `Gpu`. */
export interface GpuOptions {
  /** Plan as for this class of adapter, whatever the adapter is. */
  readonly as?: AdapterClass;
  /** Most bytes of device memory to hold; all there is unless said. */
  readonly memoryBytes?: number;
  /** Fills the padding behind each tensor with a pattern that `guardsHold` checks. */
  readonly guard?: boolean;
  /** Whether to read back without Deno's sleep where that works; on unless said. */
  readonly fastReadback?: boolean;
}

const SLOTS = 512;
const MOST_BIND_GROUPS = 8192;
const GUARD_BYTES = 256;
/** 1e38: no NaN, which arithmetic would copy unchanged. */
const GUARD_WORD = 0x7e967699;

/** Launches kernels on a WebGPU adapter: one compute pass per submit, waits only in `read`. */
export class Gpu implements Device {
  readonly limits: Limits;
  readonly name: string;
  readonly #device: GPUDevice;
  readonly #pool: Pool;
  readonly #pipelines: Pipelines;
  readonly #readback: Readback;
  readonly #arena: GPUBuffer;
  readonly #params = new DataView(new ArrayBuffer(SLOT * SLOTS));
  readonly #groups = new Map<string, GPUBindGroup>();
  readonly #scratch: Scratch;
  #recorder: Recorder | undefined;
  readonly #live = new Set<GpuTensor>();
  readonly #nothing: Block;
  readonly #guard: boolean;
  #encoder: GPUCommandEncoder | undefined;
  #pass: GPUComputePassEncoder | undefined;
  #launches = 0;
  #failure: Error | undefined;
  #closed = false;

  private constructor(
    opened: { readonly device: GPUDevice; readonly limits: Limits; readonly name: string },
    readback: Readback,
    options: GpuOptions,
  ) {
    this.#device = opened.device;
    this.limits = opened.limits;
    this.name = opened.name;
    this.#readback = readback;
    this.#guard = options.guard ?? false;
    this.#pool = new Pool(this.#device, options.memoryBytes ?? Infinity);
    this.#pool.onDestroy = () => this.#groups.clear();
    this.#scratch = new Scratch(this.#pool);
    this.#pipelines = new Pipelines(this.#device);
    this.#nothing = this.#pool.take(16, "an input left out");
    this.#arena = this.#device.createBuffer({
      label: "params",
      size: SLOT * SLOTS,
      usage: GPUBufferUsage.UNIFORM | GPUBufferUsage.COPY_DST,
    });
    this.#device.addEventListener("uncapturederror", (event) => {
      event.preventDefault();
      this.#failure ??= new Error(
        `Cannot go on with the GPU: ${(event as GPUUncapturedErrorEvent).error.message}`,
      );
    });
    this.#device.lost.then((lost) => {
      if (this.#closed) return;
      this.#failure ??= new Error(
        `Cannot go on with the GPU: the device was lost (${
          lost.message || lost.reason
        }), expected it to stay; run the command again, finished steps are kept`,
      );
    });
  }

  /** Opens the best adapter; throws with the way out where there is none. */
  static async open(options: GpuOptions = {}): Promise<Gpu> {
    const opened = await openAdapter(options.as ? { as: options.as } : {});
    const readback = await Readback.probe(opened.device, { fast: options.fastReadback ?? true });
    return new Gpu(opened, readback, options);
  }

  /** Bytes of device memory held now and at most. */
  get memory(): { readonly held: number; readonly peak: number } {
    return { held: this.#pool.held, peak: this.#pool.peak };
  }

  /** Whether `read` skips Deno's sleep on this machine. */
  get fastReadback(): boolean {
    return this.#readback.fast;
  }

  upload(host: HostTensor, label = describe(host)): Tensor {
    this.#mustNotRecord("upload");
    const tensor = this.#take(host, label);
    const { data } = host;
    const whole = data.byteLength % 4 === 0
      ? data
      : new Uint8Array(Math.ceil(data.byteLength / 4) * 4);
    if (whole instanceof Uint8Array) {
      whole.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
      if (this.#guard) {
        new DataView(whole.buffer).setUint16(whole.length - 2, GUARD_WORD & 0xffff, true);
      }
    }
    this.#device.queue.writeBuffer(tensor.block.buffer, 0, whole as BufferSource);
    return tensor;
  }

  write(tensor: TensorRef, host: HostTensor): void {
    this.#mustNotRecord("write");
    const block = this.#blockOf("tensor", tensor);
    const { data } = host;
    if (
      host.dtype !== tensor.dtype || data.byteLength > byteLength(tensor) || data.byteLength % 4 > 0
    ) {
      throw new RangeError(
        `Cannot write ${describe(host)} into ${
          describe(tensor)
        }: expected as many elements of its type at most, in whole words`,
      );
    }
    // Launches before it read what was there.
    this.flush();
    this.#device.queue.writeBuffer(block.buffer, 0, data as BufferSource);
  }

  empty(spec: TensorSpec, label = describe(spec)): Tensor {
    return this.#take(spec, label);
  }

  run<In extends string, Out extends string, Options, Mut extends In, Opt extends In>(
    kernel: Kernel<In, Out, Options, Mut, Opt>,
    inputs: Inputs<In, Opt>,
    options: Options,
  ): Record<Out, Tensor> {
    if (this.#failure) throw this.#failure;
    const plan = kernel.plan(inputs as never, options, this.limits);
    const given = inputs as Readonly<Record<string, TensorRef | undefined>>;
    // Inputs first: where one is refused, no output is left behind.
    const read = kernel.inputs.map((name) => this.#blockOf(name, given[name]));
    const outputs: Record<string, GpuTensor> = {};
    for (const name of kernel.outputs) outputs[name] = this.#take(plan.outputs[name], name);
    const blocks = [...read, ...kernel.outputs.map((name) => outputs[name]!.block)];
    if (plan.grid.every((count) => count > 0)) this.#launch(kernel, plan, blocks);
    return outputs as Record<Out, Tensor>;
  }

  async record(make: () => Promise<readonly Tensor[]>): Promise<Recording> {
    this.#mustNotRecord("record");
    const recorder = this.#recorder = new Recorder(this.#scratch);
    this.#scratch.open();
    let outputs: readonly Tensor[];
    try {
      outputs = await make();
      recorder.check();
    } catch (error) {
      this.#scratch.close();
      throw error;
    } finally {
      this.#recorder = undefined;
    }
    return this.#recording(recorder, outputs);
  }

  async read(tensor: TensorRef): Promise<HostTensor> {
    this.#mustNotRecord("read");
    const block = this.#blockOf("tensor", tensor);
    const bytes = byteLength(tensor);
    const data = await this.#readback.read(block.buffer, bytes, (copy) => this.#submit(copy));
    // An error that stems from the work arrives in a task of its own.
    await Promise.resolve();
    if (this.#failure) throw this.#failure;
    return hostTensor(tensor, data);
  }

  /** Hands the recorded launches to the device. */
  flush(): void {
    if (this.#encoder) this.#submit(() => {});
  }

  /** Ends the device as if the driver had lost it: whatever is run or read from now on throws. */
  lose(): void {
    this.#device.destroy();
    this.#failure ??= new Error(
      "Cannot go on with the GPU: the device was lost, expected it to stay",
    );
  }

  /** Gives memory that no tensor holds back to the driver. */
  trim(): void {
    this.flush();
    this.#pool.trim();
  }

  /** Throws unless the padding behind `tensor` is untouched; needs `guard`. */
  async guardsHold(tensor: TensorRef, label: string): Promise<void> {
    const block = this.#blockOf(label, tensor);
    const bytes = byteLength(tensor);
    const all = await this.#readback.read(block.buffer, block.size, (copy) => this.#submit(copy));
    const view = new DataView(all);
    for (let at = Math.ceil(bytes / 4) * 4; at < bytes + GUARD_BYTES; at += 4) {
      if (view.getUint32(at, true) !== GUARD_WORD) {
        throw new RangeError(
          `Cannot trust ${label}: byte ${at} behind its ${bytes} bytes was written, expected it untouched`,
        );
      }
    }
  }

  /** Ends the device; throws where tensors were left undisposed, and lists them. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.flush();
    await this.#device.queue.onSubmittedWorkDone();
    this.#closed = true;
    const leaks = [...this.#live].map((tensor) => `${tensor.label} ${describe(tensor)}`);
    this.#device.destroy();
    if (leaks.length > 0) {
      throw new Error(
        `Cannot close the GPU cleanly: ${leaks.length} tensors were not disposed (${
          leaks.slice(0, 8).join("; ")
        })`,
      );
    }
  }

  #take(spec: TensorSpec, label: string): GpuTensor {
    const bytes = byteLength(spec);
    if (bytes > this.limits.bindingBytes) {
      throw new RangeError(
        `Cannot place ${label} (${
          describe(spec)
        }): it takes ${bytes} bytes, expected at most ${this.limits.bindingBytes}; split it by rows`,
      );
    }
    const size = bytes + (this.#guard ? GUARD_BYTES : 0);
    if (size >= LARGE_BYTES && !this.#recorder && this.#pool.waits(size)) this.flush();
    const recorder = this.#recorder;
    const block = (recorder ?? this.#pool).take(size, label);
    if (this.#guard) {
      this.#device.queue.writeBuffer(
        block.buffer,
        0,
        new Uint32Array(block.size / 4).fill(GUARD_WORD),
      );
    }
    const tensor = new GpuTensor(spec, block, label, () => {
      if (this.#live.delete(tensor)) (recorder ? this.#scratch : this.#pool).give(block);
      if (!this.#encoder) this.#pool.submitted();
    });
    this.#live.add(tensor);
    return tensor;
  }

  #blockOf(name: string, tensor: TensorRef | undefined): Block {
    if (tensor === undefined) return this.#nothing;
    if (!(tensor instanceof GpuTensor)) {
      throw new TypeError(`Cannot use ${name}: it lives on another device, expected this one`);
    }
    if (tensor.disposed) throw new TypeError(`Cannot use ${name}: it was disposed`);
    this.#recorder?.use(tensor);
    return tensor.block;
  }

  #launch(kernel: AnyKernel, plan: Plan<string>, blocks: readonly Block[]): void {
    const pipeline = this.#pipelines.find(kernel, plan);
    const params = Object.values(plan.params);
    if (this.#recorder) {
      this.#recorder.launches.push({ pipeline, blocks, params, grid: plan.grid });
      return;
    }
    const group = this.#groupOf(pipeline, blocks);
    const offset = this.#launches * SLOT;
    writeParams(this.#params, offset, params);
    this.#dispatch({ pipeline: pipeline.pipeline, group, offset, grid: plan.grid });
    if (++this.#launches === SLOTS) this.flush();
  }

  #dispatch({ pipeline, group, offset, grid }: ReadyLaunch): void {
    this.#encoder ??= this.#device.createCommandEncoder();
    this.#pass ??= this.#encoder.beginComputePass();
    this.#pass.setPipeline(pipeline);
    this.#pass.setBindGroup(0, group, [offset]);
    this.#pass.dispatchWorkgroups(...grid);
  }

  #groupOf(pipeline: Pipeline, blocks: readonly Block[]): GPUBindGroup {
    const key = `${pipeline.id}:${blocks.map((block) => block.id).join(",")}`;
    let group = this.#groups.get(key);
    if (!group) {
      if (this.#groups.size >= MOST_BIND_GROUPS) this.#groups.clear();
      this.#groups.set(key, group = this.#bind(pipeline, blocks, this.#arena));
    }
    return group;
  }

  #bind({ layout }: Pipeline, blocks: readonly Block[], params: GPUBuffer): GPUBindGroup {
    const size = this.limits.bindingBytes;
    return this.#device.createBindGroup({
      layout,
      entries: [
        ...blocks.map((block, binding) => ({
          binding,
          resource: { buffer: block.buffer, size: Math.min(block.size, size) },
        })),
        { binding: blocks.length, resource: { buffer: params, size: SLOT } },
      ],
    });
  }

  #recording(recorder: Recorder, outputs: readonly Tensor[]): Recording {
    const { launches } = recorder;
    // Layers are alike: of the params of hundreds of launches only a few differ.
    const slots = new Map(launches.map(({ params }) => [JSON.stringify(params), params]));
    const offsets = new Map([...slots.keys()].map((key, i) => [key, i * SLOT]));
    const values = new DataView(new ArrayBuffer(SLOT * Math.max(1, slots.size)));
    for (const [key, params] of slots) writeParams(values, offsets.get(key)!, params);
    const buffer = this.#device.createBuffer({
      label: "params of a recording",
      size: values.byteLength,
      usage: GPUBufferUsage.UNIFORM | GPUBufferUsage.COPY_DST,
    });
    this.#device.queue.writeBuffer(buffer, 0, values.buffer);
    const ready = launches.map(({ pipeline, blocks, params, grid }): ReadyLaunch => ({
      pipeline: pipeline.pipeline,
      group: this.#bind(pipeline, blocks, buffer),
      offset: offsets.get(JSON.stringify(params))!,
      grid,
    }));
    return new GpuRecording(outputs, {
      launches: ready.length,
      replay: (after) => {
        if (this.#failure) throw this.#failure;
        recorder.check();
        for (const [i, launch] of ready.entries()) {
          this.#dispatch(launch);
          after?.(i);
          if (i % SLOTS === SLOTS - 1) this.flush();
        }
      },
      end: () => {
        this.flush();
        buffer.destroy();
        this.#scratch.close();
        this.#pool.submitted();
      },
    });
  }

  #mustNotRecord(what: string): void {
    if (this.#recorder) {
      throw new TypeError(
        `Cannot ${what} while launches are put on record: expected only launches`,
      );
    }
  }

  #submit(copy: (encoder: GPUCommandEncoder) => void): void {
    const encoder = this.#encoder ?? this.#device.createCommandEncoder();
    this.#pass?.end();
    copy(encoder);
    if (this.#launches > 0) {
      this.#device.queue.writeBuffer(this.#arena, 0, this.#params.buffer, 0, this.#launches * SLOT);
    }
    this.#device.queue.submit([encoder.finish()]);
    this.#encoder = undefined;
    this.#pass = undefined;
    this.#launches = 0;
    this.#pool.submitted();
  }
}
