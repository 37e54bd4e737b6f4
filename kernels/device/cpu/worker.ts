/// <reference lib="webworker" />
import type { Functions } from "./function_table.ts";
import { CONTROL_BYTES, FIRST_FUNCTION } from "./protocol.ts";
import { isStopped, stopWork } from "./stop.ts";
import type { ThreadStart } from "./threads.ts";

const table = new WebAssembly.Table({ element: "anyfunc", initial: FIRST_FUNCTION });
let counters: Int32Array;
/** How often functions came that were not there at the start. */
let heard = 0;
/** Works at commands until told to stop, or until more functions were sent. */
let work: () => void;

/** A thread of the CPU engine: starts, and later takes functions that it lacks. */
self.onmessage = ({ data }: MessageEvent<ThreadStart | Functions>) => {
  try {
    if ("control" in data) {
      start(data);
      self.postMessage({ ready: true });
    } else {
      append(data);
      heard++;
    }
    work();
    if (isStopped(counters)) self.postMessage({ ended: true });
  } catch (error) {
    // The others would wait for this thread, and the host may hear no message while it waits.
    stopWork(counters);
    self.postMessage({ failed: error instanceof Error ? error.message : String(error) });
  }
};

function start({ first, control, ring, scratch }: ThreadStart): void {
  counters = new Int32Array(first.memories.memory!.buffer, control, CONTROL_BYTES / 4);
  const loop = append(first).work as (...args: number[]) => void;
  work = () => loop(control, ring, scratch, heard);
}

function append({ module, memories, names }: Functions): WebAssembly.Exports {
  const { exports } = new WebAssembly.Instance(module, { env: { ...memories, table } });
  const place = table.grow(names.length);
  names.forEach((name, at) => table.set(place + at, exports[name] as () => void));
  return exports;
}
