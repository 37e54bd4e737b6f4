/// <reference lib="webworker" />
import type { Functions } from "./function_table.ts";
import { CONTROL_BYTES, FIRST_FUNCTION } from "./protocol.ts";
import { isStopped, stopWork } from "./stop.ts";
import type { ThreadStart } from "./threads.ts";

/** The commands of one engine. */
interface Work {
  readonly table: WebAssembly.Table;
  readonly counters: Int32Array;
  /** How often functions came that were not there at the start. */
  heard: number;
  /** Works at commands until told to stop, or until more functions were sent. */
  run(): void;
}

/** None before the start, and behind the end, where nothing keeps the engine's memory. */
let work: Work | undefined;

/** A thread of the CPU engine: starts, and later takes functions that it lacks. */
self.onmessage = ({ data }: MessageEvent<ThreadStart | Functions>) => {
  try {
    if ("control" in data) {
      start(data);
      self.postMessage({ ready: true });
    } else if (work) {
      append(data, work.table);
      work.heard++;
    } else return;
    work!.run();
    if (!isStopped(work!.counters)) return;
    work = undefined;
    self.postMessage({ ended: true });
  } catch (error) {
    // The others would wait for this thread, and the host may hear no message while it waits.
    stopWork(work!.counters);
    self.postMessage({ failed: error instanceof Error ? error.message : String(error) });
  }
};

function start({ first, control, ring, scratch }: ThreadStart): void {
  const table = new WebAssembly.Table({ element: "anyfunc", initial: FIRST_FUNCTION });
  const counters = new Int32Array(first.memories.memory!.buffer, control, CONTROL_BYTES / 4);
  const started: Work = work = { table, counters, heard: 0, run: () => {} };
  const loop = append(first, table).work as (...args: number[]) => void;
  started.run = () => loop(control, ring, scratch, started.heard);
}

function append({ module, memories, names }: Functions, table: WebAssembly.Table) {
  const { exports } = new WebAssembly.Instance(module, { env: { ...memories, table } });
  const place = table.grow(names.length);
  names.forEach((name, at) => table.set(place + at, exports[name] as () => void));
  return exports;
}
