import { counts, type Kernel } from "./device/kernel.ts";
import { describe, elements, u32 } from "./device/tensor.ts";
import wgsl from "./group_by_expert.wgsl" with { type: "text" };

/**
 * Rows of tokens put together by expert: of `experts` u32 [tokens, chosen], all below `count`, the rows
 * of expert e stand from `bounds[e]` to `bounds[e + 1]` (u32 [count + 1]), by token. `tokens` u32
 * [tokens * chosen] tells whose each row is, `places` u32 [tokens, chosen] which row a choice became.
 */
export const groupByExpert: Kernel<
  "experts",
  "tokens" | "places" | "bounds",
  { readonly count: number }
> = {
  wgsl,
  inputs: ["experts"],
  outputs: ["tokens", "places", "bounds"],
  plan({ experts }, { count }) {
    const [tokens, chosen] = experts.shape;
    if (tokens === undefined || !chosen || !(count >= 1)) {
      throw new RangeError(
        `Cannot group ${describe(experts)} by ${count} experts: expected u32[tokens, chosen]`,
      );
    }
    return {
      outputs: {
        tokens: { dtype: "u32", shape: [tokens * chosen] },
        places: { dtype: "u32", shape: [tokens, chosen] },
        bounds: { dtype: "u32", shape: [count + 1] },
      },
      constants: { THREADS: 256 },
      params: counts({ rows: tokens * chosen, chosen, count }),
      grid: [1, 1, 1],
    };
  },
  cpu(_inputs, _options, { params }) {
    return { program: "groupByExpert", tasks: 1, args: params };
  },
  reference({ experts }, { count }) {
    const chosen = experts.shape[1]!;
    const rows = [...experts.data.keys()]
      .sort((a, b) => experts.data[a]! - experts.data[b]! || a - b);
    const places = new Uint32Array(rows.length);
    rows.forEach((from, row) => places[from] = row);
    const bounds = Array.from(
      { length: count + 1 },
      (_, expert) => (experts.data as Uint32Array).filter((each) => each < expert).length,
    );
    return {
      tokens: u32([rows.length], rows.map((from) => Math.floor(from / chosen))),
      places: u32(experts.shape, places),
      bounds: u32([count + 1], bounds),
    };
  },
  cases: [
    grouped([1, 1], 1),
    grouped([1, 2], 8),
    grouped([7, 3], 5),
    grouped([90, 4], 300),
    { ...grouped([512, 8], 128), cost: { bytes: 4 * 512 * 8 * 3, flops: 0 } },
  ],
};

/** Choices that follow each other in no order, those of a token all different. */
function grouped(shape: readonly [tokens: number, chosen: number], count: number) {
  const [, chosen] = shape;
  const experts = Uint32Array.from({ length: elements(shape) }, (_, i) => {
    const start = Math.imul(Math.floor(i / chosen) + 1, 0x9e3779b1) >>> 8;
    return (start + 3 * (i % chosen)) % count;
  });
  return { inputs: { experts: u32(shape, experts) }, options: { count }, tolerance: 0 } as const;
}
