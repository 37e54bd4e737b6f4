import type { TensorSpec } from "./device/device.ts";
import { counts, type Kernel } from "./device/kernel.ts";
import { describe, f32 } from "./device/tensor.ts";
import { rowTasks } from "./parts/row_tasks.ts";
import blocks from "./hadamard.wgsl" with { type: "text" };
import dense from "./hadamard_dense.wgsl" with { type: "text" };

/** Longest run of values that a workgroup transforms in its memory; longer ones are split. */
const MOST_RUN = 1024;
/** Most tasks into which the CPU engine cuts few rows. */
const MOST_CUTS = 16;

/**
 * The online Hadamard transform: rows of `x` f32 [tokens, n] times kron(`left`, S) / sqrt(n), with
 * `left` f32 [order, order] and S the Sylvester matrix of n / order, a power of two. Without `left`
 * the order is 1. Orders above 1 are multiples of 4.
 *
 * The factors are those of Ashkboos et al. 2024 (QuaRot); any real `left` is allowed.
 */
export const hadamard: Kernel<"x" | "left", "y", Record<never, never>, never, "left"> = {
  wgsl: { blocks, dense },
  inputs: ["x", "left"],
  outputs: ["y"],
  optional: ["left"],
  plan(inputs) {
    const { rows, size, order, right } = dimensions(inputs);
    const LEFT = inputs.left !== undefined;
    const params = {
      rows: { u32: rows },
      order: { u32: order },
      scale: { f32: 1 / Math.sqrt(size) },
    };
    const outputs = { y: { dtype: "f32", shape: inputs.x.shape } } as const;
    const split = splitOf(order, right);
    if (right / split < 4) {
      return {
        shader: "dense",
        outputs,
        constants: { LEFT, RIGHT: right, THREADS: 64 },
        params,
        grid: [Math.ceil(size / 64), rows, 1],
      };
    }
    const QUADS = right / split / 4;
    const THREADS = Math.min(256, Math.max(64, QUADS));
    const rowsEach = Math.max(1, THREADS / QUADS);
    return {
      shader: "blocks",
      outputs,
      constants: { LEFT, SPLIT: split, QUADS, THREADS },
      params,
      grid: [order * split / 4, Math.ceil(rows / rowsEach), 1],
    };
  },
  cpu(inputs, _options, { params }) {
    const { rows, order, right } = dimensions(inputs);
    // Rows are cut where there are too few of them to keep all threads at work.
    const cuts = right < 4 ? 1 : Math.min(order / 4, Math.ceil(MOST_CUTS / rows));
    const blocks = order === 1 ? 1 : 4 * Math.ceil(order / 4 / cuts);
    const across = Math.ceil(order / blocks);
    const { tasks, args } = rowTasks(rows, blocks * right * (order + Math.log2(right)) / 8);
    return {
      program: "hadamard",
      tasks: tasks * across,
      args: { ...params, ...counts({ right }), ...args, ...counts({ task_blocks: blocks }) },
    };
  },
  reference(inputs) {
    const { x, left } = inputs;
    const { rows, size, order, right } = dimensions(inputs);
    const y = new Float32Array(rows * size);
    for (let row = 0; row < rows; row++) {
      const mixed = new Float64Array(size);
      for (let i = 0; i < order; i++) {
        for (let j = 0; j < order; j++) {
          const factor = left ? left.data[i * order + j]! : 1;
          for (let c = 0; c < right; c++) {
            mixed[j * right + c]! += factor * x.data[row * size + i * right + c]!;
          }
        }
      }
      for (let half = 1; half < right; half *= 2) {
        for (let at = 0; at < size; at++) {
          if (at & half) continue;
          const [a, b] = [mixed[at]!, mixed[at + half]!];
          mixed[at] = a + b;
          mixed[at + half] = a - b;
        }
      }
      mixed.forEach((value, c) => y[row * size + c] = value / Math.sqrt(size));
    }
    return { y: f32(x.shape, y) };
  },
  cases: [
    { inputs: { x: f32([1, 1], [3]) }, options: {} },
    { inputs: { x: f32([1, 4], [1, -2, 3, 4]) }, options: {} },
    { inputs: spec(3, 8, 1), options: {} },
    { inputs: spec(3, 72, 36), options: {} },
    { inputs: spec(17, 48, 12), options: {} },
    { inputs: spec(5, 160, 20), options: {} },
    { inputs: spec(33, 768, 12), options: {} },
    { inputs: spec(3, 16, 1), options: {} },
    { inputs: spec(2, 8192, 1), options: {} },
    { inputs: spec(2, 14336, 28), options: {} },
    // The power of two is longer than a workgroup transforms.
    { inputs: spec(2, 24576, 12), options: {} },
    { inputs: spec(1, 65536, 1), options: {} },
    timed(1, 1536, 12),
    timed(512, 1536, 12),
    timed(16, 11008, 172),
  ],
};

function dimensions({ x, left }: { readonly x: TensorSpec; readonly left?: TensorSpec }) {
  const [rows, size] = x.shape;
  if (rows === undefined || size === undefined || x.shape.length !== 2) {
    throw new RangeError(`Cannot transform x: it is ${describe(x)}, expected [tokens, size]`);
  }
  const order = left ? left.shape[0]! : 1;
  if (left && (left.shape.length !== 2 || left.shape[1] !== order || order % 4 !== 0)) {
    throw new RangeError(
      `Cannot transform x ${describe(x)}: left is ${
        describe(left)
      }, expected a square with a side that is a multiple of 4`,
    );
  }
  const right = size / order;
  if (!Number.isInteger(Math.log2(right)) || right < 1) {
    throw new RangeError(
      `Cannot transform x ${
        describe(x)
      }: ${size} / ${order} is ${right}, expected a power of two; give the left factor of the size`,
    );
  }
  return { rows, size, order, right };
}

/** Parts into which the power of two is cut, so that there are four blocks or more to mix. */
function splitOf(order: number, right: number): number {
  if (order > 1 && right <= MOST_RUN) return 1;
  return Math.max(4, right / MOST_RUN);
}

function spec(tokens: number, size: number, order: number) {
  const x = { dtype: "f32", shape: [tokens, size] } as const;
  return order === 1 ? { x } : { x, left: { dtype: "f32", shape: [order, order] } as const };
}

function timed(tokens: number, size: number, order: number) {
  const steps = 2 * order + Math.log2(size / order);
  return {
    inputs: spec(tokens, size, order),
    options: {},
    cost: { bytes: 2 * 4 * tokens * size, flops: tokens * size * steps },
  };
}
