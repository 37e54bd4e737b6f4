import type { Kernel } from "./device/kernel.ts";
import { describe, elements, f32 } from "./device/tensor.ts";
import { rowTasks } from "./parts/row_tasks.ts";
import wgsl from "./group_dot.wgsl" with { type: "text" };

/** How many columns are summed together. */
export interface GroupDotOptions {
  /** A divisor of the columns and a multiple of 4. */
  readonly group: number;
}

const THREADS = 8;

/**
 * Inner products of the groups of two matrices f32 [rows, columns]: `y` f32 [rows, columns / group].
 * With b = a G it is the quadratic form that a Gram matrix makes of an error.
 */
export const groupDot: Kernel<"a" | "b", "y", GroupDotOptions> = {
  wgsl,
  inputs: ["a", "b"],
  outputs: ["y"],
  plan({ a, b }, { group }, limits) {
    const [rows = 0, columns = 0] = a.shape;
    if (describe(a) !== describe(b) || columns % group !== 0 || group % 4 !== 0) {
      throw new RangeError(
        `Cannot multiply groups of ${group} of ${describe(a)} and ${
          describe(b)
        }: expected equal shapes and a multiple of 4 that divides their columns`,
      );
    }
    const groups = rows * columns / group;
    const count = Math.ceil(groups / THREADS);
    const across = Math.min(count, limits.gridAxis);
    return {
      outputs: { y: { dtype: "f32", shape: [rows, columns / group] } },
      constants: { THREADS },
      params: { groups: { u32: groups }, group_quads: { u32: group / 4 } },
      grid: [across, Math.ceil(count / across), 1],
    };
  },
  cpu({ a }, { group }, { params }) {
    const { tasks, args } = rowTasks(elements(a.shape) / group, group);
    return { program: "groupDot", tasks, args: { ...params, ...args } };
  },
  reference({ a, b }, { group }) {
    const [rows = 0, columns = 0] = a.shape;
    const y = new Float32Array(elements(a.shape) / group);
    for (let at = 0; at < y.length; at++) {
      let sum = 0;
      for (let i = at * group; i < (at + 1) * group; i++) sum += a.data[i]! * b.data[i]!;
      y[at] = sum;
    }
    return { y: f32([rows, columns / group], y) };
  },
  cases: [
    {
      inputs: { a: f32([1, 4], [1, 2, 3, 4]), b: f32([1, 4], [1, -1, 0.5, 2]) },
      options: { group: 4 },
    },
    { inputs: pair(7, 72), options: { group: 24 } },
    { inputs: pair(33, 576), options: { group: 576 } },
  ],
};

function pair(rows: number, columns: number) {
  const spec = { dtype: "f32", shape: [rows, columns] } as const;
  return { a: spec, b: spec };
}
