import type { HostTensor } from "./device/device.ts";
import { counts, type Kernel, type KernelCase } from "./device/kernel.ts";
import { describe, u32 } from "./device/tensor.ts";
import { unpackCodes } from "./codes/integer_codes.ts";
import { floatTask } from "./parts/float_task.ts";
import { expertCases, firstRow } from "./parts/expert_cases.ts";
import { type MatmulOptions, usedColumns } from "./parts/output_sizes.ts";
import {
  checkedGroup,
  productLaunch,
  productShaders,
  productSizes,
} from "./parts/packed_product.ts";
import { valueOf, ZERO_DOMAINS, type ZeroDomain } from "./codes/quantizer.ts";
import tiles from "./matmul_codes.wgsl" with { type: "text" };
import part from "./parts/matmul_codes.wgsl" with { type: "text" };
import quantizer from "./codes/quantizer.wgsl" with { type: "text" };

/** What the weight's codes mean, and which rows are used. */
export interface MatmulCodesOptions extends MatmulOptions {
  /** Bits of a code. */
  readonly bits: 4 | 8;
  /** Columns that share a scale and a zero point. */
  readonly group: number;
  /** Codes are signed without zero points, else unsigned. */
  readonly zero: ZeroDomain;
}

type Input = "x" | "weight" | "groups" | "y" | "bias" | "bounds";
type Optional = "bias" | "bounds";

/**
 * A linear layer on packed weights: `x` f32 [tokens, inner] times `weight` u32 [outputs, inner *
 * bits / 32] transposed, written into columns of `y` f32 [tokens, all outputs]; sums in f32.
 *
 * Column 8w + j of a row lies in bits 4j of word w, or 4w + j in byte j. `groups` u32 [outputs,
 * inner / group] holds the scale of each group in the low half as f16, and the zero in the high one.
 * The bits of a row of `y` do not depend on how many rows there are. Experts are as in `matmul`.
 */
export const matmulCodes: Kernel<Input, never, MatmulCodesOptions, "y", Optional> = {
  wgsl: productShaders({ part: `${quantizer}\n${part}`, tiles }),
  inputs: ["x", "weight", "groups", "y", "bias", "bounds"],
  outputs: [],
  mutates: ["y"],
  optional: ["bias", "bounds"],
  plan({ x, weight, groups, y, bias, bounds }, options, limits) {
    const { bits, zero, experts } = options;
    const sizes = productSizes({ x, weight, y, bias, bounds }, options, {
      xPerWord: 1,
      perWord: 32 / bits,
    });
    const { inner } = sizes;
    const group = checkedGroup(options.group, inner);
    const [held] = weight.shape;
    if (groups.shape[0] !== held || groups.shape[1] !== inner / group) {
      throw new RangeError(
        `Cannot scale by groups ${describe(groups)}: expected u32[${held}, ${inner / group}]`,
      );
    }
    const constants = {
      NIBBLES: bits === 4,
      ZERO: ZERO_DOMAINS[zero],
      GROUP: group === inner ? 0 : group,
      BIAS: bias !== undefined,
    };
    return productLaunch(sizes, { group, experts }, constants, limits);
  },
  cpu(inputs, options, { params }) {
    const { x: { shape: [rows = 0, inner = 0] }, weight: { shape: [held = 0] } } = inputs;
    const { bits, zero, experts } = options;
    const columns = usedColumns(held, options);
    const panels = (experts?.most ?? rows) > 1;
    const columnBytes = inner * bits / 8;
    const { tasks, args } = floatTask({ rows, columns, columnBytes }, { panels, experts });
    const codes = counts({ nibbles: Number(bits === 4), zero: ZERO_DOMAINS[zero] });
    return { program: "matmulCodes", tasks, args: { ...params, ...codes, ...args } };
  },
  reference(inputs, options) {
    const { x, y, bias, bounds } = inputs;
    const { column = 0 } = options;
    const [tokens = 0, inner = 0] = x.shape;
    const columns = usedColumns(inputs.weight.shape[0]!, options);
    const stride = y.shape[1]!;
    const weights = dequantized(inputs, options);
    const data = Float32Array.from(y.data);
    for (let m = 0; m < tokens; m++) {
      const row = firstRow({ row: m, columns, bounds }, options);
      if (row === undefined) continue;
      const values = Float64Array.from(x.data.subarray(m * inner, (m + 1) * inner));
      for (let n = 0; n < columns; n++) {
        const sum = dot(values, weights.subarray((row + n) * inner, (row + n + 1) * inner));
        data[m * stride + column + n] = sum + (bias?.data[column + n] ?? 0);
      }
    }
    return { y: { ...y, data } };
  },
  get cases(): typeof matmulCodes.cases {
    return [
      shaped({ tokens: 1, inner: 8, outputs: 1 }, { bits: 8, group: 8, zero: "none" }),
      shaped({ tokens: 1, inner: 8, outputs: 1 }, { bits: 4, group: 8, zero: "none" }),
      shaped({ tokens: 3, inner: 24, outputs: 5 }, { bits: 4, group: 8, zero: "post_scale" }),
      ...([4, 8] as const).flatMap((bits) =>
        (["none", "pre_scale", "post_scale"] as const).map((zero) =>
          shaped({ tokens: 1, inner: 72, outputs: 70, bias: true }, { bits, group: 24, zero })
        )
      ),
      shaped(
        { tokens: 1, inner: 576, outputs: 300, stride: 280, bias: true },
        { bits: 8, group: 576, zero: "none", row: 7, rows: 271, column: 3 },
      ),
      shaped({ tokens: 2, inner: 48, outputs: 65 }, { bits: 4, group: 24, zero: "pre_scale" }),
      shaped({ tokens: 9, inner: 48, outputs: 65 }, { bits: 4, group: 24, zero: "pre_scale" }),
      shaped({ tokens: 9, inner: 72, outputs: 65 }, { bits: 8, group: 72, zero: "pre_scale" }),
      shaped(
        { tokens: 33, inner: 576, outputs: 70, bias: true },
        { bits: 8, group: 64, zero: "post_scale" },
      ),
      shaped(
        { tokens: 70, inner: 576, outputs: 130 },
        { bits: 4, group: 576, zero: "none" },
      ),
      shaped(
        { tokens: 5, inner: 64, outputs: 32, stride: 96 },
        { bits: 8, group: 16, zero: "none", column: 40 },
      ),
      shaped(
        { tokens: 5, inner: 64, outputs: 32, stride: 96, bias: true },
        { bits: 4, group: 32, zero: "pre_scale", row: 7, rows: 20, column: 3 },
      ),
      shaped(
        { tokens: 40, inner: 64, outputs: 32, stride: 96, bias: true },
        { bits: 4, group: 32, zero: "post_scale", row: 7, rows: 20, column: 3 },
      ),
      // Groups of a third of what quantizers usually take, and such that begin in what others hold of a row.
      ...([[96, 6, "post_scale"], [32, 13, "pre_scale"], [320, 3, "none"]] as const).flatMap(
        ([group, groups, zero]) =>
          [1, 6].map((tokens) =>
            shaped({ tokens, inner: groups * group, outputs: 23 }, { bits: 4, group, zero })
          ),
      ),
      // More scales than a thread has room for at once, and long sums.
      {
        ...shaped({ tokens: 1, inner: 33024, outputs: 64 }, {
          bits: 4,
          group: 8,
          zero: "post_scale",
        }),
        tolerance: 1e-11,
      },
      ...expertCases.flatMap(({ bounds, experts, rows }) =>
        ([4, 8] as const).map((bits) => {
          const sizes = { tokens: rows, inner: 48, outputs: experts.count * 37, stride: 40 };
          const one = shaped(sizes, { bits, group: 24, zero: "pre_scale", column: 2, experts });
          return { ...one, inputs: { ...one.inputs, bounds } };
        })
      ),
      ...[1, 16, 64].map((tokens) =>
        timed(tokens, 1536, { bits: 4, group: 128, zero: "post_scale" })
      ),
      { ...timed(512, 1536, { bits: 4, group: 128, zero: "post_scale" }), timedOnly: true },
      timed(16, 1536, { bits: 8, group: 1536, zero: "none" }),
      shaped({ tokens: 3, inner: 4104, outputs: 13 }, { bits: 4, group: 216, zero: "post_scale" }),
      shaped({ tokens: 1, inner: 11_008, outputs: 9 }, { bits: 4, group: 128, zero: "post_scale" }),
    ];
  },
};

