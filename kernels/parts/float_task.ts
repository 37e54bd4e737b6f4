import { SCRATCH_BYTES } from "../device/cpu/protocol.ts";
import { counts } from "../device/kernel.ts";

/**
 * How the CPU engine cuts a product of floats into blocks, a task each. `widened` weights become floats
 * in the thread's own memory, which as many rows as possible should share.
 */
export function floatTask(
  { rows, inner, columns }: {
    readonly rows: number;
    readonly inner: number;
    readonly columns: number;
  },
  { widened }: { readonly widened: boolean },
) {
  const fitting = widened ? Math.floor(SCRATCH_BYTES / (4 * inner)) : Infinity;
  const taskColumns = Math.min(rows <= 2 ? 64 : 32, fitting);
  if (taskColumns < 1) {
    throw new RangeError(
      `Cannot multiply ${inner} inner values on the CPU: expected at most ${SCRATCH_BYTES / 4}`,
    );
  }
  const taskRows = widened ? 192 : 48;
  return {
    tasks: Math.ceil(rows / taskRows) * Math.ceil(columns / taskColumns),
    args: counts({ task_rows: taskRows, task_columns: taskColumns }),
  };
}
