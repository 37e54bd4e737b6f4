import { openAdapter } from "./adapter.ts";
import type {
  AdapterClass,
  Device,
  HostTensor,
  Inputs,
  Limits,
  Tensor,
  TensorRef,
  TensorSpec,
} from "./device.ts";
import type { AnyKernel, Kernel, Param, Plan } from "./kernel.ts";
import { type Block, LARGE_BYTES, Pool } from "./memory.ts";
import { type Pipeline, Pipelines } from "./pipelines.ts";
import { Readback } from "./readback.ts";
import { byteLength, describe, hostTensor, reshape } from "./tensor.ts";

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

const SLOT = 256;
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

  async read(tensor: TensorRef): Promise<HostTensor> {
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
    if (size >= LARGE_BYTES && this.#pool.waits(size)) this.flush();
    const block = this.#pool.take(size, label);
    if (this.#guard) {
      this.#device.queue.writeBuffer(
        block.buffer,
        0,
        new Uint32Array(block.size / 4).fill(GUARD_WORD),
      );
    }
    const tensor = new GpuTensor(spec, block, label, () => {
      if (this.#live.delete(tensor)) this.#pool.give(block);
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
    return tensor.block;
  }

  #launch(kernel: AnyKernel, plan: Plan<string>, blocks: readonly Block[]): void {
    const pipeline = this.#pipelines.find(kernel, plan);
    const group = this.#groupOf(pipeline, blocks);
    const offset = this.#launches * SLOT;
    writeParams(this.#params, offset, Object.values(plan.params));
    this.#encoder ??= this.#device.createCommandEncoder();
    this.#pass ??= this.#encoder.beginComputePass();
    this.#pass.setPipeline(pipeline.pipeline);
    this.#pass.setBindGroup(0, group, [offset]);
    this.#pass.dispatchWorkgroups(...plan.grid);
    if (++this.#launches === SLOTS) this.flush();
  }

  #groupOf({ id, layout }: Pipeline, blocks: readonly Block[]): GPUBindGroup {
    const key = `${id}:${blocks.map((block) => block.id).join(",")}`;
    let group = this.#groups.get(key);
    if (!group) {
      if (this.#groups.size >= MOST_BIND_GROUPS) this.#groups.clear();
      const size = this.limits.bindingBytes;
      group = this.#device.createBindGroup({
        layout,
        entries: [
          ...blocks.map((block, binding) => ({
            binding,
            resource: { buffer: block.buffer, size: Math.min(block.size, size) },
          })),
          { binding: blocks.length, resource: { buffer: this.#arena, size: SLOT } },
        ],
      });
      this.#groups.set(key, group);
    }
    return group;
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

/** A tensor in a block of device memory; a view shares the block and its end. */
class GpuTensor implements Tensor {
  readonly dtype;
  readonly shape;
  readonly block: Block;
  readonly label: string;
  readonly #owner: { disposed: boolean };
  readonly #release: () => void;

  constructor(
    spec: TensorSpec,
    block: Block,
    label: string,
    release: () => void,
    owner = { disposed: false },
  ) {
    this.dtype = spec.dtype;
    this.shape = spec.shape;
    this.block = block;
    this.label = label;
    this.#release = release;
    this.#owner = owner;
  }

  get disposed(): boolean {
    return this.#owner.disposed;
  }

  view(shape: readonly number[]): TensorRef {
    const spec = reshape({ dtype: this.dtype, shape: this.shape }, shape);
    return new GpuTensor(spec, this.block, this.label, () => {}, this.#owner);
  }

  [Symbol.dispose](): void {
    if (this.#owner.disposed) return;
    this.#owner.disposed = true;
    this.#release();
  }
}

function writeParams(view: DataView, offset: number, params: readonly Param[]): void {
  params.forEach((param, index) => {
    const at = offset + 4 * index;
    if ("f32" in param) return view.setFloat32(at, param.f32, true);
    if (!Number.isInteger(param.u32) || param.u32 < 0 || param.u32 > 0xffffffff) {
      throw new RangeError(
        `Cannot launch: param ${index} is ${param.u32}, expected a 32-bit count`,
      );
    }
    view.setUint32(at, param.u32, true);
  });
}