function shaped(
  { tokens, inner, outputs, stride = outputs, bias = false }: {
    readonly tokens: number;
    readonly inner: number;
    readonly outputs: number;
    readonly stride?: number;
    readonly bias?: boolean;
  },
  options: MatmulCodesOptions,
): KernelCase<Input, MatmulCodesOptions, Optional> {
  const { bits, group } = options;
  return {
    inputs: {
      x: { dtype: "f32", shape: [tokens, inner] },
      weight: { dtype: "u32", shape: [outputs, inner * bits / 32] },
      groups: anyGroups(outputs, inner / group, options),
      y: { dtype: "f32", shape: [tokens, stride] },
      ...(bias ? { bias: { dtype: "f32", shape: [stride] } } : {}),
    },
    options,
    tolerance: 1e-12,
  };
}

function timed(tokens: number, inner: number, options: MatmulCodesOptions) {
  const weights = inner ** 2 * (options.bits / 8 + 4 / options.group);
  return {
    ...shaped({ tokens, inner, outputs: inner }, options),
    cost: { bytes: 8 * tokens * inner + weights, flops: 2 * tokens * inner ** 2 },
  };
}

/** Scales from 1/64 to 2/64, and zero points in the middle of the codes, more or less. */
function anyGroups(rows: number, count: number, { bits, zero }: MatmulCodesOptions): HostTensor {
  const middle = 2 ** (bits - 1);
  const halves = new Float16Array(2 * rows * count);
  for (let i = 0; i < rows * count; i++) {
    const part = (Math.imul(i, 0x9e3779b1) >>> 24) / 256;
    const scale = (1 + part) / 64;
    const zeroPoint = middle + Math.imul(i, 0x85ebca6b) % (middle / 2);
    halves[2 * i] = scale;
    halves[2 * i + 1] = zero === "post_scale" ? zeroPoint * scale : zeroPoint;
  }
  return u32([rows, count], new Uint32Array(halves.buffer));
}

/** The weights that codes, scales and zeros stand for, row by row. */
function dequantized(
  { weight, groups }: { readonly weight: HostTensor; readonly groups: HostTensor },
  { bits, group, zero }: MatmulCodesOptions,
): Float64Array {
  const halves = new Float16Array(new Uint32Array(groups.data).buffer);
  const codes = unpackCodes(new Uint32Array(weight.data), { bits, signed: zero === "none" });
  return new Float64Array(codes).map((code, i) => {
    const at = 2 * Math.floor(i / group);
    return valueOf(code, halves[at]!, halves[at + 1]!, zero);
  });
}

function dot(a: Float64Array, b: Float64Array): number {
  let [even, odd] = [0, 0];
  for (let k = 0; k < a.length; k += 2) {
    even += a[k]! * b[k]!;
    odd += a[k + 1]! * b[k + 1]!;
  }
  return even + odd;
}
