/** Bytes that a thread reads on end at most: longer ones gain nothing. */
const MOST = 2 ** 19;
const LEAST = 2 ** 14;
/** Tasks, if there is as much to read, that keep as many threads busy to the end. */
const TASKS = 32;

/**
 * Bytes of a weight that a task reads on the CPU engine where reading is the work: long runs, for what
 * reads ahead is the processor, and it has to notice.
 */
export function taskBytes(weight: number): number {
  return Math.min(MOST, Math.max(LEAST, weight / TASKS));
}
