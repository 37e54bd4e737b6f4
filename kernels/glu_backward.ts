import { counts, type Kernel } from "./device/kernel.ts";
import { describe, elements, f32 } from "./device/tensor.ts";
import wgsl from "./glu_backward.wgsl" with { type: "text" };

const THREADS = 64;
/** Quads of a task of the CPU engine: some microseconds. */
const TASK_QUADS = 1024;

/**
 * What a loss loses by gates and what they gate: of `x` f32 [tokens, 2 columns], both side by side as
 * `glu` takes them with SiLU, and `dy` f32 [tokens, columns], the gradient `dx` like `x`.
 *
 * With s = 1 / (1 + exp(-g)) the derivative of g s is s (1 + g (1 - s)).
 */
export const gluBackward: Kernel<"x" | "dy", "dx", Record<never, never>> = {
  wgsl,
  inputs: ["x", "dy"],
  outputs: ["dx"],
  plan({ x, dy }, _options, limits) {
    const [rows, width] = x.shape;
    const columns = dy.shape[1];
    if (
      rows === undefined || dy.shape[0] !== rows || columns === undefined || columns % 4 !== 0 ||
      width !== 2 * columns
    ) {
      throw new RangeError(
        `Cannot take gradients of gates ${describe(x)} by ${
          describe(dy)
        }: expected [tokens, 2 columns] and [tokens, columns], a multiple of 4`,
      );
    }
    const quads = rows * columns / 4;
    const groups = Math.ceil(quads / THREADS);
    const across = Math.min(groups, limits.gridAxis);
    return {
      outputs: { dx: { dtype: "f32", shape: x.shape } },
      constants: { THREADS },
      params: counts({ quads, row: columns / 4 }),
      grid: [across, Math.ceil(groups / across), 1],
    };
  },
  cpu({ dy }, _options, { params }) {
    const tasks = Math.ceil(elements(dy.shape) / 4 / TASK_QUADS);
    return {
      program: "gluBackward",
      tasks,
      args: { ...params, ...counts({ task_quads: TASK_QUADS }) },
    };
  },
  reference({ x, dy }) {
    const [, columns = 0] = dy.shape;
    const dx = new Float32Array(elements(x.shape));
    dy.data.forEach((own, i) => {
      const at = i + Math.floor(i / columns) * columns;
      const [gate, up] = [x.data[at]!, x.data[at + columns]!];
      const open = 1 / (1 + Math.exp(-gate));
      dx[at] = own * up * open * (1 + gate * (1 - open));
      dx[at + columns] = own * gate * open;
    });
    return { dx: f32(x.shape, dx) };
  },
  cases: [
    {
      // Gates at 0, near it, and far from it on both sides.
      inputs: {
        x: f32([2, 8], [0, 1, -1, 20, 3, 1, -1, 2, -20, -90, 90, 0.5, 1, 1, 1, -8]),
        dy: f32([2, 4], [1, 2, -1, 1, 3, 1, 1, 0.5]),
      },
      options: {},
    },
    { inputs: spec(3, 132), options: {} },
    {
      inputs: spec(512, 1536),
      options: {},
      cost: { bytes: 5 * 4 * 512 * 1536, flops: 9 * 512 * 1536 },
    },
  ],
};

function spec(rows: number, columns: number) {
  return {
    x: { dtype: "f32", shape: [rows, 2 * columns] },
    dy: { dtype: "f32", shape: [rows, columns] },
  } as const;
}
