import type { Kernel } from "./device/kernel.ts";
import { describe, elements, f32 } from "./device/tensor.ts";
import wgsl from "./silu_mul.wgsl" with { type: "text" };

const THREADS = 64;

/** The gate of a gated MLP: silu(`gate`) times `up`, both f32 of one shape. */
export const siluMul: Kernel<"gate" | "up", "y", Record<never, never>> = {
  wgsl,
  inputs: ["gate", "up"],
  outputs: ["y"],
  plan({ gate, up }, _options, limits) {
    const count = elements(gate.shape);
    if (describe(gate) !== describe(up) || count % 4 !== 0) {
      throw new RangeError(
        `Cannot gate ${describe(up)} by ${
          describe(gate)
        }: expected equal shapes with a multiple of 4 elements`,
      );
    }
    const groups = Math.ceil(count / 4 / THREADS);
    const across = Math.min(groups, limits.gridAxis);
    return {
      outputs: { y: { dtype: "f32", shape: gate.shape } },
      constants: { THREADS },
      params: { quads: { u32: count / 4 } },
      grid: [across, Math.ceil(groups / across), 1],
    };
  },
  reference({ gate, up }) {
    const silu = Float32Array.from(gate.data, (g, i) => g / (1 + Math.exp(-g)) * up.data[i]!);
    return { y: f32(gate.shape, silu) };
  },
  cases: [
    {
      inputs: {
        gate: f32([2, 4], [0, 1, -1, 20, -20, -90, 90, 0.5]),
        up: f32([2, 4], [3, 1, -1, 2, 1, 1, 1, -8]),
      },
      options: {},
    },
    { inputs: spec(3, 132), options: {} },
    {
      inputs: spec(512, 1536),
      options: {},
      cost: { bytes: 3 * 4 * 512 * 1536, flops: 4 * 512 * 1536 },
    },
  ],
};

function spec(rows: number, columns: number) {
  return {
    gate: { dtype: "f32", shape: [rows, columns] },
    up: { dtype: "f32", shape: [rows, columns] },
  } as const;
}
