import { counts, type Param } from "../device/kernel.ts";

/** Values that a task of the CPU engine works at: some microseconds. */
const TASK_VALUES = 8192;

/** Cuts rows into about equal tasks of the CPU engine; `values` is how many each row costs. */
export function rowTasks(
  rows: number,
  values: number,
): { readonly tasks: number; readonly args: Readonly<Record<"task_rows", Param>> } {
  const wanted = Math.ceil(rows * values / TASK_VALUES);
  const each = Math.max(1, Math.ceil(rows / Math.max(1, wanted)));
  return { tasks: Math.ceil(rows / each), args: counts({ task_rows: each }) };
}
