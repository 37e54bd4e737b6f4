import type { HostTensor, TensorSpec } from "./device/device.ts";
import type { Kernel } from "./device/kernel.ts";
import { describe, f32, u32 } from "./device/tensor.ts";
import wgsl from "./divergence.wgsl" with { type: "text" };

/** Where the columns lie in the vocabulary, and whether they are the first to be folded in. */
export interface DivergenceOptions {
  readonly column: number;
  readonly first: boolean;
}

/** Numbers of a row of `state`, see `divergence`. */
export const DIVERGENCE_STATE = 7;

/** Squared, as cases are compared: single precision errs by about 1e-7, and no column may differ. */
const TOLERANCE = 1e-12;

/** The state before any column. */
const START: readonly number[] = [-Infinity, 0, 0, -Infinity, 0, 0, 0];

type In = "baseline" | "logits" | "targets" | "state" | "top";

/**
 * How far `logits` q stray from `baseline` p, both f32 [tokens, columns] that come a few columns at a
 * time, and the log-likelihood of `targets` u32 [tokens] under both: all of it in one pass.
 *
 * `state` f32 [tokens, 7] holds the largest p, the sum of e = exp(p - largest p), the sum of
 * e (p - q), the largest q, the sum of exp(q - largest q), and the target's p and q; `top`
 * u32 [tokens, 2] the columns of the largest p and q, the first of equals. With the log of a
 * partition function, log Z = largest + log(sum), the divergence KL(p || q) in nats is
 * `state[2] / state[1] - log Zp + log Zq` and the log-likelihood under q is `state[6] - log Zq`.
 */
export const divergence: Kernel<In, never, DivergenceOptions, "state" | "top"> = {
  wgsl,
  inputs: ["baseline", "logits", "targets", "state", "top"],
  outputs: [],
  mutates: ["state", "top"],
  plan({ baseline, logits, targets, state, top }, { column, first }) {
    const [rows, columns] = logits.shape;
    if (rows === undefined || columns === undefined || logits.shape.length !== 2) {
      throw new RangeError(`Cannot compare ${describe(logits)}: expected [tokens, columns]`);
    }
    const expected = [
      [baseline, [rows, columns]],
      [targets, [rows]],
      [state, [rows, DIVERGENCE_STATE]],
      [top, [rows, 2]],
    ] as const;
    for (const [tensor, shape] of expected) {
      if (String(tensor.shape) === String(shape)) continue;
      throw new RangeError(
        `Cannot compare ${describe(logits)} with ${describe(baseline)}: there is ${
          describe(tensor)
        }, expected [${shape.join(", ")}]`,
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
      program: "divergence",
      tasks: logits.shape[0]!,
      args: { ...params, first: { u32: Number(first) } },
    };
  },
  reference({ baseline, logits, targets, state, top }, { column, first }) {
    const [rows = 0, columns = 0] = logits.shape;
    const numbers = Float32Array.from(state.data);
    const places = Uint32Array.from(top.data);
    for (let row = 0; row < rows; row++) {
      const at = DIVERGENCE_STATE * row;
      const p = baseline.data.subarray(row * columns, (row + 1) * columns);
      const q = logits.data.subarray(row * columns, (row + 1) * columns);
      const old = first ? START : numbers.slice(at, at + DIVERGENCE_STATE);
      const [oldP = 0, sumP = 0, weighted = 0, oldQ = 0, sumQ = 0, targetP = 0, targetQ = 0] = old;
      const [largestP, largestQ] = [Math.max(oldP, ...p), Math.max(oldQ, ...q)];
      if (largestP > oldP) places[2 * row] = column + p.indexOf(largestP);
      if (largestQ > oldQ) places[2 * row + 1] = column + q.indexOf(largestQ);
      const held = Math.exp(oldP - largestP);
      let [sum, product] = [held * sumP, held * weighted];
      p.forEach((value, i) => {
        sum += Math.exp(value - largestP);
        product += Math.exp(value - largestP) * (value - q[i]!);
      });
      let other = Math.exp(oldQ - largestQ) * sumQ;
      for (const value of q) other += Math.exp(value - largestQ);
      const offset = targets.data[row]! - column;
      const inside = offset >= 0 && offset < columns;
      const targetLogits = inside ? [p[offset]!, q[offset]!] : [targetP, targetQ];
      numbers.set([largestP, sum, product, largestQ, other, ...targetLogits], at);
    }
    return { state: { ...state, data: numbers }, top: { ...top, data: places } };
  },
  cases: [
    {
      inputs: spec([0], 1, f32([1, 1], [5]), f32([1, 1], [3])),
      options: { column: 0, first: true },
      tolerance: TOLERANCE,
    },
    {
      inputs: spec([3, 99, 260], 3, random(3, 257), random(3, 257)),
      options: { column: 4, first: true },
      tolerance: TOLERANCE,
    },
    {
      inputs: {
        ...spec(
          [300, 2, 299],
          3,
          f32([3, 4], [1, 2, 2, 1, -50, -60, -70, -80, 9, 9, 9, 9]),
          f32([3, 4], [0, 5, 4, 5, -80, -70, -60, -50, 4, 3, 2, 1]),
        ),
        state: f32(
          [3, DIVERGENCE_STATE],
          [...[3.5, 2, -1, 7, 1.5, 6, 1], ...[1, 1, 0, 1, 1, -1, -2], ...[9, 1, 4, 3, 2, 0, 0]],
        ),
        top: u32([3, 2], [17, 4, 0, 31, 297, 2]),
      },
      options: { column: 298, first: false },
      tolerance: TOLERANCE,
    },
    {
      inputs: spec(
        Array.from({ length: 256 }, (_, i) => 16 * i),
        256,
        random(256, 4096),
        random(256, 4096),
      ),
      options: { column: 0, first: true },
      tolerance: TOLERANCE,
      cost: { bytes: 2 * 4 * 256 * 4096, flops: 10 * 256 * 4096 },
    },
  ],
};

function random(rows: number, columns: number): TensorSpec {
  return { dtype: "f32", shape: [rows, columns] };
}

function spec<L extends TensorSpec | HostTensor>(
  targets: readonly number[],
  rows: number,
  baseline: L,
  logits: L,
) {
  return {
    baseline,
    logits,
    targets: u32([rows], targets),
    state: f32([rows, DIVERGENCE_STATE]),
    top: u32([rows, 2]),
  };
}
