import { counts, type Kernel } from "./device/kernel.ts";
import { elements, f32 } from "./device/tensor.ts";
import part from "./parts/soft_cap.wgsl" with { type: "text" };
import wgsl from "./soft_cap.wgsl" with { type: "text" };

const THREADS = 64;
/** Values of a task of the CPU engine. */
const TASK_VALUES = 4096;

/** Keeps values between -`cap` and `cap`, in place: cap * tanh(x / cap), `x` f32 of any shape. */
export const softCap: Kernel<"x", never, { readonly cap: number }, "x"> = {
  wgsl: `${part}\n${wgsl}`,
  inputs: ["x"],
  outputs: [],
  mutates: ["x"],
  plan({ x }, { cap }, limits) {
    if (!(cap > 0 && cap < Infinity)) {
      throw new RangeError(`Cannot cap values by ${cap}: expected a positive number`);
    }
    const count = elements(x.shape);
    const groups = Math.ceil(count / THREADS);
    const across = Math.min(groups, limits.gridAxis);
    return {
      outputs: {},
      constants: { CAPPED: true, THREADS },
      params: { count: { u32: count }, cap: { f32: cap } },
      grid: [across, Math.ceil(groups / across), 1],
    };
  },
  cpu({ x }, _options, { params }) {
    return {
      program: "softCap",
      tasks: Math.ceil(elements(x.shape) / TASK_VALUES),
      args: { ...params, ...counts({ task_values: TASK_VALUES }) },
    };
  },
  reference({ x }, { cap }) {
    return { x: f32(x.shape, Float32Array.from(x.data, (value) => softCapped(value, cap))) };
  },
  cases: [
    {
      inputs: {
        x: f32([3, 5], [
          0,
          1e-6,
          -1e-6,
          0.3,
          -0.3,
          1,
          -1,
          3,
          18.7,
          18.8,
          -30,
          60,
          1e3,
          -1e30,
          1e30,
        ]),
      },
      options: { cap: 30 },
      tolerance: 1e-13,
    },
    { inputs: { x: { dtype: "f32", shape: [7, 1031] } }, options: { cap: 0.5 } },
    {
      inputs: { x: { dtype: "f32", shape: [64, 16384] } },
      options: { cap: 30 },
      cost: { bytes: 2 * 4 * 64 * 16384, flops: 20 * 64 * 16384 },
    },
  ],
};

/** cap * tanh(x / cap). */
export function softCapped(x: number, cap: number): number {
  return cap * Math.tanh(x / cap);
}
