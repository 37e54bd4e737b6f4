import type { Limits } from "./limits.ts";
import { type Block, type Destroyable, Pool } from "./memory.ts";
import { type Copy, PooledDevice, type PreparedLaunches, type Queue } from "./pooled_device.ts";
import { byteLength, type HostTensor } from "./tensor.ts";

/** Buffers that are only counted. */
const UNLIMITED = { largest: Infinity, create: (): Destroyable => ({ destroy() {} }) };

/**
 * Plans what a device of these limits would launch, and counts the memory that it would hold, in the
 * same pool and by the same rules; nothing is computed.
 *
 * Tensors may be uploaded without values, and what is read has none: arrays of no elements.
 */
export class CountingDevice extends PooledDevice<Destroyable> {
  readonly #tally: Tally;

  constructor(limits: Limits) {
    const queue = new Tally();
    super({ limits, name: "counted" }, { queue, pool: new Pool(UNLIMITED) });
    this.#tally = queue;
  }

  /** Most bytes of its memory, of a tensor on its way to it or back, and of uploads at once. */
  get peaks(): {
    readonly deviceBytes: number;
    readonly largest: number;
    readonly staged: number;
  } {
    const { largest, staged } = this.#tally;
    return { deviceBytes: this.memory.peak, largest, staged };
  }
}

/** Launches nothing, and counts what would go to the device and back. */
class Tally implements Queue<Destroyable> {
  largest = 0;
  staged = 0;
  #waiting = 0;

  check(): void {}

  write(_block: Block<Destroyable>, host: HostTensor): void {
    const bytes = byteLength(host);
    this.#waiting += bytes;
    this.staged = Math.max(this.staged, this.#waiting);
    this.largest = Math.max(this.largest, bytes);
  }

  launch(): void {}

  prepare(): PreparedLaunches {
    return { launch() {}, [Symbol.dispose]() {} };
  }

  submit(): void {
    this.#waiting = 0;
  }

  read(
    _block: Block<Destroyable>,
    bytes: number,
    submit: (copy?: Copy) => void,
  ): Promise<undefined> {
    submit();
    this.largest = Math.max(this.largest, bytes);
    return Promise.resolve(undefined);
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}
