import { counts, type Kernel } from "./device/kernel.ts";
import { describe, elements, f32, lazyTensor } from "./device/tensor.ts";
import wgsl from "./gptq_ahead.wgsl" with { type: "text" };

/** Which columns are looked at. */
export interface GptqAheadOptions {
  /** First column of the block. */
  readonly first: number;
}

/** `MOST_COLUMNS` of `kernels/assembly/parts/panel_lines.ts`. */
const MOST_COLUMNS = 256;
/** `ROWS` of `kernels/assembly/parts/panel_lines.ts`. */
const CPU_ROWS = 32;

/**
 * What a block of columns has become when GPTQ reaches it, before any of it is rounded: its weights, and what
 * makes up for the errors of the blocks behind it.
 *
 * `weight`, `factor` and `feedback` are `weight`, `factor` and the `codes` that `gptqPanel` is given; `ahead`
 * f32 [rows, block] is weight + V_B^-1 feedback, V_B the block's own triangle of V, by substitution in f32.
 */
export const gptqAhead: Kernel<"weight" | "factor" | "feedback", "ahead", GptqAheadOptions> = {
  wgsl,
  inputs: ["weight", "factor", "feedback"],
  outputs: ["ahead"],
  plan({ weight, factor, feedback }, { first }, limits) {
    const [rows = 0, columns = 0] = weight.shape;
    const [held = 0] = factor.shape;
    if (weight.shape.length !== 2 || describe(feedback) !== describe(weight)) {
      throw new RangeError(
        `Cannot look ahead in ${describe(weight)} with feedback ${
          describe(feedback)
        }: expected both alike, [rows, columns]`,
      );
    }
    if (factor.shape[1] !== columns || held > MOST_COLUMNS || first < 0 || first + held > columns) {
      throw new RangeError(
        `Cannot look ahead at columns ${first} and on of ${columns} with factor ${
          describe(factor)
        }: expected [at most ${Math.min(MOST_COLUMNS, columns - first)}, ${columns}]`,
      );
    }
    const STRIDE = held + 1;
    const THREADS = [32, 16, 8].find((threads) => 4 * threads * STRIDE <= limits.groupBytes);
    if (THREADS === undefined) {
      throw new RangeError(
        `Cannot look ahead at ${held} columns at a time: they take ${
          32 * STRIDE
        } bytes of workgroup memory, expected at most ${limits.groupBytes}`,
      );
    }
    return {
      outputs: { ahead: { dtype: "f32", shape: [rows, held] } },
      constants: { THREADS, STRIDE },
      params: counts({ rows, columns, first, held }),
      grid: [Math.ceil(rows / THREADS), 1, 1],
    };
  },
  cpu({ weight: { shape: [rows = 0] } }, _, { params }) {
    return { program: "gptqAhead", tasks: Math.ceil(rows / CPU_ROWS), args: params };
  },
  reference({ weight, factor, feedback }, { first }) {
    const [rows = 0, columns = 0] = weight.shape;
    const [held = 0] = factor.shape;
    const ahead = new Float32Array(rows * held);
    const { fround } = Math;
    for (let row = 0; row < rows; row++) {
      const from = row * columns + first;
      const fed = new Float32Array(held);
      for (let c = held - 1; c >= 0; c--) {
        const line = c * columns + first;
        let left = feedback.data[from + c]!;
        for (let j = c + 1; j < held; j++) {
          left = fround(left - fround(fed[j]! * factor.data[line + j]!));
        }
        fed[c] = left / factor.data[line + c]!;
        ahead[row * held + c] = weight.data[from + c]! + fed[c]!;
      }
    }
    return { ahead: f32([rows, held], ahead) };
  },
  // Programs that compare and time nothing need none.
  get cases() {
    return [
      spec({ rows: 1, columns: 8, held: 8, first: 0 }),
      spec({ rows: 37, columns: 48, held: 16, first: 8 }),
      spec({ rows: 70, columns: 160, held: 128, first: 32 }),
      {
        ...spec({ rows: 576, columns: 576, held: 128, first: 256 }),
        cost: { bytes: 4 * 3 * 576 * 128, flops: 576 * 128 * 128 },
      },
    ];
  },
};

/** A sawtooth in [-1, 1], with the factor of correlations 0.5^|i - j|. */
function spec(
  { rows, columns, held, first }: Record<"rows" | "columns" | "held" | "first", number>,
) {
  const values = (shape: readonly number[], valueAt: (i: number) => number) =>
    lazyTensor(
      { dtype: "f32", shape },
      () => Float32Array.from({ length: elements(shape) }, (_, i) => valueAt(i)),
    );
  const sawtooth = (i: number) => Math.fround(((i * 7919) % 1999) / 999.5 - 1);
  return {
    inputs: {
      weight: values([rows, columns], sawtooth),
      factor: values([held, columns], (i) => {
        const [c, j] = [first + Math.floor(i / columns), i % columns];
        return (c === 0 ? 1 : Math.sqrt(0.75)) * 0.5 ** Math.abs(j - c);
      }),
      feedback: values([rows, columns], (i) => sawtooth(i + 17) / 8),
    },
    options: { first },
    tolerance: 1e-12,
  };
}
