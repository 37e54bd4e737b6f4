import { counts, type Kernel } from "./device/kernel.ts";
import { describe, f32 } from "./device/tensor.ts";
import { rowTasks } from "./parts/row_tasks.ts";
import wgsl from "./rms_norm_backward.wgsl" with { type: "text" };

/**
 * What a loss loses by the rows that `rmsNorm` reads: of `x` and `dy` f32 [tokens, columns] and `gain`
 * f32 [columns], the gradient of `x` is added to `sum` f32 [tokens, columns].
 *
 * With r = 1 / sqrt(mean(x x) + eps) and g = dy gain it is r (g - x r^2 mean(x g)).
 */
export const rmsNormBackward: Kernel<
  "x" | "gain" | "dy" | "sum",
  never,
  { readonly eps: number },
  "sum"
> = {
  wgsl,
  inputs: ["x", "gain", "dy", "sum"],
  outputs: [],
  mutates: ["sum"],
  plan({ x, gain, dy, sum }, { eps }, limits) {
    const [rows, columns] = x.shape;
    if (rows === undefined || columns === undefined || columns % 4 !== 0) {
      throw new RangeError(
        `Cannot take gradients of x: it is ${describe(x)}, expected [tokens, a multiple of 4]`,
      );
    }
    const like = [dy, sum].every((other) => describe(other) === describe(x));
    if (!like || gain.shape.length !== 1 || gain.shape[0] !== columns) {
      throw new RangeError(
        `Cannot take gradients of x ${describe(x)}: gain is ${describe(gain)}, dy ${
          describe(dy)
        } and sum ${describe(sum)}, expected f32[${columns}] and twice the shape of x`,
      );
    }
    return {
      outputs: {},
      constants: { THREADS: Math.min(256, limits.groupThreads) },
      params: { columns: { u32: columns }, eps: { f32: eps } },
      grid: [rows, 1, 1],
    };
  },
  cpu({ x: { shape: [rows = 0, columns = 0] } }, _options, { params }) {
    const { tasks, args } = rowTasks(rows, columns);
    return { program: "rmsNormBackward", tasks, args: { ...params, ...counts({ rows }), ...args } };
  },
  reference({ x, gain, dy, sum }, { eps }) {
    const [rows = 0, columns = 0] = x.shape;
    const data = Float32Array.from(sum.data);
    for (let row = 0; row < rows; row++) {
      const at = row * columns;
      let [squares, along] = [0, 0];
      for (let c = 0; c < columns; c++) {
        squares += x.data[at + c]! ** 2;
        along += x.data[at + c]! * dy.data[at + c]! * gain.data[c]!;
      }
      const factor = 1 / Math.sqrt(squares / columns + eps);
      for (let c = 0; c < columns; c++) {
        const own = dy.data[at + c]! * gain.data[c]!;
        data[at + c]! += factor * (own - x.data[at + c]! * factor ** 2 * along / columns);
      }
    }
    return { sum: f32(sum.shape, data) };
  },
  cases: [
    {
      inputs: {
        x: f32([1, 4], [1, -2, 3, 4]),
        gain: f32([4], [1, 1, 2, 1]),
        dy: f32([1, 4], [1, 0, -1, 2]),
        sum: f32([1, 4], [0, 1, 0, 0]),
      },
      options: { eps: 1e-6 },
    },
    { inputs: spec(3, 260), options: { eps: 1e-6 } },
    { inputs: spec(5, 576), options: { eps: 1e-5 } },
    {
      inputs: spec(512, 1536),
      options: { eps: 1e-5 },
      cost: { bytes: 4 * 4 * 512 * 1536, flops: 9 * 512 * 1536 },
    },
  ],
};

function spec(rows: number, columns: number) {
  const x = { dtype: "f32", shape: [rows, columns] } as const;
  return { x, gain: { dtype: "f32", shape: [columns] }, dy: x, sum: x } as const;
}
