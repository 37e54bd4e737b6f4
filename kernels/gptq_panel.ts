import { counts, type Kernel } from "./device/kernel.ts";
import { describe, elements, f32, lazyTensor, u32 } from "./device/tensor.ts";
import { clamp, codeOf, type Codes, valueOf, ZERO_DOMAINS } from "./codes/quantizer.ts";
import quantizer from "./codes/quantizer.wgsl" with { type: "text" };
import quotient from "./parts/quotient.wgsl" with { type: "text" };
import wgsl from "./gptq_panel.wgsl" with { type: "text" };

/** Which columns are rounded and onto what. */
export interface GptqPanelOptions extends Codes {
  /** First column of the block. */
  readonly first: number;
  /** Weights are clamped to plus and minus this before they are rounded; not unless said. */
  readonly bound?: number;
}

type In = "weight" | "factor" | "scales" | "group" | "delta" | "codes" | "zeros";

/** `MOST_COLUMNS` of `kernels/assembly/parts/panel_lines.ts`. */
const MOST_COLUMNS = 256;
const NO_BOUND = 3e38;
/** `ROWS` of `kernels/assembly/parts/panel_lines.ts`. */
const CPU_ROWS = 32;

/**
 * Rounds a block of columns with GPTQ's error feedback, from its last column to its first.
 *
 * `weight` f32 [rows, columns] in the order of the Gram matrix behind `factor`, f32 [block, columns]:
 * rows `first` and on of V, upper triangular with V^T V the damped Gram matrix. `scales` and `zeros`
 * f32 [rows, groups]; `group` u32 [columns] names the group of each column. `codes` f32 [rows,
 * columns] comes with the sum over later blocks of `delta` V^T in the block's columns and leaves with
 * the codes there; `delta` f32 [rows, columns] leaves with weight minus what its code stands for.
 *
 * Arithmetic is f32, rounding half to even.
 */
