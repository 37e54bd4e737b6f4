import { type AdapterOptions, openAdapter, type Opened } from "./adapter.ts";
import { LaunchQueue } from "./launch_queue.ts";
import { type Allocator, Pool } from "./memory.ts";
import { PooledDevice } from "./pooled_device.ts";
import { Readback } from "./readback.ts";

/** How to open a `Gpu`. */
export interface GpuOptions extends AdapterOptions {
  /** Most bytes of device memory to hold; all there is unless said. */
  readonly memoryBytes?: number;
  /** Whether to read back without Deno's sleep where that works; on unless said. */
  readonly fastReadback?: boolean;
  /** Opens the pool that tensors lie in, instead of one of `memoryBytes`. */
  readonly pool?: (device: GPUDevice) => Pool<GPUBuffer>;
}

/** Launches kernels on a WebGPU adapter: one compute pass per submit, waits only in `read`. */
export class Gpu extends PooledDevice<GPUBuffer> {
  readonly #queue: LaunchQueue;
  readonly #readback: Readback;

  private constructor(
    { device, subgroupLine, ...facts }: Opened,
    readback: Readback,
    options: GpuOptions,
  ) {
    const { bindingBytes } = facts.limits;
    const queue = new LaunchQueue(device, { bindingBytes, readback, subgroupLine });
    const pool = options.pool?.(device) ?? new Pool(storageBuffers(device), options.memoryBytes);
    pool.onDestroy = () => queue.forgetGroups();
    super(facts, { queue, pool });
    this.#queue = queue;
    this.#readback = readback;
  }

  /** Opens the best adapter; throws with the way out where there is none. */
  static async open(options: GpuOptions = {}): Promise<Gpu> {
    const opened = await openAdapter(options);
    const readback = await Readback.probe(opened.device, { fast: options.fastReadback ?? true });
    return new Gpu(opened, readback, options);
  }

  /** Whether `read` skips Deno's sleep on this machine. */
  get fastReadback(): boolean {
    return this.#readback.fast;
  }

  /** Ends the device as if the driver had lost it: whatever is run or read from now on throws. */
  lose(): void {
    this.#queue.lose();
  }
}

/** Buffers that shaders read and write and that can be copied. */
export function storageBuffers(device: GPUDevice): Allocator<GPUBuffer> {
  const usage = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST;
  return {
    largest: device.limits.maxBufferSize,
    create: (size, label) => device.createBuffer({ label, size, usage }),
  };
}
