import { counts, type Kernel } from "./device/kernel.ts";
import { describe, f32, u32 } from "./device/tensor.ts";
import { codeOf, inputCodes, scaleOf } from "./codes/quantizer.ts";
import half from "./parts/half.wgsl" with { type: "text" };
import quotient from "./parts/quotient.wgsl" with { type: "text" };
import { rowTasks } from "./parts/row_tasks.ts";
import wgsl from "./quantize_groups.wgsl" with { type: "text" };

/** How groups of a row become codes. */
export interface QuantizeGroupsOptions {
  /** Columns that share a scale, a multiple of 8 that divides the row. */
  readonly group: number;
  /** Bits of a code: -127 to 127, or -8 to 7. */
  readonly bits: 8 | 4;
  /** Factor above 0 and up to 1, its default, on the largest absolute value of a group. */
  readonly clip?: number;
  /** Whether the last group has codes of 8 bits, unclipped. */
  readonly outliers?: boolean;
}

const THREADS = 32;

/**
 * Signed codes of the rows of `x` f32 [tokens, columns] in groups: `codes` u32 [tokens, columns / 4], a
 * byte each, column 4w + j in byte j of word w, and `groups` f32 [tokens, 2 columns / group] with the
 * scale and the sum of codes of each group. With `order` u32 [columns], column j is x's column order[j].
 *
 * Scales are those of `quantizeRows`, each of its group (Zhao et al. 2024, Atom, sections 4.1 and 4.2).
 */
export const quantizeGroups: Kernel<
  "x" | "order",
  "codes" | "groups",
  QuantizeGroupsOptions,
  never,
  "order"
> = {
  wgsl: `${half}\n${quotient}\n${wgsl}`,
  inputs: ["x", "order"],
  outputs: ["codes", "groups"],
  optional: ["order"],
  plan({ x, order }, { group, bits, clip = 1, outliers = false }, limits) {
    const [rows, columns] = x.shape;
    if (rows === undefined || columns === undefined) {
      throw new RangeError(`Cannot quantize x: it is ${describe(x)}, expected [tokens, columns]`);
    }
    if (!(group > 0 && group % 8 === 0 && columns % group === 0)) {
      throw new RangeError(
        `Cannot quantize rows of ${columns} values in groups of ${group}: expected a multiple of 8 that divides ${columns}`,
      );
    }
    if (!(clip > 0 && clip <= 1)) {
      throw new RangeError(
        `Cannot clip groups to ${clip} of their range: expected a factor above 0 and up to 1`,
      );
    }
    if (order && (order.dtype !== "u32" || order.shape.join() !== `${columns}`)) {
      throw new RangeError(
        `Cannot take columns in order ${describe(order)}: expected u32[${columns}]`,
      );
    }
    if (rows > limits.gridAxis) {
      throw new RangeError(
        `Cannot quantize ${rows} rows at once: expected at most ${limits.gridAxis}`,
      );
    }
    const { low, high } = inputCodes(bits);
    const groups = columns / group;
    return {
      outputs: {
        codes: { dtype: "u32", shape: [rows, columns / 4] },
        groups: { dtype: "f32", shape: [rows, 2 * groups] },
      },
      constants: { ORDERED: order !== undefined, OUTLIERS: outliers, THREADS },
      params: {
        ...counts({ columns, group }),
        low: { f32: low },
        high: { f32: high },
        clip: { f32: clip },
      },
      grid: [groups, rows, 1],
    };
  },
  cpu({ x: { shape: [rows = 0, columns = 0] } }, { outliers = false }, { params }) {
    const { tasks, args } = rowTasks(rows, columns);
    return {
      program: "quantizeGroups",
      tasks,
      args: { ...params, ...counts({ outliers: Number(outliers), count: rows }), ...args },
    };
  },
  reference({ x, order }, { group, bits, clip = 1, outliers = false }) {
    const [tokens = 0, columns = 0] = x.shape;
    const codes = new Int8Array(tokens * columns);
    const groups = new Float32Array(2 * tokens * columns / group);
    for (let first = 0; first < codes.length; first += group) {
      const row = Math.floor(first / columns) * columns;
      const wide = outliers && first + group === row + columns;
      const kinds = inputCodes(wide ? 8 : bits);
      const values = Array.from({ length: group }, (_, i) => {
        const place = first + i - row;
        return x.data[row + (order?.data[place] ?? place)]!;
      });
      const most = values.reduce((size, value) => Math.max(size, Math.abs(value)), 0);
      const size = wide ? most : Math.fround(most * Math.fround(clip));
      const scale = scaleOf(size, kinds.high, "f16");
      const sum = values.reduce((sum, value, i) => {
        codes[first + i] = codeOf(value, scale, 0, kinds);
        return sum + codes[first + i]!;
      }, 0);
      groups.set([scale, sum], 2 * first / group);
    }
    return {
      codes: u32([tokens, columns / 4], new Uint32Array(codes.buffer)),
      groups: f32([tokens, 2 * columns / group], groups),
    };
  },
  // Programs that compare and time nothing need none.
  get cases() {
    return [
      spec(1, 8, { group: 8, bits: 4 }),
      spec(3, 72, { group: 24, bits: 4, clip: 0.9 }),
      spec(5, 576, { group: 64, bits: 4, clip: 0.9, outliers: true }),
      spec(5, 576, { group: 64, bits: 4, clip: 0.9, outliers: true }, true),
      spec(33, 1536, { group: 128, bits: 4, clip: 0.9, outliers: true }, true),
      spec(7, 256, { group: 256, bits: 8 }),
      spec(7, 256, { group: 128, bits: 8, clip: 0.5 }, true),
      {
        ...spec(512, 1536, { group: 128, bits: 4, clip: 0.9, outliers: true }, true),
        cost: { bytes: 5 * 512 * 1536, flops: 4 * 512 * 1536 },
      },
    ];
  },
};

/** Numbers of 12 bits, a group of zeros among them, in some order. */
function spec(rows: number, columns: number, options: QuantizeGroupsOptions, ordered = false) {
  const { group } = options;
  const x = Float32Array.from({ length: rows * columns }, (_, i) => {
    const code = (Math.imul(i, 0x9e3779b1) >>> 20) - 2048;
    const at = Math.floor(i / group);
    return at % 7 === 3 ? 0 : code / (at % 4 === 0 ? 64 : 512);
  });
  // A step that shares no factor with the columns visits each once.
  const order = Uint32Array.from({ length: columns }, (_, j) => (j * 37 + 5) % columns);
  return {
    inputs: { x: f32([rows, columns], x), ...ordered && { order: u32([columns], order) } },
    options,
    tolerance: 0,
  };
}
