import { COMPLETED, PUBLISHED, REACHED, STOP } from "./protocol.ts";

/** Ends the work: threads return as soon as they are at no task, and the host waits no more. */
export function stopWork(control: Int32Array): void {
  Atomics.store(control, STOP / 4, 1);
  for (const at of [PUBLISHED, COMPLETED, REACHED]) {
    // Who is about to sleep on a counter sees that it is another.
    Atomics.add(control, at / 4, 1);
    Atomics.notify(control, at / 4);
  }
}

/** Whether the work was ended. */
export function isStopped(control: Int32Array): boolean {
  return Atomics.load(control, STOP / 4) !== 0;
}
