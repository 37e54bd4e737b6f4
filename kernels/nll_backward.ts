import { counts, type Kernel } from "./device/kernel.ts";
import { describe, f32, u32 } from "./device/tensor.ts";
import wgsl from "./nll_backward.wgsl" with { type: "text" };

const THREADS = 256;

/** Where the columns lie in the vocabulary, and what gradients are multiplied by. */
export interface NllBackwardOptions {
  readonly column: number;
  readonly factor: number;
}

/**
 * What a cross-entropy loses by some columns of its logits: of `logits` f32 [tokens, columns], `targets`
 * u32 [tokens] and the `state` f32 [tokens, 3] that `nll` left of all columns, the gradient `dy` f32
 * [tokens, columns up to a multiple of 8], `factor` times softmax less 1 at the target; 0 behind the
 * last column, so that it is an input of `matmul`.
 */
export const nllBackward: Kernel<"logits" | "targets" | "state", "dy", NllBackwardOptions> = {
  wgsl,
  inputs: ["logits", "targets", "state"],
  outputs: ["dy"],
  plan({ logits, targets, state }, { column, factor }) {
    const [rows, columns] = logits.shape;
    if (rows === undefined || columns === undefined || logits.shape.length !== 2) {
      throw new RangeError(
        `Cannot take gradients of ${describe(logits)}: expected [tokens, columns]`,
      );
    }
    if (targets.shape[0] !== rows || state.shape[0] !== rows || state.shape[1] !== 3) {
      throw new RangeError(
        `Cannot take gradients of ${describe(logits)}: targets are ${describe(targets)} and state ${
          describe(state)
        }, expected u32[${rows}] and f32[${rows}, 3]`,
      );
    }
    const width = 8 * Math.ceil(columns / 8);
    return {
      outputs: { dy: { dtype: "f32", shape: [rows, width] } },
      constants: { THREADS },
      params: { ...counts({ columns, column, width }), factor: { f32: factor } },
      grid: [rows, Math.ceil(width / THREADS), 1],
    };
  },
  cpu({ logits }, _options, { params }) {
    return { program: "nllBackward", tasks: logits.shape[0]!, args: params };
  },
  reference({ logits, targets, state }, { column, factor }) {
    const [rows = 0, columns = 0] = logits.shape;
    const width = 8 * Math.ceil(columns / 8);
    const dy = new Float32Array(rows * width);
    logits.data.forEach((logit, i) => {
      const [row, c] = [Math.floor(i / columns), i % columns];
      const weight = Math.exp(logit - state.data[3 * row]!) / state.data[3 * row + 1]!;
      const hit = targets.data[row] === column + c ? 1 : 0;
      dy[row * width + c] = factor * (weight - hit);
    });
    return { dy: f32([rows, width], dy) };
  },
  cases: [
    {
      inputs: {
        logits: f32([2, 4], [1, 2, 3, 4, -50, -60, -70, -80]),
        targets: u32([2], [300, 2]),
        state: f32([2, 3], [4, 2, 1, -50, 1.5, 6]),
      },
      options: { column: 298, factor: 1 },
    },
    { inputs: spec(3, 257, 4), options: { column: 4, factor: 0.25 } },
    { inputs: spec(5, 600, 0), options: { column: 0, factor: 1 / 512 } },
    {
      inputs: spec(256, 4096, 0),
      options: { column: 0, factor: 1 },
      cost: { bytes: 2 * 4 * 256 * 4096, flops: 3 * 256 * 4096 },
    },
  ],
};

/** Logits below a largest one of 5 whose exponentials add up to 1.5. */
function spec(rows: number, columns: number, column: number) {
  const of = <T>(make: (row: number) => T) => Array.from({ length: rows }, (_, row) => make(row));
  return {
    logits: { dtype: "f32", shape: [rows, columns] },
    targets: u32([rows], of((row) => column + row * 37 % columns)),
    state: f32([rows, 3], of(() => [5, 1.5, 0]).flat()),
  } as const;
}
