import { CPU_LIMITS } from "../limits.ts";
import { Pool } from "../memory.ts";
import { PooledDevice } from "../pooled_device.ts";
import { CommandRing } from "./command_ring.ts";
import { Heap, type Region } from "./heap.ts";
import { engineName, loadModule, type SimdKind } from "./module.ts";
import { CONTROL_BYTES, KEPT_BYTES, SCRATCH_BYTES, SLOT_BYTES, SLOTS } from "./protocol.ts";
import { Threads } from "./threads.ts";

/** How to open a `Cpu`. */
export interface CpuOptions {
  /** Threads that run kernels; as many as this process has processors unless said. */
  readonly threads?: number;
  /** Most bytes of tensors to hold; all there is unless said. */
  readonly memoryBytes?: number;
  /** Which module to load; the fastest that runs here unless said. */
  readonly simd?: SimdKind;
  /** How many commands to have counted already; counters in its memory run around at 2^32. */
  readonly commands?: number;
  /** Opens the pool that tensors lie in, instead of one of `memoryBytes`. */
  readonly pool?: (heap: Heap) => Pool<Region>;
}

/** Runs kernels as WebAssembly on the processor's cores, with no driver. */
export class Cpu extends PooledDevice<Region> {
  readonly threads: number;
  readonly #ring: CommandRing;

  private constructor(
    { name, threads }: { readonly name: string; readonly threads: number },
    parts: { readonly queue: CommandRing; readonly pool: Pool<Region> },
  ) {
    super({ limits: CPU_LIMITS, name }, parts);
    this.threads = threads;
    this.#ring = parts.queue;
  }

  /** Starts the threads; throws where the JavaScript engine refuses the module. */
  static async open(options: CpuOptions = {}): Promise<Cpu> {
    const { threads = navigator.hardwareConcurrency } = options;
    const module = await loadModule(options.simd);
    const heap = new Heap();
    const places = {
      control: heap.create(CONTROL_BYTES, "counters").address,
      ring: heap.create(SLOTS * SLOT_BYTES, "commands").address,
    };
    const scratches = Array.from(
      { length: threads },
      (_, thread) =>
        heap.create(KEPT_BYTES + SCRATCH_BYTES, `thread ${thread}`).address + KEPT_BYTES,
    );
    const { programs } = module;
    const queue = new CommandRing(heap, places, { programs, commands: options.commands ?? 0 });
    const started = await Threads.start(
      module,
      { ...places, memory: heap.memory, scratches },
      (reason) => queue.fail(reason),
    );
    queue.onClose = () => started.join();
    const pool = options.pool?.(heap) ?? new Pool(heap, options.memoryBytes);
    return new Cpu({ name: engineName(module), threads }, { queue, pool });
  }

  /** Ends the engine as if a thread had died: whatever is run or read from now on throws. */
  lose(): void {
    this.#ring.fail("one of its threads died");
  }
}
