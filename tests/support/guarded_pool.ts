import { type Gpu, storageBuffers } from "../../kernels/device/gpu.ts";
import { type Block, Pool } from "../../kernels/device/memory.ts";
import type { PooledTensor } from "../../kernels/device/pooled_tensor.ts";
import { Readback } from "../../kernels/device/readback.ts";
import {
  byteLength,
  type HostTensor,
  type Tensor,
  type TensorRef,
} from "../../kernels/device/tensor.ts";

const GUARD_BYTES = 256;
/** 1e38: no NaN, which arithmetic would copy unchanged. */
const GUARD_WORD = 0x7e967699;

/** A pool whose blocks have a pattern behind each tensor, which shows who writes there. */
export class GuardedPool extends Pool<GPUBuffer> {
  readonly #device: GPUDevice;
  #readback: Promise<Readback> | undefined;

  constructor(device: GPUDevice) {
    super(storageBuffers(device));
    this.#device = device;
  }

  override take(bytes: number, label: string): Block<GPUBuffer> {
    const block = super.take(bytes + GUARD_BYTES, label);
    const pattern = new Uint32Array(block.size / 4).fill(GUARD_WORD);
    this.#device.queue.writeBuffer(block.buffer, 0, pattern);
    return block;
  }

  /** Uploads values with the pattern behind them, in the same word where they end within one. */
  upload(gpu: Gpu, host: HostTensor): Tensor {
    const { data } = host;
    if (!(data instanceof Float16Array) || data.length % 2 === 0) return gpu.upload(host);
    const padded = new Uint16Array(data.length + 1).fill(GUARD_WORD & 0xffff);
    padded.set(new Uint16Array(data.buffer, data.byteOffset, data.length));
    return gpu.upload({ ...host, data: new Float16Array(padded.buffer) });
  }

  /** Throws unless what stands behind a tensor is untouched. */
  async holds(gpu: Gpu, tensor: TensorRef, label: string): Promise<void> {
    const { block } = tensor as PooledTensor<GPUBuffer>;
    const bytes = byteLength(tensor);
    gpu.flush();
    const view = new DataView(await this.#contentOf(block));
    for (let at = Math.ceil(bytes / 4) * 4; at < bytes + GUARD_BYTES; at += 4) {
      if (view.getUint32(at, true) !== GUARD_WORD) {
        throw new RangeError(
          `Cannot trust ${label}: byte ${at} behind its ${bytes} bytes was written, expected it untouched`,
        );
      }
    }
  }

  async #contentOf({ buffer, size }: Block<GPUBuffer>): Promise<ArrayBuffer> {
    this.#readback ??= Readback.probe(this.#device, { fast: true });
    return await (await this.#readback).read(buffer, size, (copy) => {
      const encoder = this.#device.createCommandEncoder();
      copy(encoder);
      this.#device.queue.submit([encoder.finish()]);
    });
  }
}