export const gptqPanel: Kernel<In, never, GptqPanelOptions, "delta" | "codes", "zeros"> = {
  wgsl: `${quotient}\n${quantizer}\n${wgsl}`,
  inputs: ["weight", "factor", "scales", "group", "delta", "codes", "zeros"],
  outputs: [],
  mutates: ["delta", "codes"],
  optional: ["zeros"],
  plan({ weight, factor, scales, group, delta, codes, zeros }, options, limits) {
    const [rows = 0, columns = 0] = weight.shape;
    const [held = 0] = factor.shape;
    const [, groups = 0] = scales.shape;
    const { first, zero, low, high, bound = NO_BOUND } = options;
    if (
      weight.shape.length !== 2 || describe(delta) !== describe(weight) ||
      describe(codes) !== describe(weight) || group.shape[0] !== columns
    ) {
      throw new RangeError(
        `Cannot round ${describe(weight)} with delta ${describe(delta)}, codes ${
          describe(codes)
        } and group ${
          describe(group)
        }: expected the first three alike, [rows, columns], and u32[columns]`,
      );
    }
    if (
      scales.shape[0] !== rows || (zero !== "none" && zeros?.shape.join() !== `${rows},${groups}`)
    ) {
      throw new RangeError(
        `Cannot round ${describe(weight)} with scales ${describe(scales)} and ${
          zeros ? `zeros ${describe(zeros)}` : "no zeros"
        }: expected [${rows}, groups] each, zeros wherever the zero domain is not none`,
      );
    }
    if (factor.shape[1] !== columns || held > MOST_COLUMNS || first < 0 || first + held > columns) {
      throw new RangeError(
        `Cannot round columns ${first} and on of ${columns} with factor ${
          describe(factor)
        }: expected [at most ${Math.min(MOST_COLUMNS, columns - first)}, ${columns}]`,
      );
    }
    const STRIDE = held + 1;
    const THREADS = [32, 16, 8].find((threads) => 4 * threads * STRIDE <= limits.groupBytes);
    if (THREADS === undefined) {
      throw new RangeError(
        `Cannot round ${held} columns at a time: they take ${
          32 * STRIDE
        } bytes of workgroup memory, expected at most ${limits.groupBytes}`,
      );
    }
    return {
      outputs: {},
      constants: { THREADS, STRIDE, ZERO: ZERO_DOMAINS[zero] },
      params: {
        ...counts({ rows, columns, groups, first, held }),
        low: { f32: low },
        high: { f32: high },
        bound: { f32: bound },
      },
      grid: [Math.ceil(rows / THREADS), 1, 1],
    };
  },
  cpu({ weight: { shape: [rows = 0] } }, { zero }, { params }) {
    return {
      program: "gptqPanel",
      tasks: Math.ceil(rows / CPU_ROWS),
      args: { ...params, zero: { u32: ZERO_DOMAINS[zero] } },
    };
  },
  reference({ weight, factor, scales, group, delta, codes, zeros }, options) {
    const [rows = 0, columns = 0] = weight.shape;
    const [held = 0] = factor.shape;
    const [, groups = 0] = scales.shape;
    const { first, zero, bound = NO_BOUND } = options;
    const left = Float32Array.from(delta.data);
    const made = Float32Array.from(codes.data);
    for (let row = 0; row < rows; row++) {
      for (let c = held - 1; c >= 0; c--) {
        const at = row * columns + first + c;
        const line = c * columns + first;
        let feedback = made[at]!;
        for (let j = c + 1; j < held; j++) {
          const product = Math.fround(left[row * columns + first + j]! * factor.data[line + j]!);
          feedback = Math.fround(feedback + product);
        }
        const fed = Math.fround(feedback / factor.data[line + c]!);
        const current = clamp(Math.fround(weight.data[at]! + fed), -bound, bound);
        const place = row * groups + group.data[first + c]!;
        const s = scales.data[place]!;
        const z = zero === "none" ? 0 : zeros!.data[place]!;
        const code = codeOf(current, s, z, options);
        made[at] = code;
        left[at] = weight.data[at]! - valueOf(code, s, z, zero);
      }
    }
    return { delta: { ...delta, data: left }, codes: { ...codes, data: made } };
  },
  // Programs that compare and time nothing need none.
  get cases() {
    return [
      spec({ rows: 1, columns: 8, held: 8, first: 0, groups: 2, zero: "post_scale" }),
      spec({ rows: 37, columns: 48, held: 16, first: 8, groups: 3, zero: "pre_scale" }),
      spec({ rows: 70, columns: 160, held: 128, first: 32, groups: 1, zero: "none", bound: 0.5 }),
      {
        ...spec({ rows: 576, columns: 576, held: 128, first: 256, groups: 9, zero: "post_scale" }),
        cost: { bytes: 4 * 3 * 576 * 128, flops: 576 * 128 * 128 },
      },
    ];
  },
};

/** Weights of a sawtooth in [-1, 1] on 4-bit codes, with the factor of correlations 0.5^|i - j|. */
function spec(
  { rows, columns, held, first, groups, zero, bound }: {
    rows: number;
    columns: number;
    held: number;
    first: number;
    groups: number;
    zero: GptqPanelOptions["zero"];
    bound?: number;
  },
) {
  const shape = [rows, columns];
  const [low, high] = zero === "none" ? [-7, 7] : [0, 15];
  const values = (shape: readonly number[], valueAt: (i: number) => number) =>
    lazyTensor(
      { dtype: "f32", shape },
      () => Float32Array.from({ length: elements(shape) }, (_, i) => valueAt(i)),
    );
  const sawtooth = (i: number) => Math.fround(((i * 7919) % 1999) / 999.5 - 1);
  const scale = (i: number) => 0.125 + (i % 5) / 64;
  const group = Uint32Array.from({ length: columns }, (_, j) => (j * 5) % groups);
  return {
    inputs: {
      weight: values(shape, sawtooth),
      factor: values([held, columns], (i) => {
        const [c, j] = [first + Math.floor(i / columns), i % columns];
        return (c === 0 ? 1 : Math.sqrt(0.75)) * 0.5 ** Math.abs(j - c);
      }),
      scales: values([rows, groups], scale),
      group: u32([columns], group),
      delta: f32(shape),
      codes: values(shape, (i) => sawtooth(i) / 8),
      ...(zero === "none" ? {} : {
        zeros: values([rows, groups], (i) => zero === "pre_scale" ? 8 : 8 * scale(i)),
      }),
    },
    options: { first, zero, low, high, ...(bound === undefined ? {} : { bound }) },
    // A GPU may fuse or divide less exactly, and one code in ten thousand may then be its neighbour.
    tolerance: 1e-4,
  };
}
