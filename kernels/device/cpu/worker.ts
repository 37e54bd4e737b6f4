/// <reference lib="webworker" />
import { CONTROL_BYTES } from "./protocol.ts";
import { stopWork } from "./stop.ts";
import type { ThreadStart } from "./threads.ts";

/** A thread of the CPU engine: works at commands until told to stop. */
self.onmessage = ({ data }: MessageEvent<ThreadStart>) => {
  const { module, memory, programs, control, ring, scratch } = data;
  try {
    const table = new WebAssembly.Table({ element: "anyfunc", initial: programs.length });
    const { exports } = new WebAssembly.Instance(module, { env: { memory, table } });
    programs.forEach((name, at) => table.set(at, exports[name] as () => void));
    const work = exports.work as (...args: number[]) => void;
    self.postMessage({ ready: true });
    work(control, ring, scratch);
    self.postMessage({ ended: true });
  } catch (error) {
    // The others would wait for this thread, and the host may hear no message while it waits.
    stopWork(new Int32Array(memory.buffer, control, CONTROL_BYTES / 4));
    self.postMessage({ failed: error instanceof Error ? error.message : String(error) });
  }
};
