import type { Kernel } from "./device/kernel.ts";
import { describe, f32, u32 } from "./device/tensor.ts";
import wgsl from "./rope.wgsl" with { type: "text" };

const THREADS = 64;

/**
 * Rotary position embedding of `x` f32 [tokens, heads, head size] in place, in the half-split
 * pairing of transformers: channel d turns with channel d + half the head size.
 *
 * `angles` f32 [positions, head size] holds cosines, then sines (made on the host, where the sine
 * of a large angle is exact); `positions` u32 [tokens] picks its rows. Su et al. 2021, section 3.4.
 */
export const rope: Kernel<"x" | "positions" | "angles", never, Record<never, never>, "x"> = {
  wgsl,
  inputs: ["x", "positions", "angles"],
  outputs: [],
  mutates: ["x"],
  plan({ x, positions, angles }) {
    const [tokens, heads, size] = x.shape;
    if (tokens === undefined || heads === undefined || size === undefined || size % 2 !== 0) {
      throw new RangeError(
        `Cannot rotate x: it is ${describe(x)}, expected [tokens, heads, an even head size]`,
      );
    }
    if (positions.shape[0] !== tokens || angles.shape[1] !== size) {
      throw new RangeError(
        `Cannot rotate x ${describe(x)}: positions are ${describe(positions)} and angles ${
          describe(angles)
        }, expected u32[${tokens}] and f32[positions, ${size}]`,
      );
    }
    return {
      outputs: {},
      constants: { THREADS },
      params: { heads: { u32: heads }, half: { u32: size / 2 } },
      grid: [Math.ceil(heads * size / 2 / THREADS), tokens, 1],
    };
  },
  reference({ x, positions, angles }) {
    const [tokens = 0, heads = 0, size = 0] = x.shape;
    const half = size / 2;
    const data = Float32Array.from(x.data);
    for (let t = 0; t < tokens; t++) {
      for (let head = 0; head < heads; head++) {
        for (let pair = 0; pair < half; pair++) {
          const at = (t * heads + head) * size + pair;
          const angle = positions.data[t]! * size + pair;
          const [cosine, sine] = [angles.data[angle]!, angles.data[angle + half]!];
          const [low, high] = [data[at]!, data[at + half]!];
          data[at] = low * cosine - high * sine;
          data[at + half] = high * cosine + low * sine;
        }
      }
    }
    return { x: { ...x, data } };
  },
  cases: [
    {
      inputs: {
        x: f32([1, 1, 4], [1, 2, 3, 4]),
        positions: u32([1], [1]),
        angles: f32([2, 4], [1, 1, 0, 0, 0.6, 0, 0.8, 1]),
      },
      options: {},
    },
    {
      inputs: {
        x: { dtype: "f32", shape: [5, 3, 64] },
        positions: u32([5], [0, 1, 2, 9, 4]),
        angles: { dtype: "f32", shape: [10, 64] },
      },
      options: {},
    },
  ],
};
