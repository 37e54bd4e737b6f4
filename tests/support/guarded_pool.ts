import { Cpu, type CpuOptions } from "../../kernels/device/cpu/cpu.ts";
import type { Banks } from "../../kernels/device/cpu/banks.ts";
import type { Region } from "../../kernels/device/cpu/heap.ts";
import { Gpu, type GpuOptions, storageBuffers } from "../../kernels/device/gpu.ts";
import { type Allocator, type Block, type Destroyable, Pool } from "../../kernels/device/memory.ts";
import type { PooledDevice } from "../../kernels/device/pooled_device.ts";
import { PooledTensor } from "../../kernels/device/pooled_tensor.ts";
import {
  byteLength,
  type HostTensor,
  type Tensor,
  type TensorRef,
  u32,
} from "../../kernels/device/tensor.ts";
import { spread } from "./spread_banks.ts";

const GUARD_BYTES = 256;
/** 1e38: no NaN, which arithmetic would copy unchanged. */
const GUARD_WORD = 0x7e967699;

/** A GPU with guarded blocks. */
export function guardedGpu(options: GpuOptions = {}): Promise<Guarded<GPUBuffer>> {
  return Guarded.open((pool) =>
    Gpu.open({ ...options, pool: (device) => pool(storageBuffers(device)) })
  );
}

/** How to open a CPU engine with guarded blocks. */
export interface GuardedOptions extends CpuOptions {
  /** Whether they lie in several banks. */
  readonly spread?: boolean;
}

/** A CPU engine with guarded blocks. */
export function guardedCpu(options: GuardedOptions = {}): Promise<Guarded<Region>> {
  const place = (banks: Banks) => options.spread ? spread(banks) : banks;
  return Guarded.open((pool) => Cpu.open({ ...options, pool: (banks) => pool(place(banks)) }));
}

/** A device whose blocks have a pattern behind each tensor, which shows who writes there. */
export class Guarded<B extends Destroyable> implements AsyncDisposable {
  readonly device: PooledDevice<B>;

  private constructor(device: PooledDevice<B>) {
    this.device = device;
  }

  /** Opens a device with a pool of guarded blocks. */
  static async open<B extends Destroyable>(
    open: (pool: (allocator: Allocator<B>) => Pool<B>) => Promise<PooledDevice<B>>,
  ): Promise<Guarded<B>> {
    let pool: GuardedPool<B> | undefined;
    const device = await open((allocator) => pool = new GuardedPool(allocator));
    pool!.device = device;
    return new Guarded(device);
  }

  /** Uploads values with the pattern behind them, in the same word where they end within one. */
  upload(host: HostTensor): Tensor {
    const { data } = host;
    if (!(data instanceof Float16Array) || data.length % 2 === 0) return this.device.upload(host);
    const padded = new Uint16Array(data.length + 1).fill(GUARD_WORD & 0xffff);
    padded.set(new Uint16Array(data.buffer, data.byteOffset, data.length));
    return this.device.upload({ ...host, data: new Float16Array(padded.buffer) });
  }

  /** Throws unless what stands behind a tensor is untouched. */
  async holds(tensor: TensorRef, label: string): Promise<void> {
    const bytes = byteLength(tensor);
    const { data } = await this.device.read(wholeOf((tensor as PooledTensor<B>).block));
    const words = data.subarray(Math.ceil(bytes / 4), (bytes + GUARD_BYTES) / 4);
    const touched = words.findIndex((word) => word !== GUARD_WORD);
    if (touched < 0) return;
    throw new RangeError(
      `Cannot trust ${label}: byte ${
        Math.ceil(bytes / 4) * 4 + 4 * touched
      } behind its ${bytes} bytes was written, expected it untouched`,
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.device[Symbol.asyncDispose]();
  }
}

/** Fills each block with the pattern when it is taken. */
class GuardedPool<B extends Destroyable> extends Pool<B> {
  /** Writes the pattern, and is opened with the pool. */
  device: PooledDevice<B> | undefined;

  override take(bytes: number, label: string): Block<B> {
    const block = super.take(bytes + GUARD_BYTES, label);
    const whole = wholeOf(block);
    const words = new Uint32Array(block.size / 4).fill(GUARD_WORD);
    this.device?.write(whole, u32(whole.shape, words));
    return block;
  }
}

/** All words of a block. */
function wholeOf<B>(block: Block<B>): PooledTensor<B> {
  return new PooledTensor({ dtype: "u32", shape: [block.size / 4] }, block, "a block", () => {});
}
