import { type CodeValues, emptyCodes } from "../../kernels/codes/integer_codes.ts";
import type { Device, HostTensor, Tensor } from "../../kernels/device/device.ts";
import { f32, u32, zeros } from "../../kernels/device/tensor.ts";
import type { GptqPanelOptions } from "../../kernels/gptq_panel.ts";
import { gptqPanel, matmul } from "../../kernels/mod.ts";
import { checkFinite, type GptqFactor } from "./gptq_factor.ts";

/** A weight and the grid that its codes lie on. */
export interface GptqWeight {
  /** f32 [rows, columns], in units in which `scales` apply. */
  readonly weight: Float32Array;
  /** Rows of a weight without values, of which only the work is wanted. */
  readonly rows?: number;
  /** [rows, columns / group]; fixed before, and not made again as the weight changes. */
  readonly scales: Float32Array;
  /** Like `scales`; not read where `zero` is none. */
  readonly zeros?: Float32Array;
  readonly zero: GptqPanelOptions["zero"];
  /** Smallest and largest code. */
  readonly range: readonly [low: number, high: number];
  /** Columns that share a scale, in their original order. */
  readonly group: number;
  /** Weights are clamped to plus and minus this before they are rounded; not unless said. */
  readonly bound?: number;
}

/**
 * The codes of a weight [rows, columns], in the original order of columns, that make its error on the
 * inputs behind a factor small (GPTQ, Frantar et al. 2023).
 */
export async function round(
  device: Device,
  factor: GptqFactor,
  options: GptqWeight,
): Promise<CodeValues> {
  const { columns, places } = factor;
  const { weight, scales, zeros, zero, group } = options;
  const { rows = weight.length / columns } = options;
  const groups = columns / group;
  if (!Number.isInteger(rows) || !Number.isInteger(groups)) {
    throw new RangeError(
      `Cannot round ${weight.length} weights in groups of ${group}: expected rows of ${columns} and a group that divides them`,
    );
  }
  const grids = zero === "none" ? [scales] : [scales, zeros];
  if (weight.length > 0 && grids.some((grid) => grid?.length !== rows * groups)) {
    throw new RangeError(
      `Cannot round [${rows}, ${columns}] weights: there are ${scales.length} scales and ${
        zeros?.length ?? 0
      } zeros, expected ${rows * groups} each`,
    );
  }
  checkFinite(weight, "weight");
  const codes = emptyCodes(weight.length, { signed: zero === "none" });
  const height = Math.floor(device.limits.bindingBytes / (4 * columns));
  using groupOf = device.upload(
    u32([columns], Uint32Array.from(places, (c) => Math.floor(c / group))),
  );
  for (let first = 0; first < rows; first += height) {
    const held = Math.min(height, rows - first);
    using part = new DisposableStack();
    const upload = (all: Float32Array, width: number, label: string) =>
      part.use(device.upload(f32([held, width], all), label));
    const cut = (all: Float32Array, width: number) =>
      all.subarray(first * width, (first + held) * width);
    const made = await roundRows(device, factor, {
      weight: upload(orderedRows(cut(weight, columns), factor), columns, "weight"),
      scales: upload(cut(scales, groups), groups, "scales"),
      ...(zero === "none" ? {} : { zeros: upload(cut(zeros!, groups), groups, "zeros") }),
      group: groupOf,
    }, options);
    for (let row = 0; row * columns < made.length; row++) {
      const line = codes.subarray((first + row) * columns, (first + row + 1) * columns);
      for (let i = 0; i < columns; i++) line[places[i]!] = made[row * columns + i]!;
    }
  }
  return codes;
}

/** Codes of rows that fit a binding, in the order of the factor. */
async function roundRows(
  device: Device,
  { columns, block, panels }: GptqFactor,
  inputs: Readonly<Record<"weight" | "scales" | "group", Tensor>> & { readonly zeros?: Tensor },
  { zero, range: [low, high], bound }: GptqWeight,
): Promise<HostTensor["data"]> {
  const { dtype, shape } = inputs.weight;
  using delta = device.upload(zeros({ dtype, shape }), "rounding errors");
  using codes = device.empty({ dtype, shape }, "codes");
  for (let k = panels.length - 1; k >= 0; k--) {
    const [first, factor] = [k * block, panels[k]!];
    const begin = feedbackBegin(first + block, columns);
    device.run(matmul, { x: delta, weight: factor, y: codes }, { column: first, begin });
    device.run(gptqPanel, { ...inputs, factor, delta, codes }, {
      first,
      zero,
      low,
      high,
      ...(bound === undefined ? {} : { bound }),
    });
  }
  return (await device.read(codes)).data;
}

/**
 * Where the errors begin that are fed to a block with its last column before `end`: they are zero up to there,
 * which is all that the last block has; inner values of a product begin at a multiple of 8.
 */
export function feedbackBegin(end: number, columns: number): number {
  return Math.min(end - end % 8, columns - 8);
}

/** Rows with their columns at the places of the factor, those of dead inputs as zeros. */
export function orderedRows(
  weight: Float32Array,
  { columns, places, dead }: GptqFactor,
): Float32Array<ArrayBuffer> {
  const ordered = new Float32Array(weight.length);
  const empty = [...places.keys()].filter((i) => dead.has(places[i]!));
  for (let start = 0; start < weight.length; start += columns) {
    for (let i = 0; i < columns; i++) ordered[start + i] = weight[start + places[i]!]!;
    for (const i of empty) ordered[start + i] = 0;
  }
  return ordered;
}
