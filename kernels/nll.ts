import type { Kernel } from "./device/kernel.ts";
import { describe, f32, u32 } from "./device/tensor.ts";
import wgsl from "./nll.wgsl" with { type: "text" };

/** Where the columns lie in the vocabulary, and whether they are the first to be folded in. */
export interface NllOptions {
  readonly column: number;
  readonly first: boolean;
}

/**
 * The log-likelihood of `targets` u32 [tokens] from logits that come a few columns at a time, so
 * that [tokens, vocabulary] never exists: `logits` f32 [tokens, columns] are folded into `state`
 * f32 [tokens, 3], which holds the largest logit, the sum of exponentials under it and the target's
 * logit. The log-likelihood is `state[2] - state[0] - log(state[1])`.
 */
export const nll: Kernel<"logits" | "targets" | "state", never, NllOptions, "state"> = {
  wgsl,
  inputs: ["logits", "targets", "state"],
  outputs: [],
  mutates: ["state"],
  plan({ logits, targets, state }, { column, first }) {
    const [rows, columns] = logits.shape;
    if (rows === undefined || columns === undefined || logits.shape.length !== 2) {
      throw new RangeError(`Cannot score ${describe(logits)}: expected [tokens, columns]`);
    }
    if (targets.shape[0] !== rows || state.shape[0] !== rows || state.shape[1] !== 3) {
      throw new RangeError(
        `Cannot score ${describe(logits)}: targets are ${describe(targets)} and state ${
          describe(state)
        }, expected u32[${rows}] and f32[${rows}, 3]`,
      );
    }
    return {
      outputs: {},
      constants: { FIRST: first },
      params: { columns: { u32: columns }, column: { u32: column } },
      grid: [rows, 1, 1],
    };
  },
  cpu({ logits }, { first }, { params }) {
    return {
      program: "nll",
      tasks: logits.shape[0]!,
      args: { ...params, first: { u32: Number(first) } },
    };
  },
  reference({ logits, targets, state }, { column, first }) {
    const [rows = 0, columns = 0] = logits.shape;
    const data = Float32Array.from(state.data);
    for (let row = 0; row < rows; row++) {
      const values = logits.data.subarray(row * columns, (row + 1) * columns);
      const old = first ? -Infinity : data[3 * row]!;
      const top = Math.max(old, ...values);
      let sum = first ? 0 : data[3 * row + 1]! * Math.exp(old - top);
      for (const value of values) sum += Math.exp(value - top);
      const offset = targets.data[row]! - column;
      const held = first ? 0 : data[3 * row + 2]!;
      data.set([top, sum, offset >= 0 && offset < columns ? values[offset]! : held], 3 * row);
    }
    return { state: { ...state, data } };
  },
  cases: [
    { inputs: spec([0], 1, f32([1, 1], [5])), options: { column: 0, first: true } },
    {
      inputs: spec([3, 99, 260], 3, { dtype: "f32", shape: [3, 257] }),
      options: { column: 4, first: true },
    },
    {
      inputs: {
        ...spec([300, 2], 2, f32([2, 4], [1, 2, 3, 4, -50, -60, -70, -80])),
        state: f32([2, 3], [3.5, 2, 1, 7, 1.5, 6]),
      },
      options: { column: 298, first: false },
    },
    {
      inputs: spec(Array.from({ length: 256 }, (_, i) => 16 * i), 256, {
        dtype: "f32",
        shape: [256, 4096],
      }),
      options: { column: 0, first: true },
      cost: { bytes: 2 * 4 * 256 * 4096, flops: 3 * 256 * 4096 },
    },
  ],
};

function spec<L>(targets: readonly number[], rows: number, logits: L) {
  return { logits, targets: u32([rows], targets), state: f32([rows, 3]) };
}
