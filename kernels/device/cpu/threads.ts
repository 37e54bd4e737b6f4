import type { Functions } from "./function_table.ts";

/** What a thread is started with. */
export interface ThreadStart {
  /** Functions over the memory where all meet, and where threads work at commands. */
  readonly first: Functions;
  /** Addresses: where host and threads meet, the ring of commands, the thread's own memory. */
  readonly control: number;
  readonly ring: number;
  readonly scratch: number;
}

/** What a thread says. */
type Said =
  | { readonly ready: true }
  | { readonly ended: true }
  | { readonly failed: string };

/** Milliseconds that threads may take to end before they are ended. */
const PATIENCE = 2000;

/** How many engines a worker may serve: it collects their memories late. */
const MOST_ENGINES = 16;

interface Thread {
  readonly worker: Worker;
  /** Engines that it has served. */
  readonly engines: number;
}

/** Threads whose engines were closed; none where they end with them. */
let spare: Thread[] | undefined;

/**
 * Has threads of closed engines wait for the next ones of this process: for one that opens hundreds,
 * since a worker takes longer to start than a small model to run. The process has to be ended then.
 */
export function keepThreads(): void {
  spare ??= [];
}

/** Workers that run the kernels of one engine. */
export class Threads {
  readonly #workers = new Set<Worker>();
  readonly #ended: Promise<void>[] = [];

  private constructor() {}

  /** Starts a thread for each scratch memory; `onFailure` hears why one of them can not go on. */
  static async start(
    { scratches, ...start }:
      & Omit<ThreadStart, "scratch">
      & { readonly scratches: readonly number[] },
    onFailure: (reason: string) => void,
  ): Promise<Threads> {
    const all = new Threads();
    const ready = scratches.map((scratch) => all.#start({ ...start, scratch }, onFailure));
    try {
      await Promise.all(ready);
    } catch (error) {
      await all.join();
      throw error;
    }
    return all;
  }

  #start(start: ThreadStart, onFailure: (reason: string) => void): Promise<void> {
    const { worker, engines } = spare?.pop() ?? startThread();
    this.#workers.add(worker);
    const ready = Promise.withResolvers<void>();
    const ended = Promise.withResolvers<void>();
    this.#ended.push(ended.promise);
    const fail = (reason: string) => {
      onFailure(reason);
      ready.reject(new Error(`Cannot start a thread of the CPU engine: ${reason}`));
      ended.resolve();
    };
    worker.onmessage = ({ data }: MessageEvent<Said>) => {
      if ("failed" in data) fail(data.failed);
      else if ("ready" in data) ready.resolve();
      else {
        if (spare && engines + 1 < MOST_ENGINES && this.#workers.delete(worker)) {
          spare.push({ worker, engines: engines + 1 });
        }
        ended.resolve();
      }
    };
    worker.onerror = (event) => {
      event.preventDefault();
      fail(event.message);
    };
    worker.postMessage(start);
    return ready.promise;
  }

  /** Sends functions to all, which take them when they leave their work. */
  append(functions: Functions): void {
    for (const worker of this.#workers) worker.postMessage(functions);
  }

  /** Waits until all have ended, and ends those that hang. */
  async join(): Promise<void> {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const patience = new Promise<void>((resolve) => timer = setTimeout(resolve, PATIENCE));
    await Promise.race([Promise.all(this.#ended), patience]);
    clearTimeout(timer);
    for (const worker of this.#workers) worker.terminate();
  }
}

function startThread(): Thread {
  const worker = new Worker(new URL("./worker.ts", import.meta.url), { type: "module" });
  return { worker, engines: 0 };
}
