import { sizeClass } from "./memory.ts";

const POLL_FREE_ROUNDS = 2;

/**
 * Copies device memory to the host.
 *
 * Deno's `mapAsync` blocks until the device is idle and then sleeps 10 ms before its promise
 * resolves. A buffer that was mapped once in the awaited way is already mapped when a later
 * `mapAsync` returns, so its range can be read without the sleep. That is an implementation detail:
 * `probe` tries it on a scratch buffer and the slow way stays where it does not hold.
 */
export class Readback {
  readonly #device: GPUDevice;
  readonly #staging = new Map<number, GPUBuffer[]>();
  #fast = false;

  private constructor(device: GPUDevice) {
    this.#device = device;
  }

  /** Whether reads skip the sleep. */
  get fast(): boolean {
    return this.#fast;
  }

  static async probe(device: GPUDevice, options: { readonly fast: boolean }): Promise<Readback> {
    const readback = new Readback(device);
    if (options.fast) readback.#fast = await readback.#holds();
    return readback;
  }

  /** The first `bytes` of `source`; `submit` ends what was recorded with the copy it is handed. */
  async read(
    source: GPUBuffer,
    bytes: number,
    submit: (copy: (encoder: GPUCommandEncoder) => void) => void,
  ): Promise<ArrayBuffer> {
    const size = sizeClass(bytes);
    const warm = this.#staging.get(size)?.pop();
    const buffer = warm ?? this.#device.createBuffer({
      label: "readback",
      size,
      usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST,
    });
    const padded = Math.ceil(bytes / 4) * 4;
    let copy: ArrayBuffer;
    try {
      submit((encoder) => encoder.copyBufferToBuffer(source, 0, buffer, 0, padded));
      const mapped = buffer.mapAsync(GPUMapMode.READ);
      if (warm && this.#fast) mapped.catch(() => {});
      else await mapped;
      copy = buffer.getMappedRange(0, padded).slice(0);
    } catch (error) {
      buffer.destroy();
      throw error;
    }
    buffer.unmap();
    const free = this.#staging.get(size);
    if (free) free.push(buffer);
    else this.#staging.set(size, [buffer]);
    return copy;
  }

  /** Whether a mapped-before buffer can be read as soon as `mapAsync` returns, with the new content. */
  async #holds(): Promise<boolean> {
    const source = this.#device.createBuffer({
      size: 256,
      usage: GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST,
    });
    const read = (value: number) => {
      this.#device.queue.writeBuffer(source, 0, new Uint32Array([value]));
      return this.read(source, 4, (copy) => {
        const encoder = this.#device.createCommandEncoder();
        copy(encoder);
        this.#device.queue.submit([encoder.finish()]);
      });
    };
    try {
      await read(1);
      this.#fast = true;
      for (let round = 0; round < POLL_FREE_ROUNDS; round++) {
        const value = 1000 + round;
        if (new Uint32Array(await read(value))[0] !== value) return false;
      }
      return true;
    } catch {
      return false;
    } finally {
      this.#fast = false;
      source.destroy();
    }
  }
}
