/// <reference lib="webworker" />
import type { Functions } from "./function_table.ts";
import { COMPLETED, CONTROL_BYTES, LEAVE } from "./protocol.ts";
import { isStopped, stopWork } from "./stop.ts";
import type { ThreadStart } from "./threads.ts";

const table = new WebAssembly.Table({ element: "anyfunc", initial: LEAVE + 1 });
let counters: Int32Array;
/** Works at commands until the host has more functions, or told to stop. */
let work: () => void;

/** A thread of the CPU engine: starts, and later takes functions that it lacks. */
self.onmessage = ({ data }: MessageEvent<ThreadStart | Functions>) => {
  try {
    if ("control" in data) {
      start(data);
      self.postMessage({ ready: true });
    } else append(data);
    work();
    if (isStopped(counters)) self.postMessage({ ended: true });
  } catch (error) {
    // The others would wait for this thread, and the host may hear no message while it waits.
    stopWork(counters);
    self.postMessage({ failed: error instanceof Error ? error.message : String(error) });
  }
};

function start({ first, control, ring, threads, scratch }: ThreadStart): void {
  counters = new Int32Array(first.memories.memory!.buffer, control, CONTROL_BYTES / 4);
  const loop = append(first).work as (...args: number[]) => number;
  // Nothing is completed as long as a thread has not begun.
  let turn = Atomics.load(counters, COMPLETED / 4);
  work = () => turn = loop(control, ring, threads, scratch, turn);
}

function append({ module, memories, names }: Functions): WebAssembly.Exports {
  const { exports } = new WebAssembly.Instance(module, { env: { ...memories, table } });
  const place = table.grow(names.length);
  names.forEach((name, at) => table.set(place + at, exports[name] as () => void));
  return exports;
}
