import { freeMemory } from "../free_memory.ts";
import { CPU_LIMITS } from "../limits.ts";
import { Pool } from "../memory.ts";
import { PooledDevice } from "../pooled_device.ts";
import { Banks } from "./banks.ts";
import { CommandRing } from "./command_ring.ts";
import { FunctionTable } from "./function_table.ts";
import { FIRST_ADDRESS, type Region } from "./heap.ts";
import { engineName, loadModule, type SimdKind } from "./module.ts";
import { CONTROL_BYTES, KEPT_BYTES, SCRATCH_BYTES, SLOT_BYTES, SLOTS } from "./protocol.ts";
import { Threads } from "./threads.ts";

/** How to open a `Cpu`. */
export interface CpuOptions {
  /** Threads that run kernels; as many as this process has processors unless said. */
  readonly threads?: number;
  /** Most bytes of tensors to hold; what is free now unless said. */
  readonly memoryBytes?: number;
  /** Which module to load; the fastest that runs here unless said. */
  readonly simd?: SimdKind;
  /** How many commands to have counted already; counters in its memory run around at 2^32. */
  readonly commands?: number;
  /** Opens the pool that tensors lie in, instead of one of `memoryBytes`. */
  readonly pool?: (banks: Banks) => Pool<Region>;
  /** Most bytes of one memory; as many as addresses have unless said. */
  readonly bankBytes?: number;
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
    const control = FIRST_ADDRESS;
    const ring = control + CONTROL_BYTES;
    const own = ring + SLOTS * SLOT_BYTES;
    const ownBytes = KEPT_BYTES + SCRATCH_BYTES;
    const scratches = Array.from({ length: threads }, (_, at) => own + at * ownBytes + KEPT_BYTES);
    const reserved = own + threads * ownBytes - FIRST_ADDRESS;
    const banks = new Banks(reserved, options.bankBytes);
    const functions = new FunctionTable(module, banks);
    const { commands = 0 } = options;
    const queue = new CommandRing(banks, functions, { control, ring, commands });
    const started = await Threads.start(
      { first: functions.first, control, ring, scratches },
      (reason) => queue.fail(reason),
    );
    functions.onMissing = (missing) => {
      started.append(missing);
      queue.hear();
    };
    queue.onClose = () => started.join();
    const { memoryBytes = freeMemory() } = options;
    const pool = options.pool?.(banks) ?? new Pool(banks, memoryBytes);
    return new Cpu({ name: engineName(module), threads }, { queue, pool });
  }

  /** Ends the engine as if a thread had died: whatever is run or read from now on throws. */
  lose(): void {
    this.#ring.fail("one of its threads died");
  }
}
