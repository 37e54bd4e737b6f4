import type { TensorSpec } from "./device/device.ts";
import { counts, type Kernel } from "./device/kernel.ts";
import { describe, elements, f32 } from "./device/tensor.ts";
import { codeOf, type Codes, valueOf, ZERO_DOMAINS } from "./codes/quantizer.ts";
import quantizer from "./codes/quantizer.wgsl" with { type: "text" };
import quotient from "./parts/quotient.wgsl" with { type: "text" };
import rounding from "./codes/rounding.wgsl" with { type: "text" };
import { rowTasks } from "./parts/row_tasks.ts";
import wgsl from "./rounding_error.wgsl" with { type: "text" };

const THREADS = 64;

/**
 * What rounding to the nearest code does to `weight` f32 [rows, columns]: `error` f32 of the same
 * shape, for `scales` and `zeros` f32 [rows, groups] whose groups divide the columns evenly.
 */
export const roundingError: Kernel<
  "weight" | "scales" | "zeros",
  "error",
  Codes
> = {
  wgsl: `${quotient}\n${quantizer}\n${rounding}\n${wgsl}`,
  inputs: ["weight", "scales", "zeros"],
  outputs: ["error"],
  plan(inputs, { zero, low, high }, limits) {
    const { weight } = inputs;
    const group = groupOf(inputs);
    const quads = elements(weight.shape) / 4;
    const count = Math.ceil(quads / THREADS);
    const across = Math.min(count, limits.gridAxis);
    return {
      outputs: { error: { dtype: "f32", shape: weight.shape } },
      constants: { ZERO: ZERO_DOMAINS[zero], THREADS },
      params: {
        quads: { u32: quads },
        group_quads: { u32: group / 4 },
        low: { f32: low },
        high: { f32: high },
      },
      grid: [across, Math.ceil(count / across), 1],
    };
  },
  cpu(inputs, { zero }, { params }) {
    const { tasks, args } = rowTasks(elements(inputs.scales.shape), groupOf(inputs));
    const domain = counts({ domain: ZERO_DOMAINS[zero] });
    return { program: "roundingError", tasks, args: { ...params, ...domain, ...args } };
  },
  reference(inputs, codes) {
    const { weight, scales, zeros } = inputs;
    const group = groupOf(inputs);
    const error = Float32Array.from(weight.data, (value, i) => {
      const scale = scales.data[Math.floor(i / group)]!;
      const zero = zeros.data[Math.floor(i / group)]!;
      return valueOf(codeOf(value, scale, zero, codes), scale, zero, codes.zero) - value;
    });
    return { error: f32(weight.shape, error) };
  },
  cases: [
    {
      inputs: {
        weight: f32([2, 8], [0.5, 1.5, 2.5, -1, 3, 9, -9, 0, 1, 2, 3, 4, -0.5, -1.5, -2.5, 100]),
        scales: f32([2, 2], [1, 2, 0.5, 1]),
        zeros: f32([2, 2]),
      },
      options: { zero: "none", low: -7, high: 7 },
      tolerance: 0,
    },
    ...(["none", "pre_scale", "post_scale"] as const).map((zero) => ({
      inputs: {
        weight: { dtype: "f32", shape: [5, 72] },
        scales: f32([5, 3], Array.from({ length: 15 }, (_, i) => Math.f16round(0.1 + i / 40))),
        zeros: f32([5, 3], Array.from({ length: 15 }, (_, i) => i % 9)),
      },
      options: { zero, low: zero === "none" ? -7 : 0, high: zero === "none" ? 7 : 15 },
      tolerance: 0,
    } as const)),
  ],
};

function groupOf({ weight, scales, zeros }: Readonly<Record<string, TensorSpec>>): number {
  const group = elements(weight!.shape) / elements(scales!.shape);
  if (describe(scales!) === describe(zeros!) && group % 4 === 0) return group;
  throw new RangeError(
    `Cannot round ${describe(weight!)} with scales ${describe(scales!)} and zeros ${
      describe(zeros!)
    }: expected equal shapes and groups of a multiple of 4`,
  );
}
