import { type CodeValues, emptyCodes } from "../../kernels/codes/integer_codes.ts";
import { valueOf } from "../../kernels/codes/quantizer.ts";
import type { Device, Tensor } from "../../kernels/device/device.ts";
import { f32, u32 } from "../../kernels/device/tensor.ts";
import { gptqPanel, matmul } from "../../kernels/mod.ts";
import { groupColumns } from "./schemes.ts";
import type { WeightDomain, WeightGrid } from "./weight_grid.ts";

/** How codes are improved. */
export interface DescentOptions {
  /** Sum of x x^T, f32 [columns, columns]. */
  readonly gram: Float32Array;
  /** Added to its diagonal, as a part of its mean. */
  readonly damping: number;
  /** Columns that are rounded before the others see it; a multiple of 4. */
  readonly block: number;
  /** How often all columns are gone through. */
  readonly passes: number;
}

/**
 * Codes on a grid that err less on the inputs behind a Gram matrix H than those given, or as much: each column
 * in turn, from the last to the first, gets the code nearest to where the error (w - q) H (w - q)^T of its row
 * would be least with all other columns as they are (Zhang et al. 2024, COMQ, arXiv 2403.07134; Behdin et al.
 * 2023, QuantEase, arXiv 2309.01885).
 *
 * That is w + sum over the others of (w - q) H / H_cc, which `gptqPanel` makes of H itself where it is given
 * what columns that it has not come to feed back.
 */
export async function descend(
  device: Device,
  { values, rows, columns, bound }: WeightDomain,
  grid: WeightGrid,
  codes: CodeValues,
  { gram, damping, block, passes }: DescentOptions,
): Promise<CodeValues> {
  const group = groupColumns(grid.scheme, columns);
  const groups = columns / group;
  const { low, high, zero } = grid;
  const diagonal = Float32Array.from({ length: columns }, (_, c) => gram[c * (columns + 1)] ?? 0);
  // What is never used weighs nothing, as in GPTQ.
  const dead = [...diagonal.keys()].filter((c) => gram.length > 0 && !(diagonal[c]! > 0));
  for (const c of dead) diagonal[c] = 1;
  const added = damping * diagonal.reduce((sum, value) => sum + value, 0) / columns;
  const made = emptyCodes(codes.length, { signed: zero === "none" });
  using groupOf = device.upload(
    u32([columns], Uint32Array.from({ length: columns }, (_, c) => Math.floor(c / group))),
  );
  const height = Math.max(1, Math.floor(device.limits.bindingBytes / (4 * columns)));
  for (let first = 0; first < rows; first += height) {
    const held = Math.min(height, rows - first);
    const cut = <T extends { subarray(from: number, to: number): T }>(all: T, width: number) =>
      all.subarray(first * width, (first + held) * width);
    const wanted = Float32Array.from(cut(values, columns));
    for (let i = 0; i < wanted.length; i++) if (dead.includes(i % columns)) wanted[i] = 0;
    const [scales, zeros] = [cut(grid.scales, groups), cut(grid.zeros, groups)];
    const errors = wanted.map((value, i) => {
      const at = Math.floor(i / group);
      const code = codes[first * columns + i]!;
      return value - valueOf(code, scales[at]!, zeros[at]!, zero);
    });
    using stack = new DisposableStack();
    const upload = (all: Float32Array, width: number, label: string) =>
      stack.use(device.upload(f32([held, width], all), label));
    const inputs = {
      weight: upload(wanted, columns, "weight"),
      delta: upload(errors, columns, "rounding errors"),
      codes: stack.use(device.empty({ dtype: "f32", shape: [held, columns] }, "codes")),
      scales: upload(scales, groups, "scales"),
      ...zero !== "none" && { zeros: upload(zeros, groups, "zeros") },
      group: groupOf,
    };
    for (let pass = 0; pass < passes; pass++) {
      for (let from = Math.floor((columns - 1) / block) * block; from >= 0; from -= block) {
        const count = Math.min(block, columns - from);
        using factor = panel(device, { gram, diagonal, added }, { from, count, masked: false });
        using rest = panel(device, { gram, diagonal, added }, { from, count, masked: true });
        device.run(matmul, { x: inputs.delta, weight: rest, y: inputs.codes }, { column: from });
        device.run(gptqPanel, { ...inputs, factor }, {
          ...{ first: from, zero, low, high },
          ...bound !== undefined && { bound },
        });
      }
    }
    made.set((await device.read(inputs.codes)).data, first * columns);
  }
  return made;
}

/**
 * Rows of the damped Gram matrix; `masked` leaves out of each what `gptqPanel` adds by itself: the column itself
 * and those of the block behind it.
 */
function panel(
  device: Device,
  { gram, diagonal, added }: {
    readonly gram: Float32Array;
    readonly diagonal: Float32Array;
    readonly added: number;
  },
  { from, count, masked }: {
    readonly from: number;
    readonly count: number;
    readonly masked: boolean;
  },
): Tensor {
  const columns = diagonal.length;
  const shape = [count, columns];
  if (gram.length === 0) return device.upload(f32(shape, gram), "Gram matrix");
  const rows = gram.slice(from * columns, (from + count) * columns);
  for (let row = 0; row < count; row++) {
    const line = rows.subarray(row * columns, (row + 1) * columns);
    if (masked) line.fill(0, from + row, from + count);
    else line[from + row] = diagonal[from + row]! + added;
  }
  return device.upload(f32(shape, rows), "Gram matrix");
}
